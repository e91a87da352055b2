/*
 * Plain transport: a unix or TCP stream socket as it is. The TLS one is in tls.c.
 */
#include "engine/http/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "init/base/util.h"

static ssize_t plain_read(struct http_transport *t, void *buf, size_t len)
{
	ssize_t n;

	do
		n = recv(t->fd, buf, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t plain_write(struct http_transport *t, const void *buf, size_t len)
{
	ssize_t n;

	do
		n = send(t->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int plain_end_write(struct http_transport *t)
{
	return shutdown(t->fd, SHUT_WR) < 0 ? -errno : 0;
}

static void plain_free(struct http_transport *t)
{
	fd_close(t->fd);
	free(t);
}

struct http_transport *http_transport_plain(int fd)
{
	static const struct http_transport_ops ops = {
		.read = plain_read,
		.write = plain_write,
		.end_write = plain_end_write,
		.free = plain_free,
	};
	struct http_transport *t = calloc(1, sizeof(*t));

	if (!t) {
		fd_close(fd);
		return NULL;
	}
	t->ops = &ops;
	t->fd = fd;
	return t;
}
