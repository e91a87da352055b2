/*
 * Address pools (see pool.h): a sorted array of the addresses in use, searched by halves, so that a
 * subnet of any size and family costs only what is in use. Caller: nets.c and join.c.
 */
#include "engine/net/pool.h"

#include <string.h>

/* subnets for bridges without one of their own, in order: Docker's table, which people plan
 * around */
static const struct {
	uint8_t b[4];
	uint8_t prefix, count;
	uint32_t step; /* between two subnets, in addresses */
} defaults[] = {
	{ { 172, 17, 0, 0 }, 16, 15, 1U << 16 },
	{ { 192, 168, 0, 0 }, 20, 16, 1U << 12 },
};

static int compare(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

int pool_init(struct pool *p, const struct ip_net *subnet, const struct ip_net *range,
	      struct err *e)
{
	char text[IP_NET_TEXT_MAX], other[IP_NET_TEXT_MAX];
	struct ip_net net = ip_net_mask(subnet), part;

	if (!range)
		range = &net;
	if (range->prefix < net.prefix || !ip_net_has(&net, &range->addr))
		return err_set(e, EINVAL, "range %s is not inside the subnet %s",
			       ip_net_text(range, text), ip_net_text(&net, other));
	part = ip_net_mask(range);
	*p = (struct pool){ .subnet = net, .first = part.addr, .last = ip_net_last(&part) };
	return 0;
}

void pool_free(struct pool *p)
{
	free(p->used);
	*p = (struct pool){ 0 };
}

/* Where `a` is, or would be, in the array; *ret_found says which. */
static size_t position(const struct pool *p, const struct ip_addr *a, bool *ret_found)
{
	size_t low = 0, high = p->n_used;

	*ret_found = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = compare(&p->used[mid], a);

		if (c == 0) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Network and broadcast address; subnets of one or two addresses have neither (RFC 3021). */
static bool never_given(const struct pool *p, const struct ip_addr *a)
{
	size_t bits = ip_size(p->subnet.addr.family) * 8;
	struct ip_addr last = ip_net_last(&p->subnet);

	if (p->subnet.prefix + 1U >= bits)
		return false;
	return ip_eq(a, &p->subnet.addr) || (a->family == AF_INET && ip_eq(a, &last));
}

static int insert(struct pool *p, size_t at, const struct ip_addr *a, struct err *e)
{
	if (p->n_used == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 16;
		struct ip_addr *grown = reallocarray(p->used, cap, sizeof(*grown));

		if (!grown)
			return err_set(e, ENOMEM, "out of memory");
		p->used = grown;
		p->cap = cap;
	}
	memmove(p->used + at + 1, p->used + at, (p->n_used - at) * sizeof(*p->used));
	p->used[at] = *a;
	p->n_used++;
	return 0;
}

int pool_take(struct pool *p, struct ip_addr *ret_addr, struct err *e)
{
	char text[IP_NET_TEXT_MAX];
	struct ip_addr a = p->cursor;

	/* of so many addresses in a row, one at least is free, or the pool goes round */
	for (size_t tries = 0; tries < p->n_used + 4; tries++) {
		bool found;
		size_t at;
		int rc;

		if (!ip_is_set(&a) || compare(&a, &p->last) >= 0 || ip_add(&a, 1, &a) < 0)
			a = p->first;
		at = position(p, &a, &found);
		if (found || never_given(p, &a))
			continue;
		rc = insert(p, at, &a, e);
		if (rc < 0)
			return rc;
		p->cursor = a;
		*ret_addr = a;
		return 0;
	}
	return err_set(e, ENOSPC, "no available IPv%d addresses in the subnet %s",
		       p->subnet.addr.family == AF_INET ? 4 : 6, ip_net_text(&p->subnet, text));
}

int pool_reserve(struct pool *p, const struct ip_addr *a, struct err *e)
{
	char text[IP_TEXT_MAX], net[IP_NET_TEXT_MAX];
	bool found;
	size_t at;

	if (!ip_net_has(&p->subnet, a))
		return err_set(e, EINVAL, "address %s is not in the subnet %s", ip_text(a, text),
			       ip_net_text(&p->subnet, net));
	if (never_given(p, a))
		return err_set(e, EINVAL,
			       "address %s is the network or broadcast address of the subnet %s",
			       ip_text(a, text), ip_net_text(&p->subnet, net));
	at = position(p, a, &found);
	if (found)
		return err_set(e, EADDRINUSE, "Address already in use: %s", ip_text(a, text));
	return insert(p, at, a, e);
}

void pool_release(struct pool *p, const struct ip_addr *a)
{
	bool found;
	size_t at = position(p, a, &found);

	if (!found)
		return;
	p->n_used--;
	memmove(p->used + at, p->used + at + 1, (p->n_used - at) * sizeof(*p->used));
}

int pool_choose_subnet(const struct ip_net *taken, size_t n_taken, struct ip_net *ret_subnet,
		       struct err *e)
{
	for (size_t d = 0; d < ARRAY_SIZE(defaults); d++) {
		struct ip_net n = { .addr.family = AF_INET, .prefix = defaults[d].prefix };

		memcpy(n.addr.b, defaults[d].b, sizeof(defaults[d].b));
		for (int i = 0; i < defaults[d].count; i++) {
			size_t t = 0;

			while (t < n_taken && !ip_net_overlaps(&taken[t], &n))
				t++;
			if (t == n_taken) {
				*ret_subnet = n;
				return 0;
			}
			(void)ip_add(&n.addr, defaults[d].step, &n.addr);
		}
	}
	return err_set(e, ENOSPC,
		       "all predefined address pools have been fully subnetted: name a subnet");
}

struct ip_addr pool_gateway(const struct ip_net *subnet)
{
	struct ip_net n = ip_net_mask(subnet);

	(void)ip_add(&n.addr, 1, &n.addr);
	return n.addr;
}
