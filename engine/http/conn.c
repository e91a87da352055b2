/*
 * One connection: input to requests, output to the socket, time limits, and the end.
 *
 * Everything happens in conn_run(), which is called when the socket, the timer or a handler (by the
 * kick) has news: it reads while input is wanted, feeds the parser, calls handlers, sends what is
 * queued, and then says to the loop what to wait for. Handlers only queue and set flags, so a
 * connection never disappears under them. Called by server.c.
 */
#include "engine/http/conn.h"

#include <string.h>

#include "init/base/log.h"

/* Reads of one turn, so that a fast sender does not starve the others. */
enum { READS_PER_TURN = 8 };

static const struct {
	int ms;
	bool renew; /* progress starts the time anew */
} waits[WAIT_COUNT] = {
	[WAIT_HANDSHAKE] = { HTTP_HANDSHAKE_MS, false },
	[WAIT_FIRST] = { HTTP_HEAD_MS, false },
	[WAIT_HEAD] = { HTTP_HEAD_MS, false },
	[WAIT_IDLE] = { HTTP_IDLE_MS, false },
	[WAIT_BODY] = { HTTP_BODY_MS, true },
	[WAIT_REPLY] = { HTTP_REPLY_MS, true },
	[WAIT_STREAM] = { HTTP_STREAM_MS, true },
	[WAIT_LINGER] = { HTTP_LINGER_MS, true },
};

void conn_kick(struct http_conn *c)
{
	defer_add(c->server->config.loop, &c->kick);
}

int conn_queue(struct http_conn *c, const void *data, size_t len)
{
	if (c->broken)
		return -ENOTCONN;
	if (len > 0 && buf_add(&c->out, data, len) < 0) {
		c->broken = true;
		conn_kick(c);
		return -ENOTCONN;
	}
	c->server->queued += len;
	conn_kick(c);
	return 0;
}

void conn_drop(struct http_conn *c)
{
	struct http_req *r = take_ptr(c->req);
	struct http_listener *l = c->listener;

	io_remove(&c->io);
	timer_clear(&c->timer);
	defer_remove(&c->kick);
	list_remove(&c->link);
	list_remove(&c->idle_link);
	c->server->queued -= conn_queued(c);
	c->server->n_conns--;
	l->n_conns--;
	l->n_handshakes -= c->handshaking;
	http_parser_clear(&c->parser);
	buf_free(&c->in);
	buf_free(&c->out);
	c->t->ops->free(c->t);
	free(c);
	if (r) {
		r->conn = NULL;
		if (r->mode == REQ_BODY || r->mode == REQ_ENDED) {
			req_free(r);
		} else if (r->on_gone) {
			r->on_gone(r);
			req_free(r);
		}
	}
	listener_room(l);
}

/* --- requests --------------------------------------------------------------------------------- */

static size_t body_limit(const struct http_req *r)
{
	return r->route->limit > 0 ? r->route->limit : 64 << 10;
}

static bool has_body(const struct http_head *h)
{
	return h->chunked || h->content_length > 0;
}

static void run_handler(struct http_req *r)
{
	r->mode = REQ_RUN;
	r->body = buf_text(&r->body_buf);
	r->body_len = r->body_buf.len;
	r->route->handler(r);
}

static void too_large(struct http_req *r)
{
	char text[80];

	snprintf(text, sizeof(text), "request body is too large: at most %zu bytes", body_limit(r));
	http_reply_error(r, 413, text);
}

