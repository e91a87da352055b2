/*
 * Single nodes of a tree that an archive is written to: made in an open directory, under a plain
 * name, with the metadata of a tar member.
 *
 * `name` never holds a slash; `dir` is reached through openat2 by the caller (extract.c of image/,
 * untar.c). Nothing here follows a symbolic link. `xattr_max` bounds one entry's extended
 * attributes: names and values together, bytes.
 */
#ifndef SKERRY_FILES_NODE_H
#define SKERRY_FILES_NODE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "engine/data/archive.h"
#include "init/base/err.h"

/* Whether owner, device number and time can be written at all. EINVAL with the reason. */
int node_check(const struct tar_entry *entry, struct err *e);
struct timespec node_mtime(const struct tar_entry *entry);
/* Whether an extended attribute of an archive is kept: security.capability, POSIX ACLs, user.*
 * except user.overlay.*. */
bool node_keeps_xattr(const char *name);
/* Removes what is there, a whole tree too; absent is fine. */
int node_remove(int dir, const char *name, struct err *e);

/* Content and metadata of an empty file that is open for writing; it need not have a name yet. */
int node_fill(struct tar_in *tar, const struct tar_entry *entry, int fd, uint64_t xattr_max,
	      struct err *e);
/* Each makes the node; the name must be free. */
int node_file(struct tar_in *tar, const struct tar_entry *entry, int dir, const char *name,
	      uint64_t xattr_max, struct err *e);
int node_dir(struct tar_in *tar, const struct tar_entry *entry, int dir, const char *name,
	     bool exists, uint64_t xattr_max, struct err *e);
int node_symlink(const struct tar_entry *entry, int dir, const char *name, struct err *e);
int node_special(const struct tar_entry *entry, int dir, const char *name,
		 struct err *e); /* devices, fifos */

/* Owner, mode, xattrs and time of an open file or directory. */
int node_dir_meta(struct tar_in *tar, const struct tar_entry *entry, int fd, uint64_t xattr_max,
		  struct err *e);

#endif
