/*
 * A server, its loop, handlers of every kind and a client over a socket pair, for the tests of the
 * HTTP server. Included once by each of them; not all use everything.
 */
#ifndef SKERRY_SERVER_WORLD_H
#define SKERRY_SERVER_WORLD_H

#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "init/base/str.h"
#include "engine/http/server.h"
#include "engine/http/websocket.h"

struct world {
	struct loop *loop;
	struct http_server *server;
	struct http_req *held; /* a request whose handler waits */
	int n_gone, n_ended, n_drained;
	struct buf seen; /* body bytes that handlers got */
	bool pause_first;
};

struct client {
	int fd;
	bool eof;
	struct buf got;
};

/* --- handlers --------------------------------------------------------------------------------- */

static void on_hello(struct http_req *r)
{
	http_reply_json(r, 200, "{\"a\":1}\n", 8);
}

static void on_echo(struct http_req *r)
{
	http_reply(r, 200, "text/plain", r->body, r->body_len);
}

static void on_params(struct http_req *r)
{
	char text[256];

	snprintf(text, sizeof(text), "%u.%u %s q=%s", r->api_major, r->api_minor, r->params[0],
		 http_query(r, "q") ? http_query(r, "q") : "-");
	http_reply_text(r, 200, text);
}

static void count_gone(struct http_req *r)
{
	struct world *w = r->user;

	w->n_gone++;
	w->held = NULL;
}

static void on_hold(struct http_req *r)
{
	((struct world *)r->user)->held = r;
}

static void on_hold_with_gone(struct http_req *r)
{
	r->on_gone = count_gone;
	((struct world *)r->user)->held = r;
}

static void take_body(struct http_req *r, const char *data, size_t len)
{
	struct world *w = r->user;

	buf_add(&w->seen, data, len);
	if (w->pause_first) {
		w->pause_first = false;
		http_body_pause(r);
	}
}

static void body_ended(struct http_req *r)
{
	((struct world *)r->user)->n_ended++;
}

static void on_upload(struct http_req *r)
{
	struct world *w = r->user;

	w->held = r;
	r->on_body = take_body;
	r->on_body_end = body_ended;
	r->on_gone = count_gone;
}

static void count_drained(struct http_req *r)
{
	((struct world *)r->user)->n_drained++;
}

static void on_stream(struct http_req *r)
{
	r->on_gone = count_gone;
	r->on_drained = count_drained;
	((struct world *)r->user)->held = r;
	http_stream_begin(r, 200, "application/json");
}

static void on_attach(struct http_req *r)
{
	r->on_gone = count_gone;
	r->on_body = take_body;
	r->on_body_end = body_ended;
	r->on_drained = count_drained;
	((struct world *)r->user)->held = r;
	http_hijack(r, "application/vnd.docker.raw-stream");
}

static void on_ws(struct http_req *r)
{
	r->on_body = take_body;
	r->on_body_end = body_ended;
	if (ws_accept(r))
		((struct world *)r->user)->held = r;
}

static void on_refuse_upload(struct http_req *r)
{
	http_reply_error(r, 409, "no \"thanks\"");
}

static void on_status(struct http_req *r)
{
	http_header(r, "X-Extra", "yes");
	http_reply_status(r, 204);
}

static const struct http_route routes[] = {
	{ "GET", "/hello", on_hello, 0, 0, NULL },
	{ "HEAD", "/hello", on_hello, 0, 0, NULL },
	{ "POST", "/echo", on_echo, 0, 1000, NULL },
	{ "GET", "/things/{id}/json", on_params, 0, 0, NULL },
	{ "GET", "/deep/{name*}/json", on_params, 0, 0, NULL },
	{ "GET", "/deep/{name*}", on_hello, 0, 0, NULL },
	{ "GET", "/hold", on_hold, 0, 0, NULL },
	{ "GET", "/hold-gone", on_hold_with_gone, 0, 0, NULL },
	{ "PUT", "/upload", on_upload, HTTP_BODY_STREAM, 0, NULL },
	{ "PUT", "/refuse", on_refuse_upload, HTTP_BODY_STREAM, 0, NULL },
	{ "GET", "/stream", on_stream, 0, 0, NULL },
	{ "POST", "/attach", on_attach, 0, 0, NULL },
	{ "GET", "/ws", on_ws, 0, 0, NULL },
	{ "POST", "/status", on_status, 0, 0, NULL },
};

static int gate(const struct http_req *r, char *text, size_t size, bool *ret_plain)
{
	if (r->api_major != 1 || r->api_minor != 99)
		return 0;
	snprintf(text, size, "too new");
	*ret_plain = false;
	return 400;
}

/* --- world ------------------------------------------------------------------------------------ */

static void world_open(struct world *w)
{
	struct http_config config = {
		.routes = routes,
		.n_routes = ARRAY_SIZE(routes),
		.headers = "Api-Version: 1.51\r\n",
		.gate = gate,
		.user = w,
	};

	*w = (struct world){ .seen = BUF_INIT(0) };
	if (loop_new(&w->loop, NULL) < 0)
		abort();
	config.loop = w->loop;
	if (http_server_new(&config, &w->server, NULL) < 0)
		abort();
}

static void world_close(struct world *w)
{
	http_server_free(w->server);
	loop_free(w->loop);
	buf_free(&w->seen);
}
DEFINE_CLEANUP_VALUE(struct world, world_close)

static void client_close(struct client *c)
{
	fd_close(c->fd);
	c->fd = -1;
	buf_free(&c->got);
}
DEFINE_CLEANUP_VALUE(struct client, client_close)

static struct client client_open(struct world *w)
{
	struct client c = { .got = BUF_INIT(64 << 20) };
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		abort();
	if (http_serve_fd(w->server, fds[1], NULL) < 0)
		abort();
	c.fd = fds[0];
	return c;
}

static void client_send(struct client *c, const char *text)
{
	if (send(c->fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		abort();
}

static void client_read(struct client *c)
{
	char chunk[65536];
	ssize_t n;

	while ((n = recv(c->fd, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0)
		buf_add(&c->got, chunk, (size_t)n);
	c->eof = n == 0 || (n < 0 && errno != EAGAIN);
}

/* Runs the loop until cond; false after many rounds without it. */
#define PUMP(w, c, cond)                              \
	({                                            \
		int rounds_ = 0;                      \
		client_read(c);                       \
		while (!(cond) && rounds_++ < 3000) { \
			loop_once((w)->loop, 5);      \
			client_read(c);               \
		}                                     \
		(cond);                               \
	})

static bool has(const struct client *c, const char *text)
{
	return strstr(buf_text(&c->got), text) != NULL;
}

#define WORLD()                                \
	_cleanup_(world_close) struct world w; \
	world_open(&w);                        \
	_cleanup_(client_close) struct client c = client_open(&w)

#define REQ(line) line " HTTP/1.1\r\nHost: x\r\n"

#endif
