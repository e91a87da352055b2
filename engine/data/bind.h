/*
 * Binding of JSON objects to C structs by table: one row per key names its type and its place, and
 * the same table reads, writes and frees. So a document of the API is described once.
 *
 * Keys match without regard to case when the exact one is absent, as Go's decoder does. null means
 * "not given". A key that is in no table is ignored (as Docker does); a key that we know and do not
 * support has type BIND_REFUSED and fails with EOPNOTSUPP and its name unless its value is empty
 * (null, false, 0, "", [], {}).
 *
 * Who calls it: container/ (Config, HostConfig, NetworkingConfig, its own documents), image/,
 * volume/, manifest/.
 */
#ifndef SKERRY_DATA_BIND_H
#define SKERRY_DATA_BIND_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "engine/data/json.h"
#include "init/base/err.h"

enum bind_type {
	BIND_TEXT, /* char *; NULL when not given */
	BIND_BOOL, /* bool */
	BIND_OPT_BOOL, /* int8_t: 0, 1, BIND_UNSET_BOOL */
	BIND_I64, /* int64_t */
	BIND_OPT_I64, /* int64_t, BIND_UNSET_I64 when not given */
	BIND_STRV, /* char **: array of strings */
	BIND_WORDS, /* char **: array of strings, or one string (one element) */
	BIND_PAIRS, /* struct bind_pairs: object of strings */
	BIND_SET, /* char **: object whose values are empty objects (ExposedPorts, Volumes) */
	BIND_OBJECT, /* struct of table `of`, embedded */
	BIND_POINTER, /* pointer to a struct of table `of`, NULL when not given */
	BIND_LIST, /* struct bind_list of structs of table `of` */
	/* The same, from an object: the struct's first member and first row is a BIND_TEXT with key
	 * "", the object's key. */
	BIND_DICT,
	/* struct bind_list of struct bind_named_list: object of arrays of structs of table `of` */
	BIND_LISTS,
	BIND_JSON, /* char *: the value's JSON text, kept as it is */
	BIND_REFUSED, /* known, not supported */
	BIND_FIXED, /* known, ignored when read; written as `empty` */
};

#define BIND_UNSET_BOOL (-1)
#define BIND_UNSET_I64 INT64_MIN

enum { BIND_ITEMS_MAX = 8192 }; /* elements of one array or object */

struct bind_table;

struct bind {
	const char *key;
	enum bind_type type;
	size_t offset;
	const struct bind_table *of;
	/* JSON written when not given; NULL: the type's own (null, false, 0, ""); "": the key is
	 * left out (BIND_LIST only) */
	const char *empty;
};

struct bind_table {
	const struct bind *rows;
	size_t n_rows;
	size_t size; /* of the struct */
};

#define BIND_TABLE(name, type, rows_)                                 \
	const struct bind_table name = { .rows = rows_,               \
					 .n_rows = ARRAY_SIZE(rows_), \
					 .size = sizeof(type) }

struct bind_list {
	void *items; /* n structs in a row */
	size_t n;
};

struct bind_named_list {
	char *key;
	struct bind_list list;
};

struct bind_pair {
	char *key, *value;
};

struct bind_pairs {
	struct bind_pair *v;
	size_t n;
};

/* The state "nothing given"; needed before any other use of the struct. */
void bind_init(const struct bind_table *t, void *obj);
/* Frees what the members own (not obj itself) and leaves it initialised. */
void bind_free(const struct bind_table *t, void *obj);
/* Reads val, which must be an object (or null: nothing given), into an initialised struct.
 * `where` is put in front of the key in errors ("HostConfig"), "" for none. On failure what was
 * read stays owned by the struct. */
int bind_read(const struct bind_table *t, yyjson_val *val, void *obj, const char *where,
	      struct err *e);
/* Writes the struct as an object. */
void bind_write(const struct bind_table *t, const void *obj, struct json_writer *w);
/* Writes only the members, into an object that the caller has begun. */
void bind_write_members(const struct bind_table *t, const void *obj, struct json_writer *w);
/* Deep copy into an initialised struct. */
int bind_copy(const struct bind_table *t, const void *from, void *to, struct err *e);

/* A new initialised element at the end, or NULL on ENOMEM; valid until the next one. */
void *bind_list_add(const struct bind_table *t, struct bind_list *list);
/* The named list with this key in a BIND_LISTS, made when absent. NULL on ENOMEM. */
struct bind_list *bind_lists_get(struct bind_list *lists, const char *key);

const char *pairs_get(const struct bind_pairs *p, const char *key); /* or NULL */
int pairs_set(struct bind_pairs *p, const char *key,
	      const char *value); /* adds or replaces; -ENOMEM */
void pairs_free(struct bind_pairs *p);

#endif
