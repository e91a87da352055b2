/*
 * One network of a sandbox: its addresses, its link on both sides, and the way out that follows
 * from all of them.
 *
 * Planning takes addresses and makes nothing; what is planned stands in the record before it is
 * made. Callers: attach.c, connect.c.
 */
#include <fcntl.h>
#include <linux/if_link.h>
#include <string.h>

#include "engine/data/ids.h"
#include "engine/net/inside.h"
#include "engine/net/link.h"
#include "engine/net/netns.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum { ALIASES_MAX = 1024, ALIAS_LEN_MAX = 255 };

void endpoint_clear(struct endpoint *ep)
{
	strv_free(ep->aliases);
}

bool endpoint_has_link(const struct endpoint *ep)
{
	return network_has_links(ep->network);
}

void endpoint_release(const struct endpoint *ep)
{
	struct net *net = net_of(ep->network);

	pool_release(&net->pool, &ep->address.addr);
	pool_release(&net->pool6, &ep->address6.addr);
}

/* --- checking --------------------------------------------------------------------------------- */

static int check_address(const struct network *net, const char *text, uint8_t family, struct err *e)
{
	struct ip_addr a;
	int rc;

	if (str_empty(text))
		return 0;
	rc = ip_parse(text, &a, e);
	if (rc < 0)
		return rc;
	if (a.family != family)
		return err_set(e, EINVAL, "invalid IPv%d address: %s", family == AF_INET ? 4 : 6,
			       text);
	if (net->predefined)
		return err_set(e, EINVAL,
			       "user specified IP address is supported on user defined networks "
			       "only");
	if (!net->subnet_asked)
		return err_set(e, EINVAL,
			       "user specified IP address is supported only when connecting to "
			       "networks with user configured subnets");
	if (!ip_net_has(family == AF_INET ? &net->subnet : &net->subnet6, &a))
		return err_set(e, EINVAL,
			       "invalid endpoint settings:\nno configured subnet contains IP "
			       "address %s",
			       text);
	return 0;
}

static int check_aliases(const struct network *net, char *const *aliases, struct err *e)
{
	if (net->predefined && strv_len(aliases) > 0)
		return err_set(e, EINVAL,
			       "network-scoped alias is supported only for containers in user "
			       "defined networks");
	if (strv_len(aliases) > ALIASES_MAX)
		return err_set(e, EINVAL, "more than %d aliases", ALIASES_MAX);
	for (; aliases && *aliases; aliases++)
		if (!**aliases || strlen(*aliases) > ALIAS_LEN_MAX)
			return err_set(e, EINVAL,
				       "invalid alias \"%.80s\": should have 1 to %d characters",
				       *aliases, ALIAS_LEN_MAX);
	return 0;
}

int join_check(const struct nets *n, const struct network *net, const struct net_join *j,
	       struct err *e)
{
	uint8_t mac[6];
	int rc = check_address(net, j->ipv4, AF_INET, e);

	(void)n;
	if (rc == 0 && !str_empty(j->mac) && net->driver == NET_IPVLAN)
		rc = err_set(e, EINVAL,
			     "ipvlan interfaces do not support custom mac address assignment");
	if (rc == 0)
		rc = check_address(net, j->ipv6, AF_INET6, e);
	if (rc == 0 && !str_empty(j->mac))
		rc = mac_parse(j->mac, mac, e);
	return rc < 0 ? rc : check_aliases(net, j->aliases, e);
}

/* --- planning --------------------------------------------------------------------------------- */

static int take_address(struct nets *n, struct net *net, struct pool *pool, const char *asked,
			struct ip_addr *ret_addr, struct err *e)
{
	struct ip_addr a;
	int rc;

	if (str_empty(asked))
		return pool_take(pool, ret_addr, e);
	rc = ip_parse(asked, &a, e);
	if (rc == 0)
		rc = depart_now(n, net, &a, e);
	if (rc == 0)
		rc = pool_reserve(pool, &a, e);
	if (rc == 0) /* else it is not ours to give back */
		*ret_addr = a;
	return rc;
}

static int endpoint_addresses(struct nets *n, struct endpoint *ep, const struct net_join *j,
			      struct err *e)
{
	const struct network *p = ep->network;
	struct net *net = net_of(p);
	int rc = p->ipv4 ? take_address(n, net, &net->pool, j->ipv4, &ep->address.addr, e) : 0;

	if (rc == 0 && p->ipv6)
		rc = take_address(n, net, &net->pool6, j->ipv6, &ep->address6.addr, e);
	if (rc < 0)
		return rc;
	ep->address.prefix = p->subnet.prefix;
	ep->address6.prefix = p->subnet6.prefix;
	if (vlan_routes(p) || (p->internal && p->driver != NET_BRIDGE))
		return 0;
	if (p->gateway_mode != GATEWAY_ISOLATED)
		ep->gateway = p->gateway;
	if (p->gateway_mode6 != GATEWAY_ISOLATED)
		ep->gateway6 = p->gateway6;
	return 0;
}

static bool name_used(const struct sandbox *s, const char *ifname)
{
	for (size_t i = 0; i < s->n_endpoints; i++)
		if (str_eq(s->endpoints[i].ifname, ifname))
			return true;
	return false;
}

