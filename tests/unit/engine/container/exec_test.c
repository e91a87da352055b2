/*
 * Exec with the shim as a puppet: what it is asked, who is told what and when, resize, the end of
 * the container, an engine restart, and the engine's own probes.
 */
#include "engine/container/exec_priv.h"
#include "engine/data/frames.h"
#include "tests/unit/engine/container/world.h"

#include <sys/socket.h>

#define TTY                                                                    \
	"{\"Cmd\":[\"sh\",\"-c\",\"true\"],\"Tty\":true,\"AttachStdin\":true," \
	"\"AttachStdout\":true,\"AttachStderr\":true}"
#define PIPES "{\"Cmd\":\"id\",\"AttachStdout\":true,\"AttachStderr\":true}"

static struct container *running(const char *json)
{
	struct container *c = make(json);
	static struct caller starter;

	memset(&fx, 0, sizeof(fx));
	fx.fd = -1;
	starter = (struct caller){ .op.done = caller_done };
	container_start(c, &starter.op);
	shim_comes_up();
	world_settle();
	return c;
}

static struct exec *make_exec(struct container *c, const char *json, struct err *e)
{
	yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
	struct exec *x = NULL;

	(void)exec_create(c, yyjson_doc_get_root(doc), &x, e);
	yyjson_doc_free(doc);
	return x;
}

struct starter {
	struct exec_start s;
	int n_started, n_ended, r, fd, code;
	char text[ERR_TEXT_MAX];
};

static void on_started(struct exec_start *s, int r, int fd, const struct err *e)
{
	struct starter *st = container_of(s, struct starter, s);

	st->n_started++;
	st->r = r;
	st->fd = fd;
	fd_close(fd);
	snprintf(st->text, sizeof(st->text), "%s", r < 0 ? err_text(e) : "");
}

static void on_ended(struct exec_start *s, int code)
{
	struct starter *st = container_of(s, struct starter, s);

	st->n_ended++;
	st->code = code;
}

#define STARTER(name) struct starter name = { .s = { .started = on_started, .ended = on_ended } }

/* The shim answers: the process runs, with a stream unless it is detached. */
static void shim_runs_exec(bool stream)
{
	struct shim_reply reply = { .fd = -1, .pid = 77 };
	int pair[2];

	if (stream &&
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0) {
		reply.fd = pair[0];
		fx.fd = pair[1];
	}
	fx.done.fn(w.shim, 0, &reply, NULL, fx.done.data);
	fd_close(reply.fd);
}

static void shim_refuses_exec(int error, int exit_code, const char *text)
{
	struct shim_reply reply = { .fd = -1, .exit_code = exit_code };
	struct err e = { 0 };

	err_set(&e, error, "%s", text);
	fx.done.fn(w.shim, -error, &reply, &e, fx.done.data);
}

static char *inspect(const struct exec *x)
{
	static char text[8192];
	_cleanup_(buf_free) struct buf out = BUF_INIT(8192);
	struct json_writer jw;

	json_writer_init(&jw, &out);
	exec_inspect(x, &jw);
	snprintf(text, sizeof(text), "%s", buf_text(&out));
	return text;
}

static bool shows(const struct exec *x, const char *part)
{
	if (strstr(inspect(x), part))
		return true;
	printf("# %s: no %s\n", inspect(x), part);
	return false;
}

