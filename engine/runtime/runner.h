/*
 * The inside of the runner, the short-lived process between the caller and a container's process:
 * what create.c (first process) and enter.c (exec) share.
 */
#ifndef SKERRY_RUNTIME_RUNNER_H
#define SKERRY_RUNTIME_RUNNER_H

#include "engine/runtime/filter.h"
#include "engine/runtime/plan.h"
#include "engine/runtime/runtime.h"
#include "engine/runtime/sync.h"
#include "init/base/err.h"

/* Forks the runner with clean descriptors (fds->sync is filled here); `run` is called there and
 * must not return. The caller's half is *ret. */
int runner_fork(struct sync_fds *fds, void (*run)(const void *arg), const void *arg,
		struct runtime_process *ret, struct err *e);
/* Reads and parses the file `config`, or <bundle>/config.json when it is NULL;
 * seccomp_cache (or NULL) as in plan_parse_cached(). */
int runner_plan(const char *bundle, const char *config, const char *seccomp_cache,
		struct plan **ret, struct err *e);
/* The container's cgroup, made (or only opened) below /sys/fs/cgroup; *ret_fd -1 with no_cgroup
 * or without a path. */
int runner_cgroup(const char *path, bool no_cgroup, bool make, int *ret_fd, struct err *e);
/*
 * Clones the process as a child of the runner's parent, with CLONE_NEW* flags, born in the cgroup
 * (or -1). Returns 0 in the child, but only after runner_go(); its pid in the runner, which has
 * told the caller the pid by then (so that PID is the first event); or -errno.
 */
pid_t runner_clone(unsigned long long flags, int cgroup_fd, int *ret_go, struct err *e);
/* Lets the child run. */
int runner_go(int go, struct err *e);
/* OOM score of everything that is made from here on. */
int runner_oom_score(const struct plan_process *p, struct err *e);
/* Writes the limits of a plan into the cgroup. */
int runner_knobs(int cgroup_fd, const struct plan_resources *r, struct err *e);

#endif
