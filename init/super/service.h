/*
 * The life of a supervised program as a state x event table. Pure: no process, no clock, no loop.
 *
 * super.c feeds events and carries out the action that comes back. One timer per service is enough,
 * because each state waits for one thing only:
 *
 *   state       timer means                      how long
 *   running     it has proved itself             SERVICE_STABLE_MS
 *   waiting     try again                        back-off, 100 ms doubling to 60 s
 *   held        the budget is used up, try again hold_ms of the service
 *   stopping    it did not go, kill it           stop_ms of the service
 *   restarting  as stopping, but start it after
 *
 * The restart budget: more than SERVICE_BUDGET failures in a row without one stable run hold the
 * service back, which is said once, as an error.
 */
#ifndef SKERRY_SUPER_SERVICE_H
#define SKERRY_SUPER_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

enum service_state {
	SERVICE_STOPPED,
	SERVICE_RUNNING,
	SERVICE_WAITING,
	SERVICE_HELD,
	SERVICE_STOPPING,
	SERVICE_RESTARTING,
	SERVICE_STATES
};

enum service_event {
	SERVICE_START, /* somebody wants it */
	SERVICE_STOP, /* somebody does not want it any more */
	SERVICE_EXIT, /* its process ended, or could not be started */
	SERVICE_TIMER,
	SERVICE_EVENTS
};

enum service_action {
	ACT_NONE,
	ACT_SPAWN, /* start the process; arm SERVICE_STABLE_MS */
	ACT_BACKOFF, /* arm service_delay */
	ACT_HOLD, /* arm hold_ms, say it */
	ACT_TERM, /* send the stop signal; arm stop_ms */
	ACT_KILL, /* SIGKILL; the timer stays off */
	ACT_GONE, /* disarm the timer; it is stopped */
	ACT_STABLE, /* it proved itself; the timer stays off */
};

enum {
	SERVICE_BACKOFF_MIN_MS = 100,
	SERVICE_BACKOFF_MAX_MS = 60000,
	SERVICE_STABLE_MS = 10000,
	SERVICE_BUDGET = 20,
};

struct service_life {
	enum service_state state;
	unsigned failures; /* in a row */
	unsigned starts; /* in all */
};

/* Moves on and says what to do. */
enum service_action service_step(struct service_life *s, enum service_event event);
/* The back-off after `failures` failures in a row, milliseconds. */
int64_t service_delay(unsigned failures);
const char *service_state_name(enum service_state state);

#endif
