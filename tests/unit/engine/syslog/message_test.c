/* Messages, byte for byte. */
#include "engine/syslog/syslog.h"
#include "tests/unit/test.h"

#define T0 1767323045123450789LL /* 2026-01-02T03:04:05.12345… */

static const char *message(struct syslog_style s, bool is_err, int64_t ns, const char *line)
{
	static char text[4096];
	struct buf out = BUF_INIT(1 << 20);

	syslog_message(&s, is_err, ns, line, strlen(line), &out);
	snprintf(text, sizeof(text), "%s", buf_text(&out));
	buf_free(&out);
	return text;
}

TEST(forms)
{
	struct syslog_style s = {
		.facility = 3, .hostname = "box", .tag = "0123456789ab", .pid = 42
	};

	CHECK_STR(message(s, false, T0, "hello"), "<30>Jan  2 03:04:05 0123456789ab[42]: hello\n");
	CHECK_STR(message(s, true, T0, ""), "<27>Jan  2 03:04:05 0123456789ab[42]: \n");
	s.format = SYSLOG_RFC3164;
	CHECK_STR(message(s, false, T0, "hello"),
		  "<30>Jan  2 03:04:05 box 0123456789ab[42]: hello\n");
	s.format = SYSLOG_RFC5424;
	s.facility = 23;
	CHECK_STR(message(s, false, T0, "hello"),
		  "<190>1 2026-01-02T03:04:05Z box 0123456789ab 42 0123456789ab - hello\n");
	s.format = SYSLOG_RFC5424MICRO;
	CHECK_STR(message(s, true, T0, "x"),
		  "<187>1 2026-01-02T03:04:05.12345Z box 0123456789ab 42 0123456789ab - x\n");
	CHECK_STR(message(s, true, 1767323045000000999LL, "x"),
		  "<187>1 2026-01-02T03:04:05Z box 0123456789ab 42 0123456789ab - x\n");
}

TEST(counted)
{
	struct syslog_style s = { .facility = 0,
				  .format = SYSLOG_RFC5424,
				  .counted = true,
				  .hostname = "h",
				  .tag = "t",
				  .pid = 1 };

	CHECK_STR(message(s, false, T0, "abc"), "40 <6>1 2026-01-02T03:04:05Z h t 1 t - abc\n");
}

TEST(hostile_words)
{
	struct syslog_style s = { .facility = 3,
				  .format = SYSLOG_RFC5424,
				  .hostname = "",
				  .tag = "a b\n<1>\xc3\xa4",
				  .pid = 1 };

	CHECK_STR(message(s, false, T0, "\x01]\"\\"),
		  "<30>1 2026-01-02T03:04:05Z - a_b_<1>__ 1 a_b_<1>__ - \x01]\"\\\n");
	s.tag = "";
	CHECK_STR(message(s, false, T0, "x"), "<30>1 2026-01-02T03:04:05Z - - 1 - - x\n");
}
