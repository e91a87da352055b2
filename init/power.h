/*
 * What asks the machine to end from outside the control socket: the ACPI power button and signals.
 *
 *   SIGTERM, SIGINT (Ctrl-Alt-Del)   restart
 *   SIGUSR1                          halt
 *   SIGUSR2, SIGPWR, power button    switch off
 *
 * Signals count only when they come from the kernel or from a process of the machine itself: one of
 * a container (cgroup containers/), even with the host's process ids and as root, is refused and
 * told. Every other signal leaves PID 1 alone, by the kernel's own rule for the first process.
 */
#ifndef SKERRY_INIT_POWER_H
#define SKERRY_INIT_POWER_H

#include <stdbool.h>

#include "init/base/err.h"
#include "init/base/loop.h"

enum { POWER_SIGNALS = 5 };

struct machine;

struct power_signal {
	struct signal_event event;
	struct machine *machine;
};

struct power {
	struct machine *machine;
	struct power_signal signals[POWER_SIGNALS];
	struct io_event button;
	int button_fd; /* generic netlink; -1 when there is no ACPI */
};

/* Watches the signals; returns -errno if one cannot be watched. */
int power_watch_signals(struct power *p, struct machine *m, struct err *e);
/* Listens to the button. 1 when there is an ACPI to listen to, 0 when not. */
int power_watch_button(struct power *p, struct err *e);

/* Whether the text of /proc/PID/cgroup says that the process belongs to the machine itself. */
bool power_sender_trusted(const char *cgroup);

#endif
