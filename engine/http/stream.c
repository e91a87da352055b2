/*
 * Answers in pieces: chunked streams, streams to HTTP/1.0 clients, hijacked connections.
 *
 * Whatever a handler writes is queued on its connection; the connection's kick sends it and calls
 * on_drained when the queue has fallen. The queue of one stream and of all streams together is
 * bounded (server.h), so a client that does not read costs little and is dropped after a while.
 */
#include "engine/http/conn.h"

#include <string.h>

#include "init/base/str.h"

static int begin(struct http_req *r, int status, const char *content_type, const char *framing,
		 int mode)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(64 << 10);
	struct http_conn *c = r->conn;

	if (!c)
		return -ENOTCONN;
	reply_head(&b, &c->server->config, r, status, content_type, framing);
	if (buf_failed(&b) < 0)
		c->broken = true;
	r->mode = mode;
	return conn_queue(c, b.data, b.len);
}

int http_stream_begin(struct http_req *r, int status, const char *content_type)
{
	if (r->conn && !(r->head->keep_alive && r->body_done))
		r->conn->ending = true;
	if (r->head->minor == 0) {
		if (r->conn)
			r->conn->ending = true;
		return begin(r, status, content_type, "Connection: close\r\n", REQ_CLOSE);
	}
	return begin(r, status, content_type,
		     r->conn && r->conn->ending
			     ? "Transfer-Encoding: chunked\r\nConnection: close\r\n"
			     : "Transfer-Encoding: chunked\r\n",
		     REQ_CHUNKED);
}

int http_hijack(struct http_req *r, const char *content_type)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(64 << 10);
	struct http_conn *c = r->conn;

	if (!c)
		return -ENOTCONN;
	if (!r->body_done)
		return -EINVAL;
	c->ending = true;
	if (r->head->upgrade)
		buf_printf(&b,
			   "HTTP/1.1 101 UPGRADED\r\nContent-Type: %s\r\nConnection: "
			   "Upgrade\r\nUpgrade: %s\r\n",
			   content_type, r->head->upgrade);
	else
		buf_printf(&b, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n", content_type);
	buf_printf(&b, "%s\r\n", c->server->config.headers ? c->server->config.headers : "");
	r->mode = REQ_RAW;
	if (buf_failed(&b) < 0)
		c->broken = true;
	if (conn_queue(c, b.data, b.len) < 0)
		return -ENOTCONN;
	/* clients (docker-py) read the head through a buffer, and all else from the bare socket */
	c->alone = conn_queued(c);
	return 0;
}

static bool is_stream(const struct http_req *r)
{
	return r->mode == REQ_CHUNKED || r->mode == REQ_CLOSE || r->mode == REQ_RAW;
}

int http_stream_write(struct http_req *r, const void *data, size_t len)
{
	struct http_conn *c = r->conn;
	char size[24];
	int n;

	if (!c || c->broken || !is_stream(r))
		return -ENOTCONN;
	if (len == 0)
		return 0;
	if (len > HTTP_STREAM_MAX || conn_queued(c) > HTTP_STREAM_MAX - len)
		return -ENOBUFS;
	if (r->mode != REQ_CHUNKED)
		return conn_queue(c, data, len);
	n = snprintf(size, sizeof(size), "%zx\r\n", len);
	if (conn_queue(c, size, (size_t)n) < 0 || conn_queue(c, data, len) < 0)
		return -ENOTCONN;
	return conn_queue(c, "\r\n", 2);
}

size_t http_stream_room(struct http_req *r)
{
	struct http_conn *c = r->conn;
	size_t limit;

	if (!c || c->broken)
		return 0;
	limit = c->server->queued > HTTP_QUEUE_BUDGET ? HTTP_STREAM_SCARCE : HTTP_STREAM_HIGH;
	if (conn_queued(c) < limit)
		return limit - conn_queued(c);
	r->wants_drained = true;
	return 0;
}

void http_stream_end(struct http_req *r)
{
	if (r->conn && r->mode == REQ_CHUNKED)
		conn_queue(r->conn, "0\r\n\r\n", 5);
	req_end(r);
}

void http_stream_abort(struct http_req *r)
{
	if (r->conn)
		r->conn->broken = true;
	req_end(r);
}

void http_body_pause(struct http_req *r)
{
	r->body_paused = true;
}

void http_body_resume(struct http_req *r)
{
	if (!r->body_paused)
		return;
	r->body_paused = false;
	if (r->conn)
		conn_kick(r->conn);
}
