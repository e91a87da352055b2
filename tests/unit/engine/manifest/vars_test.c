/*
 * Variables in values, in all their forms, and env files.
 */
#include "engine/manifest/vars.h"

#include "init/base/buf.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

static char *const env[] = { "A=one", "EMPTY=", "DOLLAR=$A", "_x1=under", NULL };

TEST(forms)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "plain", "plain" },
		{ "", "" },
		{ "$A", "one" },
		{ "${A}", "one" },
		{ "<$A-${A}b>", "<one-oneb>" },
		{ "$_x1.", "under." },
		{ "$$A $${A}", "$A ${A}" },
		{ "$$$A", "$one" },
		{ "$DOLLAR", "$A" }, /* values are not looked into */
		{ "${A:-no}", "one" },
		{ "${A-no}", "one" },
		{ "${EMPTY:-word}", "word" },
		{ "${EMPTY-word}", "" },
		{ "${NONE:-word}", "word" },
		{ "${NONE-word}", "word" },
		{ "${NONE:-}", "" },
		{ "${A:+word}", "word" },
		{ "${EMPTY:+word}", "" },
		{ "${EMPTY+word}", "word" },
		{ "${NONE:+word}", "" },
		{ "${NONE+word}", "" },
		{ "${A:?why}", "one" },
		{ "${EMPTY?why}", "" },
		{ "${NONE:-${A}}", "one" },
		{ "${NONE:-${EMPTY:-x$A}}y", "xoney" },
		{ "${A:+${NONE:-deep}}", "deep" },
		{ "${NONE:-a:b-c?d+e}", "a:b-c?d+e" },
		{ "${NONE:-$$5}", "$5" },
		{ "${A:+never ${NONE}}", "never " },
		{ "$NONE.", "." },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(vars_free) struct vars v = { .env = strv_copy(env) };
		_cleanup_(mem_free) char *got = NULL;
		struct err e = { 0 };

		CHECK_MSG(vars_expand(&v, cases[i].text, &got, &e) == 0, "%s: %s", cases[i].text,
			  err_text(&e));
		CHECK_STR(got, cases[i].want);
	}
}

TEST(what_is_not_set_is_noted_once)
{
	_cleanup_(vars_free) struct vars v = { .env = strv_copy(env) };
	_cleanup_(mem_free) char *got = NULL, *again = NULL;
	struct err e = { 0 };

	CHECK_INT(vars_expand(&v, "$X $Y $X ${Z:-} ${A:+${W-}}", &got, &e), 0);
	CHECK_INT(vars_expand(&v, "$Y", &again, &e), 0);
	CHECK_INT(strv_len(v.missing), 2);
	CHECK_STR(v.missing[0], "X");
	CHECK_STR(v.missing[1], "Y");
}

TEST(wrong_forms)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "a$", "invalid interpolation format at '$': expected $NAME or ${NAME}; a dollar "
			"sign itself is written $$" },
		{ "$1", "invalid interpolation format at '$1': expected $NAME or ${NAME}; a dollar "
			"sign itself is written $$" },
		{ "${}", NULL },
		{ "${A", "invalid interpolation format at '${A': } is missing" },
		{ "${A:-${B}", "invalid interpolation format at '${A:-${B}': } is missing" },
		{ "${A!}", NULL },
		{ "${A:}", NULL },
		{ "${A:=x}", NULL },
		{ "${A b}", NULL },
		{ "${NONE:-$}", NULL },
		{ "${NONE:?}", "required variable NONE is missing a value" },
		{ "${EMPTY:?set $A}", "required variable EMPTY is missing a value: set one" },
		{ "${NONE?set it}", "required variable NONE is missing a value: set it" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(vars_free) struct vars v = { .env = strv_copy(env) };
		char *got = NULL;
		struct err e = { 0 };

		CHECK_MSG(vars_expand(&v, cases[i].text, &got, &e) == -EINVAL, "%s", cases[i].text);
		CHECK(got == NULL);
		if (cases[i].want)
			CHECK_STR(err_text(&e), cases[i].want);
	}
}

