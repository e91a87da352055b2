/*
 * DNS messages: what is a query and what is not, reverse names, answers byte by byte, replies.
 */
#include "tests/unit/engine/dns/ask.h"
#include "tests/unit/test.h"

#include <errno.h>

/* A query without its header: what is behind it. */
static int read_body(const char *hex, struct dns_query *q, unsigned int additional)
{
	uint8_t data[1024] = { 0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, (uint8_t)additional };
	size_t len = strlen(hex) / 2;

	if (hex_decode(data + DNS_HEADER, len, hex) < 0)
		return -ENOTSUP;
	return dns_query_read(data, DNS_HEADER + len, q);
}

TEST(queries)
{
	uint8_t buf[512];
	struct dns_query q;

	CHECK_INT(dns_query_read(buf, ask_write(buf, 0x1234, "Web.Shop", DNS_A, 0), &q), 0);
	CHECK_INT(q.rcode, DNS_NOERROR);
	CHECK_INT(q.id, 0x1234);
	CHECK_STR(q.name, "web.shop");
	CHECK(q.type == DNS_A && q.class == DNS_CLASS_IN && !q.edns && !q.odd);
	CHECK_INT(q.udp_size, 512);
	CHECK_INT(dns_query_read(buf, ask_write(buf, 1, "", DNS_ANY, 1232), &q), 0);
	CHECK_STR(q.name, "");
	CHECK(q.edns && q.udp_size == 1232);
	CHECK_INT(dns_query_read(buf, ask_write(buf, 1, "a", DNS_A, 100), &q), 0);
	CHECK_INT(q.udp_size, DNS_UDP_MIN);
	CHECK_INT(dns_query_read(buf, ask_write(buf, 1, "a", DNS_A, 65535), &q), 0);
	CHECK_INT(q.udp_size, DNS_UDP_MAX);
}

TEST(what_is_no_query)
{
	uint8_t buf[512];
	struct dns_query q;
	size_t len = ask_write(buf, 1, "a", DNS_A, 0);

	CHECK_INT(dns_query_read(buf, 11, &q), -EBADMSG);
	buf[2] |= 0x80; /* an answer */
	CHECK_INT(dns_query_read(buf, len, &q), -EBADMSG);
	buf[2] = 0x28; /* an update */
	CHECK_INT(dns_query_read(buf, len, &q), 0);
	CHECK_INT(q.rcode, DNS_NOTIMP);
	CHECK(!q.has_question);
	for (int at = 5; at <= 9; at += 2) { /* two questions, an answer, an authority */
		len = ask_write(buf, 1, "a", DNS_A, 0);
		buf[at]++;
		CHECK_INT(dns_query_read(buf, len, &q), 0);
		CHECK_INT(q.rcode, DNS_FORMERR);
	}
}

TEST(bad_names_and_records)
{
	static const struct {
		const char *hex, *what;
		unsigned int additional;
	} rows[] = {
		{ "", "no question", 0 },
		{ "0161", "a name without end", 0 },
		{ "016100", "no type", 0 },
		{ "0161000001", "no class", 0 },
		{ "c00c00010001", "a pointer to itself", 0 },
		{ "0161c00c00010001", "a pointer to itself behind a label", 0 },
		{ "406100", "a reserved kind of label", 0 },
		{ "056100", "a label longer than the message", 0 },
		{ "01610000010001ff", "something behind the question", 0 },
		{ "01610000010001", "an additional record that is not there", 1 },
		{ "01610000010001000029100000000000", "a record without length", 1 },
		{ "016100000100010000291000000000000005", "a length without data", 1 },
		{ "01610000010001"
		  "0000291000000000000000"
		  "0000291000000000000000",
		  "OPT twice", 2 },
		{ "01610000010001"
		  "016200002910000000000000",
		  "OPT with a name", 1 },
		{ "01610000010001"
		  "000029100000000000000000",
		  "one byte more", 1 },
		{ "01610000010001", "17 records", 17 },
	};
	struct dns_query q;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_MSG(read_body(rows[i].hex, &q, rows[i].additional) == 0, "%s", rows[i].what);
		CHECK_MSG(q.rcode == DNS_FORMERR, "%s: rcode %d", rows[i].what, q.rcode);
	}
	CHECK_INT(read_body("016100000100010000291000000100000000", &q, 1), 0);
	CHECK_INT(q.rcode, DNS_BADVERS);
	CHECK_INT(read_body("03612e6200"
			    "00010001",
			    &q, 0),
		  0);
	CHECK(q.odd && q.rcode == DNS_NOERROR); /* a dot inside of a label is no dot of ours */
}

