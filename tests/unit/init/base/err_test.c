/* struct err: texts, context, limits. */
#include "init/base/err.h"
#include "tests/unit/test.h"

TEST(set_returns_negative_code)
{
	struct err e = { 0 };

	CHECK_STR(err_text(&e), "no error");
	CHECK_INT(err_set(&e, EINVAL, "bad %s\n", "thing"), -EINVAL);
	CHECK_STR(err_text(&e), "bad thing");
	CHECK_INT(e.code, EINVAL);
	CHECK_INT(err_set(NULL, EPERM, "x"), -EPERM);
	CHECK_STR(err_text(NULL), "no error");
}

TEST(errno_and_context)
{
	struct err e = { 0 };

	CHECK_INT(err_errno(&e, ENOENT, "cannot open %s", "/x"), -ENOENT);
	CHECK_STR(err_text(&e), "cannot open /x: No such file or directory");
	CHECK_INT(err_wrap(&e, "project %d", 7), -ENOENT);
	CHECK_STR(err_text(&e), "project 7: cannot open /x: No such file or directory");
	CHECK_INT(err_wrap(NULL, "x"), -EIO);
}

TEST(text_may_quote_itself_and_is_cut)
{
	struct err e = { 0 };
	char big[2000];

	err_set(&e, EIO, "inner");
	err_set(&e, EINVAL, "outer: %s", e.text);
	CHECK_STR(err_text(&e), "outer: inner");
	memset(big, 'a', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	err_set(&e, EIO, "%s", big);
	CHECK_INT(strlen(e.text), ERR_TEXT_MAX - 1);
	err_wrap(&e, "%s", big);
	CHECK_INT(strlen(e.text), ERR_TEXT_MAX - 1);
}
