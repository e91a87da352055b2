/*
 * Questions to the machine's servers (or those of --dns), for what our networks do not know.
 *
 * Each question gets a socket of its own, connected to its server, with a random port (the
 * kernel's) and a random id; a reply counts only when it comes from there, has that id, and repeats
 * the question. Servers are asked one after the other, each for a while, each at most twice; over
 * TCP when that is how the container asked. The number of questions at once is bounded, so that a
 * loop of servers asking each other comes to an end too. Caller: server.c.
 */
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "engine/dns/inside.h"

enum {
	ROUNDS = 2, /* each server */
	TRIES_MAX = 6,
	FORGED_MAX = 64, /* packets that do not fit, before the port is given up */
	LENGTH = 2,
};

struct job {
	struct list link; /* in its space */
	struct asker asker;
	struct dns_query q;
	uint8_t *asked;
	size_t len;
	struct dns_server servers[DNS_SERVERS_MAX];
	size_t n_servers;
	unsigned int tries, forged;
	uint16_t id;
	int fd;
	struct io_event io;
	struct timer_event timer;
	struct buf in, out; /* TCP */
};

static void job_rest(struct job *j)
{
	io_remove(&j->io);
	timer_clear(&j->timer);
	fd_close(take_fd(j->fd));
}

static void job_free(struct job *j)
{
	job_rest(j);
	list_remove(&j->link);
	j->asker.space->n_jobs--;
	j->asker.space->r->n_jobs--;
	buf_free(&j->in);
	buf_free(&j->out);
	free(j->asked);
	free(j);
}

/* The job is gone before the answer goes out: that may close its connection. */
static void job_fail(struct job *j)
{
	struct asker a = j->asker;
	struct dns_query q = j->q;
	uint8_t *asked = take_ptr(j->asked);

	job_free(j);
	reply_rcode(&a, asked, &q, DNS_SERVFAIL);
	free(asked);
}

static bool last_round(const struct job *j)
{
	return j->tries >= MIN(j->n_servers * ROUNDS, (size_t)TRIES_MAX);
}

static void on_job(struct io_event *io, uint32_t events);
static void job_next(struct job *j);

static void on_timeout(struct timer_event *ev)
{
	job_next(container_of(ev, struct job, timer));
}

