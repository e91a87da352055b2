/*
 * Common parts of the runner (runner.h), and the caller's half of runtime.h: events and the gate.
 *
 * The runner is forked, not exec'd: it shares the caller's pages, takes only the descriptors named
 * in sync.h along and is gone after a few milliseconds, with all the memory that parsing and
 * compiling took.
 */
#include "engine/runtime/runner.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "engine/runtime/sync.h"
#include "init/base/cgroup.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/msg.h"
#include "init/base/str.h"

int runner_fork(struct sync_fds *fds, void (*run)(const void *arg), const void *arg,
		struct runtime_process *ret, struct err *e)
{
	_cleanup_(fd_close) int ours = -1, theirs = -1;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socket pair of a new container");
	ours = pair[0];
	theirs = pair[1];
	if (fd_set_nonblock(ours, true) < 0)
		return err_errno(e, errno, "socket pair of a new container");
	if (fds->preserved > RUNTIME_FDS_MAX)
		return err_set(e, EINVAL, "more than %d descriptors to preserve", RUNTIME_FDS_MAX);
	fds->sync = theirs;
	pid = fork();
	if (pid < 0)
		return err_errno(e, errno, "fork");
	if (pid == 0) {
		struct err ce = { 0 };

		/* nobody traces what is about to enter a container, nor reads its memory */
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		if (sync_take_over(fds, &ce) < 0)
			_exit(RUNTIME_EXIT_SETUP);
		run(arg);
		_exit(0);
	}
	*ret = (struct runtime_process){
		.runner = pid, .pidfd = -1, .tty_fd = -1, .sync_fd = take_fd(ours)
	};
	return 0;
}

int runner_plan(const char *bundle, const char *config, const char *seccomp_cache,
		struct plan **ret, struct err *e)
{
	_cleanup_(mem_free) char *path = config ? str_dup(config)
						: str_printf("%s/config.json", bundle),
				 *text = NULL;
	size_t len;
	int r;

	if (!path)
		return err_errno(e, ENOMEM, "config.json");
	r = file_read(AT_FDCWD, path, RUNTIME_CONFIG_MAX, &text, &len, e);
	if (r < 0)
		return err_wrap(e, "config.json");
	return plan_parse_cached(text, len, seccomp_cache, ret, e);
}

/* A limit below what is used would end in the OOM killer. */
static int check_memory(int cgroup_fd, const struct plan_resources *r, struct err *e)
{
	uint64_t used = 0;

	if (!r->check_memory || !r->memory_limit)
		return 0;
	if (cgroup_read_u64(cgroup_fd, "memory.current", &used, e) < 0)
		return err_wrap(e, "memory.checkBeforeUpdate");
	if (used > r->memory_limit)
		return err_set(e, EINVAL, "memory.limit: %llu bytes are below the %llu in use",
			       (unsigned long long)r->memory_limit, (unsigned long long)used);
	return 0;
}

int runner_knobs(int cgroup_fd, const struct plan_resources *r, struct err *e)
{
	if (check_memory(cgroup_fd, r, e) < 0)
		return -EINVAL;
	for (size_t i = 0; i < r->n_knobs; i++) {
		const struct plan_knob *k = &r->knobs[i];

		if (cgroup_write(cgroup_fd, k->file, k->value, e) < 0)
			return err_wrap(e, "%s", k->key);
	}
	return 0;
}

int runner_cgroup(const char *path, bool no_cgroup, bool make, int *ret_fd, struct err *e)
{
	int fd;

	*ret_fd = -1;
	if (no_cgroup || !path)
		return 0;
	fd = make ? cgroup_make(path, e) : cgroup_open(path, e);
	if (fd < 0)
		return err_wrap(e, "cgroup %s", path);
	*ret_fd = fd;
	return 0;
}

