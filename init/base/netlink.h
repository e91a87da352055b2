/*
 * Netlink: messages built in one buffer with checked lengths, sent, and their acknowledgements
 * read.
 *
 * A struct nl_msg holds one or more messages (a batch). Attributes nest by nl_nest/nl_nest_end. All
 * integers are host order unless the name says be. Used by init/net (links) and engine/net
 * (rtnetlink, nftables).
 */
#ifndef SKERRY_BASE_NETLINK_H
#define SKERRY_BASE_NETLINK_H

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

#include "init/base/buf.h"
#include "init/base/err.h"

struct nl_msg {
	struct buf buf;
	size_t start; /* offset of the current message's header */
	uint32_t seq; /* of the last message begun */
};

/* protocol: NETLINK_ROUTE, NETLINK_NETFILTER. Returns the socket (close-on-exec, extended acks
 * on). */
int nl_open(int protocol, struct err *e);
/* Begins a message: type, NLM_F_* (REQUEST is added), and its fixed family header. */
void nl_begin(struct nl_msg *m, uint16_t type, uint16_t flags, const void *header,
	      size_t header_len);
void nl_put(struct nl_msg *m, uint16_t type, const void *data, size_t len);
void nl_put_u8(struct nl_msg *m, uint16_t type, uint8_t v);
void nl_put_u16(struct nl_msg *m, uint16_t type, uint16_t v);
void nl_put_u32(struct nl_msg *m, uint16_t type, uint32_t v);
void nl_put_be32(struct nl_msg *m, uint16_t type, uint32_t v);
void nl_put_be64(struct nl_msg *m, uint16_t type, uint64_t v);
void nl_put_text(struct nl_msg *m, uint16_t type, const char *text); /* with its NUL */
size_t nl_nest(struct nl_msg *m, uint16_t type);
void nl_nest_end(struct nl_msg *m, size_t nest);
void nl_end(struct nl_msg *m); /* patches the length; the next nl_begin may follow */
void nl_free(struct nl_msg *m);
DEFINE_CLEANUP_VALUE(struct nl_msg, nl_free)

/* Not for a socket that is subscribed to notifications: what waits there is dropped first.
 * Sends all messages and reads until each that asked NLM_F_ACK was answered (and a dump is
 * done); calls fn (may be NULL) for every data message. The first negative acknowledgement ends
 * it: its -errno, the kernel's extended text in e. Bounded by 5 s. */
int nl_call(int fd, struct nl_msg *m,
	    int (*fn)(const struct nlmsghdr *h, void *data, struct err *e), void *data,
	    struct err *e);
/* Walks attributes: the next one after prev (NULL: the first) in [start, start+len), or NULL.
 * Checked against hostile lengths. */
const struct nlattr *nl_attr_next(const void *start, size_t len, const struct nlattr *prev);
/* Finds one by type (NLA_F_NESTED etc. masked), NULL when absent. */
const struct nlattr *nl_attr_find(const void *start, size_t len, uint16_t type);
static inline const void *nl_attr_data(const struct nlattr *a)
{
	return (const char *)a + NLA_HDRLEN;
}
static inline size_t nl_attr_len(const struct nlattr *a)
{
	return a->nla_len - NLA_HDRLEN;
}

#endif