TEST(made_started_ended)
{
	struct err e = { 0 };
	struct container *c;
	struct exec *x;
	STARTER(st);

	world_open();
	world_engine("boot-1");
	c = running("{\"Image\":\"img\",\"User\":\"1000\",\"WorkingDir\":\"/w\",\"Env\":[\"A=1\","
		    "\"B=2\"],\"Hostname\":\"box\"}");
	w.actions[0] = '\0';
	x = make_exec(c, TTY, &e);
	CHECK(x && id_valid(exec_id(x)));
	CHECK(execs_find(w.cs, exec_id(x), &e) == x);
	CHECK(shows(x, "\"Running\":false") && shows(x, "\"ExitCode\":null"));
	CHECK(shows(x, "\"entrypoint\":\"sh\",\"arguments\":[\"-c\",\"true\"]"));
	CHECK(shows(x, "\"user\":\"1000\"") && shows(x, "\"OpenStdin\":true"));
	st.s.rows = 40;
	st.s.cols = 100;
	CHECK_INT(exec_start(x, &st.s, &e), 0);
	CHECK_INT(st.n_started, 0);
	CHECK(shows(x, "\"Running\":true"));
	CHECK(fx.last.tty && fx.last.in && fx.last.rows == 40 && fx.last.cols == 100);
	CHECK(!fx.last.privileged);
	CHECK_STR(fx.user, "1000");
	CHECK(strstr(fx.process, "\"args\":[\"sh\",\"-c\",\"true\"]"));
	CHECK(strstr(fx.process, "\"cwd\":\"/w\"") && strstr(fx.process, "\"terminal\":true"));
	CHECK(strstr(fx.process, "\"HOSTNAME=box\",\"TERM=xterm\",\"A=1\",\"B=2\""));
	CHECK(strstr(fx.process, "\"noNewPrivileges\":false") &&
	      strstr(fx.process, "\"CAP_KILL\""));
	CHECK(!strstr(fx.process, "\"CAP_SYS_ADMIN\""));
	CHECK_INT(exec_check(x, &e), -EBUSY);
	shim_runs_exec(true);
	CHECK_INT(st.n_started, 1);
	CHECK(st.r == 0 && st.fd >= 0);
	CHECK(shows(x, "\"Pid\":77"));
	w.shim->ops->exec_exited(w.shim, exec_id(x), 5, w.shim->data);
	CHECK_INT(st.n_ended, 1);
	CHECK_INT(st.code, 5);
	CHECK(shows(x, "\"Running\":false,\"ExitCode\":5") && shows(x, "\"CanRemove\":true"));
	CHECK_STR(w.actions, "exec_create: sh -c true exec_start: sh -c true exec_die ");
	CHECK_INT(exec_start(x, &st.s, &e), -EBUSY);
	CHECK(strstr(err_text(&e), "has already run"));
	fd_close(fx.fd);
	world_close();
}

TEST(asked_wrongly)
{
	static const struct {
		const char *body, *text;
	} cases[] = {
		{ "{}", "No exec command specified" },
		{ "{\"Cmd\":[]}", "No exec command specified" },
		{ "{\"Cmd\":7}", "Cmd" },
		{ "{\"Cmd\":[\"a\"],\"Tty\":\"yes\"}", "Tty" },
		{ "{\"Cmd\":[\"a\"],\"Env\":[\"=x\"]}", "invalid environment variable: =x" },
	};
	struct err e = { 0 };
	struct container *c;

	world_open();
	world_engine("boot-1");
	c = running("{\"Image\":\"img\"}");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_MSG(!make_exec(c, cases[i].body, &e), "case %zu was taken", i);
		CHECK_MSG(e.code == EINVAL && strstr(err_text(&e), cases[i].text), "case %zu: %s",
			  i, err_text(&e));
	}
	CHECK(!execs_find(w.cs, "nothing", &e));
	CHECK_STR(err_text(&e), "No such exec instance: nothing");
	CHECK(list_empty(&c->execs));
	world_close();
}

TEST(only_in_a_container_that_runs)
{
	struct err e = { 0 };
	struct container *c;
	struct exec *x;
	STARTER(st);

	world_open();
	world_engine("boot-1");
	c = make("{\"Image\":\"img\"}");
	CHECK(!make_exec(c, PIPES, &e));
	CHECK_INT(e.code, EBUSY);
	CHECK(strstr(err_text(&e), " is not running"));
	c = running("{\"Image\":\"img\"}");
	x = make_exec(c, PIPES, &e);
	CHECK(x);
	c->state = CONTAINER_PAUSED;
	CHECK_INT(exec_start(x, &st.s, &e), -EBUSY);
	CHECK(strstr(err_text(&e), " is paused, unpause the container before exec"));
	CHECK(!make_exec(c, PIPES, &e));
	c->state = CONTAINER_RUNNING;
	CHECK_INT(exec_check(x, &e), 0);
	world_close();
}

