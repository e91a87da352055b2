/*
 * Packed log files: what has been rotated away, compressed by gzip as path.N.gz.
 *
 * The worker "logpack" compresses descriptor 0 (a whole regular file of records) to descriptor 1
 * (an empty file). A packed file says in the comment of its gzip header which file it was: a reader
 * that has that one open, or was told its inode, finds its place again (container/log_part.h).
 */
#ifndef SKERRY_SHIM_LOGPACK_H
#define SKERRY_SHIM_LOGPACK_H

#include <stdint.h>

#include "init/base/err.h"

#define LOGPACK_WORKER "logpack"
#define LOGPACK_SUFFIX ".gz"

struct logpack_origin {
	uint64_t ino; /* of the file before it was packed */
	int64_t mtime_ns; /* its last write; with the inode it is that file and no other */
	uint64_t lines;
};

/* Reads the header of a packed file, at its beginning; -EINVAL when it is not one of ours. */
int logpack_origin_read(int fd, struct logpack_origin *ret);

/* Compresses all of `from` to `to` and syncs it. */
int logpack_file(int from, int to, struct err *e);
/* The role. */
int logpack_worker(int argc, char **argv);

#endif
