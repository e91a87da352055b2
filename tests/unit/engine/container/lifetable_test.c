/*
 * The life-cycle table as a table of cases: in a state comes an event; the caller's answer, the
 * state afterwards, the events that are told and the document on disk are what the row says.
 *
 * A row is played to its end: the puppet shim answers what it was asked (a signal ends the program,
 * a pause freezes, an update succeeds), until the caller has its answer and nothing moves. The
 * second table is about crashes: an engine ends in a state, the machine or the shim may end too,
 * and the next engine finds what is left.
 */
#include "tests/unit/engine/container/world.h"

#include <sys/socket.h>

/* "exec_*" events of probes are left out of what was told */
#define CONFIG(more) "{\"Image\":\"img\"," more "}"
#define PLAIN CONFIG("\"Tty\":false")
#define POLICY(name, max)                                            \
	CONFIG("\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"" name \
	       "\",\"MaximumRetryCount\":" max "}}")
#define ALWAYS POLICY("always", "0")
#define UNLESS POLICY("unless-stopped", "0")
#define FAILURE POLICY("on-failure", "2")
#define AUTO CONFIG("\"HostConfig\":{\"AutoRemove\":true}")
#define SIGNALLED CONFIG("\"StopSignal\":\"SIGTERM\"")
#define CHECKED WITH_CHECK("")
#define HEALED WITH_CHECK("\"skerry.autoheal\":\"true\"")
#define WITH_CHECK(labels)                                                              \
	CONFIG("\"Labels\":{" labels "},\"Healthcheck\":{\"Test\":[\"CMD\",\"probe\"]," \
	       "\"Interval\":1000000,\"Retries\":1}")

enum happening {
	START,
	STOP,
	RESTART,
	KILL,
	HUP,
	PAUSE,
	UNPAUSE,
	UPDATE,
	RENAME,
	REMOVE,
	FORCE,
	/* from below; they have no caller */
	EXIT_0,
	EXIT_3,
	OOM,
	LOST,
	NEVER_RAN,
	FREEZER_FAILS, /* the caller's pause; the shim refuses */
	UPDATE_FAILS, /* the caller's update; the kernel refuses */
	BACKOFF,
	PROBE_GOOD,
	PROBE_BAD,
};

enum { GONE = CONTAINER_N_STATES }; /* removed, with its folder */

struct row {
	const char *config;
	int from;
	enum happening event;
	int answer; /* 0 or -errno; NONE: there is no caller */
	int to;
	const char *told; /* events, each with a blank behind it */
	const char *disk; /* stands in state.json or container.json */
};

enum { NONE = 1 };

/* ---- the puppets at the end of their threads ---- */

static void shim_oom(void)
{
	w.shim->status.oom_kills++;
	w.shim->ops->oom(w.shim, w.shim->data);
}

static void shim_lost(void)
{
	struct err e = { 0 };

	err_set(&e, EPIPE, "gone");
	w.shim->ops->lost(w.shim, &e, w.shim->data);
}

static void signal_answered(void)
{
	struct shim_done done = w.shim->signal_done;

	w.shim->signal_done.fn = NULL;
	done.fn(w.shim, 0, NULL, NULL, done.data);
}

static void update_answered(int error)
{
	struct shim_done done = w.shim->update_done;
	struct err e = { 0 };

	w.shim->update_done.fn = NULL;
	if (error)
		err_set(&e, error, "no");
	done.fn(w.shim, -error, NULL, &e, done.data);
}

/* The probe that is to come runs and ends with a code. */
static void probe_runs(int code)
{
	struct shim_reply reply = { .fd = -1, .log_offset = -1 };
	struct shim_done done;
	int pair[2];

	while (!fx.done.fn)
		loop_once(w.loop, 100);
	done = fx.done;
	fx.done.fn = NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	reply.fd = pair[0];
	done.fn(w.shim, 0, &reply, NULL, done.data);
	close(pair[1]);
	w.shim->ops->exec_exited(w.shim, fx.id, code, w.shim->data);
	while (!fx.done.fn && loop_once(w.loop, 0) > 0)
		;
}

