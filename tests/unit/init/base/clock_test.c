/* RFC 3339 both ways, at the edges of the calendar. */
#include "init/base/clock.h"
#include "tests/unit/test.h"

TEST(formats)
{
	char text[CLOCK_TEXT_MAX];

	clock_format(0, text);
	CHECK_STR(text, "0001-01-01T00:00:00Z");
	clock_format(1, text);
	CHECK_STR(text, "1970-01-01T00:00:00.000000001Z");
	clock_format(INT64_C(1767323045123456789), text);
	CHECK_STR(text, "2026-01-02T03:04:05.123456789Z");
	clock_format(INT64_C(951782400000000000), text);
	CHECK_STR(text, "2000-02-29T00:00:00.000000000Z");
	clock_format(-1, text);
	CHECK_STR(text, "1969-12-31T23:59:59.999999999Z");
	clock_format(INT64_MAX, text);
	CHECK_STR(text, "2262-04-11T23:47:16.854775807Z");
	clock_format(INT64_MIN, text);
	CHECK_STR(text, "1677-09-21T00:12:43.145224192Z");
}

TEST(parses)
{
	int64_t ns = 5;

	CHECK_INT(clock_parse("2026-01-02T03:04:05.123456789Z", &ns), 0);
	CHECK_INT(ns, INT64_C(1767323045123456789));
	CHECK_INT(clock_parse("2026-01-02T03:04:05.1Z", &ns), 0);
	CHECK_INT(ns, INT64_C(1767323045100000000));
	CHECK_INT(clock_parse("2026-01-02T05:04:05.1234567899999+02:00", &ns), 0);
	CHECK_INT(ns, INT64_C(1767323045123456789));
	CHECK_INT(clock_parse("2026-01-01t22:34:05-04:30", &ns), 0);
	CHECK_INT(ns, INT64_C(1767323045000000000));
	CHECK_INT(clock_parse("0001-01-01T00:00:00Z", &ns), 0);
	CHECK_INT(ns, 0);
}

TEST(refuses)
{
	static const char *const bad[] = {
		"",
		"2026",
		"2026-01-02",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-02-29T00:00:00Z",
		"2026-01-02T24:00:00Z",
		"2026-01-02T00:60:00Z",
		"2026-01-02T00:00:61Z",
		"2026-01-02T00:00:00",
		"2026-01-02T00:00:00.Z",
		"2026-01-02T00:00:00Zx",
		"2026-01-02T00:00:00+2:00",
		"2026-01-02T00:00:00+24:00",
		"9999-01-02T00:00:00Z",
		"0002-01-02T00:00:00Z",
		"-026-01-02T00:00:00Z",
	};
	int64_t ns = 5;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_MSG(clock_parse(bad[i], &ns) == -EINVAL, "%s", bad[i]);
	CHECK_INT(ns, 5);
}

TEST(round_trip)
{
	char text[CLOCK_TEXT_MAX];
	int64_t back;

	for (int64_t ns = INT64_C(-9000000000000000000); ns < INT64_C(9000000000000000000);
	     ns += INT64_C(12345678901234567)) {
		clock_format(ns, text);
		CHECK_INT(clock_parse(text, &back), 0);
		CHECK_INT(back, ns);
	}
}
