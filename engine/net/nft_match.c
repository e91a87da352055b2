/*
 * The matches that our rules are made of: one or two expressions each, leaving nothing behind.
 *
 * Each loads what it looks at into registers from NFT_REG32_00 on and compares; the rule goes on
 * only when it fits. The listing of Debian's nft program for each of them is in the golden test
 * tests/unit/engine/net/nft_test.c. Caller: rules.c.
 */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "engine/net/nft.h"
#include "init/base/str.h"

enum {
	IPV4_SRC = 12, /* offsets in the IPv4 and IPv6 headers */
	IPV4_DST = 16,
	IPV6_SRC = 8,
	IPV6_DST = 24,
	TH_DPORT = 2, /* tcp, udp and sctp have it at the same place */
};

void nft_match_ifname(struct nft *n, bool out, const char *name, bool invert)
{
	char padded[IFNAMSIZ] = "";

	(void)str_copy(padded, sizeof(padded), name);
	nft_meta(n, out ? NFT_META_OIFNAME : NFT_META_IIFNAME, NFT_REG32_00);
	nft_cmp(n, invert ? NFT_CMP_NEQ : NFT_CMP_EQ, NFT_REG32_00, padded, sizeof(padded));
}

void nft_match_ifname_in(struct nft *n, bool out, const char *set, bool invert)
{
	nft_meta(n, out ? NFT_META_OIFNAME : NFT_META_IIFNAME, NFT_REG32_00);
	nft_lookup(n, set, NFT_REG32_00, invert);
}

void nft_match_pair_in(struct nft *n, const char *set)
{
	nft_meta(n, NFT_META_IIFNAME, NFT_REG32_00);
	nft_meta(n, NFT_META_OIFNAME, NFT_REG32_04);
	nft_lookup(n, set, NFT_REG32_00, false);
}

/* Loads the source or destination address. */
static void load_addr(struct nft *n, bool dst, uint32_t reg)
{
	if (n->family == NFPROTO_IPV4)
		nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, dst ? IPV4_DST : IPV4_SRC, 4, reg);
	else
		nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, dst ? IPV6_DST : IPV6_SRC, 16, reg);
}

void nft_match_net(struct nft *n, bool dst, const struct ip_net *net, bool invert)
{
	struct ip_net masked = ip_net_mask(net);
	size_t size = ip_size(net->addr.family);
	uint8_t mask[16] = { 0 };

	load_addr(n, dst, NFT_REG32_00);
	if (net->prefix < size * 8) {
		for (unsigned int i = 0; i < net->prefix; i++)
			mask[i / 8] |= (uint8_t)(0x80 >> (i % 8));
		nft_bitwise(n, NFT_REG32_00, size, mask);
	}
	nft_cmp(n, invert ? NFT_CMP_NEQ : NFT_CMP_EQ, NFT_REG32_00, masked.addr.b, size);
}

/* Loads where a packet goes: address, protocol, port. */
static void load_target(struct nft *n, bool with_addr)
{
	uint32_t key = NFT_REG32_00;

	if (with_addr) {
		load_addr(n, true, key);
		key += n->family == NFPROTO_IPV4 ? 1 : 4;
	}
	nft_meta(n, NFT_META_L4PROTO, key);
	nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, TH_DPORT, 2, key + 1);
}

void nft_match_target_in(struct nft *n, const char *set)
{
	load_target(n, true);
	nft_lookup(n, set, NFT_REG32_00, false);
}

void nft_match_l4proto(struct nft *n, uint8_t proto)
{
	nft_meta(n, NFT_META_L4PROTO, NFT_REG32_00);
	nft_cmp(n, NFT_CMP_EQ, NFT_REG32_00, &proto, sizeof(proto));
}

void nft_match_mark(struct nft *n, uint32_t mark)
{
	nft_meta(n, NFT_META_MARK, NFT_REG32_00);
	nft_cmp(n, NFT_CMP_EQ, NFT_REG32_00, &mark, sizeof(mark));
}

static void match_ct_bits(struct nft *n, uint32_t key, uint32_t bits)
{
	static const uint32_t none;

	nft_ct(n, key, NFT_REG32_00);
	nft_bitwise(n, NFT_REG32_00, sizeof(bits), &bits);
	nft_cmp(n, NFT_CMP_NEQ, NFT_REG32_00, &none, sizeof(none));
}

void nft_match_ct_state(struct nft *n, uint32_t bits)
{
	match_ct_bits(n, NFT_CT_STATE, bits);
}

void nft_match_ct_status(struct nft *n, uint32_t bits)
{
	match_ct_bits(n, NFT_CT_STATUS, bits);
}

void nft_match_local(struct nft *n, bool dst)
{
	static const uint32_t local = RTN_LOCAL;

	nft_fib_type(n, dst ? NFTA_FIB_F_DADDR : NFTA_FIB_F_SADDR, NFT_REG32_00);
	nft_cmp(n, NFT_CMP_EQ, NFT_REG32_00, &local, sizeof(local));
}

void nft_dnat_map(struct nft *n, const char *map, bool with_addr)
{
	uint32_t addr_regs = n->family == NFPROTO_IPV4 ? 1 : 4;

	load_target(n, with_addr);
	nft_lookup_map(n, map, NFT_REG32_00, NFT_REG32_00);
	nft_dnat(n, NFT_REG32_00, NFT_REG32_00 + addr_regs);
}
