/*
 * Sources of bind mounts, and those among them that are taken in another mount namespace.
 *
 * A mount only reaches the host's mount namespace when the mount below which it is made belongs to
 * a peer group of that namespace. The container's namespace is a slave of the host's, so the copy
 * of a source with "shared" propagation is made in the origin, before the container's namespaces
 * exist. Facts: mount_namespaces(7), Documentation/filesystems/sharedsubtree.rst.
 */
#ifndef SKERRY_RUNTIME_ORIGIN_H
#define SKERRY_RUNTIME_ORIGIN_H

#include "engine/runtime/plan.h"
#include "init/base/err.h"

/* O_PATH descriptor of the source of a bind, its subpath resolved inside of it. */
int origin_open(const struct plan_mount *m, struct err *e);
/* In the runner: checks "shared" and "slave" binds against the mounts of the namespace `origin`
 * (-EINVAL with Docker's text) and leaves the trees of shared ones in their plan_mount.taken. */
int origin_take(struct plan *p, int origin, struct err *e);

#endif