/* Route, version gate, body mode. May answer. */
static void dispatch(struct http_conn *c, struct http_req *r)
{
	const struct http_config *config = &c->server->config;
	char text[256];
	bool plain = false;
	int status;

	r->route = http_route_find(config->routes, config->n_routes, r->head->method,
				   (char *)r->head->path, r);
	if (!r->route) {
		http_reply_error(r, 404, "page not found");
		return;
	}
	status = config->gate ? config->gate(r, text, sizeof(text), &plain) : 0;
	if (status != 0) {
		if (plain)
			http_reply_text(r, status, text);
		else
			http_reply_error(r, status, text);
		return;
	}
	if (r->route->flags & HTTP_BODY_STREAM)
		run_handler(r);
	else if (r->head->content_length > 0 && (uint64_t)r->head->content_length > body_limit(r))
		too_large(r);
	if (r->head->expect_continue && has_body(r->head) &&
	    (r->mode == REQ_BODY || r->mode == REQ_RUN))
		conn_queue(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

static void on_request_end(struct http_req *r)
{
	r->body_done = true;
	if (r->mode == REQ_BODY)
		run_handler(r);
	else if (r->mode != REQ_ENDED && (r->route->flags & HTTP_BODY_STREAM) && r->on_body_end)
		r->on_body_end(r);
}

static struct http_req *new_request(struct http_conn *c)
{
	struct http_req *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->head = http_parser_take_head(&c->parser);
	r->conn = c;
	r->mode = REQ_BODY;
	r->method = r->head->method;
	r->path = r->head->path;
	r->user = c->server->config.user;
	r->body = "";
	r->body_buf = BUF_INIT(0);
	r->extra = BUF_INIT(HTTP_EXTRA_HEADERS_MAX);
	r->body_done = !has_body(r->head);
	return r;
}

static int on_head(struct http_conn *c)
{
	struct http_req *r = new_request(c);
	struct http_step end;
	int ret = 0;

	if (!r)
		return -ENOMEM;
	c->req = r;
	c->served_one = true;
	c->wait = WAIT_NOTHING; /* each request has its own times */
	timer_clear(&c->timer);
	list_remove(&c->idle_link);
	if (r->body_done) /* the parser is at the end already: take its HTTP_END */
		ret = http_parse(&c->parser, NULL, 0, &end, NULL);
	dispatch(c, r);
	if (r->body_done)
		on_request_end(r);
	return ret;
}

static void on_body_bytes(struct http_req *r, const char *data, size_t len)
{
	if (r->mode == REQ_ENDED)
		return;
	if (r->mode != REQ_BODY) {
		if (r->on_body)
			r->on_body(r, data, len);
		return;
	}
	if (len > body_limit(r) - r->body_buf.len)
		too_large(r);
	else if (buf_add(&r->body_buf, data, len) < 0)
		http_reply_error(r, 503, "out of memory");
}

/* The handler is through: make place for the next request. */
static void finish_request(struct http_conn *c)
{
	struct http_req *r = take_ptr(c->req);

	if (!r->body_done)
		c->ending = true;
	req_free(r);
}

/* --- input ------------------------------------------------------------------------------------ */

/* True when bytes from the peer can be used now. */
static bool wants_input(const struct http_conn *c)
{
	const struct http_req *r = c->req;

	if (c->broken || c->read_ended)
		return false;
	if (!r)
		return !c->ending && conn_queued(c) == 0;
	if (r->mode == REQ_ENDED || r->body_paused)
		return false;
	if (r->mode == REQ_RAW)
		return true;
	return !r->body_done;
}

static void malformed(struct http_conn *c, const char *why)
{
	if (!c->req)
		reply_refusal(c, c->parser.status > 0 ? c->parser.status : 500, why);
	else if (c->req->mode == REQ_BODY)
		http_reply_error(c->req, c->parser.status, why);
	else
		c->broken = true;
}

/* Parses data while it is wanted; *ret_used says how much of it is done with. */
static int feed(struct http_conn *c, const char *data, size_t len, size_t *ret_used)
{
	struct err e = { 0 };
	struct http_step step = { .event = HTTP_END };
	size_t used = 0;
	int r = 0;

	while (r == 0 && wants_input(c) && step.event != HTTP_NEED) {
		if (c->req && c->req->mode == REQ_RAW) {
			if (used < len && c->req->on_body)
				c->req->on_body(c->req, data + used, len - used);
			used = len;
			break;
		}
		if (http_parse(&c->parser, data + used, len - used, &step, &e) < 0) {
			malformed(c, err_text(&e));
			used = len;
			break;
		}
		used += step.used;
		if (step.event == HTTP_HEAD)
			r = on_head(c);
		else if (step.event == HTTP_BODY)
			on_body_bytes(c->req, step.body, step.body_len);
		else if (step.event == HTTP_END)
			on_request_end(c->req);
	}
	*ret_used = used;
	return r;
}

static int feed_saved(struct http_conn *c)
{
	size_t used = 0;
	int r = feed(c, buf_text(&c->in), c->in.len, &used);

	if (used == c->in.len)
		buf_free(&c->in);
	else
		buf_consume(&c->in, used);
	return r;
}

/* The peer sends no more. */
static void on_eof(struct http_conn *c)
{
	struct http_req *r = c->req;

	c->read_ended = true;
	if (r && r->mode == REQ_RAW) {
		if (r->on_body_end)
			r->on_body_end(r);
	} else {
		c->broken = true;
	}
}

static int input(struct http_conn *c)
{
	int r = feed_saved(c);

	for (int i = 0; r == 0 && i < READS_PER_TURN && wants_input(c); i++) {
		char *scratch = c->server->scratch;
		ssize_t n = c->t->ops->read(c->t, scratch, HTTP_READ_SIZE);
		size_t used = 0;

		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		c->progress |= c->wait == WAIT_BODY;
		if (n == 0) {
			on_eof(c);
			return 0;
		}
		r = feed(c, scratch, (size_t)n, &used);
		if (r == 0 && used < (size_t)n)
			r = buf_add(&c->in, scratch + used, (size_t)n - used);
	}
	return r;
}

/* After our end: reads what the peer still sends, so that closing does not destroy our last
 * bytes: a client that sends all of its body before it reads (an archive that was refused at its
 * first entry) is to see the answer. */
static int discard(struct http_conn *c)
{
	for (int i = 0; i < READS_PER_TURN; i++) {
		ssize_t n = c->t->ops->read(c->t, c->server->scratch, HTTP_READ_SIZE);

		if (n == -EAGAIN)
			return 0;
		if (n <= 0)
			return -ECONNRESET;
		c->discarded += (size_t)n;
		if (c->discarded > HTTP_LINGER_MAX)
			return -ECONNRESET;
		c->progress = true;
	}
	return 0;
}

/* --- output ----------------------------------------------------------------------------------- */

static void sent(struct http_conn *c, size_t n)
{
	c->out_off += n;
	c->alone -= MIN(n, c->alone);
	c->server->queued -= n;
	c->progress |= c->wait == WAIT_REPLY || c->wait == WAIT_STREAM;
	if (c->out_off == c->out.len) {
		buf_free(&c->out);
		c->out_off = 0;
	} else if (c->out_off > HTTP_STREAM_HIGH && c->out_off > c->out.len / 2) {
		buf_consume(&c->out, c->out_off);
		c->out_off = 0;
	}
}

static int output(struct http_conn *c)
{
	struct http_req *r = c->req;

	defer_remove(&c->kick); /* what it was for is done here */
	while (conn_queued(c) > 0) {
		size_t len = c->alone > 0 ? c->alone : conn_queued(c);
		ssize_t n = c->t->ops->write(c->t, c->out.data + c->out_off, len);

		if (n == -EAGAIN)
			break;
		if (n <= 0)
			return n < 0 ? (int)n : -EPIPE;
		sent(c, (size_t)n);
	}
	if (r && r->mode != REQ_ENDED && r->wants_drained &&
	    conn_queued(c) <= HTTP_STREAM_SCARCE / 2) {
		r->wants_drained = false;
		if (r->on_drained)
			r->on_drained(r);
	}
	return 0;
}

/* Everything was said: our end, then wait for the peer's. */
static int end_output(struct http_conn *c)
{
	int r = c->t->ops->end_write(c->t);

	if (r == -EAGAIN)
		return 0;
	if (r < 0 || c->read_ended || c->peer_closed)
		return -ECONNRESET;
	c->write_ended = true;
	return 0;
}

/* --- turns ------------------------------------------------------------------------------------ */

static enum conn_wait what_next(const struct http_conn *c)
{
	if (c->handshaking)
		return WAIT_HANDSHAKE;
	if (c->write_ended)
		return WAIT_LINGER;
	if (conn_queued(c) > 0)
		return c->req && c->req->mode >= REQ_CHUNKED ? WAIT_STREAM : WAIT_REPLY;
	if (c->req && c->req->mode == REQ_RAW)
		return WAIT_NOTHING;
	if (c->req)
		return wants_input(c) ? WAIT_BODY : WAIT_NOTHING;
	if (!http_parser_idle(&c->parser))
		return WAIT_HEAD;
	return c->ending ? WAIT_REPLY : c->served_one ? WAIT_IDLE : WAIT_FIRST;
}

static int arm_timer(struct http_conn *c)
{
	enum conn_wait next = what_next(c);
	int ms = waits[next].ms, patience = c->server->patience;

	if (next == c->wait && !(waits[next].renew && c->progress))
		return 0;
	c->progress = false;
	if (!c->handshaking)
		list_remove(&c->idle_link);
	if (next == WAIT_IDLE) {
		list_append(&c->listener->idle, &c->idle_link);
		listener_room(c->listener); /* this one may go for another */
	}
	c->wait = next;
	if (next == WAIT_NOTHING) {
		timer_clear(&c->timer);
		return 0;
	}
	return timer_set(c->server->config.loop, &c->timer, patience > 0 ? MIN(ms, patience) : ms);
}

static int arm(struct http_conn *c)
{
	bool reads = c->handshaking || c->write_ended || wants_input(c);
	uint32_t events = 0;
	int r;

	if (reads)
		events |= c->t->ops->wants ? c->t->ops->wants(c->t) : (uint32_t)EPOLLIN;
	else if (!c->peer_closed && !c->read_ended)
		events |= EPOLLRDHUP;
	if (!c->handshaking && (conn_queued(c) > 0 || (c->ending && !c->req && !c->write_ended)))
		events |= EPOLLOUT;
	r = arm_timer(c);
	if (r == 0 && events != c->io.events)
		r = io_change(&c->io, events);
	return r;
}

static int handshake(struct http_conn *c)
{
	struct err e = { 0 };
	int r = c->t->ops->handshake(c->t, &e);

	if (r < 0) {
		if (r != -EAGAIN)
			log_debug("TLS client refused: %s", err_text(&e));
		return r == -EAGAIN ? 0 : r;
	}
	c->handshaking = false;
	list_remove(&c->idle_link);
	c->listener->n_handshakes--;
	listener_room(c->listener);
	return 0;
}

/* One turn; an error ends the connection. */
static int turn(struct http_conn *c)
{
	int r = 0;

	if (c->handshaking)
		r = handshake(c);
	if (r < 0 || c->handshaking)
		return r;
	if (c->write_ended)
		return discard(c);
	for (int i = 0; r == 0 && i < READS_PER_TURN; i++) {
		r = input(c);
		if (r == 0 && !c->broken)
			r = output(c);
		if (r < 0 || c->broken || !c->req || c->req->mode != REQ_ENDED)
			break;
		finish_request(c);
	}
	if (c->broken)
		return -ECONNRESET;
	if (r == 0 && c->ending && !c->req && conn_queued(c) == 0)
		r = end_output(c);
	if (r == 0 && wants_input(c) &&
	    (c->in.len > 0 || (c->t->ops->pending && c->t->ops->pending(c->t))))
		conn_kick(c);
	return r;
}

static void conn_run(struct http_conn *c)
{
	int r = turn(c);

	if (r == 0 && !c->broken)
		r = arm(c);
	if (r < 0 || c->broken)
		conn_drop(c);
}

static void on_io(struct io_event *ev, uint32_t events)
{
	struct http_conn *c = container_of(ev, struct http_conn, io);

	if (events & EPOLLRDHUP && !wants_input(c) && !c->handshaking) {
		c->peer_closed = true;
		if (c->req && c->req->on_gone && c->req->mode != REQ_RAW &&
		    c->req->mode != REQ_ENDED)
			c->broken = true;
	}
	if (events & (EPOLLHUP | EPOLLERR) && !wants_input(c))
		c->broken = true;
	conn_run(c);
}

static void on_kick(struct defer_event *ev)
{
	conn_run(container_of(ev, struct http_conn, kick));
}

static void on_timer(struct timer_event *ev)
{
	struct http_conn *c = container_of(ev, struct http_conn, timer);

	if (c->wait == WAIT_HEAD) {
		http_parser_clear(&c->parser);
		reply_refusal(c, 408, "the request's head did not arrive in time");
	} else if (c->wait == WAIT_BODY && c->req->mode == REQ_BODY) {
		http_reply_error(c->req, 408, "the request's body did not arrive in time");
	} else {
		c->broken = true;
	}
	conn_run(c);
}

int conn_new(struct http_server *s, struct http_listener *l, struct http_transport *t,
	     struct err *e)
{
	struct http_conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		t->ops->free(t);
		return err_set(e, ENOMEM, "out of memory");
	}
	*c = (struct http_conn){
		.server = s, .listener = l, .t = t, .handshaking = t->ops->handshake != NULL
	};
	c->in = BUF_INIT(2 * HTTP_READ_SIZE);
	c->out = BUF_INIT(HTTP_REPLY_MAX + HTTP_STREAM_MAX);
	c->io.fn = on_io;
	c->timer.fn = on_timer;
	c->kick.fn = on_kick;
	list_append(&s->conns, &c->link);
	list_init(&c->idle_link);
	s->n_conns++;
	l->n_conns++;
	c->born = loop_now(s->config.loop);
	l->n_handshakes += c->handshaking;
	if (c->handshaking)
		list_append(&l->shaking, &c->idle_link);
	r = io_add(s->config.loop, &c->io, t->fd, EPOLLIN);
	if (r == 0)
		r = arm_timer(c);
	if (r < 0) {
		conn_drop(c);
		return err_errno(e, -r, "connection");
	}
	return 0;
}
