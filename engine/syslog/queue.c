/*
 * The queue of lines (queue.h): one buffer, heads and texts one after the other. What is taken off
 * the front is given back once it is more than half.
 */
#include "engine/syslog/queue.h"

#include <string.h>

struct head {
	int64_t real_ns;
	uint32_t len;
	uint32_t is_err;
};

_Static_assert(sizeof(struct head) == QUEUE_LINE_COST, "the cost of a line is its head");

size_t queue_used(const struct queue *q)
{
	return q->data.len - q->head;
}

int queue_force(struct queue *q, const struct queue_line *line)
{
	const struct head head = { line->real_ns, line->len, line->is_err };
	char *room;

	if (!q->data.max)
		q->data.max = SIZE_MAX / 2;
	room = buf_reserve(&q->data, sizeof(head) + line->len);
	if (!room) {
		q->data.failed = 0;
		return -ENOMEM;
	}
	memcpy(room, &head, sizeof(head));
	memcpy(room + sizeof(head), line->text, line->len);
	buf_commit(&q->data, sizeof(head) + line->len);
	return 0;
}

int queue_put(struct queue *q, const struct queue_line *line)
{
	if (queue_used(q) > 0 && queue_used(q) + sizeof(struct head) + line->len > q->limit)
		return -ENOBUFS;
	return queue_force(q, line);
}

bool queue_first(const struct queue *q, struct queue_line *ret)
{
	struct head head;

	if (queue_used(q) == 0)
		return false;
	memcpy(&head, q->data.data + q->head, sizeof(head));
	*ret = (struct queue_line){ .real_ns = head.real_ns,
				    .len = head.len,
				    .is_err = head.is_err,
				    .text = q->data.data + q->head + sizeof(head) };
	return true;
}

void queue_drop_first(struct queue *q)
{
	struct queue_line first;

	if (!queue_first(q, &first))
		return;
	q->head += sizeof(struct head) + first.len;
	if (q->head == q->data.len) {
		q->head = 0;
		if (q->data.cap > 128 << 10)
			buf_free(&q->data); /* after an outage */
		buf_reset(&q->data);
	} else if (q->head > q->data.len / 2) {
		buf_consume(&q->data, q->head);
		q->head = 0;
	}
}

uint64_t queue_count(const struct queue *q)
{
	struct head head;
	uint64_t n = 0;

	for (size_t at = q->head; at < q->data.len; at += sizeof(head) + head.len, n++)
		memcpy(&head, q->data.data + at, sizeof(head));
	return n;
}

void queue_free(struct queue *q)
{
	buf_free(&q->data);
	q->head = 0;
}
