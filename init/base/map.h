/*
 * struct map: string keys to pointers, in insertion order (so that output is stable).
 *
 * The map copies keys and owns them; values belong to the caller. Lookups hash with a per-process
 * random seed, so that hostile names cannot make it slow. Zero-initialised is empty.
 */
#ifndef SKERRY_BASE_MAP_H
#define SKERRY_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "init/base/util.h"

struct map_entry {
	char *key;
	void *value;
	size_t hash;
};

struct map {
	struct map_entry *entries; /* in order; key NULL marks a removed one */
	size_t used, live, cap;
	uint32_t *slots; /* index + 1 into entries, 0 empty */
	size_t n_slots;
};

void map_free(struct map *m); /* frees keys and tables, not the values */
DEFINE_CLEANUP_VALUE(struct map, map_free)
size_t map_len(const struct map *m);
void *map_get(const struct map *m, const char *key); /* NULL when absent */
bool map_has(const struct map *m, const char *key);
/* Adds or replaces; the old value (or NULL) goes to ret_old unless that is NULL. -ENOMEM. */
int map_put(struct map *m, const char *key, void *value, void **ret_old);
void *map_remove(struct map *m, const char *key); /* the value, or NULL */

/* Walks in order: size_t i = 0; while ((e = map_next(m, &i))) ... ; removing the current entry
 * is allowed. */
struct map_entry *map_next(const struct map *m, size_t *pos);

#endif
