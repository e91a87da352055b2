/*
 * HTTP server on the event loop: listeners, connections, requests with asynchronous answers.
 *
 * A route names a method, a path pattern and a handler. The handler is called on the loop once the
 * head (and, for HTTP_BODY_BUFFERED, the whole body) is there. It ends the request exactly once, at
 * once or any time later, by one of
 *   - http_reply*():                      a whole answer
 *   - http_stream_begin/write/end():      an answer in pieces (chunked), headers sent at once
 *   - http_hijack(), stream_write/end():  a raw two-way stream
 * After that call (for streams: http_stream_end) the request must not be touched any more.
 *
 * Clients may vanish. A handler that holds resources sets `on_gone`: it is called at most once, on
 * the loop and never from inside an http_ call; it must not end the request, which is freed when it
 * returns. A handler without on_gone simply answers: the answer goes nowhere, the request is freed.
 *
 * Memory is bounded: per connection by the limits below, in total by max_conns and by the budget of
 * queued bytes. One connection handles one request at a time; pipelined ones wait in the socket.
 */
#ifndef SKERRY_HTTP_SERVER_H
#define SKERRY_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "init/base/err.h"
#include "init/base/loop.h"
#include "engine/http/parser.h"

struct http_server;
struct http_conn;
struct http_req;
struct tls_context;

/* Bounds. Times in ms. */
enum {
	HTTP_READ_SIZE = 16 << 10, /* one read; also what a paused connection may hold unread */
	HTTP_REPLY_MAX = 32 << 20, /* one whole answer */
	HTTP_STREAM_HIGH = 64 << 10, /* a stream's queue: above this http_stream_room is 0 */
	HTTP_STREAM_MAX = 1 << 20, /* a stream's queue: writes beyond fail with -ENOBUFS */
	HTTP_QUEUE_BUDGET = 8 << 20, /* all streams' queues; above it each has room for ... */
	HTTP_STREAM_SCARCE = 4 << 10, /* ... this much only */
	HTTP_UNIX_UNSENT = 32 << 10, /* kernel's queue of a unix connection (SO_SNDBUF) */
	HTTP_PARAMS_MAX = 3, /* variable parts of a pattern */
	HTTP_EXTRA_HEADERS_MAX = 48 << 10, /* bytes of http_header() for one answer */
	HTTP_CONNS_MAX = 1200, /* default per listener */
	HTTP_TLS_CONNS_MAX = 256, /* the same with TLS, where one costs about 25 KiB */
	HTTP_HANDSHAKES_MAX = 64, /* TLS handshakes at a time; for one more the oldest goes ... */
	HTTP_HANDSHAKE_GRACE_MS = 1000, /* ... once it has had this long */
	HTTP_HEAD_MS = 30000, /* from the first byte (or the accept) to a complete head */
	HTTP_HANDSHAKE_MS = 10000, /* TLS */
	HTTP_IDLE_MS = 300000, /* between requests */
	HTTP_BODY_MS = 60000, /* without any byte of a body that is wanted */
	HTTP_REPLY_MS = 60000, /* without progress while the client does not read an answer */
	HTTP_STREAM_MS = 300000, /* the same for a stream whose queue is not empty */
	HTTP_LINGER_MS = 2000, /* after our end, without any byte of the client's or its end */
	HTTP_LINGER_MAX = 64 << 20, /* bytes of a client that goes on to send after our end */
};

enum http_route_flags {
	HTTP_BODY_BUFFERED =
		0, /* handler runs with the whole body in req->body (413 over `limit`) */
	HTTP_BODY_STREAM = 1 << 0, /* handler runs after the head and gets the body by on_body */
};

struct http_route {
	const char *method;
	/* "/containers/{id}/json"; "{name*}" takes one or more segments. Names are for the
	 * reader: values are req->params[0..] in order. */
	const char *pattern;
	void (*handler)(struct http_req *r);
	unsigned flags;
	size_t limit; /* bytes of a buffered body; 0 means 64 KiB */
	const void *tag; /* the caller's, req->route->tag */
};

struct http_req {
	const struct http_route *route;
	const char *method;
	const char *path; /* decoded, without the version prefix */
	const char *params[HTTP_PARAMS_MAX];
	unsigned api_major, api_minor; /* from /vN.NN/; 0.0 when the path had none */
	const char *body; /* HTTP_BODY_BUFFERED: NUL-terminated; never NULL */
	size_t body_len;
	void *user; /* http_config.user */
	void *data; /* the handler's */

	/* Streams and hijacked connections, set by the handler; all optional. */
	void (*on_body)(struct http_req *r, const char *data, size_t len); /* takes all of it */
	void (*on_body_end)(struct http_req *r); /* end of the body, or the client's half-close */
	void (*on_drained)(struct http_req *r); /* the queue fell to a quarter of its mark */
	void (*on_gone)(struct http_req *r); /* see above */

	/* server's own */
	struct http_head *head;
	struct http_conn *conn; /* NULL once the client has gone */
	struct buf body_buf, extra;
	int mode; /* enum req_mode in conn.h */
	bool body_paused, body_done, wants_drained;
};

