/*
 * nf_tables rules and the expressions they consist of, one function for each.
 *
 * An expression is a name and a nest of attributes inside the rule's list; the order of calls is
 * the order of evaluation. Values in registers keep network order as in the packet, except meta, ct
 * and fib values, which the kernel gives in the machine's order. Callers: nft_match.c and rules.c.
 */
#include <string.h>

#include "engine/net/nft.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>

/* an expression's two open nests */
struct expr {
	size_t elem, data;
};

static struct expr expr_open(struct nft *n, const char *name)
{
	struct expr x;

	x.elem = nl_nest(&n->msg, NFTA_LIST_ELEM);
	nl_put_text(&n->msg, NFTA_EXPR_NAME, name);
	x.data = nl_nest(&n->msg, NFTA_EXPR_DATA);
	return x;
}

static void expr_close(struct nft *n, struct expr x)
{
	nl_nest_end(&n->msg, x.data);
	nl_nest_end(&n->msg, x.elem);
}

static void put_value(struct nft *n, uint16_t type, const void *data, size_t len)
{
	size_t nest = nl_nest(&n->msg, type);

	nl_put(&n->msg, NFTA_DATA_VALUE, data, len);
	nl_nest_end(&n->msg, nest);
}

void nft_rule(struct nft *n, const char *chain)
{
	struct nfgenmsg g = { .nfgen_family = n->family, .version = NFNETLINK_V0 };

	nl_begin(&n->msg, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
		 &g, sizeof(g));
	nl_put_text(&n->msg, NFTA_RULE_TABLE, n->table);
	nl_put_text(&n->msg, NFTA_RULE_CHAIN, chain);
	n->rule_exprs = nl_nest(&n->msg, NFTA_RULE_EXPRESSIONS);
}

void nft_rule_end(struct nft *n)
{
	nl_nest_end(&n->msg, n->rule_exprs);
	nl_end(&n->msg);
}

void nft_meta(struct nft *n, uint32_t key, uint32_t reg)
{
	struct expr x = expr_open(n, "meta");

	nl_put_be32(&n->msg, NFTA_META_KEY, key);
	nl_put_be32(&n->msg, NFTA_META_DREG, reg);
	expr_close(n, x);
}

void nft_ct(struct nft *n, uint32_t key, uint32_t reg)
{
	struct expr x = expr_open(n, "ct");

	nl_put_be32(&n->msg, NFTA_CT_KEY, key);
	nl_put_be32(&n->msg, NFTA_CT_DREG, reg);
	expr_close(n, x);
}

void nft_payload(struct nft *n, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
	struct expr x = expr_open(n, "payload");

	nl_put_be32(&n->msg, NFTA_PAYLOAD_DREG, reg);
	nl_put_be32(&n->msg, NFTA_PAYLOAD_BASE, base);
	nl_put_be32(&n->msg, NFTA_PAYLOAD_OFFSET, offset);
	nl_put_be32(&n->msg, NFTA_PAYLOAD_LEN, len);
	expr_close(n, x);
}

void nft_cmp(struct nft *n, uint32_t op, uint32_t reg, const void *data, size_t len)
{
	struct expr x = expr_open(n, "cmp");

	nl_put_be32(&n->msg, NFTA_CMP_SREG, reg);
	nl_put_be32(&n->msg, NFTA_CMP_OP, op);
	put_value(n, NFTA_CMP_DATA, data, len);
	expr_close(n, x);
}

void nft_bitwise(struct nft *n, uint32_t reg, size_t len, const void *mask)
{
	static const uint8_t zeros[16];
	struct expr x = expr_open(n, "bitwise");

	nl_put_be32(&n->msg, NFTA_BITWISE_SREG, reg);
	nl_put_be32(&n->msg, NFTA_BITWISE_DREG, reg);
	nl_put_be32(&n->msg, NFTA_BITWISE_LEN, (uint32_t)len);
	put_value(n, NFTA_BITWISE_MASK, mask, len);
	put_value(n, NFTA_BITWISE_XOR, zeros, MIN(len, sizeof(zeros)));
	expr_close(n, x);
}

void nft_lookup(struct nft *n, const char *set, uint32_t reg, bool invert)
{
	struct expr x = expr_open(n, "lookup");

	nl_put_text(&n->msg, NFTA_LOOKUP_SET, set);
	nl_put_be32(&n->msg, NFTA_LOOKUP_SREG, reg);
	if (invert)
		nl_put_be32(&n->msg, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	expr_close(n, x);
}

void nft_lookup_map(struct nft *n, const char *map, uint32_t reg, uint32_t dreg)
{
	struct expr x = expr_open(n, "lookup");

	nl_put_text(&n->msg, NFTA_LOOKUP_SET, map);
	nl_put_be32(&n->msg, NFTA_LOOKUP_SREG, reg);
	nl_put_be32(&n->msg, NFTA_LOOKUP_DREG, dreg);
	expr_close(n, x);
}

void nft_fib_type(struct nft *n, uint32_t flags, uint32_t reg)
{
	struct expr x = expr_open(n, "fib");

	nl_put_be32(&n->msg, NFTA_FIB_DREG, reg);
	nl_put_be32(&n->msg, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nl_put_be32(&n->msg, NFTA_FIB_FLAGS, flags);
	expr_close(n, x);
}

void nft_counter(struct nft *n)
{
	expr_close(n, expr_open(n, "counter"));
}

void nft_verdict(struct nft *n, int verdict, const char *chain)
{
	struct expr x = expr_open(n, "immediate");
	size_t data, v;

	nl_put_be32(&n->msg, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nl_nest(&n->msg, NFTA_IMMEDIATE_DATA);
	v = nl_nest(&n->msg, NFTA_DATA_VERDICT);
	nl_put_be32(&n->msg, NFTA_VERDICT_CODE, (uint32_t)verdict);
	if (chain)
		nl_put_text(&n->msg, NFTA_VERDICT_CHAIN, chain);
	nl_nest_end(&n->msg, v);
	nl_nest_end(&n->msg, data);
	expr_close(n, x);
}

void nft_dnat(struct nft *n, uint32_t reg_addr, uint32_t reg_port)
{
	struct expr x = expr_open(n, "nat");

	nl_put_be32(&n->msg, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	nl_put_be32(&n->msg, NFTA_NAT_FAMILY, n->family);
	nl_put_be32(&n->msg, NFTA_NAT_REG_ADDR_MIN, reg_addr);
	nl_put_be32(&n->msg, NFTA_NAT_REG_PROTO_MIN, reg_port);
	expr_close(n, x);
}

void nft_masquerade(struct nft *n)
{
	expr_close(n, expr_open(n, "masq"));
}
