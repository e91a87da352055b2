/*
 * The sandbox that a worker puts itself into before it reads anything hostile.
 *
 * One description, applied once, irreversible: limits, no network, no new privileges, another user
 * with chosen capabilities only, Landlock over the file tree, seccomp by a list of allowed calls.
 * What is needed later (descriptors, paths for Landlock) is opened before. Called at the start of
 * worker roles, by nobody else: the calling process keeps these bounds until it ends.
 */
#ifndef SKERRY_WORKER_SANDBOX_H
#define SKERRY_WORKER_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "init/base/err.h"

enum worker_access {
	WORKER_READ, /* files and directories below may be read */
	WORKER_WRITE /* everything but executing */
};

struct worker_path {
	const char *path; /* must exist */
	enum worker_access access;
};

/* groups of system calls; see sandbox_calls.c */
enum {
	WORKER_CALLS_BASE =
		1, /* memory, time, signals to itself, open descriptors; always allowed */
	WORKER_CALLS_FILES = 2, /* open, make, rename, remove, change files */
	WORKER_CALLS_NET = 4, /* sockets of the inet families, polling */
	WORKER_CALLS_OWNERS = 8, /* chown, mknod, setxattr: what an unpacked archive needs */
	WORKER_CALLS_LOOK = 16, /* open and stat alone: what the resolver of names needs */
	WORKER_CALLS_SERVE = 32 /* accept connections on sockets that it was given */
};

struct worker_sandbox {
	bool drop_user; /* to uid and gid, without supplementary groups */
	uid_t uid;
	gid_t gid;
	uint64_t keep_caps; /* bits 1 << CAP_x that stay effective; 0: none */

	bool no_network; /* an empty network namespace of its own */
	bool confine_files; /* Landlock: nothing but `paths` can be opened */
	const struct worker_path *paths;
	size_t n_paths;

	unsigned calls; /* WORKER_CALLS_*, 0: no seccomp filter */

	uint64_t max_memory; /* bytes of address space, 0: no limit */
	uint64_t max_file_size; /* bytes, 0: no limit */
	uint64_t max_files; /* open descriptors, 0: 256 */
	bool optional_landlock; /* go on where the kernel has no Landlock (hosts of tests) */
	int death_signal; /* PR_SET_PDEATHSIG again, which a change of user takes away; 0: none */
};

/* For max_memory: what the process has now and `more` bytes; 0 when that cannot be told. Needs
 * /proc. */
uint64_t worker_memory_limit(uint64_t more);

/* Applies all of it. On failure some of it may hold already: the worker must end. Not allowed
 * calls fail with EPERM. */
int worker_sandbox_apply(const struct worker_sandbox *s, struct err *e);

#endif