TEST(what_cannot_run_has_the_code_of_a_shell)
{
	static const struct {
		int error, code, want;
	} cases[] = { { ENOENT, 127, 127 }, { EACCES, 126, 126 }, { EINVAL, 125, 126 } };
	struct err e = { 0 };
	struct container *c;

	world_open();
	world_engine("boot-1");
	c = running("{\"Image\":\"img\"}");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exec *x = make_exec(c, PIPES, &e);
		char want[32];
		STARTER(st);

		CHECK_INT(exec_start(x, &st.s, &e), 0);
		shim_refuses_exec(cases[i].error, cases[i].code, "exec: \"id\": no");
		CHECK(st.n_started == 1 && st.r == -cases[i].error && st.fd == -1);
		CHECK_STR(st.text,
			  "OCI runtime exec failed: exec failed: unable to start container "
			  "process: exec: \"id\": no");
		snprintf(want, sizeof(want), "\"ExitCode\":%d", cases[i].want);
		CHECK(shows(x, want) && shows(x, "\"Running\":false"));
		CHECK_INT(st.n_ended, 0);
	}
	world_close();
}

TEST(options)
{
	struct err e = { 0 };
	struct container *c;
	struct exec *x;
	STARTER(st);

	world_open();
	world_engine("boot-1");
	c = running("{\"Image\":\"img\",\"Env\":[\"A=1\",\"B=2\"]}");
	x = make_exec(
		c,
		"{\"Cmd\":[\"id\"],\"Privileged\":true,\"User\":\"user:more\",\"Env\":[\"A=9\","
		"\"B\"],\"WorkingDir\":\"/tmp\",\"ConsoleSize\":[7,8],\"Tty\":true}",
		&e);
	st.s.detach = true;
	CHECK_INT(exec_start(x, &st.s, &e), 0);
	CHECK_STR(fx.user, "user:more");
	CHECK(strstr(fx.process, "\"CAP_SYS_ADMIN\"") && strstr(fx.process, "\"cwd\":\"/tmp\""));
	CHECK(strstr(fx.process, "\"A=9\"") && !strstr(fx.process, "\"B=2\""));
	CHECK(fx.last.rows == 7 && fx.last.cols == 8);
	CHECK(!fx.last.in && !fx.last.out && !fx.last.err);
	shim_runs_exec(false);
	CHECK(st.n_started == 1 && st.fd == -1);
	exec_start_cancel(&st.s);
	w.shim->ops->exec_exited(w.shim, exec_id(x), 0, w.shim->data);
	CHECK_INT(st.n_ended, 0);
	world_close();
}

TEST(resize_waits_for_the_start)
{
	struct err e = { 0 };
	struct container *c;
	struct exec *x;
	char want[64];
	STARTER(st);
	CALLER(early);
	CALLER(late);
	CALLER(after);

	world_open();
	world_engine("boot-1");
	c = running("{\"Image\":\"img\"}");
	x = make_exec(c, TTY, &e);
	exec_set_size(x, 10, 20, &early.op);
	CHECK_INT(exec_start(x, &st.s, &e), 0);
	exec_set_size(x, 30, 40, &late.op);
	world_settle();
	CHECK(early.n == 0 && late.n == 0);
	shim_runs_exec(true);
	world_settle();
	CHECK(early.n == 1 && early.r == 0 && late.n == 1 && late.r == 0);
	snprintf(want, sizeof(want), "resize %.4s 30 40", exec_id(x));
	CHECK_STR(fx.log, want);
	w.shim->ops->exec_exited(w.shim, exec_id(x), 0, w.shim->data);
	exec_set_size(x, 1, 1, &after.op);
	world_settle();
	CHECK(after.n == 1 && after.r == -EINVAL);
	fd_close(fx.fd);
	world_close();
}

