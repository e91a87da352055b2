/*
 * Hooks of a container: programs of config.json that are run at fixed points of its life, each with
 * the container's state as JSON on stdin (runtime-spec config.md "POSIX-platform Hooks").
 *
 * Who runs which: the caller of runtime_create() runs prestart and createRuntime when it is told
 * RUNTIME_HOOKS, poststart after the start and poststop after the deletion (the command line,
 * cli_*.c); the container's first process runs createContainer before it changes its root and
 * startContainer before its program.
 */
#ifndef SKERRY_RUNTIME_HOOKS_H
#define SKERRY_RUNTIME_HOOKS_H

#include <sys/types.h>

#include "engine/data/json.h"
#include "engine/runtime/plan.h"
#include "init/base/err.h"

/* What a hook and `skerryd runtime state` are told (runtime.md "State"). */
struct hook_state {
	const char *id, *bundle;
	const char *status; /* "creating", "created", "running", "stopped" */
	pid_t pid; /* 0: none */
	char *const *annotations; /* "key=value" */
	const char *created; /* RFC 3339, may be NULL: left out */
};

/* One object. */
void hook_state_write(struct json_writer *w, const struct hook_state *s);

/*
 * Runs the hooks of one kind in order, each to its end or its timeout; what a hook writes is part
 * of the error. `enter` (may be NULL) is called in each hook's process just before execve. The
 * first failure ends it with -EIO, -ETIMEDOUT or the errno of execve. Blocks.
 */
int hooks_run(const struct plan *p, enum plan_hook_kind kind, const struct hook_state *s,
	      int (*enter)(void *data, struct err *e), void *data, struct err *e);

/* Only the one of that number. */
int hooks_run_one(const struct plan *p, enum plan_hook_kind kind, size_t number,
		  const struct hook_state *s, struct err *e);

#endif
