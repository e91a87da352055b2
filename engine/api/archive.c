/*
 * A container's files: HEAD, GET and PUT of /archive, /export, /changes.
 *
 * The bytes come from or go to a worker (container/files.h), with back-pressure in both directions.
 * An answer with output begins when there is something to send; a failure before is a plain status,
 * one behind it breaks the stream off.
 */
#include "engine/api/inside.h"

#include <string.h>

#include "engine/container/files.h"
#include "init/base/str.h"

enum { CHUNK = 32 << 10 };

struct transfer {
	struct files_op op;
	struct http_req *req;
	const char *type; /* of the output */
	struct buf pending; /* bytes of the body that the worker did not take */
	bool streaming, input_ended;
	char chunk[CHUNK];
};

static void transfer_free(struct transfer *t)
{
	container_files_cancel(&t->op);
	buf_free(&t->pending);
	free(t);
}

static void on_gone(struct http_req *r)
{
	transfer_free(r->data);
}

/* ---- output ---- */

static void begin(struct transfer *t)
{
	if (!t->streaming)
		http_stream_begin(t->req, 200, t->type);
	t->streaming = true;
}

static void pump(struct transfer *t)
{
	size_t room, n;

	while ((room = http_stream_room(t->req)) > 0) {
		n = container_files_read(&t->op, t->chunk, MIN(room, sizeof(t->chunk)));
		if (n == 0)
			return;
		begin(t);
		if (http_stream_write(t->req, t->chunk, n) < 0)
			return; /* the client has gone: on_gone follows */
	}
	container_files_pause(&t->op, true);
}

static void on_readable(struct files_op *op)
{
	pump(container_of(op, struct transfer, op));
}

static void on_drained(struct http_req *r)
{
	struct transfer *t = r->data;

	container_files_pause(&t->op, false);
	pump(t);
}

static void on_found(struct files_op *op, const char *json)
{
	struct transfer *t = container_of(op, struct transfer, op);
	_cleanup_(mem_free) char *text = base64_encode(json, strlen(json));

	http_header(t->req, "X-Docker-Container-Path-Stat", text ? text : "");
	if (op->q.kind == FILES_GET)
		begin(t);
}

/* ---- input ---- */

/* Gives the worker what it takes; while it takes nothing, the rest waits in the client's socket. */
static void push(struct transfer *t)
{
	size_t n = 1;

	while (t->pending.len > 0 && n > 0) {
		n = container_files_write(&t->op, t->pending.data, t->pending.len);
		buf_consume(&t->pending, n);
	}
	if (t->pending.len > 0) {
		http_body_pause(t->req);
		return;
	}
	if (t->input_ended)
		container_files_end_input(&t->op);
	http_body_resume(t->req);
}

static void on_room(struct files_op *op)
{
	push(container_of(op, struct transfer, op));
}

static void on_body(struct http_req *r, const char *data, size_t len)
{
	struct transfer *t = r->data;

	if (buf_add(&t->pending, data, len) < 0) {
		transfer_free(t);
		http_reply_error(r, 503, "out of memory");
		return;
	}
	push(t);
}

static void on_body_end(struct http_req *r)
{
	struct transfer *t = r->data;

	t->input_ended = true;
	push(t);
}

/* ---- the end ---- */

static void on_done(struct files_op *op, int code, const struct err *e)
{
	struct transfer *t = container_of(op, struct transfer, op);
	struct http_req *r = t->req;
	bool streaming = t->streaming;

	transfer_free(t);
	if (streaming && code < 0)
		http_stream_abort(r);
	else if (streaming)
		http_stream_end(r);
	else if (code < 0)
		api_fail(r, code, e);
	else
		http_reply_status(r, 200);
}

/* Takes q->kind and its options; reads the path when the operation has one. */
static void start(struct http_req *r, struct files_request *q, const char *type)
{
	struct container *c = api_container(r);
	struct transfer *t;
	struct err e = { 0 };
	int code;

	if (!c)
		return;
	q->asked = r->params[0];
	if (q->kind != FILES_EXPORT && q->kind != FILES_CHANGES) {
		q->path = http_query(r, "path");
		if (str_empty(q->path)) {
			http_reply_error(r, 400, "bad parameter: 'path' cannot be empty");
			return;
		}
	}
	t = api_new(r, sizeof(*t));
	if (!t)
		return;
	t->req = r;
	t->type = type;
	t->pending = BUF_INIT(4 * HTTP_READ_SIZE);
	t->op.found = on_found;
	t->op.readable = on_readable;
	t->op.room = on_room;
	t->op.done = on_done;
	code = container_files_start(c, q, &t->op, &e);
	if (code < 0) {
		free(t);
		api_fail(r, code, &e);
		return;
	}
	r->data = t;
	r->on_body = on_body;
	r->on_body_end = on_body_end;
	r->on_drained = on_drained;
	r->on_gone = on_gone;
}

void archive_stat(struct http_req *r)
{
	start(r, &(struct files_request){ .kind = FILES_STAT }, NULL);
}

void archive_get(struct http_req *r)
{
	start(r, &(struct files_request){ .kind = FILES_GET }, "application/x-tar");
}

void archive_put(struct http_req *r)
{
	start(r,
	      &(struct files_request){
		      .kind = FILES_PUT,
		      .keep_kind = http_query_bool(r, "noOverwriteDirNonDir", false),
		      .own = http_query_bool(r, "copyUIDGID", false),
	      },
	      NULL);
}

void archive_export(struct http_req *r)
{
	start(r, &(struct files_request){ .kind = FILES_EXPORT }, "application/octet-stream");
}

void archive_changes(struct http_req *r)
{
	start(r, &(struct files_request){ .kind = FILES_CHANGES }, "application/json");
}