/* One thing that a shim would do now; false: it has nothing to do. */
static bool shim_moves(void)
{
	if (!w.shim)
		return false;
	if (w.shim->signal_done.fn)
		signal_answered();
	else if (w.shim->pause_done.fn)
		shim_paused(0);
	else if (w.shim->update_done.fn)
		update_answered(0);
	else if (w.shim->status.state == SHIM_CREATING)
		shim_comes_up();
	else if (w.last_signal == SIGTERM || w.last_signal == SIGKILL)
		shim_exits(128 + w.last_signal);
	else
		return false;
	if (!w.shim || w.shim->status.state == SHIM_CREATING)
		w.last_signal = 0;
	return true;
}

static void play_out(void)
{
	do
		world_settle();
	while (shim_moves());
	/* removals end with a process */
	for (int i = 0; i < 200 && w.cs && containers_count(w.cs, NULL, NULL) > 0; i++) {
		size_t pos = 0;
		struct container *c = containers_next(w.cs, &pos);

		if (c->state != CONTAINER_REMOVING)
			break;
		loop_once(w.loop, 50);
	}
	world_settle();
}

/* ---- into a state ---- */

static struct caller nobody = { .op.done = caller_done };

static struct container *into(const char *config, int state)
{
	struct container *c = make(config);

	memset(&fx, 0, sizeof(fx));
	fx.fd = -1;
	nobody = (struct caller){ .op.done = caller_done };
	if (state == CONTAINER_CREATED)
		return c;
	if (state == CONTAINER_REMOVING) {
		container_remove(c, false, false, &nobody.op);
		return c;
	}
	if (state == CONTAINER_DEAD) {
		container_enter(c, CONTAINER_DEAD);
		return c;
	}
	container_start(c, &nobody.op);
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
	return c;
}

static yyjson_doc *body(const char *json)
{
	return yyjson_read(json, strlen(json), 0);
}

static void ask_update(struct container *c, struct container_op *op)
{
	yyjson_doc *doc = body("{\"CpuShares\":77}");

	container_update(c, yyjson_doc_get_root(doc), NULL, op);
	yyjson_doc_free(doc);
}

static void ask_rename(struct container *c, struct caller *caller)
{
	struct err e = { 0 };

	caller->r = container_rename(c, "fresh", &e);
	caller->n++;
}

static void happen(struct container *c, enum happening ev, struct caller *caller)
{
	switch (ev) {
	case START:
		container_start(c, &caller->op);
		break;
	case STOP:
		container_stop(c, -1, 0, &caller->op);
		break;
	case RESTART:
		container_restart(c, -1, 0, &caller->op);
		break;
	case KILL:
		container_kill(c, SIGKILL, &caller->op);
		break;
	case HUP:
		container_kill(c, SIGHUP, &caller->op);
		break;
	case FREEZER_FAILS:
	case PAUSE:
		container_pause(c, &caller->op);
		if (ev == FREEZER_FAILS)
			shim_paused(EIO);
		break;
	case UNPAUSE:
		container_unpause(c, &caller->op);
		break;
	case UPDATE_FAILS:
	case UPDATE:
		ask_update(c, &caller->op);
		if (ev == UPDATE_FAILS)
			update_answered(EIO);
		break;
	case RENAME:
		ask_rename(c, caller);
		break;
	case REMOVE:
	case FORCE:
		container_remove(c, ev == FORCE, false, &caller->op);
		break;
	case EXIT_0:
	case EXIT_3:
		shim_exits(ev == EXIT_3 ? 3 : 0);
		break;
	case OOM:
		shim_oom();
		break;
	case LOST:
		shim_lost();
		break;
	case NEVER_RAN:
		shim_never_runs(127, "no such program");
		break;
	case BACKOFF:
		timer_clear(&c->backoff_timer);
		backoff_due(&c->backoff_timer);
		break;
	case PROBE_GOOD:
	case PROBE_BAD:
		probe_runs(ev == PROBE_GOOD ? 0 : 1);
		break;
	}
}

/* ---- what is there afterwards ---- */

static char *documents(const char *id)
{
	static const char *const names[] = { "state.json", "container.json" };
	struct buf all = BUF_INIT(1 << 20);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(mem_free) char *path =
			str_printf("%s/containers/%s/%s", w.dir, id, names[i]);
		_cleanup_(mem_free) char *text = NULL;

		if (file_read(AT_FDCWD, path, 1 << 20, &text, NULL, NULL) == 0)
			buf_add_text(&all, text);
	}
	return buf_take(&all);
}

