/*
 * Files: bounded reads, durable writes, recursive removal by fd.
 *
 * "Durable" follows DESIGN.md section 3: temporary file in the same directory, write, fsync,
 * rename, fsync of the directory. Functions with dirfd take AT_FDCWD too. None follows a final
 * symlink on writing.
 */
#ifndef SKERRY_BASE_FILE_H
#define SKERRY_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "init/base/buf.h"
#include "init/base/err.h"

/* Temporary files of file_replace start so; whoever owns a directory removes stale ones at
 * start. */
#define FILE_TEMP_PREFIX ".tmp-"

/* Reads a whole regular (or proc/sys) file of at most `max` bytes into new memory,
 * NUL-terminated. -EFBIG when longer, -EINVAL when it is not a regular file (fifo, device:
 * opened O_NONBLOCK first). */
int file_read(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len,
	      struct err *e);
/* The same from an open fd, up to its end. */
int file_read_fd(int fd, size_t max, char **ret_data, size_t *ret_len, struct err *e);

/* Writes all bytes (handles short writes and EINTR). */
int file_write_all(int fd, const void *data, size_t len, struct err *e);
/* One write to an existing file, for proc, sys and cgroup knobs; no create, no truncate. */
int file_put(int dirfd, const char *path, const char *text, struct err *e);
/* Creates or replaces `path`, durably when `durable`, else only atomically. */
int file_replace(int dirfd, const char *path, const void *data, size_t len, mode_t mode,
		 bool durable, struct err *e);
/* fsync of the directory that holds entries just made, renamed or removed. */
int dir_sync(int dirfd, const char *path, struct err *e);

/* mkdir with all parents; existing directories are fine (-ENOTDIR otherwise). */
int dir_make(int dirfd, const char *path, mode_t mode, struct err *e);
/* Removes a file or a whole tree, never following symlinks nor crossing mounts; absent is fine. */
int tree_remove(int dirfd, const char *path, struct err *e);
/* The same for a directory, within bounds: -E2BIG, with some of it removed, when it holds more. */
struct tree_budget {
	size_t entries;
	uint64_t bytes; /* on disk */
};
int tree_remove_some(int dirfd, const char *path, struct tree_budget budget, struct err *e);
/* Calls fn for each entry but . and .., in byte order of the names, at most `max` entries
 * (-E2BIG). fn returns 0 or an error that ends the walk. */
int dir_each(int dirfd, const char *path, size_t max,
	     int (*fn)(int dirfd, const char *name, void *data, struct err *e), void *data,
	     struct err *e);

int fd_set_nonblock(int fd, bool on);
int fd_set_cloexec(int fd, bool on);

#endif
