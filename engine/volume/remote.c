/*
 * The driver of volumes that a plugin has: what is asked of it on its own (volume.h), and the
 * words of the protocol. The taking of volumes is in take.c.
 *
 * A plugin's answers are somebody else's: a mount point has to be a directory that is not the
 * machine's own, names and texts are bounded, and what has a record here counts more than what a
 * plugin says of it.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/volume/inside.h"
#include "init/base/log.h"
#include "init/base/path.h"
#include "init/base/str.h"

enum { SEEN_MAX = 4096 /* volumes of all plugins that one survey shows */ };

/* ---- the words ---- */

/* Methods that work on storage have the longer time. */
static bool is_slow(const char *method)
{
	static const char *const slow[] = { "Create", "Remove", "Mount", "Unmount", NULL };

	return strv_has((char *const *)slow, method);
}

static void write_options(struct json_writer *w, char *const *options)
{
	json_key(w, "Opts");
	json_begin_object(w);
	for (; options && *options; options++) {
		size_t n = strcspn(*options, "=");
		_cleanup_(mem_free) char *key = strndup(*options, n);

		json_member_str(w, key ? key : "", (*options)[n] ? *options + n + 1 : "");
	}
	json_end_object(w);
}

int volume_call(struct volumes *vs, const char *driver, const char *method, const char *name,
		const char *id, char *const *options, struct plugin_call *c, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(WORKER_BODY_MAX / 4);
	struct plugin_request q = {
		.plugin = driver, .kind = VOLUME_DRIVER, .method = method, .slow = is_slow(method)
	};
	struct json_writer w;

	if (!vs->plugins)
		return err_set(e, ENOENT, "plugin \"%.64s\" not found", driver);
	json_writer_init(&w, &b);
	json_begin_object(&w);
	if (name)
		json_member_str(&w, "Name", name);
	if (id)
		json_member_str(&w, "ID", id);
	if (str_eq(method, "Create"))
		write_options(&w, options);
	json_end_object(&w);
	if (buf_failed(&b))
		return err_errno(e, -buf_failed(&b), "cannot build the request to the plugin");
	q.body = buf_text(&b);
	return plugin_call(vs->plugins, c, &q, e);
}

/* Where nothing of a plugin is: below these the machine's own things lie. */
static const char *const forbidden[] = { "/proc", "/sys", "/dev", "/run/skerry" };

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (!path[n] || path[n] == '/');
}

static bool is_machines(const struct volumes *vs, const char *path)
{
	size_t n = strlen(vs->dir), state = n - strlen("/volumes");
	_cleanup_(mem_free) char *dir = strndup(vs->dir, state);

	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++)
		if (is_below(path, forbidden[i]))
			return true;
	if (!dir || str_eq(path, "/"))
		return true;
	/* a plugin in a container may keep its volumes in one of ours */
	if (is_below(path, vs->dir))
		return !strstr(path + n, "/" VOLUME_DATA "/");
	return is_below(path, dir) || is_below(dir, path);
}

int volume_place_check(const struct volumes *vs, const char *path, struct err *e)
{
	_cleanup_(fd_close) int fd = -1;
	char real[PATH_MAX], clean[PATH_MAX], link[32];
	ssize_t n;

	if (path[0] != '/' || path_clean(clean, sizeof(clean), path) < 0 || !str_eq(clean, path))
		return err_set(e, EBADMSG,
			       "its mount point \"%.100s\" should be an absolute path without "
			       "detours",
			       path);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, EBADMSG, "its mount point %.200s: %s", path, strerror(errno));
	n = readlink(path_of_fd(link, fd), real, sizeof(real) - 1);
	real[MAX(n, 0)] = '\0';
	if (is_machines(vs, real))
		return err_set(e, EBADMSG,
			       "its mount point %.200s is the machine's own: a volume has to be "
			       "somewhere else",
			       path);
	return 0;
}

/* ---- one question ---- */

struct op_job {
	struct volume_job job;
	struct volume_op *op;
	struct plugin_call call;
	const char *method;
	bool force;
	struct err why;
	bool asked_scope;
};

static void op_end(struct op_job *j, int r, const struct err *why)
{
	struct volume_op *op = j->op;
	struct err e = { 0 };

	if (r < 0)
		e = *why;
	plugin_cancel(&j->call);
	volume_job_end(&j->job);
	free(j);
	op->job = NULL;
	op->done(op, r, &e);
}

static void op_gone(struct volume_job *job)
{
	struct op_job *j = container_of(job, struct op_job, job);
	struct err e = { 0 };

	if (job->vs->ending) {
		plugin_cancel(&j->call);
		j->op->job = NULL;
		free(j);
		return;
	}
	err_set(&e, ENOENT, "no such volume: it was removed");
	op_end(j, -ENOENT, &e);
}

