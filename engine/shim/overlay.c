/*
 * The container's root file system: the overlay of shim.json "rootfs".
 *
 * It is mounted in the shim's own mount namespace, layer by layer through the fd-based API, so that
 * neither the length of an option string nor a colon in a path is a limit.
 *
 * With a user namespace the layers are id-mapped by it. overlayfs takes layers by path, so mapped
 * copies of them lie on a tmpfs for the moment of the mount (upper and work in one copy, as
 * overlayfs demands); the overlay holds what it needs of them and the tmpfs is let go. All that
 * overlayfs itself does on the layers later (copying up, whiteouts) it does with the credentials of
 * whoever mounts it, and what these create must have an owner on the mapped upper layer: so it is
 * mounted as the container's root, with the capabilities of the machine's. Called once by shim.c.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "engine/shim/shim.h"
#include "init/base/file.h"
#include "init/base/mount.h"
#include "init/base/str.h"

/* <sys/mount.h> does not go together with <linux/mount.h> everywhere */
#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif

/* The directories as overlayfs is told them: the layers themselves, or their mapped copies. */
struct layers {
	char **lower;
	char *upper, *work; /* NULL: read-only */
};

static void layers_clear(struct layers *l)
{
	strv_free(l->lower);
	free(l->upper);
	free(l->work);
}
DEFINE_CLEANUP_VALUE(struct layers, layers_clear)

/* --- mapped copies --- */

static int clone_mapped(const char *dir, int user_ns, struct err *e)
{
	_cleanup_(fd_close) int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), tree = -1;

	if (at < 0)
		return err_errno(e, errno, "%s", dir);
	tree = mount_clone(at, false, e);
	if (tree < 0)
		return err_wrap(e, "%s", dir);
	if (user_ns >= 0 && mount_idmap(tree, user_ns, false, e) < 0)
		return err_wrap(e, "%s", dir);
	return take_fd(tree);
}

/* A mapped copy of `dir` at the new directory `place`. */
static int attach_mapped(const char *dir, const char *place, int user_ns, struct err *e)
{
	_cleanup_(fd_close) int tree = clone_mapped(dir, user_ns, e), target = -1;
	int r = tree < 0 ? tree : dir_make(AT_FDCWD, place, 0700, e);

	if (r < 0)
		return r;
	target = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return target < 0 ? err_errno(e, errno, "%s", place) : mount_attach(tree, target, e);
}

static int map_lower(const struct shim_config *c, const char *scratch, int user_ns,
		     struct layers *ret, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && c->lower[i]; i++) {
		_cleanup_(mem_free) char *place = str_printf("%s/%zu", scratch, i);

		if (!place || strv_add(&ret->lower, place) < 0)
			return err_errno(e, ENOMEM, "overlay");
		r = attach_mapped(c->lower[i], place, user_ns, e);
	}
	return r;
}

/* Both must lie in one directory, of which one copy is made. */
static int map_upper(const struct shim_config *c, const char *scratch, int user_ns,
		     struct layers *ret, struct err *e)
{
	const char *upper = c->upper ? strrchr(c->upper, '/') : NULL,
		   *work = c->work ? strrchr(c->work, '/') : NULL;
	_cleanup_(mem_free) char *dir = NULL, *place = str_printf("%s/own", scratch);

	if (!c->upper)
		return 0;
	if (!upper || !work || upper - c->upper != work - c->work ||
	    strncmp(c->upper, c->work, (size_t)(upper - c->upper)) != 0)
		return err_set(e, EINVAL, "rootfs: upper and work must lie side by side");
	dir = strndup(c->upper, (size_t)(upper - c->upper));
	ret->upper = str_printf("%s/own%s", scratch, upper);
	ret->work = str_printf("%s/own%s", scratch, work);
	if (!dir || !place || !ret->upper || !ret->work)
		return err_errno(e, ENOMEM, "overlay");
	return attach_mapped(dir, place, user_ns, e);
}

/* --- the overlay --- */

