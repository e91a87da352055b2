/*
 * What containers share (shared.h): joining namespaces, /dev/shm, --cgroup-parent.
 *
 * Another container is named in a mode ("container:NAME") and looked up at each start, so a join
 * follows it through its restarts. What it must be safe from is in engine/shim/joins.c. A shared
 * /dev/shm is a tmpfs at RUN/shm/<id>, mounted by the engine while the container runs; the folders
 * RUN/shm and RUN/netns are mount points themselves, so that each shim can let go of the whole
 * folder (shim.json "detach") and nothing of one container lives on in the shims of others.
 */
#include "engine/container/shared.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "engine/data/ids.h"
#include "init/base/cgroup.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/mount.h"
#include "init/base/str.h"

/* <sys/mount.h> does not go together with <linux/mount.h> everywhere */
#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif
#ifndef MS_UNBINDABLE
#define MS_UNBINDABLE (1 << 17)
#endif

#define CGROUP_MARK "trusted.skerry"
#define DECLARED_LABEL "com.docker.compose.project.config_files"

enum { JOIN_DEPTH_MAX = 8 }; /* of containers that join each other's /dev/shm */

/* ---- whom a mode names ---- */

int mode_find(struct container *c, const char *mode, const struct container **ret, struct err *e)
{
	struct err own = { 0 };
	const struct container *other;

	e = e ? e : &own;
	other = containers_find(c->cs, mode_container(mode), e);
	if (!other) {
		e->code =
			EINVAL; /* the request names it: 404 would speak of the container itself */
		return -EINVAL;
	}
	if (other == c)
		return err_set(e, EINVAL, "a container cannot join its own namespace");
	if (other->state == CONTAINER_RESTARTING)
		return err_set(e, EBUSY,
			       "Container %s is restarting, wait until the container is running",
			       other->id);
	if (!state_is_running(other->state) || other->rec.pid <= 0)
		return err_set(e, EBUSY, "container %s is not running", other->id);
	*ret = other;
	return 0;
}

static int join_find(struct container *c, const char *mode, const char *kind, struct join *ret,
		     struct err *e)
{
	const struct container *other;
	int r;

	ret->kind = kind;
	if (!mode_is_container(mode))
		return 0;
	r = mode_find(c, mode, &other, e);
	if (r < 0)
		return err_wrap(e, "failed to join %s namespace",
				str_eq(kind, "pid") ? "PID" : "IPC");
	ret->pid = (pid_t)other->rec.pid;
	container_cgroup(other, ret->cgroup);
	return 0;
}

int joins_find(struct container *c, struct joins *ret, struct err *e)
{
	int r = join_find(c, c->asked.host.pid_mode, "pid", &ret->pid, e);

	return r < 0 ? r : join_find(c, c->asked.host.ipc_mode, "ipc", &ret->ipc, e);
}

const char *join_path(const struct join *j, char buf[JOIN_PATH_MAX])
{
	if (j->pid <= 0)
		return NULL;
	(void)str_format(buf, JOIN_PATH_MAX, "/proc/%d/ns/%s", (int)j->pid, j->kind);
	return buf;
}

void joins_write(const struct container *c, const struct joins *j, struct json_writer *w)
{
	const struct join *const all[] = { &j->pid, &j->ipc };

	json_key(w, "joins");
	json_begin_array(w);
	if (c->remap.count) {
		json_begin_object(w);
		json_member_str(w, "kind", "user");
		json_member_str(w, "owner_of", c->sandbox->key);
		json_end_object(w);
	}
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (all[i]->pid <= 0)
			continue;
		json_begin_object(w);
		json_member_str(w, "kind", all[i]->kind);
		json_member_i64(w, "pid", all[i]->pid);
		json_member_str(w, "cgroup", all[i]->cgroup);
		json_end_object(w);
	}
	json_end_array(w);
	json_key(w, "detach");
	json_begin_array(w);
	json_strf(w, "%s/netns", c->cs->run_dir);
	json_strf(w, "%s/shm", c->cs->run_dir);
	json_end_array(w);
}

int network_mode_find(struct container *c, char **ret, struct err *e)
{
	const char *mode = c->asked.host.network_mode;
	const struct container *other;
	struct err why = { 0 };
	int r;

	if (!mode_is_container(mode)) {
		*ret = str_dup(mode);
		return *ret ? 0 : err_errno(e, ENOMEM, "network");
	}
	r = mode_find(c, mode, &other, &why);
	if (r == -EBUSY && !str_starts(err_text(&why), "Container"))
		return err_set(e, EBUSY, "cannot join network of a non running container: %.80s",
			       mode_container(mode));
	if (r < 0)
		return err_set(e, -r, "%s", err_text(&why));
	*ret = str_printf("container:%s", other->id);
	return *ret ? 0 : err_errno(e, ENOMEM, "network");
}

