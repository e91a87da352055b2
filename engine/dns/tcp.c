/*
 * Queries over TCP: a length in front of each, one after the other on a connection.
 *
 * A connection is read only while nothing of it is being answered, so one that asks and does not
 * read holds up nobody but itself; what says nothing for CONN_IDLE_MS is closed. Callers: server.c,
 * forward.c.
 */
#include <string.h>
#include <sys/socket.h>

#include "engine/dns/inside.h"

enum { LENGTH = 2, READ_CHUNK = 4096 };

struct conn {
	struct list link;
	struct space *space;
	int fd;
	struct io_event io;
	struct timer_event idle;
	struct buf in, out;
	bool busy; /* a query of it is being answered */
	bool pumping, ended, dead;
};

void conn_close(struct conn *c)
{
	struct space *s = c->space;

	forward_cancel(s, c);
	io_remove(&c->io);
	timer_clear(&c->idle);
	fd_close(c->fd);
	list_remove(&c->link);
	buf_free(&c->in);
	buf_free(&c->out);
	s->n_conns--;
	s->r->n_conns--;
	free(c);
}

void conns_close(struct space *s)
{
	struct conn *c, *next;

	list_for_each_safe(c, next, &s->conns, link)
		conn_close(c);
}

static void flush(struct conn *c)
{
	while (c->out.len > 0) {
		ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			c->dead = true;
			return;
		}
		buf_consume(&c->out, (size_t)n);
	}
}

/* The whole query at the front, taken out of c->in into *ret. */
static bool take_query(struct conn *c, struct buf *ret)
{
	size_t len = c->in.len >= LENGTH ? dns_get16((const uint8_t *)c->in.data) : 0;

	if (c->in.len < LENGTH || c->in.len < LENGTH + len)
		return false;
	buf_reset(ret);
	buf_add(ret, c->in.data + LENGTH, len);
	buf_consume(&c->in, LENGTH + len);
	return !buf_failed(ret);
}

/* Answers what is there, as long as answers come at once; then says what it waits for. May close
 * the connection. */
static void pump(struct conn *c)
{
	_cleanup_(buf_free) struct buf q = BUF_INIT(DNS_TCP_MAX);

	c->pumping = true;
	flush(c);
	while (!c->dead && !c->busy && c->out.len == 0 && take_query(c, &q)) {
		struct asker a = { .space = c->space, .conn = c };

		c->busy = true;
		if (!query(&a, (const uint8_t *)buf_text(&q), q.len))
			c->dead = true;
	}
	c->pumping = false;
	if (c->dead || (c->ended && !c->busy && c->out.len == 0)) {
		conn_close(c);
		return;
	}
	(void)timer_set(c->space->r->loop, &c->idle, CONN_IDLE_MS);
	(void)io_change(&c->io, (c->out.len > 0	       ? (uint32_t)EPOLLOUT
				 : c->busy || c->ended ? 0
						       : (uint32_t)EPOLLIN));
}

void conn_reply(struct conn *c, const uint8_t *data, size_t len)
{
	uint8_t head[LENGTH];

	dns_put16(head, (uint16_t)len);
	buf_add(&c->out, head, sizeof(head));
	buf_add(&c->out, data, len);
	c->dead = c->dead || buf_failed(&c->out);
	c->busy = false;
	if (!c->pumping)
		pump(c);
	else
		flush(c);
}

static void on_conn(struct io_event *io, uint32_t events)
{
	struct conn *c = container_of(io, struct conn, io);

	if (events & EPOLLIN) {
		uint8_t *room = buf_reserve(&c->in, READ_CHUNK);
		ssize_t n = room ? recv(c->fd, room, READ_CHUNK, MSG_DONTWAIT) : -1;

		if (n > 0)
			buf_commit(&c->in, (size_t)n);
		c->ended = n == 0;
		c->dead = c->dead || !room || (n < 0 && errno != EAGAIN && errno != EINTR);
	} else if (events & (EPOLLERR | EPOLLHUP)) {
		c->dead = true;
	}
	if (space_listen(c->space))
		pump(c);
}

static void on_idle(struct timer_event *ev)
{
	conn_close(container_of(ev, struct conn, idle));
}

void tcp_accept(struct io_event *io, uint32_t events)
{
	struct space *s = container_of(io, struct space, tcp_io);
	int fd = accept4(s->tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct conn *c;

	(void)events;
	if (fd < 0)
		return;
	c = s->n_conns < SPACE_CONNS_MAX && s->r->n_conns < CONNS_MAX ? calloc(1, sizeof(*c))
								      : NULL;
	if (!c) {
		fd_close(fd);
		return;
	}
	c->space = s;
	c->fd = fd;
	c->io.fn = on_conn;
	c->idle.fn = on_idle;
	c->in = BUF_INIT(LENGTH + DNS_TCP_MAX + READ_CHUNK);
	c->out = BUF_INIT(2 * (LENGTH + DNS_TCP_MAX));
	list_append(&s->conns, &c->link);
	s->n_conns++;
	s->r->n_conns++;
	if (io_add(s->r->loop, &c->io, fd, EPOLLIN) < 0 ||
	    timer_set(s->r->loop, &c->idle, CONN_IDLE_MS) < 0)
		conn_close(c);
}
