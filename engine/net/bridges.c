/*
 * Bringing the machine into shape: subnets, bridges, rules, forwarding.
 *
 * "Up" means: the bridges exist with their addresses, the rules are in the kernel, and then (never
 * before) forwarding is on. nets_bring_up is idempotent and is tried again by the next net_attach
 * when it failed. Only the predefined bridge moves when the machine itself comes to use its
 * addresses; a network that somebody made keeps its subnet. Callers: nets.c, attach.c, create.c.
 */
#include <fcntl.h>
#include <linux/netlink.h>
#include <string.h>

#include "engine/net/inside.h"
#include "engine/net/link.h"
#include "init/base/log.h"
#include "init/base/netlink.h"
#include "init/base/str.h"

bool network_in_use(const struct nets *n, const struct network *net)
{
	struct map_entry *m;
	size_t i = 0;

	while ((m = map_next(&n->sandboxes, &i))) {
		const struct sandbox *s = m->value;

		for (size_t k = 0; k < s->n_endpoints; k++)
			if (s->endpoints[k].network == net)
				return true;
	}
	return false;
}

int taken_subnets(struct nets *n, const struct net *except, struct ip_net taken[SUBNETS_MAX],
		  size_t *ret_ours, struct err *e)
{
	_cleanup_(mem_free) struct link_net *nets = calloc(SUBNETS_MAX, sizeof(*nets));
	size_t count = 0;
	int found;

	if (!nets)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < n->n_nets && count + 1 < SUBNETS_MAX; i++) {
		const struct network *p = &n->nets[i]->pub;

		if (n->nets[i] != except && ip_is_set(&p->subnet.addr))
			taken[count++] = p->subnet;
		if (n->nets[i] != except && ip_is_set(&p->subnet6.addr))
			taken[count++] = p->subnet6;
	}
	if (ret_ours)
		*ret_ours = count;
	found = link_subnets(n->route_fd, nets, SUBNETS_MAX, e);
	for (int i = 0; i < found && count < SUBNETS_MAX; i++) {
		bool ours = false;

		for (size_t k = 0; k < n->n_nets; k++)
			ours = ours || (nets[i].index && nets[i].index == n->nets[k]->index);
		if (!ours)
			taken[count++] = nets[i].net;
	}
	return found < 0 ? found : (int)count;
}

/* Sees to it that a bridge without fixed subnet has one that the machine does not use itself. */
static int settle_subnet(struct nets *n, struct net *net, struct err *e)
{
	_cleanup_(mem_free) struct ip_net *taken = calloc(SUBNETS_MAX, sizeof(*taken));
	struct network *p = &net->pub;
	char text[IP_NET_TEXT_MAX];
	bool free_to_use = ip_is_set(&p->subnet.addr);
	int count, rc;

	if (!taken)
		return err_set(e, ENOMEM, "out of memory");
	if (!p->predefined || network_in_use(n, p))
		return 0;
	count = taken_subnets(n, net, taken, NULL, e);
	if (count < 0)
		return count;
	for (int i = 0; i < count && free_to_use; i++)
		free_to_use = !ip_net_overlaps(&taken[i], &p->subnet);
	if (free_to_use)
		return 0;
	if (ip_is_set(&p->subnet.addr)) {
		log_notice("network %s: the machine itself uses addresses of %s now", p->name,
			   ip_net_text(&p->subnet, text));
		rc = link_delete(n->route_fd, p->ifname, e);
		if (rc < 0)
			return rc;
	}
	rc = pool_choose_subnet(taken, (size_t)count, &p->subnet, e);
	if (rc < 0) {
		(void)err_wrap(e, "network %s", p->name);
		return rc;
	}
	p->gateway = pool_gateway(&p->subnet);
	log_info("network %s: %s on %s", p->name, ip_net_text(&p->subnet, text), p->ifname);
	pool_free(&net->pool);
	if (network_save(n, p, e) < 0)
		log_warn("network %s is not kept: %s", p->name, err_text(e));
	return 0;
}

static int settle_pool(struct pool *pool, const struct ip_net *subnet, const struct ip_net *range,
		       const struct ip_addr *gateway, char *const *aux, struct err *e)
{
	struct ip_addr a;
	int rc;

	if (!ip_is_set(&subnet->addr) || ip_is_set(&pool->subnet.addr))
		return 0;
	rc = pool_init(pool, subnet, ip_is_set(&range->addr) ? range : NULL, e);
	if (rc == 0 && ip_is_set(gateway))
		rc = pool_reserve(pool, gateway, e);
	for (; rc == 0 && aux && *aux; aux++) {
		const char *text = strchr(*aux, '=');

		rc = text ? ip_parse(text + 1, &a, e) : 0;
		if (rc == 0 && text && a.family == subnet->addr.family)
			rc = pool_reserve(pool, &a, e);
	}
	if (rc < 0)
		pool_free(pool);
	return rc;
}

int settle_pools(struct net *net, struct err *e)
{
	const struct network *p = &net->pub;
	int rc = settle_pool(&net->pool, &p->subnet, &p->range, &p->gateway, p->aux, e);

	return rc < 0 ? rc
		      : settle_pool(&net->pool6, &p->subnet6, &p->range6, &p->gateway6, p->aux, e);
}

