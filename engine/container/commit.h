/*
 * A container's own files and config as a new image (docker commit).
 *
 * A worker reads the container's upper directory as a layer (files.h), a pipe brings it to the
 * image store (images_make). The container is paused while it is read, if that is asked for. It
 * goes on when the client leaves. User: api/.
 */
#ifndef SKERRY_CONTAINER_COMMIT_H
#define SKERRY_CONTAINER_COMMIT_H

#include "engine/container/files.h"
#include "engine/image/image.h"

struct commit_request {
	bool pause;
	yyjson_val *config; /* Config of the image; NULL: the container's */
	const char *const
		*changes; /* instructions (image/change.h), NULL-terminated; may be NULL */
	const char *author, *comment; /* may be NULL */
	const char *name; /* of the image; NULL or "": none */
	const char *asked; /* the container as the client named it, for messages */
};

/* Zeroed by the caller but for the callbacks. */
struct container_commit {
	/* What happened to the store, once; the changes are valid inside the call. */
	void (*stored)(struct container_commit *m, const struct image_change *changes, size_t n);
	/* Once, from the loop, never from inside container_commit. id: of the image, NULL unless r
	 * is 0; the image is durable. The struct may be freed. */
	void (*done)(struct container_commit *m, int r, const char *id, const struct err *e);

	/* private */
	struct containers *cs;
	char *container, *author, *comment, *name, *created_by, *parent, *asked;
	struct image_config config;
	struct container_op pausing;
	struct files_op files;
	struct image_op image;
	char *id;
	struct err why;
	int pipe[2];
	bool paused, reading, storing, thawing;
};

/* EINVAL for what is wrong with the request; else done follows. q is not kept. */
int container_commit(struct container *c, const struct commit_request *q,
		     struct container_commit *m, struct err *e);

#endif
