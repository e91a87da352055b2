/*
 * Verbs of a container: start, stop, restart, kill, pause, unpause, remove, wait.
 *
 * Each is an operation of container/ that ends later; the answer follows then. When the client goes
 * away first, the operation goes on and only the answer is lost.
 */
#include "engine/api/inside.h"

#include "init/base/spawn.h"
#include "init/base/str.h"

struct verb {
	struct container_op op;
	struct http_req *req;
	const char *failed; /* what Docker puts in front of an error, with the name; or NULL */
};

/* An error as Docker words it: "cannot kill container: web: container ... is not running". */
static void verb_fail(struct http_req *r, const char *failed, int error, const struct err *e)
{
	struct err text = *e;

	if (failed && api_status(error) != 304)
		err_wrap(&text, "%s: %.80s", failed, r->params[0]);
	api_fail(r, error, &text);
}

static void verb_done(struct container_op *op, int r, const struct err *e)
{
	struct verb *v = container_of(op, struct verb, op);

	if (r < 0)
		verb_fail(v->req, v->failed, r, e);
	else
		http_reply_status(v->req, 204);
	free(v);
}

static struct verb *verb_new(struct http_req *r)
{
	struct verb *v = api_new(r, sizeof(*v));

	if (!v)
		return NULL;
	v->op.done = verb_done;
	list_init(&v->op.link);
	v->req = r;
	return v;
}

void verb_start(struct http_req *r)
{
	struct container *c = api_container(r);
	struct verb *v;

	if (!c)
		return;
	if (!str_empty(http_query(r, "checkpoint"))) {
		http_reply_error(r, 501, "checkpoints are not supported");
		return;
	}
	/* up to two bytes ("{}") pass: some clients always send an object */
	if (r->body_len > 2) {
		http_reply_error(r, 400,
				 "starting container with non-empty request body was deprecated "
				 "since API v1.22 "
				 "and removed in v1.24");
		return;
	}
	v = verb_new(r);
	if (v)
		container_start(c, &v->op);
}

static int read_signal(const struct http_req *r, int absent, int *ret_signal, struct err *e)
{
	const char *text = http_query(r, "signal");
	int n = str_empty(text) ? absent : signal_from_text(text);

	if (n < 0)
		return err_set(e, EINVAL, "invalid signal: %.60s", text);
	*ret_signal = n;
	return 0;
}

/* ?t=: absent is the container's own, negative is for ever */
static int read_timeout(const struct http_req *r, int *ret_timeout, struct err *e)
{
	int64_t t = 0;
	int code;

	if (str_empty(http_query(r, "t"))) {
		*ret_timeout = -1;
		return 0;
	}
	code = http_query_i64(r, "t", &t, e);
	if (code < 0)
		return code;
	*ret_timeout = t < 0 ? -2 : (int)MIN(t, INT32_MAX);
	return 0;
}

static void stop_or_restart(struct http_req *r,
			    void (*fn)(struct container *, int, int, struct container_op *))
{
	struct container *c = api_container(r);
	struct err e = { 0 };
	int timeout, signal, code;
	struct verb *v;

	if (!c)
		return;
	code = read_timeout(r, &timeout, &e);
	if (code == 0)
		code = read_signal(r, 0, &signal, &e);
	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	v = verb_new(r);
	if (v)
		fn(c, timeout, signal, &v->op);
}

void verb_stop(struct http_req *r)
{
	stop_or_restart(r, container_stop);
}

void verb_restart(struct http_req *r)
{
	stop_or_restart(r, container_restart);
}

#define KILL_FAILED "cannot kill container"

void verb_kill(struct http_req *r)
{
	struct container *c = api_container(r);
	struct err e = { 0 };
	struct verb *v;
	int signal;

	if (!c)
		return;
	if (read_signal(r, SIGKILL, &signal, &e) < 0) {
		verb_fail(r, KILL_FAILED, EINVAL, &e);
		return;
	}
	v = verb_new(r);
	if (!v)
		return;
	v->failed = KILL_FAILED;
	container_kill(c, signal, &v->op);
}

void verb_pause(struct http_req *r)
{
	struct container *c = api_container(r);
	struct verb *v = c ? verb_new(r) : NULL;

	if (v)
		container_pause(c, &v->op);
}

void verb_unpause(struct http_req *r)
{
	struct container *c = api_container(r);
	struct verb *v = c ? verb_new(r) : NULL;

	if (v)
		container_unpause(c, &v->op);
}

void verb_remove(struct http_req *r)
{
	struct container *c = api_container(r);
	struct verb *v;

	if (!c)
		return;
	if (http_query_bool(r, "link", false)) {
		http_reply_error(
			r, 501,
			"removing a link (link=1) is not supported: this engine has no "
			"links between containers; without link=1 the container is removed");
		return;
	}
	v = verb_new(r);
	if (v)
		container_remove(c, http_query_bool(r, "force", false),
				 http_query_bool(r, "v", false), &v->op);
}

/* --- wait ------------------------------------------------------------------------------------- */

struct waiting {
	struct container_wait w;
	struct http_req *req;
};

static void wait_done(struct container_wait *w, int exit_code, const char *error)
{
	struct waiting *wt = container_of(w, struct waiting, w);
	_cleanup_(buf_free) struct buf b = BUF_INIT(64 << 10);
	struct json_writer jw;

	json_writer_init(&jw, &b);
	json_begin_object(&jw);
	json_member_i64(&jw, "StatusCode", exit_code);
	if (error) {
		json_key(&jw, "Error");
		json_begin_object(&jw);
		json_member_str(&jw, "Message", error);
		json_end_object(&jw);
	}
	json_end_object(&jw);
	buf_add_char(&b, '\n');
	http_stream_write(wt->req, buf_text(&b), b.len);
	http_stream_end(wt->req);
	free(wt);
}

static void wait_gone(struct http_req *r)
{
	struct waiting *wt = r->data;

	container_wait_cancel(&wt->w);
	free(wt);
}

void verb_wait(struct http_req *r)
{
	struct container *c = api_container(r);
	enum container_wait_for condition;
	struct waiting *wt;
	struct err e = { 0 };

	if (!c)
		return;
	if (container_wait_condition(http_query(r, "condition"), &condition, &e) < 0) {
		api_fail(r, EINVAL, &e);
		return;
	}
	wt = api_new(r, sizeof(*wt));
	if (!wt)
		return;
	wt->req = r;
	wt->w.done = wait_done;
	wt->w.condition = condition;
	list_init(&wt->w.link);
	r->data = wt;
	r->on_gone = wait_gone;
	/* clients start the container only when they have seen these headers */
	http_stream_begin(r, 200, "application/json");
	container_wait(c, &wt->w);
}
