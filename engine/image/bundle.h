/*
 * An image archive, as a table of its members: which names there are, and where their bytes can be
 * had.
 *
 * Members of an archive come in any order, so a first pass notes all names and keeps copies in the
 * spool folder: of the documents (JSON up to IMAGE_DOCUMENT_MAX), and, when the input cannot be
 * read again, of everything. Names are clean relative paths; symbolic and hard links lead to other
 * names. Runs in the sandboxed worker; callers: plan.c, unpack.c.
 */
#ifndef SKERRY_IMAGE_BUNDLE_H
#define SKERRY_IMAGE_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/data/archive.h"
#include "engine/image/limits.h"
#include "init/base/err.h"
#include "init/base/map.h"

struct bundle_entry {
	const char *name; /* the table's */
	char *link; /* the name that it stands for; NULL for a file */
	int64_t size; /* bytes of a file */
	bool spooled; /* spool/<number> holds it */
	bool document; /* looks like JSON and is small enough */
	size_t number;
};

struct bundle {
	struct map names; /* name -> struct bundle_entry */
	int spool; /* directory fd, the caller's */
	size_t n_documents;
	const struct image_limits *limits;
};

/* Reads the whole archive. `spool`: directory for the copies, `all`: copy everything. The caller
 * frees the bundle in any case. */
int bundle_read(struct bundle *b, struct tar_in *tar, int spool, bool all,
		const struct image_limits *limits, struct err *e);
void bundle_free(struct bundle *b);
DEFINE_CLEANUP_VALUE(struct bundle, bundle_free)

/* The file behind a name, links followed; NULL when there is none. */
struct bundle_entry *bundle_find(const struct bundle *b, const char *name);
/* The text of a document in new memory. -ENOENT "the archive has no ...", -EFBIG. */
int bundle_document(const struct bundle *b, const char *name, char **ret_text, size_t *ret_len,
		    struct err *e);
/* Opens the copy of a spooled entry for reading. */
int bundle_open(const struct bundle *b, const struct bundle_entry *entry, struct err *e);
/* Deletes the copy, to give its space back early. */
void bundle_drop(const struct bundle *b, struct bundle_entry *entry);
/* Renames the copy within the spool folder: it is a blob now. */
int bundle_give(const struct bundle *b, struct bundle_entry *entry, const char *name,
		struct err *e);

#endif
