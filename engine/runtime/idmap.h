/*
 * Id maps: of a container's user namespace, and of id-mapped mounts, which take theirs from a user
 * namespace that is made for them alone.
 *
 * Used by the runner (create.c), which is privileged on the host; the container's process may not
 * be.
 */
#ifndef SKERRY_RUNTIME_IDMAP_H
#define SKERRY_RUNTIME_IDMAP_H

#include <sys/types.h>

#include "engine/runtime/plan.h"
#include "init/base/err.h"

/* Writes both maps of the user namespace that pid is in. */
int idmap_write(pid_t pid, const struct plan_id_map *uids, size_t n_uids,
		const struct plan_id_map *gids, size_t n_gids, struct err *e);
/*
 * Takes a detached copy of what is at the mount's source (unless one is taken already), id-mapped
 * when the mount asks for that, into plan_mount.taken; done before the runner enters any namespace
 * of the container. A mount without maps of its own takes the container's.
 */
int idmap_take(const struct plan *p, struct plan_mount *m, struct err *e);

#endif
