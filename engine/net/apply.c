/*
 * All networks and sandboxes as one struct rules, sent to the kernel as one transaction.
 *
 * Also forgets tracked connections to ports that change hands. Callers: nets.c, attach.c.
 */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <string.h>

#include "engine/net/inside.h"
#include "engine/net/rules.h"
#include "init/base/log.h"
#include "init/base/netlink.h"

/* Whether a is a better way out than b. */
static bool better(const struct endpoint *a, const struct endpoint *b)
{
	if (!b)
		return true;
	if (a->priority != b->priority)
		return a->priority > b->priority;
	return strcmp(a->network->name, b->network->name) < 0;
}

static bool leads_out(const struct endpoint *ep, uint8_t family)
{
	bool six = family == AF_INET6;

	return ip_is_set(six ? &ep->address6.addr : &ep->address.addr) && !ep->network->internal &&
	       (ip_is_set(six ? &ep->gateway6 : &ep->gateway) || vlan_routes(ep->network));
}

const struct endpoint *sandbox_way_out(const struct sandbox *s, uint8_t family)
{
	const struct endpoint *best = NULL;

	for (size_t i = 0; i < s->n_endpoints; i++) {
		const struct endpoint *ep = &s->endpoints[i];

		if (leads_out(ep, family) && better(ep, best))
			best = ep;
	}
	return best;
}

const struct endpoint *sandbox_publisher(const struct sandbox *s, uint8_t family)
{
	const struct endpoint *ep = sandbox_way_out(s, family);

	return ep && ep->network->driver == NET_BRIDGE ? ep : NULL;
}

static size_t count_ports(const struct nets *n)
{
	struct map_entry *m;
	size_t i = 0, count = 0;

	while ((m = map_next(&n->sandboxes, &i)))
		count += ((const struct sandbox *)m->value)->n_ports;
	return count;
}

static enum net_gateway mode_of(const struct network *p, uint8_t family)
{
	return family == AF_INET6 ? p->gateway_mode6 : p->gateway_mode;
}

static size_t collect_ports(const struct nets *n, struct rules_port *ports)
{
	struct map_entry *m;
	size_t i = 0, count = 0;

	while ((m = map_next(&n->sandboxes, &i))) {
		const struct sandbox *s = m->value;

		for (size_t k = 0; k < s->n_ports; k++) {
			const struct port_binding *b = &s->ports[k];
			const struct endpoint *ep = sandbox_publisher(s, b->host_ip.family);

			if (!ep || (!b->host_port &&
				    mode_of(ep->network, b->host_ip.family) != GATEWAY_ROUTED))
				continue;
			ports[count++] = (struct rules_port){
				.proto = b->proto,
				.host_ip = b->host_ip,
				.host_port = b->host_port,
				.addr = b->host_ip.family == AF_INET6 ? ep->address6.addr
								      : ep->address.addr,
				.port = b->container_port,
			};
		}
	}
	return count;
}

/* A network with both families is there twice. */
static size_t collect_bridges(const struct nets *n, struct rules_bridge *bridges)
{
	size_t count = 0;

	for (size_t i = 0; i < n->n_nets; i++) {
		const struct network *net = &n->nets[i]->pub;
		const struct ip_net *const subnets[] = { &net->subnet, &net->subnet6 };

		for (size_t k = 0; k < ARRAY_SIZE(subnets); k++) {
			enum net_gateway mode = mode_of(net, subnets[k]->addr.family);

			if (net->driver == NET_BRIDGE && ip_is_set(&subnets[k]->addr))
				bridges[count++] = (struct rules_bridge){
					.ifname = net->ifname,
					.subnet = *subnets[k],
					.internal = net->internal,
					.masquerade = net->masquerade && mode != GATEWAY_ROUTED,
					.icc = net->icc,
					.unprotected = mode == GATEWAY_UNPROTECTED,
					.routed = mode == GATEWAY_ROUTED,
				};
		}
	}
	return count;
}

