/*
 * Mounts of a container, and the change of root (rootfs.h).
 *
 * Sources of binds are the host's and resolved by the host's rules; targets are the container's and
 * resolved below its root. /proc and /sys must be ordinary directories of the root file system
 * itself: a link or a mount there would move what the runtime relies on. Called by init.c.
 */
#include "engine/runtime/rootfs.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "engine/runtime/origin.h"
#include "init/base/cgroup.h"
#include "init/base/copy.h"
#include "init/base/mount.h"
#include "init/base/path.h"
#include "init/base/str.h"

/* <sys/mount.h> does not go together with <linux/mount.h> everywhere */
#ifndef MS_REC
#define MS_REC 16384
#endif
#ifndef MS_PRIVATE
#define MS_PRIVATE (1 << 18)
#endif

/* --- the root itself --- */

/* The mount that `at` is on must not be shared when something is attached there (it would show on
 * the host) nor when pivot_root comes. Its root is found by going up. */
static int make_private(int at, struct err *e)
{
	_cleanup_(fd_close) int fd = fcntl(at, F_DUPFD_CLOEXEC, 0);

	for (int depth = 0; fd >= 0 && depth < PATH_MAX / 2; depth++) {
		int up, is_root = mount_is_point(fd, "");

		if (is_root < 0)
			return err_errno(e, -is_root, "root.path");
		if (is_root)
			return mount_attrs(fd, 0, 0, MS_PRIVATE, false, e);
		up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		fd_close(fd);
		fd = up;
	}
	return err_errno(e, fd < 0 ? errno : ELOOP, "root.path");
}

int rootfs_take(const char *path, struct err *e)
{
	_cleanup_(fd_close) int at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int tree;

	if (at < 0)
		return err_errno(e, errno, "root.path: %s", path);
	tree = mount_clone(at, true, e);
	return tree < 0 ? err_wrap(e, "root.path") : tree;
}

int rootfs_open(struct rootfs *fs, const char *path, int taken, struct err *e)
{
	_cleanup_(fd_close) int null_fd = open("/dev/null", O_PATH | O_CLOEXEC), at = -1,
				tree = taken >= 0 ? taken : rootfs_take(path, e);
	struct stat st;

	if (tree < 0)
		return tree;
	if (null_fd < 0 || fstat(null_fd, &st) < 0)
		return err_errno(e, errno, "/dev/null");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != 0x103)
		return err_set(e, EINVAL, "/dev/null of the host is not the device 1:3");
	/* onto the root itself, which its users can always reach: nothing but pivot_root sees it */
	at = open(taken >= 0 ? "/" : path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return err_errno(e, errno, "root.path: %s", path);
	if (make_private(at, e) < 0 || mount_attrs(tree, 0, 0, MS_PRIVATE, true, e) < 0 ||
	    mount_attach(tree, at, e) < 0)
		return err_wrap(e, "root.path");
	fs->null_fd = take_fd(null_fd);
	fs->root = take_fd(tree);
	return 0;
}

static int set_root_propagation(uint64_t flags, struct err *e)
{
	_cleanup_(fd_close) int root = open("/", O_PATH | O_CLOEXEC);

	if (!flags)
		return 0;
	if (root < 0)
		return err_errno(e, errno, "/");
	if (mount_attrs(root, 0, 0, flags & ~(uint64_t)MS_REC, flags & MS_REC, e) < 0)
		return err_wrap(e, "linux.rootfsPropagation");
	return 0;
}

int rootfs_enter(struct rootfs *fs, struct err *e)
{
	int r = mount_pivot(fs->root, e);

	return r < 0 ? r : set_root_propagation(fs->plan->root_propagation, e);
}

/* --- targets --- */

/* /proc, /sys: a directory of the root file system, no link on the way and no mount. */
static int ordinary_target(struct rootfs *fs, const char *destination, struct err *e)
{
	_cleanup_(fd_close) int made = path_make_dirs(fs->root, destination, 0755, NULL);
	int fd =
		path_open_strict(fs->root, destination, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, NULL);

	if (fd < 0)
		return err_set(e, ENOTDIR, "%s in the image is not an ordinary directory",
			       destination);
	return fd;
}

/* What may be put over single files of procfs (runc's list: virtualised views of the machine). */
static bool allowed_in_proc(const char *clean)
{
	static const char *const allowed[] = {
		"/proc/cpuinfo",
		"/proc/diskstats",
		"/proc/meminfo",
		"/proc/stat",
		"/proc/swaps",
		"/proc/uptime",
		"/proc/loadavg",
		"/proc/slabinfo",
		"/proc/net/dev",
		"/proc/sys/kernel/ns_last_pid",
		"/proc/sys/crypto/fips_enabled",
	};

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (str_eq(clean, allowed[i]))
			return true;
	return false;
}

static bool is_type(int fd, long magic)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (long)fs.f_type == magic;
}

