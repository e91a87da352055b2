/*
 * POST /images/{name}/push: images to their registry, progress as JSON lines.
 *
 * What is wrong with the request is a plain status; behind the first line ("The push refers to
 * ...") everything is a line, also a failure. A client that leaves ends the push, as in Docker.
 */
#include "engine/api/inside.h"

#include <string.h>

#include "engine/registry/push.h"
#include "init/base/str.h"

struct push {
	struct registry_push op;
	struct http_req *req;
	bool streaming;
};

static void push_free(struct push *p)
{
	registry_push_cancel(&p->op);
	free(p);
}

static void on_gone(struct http_req *r)
{
	push_free(r->data);
}

static void write_line(struct json_writer *w, const struct push_progress *line)
{
	json_begin_object(w);
	if (line->status)
		json_member_str(w, "status", line->status);
	if (line->id || !line->status) {
		json_key(w, "progressDetail");
		json_begin_object(w);
		if (line->total > 0) {
			json_member_i64(w, "current", line->current);
			json_member_i64(w, "total", line->total);
		}
		json_end_object(w);
	}
	if (line->id)
		json_member_str(w, "id", line->id);
	if (!line->status) {
		json_key(w, "aux");
		json_begin_object(w);
		json_member_str(w, "Tag", line->tag);
		json_member_str(w, "Digest", line->digest);
		json_member_i64(w, "Size", line->size);
		json_end_object(w);
	}
	json_end_object(w);
}

static void on_progress(struct registry_push *op, const struct push_progress *line)
{
	struct push *p = container_of(op, struct push, op);
	_cleanup_(buf_free) struct buf b = BUF_INIT(8 << 10);
	struct json_writer w;

	json_writer_init(&w, &b);
	write_line(&w, line);
	api_line(p->req, &p->streaming, &b, line->total > 0);
}

static void on_pushed(struct registry_push *op, const char *name)
{
	struct push *p = container_of(op, struct push, op);
	struct event_attr attr = { "name", name };
	const struct event ev = {
		.type = "image", .action = "push", .id = name, .attrs = &attr, .n_attrs = 1
	};

	events_publish(engine_of(p->req)->events, &ev);
}

static void on_done(struct registry_push *op, int code, const struct err *e)
{
	struct push *p = container_of(op, struct push, op);
	struct http_req *r = p->req;

	if (code < 0)
		api_error_line(r, &p->streaming, err_text(e));
	free(p);
	http_stream_end(r);
}

void images_push(struct http_req *r)
{
	_cleanup_(registry_auth_free) struct registry_auth auth = { 0 };
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	const char *tag = http_query(r, "tag");
	struct image_platform platform = { 0 };
	struct push *p = api_new(r, sizeof(*p));
	struct err e = { 0 };
	int code;

	if (!p)
		return;
	*p = (struct push){ .req = r };
	p->op.progress = on_progress;
	p->op.pushed = on_pushed;
	p->op.done = on_done;
	registry_auth_read(http_header_get(r, "X-Registry-Auth"), &auth);
	code = api_image_platform(r, &doc, &platform, &e);
	if (code == 0)
		code = registry_push(engine_of(r)->registry, r->params[0],
				     str_empty(tag) ? NULL : tag, doc ? &platform : NULL, &auth,
				     &p->op, &e);
	if (code < 0) {
		free(p);
		api_fail(r, code, &e);
		return;
	}
	r->data = p;
	r->on_gone = on_gone;
}