/* The first of eth0, eth1, ... that the container does not have. */
static void choose_ifname(const struct sandbox *s, struct endpoint *ep)
{
	char name[IFNAMSIZ];

	for (unsigned int i = 0; i <= NET_ENDPOINTS_MAX; i++) {
		(void)str_format(name, sizeof(name), "%s%u", ep->network->prefix, i);
		if (!name_used(s, name))
			break;
	}
	memcpy(ep->ifname, name, sizeof(name));
}

static int endpoint_mac(struct endpoint *ep, const char *asked, struct err *e)
{
	const struct network *p = ep->network;
	int rc = 0;

	/* of the parent, all of them */
	if (p->driver == NET_IPVLAN ||
	    (p->driver == NET_MACVLAN && p->link_mode == MACVLAN_MODE_PASSTHRU && str_empty(asked)))
		return 0;
	if (!str_empty(asked)) {
		rc = mac_parse(asked, ep->mac, e);
	} else {
		/* follows the address, so that neighbours' tables stay right when it is reused */
		ep->mac[0] = 0x02;
		ep->mac[1] = 0x42;
		memcpy(&ep->mac[2], p->ipv4 ? ep->address.addr.b : ep->address6.addr.b + 12, 4);
	}
	ep->has_mac = rc == 0;
	return rc;
}

int endpoint_plan(struct nets *n, struct sandbox *s, const struct network *net,
		  const struct net_join *j, struct err *e)
{
	struct endpoint *ep = &s->endpoints[s->n_endpoints];
	int rc;

	if (s->n_endpoints == NET_ENDPOINTS_MAX)
		return err_set(e, EINVAL, "more than %d networks", NET_ENDPOINTS_MAX);
	*ep = (struct endpoint){ .network = net, .priority = j->priority };
	s->n_endpoints++;
	rc = id_new(ep->id, e);
	if (rc < 0)
		return rc;
	if (j->aliases && *j->aliases) {
		ep->aliases = strv_copy(j->aliases);
		if (!ep->aliases)
			return err_set(e, ENOMEM, "out of memory");
	}
	if (!network_has_links(net))
		return 0;
	choose_ifname(s, ep);
	if (net->driver == NET_BRIDGE)
		(void)str_format(ep->host_ifname, sizeof(ep->host_ifname), "veth%.11s", ep->id);
	rc = endpoint_addresses(n, ep, j, e);
	if (rc == 0)
		rc = endpoint_mac(ep, j->mac, e);
	s->embedded_dns = s->embedded_dns || (n->dns.wanted && !net->predefined);
	return rc;
}

/* --- making ----------------------------------------------------------------------------------- */

/* IPv6 is off on every new link of a container (netns.c). */
static int child_ipv6_on(void *data, struct err *e)
{
	const struct endpoint *ep = data;
	char path[100];

	(void)str_format(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", ep->ifname);
	return file_put(AT_FDCWD, path, "0", e);
}

static int host_end(struct nets *n, const struct endpoint *ep, struct err *e)
{
	struct link host;
	int rc = link_get(n->route_fd, ep->host_ifname, &host, e);

	if (rc == 0 && !ep->network->icc)
		rc = link_isolate(n->route_fd, host.index, e);
	return rc < 0 ? rc : link_up(n->route_fd, host.index, e);
}

static int bridge_link(struct nets *n, const struct endpoint *ep, int ns, struct err *e)
{
	struct link_veth v = {
		.host = ep->host_ifname,
		.bridge = net_of(ep->network)->index,
		.netns_fd = ns,
		.peer = ep->ifname,
		.mac = ep->mac,
		.mtu = ep->network->mtu,
	};
	int rc = link_veth(n->route_fd, &v, e);

	return rc < 0 ? rc : host_end(n, ep, e);
}

int endpoint_make(struct nets *n, struct endpoint *ep, int ns, int inside, struct err *e)
{
	struct link peer;
	int rc;

	rc = ep->network->driver == NET_BRIDGE ? bridge_link(n, ep, ns, e)
					       : vlan_link(n, ep, ns, inside, e);
	if (rc == 0)
		rc = link_get(inside, ep->ifname, &peer, e);
	if (rc == 0 && ip_is_set(&ep->address.addr))
		rc = link_address(inside, peer.index, &ep->address, e);
	if (rc == 0 && ip_is_set(&ep->address6.addr)) {
		rc = netns_call(ns, child_ipv6_on, (void *)ep, e);
		if (rc == 0)
			rc = link_address(inside, peer.index, &ep->address6, e);
	}
	return rc < 0 ? rc : link_up(inside, peer.index, e);
}

int routes_make(const struct sandbox *s, int inside, struct err *e)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(families) && rc == 0; i++) {
		const struct endpoint *ep = sandbox_way_out(s, families[i]);
		const struct ip_addr *gateway;
		struct link l;

		if (!ep)
			continue;
		rc = link_get(inside, ep->ifname, &l, e);
		gateway = i == 0 ? &ep->gateway : &ep->gateway6;
		if (rc == 0)
			rc = link_default_route(inside, l.index, families[i],
						ip_is_set(gateway) ? gateway : NULL, e);
	}
	return rc;
}