int nets_apply(struct nets *n, struct err *e)
{
	_cleanup_(mem_free) struct rules_bridge *bridges =
		calloc(2 * n->n_nets + 1, sizeof(*bridges));
	_cleanup_(mem_free) struct rules_port *ports = calloc(count_ports(n) + 1, sizeof(*ports));
	_cleanup_(nft_free) struct nft nft = { 0 };
	struct rules r;
	int rc;

	if (!bridges || !ports)
		return err_set(e, ENOMEM, "out of memory");
	r = (struct rules){ .bridges = bridges, .ports = ports };
	r.n_bridges = collect_bridges(n, bridges);
	r.n_ports = collect_ports(n, ports);
	rules_build(&nft, &r);
	rc = nft_commit(&nft, n->filter_fd, e);
	if (rc == 0)
		n->generation = rules_generation(n);
	return rc;
}

void user_chain_up(const struct nets *n)
{
	_cleanup_(nft_free) struct nft nft = { 0 };
	struct err e = { 0 };

	rules_build_user(&nft);
	if (nft_commit(&nft, n->filter_fd, &e) < 0)
		log_warn("network: table inet skerry-user: %s", err_text(&e));
}

/* --- tracked connections ---------------------------------------------------------------------- */

enum { STALE_MAX = 16384 };

/* Connections to remove, as messages that name their original tuples as the kernel gave them. */
struct stale {
	const struct sandbox *sandbox;
	struct nl_msg deletes;
	unsigned int n;
};

/* Whether an original tuple goes to a published port; TCP ends by itself when its peer is gone. */
static bool tuple_published(const struct nlattr *tuple, const struct sandbox *s)
{
	const struct nlattr *proto, *num, *port;
	uint16_t be;

	proto = nl_attr_find(nl_attr_data(tuple), nl_attr_len(tuple), CTA_TUPLE_PROTO);
	if (!proto)
		return false;
	num = nl_attr_find(nl_attr_data(proto), nl_attr_len(proto), CTA_PROTO_NUM);
	port = nl_attr_find(nl_attr_data(proto), nl_attr_len(proto), CTA_PROTO_DST_PORT);
	if (!num || !port || nl_attr_len(num) != 1 || nl_attr_len(port) != sizeof(be))
		return false;
	memcpy(&be, nl_attr_data(port), sizeof(be));
	for (size_t i = 0; i < s->n_ports; i++)
		if (s->ports[i].proto != IPPROTO_TCP && s->ports[i].host_port == ntohs(be) &&
		    s->ports[i].proto == *(const uint8_t *)nl_attr_data(num))
			return true;
	return false;
}

static int stale_message(const struct nlmsghdr *h, void *data, struct err *e)
{
	struct stale *s = data;
	struct nfgenmsg g = { .nfgen_family = AF_INET, .version = NFNETLINK_V0 };
	const char *start = (const char *)h + NLMSG_SPACE(sizeof(g));
	const struct nlattr *orig;

	(void)e;
	if (h->nlmsg_len < NLMSG_SPACE(sizeof(g)) || s->n == STALE_MAX)
		return 0;
	orig = nl_attr_find(start, h->nlmsg_len - NLMSG_SPACE(sizeof(g)), CTA_TUPLE_ORIG);
	if (!orig || !tuple_published(orig, s->sandbox))
		return 0;
	nl_begin(&s->deletes, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0, &g, sizeof(g));
	nl_put(&s->deletes, CTA_TUPLE_ORIG | NLA_F_NESTED, nl_attr_data(orig), nl_attr_len(orig));
	nl_end(&s->deletes);
	s->n++;
	return 0;
}

void forget_connections(struct nets *n, const struct sandbox *s)
{
	struct nfgenmsg g = { .nfgen_family = AF_INET, .version = NFNETLINK_V0 };
	_cleanup_(nl_free) struct nl_msg m = { 0 };
	struct stale stale = { .sandbox = s };
	struct err e = { 0 };
	bool any = false;
	int rc;

	for (size_t i = 0; i < s->n_ports; i++)
		any = any || s->ports[i].proto != IPPROTO_TCP;
	if (!any || n->filter_fd < 0)
		return;
	nl_begin(&m, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP, &g, sizeof(g));
	nl_end(&m);
	rc = nl_call(n->filter_fd, &m, stale_message, &stale, &e);
	if (rc == 0 && stale.n > 0) /* no acknowledgements: one that ended meanwhile is no error */
		rc = nl_call(n->filter_fd, &stale.deletes, NULL, NULL, &e);
	nl_free(&stale.deletes);
	if (rc < 0)
		log_debug("tracked connections are not forgotten: %s", err_text(&e));
}
