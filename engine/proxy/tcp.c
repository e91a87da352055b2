/*
 * Connections: each has two sides, and what one reads waits in the other until it is written.
 *
 * A side is read only while there is room on the other, so a peer that does not read holds up
 * nobody but its own. The end of one direction is handed on as such; a connection is over when both
 * have ended, or one side fails. Caller: worker.c.
 */
#include <netinet/tcp.h>

#include "engine/proxy/inside.h"
#include "init/base/buf.h"

enum { CHUNK = 16 << 10 };

struct side {
	struct conn *conn;
	int fd;
	struct io_event io;
	struct buf out;
	bool connecting;
	bool ended; /* it says nothing more */
	bool shut; /* nothing more is said to it */
};

struct conn {
	struct list link;
	struct port *port;
	struct side sides[2]; /* who came, and the container */
	bool dead;
};

static struct side *other(struct side *s)
{
	return s == &s->conn->sides[0] ? &s->conn->sides[1] : &s->conn->sides[0];
}

static void conn_close(struct conn *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->sides); i++) {
		io_remove(&c->sides[i].io);
		fd_close(c->sides[i].fd);
		buf_free(&c->sides[i].out);
	}
	list_remove(&c->link);
	c->port->n_conns--;
	c->port->p->n_conns--;
	free(c);
}

static void side_write(struct side *s)
{
	while (s->out.len > 0 && !s->connecting) {
		ssize_t n = send(s->fd, s->out.data, s->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			s->conn->dead = true;
			return;
		}
		buf_consume(&s->out, (size_t)n);
	}
	if (other(s)->ended && !s->shut && !s->connecting) {
		(void)shutdown(s->fd, SHUT_WR);
		s->shut = true;
	}
}

static void side_read(struct side *s)
{
	struct buf *to = &other(s)->out;
	uint8_t *room = to->len < ROOM ? buf_reserve(to, CHUNK) : NULL;
	ssize_t n;

	if (s->ended || !room)
		return;
	n = recv(s->fd, room, CHUNK, MSG_DONTWAIT);
	if (n > 0)
		buf_commit(to, (size_t)n);
	s->ended = n == 0;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		s->conn->dead = true;
}

/* What each side waits for now. May close the connection. */
static void settle(struct conn *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->sides); i++)
		side_write(&c->sides[i]);
	if (c->dead || (c->sides[0].shut && c->sides[1].shut)) {
		conn_close(c);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(c->sides); i++) {
		struct side *s = &c->sides[i];
		uint32_t want = 0;

		if (s->ended && s->shut) { /* the other one may still have to be written to */
			io_remove(&s->io);
			continue;
		}
		if (s->connecting || s->out.len > 0)
			want |= EPOLLOUT;
		if (!s->ended && !s->connecting && other(s)->out.len < ROOM)
			want |= EPOLLIN;
		(void)io_change(&s->io, want);
	}
}

static void on_side(struct io_event *io, uint32_t events)
{
	struct side *s = container_of(io, struct side, io);
	socklen_t len = sizeof(int);
	int code = 0;

	if (s->connecting) {
		if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0 || code != 0)
			s->conn->dead = true;
		s->connecting = false;
	} else if (events & EPOLLIN) {
		side_read(s);
	} else if (events & (EPOLLERR | EPOLLHUP)) {
		s->conn->dead = true;
	}
	settle(s->conn);
}

static int side_start(struct conn *c, size_t i, int fd, uint32_t events)
{
	struct side *s = &c->sides[i];
	int one = 1;

	s->conn = c;
	s->fd = fd;
	s->io.fn = on_side;
	s->out = BUF_INIT(ROOM + CHUNK);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd < 0 ? -1 : io_add(c->port->p->loop, &s->io, fd, events);
}

static int reach(const struct target *t)
{
	int fd = socket(t->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&t->addr, t->len) < 0 &&
	    errno != EINPROGRESS) {
		fd_close(fd);
		return -1;
	}
	return fd;
}

static void conn_new(struct port *port, int fd)
{
	bool room = port->n_conns < PORT_CONNS_MAX && port->p->n_conns < CONNS_MAX;
	struct conn *c = room ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		fd_close(fd);
		return;
	}
	c->port = port;
	list_append(&port->conns, &c->link);
	port->n_conns++;
	port->p->n_conns++;
	c->sides[1].connecting = true;
	c->dead = side_start(c, 0, fd, 0) < 0;
	c->dead |= side_start(c, 1, reach(&port->target), EPOLLOUT) < 0;
	if (c->dead)
		conn_close(c);
}

void proxy_accept(struct io_event *io, uint32_t events)
{
	struct port *port = container_of(io, struct port, io);

	(void)events;
	for (int i = 0; i < PER_ROUND; i++) {
		int fd = accept4(port->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		conn_new(port, fd);
	}
}

void proxy_close_conns(struct port *port)
{
	struct conn *c, *next;

	list_for_each_safe(c, next, &port->conns, link)
		conn_close(c);
}