TEST(resize_of_the_container)
{
	struct container *c;
	CALLER(good);
	CALLER(bad);

	world_open();
	world_engine("boot-1");
	c = running("{\"Image\":\"img\"}");
	container_resize(c, 3, 4, &good.op);
	world_settle();
	CHECK(good.n == 1 && good.r == 0);
	CHECK_STR(fx.log, "resize self 3 4");
	shim_exits(0);
	container_resize(c, 3, 4, &bad.op);
	world_settle();
	CHECK(bad.n == 1 && bad.r == -EBUSY);
	world_close();
}

TEST(the_end_of_the_container_is_the_end_of_its_execs)
{
	struct container *c;
	struct exec *runs, *starts, *waits;
	struct err e = { 0 };
	char id[ID_LEN + 1];
	STARTER(one);
	STARTER(two);
	CALLER(resize);

	world_open();
	world_engine("boot-1");
	c = running("{\"Image\":\"img\"}");
	runs = make_exec(c, PIPES, &e);
	CHECK_INT(exec_start(runs, &one.s, &e), 0);
	shim_runs_exec(true);
	starts = make_exec(c, PIPES, &e);
	CHECK_INT(exec_start(starts, &two.s, &e), 0);
	waits = make_exec(c, PIPES, &e);
	snprintf(id, sizeof(id), "%s", exec_id(waits));
	exec_set_size(waits, 1, 2, &resize.op);
	shim_exits(0);
	world_settle();
	CHECK(one.n_ended == 1 && one.code == 137);
	CHECK(two.n_started == 1 && two.r == -ENOTCONN);
	CHECK(resize.n == 1 && resize.r == -ENOTCONN);
	CHECK(shows(runs, "\"ExitCode\":137"));
	CHECK(!execs_find(w.cs, id, &e)); /* it never ran: nothing to know */
	CHECK(strstr(w.actions, "exec_die die "));
	fd_close(fx.fd);
	world_close();
}

static void write_file(const char *path, const char *text)
{
	if (file_replace(AT_FDCWD, path, text, strlen(text), 0600, false, NULL) < 0)
		test_fail(__FILE__, __LINE__, "%s", path);
}

TEST(found_again_after_an_engine_restart)
{
	struct container *c;
	struct exec *x[4];
	char ids[4][ID_LEN + 1], path[600], cid[ID_LEN + 1];
	struct err e = { 0 };
	STARTER(st);

	world_open();
	world_engine("boot-1");
	c = running("{\"Image\":\"img\"}");
	snprintf(cid, sizeof(cid), "%s", c->id);
	for (int i = 0; i < 4; i++) {
		x[i] = make_exec(c, PIPES, &e);
		snprintf(ids[i], sizeof(ids[i]), "%s", exec_id(x[i]));
		if (i == 3) /* never started */
			break;
		CHECK_INT(exec_start(x[i], &st.s, &e), 0);
		shim_runs_exec(true);
		fd_close(fx.fd);
		snprintf(path, sizeof(path), "%s/run/shims/%s/execs/%s.state", w.dir, cid, ids[i]);
		write_file(path,
			   i == 1 ? "{\"v\":1,\"pid\":8,\"exit_code\":9}" : "{\"v\":1,\"pid\":8}");
		if (i == 2) {
			w.shim->ops->exec_exited(w.shim, ids[i], 3, w.shim->data);
			st.n_ended = 0;
		}
	}
	world_end_engine();
	w.actions[0] = '\0';
	world_engine("boot-1");
	containers_restore(w.cs, NULL, NULL);
	w.shim->status.state = SHIM_RUNNING;
	w.shim->ops->created(w.shim, &w.shim->status, w.shim->data);
	for (int i = 0; i < 4; i++) {
		x[i] = execs_find(w.cs, ids[i], &e);
		CHECK_MSG(x[i], "exec %d is not known any more", i);
	}
	CHECK(shows(x[0], "\"Running\":true,\"ExitCode\":null") && shows(x[0], "\"Pid\":8"));
	CHECK(shows(x[1], "\"Running\":false,\"ExitCode\":9"));
	CHECK(shows(x[2], "\"Running\":false,\"ExitCode\":3"));
	CHECK(shows(x[3], "\"Running\":false,\"ExitCode\":null"));
	CHECK_STR(w.actions, "exec_die "); /* of the one that ended meanwhile */
	CHECK_INT(exec_start(x[3], &st.s, &e), 0);
	shim_runs_exec(false);
	w.shim->ops->exec_exited(w.shim, ids[0], 4, w.shim->data);
	CHECK(shows(x[0], "\"ExitCode\":4"));
	world_close();
}