TEST(depth_and_size_are_bounded)
{
	_cleanup_(vars_free) struct vars v = { 0 };
	_cleanup_(buf_free) struct buf deep = BUF_INIT(0), wide = BUF_INIT(0), value = BUF_INIT(0);
	struct err e = { 0 };
	char *got = NULL;

	for (int i = 0; i < 100; i++)
		buf_add_text(&deep, "${N:-");
	for (int i = 0; i < 100; i++)
		buf_add_text(&deep, "}");
	CHECK_INT(vars_expand(&v, buf_text(&deep), &got, &e), -EINVAL);
	CHECK(strstr(err_text(&e), "deep"));
	for (int i = 0; i < 1024; i++) {
		buf_add_text(&value, "0123456789abcdef");
		buf_add_text(&wide, "$BIG");
	}
	CHECK_INT(strv_env_set(&v.env, "BIG", buf_text(&value)), 0);
	CHECK_INT(vars_expand(&v, buf_text(&wide), &got, &e), -EINVAL);
	CHECK(strstr(err_text(&e), "too large"));
	CHECK(got == NULL);
}

TEST(an_env_file)
{
	static const char text[] = "\xef\xbb\xbf# note\r\n"
				   "A=1 # tail\n"
				   "export B = two words \n"
				   "C=\"x # y\\n\\\"z\\\" \\$A $A\" # behind\n"
				   "D='lit $A \\n'\n"
				   "\n"
				   "E=\n"
				   "F=a#b\n"
				   "G: colon\n"
				   "H=\"two\nlines\"\n"
				   "I=${A}-${P}-${Q:-none}\n"
				   "P\n"
				   "Q\n"
				   "J=#none\r\n"
				   "K=no newline";
	static const struct {
		const char *name, *want;
	} wants[] = {
		{ "A", "1" },	       { "B", "two words" },  { "C", "x # y\n\"z\" $A 1" },
		{ "D", "lit $A \\n" }, { "E", "" },	      { "F", "a#b" },
		{ "G", "colon" },      { "H", "two\nlines" }, { "I", "1-project-none" },
		{ "P", "project" },    { "Q", NULL },	      { "J", "" },
		{ "K", "no newline" },
	};
	_cleanup_(vars_free) struct vars v = { 0 };
	_cleanup_(strv_free) char **got = NULL;
	struct err e = { 0 };

	CHECK_INT(strv_env_set(&v.env, "P", "project"), 0);
	CHECK_MSG(env_file_read(text, "f.env", false, &v, &got, &e) == 0, "%s", err_text(&e));
	for (size_t i = 0; i < ARRAY_SIZE(wants); i++) {
		const char *value = strv_env_get(got, wants[i].name);

		if (wants[i].want)
			CHECK_STR(value, wants[i].want);
		else
			CHECK(!value);
	}
}

TEST(a_raw_env_file)
{
	_cleanup_(vars_free) struct vars v = { 0 };
	_cleanup_(strv_free) char **got = NULL;
	struct err e = { 0 };

	CHECK_INT(env_file_read("A=\"$B\" # x\r\n# c\nC= d\n", "f.env", true, &v, &got, &e), 0);
	CHECK_STR(strv_env_get(got, "A"), "\"$B\" # x");
	CHECK_STR(strv_env_get(got, "C"), " d");
	CHECK_INT(strv_len(got), 2);
}

TEST(env_files_with_mistakes)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "A=1\n=x\n", "f.env:2: expected KEY=value" },
		{ "A=1\n\nB C\n", "f.env:3: expected KEY=value" },
		{ "A='x\n", "f.env:1: a quote is not closed" },
		{ "A=1\nB=\"x\ny\n", "f.env:2: a quote is not closed" },
		{ "A=\"x\"y\n", "f.env:1: there is more behind the closing quote" },
		{ "A=1\nB=${C:?no C}\n",
		  "f.env:2: B: required variable C is missing a value: no C" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(vars_free) struct vars v = { 0 };
		_cleanup_(strv_free) char **got = NULL;
		struct err e = { 0 };

		CHECK_INT(env_file_read(cases[i].text, "f.env", false, &v, &got, &e), -EINVAL);
		CHECK_STR(err_text(&e), cases[i].want);
	}
}
