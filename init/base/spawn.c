/*
 * Child processes by clone3: a pidfd from birth, born in their cgroup, nothing inherited by
 * accident.
 *
 * The clone is fork-like (no shared memory), so the child may run plain C up to execve. All signals
 * are blocked across the clone, and the child resets them before it unblocks. What fails in the
 * child travels back by a close-on-exec pipe as {errno, step}. Used by PID 1 for its services and
 * by the engine for shims and workers.
 */
#include "init/base/spawn.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/str.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

enum { SIGNALS = 64, FD_HIGH = 256 };

enum spawn_step {
	STEP_SIGNALS,
	STEP_SESSION,
	STEP_FDS,
	STEP_TTY,
	STEP_OOM,
	STEP_CWD,
	STEP_USER,
	STEP_EXEC
};

static const char *const step_text[] = {
	[STEP_SIGNALS] = "cannot reset signals",   [STEP_SESSION] = "cannot start a session",
	[STEP_FDS] = "cannot arrange descriptors", [STEP_TTY] = "cannot take the terminal",
	[STEP_OOM] = "cannot set the OOM score",   [STEP_CWD] = "cannot change the directory",
	[STEP_USER] = "cannot change the user",	   [STEP_EXEC] = "cannot execute",
};

struct report {
	int code; /* errno */
	int step;
};

/* rt_sigprocmask's mask as the kernel has it: libc hides signals 32 and 33 from its own */
static void set_mask(int how, uint64_t mask, uint64_t *ret_old)
{
	syscall(SYS_rt_sigprocmask, how, &mask, ret_old, sizeof(mask));
}

static void reset_signals(void)
{
	/* the kernel's struct sigaction: handler (0 is SIG_DFL), flags, restorer, mask */
	static const uint64_t reset[4];

	/* not by sigaction(), which refuses libc's own signals: they may be ignored since before
	 * us. KILL and STOP fail, they are default always. */
	for (int i = 1; i <= SIGNALS; i++)
		syscall(SYS_rt_sigaction, i, reset, NULL, sizeof(uint64_t));
	set_mask(SIG_SETMASK, 0, NULL);
}

static int default_source(const struct spawn *s, int fd)
{
	if (s->tty > 0)
		return s->tty;
	return fd == 2 && fcntl(2, F_GETFD) >= 0 ? 2 : -1;
}

static bool is_mapped(const struct spawn *s, int fd)
{
	for (size_t i = 0; i < s->n_fds; i++) {
		if (s->fds[i].child == fd)
			return true;
	}
	return false;
}

