/*
 * The list of volumes and their folders (see volume.h).
 *
 * The index is a map by name and an array in order of creation. All names are checked before they
 * become paths. The folder `.trash` can be no volume's: names start with a letter or digit. What is
 * in it is removed by a worker, one at a time, and again at each start. Callers: see volume.h.
 */
#include "engine/volume/volume.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "engine/data/ids.h"
#include "engine/data/names.h"
#include "engine/state/reserve.h"
#include "engine/state/state.h"
#include "engine/volume/inside.h"
#include "engine/volume/options.h"
#include "engine/volume/quota.h"
#include "engine/worker/worker.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/map.h"
#include "init/base/mount.h"
#include "init/base/str.h"

#define TRASH ".trash"
#define RECORD "volume.json"

enum {
	RECORD_VERSION = 1,
	RECORD_MAX = 1 << 20,
	UMOUNT_DETACH = 2, /* MNT_DETACH */
};

static void volume_free(struct volume *v)
{
	if (!v)
		return;
	free(v->name);
	free(v->driver);
	free(v->mountpoint);
	strv_free(v->users);
	strv_free(v->labels);
	strv_free(v->options);
	free(v);
}
DEFINE_CLEANUP(struct volume *, volume_free)

char *volume_folder(const struct volumes *vs, const char *name)
{
	return str_printf("%s/%s", vs->dir, name);
}

int volume_name_check(const char *name, struct err *e)
{
	size_t len = strlen(name);

	if (len > VOLUME_NAME_MAX)
		return err_set(e, EINVAL, "volume name is too long: %zu characters, at most %d",
			       len, VOLUME_NAME_MAX);
	if (len == 1)
		return err_set(e, EINVAL,
			       "volume name is too short, names should be at least two "
			       "alphanumeric characters");
	if (!name_valid(name))
		return err_set(
			e, EINVAL,
			"\"%.255s\" includes invalid characters for a local volume name, only "
			"\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
			"directory, use absolute path",
			name);
	return 0;
}

/* --- records
 * -------------------------------------------------------------------------------------- */

int volume_record(const struct volumes *vs, const struct volume *v, struct err *e)
{
	_cleanup_(mem_free) char *path = str_printf("%s/%s/" RECORD, vs->dir, v->name);
	_cleanup_(buf_free) struct buf b = BUF_INIT(0);
	struct json_writer w;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_i64(&w, "v", RECORD_VERSION);
	json_member_str(&w, "name", v->name);
	json_member_str(&w, "driver", v->driver);
	json_member_i64(&w, "created", v->created);
	json_member_bool(&w, "anonymous", v->anonymous);
	json_member_bool(&w, "made", v->made);
	if (v->project)
		json_member_i64(&w, "project", v->project);
	json_key(&w, "labels");
	json_strv(&w, v->labels);
	json_key(&w, "options");
	json_strv(&w, v->options);
	json_end_object(&w);
	if (!path || buf_failed(&b))
		return err_set(e, ENOMEM, "out of memory");
	return state_write(AT_FDCWD, path, buf_text(&b), b.len, e);
}

/* Options that were taken once are not refused later: then it is a folder. */
static void settle_mounts(struct volume *v)
{
	_cleanup_(volume_options_free) struct volume_options_local o = { 0 };

	v->mounts = volume_is_local(v) && volume_options_parse(v->options, &o, NULL) == 0 && o.type;
}

static int record_parse(yyjson_val *root, struct volume *v, struct err *e)
{
	int64_t project = 0;
	int rc = json_get_i64(root, "created", &v->created, e);

	rc = rc < 0 ? rc : json_get_copy(root, "driver", &v->driver, e);
	rc = rc < 0 ? rc : json_get_bool(root, "made", &v->made, e);
	rc = rc < 0 ? rc : json_get_i64(root, "project", &project, e);
	v->project = (uint32_t)project;
	rc = rc < 0 ? rc : json_get_bool(root, "anonymous", &v->anonymous, e);
	rc = rc < 0 ? rc : json_get_strv(root, "labels", &v->labels, e);
	rc = rc < 0 ? rc : json_get_strv(root, "options", &v->options, e);
	if (rc == 0 && !volume_is_local(v) && str_set(&v->mountpoint, "") < 0)
		rc = err_set(e, ENOMEM, "out of memory");
	settle_mounts(v);
	return rc;
}

