/*
 * The life-cycle table, played with puppets: every state, every event, and who is answered what.
 */
#include "tests/unit/engine/container/world.h"

#define PLAIN "{\"Image\":\"img\"}"
#define ALWAYS "{\"Image\":\"img\",\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"always\"}}}"

/* Brings a fresh container into a state; the caller's answer to the start is dropped. */
static struct container *in_state(enum container_state state)
{
	struct container *c = make(state == CONTAINER_RESTARTING ? ALWAYS : PLAIN);
	static struct caller starter;

	starter = (struct caller){ .op.done = caller_done };
	if (state == CONTAINER_CREATED)
		return c;
	container_start(c, &starter.op);
	if (state == CONTAINER_STARTING)
		return c;
	shim_comes_up();
	world_settle();
	if (state == CONTAINER_EXITED || state == CONTAINER_RESTARTING)
		shim_exits(3);
	if (state == CONTAINER_PAUSED) {
		container_pause(c, NULL);
		shim_paused(0);
	}
	while (loop_once(w.loop, 0) > 0 && c->state != CONTAINER_RESTARTING)
		;
	return c;
}

enum verb { START, STOP, RESTART, KILL, KILL_HUP, REMOVE, REMOVE_FORCE };

static void do_verb(struct container *c, enum verb v, struct container_op *op)
{
	switch (v) {
	case START:
		container_start(c, op);
		break;
	case STOP:
		container_stop(c, -1, 0, op);
		break;
	case RESTART:
		container_restart(c, -1, 0, op);
		break;
	case KILL:
		container_kill(c, SIGKILL, op);
		break;
	case KILL_HUP:
		container_kill(c, SIGHUP, op);
		break;
	case REMOVE:
		container_remove(c, false, false, op);
		break;
	case REMOVE_FORCE:
		container_remove(c, true, false, op);
		break;
	}
}

#define ANSWERS_LATER 1

/* What the caller hears at once (0 done, -errno refused, ANSWERS_LATER), and the state right
 * afterwards. */
static const struct {
	enum container_state from;
	enum verb verb;
	int answer;
	enum container_state to;
} cases[] = {
	{ CONTAINER_CREATED, START, ANSWERS_LATER, CONTAINER_STARTING },
	{ CONTAINER_CREATED, STOP, -EALREADY, CONTAINER_CREATED },
	{ CONTAINER_CREATED, RESTART, ANSWERS_LATER, CONTAINER_STARTING },
	{ CONTAINER_CREATED, KILL, -EBUSY, CONTAINER_CREATED },
	{ CONTAINER_CREATED, KILL_HUP, -EBUSY, CONTAINER_CREATED },
	{ CONTAINER_CREATED, REMOVE, ANSWERS_LATER, CONTAINER_REMOVING },
	{ CONTAINER_CREATED, REMOVE_FORCE, ANSWERS_LATER, CONTAINER_REMOVING },
	{ CONTAINER_STARTING, START, ANSWERS_LATER, CONTAINER_STARTING },
	{ CONTAINER_STARTING, STOP, ANSWERS_LATER, CONTAINER_STARTING },
	{ CONTAINER_STARTING, RESTART, ANSWERS_LATER, CONTAINER_STARTING },
	{ CONTAINER_STARTING, KILL, ANSWERS_LATER, CONTAINER_STARTING },
	{ CONTAINER_STARTING, REMOVE, -EBUSY, CONTAINER_STARTING },
	{ CONTAINER_STARTING, REMOVE_FORCE, ANSWERS_LATER, CONTAINER_STARTING },
	{ CONTAINER_RUNNING, START, -EALREADY, CONTAINER_RUNNING },
	{ CONTAINER_RUNNING, STOP, ANSWERS_LATER, CONTAINER_RUNNING },
	{ CONTAINER_RUNNING, RESTART, ANSWERS_LATER, CONTAINER_RUNNING },
	{ CONTAINER_RUNNING, KILL, ANSWERS_LATER, CONTAINER_RUNNING },
	{ CONTAINER_RUNNING, REMOVE, -EBUSY, CONTAINER_RUNNING },
	{ CONTAINER_RUNNING, REMOVE_FORCE, ANSWERS_LATER, CONTAINER_RUNNING },
	{ CONTAINER_PAUSED, START, -EBUSY, CONTAINER_PAUSED },
	{ CONTAINER_PAUSED, STOP, ANSWERS_LATER, CONTAINER_PAUSED },
	{ CONTAINER_PAUSED, RESTART, ANSWERS_LATER, CONTAINER_PAUSED },
	{ CONTAINER_PAUSED, KILL, ANSWERS_LATER, CONTAINER_PAUSED },
	{ CONTAINER_PAUSED, REMOVE, -EBUSY, CONTAINER_PAUSED },
	{ CONTAINER_PAUSED, REMOVE_FORCE, ANSWERS_LATER, CONTAINER_PAUSED },
	{ CONTAINER_RESTARTING, START, ANSWERS_LATER, CONTAINER_STARTING },
	{ CONTAINER_RESTARTING, STOP, 0, CONTAINER_EXITED },
	{ CONTAINER_RESTARTING, RESTART, ANSWERS_LATER, CONTAINER_STARTING },
	{ CONTAINER_RESTARTING, KILL, 0, CONTAINER_EXITED },
	{ CONTAINER_RESTARTING, KILL_HUP, -EBUSY, CONTAINER_RESTARTING },
	{ CONTAINER_RESTARTING, REMOVE, -EBUSY, CONTAINER_RESTARTING },
	{ CONTAINER_RESTARTING, REMOVE_FORCE, ANSWERS_LATER, CONTAINER_REMOVING },
	{ CONTAINER_EXITED, START, ANSWERS_LATER, CONTAINER_STARTING },
	{ CONTAINER_EXITED, STOP, -EALREADY, CONTAINER_EXITED },
	{ CONTAINER_EXITED, RESTART, ANSWERS_LATER, CONTAINER_STARTING },
	{ CONTAINER_EXITED, KILL, -EBUSY, CONTAINER_EXITED },
	{ CONTAINER_EXITED, KILL_HUP, -EBUSY, CONTAINER_EXITED },
	{ CONTAINER_EXITED, REMOVE, ANSWERS_LATER, CONTAINER_REMOVING },
	{ CONTAINER_EXITED, REMOVE_FORCE, ANSWERS_LATER, CONTAINER_REMOVING },
};

