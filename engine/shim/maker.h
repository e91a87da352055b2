/*
 * The maker: a small process that is started once and forks the shims, so that a container costs
 * a fork and not the execution and relocation of the whole program.
 *
 * It has read nothing and serves only the engine that started it, over one socket; it ends with
 * that. The shims are the engine's children (CLONE_PARENT), as if it had started them itself.
 */
#ifndef SKERRY_SHIM_MAKER_H
#define SKERRY_SHIM_MAKER_H

#include "init/base/loop.h"
#include "init/base/spawn.h"

struct shim_maker; /* opaque */

/* Starts no process yet. NULL: no memory. */
struct shim_maker *shim_maker_new(struct loop *loop);
void shim_maker_free(struct shim_maker *m); /* its process ends, the shims go on; accepts NULL */
/* A shim for `dir`, born in the cgroup (-1: the engine's), with the descriptor as its
 * SHIM_FD_ENGINE. Starts the
 * process if there is none. Waits for the answer, at most MAKER_TIMEOUT_MS. */
int shim_maker_spawn(struct shim_maker *m, const char *dir, int cgroup_fd, int engine_fd,
		     struct child *ret, struct err *e);

/* The process: `skerryd shim --maker ROOM`; ROOM is blanks, where a shim writes its directory for
 * those who list processes. */
int shim_maker_main(int argc, char **argv);

#endif
