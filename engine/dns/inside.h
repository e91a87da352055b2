/*
 * What the files of engine/dns share: the resolver, its spaces, who asks, and what is asked of
 * other servers. Nobody outside this folder includes it.
 *
 *   message.c  DNS messages, pure
 *   table.c    the names of the networks, pure
 *   server.c   spaces: queries in, answers out
 *   tcp.c      the same over TCP
 *   forward.c  questions to the machine's servers
 *   worker.c   the process: its channel and its bounds
 */
#ifndef SKERRY_DNS_INSIDE_H
#define SKERRY_DNS_INSIDE_H

#include "engine/dns/table.h"
#include "init/base/buf.h"
#include "init/base/list.h"
#include "init/base/loop.h"
#include "init/base/map.h"

enum {
	JOBS_MAX = 3072, /* questions to other servers at once */
	SPACE_JOBS_MAX = 1024, /* of one space */
	CONNS_MAX = 512,
	SPACE_CONNS_MAX = 64,
	CONN_IDLE_MS = 10000,
	QUERIES_PER_ROUND = 64, /* of a socket, so that one container does not hold up the others */
	TRY_MS = 2500, /* for a server to answer; over TCP twice that */
	ANSWER_TTL = 5, /* seconds; containers come and go */
};

struct resolver {
	struct loop *loop;
	struct dns_table *table; /* NULL until the first one */
	struct map spaces; /* id -> struct space */
	size_t n_jobs, n_conns;
	int try_ms;
	/* Takes what the engine has said by now, so that a name is known to all from the moment
	 * that the engine said so. May close spaces. */
	void (*listen)(struct resolver *r);
	struct space *current; /* whose query is being looked at; NULL once it is closed */
};

struct space {
	struct resolver *r;
	char *id;
	int udp, tcp;
	struct io_event udp_io, tcp_io;
	struct list conns, jobs;
	size_t n_conns, n_jobs;
};

struct conn;

/* Where an answer goes. */
struct asker {
	struct space *space;
	struct conn *conn; /* NULL: over UDP, to `addr` */
	struct sockaddr_in addr;
};

/* server.c */
/* Between taking a query and looking at it; false: the space is gone. */
bool space_listen(struct space *s);
int space_open(struct resolver *r, const char *id, int udp, int tcp, struct err *e);
void space_close(struct space *s);
void spaces_keep(struct resolver *r); /* closes those that the table does not have */
/* Answers now or later, once; or not at all what is no query (false). */
bool query(const struct asker *a, const uint8_t *data, size_t len);
void reply(const struct asker *a, const uint8_t *data, size_t len);
void reply_rcode(const struct asker *a, const uint8_t *asked, const struct dns_query *q,
		 enum dns_rcode rcode);

/* tcp.c */
void tcp_accept(struct io_event *io, uint32_t events);
void conn_reply(struct conn *c, const uint8_t *data, size_t len);
void conn_close(struct conn *c);
void conns_close(struct space *s);

/* forward.c */
void forward(const struct asker *a, const struct dns_space *s, const uint8_t *asked, size_t len,
	     const struct dns_query *q);
/* Forgets the questions of the connection (NULL: of the whole space). */
void forward_cancel(struct space *s, const struct conn *c);

#endif
