/*
 * Exec: create, start (with streams or detached), resize, inspect.
 *
 * A start with streams is hijacked first, as in Docker: what goes wrong after that is said in the
 * stream, and the exit code tells it too. The connection ends when the output is at its end and the
 * exit code is known, so that a client that asks for it then gets it.
 */
#include "engine/api/inside.h"

#include <string.h>

#include "engine/api/relay.h"
#include "engine/container/config.h"
#include "engine/container/exec.h"
#include "init/base/str.h"

struct session {
	struct relay relay;
	struct exec_start start;
	struct http_req *req; /* of a detached start */
	struct engine *en;
	char id[65]; /* of the exec */
	bool drained, ended;
};

/* The exec of params[0]; NULL: the request was answered. */
static struct exec *find(struct http_req *r)
{
	struct err e = { 0 };
	struct exec *x = execs_find(engine_of(r)->containers, r->params[0], &e);

	if (!x)
		api_fail(r, ENOENT, &e);
	return x;
}

void exec_make(struct http_req *r)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(buf_free) struct buf out = BUF_INIT(256);
	yyjson_val *root = NULL;
	struct container *c = api_container(r);
	struct json_writer w;
	struct exec *x = NULL;
	struct err e = { 0 };
	int code;

	if (!c)
		return;
	code = api_body(r, false, &doc, &root, &e);
	if (code == 0)
		code = exec_create(c, root, &x, &e);
	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	json_writer_init(&w, &out);
	json_begin_object(&w);
	json_member_str(&w, "Id", exec_id(x));
	json_end_object(&w);
	api_reply(r, 201, &out);
}

void exec_show(struct http_req *r)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(API_ANSWER_MAX);
	struct exec *x = find(r);
	struct json_writer w;

	if (!x)
		return;
	json_writer_init(&w, &out);
	exec_inspect(x, &w);
	api_reply(r, 200, &out);
}

/* ---- start ---- */

static void session_free(struct session *s)
{
	exec_start_cancel(&s->start);
	relay_clear(&s->relay);
	free(s);
}

static void finish(struct session *s)
{
	relay_finish(&s->relay);
	session_free(s);
}

static void maybe_finish(struct session *s)
{
	if (s->drained && s->ended)
		finish(s);
}

static void on_relay_end(struct relay *r, enum relay_end why)
{
	struct session *s = container_of(r, struct session, relay);
	struct exec *x = execs_find(s->en->containers, s->id, NULL);

	if (why == RELAY_STREAM) {
		s->drained = true;
		maybe_finish(s);
		return;
	}
	if (why == RELAY_KEYS && x)
		exec_detached(x);
	if (why == RELAY_GONE)
		session_free(s);
	else
		finish(s);
}

static void on_started(struct exec_start *start, int r, int fd, const struct err *e)
{
	struct session *s = container_of(start, struct session, start);
	char text[ERR_TEXT_MAX + 4];

	if (r < 0) {
		snprintf(text, sizeof(text), "%s\r\n", err_text(e));
		relay_say(&s->relay, text);
		finish(s);
	} else if (fd < 0) { /* no stream was asked for */
		finish(s);
	} else {
		relay_stream(&s->relay, fd);
	}
}

static void on_ended(struct exec_start *start, int exit_code)
{
	struct session *s = container_of(start, struct session, start);

	(void)exit_code;
	s->ended = true;
	maybe_finish(s);
}

/* Docker's statuses of a start that failed: 400 for what the program or the request is to blame. */
static int status_errno(int r)
{
	return r == -ENOTCONN ? EBUSY : r == -ETIMEDOUT || r == -ENOMEM ? EIO : EINVAL;
}

static void on_started_detached(struct exec_start *start, int r, int fd, const struct err *e)
{
	struct session *s = container_of(start, struct session, start);
	struct http_req *req = s->req;

	(void)fd;
	list_remove(&start->link);
	free(s);
	if (r < 0)
		api_fail(req, status_errno(r), e);
	else
		http_reply_status(req, 200);
}

static void on_ended_detached(struct exec_start *start, int exit_code)
{
	(void)start; /* never called: the link is taken back when it has started */
	(void)exit_code;
}

struct start_body {
	bool detach, tty;
	unsigned int rows, cols;
};

static int read_start(struct http_req *r, struct start_body *b, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root = NULL, *size = NULL;
	int code = api_body(r, true, &doc, &root, e);

	*b = (struct start_body){ 0 };
	if (code < 0 || !root)
		return code;
	code = json_get_bool(root, "Detach", &b->detach, e);
	if (code == 0)
		code = json_get_bool(root, "Tty", &b->tty, e);
	if (code == 0)
		code = json_get_array(root, "ConsoleSize", &size, e);
	if (code == 0 && size && b->tty && api_at_least(r, 42))
		code = console_size_of(size, &b->rows, &b->cols, e);
	return code;
}

