/*
 * From a tar stream into a directory of a container, as Docker unpacks what clients send.
 *
 * Unlike a layer (image/extract.h) the members go into a tree that is in use: what exists is merged
 * or replaced, links that exist are followed as far as the container's root, ".." may occur inside
 * of a name, ".wh." means nothing. A file appears under its name when it is complete, so neither a
 * full disk nor a client that goes away leaves half a file where a whole one was.
 *
 * The process's own root must be the container's (view.h), its umask 0. Called by the worker, in
 * its sandbox.
 */
#ifndef SKERRY_FILES_UNTAR_H
#define SKERRY_FILES_UNTAR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/data/archive.h"

enum {
	UNTAR_XATTR_MAX = 1 << 20, /* bytes of one entry's attributes, names included */
	/* bytes of the names of directories whose time is set at the end; those behind it keep
	 * the time of their last change */
	UNTAR_TIMES_MAX = 16 << 20,
};

struct untar_config {
	int dest; /* directory, O_PATH is enough */
	const char *dest_name; /* for messages */
	bool keep_kind; /* a directory does not replace another kind, nor the other way round */
	bool own; /* everything belongs to uid:gid, whatever the members say */
	uid_t uid;
	gid_t gid;
};

struct untar_result {
	uint64_t entries, bytes;
};

/* EINVAL for what an archive must not hold, else what the file system said (ENOSPC, EROFS, EBUSY
 * for a mount point); the text names the member. */
int untar(struct source *tar, const struct untar_config *cfg, struct untar_result *ret,
	  struct err *e);

#endif
