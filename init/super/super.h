/*
 * The supervisor: keeps programs running as service.h says, and reaps every child of PID 1.
 *
 * A service is described once (struct service_spec, static or owned by the caller's struct that
 * embeds the service) and lives until super_remove. Orphans that the kernel gives to PID 1 are
 * reaped silently. Used by main (engine, console), net (udhcpc, ntpd) and shutdown.
 */
#ifndef SKERRY_SUPER_SUPER_H
#define SKERRY_SUPER_SUPER_H

#include <stdbool.h>
#include <sys/types.h>

#include "init/base/buf.h"
#include "init/base/err.h"
#include "init/base/list.h"
#include "init/base/loop.h"
#include "init/super/service.h"

enum { SERVICE_NAME_MAX = 40 };

struct service_spec {
	const char *path;
	const char *const *argv;
	const char *const *env; /* NULL: PATH only */
	const char *cgroup; /* "engine"; NULL: "init" */
	/* a terminal of its own: 0, 1, 2 and controlling; NULL: 0 is /dev/null, 1 and 2 the log */
	const char *tty;
	int oom_score_adj;
	int stop_signal; /* 0: SIGTERM */
	int stop_ms; /* from the stop signal to SIGKILL */
	int hold_ms; /* pause when the restart budget is used up */
	bool quiet; /* its coming and going is everyday life: no log line */
};

struct service {
	char name[SERVICE_NAME_MAX];
	const struct service_spec *spec;
	struct service_life life;
	struct child_event child;
	struct timer_event timer;
	struct super *super;
	struct list link;
	int last_status; /* wait status of the last end */
	void (*on_exit)(struct service *s, int status,
			void *data); /* NULL or a listener; after the step */
	void *on_exit_data;
};

struct super {
	struct loop *loop;
	struct list services;
	struct signal_event sigchld;
};

/* Watches SIGCHLD; `s` must stay where it is. */
int super_init(struct super *s, struct loop *l, struct err *e);
/* Puts a zeroed service under supervision, stopped. spec stays the caller's. */
void super_add(struct super *s, struct service *svc, const char *name,
	       const struct service_spec *spec);
/* Kills what runs and forgets the service; the struct is the caller's again. Harmless when not
 * added. */
void super_remove(struct service *svc);
void super_start(struct service *svc);
void super_stop(struct service *svc);
/* Stops and starts it anew, with what its spec says then. */
void super_restart(struct service *svc);
/* Sends a signal to its process; -ESRCH when there is none. */
int super_signal(struct service *svc, int signal);
bool super_alive(const struct service *svc);
pid_t super_pid(const struct service *svc); /* 0 when there is none */
/* Stops all services but `except` (may be NULL). */
void super_stop_all(struct super *s, const struct service *except);
/* Whether any process of a service (but `except`) is left. */
bool super_any_alive(const struct super *s, const struct service *except);
/* [{"name":"engine","state":"running","pid":40,"starts":1,"failures":0}] */
void super_json(const struct super *s, struct buf *out);

#endif
