/*
 * Volumes: list, inspect, create, remove. Prune is in volumes_prune.c.
 *
 * What plugins are asked for takes its time: the request waits in a struct of its own, and the
 * plugin's answer, or its time-out, ends it. A client that goes away changes nothing of that.
 */
#include "engine/api/inside.h"

#include <string.h>

#include "engine/api/filters.h"
#include "init/base/str.h"

/* A volume as clients see it, wherever it is known from. */
struct shown {
	const char *name, *driver, *mountpoint, *status;
	int64_t created; /* 0: not known */
	char *const *labels, *const *options;
	bool global;
};

static void write_volume(struct json_writer *w, const struct shown *s)
{
	if (s->created) {
		json_key(w, "CreatedAt");
		json_time(w, s->created);
	}
	json_member_str(w, "Driver", s->driver);
	api_pairs(w, "Labels", s->labels);
	json_member_str(w, "Mountpoint", s->mountpoint ? s->mountpoint : "");
	json_member_str(w, "Name", s->name);
	api_pairs(w, "Options", s->options);
	json_member_str(w, "Scope", s->global ? "global" : "local");
	if (s->status) {
		json_key(w, "Status");
		json_raw(w, s->status);
	}
}

static struct shown show(const struct volume *v)
{
	return (struct shown){ .name = v->name,
			       .driver = v->driver ? v->driver : VOLUME_LOCAL,
			       .mountpoint = v->mountpoint,
			       .created = v->created,
			       .labels = v->labels,
			       .options = v->options };
}

bool api_volume_counts(const struct volume *v)
{
	return volume_is_local(v) && !v->mounts;
}

void api_volume(struct json_writer *w, const struct volume *v, int64_t size, size_t users,
		bool usage)
{
	const struct shown s = show(v);

	json_begin_object(w);
	write_volume(w, &s);
	if (usage) {
		json_key(w, "UsageData");
		json_begin_object(w);
		json_member_i64(w, "RefCount", (int64_t)users);
		json_member_i64(w, "Size", size);
		json_end_object(w);
	}
	json_end_object(w);
}

static void answer_shown(struct http_req *r, int status, const struct shown *s)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct json_writer w;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	write_volume(&w, s);
	json_end_object(&w);
	api_reply(r, status, &b);
}

static void answer_volume(struct http_req *r, int status, const struct volume *v)
{
	const struct shown s = show(v);

	answer_shown(r, status, &s);
}

/* ---- requests that wait for plugins ---- */

struct asking {
	struct http_req *req;
	struct volume_op op;
	struct volume_survey survey;
	char *name;
	bool force;
};

static void asking_free(struct asking *a)
{
	volume_survey_clear(&a->survey);
	volume_op_cancel(&a->op);
	free(a->op.status);
	free(a->op.mountpoint);
	free(a->name);
	free(a);
}

static struct asking *asking_new(struct http_req *r, const char *name)
{
	struct asking *a = api_new(r, sizeof(*a));

	if (!a)
		return NULL;
	a->req = r;
	a->name = str_dup(name);
	if (a->name)
		return a;
	asking_free(a);
	http_reply_error(r, 503, "out of memory");
	return NULL;
}

/* Ends with the error. */
static void asking_fail(struct asking *a, int code, const struct err *e)
{
	api_fail(a->req, code, e);
	asking_free(a);
}

static const struct volume_seen *seen_by_name(const struct asking *a)
{
	for (size_t i = 0; i < a->survey.n_seen; i++)
		if (str_eq(a->survey.seen[i].name, a->name))
			return &a->survey.seen[i];
	return NULL;
}

/* ---- list ---- */

static const char *volume_label(const void *object, const char *label)
{
	return strv_env_get(((const struct shown *)object)->labels, label);
}

static int volumes_query(struct http_req *r, struct filters **ret_filters, bool *ret_dangling,
			 struct err *e)
{
	static const char *const allowed[] = { "dangling", "driver", "label", "name", NULL };
	int code = filters_parse(http_query(r, "filters"), allowed, ret_filters, e);

	return code < 0 ? code : filters_bool(*ret_filters, "dangling", ret_dangling, e);
}

static bool passes(const struct filters *f, const struct shown *s)
{
	return filters_regex(f, "name", s->name) && filters_exact(f, "driver", s->driver) &&
	       filters_labels(f, "label", volume_label, s);
}

static void write_known(struct engine *en, const struct filters *f, bool dangling,
			struct json_writer *w)
{
	for (size_t i = 0; i < volumes_count(en->volumes); i++) {
		const struct volume *v = volumes_at(en->volumes, i);
		bool unused = !containers_use_volume(en->containers, v->name, NULL);
		const struct shown s = show(v);

		if ((!filters_has(f, "dangling") || unused == dangling) && passes(f, &s))
			api_volume(w, v, -1, 0, false);
	}
}