TEST(every_verb_in_every_state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct container *c;
		CALLER(caller);

		world_open();
		world_engine("boot-1");
		c = in_state(cases[i].from);
		CHECK_INT(c->state, cases[i].from);
		do_verb(c, cases[i].verb, &caller.op);
		CHECK_MSG(c->state == cases[i].to, "case %zu: state %d, not %d", i, c->state,
			  cases[i].to);
		CHECK_MSG(caller.n == 0, "case %zu: answered from inside the call", i);
		if (cases[i].answer <= 0) {
			loop_once(w.loop, 0);
			CHECK_MSG(caller.n == 1 && caller.r == cases[i].answer,
				  "case %zu: %d answers, %d (%s)", i, caller.n, caller.r,
				  caller.text);
		}
		container_op_cancel(&caller.op);
		world_close();
	}
}

TEST(start_to_exit)
{
	struct container *c;
	CALLER(starter);
	CALLER(stopper);

	world_open();
	world_engine("boot-1");
	c = make(PLAIN);
	container_start(c, &starter.op);
	CHECK_INT(w.n_attached, 1);
	CHECK_INT(w.n_spawned, 1);
	CHECK_STR(container_state_name(c), "created");
	shim_comes_up();
	CHECK_INT(starter.n, 0);
	world_settle();
	CHECK_INT(starter.n, 1);
	CHECK_INT(starter.r, 0);
	CHECK_STR(container_state_name(c), "running");
	container_stop(c, 5, 0, &stopper.op);
	CHECK_INT(w.last_signal, SIGTERM);
	CHECK_INT(stopper.n, 0);
	shim_exits(143);
	world_settle();
	CHECK_INT(stopper.n, 1);
	CHECK_INT(stopper.r, 0);
	CHECK_STR(container_state_name(c), "exited");
	CHECK_INT(container_exit_code(c), 143);
	CHECK(w.n_detached >= 1 && !w.shim);
	CHECK_STR(w.actions, "create start kill die stop ");
	world_close();
}

