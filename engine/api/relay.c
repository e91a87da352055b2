/*
 * The copying itself (relay.h).
 *
 * Every way to the end goes through end(), after which the struct may be gone: functions that may
 * end the relay return false then, and their callers leave at once.
 */
#include "engine/api/relay.h"

#include <string.h>
#include <sys/socket.h>

#include "init/base/str.h"

enum { CHUNK = 16 << 10 };

static void give_up(struct relay *r)
{
	io_remove(&r->io);
	fd_close(take_fd(r->fd));
	buf_free(&r->in);
}

void relay_clear(struct relay *r)
{
	struct http_req *req = take_ptr(r->req);

	give_up(r);
	if (!req)
		return;
	req->on_body = NULL;
	req->on_body_end = req->on_drained = req->on_gone = NULL;
	req->data = NULL;
}

static bool end(struct relay *r, enum relay_end why)
{
	if (r->over && why != RELAY_GONE)
		return false;
	give_up(r);
	r->over = true;
	r->ended(r, why);
	return false;
}

void relay_finish(struct relay *r)
{
	struct http_req *req = r->req;

	if (r->websocket && req)
		ws_send_close(req, WS_NORMAL);
	relay_clear(r);
	if (req)
		http_stream_end(req);
}

/* ---- to the client ---- */

static void put(struct relay *r, const char *data, size_t len)
{
	if (r->websocket)
		(void)ws_send(r->req, r->opcode, data, len);
	else
		(void)http_stream_write(r->req, data, len);
}

static void put_framed(struct relay *r, const char *data, size_t len)
{
	unsigned char head[FRAME_HEAD];

	frame_head(head, FRAME_STDOUT, (uint32_t)len);
	put(r, (const char *)head, sizeof(head));
	put(r, data, len);
}

static void put_stripped(struct relay *r, const char *data, size_t len)
{
	while (len > 0) {
		struct frame_piece piece;
		size_t used = frame_next(&r->frames, data, len, &piece);

		if (piece.len > 0)
			put(r, piece.data, piece.len);
		data += used;
		len -= used;
	}
}

void relay_output(struct relay *r, const char *data, size_t len)
{
	if (!r->req || len == 0)
		return;
	if (r->stream_frames == r->client_frames)
		put(r, data, len);
	else if (r->stream_frames)
		put_stripped(r, data, len);
	else
		put_framed(r, data, len);
}

void relay_say(struct relay *r, const char *text)
{
	if (!r->req)
		return;
	if (r->client_frames)
		put_framed(r, text, strlen(text));
	else
		put(r, text, strlen(text));
}

