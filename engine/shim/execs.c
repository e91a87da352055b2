/*
 * Processes that are exec'd into the shim's container: start, streams, end.
 *
 * An exec lives from its request until its process is reaped, its output is at the end and the last
 * client has taken it. The answer to the request is sent when execve succeeded (or says why not),
 * with the stream that has been attached since before the process ran, so that no output is lost.
 * The exec_exit event goes out before the stream's end. What its process leaves behind in the
 * background may hold the outputs for EXEC_DRAIN_MS.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "engine/data/ids.h"
#include "engine/shim/protocol.h"
#include "engine/shim/shim.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

struct exec {
	struct list link;
	struct shim *shim;
	char *id;
	struct session session;
	struct runtime_process proc;
	struct io_event sync_io;
	struct timer_event retry; /* frees it once the last client is gone */
	struct timer_event drain; /* after the end, for an output that something else holds open */
	bool in, out, err, tty, reaped;
	unsigned int rows, cols;
	struct conn *conn; /* who waits for the answer, NULL: answered or gone */
	uint64_t seq;
	int attach_fd; /* the client's end until it is handed over */
	int code;
};

enum {
	LINGER_MS = 100,
	EXEC_DRAIN_MS = 2000, /* what moby waits for the streams after exec_die */
};

static void exec_free(struct exec *x)
{
	io_remove(&x->sync_io);
	timer_clear(&x->retry);
	timer_clear(&x->drain);
	session_clear(&x->session);
	runtime_process_close(&x->proc);
	fd_close(x->attach_fd);
	list_remove(&x->link);
	x->shim->n_execs--;
	free(x->id);
	free(x);
}

void exec_hurry(struct shim *s)
{
	struct exec *x;

	list_for_each(x, &s->execs, link)
		session_set_stall(&x->session, SHIM_ATTACH_STALL_MS);
}

void exec_free_all(struct shim *s)
{
	struct exec *x, *tmp;

	list_for_each_safe(x, tmp, &s->execs, link)
		exec_free(x);
}

struct exec *exec_find(struct shim *s, const char *id)
{
	struct exec *x;

	list_for_each(x, &s->execs, link)
		if (str_eq(x->id, id))
			return x;
	return NULL;
}

void exec_forget_conn(struct shim *s, const struct conn *c)
{
	struct exec *x;

	list_for_each(x, &s->execs, link)
		if (x->conn == c)
			x->conn = NULL;
}

static void on_retry(struct timer_event *ev)
{
	struct exec *x = container_of(ev, struct exec, retry);

	if (session_has_clients(&x->session))
		(void)timer_set(x->shim->loop, &x->retry, LINGER_MS);
	else
		exec_free(x);
}

/* For engines that come later (protocol.h); only where the engine has made the directory. */
static void write_state(struct exec *x, bool over)
{
	_cleanup_(mem_free) char *path = NULL;
	struct err e = { 0 };
	char text[96];
	int n;

	if (!id_valid(x->id))
		return;
	path = str_printf("%s/" SHIM_EXECS "/%s" SHIM_EXEC_STATE, x->shim->dir, x->id);
	n = snprintf(text, sizeof(text), "{\"v\":%d,\"pid\":%d", SHIM_PROTOCOL, (int)x->proc.pid);
	n += snprintf(text + n, sizeof(text) - (size_t)n, over ? ",\"exit_code\":%d}" : "}",
		      x->code);
	if (path && file_replace(AT_FDCWD, path, text, (size_t)n, 0600, false, &e) < 0 &&
	    e.code != ENOENT)
		log_warn("shim %.12s: exec %.12s: %s", x->shim->cfg.id, x->id, err_text(&e));
}

/* Over when the process is reaped and the output is at its end. */
static void maybe_end(struct exec *x)
{
	if (!x->reaped || !session_is_drained(&x->session) || x->session.ended)
		return;
	write_state(x, true);
	conn_event_exec_exit(x->shim, x->id, x->code);
	session_end(&x->session);
	(void)timer_set(x->shim->loop, &x->retry, 0);
}

/* A process that it left behind holds its output. */
static void on_drain_timeout(struct timer_event *ev)
{
	struct exec *x = container_of(ev, struct exec, drain);

	if (session_finish(&x->session))
		maybe_end(x);
	else
		(void)timer_set(x->shim->loop, &x->drain, LINGER_MS);
}

static void on_drained(struct session *s, void *data)
{
	(void)s;
	maybe_end(data);
}

static void answer(struct exec *x, const struct err *e)
{
	char extra[64];

	(void)str_format(extra, sizeof(extra), e ? "\"exit_code\":%d" : "\"pid\":%d",
			 e ? x->code : (int)x->proc.pid);
	if (x->conn)
		conn_answer(x->conn, x->seq, e, extra, e ? -1 : x->attach_fd);
	x->conn = NULL;
	fd_close(take_fd(x->attach_fd));
}