TEST(bounded_and_forgotten)
{
	struct container *c;
	struct err e = { 0 };
	char first[ID_LEN + 1] = "", body[200];
	STARTER(st);

	world_open();
	world_engine("boot-1");
	c = running("{\"Image\":\"img\"}");
	for (int i = 0; i < EXECS_MAX + 10; i++) {
		struct exec *x;

		snprintf(body, sizeof(body), "{\"Cmd\":[\"%d\"]}", i);
		x = make_exec(c, body, &e);
		CHECK_MSG(x, "%d: %s", i, err_text(&e));
		if (i == 0)
			snprintf(first, sizeof(first), "%s", exec_id(x));
		if (i > 20)
			continue;
		st.s.detach = true;
		CHECK_INT(exec_start(x, &st.s, &e), 0);
		shim_runs_exec(false);
		exec_start_cancel(&st.s);
		w.shim->ops->exec_exited(w.shim, exec_id(x), 0, w.shim->data);
	}
	CHECK_INT(map_len(&w.cs->execs->by_id), EXECS_MAX);
	CHECK(!execs_find(w.cs, first, &e));
	for (int i = 0; i < 20; i++)
		if (!make_exec(c, body, &e))
			break;
	CHECK_INT(e.code, EAGAIN);
	world_close();
}

TEST(ended_ones_are_forgotten_in_time)
{
	struct container *c;
	struct err e = { 0 };
	struct exec *x;
	STARTER(st);
	char id[ID_LEN + 1];

	world_open();
	world_engine("boot-1");
	c = running("{\"Image\":\"img\"}");
	x = make_exec(c, PIPES, &e);
	snprintf(id, sizeof(id), "%s", exec_id(x));
	CHECK_INT(exec_start(x, &st.s, &e), 0);
	shim_runs_exec(false);
	w.shim->ops->exec_exited(w.shim, id, 0, w.shim->data);
	CHECK(timer_armed(&w.cs->execs->forget_timer));
	x->ended_ms -= EXEC_KEPT_MS;
	timer_set(w.loop, &w.cs->execs->forget_timer, 0);
	world_settle();
	CHECK(!execs_find(w.cs, id, &e));
	world_close();
}

/* ---- probes ---- */

struct prober {
	struct container_probe p;
	int n, r, code;
	char output[8192], text[ERR_TEXT_MAX];
};

static void probe_done(struct container_probe *p, int r, int code, const struct buf *output,
		       const struct err *e)
{
	struct prober *pr = container_of(p, struct prober, p);

	pr->n++;
	pr->r = r;
	pr->code = code;
	snprintf(pr->output, sizeof(pr->output), "%s", buf_text(output));
	snprintf(pr->text, sizeof(pr->text), "%s", r < 0 ? err_text(e) : "");
}

static char *probe_argv[] = { (char *)"check", (char *)"it", NULL };

#define PROBER(name) \
	struct prober name = { .p = { .done = probe_done, .argv = probe_argv, .timeout_ms = 50 } }

