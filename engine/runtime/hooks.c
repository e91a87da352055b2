/*
 * Runs hooks (hooks.h).
 *
 * A hook is a child of its own with exactly its environment, stdin from a sealed memory file with
 * the state (so that nobody can block on it), and output into a pipe of which the end is kept for
 * the error. It is waited for by a pidfd, and killed when its time is over. Runs in processes
 * without an event loop: the command line, and a container's first process.
 */
#include "engine/runtime/hooks.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine/runtime/runtime.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/spawn.h"
#include "init/base/str.h"

/* bytes of a hook's output that an error shows; the rest is read and dropped */
enum { OUTPUT_SHOWN = 256, STATE_MAX = 8 << 20, HOOK_FD_HIGH = 64 };

void hook_state_write(struct json_writer *w, const struct hook_state *s)
{
	json_begin_object(w);
	json_member_str(w, "ociVersion", RUNTIME_SPEC_VERSION);
	json_member_str(w, "id", s->id);
	json_member_str(w, "status", s->status);
	json_member_i64(w, "pid", s->pid);
	json_member_str(w, "bundle", s->bundle);
	if (s->created)
		json_member_str(w, "created", s->created);
	json_key(w, "annotations");
	json_begin_object(w);
	for (char *const *a = s->annotations; a && *a; a++) {
		_cleanup_(mem_free) char *key = strndup(*a, strcspn(*a, "="));

		if (key)
			json_member_str(w, key, *a + strcspn(*a, "=") + 1);
	}
	json_end_object(w);
	json_end_object(w);
}

/* The state in a file that is read from its beginning. */
static int state_file(const struct hook_state *s, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(STATE_MAX);
	_cleanup_(fd_close) int fd = memfd_create("state", MFD_CLOEXEC);
	struct json_writer w;

	if (fd < 0)
		return err_errno(e, errno, "the state for a hook");
	json_writer_init(&w, &text);
	hook_state_write(&w, s);
	if (buf_failed(&text))
		return err_errno(e, -buf_failed(&text), "the state for a hook");
	if (file_write_all(fd, text.data, text.len, e) < 0)
		return err_wrap(e, "the state for a hook");
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(e, errno, "the state for a hook");
	return take_fd(fd);
}

/* --- in the hook's process --- */

static void hook_process(const struct plan_hook *h, int state, int output,
			 int (*enter)(void *data, struct err *e), void *data)
	__attribute__((noreturn));

static void hook_process(const struct plan_hook *h, int state, int output,
			 int (*enter)(void *data, struct err *e), void *data)
{
	char *const alone[] = { h->path, NULL }, *const nothing[] = { NULL };
	struct err e = { 0 };
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	umask(022); /* the maker of a container works with none */
	/* high first: the descriptors given may be 0, 1 or 2 themselves */
	state = fcntl(state, F_DUPFD_CLOEXEC, HOOK_FD_HIGH);
	output = fcntl(output, F_DUPFD_CLOEXEC, HOOK_FD_HIGH);
	if (state < 0 || output < 0 || dup2(state, 0) < 0 || dup2(output, 1) < 0 ||
	    dup2(output, 2) < 0 || syscall(SYS_close_range, 3, ~0U, 0) < 0) {
		err_errno(&e, errno, "its descriptors");
	} else if (!enter || enter(data, &e) == 0) {
		(void)execve(h->path, strv_len(h->args) ? h->args : alone,
			     h->env ? h->env : nothing);
		err_errno(&e, errno, "exec %s", h->path);
	}
	(void)dprintf(2, "%s", err_text(&e));
	_exit(127);
}

/* --- beside it --- */

struct output {
	char text[OUTPUT_SHOWN]; /* the last bytes */
	size_t len;
};

static void keep_end(struct output *o, const char *data, size_t n)
{
	if (n >= sizeof(o->text)) {
		data += n - sizeof(o->text);
		n = sizeof(o->text);
		o->len = 0;
	}
	if (o->len + n > sizeof(o->text)) {
		size_t drop = o->len + n - sizeof(o->text);

		memmove(o->text, o->text + drop, o->len - drop);
		o->len -= drop;
	}
	memcpy(o->text + o->len, data, n);
	o->len += n;
}

