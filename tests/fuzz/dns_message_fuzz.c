/*
 * DNS messages as a container or a server sends them: read, answered, compared with themselves.
 *
 * An answer must be whole, not longer than the asker takes, and be a reply to its question.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "engine/dns/message.h"

static void check_answer(const uint8_t *data, const struct dns_query *q, enum dns_rcode rcode)
{
	static const struct dns_addr addrs[] = { { 4, { 10, 0, 0, 1 } }, { 16, { 0xfd } } };
	static uint8_t out[DNS_UDP_MAX];
	struct dns_out o;
	size_t n;

	dns_answer_begin(&o, out, q->udp_size, data, q, rcode);
	for (int i = 0; i < 200; i++)
		(void)dns_answer_addr(&o, &addrs[i & 1], 5);
	(void)dns_answer_name(&o, q->name, 5);
	n = dns_answer_end(&o);
	FUZZ_CHECK(n >= DNS_HEADER && n <= q->udp_size);
	FUZZ_CHECK(dns_reply_fits(out, n, q->id, data, q) ==
		   (q->has_question && (q->flags & 0x7800) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct dns_addr addr;
	struct dns_query q;

	if (dns_query_read(data, len, &q) < 0)
		return 0;
	FUZZ_CHECK(strlen(q.name) < DNS_TEXT_MAX - 2);
	FUZZ_CHECK(q.udp_size >= DNS_UDP_MIN && q.udp_size <= DNS_UDP_MAX);
	FUZZ_CHECK(!q.has_question || (q.question_end > DNS_HEADER && q.question_end <= len));
	FUZZ_CHECK(q.has_question || q.rcode != DNS_NOERROR);
	for (const char *p = q.name; *p; p++)
		FUZZ_CHECK(*p > ' ' && *p < 0x7f && !(*p >= 'A' && *p <= 'Z'));
	if (dns_reverse_addr(q.name, &addr))
		FUZZ_CHECK(addr.len == 4 || addr.len == 16);
	check_answer(data, &q, q.rcode);
	(void)dns_reply_fits(data, len, q.id, data, &q);
	return 0;
}
