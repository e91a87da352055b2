/*
 * resolv.conf: name servers from system.yaml, DHCP and router adverts, merged and written.
 *
 * What a person wrote wins over what the network says. The C library asks three servers at most, so
 * no more are written. The engine watches the file and hands it to containers.
 */
#ifndef SKERRY_NET_RESOLV_H
#define SKERRY_NET_RESOLV_H

#include "init/base/buf.h"
#include "init/base/err.h"
#include "init/net/link.h"

enum { RESOLV_SERVERS_MAX = 3, RESOLV_SEARCH_MAX = 6 };

struct resolv {
	struct ip servers[RESOLV_SERVERS_MAX];
	size_t n_servers;
	const char *search[RESOLV_SEARCH_MAX]; /* the caller's */
	size_t n_search;
};

/* Each drops what is there already and what is over the limit. */
void resolv_add_server(struct resolv *r, const struct ip *server);
void resolv_add_search(struct resolv *r, const char *domain);
int resolv_text(const struct resolv *r, struct buf *out);
/* Replaces the file unless it has this very text already. 1 when it was changed. */
int resolv_write(const struct resolv *r, const char *path, struct err *e);

#endif
