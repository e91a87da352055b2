/* The kernel command line: values, mistakes, quoting, limits. */
#include "init/boot/options.h"

#include <stdlib.h>

#include "init/base/str.h"
#include "tests/unit/test.h"

struct heard {
	int n;
	char last[600];
};

static void hear(void *data, const char *text)
{
	struct heard *h = data;

	h->n++;
	snprintf(h->last, sizeof(h->last), "%s", text);
}

TEST(defaults_without_options)
{
	struct heard h = { 0 };
	struct options o;

	options_parse("console=ttyS0 quiet root=/dev/ram0", &o, hear, &h);
	CHECK_INT(h.n, 0);
	CHECK(o.console && o.network && o.watchdog && o.engine);
	CHECK_INT(o.loglevel, -1);
	CHECK_STR(o.data, "");
	CHECK_STR(o.hostname, "");
}

TEST(every_option)
{
	struct heard h = { 0 };
	struct options o;

	options_parse("skerry.data=/dev/vdb skerry.hostname=box-1.example.net skerry.console=no "
		      "skerry.network=off skerry.watchdog=0 skerry.engine=no skerry.loglevel=4\n",
		      &o, hear, &h);
	CHECK_INT(h.n, 0);
	CHECK_STR(o.data, "/dev/vdb");
	CHECK_STR(o.hostname, "box-1.example.net");
	CHECK(!o.console && !o.network && !o.watchdog && !o.engine);
	CHECK_INT(o.loglevel, 4);
}

TEST(the_last_one_wins)
{
	struct options o;

	options_parse("skerry.console=no skerry.console", &o, NULL, NULL);
	CHECK(o.console);
}

TEST(wrong_values_are_told_and_ignored)
{
	static const char *const wrong[] = {
		"skerry.data=/dev/../etc/passwd",
		"skerry.data=vdb",
		"skerry.data=/dev/",
		"skerry.hostname=-x",
		"skerry.hostname=a..b",
		"skerry.hostname=a_b",
		"skerry.console=maybe",
		"skerry.loglevel=8",
		"skerry.loglevel=",
		"skerry.nothing=1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct heard h = { 0 };
		struct options o;

		options_parse(wrong[i], &o, hear, &h);
		CHECK_MSG(h.n == 1, "%s gave %d complaints", wrong[i], h.n);
		CHECK_STR(o.data, "");
		CHECK_STR(o.hostname, "");
		CHECK(o.console && o.loglevel == -1);
	}
}

TEST(a_complaint_names_the_option_and_what_is_right)
{
	struct heard h = { 0 };
	struct options o;

	options_parse("skerry.loglevel=loud", &o, hear, &h);
	CHECK_STR(h.last,
		  "command line: skerry.loglevel=loud is ignored, it must be a number from 0 to 7");
}

TEST(quotes_group_and_two_dashes_end)
{
	struct heard h = { 0 };
	struct options o;

	options_parse("x=\"skerry.console=no b\" skerry.hostname=\"box\" -- skerry.network=no", &o,
		      hear, &h);
	CHECK_INT(h.n, 0);
	CHECK(o.console && o.network);
	CHECK_STR(o.hostname, "box");
}

TEST(an_overlong_line_is_refused)
{
	char *line = malloc(OPTIONS_LINE_MAX + 10);
	struct heard h = { 0 };
	struct options o;

	memset(line, 'x', OPTIONS_LINE_MAX + 9);
	line[OPTIONS_LINE_MAX + 9] = '\0';
	options_parse(line, &o, hear, &h);
	free(line);
	CHECK_INT(h.n, 1);
	CHECK(o.console);
}

TEST(host_names)
{
	char name[HOSTNAME_MAX + 2];

	CHECK(hostname_valid("a") && hostname_valid("box-1") && hostname_valid("9.b"));
	CHECK(!hostname_valid("") && !hostname_valid(".") && !hostname_valid("a.") &&
	      !hostname_valid("a-") && !hostname_valid("a-.b") && !hostname_valid("a b"));
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	CHECK(hostname_valid(name));
	name[63] = 'a';
	name[64] = '\0';
	CHECK(!hostname_valid(name)); /* a label of 64 */
	name[30] = '.';
	CHECK(hostname_valid(name));
	name[64] = 'a';
	name[65] = '\0';
	CHECK(!hostname_valid(name)); /* 65 in all */
}