/* It did not come to run: the answer says why; no exec_exit event. */
static void failed(struct exec *x, int code, const struct err *e)
{
	x->code = code;
	write_state(x, true);
	answer(x, e);
	io_remove(&x->sync_io);
	(void)session_finish(&x->session); /* there was no output */
	session_end(&x->session);
	if (x->proc.pid <= 0 || x->reaped) {
		(void)timer_set(x->shim->loop, &x->retry, 0);
		return;
	}
	(void)syscall(SYS_pidfd_send_signal, x->proc.pidfd, SIGKILL, NULL, 0);
}

static int on_terminal(struct exec *x, struct err *e)
{
	int r = session_terminal(&x->session, take_fd(x->proc.tty_fd), x->in, e);

	if (r == 0 && x->rows && x->cols)
		(void)session_resize(&x->session, x->rows, x->cols, NULL);
	if (r == 0 && (x->in || x->out || x->err))
		r = session_attach(&x->session, x->in, true, true, &x->attach_fd, e);
	return r;
}

static void on_sync(struct io_event *ev, uint32_t events)
{
	struct exec *x = container_of(ev, struct exec, sync_io);
	struct runtime_event re = { 0 };
	struct err e = { 0 };
	int r = runtime_next(&x->proc, &re, &e);

	(void)events;
	if (r == -EAGAIN)
		return;
	if (r == 0 && re.kind == RUNTIME_TTY)
		r = on_terminal(x, &e);
	else if (r == 0 && re.kind == RUNTIME_READY)
		r = runtime_start(&x->proc, &e);
	if (r < 0) {
		failed(x, RUNTIME_EXIT_SETUP, &e);
		return;
	}
	if (re.kind == RUNTIME_FAILED) {
		failed(x, re.exit_code, &re.err);
	} else if (re.kind == RUNTIME_STARTED) {
		io_remove(&x->sync_io);
		write_state(x, false);
		answer(x, NULL);
	}
}

bool exec_reaped(struct shim *s, pid_t pid, int status)
{
	struct shim_exit how = { 0 };
	struct exec *x;

	list_for_each(x, &s->execs, link)
		if (x->proc.pid == pid && !x->reaped)
			break;
	if (&x->link == &s->execs)
		return false;
	/* what it said before its end comes first */
	while (x->sync_io.loop && x->proc.sync_fd >= 0) {
		int before = x->proc.sync_fd;

		on_sync(&x->sync_io, EPOLLIN);
		if (x->proc.sync_fd == before && x->sync_io.loop && x->proc.waiting)
			break;
	}
	shim_exit_status(&how, status);
	x->reaped = true;
	x->code = how.exit_code;
	if (x->session.ended)
		(void)timer_set(s->loop, &x->retry, 0);
	else if (session_is_drained(&x->session))
		maybe_end(x);
	else
		(void)timer_set(s->loop, &x->drain, EXEC_DRAIN_MS);
	return true;
}

int exec_resize(struct exec *x, unsigned int rows, unsigned int cols, struct err *e)
{
	return session_resize(&x->session, rows, cols, e);
}

int exec_signal(struct exec *x, int signal, struct err *e)
{
	if (x->proc.pidfd < 0 || x->reaped)
		return err_set(e, ESRCH, "the process is not running");
	if (syscall(SYS_pidfd_send_signal, x->proc.pidfd, signal, NULL, 0) < 0)
		return err_errno(e, errno, "signal %d", signal);
	return 0;
}

/* --- the request --- */

static int read_request(struct exec *x, yyjson_val *o, const char **ret_user, char ***ret_groups,
			bool *ret_privileged, struct err *e)
{
	const char *id = NULL;
	uint64_t rows = 0, cols = 0;
	int r = json_need_text(o, "id", &id, e);

	if (r == 0)
		r = json_get_text(o, "user", ret_user, e);
	if (r == 0)
		r = json_get_strv(o, "groups", ret_groups, e);
	if (r == 0)
		r = json_get_bool(o, "stdin", &x->in, e);
	if (r == 0)
		r = json_get_bool(o, "stdout", &x->out, e);
	if (r == 0)
		r = json_get_bool(o, "stderr", &x->err, e);
	if (r == 0)
		r = json_get_bool(o, "privileged", ret_privileged, e);
	if (r == 0)
		r = json_get_u64(o, "rows", &rows, e);
	if (r == 0)
		r = json_get_u64(o, "cols", &cols, e);
	if (r < 0)
		return r;
	if (exec_find(x->shim, id))
		return err_set(e, EEXIST, "exec %s runs already", id);
	x->rows = rows > UINT16_MAX ? 0 : (unsigned int)rows;
	x->cols = cols > UINT16_MAX ? 0 : (unsigned int)cols;
	x->id = str_dup(id);
	return x->id ? 0 : err_errno(e, ENOMEM, "exec");
}

