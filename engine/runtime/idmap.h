/*
 * Id maps: of a container's user namespace, and of id-mapped mounts, which take theirs from a user
 * namespace that is made for them alone.
 *
 * Used by the runner (create.c), which is privileged on the host; the container's process may not
 * be. The engine makes the user namespaces of its containers here (engine/container/userns.c).
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
 * of the container. A mount without maps of its own takes the container's: those of user_ns (a
 * descriptor that stays the caller's), or with -1 those of the plan.
 */
int idmap_take(const struct plan *p, struct plan_mount *m, int user_ns, struct err *e);

/*
 * A user namespace with these maps and nobody in it, as a descriptor. It lives as long as that, or
 * whatever else refers to it.
 */
int idmap_namespace(const struct plan_id_map *uids, size_t n_uids, const struct plan_id_map *gids,
		    size_t n_gids, struct err *e);
/* The user namespace that the namespace with this file belongs to, as a descriptor. */
int idmap_owner(const char *path, struct err *e);

#endif