TEST(names_up_to_the_limit)
{
	uint8_t data[1024] = { 0, 1, 1, 0, 0, 1 };
	struct dns_query q;

	for (int last = 61; last <= 62; last++) { /* 255 bytes are a name, 256 are none */
		size_t at = DNS_HEADER;

		for (int i = 0; i < 4; i++) {
			size_t n = i < 3 ? 63 : (size_t)last;

			data[at++] = (uint8_t)n;
			memset(data + at, 'x', n);
			at += n;
		}
		data[at++] = 0;
		dns_put16(data + at, DNS_A);
		dns_put16(data + at + 2, DNS_CLASS_IN);
		CHECK_INT(dns_query_read(data, at + 4, &q), 0);
		CHECK_INT(q.rcode, last == 61 ? DNS_NOERROR : DNS_FORMERR);
		CHECK_INT((long)strlen(q.name), last == 61 ? 253 : 0);
	}
}

TEST(reverse_names)
{
	static const char *const bad[] = { "4.3.2.in-addr.arpa",
					   "1.2.3.4.5.in-addr.arpa",
					   "256.3.2.1.in-addr.arpa",
					   "04.3.2.1.in-addr.arpa",
					   "a.3.2.1.in-addr.arpa",
					   ".in-addr.arpa",
					   "in-addr.arpa",
					   "4.3.2.1",
					   "1.0.ip6.arpa",
					   "4.3.2.1.ip6.arpa",
					   "4.3.2.1.in-addr.arpa.more",
					   "4.3.2..in-addr.arpa" };
	struct dns_addr a;
	char text[INET6_ADDRSTRLEN];

	CHECK(dns_reverse_addr("4.3.2.10.in-addr.arpa", &a) && a.len == 4);
	CHECK_STR(inet_ntop(AF_INET, a.b, text, sizeof(text)), "10.2.3.4");
	CHECK(dns_reverse_addr("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f."
			       "ip6.arpa",
			       &a) &&
	      a.len == 16);
	CHECK_STR(inet_ntop(AF_INET6, a.b, text, sizeof(text)), "fd00::2");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_MSG(!dns_reverse_addr(bad[i], &a), "%s", bad[i]);
}

TEST(answers)
{
	static const struct dns_addr addr = { 4, { 10, 0, 0, 2 } };
	uint8_t asked[512], data[DNS_UDP_MAX];
	char hex[2 * 128 + 1];
	struct dns_query q;
	struct dns_out o;

	CHECK_INT(dns_query_read(asked, ask_write(asked, 0xabcd, "Web", DNS_A, 1232), &q), 0);
	dns_answer_begin(&o, data, q.udp_size, asked, &q, DNS_NOERROR);
	CHECK(dns_answer_addr(&o, &addr, 5));
	hex_encode(hex, data, dns_answer_end(&o));
	CHECK_STR(hex, "abcd81800001000100000001" /* the header: an answer, recursion */
		       "035765620000010001" /* the question as it was */
		       "c00c000100010000000500040a000002"
		       "0000291000000000000000");
	/* one that fits to the byte, and one more */
	CHECK_INT(dns_query_read(asked, ask_write(asked, 1, "web", DNS_A, 0), &q), 0);
	dns_answer_begin(&o, data, 512, asked, &q, DNS_NOERROR);
	for (int i = 0; i < 30; i++)
		CHECK(dns_answer_addr(&o, &addr, 5));
	CHECK(!dns_answer_addr(&o, &addr, 5));
	CHECK(dns_answer_end(&o) <= 512);
	CHECK(data[2] & 0x02);
	/* a name as data */
	CHECK_INT(
		dns_query_read(asked, ask_write(asked, 1, "2.0.0.10.in-addr.arpa", DNS_PTR, 0), &q),
		0);
	dns_answer_begin(&o, data, 512, asked, &q, DNS_NOERROR);
	CHECK(dns_answer_name(&o, "web.shop", 5));
	CHECK(!dns_answer_name(&o, "a..b", 5) && !dns_answer_name(&o, ".", 5) &&
	      !dns_answer_name(&o, "a.", 5));
	CHECK_STR(ask_text(data, dns_answer_end(&o)), "NOERROR ?=web.shop");
}

TEST(replies)
{
	uint8_t asked[512], reply[512];
	struct dns_query q;
	size_t len = ask_write(asked, 7, "Web.example", DNS_A, 0);

	CHECK_INT(dns_query_read(asked, len, &q), 0);
	ask_write(reply, 99, "wEB.eXAMPLE", DNS_A, 0);
	CHECK(!dns_reply_fits(reply, len, 99, asked, &q)); /* a query */
	reply[2] |= 0x80;
	CHECK(dns_reply_fits(reply, len, 99, asked, &q));
	CHECK(!dns_reply_fits(reply, len, 98, asked, &q));
	CHECK(!dns_reply_fits(reply, len - 1, 99, asked, &q));
	reply[len - 3] = DNS_AAAA; /* another question */
	CHECK(!dns_reply_fits(reply, len, 99, asked, &q));
	ask_write(reply, 99, "web.exampl3", DNS_A, 0);
	reply[2] |= 0x80;
	CHECK(!dns_reply_fits(reply, len, 99, asked, &q));
}