/* Resolves (and makes) a target and refuses what would undermine /proc. */
static int checked_target(struct rootfs *fs, const struct plan_mount *m, bool file, struct err *e)
{
	char clean[PATH_MAX];
	int fd;

	if (path_clean(clean, sizeof(clean), m->destination) < 0)
		return err_set(e, ENAMETOOLONG, "destination is too long");
	if (str_eq(clean, "/proc") && m->kind != PLAN_MOUNT_BIND)
		return err_set(e, EPERM, "a %s cannot be mounted at /proc: it is not a procfs",
			       m->type);
	fd = path_make_target(fs->root, m->destination, file, e);
	if (fd < 0)
		return fd;
	if (is_type(fd, PROC_SUPER_MAGIC) && !allowed_in_proc(clean)) {
		close(fd);
		return err_set(e, EPERM, "\"%s\" cannot be mounted because it is inside /proc",
			       m->destination);
	}
	return fd;
}

/* --- kinds of mounts --- */

static int finish(int mount, int target, const struct plan_mount *m, bool set_flags, struct err *e)
{
	int r = 0;

	if (set_flags && (m->set || m->clear))
		r = mount_attrs(mount, m->set, m->clear, 0, false, e);
	if (r == 0 && (m->rec_set || m->rec_clear))
		r = mount_attrs(mount, m->rec_set, m->rec_clear, 0, true, e);
	if (r == 0)
		r = mount_attach(mount, target, e);
	if (r == 0 && m->propagation)
		r = mount_attrs(mount, 0, 0, m->propagation, m->propagation_rec, e);
	return r;
}

static int clone_source(const struct plan_mount *m, struct err *e)
{
	_cleanup_(fd_close) int source = origin_open(m, e);
	int tree;

	if (source < 0)
		return source;
	tree = mount_clone(source, m->recursive, e);
	return tree < 0 ? err_wrap(e, "bind source path %s", m->source) : tree;
}

static int mount_bind(struct rootfs *fs, const struct plan_mount *m, struct err *e)
{
	_cleanup_(fd_close) int tree = m->taken ? m->taken : clone_source(m, e), target = -1;
	char clean[PATH_MAX];
	struct stat st;

	if (tree < 0)
		return tree;
	if (fstat(tree, &st) < 0)
		return err_errno(e, errno, "bind source path %s", m->source);
	if (path_clean(clean, sizeof(clean), m->destination) == 0 && str_eq(clean, "/proc") &&
	    !is_type(tree, PROC_SUPER_MAGIC))
		return err_set(e, EPERM, "\"%s\" cannot be mounted at /proc: it is not a procfs",
			       m->source);
	target = checked_target(fs, m, !S_ISDIR(st.st_mode), e);
	if (target < 0)
		return target;
	return finish(tree, target, m, true, e);
}

static int attach_new(struct rootfs *fs, const struct plan_mount *m, int mount, bool ordinary,
		      struct err *e)
{
	_cleanup_(fd_close) int target =
		ordinary ? ordinary_target(fs, m->destination, e) : checked_target(fs, m, false, e);

	return target < 0 ? target : finish(mount, target, m, false, e);
}

static bool has_option(const struct plan_mount *m, const char *prefix)
{
	for (char **d = m->data; d && *d; d++)
		if (str_starts(*d, prefix))
			return true;
	return false;
}

/* What the new file system will hide, put into it; its own mode stays where one was asked for. */
static int copy_up(struct rootfs *fs, const struct plan_mount *m, int mount, struct err *e)
{
	_cleanup_(fd_close) int from = path_open(fs->root, m->destination, O_RDONLY | O_DIRECTORY,
						 0, NULL),
				to = -1;
	struct copy_totals totals = { 0 };
	struct stat st;

	if (from < 0)
		return from == -ENOENT ? 0 : err_errno(e, -from, "tmpcopyup");
	to = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0 || fstat(to, &st) < 0)
		return err_errno(e, errno, "tmpcopyup");
	if (copy_tree(from, to, &totals, e) < 0)
		return err_wrap(e, "tmpcopyup");
	if (has_option(m, "mode=") && fchmod(to, st.st_mode & 07777) < 0)
		return err_errno(e, errno, "tmpcopyup");
	return 0;
}

static int mount_fs(struct rootfs *fs, const struct plan_mount *m, const char *type, bool ordinary,
		    long magic, struct err *e)
{
	uint64_t attrs = m->copy_up ? m->set & ~(uint64_t)MOUNT_ATTR_RDONLY : m->set;
	_cleanup_(fd_close) int fd = mount_new(type, str_empty(m->source) ? type : m->source,
					       (const char *const *)m->data, attrs, e);

	if (fd < 0)
		return fd;
	if (m->copy_up &&
	    (copy_up(fs, m, fd, e) < 0 ||
	     (attrs != m->set && mount_attrs(fd, MOUNT_ATTR_RDONLY, 0, 0, false, e) < 0)))
		return -EIO;
	if (magic && !is_type(fd, magic))
		return err_set(e, EINVAL, "the new %s is of another type", type);
	return attach_new(fs, m, fd, ordinary, e);
}

/* A user namespace without the network namespace may not make a sysfs: the host's is bound
 * instead. */
