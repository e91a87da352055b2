/*
 * A tap: a source that hands the blocks of another one through and counts, hashes, copies and
 * limits them.
 *
 * tap_init gives a plain one; the caller sets what else it shall do before the first read. Callers:
 * layer.c, unpack.c.
 */
#ifndef SKERRY_IMAGE_TAP_H
#define SKERRY_IMAGE_TAP_H

#include "engine/data/archive.h"
#include "engine/data/digest.h"

struct tap {
	struct source source;
	struct source *from;
	struct digester digester;
	bool hashing;
	uint64_t bytes; /* handed through or skipped so far */
	int copy_fd; /* -1: no copy */
	uint64_t max; /* bytes; -EFBIG over it */
	const struct tap *packed; /* the compressed stream, for the ratio check; NULL: none */
	uint64_t ratio, ratio_from;
	void (*progress)(void *data, uint64_t bytes); /* may be NULL */
	void *data;
};

/* A tap that neither hashes nor copies can skip when `from` can. */
void tap_init(struct tap *t, struct source *from, bool hashing);

#endif
