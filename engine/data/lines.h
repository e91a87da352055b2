/*
 * Output of a container to lines, as Docker's copier cuts it: at newlines, and a line over
 * LINE_BYTES comes in pieces, all with the time of the first.
 *
 * One struct per stream, embedded by the caller, zeroed but for `emit`. Memory is taken at the
 * first byte.
 */
#ifndef SKERRY_DATA_LINES_H
#define SKERRY_DATA_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE_BYTES = 16384 }; /* moby daemon/logger/copier.go, defaultBufSize */

struct lines {
	/* A line without its newline; whole: it ends here, else there is more of it. */
	void (*emit)(struct lines *l, const char *text, size_t len, bool whole, int64_t time_ns);

	/* private */
	char *data; /* LINE_BYTES */
	size_t len;
	bool continued; /* a piece of this line has been emitted */
	int64_t first_ns;
};

/* Takes output as it comes; without memory it is lost. */
void lines_take(struct lines *l, const char *data, size_t len, int64_t time_ns);
/* Emits what there is of an unfinished line as a piece; the rest of it comes as a further one. */
void lines_flush(struct lines *l, int64_t time_ns);
void lines_free(struct lines *l); /* keeps `emit` */

#endif
