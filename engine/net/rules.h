/*
 * The whole packet filter of the engine, from plain data: what bridges there are and what they
 * publish.
 *
 * rules_build is pure: lists in, messages out. net/ rebuilds and replaces everything at each
 * change; the kernel swaps the old for the new in one step, so there is no moment with half of the
 * rules. README.md of this folder shows the result as the nft program lists it.
 */
#ifndef SKERRY_NET_RULES_H
#define SKERRY_NET_RULES_H

#include "engine/net/addr.h"
#include "engine/net/nft.h"

struct rules_bridge {
	const char *ifname;
	struct ip_net subnet; /* its family decides which table it goes to */
	bool internal;
	bool masquerade;
	bool icc;
	bool unprotected; /* reached from outside at every port */
	bool routed; /* and at the ports that are published; answers to ping */
};

struct rules_port {
	uint8_t proto;
	struct ip_addr host_ip; /* 0.0.0.0 or :: for every address of the machine */
	uint16_t host_port; /* 0: reached at its own address */
	struct ip_addr addr; /* of the container */
	uint16_t port;
};

struct rules {
	const struct rules_bridge *bridges;
	size_t n_bridges;
	const struct rules_port *ports; /* no two with the same proto, host_ip and host_port */
	size_t n_ports;
};

/* Fills *n with the transaction (nft_begin is done here; nft_commit and nft_free are the
 * caller's). */
void rules_build(struct nft *n, const struct rules *r);
/* The rules of a container's own namespace: what it asks of `address`, port 53, goes to these ports
 * of that address. */
void rules_build_resolver(struct nft *n, const struct ip_addr *address, uint16_t udp, uint16_t tcp);
/* The chain of people's own rules (table inet skerry-user), left as it is when it is there. */
void rules_build_user(struct nft *n);
/* The transaction that removes our tables. */
void rules_build_none(struct nft *n);

#endif
