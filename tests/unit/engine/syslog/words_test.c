/* Addresses, facilities and formats: what is taken for what, and what is refused. */
#include "engine/syslog/syslog.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

TEST(addresses)
{
	static const struct {
		const char *text;
		enum syslog_net net;
		const char *host;
		unsigned int port;
		const char *path;
	} rows[] = {
		{ "udp://h", SYSLOG_UDP, "h", 514, "" },
		{ "udp://192.0.2.1:1514", SYSLOG_UDP, "192.0.2.1", 1514, "" },
		{ "tcp://log.example.org:601/", SYSLOG_TCP, "log.example.org", 601, "" },
		{ "tcp+tls://h:6514", SYSLOG_TLS, "h", 6514, "" },
		{ "tcp+tls://h", SYSLOG_TLS, "h", 514, "" },
		{ "tcp://[2001:db8::1]:99", SYSLOG_TCP, "2001:db8::1", 99, "" },
		{ "tcp://[::1]", SYSLOG_TCP, "::1", 514, "" },
		{ "unix:///dev/log", SYSLOG_UNIX, "", 0, "/dev/log" },
		{ "unixgram:///run/x y", SYSLOG_UNIXGRAM, "", 0, "/run/x y" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct syslog_address a;
		struct err e = { 0 };

		CHECK_MSG(syslog_address_parse(rows[i].text, &a, &e) == 0, "%s: %s", rows[i].text,
			  err_text(&e));
		CHECK_INT(a.net, rows[i].net);
		CHECK_STR(a.host, rows[i].host);
		CHECK_INT(a.port, rows[i].port);
		CHECK_STR(a.path, rows[i].path);
	}
}

TEST(bad_addresses)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "unsupported scheme: ''" },
		{ "this is not an uri", "unsupported scheme: ''" },
		{ "corrupted:42", "unsupported scheme: 'corrupted'" },
		{ "http://192.0.2.4", "unsupported scheme: 'http'" },
		{ "udp:/h", "unsupported scheme: 'udp'" },
		{ "udp://", "names no host" },
		{ "udp://:514", "names no host" },
		{ "udp://h:", "a port is a number" },
		{ "udp://h:0", "a port is a number" },
		{ "udp://h:65536", "a port is a number" },
		{ "udp://h:syslog", "a port is a number" },
		{ "udp://h:1:2", "a port is a number" },
		{ "tcp://h/path", "names no host" },
		{ "tcp://u@h", "names no host" },
		{ "tcp://a b", "names no host" },
		{ "tcp://[::1", "a bracket that is not closed" },
		{ "tcp://[::1]x", "a bracket that is not closed" },
		{ "unix://dev/log", "not an absolute path" },
		{ "unix://", "not an absolute path" },
	};
	char longer[400] = "tcp://";
	struct syslog_address a;
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_MSG(syslog_address_parse(rows[i].text, &a, &e) == -EINVAL, "%s",
			  rows[i].text);
		CHECK_MSG(strstr(err_text(&e), rows[i].why), "%s: %s", rows[i].text, err_text(&e));
	}
	memset(longer + 6, 'x', 300);
	CHECK_INT(syslog_address_parse(longer, &a, &e), -EINVAL);
	memcpy(longer, "unix:///", 8);
	CHECK_INT(syslog_address_parse(longer, &a, &e), -EINVAL);
}

TEST(facilities)
{
	static const struct {
		const char *text;
		int want; /* -1: refused */
	} rows[] = {
		{ NULL, 3 },	  { "", 3 },	    { "daemon", 3 }, { "kern", 0 },
		{ "local7", 23 }, { "0", 0 },	    { "23", 23 },    { "24", -1 },
		{ "local8", -1 }, { "Daemon", -1 }, { "-1", -1 },    { "authpriv", 10 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned int have = 99;
		struct err e = { 0 };
		int r = syslog_facility_parse(rows[i].text, &have, &e);

		CHECK_INT(r == 0 ? (int)have : -1, rows[i].want);
		CHECK(r == 0 || strstr(err_text(&e), "invalid syslog facility"));
	}
}

TEST(formats)
{
	enum syslog_format f;
	struct err e = { 0 };

	CHECK(syslog_format_parse(NULL, &f, &e) == 0 && f == SYSLOG_SHORT);
	CHECK(syslog_format_parse("", &f, &e) == 0 && f == SYSLOG_SHORT);
	CHECK(syslog_format_parse("rfc3164", &f, &e) == 0 && f == SYSLOG_RFC3164);
	CHECK(syslog_format_parse("rfc5424", &f, &e) == 0 && f == SYSLOG_RFC5424);
	CHECK(syslog_format_parse("rfc5424micro", &f, &e) == 0 && f == SYSLOG_RFC5424MICRO);
	CHECK(syslog_format_parse("RFC5424", &f, &e) < 0 &&
	      strstr(err_text(&e), "Invalid syslog format"));
	CHECK(syslog_counted(SYSLOG_TLS, SYSLOG_RFC5424));
	CHECK(!syslog_counted(SYSLOG_TLS, SYSLOG_RFC3164));
	CHECK(!syslog_counted(SYSLOG_TCP, SYSLOG_RFC5424MICRO));
}
