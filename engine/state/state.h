/*
 * Engine state: one JSON object = one file, durable when written, checked when read.
 *
 * Memory is a cache of these files (DESIGN.md sections 1 and 3). A file that is damaged (too long,
 * no JSON, no object) never stops the engine: it is renamed to NAME.bad, that is logged once, and
 * the reader goes on without it. Paths may be relative to a dirfd or absolute with AT_FDCWD. Called
 * by container/, image/, net/, volume/, manifest/.
 */
#ifndef SKERRY_STATE_STATE_H
#define SKERRY_STATE_STATE_H

#include <stddef.h>

#include "engine/data/json.h"
#include "init/base/err.h"

#define STATE_SUFFIX ".json"
#define STATE_BAD_SUFFIX ".bad"

enum { STATE_FILES_MAX = 65536 }; /* documents in one directory */

/* Creates or replaces the document (mode 0600). When it returns 0 a power cut does not lose it;
 * when it fails the old document is there as it was. On a full disk the reserve (reserve.h) makes
 * room. */
int state_write(int dirfd, const char *path, const char *text, size_t len, struct err *e);

/* Reads a document of at most `max` bytes whose value is an object. -ENOENT when there is none,
 * -EBADMSG when it was damaged and is now at NAME.bad (logged here already). */
int state_read(int dirfd, const char *path, size_t max, yyjson_doc **ret_doc, struct err *e);

/* Removes the document, durably; absent is fine. */
int state_remove(int dirfd, const char *path, struct err *e);

/* Calls fn for each NAME.json of the directory, in byte order, with NAME and the document's root
 * (valid inside the call). Damaged ones are put aside, temporary files of interrupted writes
 * removed. fn returns 0, or an error that ends the walk. A missing directory is empty. */
int state_each(int dirfd, const char *dir, size_t max,
	       int (*fn)(const char *name, yyjson_val *root, void *data, struct err *e), void *data,
	       struct err *e);

/* Removes what interrupted writes left in the directory (FILE_TEMP_PREFIX). */
int state_clean(int dirfd, const char *dir, struct err *e);

#endif
