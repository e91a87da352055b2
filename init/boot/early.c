/*
 * Early mounts and the cgroup tree, as tables.
 *
 * The root is read-only and holds the empty mount points; /run is the first place that can be
 * written. Mount by the fd-based API of base, with the flags that the purpose allows.
 */
#include "init/boot/early.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init/base/cgroup.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/mount.h"
#include "init/base/util.h"

#define NO_EXEC (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

struct early_mount {
	const char *type, *path;
	const char *options[4];
	unsigned long attrs;
	bool optional; /* a machine without it is complete */
	mode_t make; /* 0: the root has the folder */
};

static const struct early_mount mounts[] = {
	{ "proc", "/proc", { NULL }, NO_EXEC, false, 0 },
	{ "sysfs", "/sys", { NULL }, NO_EXEC, false, 0 },
	/* devices are the purpose; nobody runs a program from here */
	{ "devtmpfs",
	  "/dev",
	  { "mode=0755", "size=4m" },
	  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	  false,
	  0 },
	{ "devpts",
	  "/dev/pts",
	  { "mode=0620", "gid=5", "ptmxmode=0666" },
	  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	  false,
	  0755 },
	{ "tmpfs", "/dev/shm", { "mode=1777", "size=25%" }, NO_EXEC, false, 01777 },
	{ "mqueue", "/dev/mqueue", { NULL }, NO_EXEC, true, 0755 },
	/* sockets and small files; bundles of containers are a few kilobytes each */
	{ "tmpfs",
	  "/run",
	  { "mode=0755", "size=20%", "nr_inodes=100k" },
	  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	  false,
	  0 },
	{ "tmpfs",
	  "/tmp",
	  { "mode=1777", "size=20%", "nr_inodes=50k" },
	  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	  false,
	  0 },
	{ "cgroup2",
	  "/sys/fs/cgroup",
	  { "nsdelegate", "memory_recursiveprot" },
	  NO_EXEC,
	  false,
	  0 },
	{ "pstore", "/sys/fs/pstore", { NULL }, NO_EXEC, true, 0 },
	/* firmware variables can brick a machine: read-only */
	{ "efivarfs", "/sys/firmware/efi/efivars", { NULL }, NO_EXEC | MOUNT_ATTR_RDONLY, true, 0 },
};

static int mount_one(const struct early_mount *m, struct err *e)
{
	struct stat st;

	if (m->make)
		(void)mkdir(m->path, m->make);
	if (stat(m->path, &st) < 0)
		return m->optional ? 0
				   : err_errno(e, errno, "there is no %s to mount %s on", m->path,
					       m->type);
	if (mount_is_point(AT_FDCWD, m->path) == 1)
		return 0; /* the kernel may have mounted /dev itself */
	if (mount_at(m->type, m->type, m->path, m->options, m->attrs, e) == 0)
		return 0;
	return m->optional ? 0 : -e->code;
}

/* All mounts, those to come too, are shared, so that what the machine mounts comes into containers
 * that ask for it (-v /mnt:/mnt:rslave, rshared). /run is not: what the engine mounts there is no
 * container's business, and each of them would get a copy of it. */
static int share_mounts(struct err *e)
{
	_cleanup_(fd_close) int root = open("/", O_PATH | O_CLOEXEC),
				run = open("/run", O_PATH | O_CLOEXEC);

	if (root < 0 || mount_attrs(root, 0, 0, MS_SHARED, true, e) < 0)
		return err_set(e, EIO, "cannot share the mounts of /");
	if (run < 0 || mount_attrs(run, 0, 0, MS_PRIVATE, true, e) < 0)
		return err_set(e, EIO, "cannot keep the mounts of /run private");
	return 0;
}

int early_mounts(struct err *e)
{
	static const struct {
		const char *path;
		mode_t mode;
	} folders[] = {
		{ "/run/skerry", 0755 },
		{ "/run/lock", 01777 },
	};
	int r = 0;

	umask(022);
	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		if (mount_one(&mounts[i], e) < 0)
			r = -e->code;
	}
	if (share_mounts(e) < 0)
		r = -e->code;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		if (mkdir(folders[i].path, folders[i].mode) < 0 && errno != EEXIST)
			r = err_errno(e, errno, "cannot make %s", folders[i].path);
		else
			(void)chmod(folders[i].path, folders[i].mode);
	}
	/* control groups, mounts and links wait for the kernel's grace periods: make those short */
	(void)file_put(AT_FDCWD, "/sys/kernel/rcu_expedited", "1", NULL);
	/* programs find their descriptors by these names */
	(void)!symlink("/proc/self/fd", "/dev/fd");
	(void)!symlink("/proc/self/fd/0", "/dev/stdin");
	(void)!symlink("/proc/self/fd/1", "/dev/stdout");
	(void)!symlink("/proc/self/fd/2", "/dev/stderr");
	return r;
}

int early_cgroups(struct err *e)
{
	/* the container engine's own memory is protected from what containers use */
	static const struct {
		const char *path, *knob, *value;
	} groups[] = {
		{ "init", "memory.min", "4M" },
		{ "engine", "memory.min", "16M" },
		{ "shims", "memory.low", "64M" },
		{ "containers", NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		_cleanup_(fd_close) int fd = cgroup_make(groups[i].path, e);

		if (fd < 0)
			return -e->code;
		if (groups[i].knob && cgroup_write(fd, groups[i].knob, groups[i].value, NULL) < 0)
			log_warn("the cgroup %s has no memory protection", groups[i].path);
		if (i == 0 && cgroup_attach(fd, getpid(), e) < 0)
			return -e->code;
	}
	return 0;
}

int early_kmsg(struct err *e)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, errno, "cannot open /dev/kmsg");
	if (fd != STDERR_FILENO) {
		int r = dup3(fd, STDERR_FILENO, 0);

		close(fd);
		if (r < 0)
			return err_errno(e, errno, "cannot make /dev/kmsg the standard error");
	}
	return 0;
}
