/*
 * Tar archives written: pax format (POSIX.1-2001), record by record, nothing kept.
 *
 * An entry that fits into the old header is written with that alone, so that every reader takes it;
 * what does not fit (long names, names that are not ASCII, large sizes and owners, times before
 * 1970, extended attributes) goes into a pax header in front. Attributes are SCHILY.xattr records,
 * as GNU tar, libarchive and Go write them. Times have whole seconds, as Docker's archives do.
 *
 * The bytes go to a sink. Users: files/ (archives of a container's files), in their workers.
 */
#ifndef SKERRY_DATA_TAR_OUT_H
#define SKERRY_DATA_TAR_OUT_H

#include "engine/data/archive.h"
#include "init/base/buf.h"

/* Where bytes go. */
struct sink {
	int (*write)(struct sink *s, const void *data, size_t len, struct err *e); /* all of it */
};

struct tar_out {
	struct sink *to;
	int64_t left; /* content of the current file that is still to come, bytes */
	int64_t pad; /* then so many zeros up to the record's end */
	struct buf pax; /* records of the entry being written */
};

/* tar_out_free when done. */
void tar_out_init(struct tar_out *t, struct sink *to);
void tar_out_free(struct tar_out *t);
DEFINE_CLEANUP_VALUE(struct tar_out, tar_out_free)

/* Begins an entry; its name is written as it is, so a directory's ends in "/". The content of the
 * one before must be complete (-EINVAL). A file's content follows by tar_out_data; n_xattrs of the
 * entry is not used. */
int tar_out_entry(struct tar_out *t, const struct tar_entry *entry, const struct tar_xattr *xattrs,
		  size_t n_xattrs, struct err *e);
/* The next bytes of the content, NULL for zeros; more than its size is -EINVAL. */
int tar_out_data(struct tar_out *t, const void *data, int64_t len, struct err *e);
/* The end of the archive. */
int tar_out_end(struct tar_out *t, struct err *e);

#endif
