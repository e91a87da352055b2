/*
 * The table. Read a row as: in this state, at this event, go there and do that.
 */
#include "init/super/service.h"

#include "init/base/util.h"

struct step {
	enum service_state next;
	enum service_action action;
};

static const struct step table[SERVICE_STATES][SERVICE_EVENTS] = {
	[SERVICE_STOPPED] = {
		[SERVICE_START] = { SERVICE_RUNNING, ACT_SPAWN },
		[SERVICE_STOP] = { SERVICE_STOPPED, ACT_NONE },
		[SERVICE_EXIT] = { SERVICE_STOPPED, ACT_NONE },
		[SERVICE_TIMER] = { SERVICE_STOPPED, ACT_NONE },
	},
	[SERVICE_RUNNING] = {
		[SERVICE_START] = { SERVICE_RUNNING, ACT_NONE },
		[SERVICE_STOP] = { SERVICE_STOPPING, ACT_TERM },
		[SERVICE_EXIT] = { SERVICE_WAITING, ACT_BACKOFF },
		[SERVICE_TIMER] = { SERVICE_RUNNING, ACT_STABLE },
	},
	[SERVICE_WAITING] = {
		[SERVICE_START] = { SERVICE_WAITING, ACT_NONE },
		[SERVICE_STOP] = { SERVICE_STOPPED, ACT_GONE },
		[SERVICE_EXIT] = { SERVICE_WAITING, ACT_NONE },
		[SERVICE_TIMER] = { SERVICE_RUNNING, ACT_SPAWN },
	},
	[SERVICE_HELD] = {
		[SERVICE_START] = { SERVICE_RUNNING, ACT_SPAWN },
		[SERVICE_STOP] = { SERVICE_STOPPED, ACT_GONE },
		[SERVICE_EXIT] = { SERVICE_HELD, ACT_NONE },
		[SERVICE_TIMER] = { SERVICE_RUNNING, ACT_SPAWN },
	},
	[SERVICE_STOPPING] = {
		[SERVICE_START] = { SERVICE_RESTARTING, ACT_NONE },
		[SERVICE_STOP] = { SERVICE_STOPPING, ACT_NONE },
		[SERVICE_EXIT] = { SERVICE_STOPPED, ACT_GONE },
		[SERVICE_TIMER] = { SERVICE_STOPPING, ACT_KILL },
	},
	[SERVICE_RESTARTING] = {
		[SERVICE_START] = { SERVICE_RESTARTING, ACT_NONE },
		[SERVICE_STOP] = { SERVICE_STOPPING, ACT_NONE },
		[SERVICE_EXIT] = { SERVICE_RUNNING, ACT_SPAWN },
		[SERVICE_TIMER] = { SERVICE_RESTARTING, ACT_KILL },
	},
};

/* What the table cannot say: the count of failures, and that the budget is used up. */
enum service_action service_step(struct service_life *s, enum service_event event)
{
	struct step step = table[s->state][event];

	if (step.action == ACT_BACKOFF && ++s->failures > SERVICE_BUDGET)
		step = (struct step){ SERVICE_HELD, ACT_HOLD };
	if (step.action == ACT_STABLE || step.action == ACT_GONE)
		s->failures = 0;
	if (s->state == SERVICE_HELD && step.action == ACT_SPAWN)
		s->failures = 0; /* a new budget */
	if (step.action == ACT_SPAWN)
		s->starts++;
	s->state = step.next;
	return step.action;
}

int64_t service_delay(unsigned failures)
{
	int64_t delay = SERVICE_BACKOFF_MIN_MS;

	while (failures-- > 1 && delay < SERVICE_BACKOFF_MAX_MS)
		delay *= 2;
	return MIN(delay, (int64_t)SERVICE_BACKOFF_MAX_MS);
}

const char *service_state_name(enum service_state state)
{
	static const char *const names[SERVICE_STATES] = {
		[SERVICE_STOPPED] = "stopped",	 [SERVICE_RUNNING] = "running",
		[SERVICE_WAITING] = "waiting",	 [SERVICE_HELD] = "held back",
		[SERVICE_STOPPING] = "stopping", [SERVICE_RESTARTING] = "restarting",
	};

	return names[state];
}
