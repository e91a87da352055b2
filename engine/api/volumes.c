/*
 * Volumes: list, inspect, create, remove.
 */
#include "engine/api/inside.h"

#include "init/base/str.h"
#include "engine/api/filters.h"

void api_volume(struct json_writer *w, const struct volume *v, int64_t size, size_t users,
		bool usage)
{
	json_begin_object(w);
	json_key(w, "CreatedAt");
	json_time(w, v->created);
	json_member_str(w, "Driver", "local");
	api_pairs(w, "Labels", v->labels);
	json_member_str(w, "Mountpoint", v->mountpoint);
	json_member_str(w, "Name", v->name);
	api_pairs(w, "Options", v->options);
	json_member_str(w, "Scope", "local");
	if (usage) {
		json_key(w, "UsageData");
		json_begin_object(w);
		json_member_i64(w, "RefCount", (int64_t)users);
		json_member_i64(w, "Size", size);
		json_end_object(w);
	}
	json_end_object(w);
}

static const char *volume_label(const void *object, const char *label)
{
	return strv_env_get(((const struct volume *)object)->labels, label);
}

static int volumes_query(struct http_req *r, struct filters **ret_filters, bool *ret_dangling,
			 struct err *e)
{
	static const char *const allowed[] = { "dangling", "driver", "label", "name", NULL };
	int code = filters_parse(http_query(r, "filters"), allowed, ret_filters, e);

	return code < 0 ? code : filters_bool(*ret_filters, "dangling", ret_dangling, e);
}

void volumes_list(struct http_req *r)
{
	_cleanup_(filters_free) struct filters *f = NULL;
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct engine *en = engine_of(r);
	bool dangling = false;
	struct json_writer w;
	struct err e = { 0 };
	int code = volumes_query(r, &f, &dangling, &e);

	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_key(&w, "Volumes");
	json_begin_array(&w);
	for (size_t i = 0; i < volumes_count(en->volumes); i++) {
		const struct volume *v = volumes_at(en->volumes, i);
		bool unused = !containers_use_volume(en->containers, v->name, NULL);

		if ((!filters_has(f, "dangling") || unused == dangling) &&
		    filters_regex(f, "name", v->name) && filters_exact(f, "driver", "local") &&
		    filters_labels(f, "label", volume_label, v))
			api_volume(&w, v, -1, 0, false);
	}
	json_end_array(&w);
	json_key(&w, "Warnings");
	json_null(&w);
	json_end_object(&w);
	api_reply(r, 200, &b);
}

static void answer_volume(struct http_req *r, int status, const struct volume *v)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct json_writer w;

	json_writer_init(&w, &b);
	api_volume(&w, v, -1, 0, false);
	api_reply(r, status, &b);
}

void volumes_inspect(struct http_req *r)
{
	const struct volume *v;
	struct err e = { 0 };
	int code = volume_get(engine_of(r)->volumes, r->params[0], &v, &e);

	if (code < 0)
		api_fail(r, code, &e);
	else
		answer_volume(r, 200, v);
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
	if (volumes_count(en->volumes) > before)
		events_publish_volume(en->events, "create", v->name);
	answer_volume(r, 201, v);
}

void volumes_remove(struct http_req *r)
{
	struct engine *en = engine_of(r);
	struct err e = { 0 };
	size_t users = 0;
	const char *user = containers_use_volume(en->containers, r->params[0], &users);
	char text[80] = "[]";
	int code;

	if (user)
		snprintf(text, sizeof(text), "[%s]", user);
	code = volume_remove(en->volumes, r->params[0], (unsigned)users, text, &e);
	if (code == 0)
		events_publish_volume(en->events, "destroy", r->params[0]);
	if (code == -ENOENT && http_query_bool(r, "force", false))
		code = 0;
	api_verdict(r, code, &e);
}
