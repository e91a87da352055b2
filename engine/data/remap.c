/*
 * Reading and writing the map of users (see remap.h). Pure; used by the settings, by main.c and by
 * the documents of containers.
 */
#include "engine/data/remap.h"

#include <stdlib.h>
#include <string.h>

#include "init/base/str.h"

/* The last id is "none" everywhere (chown's -1). */
static bool in_bounds(uint64_t first, uint64_t count)
{
	return first >= REMAP_FIRST_MIN && count >= REMAP_COUNT_MIN && first < UINT32_MAX &&
	       count < UINT32_MAX && first + count < UINT32_MAX;
}

bool remap_parse(const char *text, struct remap *ret)
{
	struct remap m = { REMAP_DEFAULT_FIRST, REMAP_DEFAULT_COUNT };
	const char *colon = text ? strchr(text, ':') : NULL;
	_cleanup_(mem_free) char *head = colon ? strndup(text, (size_t)(colon - text)) : NULL;
	uint64_t first, count;

	if (str_empty(text)) {
		m = (struct remap){ 0 };
	} else if (!str_eq(text, "default")) {
		if (!head || str_to_u64(head, &first) < 0 || str_to_u64(colon + 1, &count) < 0 ||
		    !in_bounds(first, count))
			return false;
		m = (struct remap){ (uint32_t)first, (uint32_t)count };
	}
	*ret = m;
	return true;
}

const char *remap_text(const struct remap *m, char buf[REMAP_TEXT_MAX])
{
	buf[0] = '\0';
	if (m->count)
		(void)str_format(buf, REMAP_TEXT_MAX, "%u:%u", m->first, m->count);
	return buf;
}
