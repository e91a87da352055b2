/*
 * What an exec needs to know of config.json, in one small file beside the container: namespaces,
 * the compiled seccomp filter, and the few settings that pass on to every further process.
 *
 * The runner that makes the container leaves it (create.c), so that the one of an exec neither
 * parses the whole config nor builds the filter's description again (enter.c). It is a cache: who
 * finds none, or one of another version, reads config.json. The file is the runtime's own, in a
 * directory that only root can write.
 */
#ifndef SKERRY_RUNTIME_KEPT_H
#define SKERRY_RUNTIME_KEPT_H

#include <stdbool.h>

#include "engine/runtime/filter.h"
#include "engine/runtime/plan.h"
#include "init/base/err.h"

struct kept {
	bool ns[NS_KINDS]; /* the container has one of its own, or joined one */
	bool has_oom_score;
	int oom_score_adj;
	unsigned long personality; /* ~0: as it is */
	struct filter_program filter; /* len 0: none */
};

/* Fills *ret from a plan; takes its program, or compiles the filter and puts it into the cache
 * (may be NULL). */
int kept_from_plan(struct plan *p, const char *seccomp_cache, struct kept *ret, struct err *e);
/* Trouble only costs time later: there is no error. */
void kept_write(const char *path, const struct kept *k);
/* false: there is none that can be used. */
bool kept_read(const char *path, struct kept *ret);
void kept_clear(struct kept *k);
DEFINE_CLEANUP_VALUE(struct kept, kept_clear)

#endif
