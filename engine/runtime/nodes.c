/*
 * Devices, links in /dev, the terminal, hidden and read-only paths, and sysctls of a container
 * (rootfs.h).
 *
 * A node that is there already must be the one wanted; nothing is replaced by path. Masks come from
 * the host's checked /dev/null and from one empty read-only tmpfs. Sysctls are written through a
 * procfs that is attached nowhere, so that no mount of the container can redirect the write.
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/runtime/rootfs.h"
#include "init/base/file.h"
#include "init/base/mount.h"
#include "init/base/path.h"
#include "init/base/str.h"

/* The directory of `path` below root, made when missing, and the last name. */
static int open_dir_of(struct rootfs *fs, const char *path, char name[NAME_MAX + 1], struct err *e)
{
	char dir[PATH_MAX], last[PATH_MAX];

	if (path_clean(dir, sizeof(dir), path) < 0 || str_copy(last, sizeof(last), dir) < 0)
		return err_set(e, ENAMETOOLONG, "%.64s: too long", path);
	if (str_copy(name, NAME_MAX + 1, basename(last)) < 0 || str_eq(name, "/"))
		return err_set(e, EINVAL, "%s: not the path of a file", path);
	return path_make_dirs(fs->root, dirname(dir), 0755, e);
}

/* --- devices --- */

static mode_t type_bits(const struct plan_device *d)
{
	return d->type == 'b' ? S_IFBLK : d->type == 'p' ? S_IFIFO : S_IFCHR;
}

static bool is_device(int fd, const struct plan_device *d)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type_bits(d) &&
	       (d->type == 'p' || st.st_rdev == makedev(d->major, d->minor));
}

/* Where nodes cannot be made: the host's own node, opened and checked, bound onto an empty file. */
static int bind_device(struct rootfs *fs, const struct plan_device *d, struct err *e)
{
	_cleanup_(fd_close) int host = open(d->path, O_PATH | O_CLOEXEC | O_NOFOLLOW), target = -1,
				tree = -1;

	if (host < 0)
		return err_errno(e, errno, "%s of the host", d->path);
	if (!is_device(host, d))
		return err_set(e, EINVAL, "%s of the host is not the device %c %u:%u", d->path,
			       d->type, d->major, d->minor);
	tree = mount_clone(host, false, e);
	if (tree < 0)
		return tree;
	target = path_make_target(fs->root, d->path, 1, e);
	return target < 0 ? target : mount_attach(tree, target, e);
}

int node_device(struct rootfs *fs, const struct plan_op *op, struct err *e)
{
	const struct plan_device *d = &op->device;
	_cleanup_(fd_close) int dir = -1, node = -1;
	char name[NAME_MAX + 1];
	bool made;

	if (fs->user_ns)
		return bind_device(fs, d, e);
	dir = open_dir_of(fs, d->path, name, e);
	if (dir < 0)
		return dir;
	made = mknodat(dir, name, type_bits(d) | d->mode,
		       d->type == 'p' ? 0 : makedev(d->major, d->minor)) == 0;
	if (!made && errno != EEXIST)
		return errno == EPERM ? bind_device(fs, d, e)
				      : err_errno(e, errno, "mknod %s", d->path);
	node = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (node < 0)
		return err_errno(e, errno, "%s", d->path);
	if (!is_device(node, d))
		return err_set(e, EEXIST, "%s is there and is not the device %c %u:%u", d->path,
			       d->type, d->major, d->minor);
	if (made && (d->uid || d->gid) && fchownat(node, "", d->uid, d->gid, AT_EMPTY_PATH) < 0)
		return err_errno(e, errno, "chown %s", d->path);
	return 0;
}

