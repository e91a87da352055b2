/*
 * Datagrams: whoever sends one gets a socket of its own towards the container (a flow), so that the
 * answers find back. A flow that is silent for FLOW_IDLE_MS is forgotten.
 *
 * Answers leave from the address that the first datagram came to. Caller: worker.c.
 */
#include <string.h>

#include "engine/proxy/inside.h"
#include "init/base/buf.h"

enum { DATAGRAM_MAX = 65536 };

struct flow {
	struct list link;
	struct port *port;
	int fd;
	struct io_event io;
	struct timer_event idle;
	struct sockaddr_in6 client;
	struct in6_pktinfo here; /* the address that it asked */
};

static void flow_close(struct flow *f)
{
	io_remove(&f->io);
	timer_clear(&f->idle);
	fd_close(f->fd);
	list_remove(&f->link);
	f->port->n_flows--;
	f->port->p->n_flows--;
	free(f);
}

static void on_idle(struct timer_event *ev)
{
	flow_close(container_of(ev, struct flow, idle));
}

static void touch(struct flow *f)
{
	(void)timer_set(f->port->p->loop, &f->idle, FLOW_IDLE_MS);
}

static void answer(struct flow *f, const void *data, size_t len)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control = { 0 };
	struct iovec v = { (void *)data, len };
	struct msghdr m = { .msg_name = &f->client,
			    .msg_namelen = sizeof(f->client),
			    .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	struct in6_pktinfo from = f->here;

	from.ipi6_ifindex = 0;
	control.h.cmsg_level = IPPROTO_IPV6;
	control.h.cmsg_type = IPV6_PKTINFO;
	control.h.cmsg_len = CMSG_LEN(sizeof(from));
	memcpy(CMSG_DATA(&control.h), &from, sizeof(from));
	(void)sendmsg(f->port->fd, &m, MSG_DONTWAIT);
}

static void on_flow(struct io_event *io, uint32_t events)
{
	struct flow *f = container_of(io, struct flow, io);
	char data[DATAGRAM_MAX];

	(void)events;
	for (int i = 0; i < PER_ROUND; i++) {
		ssize_t n = recv(f->fd, data, sizeof(data), MSG_DONTWAIT);

		if (n < 0)
			break; /* nobody listens there: a loss like any other */
		answer(f, data, (size_t)n);
	}
	touch(f);
}

static struct flow *flow_find(struct port *port, const struct sockaddr_in6 *client)
{
	struct flow *f;

	list_for_each(f, &port->flows, link)
		if (f->client.sin6_port == client->sin6_port &&
		    f->client.sin6_scope_id == client->sin6_scope_id &&
		    memcmp(&f->client.sin6_addr, &client->sin6_addr, sizeof(client->sin6_addr)) ==
			    0)
			return f;
	return NULL;
}

static struct flow *flow_new(struct port *port, const struct sockaddr_in6 *client,
			     const struct in6_pktinfo *here)
{
	bool room = port->n_flows < PORT_FLOWS_MAX && port->p->n_flows < FLOWS_MAX;
	struct flow *f = room ? calloc(1, sizeof(*f)) : NULL;
	const struct target *t = &port->target;

	if (!f)
		return NULL;
	f->port = port;
	f->client = *client;
	f->here = *here;
	f->io.fn = on_flow;
	f->idle.fn = on_idle;
	f->fd = socket(t->addr.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	list_append(&port->flows, &f->link);
	port->n_flows++;
	port->p->n_flows++;
	if (f->fd < 0 || connect(f->fd, (const struct sockaddr *)&t->addr, t->len) < 0 ||
	    io_add(port->p->loop, &f->io, f->fd, EPOLLIN) < 0) {
		flow_close(f);
		return NULL;
	}
	return f;
}

static void read_here(struct msghdr *m, struct in6_pktinfo *ret_here)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			memcpy(ret_here, CMSG_DATA(c), sizeof(*ret_here));
}

void proxy_prepare(int fd)
{
	int one = 1;

	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
}

void proxy_receive(struct io_event *io, uint32_t events)
{
	struct port *port = container_of(io, struct port, io);
	char data[DATAGRAM_MAX];

	(void)events;
	for (int i = 0; i < PER_ROUND; i++) {
		union {
			struct cmsghdr h;
			char space[128];
		} control;
		struct sockaddr_in6 client = { 0 };
		struct in6_pktinfo here = { 0 };
		struct iovec v = { data, sizeof(data) };
		struct msghdr m = { .msg_name = &client,
				    .msg_namelen = sizeof(client),
				    .msg_iov = &v,
				    .msg_iovlen = 1,
				    .msg_control = &control,
				    .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(port->fd, &m, MSG_DONTWAIT);
		struct flow *f;

		if (n < 0)
			return;
		read_here(&m, &here);
		f = flow_find(port, &client);
		if (!f)
			f = flow_new(port, &client, &here);
		if (!f)
			continue;
		(void)send(f->fd, data, (size_t)n, MSG_DONTWAIT);
		touch(f);
	}
}

void proxy_close_flows(struct port *port)
{
	struct flow *f, *next;

	list_for_each_safe(f, next, &port->flows, link)
		flow_close(f);
}
