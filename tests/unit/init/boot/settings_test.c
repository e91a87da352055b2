/* Flat settings: lines, refusals, and the run of a validator (a shell script stands in for
 * skerryd). */
#include "init/boot/settings.h"

#include <fcntl.h>

#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

TEST(lines_become_values)
{
	_cleanup_(strv_free) char **list = NULL;

	CHECK_INT(settings_parse("hostname=box\nnetwork.dns.0=192.0.2.1\nnetwork.dns.1=a=b\n",
				 &list, NULL),
		  0);
	CHECK_STR(strv_env_get(list, "hostname"), "box");
	CHECK_STR(settings_item(list, "network.dns", 1), "a=b");
	CHECK(settings_item(list, "network.dns", 2) == NULL);
}

TEST(an_empty_list_is_a_list)
{
	_cleanup_(strv_free) char **list = NULL;

	CHECK_INT(settings_parse("", &list, NULL), 0);
	CHECK(list && !list[0]);
}

TEST(bad_lines_are_refused)
{
	char **list = NULL;
	struct err e = { 0 };

	CHECK_INT(settings_parse("hostname\n", &list, &e), -EINVAL);
	CHECK_STR(err_text(&e), "\"hostname\" is not a key=value line");
	CHECK_INT(settings_parse("=x\n", &list, &e), -EINVAL);
	CHECK_INT(settings_parse("a=\x1b[2J\n", &list, &e), -EINVAL);
	CHECK(list == NULL);
}

TEST(content_or_only_comments)
{
	CHECK(!settings_has_content(""));
	CHECK(!settings_has_content("# hello\n  \n---\n   # more"));
	CHECK(settings_has_content("# hello\nhostname: box\n"));
	CHECK(settings_has_content("x"));
}

/* a validator whose text is `script` */
static char *validator(const char *script)
{
	char *path = str_printf("%s/validator", test_tmpdir());
	_cleanup_(mem_free) char *text = str_printf("#!/bin/sh\n%s\n", script);

	file_replace(AT_FDCWD, path, text, strlen(text), 0755, false, NULL);
	return path;
}

static char *yaml(const char *text)
{
	char *path = str_printf("%s/system.yaml", test_tmpdir());

	file_replace(AT_FDCWD, path, text, strlen(text), 0644, false, NULL);
	return path;
}

TEST(the_validator_is_asked)
{
	_cleanup_(mem_free) char *program = validator(
					 "[ \"$1\" = settings ] && echo hostname=from-$1"),
				 *file = yaml("hostname: x\n");
	_cleanup_(strv_free) char **list = NULL;
	struct err e = { 0 };

	CHECK_MSG(settings_load(program, file, &list, &e) == 0, "%s", err_text(&e));
	CHECK_STR(strv_env_get(list, "hostname"), "from-settings");
}

TEST(its_complaint_is_the_error)
{
	_cleanup_(mem_free) char *program = validator(
					 "echo \"$2:3: hostnam: unknown key\" >&2; exit 1"),
				 *file = yaml("hostnam: x\n"),
				 *want = str_printf("%s:3: hostnam: unknown key", file);
	char **list = NULL;
	struct err e = { 0 };

	CHECK_INT(settings_load(program, file, &list, &e), -EINVAL);
	CHECK_STR(err_text(&e), want);
	CHECK(list == NULL);
}

TEST(without_content_nobody_is_asked)
{
	_cleanup_(mem_free) char *file = yaml("# nothing yet\n");
	_cleanup_(strv_free) char **list = NULL, **absent = NULL;

	CHECK_INT(settings_load("/nonexistent", file, &list, NULL), 0);
	CHECK(list && !list[0]);
	CHECK_INT(settings_load("/nonexistent", "/nonexistent.yaml", &absent, NULL), 0);
	CHECK(absent && !absent[0]);
}
