/*
 * Counters of a container's links, as it sees them.
 *
 * On bridges they are read at our end of the link; links of macvlan and ipvlan have no other end
 * and are asked for inside the namespace. Callers: container/.
 */
#include "engine/net/inside.h"
#include "engine/net/link.h"
#include "engine/net/netns.h"
#include "init/base/str.h"

/* Our end counts the other way round. */
static struct link turned(const struct link *l)
{
	return (struct link){ .rx_bytes = l->tx_bytes,
			      .rx_packets = l->tx_packets,
			      .rx_errors = l->tx_errors,
			      .rx_dropped = l->tx_dropped,
			      .tx_bytes = l->rx_bytes,
			      .tx_packets = l->rx_packets,
			      .tx_errors = l->rx_errors,
			      .tx_dropped = l->rx_dropped };
}

static int counters(const struct nets *n, const struct sandbox *s, const struct endpoint *ep,
		    struct link *ret, struct err *e)
{
	_cleanup_(fd_close) int ns = -1, inside = -1;
	struct link l;
	int rc;

	if (!ep->host_ifname[0]) {
		rc = netns_open(s->key, &ns, &inside, e);
		return rc < 0 ? rc : link_get(inside, ep->ifname, ret, e);
	}
	rc = link_get(n->route_fd, ep->host_ifname, &l, e);
	if (rc == 0)
		*ret = turned(&l);
	return rc;
}

int net_stats(struct nets *n, const char *id, struct net_stats *ret_stats, size_t max,
	      struct err *e)
{
	const struct sandbox *s = map_get(&n->sandboxes, id);
	size_t count = 0;

	for (size_t i = 0; s && i < s->n_endpoints && count < max; i++) {
		const struct endpoint *ep = &s->endpoints[i];
		struct net_stats *st = &ret_stats[count];
		struct link l;
		int rc;

		if (!endpoint_has_link(ep))
			continue;
		rc = counters(n, s, ep, &l, e);
		if (rc < 0)
			return rc;
		*st = (struct net_stats){ .rx_bytes = l.rx_bytes,
					  .rx_packets = l.rx_packets,
					  .rx_errors = l.rx_errors,
					  .rx_dropped = l.rx_dropped,
					  .tx_bytes = l.tx_bytes,
					  .tx_packets = l.tx_packets,
					  .tx_errors = l.tx_errors,
					  .tx_dropped = l.tx_dropped };
		(void)str_copy(st->ifname, sizeof(st->ifname), ep->ifname);
		count++;
	}
	return (int)count;
}
