/*
 * Published ports: what is asked for, what was given, and the sockets that hold the given ones.
 *
 * A port is held by a bound socket in the machine's network namespace for as long as it is
 * published. So the kernel itself answers "is it free" (other containers, programs of the machine,
 * wildcard against single address), and no program can take it later. Packets do not reach that
 * socket: nftables rewrites them before; those of IPv6 that it cannot lead there are carried by a
 * process (proxy.c), so the sockets of IPv6 and TCP listen. container/, api/ and manifest/ fill
 * struct port_want with the parsers here; net_attach does the rest.
 */
#ifndef SKERRY_NET_PORTS_H
#define SKERRY_NET_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/net/addr.h"
#include "init/base/err.h"

struct port_want {
	uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
	uint16_t container_port; /* 1..65535 */
	struct ip_addr host_ip; /* none: every IPv4 address of the machine */
	bool both; /* IPv4 and IPv6, at the same port: two bindings */
	uint16_t host_first; /* 0: any ephemeral port; else the first free of first..last */
	uint16_t host_last;
};

struct port_binding {
	uint8_t proto;
	uint16_t container_port;
	struct ip_addr host_ip; /* 0.0.0.0 or :: for every address */
	uint16_t host_port; /* 0: none; reached at the container's own address (routed) */
	int fd; /* the holding socket, -1 when not held; owned by net/ */
};

enum {
	PORT_WANTS_MAX = 4096, /* per container; a range counts each of its ports */
	PORT_EPHEMERAL_FIRST = 32768, /* kernel default of net.ipv4.ip_local_port_range */
	PORT_EPHEMERAL_LAST = 60999,
};

const char *port_proto_name(uint8_t proto); /* "tcp", "udp", "sctp" */

/* "80", "80/udp": a key of ExposedPorts or PortBindings. -EINVAL. */
int port_parse(const char *text, uint16_t *ret_port, uint8_t *ret_proto, struct err *e);
/* One PortBindings entry: key "80/tcp", HostIp "" or an address, HostPort "", "8080" or
 * "8000-8010". -EINVAL. */
int port_want_parse(const char *port, const char *host_ip, const char *host_port,
		    struct port_want *ret_want, struct err *e);
/* Compose and command line form: "80", "8080:80", "127.0.0.1:8080:80/udp", "[::1]:8080:80",
 * "9000-9010:80-90", "8000-9000:80" (first free), "127.0.0.1::80". One want for each container port
 * into new memory (free()). -EINVAL, -E2BIG. */
int port_spec_parse(const char *spec, struct port_want **ret_wants, size_t *ret_n, struct err *e);

/* What is held. Zeroed is empty. SCTP ports are remembered here when the kernel has no sockets of
 * that kind to hold them with. */
struct port_space {
	uint16_t cursor; /* the ephemeral port given last */
	struct port_binding *unheld;
	size_t n_unheld;
};

void port_space_free(struct port_space *s); /* not the bindings: they are the sandboxes' */

/* Takes each port wanted, all or none: ret_bindings in the order of wants, two for those that want
 * both families. -EADDRINUSE with Docker's text
 * ("... port is already allocated"), -EADDRNOTAVAIL for an address the machine does not have. */
int ports_take(struct port_space *s, const struct port_want *wants, size_t n,
	       struct port_binding *ret_bindings, struct err *e);
/* Takes one exactly as it was (after an engine restart); errors as above. */
int port_retake(struct port_space *s, struct port_binding *b, struct err *e);
void ports_release(struct port_space *s, struct port_binding *bindings, size_t n);

#endif
