/*
 * One connection to a syslog server (link.h).
 *
 * A try goes over all addresses of the name, each within SYSLOG_CONNECT_MS. A datagram socket is up
 * as soon as it is made: whether somebody hears, UDP does not say. What a server sends is read and
 * dropped, its end of the connection seen at once.
 */
#include "engine/syslog/link.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/un.h>

#include "init/base/str.h"

enum { PAUSE_FIRST_MS = 100, PAUSE_MOST_MS = 5000 };

static void try_next(struct link *l, const struct err *why);

static bool is_datagram(const struct link *l)
{
	return l->address.net == SYSLOG_UDP || l->address.net == SYSLOG_UNIXGRAM;
}

void link_name(const struct link *l, char *buf, size_t size)
{
	static const char *const schemes[] = {
		[SYSLOG_UDP] = "udp",	[SYSLOG_TCP] = "tcp",		[SYSLOG_TLS] = "tcp+tls",
		[SYSLOG_UNIX] = "unix", [SYSLOG_UNIXGRAM] = "unixgram",
	};
	const struct syslog_address *a = &l->address;

	if (a->net >= SYSLOG_UNIX)
		snprintf(buf, size, "%s://%s", schemes[a->net], a->path);
	else
		snprintf(buf, size, strchr(a->host, ':') ? "%s://[%s]:%u" : "%s://%s:%u",
			 schemes[a->net], a->host, a->port);
}

static void drop_connection(struct link *l)
{
	io_remove(&l->io);
	timer_clear(&l->timer);
	if (l->transport)
		l->transport->ops->free(take_ptr(l->transport));
	fd_close(l->fd);
	l->fd = -1;
}

void link_close(struct link *l)
{
	drop_connection(l);
	l->state = LINK_DOWN;
}

/* ---- the end of a connection, and of a try ---- */

static void on_pause_over(struct timer_event *ev)
{
	struct link *l = container_of(ev, struct link, timer);

	l->n_targets = l->next = 0;
	try_next(l, NULL);
}

static void fall(struct link *l, const struct err *why)
{
	bool was_up = l->state == LINK_UP;

	link_close(l);
	l->pause_ms = was_up || !l->pause_ms ? PAUSE_FIRST_MS
					     : MIN(l->pause_ms * 2, (int64_t)PAUSE_MOST_MS);
	l->timer.fn = on_pause_over;
	(void)timer_set(l->loop, &l->timer, l->pause_ms);
	l->down(l, was_up, why);
}

/* This target will not do: the next one, or none. */
static void failed(struct link *l, const struct err *why)
{
	drop_connection(l);
	try_next(l, why);
}

static void on_late(struct timer_event *ev)
{
	struct link *l = container_of(ev, struct link, timer);
	struct err e = { 0 };

	err_set(&e, ETIMEDOUT, "no connection within %d s", SYSLOG_CONNECT_MS / 1000);
	failed(l, &e);
}

/* ---- up ---- */

static void is_up(struct link *l)
{
	timer_clear(&l->timer);
	l->state = LINK_UP;
	l->pause_ms = 0;
	(void)io_change(&l->io, EPOLLIN);
	l->up(l);
}

/* What the server says is of no interest, but that it is there. */
static void hear(struct link *l, bool hung_up)
{
	char sink[4096];
	struct err e = { 0 };
	ssize_t n = 0;

	for (int i = 0; i < 16; i++) {
		n = l->transport->ops->read(l->transport, sink, sizeof(sink));
		if (n <= 0)
			break;
	}
	/* an empty datagram is no end, and a refusal by ICMP tells of the past */
	if (is_datagram(l) && (n == 0 || n == -ECONNREFUSED))
		n = -EAGAIN;
	if (n == -EAGAIN && hung_up)
		n = 0;
	if (n == -EAGAIN || n > 0)
		return;
	if (n == 0)
		err_set(&e, EPIPE, "the server closed the connection");
	else
		err_errno(&e, (int)-n, "connection lost");
	fall(l, &e);
}

static void on_up(struct link *l, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
		hear(l, events & EPOLLHUP);
	if (l->state == LINK_UP && (events & EPOLLOUT)) {
		(void)io_change(&l->io, EPOLLIN);
		l->room(l);
	}
}

/* ---- opening ---- */

static void shake(struct link *l)
{
	struct http_transport *t = l->transport;
	struct err e = { 0 };
	int r = t->ops->handshake ? t->ops->handshake(t, &e) : 0;

	if (r == 0)
		is_up(l);
	else if (r == -EAGAIN)
		(void)io_change(&l->io, t->ops->wants ? t->ops->wants(t) : EPOLLIN);
	else
		failed(l, &e);
}

static void is_open(struct link *l)
{
	int fd = take_fd(l->fd);

	l->transport = l->tls ? tls_client_transport(l->tls, fd, l->address.host)
			      : http_transport_plain(fd);
	if (!l->transport) {
		struct err e = { 0 };

		io_remove(&l->io);
		err_errno(&e, ENOMEM, "connection");
		failed(l, &e);
		return;
	}
	l->state = LINK_SHAKING;
	shake(l);
}

