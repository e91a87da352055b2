/*
 * One layer: from a stream of tar members to a directory that overlayfs can use.
 *
 * Runs in the sandboxed worker. Everything is written below `root` through openat2, whatever names
 * and links the archive holds. Two things need rights that the worker does not have or other layers
 * that it does not see, so they are written down and done later by the store worker (finish.c):
 * opaque directories, and the owners and modes of directories that the archive implies but does not
 * describe.
 *
 * Notes file: records `o<path>` (opaque) and `i<path>` (implied), each ended by a NUL, in the order
 * of creation; paths are relative to root, those of opaque directories have no links in them.
 */
#ifndef SKERRY_IMAGE_EXTRACT_H
#define SKERRY_IMAGE_EXTRACT_H

#include <stdint.h>

#include "engine/data/archive.h"
#include "engine/image/limits.h"
#include "init/base/err.h"

struct extract_config {
	int root; /* directory of the layer's tree: empty, ours */
	int notes_fd; /* where the notes are appended */
	const struct image_limits *limits;
};

struct extract_result {
	uint64_t entries; /* members of the archive */
	uint64_t bytes; /* bytes of its regular files, holes included */
};

/* Writes every member of the tar stream. Needs umask 0. EINVAL for what an archive must not
 * hold, EFBIG for a limit, else what the file system said; the text names the member. */
int extract_layer(struct source *tar, const struct extract_config *cfg, struct extract_result *ret,
		  struct err *e);

/* Cleans a member's name: no leading "/" and "./", no empty or "." components; "" is the root
 * itself. `dst` has PATH_MAX bytes. EINVAL for "..", ENAMETOOLONG, EFBIG over `depth`
 * components. */
int extract_clean_path(char *dst, const char *path, uint64_t depth, struct err *e);

enum { NOTES_MAX = 256 << 20 }; /* bytes; bounded by the entry limit in practice */

#endif