static int volume_new(const struct volumes *vs, const char *name, struct volume **ret_volume,
		      struct err *e)
{
	_cleanup_(volume_free) struct volume *v = calloc(1, sizeof(*v));

	if (v) {
		list_init(&v->jobs);
		v->name = str_dup(name);
		v->driver = str_dup(VOLUME_LOCAL);
		v->mountpoint = str_printf("%s/%s/" VOLUME_DATA, vs->dir, name);
	}
	if (!v || !v->name || !v->driver || !v->mountpoint)
		return err_set(e, ENOMEM, "out of memory");
	*ret_volume = take_ptr(v);
	return 0;
}

/* Takes v over on success. */
static int volume_index(struct volumes *vs, struct volume *v, struct err *e)
{
	struct volume **grown;

	if (vs->n == VOLUMES_MAX)
		return err_set(e, E2BIG, "more than %d volumes", VOLUMES_MAX);
	grown = reallocarray(vs->list, vs->n + 1, sizeof(*grown));
	if (!grown)
		return err_set(e, ENOMEM, "out of memory");
	vs->list = grown;
	if (map_put(&vs->by_name, v->name, v, NULL) < 0)
		return err_set(e, ENOMEM, "out of memory");
	vs->list[vs->n++] = v;
	return 0;
}

/* --- the trash
 * ------------------------------------------------------------------------------------ */

static void sweep(struct volumes *vs);

static void swept(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct volumes *vs = w->data;

	(void)result;
	if (code < 0)
		log_warn("removed volumes are not cleaned away: %s", err_text(why));
	if (vs->sweep_again)
		sweep(vs);
}

/* Empties the trash in the background. */
static void sweep(struct volumes *vs)
{
	_cleanup_(mem_free) char *trash = str_printf("%s/" TRASH, vs->dir);
	_cleanup_(buf_free) struct buf b = BUF_INIT(0);
	struct worker_spec spec = { .name = VOLUME_WORKER };
	struct json_writer w;
	struct err e = { 0 };

	if (!trash)
		return;
	if (!vs->loop) {
		if (tree_remove(AT_FDCWD, trash, &e) < 0)
			log_warn("removed volumes are not cleaned away: %s", err_text(&e));
		return;
	}
	vs->sweep_again = worker_running(&vs->sweeper);
	if (vs->sweep_again)
		return;
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_str(&w, "op", VOLUME_OP_REMOVE);
	json_member_str(&w, "path", trash);
	json_end_object(&w);
	if (buf_failed(&b))
		return;
	spec.request = buf_text(&b);
	vs->sweeper.on_done = swept;
	vs->sweeper.data = vs;
	if (worker_start(vs->loop, &vs->sweeper, &spec, &e) < 0)
		log_warn("removed volumes are not cleaned away: %s", err_text(&e));
}

/* One rename takes the volume out of the list for good; the time makes its name there unique. */
static int to_trash(const struct volumes *vs, const char *name, struct err *e)
{
	_cleanup_(mem_free) char *from = volume_folder(vs, name),
				 *trash = str_printf("%s/" TRASH, vs->dir);
	_cleanup_(mem_free) char *to = NULL;
	int rc;

	if (trash)
		to = str_printf("%s/%lld.%.64s", trash, (long long)clock_mono_ns(), name);
	if (!from || !to)
		return err_set(e, ENOMEM, "out of memory");
	do
		rc = dir_make(AT_FDCWD, trash, 0700, e);
	while (rc == -ENOSPC && reserve_give(AT_FDCWD, trash));
	if (rc < 0)
		return rc;
	do
		rc = rename(from, to) < 0 ? errno : 0;
	while (rc == ENOSPC && reserve_give(AT_FDCWD, trash));
	if (rc && access(from, F_OK) == 0) /* a folder that is gone already is fine */
		return err_errno(e, rc, "cannot remove the volume %s", name);
	return dir_sync(AT_FDCWD, vs->dir, e);
}

/* --- reading at start
 * ----------------------------------------------------------------------------- */

static bool folder_empty(int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool empty = true;
	struct dirent *x;

	if (!d) {
		fd_close(fd);
		return fd < 0 && errno == ENOENT;
	}
	while ((x = readdir(d)))
		empty = empty && (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0);
	closedir(d);
	return empty;
}

