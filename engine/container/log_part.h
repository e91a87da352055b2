/*
 * One file of a container's log, plain or packed (shim/logpack.h): read as the same text, and known
 * again after it was renamed or packed.
 *
 * Positions are offsets in the text. A file that is open here keeps its identity: its inode is not
 * given to another one. Used by logs.c.
 */
#ifndef SKERRY_CONTAINER_LOG_PART_H
#define SKERRY_CONTAINER_LOG_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "init/base/util.h"

struct log_part; /* opaque */

/* path (number 0), path.N or path.N.gz; NULL when there is none. */
struct log_part *log_part_open(const char *path, unsigned int number);
void log_part_free(struct log_part *p);
DEFINE_CLEANUP(struct log_part *, log_part_free)

/* The same text? True also for a plain file and what it has been packed to. */
bool log_part_same(const struct log_part *a, const struct log_part *b);
/* Inode of the plain file, also when it is packed now. */
uint64_t log_part_ino(const struct log_part *p);
/* Bytes, 0 when there are none now (or the file is damaged from here on). */
size_t log_part_read(struct log_part *p, char *buf, size_t len);
/* Where the next read begins. */
int64_t log_part_at(const struct log_part *p);
void log_part_to_end(struct log_part *p);
/* Goes to the last *lines lines and sets 0, or to the beginning and takes off what there is. */
void log_part_to_tail(struct log_part *p, int64_t *lines);

#endif