struct http_config {
	struct loop *loop;
	const struct http_route *routes; /* first match wins */
	size_t n_routes;
	/* Header lines of every answer, each ended by CRLF, e.g. "Api-Version: 1.51\r\n"; must
	 * stay valid. */
	const char *headers;
	/* Runs when a route was found, before the body is read: 0, or the HTTP status and text
	 * of a refusal. Plain text instead of JSON when *ret_plain. NULL: everything passes. */
	int (*gate)(const struct http_req *r, char *text, size_t size, bool *ret_plain);
	void *user;
};

int http_server_new(const struct http_config *config, struct http_server **ret_server,
		    struct err *e);
/* Drops all connections (on_gone is called) and closes the listeners. */
void http_server_free(struct http_server *s);
DEFINE_CLEANUP(struct http_server *, http_server_free)

/* Opens a unix socket at `path`: replaces an old socket, mode `mode`. */
int http_listen_unix(struct http_server *s, const char *path, mode_t mode, struct err *e);
/* Opens host:port ("0.0.0.0:2376", "[::]:2376"). With `tls` (which must outlive the server) every
 * connection does mutual TLS. ret_port (may be NULL): the port in use, for port 0. */
int http_listen_tcp(struct http_server *s, const char *address, struct tls_context *tls,
		    uint16_t *ret_port, struct err *e);
/* Serves an already connected stream socket; takes fd over. For tests and socket hand-over. */
int http_serve_fd(struct http_server *s, int fd, struct err *e);
/* Limit of connections per listener made after this call. */
void http_server_set_max(struct http_server *s, size_t max_conns);
/* Shorter times for tests: all time limits become at most `ms`. */
void http_server_set_patience(struct http_server *s, int ms);
size_t http_server_conns(const struct http_server *s);
size_t http_server_queued(const struct http_server *s); /* bytes waiting in streams */

/* --- reading a request
 * ------------------------------------------------------------------------- */

const char *http_header_get(const struct http_req *r, const char *name); /* or NULL */
/* First value of a query key, or NULL when it is absent. http_query_at: the i-th (repeated
 * keys). */
const char *http_query(const struct http_req *r, const char *key);
const char *http_query_at(const struct http_req *r, const char *key, size_t i);
/* Docker's reading: absent, "", 0, no, false, none (any letter case, blanks cut) are false, all
 * else true. */
bool http_query_bool(const struct http_req *r, const char *key, bool absent);
bool http_text_bool(const char *text);
/* Decimal; absent or empty leaves *value. -EINVAL with a text that names the key. */
int http_query_i64(const struct http_req *r, const char *key, int64_t *value, struct err *e);
/* True when the client asked for an upgrade to `protocol` ("tcp"). */
bool http_wants_upgrade(const struct http_req *r, const char *protocol);

/* Body of a HTTP_BODY_STREAM route or bytes of a hijacked connection: stop and go of on_body. */
void http_body_pause(struct http_req *r);
void http_body_resume(struct http_req *r);

/* --- answering
 * --------------------------------------------------------------------------------- */

/* Adds a header line to the answer; before it begins. Name and value must be clean (no CR, LF). */
void http_header(struct http_req *r, const char *name, const char *value);
void http_reply(struct http_req *r, int status, const char *content_type, const void *body,
		size_t len);
void http_reply_json(struct http_req *r, int status, const char *json, size_t len);
void http_reply_text(struct http_req *r, int status, const char *text);
/* 204, 304 or an empty answer with length 0 */
void http_reply_status(struct http_req *r, int status);
/* {"message": text}, with the text escaped */
void http_reply_error(struct http_req *r, int status, const char *text);

/* Sends status line and headers at once; then write, end. 0 or -ENOTCONN when the client has
 * gone. */
int http_stream_begin(struct http_req *r, int status, const char *content_type);
/* Takes the connection over: 101 UPGRADED for a client that asked for an upgrade, else 200 without
 * length. From now on on_body gets the client's bytes, on_body_end its half-close. Only for routes
 * with a buffered body (-EINVAL). */
int http_hijack(struct http_req *r, const char *content_type);
/* Queues all of the data or nothing. -ENOBUFS when the queue is full, -ENOTCONN when the client has
 * gone. A producer that can wait asks http_stream_room first and goes on in on_drained. */
int http_stream_write(struct http_req *r, const void *data, size_t len);
/* Bytes the queue takes before the producer should pause; 0 arms on_drained. */
size_t http_stream_room(struct http_req *r);
/* Everything was written: flush, end the answer, free the request. */
void http_stream_end(struct http_req *r);
/* Ends it in a way the client sees as broken (no last chunk), at once. */
void http_stream_abort(struct http_req *r);

/* Appends `text` as a JSON string with quotes; wrong UTF-8 becomes U+FFFD. */
int http_json_string(struct buf *b, const char *text);

/* Finds the route of a method and path (version prefix allowed) and fills r's path, version and
 * params; the path is cut in place. NULL when there is none. For server.c and tests. */
const struct http_route *http_route_find(const struct http_route *routes, size_t n_routes,
					 const char *method, char *path, struct http_req *r);
const char *http_status_text(int status);

#endif
