/*
 * The life of an exec: made, started by the shim, ended, forgotten (exec.h).
 *
 * Data: each struct exec is in the module's map and in its container's list; ended ones also in the
 * order of their ends, so that one timer forgets them. While a start is with the shim, the exec is
 * in state STARTING; the answer finds it because it is only freed with its container's shim.
 */
#include "engine/container/exec_priv.h"
#include "engine/data/keys.h"

#include "init/base/log.h"
#include "init/base/str.h"

/* The exit codes of what did not come to run (a shell's, and Docker's). */
enum { EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

/* ---- the module's part ---- */

static void forget_due(struct timer_event *ev);
static void exec_free(struct exec *x);

int execs_init(struct containers *cs)
{
	struct execs *xs = calloc(1, sizeof(*xs));

	if (!xs)
		return -ENOMEM;
	list_init(&xs->ended);
	list_init(&xs->probes);
	xs->forget_timer.fn = forget_due;
	cs->execs = xs;
	return 0;
}

void execs_free(struct containers *cs)
{
	struct execs *xs = cs->execs;
	struct map_entry *m;
	size_t i = 0;

	if (!xs)
		return;
	probes_free(xs);
	while ((m = map_next(&xs->by_id, &i)))
		exec_free(m->value);
	timer_clear(&xs->forget_timer);
	map_free(&xs->by_id);
	free(take_ptr(cs->execs));
}

struct exec *execs_find(struct containers *cs, const char *id, struct err *e)
{
	struct exec *x = map_get(&cs->execs->by_id, id);

	if (!x)
		err_set(e, ENOENT, "No such exec instance: %s", id);
	return x;
}

static void ready_due(struct timer_event *ev)
{
	struct exec *x = container_of(ev, struct exec, ready_timer);
	struct err e = { 0 };

	err_set(&e, ETIMEDOUT, "timeout waiting for exec session ready");
	ops_answer(x->c->cs, &x->resize_ops, -ETIMEDOUT, &e);
}

/* Makes room: the one that ended first goes, of those of which nothing is asked of a shim. */
static bool forget_oldest(struct execs *xs)
{
	struct exec *x;

	list_for_each(x, &xs->ended, age) {
		if (x->n_asked > 0)
			continue;
		exec_forget(x);
		return true;
	}
	return false;
}

struct exec *exec_new(struct container *c, const char *id, struct err *e)
{
	struct execs *xs = c->cs->execs;
	struct exec *x = NULL;

