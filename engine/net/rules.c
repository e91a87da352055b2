/*
 * From the list of bridges and published ports to the tables `ip skerry` and `ip6 skerry`.
 *
 * The order is deny first. `guard` runs before connection tracking and drops what can only be
 * forged: 127.0.0.0/8 from any link (published-on-loopback ports and route_localnet would open it
 * otherwise), and addresses on a bridge that are not of its subnet. `forward` drops unless a rule
 * accepts: answers, published ports, a bridge's way out, and containers of one bridge. Port lookups
 * are maps, so the cost of a new connection does not grow with the number of containers. As
 * long as no bridge has an IPv6 subnet, all that the ip6 table does is to forward nothing.
 *
 * Caller: apply.c. Data: struct rules.
 */
#include "engine/net/rules.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter_ipv4.h>
#include <string.h>

static const char table[] = "skerry", user_table[] = "skerry-user";

enum { USER_MARK = 0x736b }; /* of packets that people let through in their own chain */

static const struct nft_base_chain base_chains[] = {
	{ "guard", NFT_CHAIN_FILTER, NF_INET_PRE_ROUTING, NF_IP_PRI_RAW, NF_ACCEPT },
	{ "input", NFT_CHAIN_FILTER, NF_INET_LOCAL_IN, NF_IP_PRI_FILTER, NF_ACCEPT },
	{ "forward", NFT_CHAIN_FILTER, NF_INET_FORWARD, NF_IP_PRI_FILTER, NF_DROP },
	{ "prerouting", NFT_CHAIN_NAT, NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST, NF_ACCEPT },
	{ "output", NFT_CHAIN_NAT, NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST, NF_ACCEPT },
	{ "postrouting", NFT_CHAIN_NAT, NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC, NF_ACCEPT },
};

/* "bridges": all of ours; "internal": those without a way out; "within": pairs that may talk
 * through the router */
static const struct nft_set set_bridges = { "bridges", { NFT_TYPE_IFNAME }, { NFT_TYPE_NONE } };
static const struct nft_set set_internal = { "internal", { NFT_TYPE_IFNAME }, { NFT_TYPE_NONE } };
static const struct nft_set set_within = { "within",
					   { NFT_TYPE_IFNAME, NFT_TYPE_IFNAME },
					   { NFT_TYPE_NONE } };

/* "unprotected", "routed": bridges whose containers are reached at their own addresses; "direct":
 * where, in routed ones */
static const struct nft_set set_unprotected = { "unprotected",
						{ NFT_TYPE_IFNAME },
						{ NFT_TYPE_NONE } };
static const struct nft_set set_routed = { "routed", { NFT_TYPE_IFNAME }, { NFT_TYPE_NONE } };
static const struct nft_set sets_direct[2] = {
	{ "direct", { NFT_TYPE_IPV4, NFT_TYPE_PROTO, NFT_TYPE_SERVICE }, { NFT_TYPE_NONE } },
	{ "direct", { NFT_TYPE_IPV6, NFT_TYPE_PROTO, NFT_TYPE_SERVICE }, { NFT_TYPE_NONE } },
};

static const struct nft_set maps4[2] = {
	{ "publish_any",
	  { NFT_TYPE_PROTO, NFT_TYPE_SERVICE },
	  { NFT_TYPE_IPV4, NFT_TYPE_SERVICE } },
	{ "publish_addr",
	  { NFT_TYPE_IPV4, NFT_TYPE_PROTO, NFT_TYPE_SERVICE },
	  { NFT_TYPE_IPV4, NFT_TYPE_SERVICE } },
};
static const struct nft_set maps6[2] = {
	{ "publish_any",
	  { NFT_TYPE_PROTO, NFT_TYPE_SERVICE },
	  { NFT_TYPE_IPV6, NFT_TYPE_SERVICE } },
	{ "publish_addr",
	  { NFT_TYPE_IPV6, NFT_TYPE_PROTO, NFT_TYPE_SERVICE },
	  { NFT_TYPE_IPV6, NFT_TYPE_SERVICE } },
};