/* The process object from its memfd; whether it wants a terminal. */
static int read_process(int fd, char **ret_text, bool *ret_tty, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	yyjson_val *root;
	size_t len;
	int r;

	if (fd < 0)
		return err_set(e, EINVAL, "the descriptor with the process is missing");
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(e, errno, "process");
	r = file_read_fd(fd, RUNTIME_CONFIG_MAX, &text, &len, e);
	if (r == 0)
		r = json_parse_object(text, len, &doc, &root, e);
	if (r == 0)
		r = json_get_bool(root, "terminal", ret_tty, e);
	if (r < 0)
		return err_wrap(e, "process");
	*ret_text = take_ptr(text);
	return 0;
}

/* Pipes for what is attached; the rest is /dev/null. ends[] are the process's: -1 none. */
static int make_pipes(struct exec *x, int ends[3], struct err *e)
{
	const bool wanted[3] = { x->in, x->out, x->err };
	int ours[3] = { -1, -1, -1 }, r;

	for (int i = 0; i < 3; i++) {
		int p[2];

		if (!wanted[i])
			continue;
		if (pipe2(p, O_CLOEXEC) < 0) {
			r = err_errno(e, errno, "pipe");
			for (int k = 0; k < 3; k++)
				fd_close(ours[k]);
			return r;
		}
		ends[i] = p[i > 0];
		shim_give_pipe(x->shim, ends[i]);
		ours[i] = p[i == 0];
	}
	r = session_pipes(&x->session, ours[0], ours[1], ours[2], e);
	if (r == 0 && (x->in || x->out || x->err))
		r = session_attach(&x->session, x->in, x->out, x->err, &x->attach_fd, e);
	return r;
}

static int start(struct exec *x, const char *process, const char *user, char *const *groups,
		 bool privileged, struct err *e)
{
	struct shim *s = x->shim;
	int ends[3] = { -1, -1, -1 };
	int r = x->tty ? 0 : make_pipes(x, ends, e);

	if (r == 0) {
		struct runtime_exec rx = {
			.id = s->cfg.id,
			.pidfd = s->proc.pidfd,
			.bundle = s->bundle,
			.process = process,
			.user = user,
			.groups = groups,
			.cgroup = s->cfg.cgroup,
			.seccomp_cache = s->cfg.seccomp_cache,
			.kept = s->cfg.cgroup ? s->kept : NULL,
			.stdin_fd = ends[0],
			.stdout_fd = ends[1],
			.stderr_fd = ends[2],
			.no_cgroup = !s->cfg.cgroup,
			.privileged = privileged,
		};

		r = runtime_exec(&rx, &x->proc, e);
	}
	for (int i = 0; i < 3; i++)
		fd_close(ends[i]);
	if (r < 0)
		return r;
	x->sync_io.fn = on_sync;
	return io_add(s->loop, &x->sync_io, x->proc.sync_fd, EPOLLIN) < 0
		       ? err_errno(e, errno, "exec")
		       : 0;
}

int exec_request(struct shim *s, struct conn *c, uint64_t seq, yyjson_val *o, int process_fd,
		 struct err *e)
{
	_cleanup_(mem_free) char *process = NULL;
	_cleanup_(strv_free) char **groups = NULL;
	const char *user = NULL;
	bool privileged = false;
	struct exec *x;
	int r;

	if (s->state != SHIM_RUNNING || s->reaped)
		return err_set(e, EINVAL, "the container is not running");
	if (s->paused)
		return err_set(e, EINVAL, "the container is paused");
	if (s->n_execs >= SHIM_EXECS_MAX)
		return err_set(e, EAGAIN, "more than %d processes are exec'd in this container",
			       SHIM_EXECS_MAX);
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_errno(e, ENOMEM, "exec");
	*x = (struct exec){ .shim = s, .conn = c, .seq = seq, .attach_fd = -1 };
	x->proc.pidfd = x->proc.tty_fd = x->proc.sync_fd = -1;
	x->retry.fn = on_retry;
	x->drain.fn = on_drain_timeout;
	session_init(&x->session, s->loop, NULL);
	x->session.stdin_once = true;
	/* who waits for an exec holds up nobody but that: the engine limits how long */
	x->session.stall_ms = 0;
	x->session.drained = on_drained;
	x->session.data = x;
	list_append(&s->execs, &x->link);
	s->n_execs++;
	r = read_request(x, o, &user, &groups, &privileged, e);
	if (r == 0)
		r = read_process(process_fd, &process, &x->tty, e);
	if (r == 0)
		r = start(x, process, user, groups, privileged, e);
	if (r < 0)
		exec_free(x);
	return r;
}