	if (map_len(&xs->by_id) >= EXECS_MAX && !forget_oldest(xs)) {
		err_set(e, EAGAIN, "there are %d execs already, the most this engine keeps",
			EXECS_MAX);
		return NULL;
	}
	x = calloc(1, sizeof(*x));
	if (!x || map_put(&xs->by_id, id, x, NULL) < 0) {
		free(x);
		err_errno(e, ENOMEM, "exec");
		return NULL;
	}
	x->c = c;
	(void)str_copy(x->id, sizeof(x->id), id);
	bind_init(&exec_config_table, &x->asked);
	list_init(&x->starter);
	list_init(&x->resize_ops);
	x->ready_timer.fn = ready_due;
	list_append(&c->execs, &x->link);
	return x;
}

static size_t texts_len(const struct exec_config *x)
{
	size_t len = 0;

	for (char **v = x->cmd; v && *v; v++)
		len += strlen(*v) + 1;
	for (char **v = x->env; v && *v; v++)
		len += strlen(*v) + 1;
	return len;
}

int exec_count_texts(struct exec *x, struct err *e)
{
	struct execs *xs = x->c->cs->execs;
	size_t len = texts_len(&x->asked);

	if (len > EXEC_TEXT_MAX)
		return err_set(e, EINVAL, "Cmd and Env are longer than %d bytes", EXEC_TEXT_MAX);
	xs->bytes += len - x->bytes;
	x->bytes = len;
	while (xs->bytes > EXEC_TEXTS_MAX && forget_oldest(xs))
		;
	if (xs->bytes > EXEC_TEXTS_MAX)
		return err_set(e, EAGAIN, "the commands of all execs are longer than %d bytes",
			       EXEC_TEXTS_MAX);
	return 0;
}

/* Callers that still wait are left with links of their own (the engine ends). */
static void exec_free(struct exec *x)
{
	struct execs *xs = x->c->cs->execs;

	map_remove(&xs->by_id, x->id);
	xs->bytes -= x->bytes;
	timer_clear(&x->ready_timer);
	list_remove(&x->link);
	list_remove(&x->age);
	list_remove(&x->starter);
	list_remove(&x->resize_ops);
	bind_free(&exec_config_table, &x->asked);
	free(x);
}

void exec_forget(struct exec *x)
{
	exec_record_remove(x);
	exec_free(x);
}

static void forget_due(struct timer_event *ev)
{
	struct execs *xs = container_of(ev, struct execs, forget_timer);
	struct exec *x, *tmp;

	list_for_each_safe(x, tmp, &xs->ended, age) {
		struct loop *loop = x->c->cs->cfg.loop;
		int64_t left = x->ended_ms + EXEC_KEPT_MS - loop_now(loop);

		if (left > 0) {
			timer_set(loop, ev, left);
			return;
		}
		exec_forget(x);
	}
}

/* ---- reading ---- */

const char *exec_id(const struct exec *x)
{
	return x->id;
}

bool exec_tty(const struct exec *x)
{
	return x->asked.tty;
}

bool exec_open_stdin(const struct exec *x)
{
	return x->asked.attach_stdin;
}

const char *exec_detach_keys(const struct exec *x)
{
	return x->asked.detach_keys;
}

static void write_process(const struct exec *x, struct json_writer *w)
{
	json_key(w, "ProcessConfig");
	json_begin_object(w);
	json_member_bool(w, "tty", x->asked.tty);
	json_member_str(w, "entrypoint", x->asked.cmd[0]);
	json_key(w, "arguments");
	json_strv(w, x->asked.cmd + 1);
	json_member_bool(w, "privileged", x->asked.privileged);
	if (!str_empty(x->asked.user))
		json_member_str(w, "user", x->asked.user);
	json_end_object(w);
}

void exec_inspect(const struct exec *x, struct json_writer *w)
{
	struct key_sequence keys = { .n = 0 };
	_cleanup_(mem_free) char *coded = NULL;

	/* the bytes, as Go writes them; nothing when it is the default */
	if (!str_empty(x->asked.detach_keys) && keys_parse(x->asked.detach_keys, &keys, NULL) == 0)
		coded = base64_encode(keys.keys, keys.n);
	json_begin_object(w);
	json_member_str(w, "ID", x->id);
	json_member_bool(w, "Running", x->state == EXEC_STARTING || x->state == EXEC_RUNNING);
	json_key(w, "ExitCode");
	if (x->state == EXEC_ENDED)
		json_i64(w, x->exit_code);
	else
		json_null(w);
	write_process(x, w);
	json_member_bool(w, "OpenStdin", x->asked.attach_stdin);
	json_member_bool(w, "OpenStderr", x->asked.attach_stderr);
	json_member_bool(w, "OpenStdout", x->asked.attach_stdout);
	json_member_bool(w, "CanRemove", x->state == EXEC_ENDED);
	json_member_str(w, "ContainerID", x->c->id);
	json_member_str(w, "DetachKeys", coded ? coded : "");
	json_member_i64(w, "Pid", x->pid);
	json_end_object(w);
}

void execs_write_ids(const struct container *c, struct json_writer *w)
{
	struct exec *x;
	size_t n = 0;

	list_for_each(x, &c->execs, link)
		n += x->state != EXEC_ENDED;
	if (n == 0) {
		json_null(w); /* as Docker shows none */
		return;
	}
	json_begin_array(w);
	list_for_each(x, &c->execs, link)
		if (x->state != EXEC_ENDED)
			json_str(w, x->id);
	json_end_array(w);
}

/* ---- events ---- */

/* "exec_create: sh -c true" */
static void publish_command(struct exec *x, const char *what)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(EXEC_EVENT_TEXT_MAX);

	buf_printf(&text, "%s:", what);
	for (char **v = x->asked.cmd; *v && buf_failed(&text) == 0; v++)
		buf_printf(&text, " %s", *v);
	container_publish(x->c, buf_text(&text), "execID", x->id);
}

void exec_detached(struct exec *x)
{
	container_publish(x->c, "exec_detach", "execID", x->id);
}

/* ---- create ---- */

static int check_container(const struct container *c, struct err *e)
{
	switch (c->state) {
	case CONTAINER_RUNNING:
		return 0;
	case CONTAINER_PAUSED:
		return err_set(e, EBUSY,
			       "container %s is paused, unpause the container before exec", c->id);
	case CONTAINER_RESTARTING:
		return err_set(e, EBUSY,
			       "container %s is restarting, wait until the container is running",
			       c->id);
	default:
		return err_set(e, EBUSY, "container %s is not running", c->id);
	}
}

int exec_new_for(struct container *c, struct exec_config *taken, bool is_probe, struct exec **ret,
		 struct err *e)
{
	struct exec *x = NULL;
	char id[ID_LEN + 1];
	int r = check_container(c, e);

	if (r == 0)
		r = exec_config_defaults(c, taken, e);
	if (r == 0)
		r = id_new(id, e);
	if (r == 0)
		x = exec_new(c, id, e);
	if (!x) {
		bind_free(&exec_config_table, taken);
		return r < 0 ? r : -e->code;
	}
	x->asked = *taken;
	bind_init(&exec_config_table, taken);
	x->is_probe = is_probe;
	r = exec_count_texts(x, e);
	if (r == 0)
		r = exec_record_write(x, e);
	if (r < 0) {
		exec_forget(x);
		return r;
	}
	publish_command(x, "exec_create");
	*ret = x;
	return 0;
}