/* Moves `ours` (-1: /dev/null) out of the way, above all child numbers. */
static int lift(int ours, int above)
{
	int fd = ours, high;

	if (ours < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	high = fcntl(fd, F_DUPFD_CLOEXEC, above);
	if (ours < 0)
		close(fd);
	return high < 0 ? -errno : high;
}

/* Gives the child exactly its descriptors; everything else becomes close-on-exec. */
static int arrange_fds(const struct spawn *s, int *report_fd)
{
	struct fd_map map[SPAWN_FDS_MAX + 3];
	int above = FD_HIGH, high[ARRAY_SIZE(map)];
	size_t n = 0;

	for (; n < s->n_fds; n++) {
		map[n] = s->fds[n];
		above = MAX(above, map[n].child + 1);
	}
	for (int fd = 0; fd < 3; fd++) {
		if (!is_mapped(s, fd))
			map[n++] = (struct fd_map){ fd, default_source(s, fd) };
	}
	*report_fd = lift(*report_fd, above);
	if (*report_fd < 0)
		return *report_fd;
	for (size_t i = 0; i < n; i++) {
		high[i] = lift(map[i].ours, above);
		if (high[i] < 0)
			return high[i];
	}
	if (syscall(SYS_close_range, 0, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		if (dup2(high[i], map[i].child) < 0)
			return -errno;
	}
	return 0;
}

static int change_user(const struct spawn *s)
{
	/* the raw calls: libc's would signal threads that we do not have */
	if (syscall(SYS_setgroups, 0, NULL) < 0 ||
	    syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0 ||
	    syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0)
		return -errno;
	return 0;
}

static int set_oom_score(int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", value);
	return file_put(AT_FDCWD, "/proc/self/oom_score_adj", text, NULL);
}

static int child_step(const struct spawn *s, enum spawn_step step, int *report_fd)
{
	static const char *const path_only[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL
	};

	switch (step) {
	case STEP_SIGNALS:
		reset_signals();
		return 0;
	case STEP_SESSION:
		return s->new_session && setsid() < 0 ? -errno : 0;
	case STEP_FDS:
		return arrange_fds(s, report_fd);
	case STEP_TTY:
		return s->tty > 0 && s->new_session && ioctl(0, TIOCSCTTY, 0) < 0 ? -errno : 0;
	case STEP_OOM:
		return s->oom_score_adj ? set_oom_score(s->oom_score_adj) : 0;
	case STEP_CWD:
		return chdir(s->cwd ? s->cwd : "/") < 0 ? -errno : 0;
	case STEP_USER:
		if (s->drop_user && change_user(s) < 0)
			return -errno;
		/* after the change of user, which would clear it */
		return s->death_signal && prctl(PR_SET_PDEATHSIG, s->death_signal) < 0 ? -errno : 0;
	case STEP_EXEC:
		execve(s->path ? s->path : "/proc/self/exe", (char *const *)(uintptr_t)s->argv,
		       (char *const *)(uintptr_t)(s->env ? s->env : path_only));
		return -errno;
	}
	return -EINVAL;
}

static _Noreturn void child_main(const struct spawn *s, int report_fd)
{
	struct report report = { 0 };

	for (int step = STEP_SIGNALS; step <= STEP_EXEC; step++) {
		int r = child_step(s, (enum spawn_step)step, &report_fd);

		if (r < 0) {
			report = (struct report){ -r, step };
			break;
		}
	}
	while (write(report_fd, &report, sizeof(report)) < 0 && errno == EINTR)
		;
	_exit(127);
}

static int start(const struct spawn *s, int report_fd, struct child *ret_child)
{
	int pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_PIDFD | s->clone_flags,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
	};
	uint64_t old = 0;
	long pid;
	int code;

	if (s->cgroup_fd > 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)s->cgroup_fd;
	}
	set_mask(SIG_SETMASK, ~UINT64_C(0), &old);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		child_main(s, report_fd);
	code = errno;
	set_mask(SIG_SETMASK, old, NULL);
	if (pid < 0)
		return -code;
	*ret_child = (struct child){ (pid_t)pid, pidfd };
	return 0;
}

static int check(const struct spawn *s, struct err *e)
{
	if (!s->argv || !s->argv[0])
		return err_set(e, EINVAL, "spawn without a program name");
	if (s->n_fds > SPAWN_FDS_MAX)
		return err_set(e, EINVAL, "more than %d descriptors for a child", SPAWN_FDS_MAX);
	return 0;
}

int spawn(const struct spawn *s, struct child *ret_child, struct err *e)
{
	_cleanup_(fd_close) int report_read = -1, report_write = -1;
	struct child child = { 0, -1 };
	struct report report;
	int fds[2], r = check(s, e);
	ssize_t n;

	if (r < 0)
		return r;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make a pipe");
	report_read = fds[0];
	report_write = fds[1];
	r = start(s, report_write, &child);
	if (r < 0)
		return err_errno(e, -r, "cannot start %s", s->argv[0]);
	fd_close(take_fd(report_write));
	do {
		n = read(report_read, &report, sizeof(report));
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(report)) {
		child_free(&child);
		return err_errno(e, report.code, "%s: %s", s->path ? s->path : s->argv[0],
				 step_text[report.step]);
	}
	*ret_child = child;
	return 0;
}

