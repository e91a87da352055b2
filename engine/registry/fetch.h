/*
 * One exchange with a registry, in a process of its own: the engine's side of `skerryd worker
 * fetch`.
 *
 * The engine says what is to be done (a kind), with whom (a place: endpoints.h), with which
 * credentials, and passes descriptors to read from or to write to; the worker does the talking:
 * endpoints in turn, TLS, proxies, redirects, authentication, retries. It answers with a JSON
 * object, which is untrusted.
 *
 * Kinds are rows of a table in worker_fetch.c. Each has a function on the worker's side, which gets
 * a struct session (session.h) to make requests with and the request's object `args`.
 *
 * A token that one worker got serves the next ones of the same place: it is in the result
 * (fetch_token_take) and goes into the next request.
 */
#ifndef SKERRY_REGISTRY_FETCH_H
#define SKERRY_REGISTRY_FETCH_H

#include "engine/data/ref.h"
#include "engine/registry/endpoints.h"
#include "engine/registry/registry.h"
#include "engine/worker/worker.h"

enum { FETCH_FD_FIRST = 4, FETCH_FDS_MAX = 8 };

struct fetch_spec {
	const char *kind; /* "resolve", "blob", "login", ...: worker_fetch.c */
	const struct place *place; /* where to; NULL: `args` has an address */
	const struct registry_auth *auth; /* NULL: anonymous. For the origin only, never a mirror */
	const char *scope; /* "repository:library/httpd:pull"; NULL: none */
	const struct fetch_memory *memory; /* what an earlier worker learned; NULL: nothing */
	const char *args; /* JSON object with the kind's own arguments; NULL: {} */
	const int *fds; /* descriptors FETCH_FD_FIRST, +1, ... of the worker; stay the caller's */
	size_t n_fds;
};

/* What a worker learned and the next one need not learn again. Zeroed is nothing. Secret. */
struct fetch_memory {
	char *token; /* bearer token */
	int endpoint; /* index in the place's endpoints + 1 of the one that has it; 0: any */
	bool plain; /* that one speaks HTTP without TLS, */
	bool basic; /* and wants name and password with each request */
};
void fetch_memory_free(struct fetch_memory *m);

/* Embedded by the caller, zeroed but for the callbacks and data. */
struct fetch {
	/* bytes so far and in all (-1: not known); may be NULL */
	void (*progress)(struct fetch *f, int64_t current, int64_t total);
	/* Once, unless cancelled. r 0: the kind's result object. May free the struct. */
	void (*done)(struct fetch *f, int r, yyjson_val *result, const struct err *e);
	void *data;

	/* internal */
	struct worker worker;
};

int fetch_start(struct registry *reg, struct fetch *f, const struct fetch_spec *spec,
		struct err *e);
/* Kills it; done() is not called. Harmless when it does not run. */
void fetch_cancel(struct fetch *f);
static inline UNUSED bool fetch_running(const struct fetch *f)
{
	return worker_running(&f->worker);
}
/* Reads the member "memory" of a result into *m, replacing it. */
int fetch_memory_take(yyjson_val *result, struct fetch_memory *m, struct err *e);

/* The place of an image reference under this machine's settings. */
int registry_place(struct registry *reg, const struct ref *ref, struct place **ret, struct err *e);

#endif
