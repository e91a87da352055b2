/*
 * POST /images/load: the body goes through a pipe to the image store's worker, its progress comes
 * back as JSON lines.
 *
 * While the pipe is full the body waits in the client's socket. The answer begins with the first
 * line of progress; before that, a failure is a plain status, behind it it is a line.
 */
#include "engine/api/inside.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "init/base/str.h"

struct load {
	struct image_op op;
	struct http_req *req;
	struct io_event io;
	int fd; /* our end of the pipe, -1 once it is closed */
	struct buf pending; /* body bytes that the pipe did not take */
	bool quiet, streaming, input_ended;
};

static void close_pipe(struct load *l)
{
	io_remove(&l->io);
	fd_close(take_fd(l->fd));
	buf_free(&l->pending);
}

static void load_free(struct load *l)
{
	close_pipe(l);
	image_op_cancel(&l->op);
	free(l);
}

/* Writes what the pipe takes. A reader that closed its end has all it wants: the rest is
 * dropped. */
static void push(struct load *l)
{
	while (l->fd >= 0 && l->pending.len > 0) {
		ssize_t n = write(l->fd, l->pending.data, l->pending.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			close_pipe(l);
		else
			buf_consume(&l->pending, (size_t)n);
	}
	if (l->pending.len > 0) {
		http_body_pause(l->req);
		io_change(&l->io, EPOLLOUT);
		return;
	}
	if (l->fd >= 0)
		io_change(&l->io, 0);
	if (l->input_ended)
		close_pipe(l);
	http_body_resume(l->req);
}

static void on_pipe(struct io_event *ev, uint32_t events)
{
	struct load *l = container_of(ev, struct load, io);

	if (events & (EPOLLERR | EPOLLHUP))
		close_pipe(l);
	push(l);
}

static void on_body(struct http_req *r, const char *data, size_t len)
{
	struct load *l = r->data;

	if (l->fd >= 0 && buf_add(&l->pending, data, len) < 0)
		close_pipe(l); /* the worker sees a cut archive */
	push(l);
}

static void on_body_end(struct http_req *r)
{
	struct load *l = r->data;

	l->input_ended = true;
	push(l);
}

static void on_gone(struct http_req *r)
{
	load_free(r->data);
}

/* --- answer ----------------------------------------------------------------------------------- */

static void send_line(struct load *l, struct buf *line, bool droppable)
{
	buf_add_text(line, "\r\n");
	if (!l->streaming)
		http_stream_begin(l->req, 200, "application/json");
	l->streaming = true;
	if (buf_failed(line) == 0 && (!droppable || http_stream_room(l->req) >= line->len))
		http_stream_write(l->req, line->data, line->len);
}

static void write_progress(struct json_writer *w, const struct image_progress *p)
{
	json_begin_object(w);
	if (p->stream) {
		json_member_str(w, "stream", p->stream);
	} else {
		json_member_str(w, "status", p->status ? p->status : "");
		json_key(w, "progressDetail");
		json_begin_object(w);
		json_member_i64(w, "current", p->current);
		json_member_i64(w, "total", p->total);
		json_end_object(w);
		json_member_str(w, "id", p->id ? p->id : "");
	}
	json_end_object(w);
}

static void on_progress(struct image_op *op, const struct image_progress *p)
{
	struct load *l = container_of(op, struct load, op);
	_cleanup_(buf_free) struct buf line = BUF_INIT(64 << 10);
	struct json_writer w;

	if (l->quiet && !p->stream)
		return;
	json_writer_init(&w, &line);
	write_progress(&w, p);
	send_line(l, &line, !p->stream);
}

static void send_error(struct load *l, const char *text)
{
	_cleanup_(buf_free) struct buf line = BUF_INIT(64 << 10);
	struct json_writer w;

	json_writer_init(&w, &line);
	json_begin_object(&w);
	json_key(&w, "errorDetail");
	json_begin_object(&w);
	json_member_str(&w, "message", text);
	json_end_object(&w);
	json_member_str(&w, "error", text);
	json_end_object(&w);
	send_line(l, &line, false);
}

static void on_done(struct image_op *op, int code, const struct err *e)
{
	struct load *l = container_of(op, struct load, op);
	struct http_req *r = l->req;
	bool streaming = l->streaming || code == 0;

	images_publish(engine_of(r), op->changes, op->n_changes);
	if (code < 0 && streaming)
		send_error(l, err_text(e));
	else if (code == 0 && !l->streaming)
		http_stream_begin(r, 200, "application/json");
	close_pipe(l);
	free(l);
	if (streaming)
		http_stream_end(r);
	else
		api_fail(r, code, e);
}

static int begin(struct load *l, struct http_req *r, struct err *e)
{
	_cleanup_(fd_close) int reader = -1;
	int fds[2], code;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	reader = fds[0];
	l->fd = fds[1];
	if (fcntl(l->fd, F_SETFL, O_NONBLOCK) < 0)
		return err_errno(e, errno, "pipe");
	code = io_add(engine_of(r)->loop, &l->io, l->fd, 0);
	if (code < 0)
		return err_errno(e, -code, "pipe");
	return images_load(engine_of(r)->images, reader, &l->op, e);
}

void images_load_archive(struct http_req *r)
{
	struct load *l = api_new(r, sizeof(*l));
	struct err e = { 0 };
	int code;

	if (!l)
		return;
	*l = (struct load){ .req = r, .fd = -1, .pending = BUF_INIT(4 * HTTP_READ_SIZE) };
	l->op.progress = on_progress;
	l->op.done = on_done;
	l->io.fn = on_pipe;
	l->quiet = http_query_bool(r, "quiet", false);
	code = begin(l, r, &e);
	if (code < 0) {
		load_free(l);
		api_fail(r, code, &e);
		return;
	}
	r->data = l;
	r->on_body = on_body;
	r->on_body_end = on_body_end;
	r->on_gone = on_gone;
}
