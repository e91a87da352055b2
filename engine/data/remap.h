/*
 * The map of users that containers get when their root is not to be the machine's: `userns-remap`
 * of system.yaml. Ids 0, 1, ... of the container are first, first + 1, ... of the machine, for
 * users and groups alike. Kept by each container as it was at its create.
 */
#ifndef SKERRY_DATA_REMAP_H
#define SKERRY_DATA_REMAP_H

#include <stdbool.h>
#include <stdint.h>

enum {
	REMAP_TEXT_MAX = 24,
	/* "default": what a user dockremap has in /etc/subuid */
	REMAP_DEFAULT_FIRST = 100000,
	REMAP_DEFAULT_COUNT = 65536,
	/* The machine's own users lie below, and a container expects to have as many ids. */
	REMAP_FIRST_MIN = 65536,
	REMAP_COUNT_MIN = 65536,
};

struct remap {
	uint32_t first, count; /* count 0: no map */
};

/* "" and NULL (no map), "default", "FIRST:COUNT". False when it is none of these or out of
 * bounds; *ret is then untouched. */
bool remap_parse(const char *text, struct remap *ret);
/* "FIRST:COUNT", "" without a map. */
const char *remap_text(const struct remap *m, char buf[REMAP_TEXT_MAX]);

#endif
