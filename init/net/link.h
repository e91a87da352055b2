/*
 * Links over rtnetlink: up, MTU, addresses, routes. Each call is one request with its
 * acknowledgement.
 *
 * fd is an nl_open(NETLINK_ROUTE) socket used for calls only (not the monitor's). Addresses are
 * held as struct ip, both families in one. Used by net.c.
 */
#ifndef SKERRY_NET_LINK_H
#define SKERRY_NET_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "init/base/err.h"

struct ip {
	int family; /* AF_INET or AF_INET6; 0: none */
	unsigned char bytes[16]; /* network order, 4 or 16 of them */
	unsigned prefix; /* bits; 32 or 128 for a plain address */
};

enum { IP_TEXT_MAX = 64 };
#define LINK_FOREVER UINT32_MAX

/* "192.0.2.2/24", "2001:db8::1/64", or without the slash (prefix is then all bits). -EINVAL. */
int ip_parse(const char *text, struct ip *ret);
/* The address without the prefix. Returns buf. */
const char *ip_text(const struct ip *ip, char buf[IP_TEXT_MAX]);
bool ip_equal(const struct ip *a, const struct ip *b); /* prefix included */
unsigned ip_bits(const struct ip *ip); /* 32 or 128 */
/* A unicast address that a host may have or a gateway may be: not zero, multicast, broadcast or
 * loopback. */
bool ip_is_host(const struct ip *ip);

int link_up(int fd, int index, struct err *e);
int link_mtu(int fd, int index, unsigned mtu, struct err *e);
/* Adds or refreshes an address that the kernel drops after `seconds` (LINK_FOREVER: never). */
int link_add_address(int fd, int index, const struct ip *ip, uint32_t seconds, struct err *e);
int link_remove_address(int fd, int index, const struct ip *ip, struct err *e); /* absent is fine */
/* Adds or replaces the route to `to` (family and prefix; 0 bits is the default route) through
 * `gateway` (family 0: directly on the link), with `source` as preferred source (may be NULL). */
int link_add_route(int fd, int index, const struct ip *to, const struct ip *gateway,
		   const struct ip *source, uint32_t metric, struct err *e);
int link_remove_route(int fd, int index, const struct ip *to, const struct ip *gateway,
		      uint32_t metric, struct err *e); /* absent is fine */

#endif
