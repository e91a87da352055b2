/*
 * Lines that wait for the syslog server: a bounded queue, in order.
 *
 * Inside of engine/syslog. Zeroed but for `limit`.
 */
#ifndef SKERRY_SYSLOG_QUEUE_H
#define SKERRY_SYSLOG_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "init/base/buf.h"

struct queue {
	size_t limit; /* bytes, with QUEUE_LINE_COST for each line */
	struct buf data;
	size_t head; /* where the first one begins */
};

enum { QUEUE_LINE_COST = 16 };

struct queue_line {
	int64_t real_ns;
	uint32_t len;
	bool is_err;
	const char *text;
};

/* -ENOBUFS when it is full; a line that finds it empty always fits. */
int queue_put(struct queue *q, const struct queue_line *line);
/* The same without the limit. -ENOMEM */
int queue_force(struct queue *q, const struct queue_line *line);
/* The first one, valid until the next change. */
bool queue_first(const struct queue *q, struct queue_line *ret);
void queue_drop_first(struct queue *q);
size_t queue_used(const struct queue *q);
uint64_t queue_count(const struct queue *q);
void queue_free(struct queue *q);

#endif
