/*
 * The restart policy: whether a container that ended runs again, when, and what of that is kept.
 *
 * Waits double from 100 ms to 60 s and begin anew after a run of 10 s. The number of restarts and
 * the wait stand in state.json before the wait begins, so that `on-failure:N` and the back-off go
 * on over a crash of the engine and, the number, over a reboot. A start that a reboot made
 * necessary is not the program's failure and is not counted (Docker does not count it either).
 *
 * `always` comes back at the next boot even when it was stopped by hand, `unless-stopped` does not;
 * a restart of the engine alone brings neither back: nobody is to notice it.
 */
#include "engine/container/object.h"
#include "init/base/log.h"
#include "init/base/str.h"

bool container_of_earlier_boot(const struct container *c)
{
	return !str_eq(c->rec.boot_id, c->cs->boot_id);
}

bool policy_wants_restart(const struct container *c, bool at_boot)
{
	const char *policy = c->asked.host.restart.name;
	int64_t max = c->asked.host.restart.max_retries;

	if (c->cs->stopping)
		return false;
	if (str_eq(policy, "always"))
		return !c->rec.stopped_by_user || at_boot;
	if (c->rec.stopped_by_user)
		return false;
	if (str_eq(policy, "unless-stopped"))
		return true;
	if (str_eq(policy, "on-failure"))
		return c->rec.exit_code != 0 && (max == 0 || c->rec.restart_count < max);
	return false;
}

void policy_count(struct container *c)
{
	int64_t ran_ms = (c->rec.finished_ns - c->rec.started_ns) / 1000000;

	if (container_of_earlier_boot(c)) {
		c->rec.backoff_ms = BACKOFF_FIRST_MS;
		return;
	}
	c->rec.restart_count++;
	if (c->rec.backoff_ms == 0 || ran_ms >= BACKOFF_RESET_MS)
		c->rec.backoff_ms = BACKOFF_FIRST_MS;
	else
		c->rec.backoff_ms = MIN(c->rec.backoff_ms * 2, (int64_t)BACKOFF_MAX_MS);
}

void policy_wait(struct container *c)
{
	if (c->cs->restoring == 0)
		timer_set(c->cs->cfg.loop, &c->backoff_timer, c->rec.backoff_ms);
}

void backoff_due(struct timer_event *ev)
{
	struct container *c = container_of(ev, struct container, backoff_timer);

	lifecycle(c, EV_BACKOFF, &(struct event_args){ 0 });
}

void policy_stopped_by_user(struct container *c)
{
	struct err e = { 0 };

	if (c->cs->stopping || c->rec.stopped_by_user)
		return;
	c->rec.stopped_by_user = true;
	if (!str_eq(c->asked.host.restart.name, "no") && record_write_state(c, &e) < 0)
		log_error("container %.12s: its state could not be saved: %s", c->id, err_text(&e));
}

/* A container at rest after the restore: whether it belongs into RESTARTING. */
static bool runs_again(struct container *c)
{
	bool at_boot = container_of_earlier_boot(c);

	if (!c->was_restarting && !at_boot)
		return false;
	if (!policy_wants_restart(c, at_boot) && !(c->was_restarting && !c->rec.stopped_by_user))
		return false;
	if (at_boot)
		policy_count(c);
	return true;
}

void policies_act(struct containers *cs)
{
	struct container *c;
	size_t pos = 0;

	while ((c = containers_next(cs, &pos))) {
		if (c->state == CONTAINER_EXITED && !c->remove_wanted && runs_again(c))
			container_enter(c, CONTAINER_RESTARTING);
		if (c->state == CONTAINER_RESTARTING)
			policy_wait(c);
	}
}
