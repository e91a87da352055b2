/*
 * The ways of a running container to its end, and what follows: stop with a grace period, kill,
 * restart, the end itself, and the stop of all at shutdown. What the restart policy says stands in
 * policy.c.
 */
#include <sys/wait.h>

#include "engine/container/object.h"
#include "init/base/cgroup.h"
#include "init/base/clock.h"
#include "init/base/log.h"
#include "init/base/str.h"

/* ---- signals ---- */

static void send_signal(struct container *c, int signal)
{
	struct err e = { 0 };

	if (shim_signal(c->shim, signal, false, NULL, &e) < 0)
		log_warn("container %.12s: signal %d was not sent: %s", c->id, signal,
			 err_text(&e));
	else
		container_publish_signal(c, signal);
}

/* The grace period is over: KILL; later, when even that does not end it, the whole cgroup. */
static void stop_due(struct timer_event *ev)
{
	struct container *c = container_of(ev, struct container, stop_timer);

	if (c->kill_sent) {
		log_warn("container %.12s (%s) does not end after KILL: killing its cgroup", c->id,
			 c->name);
		container_cgroup_kill(c);
		return;
	}
	c->kill_sent = true;
	send_signal(c, SIGKILL);
	container_thaw(c);
	timer_set(c->cs->cfg.loop, &c->stop_timer, KILL_PATIENCE_MS);
}

void container_timers_init(struct container *c)
{
	c->stop_timer.fn = stop_due;
	c->backoff_timer.fn = backoff_due;
}

static int stop_signal_of(const struct container *c)
{
	int signal = str_empty(c->asked.config.stop_signal)
			     ? SIGTERM
			     : signal_from_text(c->asked.config.stop_signal);

	return signal > 0 ? signal : SIGTERM;
}

static int64_t stop_timeout_of(const struct container *c)
{
	return c->asked.config.stop_timeout == BIND_UNSET_I64 ? STOP_TIMEOUT_DEFAULT
							      : c->asked.config.stop_timeout;
}

static void stop_begin(struct container *c, int timeout, int signal)
{
	int64_t seconds = timeout == -1 ? stop_timeout_of(c) : timeout;

	c->kill_sent = signal == SIGKILL;
	c->stop_asked = true;
	send_signal(c, signal ? signal : stop_signal_of(c));
	container_thaw(c);
	if (seconds >= 0) /* a negative one waits for ever */
		timer_set(c->cs->cfg.loop, &c->stop_timer, seconds * 1000);
}

/* ---- actions ---- */

static void wait_for_stop(struct container *c, const struct event_args *a)
{
	if (a->op)
		list_append(a->restart ? &c->restart_ops : &c->stop_ops, &a->op->link);
	if (a->restart)
		c->restart_wanted = true;
	else
		policy_stopped_by_user(c);
}

int act_stop(struct container *c, const struct event_args *a, struct err *e)
{
	(void)e;
	wait_for_stop(c, a);
	if (!a->restart)
		c->restart_wanted = false;
	stop_begin(c, a->timeout, a->signal);
	return 0;
}

int act_stop_later(struct container *c, const struct event_args *a, struct err *e)
{
	if (a->restart) /* of what is just starting: done when it runs */
		return act_join_start(c, a, e);
	wait_for_stop(c, a);
	c->stop_wanted = true;
	return 0;
}

int act_stop_backoff(struct container *c, const struct event_args *a, struct err *e)
{
	timer_clear(&c->backoff_timer);
	if (a->restart)
		return act_start(c, a, e);
	policy_stopped_by_user(c);
	container_enter(c, CONTAINER_EXITED);
	waits_answer(c, 1u << WAIT_NOT_RUNNING, (int)c->rec.exit_code, NULL);
	if (a->op)
		op_answer(c->cs, a->op, 0, NULL);
	return 0;
}

/* STOP of what does not run: nothing to do, but a restart starts it. */
int act_restart_stopped(struct container *c, const struct event_args *a, struct err *e)
{
	if (a->restart)
		return act_start(c, a, e);
	return err_set(e, EALREADY, "container %s is already stopped", c->id);
}

static void kill_sent(struct shim_client *shim, int r, struct shim_reply *reply,
		      const struct err *e, void *data)
{
	struct container *c = data;

	(void)shim;
	(void)reply;
	ops_answer(c->cs, &c->kill_ops, r, e);
}