/* Those that plugins have, but we not: no container does. */
static void write_seen(const struct volume_survey *survey, const struct filters *f, bool dangling,
		       struct json_writer *w)
{
	for (size_t i = 0; i < survey->n_seen; i++) {
		const struct shown s = { .name = survey->seen[i].name,
					 .driver = survey->seen[i].driver,
					 .mountpoint = survey->seen[i].mountpoint };

		if ((filters_has(f, "dangling") && !dangling) || !passes(f, &s))
			continue;
		json_begin_object(w);
		write_volume(w, &s);
		json_end_object(w);
	}
}

static void list_answer(struct volume_survey *survey)
{
	struct asking *a = container_of(survey, struct asking, survey);
	_cleanup_(filters_free) struct filters *f = NULL;
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	bool dangling = false;
	struct json_writer w;
	struct err e = { 0 };
	int code = volumes_query(a->req, &f, &dangling, &e);

	if (code < 0) {
		asking_fail(a, code, &e);
		return;
	}
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_key(&w, "Volumes");
	json_begin_array(&w);
	write_known(engine_of(a->req), f, dangling, &w);
	write_seen(survey, f, dangling, &w);
	json_end_array(&w);
	json_key(&w, "Warnings");
	json_strv(&w, survey->warnings);
	json_end_object(&w);
	api_reply(a->req, 200, &b);
	asking_free(a);
}

void volumes_list(struct http_req *r)
{
	_cleanup_(filters_free) struct filters *f = NULL;
	struct asking *a;
	struct err e = { 0 };
	bool dangling;
	int code = volumes_query(r, &f, &dangling, &e);

	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	a = asking_new(r, "");
	if (!a)
		return;
	a->survey.done = list_answer;
	code = volume_survey(engine_of(r)->volumes, &a->survey, &e);
	if (code < 0)
		asking_fail(a, code, &e);
}

/* ---- inspect ---- */

static void looked(struct volume_op *op, int code, const struct err *e)
{
	struct asking *a = container_of(op, struct asking, op);
	const struct volume *v = NULL;
	struct err why = *e;
	struct shown s;

	if (code == 0)
		code = volume_get(engine_of(a->req)->volumes, a->name, &v, &why);
	if (code < 0) {
		asking_fail(a, code, &why);
		return;
	}
	s = show(v);
	s.status = op->status;
	s.global = op->global;
	if (str_empty(s.mountpoint))
		s.mountpoint = op->mountpoint;
	answer_shown(a->req, 200, &s);
	asking_free(a);
}

static void not_found(struct asking *a)
{
	struct err e = { 0 };

	err_set(&e, ENOENT, "get %.255s: no such volume", a->name);
	asking_fail(a, -ENOENT, &e);
}

static void inspect_surveyed(struct volume_survey *survey)
{
	struct asking *a = container_of(survey, struct asking, survey);
	const struct volume_seen *seen = seen_by_name(a);
	struct shown s;

	if (!seen) {
		not_found(a);
		return;
	}
	s = (struct shown){ .name = seen->name,
			    .driver = seen->driver,
			    .mountpoint = seen->mountpoint };
	answer_shown(a->req, 200, &s);
	asking_free(a);
}

void volumes_inspect(struct http_req *r)
{
	struct volumes *vs = engine_of(r)->volumes;
	const struct volume *v = NULL;
	struct err e = { 0 };
	struct asking *a;
	int code = volume_get(vs, r->params[0], &v, &e);

	if (code == 0 && volume_is_local(v)) {
		answer_volume(r, 200, v);
		return;
	}
	a = asking_new(r, r->params[0]);
	if (!a)
		return;
	a->op.done = looked;
	a->survey.done = inspect_surveyed;
	code = v ? volume_op_look(vs, v->name, &a->op, &e) : volume_survey(vs, &a->survey, &e);
	if (code < 0)
		asking_fail(a, code, &e);
}

/* ---- create ---- */

/* It could not be made: nothing of it stays, unless a container came to have it. */
static void unmake(struct engine *en, const char *name)
{
	const struct volume *v;

	if (!containers_use_volume(en->containers, name, NULL) &&
	    volume_get(en->volumes, name, &v, NULL) == 0 && !v->made)
		(void)volume_remove(en->volumes, name, 0, NULL, NULL);
}

static void made(struct volume_op *op, int code, const struct err *e)
{
	struct asking *a = container_of(op, struct asking, op);
	struct engine *en = engine_of(a->req);
	const struct volume *v = NULL;
	struct err why = *e;

	if (code == 0)
		code = volume_get(en->volumes, a->name, &v, &why);
	if (code < 0) {
		unmake(en, a->name);
		asking_fail(a, code, &why);
		return;
	}
	if (a->force) /* it is a new one */
		events_publish_volume(en->events, "create", v->name, v->driver);
	answer_volume(a->req, 201, v);
	asking_free(a);
}