/* Takes what the process wrote, as far as the client has room. */
static bool pull_output(struct relay *r)
{
	char chunk[CHUNK];
	size_t room;

	while ((room = http_stream_room(r->req)) > 0) {
		ssize_t n = recv(r->fd, chunk, MIN(room, sizeof(chunk)), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return end(r, RELAY_STREAM);
		relay_output(r, chunk, (size_t)n);
	}
	return true;
}

/* ---- to the process ---- */

static void write_input(struct relay *r)
{
	while (r->in.len > 0 && !r->in_dead) {
		ssize_t n = send(r->fd, r->in.data, r->in.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			r->in_dead = true; /* its stdin is closed: the output goes on */
		else
			buf_consume(&r->in, (size_t)n);
	}
	if (r->in_dead)
		buf_free(&r->in);
}

/* Feeds the process; what it does not take stops the client. */
static bool push_input(struct relay *r)
{
	if (r->over)
		return true;
	if (r->fd >= 0)
		write_input(r);
	if (r->in.len > 0) {
		http_body_pause(r->req);
		return true;
	}
	if (r->fd < 0) /* the end of input waits for the stream too */
		return true;
	if (r->in_ended && r->input) {
		if (r->ends_with_input)
			return end(r, RELAY_INPUT);
		if (!r->in_dead)
			shutdown(r->fd, SHUT_WR);
		r->in_dead = true;
	}
	http_body_resume(r->req);
	return true;
}

static void update_events(struct relay *r)
{
	uint32_t events = 0;

	if (!r->io.loop)
		return;
	if (http_stream_room(r->req) > 0)
		events |= EPOLLIN;
	if (r->in.len > 0 && !r->in_dead)
		events |= EPOLLOUT;
	if (events != r->io.events)
		io_change(&r->io, events);
}

static void on_stream(struct io_event *ev, uint32_t events)
{
	struct relay *r = container_of(ev, struct relay, io);

	if ((events & EPOLLOUT) && !push_input(r))
		return;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		if (!pull_output(r))
			return;
		/* a hang-up is reported for ever: with no room for the rest, wait for the client
		 * alone */
		if (events & (EPOLLHUP | EPOLLERR) && http_stream_room(r->req) == 0) {
			io_remove(&r->io);
			return;
		}
	}
	update_events(r);
}

/* ---- from the client ---- */

static bool take_input(struct relay *r, const char *data, size_t len)
{
	bool found = false;

	if (!r->input || r->in_dead || r->in_ended || r->over)
		return true;
	if (r->has_keys)
		found = keys_feed(&r->keys, data, len, &r->in);
	else
		buf_add(&r->in, data, len);
	if (buf_failed(&r->in) < 0) { /* cannot be: the client is paused before that */
		r->in_dead = true;
		buf_free(&r->in);
	}
	if (found) {
		if (r->fd >= 0)
			write_input(r); /* what was typed before */
		return end(r, RELAY_KEYS);
	}
	return push_input(r);
}

static bool input_ended(struct relay *r)
{
	if (r->in_ended)
		return true;
	if (r->has_keys && r->input && !r->in_dead)
		keys_flush(&r->keys, &r->in);
	r->in_ended = true;
	return push_input(r);
}

/* One message or control frame; false: the relay is over. */
static bool on_piece(struct relay *r, const struct ws_piece *p)
{
	switch (p->opcode) {
	case WS_PING:
		/* who does not read gets no answers either */
		if (http_stream_room(r->req) > 0)
			(void)ws_send(r->req, WS_PONG, p->data, p->len);
		return true;
	case WS_PONG:
		return true;
	case WS_CLOSE:
		return end(r, RELAY_INPUT);
	default:
		return take_input(r, (const char *)p->data, p->len);
	}
}

static void on_messages(struct relay *r, const char *data, size_t len)
{
	unsigned char copy[HTTP_READ_SIZE];
	struct ws_piece piece;
	size_t at = 0, used;

	while (at < len) {
		size_t n = MIN(len - at, sizeof(copy)), done = 0;
		int got = 1;

		memcpy(copy, data + at, n);
		while (got == 1) {
			got = ws_next(&r->ws, copy + done, n - done, &used, &piece);
			done += used;
			if (got == 1 && !on_piece(r, &piece))
				return;
		}
		if (got < 0) {
			ws_send_close(r->req, piece.code);
			(void)end(r, RELAY_INPUT);
			return;
		}
		at += n;
	}
}

static void on_client_data(struct http_req *req, const char *data, size_t len)
{
	struct relay *r = req->data;

	if (r->websocket) {
		on_messages(r, data, len);
		r = req->data;
	} else if (!take_input(r, data, len)) {
		return;
	}
	if (r)
		update_events(r);
}

static void on_client_end(struct http_req *req)
{
	struct relay *r = req->data;

	if (r->websocket) /* TCP's end without a close frame */
		(void)end(r, RELAY_INPUT);
	else if (input_ended(r))
		update_events(r);
}

static void on_client_drained(struct http_req *req)
{
	struct relay *r = req->data;

	if (r->fd < 0) {
		if (r->drained)
			r->drained(r);
		return;
	}
	if (!r->io.loop) {
		if (!pull_output(r) || http_stream_room(req) == 0)
			return;
		io_add(r->loop, &r->io, r->fd, EPOLLIN);
	}
	update_events(r);
}

static void on_client_gone(struct http_req *req)
{
	struct relay *r = req->data;

	r->req = NULL;
	(void)end(r, RELAY_GONE);
}

/* ---- begin ---- */

void relay_begin(struct relay *r, struct http_req *req, struct loop *loop)
{
	r->req = req;
	r->loop = loop;
	r->fd = -1;
	r->io.fn = on_stream;
	/* a read, and what the key matcher held back of the one before */
	r->in = BUF_INIT(4 * HTTP_READ_SIZE);
	req->data = r;
	req->on_body = on_client_data;
	req->on_body_end = on_client_end;
	req->on_drained = on_client_drained;
	req->on_gone = on_client_gone;
}

void relay_stream(struct relay *r, int fd)
{
	r->fd = fd;
	if (io_add(r->loop, &r->io, fd, EPOLLIN) < 0) {
		(void)end(r, RELAY_STREAM);
		return;
	}
	if (push_input(r))
		update_events(r);
}
