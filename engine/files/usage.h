/*
 * What directories take on disk: containers' own files, volumes.
 *
 * The sum of the sizes of all files below, as Docker counts (directories and holes as their size
 * says, a file with several names once), other mounts left out. The walk is bounded in entries and
 * in time; what could not be counted to the end has no size. The engine's side is usage_op: it
 * collects paths under keys, has a worker count them, and then knows the sizes. Users: container/,
 * api/.
 */
#ifndef SKERRY_FILES_USAGE_H
#define SKERRY_FILES_USAGE_H

#include <stdint.h>

#include "engine/worker/worker.h"
#include "init/base/map.h"

enum {
	USAGE_ENTRIES_MAX = 20000000, /* of all paths together */
	USAGE_MS_MAX = 30000, /* for all of them */
	USAGE_DEPTH_MAX = 1000, /* levels of directories; one descriptor for each */
	USAGE_NAMES_MAX = 1 << 20, /* files with several names that are remembered */
	USAGE_PATHS_MAX = 65536,
	USAGE_FILES = USAGE_DEPTH_MAX + 64,
};

struct usage_limits {
	uint64_t entries; /* that may still be looked at */
	int64_t end_ns; /* monotonic */
};

/* Bytes of the files below an open directory, -EFBIG or -ETIMEDOUT at a limit. */
int64_t usage_count(int dir, struct usage_limits *limits);

/* Embedded by the caller, zeroed; usage_clear when it is done with. */
struct usage_op {
	/* called once, from the loop, never from inside a call here; r -errno with e: nothing is
	 * known */
	void (*done)(struct usage_op *u, int r, const struct err *e);

	/* private */
	struct worker worker;
	struct map sizes; /* key -> int64_t * */
	char **keys, **paths;
	size_t n;
};

int usage_add(struct usage_op *u, const char *key, const char *path, struct err *e);
int usage_start(struct usage_op *u, struct loop *loop, struct err *e);
/* Bytes, -1 when they are not known. */
int64_t usage_get(const struct usage_op *u, const char *key);
/* Ends it (done is not called any more) and frees what it holds. */
void usage_clear(struct usage_op *u);

#endif
