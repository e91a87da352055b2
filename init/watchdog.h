/*
 * The hardware watchdog: if PID 1's loop stops for WATCHDOG_SECONDS, the machine restarts.
 *
 * A hardware one is preferred to the kernel's software one. It stays armed through a shutdown, so
 * that one which hangs ends too.
 */
#ifndef SKERRY_INIT_WATCHDOG_H
#define SKERRY_INIT_WATCHDOG_H

#include "init/base/err.h"
#include "init/base/loop.h"

enum { WATCHDOG_SECONDS = 60, WATCHDOG_FEED_MS = 15000 };

struct watchdog {
	struct timer_event timer;
	int fd; /* -1 when there is none */
};

/* 1 when one is fed from now on, 0 when the machine has none. */
int watchdog_start(struct watchdog *w, struct loop *l, struct err *e);
void watchdog_feed(struct watchdog *w); /* harmless when not started */

#endif