static void on_opening(struct link *l)
{
	int error = 0;
	socklen_t len = sizeof(error);
	struct err e = { 0 };

	if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0) {
		is_open(l);
		return;
	}
	err_errno(&e, error ? error : EIO, "connect");
	failed(l, &e);
}

static void on_io(struct io_event *ev, uint32_t events)
{
	struct link *l = container_of(ev, struct link, io);

	if (l->state == LINK_UP)
		on_up(l, events);
	else if (l->state == LINK_SHAKING)
		shake(l);
	else if (l->state == LINK_OPENING)
		on_opening(l);
}

/* Begins with one target: 0 when an event or the timer goes on from here. */
static int open_target(struct link *l, size_t i, struct err *e)
{
	const struct sockaddr *addr = (const struct sockaddr *)&l->targets[i].addr;
	int type = is_datagram(l) ? SOCK_DGRAM : SOCK_STREAM, yes = 1;

	l->fd = socket(addr->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return err_errno(e, errno, "socket");
	if (addr->sa_family != AF_UNIX && type == SOCK_STREAM) {
		(void)setsockopt(l->fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
		(void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	}
	/* unix: EAGAIN is a full queue there, not a connection on its way */
	if (connect(l->fd, addr, l->targets[i].len) < 0 && errno != EINPROGRESS)
		return err_errno(e, errno, "connect");
	l->io.fn = on_io;
	if (io_add(l->loop, &l->io, l->fd, EPOLLOUT) < 0)
		return err_errno(e, errno, "connect");
	l->state = LINK_OPENING;
	l->timer.fn = on_late;
	(void)timer_set(l->loop, &l->timer, SYSLOG_CONNECT_MS);
	return 0;
}

/* ---- finding ---- */

static int resolve(struct link *l, struct err *e)
{
	const struct addrinfo hints = { .ai_socktype = is_datagram(l) ? SOCK_DGRAM : SOCK_STREAM };
	struct addrinfo *list = NULL;
	char port[8];
	int r;

	(void)str_format(port, sizeof(port), "%u", l->address.port);
	r = getaddrinfo(l->address.host, port, &hints, &list);
	if (r != 0)
		return err_set(e, EHOSTUNREACH, "%s: %s", l->address.host, gai_strerror(r));
	for (struct addrinfo *a = list; a && l->n_targets < LINK_TARGETS_MAX; a = a->ai_next) {
		if (a->ai_addrlen > sizeof(l->targets[0].addr))
			continue;
		memcpy(&l->targets[l->n_targets].addr, a->ai_addr, a->ai_addrlen);
		l->targets[l->n_targets++].len = a->ai_addrlen;
	}
	freeaddrinfo(list);
	return 0;
}

static int find(struct link *l, struct err *e)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (l->address.net < SYSLOG_UNIX)
		return resolve(l, e);
	(void)str_copy(un.sun_path, sizeof(un.sun_path), l->address.path);
	memcpy(&l->targets[0].addr, &un, sizeof(un));
	l->targets[0].len = sizeof(un);
	l->n_targets = 1;
	return 0;
}

/* why: the target before this one; NULL at the beginning of a try. */
static void try_next(struct link *l, const struct err *why)
{
	struct err e = why ? *why : (struct err){ 0 };

	if (l->n_targets == 0 && find(l, &e) < 0) {
		fall(l, &e);
		return;
	}
	while (l->next < l->n_targets) {
		if (open_target(l, l->next++, &e) == 0)
			return;
		drop_connection(l);
	}
	if (!e.code)
		err_set(&e, EHOSTUNREACH, "%s has no address", l->address.host);
	fall(l, &e);
}

void link_start(struct link *l)
{
	l->fd = -1;
	l->timer.fn = on_pause_over;
	(void)timer_set(l->loop, &l->timer, 0);
}

/* ---- sending ---- */

ssize_t link_send(struct link *l, const void *data, size_t len)
{
	struct http_transport *t = l->transport;
	struct err e = { 0 };
	ssize_t n = t->ops->write(t, data, len);

	/* the refusal of an earlier datagram: this one was not even tried */
	if (n == -ECONNREFUSED && l->address.net == SYSLOG_UDP)
		n = t->ops->write(t, data, len);
	if (n == -ECONNREFUSED && l->address.net == SYSLOG_UDP)
		return (ssize_t)len;
	if (n >= 0)
		return n;
	if (n == -EAGAIN) {
		(void)io_change(&l->io, EPOLLIN | EPOLLOUT);
		return n;
	}
	err_errno(&e, (int)-n, "sending");
	fall(l, &e);
	return n;
}

int link_end(struct link *l)
{
	int r = is_datagram(l) ? 0 : l->transport->ops->end_write(l->transport);
	char sink[4096];

	if (r == -EAGAIN)
		(void)io_change(&l->io, EPOLLIN | EPOLLOUT);
	/* a close with something unread would be a reset, which takes back what was sent */
	for (int i = 0; r == 0 && i < 16; i++)
		if (recv(l->transport->fd, sink, sizeof(sink), MSG_DONTWAIT) <= 0)
			break;
	return r;
}