/* Whether the signal is one that is to end the container: then the policy rests. */
static bool is_ending(const struct container *c, int signal)
{
	return signal == SIGKILL || signal == stop_signal_of(c);
}

int act_kill(struct container *c, const struct event_args *a, struct err *e)
{
	const struct shim_done done = { kill_sent, c };
	bool kill = a->signal == SIGKILL;
	int r;

	if (is_ending(c, a->signal))
		policy_stopped_by_user(c);
	r = shim_signal(c->shim, a->signal, false, kill ? NULL : &done, e);
	if (r < 0)
		return r;
	if (kill) {
		c->kill_sent = true;
		timer_set(c->cs->cfg.loop, &c->stop_timer, KILL_PATIENCE_MS);
	}
	if (a->op)
		list_append(kill ? &c->stop_ops : &c->kill_ops, &a->op->link);
	container_publish_signal(c, a->signal);
	/* Docker's rule: any signal, unless a stop signal of its own is set and this is another */
	if (kill || str_empty(c->asked.config.stop_signal) || is_ending(c, a->signal))
		container_thaw(c);
	return 0;
}

/* KILL of what is just starting: as soon as it runs. It hears no other signal. */
int act_kill_later(struct container *c, const struct event_args *a, struct err *e)
{
	if (a->signal != SIGKILL)
		return err_set(e, EBUSY, "container %s is not running", c->id);
	policy_stopped_by_user(c);
	c->kill_wanted = true;
	if (a->op)
		list_append(&c->stop_ops, &a->op->link);
	return 0;
}

/* KILL of what waits for its next start: then there is none. */
int act_kill_backoff(struct container *c, const struct event_args *a, struct err *e)
{
	if (is_ending(c, a->signal))
		return act_stop_backoff(c, a, e);
	return err_set(e, EBUSY, "container %s is restarting, wait until the container is running",
		       c->id);
}

/* ---- the end ---- */

void container_ended(struct container *c, const struct shim_exit *x)
{
	struct err e = { 0 };
	struct event_args args = { .exit = x };

	if (!c->shim || c->adopting) /* it ended while no engine was there */
		execs_load(c);
	if (!x->never_ran && x->finished_ns && x->finished_ns == c->rec.finished_ns) {
		container_end_known(c);
		return;
	}
	if (!x->never_ran) {
		lifecycle(c, EV_EXITED, &args);
		return;
	}
	err_set(&e,
		x->exit_code == 127   ? ENOENT
		: x->exit_code == 126 ? EACCES
				      : EIO,
		"%s", x->error);
	/* Docker answers 400 when the program could not be executed, 500 for everything else */
	if (x->exit_code == 127 || x->exit_code == 126)
		e.code = EINVAL;
	args.error = &e;
	lifecycle(c, EV_START_FAILED, &args);
}

static void publish_die(struct container *c, const struct shim_exit *x)
{
	char code[16], duration[24];

	snprintf(code, sizeof(code), "%d", x->exit_code);
	snprintf(duration, sizeof(duration), "%lld",
		 (long long)((x->finished_ns - c->rec.started_ns) / 1000000000));
	container_publish2(c, "die", "execDuration", duration, "exitCode", code);
}

int act_exited(struct container *c, const struct event_args *a, struct err *e)
{
	const struct shim_exit *x = a->exit;
	bool oom_untold = x->oom_killed && !c->rec.oom_killed, restart;

	(void)e;
	c->rec.exit_code = x->exit_code;
	c->rec.oom_killed |= x->oom_killed;
	if (x->started_ns)
		c->rec.started_ns = x->started_ns;
	c->rec.finished_ns = x->finished_ns ? x->finished_ns : clock_real_ns();
	c->rec.pid = 0;
	if (x->error[0])
		str_set(&c->rec.error, x->error);
	restart = !c->restart_wanted && !c->remove_wanted &&
		  policy_wants_restart(c, container_of_earlier_boot(c));
	if (restart)
		policy_count(c);
	container_enter(c, restart ? CONTAINER_RESTARTING : CONTAINER_EXITED);
	container_release(c); /* after the state is durable: this lets the shim go */
	if (oom_untold)
		container_publish(c, "oom", NULL, NULL);
	publish_die(c, x);
	if (c->stop_asked)
		container_publish(c, "stop", NULL, NULL);
	if (restart)
		policy_wait(c);
	waits_answer(c, 1u << WAIT_NEXT_EXIT, x->exit_code, x->error);
	if (!restart)
		waits_answer(c, 1u << WAIT_NOT_RUNNING, x->exit_code, x->error);
	stopped(c);
	return 0;
}

