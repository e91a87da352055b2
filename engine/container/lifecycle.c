/*
 * The life of a container as one state x event table.
 *
 * A cell says what to do (an action of start.c, stop.c or remove.c), or why the event is refused.
 * Actions change the state themselves by container_enter, since most of them end later, in another
 * event. States and what they mean: container.h. Events come from the API and manifests (START,
 * STOP, KILL, PAUSE, UNPAUSE, REMOVE), the shim (STARTED, START_FAILED, EXITED, FROZEN, THAWED) and
 * the back-off timer (BACKOFF). A cell that is not named: the event means nothing there.
 */
#include <stdarg.h>

#include "engine/container/object.h"
#include "init/base/log.h"
#include "init/base/str.h"

struct cell {
	int (*act)(struct container *c, const struct event_args *a, struct err *e);
	int refuse; /* errno when act is NULL; 0: the event means nothing here and is ignored */
	const char *text; /* printf text with the container's id */
};

#define NOT_RUNNING                                                    \
	{                                                              \
		.refuse = EBUSY, .text = "container %s is not running" \
	}
#define NOT_PAUSED                                                    \
	{                                                             \
		.refuse = EBUSY, .text = "container %s is not paused" \
	}
#define GOING_AWAY                                                                 \
	{                                                                          \
		.refuse = EBUSY,                                                   \
		.text = "container %s is marked for removal and cannot be started" \
	}
#define NOTHING_TO_DO                                                               \
	{                                                                           \
		.refuse = EALREADY, .text = "container %s is in that state already" \
	}

#define RESTARTING_TEXT "container %s is restarting, wait until the container is running"

static const struct cell table[CONTAINER_N_STATES][EV_N] = {
	[CONTAINER_CREATED] = {
		[EV_START] = { act_start },
		[EV_STOP] = { act_restart_stopped },
		[EV_KILL] = NOT_RUNNING,
		[EV_PAUSE] = NOT_RUNNING,
		[EV_UNPAUSE] = NOT_PAUSED,
		[EV_REMOVE] = { act_remove },
	},
	[CONTAINER_STARTING] = {
		[EV_START] = { act_join_start },
		[EV_STARTED] = { act_started },
		[EV_START_FAILED] = { act_start_failed },
		[EV_EXITED] = { act_exited },
		[EV_STOP] = { act_stop_later },
		[EV_KILL] = { act_kill_later },
		[EV_PAUSE] = NOT_RUNNING,
		[EV_UNPAUSE] = NOT_PAUSED,
		[EV_REMOVE] = { act_remove_forced },
	},
	[CONTAINER_RUNNING] = {
		[EV_START] = NOTHING_TO_DO,
		[EV_EXITED] = { act_exited },
		[EV_STOP] = { act_stop },
		[EV_KILL] = { act_kill },
		[EV_PAUSE] = { act_pause },
		[EV_FROZEN] = { act_frozen },
		[EV_UNPAUSE] = NOT_PAUSED,
		[EV_REMOVE] = { act_remove_forced },
	},
	[CONTAINER_PAUSED] = {
		[EV_START] = { .refuse = EBUSY,
			       .text = "cannot start a paused container, try unpause instead" },
		[EV_EXITED] = { act_exited },
		[EV_STOP] = { act_stop },
		[EV_KILL] = { act_kill },
		[EV_PAUSE] = { .refuse = EBUSY, .text = "container %s is already paused" },
		[EV_UNPAUSE] = { act_unpause },
		[EV_THAWED] = { act_thawed },
		[EV_REMOVE] = { act_remove_forced },
	},
	[CONTAINER_RESTARTING] = {
		[EV_START] = { act_start },
		[EV_BACKOFF] = { act_start },
		[EV_STOP] = { act_stop_backoff },
		[EV_KILL] = { act_kill_backoff },
		[EV_PAUSE] = { .refuse = EBUSY, .text = RESTARTING_TEXT },
		[EV_UNPAUSE] = NOT_PAUSED,
		[EV_REMOVE] = { act_remove_forced },
	},
	[CONTAINER_EXITED] = {
		[EV_START] = { act_start },
		[EV_STOP] = { act_restart_stopped },
		[EV_KILL] = NOT_RUNNING,
		[EV_PAUSE] = NOT_RUNNING,
		[EV_UNPAUSE] = NOT_PAUSED,
		[EV_REMOVE] = { act_remove },
	},
	[CONTAINER_REMOVING] = {
		[EV_START] = GOING_AWAY,
		[EV_STOP] = NOTHING_TO_DO,
		[EV_KILL] = NOT_RUNNING,
		[EV_PAUSE] = NOT_RUNNING,
		[EV_UNPAUSE] = NOT_PAUSED,
		[EV_REMOVE] = { act_join_remove },
	},
	[CONTAINER_DEAD] = {
		[EV_START] = GOING_AWAY,
		[EV_STOP] = NOTHING_TO_DO,
		[EV_KILL] = NOT_RUNNING,
		[EV_PAUSE] = NOT_RUNNING,
		[EV_UNPAUSE] = NOT_PAUSED,
		[EV_REMOVE] = { act_remove },
	},
};

