/*
 * The fd-based mount API, by system call number: musl has no wrappers, and glibc's <sys/mount.h>
 * and <linux/mount.h> do not go together in every version.
 *
 * A failed fsconfig leaves its reason in the context's own log, which is read and put into the
 * error. Used by PID 1 for the machine's mounts and by the runtime for those of containers.
 */
#include "init/base/mount.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "init/base/str.h"
#include "init/base/util.h"

/* musl has struct statx but not this bit, and <linux/stat.h> defines the struct again */
#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000
#endif

/* <sys/mount.h> does not go together with <linux/mount.h> everywhere */
#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif
#ifndef MS_SLAVE
#define MS_SLAVE (1 << 19)
#endif

#ifndef MOVE_MOUNT_T_EMPTY_PATH
#define MOVE_MOUNT_T_EMPTY_PATH 0x00000040
#endif

enum { OPTIONS_MAX = 600, OPTION_SIZE = 16384 }; /* an overlay may have 500 layers */

/* Puts the context's last message ("e overlay: ...") behind the text; returns -code. */
static int explain(int fs, int code, const char *type, const char *what, struct err *e)
{
	char line[400], last[400] = "";
	ssize_t n;

	while ((n = read(fs, line, sizeof(line) - 1)) > 0) {
		line[n] = '\0';
		/* "e text", "w text", "i text": errors win over what came before */
		if (n > 2 && (line[0] == 'e' || !last[0]))
			(void)str_copy(last, sizeof(last), line + 2);
	}
	if (last[0])
		return err_errno(e, code, "cannot mount %s: %s: %s", type, what, str_trim(last));
	return err_errno(e, code, "cannot mount %s: %s", type, what);
}

static int configure(int fs, unsigned cmd, const char *key, const char *value)
{
	return syscall(SYS_fsconfig, fs, cmd, key, value, 0) < 0 ? -errno : 0;
}

/* One option: "key=value" or a flag. */
static int set_option(int fs, const char *type, const char *option, struct err *e)
{
	const char *eq = strchr(option, '=');
	_cleanup_(mem_free) char *key =
		eq ? strndup(option, (size_t)(eq - option)) : str_dup(option);
	int r;

	if (!key)
		return err_set(e, ENOMEM, "out of memory for a mount option");
	if (strlen(option) >= OPTION_SIZE)
		return err_set(e, E2BIG, "the mount option %.32s... is too long", option);
	if (eq)
		r = configure(fs, FSCONFIG_SET_STRING, key, eq + 1);
	else
		r = configure(fs, FSCONFIG_SET_FLAG, key, NULL);
	return r < 0 ? explain(fs, -r, type, option, e) : 0;
}

int mount_new(const char *type, const char *source, const char *const *options, uint64_t attrs,
	      struct err *e)
{
	_cleanup_(fd_close) int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	int fd, r = 0;

	if (fs < 0)
		return err_errno(e, errno, "the kernel does not offer the file system %s", type);
	if (source)
		r = configure(fs, FSCONFIG_SET_STRING, "source", source);
	if (r < 0)
		return explain(fs, -r, type, source, e);
	for (size_t i = 0; options && options[i]; i++) {
		if (i == OPTIONS_MAX)
			return err_set(e, E2BIG, "more than %d mount options", OPTIONS_MAX);
		r = set_option(fs, type, options[i], e);
		if (r < 0)
			return r;
	}
	r = configure(fs, FSCONFIG_CMD_CREATE, NULL, NULL);
	if (r < 0)
		return explain(fs, -r, type, source ? source : "no source", e);
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attrs);
	return fd < 0 ? explain(fs, errno, type, "its flags", e) : fd;
}

int mount_clone(int fd, bool recursive, struct err *e)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
			 (recursive ? AT_RECURSIVE : 0);
	int tree = (int)syscall(SYS_open_tree, fd, "", flags);

	return tree < 0 ? err_errno(e, errno, "cannot clone a mount") : tree;
}

int mount_attrs(int mount_fd, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive,
		struct err *e)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear, .propagation = propagation };
	unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);

	if (syscall(SYS_mount_setattr, mount_fd, "", flags, &attr, sizeof(attr)) < 0)
		return err_errno(e, errno, "cannot set the flags of a mount");
	return 0;
}

int mount_idmap(int mount_fd, int userns_fd, bool recursive, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP,
				   .userns_fd = (unsigned long long)userns_fd };
	unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);

	if (syscall(SYS_mount_setattr, mount_fd, "", flags, &attr, sizeof(attr)) < 0)
		return err_errno(e, errno, "cannot map the ids of a mount");
	return 0;
}

int mount_reconfigure(int fd, const char *const *options, struct err *e)
{
	_cleanup_(fd_close) int fs =
		(int)syscall(SYS_fspick, fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	int r;

	if (fs < 0)
		return err_errno(e, errno, "the file system cannot be changed");
	for (size_t i = 0; options && options[i]; i++) {
		r = set_option(fs, "the change", options[i], e);
		if (r < 0)
			return r;
	}
	r = configure(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL);
	return r < 0 ? explain(fs, -r, "the change", "its options", e) : 0;
}

int mount_attach(int mount_fd, int target_fd, struct err *e)
{
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;

	if (syscall(SYS_move_mount, mount_fd, "", target_fd, "", flags) < 0)
		return err_errno(e, errno, "cannot attach a mount");
	return 0;
}

int mount_at(const char *type, const char *source, const char *path, const char *const *options,
	     uint64_t attrs, struct err *e)
{
	_cleanup_(fd_close) int target = open(path, O_PATH | O_CLOEXEC), fd = -1;

	if (target < 0)
		return err_errno(e, errno, "cannot open the mount point %s", path);
	fd = mount_new(type, source, options, attrs, e);
	if (fd < 0)
		return err_wrap(e, "%s", path);
	if (mount_attach(fd, target, e) < 0)
		return err_wrap(e, "%s", path);
	return 0;
}

int mount_pivot(int root_fd, struct err *e)
{
	_cleanup_(fd_close) int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (old < 0 || fchdir(root_fd) < 0)
		return err_errno(e, errno, "cannot enter the new root");
	/* the old root comes to lie on top of the new one and is taken off at once
	 * (pivot_root(2), "pivot_root(".", ".")") */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_errno(e, errno, "pivot_root");
	/* where mounts are shared with the host, taking them off must stay here */
	if (mount_attrs(old, 0, 0, MS_SLAVE, true, e) < 0)
		return err_wrap(e, "parting the old root from the host's");
	if (syscall(SYS_umount2, ".", MNT_DETACH) < 0)
		return err_errno(e, errno, "leaving the old root");
	return chdir("/") < 0 ? err_errno(e, errno, "/") : 0;
}

int mount_detach(const char *path, int flags, struct err *e)
{
	if (syscall(SYS_umount2, path, flags) < 0)
		return err_errno(e, errno, "cannot unmount %s", path);
	return 0;
}

int mount_is_point(int dirfd, const char *path)
{
	struct statx st;

	if (statx(dirfd, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*path ? 0 : AT_EMPTY_PATH),
		  0, &st) < 0)
		return -errno;
	if (!(st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
		return -EOPNOTSUPP;
	return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}