static void make_remote(struct http_req *r, const struct volume *v, bool is_new)
{
	struct asking *a = asking_new(r, v->name);
	struct err e = { 0 };
	int code;

	if (!a)
		return;
	a->force = is_new;
	a->op.done = made;
	code = volume_op_make(engine_of(r)->volumes, v->name, &a->op, &e);
	if (code < 0)
		asking_fail(a, code, &e);
}

void volumes_create(struct http_req *r)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(strv_free) char **labels = NULL, **options = NULL;
	struct engine *en = engine_of(r);
	struct volume_want want = { 0 };
	const struct volume *v;
	yyjson_val *body = NULL;
	struct err e = { 0 };
	size_t before = volumes_count(en->volumes);
	bool is_new;
	int code = api_body(r, false, &doc, &body, &e);

	if (code == 0)
		code = json_get_text(body, "Name", &want.name, &e);
	if (code == 0)
		code = json_get_text(body, "Driver", &want.driver, &e);
	if (code == 0)
		code = api_read_pairs(body, "Labels", &labels, &e);
	if (code == 0)
		code = api_read_pairs(body, "DriverOpts", &options, &e);
	want.labels = labels;
	want.options = options;
	if (code == 0)
		code = volume_create(en->volumes, &want, &v, &e);
	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	is_new = volumes_count(en->volumes) > before;
	if (!volume_is_local(v)) {
		make_remote(r, v, is_new);
		return;
	}
	if (is_new)
		events_publish_volume(en->events, "create", v->name, v->driver);
	answer_volume(r, 201, v);
}

/* ---- remove ---- */

static void dropped(struct volume_op *op, int code, const struct err *e)
{
	struct asking *a = container_of(op, struct asking, op);

	if (code == 0)
		events_publish_volume(engine_of(a->req)->events, "destroy", a->name,
				      op->mountpoint);
	api_verdict(a->req, code == -ENOENT && a->force ? 0 : code, e);
	asking_free(a);
}

static void drop(struct asking *a, const struct volume *v)
{
	struct err e = { 0 };
	int code = str_set(&a->op.mountpoint, v->driver) < 0 /* for the event */
			   ? err_set(&e, ENOMEM, "out of memory")
			   : 0;

	a->op.done = dropped;
	if (code == 0)
		code = volume_op_drop(engine_of(a->req)->volumes, v->name, a->force, &a->op, &e);
	if (code < 0)
		asking_fail(a, code, &e);
}

static void remove_surveyed(struct volume_survey *survey)
{
	struct asking *a = container_of(survey, struct asking, survey);
	const struct volume_seen *seen = seen_by_name(a);
	const struct volume *v = NULL;
	struct err e = { 0 };
	int code;

	if (!seen && a->force) {
		http_reply_status(a->req, 204);
		asking_free(a);
		return;
	}
	if (!seen) {
		not_found(a);
		return;
	}
	code = volume_adopt(engine_of(a->req)->volumes, seen->name, seen->driver, &v, &e);
	if (code < 0)
		asking_fail(a, code, &e);
	else
		drop(a, v);
}

static int remove_local(struct http_req *r, const struct volume *v, struct err *e)
{
	_cleanup_(mem_free) char *driver = str_dup(v->driver);
	struct engine *en = engine_of(r);
	int code = volume_remove(en->volumes, r->params[0], 0, NULL, e);

	if (code == 0)
		events_publish_volume(en->events, "destroy", r->params[0], driver);
	return code;
}

void volumes_remove(struct http_req *r)
{
	struct engine *en = engine_of(r);
	const struct volume *v = NULL;
	struct err e = { 0 };
	size_t users = 0;
	const char *user = containers_use_volume(en->containers, r->params[0], &users);
	struct asking *a;
	int code;

	if (user) {
		err_set(&e, EBUSY, "remove %s: volume is in use - [%s]", r->params[0], user);
		api_fail(r, -EBUSY, &e);
		return;
	}
	if (volume_get(en->volumes, r->params[0], &v, NULL) == 0 && volume_is_local(v)) {
		code = remove_local(r, v, &e);
		api_verdict(r, code, &e);
		return;
	}
	a = asking_new(r, r->params[0]);
	if (!a)
		return;
	a->force = http_query_bool(r, "force", false);
	if (v) {
		drop(a, v);
		return;
	}
	a->survey.done = remove_surveyed;
	code = volume_survey(en->volumes, &a->survey, &e);
	if (code < 0)
		asking_fail(a, code, &e);
}
