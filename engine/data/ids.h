/*
 * Identifiers: 64 random hexadecimal digits, found again by any unique prefix, as in Docker.
 *
 * Called by container/, net/, shim/ for their objects. Names are in names.h.
 */
#ifndef SKERRY_DATA_IDS_H
#define SKERRY_DATA_IDS_H

#include <stdbool.h>

#include "init/base/err.h"
#include "init/base/map.h"

enum { ID_LEN = 64, ID_SHORT_LEN = 12 };

/* A new random id; its first 12 digits hold a letter, since they become a hostname. */
int id_new(char ret_id[ID_LEN + 1], struct err *e);
bool id_valid(const char *s); /* exactly 64 lower-case digits */
bool id_is_prefix(const char *s); /* 1 to 64 lower-case digits */

/* The value whose key is an id that starts with `prefix`. -ENOENT when none does, -EINVAL when
 * several do; both without a text: the caller knows what the objects are called. */
int id_find(const struct map *by_id, const char *prefix, void **ret_value);

#endif
