/*
 * Between archive.c, gunzip.c and tar.c: how a source feeds libarchive, and how its errors come
 * back.
 *
 * A bridge is the client data of one libarchive reader. It may hold a first block that was looked
 * at already; and it keeps the source's own error, which says more than libarchive's.
 */
#ifndef SKERRY_DATA_ARCHIVE_PRIV_H
#define SKERRY_DATA_ARCHIVE_PRIV_H

#include <archive.h>

#include "engine/data/archive.h"

struct bridge {
	struct source *from;
	struct err err; /* of the source, code 0 while it has none */
	const char *kept; /* given before anything else is read */
	size_t kept_len;
	char *copy; /* owned memory behind `kept`, or NULL */
};

void bridge_keep(struct bridge *b, const void *block, size_t len); /* the source's block */
int bridge_keep_copy(struct bridge *b, const void *block, size_t len); /* appends; -ENOMEM */
ssize_t bridge_next(struct bridge *b, const void **ret_block, struct err *e);
la_ssize_t bridge_read(struct archive *a, void *data, const void **ret_block);
la_int64_t bridge_skip(struct archive *a, void *data, la_int64_t request);
/* Fills e from the source's error or libarchive's text ("bad WHAT data: ..."). Returns -errno. */
int bridge_error(struct bridge *b, struct archive *a, const char *what, struct err *e);
void bridge_free(struct bridge *b);

/* ---- gunzip.c ---- */
struct gunzip;
/* Keeps `from`, which must outlive it. */
int gunzip_open(struct bridge *from, struct gunzip **ret, struct err *e);
struct source *gunzip_source(struct gunzip *g);
void gunzip_free(struct gunzip *g); /* NULL is fine */

#endif
