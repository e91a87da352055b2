/*
 * One layer's archive, checked and unpacked while it streams by: blob digest, blob size,
 * compression ratio, diff id.
 *
 *   source -> tap (blob digest, size, copy) -> unpacker -> tap (diff id, limits) -> extract
 *
 * Runs in the sandboxed worker. Callers: unpack.c, unit tests, the fuzz target.
 */
#ifndef SKERRY_IMAGE_LAYER_H
#define SKERRY_IMAGE_LAYER_H

#include "engine/data/archive.h"
#include "engine/data/digest.h"
#include "engine/image/extract.h"
#include "engine/image/limits.h"

struct layer_request {
	struct source *from;
	int root; /* empty directory for the tree */
	int notes_fd; /* see extract.h */
	int copy_fd; /* where the archive's bytes are copied as they are; -1: nowhere */
	const char *digest; /* promised blob digest; NULL or "": none */
	int64_t size; /* promised blob size; -1: none */
	const char *diff_id; /* promised; "": nothing is known before */
	const struct image_limits *limits;
	void (*progress)(void *data,
			 uint64_t bytes); /* bytes of the blob read so far; may be NULL */
	void *data;
};

struct layer_outcome {
	char digest[DIGEST_TEXT_MAX]; /* of the blob */
	char diff_id[DIGEST_TEXT_MAX];
	uint64_t size; /* of the blob */
	uint64_t tar_size; /* uncompressed */
	uint64_t bytes, entries; /* of the tree */
	enum compression compression;
};

/* EINVAL when the content is not what was promised or not a layer, EFBIG for a limit, else the
 * file system's error. */
int layer_unpack(const struct layer_request *req, struct layer_outcome *ret, struct err *e);

#endif
