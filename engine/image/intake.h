/*
 * An image that comes in parts: documents first, then one layer after the other, from whoever
 * brings them (registry/).
 *
 *   intake_begin -> intake_image -> intake_unpack for each layer that is missing -> intake_commit
 *
 * Each layer is read from a pipe by a sandboxed unpack worker of its own, which checks both of its
 * digests and its size while it unpacks; several may run at once. Nothing of it is seen in the
 * store before the commit, which is that of a load: finished, synced, moved, recorded. It ends
 * once, by commit, failure or cancellation.
 */
#ifndef SKERRY_IMAGE_INTAKE_H
#define SKERRY_IMAGE_INTAKE_H

#include "engine/data/digest.h"
#include "engine/image/document.h"
#include "engine/image/image.h"

struct incoming; /* intake.c */

/* Embedded by the owner, zeroed but for the callbacks. */
struct intake {
	/* Layer n is unpacked and right (0), or not. Never from inside a call here. */
	void (*unpacked)(struct intake *in, size_t n, int r, const struct err *e);
	/* The image is in the store, durably; the op's done() follows. */
	void (*committed)(struct intake *in);
	/* Over: the op's done() was called before, unless it was cancelled. The owner frees
	 * itself. */
	void (*ended)(struct intake *in);

	/* private */
	struct incoming *job;
};

struct intake_image {
	const char *name; /* normalised, with a tag; NULL: none */
	const char *digest_name; /* normalised "name@sha256:..." */
	const char *manifest, *config; /* the documents' texts */
	size_t manifest_len, config_len;
};

/* A layer as the manifest and the config tell of it. Valid until the end. */
struct intake_layer {
	const char *digest; /* of the archive as it comes */
	const char *diff_id, *chain_id;
	int64_t size; /* of that archive */
	bool present; /* the store has it: nothing is to be brought */
	bool done; /* present, or unpacked */
};

/* Begins an operation; from now on image_op_cancel() and the end of the store end it too. */
int intake_begin(struct images *s, struct intake *in, struct image_op *op, struct err *e);
/* Says what comes. Both documents are checked, for themselves and against each other: EINVAL. */
int intake_image(struct intake *in, const struct intake_image *img, struct err *e);
const char *intake_id(const struct intake *in); /* the image's id, after intake_image */
size_t intake_layers(const struct intake *in);
struct intake_layer intake_layer(const struct intake *in, size_t n);
/* Looks once more which layers the store has. */
void intake_look(struct intake *in);
/* Unpacks layer n from fd (duplicated), up to its end. unpacked() comes. */
int intake_unpack(struct intake *in, size_t n, int fd, struct err *e);
/* All layers are done: into the store. done() comes. */
void intake_commit(struct intake *in);
/* Not to be had: what came is removed, then done() comes. */
void intake_fail(struct intake *in, int r, const struct err *e);
/* Nothing was to be brought: done() comes with 0, from a handler of the loop. */
void intake_unchanged(struct intake *in);

#endif
