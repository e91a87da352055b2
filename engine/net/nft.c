/*
 * The nf_tables transaction: its frame, tables, chains, sets and their elements.
 *
 * The batch is one buffer of netlink messages between NFNL_MSG_BATCH_BEGIN and _END. Sets are named
 * by a transaction-wide number as well as by name, because rules of the same transaction refer to
 * them. Elements go out in several messages: an attribute cannot be longer than 64 KiB.
 * Expressions are in nft_expr.c, the matches made of them in nft_match.c. Caller: rules.c.
 */
#include "engine/net/nft.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <string.h>

#include "init/base/str.h"

/* an element takes at most 2 * NFT_KEY_MAX + 32 bytes, so that this many stay below 64 KiB */
enum { ELEMS_PER_MESSAGE = 256, NFT_TYPE_BITS = 6 };

static void nft_head(struct nft *n, uint16_t type, uint16_t flags)
{
	struct nfgenmsg g = { .nfgen_family = n->family, .version = NFNETLINK_V0 };

	nl_begin(&n->msg, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, &g, sizeof(g));
}

static void nft_batch_mark(struct nft *n, uint16_t type)
{
	struct nfgenmsg g = { .nfgen_family = AF_UNSPEC,
			      .version = NFNETLINK_V0,
			      .res_id = htons(NFNL_SUBSYS_NFTABLES) };

	nl_begin(&n->msg, type, 0, &g, sizeof(g));
	nl_end(&n->msg);
}

void nft_begin(struct nft *n)
{
	*n = (struct nft){ 0 };
	nft_batch_mark(n, NFNL_MSG_BATCH_BEGIN);
}

void nft_free(struct nft *n)
{
	nl_free(&n->msg);
}

static void nft_table_message(struct nft *n, uint16_t type, uint16_t flags)
{
	nft_head(n, type, flags);
	nl_put_text(&n->msg, NFTA_TABLE_NAME, n->table);
	nl_end(&n->msg);
}

void nft_table_open(struct nft *n, uint8_t family, const char *table)
{
	n->family = family;
	n->table = table;
	nft_table_message(n, NFT_MSG_NEWTABLE, NLM_F_CREATE);
}