static struct session *session_new(struct http_req *r, const struct exec *x,
				   const struct start_body *b)
{
	struct session *s = api_new(r, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct session){
		.en = engine_of(r),
		.req = r,
		.start = { .detach = b->detach,
			   .rows = b->rows,
			   .cols = b->cols,
			   .started = b->detach ? on_started_detached : on_started,
			   .ended = b->detach ? on_ended_detached : on_ended },
		.relay = { .input = exec_open_stdin(x),
			   .ends_with_input = exec_tty(x),
			   .stream_frames = !exec_tty(x),
			   .client_frames = !b->tty,
			   .has_keys = exec_tty(x),
			   .ended = on_relay_end },
	};
	(void)keys_parse(exec_detach_keys(x), &s->relay.keys.seq, NULL);
	(void)str_copy(s->id, sizeof(s->id), exec_id(x));
	return s;
}

static void start_detached(struct session *s, struct exec *x)
{
	struct http_req *r = s->req;
	struct err e = { 0 };
	int code = exec_start(x, &s->start, &e);

	if (code == 0)
		return; /* a client that leaves changes nothing */
	free(s);
	api_fail(r, code == -EBUSY ? code : status_errno(code), &e);
}

static void start_attached(struct session *s, struct exec *x, const struct start_body *b)
{
	struct http_req *r = s->req;
	char text[ERR_TEXT_MAX + 4];
	struct err e = { 0 };

	http_hijack(r, !b->tty && r->head->upgrade && api_at_least(r, 42)
			       ? "application/vnd.docker.multiplexed-stream"
			       : "application/vnd.docker.raw-stream");
	relay_begin(&s->relay, r, s->en->loop);
	if (exec_start(x, &s->start, &e) == 0)
		return;
	snprintf(text, sizeof(text), "%s\r\n", err_text(&e));
	relay_say(&s->relay, text);
	finish(s);
}

void exec_run(struct http_req *r)
{
	struct exec *x = find(r);
	struct start_body b;
	struct session *s;
	struct err e = { 0 };
	int code;

	if (!x)
		return;
	code = read_start(r, &b, &e);
	if (code == 0)
		code = exec_check(x, &e);
	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	s = session_new(r, x, &b);
	if (!s)
		return;
	if (b.detach)
		start_detached(s, x);
	else
		start_attached(s, x, &b);
}

/* ---- resize ---- */

struct resize {
	struct container_op op;
	struct http_req *req;
};

static void resized(struct container_op *op, int r, const struct err *e)
{
	struct resize *z = container_of(op, struct resize, op);

	if (r < 0)
		api_fail(z->req, r == -ENOTCONN ? EBUSY : r, e);
	else
		http_reply_status(z->req, 200);
	free(z);
}

static int read_side(struct http_req *r, const char *key, unsigned int *ret, struct err *e)
{
	int64_t n = -1;
	int code = http_query_i64(r, key, &n, e);

	if (code < 0)
		return code;
	if (n < 0 || n > UINT16_MAX)
		return err_set(e, EINVAL, "%s: must be a number from 0 to %d", key, UINT16_MAX);
	*ret = (unsigned int)n;
	return 0;
}

/* NULL: the request was answered. */
static struct resize *resize_new(struct http_req *r, unsigned int *rows, unsigned int *cols)
{
	struct err e = { 0 };
	int code = read_side(r, "h", rows, &e);
	struct resize *z = NULL;

	if (code == 0)
		code = read_side(r, "w", cols, &e);
	if (code == 0) {
		z = calloc(1, sizeof(*z));
		if (!z)
			code = err_set(&e, EAGAIN, "out of memory");
	}
	if (!z) {
		api_fail(r, code, &e);
		return NULL;
	}
	*z = (struct resize){ .op = { .done = resized }, .req = r };
	list_init(&z->op.link);
	return z;
}

void resize_exec(struct http_req *r)
{
	struct exec *x = find(r);
	unsigned int rows, cols;
	struct resize *z = x ? resize_new(r, &rows, &cols) : NULL;

	if (z)
		exec_set_size(x, rows, cols, &z->op);
}

void resize_container(struct http_req *r)
{
	struct container *c = api_container(r);
	unsigned int rows, cols;
	struct resize *z = c ? resize_new(r, &rows, &cols) : NULL;

	if (z)
		container_resize(c, rows, cols, &z->op);
}