static void without_probes(char *told)
{
	char *at, *end;

	while ((at = strstr(told, "exec_"))) {
		end = strstr(at, at[5] == 'd' ? " " : "probe ");
		end += end[0] == ' ' ? 1 : strlen("probe ");
		memmove(at, end, strlen(end) + 1);
	}
}

static void check_after(const char *id, const struct row *row)
{
	struct container *c = containers_find(w.cs, id, NULL);
	_cleanup_(mem_free) char *docs = documents(id);
	char state[40];

	without_probes(w.actions);
	if (row->to == GONE) {
		CHECK_MSG(!c && str_empty(docs), "it is still there");
		CHECK_STR(w.actions, row->told);
		return;
	}
	CHECK(c != NULL);
	CHECK_MSG((int)c->state == row->to, "state %d (%s), not %d", c->state,
		  container_state_name(c), row->to);
	CHECK_STR(w.actions, row->told);
	if (row->to == CONTAINER_CREATED && !strstr(docs, "\"State\":")) {
		/* never started: container.json alone */
		CHECK_MSG(strstr(docs, "\"BootId\":\"boot-1\""), "no boot in %s", docs);
	} else if (row->to != CONTAINER_STARTING) {
		snprintf(state, sizeof(state), "\"State\":\"%s\"", container_state_name(c));
		CHECK_MSG(strstr(docs, state), "on disk no %s in %s", state, docs);
	}
	CHECK_MSG(strstr(docs, row->disk), "on disk no %s in %s", row->disk, docs);
	/* nothing is held that the state does not need */
	CHECK_MSG((c->shim != NULL) ==
			  (c->state == CONTAINER_RUNNING || c->state == CONTAINER_PAUSED ||
			   c->state == CONTAINER_STARTING),
		  "shim %p", (void *)c->shim);
}

static void play(const struct row *row)
{
	char id[CONTAINER_ID_LEN + 1];
	struct container *c;
	CALLER(caller);

	world_open();
	world_engine("boot-1");
	c = into(row->config, row->from);
	CHECK_MSG((int)c->state == row->from, "not in the state to begin with: %d", c->state);
	str_copy(id, sizeof(id), c->id);
	w.actions[0] = '\0';
	happen(c, row->event, &caller);
	if (row->event < EXIT_0 && row->event != RENAME)
		CHECK_MSG(caller.n == 0, "answered from inside the call");
	play_out();
	if (row->answer == NONE)
		CHECK_INT(caller.n, 0);
	else
		CHECK_MSG(caller.n == 1 && caller.r == row->answer, "%d answers, %d (%s)", caller.n,
			  caller.r, caller.text);
	check_after(id, row);
	container_op_cancel(&caller.op);
	world_close();
}

