/*
 * The text of the three files a container finds in /etc: hosts, resolv.conf, hostname, as Docker
 * writes them. Pure: text in, text out; files.c writes them.
 */
#ifndef SKERRY_NET_HOSTS_H
#define SKERRY_NET_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/net/addr.h"
#include "init/base/buf.h"
#include "init/base/err.h"

struct hosts_entry {
	struct ip_addr addr;
	const char *names; /* separated by blanks, first the canonical one */
};

/* The loopback lines and the entries; appended to b. */
int hosts_text(struct buf *b, const struct hosts_entry *entries, size_t n, struct err *e);
/* Lines for HostConfig.ExtraHosts ("name:address" or "name=address"); the address "host-gateway"
 * stands for `gateway`. -EINVAL. */
int hosts_extra(struct buf *b, char *const *extra, const struct ip_addr *gateway, struct err *e);
/* A host name: letters, digits, - . _, at most 64 bytes (what sethostname(2) takes). -EINVAL. */
int hosts_name_check(const char *name, struct err *e);

struct resolv_want {
	/* replace the machine's; NULL or empty: the machine's */
	char *const *dns, *const *search, *const *options;
	bool embedded; /* the resolver is the one at DNS_ADDRESS, which knows the others */
	bool own_stack; /* has its own loopback: the machine's is out of reach */
	bool ipv6; /* it reaches IPv6 resolvers */
};

/* The resolvers of the machine's resolv.conf, as addresses; new memory, NULL on ENOMEM. */
char **resolv_servers(const char *machine);

/* From the machine's resolv.conf (text, may be "") to the container's. -EINVAL for a bad address or
 * word in `want`. */
int resolv_text(struct buf *b, const char *machine, const struct resolv_want *w, struct err *e);

#endif
