/*
 * Taking a volume for a container, step by step: made at its plugin, mounted, filled; and giving it
 * back (volume.h).
 *
 * Each step has nothing to do, or is a worker or a plugin's call whose end leads to the next. The
 * end is always reported from the loop. A user counts from before the mount on, so that whatever
 * comes between, its release tells the plugin. Mounts by options lie on _data in the machine's own
 * mount namespace: the kernel knows them, so an engine that starts again finds them.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/volume/inside.h"
#include "init/base/log.h"
#include "init/base/mount.h"
#include "init/base/str.h"

enum {
	UMOUNT_DETACH = 2, /* MNT_DETACH */
	MOUNT_MS = 120000, /* for a block device's journal, say */
};

struct take_job {
	struct volume_job job;
	struct copy_up *owner;
	struct loop *loop;
	struct plugin_call call;
	struct worker worker;
	size_t step;
	char *user, *path;
	char **layers;
	bool copy;
};

/* ---- users ---- */

static bool counts_users(const struct volume *v)
{
	return v->mounts || !volume_is_local(v);
}

static int user_add(struct volume *v, const char *user, struct err *e)
{
	if (strv_has(v->users, user) || strv_add(&v->users, user) == 0)
		return 0;
	return err_set(e, ENOMEM, "out of memory");
}

static bool user_remove(struct volume *v, const char *user)
{
	size_t n = strv_len(v->users), i = 0;

	while (i < n && !str_eq(v->users[i], user))
		i++;
	if (i == n)
		return false;
	free(v->users[i]);
	memmove(&v->users[i], &v->users[i + 1], (n - i) * sizeof(*v->users));
	if (n == 1)
		free(take_ptr(v->users));
	return true;
}

/* ---- the end ---- */

static void take_free(struct take_job *t)
{
	free(t->user);
	free(t->path);
	strv_free(t->layers);
	free(t);
}

static void take_end(struct take_job *t, int r, const struct err *why)
{
	struct copy_up *c = t->owner;
	struct err e = { 0 };

	if (r < 0) {
		e = *why;
		if (e.code == 0)
			err_errno(&e, -r, "the volume cannot be had");
	}
	volume_job_end(&t->job);
	take_free(t);
	c->job = NULL;
	c->done(c, r, &e);
}

static void take_gone(struct volume_job *job)
{
	struct take_job *t = container_of(job, struct take_job, job);
	struct err e = { 0 };

	plugin_cancel(&t->call);
	worker_cancel(&t->worker);
	if (job->vs->ending) {
		t->owner->job = NULL;
		take_free(t);
		return;
	}
	err_set(&e, ENOENT, "the volume was removed");
	take_end(t, -ENOENT, &e);
}

static void next_step(struct take_job *t);

/* The end of a step that is a worker. */
static void worked(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct take_job *t = container_of(w, struct take_job, worker);

	(void)result;
	if (code < 0)
		take_end(t, code, why);
	else
		next_step(t);
}

static int run_worker(struct take_job *t, struct buf *request, int64_t timeout_ms, struct err *e)
{
	struct worker_spec spec = { .name = VOLUME_WORKER, .timeout_ms = timeout_ms };

	if (buf_failed(request))
		return err_errno(e, -buf_failed(request), "cannot build the request");
	spec.request = buf_text(request);
	t->worker.on_done = worked;
	return worker_start(t->loop, &t->worker, &spec, e);
}

/* ---- steps: 1 something runs, 0 nothing to do, -errno ---- */

static void was_made(struct plugin_call *c, int r, yyjson_val *answer, const struct err *why)
{
	struct take_job *t = container_of(c, struct take_job, call);
	struct err e = *why;

	(void)answer;
	if (r == 0) {
		t->job.v->made = true;
		r = volume_record(t->job.vs, t->job.v, &e);
	} else {
		err_wrap(&e, "create %s", t->job.v->name);
	}
	if (r < 0)
		take_end(t, r, &e);
	else
		next_step(t);
}

static int step_make(struct take_job *t, struct err *e)
{
	struct volume *v = t->job.v;
	int r;

	if (volume_is_local(v) || v->made)
		return 0;
	t->call.done = was_made;
	r = volume_call(t->job.vs, v->driver, "Create", v->name, NULL, v->options, &t->call, e);
	return r < 0 ? r : 1;
}

