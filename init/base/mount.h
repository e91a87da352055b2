/*
 * Mounts by file descriptor (fsopen, fsconfig, fsmount, open_tree, move_mount, mount_setattr): a
 * path is resolved once, by the caller, and never again by the kernel.
 */
#ifndef SKERRY_BASE_MOUNT_H
#define SKERRY_BASE_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "init/base/err.h"

/* A new detached mount: type, "k=v" or flag options (NULL-terminated, may be NULL), MOUNT_ATTR_*
 * flags. Returns the mount fd. The kernel's own message (fsopen log) goes into e. */
int mount_new(const char *type, const char *source, const char *const *options, uint64_t attrs,
	      struct err *e);
/* A detached copy of what is mounted at fd (O_PATH or dirfd+path ""), recursive when asked.
 * Returns the mount fd. */
int mount_clone(int fd, bool recursive, struct err *e);
/* Sets and clears MOUNT_ATTR_* (and propagation: MS_PRIVATE, MS_SLAVE, MS_SHARED, or 0) on a
 * mount fd. */
int mount_attrs(int mount_fd, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive,
		struct err *e);
/* Maps the ids of a detached mount by a user namespace (MOUNT_ATTR_IDMAP), recursively when
 * asked. */
int mount_idmap(int mount_fd, int userns_fd, bool recursive, struct err *e);
/* Changes options of the file system that is mounted at fd (fspick); options as for mount_new. */
int mount_reconfigure(int fd, const char *const *options, struct err *e);
/* Attaches a detached mount at the O_PATH fd of its target. */
int mount_attach(int mount_fd, int target_fd, struct err *e);
/* All in one on a plain path of the host: mount_new + mount_attach at path (must exist). */
int mount_at(const char *type, const char *source, const char *path, const char *const *options,
	     uint64_t attrs, struct err *e);
/* Makes the mount at root_fd the root and the working directory of this process (in its own mount
 * namespace); nothing of the old root stays reachable. */
int mount_pivot(int root_fd, struct err *e);
/* umount2(path, flags); -EINVAL (not mounted) is an error like any other. */
int mount_detach(const char *path, int flags, struct err *e);
/* Whether path is the root of a mount (statx STATX_ATTR_MOUNT_ROOT). 1, 0 or -errno. */
int mount_is_point(int dirfd, const char *path);

#endif
