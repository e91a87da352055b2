/*
 * GET /distribution/{name}/json and GET /images/search: questions to registries.
 */
#include "engine/api/inside.h"

#include "engine/api/filters.h"
#include "engine/registry/lookup.h"
#include "init/base/str.h"

struct question {
	struct registry_lookup op;
	struct http_req *req;
};

static void on_gone(struct http_req *r)
{
	struct question *q = r->data;

	registry_lookup_cancel(&q->op);
	free(q);
}

static void on_done(struct registry_lookup *op, int code, const struct buf *json,
		    const struct err *e)
{
	struct question *q = container_of(op, struct question, op);
	_cleanup_(buf_free) struct buf copy = BUF_INIT(API_ANSWER_MAX);
	struct http_req *r = q->req;

	free(q);
	if (code < 0) {
		api_fail(r, code, e);
		return;
	}
	buf_add(&copy, json->data, json->len);
	api_reply(r, 200, &copy);
}

static struct question *question_new(struct http_req *r)
{
	struct question *q = api_new(r, sizeof(*q));

	if (q) {
		q->req = r;
		q->op.done = on_done;
	}
	return q;
}

/* It runs, or the request is answered. */
static void asked(struct question *q, int code, const struct err *e)
{
	struct http_req *r = q->req;

	if (code < 0) {
		free(q);
		api_fail(r, code, e);
		return;
	}
	r->data = q;
	r->on_gone = on_gone;
}

void distribution_inspect(struct http_req *r)
{
	_cleanup_(registry_auth_free) struct registry_auth auth = { 0 };
	struct question *q = question_new(r);
	struct err e = { 0 };

	if (!q)
		return;
	registry_auth_read(http_header_get(r, "X-Registry-Auth"), &auth);
	asked(q, registry_describe(engine_of(r)->registry, r->params[0], &auth, &q->op, &e), &e);
}

/* ---- search ---- */

/* limit=: a number, or absent */
static int read_limit(struct http_req *r, int *ret, struct err *e)
{
	const char *text = http_query(r, "limit");
	int64_t value = 0;

	if (str_empty(text))
		return 0;
	if (str_to_i64(text, &value) < 0 || value < 0 || value > INT32_MAX)
		return err_set(e, EINVAL, "invalid limit specified: %s", text);
	*ret = (int)value;
	return 0;
}

static int read_filters(struct filters *f, struct registry_search *q, bool *ret_none, struct err *e)
{
	bool official = false;
	int64_t stars = 0;
	int code = filters_bool(f, "is-official", &official, e);

	if (code == 0)
		code = filters_bool(f, "is-automated", ret_none, e);
	if (code < 0)
		return code;
	q->only_official = filters_has(f, "is-official") && official;
	q->only_unofficial = filters_has(f, "is-official") && !official;
	for (size_t i = 0; filters_value(f, "stars", i); i++) {
		const char *text = filters_value(f, "stars", i);

		if (str_to_i64(text, &stars) < 0)
			return err_set(e, EINVAL, "invalid filter 'stars=%s'", text);
		q->stars = MAX(q->stars, stars);
	}
	return 0;
}

static int read_search(struct http_req *r, struct registry_search *q, bool *ret_none, struct err *e)
{
	static const char *const allowed[] = { "is-automated", "is-official", "stars", NULL };
	struct filters *f = NULL;
	int code;

	q->term = http_query(r, "term");
	code = read_limit(r, &q->limit, e);
	if (code == 0)
		code = filters_parse(http_query(r, "filters"), allowed, &f, e);
	if (code == 0)
		code = read_filters(f, q, ret_none, e);
	filters_free(f);
	return code;
}

void images_search(struct http_req *r)
{
	_cleanup_(registry_auth_free) struct registry_auth auth = { 0 };
	struct registry_search search = { 0 };
	struct question *q = NULL;
	struct err e = { 0 };
	bool none = false; /* automated builds, of which there are none any more */
	int code = read_search(r, &search, &none, &e);

	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	if (none) {
		answer_empty_list(r);
		return;
	}
	q = question_new(r);
	if (!q)
		return;
	registry_auth_read(http_header_get(r, "X-Registry-Auth"), &auth);
	asked(q, registry_search(engine_of(r)->registry, &search, &auth, &q->op, &e), &e);
}
