/*
 * Links, addresses and routes over rtnetlink: the few operations that bridges and sandboxes need.
 *
 * `fd` is a NETLINK_ROUTE socket; it acts on the network namespace that it was opened in, so one
 * from inside a container's (netns.h) configures that container without entering it. All calls are
 * synchronous and bounded (nl_call).
 */
#ifndef SKERRY_NET_LINK_H
#define SKERRY_NET_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/net/addr.h"
#include "init/base/err.h"

struct link {
	int index;
	int master; /* index of the bridge it is in, 0 none */
	char name[IFNAMSIZ];
	char kind[16]; /* "bridge", "veth", ""... */
	uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped;
	uint64_t tx_bytes, tx_packets, tx_errors, tx_dropped;
};

/* A link name we may give to the kernel and to /proc/sys paths: 1 to 15 of [a-zA-Z0-9_-].
 * -EINVAL. */
int link_name_check(const char *name, struct err *e);

/* -ENODEV when there is none of that name. */
int link_get(int fd, const char *name, struct link *ret_link, struct err *e);
/* Calls fn for every link; what fn returns < 0 ends it. */
int link_each(int fd, int (*fn)(const struct link *l, void *data, struct err *e), void *data,
	      struct err *e);

/* A bridge of that name, left as it is when there is one already (-EEXIST when that is no bridge).
 * *ret_index is its index. */
int link_bridge(int fd, const char *name, const uint8_t mac[6], uint32_t mtu, int *ret_index,
		struct err *e);

struct link_veth {
	const char *host; /* name of our end */
	int bridge; /* index of the bridge our end is in */
	int netns_fd; /* where the peer goes */
	const char *peer; /* its name there */
	const uint8_t *mac; /* its address */
	uint32_t mtu;
};
int link_veth(int fd, const struct link_veth *v, struct err *e);

/* A dummy link of that name, left as it is when there is one. */
int link_dummy(int fd, const char *name, struct err *e);
/* The VLAN with that number of the link `parent`. */
int link_vlan(int fd, const char *name, int parent, uint16_t id, struct err *e);

struct link_over {
	const char *kind; /* "macvlan", "ipvlan" */
	int parent; /* index of the link it is made on */
	int netns_fd; /* where it goes */
	const char *name; /* there; not one that a link has here */
	const uint8_t *mac; /* NULL: the kernel's choice */
	uint32_t mtu; /* 0: the parent's */
	uint32_t mode; /* of the kind */
	uint16_t flags; /* of ipvlan */
};
int link_over(int fd, const struct link_over *o, struct err *e);

/* Keeps the bridge's port from talking to other ports that are isolated too. */
int link_isolate(int fd, int index, struct err *e);

int link_rename(int fd, int index, const char *name, struct err *e); /* while it is down */
int link_up(int fd, int index, struct err *e);
int link_delete(int fd, const char *name, struct err *e); /* absent is fine */
int link_delete_index(int fd, int index, struct err *e); /* the same */
/* Adds an address with its subnet's prefix; one that is there already is fine. */
int link_address(int fd, int index, const struct ip_net *address, struct err *e);
/* gateway NULL: everything is reached on the link itself. */
int link_default_route(int fd, int index, uint8_t family, const struct ip_addr *gateway,
		       struct err *e);

struct link_net {
	int index;
	struct ip_net net;
};
/* The subnets that the machine's links and routes are in (default routes left out), at most `max`;
 * the number. */
int link_subnets(int fd, struct link_net *ret_nets, size_t max, struct err *e);

#endif