pid_t runner_clone(unsigned long long flags, int cgroup_fd, int *ret_go, struct err *e)
{
	int pidfd = -1, pair[2], r;
	struct clone_args args = {
		.flags = flags | CLONE_PARENT | CLONE_PIDFD |
			 (cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.cgroup = cgroup_fd >= 0 ? (uint64_t)cgroup_fd : 0,
	};
	char byte;
	long pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socket pair");
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return err_errno(e, errno, "clone of the container's process");
	if (pid == 0) {
		close(pair[0]);
		if (recv(pair[1], &byte, 1, 0) != 1)
			_exit(RUNTIME_EXIT_SETUP); /* the runner failed and has said why */
		close(pair[1]);
		return 0;
	}
	close(pair[1]);
	r = sync_send(RUNTIME_PID, (pid_t)pid, pidfd, e);
	if (r < 0)
		return r;
	*ret_go = pair[0];
	return (pid_t)pid;
}

int runner_go(int go, struct err *e)
{
	/* from here on the child alone holds the other end: its end of file means execve or
	 * death, nothing else */
	close(SYNC_FD);
	return send(go, "G", 1, MSG_NOSIGNAL) == 1
		       ? 0
		       : err_errno(e, errno, "the container's process is gone");
}

int runner_oom_score(const struct plan_process *p, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	char value[16];
	int64_t now = 0;
	size_t len;

	if (!p->has_oom_score) {
		/* the shim protects itself; that must not pass on to what it runs */
		if (file_read(AT_FDCWD, "/proc/self/oom_score_adj", 32, &text, &len, NULL) < 0 ||
		    str_to_i64(str_trim(text), &now) < 0 || now >= 0)
			return 0;
	}
	(void)str_format(value, sizeof(value), "%d", p->has_oom_score ? p->oom_score_adj : 0);
	if (file_put(AT_FDCWD, "/proc/self/oom_score_adj", value, e) < 0)
		return err_wrap(e, "process.oomScoreAdj");
	return 0;
}

/* --- the caller's half --- */

static void close_sync(struct runtime_process *p)
{
	fd_close(take_fd(p->sync_fd));
	p->waiting = false;
}

/* The socket's end: execve succeeded if the gate was open, else the process died without a word. */
static int end_of_socket(struct runtime_process *p, struct runtime_event *ret)
{
	bool started = p->waiting;

	*ret = (struct runtime_event){ .kind = started ? RUNTIME_STARTED : RUNTIME_FAILED };
	if (!started) {
		ret->exit_code = RUNTIME_EXIT_SETUP;
		err_set(&ret->err, EIO, "the container's process ended while it was being set up");
	}
	close_sync(p);
	return 0;
}

int runtime_next(struct runtime_process *p, struct runtime_event *ret, struct err *e)
{
	union {
		struct sync_packet packet;
		char bytes[sizeof(struct sync_packet) + 1];
	} in = { 0 };
	int fds[MSG_FDS_MAX];
	size_t n_fds = 0;
	ssize_t n;

	if (p->sync_fd < 0)
		return err_set(e, EINVAL, "no process is being made");
	n = msg_recv(p->sync_fd, in.bytes, sizeof(in.bytes), fds, &n_fds, e);
	if (n == 0 || n == -ECONNRESET)
		return end_of_socket(p, ret);
	if (n < 0)
		return (int)n;
	*ret = (struct runtime_event){ .kind = (enum runtime_event_kind)in.packet.kind };
	if (n == sizeof(in.packet) && in.packet.kind == RUNTIME_PID && n_fds == 1 && p->pidfd < 0) {
		p->pid = in.packet.pid;
		p->pidfd = fds[0];
		return 0;
	}
	if (n == sizeof(in.packet) && in.packet.kind == RUNTIME_TTY && n_fds == 1 &&
	    p->tty_fd < 0) {
		p->tty_fd = fds[0];
		return 0;
	}
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
	if (in.packet.kind == RUNTIME_READY) {
		p->waiting = true;
		return 0;
	}
	if (in.packet.kind == RUNTIME_HOOKS)
		return 0;
	ret->kind = RUNTIME_FAILED;
	ret->exit_code = in.packet.exit_code ? in.packet.exit_code : RUNTIME_EXIT_SETUP;
	in.packet.text[sizeof(in.packet.text) - 1] = '\0';
	err_set(&ret->err, in.packet.error > 0 ? in.packet.error : EIO, "%s", in.packet.text);
	close_sync(p);
	return 0;
}

int runtime_wait(struct runtime_process *p, int timeout_ms, int *ret_exit_code, struct err *e)
{
	int64_t until = clock_mono_ms() + timeout_ms;
	struct runtime_event ev;

	for (;;) {
		int r = runtime_next(p, &ev, e);

		if (r == -EAGAIN) {
			struct pollfd pfd = { .fd = p->sync_fd, .events = POLLIN };
			int64_t left = timeout_ms < 0 ? -1 : MAX(until - clock_mono_ms(), 0);

			if (poll(&pfd, 1, (int)left) == 0)
				return err_set(e, ETIMEDOUT, "the container was not ready in %d ms",
					       timeout_ms);
			continue;
		}
		if (r < 0)
			return r;
		if (ev.kind == RUNTIME_FAILED) {
			if (ret_exit_code)
				*ret_exit_code = ev.exit_code;
			return err_set(e, ev.err.code, "%s", ev.err.text);
		}
		if (ev.kind == RUNTIME_READY || ev.kind == RUNTIME_STARTED)
			return 0;
		if (ev.kind == RUNTIME_HOOKS)
			return 1;
	}
}

int runtime_start(struct runtime_process *p, struct err *e)
{
	if (p->sync_fd < 0 || !p->waiting)
		return err_set(e, EINVAL, "the process does not wait to be started");
	return msg_send(p->sync_fd, "S", 1, NULL, 0, e);
}

int runtime_go_on(struct runtime_process *p, struct err *e)
{
	if (p->sync_fd < 0)
		return err_set(e, EINVAL, "no process is being made");
	return msg_send(p->sync_fd, "H", 1, NULL, 0, e);
}

int runtime_attach(const char *path, struct runtime_process *ret, struct err *e)
{
	int fd = msg_connect(path, e);

	if (fd < 0)
		return fd;
	*ret = (struct runtime_process){ .pidfd = -1, .tty_fd = -1, .sync_fd = fd };
	return 0;
}

void runtime_process_close(struct runtime_process *p)
{
	/* zeroed structs come here too: 0 is never one of ours */
	int *fds[] = { &p->pidfd, &p->tty_fd, &p->sync_fd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] > 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

int runtime_update(const char *cgroup, const char *resources_json, struct err *e)
{
	_cleanup_(plan_resources_clear) struct plan_resources res = { 0 };
	_cleanup_(fd_close) int fd = -1;
	int r = plan_parse_resources(resources_json, strlen(resources_json), &res, e);

	if (r < 0)
		return r;
	fd = cgroup_open(cgroup, e);
	return fd < 0 ? fd : runner_knobs(fd, &res, e);
}