int exec_create(struct container *c, yyjson_val *body, struct exec **ret, struct err *e)
{
	struct exec_config asked = { 0 };
	int r;

	bind_init(&exec_config_table, &asked);
	r = exec_config_read(body, &asked, e);
	if (r < 0) {
		bind_free(&exec_config_table, &asked);
		return r;
	}
	return exec_new_for(c, &asked, false, ret, e);
}

/* ---- end ---- */

static struct exec_start *take_starter(struct exec *x)
{
	struct exec_start *s = list_first(&x->starter, struct exec_start, link);

	if (s)
		list_remove(&s->link);
	return s;
}

void exec_keep(struct exec *x, int exit_code)
{
	struct containers *cs = x->c->cs;

	x->state = EXEC_ENDED;
	x->exit_code = exit_code;
	x->ended_ms = loop_now(cs->cfg.loop);
	list_append(&cs->execs->ended, &x->age);
	if (!timer_armed(&cs->execs->forget_timer))
		timer_set(cs->cfg.loop, &cs->execs->forget_timer, EXEC_KEPT_MS);
}

static void set_ended(struct exec *x, int exit_code)
{
	struct err e = { 0 };

	exec_keep(x, exit_code);
	if (exec_record_write(x, &e) < 0)
		log_warn("exec %.12s: %s", x->id, err_text(&e));
}

void exec_end(struct exec *x, int exit_code)
{
	struct exec_start *s = take_starter(x);
	char code[16];

	set_ended(x, exit_code);
	(void)str_format(code, sizeof(code), "%d", exit_code);
	container_publish2(x->c, "exec_die", "execID", x->id, "exitCode", code);
	if (s)
		s->ended(s, exit_code);
}

static void start_failed(struct exec *x, int r, int exit_code, const struct err *e)
{
	struct exec_start *s = take_starter(x);
	struct err no_process = { 0 };

	set_ended(x, exit_code);
	err_set(&no_process, EINVAL, "exec process is not started");
	ops_answer(x->c->cs, &x->resize_ops, -EINVAL, &no_process);
	if (s)
		s->started(s, r, -1, e);
}

void execs_exited(struct container *c, const char *id, int exit_code)
{
	struct exec *x = map_get(&c->cs->execs->by_id, id);

	if (x && x->c == c && x->state != EXEC_ENDED)
		exec_end(x, exit_code);
}

void execs_end(struct container *c)
{
	struct exec *x, *tmp;
	struct err e = { 0 };

	err_set(&e, ENOTCONN, "container %s is not running", c->id);
	ops_answer(c->cs, &c->resize_ops, -ENOTCONN, &e);
	list_for_each_safe(x, tmp, &c->execs, link) {
		x->n_asked = 0; /* there will be no answers */
		ops_answer(c->cs, &x->resize_ops, -ENOTCONN, &e);
		if (x->state == EXEC_RUNNING)
			exec_end(x, 128 + SIGKILL); /* with the container's first process */
		else if (x->state == EXEC_STARTING)
			start_failed(x, -ENOTCONN, EXIT_CANNOT_RUN, &e);
		else if (x->state == EXEC_CREATED)
			exec_forget(x);
	}
}

void execs_drop(struct container *c)
{
	struct exec *x, *tmp;

	list_for_each_safe(x, tmp, &c->execs, link)
		exec_free(x);
}

/* ---- start ---- */

int exec_check(const struct exec *x, struct err *e)
{
	int r = check_container(x->c, e);

	if (r == 0 && x->state == EXEC_ENDED)
		return err_set(e, EBUSY, "Error: Exec command %s has already run", x->id);
	if (r == 0 && x->state != EXEC_CREATED)
		return err_set(e, EBUSY, "Error: Exec command %s is already running", x->id);
	return r;
}

static void resized(struct shim_client *shim, int r, struct shim_reply *reply, const struct err *e,
		    void *data)
{
	struct exec *x = data;

	(void)shim;
	(void)reply;
	x->n_asked--;
	/* without a terminal there is nothing to do, and nothing is wrong (Docker) */
	ops_answer(x->c->cs, &x->resize_ops, r == -EINVAL || r == -ENOENT ? 0 : r, e);
}

/* Answers all that wait for a size, with the newest one. */
static void resize_now(struct exec *x)
{
	const struct shim_done done = { resized, x };
	struct err e = { 0 };
	int r;

	timer_clear(&x->ready_timer);
	if (list_empty(&x->resize_ops))
		return;
	x->n_asked++;
	r = shim_resize(x->c->shim, x->id, x->rows, x->cols, &done, &e);
	if (r == 0)
		return;
	x->n_asked--;
	ops_answer(x->c->cs, &x->resize_ops, r, &e);
}