void nft_table(struct nft *n, uint8_t family, const char *table, bool keep)
{
	n->family = family;
	n->table = table;
	nft_table_message(n, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	nft_table_message(n, NFT_MSG_DELTABLE, 0);
	if (keep)
		nft_table_message(n, NFT_MSG_NEWTABLE, NLM_F_CREATE);
}

void nft_chain(struct nft *n, const char *name)
{
	nft_head(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	nl_put_text(&n->msg, NFTA_CHAIN_TABLE, n->table);
	nl_put_text(&n->msg, NFTA_CHAIN_NAME, name);
	nl_end(&n->msg);
}

void nft_base(struct nft *n, const struct nft_base_chain *c)
{
	size_t nest;

	nft_head(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	nl_put_text(&n->msg, NFTA_CHAIN_TABLE, n->table);
	nl_put_text(&n->msg, NFTA_CHAIN_NAME, c->name);
	nl_put_text(&n->msg, NFTA_CHAIN_TYPE, c->type == NFT_CHAIN_NAT ? "nat" : "filter");
	nest = nl_nest(&n->msg, NFTA_CHAIN_HOOK);
	nl_put_be32(&n->msg, NFTA_HOOK_HOOKNUM, c->hook);
	nl_put_be32(&n->msg, NFTA_HOOK_PRIORITY, (uint32_t)c->priority);
	nl_nest_end(&n->msg, nest);
	if (c->policy != NFT_POLICY_KEEP)
		nl_put_be32(&n->msg, NFTA_CHAIN_POLICY, c->policy);
	nl_end(&n->msg);
}

/* --- sets ------------------------------------------------------------------------------------- */

static uint32_t type_size(enum nft_type t)
{
	switch (t) {
	case NFT_TYPE_IPV4:
		return 4;
	case NFT_TYPE_IPV6:
		return 16;
	case NFT_TYPE_PROTO:
		return 1;
	case NFT_TYPE_SERVICE:
		return 2;
	case NFT_TYPE_IFNAME:
		return IFNAMSIZ;
	case NFT_TYPE_NONE:
		break;
	}
	return 0;
}

/* The combined datatype id and the length in bytes: one part counts as it is, more are rounded up
 * to 4 each. */
static void type_combine(const enum nft_type parts[NFT_PARTS_MAX], uint32_t *ret_type,
			 uint32_t *ret_len)
{
	uint32_t type = 0, len = 0;
	bool many = parts[1] != NFT_TYPE_NONE;

	for (int i = 0; i < NFT_PARTS_MAX && parts[i] != NFT_TYPE_NONE; i++) {
		type = type << NFT_TYPE_BITS | parts[i];
		len += many ? NLA_ALIGN(type_size(parts[i])) : type_size(parts[i]);
	}
	*ret_type = type;
	*ret_len = len;
}

/* The nft program prints link names only when it is told that they are in the machine's byte order:
 * one type-length-value of its own (0: byte order of the key), which the kernel just keeps. */
struct set_note {
	uint8_t type, len;
	uint32_t byte_order; /* 1: the machine's */
} __attribute__((packed));

void nft_set_new(struct nft *n, const struct nft_set *s)
{
	static const struct set_note names = { 0, sizeof(names.byte_order), 1 };
	bool map = s->value[0] != NFT_TYPE_NONE;
	uint32_t type, len;

	n->set = s;
	n->n_elems = 0;
	nft_head(n, NFT_MSG_NEWSET, NLM_F_CREATE);
	nl_put_text(&n->msg, NFTA_SET_TABLE, n->table);
	nl_put_text(&n->msg, NFTA_SET_NAME, s->name);
	nl_put_be32(&n->msg, NFTA_SET_ID, ++n->set_id);
	nl_put_be32(&n->msg, NFTA_SET_FLAGS, map ? NFT_SET_MAP : 0);
	type_combine(s->key, &type, &len);
	nl_put_be32(&n->msg, NFTA_SET_KEY_TYPE, type);
	nl_put_be32(&n->msg, NFTA_SET_KEY_LEN, len);
	if (s->key[0] == NFT_TYPE_IFNAME && s->key[1] == NFT_TYPE_NONE)
		nl_put(&n->msg, NFTA_SET_USERDATA, &names, sizeof(names));
	if (map) {
		type_combine(s->value, &type, &len);
		nl_put_be32(&n->msg, NFTA_SET_DATA_TYPE, type);
		nl_put_be32(&n->msg, NFTA_SET_DATA_LEN, len);
	}
	nl_end(&n->msg);
}

static void nft_elems_open(struct nft *n)
{
	nft_head(n, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
	nl_put_text(&n->msg, NFTA_SET_ELEM_LIST_TABLE, n->table);
	nl_put_text(&n->msg, NFTA_SET_ELEM_LIST_SET, n->set->name);
	nl_put_be32(&n->msg, NFTA_SET_ELEM_LIST_SET_ID, n->set_id);
	n->elems = nl_nest(&n->msg, NFTA_SET_ELEM_LIST_ELEMENTS);
}

static void nft_elems_close(struct nft *n)
{
	if (n->n_elems == 0)
		return;
	nl_nest_end(&n->msg, n->elems);
	nl_end(&n->msg);
	n->n_elems = 0;
}

void nft_elem(struct nft *n, const struct nft_key *key, const struct nft_key *value)
{
	size_t elem, nest;

	if (n->n_elems == ELEMS_PER_MESSAGE)
		nft_elems_close(n);
	if (n->n_elems++ == 0)
		nft_elems_open(n);
	elem = nl_nest(&n->msg, NFTA_LIST_ELEM);
	nest = nl_nest(&n->msg, NFTA_SET_ELEM_KEY);
	nl_put(&n->msg, NFTA_DATA_VALUE, key->data, key->len);
	nl_nest_end(&n->msg, nest);
	if (value) {
		nest = nl_nest(&n->msg, NFTA_SET_ELEM_DATA);
		nl_put(&n->msg, NFTA_DATA_VALUE, value->data, value->len);
		nl_nest_end(&n->msg, nest);
	}
	nl_nest_end(&n->msg, elem);
}

void nft_set_end(struct nft *n)
{
	nft_elems_close(n);
	n->set = NULL;
}

void nft_key_add(struct nft_key *k, const void *data, size_t len)
{
	size_t padded = NLA_ALIGN(len);

	if (padded > sizeof(k->data) - k->len)
		return; /* no set of rules.c is that wide; the kernel refuses a short key */
	memset(k->data + k->len, 0, padded);
	memcpy(k->data + k->len, data, len);
	k->len += padded;
}

void nft_key_ip(struct nft_key *k, const struct ip_addr *a)
{
	nft_key_add(k, a->b, ip_size(a->family));
}

void nft_key_u8(struct nft_key *k, uint8_t v)
{
	nft_key_add(k, &v, sizeof(v));
}

void nft_key_port(struct nft_key *k, uint16_t port)
{
	port = htons(port);
	nft_key_add(k, &port, sizeof(port));
}

void nft_key_ifname(struct nft_key *k, const char *name)
{
	char padded[IFNAMSIZ] = "";

	(void)str_copy(padded, sizeof(padded), name);
	nft_key_add(k, padded, sizeof(padded));
}

/* --- the transaction -------------------------------------------------------------------------- */

void nft_end(struct nft *n)
{
	struct nlmsghdr *last;

	if (!n->msg.buf.failed) {
		/* one acknowledgement for the whole: errors are sent for every message that has
		 * one */
		last = (struct nlmsghdr *)(n->msg.buf.data + n->msg.start);
		last->nlmsg_flags |= NLM_F_ACK;
	}
	nft_batch_mark(n, NFNL_MSG_BATCH_END);
}

int nft_commit(struct nft *n, int fd, struct err *e)
{
	int rc;

	nft_end(n);
	rc = nl_call(fd, &n->msg, NULL, NULL, e);
	if (rc < 0) {
		(void)err_wrap(e, "cannot replace the packet filter's tables");
		return rc;
	}
	return 0;
}