int child_wait(struct child *c, int *ret_status, struct err *e)
{
	int status;
	pid_t pid;

	do {
		pid = waitpid(c->pid, &status, 0);
	} while (pid < 0 && errno == EINTR);
	if (pid < 0)
		return err_errno(e, errno, "cannot wait for process %d", (int)c->pid);
	fd_close(take_fd(c->pidfd));
	if (ret_status)
		*ret_status = status;
	return 0;
}

int child_signal(const struct child *c, int signal)
{
	if (c->pidfd < 0)
		return -ESRCH;
	return syscall(SYS_pidfd_send_signal, c->pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

void child_free(struct child *c)
{
	if (!c || c->pidfd < 0)
		return;
	child_signal(c, SIGKILL);
	child_wait(c, NULL, NULL);
	fd_close(take_fd(c->pidfd));
}

const char *child_status_text(int status, char *buf, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(buf, size, "signal %d (%s)", WTERMSIG(status),
			 signal_name(WTERMSIG(status)));
	else
		snprintf(buf, size, "exit status %d", WEXITSTATUS(status));
	return buf;
}

/* Takes what the pipe holds; what is over the limit is dropped. False at the end of the pipe. */
static bool drain(int fd, struct buf *out, size_t max)
{
	char part[4096];
	ssize_t n;

	for (;;) {
		n = read(fd, part, sizeof(part));
		if (n == 0 || (n < 0 && errno != EINTR))
			return n < 0 && errno == EAGAIN;
		if (n > 0)
			buf_add(out, part, MIN((size_t)n, max - out->len));
	}
}

/* Collects output until the child is gone. 0 or -ETIMEDOUT. */
static int collect(const struct child *c, int fd, int timeout_ms, struct buf *out, size_t max)
{
	int64_t end = clock_mono_ms() + timeout_ms;
	struct pollfd p[2] = { { fd, POLLIN, 0 }, { c->pidfd, POLLIN, 0 } };

	for (;;) {
		int64_t left = timeout_ms > 0 ? MAX(end - clock_mono_ms(), 0) : -1;
		int n = poll(p, 2, (int)left);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ETIMEDOUT;
		if (n > 0 && p[0].revents && !drain(fd, out, max))
			p[0].fd = -1;
		if (n > 0 && p[1].revents) {
			if (p[0].fd >= 0)
				drain(fd, out, max);
			return 0;
		}
	}
}

int spawn_run(const struct spawn *s, int timeout_ms, size_t max, char **ret_output, int *ret_status,
	      struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(max);
	_cleanup_(fd_close) int out_read = -1, out_write = -1;
	struct fd_map map[SPAWN_FDS_MAX];
	struct spawn copy = *s;
	struct child child;
	int fds[2], r;

	if (s->n_fds > SPAWN_FDS_MAX - 2)
		return err_set(e, EINVAL, "too many descriptors for a child");
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make a pipe");
	out_read = fds[0];
	out_write = fds[1];
	fd_set_nonblock(out_read, true);
	copy.n_fds = 0;
	map[copy.n_fds++] = (struct fd_map){ 1, out_write };
	map[copy.n_fds++] = (struct fd_map){ 2, out_write };
	for (size_t i = 0; i < s->n_fds; i++) {
		if (s->fds[i].child != 1 && s->fds[i].child != 2)
			map[copy.n_fds++] = s->fds[i];
	}
	copy.fds = map;
	r = spawn(&copy, &child, e);
	if (r < 0)
		return r;
	fd_close(take_fd(out_write));
	r = collect(&child, out_read, timeout_ms, &out, max);
	if (r < 0) {
		child_free(&child);
		return r == -ETIMEDOUT
			       ? err_set(e, ETIMEDOUT, "%s took longer than %d ms and was killed",
					 s->argv[0], timeout_ms)
			       : err_errno(e, -r, "%s", s->argv[0]);
	}
	r = child_wait(&child, ret_status, e);
	if (r == 0 && ret_output)
		*ret_output = buf_take(&out);
	return r;
}
