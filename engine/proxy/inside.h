/*
 * What the files of engine/proxy share. Nobody outside this folder includes it.
 *
 *   tcp.c     connections
 *   udp.c     datagrams, by who sends them
 *   worker.c  the process: its channel, its ports, its bounds
 */
#ifndef SKERRY_PROXY_INSIDE_H
#define SKERRY_PROXY_INSIDE_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "init/base/list.h"
#include "init/base/loop.h"
#include "init/base/map.h"

enum {
	CONNS_MAX = 2048,
	PORT_CONNS_MAX = 1024,
	FLOWS_MAX = 2048,
	PORT_FLOWS_MAX = 256,
	FLOW_IDLE_MS = 90000,
	ROOM = 32 << 10, /* on the way, of each direction of a connection */
	PER_ROUND = 64, /* datagrams or connections of a socket before the others have their turn */
};

struct proxy {
	struct loop *loop;
	struct map ports; /* key -> struct port */
	size_t n_conns, n_flows;
};

struct target {
	struct sockaddr_storage addr;
	socklen_t len;
};

struct port {
	struct proxy *p;
	int fd;
	uint8_t proto;
	struct target target;
	struct io_event io;
	struct list conns, flows;
	size_t n_conns, n_flows;
};

void proxy_accept(struct io_event *io, uint32_t events);
void proxy_close_conns(struct port *port);
/* Datagrams are answered from the address that they came to: what the socket needs for it. */
void proxy_prepare(int fd);
void proxy_receive(struct io_event *io, uint32_t events);
void proxy_close_flows(struct port *port);

#endif
