/*
 * What a container uses: processor, memory, input and output, processes, network. GET
 * /containers/{id}/stats shows it.
 *
 * One sample is some small reads of its cgroup's files, /proc/stat and one netlink question per
 * endpoint; nothing of it blocks. All who watch a container share one feed, which takes a sample
 * each STATS_TICK_MS while somebody watches, so that a thousand watchers cost one reading.
 */
#ifndef SKERRY_CONTAINER_STATS_H
#define SKERRY_CONTAINER_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/container/container.h"
#include "engine/net/net.h"

enum {
	STATS_TICK_MS = 1000, /* as Docker's collector */
	STATS_IO_MAX = 64, /* block devices of one container */
	STATS_MEMORY_KEYS = 31, /* of memory.stat, those that Docker names */
};

extern const char *const stats_memory_names[STATS_MEMORY_KEYS];

struct stats_cpu {
	uint64_t total_us, user_us, kernel_us; /* of the container */
	uint64_t system_ns; /* of the machine, all processors together */
	uint64_t online; /* processors */
	uint64_t periods, throttled, throttled_us; /* of its quota */
};

struct stats_io {
	uint32_t major, minor;
	uint64_t read, written; /* bytes */
};

struct container_stats {
	int64_t read_ns; /* wall clock; 0: it did not run, everything else is 0 too */
	struct stats_cpu cpu;
	uint64_t memory_usage, memory_limit; /* bytes; without a limit what the machine has */
	uint64_t memory_failures; /* times that the limit was hit for good (memory.events oom) */
	uint64_t memory[STATS_MEMORY_KEYS];
	uint64_t pids, pids_limit; /* UINT64_MAX: none */
	struct stats_io io[STATS_IO_MAX];
	size_t n_io;
	struct net_stats nets[NET_ENDPOINTS_MAX];
	size_t n_nets;
};

/* One sample. What cannot be read (the container ends just now) stays 0: this does not fail. */
void container_stats(struct container *c, struct container_stats *ret);

struct stats_watch {
	/* Each sample; may unwatch. Never from inside container_stats_watch. */
	void (*fn)(struct stats_watch *sw, const struct container_stats *now);
	/* The container is removed; it is unwatched already. */
	void (*gone)(struct stats_watch *sw);
	struct list link;
};

/* -ENOMEM. The first sample follows within STATS_TICK_MS. */
int container_stats_watch(struct container *c, struct stats_watch *sw, struct err *e);
void container_stats_unwatch(struct stats_watch *sw); /* harmless when not watching */

#endif
