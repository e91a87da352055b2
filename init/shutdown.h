/*
 * The orderly end: containers, engine, services, file systems, in this order and within a bound.
 *
 *   1. containers   the engine gets SIGPWR and stops all containers with their grace periods
 *                   (SHUTDOWN_ENGINE_MS, then SIGKILL to it and cgroup.kill to what is left)
 *   2. services     SIGTERM to the rest (SHUTDOWN_SERVICES_MS, then SIGKILL)
 *   3. the end      every other process (SHUTDOWN_TERM_MS), seed, clock, how it ended, the
 *                   log, unmounts, sync, the kernel
 *
 * Stages 1 and 2 run in the loop, so the watchdog is fed and the control socket answers; the end
 * blocks. All in all at most SHUTDOWN_BOUND_MS. There is no way back once it began.
 */
#ifndef SKERRY_INIT_SHUTDOWN_H
#define SKERRY_INIT_SHUTDOWN_H

#include <stdbool.h>
#include <stddef.h>

#include "init/base/err.h"
#include "init/base/loop.h"

enum {
	SHUTDOWN_ENGINE_MS = 60000,
	SHUTDOWN_SERVICES_MS = 3000,
	SHUTDOWN_TERM_MS = 2000,
	SHUTDOWN_UNMOUNT_MS = 10000, /* what a healthy disk needs for its last writes */
	SHUTDOWN_BOUND_MS = SHUTDOWN_ENGINE_MS + SHUTDOWN_SERVICES_MS + 2 * SHUTDOWN_TERM_MS +
			    SHUTDOWN_UNMOUNT_MS,
	SHUTDOWN_REASON_MAX = 160,
};

enum shutdown_kind { SHUTDOWN_REBOOT, SHUTDOWN_POWEROFF, SHUTDOWN_HALT };

enum shutdown_stage { STAGE_NONE, STAGE_CONTAINERS, STAGE_SERVICES, STAGE_END };

struct machine;

struct shutdown {
	enum shutdown_stage stage;
	enum shutdown_kind kind;
	char reason[SHUTDOWN_REASON_MAX];
	struct timer_event timer;
	struct machine *machine;
};

/* Begins it; a second call is logged and changes nothing. */
void shutdown_begin(struct machine *m, enum shutdown_kind kind, const char *reason);

/* Mount points of /proc/self/mountinfo in the order in which they are to be unmounted (last
 * mounted first), without those the kernel itself needs to the end. New vector (strv_free), NULL
 * on ENOMEM. */
char **shutdown_mounts(const char *mountinfo);

#endif
