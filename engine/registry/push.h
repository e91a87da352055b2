/*
 * Pushing: the images of a repository, or one tag of it, to its registry.
 *
 * What is sent are the blobs as the store keeps them, so every digest stays; the manifest is the
 * image's own where it came with one (engine/image/manifest.h). Layers go first, a few at a time,
 * each once however many tags have it, then the config, the manifest last: a push that ends early
 * leaves no name behind that leads nowhere. Called by api/.
 */
#ifndef SKERRY_REGISTRY_PUSH_H
#define SKERRY_REGISTRY_PUSH_H

#include "engine/registry/registry.h"

enum { PUSH_UPLOADS = 3 }; /* blobs that are sent at the same time */

/* One line for the client, in Docker's words. */
struct push_progress {
	const char *status; /* "Pushing", "1: digest: ..."; NULL: the line has the tag alone */
	const char *id; /* 12 hex digits of the layer's diff id; NULL: of no layer */
	int64_t current, total; /* bytes; total 0: not counted */
	const char *tag, *digest; /* what is there now, with status NULL */
	int64_t size; /* of the manifest */
};

/* Embedded by the caller, zeroed but for the callbacks; lives until done() or _cancel(). */
struct registry_push {
	void (*progress)(struct registry_push *p, const struct push_progress *line);
	/* A tag of the image (familiar name) is in the registry. */
	void (*pushed)(struct registry_push *p, const char *name);
	void (*done)(struct registry_push *p, int r, const struct err *e); /* never from inside */
	struct push_job *job; /* internal */
};

/* tag NULL: that of the name, and without one all tags of the repository. platform and auth may
 * be NULL; all is copied. The first line is "The push refers to repository [...]"; that there is
 * no such image comes after it, as in Docker. Before it: EINVAL (name), EOPNOTSUPP (layers'
 * archives are not kept), ENOENT (platform), EAGAIN (too many pushes). */
int registry_push(struct registry *reg, const char *name, const char *tag,
		  const struct image_platform *platform, const struct registry_auth *auth,
		  struct registry_push *p, struct err *e);
/* Ends it; done() is not called. Harmless when it is over. */
void registry_push_cancel(struct registry_push *p);

#endif
