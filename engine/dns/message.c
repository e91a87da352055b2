/*
 * DNS messages (see message.h).
 *
 * A query has one question, whose name is written out (nothing stands in front of it that it could
 * point to), and additional records, of which only OPT matters. Answers name the question's name by
 * a pointer to offset 12. Callers: server.c, forward.c.
 */
#include "engine/dns/message.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "init/base/str.h"

enum {
	FLAG_QR = 0x8000,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_RA = 0x0080,
	FLAG_CD = 0x0010,
	OPCODE = 0x7800,
	OPT_RECORD = 11,
	POINTER = 0xc0,
	RECORD_HEAD = 12, /* pointer, type, class, ttl, length */
};

/* A byte that names of hosts have; '_' and '/' are in names of services and of reverse zones. */
static bool plain(uint8_t c)
{
	return isalnum(c) || c == '-' || c == '_' || c == '/';
}

/* The question's name. Gives the offset behind it, 0 when it is not well-formed. */
static size_t read_name(const uint8_t *data, size_t len, size_t at, struct dns_query *q)
{
	size_t out = 0, start = at;

	for (;;) {
		uint8_t n;

		if (at >= len)
			return 0;
		n = data[at++];
		if (n == 0)
			break;
		if (n > DNS_LABEL_MAX || n > len - at || at + n - start >= DNS_NAME_WIRE_MAX)
			return 0;
		if (out > 0)
			q->name[out++] = '.';
		for (uint8_t i = 0; i < n; i++) {
			uint8_t c = data[at + i];

			q->odd = q->odd || !plain(c);
			q->name[out++] = (char)(plain(c) ? tolower(c) : '?');
		}
		at += n;
	}
	q->name[out] = '\0';
	return at;
}

/* Behind a name that may end in a pointer; 0 when it is not well-formed. */
static size_t skip_name(const uint8_t *data, size_t len, size_t at)
{
	while (at < len) {
		uint8_t n = data[at++];

		if (n == 0)
			return at;
		if ((n & POINTER) == POINTER)
			return at < len ? at + 1 : 0;
		if (n > DNS_LABEL_MAX || n > len - at)
			return 0;
		at += n;
	}
	return 0;
}

static enum dns_rcode read_opt(const uint8_t *record, struct dns_query *q)
{
	uint16_t size = dns_get16(record + 2);

	if (q->edns)
		return DNS_FORMERR; /* RFC 6891: at most one */
	q->edns = true;
	q->udp_size = size < DNS_UDP_MIN ? DNS_UDP_MIN : size > DNS_UDP_MAX ? DNS_UDP_MAX : size;
	return record[5] == 0 ? DNS_NOERROR : DNS_BADVERS;
}

static enum dns_rcode read_additional(const uint8_t *data, size_t len, size_t at, unsigned int n,
				      struct dns_query *q)
{
	enum dns_rcode rcode = DNS_NOERROR;

	if (n > DNS_RECORDS_MAX)
		return DNS_FORMERR;
	for (unsigned int i = 0; i < n && rcode == DNS_NOERROR; i++) {
		bool root = at < len && data[at] == 0;
		size_t body;

		at = skip_name(data, len, at);
		if (at == 0 || len - at < 10)
			return DNS_FORMERR;
		body = dns_get16(data + at + 8);
		if (body > len - at - 10)
			return DNS_FORMERR;
		if (dns_get16(data + at) == DNS_OPT)
			rcode = root ? read_opt(data + at, q) : DNS_FORMERR;
		at += 10 + body;
	}
	return rcode == DNS_NOERROR && at != len ? DNS_FORMERR : rcode;
}

