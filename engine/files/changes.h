/*
 * What a container changed in its file system, as `docker diff` tells it.
 *
 * Compared are the upper directory of its overlay, the layers below it, and both together, so
 * that neither whiteouts nor opaque directories have to be interpreted. What the runtime makes in
 * every container (the mount points of /proc, /sys, /dev, /etc/hosts, ...) is no change, as with
 * Docker, where a layer of its own holds it. The upper directory is hostile and changes meanwhile.
 * Called by the worker.
 */
#ifndef SKERRY_FILES_CHANGES_H
#define SKERRY_FILES_CHANGES_H

#include <stdbool.h>

#include "init/base/err.h"

enum change_kind { CHANGE_MODIFIED, CHANGE_ADDED, CHANGE_DELETED }; /* numbers of the API */

enum {
	CHANGES_DEPTH_MAX = 600, /* levels; five descriptors are open for each */
	CHANGES_DIR_MAX = 4 << 20, /* entries of one directory */
	CHANGES_PATH_MAX = 64 << 10, /* bytes */
	CHANGES_FILES = 5 * CHANGES_DEPTH_MAX + 64,
};

struct changes {
	int upper, merged, lower; /* directories; O_PATH is enough */
	bool whole; /* what is too deep or too long is an error, and not left out */
	/* each change, sorted by name in each directory; a directory is told at the latest
	 * before the first thing that was added to it or deleted from it. 0 or -errno, which
	 * ends the walk */
	int (*add)(struct changes *c, enum change_kind kind, const char *path, struct err *e);
};

int changes_walk(struct changes *c, struct err *e);

#endif
