/*
 * Docker's default seccomp profile as compact tables, and its rendering for one container as the
 * `linux.seccomp` object of config.json. container/spec.c calls it; filter.c compiles the result.
 *
 * Facts: moby/profiles seccomp default.json, v0.2.3 (426 names).
 */
#ifndef SKERRY_RUNTIME_SECCOMP_DEFAULT_H
#define SKERRY_RUNTIME_SECCOMP_DEFAULT_H

#include <stdint.h>

#include "init/base/buf.h"
#include "init/base/err.h"

/*
 * Appends the JSON object for a container with these capabilities (bounding set) on this machine's
 * architecture. `kernel` is (major << 8 | minor) of the running kernel for the rules that need a
 * minimum; 0 asks uname. Not for privileged containers: those have no filter unless one is given.
 */
int seccomp_default_write(uint64_t caps, unsigned int kernel, struct buf *out, struct err *e);

/*
 * A user's own profile in Docker's format (--security-opt seccomp=FILE: archMap, includes,
 * excludes, minKernel) rendered the same way. Errors name the JSON key.
 */
int seccomp_profile_write(const char *json, size_t len, uint64_t caps, unsigned int kernel,
			  struct buf *out, struct err *e);

/* The running kernel as (major << 8 | minor), 0 unknown. */
unsigned int seccomp_kernel(void);

#endif