int node_links(struct rootfs *fs, const struct plan_op *op, struct err *e)
{
	static const char *const links[][2] = {
		{ "/proc/self/fd", "fd" },	 { "/proc/self/fd/0", "stdin" },
		{ "/proc/self/fd/1", "stdout" }, { "/proc/self/fd/2", "stderr" },
		{ "/proc/kcore", "core" },	 { "pts/ptmx", "ptmx" },
	};
	_cleanup_(fd_close) int dir = path_make_dirs(fs->root, "/dev", 0755, e);

	(void)op;
	if (dir < 0)
		return dir;
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		/* an image's own node 5:2 would be the host's multiplexer */
		if (str_eq(links[i][1], "ptmx"))
			(void)unlinkat(dir, "ptmx", 0);
		if (symlinkat(links[i][0], dir, links[i][1]) < 0 && errno != EEXIST &&
		    errno != EROFS)
			return err_errno(e, errno, "/dev/%s", links[i][1]);
	}
	return 0;
}

int node_console(struct rootfs *fs, const struct plan_op *op, struct err *e)
{
	_cleanup_(fd_close) int target = -1, tree = -1;
	int r = launch_terminal(fs->launch, fs->root, e);

	(void)op;
	if (r < 0)
		return r;
	tree = mount_clone(fs->launch->tty, false, e);
	if (tree < 0)
		return err_wrap(e, "/dev/console");
	target = path_make_target(fs->root, "/dev/console", 1, e);
	return target < 0 ? target : mount_attach(tree, target, e);
}

/* --- hidden and read-only paths --- */

static bool is_absent(int r)
{
	return r == -ENOENT || r == -ENOTDIR;
}

/* One empty read-only tmpfs serves all masked directories: the first use attaches it, later ones
 * clone it from there. */
static int mask_directory(struct rootfs *fs, int target, struct err *e)
{
	static const char *const options[] = { "nr_blocks=1", "nr_inodes=1", NULL };
	_cleanup_(fd_close) int tree = -1;

	if (fs->mask_fd >= 0) {
		tree = mount_clone(fs->mask_fd, false, e);
		return tree < 0 ? tree : mount_attach(tree, target, e);
	}
	fs->mask_fd = mount_new(
		"tmpfs", "tmpfs", options,
		MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
	return fs->mask_fd < 0 ? fs->mask_fd : mount_attach(fs->mask_fd, target, e);
}

int node_masked(struct rootfs *fs, const struct plan_op *op, struct err *e)
{
	_cleanup_(fd_close) int target = path_open(fs->root, op->path, O_PATH, 0, e), tree = -1;
	struct stat st;

	if (target < 0)
		return is_absent(target) ? 0 : target;
	if (fstat(target, &st) < 0)
		return err_errno(e, errno, "%s", op->path);
	if (S_ISDIR(st.st_mode))
		return mask_directory(fs, target, e);
	tree = mount_clone(fs->null_fd, false, e);
	return tree < 0 ? tree : mount_attach(tree, target, e);
}

int node_readonly(struct rootfs *fs, const struct plan_op *op, struct err *e)
{
	_cleanup_(fd_close) int target = path_open(fs->root, op->path, O_PATH, 0, e), tree = -1;

	if (target < 0)
		return is_absent(target) ? 0 : target;
	tree = mount_clone(target, true, e);
	if (tree < 0 || mount_attrs(tree, MOUNT_ATTR_RDONLY, 0, 0, true, e) < 0)
		return -EIO;
	return mount_attach(tree, target, e);
}

int node_sysctl(struct rootfs *fs, const struct plan_op *op, struct err *e)
{
	_cleanup_(fd_close) int fd = -1;
	char path[PATH_MAX];

	if (fs->procfs < 0)
		fs->procfs = mount_new("proc", "proc", NULL, 0, e);
	if (fs->procfs < 0)
		return fs->procfs;
	if (str_format(path, sizeof(path), "sys/%s", op->path) < 0)
		return err_set(e, ENAMETOOLONG, "name is too long");
	fd = path_open_strict(fs->procfs, path, O_WRONLY, 0, e);
	return fd < 0 ? fd : file_write_all(fd, op->value, strlen(op->value), e);
}
