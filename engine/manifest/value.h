/*
 * Typed reading of one YAML value for compose files, with the place in every error.
 */
#ifndef SKERRY_MANIFEST_VALUE_H
#define SKERRY_MANIFEST_VALUE_H

#include "engine/data/bind.h"
#include "engine/data/yaml.h"
#include "init/base/err.h"

enum { PLACE_MAX = 200 };

/* Where a value stands: its document and "services.web.ports[0]". */
struct place {
	const struct yaml_doc *doc;
	char path[PLACE_MAX];
};

/* The place of a member or (key NULL) of element `index`. A path that grows too long is cut. */
struct place place_at(const struct place *p, const char *key, size_t index);

/* "FILE:LINE: path: expected WANT, not a list"; -EINVAL */
int value_wrong(const struct place *p, const struct yaml_node *n, const char *want, struct err *e);

int value_text(const struct place *p, const struct yaml_node *n, char **ret, struct err *e);
int value_bool(const struct place *p, const struct yaml_node *n, bool *ret, struct err *e);
int value_i64(const struct place *p, const struct yaml_node *n, int64_t *ret, struct err *e);
int value_bytes(const struct place *p, const struct yaml_node *n, int64_t *ret, struct err *e);
int value_nano_cpus(const struct place *p, const struct yaml_node *n, int64_t *ret, struct err *e);
int value_duration(const struct place *p, const struct yaml_node *n, int64_t *ret_ns,
		   struct err *e);
/* A list of texts (numbers count), or one text. */
int value_words(const struct place *p, const struct yaml_node *n, char ***ret, struct err *e);
/* A command: a list, or one text split as a shell splits words (quotes and backslashes, no
 * expansion). */
int value_command(const struct place *p, const struct yaml_node *n, char ***ret, struct err *e);
/* A mapping, or a list of "KEY=value" ("KEY" alone: value ""). */
int value_pairs(const struct place *p, const struct yaml_node *n, struct bind_pairs *ret,
		struct err *e);
/* environment: as value_pairs, into "KEY=value" entries over what is there; a KEY without value
 * is left out. */
int value_env(const struct place *p, const struct yaml_node *n, char ***env, struct err *e);

enum value_type {
	VALUE_LATER, /* known to the compose-spec, not supported yet */
	VALUE_CALL, /* fn reads it */
	VALUE_SKIP, /* means nothing here (version) */
	VALUE_TEXT,
	VALUE_BOOL,
	VALUE_I64,
	VALUE_BYTES,
	VALUE_CPUS, /* to nanocpus */
	VALUE_DURATION, /* to ns */
	VALUE_WORDS,
	VALUE_COMMAND,
	VALUE_PAIRS,
	VALUE_ENV,
};

/* One key of a mapping: what it is and where in the target it goes. */
struct key_row {
	const char *key;
	enum value_type type;
	size_t offset;
	int (*fn)(void *target, const struct place *p, const struct yaml_node *n, struct err *e);
};

/* Walks a mapping by its table. Keys that start with x- are skipped; others that are not in it
 * are an error that names the nearest known key. null values are skipped. */
int value_map(const struct place *p, const struct yaml_node *n, const struct key_row *rows,
	      size_t n_rows, void *target, struct err *e);

#endif
