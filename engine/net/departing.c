/*
 * Links on their way out.
 *
 * Removing a veth pair by name makes the caller wait for every processor (tens of milliseconds); a
 * namespace that dies takes its links along in the kernel's own time, many at once. So when a
 * sandbox goes, its namespace is let go and its links are only watched: when one is gone, its
 * address goes back to the pool. One that is still there after a while (something else holds the
 * namespace) is removed by name. Somebody who needs the address at once can have the link removed
 * at once.
 *
 * What is watched is lost when the engine ends; such links are strays for the next start
 * (restore.c). Callers: attach.c, nets.c.
 */
#include <string.h>

#include "engine/net/inside.h"
#include "engine/net/link.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { LOOK_MS = 100, LOOKS_MAX = 10 };

struct departing {
	struct list link;
	char ifname[IFNAMSIZ];
	struct net *net;
	struct ip_addr addr, addr6;
	unsigned int looks;
};

static void release(struct departing *d)
{
	pool_release(&d->net->pool, &d->addr);
	pool_release(&d->net->pool6, &d->addr6);
	list_remove(&d->link);
	free(d);
}

static int remove_now(struct nets *n, struct departing *d, struct err *e)
{
	int rc = link_delete(n->route_fd, d->ifname, e);

	if (rc == 0)
		release(d);
	return rc;
}

static void look(struct timer_event *ev)
{
	struct nets *n = container_of(ev, struct nets, departing_timer);
	struct departing *d, *next;
	bool removed = false;
	struct err e = { 0 };
	struct link l;

	list_for_each_safe(d, next, &n->departing, link) {
		if (link_get(n->route_fd, d->ifname, &l, NULL) == -ENODEV) {
			release(d);
		} else if (++d->looks >= LOOKS_MAX &&
			   !removed) { /* one a time: the loop waits for it */
			removed = true;
			if (remove_now(n, d, &e) < 0)
				log_warn("network: %s", err_text(&e));
		}
	}
	if (!list_empty(&n->departing))
		(void)timer_set(n->loop, &n->departing_timer, LOOK_MS);
}

int depart(struct nets *n, const struct endpoint *ep, struct err *e)
{
	struct departing *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, ENOMEM, "out of memory");
	d->net = net_of(ep->network);
	d->addr = ep->address.addr;
	d->addr6 = ep->address6.addr;
	memcpy(d->ifname, ep->host_ifname, sizeof(d->ifname));
	list_append(&n->departing, &d->link);
	n->departing_timer.fn = look;
	if (timer_armed(&n->departing_timer))
		return 0;
	rc = timer_set(n->loop, &n->departing_timer, LOOK_MS);
	return rc < 0 ? remove_now(n, d, e) : 0;
}

int depart_now(struct nets *n, const struct net *net, const struct ip_addr *addr, struct err *e)
{
	struct departing *d, *next;
	int rc = 0;

	list_for_each_safe(d, next, &n->departing, link)
		if (rc == 0 && d->net == net &&
		    (!addr || ip_eq(&d->addr, addr) || ip_eq(&d->addr6, addr)))
			rc = remove_now(n, d, e);
	return rc;
}

bool departing_link(const struct nets *n, const char *ifname)
{
	struct departing *d;

	list_for_each(d, &n->departing, link)
		if (str_eq(d->ifname, ifname))
			return true;
	return false;
}

void departing_free(struct nets *n)
{
	struct departing *d, *next;

	timer_clear(&n->departing_timer);
	list_for_each_safe(d, next, &n->departing, link)
		release(d);
}
