/*
 * struct http_transport: what a connection reads from and writes to, the same for unix sockets, TCP
 * and TLS.
 *
 * All calls are non-blocking. `fd` is watched by the server's loop; after an -EAGAIN, `wants` says
 * what has to become possible first (TLS may have to write before it can read). Made by the plain
 * functions in transport.c or by tls.c, used by conn.c only.
 */
#ifndef SKERRY_HTTP_TRANSPORT_H
#define SKERRY_HTTP_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "init/base/err.h"

struct http_transport;

struct http_transport_ops {
	/* 0 when ready for data, -EAGAIN, or the error that ends the connection. NULL: ready at
	 * once. */
	int (*handshake)(struct http_transport *t, struct err *e);
	/* Bytes read, 0 at the peer's orderly end of sending, -EAGAIN or -errno. */
	ssize_t (*read)(struct http_transport *t, void *buf, size_t len);
	/* Bytes taken (> 0), -EAGAIN or -errno. After -EAGAIN the same bytes must be offered
	 * again. */
	ssize_t (*write)(struct http_transport *t, const void *buf, size_t len);
	/* Tells the peer that nothing more will be sent; reading goes on. 0, -EAGAIN or -errno. */
	int (*end_write)(struct http_transport *t);
	/* True when bytes can be read without the socket becoming readable. NULL: never. */
	bool (*pending)(struct http_transport *t);
	/* EPOLLIN or EPOLLOUT: what the last -EAGAIN of handshake/read waits for. NULL: EPOLLIN. */
	uint32_t (*wants)(struct http_transport *t);
	/* Frees everything and closes fd. */
	void (*free)(struct http_transport *t);
};

struct http_transport {
	const struct http_transport_ops *ops;
	int fd; /* owned */
};

/* A connected stream socket (unix or TCP) as it is. Takes fd over, also on failure. NULL: no
 * memory. */
struct http_transport *http_transport_plain(int fd);

#endif
