/*
 * Published ports that the packet filter cannot lead to their container: IPv6 of the machine to a
 * container that has IPv4 only, and the machine's own ::1. One worker process takes what comes on
 * such ports and carries it there and back.
 *
 * The engine's side is engine/net/proxy.c: it holds the sockets, starts the worker when the first
 * connection comes, and hands it one descriptor of each. The worker ends with the engine, and what
 * it carries ends with it; the next one gets the ports anew. What it reads comes from the network,
 * so it has no files, no privileges, and only what it was sent.
 */
#ifndef SKERRY_PROXY_PROXY_H
#define SKERRY_PROXY_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "init/base/err.h"

#define PROXY_WORKER "proxy"

enum { PROXY_CHANNEL = 4 }; /* of the worker: a SOCK_SEQPACKET socket to the engine */

/* The role. */
int proxy_worker(int argc, char **argv);
/* The same without the process around it, until the channel ends; for tests without the sandbox. */
int proxy_run(int channel, bool confined, struct err *e);

/* The engine's messages. `key` names a port (no blanks); one that is open already leads elsewhere
 * from now on. fd stays the caller's: a TCP socket that listens, or a bound UDP socket. -EAGAIN:
 * the worker does not keep up. */
int proxy_send_open(int channel, const char *key, uint8_t proto, const char *address, uint16_t port,
		    int fd, struct err *e);
int proxy_send_close(int channel, const char *key, struct err *e);

#endif