#define CASE(config_, from_, event_, answer_, to_, told_, disk_) \
	TEST(config_##_##from_##_##event_)                       \
	{                                                        \
		play(&(struct row){ .config = config_,           \
				    .from = CONTAINER_##from_,   \
				    .event = event_,             \
				    .answer = answer_,           \
				    .to = to_,                   \
				    .told = told_,               \
				    .disk = disk_ });            \
	}

#define ILL "health_status: unhealthy "
#define HEALING "kill die stop start restart "
/* The name of a row is its test's name: what is pasted is not expanded. */
#define CREATED CONTAINER_CREATED
#define STARTING CONTAINER_STARTING
#define RUNNING CONTAINER_RUNNING
#define PAUSED CONTAINER_PAUSED
#define RESTARTING CONTAINER_RESTARTING
#define EXITED CONTAINER_EXITED
#define DEAD CONTAINER_DEAD

/* ---- the table ---- */

/* created */
CASE(PLAIN, CREATED, START, 0, RUNNING, "start ", "\"RestartCount\":0")
CASE(PLAIN, CREATED, STOP, -EALREADY, CREATED, "", "\"Name\":\"")
CASE(PLAIN, CREATED, RESTART, 0, RUNNING, "start restart ", "\"Pid\":42")
CASE(PLAIN, CREATED, KILL, -EBUSY, CREATED, "", "")
CASE(PLAIN, CREATED, HUP, -EBUSY, CREATED, "", "")
CASE(PLAIN, CREATED, PAUSE, -EBUSY, CREATED, "", "")
CASE(PLAIN, CREATED, UNPAUSE, -EBUSY, CREATED, "", "")
CASE(PLAIN, CREATED, UPDATE, 0, CREATED, "update ", "\"CpuShares\":77")
CASE(PLAIN, CREATED, RENAME, 0, CREATED, "rename ", "\"Name\":\"fresh\"")
CASE(PLAIN, CREATED, REMOVE, 0, GONE, "destroy ", "")
CASE(PLAIN, CREATED, FORCE, 0, GONE, "destroy ", "")

/* starting */
CASE(PLAIN, STARTING, START, 0, RUNNING, "start ", "")
CASE(PLAIN, STARTING, STOP, 0, EXITED, "start kill die stop ", "\"ExitCode\":143")
CASE(PLAIN, STARTING, RESTART, 0, RUNNING, "start ", "")
CASE(PLAIN, STARTING, KILL, 0, EXITED, "start kill die ", "\"ExitCode\":137")
CASE(PLAIN, STARTING, HUP, -EBUSY, RUNNING, "start ", "")
CASE(PLAIN, STARTING, PAUSE, -EBUSY, RUNNING, "start ", "")
CASE(PLAIN, STARTING, UNPAUSE, -EBUSY, RUNNING, "start ", "")
CASE(PLAIN, STARTING, UPDATE, 0, RUNNING, "update start ", "\"CpuShares\":77")
CASE(PLAIN, STARTING, RENAME, 0, RUNNING, "rename start ", "\"Name\":\"fresh\"")
CASE(PLAIN, STARTING, REMOVE, -EBUSY, RUNNING, "start ", "")
CASE(PLAIN, STARTING, FORCE, 0, GONE, "start kill die destroy ", "")
CASE(PLAIN, STARTING, NEVER_RAN, NONE, CREATED, "", "\"ExitCode\":127")
CASE(ALWAYS, STARTING, NEVER_RAN, NONE, CREATED, "", "\"Error\":\"no such program\"")
CASE(PLAIN, STARTING, LOST, NONE, CREATED, "", "\"ExitCode\":137")
CASE(PLAIN, STARTING, EXIT_3, NONE, EXITED, "die ", "\"ExitCode\":3")

/* running */
CASE(PLAIN, RUNNING, START, -EALREADY, RUNNING, "", "")
CASE(PLAIN, RUNNING, STOP, 0, EXITED, "kill die stop ", "\"ExitCode\":143")
CASE(ALWAYS, RUNNING, STOP, 0, EXITED, "kill die stop ", "\"StoppedByUser\":true")
CASE(PLAIN, RUNNING, RESTART, 0, RUNNING, "kill die stop start restart ", "\"RestartCount\":0")
CASE(PLAIN, RUNNING, KILL, 0, EXITED, "kill die ", "\"ExitCode\":137")
CASE(ALWAYS, RUNNING, KILL, 0, EXITED, "kill die ", "\"StoppedByUser\":true")
CASE(ALWAYS, RUNNING, HUP, 0, RUNNING, "kill ", "\"StoppedByUser\":false")
CASE(PLAIN, RUNNING, PAUSE, 0, PAUSED, "pause ", "")
CASE(PLAIN, RUNNING, FREEZER_FAILS, -EIO, RUNNING, "", "")
CASE(PLAIN, RUNNING, UNPAUSE, -EBUSY, RUNNING, "", "")
CASE(PLAIN, RUNNING, UPDATE, 0, RUNNING, "update ", "\"CpuShares\":77")
CASE(PLAIN, RUNNING, UPDATE_FAILS, -EIO, RUNNING, "", "\"CpuShares\":0")
CASE(PLAIN, RUNNING, RENAME, 0, RUNNING, "rename ", "\"Name\":\"fresh\"")
CASE(PLAIN, RUNNING, REMOVE, -EBUSY, RUNNING, "", "")
CASE(PLAIN, RUNNING, FORCE, 0, GONE, "kill die destroy ", "")
CASE(ALWAYS, RUNNING, FORCE, 0, GONE, "kill die destroy ", "")
CASE(PLAIN, RUNNING, EXIT_0, NONE, EXITED, "die ", "\"ExitCode\":0")
CASE(PLAIN, RUNNING, EXIT_3, NONE, EXITED, "die ", "\"ExitCode\":3")
CASE(AUTO, RUNNING, EXIT_3, NONE, GONE, "die destroy ", "")
CASE(ALWAYS, RUNNING, EXIT_0, NONE, RESTARTING, "die ", "\"BackoffMs\":100")
CASE(UNLESS, RUNNING, EXIT_0, NONE, RESTARTING, "die ", "\"RestartCount\":1")
CASE(FAILURE, RUNNING, EXIT_0, NONE, EXITED, "die ", "\"RestartCount\":0")
CASE(FAILURE, RUNNING, EXIT_3, NONE, RESTARTING, "die ", "\"RestartCount\":1")
CASE(PLAIN, RUNNING, OOM, NONE, RUNNING, "oom ", "\"OOMKilled\":true")
CASE(PLAIN, RUNNING, LOST, NONE, EXITED, "die ", "\"ExitCode\":137")
CASE(ALWAYS, RUNNING, LOST, NONE, RESTARTING, "die ", "\"ExitCode\":137")
CASE(CHECKED, RUNNING, PROBE_GOOD, NONE, RUNNING, "health_status: healthy ", "\"healthy\"")
CASE(CHECKED, RUNNING, PROBE_BAD, NONE, RUNNING, ILL, "\"FailingStreak\":1")
CASE(HEALED, RUNNING, PROBE_BAD, NONE, RUNNING, ILL HEALING, "\"RestartCount\":1")
CASE(CHECKED, RUNNING, EXIT_3, NONE, EXITED, "die ", "\"Status\":\"starting\"")

/* paused */
CASE(PLAIN, PAUSED, START, -EBUSY, PAUSED, "", "")
CASE(PLAIN, PAUSED, STOP, 0, EXITED, "kill unpause die stop ", "\"ExitCode\":143")
CASE(PLAIN, PAUSED, RESTART, 0, RUNNING, "kill unpause die stop start restart ", "")
CASE(PLAIN, PAUSED, KILL, 0, EXITED, "kill unpause die ", "\"ExitCode\":137")
CASE(PLAIN, PAUSED, HUP, 0, RUNNING, "kill unpause ", "")
CASE(SIGNALLED, PAUSED, HUP, 0, PAUSED, "kill ", "")
CASE(PLAIN, PAUSED, PAUSE, -EBUSY, PAUSED, "", "")
CASE(PLAIN, PAUSED, UNPAUSE, 0, RUNNING, "unpause ", "")
CASE(PLAIN, PAUSED, UPDATE, 0, PAUSED, "update ", "\"CpuShares\":77")
CASE(PLAIN, PAUSED, RENAME, 0, PAUSED, "rename ", "\"Name\":\"fresh\"")
CASE(PLAIN, PAUSED, REMOVE, -EBUSY, PAUSED, "", "")
CASE(PLAIN, PAUSED, FORCE, 0, GONE, "kill unpause die destroy ", "")
CASE(PLAIN, PAUSED, OOM, NONE, PAUSED, "oom ", "\"OOMKilled\":true")
CASE(PLAIN, PAUSED, LOST, NONE, EXITED, "die ", "\"ExitCode\":137")
CASE(ALWAYS, PAUSED, EXIT_3, NONE, RESTARTING, "die ", "\"ExitCode\":3")

/* restarting */
CASE(ALWAYS, RESTARTING, START, 0, RUNNING, "start ", "\"RestartCount\":1")
CASE(ALWAYS, RESTARTING, BACKOFF, NONE, RUNNING, "start ", "\"RestartCount\":1")
CASE(ALWAYS, RESTARTING, STOP, 0, EXITED, "", "\"StoppedByUser\":true")
CASE(ALWAYS, RESTARTING, RESTART, 0, RUNNING, "start restart ", "")
CASE(ALWAYS, RESTARTING, KILL, 0, EXITED, "", "\"StoppedByUser\":true")
CASE(ALWAYS, RESTARTING, HUP, -EBUSY, RESTARTING, "", "")
CASE(ALWAYS, RESTARTING, PAUSE, -EBUSY, RESTARTING, "", "")
CASE(ALWAYS, RESTARTING, UNPAUSE, -EBUSY, RESTARTING, "", "")
CASE(ALWAYS, RESTARTING, UPDATE, 0, RESTARTING, "update ", "\"CpuShares\":77")
CASE(ALWAYS, RESTARTING, RENAME, 0, RESTARTING, "rename ", "\"Name\":\"fresh\"")
CASE(ALWAYS, RESTARTING, REMOVE, -EBUSY, RESTARTING, "", "")
CASE(ALWAYS, RESTARTING, FORCE, 0, GONE, "destroy ", "")

/* exited */
CASE(PLAIN, EXITED, START, 0, RUNNING, "start ", "\"ExitCode\":0")
CASE(PLAIN, EXITED, STOP, -EALREADY, EXITED, "", "\"ExitCode\":3")
CASE(PLAIN, EXITED, RESTART, 0, RUNNING, "start restart ", "")
CASE(PLAIN, EXITED, KILL, -EBUSY, EXITED, "", "")
CASE(PLAIN, EXITED, HUP, -EBUSY, EXITED, "", "")
CASE(PLAIN, EXITED, PAUSE, -EBUSY, EXITED, "", "")
CASE(PLAIN, EXITED, UNPAUSE, -EBUSY, EXITED, "", "")
CASE(PLAIN, EXITED, UPDATE, 0, EXITED, "update ", "\"CpuShares\":77")
CASE(PLAIN, EXITED, RENAME, 0, EXITED, "rename ", "\"Name\":\"fresh\"")
CASE(PLAIN, EXITED, REMOVE, 0, GONE, "destroy ", "")
CASE(PLAIN, EXITED, FORCE, 0, GONE, "destroy ", "")

/* removing */
CASE(PLAIN, REMOVING, START, -EBUSY, GONE, "destroy ", "")
CASE(PLAIN, REMOVING, STOP, -EALREADY, GONE, "destroy ", "")
CASE(PLAIN, REMOVING, KILL, -EBUSY, GONE, "destroy ", "")
CASE(PLAIN, REMOVING, PAUSE, -EBUSY, GONE, "destroy ", "")
CASE(PLAIN, REMOVING, UNPAUSE, -EBUSY, GONE, "destroy ", "")
CASE(PLAIN, REMOVING, UPDATE, -EBUSY, GONE, "destroy ", "")
CASE(PLAIN, REMOVING, RENAME, -EBUSY, GONE, "destroy ", "")
CASE(PLAIN, REMOVING, REMOVE, -EBUSY, GONE, "destroy ", "")
CASE(PLAIN, REMOVING, FORCE, 0, GONE, "destroy ", "")

/* dead */
CASE(PLAIN, DEAD, START, -EBUSY, DEAD, "", "")
CASE(PLAIN, DEAD, STOP, -EALREADY, DEAD, "", "")
CASE(PLAIN, DEAD, KILL, -EBUSY, DEAD, "", "")
CASE(PLAIN, DEAD, PAUSE, -EBUSY, DEAD, "", "")
CASE(PLAIN, DEAD, UNPAUSE, -EBUSY, DEAD, "", "")
CASE(PLAIN, DEAD, UPDATE, -EBUSY, DEAD, "", "\"CpuShares\":0")
CASE(PLAIN, DEAD, RENAME, -EBUSY, DEAD, "", "")
CASE(PLAIN, DEAD, REMOVE, 0, GONE, "destroy ", "")
CASE(PLAIN, DEAD, FORCE, 0, GONE, "destroy ", "")

/* ---- crashes ---- */

enum remains {
	NOTHING_MORE, /* no shim was there */
	SHIM_RUNS,
	SHIM_FROZEN, /* runs, and is paused */
	SHIM_SETS_UP, /* has not started the program yet */
	SHIM_TELLS_END, /* its program ended meanwhile, with 3 */
	SHIM_LEFT_END, /* and it left its exit file */
	SHIM_LEFT_KNOWN_END, /* the one that is in state.json already */
	SHIM_DIED,
	REBOOT,
};

struct crash {
	const char *config;
	int from;
	enum remains remains;
	int to;
	const char *told; /* by the next engine */
	const char *disk;
};

static struct shim_exit the_end(int64_t finished_ns)
{
	return (struct shim_exit){ .exit_code = 3,
				   .started_ns = finished_ns - 1000000,
				   .finished_ns = finished_ns };
}

/* What the new engine finds in the shim's place. */
static void remain(enum remains remains, const char *id, int64_t finished_ns)
{
	_cleanup_(mem_free) char *run = str_printf("%s/run", w.dir);
	_cleanup_(mem_free) char *shim = str_printf("%s/shims/%s", run, id);

	if (remains == REBOOT) {
		tree_remove(AT_FDCWD, run, NULL);
		return;
	}
	if (remains == NOTHING_MORE)
		return;
	dir_make(AT_FDCWD, shim, 0700, NULL);
	if (remains >= SHIM_LEFT_END)
		w.connect_fails = ECONNREFUSED;
	w.has_exit_file = remains == SHIM_LEFT_END || remains == SHIM_LEFT_KNOWN_END;
	w.exit_file = the_end(remains == SHIM_LEFT_KNOWN_END ? finished_ns : clock_real_ns());
}

static void shim_answers(enum remains remains)
{
	struct shim_exit x = the_end(clock_real_ns());

	if (!w.shim)
		return;
	w.shim->status = (struct shim_status){
		.state = SHIM_RUNNING, .pid = 43, .started_ns = 5, .paused = remains == SHIM_FROZEN
	};
	if (remains == SHIM_SETS_UP)
		shim_comes_up();
	else if (remains == SHIM_TELLS_END)
		w.shim->ops->exited(w.shim, &x, w.shim->data);
	else
		w.shim->ops->created(w.shim, &w.shim->status, w.shim->data);
}

static int n_restored;

static void note_restored(void *data)
{
	(void)data;
	n_restored++;
}

static void crash(const struct crash *k)
{
	const struct row after = {
		.config = k->config, .to = k->to, .told = k->told, .disk = k->disk
	};
	char id[CONTAINER_ID_LEN + 1];
	struct container *c;
	int64_t finished_ns;

	world_open();
	world_engine("boot-1");
	c = into(k->config, k->from == CONTAINER_REMOVING ? CONTAINER_EXITED : k->from);
	if (k->from == CONTAINER_REMOVING) /* written, and not carried out */
		container_enter(c, CONTAINER_REMOVING);
	str_copy(id, sizeof(id), c->id);
	finished_ns = c->rec.finished_ns;
	world_end_engine();
	remain(k->remains, id, finished_ns);
	w.actions[0] = '\0';
	w.last_signal = n_restored = 0;
	world_engine(k->remains == REBOOT ? "boot-2" : "boot-1");
	containers_restore(w.cs, note_restored, NULL);
	shim_answers(k->remains);
	play_out();
	CHECK_MSG(n_restored == 1, "the restore has %s", n_restored ? "ended twice" : "not ended");
	check_after(id, &after);
	world_close();
}

#define CRASH(config_, from_, remains_, to_, told_, disk_)        \
	TEST(crash_##config_##_##from_##_##remains_)              \
	{                                                         \
		crash(&(struct crash){ .config = config_,         \
				       .from = CONTAINER_##from_, \
				       .remains = remains_,       \
				       .to = to_,                 \
				       .told = told_,             \
				       .disk = disk_ });          \
	}

CRASH(PLAIN, CREATED, NOTHING_MORE, CREATED, "", "")
CRASH(PLAIN, CREATED, REBOOT, CREATED, "", "")
CRASH(ALWAYS, CREATED, REBOOT, CREATED, "", "")
CRASH(AUTO, CREATED, NOTHING_MORE, CREATED, "", "")
CRASH(AUTO, CREATED, REBOOT, GONE, "destroy ", "")

CRASH(PLAIN, STARTING, SHIM_SETS_UP, RUNNING, "start ", "\"Pid\":42")
CRASH(PLAIN, STARTING, SHIM_RUNS, RUNNING, "start ", "\"Pid\":43")
CRASH(PLAIN, STARTING, SHIM_DIED, CREATED, "", "\"ExitCode\":137")
CRASH(ALWAYS, STARTING, SHIM_DIED, CREATED, "", "\"Error\":\"the engine ended while")
CRASH(PLAIN, STARTING, SHIM_TELLS_END, EXITED, "die ", "\"ExitCode\":3")
CRASH(PLAIN, STARTING, REBOOT, CREATED, "", "")

CRASH(PLAIN, RUNNING, SHIM_RUNS, RUNNING, "", "\"Pid\":43")
CRASH(PLAIN, RUNNING, SHIM_FROZEN, PAUSED, "pause ", "")
CRASH(PLAIN, RUNNING, SHIM_TELLS_END, EXITED, "die ", "\"ExitCode\":3")
CRASH(PLAIN, RUNNING, SHIM_LEFT_END, EXITED, "die ", "\"ExitCode\":3")
CRASH(PLAIN, RUNNING, SHIM_DIED, EXITED, "die ", "\"ExitCode\":137")
CRASH(PLAIN, RUNNING, REBOOT, EXITED, "die ", "\"ExitCode\":255")
CRASH(AUTO, RUNNING, SHIM_LEFT_END, GONE, "die destroy ", "")
CRASH(AUTO, RUNNING, REBOOT, GONE, "die destroy ", "")
CRASH(ALWAYS, RUNNING, SHIM_LEFT_END, RESTARTING, "die ", "\"RestartCount\":1")
CRASH(ALWAYS, RUNNING, SHIM_DIED, RESTARTING, "die ", "\"RestartCount\":1")
CRASH(ALWAYS, RUNNING, REBOOT, RESTARTING, "die ", "\"RestartCount\":0")
CRASH(UNLESS, RUNNING, REBOOT, RESTARTING, "die ", "\"RestartCount\":0")
CRASH(FAILURE, RUNNING, REBOOT, RESTARTING, "die ", "\"RestartCount\":0")
CRASH(CHECKED, RUNNING, SHIM_RUNS, RUNNING, "", "\"Status\":\"starting\"")

CRASH(PLAIN, PAUSED, SHIM_FROZEN, PAUSED, "", "")
CRASH(PLAIN, PAUSED, SHIM_RUNS, RUNNING, "unpause ", "")
CRASH(PLAIN, PAUSED, SHIM_DIED, EXITED, "die ", "\"ExitCode\":137")
CRASH(ALWAYS, PAUSED, REBOOT, RESTARTING, "die ", "\"ExitCode\":255")

CRASH(ALWAYS, RESTARTING, NOTHING_MORE, RESTARTING, "", "\"RestartCount\":1")
CRASH(ALWAYS, RESTARTING, SHIM_LEFT_KNOWN_END, RESTARTING, "", "\"RestartCount\":1")
CRASH(ALWAYS, RESTARTING, SHIM_SETS_UP, RUNNING, "start ", "\"RestartCount\":1")
CRASH(ALWAYS, RESTARTING, SHIM_DIED, RESTARTING, "", "\"RestartCount\":1")
CRASH(ALWAYS, RESTARTING, REBOOT, RESTARTING, "", "\"RestartCount\":1")
CRASH(FAILURE, RESTARTING, REBOOT, RESTARTING, "", "\"RestartCount\":1")
CRASH(UNLESS, RESTARTING, REBOOT, RESTARTING, "", "\"RestartCount\":1")

CRASH(PLAIN, EXITED, NOTHING_MORE, EXITED, "", "\"ExitCode\":3")
CRASH(PLAIN, EXITED, SHIM_LEFT_KNOWN_END, EXITED, "", "\"ExitCode\":3")
CRASH(PLAIN, EXITED, SHIM_DIED, EXITED, "", "\"Error\":\"the engine ended while")
CRASH(PLAIN, EXITED, REBOOT, EXITED, "", "\"ExitCode\":3")

CRASH(PLAIN, REMOVING, NOTHING_MORE, GONE, "destroy ", "")
CRASH(PLAIN, REMOVING, REBOOT, GONE, "destroy ", "")
CRASH(ALWAYS, REMOVING, REBOOT, GONE, "destroy ", "")
CRASH(PLAIN, DEAD, NOTHING_MORE, DEAD, "", "")
