/*
 * From a tree of files to a tar stream, as Docker's archiver writes it.
 *
 * Names are sorted in each directory. Links are entries of their own, never followed; a file that
 * has several names comes once, the others as hard links to it. Sockets are left out, and so is
 * what vanishes while it is read. Kernel file systems and, when asked for, other mounts are entered
 * as empty directories. The tree is hostile and changes meanwhile: every name is opened relative to
 * its directory's descriptor, without following links, and looked at again. Mounts of the tree must
 * be nodev, so that opening what became a device does nothing.
 *
 * The layer of a container is made of single nodes, named one by one (changes.h finds them), and of
 * whiteouts as the OCI image-spec has them (layer.md).
 *
 * Called by the worker; nothing grows with the tree but the list of files that have several names.
 */
#ifndef SKERRY_FILES_PACK_H
#define SKERRY_FILES_PACK_H

#include <stdint.h>
#include <sys/types.h>

#include "engine/data/tar_out.h"
#include "engine/files/stat.h"

enum {
	PACK_DEPTH_MAX = 1000, /* levels of directories; two descriptors are open for each */
	PACK_PATH_MAX = 64 << 10, /* bytes of a name in the archive */
	PACK_LINKS_MAX = 1 << 20, /* files with several names that are remembered */
	PACK_DIR_MAX = 4 << 20, /* entries of one directory */
	PACK_FILES = 2 * PACK_DEPTH_MAX + 64, /* descriptors that a worker needs for it */
};

struct pack_result {
	uint64_t entries;
	uint64_t left_out; /* sockets, what vanished, what is too deep */
};

/* What files_find found, named by Docker's rules: a directory comes with all that is below it, its
 * name in front ("etc/", "etc/passwd"; "./" for a path that ends in "/.", "/" for the root).
 * `no_devices`: device nodes on the file system of this number are left out; 0: none. Ends the
 * archive. -EPIPE when the reader has gone. */
int pack_found(const struct found *f, dev_t no_devices, struct sink *to, struct pack_result *ret,
	       struct err *e);
/* All that is below the directory `root`, without an entry for itself and without other mounts. */
int pack_root(int root, struct sink *to, struct pack_result *ret, struct err *e);

struct pack; /* a layer being written */

/* Nodes are those below the directory `root`, which has no other mounts in it. */
int pack_layer_begin(int root, struct sink *to, struct pack **ret, struct err *e);
/* One node ("/a/b"), a directory without what is below it. EINVAL for a name that means
 * something else in a layer. */
int pack_layer_node(struct pack *p, const char *path, struct err *e);
/* The mark of a node that the layers below have and this one takes away. */
int pack_layer_deleted(struct pack *p, const char *path, struct err *e);
/* Ends the archive if r, what came of the nodes, is 0; frees p. */
int pack_layer_end(struct pack *p, int r, struct pack_result *ret, struct err *e);

#endif
