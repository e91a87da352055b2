/*
 * The worker's side: request in, progress and one result or error out.
 *
 * A role's main function is `return worker_serve("unpack", run)`. The process has no state of its
 * own beyond the call, and ends with it; so nothing needs cleaning up when it is killed.
 */
#include <signal.h>
#include <string.h>

#include "engine/worker/worker.h"
#include "init/base/log.h"
#include "init/base/str.h"

static int take_request(int channel, yyjson_doc **ret_doc, struct err *e)
{
	enum worker_kind kind;
	int r = worker_receive(channel, &kind, ret_doc, e);

	if (r == 0)
		return err_set(e, EPIPE, "the engine closed the channel before it sent a request");
	if (r < 0)
		return r;
	return kind == WORKER_REQUEST ? 0 : err_set(e, EBADMSG, "the first message is no request");
}

void worker_progress(struct worker_call *call, const char *json, size_t len)
{
	(void)worker_send(call->channel, WORKER_PROGRESS, json, len, NULL);
}

static int send_error(int channel, const struct err *why, struct err *e)
{
	_cleanup_(buf_free) struct buf text = { 0 };
	struct json_writer w;

	json_writer_init(&w, &text);
	json_begin_object(&w);
	json_member_i64(&w, "code", why->code ? why->code : EIO);
	json_member_str(&w, "text", err_text(why));
	json_end_object(&w);
	if (buf_failed(&text))
		return err_set(e, ENOMEM, "out of memory for an error");
	return worker_send(channel, WORKER_ERROR, text.data, text.len, e);
}

static int send_result(struct worker_call *call, struct err *e)
{
	const char *json = call->result.len > 0 ? call->result.data : "{}";

	if (buf_failed(&call->result))
		return err_errno(e, -buf_failed(&call->result), "the result does not fit");
	return worker_send(call->channel, WORKER_RESULT, json, strlen(json), e);
}

int worker_serve(const char *name, int (*run)(struct worker_call *call, struct err *e))
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(buf_free) struct buf result = BUF_INIT(WORKER_BODY_MAX);
	struct worker_call call = { .channel = WORKER_CHANNEL, .result = result };
	char prefix[48];
	struct err e = { 0 };
	int r;

	(void)str_format(prefix, sizeof(prefix), "worker %.32s", name);
	log_open(prefix, STDERR_FILENO);
	signal(SIGPIPE, SIG_IGN);
	r = take_request(call.channel, &doc, &e);
	if (r == 0) {
		call.request = yyjson_doc_get_root(doc);
		r = run(&call, &e);
	}
	if (r == 0)
		r = send_result(&call, &e);
	if (r < 0 && !e.code)
		err_errno(&e, -r, "the worker %s failed", name);
	if (r < 0 && send_error(call.channel, &e, NULL) < 0)
		log_error("cannot report to the engine: %s", err_text(&e));
	result = call.result;
	return r < 0 ? 1 : 0;
}