/* No record: what creation left when it was cut off has no content; anything else keeps it. */
static int adopt_orphan(struct volumes *vs, int dirfd, struct volume *v, bool *ret_keep,
			struct err *e)
{
	_cleanup_(mem_free) char *data = str_printf("%s/" VOLUME_DATA, v->name);
	struct stat st;

	if (!data)
		return err_set(e, ENOMEM, "out of memory");
	if (folder_empty(dirfd, data)) {
		*ret_keep = false;
		return to_trash(vs, v->name, e);
	}
	*ret_keep = true;
	if (fstatat(dirfd, v->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		v->created = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
	log_warn("volume %s had no readable record: its content is kept, its labels are lost",
		 v->name);
	return volume_record(vs, v, e);
}

static int load_volume(struct volumes *vs, int dirfd, const char *name, struct err *e)
{
	_cleanup_(volume_free) struct volume *v = NULL;
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *record = str_printf("%s/" RECORD, name);
	bool keep = true;
	int rc;

	if (!record)
		return err_set(e, ENOMEM, "out of memory");
	rc = volume_new(vs, name, &v, e);
	if (rc < 0)
		return rc;
	rc = state_read(dirfd, record, RECORD_MAX, &doc, e);
	if (rc == 0)
		rc = record_parse(yyjson_doc_get_root(doc), v, e);
	if (rc == -ENOENT || rc == -EBADMSG || rc == -EINVAL)
		rc = adopt_orphan(vs, dirfd, v, &keep, e);
	if (rc < 0 || !keep)
		return rc;
	rc = volume_index(vs, v, e);
	if (rc == 0)
		(void)take_ptr(v);
	return rc;
}

static int load_one(int dirfd, const char *name, void *data, struct err *e)
{
	if (!name_valid(name))
		return 0;
	if (load_volume(data, dirfd, name, e) < 0)
		log_warn("volume %s is left out: %s", name, err_text(e));
	return 0;
}

static int by_age(const void *a, const void *b)
{
	const struct volume *x = *(struct volume *const *)a, *y = *(struct volume *const *)b;

	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	return strcmp(x->name, y->name);
}

int volumes_new(struct loop *loop, const char *state_dir, struct volumes **ret_volumes,
		struct err *e)
{
	_cleanup_(volumes_free) struct volumes *vs = calloc(1, sizeof(*vs));
	_cleanup_(mem_free) char *trash = str_printf("%s/volumes/" TRASH, state_dir);
	int rc;

	if (vs)
		vs->dir = str_printf("%s/volumes", state_dir);
	if (!vs || !vs->dir || !trash)
		return err_set(e, ENOMEM, "out of memory");
	vs->loop = loop;
	rc = dir_make(AT_FDCWD, vs->dir, 0711, e);
	if (rc == 0)
		rc = dir_each(AT_FDCWD, vs->dir, 2 * VOLUMES_MAX, load_one, vs, e);
	if (rc < 0)
		return rc;
	if (vs->n > 0)
		qsort(vs->list, vs->n, sizeof(*vs->list), by_age);
	if (!folder_empty(AT_FDCWD, trash))
		sweep(vs);
	*ret_volumes = take_ptr(vs);
	return 0;
}

void volumes_free(struct volumes *vs)
{
	if (!vs)
		return;
	vs->ending = true;
	worker_cancel(&vs->sweeper);
	for (size_t i = 0; i < vs->n; i++) {
		volume_jobs_gone(vs->list[i], NULL);
		volume_free(vs->list[i]);
	}
	free(vs->list);
	map_free(&vs->by_name);
	free(vs->dir);
	free(vs);
}

/* --- operations
 * ----------------------------------------------------------------------------------- */

bool volume_is_local(const struct volume *v)
{
	return !v->driver || str_eq(v->driver, VOLUME_LOCAL);
}

void volumes_set_plugins(struct volumes *vs, struct plugins *plugins)
{
	vs->plugins = plugins;
}

static bool is_local(const char *driver)
{
	return str_empty(driver) || str_eq(driver, VOLUME_LOCAL);
}

static int check_driver(const struct volumes *vs, const char *driver, struct err *e)
{
	if (vs->plugins && plugin_find(vs->plugins, driver, e) == 0)
		return 0;
	return err_set(e, ENOENT,
		       "error looking up volume plugin %.64s: plugin \"%.64s\" not found", driver,
		       driver);
}

static int check_type(const char *type, struct err *e)
{
	_cleanup_(mem_free) char *known = NULL;
	int rc = file_read(AT_FDCWD, "/proc/filesystems", 64 << 10, &known, NULL, e);

	return rc < 0 ? rc : volume_type_check(type, known, e);
}

static int check_options(const struct volumes *vs, const struct volume_want *w,
			 struct volume_options_local *o, struct err *e)
{
	int rc = volume_options_parse(w->options, o, e);

	if (rc == 0 && o->type && !o->bind)
		rc = check_type(o->type, e);
	if (rc == 0 && o->size > 0) {
		_cleanup_(fd_close) int fd =
			open(vs->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		rc = fd < 0 ? err_errno(e, errno, "cannot open %s", vs->dir) : quota_check(fd, e);
	}
	return rc;
}

/* The folder with its empty _data, durably; what a cut off creation left there is in the way
 * only until the next start. */
static int make_folder(const struct volumes *vs, const char *name, bool local, struct err *e)
{
	_cleanup_(mem_free) char *folder = volume_folder(vs, name), *data = NULL;
	int rc;

	if (folder)
		data = str_printf("%s/" VOLUME_DATA, folder);
	if (!data)
		return err_set(e, ENOMEM, "out of memory");
	if (mkdir(folder, 0701) < 0)
		return err_errno(e, errno, "cannot create the volume %s", name);
	if (local && (mkdir(data, 0755) < 0 || chmod(data, 0755) < 0))
		return err_errno(e, errno, "cannot create the volume %s", name);
	rc = dir_sync(AT_FDCWD, folder, e);
	return rc < 0 ? rc : dir_sync(AT_FDCWD, vs->dir, e);
}

static int fill_in(struct volume *v, const struct volume_want *w, bool anonymous, struct err *e)
{
	v->created = clock_real_ns();
	v->anonymous = anonymous;
	if (w->labels)
		v->labels = strv_copy(w->labels);
	if (w->options)
		v->options = strv_copy(w->options);
	if ((w->labels && !v->labels) || (w->options && !v->options))
		return err_set(e, ENOMEM, "out of memory");
	if (!is_local(w->driver) &&
	    (str_set(&v->driver, w->driver) < 0 || str_set(&v->mountpoint, "") < 0))
		return err_set(e, ENOMEM, "out of memory");
	settle_mounts(v);
	if (anonymous && strv_add(&v->labels, "com.docker.volume.anonymous=") < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

/* A number that no other volume has; what is in the trash still counts for its own. */
static int new_project(const struct volumes *vs, uint32_t *ret, struct err *e)
{
	for (int tries = 0; tries < 100; tries++) {
		uint32_t id;
		bool taken = false;

		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			return err_errno(e, errno, "no random number");
		id = (id & 0x3fffffff) | 0x40000000; /* small ones are other people's */
		for (size_t i = 0; i < vs->n; i++)
			taken |= vs->list[i]->project == id;
		if (taken)
			continue;
		*ret = id;
		return 0;
	}
	return err_set(e, EAGAIN, "no free number for the volume's quota");
}

static int limit_size(const struct volumes *vs, struct volume *v, uint64_t size, struct err *e)
{
	_cleanup_(fd_close) int fd =
		open(v->mountpoint, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc = fd < 0 ? err_errno(e, errno, "cannot open the volume %s", v->name)
			: new_project(vs, &v->project, e);

	return rc < 0 ? rc : quota_set(fd, v->project, size, e);
}

static int give_existing(struct volume *v, const struct volume_want *w,
			 const struct volume **ret_volume, struct err *e)
{
	if (!str_empty(w->driver) && !str_eq(w->driver, v->driver))
		return err_set(e, EEXIST,
			       "a volume named %s already exists with the %.64s driver: choose "
			       "another name",
			       v->name, v->driver);
	*ret_volume = v;
	return 0;
}

static int make_volume(struct volumes *vs, const struct volume_want *w, const char *name,
		       uint64_t size, struct volume **ret_volume, struct err *e)
{
	_cleanup_(volume_free) struct volume *v = NULL;
	int rc = volume_new(vs, name, &v, e);

	if (rc == 0)
		rc = fill_in(v, w, str_empty(w->name), e);
	if (rc == 0)
		rc = make_folder(vs, name, volume_is_local(v), e);
	if (rc < 0)
		return rc;
	if (size > 0)
		rc = limit_size(vs, v, size, e);
	if (rc == 0)
		rc = volume_record(vs, v, e);
	if (rc == 0)
		rc = volume_index(vs, v, e);
	if (rc < 0) {
		(void)to_trash(vs, name, NULL);
		return rc;
	}
	*ret_volume = take_ptr(v);
	return 0;
}

int volume_create(struct volumes *vs, const struct volume_want *w, const struct volume **ret_volume,
		  struct err *e)
{
	_cleanup_(volume_options_free) struct volume_options_local o = { 0 };
	struct volume *v = NULL;
	char id[ID_LEN + 1];
	const char *name = w->name;
	int rc;

	if (str_empty(name)) {
		rc = id_new(id, e);
		name = id;
	} else {
		rc = volume_name_check(name, e);
	}
	if (rc < 0)
		return rc;
	if (map_has(&vs->by_name, name))
		return give_existing(map_get(&vs->by_name, name), w, ret_volume, e);
	rc = is_local(w->driver) ? check_options(vs, w, &o, e) : check_driver(vs, w->driver, e);
	if (rc < 0)
		return rc == -ENOENT ? rc : err_wrap(e, "create %.255s", name);
	rc = make_volume(vs, w, name, o.size, &v, e);
	if (rc == 0)
		*ret_volume = v;
	return rc;
}

int volume_adopt(struct volumes *vs, const char *name, const char *driver,
		 const struct volume **ret_volume, struct err *e)
{
	const struct volume_want want = { .name = name, .driver = driver };
	struct volume *v = NULL;
	int rc = volume_create(vs, &want, ret_volume, e);

	if (rc < 0)
		return rc;
	v = map_get(&vs->by_name, name);
	v->made = true;
	return volume_record(vs, v, e);
}

struct volume *volume_find(const struct volumes *vs, const char *name, struct err *e)
{
	struct volume *v = map_get(&vs->by_name, name);

	if (!v)
		err_set(e, ENOENT, "get %.255s: no such volume", name);
	return v;
}

int volume_get(const struct volumes *vs, const char *name, const struct volume **ret_volume,
	       struct err *e)
{
	const struct volume *v = volume_find(vs, name, e);

	if (!v)
		return -ENOENT;
	*ret_volume = v;
	return 0;
}

size_t volumes_count(const struct volumes *vs)
{
	return vs->n;
}

const struct volume *volumes_at(const struct volumes *vs, size_t i)
{
	return vs->list[i];
}

/* What the volume's options mounted is taken off before its folder goes anywhere. */
static int unmount_rest(const struct volume *v, struct err *e)
{
	if (!v->mounts || mount_is_point(AT_FDCWD, v->mountpoint) != 1)
		return 0;
	return mount_detach(v->mountpoint, UMOUNT_DETACH, e);
}

int volume_forget(struct volumes *vs, struct volume *v, struct volume_job *job, struct err *e)
{
	size_t i = 0;
	int rc = unmount_rest(v, e);

	if (rc == 0)
		rc = to_trash(vs, v->name, e);
	if (rc < 0)
		return rc;
	if (v->project) {
		_cleanup_(fd_close) int fd = open(vs->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		quota_clear(fd, v->project);
	}
	while (vs->list[i] != v)
		i++;
	memmove(&vs->list[i], &vs->list[i + 1], (--vs->n - i) * sizeof(*vs->list));
	(void)map_remove(&vs->by_name, v->name);
	volume_jobs_gone(v, job);
	volume_free(v);
	sweep(vs);
	return 0;
}

int volume_remove(struct volumes *vs, const char *name, unsigned int users, const char *users_text,
		  struct err *e)
{
	struct volume *v = volume_find(vs, name, e);

	if (!v)
		return -ENOENT;
	if (users > 0 && users_text)
		return err_set(e, EBUSY, "remove %s: volume is in use - %s", v->name, users_text);
	if (users > 0)
		return err_set(e, EBUSY, "remove %s: volume is in use by %u containers", v->name,
			       users);
	if (!list_empty(&v->jobs) || v->users)
		return err_set(e, EBUSY, "remove %s: volume is in use", v->name);
	return volume_forget(vs, v, NULL, e);
}
