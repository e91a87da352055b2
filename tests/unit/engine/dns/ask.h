/*
 * For tests of the resolver: writing queries, reading answers.
 */
#ifndef SKERRY_TEST_DNS_ASK_H
#define SKERRY_TEST_DNS_ASK_H

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "engine/dns/message.h"
#include "init/base/str.h"
#include "init/base/util.h"

/* A query into buf; edns: the size in its OPT record, 0: none. The length. */
static inline UNUSED size_t ask_write(uint8_t buf[512], uint16_t id, const char *name,
				      uint16_t type, uint16_t edns)
{
	size_t at = DNS_HEADER;

	memset(buf, 0, 512);
	dns_put16(buf, id);
	dns_put16(buf + 2, 0x0100); /* recursion desired */
	dns_put16(buf + 4, 1);
	while (*name) {
		size_t n = strcspn(name, ".");

		buf[at++] = (uint8_t)n;
		memcpy(buf + at, name, n);
		at += n;
		name += n + (name[n] == '.');
	}
	at++;
	dns_put16(buf + at, type);
	dns_put16(buf + at + 2, DNS_CLASS_IN);
	at += 4;
	if (edns) {
		dns_put16(buf + 10, 1);
		dns_put16(buf + at + 1, DNS_OPT);
		dns_put16(buf + at + 3, edns);
		at += 11;
	}
	return at;
}

/* What an answer says, as "NOERROR a b c" or "SERVFAIL", with " TC" when it was cut and " EDNS"
 * when it has an OPT record. Records name the question by a pointer, as ours do. */
static inline UNUSED const char *ask_text(const uint8_t *p, size_t len)
{
	static const char *const rcodes[] = { "NOERROR",  "FORMERR", "SERVFAIL",
					      "NXDOMAIN", "NOTIMP",  "REFUSED" };
	static char text[4096];
	size_t at = DNS_HEADER, out;
	unsigned int n;

	if (len < DNS_HEADER || !(p[2] & 0x80) || (p[3] & 0xf) > 5)
		return "(no answer)";
	out = (size_t)snprintf(text, sizeof(text), "%s%s", rcodes[p[3] & 0xf],
			       p[2] & 2 ? " TC" : "");
	for (unsigned int i = 0; i < dns_get16(p + 4); i++) {
		while (at < len && p[at])
			at += p[at] + 1U;
		at += 5;
	}
	n = dns_get16(p + 6);
	for (unsigned int i = 0; i < n && at + 12 <= len; i++) {
		char addr[INET6_ADDRSTRLEN] = "?";
		uint16_t type = dns_get16(p + at + 2), size = dns_get16(p + at + 10);

		if (type == DNS_A)
			inet_ntop(AF_INET, p + at + 12, addr, sizeof(addr));
		else if (type == DNS_AAAA)
			inet_ntop(AF_INET6, p + at + 12, addr, sizeof(addr));
		out += (size_t)snprintf(text + out, sizeof(text) - out, " %s", addr);
		for (size_t k = at + 12; type == DNS_PTR && p[k]; k += p[k] + 1U)
			out += (size_t)snprintf(text + out, sizeof(text) - out, "%s%.*s",
						k == at + 12 ? "=" : ".", p[k], p + k + 1);
		at += 12U + size;
	}
	if (dns_get16(p + 10) == 1 && len - at == 11 && dns_get16(p + at + 1) == DNS_OPT)
		snprintf(text + out, sizeof(text) - out, p[at + 5] ? " BADVERS" : " EDNS");
	else if (at != len)
		return "(not whole)";
	return text;
}

#endif
