/*
 * The `filters` query parameter: {"key":["value",...]} or {"key":{"value":true,...}}.
 *
 * Values of one key are alternatives (for labels: all have to match), keys have to match all. A key
 * that was not given matches everything. Used by every list and by events.
 */
#ifndef SKERRY_API_FILTERS_H
#define SKERRY_API_FILTERS_H

#include <stdbool.h>
#include <stddef.h>

#include "init/base/err.h"
#include "init/base/util.h"

struct filters;

enum { FILTER_KEYS_MAX = 32, FILTER_VALUES_MAX = 1024 };

/* NULL and "" give no filters. `allowed`: NULL-terminated names; another one is -EINVAL "invalid
 * filter 'x'". Free with filters_free. */
int filters_parse(const char *text, const char *const *allowed, struct filters **ret,
		  struct err *e);
void filters_free(struct filters *f);
DEFINE_CLEANUP(struct filters *, filters_free)

bool filters_has(const struct filters *f, const char *key);
size_t filters_count(const struct filters *f, const char *key);
const char *filters_value(const struct filters *f, const char *key,
			  size_t i); /* NULL behind the last */
/* One value is `text`. */
bool filters_exact(const struct filters *f, const char *key, const char *text);
/* One value is `text` or its beginning. */
bool filters_prefix(const struct filters *f, const char *key, const char *text);
/* One value, as a regular expression, is found in `text` (plain substring when it is none). */
bool filters_regex(const struct filters *f, const char *key, const char *text);
/* Each value "key" or "key=value" is there; get gives a label's value or NULL. */
bool filters_labels(const struct filters *f, const char *key,
		    const char *(*get)(const void *object, const char *label), const void *object);
/* "true"/"1", "false"/"0"; absent leaves *value. -EINVAL "invalid filter 'key=[value]'". */
int filters_bool(const struct filters *f, const char *key, bool *value, struct err *e);

#endif
