/*
 * Logs: a container's log file as a stream, with back-pressure from the client to the file.
 */
#include "engine/api/inside.h"

#include <string.h>

#include "init/base/str.h"

struct logs {
	struct log_reader *reader;
	struct http_req *req;
	struct buf chunk;
};

static void logs_free(struct logs *l)
{
	log_reader_free(l->reader);
	buf_free(&l->chunk);
	free(l);
}

static void logs_end(struct logs *l)
{
	struct http_req *r = l->req;

	logs_free(l);
	http_stream_end(r);
}

/* Moves what fits; may end the request. */
static void pump(struct logs *l)
{
	struct err e = { 0 };
	size_t room;

	while ((room = http_stream_room(l->req)) > 0) {
		int r = log_reader_next(l->reader, room, &l->chunk, &e);

		if (r == 0)
			return;
		if (r < 0) {
			logs_end(l);
			return;
		}
		r = http_stream_write(l->req, buf_text(&l->chunk), l->chunk.len);
		buf_reset(&l->chunk);
		if (r < 0)
			return; /* the client has gone: on_gone follows */
	}
}

static void on_more(struct log_reader *reader, void *data)
{
	(void)reader;
	pump(data);
}

static void on_drained(struct http_req *r)
{
	pump(r->data);
}

static void on_gone(struct http_req *r)
{
	logs_free(r->data);
}

static int read_tail(const char *text, int64_t *ret_tail)
{
	*ret_tail = -1;
	/* as Docker: whatever is no number of lines means all of them */
	if (!str_empty(text) && !str_eq(text, "all") &&
	    (str_to_i64(text, ret_tail) < 0 || *ret_tail < 0))
		*ret_tail = -1;
	return 0;
}

static int read_query(struct http_req *r, struct log_query *q, struct err *e)
{
	int code;

	*q = (struct log_query){
		.out = http_query_bool(r, "stdout", false),
		.err = http_query_bool(r, "stderr", false),
		.timestamps = http_query_bool(r, "timestamps", false),
		.follow = http_query_bool(r, "follow", false),
		.details = http_query_bool(r, "details", false),
	};
	if (!q->out && !q->err)
		return err_set(e, EINVAL, "Bad parameters: you must choose at least one stream");
	read_tail(http_query(r, "tail"), &q->tail);
	code = api_time("since", http_query(r, "since"), &q->since_ns, e);
	if (code == 0)
		code = api_time("until", http_query(r, "until"), &q->until_ns, e);
	return code;
}

void logs_read(struct http_req *r)
{
	struct container *c = api_container(r);
	struct logs *l;
	struct log_query q;
	struct err e = { 0 };
	int code;

	if (!c)
		return;
	code = read_query(r, &q, &e);
	l = code == 0 ? calloc(1, sizeof(*l)) : NULL;
	if (code == 0 && !l)
		code = err_set(&e, ENOMEM, "out of memory");
	if (code == 0) {
		l->req = r;
		l->chunk = BUF_INIT(HTTP_STREAM_MAX);
		code = log_reader_open(c, &q, on_more, l, &l->reader, &e);
	}
	if (code < 0) {
		free(l);
		api_fail(r, code, &e);
		return;
	}
	r->data = l;
	r->on_drained = on_drained;
	r->on_gone = on_gone;
	http_stream_begin(r, 200,
			  !container_tty(c) && api_at_least(r, 42)
				  ? "application/vnd.docker.multiplexed-stream"
				  : "application/vnd.docker.raw-stream");
	pump(l);
}
