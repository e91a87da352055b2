/*
 * `skerryd worker volume`: the jobs that take long or read what is hostile, in a process of their
 * own.
 *
 * "copy": {folder, path, layers} mounts the image's layers read-only, detached from every tree (no
 * path leads there, nobody else sees it), resolves `path` inside, puts itself into the sandbox and
 * copies. "remove": {path} empties a directory. The request comes from the engine and is trusted;
 * layers and volumes are not.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init/base/copy.h"
#include "engine/volume/inside.h"
#include "engine/volume/options.h"
#include "engine/worker/sandbox.h"
#include "engine/worker/worker.h"
#include "init/base/file.h"
#include "init/base/mount.h"
#include "init/base/path.h"
#include "init/base/str.h"

#define CAP(c) (UINT64_C(1) << CAP_##c)

enum {
	LAYERS_MAX = 500, /* overlayfs' own limit */
	MOUNT_PRIVATE = 1 << 18, /* MS_PRIVATE */
};

/* --- copy
 * ----------------------------------------------------------------------------------------- */

/* Marks the volume as incomplete, durably. */
static int mark(int folder, struct err *e)
{
	int fd = openat(folder, VOLUME_COPYING, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(e, errno, "cannot mark the volume");
	close(fd);
	return dir_sync(folder, ".", e);
}

static int unmark(int folder, struct err *e)
{
	if (unlinkat(folder, VOLUME_COPYING, 0) < 0)
		return err_errno(e, errno, "cannot remove the mark");
	return dir_sync(folder, ".", e);
}

static int copy_marked(int folder, const char *data, int src, struct err *e)
{
	_cleanup_(fd_close) int dst =
		openat(folder, data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc;

	if (dst < 0)
		return err_errno(e, errno, "cannot open the volume");
	rc = mark(folder, e);
	if (rc == 0)
		rc = copy_tree(src, dst, NULL, e);
	if (rc == 0 && syncfs(dst) < 0)
		rc = err_errno(e, errno, "cannot write the volume out");
	return rc < 0 ? rc : unmark(folder, e);
}

/* The directory at `path` in the image, or -ENOENT when there is none (also when it is no
 * directory). */
static int find_source(int image_root, const char *path)
{
	int fd = path_open(image_root, path, O_RDONLY | O_DIRECTORY, 0, NULL);

	return fd == -ENOTDIR ? -ENOENT : fd;
}

int volume_do_copy(const char *folder, const char *data, int image_root, const char *path,
		   struct err *e)
{
	_cleanup_(fd_close) int src = find_source(image_root, path), dir = -1;

	if (src == -ENOENT)
		return 0;
	if (src < 0)
		return err_errno(e, -src, "cannot open %.200s in the image", path);
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_errno(e, errno, "cannot open %s", folder);
	return copy_marked(dir, data, src, e);
}

/* A descriptor of the image's whole tree. `layers`: lowest first, each an absolute path. */
static int open_image(char *const *layers, struct err *e)
{
	_cleanup_(strv_free) char **options = NULL;
	size_t n = strv_len(layers);
	int rc = 0;

	if (n == 0 || n > LAYERS_MAX)
		return err_set(e, EINVAL, "%zu layers, should be 1 to %d", n, LAYERS_MAX);
	if (n == 1) { /* overlayfs takes two and more; a lowest layer is a plain tree */
		int fd = open(layers[0], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		return fd < 0 ? err_errno(e, errno, "cannot open %s", layers[0]) : fd;
	}
	for (size_t i = n; i-- > 0 && rc == 0;)
		rc = strv_addf(&options, "lowerdir+=%s", layers[i]);
	if (rc < 0)
		return err_set(e, ENOMEM, "out of memory");
	return mount_new("overlay", "overlay", (const char *const *)options,
			 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
}

static int run_copy(yyjson_val *request, struct err *e)
{
	static const struct worker_sandbox bounds = {
		.no_network = true,
		.keep_caps =
			CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(FOWNER) | CAP(FSETID) | CAP(SETFCAP),
		.calls = WORKER_CALLS_BASE | WORKER_CALLS_FILES | WORKER_CALLS_OWNERS,
		.max_files = 4 * COPY_DEPTH_MAX,
	};
	_cleanup_(strv_free) char **layers = NULL;
	_cleanup_(fd_close) int root = -1;
	const char *folder, *path, *data = VOLUME_DATA;
	int rc;

	rc = json_need_text(request, "folder", &folder, e);
	rc = rc < 0 ? rc : json_get_text(request, "data", &data, e);
	rc = rc < 0 ? rc : json_need_text(request, "path", &path, e);
	rc = rc < 0 ? rc : json_get_strv(request, "layers", &layers, e);
	if (rc < 0)
		return rc;
	root = open_image(layers, e);
	if (root < 0)
		return root;
	rc = worker_sandbox_apply(&bounds, e);
	return rc < 0 ? rc : volume_do_copy(folder, data, root, path, e);
}

/* --- remove
 * --------------------------------------------------------------------------------------- */

static int remove_entry(int dirfd, const char *name, void *data, struct err *e)
{
	(void)data;
	return tree_remove(dirfd, name, e);
}

static int run_remove(yyjson_val *request, struct err *e)
{
	static const struct worker_sandbox bounds = {
		.no_network = true,
		.keep_caps = CAP(DAC_OVERRIDE) | CAP(FOWNER) | CAP(LINUX_IMMUTABLE),
		.calls = WORKER_CALLS_BASE | WORKER_CALLS_FILES,
		.max_files = 4096,
	};
	const char *path;
	int rc = json_need_text(request, "path", &path, e);

	rc = rc < 0 ? rc : worker_sandbox_apply(&bounds, e);
	return rc < 0 ? rc : dir_each(AT_FDCWD, path, VOLUMES_MAX, remove_entry, NULL, e);
}

/* --- mount
 * ---------------------------------------------------------------------------------------- */

/* A copy of what is at a path of the machine. */
static int open_bind(const struct volume_options_local *o, struct err *e)
{
	_cleanup_(fd_close) int from = open(o->device, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(fd_close) int fd = -1;
	int rc;

	if (from < 0)
		return err_errno(e, errno, "%.200s", o->device);
	fd = mount_clone(from, o->recursive, e);
	if (fd < 0)
		return fd;
	rc = mount_attrs(fd, o->attrs, 0, MOUNT_PRIVATE, o->recursive, e);
	return rc < 0 ? rc : take_fd(fd);
}

int volume_do_mount(const char *target, char *const *options, struct err *e)
{
	_cleanup_(volume_options_free) struct volume_options_local o = { 0 };
	_cleanup_(fd_close) int fd = -1, at = -1;
	int rc = volume_options_parse(options, &o, e);

	if (rc < 0)
		return rc;
	at = open(target, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (at < 0)
		return err_errno(e, errno, "%.200s", target);
	fd = o.bind ? open_bind(&o, e)
		    : mount_new(o.type, o.device, (const char *const *)o.data, o.attrs, e);
	return fd < 0 ? fd : mount_attach(fd, at, e);
}

/* No sandbox: a mount is all it does, and the machine is to see it. */
static int run_mount(yyjson_val *request, struct err *e)
{
	_cleanup_(strv_free) char **options = NULL;
	const char *target;
	int rc = json_need_text(request, "target", &target, e);

	rc = rc < 0 ? rc : json_get_strv(request, "options", &options, e);
	if (rc == 0)
		rc = volume_do_mount(target, options, e);
	return rc < 0 ? err_wrap(e,
				 "error while mounting volume '%.200s': failed to mount local "
				 "volume",
				 target)
		      : 0;
}

static int run(struct worker_call *call, struct err *e)
{
	const char *op;
	int rc = json_need_text(call->request, "op", &op, e);

	if (rc < 0)
		return rc;
	umask(0);
	if (str_eq(op, VOLUME_OP_COPY))
		return run_copy(call->request, e);
	if (str_eq(op, VOLUME_OP_REMOVE))
		return run_remove(call->request, e);
	if (str_eq(op, VOLUME_OP_MOUNT))
		return run_mount(call->request, e);
	return err_set(e, EINVAL, "the volume worker has no job \"%.32s\"", op);
}

int volume_worker_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return worker_serve(VOLUME_WORKER, run);
}
