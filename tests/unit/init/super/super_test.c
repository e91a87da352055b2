/* The supervisor with real processes: restart, stop, kill, and orphans reaped. */
#include "init/super/super.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/base/clock.h"
#include "init/base/log.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

struct fixture {
	struct loop *loop;
	struct super super;
	struct service service;
	struct service_spec spec;
	const char *argv[4];
};

static int setup(struct fixture *f, const char *script, int stop_ms)
{
	log_set_level((enum log_level)0);
	*f = (struct fixture){ .argv = { "sh", "-c", script, NULL } };
	f->spec = (struct service_spec){
		.path = "/bin/sh", .argv = f->argv, .stop_ms = stop_ms, .hold_ms = 1000
	};
	if (loop_new(&f->loop, NULL) < 0 || super_init(&f->super, f->loop, NULL) < 0)
		return -1;
	super_add(&f->super, &f->service, "test", &f->spec);
	return 0;
}

static void teardown(struct fixture *f)
{
	super_remove(&f->service);
	signal_remove(&f->super.sigchld);
	loop_free(f->loop);
}

/* Runs the loop until the condition holds, at most ten seconds. */
#define UNTIL(f, cond)                                    \
	do {                                              \
		int64_t end_ = clock_mono_ms() + 10000;   \
		while (!(cond) && clock_mono_ms() < end_) \
			loop_once((f)->loop, 100);        \
		CHECK(cond);                              \
	} while (0)

TEST(what_ends_is_started_again)
{
	struct fixture f;

	CHECK_INT(setup(&f, "exit 3", 1000), 0);
	super_start(&f.service);
	UNTIL(&f, f.service.life.starts >= 3);
	CHECK(WIFEXITED(f.service.last_status) && WEXITSTATUS(f.service.last_status) == 3);
	CHECK(f.service.life.failures >= 2);
	teardown(&f);
}

TEST(what_is_stopped_stays_stopped)
{
	struct fixture f;

	CHECK_INT(setup(&f, "exec sleep 1000", 5000), 0);
	super_start(&f.service);
	CHECK(super_alive(&f.service) && super_pid(&f.service) > 1);
	super_stop(&f.service);
	UNTIL(&f, f.service.life.state == SERVICE_STOPPED);
	CHECK(WIFSIGNALED(f.service.last_status) && WTERMSIG(f.service.last_status) == SIGTERM);
	CHECK(!super_any_alive(&f.super, NULL));
	teardown(&f);
}

TEST(what_does_not_go_is_killed)
{
	struct fixture f;

	CHECK_INT(setup(&f, "trap '' TERM; while :; do sleep 1000 & wait; done", 1), 0);
	super_start(&f.service);
	super_stop(&f.service);
	UNTIL(&f, f.service.life.state == SERVICE_STOPPED);
	teardown(&f);
}

TEST(a_restart_gives_a_new_process)
{
	struct fixture f;
	pid_t old;

	CHECK_INT(setup(&f, "exec sleep 1000", 5000), 0);
	super_start(&f.service);
	old = super_pid(&f.service);
	super_restart(&f.service);
	UNTIL(&f, super_alive(&f.service) && super_pid(&f.service) != old);
	CHECK_INT(f.service.life.state, SERVICE_RUNNING);
	CHECK_INT(f.service.life.failures, 0);
	teardown(&f);
}

TEST(a_program_that_is_not_there_backs_off)
{
	struct fixture f;

	CHECK_INT(setup(&f, "", 1000), 0);
	f.spec.path = "/nonexistent";
	super_start(&f.service);
	CHECK_INT(f.service.life.state, SERVICE_WAITING);
	UNTIL(&f, f.service.life.starts >= 2);
	teardown(&f);
}

TEST(orphans_are_reaped)
{
	struct fixture f;
	int status;

	prctl(PR_SET_CHILD_SUBREAPER, 1); /* as PID 1 is for everybody */
	CHECK_INT(setup(&f, "for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 0 &) ; done; exec sleep 1000",
			5000),
		  0);
	super_start(&f.service);
	super_stop(&f.service);
	UNTIL(&f, f.service.life.state == SERVICE_STOPPED);
	/* nobody is left unless still running; wait for those through the loop too */
	UNTIL(&f, waitpid(-1, &status, WNOHANG) < 0);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	teardown(&f);
}

TEST(json_of_services)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(1024);
	struct fixture f;

	CHECK_INT(setup(&f, "exit 0", 1000), 0);
	super_json(&f.super, &out);
	CHECK_STR(out.data, "[{\"name\":\"test\",\"state\":\"stopped\",\"pid\":0,\"starts\":0,"
			    "\"failures\":0}]");
	teardown(&f);
}