int dns_query_read(const uint8_t *data, size_t len, struct dns_query *ret_query)
{
	struct dns_query q = { .udp_size = DNS_UDP_MIN };
	size_t at;

	if (len < DNS_HEADER || len > DNS_TCP_MAX)
		return -EBADMSG;
	q.id = dns_get16(data);
	q.flags = dns_get16(data + 2);
	if (q.flags & FLAG_QR)
		return -EBADMSG;
	if (q.flags & OPCODE) {
		q.rcode = DNS_NOTIMP;
	} else if (dns_get16(data + 4) != 1 || dns_get16(data + 6) || dns_get16(data + 8)) {
		q.rcode = DNS_FORMERR;
	} else {
		at = read_name(data, len, DNS_HEADER, &q);
		if (at == 0 || len - at < 4) {
			q.rcode = DNS_FORMERR;
		} else {
			q.type = dns_get16(data + at);
			q.class = dns_get16(data + at + 2);
			q.question_end = at + 4;
			q.has_question = true;
			q.rcode = read_additional(data, len, at + 4, dns_get16(data + 10), &q);
		}
	}
	if (!q.has_question)
		q.name[0] = '\0';
	*ret_query = q;
	return 0;
}

/* --- reverse names ---------------------------------------------------------------------------- */

/* Cuts `suffix` off, as a copy. */
static bool cut(const char *name, const char *suffix, char *dst, size_t size)
{
	size_t len = strlen(name), n = strlen(suffix);

	if (len <= n || len - n >= size || strcmp(name + len - n, suffix) != 0)
		return false;
	memcpy(dst, name, len - n);
	dst[len - n] = '\0';
	return true;
}

static bool reverse4(const char *text, struct dns_addr *ret)
{
	struct dns_addr a = { .len = 4 };

	for (int i = 3; i >= 0; i--) {
		size_t digits = strspn(text, "0123456789");
		unsigned int v = 0;

		if (digits == 0 || digits > 3 || (digits > 1 && *text == '0'))
			return false;
		for (size_t k = 0; k < digits; k++)
			v = v * 10 + (unsigned int)(*text++ - '0');
		if (v > 255 || *text != (i ? '.' : '\0'))
			return false;
		a.b[i] = (uint8_t)v;
		text += i > 0;
	}
	*ret = a;
	return true;
}

static bool reverse6(const char *text, struct dns_addr *ret)
{
	struct dns_addr a = { .len = 16 };

	if (strlen(text) != 63)
		return false;
	for (int i = 0; i < 32; i++) {
		char c = text[2 * i];
		int v = isdigit((unsigned char)c) ? c - '0'
			: c >= 'a' && c <= 'f'	  ? c - 'a' + 10
						  : -1;

		if (v < 0 || (i < 31 && text[2 * i + 1] != '.'))
			return false;
		a.b[15 - i / 2] |= (uint8_t)(i % 2 ? v << 4 : v);
	}
	*ret = a;
	return true;
}

bool dns_reverse_addr(const char *name, struct dns_addr *ret_addr)
{
	char text[DNS_TEXT_MAX];

	if (cut(name, ".in-addr.arpa", text, sizeof(text)))
		return reverse4(text, ret_addr);
	return cut(name, ".ip6.arpa", text, sizeof(text)) && reverse6(text, ret_addr);
}

/* --- answers ---------------------------------------------------------------------------------- */

void dns_answer_begin(struct dns_out *o, uint8_t *data, size_t max, const uint8_t *asked,
		      const struct dns_query *q, enum dns_rcode rcode)
{
	size_t question = q->has_question ? q->question_end - DNS_HEADER : 0;

	*o = (struct dns_out){
		.data = data, .max = max, .query = q, .reserved = q->edns ? OPT_RECORD : 0
	};
	memset(data, 0, DNS_HEADER);
	dns_put16(data, q->id);
	dns_put16(data + 2, (uint16_t)(FLAG_QR | FLAG_RA |
				       (q->flags & (OPCODE | FLAG_RD | FLAG_CD)) | (rcode & 0x0f)));
	dns_put16(data + 4, q->has_question);
	memcpy(data + DNS_HEADER, asked + DNS_HEADER, question);
	o->len = DNS_HEADER + question;
	if (q->edns) { /* written now, moved to the end later: its place is only reserved */
		uint8_t *opt = data + max - OPT_RECORD;

		memset(opt, 0, OPT_RECORD);
		dns_put16(opt + 1, DNS_OPT);
		dns_put16(opt + 3, DNS_UDP_MAX);
		opt[5] = (uint8_t)(rcode >> 4);
	}
}

