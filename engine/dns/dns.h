/*
 * The embedded resolver: one worker process that answers the containers of all networks of one's
 * own, each on sockets that were opened inside its network namespace.
 *
 * The engine's side is engine/net/resolver.c: it starts the worker, hands it the sockets of each
 * namespace (a space), and sends the whole table (table.h) at each change. The worker ends with the
 * engine; the next one gets everything anew. What it reads comes from containers and from the
 * network, so it has no files, no privileges, and only what it was sent.
 */
#ifndef SKERRY_DNS_DNS_H
#define SKERRY_DNS_DNS_H

#include <stdbool.h>
#include <stddef.h>

#include "init/base/err.h"

#define DNS_WORKER "dns"
#define DNS_ADDRESS "127.0.0.11" /* in every container; its port 53 is led to the space's sockets */

enum { DNS_CHANNEL = 4 }; /* of the worker: a SOCK_SEQPACKET socket to the engine */

/* The role. */
int dns_worker(int argc, char **argv);
/* The same without the process around it, until the channel ends. For tests: without the sandbox,
 * and with another time for a server to answer (ms; 0: the usual). */
int dns_run(int channel, bool confined, int try_ms, struct err *e);

/* The engine's messages. The descriptors stay the caller's. -EAGAIN: the worker does not keep up.
 * udp is bound, tcp listens. */
int dns_send_space(int channel, const char *id, int udp, int tcp, struct err *e);
int dns_send_table(int channel, const char *json, size_t len, struct err *e);

#endif