static void rule_drop(struct nft *n)
{
	nft_counter(n);
	nft_verdict(n, NF_DROP, NULL);
	nft_rule_end(n);
}

static void rule_accept(struct nft *n)
{
	nft_verdict(n, NF_ACCEPT, NULL);
	nft_rule_end(n);
}

static bool of_family(const struct nft *n, const struct rules_bridge *b)
{
	return b->subnet.addr.family == (n->family == NFPROTO_IPV4 ? AF_INET : AF_INET6);
}

static bool in_set(const struct rules_bridge *b, const struct nft_set *set)
{
	return set == &set_internal	 ? b->internal
	       : set == &set_within	 ? b->icc
	       : set == &set_unprotected ? b->unprotected
	       : set == &set_routed	 ? b->routed
					 : true;
}

/* Links, not addresses: a bridge with both families is in `bridges` twice, so each set takes the
 * ones of its own family. */
static void build_sets(struct nft *n, const struct rules *r)
{
	const struct nft_set *sets[] = { &set_bridges, &set_internal, &set_within, &set_unprotected,
					 &set_routed };

	for (size_t s = 0; s < ARRAY_SIZE(sets); s++) {
		nft_set_new(n, sets[s]);
		for (size_t i = 0; i < r->n_bridges; i++) {
			const struct rules_bridge *b = &r->bridges[i];
			struct nft_key key = { .len = 0 };

			if (!of_family(n, b) || !in_set(b, sets[s]))
				continue;
			nft_key_ifname(&key, b->ifname);
			if (sets[s] == &set_within)
				nft_key_ifname(&key, b->ifname);
			nft_elem(n, &key, NULL);
		}
		nft_set_end(n);
	}
}

/* What is published without a port of the machine. */
static void build_direct(struct nft *n, const struct rules *r)
{
	nft_set_new(n, &sets_direct[n->family == NFPROTO_IPV4 ? 0 : 1]);
	for (size_t i = 0; i < r->n_ports; i++) {
		const struct rules_port *p = &r->ports[i];
		struct nft_key key = { .len = 0 };

		if (p->host_port ||
		    p->addr.family != (n->family == NFPROTO_IPV4 ? AF_INET : AF_INET6))
			continue;
		nft_key_ip(&key, &p->addr);
		nft_key_u8(&key, p->proto);
		nft_key_port(&key, p->port);
		nft_elem(n, &key, NULL);
	}
	nft_set_end(n);
}

static void build_maps(struct nft *n, const struct rules *r)
{
	const struct nft_set *maps = n->family == NFPROTO_IPV4 ? maps4 : maps6;
	uint8_t family = n->family == NFPROTO_IPV4 ? AF_INET : AF_INET6;

	for (int with_addr = 0; with_addr < 2; with_addr++) {
		nft_set_new(n, &maps[with_addr]);
		for (size_t i = 0; i < r->n_ports; i++) {
			const struct rules_port *p = &r->ports[i];
			struct nft_key key = { .len = 0 }, value = { .len = 0 };

			if (p->addr.family != family || !p->host_port ||
			    ip_is_any(&p->host_ip) != !with_addr)
				continue;
			if (with_addr)
				nft_key_ip(&key, &p->host_ip);
			nft_key_u8(&key, p->proto);
			nft_key_port(&key, p->host_port);
			nft_key_ip(&value, &p->addr);
			nft_key_port(&value, p->port);
			nft_elem(n, &key, &value);
		}
		nft_set_end(n);
	}
}

