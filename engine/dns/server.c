/*
 * Spaces: the sockets of one container's namespace, and what is answered on them.
 *
 * Names of the space's networks are answered here; everything else goes to forward.c, or is refused
 * where nothing may leave the machine. Callers: worker.c, tcp.c, forward.c.
 */
#include <string.h>
#include <sys/socket.h>

#include "engine/dns/inside.h"
#include "init/base/str.h"

void reply(const struct asker *a, const uint8_t *data, size_t len)
{
	if (a->conn)
		conn_reply(a->conn, data, len);
	else /* one that does not fit now is lost, as datagrams are */
		(void)sendto(a->space->udp, data, len, MSG_DONTWAIT | MSG_NOSIGNAL,
			     (const struct sockaddr *)&a->addr, sizeof(a->addr));
}

void reply_rcode(const struct asker *a, const uint8_t *asked, const struct dns_query *q,
		 enum dns_rcode rcode)
{
	uint8_t data[DNS_UDP_MIN];
	struct dns_out o;

	dns_answer_begin(&o, data, sizeof(data), asked, q, rcode);
	reply(a, data, dns_answer_end(&o));
}

static bool wanted(const struct dns_query *q, const struct dns_addr *addr)
{
	return q->type == DNS_ANY || q->type == (addr->len == 4 ? DNS_A : DNS_AAAA);
}

static void reply_found(const struct asker *a, const uint8_t *asked, const struct dns_query *q,
			const struct dns_found *f)
{
	size_t max = a->conn ? DNS_TCP_MAX : q->udp_size;
	uint8_t *data = malloc(max);
	struct dns_out o;
	bool room = true;

	if (!data) {
		reply_rcode(a, asked, q, DNS_SERVFAIL);
		return;
	}
	dns_answer_begin(&o, data, max, asked, q, DNS_NOERROR);
	for (size_t i = 0; i < f->n && room; i++) {
		const struct dns_addr *addr = &f->addrs[(f->first + i) % f->n];

		room = !wanted(q, addr) || dns_answer_addr(&o, addr, ANSWER_TTL);
	}
	if (f->name[0] && (q->type == DNS_PTR || q->type == DNS_ANY))
		(void)dns_answer_name(&o, f->name, ANSWER_TTL);
	reply(a, data, dns_answer_end(&o));
	free(data);
}

bool query(const struct asker *a, const uint8_t *data, size_t len)
{
	struct resolver *r = a->space->r;
	const struct dns_space *s = dns_table_space(r->table, a->space->id);
	struct dns_found found = { 0 };
	struct dns_addr addr;
	struct dns_query q;

	if (dns_query_read(data, len, &q) < 0)
		return false;
	if (q.rcode != DNS_NOERROR) {
		reply_rcode(a, data, &q, q.rcode);
		return true;
	}
	if (q.class != DNS_CLASS_IN && q.class != DNS_CLASS_ANY) {
		reply_rcode(a, data, &q, DNS_REFUSED);
		return true;
	}
	if (s && !q.odd) {
		dns_table_name(r->table, s, q.name, &found);
		if (!found.known && dns_reverse_addr(q.name, &addr))
			dns_table_addr(r->table, s, &addr, &found);
	}
	if (found.known)
		reply_found(a, data, &q, &found);
	else if (!s || !s->forward || s->n_servers == 0)
		reply_rcode(a, data, &q, DNS_SERVFAIL);
	else
		forward(a, s, data, len, &q);
	return true;
}

bool space_listen(struct space *s)
{
	struct resolver *r = s->r;

	r->current = s;
	r->listen(r);
	return r->current == s;
}

static void on_udp(struct io_event *io, uint32_t events)
{
	struct space *s = container_of(io, struct space, udp_io);
	uint8_t data[DNS_UDP_MAX + 1];

	(void)events;
	for (int i = 0; i < QUERIES_PER_ROUND; i++) {
		struct asker a = { .space = s };
		socklen_t len = sizeof(a.addr);
		ssize_t n = recvfrom(s->udp, data, sizeof(data), MSG_DONTWAIT,
				     (struct sockaddr *)&a.addr, &len);

		if (n < 0 || !space_listen(s))
			return;
		if (n <= DNS_UDP_MAX && len == sizeof(a.addr))
			(void)query(&a, data, (size_t)n);
	}
}

void space_close(struct space *s)
{
	forward_cancel(s, NULL);
	conns_close(s);
	io_remove(&s->udp_io);
	io_remove(&s->tcp_io);
	fd_close(s->udp);
	fd_close(s->tcp);
	if (s->r->current == s)
		s->r->current = NULL;
	(void)map_remove(&s->r->spaces, s->id);
	free(s->id);
	free(s);
}

int space_open(struct resolver *r, const char *id, int udp, int tcp, struct err *e)
{
	struct space *s = map_get(&r->spaces, id);
	int rc;

	if (s)
		space_close(s);
	s = calloc(1, sizeof(*s));
	if (!s || !(s->id = str_dup(id)) || map_put(&r->spaces, id, s, NULL) < 0) {
		if (s)
			free(s->id);
		free(s);
		fd_close(udp);
		fd_close(tcp);
		return err_set(e, ENOMEM, "out of memory");
	}
	s->r = r;
	s->udp = udp;
	s->tcp = tcp;
	s->udp_io.fn = on_udp;
	s->tcp_io.fn = tcp_accept;
	list_init(&s->conns);
	list_init(&s->jobs);
	rc = io_add(r->loop, &s->udp_io, udp, EPOLLIN);
	if (rc == 0)
		rc = io_add(r->loop, &s->tcp_io, tcp, EPOLLIN);
	if (rc == 0)
		return 0;
	space_close(s);
	return err_errno(e, -rc, "cannot watch the sockets of %.12s", id);
}

void spaces_keep(struct resolver *r)
{
	struct map_entry *m;

	for (size_t i = 0; (m = map_next(&r->spaces, &i));)
		if (!dns_table_space(r->table, m->key))
			space_close(m->value);
}
