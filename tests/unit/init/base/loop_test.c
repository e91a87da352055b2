/* The loop: order of timers, removal from inside handlers, signals, children. */
#include "init/base/loop.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/base/str.h"
#include "tests/unit/test.h"

struct pair {
	struct io_event ev[2];
	int fds[2][2];
	int calls;
};

static struct pair *current;

/* whoever is called first removes the other */
static void on_pair(struct io_event *ev, uint32_t events)
{
	(void)ev;
	(void)events;
	current->calls++;
	io_remove(&current->ev[0]);
	io_remove(&current->ev[1]);
}

TEST(removed_in_the_same_round_is_not_called)
{
	_cleanup_(loop_free) struct loop *l = NULL;
	struct pair p = { 0 };

	current = &p;
	CHECK_INT(loop_new(&l, NULL), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(pipe2(p.fds[i], O_CLOEXEC), 0);
		CHECK_INT(write(p.fds[i][1], "x", 1), 1);
		p.ev[i].fn = on_pair;
		CHECK_INT(io_add(l, &p.ev[i], p.fds[i][0], EPOLLIN), 0);
	}
	CHECK_INT(io_add(l, &p.ev[0], p.fds[0][0], EPOLLIN), -EBUSY);
	loop_once(l, 1000);
	CHECK_INT(p.calls, 1);
	CHECK_INT(loop_once(l, 0), 0);
	io_remove(&p.ev[0]);
	for (int i = 0; i < 2; i++) {
		close(p.fds[i][0]);
		close(p.fds[i][1]);
	}
}

static void count_io(struct io_event *ev, uint32_t events)
{
	(void)ev;
	(void)events;
	current->calls++;
}

TEST(interest_changes)
{
	_cleanup_(loop_free) struct loop *l = NULL;
	struct pair p = { 0 };

	current = &p;
	CHECK_INT(loop_new(&l, NULL), 0);
	CHECK_INT(pipe2(p.fds[0], O_CLOEXEC), 0);
	p.ev[0].fn = count_io;
	CHECK_INT(io_add(l, &p.ev[0], p.fds[0][1], 0), 0);
	CHECK_INT(loop_once(l, 0), 0);
	CHECK_INT(io_change(&p.ev[0], EPOLLOUT), 0);
	CHECK_INT(loop_once(l, 1000), 1);
	CHECK_INT(io_change(&p.ev[0], 0), 0);
	CHECK_INT(loop_once(l, 0), 0);
	io_remove(&p.ev[0]);
	CHECK_INT(io_change(&p.ev[0], EPOLLOUT), -ENOENT);
	close(p.fds[0][0]);
	close(p.fds[0][1]);
}

enum { TIMERS = 200 };

struct clockwork {
	struct timer_event timers[TIMERS];
	int fired;
	int64_t last_due;
	bool wrong;
	struct loop *loop;
};

static struct clockwork work;

static void on_timer(struct timer_event *ev)
{
	if (ev->due < work.last_due)
		work.wrong = true;
	work.last_due = ev->due;
	if (++work.fired == TIMERS / 2)
		loop_quit(work.loop, 5);
}

TEST(timers_fire_in_order_and_only_when_armed)
{
	_cleanup_(loop_free) struct loop *l = NULL;

	work = (struct clockwork){ 0 };
	CHECK_INT(loop_new(&l, NULL), 0);
	work.loop = l;
	for (int i = 0; i < TIMERS; i++) {
		work.timers[i].fn = on_timer;
		CHECK_INT(timer_set(l, &work.timers[i], 500 + i * 7919 % 20), 0);
	}
	/* re-arm all (moves in both directions), then clear every second one */
	for (int i = 0; i < TIMERS; i++)
		CHECK_INT(timer_set(l, &work.timers[i], i * 104729 % 15), 0);
	for (int i = 0; i < TIMERS; i += 2)
		timer_clear(&work.timers[i]);
	timer_clear(&work.timers[0]);
	CHECK_INT(loop_run(l), 5);
	CHECK_INT(work.fired, TIMERS / 2);
	CHECK(!work.wrong);
	for (int i = 0; i < TIMERS; i++)
		CHECK(!timer_armed(&work.timers[i]));
	CHECK_INT(loop_once(l, 0), 0);
}

static void on_rearm(struct timer_event *ev)
{
	work.fired++;
	timer_set(ev->loop, ev, 0);
}

TEST(timer_that_rearms_itself_does_not_starve_the_round)
{
	_cleanup_(loop_free) struct loop *l = NULL;

	work = (struct clockwork){ 0 };
	CHECK_INT(loop_new(&l, NULL), 0);
	work.timers[0].fn = on_rearm;
	CHECK_INT(timer_set(l, &work.timers[0], 0), 0);
	for (int i = 1; i <= 3; i++) {
		while (work.fired < i)
			loop_once(l, 1000);
		CHECK_INT(work.fired, i);
	}
	timer_clear(&work.timers[0]);
}