static int mount_sysfs(struct rootfs *fs, const struct plan_mount *m, struct err *e)
{
	_cleanup_(fd_close) int at = -1, tree = -1;
	int r = mount_fs(fs, m, "sysfs", true, SYSFS_MAGIC, e);

	if (r != -EPERM || !fs->user_ns)
		return r;
	at = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0 || !is_type(at, SYSFS_MAGIC))
		return r;
	tree = mount_clone(at, true, e);
	if (tree < 0 || mount_attrs(tree, m->set, 0, 0, true, e) < 0)
		return -EPERM;
	return attach_new(fs, m, tree, true, e);
}

/* A fresh mount shows the cgroup namespace's part; without one it would change the host's mount
 * options, so the host's is cloned. */
static int mount_cgroup(struct rootfs *fs, const struct plan_mount *m, struct err *e)
{
	_cleanup_(fd_close) int at = -1, tree = -1;

	if (fs->plan->ns[NS_CGROUP].wanted) {
		tree = mount_new("cgroup2", "cgroup", NULL, m->set, e);
	} else {
		at = open(CGROUP_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (at < 0)
			return err_errno(e, errno, "%s", CGROUP_ROOT);
		tree = mount_clone(at, true, e);
		if (tree >= 0 && mount_attrs(tree, m->set, m->clear, 0, true, e) < 0)
			return -EIO;
	}
	if (tree < 0)
		return tree;
	if (!is_type(tree, CGROUP2_SUPER_MAGIC))
		return err_set(e, EINVAL, "the host's %s is not cgroup v2", CGROUP_ROOT);
	return attach_new(fs, m, tree, false, e);
}

static int remount(struct rootfs *fs, const struct plan_mount *m, struct err *e)
{
	_cleanup_(fd_close) int fd = path_open(fs->root, m->destination, O_PATH, 0, e);

	if (fd < 0)
		return fd;
	if (m->data && mount_reconfigure(fd, (const char *const *)m->data, e) < 0)
		return -EIO;
	return mount_attrs(fd, m->set | m->rec_set, m->clear | m->rec_clear, 0,
			   m->rec_set || m->rec_clear, e);
}

static int apply_mount(struct rootfs *fs, const struct plan_op *op, struct err *e)
{
	const struct plan_mount *m = &op->mount;

	switch (m->kind) {
	case PLAN_MOUNT_PROC:
		return mount_fs(fs, m, "proc", true, PROC_SUPER_MAGIC, e);
	case PLAN_MOUNT_SYSFS:
		return mount_sysfs(fs, m, e);
	case PLAN_MOUNT_CGROUP:
		return mount_cgroup(fs, m, e);
	case PLAN_MOUNT_BIND:
		return mount_bind(fs, m, e);
	case PLAN_MOUNT_REMOUNT:
		return remount(fs, m, e);
	case PLAN_MOUNT_FS:
		return mount_fs(fs, m, m->type, false, 0, e);
	}
	return -EINVAL;
}

/* --- steps --- */

static int make_cwd(struct rootfs *fs, const struct plan_op *op, struct err *e)
{
	_cleanup_(fd_close) int fd = path_make_dirs(fs->root, op->path, 0755, NULL);

	(void)e; /* what could not be made is reported when the process goes there */
	return 0;
}

static int set_hostname(struct rootfs *fs, const struct plan_op *op, struct err *e)
{
	(void)fs;
	return sethostname(op->path, strlen(op->path)) < 0 ? err_errno(e, errno, "\"%s\"", op->path)
							   : 0;
}

static int set_domainname(struct rootfs *fs, const struct plan_op *op, struct err *e)
{
	(void)fs;
	return setdomainname(op->path, strlen(op->path)) < 0
		       ? err_errno(e, errno, "\"%s\"", op->path)
		       : 0;
}

static int root_readonly(struct rootfs *fs, const struct plan_op *op, struct err *e)
{
	(void)op;
	return mount_attrs(fs->root, MOUNT_ATTR_RDONLY, 0, 0, false, e);
}

static int (*const steps[OP_KINDS])(struct rootfs *fs, const struct plan_op *op, struct err *e) = {
	[OP_MOUNT] = apply_mount,
	[OP_DEVICE] = node_device,
	[OP_DEV_LINKS] = node_links,
	[OP_CONSOLE] = node_console,
	[OP_CWD] = make_cwd,
	[OP_HOSTNAME] = set_hostname,
	[OP_DOMAINNAME] = set_domainname,
	[OP_SYSCTL] = node_sysctl,
	[OP_READONLY_PATH] = node_readonly,
	[OP_MASKED_PATH] = node_masked,
	[OP_ROOT_READONLY] = root_readonly,
};

int rootfs_apply(struct rootfs *fs, const struct plan_op *op, struct err *e)
{
	int r = steps[op->kind](fs, op, e);

	if (r < 0 && op->kind == OP_MOUNT)
		err_wrap(e, "%s: mounting \"%s\" to rootfs at \"%s\"", op->key,
			 op->mount.source ? op->mount.source : "", op->mount.destination);
	else if (r < 0)
		err_wrap(e, "%s", op->key);
	return r;
}