static void build_guard(struct nft *n, const struct rules *r)
{
	static const struct ip_net loopback = { .addr = { AF_INET, { 127 } }, .prefix = 8 };
	static const struct ip_net local6[] = {
		{ .addr = { AF_INET6, { 0xfe, 0x80 } }, .prefix = 10 },
		{ .addr = { AF_INET6, { 0 } }, .prefix = 128 },
	};

	for (int dst = 1; dst >= 0 && n->family == NFPROTO_IPV4; dst--) {
		nft_rule(n, "guard");
		nft_match_ifname(n, false, "lo", true);
		nft_match_net(n, dst, &loopback, false);
		rule_drop(n);
	}
	for (size_t i = 0; i < r->n_bridges; i++) {
		if (!of_family(n, &r->bridges[i]))
			continue;
		nft_rule(n, "guard");
		nft_match_ifname(n, false, r->bridges[i].ifname, false);
		nft_match_net(n, false, &r->bridges[i].subnet, true);
		/* IPv6 hosts also speak from link-local addresses, and from none at all */
		for (size_t k = 0; k < ARRAY_SIZE(local6) && n->family == NFPROTO_IPV6; k++)
			nft_match_net(n, false, &local6[k], true);
		rule_drop(n);
	}
}

/* To containers at their own addresses, where their network's gateway mode says so. */
static void build_forward_direct(struct nft *n)
{
	nft_rule(n, "forward");
	nft_match_ifname_in(n, true, set_unprotected.name, false);
	rule_accept(n);
	nft_rule(n, "forward");
	nft_match_ifname_in(n, true, set_routed.name, false);
	nft_match_l4proto(n, n->family == NFPROTO_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	rule_accept(n);
	nft_rule(n, "forward");
	nft_match_ifname_in(n, true, set_routed.name, false);
	nft_match_target_in(n, sets_direct[0].name);
	rule_accept(n);
}

static void build_filter(struct nft *n)
{
	nft_rule(n, "input");
	nft_match_ifname_in(n, false, set_bridges.name, false);
	nft_match_ct_state(n, NF_CT_STATE_INVALID_BIT);
	rule_drop(n);

	nft_rule(n, "forward");
	nft_match_ct_state(n, NF_CT_STATE_INVALID_BIT);
	rule_drop(n);
	nft_rule(n, "forward");
	nft_match_ct_state(n, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
	rule_accept(n);
	nft_rule(n, "forward");
	nft_match_mark(n, USER_MARK);
	rule_accept(n);
	for (int out = 0; out < 2; out++) {
		nft_rule(n, "forward");
		nft_match_ifname_in(n, out, set_internal.name, false);
		rule_drop(n);
	}
	nft_rule(n, "forward");
	nft_match_ifname_in(n, true, set_bridges.name, false);
	nft_match_ct_status(n, IPS_DST_NAT);
	rule_accept(n);
	build_forward_direct(n);
	nft_rule(n, "forward");
	nft_match_ifname_in(n, false, set_bridges.name, false);
	nft_match_ifname_in(n, true, set_bridges.name, true);
	rule_accept(n);
	nft_rule(n, "forward");
	nft_match_pair_in(n, set_within.name);
	rule_accept(n);
}

static void build_publish(struct nft *n)
{
	static const char *const entries[] = { "prerouting", "output" };
	static const struct ip_net loopback6 = { { AF_INET6, { [15] = 1 } }, 128 };

	nft_rule(n, "publish");
	nft_dnat_map(n, maps4[1].name, true);
	nft_rule_end(n);
	nft_rule(n, "publish");
	nft_dnat_map(n, maps4[0].name, false);
	nft_rule_end(n);
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		nft_rule(n, entries[i]);
		if (n->family == NFPROTO_IPV6) /* no answer would find back to ::1 */
			nft_match_net(n, true, &loopback6, true);
		nft_match_local(n, true);
		nft_verdict(n, NFT_JUMP, "publish");
		nft_rule_end(n);
	}
}

static void rule_masquerade(struct nft *n)
{
	nft_masquerade(n);
	nft_rule_end(n);
}

static void build_postrouting(struct nft *n, const struct rules *r)
{
	static const struct ip_net loopback = { .addr = { AF_INET, { 127 } }, .prefix = 8 };

	for (size_t i = 0; i < r->n_bridges; i++) {
		const struct rules_bridge *b = &r->bridges[i];

		if (!of_family(n, b))
			continue;
		if (b->masquerade && !b->internal) { /* the way out */
			nft_rule(n, "postrouting");
			nft_match_ifname(n, true, b->ifname, true);
			nft_match_net(n, false, &b->subnet, false);
			rule_masquerade(n);
		}
		/* a container asks a published port of its own bridge: the answer must come back
		 * this way */
		nft_rule(n, "postrouting");
		nft_match_ifname(n, true, b->ifname, false);
		nft_match_net(n, false, &b->subnet, false);
		nft_match_ct_status(n, IPS_DST_NAT);
		rule_masquerade(n);
	}
	if (n->family != NFPROTO_IPV4)
		return;
	/* the machine asks 127.0.0.1:port: the container could not answer to that address */
	nft_rule(n, "postrouting");
	nft_match_ifname_in(n, true, set_bridges.name, false);
	nft_match_net(n, false, &loopback, false);
	rule_masquerade(n);
}

static void build_family(struct nft *n, uint8_t family, const struct rules *r)
{
	bool open = family == NFPROTO_IPV4;

	nft_table(n, family, table, true);
	for (size_t i = 0; i < r->n_bridges; i++)
		open = open || of_family(n, &r->bridges[i]);
	for (size_t i = 0; i < ARRAY_SIZE(base_chains); i++)
		if (open || base_chains[i].policy == NF_DROP)
			nft_base(n, &base_chains[i]);
	if (!open) /* nothing is forwarded, whoever switched forwarding on */
		return;
	nft_chain(n, "publish");
	build_sets(n, r);
	build_direct(n, r);
	build_maps(n, r);
	build_guard(n, r);
	build_filter(n);
	build_publish(n);
	build_postrouting(n, r);
}

void rules_build(struct nft *n, const struct rules *r)
{
	nft_begin(n);
	build_family(n, NFPROTO_IPV4, r);
	build_family(n, NFPROTO_IPV6, r);
}

/* The container may listen on port 53 itself, so the sockets that answer have other ports. */
void rules_build_resolver(struct nft *n, const struct ip_addr *address, uint16_t udp, uint16_t tcp)
{
	static const struct nft_set map = { "resolver",
					    { NFT_TYPE_IPV4, NFT_TYPE_PROTO, NFT_TYPE_SERVICE },
					    { NFT_TYPE_IPV4, NFT_TYPE_SERVICE } };
	static const struct nft_base_chain chain = { "output", NFT_CHAIN_NAT, NF_INET_LOCAL_OUT,
						     NF_IP_PRI_NAT_DST, NF_ACCEPT };
	const struct {
		uint8_t proto;
		uint16_t port;
	} ports[] = { { IPPROTO_UDP, udp }, { IPPROTO_TCP, tcp } };

	nft_begin(n);
	nft_table(n, NFPROTO_IPV4, table, true);
	nft_base(n, &chain);
	nft_set_new(n, &map);
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		struct nft_key key = { .len = 0 }, value = { .len = 0 };

		nft_key_ip(&key, address);
		nft_key_u8(&key, ports[i].proto);
		nft_key_port(&key, 53);
		nft_key_ip(&value, address);
		nft_key_port(&value, ports[i].port);
		nft_elem(n, &key, &value);
	}
	nft_set_end(n);
	nft_rule(n, chain.name);
	nft_dnat_map(n, map.name, true);
	nft_rule_end(n);
}

void rules_build_user(struct nft *n)
{
	static const struct nft_base_chain chain = { "forward", NFT_CHAIN_FILTER, NF_INET_FORWARD,
						     NF_IP_PRI_FILTER - 1, NFT_POLICY_KEEP };

	nft_begin(n);
	nft_table_open(n, NFPROTO_INET, user_table);
	nft_base(n, &chain);
}

void rules_build_none(struct nft *n)
{
	nft_begin(n);
	nft_table(n, NFPROTO_IPV4, table, false);
	nft_table(n, NFPROTO_IPV6, table, false);
}
