/*
 * DNS messages (RFC 1035, EDNS RFC 6891): reading a query, writing an answer, recognising a reply.
 *
 * Pure and bounded: bytes in, plain values out, nothing allocated. What is read here comes from
 * containers and from the network, so every length is checked and nothing of it is trusted.
 * Callers: server.c, forward.c, the fuzz target.
 */
#ifndef SKERRY_DNS_MESSAGE_H
#define SKERRY_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DNS_HEADER = 12,
	DNS_NAME_WIRE_MAX = 255,
	DNS_TEXT_MAX = 256, /* a name as text, with its NUL */
	DNS_LABEL_MAX = 63,
	DNS_UDP_MIN = 512, /* what everybody takes */
	DNS_UDP_MAX = 4096, /* what we send and take at most */
	DNS_TCP_MAX = 65535,
	DNS_RECORDS_MAX = 16, /* additional records of a query */
	DNS_ADDRS_MAX = 4096, /* of one name */
};

enum dns_type {
	DNS_A = 1,
	DNS_PTR = 12,
	DNS_AAAA = 28,
	DNS_OPT = 41,
	DNS_ANY = 255,
};

enum { DNS_CLASS_IN = 1, DNS_CLASS_ANY = 255 };

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16, /* needs EDNS */
};

struct dns_addr {
	uint8_t len; /* 4 or 16; 0: none */
	uint8_t b[16];
};

struct dns_query {
	uint16_t id;
	uint16_t flags; /* as in the header */
	enum dns_rcode rcode; /* not DNS_NOERROR: the answer to give, without a look at the name */
	bool has_question; /* the members below and question_end are set */
	char name[DNS_TEXT_MAX]; /* lower case, labels with dots, no dot at the end; "": the root */
	bool odd; /* the name has bytes that are in no host's: `name` is not to be looked up */
	uint16_t type, class;
	size_t question_end; /* offset behind the question */
	bool edns;
	uint16_t udp_size; /* what the asker takes: DNS_UDP_MIN to DNS_UDP_MAX */
};

/* -EBADMSG: not a query at all (too short, or an answer): nothing is to be said to it. Else 0. */
int dns_query_read(const uint8_t *data, size_t len, struct dns_query *ret_query);

/* The address that "4.3.2.1.in-addr.arpa" or a name below ip6.arpa asks for. */
bool dns_reverse_addr(const char *name, struct dns_addr *ret_addr);

/* An answer that is being written into `data`. */
struct dns_out {
	uint8_t *data;
	size_t len, max;
	size_t reserved; /* at the end, for the EDNS record */
	const struct dns_query *query;
	bool truncated;
};

/* Begins the answer to a query (whose bytes are `asked`) in data[0..max); max is at least
 * DNS_UDP_MIN. */
void dns_answer_begin(struct dns_out *o, uint8_t *data, size_t max, const uint8_t *asked,
		      const struct dns_query *q, enum dns_rcode rcode);
/* Records for the name of the question. false: no room, the answer is marked as cut. */
bool dns_answer_addr(struct dns_out *o, const struct dns_addr *addr, uint32_t ttl);
bool dns_answer_name(struct dns_out *o, const char *name, uint32_t ttl);
/* Finishes; the length. */
size_t dns_answer_end(struct dns_out *o);

/* Whether `reply` answers what was asked: the id, and the very question (letters' case aside). */
bool dns_reply_fits(const uint8_t *reply, size_t len, uint16_t id, const uint8_t *asked,
		    const struct dns_query *q);
static inline uint16_t dns_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}
static inline void dns_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
static inline enum dns_rcode dns_reply_rcode(const uint8_t *reply)
{
	return (enum dns_rcode)(reply[3] & 0x0f);
}

#endif
