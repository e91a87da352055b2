/*
 * What describing and searching ask of the fetch worker.
 *
 *   describe  {"reference"} -> {"media_type","digest","size","platforms":[{"os",...}]}
 *   search    {"term","limit"} -> {"results":[{"name","description","star_count","is_official"}]}
 *
 * Of a search's answer only these members are read, at most `limit` results of it. Rows of the
 * table in worker_fetch.c.
 */
#include <string.h>

#include "engine/image/limits.h"
#include "engine/registry/choose.h"
#include "engine/registry/session.h"
#include "engine/registry/worker_pull.h"
#include "init/base/str.h"

enum { SEARCH_ANSWER_MAX = 1 << 20 };

/* ---- describe ---- */

static void write_platform(yyjson_val *value, struct json_writer *w)
{
	static const char *const keys[] = { "architecture", "os", "os.version", "variant" };

	json_begin_object(w);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		json_member_str(w, keys[i], yyjson_get_str(yyjson_obj_get(value, keys[i])));
	json_end_object(w);
}

/* Those of the index's entries; of a manifest the one that its config names. */
static int write_platforms(struct session *s, const struct document *top, struct json_writer *w,
			   struct err *e)
{
	_cleanup_(document_free) struct document config = { 0 };
	yyjson_val *root = yyjson_doc_get_root(top->doc), *list, *value;
	size_t i, max;
	int r = 0;

	json_key(w, "platforms");
	json_begin_array(w);
	list = yyjson_obj_get(root, "manifests");
	yyjson_arr_foreach(list, i, max, value)
	{
		yyjson_val *platform = yyjson_obj_get(value, "platform");

		if (yyjson_is_obj(platform))
			write_platform(platform, w);
	}
	if (top->kind == DOCUMENT_MANIFEST) {
		r = worker_get_config(s, top, &config, e);
		if (r == 0)
			r = document_parse(buf_text(&config.text), config.text.len, &config.doc, e);
		if (r == 0)
			write_platform(yyjson_doc_get_root(config.doc), w);
	}
	json_end_array(w);
	return r;
}

static int describe_here(struct session *s, struct worker_call *call, const char *reference,
			 struct err *e)
{
	_cleanup_(document_free) struct document top = { 0 };
	const char *own = NULL;
	struct json_writer w;
	int r = worker_get_manifest(s, reference, NULL, &top, e);

	if (r < 0)
		return r;
	buf_reset(&call->result);
	json_writer_init(&w, &call->result);
	json_begin_object(&w);
	own = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(top.doc), "mediaType"));
	json_member_str(&w, "media_type", own ? own : top.content_type);
	json_member_str(&w, "digest", top.digest);
	json_member_i64(&w, "size", (int64_t)top.text.len);
	r = write_platforms(s, &top, &w, e);
	json_end_object(&w);
	return r;
}

int fetch_describe(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e)
{
	const char *reference = NULL;
	int r = json_need_text(args, "reference", &reference, e);

	for (size_t i = 0; r == 0 && i < session_place(s)->n_endpoints; i++) {
		session_use(s, i);
		do {
			r = describe_here(s, call, reference, e);
		} while (r < 0 && session_may_retry(s, r));
		if (r == 0 || i + 1 == session_place(s)->n_endpoints)
			return r;
		r = 0; /* a mirror without it: the next one */
	}
	return r;
}

/* ---- search ---- */

static void escape(const char *text, struct buf *out)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			     (*p >= '0' && *p <= '9') || strchr("-._~", *p);

		if (plain)
			buf_add_char(out, (char)*p);
		else
			buf_printf(out, "%%%02X", *p);
	}
}

static int write_results(yyjson_val *root, int64_t limit, struct json_writer *w, struct err *e)
{
	yyjson_val *results = NULL, *value;
	size_t i, max;
	int r = json_get_array(root, "results", &results, e);

	json_key(w, "results");
	json_begin_array(w);
	yyjson_arr_foreach(results, i, max, value)
	{
		const char *name = yyjson_get_str(yyjson_obj_get(value, "name"));
		const char *text = yyjson_get_str(yyjson_obj_get(value, "description"));

		if ((int64_t)i >= limit)
			break;
		if (!name)
			continue;
		json_begin_object(w);
		json_member_str(w, "name", name);
		json_member_str(w, "description", text ? text : "");
		json_member_i64(w, "star_count",
				yyjson_get_sint(yyjson_obj_get(value, "star_count")));
		json_member_bool(w, "is_official",
				 yyjson_get_bool(yyjson_obj_get(value, "is_official")));
		json_end_object(w);
	}
	json_end_array(w);
	return r;
}

static int ask(struct session *s, const char *url, struct buf *text, struct err *e)
{
	const struct request q = { .method = "GET", .url = url, .text = text };
	int r;

	for (;;) {
		_cleanup_(answer_free) struct answer a = { 0 };
		struct err why = { 0 };

		r = session_do(s, &q, &a, &why);
		if (r == 0 && a.status / 100 == 2)
			return 0;
		if (r == 0)
			r = answer_error(&a, NULL, &why);
		if (!session_may_retry(s, r))
			return err_set(e, -r, "%s", err_text(&why));
	}
}

int fetch_search(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(SEARCH_ANSWER_MAX);
	_cleanup_(buf_free) struct buf url = BUF_INIT(REGISTRY_URL_MAX);
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	const char *term = NULL;
	struct json_writer w;
	int64_t limit = 0;
	int r;

	if ((r = json_need_text(args, "term", &term, e)) < 0 ||
	    (r = json_get_i64(args, "limit", &limit, e)) < 0)
		return r;
	buf_add_text(&url, "/v1/search?q=");
	escape(term, &url);
	buf_printf(&url, "&n=%lld", (long long)limit);
	if (buf_failed(&url))
		return err_set(e, EINVAL, "the search term is too long");
	r = ask(s, buf_text(&url), &text, e);
	if (r == 0)
		r = document_parse(buf_text(&text), text.len, &doc, e);
	if (r < 0)
		return err_wrap(e, "searching"), r;
	json_writer_init(&w, &call->result);
	json_begin_object(&w);
	r = write_results(yyjson_doc_get_root(doc), limit, &w, e);
	json_end_object(&w);
	return r;
}
