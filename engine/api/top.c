/*
 * top: the processes of a container, asked of container/ and written as Docker does.
 */
#include "engine/api/inside.h"

#include "engine/container/top.h"

struct top {
	struct container_top op;
	struct http_req *req;
};

static void top_done(struct container_top *op, int r, yyjson_val *titles, yyjson_val *rows,
		     const struct err *e)
{
	struct top *t = container_of(op, struct top, op);
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct json_writer w;

	if (r < 0) {
		api_fail(t->req, r, e);
	} else {
		json_writer_init(&w, &b);
		json_begin_object(&w);
		json_key(&w, "Processes");
		json_value(&w, rows);
		json_key(&w, "Titles");
		json_value(&w, titles);
		json_end_object(&w);
		api_reply(t->req, 200, &b);
	}
	free(t);
}

static void top_gone(struct http_req *r)
{
	struct top *t = r->data;

	container_top_cancel(&t->op);
	free(t);
}

void top_read(struct http_req *r)
{
	struct container *c = api_container(r);
	struct err e = { 0 };
	struct top *t;
	int code;

	if (!c)
		return;
	t = api_new(r, sizeof(*t));
	if (!t)
		return;
	t->req = r;
	t->op.done = top_done;
	code = container_top(c, http_query(r, "ps_args"), &t->op, &e);
	if (code < 0) {
		free(t);
		api_fail(r, code, &e);
		return;
	}
	r->data = t;
	r->on_gone = top_gone;
}