static void forget(struct op_job *j)
{
	struct err e = { 0 };
	int r = volume_forget(j->job.vs, j->job.v, &j->job, &e);

	op_end(j, r, &e);
}

/* Only what is an object, and not too long. */
static void take_look(struct op_job *j, yyjson_val *answer)
{
	yyjson_val *volume = NULL, *status = NULL;

	if (json_get_object(answer, "Volume", &volume, NULL) < 0 || !volume)
		return;
	(void)json_get_copy(volume, "Mountpoint", &j->op->mountpoint, NULL);
	if (json_get_object(volume, "Status", &status, NULL) == 0 && status)
		j->op->status = yyjson_val_write(status, 0, NULL);
}

static void scope_known(struct plugin_call *c, int r, yyjson_val *answer, const struct err *why)
{
	struct op_job *j = container_of(c, struct op_job, call);
	yyjson_val *caps = NULL;
	const char *scope = NULL;

	(void)why; /* many plugins do not know the question: then it is this machine's */
	if (r == 0 && json_get_object(answer, "Capabilities", &caps, NULL) == 0 &&
	    json_get_text(caps, "Scope", &scope, NULL) == 0)
		j->op->global = str_eq(scope, "global");
	op_end(j, 0, NULL);
}

static void answered(struct plugin_call *c, int r, yyjson_val *answer, const struct err *why)
{
	struct op_job *j = container_of(c, struct op_job, call);
	struct volume *v = j->job.v;
	struct err e = *why;

	if (str_eq(j->method, "Remove") && (r == 0 || j->force)) {
		if (r < 0)
			log_warn("volume %s is removed by force: %s", v->name, err_text(why));
		forget(j);
		return;
	}
	if (r < 0) {
		err_wrap(&e, "%s %s",
			 str_eq(j->method, "Remove")   ? "remove"
			 : str_eq(j->method, "Create") ? "create"
						       : "get",
			 v->name);
	} else if (str_eq(j->method, "Create")) {
		v->made = true;
		r = volume_record(j->job.vs, v, &e);
	} else {
		take_look(j, answer);
		j->call.done = scope_known;
		if (volume_call(j->job.vs, v->driver, "Capabilities", NULL, NULL, NULL, &j->call,
				NULL) == 0)
			return;
	}
	op_end(j, r, &e);
}

/* Whether the plugin has nothing to say to it. */
static bool nothing_to_ask(const struct op_job *j)
{
	const struct volume *v = j->job.v;

	return volume_is_local(v) || v->made == str_eq(j->method, "Create");
}

static void op_begin(struct volume_job *job)
{
	struct op_job *j = container_of(job, struct op_job, job);
	struct volume *v = job->v;
	struct err e = { 0 };
	int r = 0;

	if (!nothing_to_ask(j)) {
		j->call.done = answered;
		r = volume_call(job->vs, v->driver, j->method, v->name, NULL, v->options, &j->call,
				&e);
		if (r == 0)
			return;
		if (j->force)
			log_warn("volume %s is removed by force: %s", v->name, err_text(&e));
	}
	if (str_eq(j->method, "Remove") && (r == 0 || j->force))
		forget(j);
	else
		op_end(j, r, &e);
}

static int op_start(struct volumes *vs, const char *name, const char *method, bool force,
		    struct volume_op *op, struct err *e)
{
	struct volume *v = volume_find(vs, name, e);
	struct op_job *j;

	if (!v)
		return -ENOENT;
	j = calloc(1, sizeof(*j));
	if (!j)
		return err_set(e, ENOMEM, "out of memory");
	j->op = op;
	j->method = method;
	j->force = force;
	j->job.begin = op_begin;
	j->job.gone = op_gone;
	op->job = j;
	volume_job_add(vs, v, vs->loop, &j->job);
	return 0;
}

int volume_op_make(struct volumes *vs, const char *name, struct volume_op *op, struct err *e)
{
	return op_start(vs, name, "Create", false, op, e);
}

int volume_op_look(struct volumes *vs, const char *name, struct volume_op *op, struct err *e)
{
	return op_start(vs, name, "Get", false, op, e);
}

int volume_op_drop(struct volumes *vs, const char *name, bool force, struct volume_op *op,
		   struct err *e)
{
	return op_start(vs, name, "Remove", force, op, e);
}

void volume_op_cancel(struct volume_op *op)
{
	struct op_job *j = take_ptr(op->job);

	if (!j)
		return;
	plugin_cancel(&j->call);
	volume_job_end(&j->job);
	free(j);
}

/* ---- all plugins ---- */

struct survey_call {
	struct plugin_call call;
	struct survey_job *job;
	char *driver;
};

struct survey_job {
	struct volumes *vs;
	struct volume_survey *survey;
	struct survey_call *calls;
	size_t n, left;
	struct defer_event finish;
};