static int take_place(struct take_job *t, yyjson_val *answer, struct err *e)
{
	struct volume *v = t->job.v;
	const char *place = "";
	int r = json_get_text(answer, "Mountpoint", &place, e);

	if (r == 0)
		r = volume_place_check(t->job.vs, place, e);
	if (r < 0)
		return err_wrap(e, "plugin \"%s\": VolumeDriver.Mount", v->driver);
	return str_set(&v->mountpoint, place) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static void was_mounted(struct plugin_call *c, int r, yyjson_val *answer, const struct err *why)
{
	struct take_job *t = container_of(c, struct take_job, call);
	struct volume *v = t->job.v;
	struct err e = *why;

	if (r < 0) /* it says that it did not: there is nothing to give back */
		(void)user_remove(v, t->user);
	else
		r = take_place(t, answer, &e);
	if (r < 0) {
		err_wrap(&e, "error while mounting volume '%s'", v->name);
		take_end(t, r, &e);
	} else {
		next_step(t);
	}
}

static int mount_local(struct take_job *t, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(WORKER_BODY_MAX);
	const struct volume *v = t->job.v;
	struct json_writer w;
	int r = mount_is_point(AT_FDCWD, v->mountpoint);

	if (r < 0)
		return err_errno(e, -r, "cannot look at the volume %s", v->name);
	if (r == 1)
		return 0;
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_str(&w, "op", VOLUME_OP_MOUNT);
	json_member_str(&w, "target", v->mountpoint);
	json_key(&w, "options");
	json_strv(&w, v->options);
	json_end_object(&w);
	r = run_worker(t, &b, MOUNT_MS, e);
	return r < 0 ? r : 1;
}

static int step_mount(struct take_job *t, struct err *e)
{
	struct volume *v = t->job.v;
	int r;

	if (!counts_users(v))
		return 0;
	r = user_add(v, t->user, e);
	if (r < 0 || volume_is_local(v))
		return r < 0 ? r : mount_local(t, e);
	t->call.done = was_mounted;
	r = volume_call(t->job.vs, v->driver, "Mount", v->name, t->user, NULL, &t->call, e);
	return r < 0 ? r : 1;
}

/* 1: there is nothing in it, or a copy-up was cut off; 0: it has content of its own. */
static int wants_copy(const char *folder, const struct volume *v, struct err *e)
{
	_cleanup_(mem_free) char *mark = str_printf("%s/" VOLUME_COPYING, folder);
	struct dirent *d;
	bool empty = true;
	DIR *dir;
	int fd;

	if (!mark)
		return err_set(e, ENOMEM, "out of memory");
	if (access(mark, F_OK) == 0)
		return 1;
	fd = open(v->mountpoint, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int code = errno;

		fd_close(fd);
		return err_errno(e, code, "cannot open the volume %s", v->name);
	}
	while (empty && (d = readdir(dir))) /* every new ext4 has lost+found */
		empty = str_eq(d->d_name, ".") || str_eq(d->d_name, "..") ||
			(v->mounts && str_eq(d->d_name, "lost+found"));
	closedir(dir);
	return empty;
}

static int step_copy(struct take_job *t, struct err *e)
{
	_cleanup_(mem_free) char *folder = volume_folder(t->job.vs, t->job.v->name);
	_cleanup_(buf_free) struct buf b = BUF_INIT(WORKER_BODY_MAX);
	struct json_writer w;
	int r;

	if (!folder)
		return err_set(e, ENOMEM, "out of memory");
	if (!t->copy || !t->layers)
		return 0;
	r = wants_copy(folder, t->job.v, e);
	if (r <= 0)
		return r;
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_str(&w, "op", VOLUME_OP_COPY);
	json_member_str(&w, "folder", folder);
	json_member_str(&w, "data", t->job.v->mountpoint);
	json_member_str(&w, "path", t->path);
	json_key(&w, "layers");
	json_strv(&w, t->layers);
	json_end_object(&w);
	r = run_worker(t, &b, 0, e);
	return r < 0 ? r : 1;
}

static void next_step(struct take_job *t)
{
	static int (*const steps[])(struct take_job * t, struct err * e) = { step_make, step_mount,
									     step_copy };
	struct err e = { 0 };
	int r = 0;

	while (r == 0 && t->step < ARRAY_SIZE(steps))
		r = steps[t->step++](t, &e);
	if (r <= 0)
		take_end(t, r, &e);
}

static void take_begin(struct volume_job *job)
{
	next_step(container_of(job, struct take_job, job));
}

/* ---- taking, and giving back ---- */

int volume_take(struct volumes *vs, struct loop *loop, const struct volume_take *q,
		struct copy_up *c, struct err *e)
{
	struct volume *v = volume_find(vs, q->name, e);
	struct take_job *t;
	int r = 0;

	if (!v)
		return -ENOENT;
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(e, ENOMEM, "out of memory");
	t->owner = c;
	t->loop = loop;
	t->copy = q->copy;
	t->user = str_dup(q->user ? q->user : "");
	t->path = str_dup(q->path ? q->path : "");
	for (size_t i = 0; r == 0 && i < q->n_layers; i++)
		r = strv_add(&t->layers, q->layers[i]);
	if (r < 0 || !t->user || !t->path) {
		take_free(t);
		return err_set(e, ENOMEM, "out of memory");
	}
	t->job.begin = take_begin;
	t->job.gone = take_gone;
	c->job = t;
	volume_job_add(vs, v, loop, &t->job);
	return 0;
}

void copy_up_cancel(struct copy_up *c)
{
	struct take_job *t = take_ptr(c->job);

	if (!t)
		return;
	worker_cancel(&t->worker);
	plugin_cancel(&t->call);
	volume_job_end(&t->job);
	take_free(t);
}

struct give_job {
	struct volume_job job;
	struct plugin_call call;
	char *user;
};

static void give_end(struct give_job *g)
{
	plugin_cancel(&g->call);
	volume_job_end(&g->job);
	free(g->user);
	free(g);
}

static void give_gone(struct volume_job *job)
{
	give_end(container_of(job, struct give_job, job));
}

static void was_given(struct plugin_call *c, int r, yyjson_val *answer, const struct err *why)
{
	struct give_job *g = container_of(c, struct give_job, call);
	struct volume *v = g->job.v;

	(void)answer;
	if (r < 0)
		log_warn("volume %s: its plugin does not give it back: %s", v->name, err_text(why));
	if (!v->users)
		(void)str_set(&v->mountpoint, "");
	give_end(g);
}

static void give_begin(struct volume_job *job)
{
	struct give_job *g = container_of(job, struct give_job, job);
	struct volume *v = job->v;
	struct err e = { 0 };

	g->call.done = was_given;
	if (volume_call(job->vs, v->driver, "Unmount", v->name, g->user, NULL, &g->call, &e) == 0)
		return;
	log_warn("volume %s: its plugin is not told that it is given back: %s", v->name,
		 err_text(&e));
	give_end(g);
}

static void unmount_local(const struct volume *v)
{
	struct err e = { 0 };

	if (v->users || mount_is_point(AT_FDCWD, v->mountpoint) != 1)
		return;
	if (mount_detach(v->mountpoint, UMOUNT_DETACH, &e) < 0)
		log_warn("volume %s: %s", v->name, err_text(&e));
}

void volume_release(struct volumes *vs, const char *name, const char *user)
{
	struct volume *v = volume_find(vs, name, NULL);
	struct give_job *g;

	if (!v || !user_remove(v, user))
		return;
	if (volume_is_local(v)) {
		if (list_empty(&v->jobs)) /* else who takes it now has it */
			unmount_local(v);
		return;
	}
	g = calloc(1, sizeof(*g));
	if (g)
		g->user = str_dup(user);
	if (!g || !g->user) {
		free(g);
		log_error("volume %s: out of memory", name);
		return;
	}
	g->job.begin = give_begin;
	g->job.gone = give_gone;
	volume_job_add(vs, v, vs->loop, &g->job);
}

void volume_taken(struct volumes *vs, const char *name, const char *user)
{
	struct volume *v = volume_find(vs, name, NULL);

	if (v && counts_users(v))
		(void)user_add(v, user, NULL);
}
