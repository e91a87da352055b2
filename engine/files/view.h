/*
 * A container's file system as a worker sees it: its root and what is mounted in it, in a mount
 * namespace of the worker's own.
 *
 * A running container: the worker enters its mount namespace, by pidfd, and takes a copy of it;
 * kernel file systems (/proc, /sys, ...) are taken off the copy, as an archive of them means
 * nothing. If it has a user namespace the worker becomes root in that: so it sees and gives ids as
 * the container does, and can do no more there than it. A stopped one: its overlay and its volumes
 * and binds are mounted anew; the ids on disk are the container's. All mounts of the view are
 * nosuid, nodev and noexec, and read-only unless it is asked for to write. Nothing of the machine's
 * own tree can be reached any more when the process's root is the container's.
 *
 * The request comes from the engine and is trusted; what lies in the container is not, so every
 * target of a mount is resolved below its root. Called by worker.c before the sandbox, needs root.
 */
#ifndef SKERRY_FILES_VIEW_H
#define SKERRY_FILES_VIEW_H

#include <linux/mount.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "init/base/err.h"

/* attributes of every mount of a view, and of one that is read */
#define VIEW_HARMLESS (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define VIEW_HARMLESS_READ (VIEW_HARMLESS | MOUNT_ATTR_RDONLY)

enum { VIEW_MOUNTS_MAX = 1024, VIEW_LAYERS_MAX = 500 /* overlayfs' own limit */ };

struct view_mount {
	const char *source; /* on the machine; where there is nothing, nothing is mounted */
	const char *subpath; /* below the source, resolved inside of it; NULL or "": none */
	const char *destination;
	bool read_only, recursive;
};

struct view_request {
	bool write; /* the root may be written to (but see root_read_only) */
	bool bare; /* the root file system alone, without what is mounted in it */
	int pidfd; /* a process of the running container, -1: it is stopped */
	bool user_ns; /* which has a user namespace of its own */
	/* of a stopped one */
	char *const *layers; /* of the image, topmost first */
	const char *upper, *work; /* the container's own part of the overlay */
	bool root_read_only;
	const struct view_mount *mounts; /* parents first */
	size_t n_mounts;
};

struct view {
	int root; /* O_PATH; unless `bare` it is this process's root too */
	bool own_root; /* it is */
	dev_t dev; /* of the file system at /dev, 0 when it is the root's: device nodes there are
		    * the runtime's, not the container's data */
};

int view_enter(const struct view_request *q, struct view *ret, struct err *e);
/* A mount of `layers` (topmost first) over each other, read-only and attached nowhere; -errno. */
int view_layers(char *const *layers, struct err *e);

/* Whether the file system of an open file is one that the kernel makes up (procfs, sysfs, ...):
 * its files have no size and its directories no end. */
bool view_is_pseudo(int fd);

#endif