struct deferred {
	struct defer_event a, b;
	int a_calls, b_calls;
	struct loop *loop;
};

static struct deferred deferred;

static void on_a(struct defer_event *ev)
{
	if (++deferred.a_calls == 1)
		defer_add(deferred.loop, ev); /* next round */
	defer_remove(&deferred.b);
}

static void on_b(struct defer_event *ev)
{
	(void)ev;
	deferred.b_calls++;
}

TEST(deferred_run_once_and_may_remove_each_other)
{
	_cleanup_(loop_free) struct loop *l = NULL;

	CHECK_INT(loop_new(&l, NULL), 0);
	deferred = (struct deferred){ .a.fn = on_a, .b.fn = on_b, .loop = l };
	defer_add(l, &deferred.a);
	defer_add(l, &deferred.a);
	defer_add(l, &deferred.b);
	CHECK_INT(loop_once(l, 1000), 1);
	CHECK_INT(deferred.b_calls, 0);
	CHECK_INT(loop_once(l, 1000), 1);
	CHECK_INT(deferred.a_calls, 2);
	CHECK_INT(loop_once(l, 0), 0);
}

static int signals_seen[3];

static void on_usr1(struct signal_event *ev, const struct signalfd_siginfo *info)
{
	signals_seen[0] += info->ssi_signo == SIGUSR1;
	signal_remove(ev);
}

static void on_usr1_too(struct signal_event *ev, const struct signalfd_siginfo *info)
{
	(void)ev;
	signals_seen[1] += info->ssi_signo == SIGUSR1;
}

TEST(signals_reach_all_who_ask)
{
	struct signal_event first = { .fn = on_usr1 }, second = { .fn = on_usr1_too };
	_cleanup_(loop_free) struct loop *l = NULL;

	CHECK_INT(loop_new(&l, NULL), 0);
	CHECK_INT(signal_add(l, &first, SIGUSR1), 0);
	CHECK_INT(signal_add(l, &second, SIGUSR1), 0);
	CHECK_INT(signal_add(l, &(struct signal_event){ 0 }, 1000), -EINVAL);
	CHECK_INT(raise(SIGUSR1), 0);
	loop_once(l, 1000);
	CHECK_INT(raise(SIGUSR1), 0);
	loop_once(l, 1000);
	CHECK_INT(signals_seen[0], 1);
	CHECK_INT(signals_seen[1], 2);
	signal_remove(&second);
}

struct kid {
	struct child_event ev;
	int status, calls;
};

static void on_kid(struct child_event *ev, int status)
{
	struct kid *k = container_of(ev, struct kid, ev);

	k->status = status;
	k->calls++;
}

static int start(const char *script, struct child *ret)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct spawn s = { .path = "/bin/sh", .argv = argv };

	return spawn(&s, ret, NULL);
}

TEST(children_are_reaped_and_reported)
{
	_cleanup_(loop_free) struct loop *l = NULL;
	struct kid kids[3] = { 0 };
	struct child c, back;

	CHECK_INT(loop_new(&l, NULL), 0);
	for (int i = 0; i < 3; i++) {
		kids[i].ev.fn = on_kid;
		CHECK_INT(start(i == 0 ? "exit 4" : "exec sleep 1000", &c), 0);
		CHECK_INT(child_add(l, &kids[i].ev, &c), 0);
		CHECK_INT(c.pidfd, -1);
	}
	while (!kids[0].calls)
		CHECK(loop_once(l, 10000) > 0);
	CHECK_INT(WEXITSTATUS(kids[0].status), 4);
	child_remove(&kids[1].ev, true, NULL);
	child_remove(&kids[2].ev, false, &back);
	CHECK(back.pidfd >= 0);
	child_free(&back);
	CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
	CHECK_INT(loop_once(l, 0), 0);
	CHECK_INT(kids[1].calls + kids[2].calls, 0);
}

TEST(reaping_everything_keeps_the_status_of_the_watched)
{
	_cleanup_(loop_free) struct loop *l = NULL;
	struct kid kid = { .ev.fn = on_kid };
	struct child c;
	pid_t orphan;
	int n = 0;

	CHECK_INT(loop_new(&l, NULL), 0);
	CHECK_INT(start("exit 6", &c), 0);
	CHECK_INT(child_add(l, &kid.ev, &c), 0);
	orphan = fork();
	if (orphan == 0)
		_exit(1);
	while (n < 2) {
		siginfo_t info;

		CHECK_INT(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
		n += loop_reap(l);
	}
	CHECK_INT(kid.calls, 1);
	CHECK_INT(WEXITSTATUS(kid.status), 6);
	CHECK_INT(loop_once(l, 0), 0);
}
