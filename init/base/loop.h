/*
 * The event loop: one epoll, no threads. Event handles are embedded in the caller's structs.
 *
 * Rules: event structs start zeroed, with `fn` set; a handler may add, change and remove any event,
 * its own included, and may free the struct that holds it after the removal. Timers are monotonic
 * milliseconds. Signals that are watched are blocked process-wide and read by signalfd. Children
 * are watched by pidfd and reaped by the loop before the handler runs.
 */
#ifndef SKERRY_BASE_LOOP_H
#define SKERRY_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "init/base/err.h"
#include "init/base/list.h"
#include "init/base/spawn.h"

struct loop;

struct io_event {
	void (*fn)(struct io_event *ev, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, ... */
	int fd; /* the caller's */
	uint32_t events;
	struct loop *loop; /* NULL while not added */
};

struct timer_event {
	void (*fn)(struct timer_event *ev);
	int64_t due; /* ms, monotonic */
	size_t index; /* position in the heap + 1; 0 while not armed */
	struct loop *loop;
};

struct signal_event {
	void (*fn)(struct signal_event *ev, const struct signalfd_siginfo *info);
	struct list link;
	int signal;
	struct loop *loop;
};

struct child_event {
	void (*fn)(struct child_event *ev,
		   int status); /* status as from waitpid; the child is reaped, the event removed */
	struct io_event io;
	struct list link;
	struct child child; /* owned from child_add on */
};

/* Runs once, before the loop sleeps again, after all handlers of this round. */
struct defer_event {
	void (*fn)(struct defer_event *ev);
	struct list link;
	bool armed;
};

int loop_new(struct loop **ret_loop, struct err *e);
void loop_free(struct loop *l);
DEFINE_CLEANUP(struct loop *, loop_free)
/* Runs until loop_quit; returns the code given there. */
int loop_run(struct loop *l);
/* One round: waits at most timeout_ms (-1 for ever), runs what is due. Returns the number of
 * handlers run. For tests. */
int loop_once(struct loop *l, int timeout_ms);
void loop_quit(struct loop *l, int code);
int64_t loop_now(const struct loop *l); /* ms, monotonic, taken once per round */

/* -EPERM for a regular file (always ready: epoll refuses it), -EEXIST when the fd is watched
 * already. */
int io_add(struct loop *l, struct io_event *ev, int fd, uint32_t events);
int io_change(struct io_event *ev, uint32_t events);
void io_remove(struct io_event *ev); /* harmless when not added; does not close the fd */

/* Arms or re-arms for `ms` from now. */
int timer_set(struct loop *l, struct timer_event *ev, int64_t ms);
void timer_clear(struct timer_event *ev);
static inline UNUSED bool timer_armed(const struct timer_event *ev)
{
	return ev->index != 0;
}

int signal_add(struct loop *l, struct signal_event *ev, int signal);
void signal_remove(struct signal_event *ev);

/* Takes *c over (its pidfd becomes -1 there). */
int child_add(struct loop *l, struct child_event *ev, struct child *c);
/* Stops watching; the child is killed and reaped when `kill_it`, else handed back by ret_child
 * (may be NULL only with kill_it). */
void child_remove(struct child_event *ev, bool kill_it, struct child *ret_child);

/* Reaps every zombie of this process: watched children get their handler as usual, all others
 * (orphans that PID 1 inherited) are only reaped. For PID 1, on SIGCHLD. Returns how many were
 * reaped. */
int loop_reap(struct loop *l);

void defer_add(struct loop *l, struct defer_event *ev);
void defer_remove(struct defer_event *ev);

#endif
