/*
 * cgroup v2, by directory fd. Paths are relative to the mount at /sys/fs/cgroup (no leading slash).
 */
#ifndef SKERRY_BASE_CGROUP_H
#define SKERRY_BASE_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "init/base/err.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

/* Makes the group and its parents, each parent with all its controllers in
 * cgroup.subtree_control. Returns a directory fd. */
int cgroup_make(const char *path, struct err *e);
int cgroup_open(const char *path, struct err *e);
/* Writes a knob ("memory.max") of the group; a missing file is -ENOENT with a text that names
 * the controller. */
int cgroup_write(int cgroup_fd, const char *knob, const char *value, struct err *e);
int cgroup_writef(int cgroup_fd, const char *knob, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* A number ("max" is UINT64_MAX), or one key of a flat-keyed file (memory.events "oom_kill"). */
int cgroup_read_u64(int cgroup_fd, const char *knob, uint64_t *ret_value, struct err *e);
int cgroup_read_key(int cgroup_fd, const char *knob, const char *key, uint64_t *ret_value,
		    struct err *e);
int cgroup_attach(int cgroup_fd, pid_t pid, struct err *e);
/* A pidfd of a process that is in the group or below it. The number may have been given to another
 * process by now: who is in the group, and still lives after that was looked up, is the right one.
 * -ESRCH when there is none. */
int cgroup_open_process(const char *path, pid_t pid, struct err *e);
int cgroup_kill(int cgroup_fd, struct err *e); /* cgroup.kill: everything below, at once */
/* 1 when processes are in it or below, 0 when none. */
int cgroup_populated(int cgroup_fd, struct err *e);
int cgroup_freeze(int cgroup_fd, bool on, struct err *e);
/* rmdir of the group and all below; -EBUSY while populated; absent is fine. */
int cgroup_remove(const char *path, struct err *e);

#endif