static void probe_says(int stream, const char *text)
{
	unsigned char head[FRAME_HEAD];

	frame_head(head, stream, (uint32_t)strlen(text));
	if (write(fx.fd, head, sizeof(head)) < 0 || write(fx.fd, text, strlen(text)) < 0)
		abort();
}

TEST(a_probe_tells_exit_code_and_output)
{
	struct container *c;
	PROBER(pr);

	world_open();
	world_engine("boot-1");
	c = running("{\"Image\":\"img\",\"User\":\"7\"}");
	w.actions[0] = '\0';
	container_probe(c, &pr.p);
	CHECK_STR(fx.user, "7");
	CHECK(!fx.last.in && fx.last.out && fx.last.err && !fx.last.tty);
	shim_runs_exec(true);
	probe_says(1, "out ");
	probe_says(2, "err");
	w.shim->ops->exec_exited(w.shim, fx.id, 1, w.shim->data);
	world_settle();
	CHECK_INT(pr.n, 0); /* more may come */
	fd_close(fx.fd);
	world_settle();
	CHECK_INT(pr.n, 1);
	CHECK(pr.r == 0 && pr.code == 1);
	CHECK_STR(pr.output, "out err");
	CHECK_STR(w.actions, "exec_create: check it exec_start: check it exec_die ");
	CHECK(list_empty(&c->execs) && list_empty(&w.cs->execs->probes));
	world_close();
}

TEST(a_probe_is_killed_in_time_and_its_output_is_bounded)
{
	struct container *c;
	char many[3000], want[32];
	PROBER(pr);

	world_open();
	world_engine("boot-1");
	c = running("{\"Image\":\"img\"}");
	container_probe(c, &pr.p);
	shim_runs_exec(true);
	memset(many, 'x', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	probe_says(1, many);
	probe_says(2, many);
	while (fx.log[0] == '\0')
		loop_once(w.loop, 100);
	snprintf(want, sizeof(want), "signal %.4s 9", fx.id);
	CHECK_STR(fx.log, want);
	CHECK_INT(pr.n, 0);
	w.shim->ops->exec_exited(w.shim, fx.id, 137, w.shim->data);
	fd_close(fx.fd);
	world_settle();
	CHECK(pr.n == 1 && pr.r == -ETIMEDOUT);
	CHECK_INT(strlen(pr.output), PROBE_OUTPUT_MAX);
	world_close();
}

TEST(a_probe_that_cannot_run_says_why_later)
{
	struct container *c;
	PROBER(pr);
	PROBER(early);

	world_open();
	world_engine("boot-1");
	c = make("{\"Image\":\"img\"}");
	container_probe(c, &early.p);
	CHECK_INT(early.n, 0);
	world_settle();
	CHECK(early.n == 1 && early.r == -EBUSY);
	c = running("{\"Image\":\"img\"}");
	container_probe(c, &pr.p);
	shim_refuses_exec(ENOENT, 127, "not there");
	CHECK_INT(pr.n, 0);
	world_settle();
	CHECK(pr.n == 1 && pr.r == -ENOENT && pr.code == 127);
	CHECK(strstr(pr.text, "not there"));
	world_close();
}

TEST(a_probe_ends_with_its_container_and_when_it_is_cancelled)
{
	struct container *c;
	PROBER(pr);
	PROBER(gone);

	world_open();
	world_engine("boot-1");
	c = running("{\"Image\":\"img\"}");
	container_probe(c, &gone.p);
	shim_runs_exec(true);
	container_probe_cancel(&gone.p);
	CHECK(str_starts(fx.log, "signal "));
	container_probe_cancel(&gone.p);
	w.shim->ops->exec_exited(w.shim, fx.id, 137, w.shim->data);
	fd_close(fx.fd);
	world_settle();
	CHECK(gone.n == 0 && list_empty(&w.cs->execs->probes));
	container_probe(c, &pr.p);
	shim_runs_exec(true);
	shim_exits(0);
	fd_close(fx.fd);
	world_settle();
	CHECK(pr.n == 1 && pr.r == 0 && pr.code == 137);
	world_close();
}
