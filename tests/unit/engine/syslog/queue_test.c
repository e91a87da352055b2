/* The queue of lines: order, bound, and what is given back. */
#include "engine/syslog/queue.h"

#include <errno.h>

#include "tests/unit/test.h"

static int put(struct queue *q, const char *text)
{
	const struct queue_line line = { 7, (uint32_t)strlen(text), text[0] == 'e', text };

	return queue_put(q, &line);
}

static const char *take(struct queue *q)
{
	static char text[100];
	struct queue_line line;

	if (!queue_first(q, &line))
		return "(none)";
	snprintf(text, sizeof(text), "%.*s%s", (int)line.len, line.text, line.is_err ? "!" : "");
	queue_drop_first(q);
	return text;
}

TEST(in_order)
{
	struct queue q = { .limit = 1000 };

	CHECK_STR(take(&q), "(none)");
	CHECK(put(&q, "a") == 0 && put(&q, "") == 0 && put(&q, "ee") == 0);
	CHECK_INT(queue_count(&q), 3);
	CHECK_STR(take(&q), "a");
	CHECK_STR(take(&q), "");
	CHECK_INT(put(&q, "b"), 0);
	CHECK_STR(take(&q), "ee!");
	CHECK_STR(take(&q), "b");
	CHECK_STR(take(&q), "(none)");
	CHECK_INT(queue_used(&q), 0);
	queue_free(&q);
}

TEST(bounded)
{
	struct queue q = { .limit = 2 * QUEUE_LINE_COST + 4 };

	CHECK_INT(put(&q, "aaa"), 0);
	CHECK_INT(put(&q, "bb"), -ENOBUFS);
	CHECK_INT(put(&q, "b"), 0);
	CHECK_INT(put(&q, ""), -ENOBUFS);
	CHECK_INT(queue_force(&q, &(struct queue_line){ 0, 1, false, "f" }), 0);
	CHECK_STR(take(&q), "aaa");
	CHECK_STR(take(&q), "b");
	CHECK_STR(take(&q), "f");
	/* a line beyond the limit fits an empty queue: it would never fit else */
	CHECK_INT(put(&q, "0123456789012345678901234567890123456789"), 0);
	CHECK_INT(put(&q, ""), -ENOBUFS);
	queue_free(&q);
}

TEST(long_runs)
{
	struct queue q = { .limit = 1 << 20 };
	char text[16];

	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof(text), "n%d", i);
		CHECK_INT(put(&q, text), 0);
		if (i < 1000)
			continue;
		snprintf(text, sizeof(text), "n%d", i - 1000);
		CHECK_STR(take(&q), text);
	}
	CHECK_INT(queue_count(&q), 1000);
	CHECK(q.data.len < 200 << 10);
	queue_free(&q);
}
