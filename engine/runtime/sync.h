/*
 * What a process in the making says to the one that wants it: fixed-size packets over one
 * SOCK_SEQPACKET pair, descriptors by SCM_RIGHTS.
 *
 * Child to caller: enum runtime_event_kind (PID with a pidfd, TTY with the master, HOOKS, READY,
 * FAILED). The end of the socket after READY and the gate means that execve succeeded. Caller to
 * child: one byte after HOOKS, one byte opens the gate. Where the gate is a listening socket, the
 * connection that it gives takes the place of the pair.
 */
#ifndef SKERRY_RUNTIME_SYNC_H
#define SKERRY_RUNTIME_SYNC_H

#include <stdint.h>
#include <sys/types.h>

#include "engine/runtime/runtime.h"
#include "init/base/err.h"

/* The descriptors of every process in the making: nothing else survives its first moments. */
enum {
	SYNC_FD = 3,
	GATE_FD = 4,
	TARGET_FD = 5,
	FREE_FD = 6,
	SYNC_MORE_MAX = RUNTIME_JOINS_MAX + 1
};

struct sync_packet {
	int32_t kind;
	int32_t exit_code;
	int32_t error;
	int32_t pid;
	char text[ERR_TEXT_MAX];
};

/* fd -1: none. */
int sync_send(enum runtime_event_kind kind, pid_t pid, int fd, struct err *e);
/* Reports e and ends the process with the exit code that fits (or `code` unless 0). */
void sync_fail(int code, const struct err *e) __attribute__((noreturn));
/* The same by the descriptor where SYNC_FD was moved to. */
void sync_fail_by(int fd, int code, const struct err *e) __attribute__((noreturn));
/* Says that the process is ready and blocks until its gate opens; the caller's end: the process
 * ends quietly (of its own gate, it waits for the next one that comes). */
void sync_wait_gate(bool own_gate);
/* Says HOOKS and blocks until they were run; the caller's end: the process ends quietly. */
void sync_wait_hooks(void);

struct sync_fds {
	int stdio[3]; /* -1: /dev/null */
	int sync, gate, target; /* -1: none */
	unsigned int preserved; /* how many from 3 on */
	int more[SYNC_MORE_MAX];
	size_t n_more;
};
/*
 * First act of a forked child: 0, 1, 2 become the three given, sync, gate and target get the
 * numbers above, the caller's 3, 4, … those from FREE_FD on, `more` follow in their order (-1
 * leaves a gap), everything else is closed; signals are reset.
 */
int sync_take_over(const struct sync_fds *fds, struct err *e);
/* Last act before execve: the preserved ones get their numbers (3, 4, …) back. What SYNC_FD was is
 * at the number returned (close-on-exec). */
int sync_give_back(unsigned int preserved, struct err *e);

#endif
