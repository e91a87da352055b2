/*
 * Inside of the HTTP server: the structs that server.c, conn.c, reply.c and stream.c share. Not for
 * anybody outside of this folder; the contract is server.h.
 */
#ifndef SKERRY_HTTP_CONN_H
#define SKERRY_HTTP_CONN_H

#include <netinet/in.h>

#include "engine/http/server.h"
#include "engine/http/transport.h"

/* How far a request is. */
enum req_mode {
	REQ_BODY, /* buffered body is being received, the handler has not run */
	REQ_RUN, /* with the handler, nothing answered yet */
	REQ_CHUNKED, /* stream, chunked */
	REQ_CLOSE, /* stream to an HTTP/1.0 client, ends with the connection */
	REQ_RAW, /* hijacked */
	REQ_ENDED, /* the handler is through with it */
};

/* What a connection's timer waits for. */
enum conn_wait {
	WAIT_NOTHING,
	WAIT_HANDSHAKE,
	WAIT_FIRST, /* a request on a fresh connection */
	WAIT_HEAD,
	WAIT_IDLE,
	WAIT_BODY,
	WAIT_REPLY,
	WAIT_STREAM,
	WAIT_LINGER,
	WAIT_COUNT
};

struct http_listener {
	struct http_server *server;
	struct io_event io;
	struct timer_event retry; /* accept failed for want of descriptors or memory */
	struct tls_context *tls; /* NULL: plain */
	struct list link; /* server->listeners */
	struct list idle; /* connections between requests, longest idle first */
	struct list shaking; /* TLS handshakes, oldest first */
	size_t n_conns, max_conns, n_handshakes;
	bool is_tcp, paused;
	bool exhausted; /* no descriptors or memory: not before `retry` */
};

struct http_server {
	struct http_config config;
	struct list listeners, conns;
	struct http_listener adopted; /* the owner of http_serve_fd connections; does not listen */
	size_t n_conns, queued, max_conns;
	int patience; /* upper bound of all time limits in ms, 0: none */
	char scratch[HTTP_READ_SIZE];
};

struct http_conn {
	struct http_server *server;
	struct http_listener *listener;
	struct http_transport *t;
	struct io_event io;
	struct timer_event timer;
	struct defer_event kick; /* something was queued or resumed by a handler */
	struct list link;
	struct list idle_link; /* in idle or shaking of the listener */
	int64_t born; /* ms of the loop */
	struct http_parser parser;
	struct buf in; /* read, not looked at yet (paused, or pipelined) */
	struct buf out; /* bytes from out_off on are still to be sent */
	size_t out_off;
	size_t alone; /* bytes at its front that are sent without what follows */
	struct http_req *req; /* the current one */
	enum conn_wait wait;
	bool handshaking, served_one;
	bool read_ended; /* the peer's end was seen */
	bool peer_closed; /* the same by epoll, while nothing is read */
	bool ending; /* no further request; close when `out` is empty */
	bool write_ended; /* lingering: our end was sent */
	size_t discarded; /* bytes read since then */
	bool progress; /* bytes moved since the timer was set */
	bool broken; /* close at once */
};

/* conn.c */
/* Takes t over, also on failure. */
int conn_new(struct http_server *s, struct http_listener *l, struct http_transport *t,
	     struct err *e);
/* Ends it now: on_gone of its request, then memory. */
void conn_drop(struct http_conn *c);
static inline size_t conn_queued(const struct http_conn *c)
{
	return c->out.len - c->out_off;
}
/* Adds to the output; a failure marks the connection broken. The kick sends it. */
int conn_queue(struct http_conn *c, const void *data, size_t len);
void conn_kick(struct http_conn *c);

/* server.c */
void listener_room(struct http_listener *l); /* a place became free: accept again */

/* reply.c */
void req_free(struct http_req *r);
void req_end(
	struct http_req *r); /* the handler is through: frees it, or leaves it to the connection */
/* Status line and headers of an answer into b. `framing` is the line(s) that say where the body
 * ends. */
void reply_head(struct buf *b, const struct http_config *config, const struct http_req *r,
		int status, const char *content_type, const char *framing);
/* Answer to something that never became a request; the connection ends. */
void reply_refusal(struct http_conn *c, int status, const char *text);

#endif
