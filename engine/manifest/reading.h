/*
 * Inside of manifest/: one reading of a compose file. Its documents (its own, those of extends),
 * its variables, and what its services need to know of the project while they are read.
 */
#ifndef SKERRY_MANIFEST_READING_H
#define SKERRY_MANIFEST_READING_H

#include "engine/manifest/compose.h"
#include "engine/manifest/value.h"
#include "engine/manifest/vars.h"

enum {
	READING_DOCS_MAX = 32, /* files of one project */
	READING_CHAIN_MAX = 32, /* services that extend each other */
	READING_FILE_MAX = YAML_SIZE_MAX, /* bytes of an env file or a compose file */
};

/* A config or secret of the top level. */
struct stored_file {
	char *key;
	char *data;
	size_t len;
};

struct reading {
	struct compose_project *project;
	const struct compose_config *cfg;
	struct yaml_doc *docs[READING_DOCS_MAX]; /* the first is the project's own */
	size_t n_docs;
	struct vars vars;
	char **profiles; /* active ones */
	char **inputs; /* paths that were looked at besides the first document */
	struct stored_file *stored[2]; /* configs, secrets */
	size_t n_stored[2];
};

void reading_free(struct reading *rd);
DEFINE_CLEANUP_VALUE(struct reading, reading_free)

/* Parses, fills variables in (but for the first document, see reading_expand) and keeps it. */
int reading_parse(struct reading *rd, const char *text, size_t len, const char *file,
		  struct yaml_doc **ret, struct err *e);
/* Reads the .env file beside the first document; none is fine. */
int reading_env(struct reading *rd, struct err *e);
/* Fills the variables of a value and all below it in. */
int reading_expand(struct reading *rd, struct yaml_node *n, const char *path, struct err *e);
/* Notes that a file counts. -E2BIG. */
int reading_input(struct reading *rd, const char *path, struct err *e);
/* A file that a value names, relative to the folder of the file that the value stands in; content
 * in new memory. -ENOENT and others without a place. */
int reading_file(struct reading *rd, const struct yaml_node *at, const char *name, size_t max,
		 char **ret, size_t *ret_len, struct err *e);
/* That path, absolute, new memory. */
char *reading_path(const struct yaml_node *at, const char *name);
/* The place of a value; the file's name is kept by the project. */
struct compose_spot reading_spot(const struct yaml_node *n, int line);
/* "FILE:LINE: path: text", -EINVAL. */
int spot_err(struct compose_spot at, const char *path, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* extends.c: every service of the first document becomes what it is with what it extends. */
int extends_resolve(struct reading *rd, struct err *e);

/* contents.c: the top-level keys configs and secrets; `kind` 0 configs, 1 secrets. */
int contents_read(struct reading *rd, int kind, const struct yaml_node *n, struct err *e);

/* networks.c: the top-level key networks. */
int networks_read(struct reading *rd, const struct yaml_node *n, struct err *e);
/* By key; the network `default` is made when it is not there. NULL: unknown, or no memory. */
struct compose_network *networks_get(struct compose_project *p, const char *key);

/* compose.c: letters, digits, - _ . */
bool compose_key_valid(const char *s);

#endif
