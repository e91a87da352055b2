/*
 * YAML: one document of a file as a tree of nodes that know their line, parsed by libyaml under
 * bounds.
 *
 * Merge keys (<<) are worked in, a key of the mapping itself wins. An alias is the same node again,
 * so a file of nested aliases ("billion laughs") costs nothing here; its expanded size is counted
 * and refused above YAML_WEIGHT_MAX, so that walking the tree is bounded too. Duplicate keys,
 * aliases to a node that is still open, several documents and other tags than the core schema's are
 * errors. Errors read "FILE:LINE: what". A node knows its document, so that a tree may be put
 * together from several files (compose's extends) and errors still name the right one.
 *
 * Users: settings.c (system.yaml), manifest/ (compose files).
 */
#ifndef SKERRY_DATA_YAML_H
#define SKERRY_DATA_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/base/err.h"
#include "init/base/util.h"

enum {
	YAML_SIZE_MAX = 1 << 20, /* bytes of a file */
	YAML_DEPTH_MAX = 48,
	YAML_NODES_MAX = 100000,
	YAML_KEYS_MAX = 4096, /* of one mapping: they are compared one by one */
	YAML_WEIGHT_MAX = 1000000, /* nodes when every alias is written out */
	YAML_MERGED_MAX = 50000, /* keys that merges (<<) look at in one file */
};

enum yaml_kind { YAML_SCALAR, YAML_MAP, YAML_LIST };

struct yaml_pair {
	const char *key;
	int line; /* of the key */
	struct yaml_node *value;
};

struct yaml_node {
	enum yaml_kind kind;
	int line; /* from 1 */
	const struct yaml_doc *doc;
	const char *text; /* scalar */
	bool plain; /* scalar written without quotes: may mean null, a boolean or a number */
	struct yaml_pair *pairs; /* map */
	struct yaml_node **items; /* list */
	size_t n;
	bool seen; /* for who walks the tree: a node of several aliases is one */
	/* internal */
	size_t weight;
	bool open;
};

struct yaml_doc {
	char *file; /* as it stands in errors */
	const char *name; /* for the caller: a copy that lives as long as it wants */
	struct yaml_node *root; /* an empty file has an empty map */
	struct yaml_node **nodes; /* all, for freeing */
	size_t n_nodes;
};

int yaml_parse(const char *text, size_t len, const char *file, struct yaml_doc **ret,
	       struct err *e);
void yaml_doc_free(struct yaml_doc *doc);
DEFINE_CLEANUP(struct yaml_doc *, yaml_doc_free)

/* "map", "list", "text", ... for errors */
const char *yaml_kind_name(const struct yaml_node *n);
/* The value of a key, or NULL (also when map is NULL). */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
/* Plain and one of "", ~, null (YAML 1.2 core schema, 10.3.2). NULL counts as null. */
bool yaml_is_null(const struct yaml_node *n);
/* Plain true, True, TRUE, false, ... -EINVAL else, without a text. */
int yaml_bool(const struct yaml_node *n, bool *ret);
/* A whole number (plain or quoted). -EINVAL, -ERANGE, without a text. */
int yaml_i64(const struct yaml_node *n, int64_t *ret);

/* New nodes of a document, for trees that are put together: they may hold nodes of other documents,
 * which must then live as long. NULL on failure, with e. */
struct yaml_node *yaml_node_new(struct yaml_doc *doc, enum yaml_kind kind, int line, struct err *e);
/* Adds or replaces; `line` is the key's. Weights are not counted. */
int yaml_set(struct yaml_node *map, const char *key, int line, struct yaml_node *value,
	     struct err *e);
int yaml_append(struct yaml_node *list, struct yaml_node *value, struct err *e);

/* "FILE:LINE: path: text", -EINVAL. path may be NULL. */
int yaml_err(const struct yaml_doc *doc, int line, const char *path, struct err *e, const char *fmt,
	     ...) __attribute__((format(printf, 5, 6)));

#endif