static void on_started(struct shim_client *shim, int r, struct shim_reply *reply,
		       const struct err *e, void *data)
{
	struct exec *x = data;
	struct exec_start *s = list_first(&x->starter, struct exec_start, link);

	(void)shim;
	x->n_asked--;
	if (r < 0) {
		struct err text = *e;

		err_wrap(&text, "OCI runtime exec failed: exec failed: unable to start container "
				"process");
		start_failed(x, r,
			     reply->exit_code == EXIT_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN,
			     &text);
		return;
	}
	x->state = EXEC_RUNNING;
	x->pid = reply->pid;
	strv_free(take_ptr(x->asked.env));
	(void)exec_count_texts(x, NULL);
	resize_now(x);
	if (s)
		s->started(s, 0, take_fd(reply->fd), NULL);
	else if (x->is_probe)
		exec_kill(x); /* its caller gave up */
}

int exec_start(struct exec *x, struct exec_start *s, struct err *e)
{
	_cleanup_(buf_free) struct buf process = BUF_INIT(CONTAINER_DOC_MAX);
	const struct shim_done done = { on_started, x };
	struct shim_exec want = {
		.exec_id = x->id,
		.user = x->asked.user ? x->asked.user : "",
		.groups = x->c->asked.host.group_add,
		.tty = x->asked.tty,
		.in = x->asked.attach_stdin && !s->detach,
		.out = x->asked.attach_stdout && !s->detach,
		.err = x->asked.attach_stderr && !s->detach,
		.rows = s->rows,
		.cols = s->cols,
	};
	int r = exec_check(x, e);

	if (r < 0)
		return r;
	if (want.rows == 0 || want.cols == 0)
		(void)console_size_read(x->asked.console_size, &want.rows, &want.cols, NULL);
	list_init(&s->link);
	list_append(&x->starter, &s->link);
	x->state = EXEC_STARTING;
	x->n_asked++;
	publish_command(x, "exec_start");
	r = exec_process(x->c, &x->asked, &process, e);
	want.process_json = buf_text(&process);
	if (r == 0)
		r = shim_exec(x->c->shim, &want, &done, e);
	if (r == 0)
		return 0;
	x->n_asked--;
	list_remove(&s->link);
	start_failed(x, r, EXIT_CANNOT_RUN, e);
	return r;
}

void exec_start_cancel(struct exec_start *s)
{
	list_remove(&s->link);
}

void exec_kill(struct exec *x)
{
	struct err e = { 0 };

	if (x->c->shim && shim_exec_signal(x->c->shim, x->id, SIGKILL, NULL, &e) < 0)
		log_warn("exec %.12s: %s", x->id, err_text(&e));
}

/* ---- terminals ---- */

void exec_set_size(struct exec *x, unsigned int rows, unsigned int cols, struct container_op *op)
{
	struct containers *cs = x->c->cs;
	struct err e = { 0 };
	int r = check_container(x->c, &e);

	if (r == 0 && x->state == EXEC_ENDED)
		r = err_set(&e, EINVAL, "exec process is not started");
	if (r < 0) {
		op_answer(cs, op, r, &e);
		return;
	}
	x->rows = rows;
	x->cols = cols;
	list_append(&x->resize_ops, &op->link);
	if (x->state == EXEC_RUNNING)
		resize_now(x);
	else if (!timer_armed(&x->ready_timer))
		timer_set(cs->cfg.loop, &x->ready_timer, EXEC_READY_MS);
}

static void terminal_resized(struct shim_client *shim, int r, struct shim_reply *reply,
			     const struct err *e, void *data)
{
	struct container *c = data;

	(void)shim;
	(void)reply;
	ops_answer(c->cs, &c->resize_ops, r == -EINVAL ? 0 : r, e);
}

static void publish_size(struct container *c, unsigned int rows, unsigned int cols)
{
	char height[12], width[12];

	snprintf(height, sizeof(height), "%u", rows);
	snprintf(width, sizeof(width), "%u", cols);
	container_publish2(c, "resize", "height", height, "width", width);
}

void container_resize(struct container *c, unsigned int rows, unsigned int cols,
		      struct container_op *op)
{
	const struct shim_done done = { terminal_resized, c };
	struct err e = { 0 };
	int r;

	list_append(&c->resize_ops, &op->link);
	if (!state_is_running(c->state))
		r = err_set(&e, EBUSY, "container %s is not running", c->id);
	else
		r = shim_resize(c->shim, NULL, rows, cols, &done, &e);
	if (r == 0) {
		publish_size(c, rows, cols);
		return;
	}
	list_remove(&op->link);
	op_answer(c->cs, op, r, &e);
}
