/*
 * Building the view (view.h).
 *
 * A stopped container that is only read is not disturbed at all: its upper directory is one more
 * layer below a scratch directory in memory, where missing mount points are made; so it can be
 * started meanwhile. One that is written to is mounted as the shim mounts it, and the engine keeps
 * it from starting as long as the worker runs.
 */
#include "engine/files/view.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "init/base/mount.h"
#include "init/base/path.h"
#include "init/base/str.h"

/* linux/fs.h and <sys/mount.h> have these; neither goes together with <linux/mount.h> everywhere */
enum { PROPAGATION_PRIVATE = 1 << 18, DETACH = 2 };
enum { STACKED_MAX = 16 }; /* mounts on top of each other at one place */

#define SCRATCH_SIZE "size=16m"

bool view_is_pseudo(int fd)
{
	static const unsigned long magics[] = {
		PROC_SUPER_MAGIC,
		SYSFS_MAGIC,
		CGROUP_SUPER_MAGIC,
		CGROUP2_SUPER_MAGIC,
		DEVPTS_SUPER_MAGIC,
		DEBUGFS_MAGIC,
		TRACEFS_MAGIC,
		SECURITYFS_MAGIC,
		BPF_FS_MAGIC,
		PSTOREFS_MAGIC,
		EFIVARFS_MAGIC,
		BINFMTFS_MAGIC,
		0x19800202 /* mqueue */,
		0x62656570 /* configfs */,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if ((unsigned long)fs.f_type == magics[i])
			return true;
	return false;
}

/* A mount namespace of our own: nothing that happens in it is seen outside, or the other way
 * round. */
static int own_namespace(struct err *e)
{
	_cleanup_(fd_close) int root = -1;

	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(e, errno, "cannot make a mount namespace");
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_errno(e, errno, "/");
	return mount_attrs(root, 0, 0, PROPAGATION_PRIVATE, true, e);
}

static uint64_t view_flags(const struct view_request *q)
{
	return q->write ? VIEW_HARMLESS : VIEW_HARMLESS_READ;
}

/* ---- a running container ---- */

/* Takes the kernel's file systems off; what the image has below comes to light, which is empty.
 * Where a container's mounts cannot be taken apart nothing can at least be written there. */
static int uncover(int root, const char *path, struct err *e)
{
	for (int i = 0; i < STACKED_MAX; i++) {
		_cleanup_(fd_close) int fd = path_open(root, path, O_PATH | O_NOFOLLOW, 0, NULL);

		if (fd < 0 || !view_is_pseudo(fd))
			return 0;
		if (mount_detach(path, DETACH, NULL) < 0)
			return mount_attrs(fd, MOUNT_ATTR_RDONLY, 0, 0, true, e);
	}
	return err_set(e, ELOOP, "%s is covered too often", path);
}

static int enter_running(const struct view_request *q, struct view *v, struct err *e)
{
	static const char *const kernel[] = { "/proc", "/sys", "/dev/pts", "/dev/mqueue" };
	_cleanup_(fd_close) int root = -1, tree = -1;
	int r = 0;

	if (setns(q->pidfd, CLONE_NEWNS | (q->user_ns ? CLONE_NEWUSER : 0)) < 0)
		return err_errno(e, errno, "cannot enter the container's mount namespace");
	if (q->user_ns && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return err_errno(e, errno, "cannot become root of the container");
	r = own_namespace(e);
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && root < 0)
		r = err_errno(e, errno, "/");
	if (r == 0 && q->bare) {
		tree = mount_clone(root, false, e);
		if (tree < 0)
			return tree;
		fd_close(root);
		root = take_fd(tree);
	}
	for (size_t i = 0; r == 0 && !q->bare && i < ARRAY_SIZE(kernel); i++)
		r = uncover(root, kernel[i], e);
	if (r == 0)
		r = mount_attrs(root, view_flags(q), 0, 0, true, e);
	if (r < 0)
		return r;
	v->root = take_fd(root);
	v->own_root = true;
	return 0;
}

/* ---- a stopped one ---- */

static int overlay(char *const *layers, const char *first, const char *upper, const char *work,
		   uint64_t attrs, struct err *e)
{
	_cleanup_(strv_free) char **options = NULL;
	int r = 0;

	if (strv_len(layers) > VIEW_LAYERS_MAX)
		return err_set(e, EINVAL, "more than %d layers", VIEW_LAYERS_MAX);
	if (first)
		r = strv_addf(&options, "lowerdir+=%s", first);
	for (; r == 0 && layers && *layers; layers++)
		r = strv_addf(&options, "lowerdir+=%s", *layers);
	if (r == 0 && upper)
		r = strv_addf(&options, "upperdir=%s", upper);
	if (r == 0 && upper)
		r = strv_addf(&options, "workdir=%s", work);
	if (r < 0)
		return err_set(e, ENOMEM, "out of memory");
	return mount_new("overlay", "overlay", (const char *const *)options, attrs, e);
}

int view_layers(char *const *layers, struct err *e)
{
	int fd, tree;

	if (strv_len(layers) != 1)
		return overlay(layers, NULL, NULL, NULL, VIEW_HARMLESS_READ, e);
	/* overlayfs takes two and more; a lowest layer is a plain tree */
	fd = open(layers[0], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", layers[0]);
	tree = mount_clone(fd, false, e);
	fd_close(fd);
	if (tree >= 0 && mount_attrs(tree, VIEW_HARMLESS_READ, 0, 0, false, e) < 0) {
		fd_close(tree);
		return -EIO;
	}
	return tree;
}

/* The root to read: the container's upper directory as a layer, and on top of it a directory in
 * memory, so that nothing of the container is written to. It lies over `work`, which is not
 * needed then. */
static int scratch_root(const struct view_request *q, struct err *e)
{
	static const char *const options[] = { SCRATCH_SIZE, "mode=700", NULL };
	_cleanup_(mem_free) char *upper = str_printf("%s/upper", q->work),
				 *work = str_printf("%s/work", q->work);
	int r;

	if (!upper || !work)
		return err_set(e, ENOMEM, "out of memory");
	r = mount_at("tmpfs", "tmpfs", q->work, options, VIEW_HARMLESS, e);
	if (r < 0)
		return r;
	if (mkdir(upper, 0755) < 0 || mkdir(work, 0700) < 0)
		return err_errno(e, errno, "cannot make the scratch directory");
	return overlay(q->layers, q->upper, upper, work, VIEW_HARMLESS, e);
}

/* A detached copy of a mount's source; -ENOENT when there is nothing. */
static int open_source(const struct view_mount *m, struct err *e)
{
	_cleanup_(fd_close) int base = open(m->source, O_PATH | O_CLOEXEC), at = -1;
	int tree;

	if (base < 0)
		return err_errno(e, errno, "%s", m->source);
	if (!str_empty(m->subpath)) {
		at = path_open(base, m->subpath, O_PATH, 0, e);
		if (at < 0)
			return at;
	}
	tree = mount_clone(at >= 0 ? at : base, m->recursive, e);
	if (tree < 0)
		return tree;
	if (mount_attrs(tree, m->read_only ? MOUNT_ATTR_RDONLY : 0, 0, PROPAGATION_PRIVATE,
			m->recursive, e) < 0) {
		fd_close(tree);
		return -EIO;
	}
	return tree;
}

static int attach_source(int root, const struct view_mount *m, int tree, struct err *e)
{
	_cleanup_(fd_close) int target = -1;
	struct stat st;

	if (fstat(tree, &st) < 0)
		return err_errno(e, errno, "%s", m->source);
	target = path_make_target(root, m->destination, !S_ISDIR(st.st_mode), e);
	if (target < 0)
		return target;
	return mount_attach(tree, target, e);
}

/* All sources are taken before the first is attached: one may contain the place where the view is
 * built. */
static int attach_mounts(const struct view_request *q, int root, const int *trees, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < q->n_mounts; i++) {
		if (trees[i] < 0)
			continue;
		r = attach_source(root, &q->mounts[i], trees[i], e);
		if (r < 0)
			err_wrap(e, "mount at %s", q->mounts[i].destination);
	}
	return r;
}

static int mount_stopped(const struct view_request *q, const int *trees, int *ret_root,
			 struct err *e)
{
	_cleanup_(fd_close) int root =
		q->write ? overlay(q->layers, NULL, q->upper, q->work, 0, e) : scratch_root(q, e);
	_cleanup_(fd_close) int at = -1;
	int r;

	if (root < 0)
		return root;
	at = open(q->work, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return err_errno(e, errno, "%s", q->work);
	r = mount_attach(root, at, e);
	if (r == 0)
		r = attach_mounts(q, root, trees, e);
	if (r == 0 && q->root_read_only)
		r = mount_attrs(root, MOUNT_ATTR_RDONLY, 0, 0, false, e);
	if (r == 0)
		r = mount_attrs(root, view_flags(q), 0, 0, true, e);
	if (r == 0)
		r = mount_pivot(root, e);
	if (r == 0)
		*ret_root = take_fd(root);
	return r;
}

static int enter_stopped(const struct view_request *q, struct view *v, struct err *e)
{
	_cleanup_(mem_free) int *trees = calloc(q->n_mounts + 1, sizeof(*trees));
	int r = own_namespace(e);

	if (!trees)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < q->n_mounts; i++)
		trees[i] = -1;
	for (size_t i = 0; r == 0 && i < q->n_mounts; i++) {
		trees[i] = open_source(&q->mounts[i], e);
		if (trees[i] < 0 && trees[i] != -ENOENT)
			r = trees[i];
	}
	if (r == 0)
		r = mount_stopped(q, trees, &v->root, e);
	for (size_t i = 0; i < q->n_mounts; i++)
		fd_close(trees[i]);
	v->own_root = true;
	return r;
}

/* The root file system alone: nothing is attached anywhere. */
static int open_bare(const struct view_request *q, struct view *v, struct err *e)
{
	v->root = overlay(q->layers, q->upper, NULL, NULL, VIEW_HARMLESS_READ, e);
	return MIN(v->root, 0);
}

int view_enter(const struct view_request *q, struct view *ret, struct err *e)
{
	struct view v = { .root = -1 };
	struct stat root, dev;
	int r;

	if (q->pidfd >= 0)
		r = enter_running(q, &v, e);
	else if (q->bare)
		r = open_bare(q, &v, e);
	else
		r = enter_stopped(q, &v, e);
	if (r < 0)
		return r;
	if (fstat(v.root, &root) == 0 && fstatat(v.root, "dev", &dev, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(dev.st_mode) && dev.st_dev != root.st_dev)
		v.dev = dev.st_dev;
	*ret = v;
	return 0;
}
