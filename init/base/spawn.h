/*
 * Child processes: one call that describes everything, so that nothing leaks into a child.
 *
 * The child gets exactly the descriptors in `fds` (child number <- our number), all others are
 * closed (close_range), signals reset to default and unblocked, its own session if asked, then
 * execve. A failure up to and including execve is reported to the parent by a close-on-exec pipe.
 * The parent holds a pidfd: wait with the loop's child event (loop.h) or child_wait; signal with
 * child_signal.
 */
#ifndef SKERRY_BASE_SPAWN_H
#define SKERRY_BASE_SPAWN_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "init/base/err.h"
#include "init/base/util.h"

struct fd_map {
	int child; /* descriptor number in the child */
	int ours; /* open descriptor here; -1 maps /dev/null */
};

struct spawn {
	const char *path; /* program; NULL means this very binary (/proc/self/exe) */
	const char *const *argv; /* NULL-terminated, argv[0] included */
	const char *const *env; /* NULL-terminated; NULL: an environment of PATH only */
	const struct fd_map *fds;
	size_t n_fds; /* 0,1,2 not named here become /dev/null, 2 is inherited */
	const char *cwd; /* NULL: "/" */
	int cgroup_fd; /* directory fd of a cgroup to be born in (CLONE_INTO_CGROUP), or 0/-1 */
	unsigned long long clone_flags; /* CLONE_NEW* */
	uid_t uid; /* with gid, when drop_user */
	gid_t gid;
	bool drop_user;
	bool new_session; /* setsid */
	int tty; /* > 0: with new_session, our fd that becomes the controlling terminal and 0,1,2 */
	int death_signal; /* PR_SET_PDEATHSIG, 0 none */
	int oom_score_adj; /* written when != 0 */
};

struct child {
	pid_t pid;
	int pidfd; /* owned; -1 when there is none */
};

enum { SPAWN_FDS_MAX = 32 };

int spawn(const struct spawn *s, struct child *ret_child, struct err *e);
/* Waits (blocking) and reaps; ret_status as from waitpid. Closes the pidfd. */
int child_wait(struct child *c, int *ret_status, struct err *e);
/* pidfd_send_signal; -ESRCH once it is gone. */
int child_signal(const struct child *c, int signal);
/* kill -9, reap, close; accepts a child that was never started (pidfd -1). */
void child_free(struct child *c);
/* "exit status 3" or "signal 9 (KILL)" */
const char *child_status_text(int status, char *buf, size_t size);
/* Runs to the end and gives its combined output (at most max bytes, the rest dropped), bounded
 * by timeout_ms (0: none; then killed, -ETIMEDOUT). Only for PID 1's boot phases and tests: it
 * blocks. */
int spawn_run(const struct spawn *s, int timeout_ms, size_t max, char **ret_output, int *ret_status,
	      struct err *e);

/* number <-> name without SIG ("TERM" <-> 15, "RTMIN+3"); names take an optional "SIG",
 * case-insensitive, or a number 1..64. -EINVAL when unknown. */
int signal_from_text(const char *text);
const char *signal_name(int signal);

#endif
