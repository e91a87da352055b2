/*
 * The log file of a container in Docker's json-file format, written by its shim.
 *
 * One line of output is one JSON object: {"log":"text\n","stream":"stdout","time":"…"}; a line over
 * LOG_LINE_BYTES comes in pieces without the "\n", as Docker's copier cuts it. Files are rotated by
 * size: path, path.1, … path.(max_file - 1); with compression a rotated file becomes path.N.gz a
 * while later (logpack.h).
 */
#ifndef SKERRY_SHIM_LOGFILE_H
#define SKERRY_SHIM_LOGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/data/lines.h"
#include "init/base/err.h"
#include "init/base/util.h"

enum { LOG_LINE_BYTES = LINE_BYTES };

enum log_stream { LOG_STDOUT, LOG_STDERR, LOG_STREAMS };

struct logfile; /* opaque */

/* Opens (appends to) path. attrs_json: an object for "attrs" in each record, or NULL. max_size
 * 0: no rotation. */
int logfile_open(const char *path, uint64_t max_size, unsigned int max_file, const char *attrs_json,
		 struct logfile **ret, struct err *e);
/* Compresses what is rotated away from now on, and what an earlier run left uncompressed; one
 * process at a time, whose end the owner hands to logfile_reaped. */
void logfile_compress(struct logfile *l);
/* Was pid that process? Then its file takes its place. */
bool logfile_reaped(struct logfile *l, pid_t pid, int status);
/* Takes output as it comes; complete lines are in the file when it returns. A full disk loses
 * lines, never blocks. */
void logfile_write(struct logfile *l, enum log_stream stream, const char *data, size_t len,
		   int64_t real_ns);
/* The end of a stream: what is left of an unfinished line is written. */
void logfile_end(struct logfile *l, enum log_stream stream);
/* Writes what there is of unfinished lines, so that the file holds all output so far; the rest of
 * such a line comes as a further record. Returns the file's inode, 0 when there is none. */
uint64_t logfile_sync_lines(struct logfile *l);
/* Bytes in the current file. */
int64_t logfile_size(const struct logfile *l);
void logfile_free(struct logfile *l);
DEFINE_CLEANUP(struct logfile *, logfile_free)

#endif
