/*
 * The map of users: its words, its bounds, and back.
 */
#include "engine/data/remap.h"

#include "init/base/str.h"
#include "tests/unit/test.h"

TEST(right)
{
	static const struct {
		const char *text;
		struct remap want;
		const char *back;
	} cases[] = {
		{ NULL, { 0, 0 }, "" },
		{ "", { 0, 0 }, "" },
		{ "default", { 100000, 65536 }, "100000:65536" },
		{ "65536:65536", { 65536, 65536 }, "65536:65536" },
		{ "200000:100000", { 200000, 100000 }, "200000:100000" },
		{ "65536:4294901758", { 65536, 4294901758 }, "65536:4294901758" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct remap m = { 1, 2 };
		char buf[REMAP_TEXT_MAX];

		CHECK_MSG(remap_parse(cases[i].text, &m), "row %zu", i);
		CHECK_INT(m.first, cases[i].want.first);
		CHECK_INT(m.count, cases[i].want.count);
		CHECK_STR(remap_text(&m, buf), cases[i].back);
	}
}

TEST(wrong)
{
	static const char *const cases[] = {
		"Default",
		"on",
		"100000",
		"100000:",
		":65536",
		"100000:65536:1",
		"100000:65535",
		"65535:65536",
		"0:65536",
		"-1:65536",
		"100000: 65536",
		"1e5:65536",
		"65536:4294901759",
		"4294967295:65536",
		"4294967296:65536",
		"99999999999999999999:65536",
		"100000:18446744073709551615",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct remap m = { 1, 2 };

		CHECK_MSG(!remap_parse(cases[i], &m), "%s", cases[i]);
		CHECK_INT(m.first, 1);
		CHECK_INT(m.count, 2);
	}
}