/* Reads what is there; false at the end of the pipe. */
static bool drain(int fd, struct output *o)
{
	char data[4096];

	for (;;) {
		ssize_t n = read(fd, data, sizeof(data));

		if (n == 0)
			return false;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		keep_end(o, data, (size_t)n);
	}
}

/* Until the hook ends; -ETIMEDOUT when its time is over (it is killed then). */
static int wait_for(pid_t pid, int out, unsigned int seconds, struct output *o, int *ret_status)
{
	_cleanup_(fd_close) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int64_t until = clock_mono_ms() + (int64_t)seconds * 1000;
	bool late = false;

	while (pidfd >= 0 && !late) {
		struct pollfd fds[] = { { .fd = pidfd, .events = POLLIN },
					{ .fd = out, .events = POLLIN } };
		int64_t left = seconds ? MAX(until - clock_mono_ms(), 0) : -1;
		int n = poll(fds, 2, (int)MIN(left, INT32_MAX));

		late = n == 0;
		if (n > 0 && fds[1].revents && !drain(out, o))
			out = -1;
		if (n > 0 && fds[0].revents)
			break;
	}
	if (pidfd < 0 || late)
		(void)kill(pid, SIGKILL); /* not reaped yet: the number is its own */
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		;
	if (out >= 0)
		(void)drain(out, o);
	return late ? -ETIMEDOUT : 0;
}

static int judge(const struct plan_hook *h, const char *kind, size_t number, int r, int status,
		 struct output *o, struct err *e)
{
	char text[64];

	if (r == 0 && status == 0)
		return 0;
	if (r == -ETIMEDOUT)
		return err_set(e, ETIMEDOUT, "error running %s hook #%zu (%s): not done in %u s",
			       kind, number, h->path, h->timeout);
	for (size_t i = 0; i < o->len; i++)
		if ((unsigned char)o->text[i] < ' ')
			o->text[i] = ' ';
	return err_set(e, EIO, "error running %s hook #%zu (%s): %s, output: %.*s", kind, number,
		       h->path, child_status_text(status, text, sizeof(text)), (int)o->len,
		       o->text);
}

static int run_one(const struct plan_hook *h, const char *kind, size_t number,
		   const struct hook_state *s, int (*enter)(void *data, struct err *e), void *data,
		   struct err *e)
{
	_cleanup_(fd_close) int state = state_file(s, e), out = -1, in = -1;
	struct output o = { 0 };
	int pair[2], status = 0, r;
	pid_t pid;

	if (state < 0)
		return state;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_errno(e, errno, "%s hook", kind);
	out = pair[0];
	in = pair[1];
	if (fd_set_nonblock(out, true) < 0)
		return err_errno(e, errno, "%s hook", kind);
	pid = fork();
	if (pid < 0)
		return err_errno(e, errno, "%s hook: fork", kind);
	if (pid == 0)
		hook_process(h, state, in, enter, data);
	fd_close(take_fd(in));
	r = wait_for(pid, out, h->timeout, &o, &status);
	return judge(h, kind, number, r, status, &o, e);
}

int hooks_run(const struct plan *p, enum plan_hook_kind kind, const struct hook_state *s,
	      int (*enter)(void *data, struct err *e), void *data, struct err *e)
{
	for (size_t i = 0; i < p->hooks[kind].n; i++) {
		int r = run_one(&p->hooks[kind].list[i], plan_hook_names[kind], i, s, enter, data,
				e);

		if (r < 0)
			return r;
	}
	return 0;
}

int hooks_run_one(const struct plan *p, enum plan_hook_kind kind, size_t number,
		  const struct hook_state *s, struct err *e)
{
	return run_one(&p->hooks[kind].list[number], plan_hook_names[kind], number, s, NULL, NULL,
		       e);
}