/* The head of a record with `len` bytes to come; NULL: no room. */
static uint8_t *record(struct dns_out *o, uint16_t type, uint32_t ttl, size_t len)
{
	uint8_t *p = o->data + o->len;

	if (o->truncated || o->max - o->reserved - o->len < RECORD_HEAD + len) {
		o->truncated = true;
		return NULL;
	}
	dns_put16(p, POINTER << 8 | DNS_HEADER);
	dns_put16(p + 2, type);
	dns_put16(p + 4, DNS_CLASS_IN);
	dns_put16(p + 6, (uint16_t)(ttl >> 16));
	dns_put16(p + 8, (uint16_t)ttl);
	dns_put16(p + 10, (uint16_t)len);
	o->len += RECORD_HEAD + len;
	dns_put16(o->data + 6, (uint16_t)(dns_get16(o->data + 6) + 1));
	return p + RECORD_HEAD;
}

bool dns_answer_addr(struct dns_out *o, const struct dns_addr *addr, uint32_t ttl)
{
	uint8_t *p = record(o, addr->len == 4 ? DNS_A : DNS_AAAA, ttl, addr->len);

	if (p)
		memcpy(p, addr->b, addr->len);
	return p;
}

/* A name as labels; 0 when it cannot be one. */
static size_t write_name(uint8_t wire[DNS_NAME_WIRE_MAX], const char *name)
{
	size_t at = 0;

	while (*name) {
		size_t n = strcspn(name, ".");

		if (n == 0 || n > DNS_LABEL_MAX || at + 1 + n + 1 > DNS_NAME_WIRE_MAX)
			return 0;
		wire[at++] = (uint8_t)n;
		memcpy(wire + at, name, n);
		at += n;
		name += n;
		if (*name && !*++name)
			return 0;
	}
	wire[at++] = 0;
	return at;
}

bool dns_answer_name(struct dns_out *o, const char *name, uint32_t ttl)
{
	uint8_t wire[DNS_NAME_WIRE_MAX], *p;
	size_t len = write_name(wire, name);

	p = len ? record(o, DNS_PTR, ttl, len) : NULL;
	if (p)
		memcpy(p, wire, len);
	return p;
}

size_t dns_answer_end(struct dns_out *o)
{
	if (o->reserved) {
		memmove(o->data + o->len, o->data + o->max - OPT_RECORD, OPT_RECORD);
		o->len += OPT_RECORD;
		dns_put16(o->data + 10, 1);
	}
	if (o->truncated)
		dns_put16(o->data + 2, (uint16_t)(dns_get16(o->data + 2) | FLAG_TC));
	return o->len;
}

/* --- replies ---------------------------------------------------------------------------------- */

bool dns_reply_fits(const uint8_t *reply, size_t len, uint16_t id, const uint8_t *asked,
		    const struct dns_query *q)
{
	if (!q->has_question || len < q->question_end || dns_get16(reply) != id)
		return false;
	if ((dns_get16(reply + 2) & (FLAG_QR | OPCODE)) != FLAG_QR || dns_get16(reply + 4) != 1)
		return false;
	/* lengths are below 'A', so that letters alone change with tolower() */
	for (size_t i = DNS_HEADER; i < q->question_end - 4; i++)
		if (tolower(reply[i]) != tolower(asked[i]))
			return false;
	return memcmp(reply + q->question_end - 4, asked + q->question_end - 4, 4) == 0;
}
