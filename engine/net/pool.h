/*
 * Address pools: which addresses of a subnet are given out, and which subnets are free to use.
 *
 * A pool gives the lowest free address after the one it gave last, so that an address rests as long
 * as possible before it comes back (neighbours remember who had it). The network and IPv4's
 * broadcast address are never given. Pure data in memory: what is in use is known from the
 * sandboxes.
 */
#ifndef SKERRY_NET_POOL_H
#define SKERRY_NET_POOL_H

#include <stddef.h>

#include "engine/net/addr.h"
#include "init/base/util.h"

struct pool {
	struct ip_net subnet;
	struct ip_addr first, last; /* bounds of what pool_take gives */
	struct ip_addr cursor; /* given last; none at first */
	struct ip_addr *used; /* sorted by bytes */
	size_t n_used, cap;
};

/* range: the part of the subnet to give from, NULL for all of it. -EINVAL when it is not inside. */
int pool_init(struct pool *p, const struct ip_net *subnet, const struct ip_net *range,
	      struct err *e);
void pool_free(struct pool *p);
DEFINE_CLEANUP_VALUE(struct pool, pool_free)

/* Gives a free address. -ENOSPC. */
int pool_take(struct pool *p, struct ip_addr *ret_addr, struct err *e);
/* Takes this one. -EADDRINUSE, -EINVAL when it is not in the subnet or is one that is never
 * given. */
int pool_reserve(struct pool *p, const struct ip_addr *a, struct err *e);
/* Gives back; harmless when it was not taken. */
void pool_release(struct pool *p, const struct ip_addr *a);

/* The first of the default subnets (172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 and on)
 * that overlaps none of `taken`. -ENOSPC. */
int pool_choose_subnet(const struct ip_net *taken, size_t n_taken, struct ip_net *ret_subnet,
		       struct err *e);
/* 10.0.0.1 for 10.0.0.0/24: the first usable one, ours unless another is asked for. */
struct ip_addr pool_gateway(const struct ip_net *subnet);

#endif
