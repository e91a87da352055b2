/* The table of a service's life: every state sees every event, back-off, budget. */
#include "init/super/service.h"

#include "init/base/util.h"
#include "tests/unit/test.h"

TEST(a_life_in_order)
{
	struct service_life s = { 0 };

	CHECK_INT(service_step(&s, SERVICE_START), ACT_SPAWN);
	CHECK_INT(s.state, SERVICE_RUNNING);
	CHECK_INT(service_step(&s, SERVICE_START), ACT_NONE);
	CHECK_INT(service_step(&s, SERVICE_TIMER), ACT_STABLE);
	CHECK_INT(service_step(&s, SERVICE_STOP), ACT_TERM);
	CHECK_INT(service_step(&s, SERVICE_EXIT), ACT_GONE);
	CHECK_INT(s.state, SERVICE_STOPPED);
	CHECK_INT(s.starts, 1);
}

TEST(every_cell)
{
	static const struct {
		enum service_event event;
		enum service_state from, to;
		enum service_action action;
	} cells[] = {
		{ SERVICE_STOP, SERVICE_STOPPED, SERVICE_STOPPED, ACT_NONE },
		{ SERVICE_EXIT, SERVICE_STOPPED, SERVICE_STOPPED, ACT_NONE },
		{ SERVICE_TIMER, SERVICE_STOPPED, SERVICE_STOPPED, ACT_NONE },
		{ SERVICE_EXIT, SERVICE_RUNNING, SERVICE_WAITING, ACT_BACKOFF },
		{ SERVICE_START, SERVICE_WAITING, SERVICE_WAITING, ACT_NONE },
		{ SERVICE_STOP, SERVICE_WAITING, SERVICE_STOPPED, ACT_GONE },
		{ SERVICE_TIMER, SERVICE_WAITING, SERVICE_RUNNING, ACT_SPAWN },
		{ SERVICE_EXIT, SERVICE_WAITING, SERVICE_WAITING, ACT_NONE },
		{ SERVICE_START, SERVICE_HELD, SERVICE_RUNNING, ACT_SPAWN },
		{ SERVICE_STOP, SERVICE_HELD, SERVICE_STOPPED, ACT_GONE },
		{ SERVICE_TIMER, SERVICE_HELD, SERVICE_RUNNING, ACT_SPAWN },
		{ SERVICE_START, SERVICE_STOPPING, SERVICE_RESTARTING, ACT_NONE },
		{ SERVICE_STOP, SERVICE_STOPPING, SERVICE_STOPPING, ACT_NONE },
		{ SERVICE_TIMER, SERVICE_STOPPING, SERVICE_STOPPING, ACT_KILL },
		{ SERVICE_STOP, SERVICE_RESTARTING, SERVICE_STOPPING, ACT_NONE },
		{ SERVICE_EXIT, SERVICE_RESTARTING, SERVICE_RUNNING, ACT_SPAWN },
		{ SERVICE_TIMER, SERVICE_RESTARTING, SERVICE_RESTARTING, ACT_KILL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++) {
		struct service_life s = { .state = cells[i].from };
		enum service_action action = service_step(&s, cells[i].event);

		CHECK_MSG(action == cells[i].action && s.state == cells[i].to,
			  "%s at event %d: action %d, then %s", service_state_name(cells[i].from),
			  cells[i].event, action, service_state_name(s.state));
	}
}

TEST(the_back_off_doubles_up_to_a_minute)
{
	CHECK_INT(service_delay(1), 100);
	CHECK_INT(service_delay(2), 200);
	CHECK_INT(service_delay(5), 1600);
	CHECK_INT(service_delay(10), 51200);
	CHECK_INT(service_delay(11), 60000);
	CHECK_INT(service_delay(4000000000u), 60000);
}

TEST(a_stable_run_forgives_failures)
{
	struct service_life s = { 0 };

	service_step(&s, SERVICE_START);
	for (int i = 0; i < 5; i++) {
		service_step(&s, SERVICE_EXIT);
		service_step(&s, SERVICE_TIMER);
	}
	CHECK_INT(s.failures, 5);
	CHECK_INT(service_step(&s, SERVICE_TIMER), ACT_STABLE);
	CHECK_INT(s.failures, 0);
}

TEST(the_budget_holds_it_back_and_is_given_anew)
{
	struct service_life s = { 0 };

	service_step(&s, SERVICE_START);
	for (int i = 0; i < SERVICE_BUDGET; i++) {
		CHECK_INT(service_step(&s, SERVICE_EXIT), ACT_BACKOFF);
		CHECK_INT(service_step(&s, SERVICE_TIMER), ACT_SPAWN);
	}
	CHECK_INT(service_step(&s, SERVICE_EXIT), ACT_HOLD);
	CHECK_INT(s.state, SERVICE_HELD);
	CHECK_INT(service_step(&s, SERVICE_TIMER), ACT_SPAWN);
	CHECK_INT(s.failures, 0);
	CHECK_INT(service_step(&s, SERVICE_EXIT), ACT_BACKOFF);
}
