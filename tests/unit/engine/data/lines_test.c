/* Output to lines: cut at newlines, long lines in pieces, whatever the chunks were. */
#include "engine/data/lines.h"

#include <stdlib.h>

#include "init/base/buf.h"
#include "tests/unit/test.h"

struct taker {
	struct lines l;
	struct buf seen; /* "text|" whole, "text~" a piece */
	int64_t last_ns;
};

static void on_line(struct lines *l, const char *text, size_t len, bool whole, int64_t time_ns)
{
	struct taker *t = container_of(l, struct taker, l);

	buf_add(&t->seen, text, len);
	buf_add_char(&t->seen, whole ? '|' : '~');
	t->last_ns = time_ns;
}

#define TAKER(t) struct taker t = { .l.emit = on_line, .seen = BUF_INIT(1 << 20) }

static void done(struct taker *t)
{
	lines_free(&t->l);
	buf_free(&t->seen);
}

TEST(cut_anywhere)
{
	static const char text[] = "one\n\ntwo three\nrest";

	for (size_t step = 1; step <= sizeof(text); step++) {
		TAKER(t);

		for (size_t at = 0; at < sizeof(text) - 1; at += step)
			lines_take(&t.l, text + at, MIN(step, sizeof(text) - 1 - at), 5);
		CHECK_STR(buf_text(&t.seen), "one||two three|");
		lines_flush(&t.l, 6);
		lines_flush(&t.l, 7);
		CHECK_STR(buf_text(&t.seen), "one||two three|rest~");
		done(&t);
	}
}

TEST(pieces_carry_the_time_of_the_first)
{
	char *text = malloc(LINE_BYTES + 2);
	TAKER(t);

	memset(text, 'x', LINE_BYTES + 1);
	text[LINE_BYTES + 1] = '\n';
	lines_take(&t.l, text, LINE_BYTES, 1);
	CHECK_INT(t.seen.len, LINE_BYTES + 1);
	lines_take(&t.l, text + LINE_BYTES, 2, 2);
	CHECK_INT(t.last_ns, 1);
	CHECK(strcmp(buf_text(&t.seen) + LINE_BYTES, "~x|") == 0);
	lines_take(&t.l, "y\n", 2, 3);
	CHECK_INT(t.last_ns, 3);
	free(text);
	done(&t);
}
