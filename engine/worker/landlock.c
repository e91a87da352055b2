/*
 * Landlock by system call: the rights of each version of the interface, rules from paths.
 *
 * Every right that the running kernel knows is taken away, and given back below the listed paths.
 * Rights are numbered here, not taken from the headers, which may be older than the kernel. Called
 * by sandbox.c.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "engine/worker/sandbox_priv.h"
#include "init/base/util.h"

/* linux/landlock.h */
enum {
	ACCESS_EXECUTE = 1 << 0,
	ACCESS_WRITE_FILE = 1 << 1,
	ACCESS_READ_FILE = 1 << 2,
	ACCESS_READ_DIR = 1 << 3,
	ACCESS_TRUNCATE = 1 << 14,
	ACCESS_IOCTL_DEV = 1 << 15,
	RULE_PATH_BENEATH = 1,
	CREATE_VERSION = 1 << 0,
	VERSION_REFER = 2, /* the version that added the right */
	VERSION_TRUNCATE = 3,
	VERSION_IOCTL_DEV = 5,
	VERSION_SCOPE = 6,
};

struct ruleset_attr {
	uint64_t fs;
	uint64_t net; /* since version 4: bind and connect TCP */
	uint64_t scoped; /* since VERSION_SCOPE: abstract sockets, signals */
};

struct path_attr {
	uint64_t access;
	int32_t parent_fd;
} __attribute__((packed));

static uint64_t known_rights(int version)
{
	if (version >= VERSION_IOCTL_DEV)
		return (ACCESS_IOCTL_DEV << 1) - 1;
	if (version >= VERSION_TRUNCATE)
		return (ACCESS_TRUNCATE << 1) - 1;
	return version >= VERSION_REFER ? (1 << 14) - 1 : (1 << 13) - 1;
}

static int add_path(int ruleset, const struct worker_path *p, uint64_t known, struct err *e)
{
	_cleanup_(fd_close) int fd = open(p->path, O_PATH | O_CLOEXEC);
	const uint64_t of_files = ACCESS_READ_FILE | ACCESS_WRITE_FILE | ACCESS_TRUNCATE;
	struct path_attr rule = { 0 };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot open %s for the sandbox", p->path);
	rule.access = p->access == WORKER_WRITE
			      ? known & ~(uint64_t)(ACCESS_EXECUTE | ACCESS_IOCTL_DEV)
			      : ACCESS_READ_FILE | ACCESS_READ_DIR;
	if (!S_ISDIR(st.st_mode))
		rule.access &= of_files & known;
	rule.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
		return err_errno(e, errno, "cannot allow %s in the sandbox", p->path);
	return 0;
}

int sandbox_landlock_new(const struct worker_path *paths, size_t n, struct err *e)
{
	int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION), r;
	_cleanup_(fd_close) int ruleset = -1;
	struct ruleset_attr attr = { 0 };
	size_t size = sizeof(attr.fs);

	if (version <= 0)
		return err_set(e, EOPNOTSUPP, "the kernel has no Landlock");
	attr.fs = known_rights(version);
	if (version >= VERSION_SCOPE) {
		/* the worker's network is another matter: no_network takes all of it away */
		attr.scoped = 3;
		size = sizeof(attr);
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return err_errno(e, errno, "cannot make a Landlock ruleset");
	for (size_t i = 0; i < n; i++) {
		r = add_path(ruleset, &paths[i], attr.fs, e);
		if (r < 0)
			return r;
	}
	return take_fd(ruleset);
}

int sandbox_landlock_enter(int ruleset_fd, struct err *e)
{
	if (syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0)
		return err_errno(e, errno, "cannot enter the Landlock sandbox");
	return 0;
}
