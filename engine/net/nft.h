/*
 * nf_tables messages: one transaction that replaces a table, built expression by expression.
 *
 * A struct nft holds the netlink batch. nft_begin opens it, nft_table names and empties a table,
 * chains, sets and rules follow in order, nft_commit sends it all: the kernel takes the whole or
 * nothing. Failed adds are remembered in the buffer and reported once, by nft_commit.
 * Registers are 32 bits wide (NFT_REG32_00 ...): a value of 16 bytes takes four, parts of a
 * concatenated key follow each other without a gap but each rounded up to 4 bytes.
 *
 * Only rules.c builds rules with it; nft_match.c has the matches that rules are made of.
 */
#ifndef SKERRY_NET_NFT_H
#define SKERRY_NET_NFT_H

#include <linux/netfilter/nf_tables.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/net/addr.h"
#include "init/base/netlink.h"

struct nft {
	struct nl_msg msg;
	uint8_t family; /* NFPROTO_IPV4, NFPROTO_IPV6 */
	const char *table;
	uint32_t set_id; /* of the last set; names it within the transaction */
	size_t rule_exprs; /* the open nest of the rule being built */
	size_t elems; /* the open nest of set elements */
	unsigned int n_elems; /* in it */
	const struct nft_set *set;
};

/* what a set's key or a map's value consists of, in order; the numbers are those of the nft program
 * (its datatype ids), which only serve listing */
enum nft_type {
	NFT_TYPE_NONE = 0,
	NFT_TYPE_IPV4 = 7,
	NFT_TYPE_IPV6 = 8,
	NFT_TYPE_PROTO = 12,
	NFT_TYPE_SERVICE = 13,
	NFT_TYPE_IFNAME = 41,
};

enum { NFT_PARTS_MAX = 4, NFT_KEY_MAX = 64 };

struct nft_set {
	const char *name;
	enum nft_type key[NFT_PARTS_MAX]; /* ended by NFT_TYPE_NONE when shorter */
	enum nft_type value[NFT_PARTS_MAX]; /* of a map; value[0] NFT_TYPE_NONE: a plain set */
};

/* a key or value being put together */
struct nft_key {
	uint8_t data[NFT_KEY_MAX];
	size_t len;
};

enum nft_chain_type { NFT_CHAIN_FILTER, NFT_CHAIN_NAT };

enum { NFT_POLICY_KEEP = 0xff };

struct nft_base_chain {
	const char *name;
	enum nft_chain_type type;
	uint32_t hook; /* NF_INET_PRE_ROUTING, ... */
	int32_t priority; /* NF_IP_PRI_... */
	uint32_t policy; /* NF_ACCEPT, NF_DROP; NFT_POLICY_KEEP: as it is */
};

void nft_begin(struct nft *n);
/* The table of later calls, as it is, made if absent. */
void nft_table_open(struct nft *n, uint8_t family, const char *table);
/* The table of later calls: made if absent, then emptied by being removed and made again. keep =
 * false: removed only. */
void nft_table(struct nft *n, uint8_t family, const char *table, bool keep);
void nft_chain(struct nft *n, const char *name);
void nft_base(struct nft *n, const struct nft_base_chain *c);

/* A set or map, and its elements. */
void nft_set_new(struct nft *n, const struct nft_set *s);
void nft_elem(struct nft *n, const struct nft_key *key,
	      const struct nft_key *value); /* value NULL for plain sets */
void nft_set_end(struct nft *n);
void nft_key_add(struct nft_key *k, const void *data, size_t len); /* padded to 4 bytes */
void nft_key_ip(struct nft_key *k, const struct ip_addr *a);
void nft_key_u8(struct nft_key *k, uint8_t v);
void nft_key_port(struct nft_key *k, uint16_t port);
void nft_key_ifname(struct nft_key *k, const char *name);

/* Rules, appended to a chain in order: begin, expressions, end. */
void nft_rule(struct nft *n, const char *chain);
void nft_rule_end(struct nft *n);
void nft_meta(struct nft *n, uint32_t key, uint32_t reg);
void nft_ct(struct nft *n, uint32_t key, uint32_t reg);
void nft_payload(struct nft *n, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg);
void nft_cmp(struct nft *n, uint32_t op, uint32_t reg, const void *data, size_t len);
void nft_bitwise(struct nft *n, uint32_t reg, size_t len, const void *mask);
void nft_lookup(struct nft *n, const char *set, uint32_t reg, bool invert);
void nft_lookup_map(struct nft *n, const char *map, uint32_t reg, uint32_t dreg);
void nft_fib_type(struct nft *n, uint32_t flags,
		  uint32_t reg); /* NFTA_FIB_F_SADDR or _DADDR; RTN_* into reg */
void nft_counter(struct nft *n);
void nft_verdict(struct nft *n, int verdict,
		 const char *chain); /* NF_*, NFT_JUMP, ...; chain for jump and goto */
void nft_dnat(struct nft *n, uint32_t reg_addr, uint32_t reg_port);
void nft_masquerade(struct nft *n);

/* Matches made of the above (nft_match.c). All use NFT_REG32_00 upwards. */
void nft_match_ifname(struct nft *n, bool out, const char *name, bool invert);
void nft_match_ifname_in(struct nft *n, bool out, const char *set, bool invert);
void nft_match_pair_in(struct nft *n, const char *set); /* iifname . oifname */
void nft_match_net(struct nft *n, bool dst, const struct ip_net *net, bool invert);
void nft_match_target_in(struct nft *n, const char *set); /* daddr . protocol . dport */
void nft_match_l4proto(struct nft *n, uint8_t proto);
void nft_match_mark(struct nft *n, uint32_t mark);
void nft_match_ct_state(struct nft *n, uint32_t bits); /* any of NF_CT_STATE_BIT() */
void nft_match_ct_status(struct nft *n, uint32_t bits); /* any of IPS_* */
void nft_match_local(struct nft *n, bool dst); /* the address is one of the machine */
/* dnat to where the map says, by (with_addr: destination address .) protocol . destination port */
void nft_dnat_map(struct nft *n, const char *map, bool with_addr);

/* Closes and sends the batch over a NETLINK_NETFILTER socket. */
int nft_commit(struct nft *n, int fd, struct err *e);
/* Only closes it: what would be sent is in n->msg.buf (tests). */
void nft_end(struct nft *n);
void nft_free(struct nft *n);
DEFINE_CLEANUP_VALUE(struct nft, nft_free)

#endif