int network_mode_settle(struct container *c, struct err *e)
{
	char **mode = &c->asked.host.network_mode;
	const struct container *other;
	char *settled;

	/* Declared containers name each other, and go on when the other one is replaced. */
	if (!mode_is_container(*mode) || container_label(c, DECLARED_LABEL))
		return 0;
	other = containers_find(c->cs, mode_container(*mode), NULL);
	if (!other)
		return 0; /* as Docker: it may come until the start */
	settled = str_printf("container:%s", other->id);
	if (!settled)
		return err_errno(e, ENOMEM, "network");
	free(*mode);
	*mode = settled;
	return 0;
}

/* ---- /dev/shm ---- */

static char *shm_path(const struct container *c)
{
	return str_printf("%s/shm/%s", c->cs->run_dir, c->id);
}

static int shm_make(struct container *c, char **ret, struct err *e)
{
	_cleanup_(mem_free) char *path = shm_path(c), *size = NULL;
	_cleanup_(mem_free) char *uid = NULL, *gid = NULL;
	const char *options[] = { "mode=1777", NULL, NULL, NULL, NULL };
	int r;

	size = str_printf("size=%lld", (long long)c->asked.host.shm_size);
	uid = str_printf("uid=%u", c->remap.first);
	gid = str_printf("gid=%u", c->remap.first);
	if (!path || !size || !uid || !gid)
		return err_errno(e, ENOMEM, "/dev/shm");
	options[1] = size;
	options[2] = uid;
	options[3] = gid;
	shm_release(c);
	r = dir_make(AT_FDCWD, path, 0700, e);
	if (r == 0)
		r = mount_at("tmpfs", "shm", path, options,
			     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
	if (r == 0)
		*ret = take_ptr(path);
	return r;
}

/* What the container at the end of a chain of joins has at its /dev/shm. */
static int shm_of(struct container *c, const char *mode, char **ret, struct err *e)
{
	const struct container *other = NULL;
	int r;

	for (int depth = 0; mode_is_container(mode); depth++) {
		if (depth == JOIN_DEPTH_MAX)
			return err_set(e, ELOOP,
				       "failed to join IPC namespace: more than %d containers "
				       "join each other",
				       JOIN_DEPTH_MAX);
		r = mode_find(c, mode, &other, e);
		if (r < 0)
			return err_wrap(e, "failed to join IPC namespace");
		mode = other->asked.host.ipc_mode;
	}
	*ret = other && !str_eq(mode, "host") ? shm_path(other) : str_dup("/dev/shm");
	if (!*ret)
		return err_errno(e, ENOMEM, "/dev/shm");
	if (other && !str_eq(mode, "host") && mount_is_point(AT_FDCWD, *ret) != 1) {
		free(take_ptr(*ret));
		return err_set(e, EINVAL,
			       "failed to join IPC namespace: container %s: non-shareable IPC "
			       "(hint: use IpcMode:shareable for the donor container)",
			       other->id);
	}
	return 0;
}

int shm_prepare(struct container *c, char **ret, struct err *e)
{
	const char *mode = c->asked.host.ipc_mode;

	if (str_eq(mode, "shareable"))
		return shm_make(c, ret, e);
	if (str_eq(mode, "host") || mode_is_container(mode))
		return shm_of(c, mode, ret, e);
	*ret = NULL;
	return 0;
}

static void shm_remove(const char *path)
{
	while (mount_detach(path, MNT_DETACH, NULL) == 0)
		;
	(void)rmdir(path);
}

void shm_release(const struct container *c)
{
	_cleanup_(mem_free) char *path = NULL;

	if (!str_eq(c->asked.host.ipc_mode, "shareable"))
		return;
	path = shm_path(c);
	if (path)
		shm_remove(path);
}

static int sweep_one(int dirfd, const char *name, void *data, struct err *e)
{
	struct containers *cs = data;
	_cleanup_(mem_free) char *path = str_printf("%s/shm/%s", cs->run_dir, name);
	_cleanup_(mem_free) char *shim = str_printf("%s/%s", cs->shims_dir, name);

	(void)dirfd;
	(void)e;
	if (path && shim && id_valid(name) &&
	    (!map_has(&cs->by_id, name) || access(shim, F_OK) < 0))
		shm_remove(path);
	return 0;
}

void shm_sweep(struct containers *cs)
{
	_cleanup_(mem_free) char *dir = str_printf("%s/shm", cs->run_dir);
	struct err e = { 0 };

	if (dir && access(dir, F_OK) == 0 &&
	    dir_each(AT_FDCWD, dir, 2 * CONTAINERS_MAX, sweep_one, cs, &e) < 0)
		log_warn("%s", err_text(&e));
}

/* A folder becomes a mount point by being bound onto itself. Unbindable: "-v /:/host" goes without
 * what lies there, and holds nothing of other containers. */
static int make_point(const char *run_dir, const char *name, struct err *e)
{
	_cleanup_(mem_free) char *path = str_printf("%s/%s", run_dir, name);
	_cleanup_(fd_close) int dir = -1, tree = -1;
	int r;

	if (!path)
		return err_errno(e, ENOMEM, "%s", name);
	r = dir_make(AT_FDCWD, path, 0700, e);
	if (r < 0 || mount_is_point(AT_FDCWD, path) == 1)
		return r;
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(e, errno, "%s", path);
	tree = mount_clone(dir, false, e);
	if (tree < 0 || mount_attrs(tree, 0, 0, MS_UNBINDABLE, false, e) < 0)
		return -EIO;
	return mount_attach(tree, dir, e);
}

int containers_mount_points(const char *run_dir, struct err *e)
{
	int r = make_point(run_dir, "netns", e);

	return r < 0 ? r : make_point(run_dir, "shm", e);
}

/* ---- first process, cgroup ---- */

bool container_has_init(const struct container *c)
{
	const struct host_config *h = &c->asked.host;

	return h->init == 1 && c->cs->cfg.init_program && !str_eq(h->pid_mode, "host") &&
	       !mode_is_container(h->pid_mode);
}

/* "containers", then the levels of the parent; `fn` is called with each path below the first. */
static void parent_path(const struct container *c, char ret[CONTAINER_CGROUP_MAX],
			void (*fn)(const char *path, void *data), void *data)
{
	const char *parent = c->asked.host.cgroup_parent;
	_cleanup_(strv_free) char **parts = strv_split(parent ? parent : "", "/", false);
	size_t at = 0;

	(void)str_copy(ret, CONTAINER_CGROUP_MAX, "containers");
	for (char **p = parts; p && *p; p++) {
		at = strlen(ret);
		(void)str_format(ret + at, CONTAINER_CGROUP_MAX - at, "/%s", *p);
		if (fn)
			fn(ret, data);
	}
}

void container_cgroup(const struct container *c, char ret[CONTAINER_CGROUP_MAX])
{
	size_t at;

	parent_path(c, ret, NULL, NULL);
	at = strlen(ret);
	(void)str_format(ret + at, CONTAINER_CGROUP_MAX - at, "/%s", c->id);
}

static void make_level(const char *path, void *data)
{
	_cleanup_(mem_free) char *full = str_printf(CGROUP_ROOT "/%s", path);
	struct err *e = data;
	bool there = full && access(full, F_OK) == 0;
	int fd;

	if (!full || e->code)
		return;
	fd = cgroup_make(path, e);
	if (fd >= 0 && !there) /* where marks cannot be set the level just stays */
		(void)fsetxattr(fd, CGROUP_MARK, "1", 1, 0);
	fd_close(fd);
}

int container_cgroup_parents(const struct container *c, struct err *e)
{
	char path[CONTAINER_CGROUP_MAX];
	struct err why = { 0 };

	if (str_empty(c->asked.host.cgroup_parent) ||
	    access(CGROUP_ROOT "/cgroup.controllers", F_OK) < 0) /* then the runtime says so */
		return 0;
	parent_path(c, path, make_level, &why);
	return why.code ? err_set(e, why.code, "cgroup parent %s: %s", c->asked.host.cgroup_parent,
				  err_text(&why))
			: 0;
}

void container_cgroup_parents_release(const struct container *c)
{
	char path[sizeof(CGROUP_ROOT) + 1 + CONTAINER_CGROUP_MAX], mark[2], *slash;
	char parent[CONTAINER_CGROUP_MAX];

	if (str_empty(c->asked.host.cgroup_parent))
		return;
	parent_path(c, parent, NULL, NULL);
	(void)str_format(path, sizeof(path), CGROUP_ROOT "/%s", parent);
	while (getxattr(path, CGROUP_MARK, mark, sizeof(mark)) > 0 && rmdir(path) == 0) {
		slash = strrchr(path, '/');
		*slash = '\0';
	}
}