static int mount_layers(const struct layers *l, char *const *more, struct err *e)
{
	_cleanup_(strv_free) char **options = NULL;
	int r = 0;

	for (char **d = l->lower; r == 0 && *d; d++)
		r = strv_addf(&options, "lowerdir+=%s", *d);
	if (r == 0 && l->upper)
		r = strv_addf(&options, "upperdir=%s", l->upper);
	if (r == 0 && l->work)
		r = strv_addf(&options, "workdir=%s", l->work);
	for (char *const *o = more; r == 0 && o && *o; o++)
		r = strv_add(&options, *o);
	if (r < 0)
		return err_errno(e, ENOMEM, "overlay");
	return mount_new("overlay", "overlay", (const char *const *)options, 0, e);
}

/* The file system's user of this process; a change from root takes capabilities off, which come
 * back. */
static int become(uid_t id, struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	(void)setfsgid(id);
	(void)setfsuid(id);
	if (setfsuid((uid_t)-1) != (int)id || setfsgid((gid_t)-1) != (int)id)
		return err_set(e, EPERM, "overlay: cannot act as user %u", id);
	if (syscall(SYS_capget, &head, data) < 0)
		return err_errno(e, errno, "overlay: capabilities");
	for (size_t i = 0; i < ARRAY_SIZE(data); i++)
		data[i].effective = data[i].permitted;
	if (syscall(SYS_capset, &head, data) < 0)
		return err_errno(e, errno, "overlay: capabilities");
	return 0;
}

static int mount_as_root(const struct shim_config *c, const struct layers *l, struct err *e)
{
	struct err own = { 0 };
	int fd = become(c->first_id, e), back;

	if (fd == 0)
		fd = mount_layers(l, c->overlay_options, e);
	back = become(0, &own);
	if (back < 0 && fd >= 0) {
		fd_close(fd);
		return err_set(e, own.code, "%s", err_text(&own));
	}
	return fd;
}

static int mount_mapped(const struct shim_config *c, const char *bundle, int user_ns, struct err *e)
{
	static const char *const options[] = { "mode=700", NULL };
	_cleanup_(mem_free) char *scratch = str_printf("%s/layers", bundle);
	_cleanup_(layers_clear) struct layers l = { 0 };
	int fd = scratch ? dir_make(AT_FDCWD, scratch, 0700, e) : err_errno(e, ENOMEM, "overlay");

	if (fd == 0)
		fd = mount_at("tmpfs", "layers", scratch, options, 0, e);
	if (fd < 0)
		return fd;
	fd = map_lower(c, scratch, user_ns, &l, e);
	if (fd == 0)
		fd = map_upper(c, scratch, user_ns, &l, e);
	if (fd == 0)
		fd = mount_as_root(c, &l, e);
	if (mount_detach(scratch, MNT_DETACH, NULL) == 0)
		(void)rmdir(scratch);
	return fd;
}

static int new_overlay(const struct shim_config *c, const char *bundle, int user_ns, struct err *e)
{
	const struct layers plain = { c->lower, c->upper, c->work };

	/* overlayfs wants two layers or an upper one: a single read-only layer is bound */
	if (!c->upper && strv_len(c->lower) == 1)
		return clone_mapped(c->lower[0], user_ns, e);
	if (user_ns >= 0 && c->first_id)
		return mount_mapped(c, bundle, user_ns, e);
	return mount_layers(&plain, c->overlay_options, e);
}

int shim_mount_rootfs(const struct shim_config *c, const char *bundle, int user_ns, struct err *e)
{
	_cleanup_(mem_free) char *path = str_printf("%s/rootfs", bundle);
	_cleanup_(fd_close) int mount = -1, target = -1;
	int r;

	if (!path)
		return err_errno(e, ENOMEM, "rootfs");
	r = dir_make(AT_FDCWD, path, 0700, e);
	if (r < 0)
		return r;
	mount = new_overlay(c, bundle, user_ns, e);
	if (mount < 0)
		return err_wrap(e, "rootfs");
	target = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (target < 0)
		return err_errno(e, errno, "%s", path);
	return mount_attach(mount, target, e);
}