TEST(a_start_that_fails_says_why)
{
	static const struct {
		int code, want;
		const char *why;
	} ways[] = {
		{ 127, EINVAL, "exec: \"nope\": executable file not found in $PATH" },
		{ 126, EINVAL, "permission denied" },
		{ 125, EIO, "mount failed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct container *c;
		CALLER(starter);

		world_open();
		world_engine("boot-1");
		c = make(PLAIN);
		container_start(c, &starter.op);
		shim_never_runs(ways[i].code, ways[i].why);
		world_settle();
		CHECK_INT(starter.n, 1);
		CHECK_INT(starter.r, -ways[i].want);
		CHECK_STR(starter.text, ways[i].why);
		CHECK_STR(container_state_name(c), "created");
		CHECK_INT(container_exit_code(c), ways[i].code);
		CHECK(!w.shim && w.n_detached == 1);
		world_close();
	}
}

TEST(no_network_no_shim)
{
	struct container *c;
	CALLER(starter);

	world_open();
	world_engine("boot-1");
	c = make(PLAIN);
	w.attach_fails = EADDRINUSE;
	container_start(c, &starter.op);
	world_settle();
	CHECK_INT(starter.r, -EADDRINUSE);
	CHECK_STR(starter.text, "the port is taken");
	CHECK_INT(w.n_spawned, 0);
	CHECK_INT(c->state, CONTAINER_CREATED);
	world_close();
}

TEST(stop_while_starting)
{
	struct container *c;
	CALLER(starter);
	CALLER(stopper);

	world_open();
	world_engine("boot-1");
	c = make(PLAIN);
	container_start(c, &starter.op);
	container_stop(c, -1, 0, &stopper.op);
	shim_comes_up();
	world_settle();
	CHECK_INT(starter.n, 1);
	CHECK_INT(w.last_signal, SIGTERM);
	shim_exits(0);
	world_settle();
	CHECK_INT(stopper.n, 1);
	world_close();
}

TEST(policies)
{
	static const struct {
		const char *policy;
		int max, code;
		bool restarts;
	} rows[] = {
		{ "no", 0, 1, false },	       { "always", 0, 0, true },
		{ "always", 0, 1, true },      { "unless-stopped", 0, 0, true },
		{ "on-failure", 0, 0, false }, { "on-failure", 0, 1, true },
		{ "on-failure", 1, 1, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char json[200];
		struct container *c;
		CALLER(starter);

		world_open();
		world_engine("boot-1");
		snprintf(json, sizeof(json),
			 "{\"Image\":\"img\",\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"%s\","
			 "\"MaximumRetryCount\":%d}}}",
			 rows[i].policy, rows[i].max);
		c = make(json);
		container_start(c, &starter.op);
		shim_comes_up();
		shim_exits(rows[i].code);
		CHECK_MSG(c->state == (rows[i].restarts ? CONTAINER_RESTARTING : CONTAINER_EXITED),
			  "row %zu: %s", i, container_state_name(c));
		world_close();
	}
}

TEST(back_off_doubles_and_on_failure_ends)
{
	static const int64_t waits[] = { 100, 200, 400, 800 };
	struct container *c;
	CALLER(starter);

	world_open();
	world_engine("boot-1");
	c = make("{\"Image\":\"img\",\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"on-failure\","
		 "\"MaximumRetryCount\":4}}}");
	container_start(c, &starter.op);
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		shim_comes_up();
		shim_exits(1);
		CHECK_INT(c->state, CONTAINER_RESTARTING);
		CHECK_INT(c->rec.backoff_ms, waits[i]);
		CHECK_INT(c->rec.restart_count, (long long)i + 1);
		backoff_due(&c->backoff_timer);
	}
	shim_comes_up();
	shim_exits(1);
	CHECK_INT(c->state, CONTAINER_EXITED);
	world_close();
}

TEST(a_stop_by_hand_ends_the_policy)
{
	struct container *c;
	CALLER(starter);
	CALLER(stopper);

	world_open();
	world_engine("boot-1");
	c = make(ALWAYS);
	container_start(c, &starter.op);
	shim_comes_up();
	container_stop(c, -1, 0, &stopper.op);
	shim_exits(0);
	world_settle();
	CHECK_INT(c->state, CONTAINER_EXITED);
	world_close();
}

TEST(restart_starts_again)
{
	struct container *c;
	CALLER(starter);
	CALLER(again);

	world_open();
	world_engine("boot-1");
	c = make(PLAIN);
	container_start(c, &starter.op);
	shim_comes_up();
	container_restart(c, -1, 0, &again.op);
	shim_exits(0);
	CHECK_INT(c->state, CONTAINER_STARTING);
	shim_comes_up();
	world_settle();
	CHECK_INT(again.n, 1);
	CHECK_INT(again.r, 0);
	CHECK_INT(c->state, CONTAINER_RUNNING);
	CHECK_STR(w.actions, "create start kill die stop start restart ");
	world_close();
}

struct waiter {
	struct container_wait wait;
	int n, code;
	char error[80];
};

static void waiter_done(struct container_wait *wait, int code, const char *error)
{
	struct waiter *x = container_of(wait, struct waiter, wait);

	x->n++;
	x->code = code;
	snprintf(x->error, sizeof(x->error), "%s", error ? error : "");
}

TEST(waits)
{
	struct waiter next = { .wait = { .done = waiter_done, .condition = WAIT_NEXT_EXIT } },
		      not_running = { .wait = { .done = waiter_done,
						.condition = WAIT_NOT_RUNNING } },
		      removed = { .wait = { .done = waiter_done, .condition = WAIT_REMOVED } };
	struct container *c;
	CALLER(starter);

	world_open();
	world_engine("boot-1");
	c = make("{\"Image\":\"img\",\"HostConfig\":{\"AutoRemove\":true}}");
	container_wait(c, &next.wait);
	container_wait(c, &removed.wait);
	world_settle();
	CHECK(next.n == 0 && removed.n == 0);
	container_start(c, &starter.op);
	shim_comes_up();
	container_wait(c, &not_running.wait);
	shim_exits(7);
	while (removed.n == 0)
		loop_once(w.loop, 1000);
	CHECK(next.n == 1 && next.code == 7);
	CHECK(not_running.n == 1 && not_running.code == 7);
	CHECK(removed.n == 1 && removed.code == 7);
	CHECK_INT(containers_count(w.cs, NULL, NULL), 0);
	CHECK_STR(w.actions, "create start die destroy ");
	world_close();
}

TEST(force_remove_kills_first)
{
	struct container *c;
	CALLER(starter);
	CALLER(remover);

	world_open();
	world_engine("boot-1");
	c = make(ALWAYS);
	container_start(c, &starter.op);
	shim_comes_up();
	container_remove(c, true, false, &remover.op);
	CHECK_INT(w.last_signal, SIGKILL);
	shim_exits(137);
	while (remover.n == 0)
		loop_once(w.loop, 1000);
	CHECK_INT(remover.r, 0);
	CHECK_INT(containers_count(w.cs, NULL, NULL), 0);
	world_close();
}

static void child_ended(struct child_event *ev, int status)
{
	(void)status;
	(void)ev;
}

/* The machine is switched off while files are deleted: the loop must not remember the remover. */
TEST(the_engine_ends_in_the_middle_of_a_removal)
{
	const char *const argv[] = { "true", NULL };
	struct child_event next = { .fn = child_ended };
	struct child child = { .pidfd = -1 };
	CALLER(remover);

	world_open();
	world_engine("boot-1");
	container_remove(make(ALWAYS), false, false, &remover.op);
	CHECK_INT(remover.n, 0);
	world_end_engine();
	CHECK_INT(spawn(&(struct spawn){ .path = "/bin/true", .argv = argv }, &child, NULL), 0);
	CHECK_INT(child_add(w.loop, &next, &child), 0);
	while (!list_empty(&next.link))
		loop_once(w.loop, 1000);
	world_close();
}

TEST(an_attach_before_the_start_gets_its_socket)
{
	struct container *c;
	CALLER(starter);
	struct {
		struct container_attach a;
	} none = { 0 };

	world_open();
	world_engine("boot-1");
	c = make(PLAIN);
	none.a.out = true;
	container_attach(c, &none.a);
	CHECK(!list_empty(&c->attaches));
	container_attach_cancel(&none.a); /* the client went away: nothing is called */
	container_start(c, &starter.op);
	shim_comes_up();
	CHECK(list_empty(&c->attach_jobs));
	world_close();
}

TEST(a_lost_shim_is_an_end)
{
	struct container *c;
	CALLER(starter);
	struct err e = { 0 };

	world_open();
	world_engine("boot-1");
	c = make(PLAIN);
	container_start(c, &starter.op);
	shim_comes_up();
	err_set(&e, EPIPE, "gone");
	w.shim->ops->lost(w.shim, &e, w.shim->data);
	CHECK_INT(c->state, CONTAINER_EXITED);
	CHECK_INT(container_exit_code(c), 137);
	world_close();
}

/* ---- across engines ---- */

static int n_ready;

static void note_ready(void *data)
{
	(void)data;
	n_ready++;
}

TEST(found_again_after_an_engine_restart)
{
	char id[65];
	struct container *c;
	CALLER(starter);

	world_open();
	world_engine("boot-1");
	c = make(PLAIN);
	str_copy(id, sizeof(id), c->id);
	container_start(c, &starter.op);
	shim_comes_up();
	world_settle();
	world_end_engine();
	n_ready = 0;
	world_engine("boot-1");
	containers_restore(w.cs, note_ready, NULL);
	world_settle();
	CHECK_INT(n_ready, 0); /* the shim has not answered */
	w.shim->status = (struct shim_status){ .state = SHIM_RUNNING, .pid = 43, .started_ns = 5 };
	w.shim->ops->created(w.shim, &w.shim->status, w.shim->data);
	world_settle();
	CHECK_INT(n_ready, 1);
	c = containers_find(w.cs, id, NULL);
	CHECK(c && c->state == CONTAINER_RUNNING && c->rec.pid == 43);
	world_close();
}

TEST(lost_with_a_reboot)
{
	static const struct {
		const char *json;
		bool comes_back;
	} rows[] = { { PLAIN, false }, { ALWAYS, true } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char id[65], *shims;
		struct container *c;
		CALLER(starter);

		world_open();
		world_engine("boot-1");
		c = make(rows[i].json);
		str_copy(id, sizeof(id), c->id);
		container_start(c, &starter.op);
		shim_comes_up();
		world_settle();
		world_end_engine();
		shims = str_printf("%s/run", w.dir);
		CHECK_INT(tree_remove(AT_FDCWD, shims, NULL), 0); /* /run is in memory */
		free(shims);
		world_engine("boot-2");
		containers_restore(w.cs, NULL, NULL);
		loop_once(w.loop, 0);
		c = containers_find(w.cs, id, NULL);
		CHECK(c != NULL);
		CHECK_INT(container_exit_code(c), 255);
		CHECK_MSG((c->state == CONTAINER_RESTARTING) == rows[i].comes_back, "row %zu: %s",
			  i, container_state_name(c));
		world_close();
	}
}

TEST(look_up)
{
	struct container *a, *b;
	struct err e = { 0 };

	world_open();
	world_engine("boot-1");
	a = make(PLAIN);
	b = make(PLAIN);
	CHECK(containers_find(w.cs, a->id, &e) == a);
	CHECK(containers_find(w.cs, b->name, &e) == b);
	CHECK(containers_find(w.cs, "nope", &e) == NULL);
	CHECK_STR(err_text(&e), "No such container: nope");
	CHECK(container_rename(a, b->name, &e) == -EEXIST);
	CHECK(str_starts(err_text(&e), "Error when allocating new name: Conflict. "));
	CHECK_INT(container_rename(a, a->name, &e), -EINVAL);
	CHECK_INT(container_rename(a, "/fresh", &e), 0);
	CHECK(containers_find(w.cs, "fresh", &e) == a);
	CHECK_INT(container_rename(a, "no/slash", &e), -EINVAL);
	world_close();
}

TEST(stop_all_in_order)
{
#define SERVICE_LABELS(name, needs)                                                         \
	"{\"Image\":\"img\",\"Labels\":{\"com.docker.compose.project\":\"p\",\"com.docker." \
	"compose.service\":\"" name "\",\"com.docker.compose.depends_on\":\"" needs "\"}}"
	struct container *db, *web;
	struct shim_client *db_shim, *web_shim;
	CALLER(one);
	CALLER(two);

	world_open();
	world_engine("boot-1");
	db = make(SERVICE_LABELS("db", ""));
	web = make(SERVICE_LABELS("web", "db:service_started:false"));
	container_start(db, &one.op);
	shim_comes_up();
	db_shim = w.shim;
	container_start(web, &two.op);
	shim_comes_up();
	web_shim = w.shim;
	world_settle();
	n_ready = 0;
	w.n_signals = 0;
	containers_stop_all(w.cs, note_ready, NULL);
	world_settle();
	CHECK_INT(w.n_signals, 1);
	w.shim = web_shim;
	shim_exits(0);
	world_settle();
	CHECK_INT(w.n_signals, 2);
	CHECK_INT(n_ready, 0);
	w.shim = db_shim;
	shim_exits(0);
	world_settle();
	CHECK_INT(n_ready, 1);
	world_close();
}