void stopped(struct container *c)
{
	struct containers *cs = c->cs;
	struct err e = { 0 };

	logs_wake(c);
	ops_answer(cs, &c->stop_ops, 0, NULL);
	err_set(&e, EBUSY, "container %s is not running", c->id);
	ops_answer(cs, &c->kill_ops, -EBUSY, &e);
	ops_answer(cs, &c->pause_ops, -EBUSY, &e);
	ops_answer(cs, &c->unpause_ops, -EBUSY, &e);
	if (c->remove_wanted || (c->asked.host.auto_remove && !c->restart_wanted &&
				 (c->state == CONTAINER_EXITED || c->state == CONTAINER_CREATED))) {
		bool volumes = c->rec.remove_volumes || !c->remove_wanted;

		lifecycle(c, EV_REMOVE, &(struct event_args){ .force = true, .volumes = volumes });
		/* c may be gone from here on */
	} else if (c->restart_wanted && c->state == CONTAINER_EXITED) {
		c->restart_wanted = false;
		list_move_all(&c->restart_ops, &c->start_ops);
		lifecycle(c, EV_START, &(struct event_args){ .restart = true });
	} else {
		ops_answer(cs, &c->restart_ops, -EBUSY, &e);
	}
	stop_all_continue(cs);
}

/* ---- all ---- */

static bool runs_or_starts(const struct container *c)
{
	return state_is_running(c->state) || c->state == CONTAINER_STARTING;
}

/* Whether `c` declares (label of compose: "db:service_started:false,cache") that it needs
 * `other`. */
static bool depends_on(const struct container *c, const struct container *other)
{
	const char *project = container_label(c, "com.docker.compose.project");
	const char *service = container_label(other, "com.docker.compose.service");
	_cleanup_(strv_free) char **needs = NULL;

	if (!project || !service ||
	    !str_eq(project, container_label(other, "com.docker.compose.project")))
		return false;
	needs = strv_split(container_label(c, "com.docker.compose.depends_on") ?: "", ",", false);
	for (char **n = needs; n && *n; n++) {
		(*n)[strcspn(*n, ":")] = '\0';
		if (str_eq(*n, service))
			return true;
	}
	return false;
}

static bool is_needed(struct containers *cs, const struct container *c)
{
	struct map_entry *m;
	size_t i = 0;

	while ((m = map_next(&cs->by_id, &i))) {
		const struct container *other = m->value;

		if (other != c && runs_or_starts(other) && depends_on(other, c))
			return true;
	}
	return false;
}

/* Runs on each end of a container and once at first; a cycle of dependencies is cut when nothing
 * is being stopped. */
static void stop_round(struct containers *cs)
{
	struct container *held = NULL;
	bool stopping = false;
	struct map_entry *m;
	size_t i = 0;

	while ((m = map_next(&cs->by_id, &i))) {
		struct container *c = m->value;

		if (c->state == CONTAINER_RESTARTING)
			timer_clear(&c->backoff_timer);
		if (!runs_or_starts(c))
			continue;
		if (c->stop_sent) {
			stopping = true;
		} else if (is_needed(cs, c)) {
			held = c;
		} else {
			c->stop_sent = stopping = true;
			lifecycle(c, EV_STOP, &(struct event_args){ .timeout = -1 });
		}
	}
	if (!stopping && held) {
		held->stop_sent = true;
		lifecycle(held, EV_STOP, &(struct event_args){ .timeout = -1 });
	} else if (!stopping && cs->all_stopped) {
		void (*done)(void *data) = cs->all_stopped;

		cs->all_stopped = NULL;
		done(cs->all_stopped_data);
	}
}

void stop_all_continue(struct containers *cs)
{
	if (cs->stopping && cs->all_stopped)
		timer_set(cs->cfg.loop, &cs->stop_all_timer, 0);
}

static void stop_all_due(struct timer_event *ev)
{
	stop_round(container_of(ev, struct containers, stop_all_timer));
}

void containers_stop_all(struct containers *cs, void (*done)(void *data), void *data)
{
	cs->stopping = true;
	cs->all_stopped = done;
	cs->all_stopped_data = data;
	cs->stop_all_timer.fn = stop_all_due;
	stop_all_continue(cs);
}