/* Settings of a bridge's link, before it is brought up; those that the kernel lacks (no IPv6, no
 * filtering of bridged packets) need not be there. route_localnet lets answers to 127.0.0.1 come
 * back; rules.c guards it. Packets between the ports of a bridge are no business of the IP tables:
 * a published port that a container asks for itself would be lost there. */
static int bridge_sysctls(const struct nets *n, const struct network *p, struct err *e)
{
	const struct {
		const char *path, *value; /* %s: the link */
		bool optional;
	} knobs[] = {
		{ "net/ipv4/conf/%s/route_localnet", "1", false },
		{ "net/ipv4/conf/%s/send_redirects", "0", false },
		{ "net/ipv6/conf/%s/disable_ipv6",
		  p->ipv6 && p->gateway_mode6 != GATEWAY_ISOLATED ? "0" : "1", !p->ipv6 },
		{ "net/ipv6/conf/%s/accept_ra", "0", true },
		{ "net/ipv6/conf/%s/accept_redirects", "0", true },
		{ "net/bridge/bridge-nf-call-iptables", "0", true },
		{ "net/bridge/bridge-nf-call-ip6tables", "0", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++) {
		int rc = net_sysctl(n, knobs[i].value, e, knobs[i].path, p->ifname);

		if (rc < 0 && !(rc == -ENOENT && knobs[i].optional))
			return rc;
	}
	return 0;
}

static int bridge_up(struct nets *n, struct net *net, struct err *e)
{
	struct network *p = &net->pub;
	struct ip_net address = { p->gateway, p->subnet.prefix },
		      address6 = { p->gateway6, p->subnet6.prefix };
	const uint8_t *b = p->ipv4 ? p->gateway.b : p->gateway6.b + 12;
	uint8_t mac[6] = { 0x02, 0x42, b[0], b[1], b[2], b[3] };
	bool own = p->ipv4 && p->gateway_mode != GATEWAY_ISOLATED,
	     own6 = p->ipv6 && p->gateway_mode6 != GATEWAY_ISOLATED;
	int rc;

	rc = link_bridge(n->route_fd, p->ifname, mac, p->mtu, &net->index, e);
	if (rc == 0)
		rc = bridge_sysctls(n, p, e);
	if (rc == 0 && own)
		rc = link_address(n->route_fd, net->index, &address, e);
	if (rc == 0 && own6)
		rc = link_address(n->route_fd, net->index, &address6, e);
	if (rc == 0)
		rc = link_up(n->route_fd, net->index, e);
	if (rc < 0)
		(void)err_wrap(e, "network %s", p->name);
	return rc;
}

int link_make(struct nets *n, struct net *net, struct err *e)
{
	return net->pub.driver == NET_BRIDGE ? bridge_up(n, net, e) : parent_up(n, net, e);
}

int link_unmake(struct nets *n, struct net *net, struct err *e)
{
	return net->pub.driver == NET_BRIDGE ? link_delete(n->route_fd, net->pub.ifname, e)
					     : parent_down(n, net, e);
}

static int open_sockets(struct nets *n, struct err *e)
{
	if (n->route_fd < 0)
		n->route_fd = nl_open(NETLINK_ROUTE, e);
	if (n->route_fd >= 0 && n->filter_fd < 0)
		n->filter_fd = nl_open(NETLINK_NETFILTER, e);
	return n->route_fd < 0 ? n->route_fd : MIN(n->filter_fd, 0);
}

void nets_recall(struct nets *n)
{
	for (size_t i = 0; i < n->n_nets; i++) {
		struct net *net = n->nets[i];
		struct link l;

		if (net->pub.driver == NET_BRIDGE &&
		    link_get(n->route_fd, net->pub.ifname, &l, NULL) == 0 &&
		    str_eq(l.kind, "bridge"))
			net->index = l.index;
	}
}

/* One network's part of it. Those that people made must not keep all others from coming up. */
static int network_up(struct nets *n, struct net *net, struct err *e)
{
	int rc = settle_subnet(n, net, e);

	if (rc == 0)
		rc = settle_pools(net, e);
	if (rc == 0)
		rc = link_make(n, net, e);
	if (rc < 0 && !net->pub.predefined) {
		log_warn("network: %s", err_text(e));
		rc = 0;
	}
	return rc;
}

static bool any_ipv6(const struct nets *n)
{
	for (size_t i = 0; i < n->n_nets; i++)
		if (n->nets[i]->pub.ipv6)
			return true;
	return false;
}

int forwarding_on(const struct nets *n, struct err *e)
{
	int rc = net_sysctl(n, "1", e, "net/ipv4/ip_forward");

	return rc < 0 || !any_ipv6(n) ? rc : net_sysctl(n, "1", e, "net/ipv6/conf/all/forwarding");
}

int nets_bring_up(struct nets *n, struct err *e)
{
	int rc = open_sockets(n, e);

	if (rc < 0)
		return rc;
	nets_recall(n);
	for (size_t i = 0; i < n->n_nets && rc == 0; i++)
		if (network_has_links(&n->nets[i]->pub))
			rc = network_up(n, n->nets[i], e);
	if (rc == 0) {
		user_chain_up(n);
		rc = nets_apply(n, e);
	}
	if (rc == 0) /* only now: without rules the machine would forward for everyone */
		rc = forwarding_on(n, e);
	n->up = rc == 0;
	return rc;
}
