/* struct buf: growth, limit, sticky failure, hand-over. */
#include "init/base/buf.h"
#include "tests/unit/test.h"

TEST(adds_and_keeps_a_nul)
{
	_cleanup_(buf_free) struct buf b = { 0 };

	CHECK_STR(buf_text(&b), "");
	CHECK_INT(buf_add(&b, "ab", 2), 0);
	CHECK_INT(buf_add_text(&b, "cd"), 0);
	CHECK_INT(buf_add_char(&b, 'e'), 0);
	CHECK_INT(buf_printf(&b, "-%03d-%s", 7, "x"), 0);
	CHECK_STR(buf_text(&b), "abcde-007-x");
	buf_consume(&b, 5);
	CHECK_STR(buf_text(&b), "-007-x");
	buf_consume(&b, 100);
	CHECK_INT(b.len, 0);
	CHECK_STR(buf_text(&b), "");
}

TEST(limit_fails_and_sticks)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(10);

	CHECK_INT(buf_add_text(&b, "0123456789"), 0);
	CHECK_INT(buf_add_char(&b, 'x'), -EMSGSIZE);
	CHECK_STR(buf_text(&b), "0123456789");
	buf_consume(&b, 5);
	CHECK_INT(buf_add_char(&b, 'x'), -EMSGSIZE);
	CHECK_INT(buf_failed(&b), -EMSGSIZE);
	buf_reset(&b);
	CHECK_INT(buf_add_char(&b, 'x'), 0);
	CHECK_INT(buf_printf(&b, "%s", "0123456789"), -EMSGSIZE);
	CHECK_STR(buf_text(&b), "x");
	CHECK_INT(buf_add(&b, "x", SIZE_MAX), -EMSGSIZE);
}

TEST(printed_texts_of_every_length)
{
	char want[300];

	for (int n = 0; n < 140; n++) {
		_cleanup_(buf_free) struct buf b = { 0 };

		for (int i = 0; i < 2; i++) /* into no memory, and into what is left of some */
			CHECK_INT(buf_printf(&b, "%0*d", n, 7), 0);
		snprintf(want, sizeof(want), "%0*d%0*d", n, 7, n, 7);
		CHECK_STR(buf_text(&b), want);
		CHECK_INT(b.len, strlen(want));
	}
}

TEST(reserve_and_commit)
{
	_cleanup_(buf_free) struct buf b = { 0 };
	char *at = buf_reserve(&b, 1000);

	CHECK(at);
	memset(at, 'q', 1000);
	buf_commit(&b, 999);
	CHECK_INT(b.len, 999);
	CHECK_INT(strlen(buf_text(&b)), 999);
}

TEST(take_hands_over)
{
	_cleanup_(buf_free) struct buf b = { 0 };
	_cleanup_(mem_free) char *empty = buf_take(&b), *text = NULL;

	CHECK_STR(empty, "");
	buf_add_text(&b, "hello");
	text = buf_take(&b);
	CHECK_STR(text, "hello");
	CHECK_INT(b.len, 0);
	CHECK(!b.data);
}