static int ask_udp(struct job *j)
{
	uint8_t id[2] = { (uint8_t)(j->id >> 8), (uint8_t)j->id };
	struct iovec parts[] = { { id, sizeof(id) },
				 { j->asked + sizeof(id), j->len - sizeof(id) } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };

	if (sendmsg(j->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

static int ask_tcp(struct job *j)
{
	uint8_t head[LENGTH + 2];

	dns_put16(head, (uint16_t)j->len);
	dns_put16(head + LENGTH, j->id);
	buf_reset(&j->in);
	buf_reset(&j->out);
	buf_add(&j->out, head, sizeof(head));
	buf_add(&j->out, j->asked + 2, j->len - 2);
	return buf_failed(&j->out);
}

static int job_ask(struct job *j)
{
	const struct dns_server *to = &j->servers[j->tries % j->n_servers];
	bool tcp = j->asker.conn;
	const struct resolver *r = j->asker.space->r;
	int rc;

	j->tries++;
	j->forged = 0;
	if (getrandom(&j->id, sizeof(j->id), 0) != sizeof(j->id))
		return -EIO;
	j->fd = socket(to->addr.ss_family,
		       (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (j->fd < 0)
		return -errno;
	if (connect(j->fd, (const struct sockaddr *)&to->addr, to->len) < 0 && errno != EINPROGRESS)
		return -errno;
	rc = tcp ? ask_tcp(j) : ask_udp(j);
	if (rc == 0)
		rc = io_add(r->loop, &j->io, j->fd, tcp ? EPOLLOUT : EPOLLIN);
	return rc < 0 ? rc : timer_set(r->loop, &j->timer, tcp ? 2 * r->try_ms : r->try_ms);
}

static void job_next(struct job *j)
{
	do {
		job_rest(j);
		if (last_round(j)) {
			job_fail(j);
			return;
		}
	} while (job_ask(j) < 0);
}

/* A reply that fits. One that says "not me" makes the next server's turn, while there is one that
 * was not asked. */
static void job_take(struct job *j, uint8_t *data, size_t len)
{
	enum dns_rcode rcode = dns_reply_rcode(data);
	struct asker a = j->asker;
	struct dns_query q = j->q;
	uint8_t *asked;

	if ((rcode == DNS_SERVFAIL || rcode == DNS_REFUSED || rcode == DNS_NOTIMP) &&
	    j->tries < j->n_servers) {
		job_next(j);
		return;
	}
	dns_put16(data, q.id);
	asked = take_ptr(j->asked);
	job_free(j);
	if (!a.conn && len > q.udp_size) { /* the server thought that it takes more */
		struct dns_out o;
		uint8_t cut[DNS_UDP_MIN];

		dns_answer_begin(&o, cut, sizeof(cut), asked, &q, rcode);
		o.truncated = true;
		reply(&a, cut, dns_answer_end(&o));
	} else {
		reply(&a, data, len);
	}
	free(asked);
}

static void on_udp_reply(struct job *j)
{
	uint8_t data[DNS_UDP_MAX + 1];
	ssize_t n;

	while ((n = recv(j->fd, data, sizeof(data), MSG_DONTWAIT)) >= 0) {
		if (n <= DNS_UDP_MAX && dns_reply_fits(data, (size_t)n, j->id, j->asked, &j->q)) {
			job_take(j, data, (size_t)n);
			return;
		}
		if (++j->forged >= FORGED_MAX) {
			job_next(j);
			return;
		}
	}
	if (errno != EAGAIN && errno != EINTR)
		job_next(j); /* nobody listens there */
}

static void on_tcp_reply(struct job *j)
{
	uint8_t *room = buf_reserve(&j->in, DNS_UDP_MAX);
	ssize_t n = room ? recv(j->fd, room, DNS_UDP_MAX, MSG_DONTWAIT) : -1;
	size_t len;

	if (n < 0 && room && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		job_next(j);
		return;
	}
	buf_commit(&j->in, (size_t)n);
	if (j->in.len < LENGTH)
		return;
	len = dns_get16((const uint8_t *)j->in.data);
	if (j->in.len < LENGTH + len)
		return;
	if (dns_reply_fits((const uint8_t *)j->in.data + LENGTH, len, j->id, j->asked, &j->q)) {
		struct buf in = j->in;

		j->in = (struct buf){ 0 };
		job_take(j, (uint8_t *)in.data + LENGTH, len);
		buf_free(&in);
	} else {
		job_next(j);
	}
}

static void on_job(struct io_event *io, uint32_t events)
{
	struct job *j = container_of(io, struct job, io);

	if (!j->asker.conn) {
		on_udp_reply(j);
	} else if (j->out.len > 0 && (events & EPOLLOUT)) {
		ssize_t n = send(j->fd, j->out.data, j->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN) {
			job_next(j);
			return;
		}
		buf_consume(&j->out, (size_t)MAX(n, 0));
		if (j->out.len == 0)
			(void)io_change(&j->io, EPOLLIN);
	} else {
		on_tcp_reply(j);
	}
}

void forward(const struct asker *a, const struct dns_space *s, const uint8_t *asked, size_t len,
	     const struct dns_query *q)
{
	struct resolver *r = a->space->r;
	struct job *j = NULL;

	if (a->space->n_jobs < SPACE_JOBS_MAX && r->n_jobs < JOBS_MAX)
		j = calloc(1, sizeof(*j));
	if (j)
		j->asked = malloc(len);
	if (!j || !j->asked) {
		free(j);
		reply_rcode(a, asked, q, DNS_SERVFAIL);
		return;
	}
	memcpy(j->asked, asked, len);
	j->len = len;
	j->asker = *a;
	j->q = *q;
	memcpy(j->servers, s->servers, sizeof(j->servers));
	j->n_servers = s->n_servers;
	j->fd = -1;
	j->io.fn = on_job;
	j->timer.fn = on_timeout;
	j->in = j->out = BUF_INIT(LENGTH + DNS_TCP_MAX + DNS_UDP_MAX);
	list_append(&a->space->jobs, &j->link);
	a->space->n_jobs++;
	r->n_jobs++;
	job_next(j);
}

void forward_cancel(struct space *s, const struct conn *c)
{
	struct job *j, *next;

	list_for_each_safe(j, next, &s->jobs, link)
		if (!c || j->asker.conn == c)
			job_free(j);
}
