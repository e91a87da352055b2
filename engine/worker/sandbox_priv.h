/*
 * What the files of the sandbox share: sandbox.c calls the two mechanisms that are tables and
 * rules.
 *
 * Not for anybody outside of engine/worker.
 */
#ifndef SKERRY_WORKER_SANDBOX_PRIV_H
#define SKERRY_WORKER_SANDBOX_PRIV_H

#include "engine/worker/sandbox.h"

/* Builds and loads the seccomp filter of these WORKER_CALLS_* groups. */
int sandbox_load_filter(unsigned groups, struct err *e);

/* Prepares the Landlock rules while paths can still be opened; returns the ruleset's descriptor,
 * or -EOPNOTSUPP when the kernel has no Landlock. */
int sandbox_landlock_new(const struct worker_path *paths, size_t n, struct err *e);
int sandbox_landlock_enter(int ruleset_fd, struct err *e);

#endif
