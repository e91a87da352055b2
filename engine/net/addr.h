/*
 * struct ip_addr and struct ip_net: one address, one subnet, of either family, as plain values.
 *
 * Bytes are in network order. IPv4 uses the first four. A zeroed struct (family 0) is "none" and
 * prints as "". Pure functions, no state; used all over engine/net and by those who read its
 * results.
 */
#ifndef SKERRY_NET_ADDR_H
#define SKERRY_NET_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "init/base/err.h"

struct ip_addr {
	uint8_t family; /* AF_INET, AF_INET6, or 0: none */
	uint8_t b[16];
};

struct ip_net {
	struct ip_addr addr; /* host bits zero, unless it names an interface address */
	uint8_t prefix; /* 0..32 or 0..128 */
};

enum { IP_TEXT_MAX = 46, IP_NET_TEXT_MAX = 50, MAC_TEXT_MAX = 18 };

static inline size_t ip_size(uint8_t family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}
static inline bool ip_is_set(const struct ip_addr *a)
{
	return a->family != 0;
}

/* Strict dotted quad or RFC 4291 text, without zone or prefix. -EINVAL with a text that quotes
 * it. */
int ip_parse(const char *text, struct ip_addr *ret_addr, struct err *e);
/* "172.17.0.0/16"; host bits are kept. -EINVAL. */
int ip_net_parse(const char *text, struct ip_net *ret_net, struct err *e);
/* Text into buf, "" for none. Returns buf. */
const char *ip_text(const struct ip_addr *a, char buf[IP_TEXT_MAX]);
const char *ip_net_text(const struct ip_net *n, char buf[IP_NET_TEXT_MAX]);

bool ip_eq(const struct ip_addr *a, const struct ip_addr *b);
bool ip_is_any(const struct ip_addr *a); /* 0.0.0.0 or :: */
bool ip_is_loopback(const struct ip_addr *a); /* 127.0.0.0/8 or ::1 */
bool ip_net_has(const struct ip_net *n, const struct ip_addr *a);
bool ip_net_overlaps(const struct ip_net *a, const struct ip_net *b);
/* The same with all host bits zero (the network) or one (IPv4's broadcast address). */
struct ip_net ip_net_mask(const struct ip_net *n);
struct ip_addr ip_net_last(const struct ip_net *n);
/* addr + offset within 128 (or 32) bits; -ERANGE when it wraps. */
int ip_add(const struct ip_addr *a, uint64_t offset, struct ip_addr *ret_sum);

/* "02:42:ac:11:00:02"; only unicast, non-zero addresses. -EINVAL. */
int mac_parse(const char *text, uint8_t ret_mac[6], struct err *e);
const char *mac_text(const uint8_t mac[6], char buf[MAC_TEXT_MAX]);

#endif
