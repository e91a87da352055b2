/*
 * The kernel's announcements about links, addresses and name servers, as three plain callbacks.
 *
 * One rtnetlink socket in the loop. When the kernel had to drop announcements (a burst of
 * containers), `lost` is called and the listener lists links anew. Used by net.c.
 */
#ifndef SKERRY_NET_MONITOR_H
#define SKERRY_NET_MONITOR_H

#include <linux/netlink.h>
#include <net/if.h>
#include <stdbool.h>

#include "init/base/err.h"
#include "init/base/loop.h"
#include "init/net/link.h"

enum { RDNSS_MAX = 3 };

struct link_news {
	int index;
	char name[IFNAMSIZ];
	bool gone;
	bool running; /* up and with a carrier */
	bool ethernet;
};

struct rdnss_news {
	int index;
	struct ip servers[RDNSS_MAX];
	size_t n;
	uint32_t lifetime; /* seconds; 0 takes them back */
};

struct monitor {
	struct io_event io;
	int fd;
	void (*link)(struct monitor *m, const struct link_news *news);
	void (*address)(struct monitor *m, int index); /* an address came or went */
	void (*rdnss)(struct monitor *m, const struct rdnss_news *news);
	void (*lost)(struct monitor *m);
};

#define MONITOR_INIT     \
	{                \
		.fd = -1 \
	}

int monitor_start(struct monitor *m, struct loop *l, struct err *e); /* callbacks are set before */
void monitor_stop(struct monitor *m);
/* Dumps all links into m->link, over a socket of its own: m->link may make calls while the dump
 * is still coming. */
int monitor_list_links(struct monitor *m, struct err *e);

/* the parsers, for tests: 0, or -EINVAL */
int monitor_parse_link(const struct nlmsghdr *h, struct link_news *ret);
int monitor_parse_rdnss(const struct nlmsghdr *h, struct rdnss_news *ret);

#endif