static void survey_job_free(struct survey_job *j)
{
	if (!j)
		return;
	defer_remove(&j->finish);
	for (size_t i = 0; i < j->n; i++) {
		plugin_cancel(&j->calls[i].call);
		free(j->calls[i].driver);
	}
	free(j->calls);
	free(j);
}

static void survey_finish(struct defer_event *ev)
{
	struct survey_job *j = container_of(ev, struct survey_job, finish);
	struct volume_survey *s = j->survey;

	s->job = NULL;
	survey_job_free(j);
	s->done(s);
}

static void add_seen(struct survey_call *c, yyjson_val *volume)
{
	struct volume_survey *s = c->job->survey;
	const char *name = NULL, *place = "";
	struct volume_seen *grown, *seen;

	if (json_get_text(volume, "Name", &name, NULL) < 0 || str_empty(name) ||
	    strlen(name) > VOLUME_NAME_MAX ||
	    json_get_text(volume, "Mountpoint", &place, NULL) < 0 || s->n_seen == SEEN_MAX ||
	    map_has(&c->job->vs->by_name, name))
		return;
	grown = reallocarray(s->seen, s->n_seen + 1, sizeof(*grown));
	if (!grown)
		return;
	s->seen = grown;
	seen = &grown[s->n_seen];
	*seen = (struct volume_seen){ str_dup(name), str_dup(c->driver), str_dup(place) };
	if (seen->name && seen->driver && seen->mountpoint) {
		s->n_seen++;
		return;
	}
	free(seen->name);
	free(seen->driver);
	free(seen->mountpoint);
}

static void listed(struct plugin_call *call, int r, yyjson_val *answer, const struct err *why)
{
	struct survey_call *c = container_of(call, struct survey_call, call);
	struct volume_survey *s = c->job->survey;
	yyjson_val *list = NULL, *volume;
	struct err e = *why;
	size_t i, n;

	if (r == 0)
		r = json_get_array(answer, "Volumes", &list, &e);
	yyjson_arr_foreach(list, i, n, volume) add_seen(c, volume);
	/* a driver of networks, say, is no failure */
	if (r < 0 && plugin_implements(c->job->vs->plugins, c->driver, VOLUME_DRIVER) != 0)
		(void)strv_addf(&s->warnings, "list %s: %s", c->driver, err_text(&e));
	if (--c->job->left == 0)
		defer_add(c->job->vs->loop, &c->job->finish);
}

int volume_drivers(const struct volumes *vs, char ***ret_names, struct err *e)
{
	_cleanup_(strv_free) char **all = NULL;
	int r = vs->plugins ? plugins_list(vs->plugins, &all, e) : 0;

	for (char **p = all; r == 0 && p && *p; p++)
		if (plugin_implements(vs->plugins, *p, VOLUME_DRIVER) != 0 &&
		    strv_add(ret_names, *p) < 0)
			r = err_set(e, ENOMEM, "out of memory");
	return r;
}

static void survey_begin(struct survey_job *j, char *const *drivers)
{
	for (; drivers && *drivers; drivers++) {
		struct survey_call *c = &j->calls[j->n++];
		struct err e = { 0 };

		c->job = j;
		c->call.done = listed;
		c->driver = str_dup(*drivers);
		if (c->driver &&
		    volume_call(j->vs, *drivers, "List", NULL, NULL, NULL, &c->call, &e) == 0)
			j->left++;
		else
			(void)strv_addf(&j->survey->warnings, "list %s: %s", *drivers,
					err_text(&e));
	}
	if (j->left == 0)
		defer_add(j->vs->loop, &j->finish);
}

int volume_survey(struct volumes *vs, struct volume_survey *s, struct err *e)
{
	_cleanup_(strv_free) char **drivers = NULL;
	struct survey_job *j;
	int r = volume_drivers(vs, &drivers, e);

	if (r < 0)
		return r;
	j = calloc(1, sizeof(*j));
	if (j)
		j->calls = calloc(strv_len(drivers) + 1, sizeof(*j->calls));
	if (!j || !j->calls) {
		free(j);
		return err_set(e, ENOMEM, "out of memory");
	}
	j->vs = vs;
	j->survey = s;
	j->finish.fn = survey_finish;
	s->job = j;
	survey_begin(j, drivers);
	return 0;
}

void volume_survey_clear(struct volume_survey *s)
{
	survey_job_free(take_ptr(s->job));
	for (size_t i = 0; i < s->n_seen; i++) {
		free(s->seen[i].name);
		free(s->seen[i].driver);
		free(s->seen[i].mountpoint);
	}
	free(take_ptr(s->seen));
	s->n_seen = 0;
	strv_free(take_ptr(s->warnings));
}
