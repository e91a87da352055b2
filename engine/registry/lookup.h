/*
 * Questions to registries that change nothing: what is behind a name, and what can be found.
 *
 * The answers come ready as JSON, in Docker's form, made of what was checked here: nothing of a
 * registry's text goes through as it is. Called by api/.
 */
#ifndef SKERRY_REGISTRY_LOOKUP_H
#define SKERRY_REGISTRY_LOOKUP_H

#include "engine/registry/registry.h"
#include "init/base/buf.h"

/* Embedded by the caller, zeroed but for done; lives until done() or _cancel(). */
struct registry_lookup {
	/* r 0: the answer's JSON, valid during the call. Never from inside. */
	void (*done)(struct registry_lookup *l, int r, const struct buf *json, const struct err *e);
	struct lookup_job *job; /* internal */
};

/* GET /distribution/{name}/json: {"Descriptor","Platforms"} of a name with tag (latest) or
 * digest. EINVAL for a bad name. */
int registry_describe(struct registry *reg, const char *name, const struct registry_auth *auth,
		      struct registry_lookup *l, struct err *e);

/* What is to be found, and of that what is wanted. */
struct registry_search {
	const char *term; /* "busybox", "registry.example:5000/busybox" */
	int limit; /* 1..100; 0: 25 */
	bool only_official, only_unofficial;
	int64_t stars; /* at least */
};
/* GET /images/search: an array. Asks Docker Hub, or the registry whose host stands in the term, by
 * the search of Docker's first API. EINVAL for the term or the limit. */
int registry_search(struct registry *reg, const struct registry_search *q,
		    const struct registry_auth *auth, struct registry_lookup *l, struct err *e);

/* Harmless when it is over. */
void registry_lookup_cancel(struct registry_lookup *l);

#endif