static const char *const state_names[CONTAINER_N_STATES] = {
	[CONTAINER_CREATED] = "created",       [CONTAINER_STARTING] = "starting",
	[CONTAINER_RUNNING] = "running",       [CONTAINER_PAUSED] = "paused",
	[CONTAINER_RESTARTING] = "restarting", [CONTAINER_EXITED] = "exited",
	[CONTAINER_REMOVING] = "removing",     [CONTAINER_DEAD] = "dead",
};

bool container_shows_restarting(const struct container *c)
{
	return c->state == CONTAINER_RESTARTING || (c->state == CONTAINER_STARTING && c->by_policy);
}

const char *container_state_name(const struct container *c)
{
	if (container_shows_restarting(c))
		return state_names[CONTAINER_RESTARTING];
	if (c->state == CONTAINER_STARTING)
		return c->rec.started_ns ? "exited" : "created";
	return state_names[c->state];
}

static int refuse(const struct container *c, const struct cell *cell, struct err *e)
{
	if (cell->refuse == 0)
		return 0;
	return err_set(e, cell->refuse, cell->text, c->id);
}

int lifecycle(struct container *c, enum container_event ev, const struct event_args *args)
{
	const struct cell *cell = &table[c->state][ev];
	struct containers *cs = c->cs;
	struct err e = { 0 };
	int r = cell->act ? cell->act(c, args, &e) : refuse(c, cell, &e);

	if (r < 0 && args->op)
		op_answer(cs, args->op, r, &e);
	return r;
}

void container_pass(struct container *c, enum container_state state)
{
	c->state = state;
	if (str_set(&c->rec.state, container_state_name(c)) < 0)
		log_error("container %.12s: out of memory", c->id);
	container_files_wake(c);
}

void container_enter(struct container *c, enum container_state state)
{
	struct err e = { 0 };

	container_pass(c, state);
	if (record_write_state(c, &e) < 0)
		log_error("container %.12s: its state could not be saved: %s", c->id, err_text(&e));
}

void container_start(struct container *c, struct container_op *op)
{
	lifecycle(c, EV_START, &(struct event_args){ .op = op });
}

void container_stop(struct container *c, int timeout, int signal, struct container_op *op)
{
	lifecycle(c, EV_STOP,
		  &(struct event_args){ .op = op, .timeout = timeout, .signal = signal });
}

void container_restart(struct container *c, int timeout, int signal, struct container_op *op)
{
	lifecycle(c, EV_STOP,
		  &(struct event_args){
			  .op = op, .timeout = timeout, .signal = signal, .restart = true });
}

void container_kill(struct container *c, int signal, struct container_op *op)
{
	lifecycle(c, EV_KILL,
		  &(struct event_args){ .op = op, .signal = signal ? signal : SIGKILL });
}

void container_remove(struct container *c, bool force, bool volumes, struct container_op *op)
{
	lifecycle(c, EV_REMOVE,
		  &(struct event_args){ .op = op, .force = force, .volumes = volumes });
}
