/*
 * The child's side of runtime.h's events, and the clean start of each forked child (sync.h).
 *
 * Data: none; the descriptor numbers are fixed. Called by create.c, enter.c, init.c and launch.c in
 * processes that run no event loop and may block.
 */
#include "engine/runtime/sync.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "init/base/msg.h"
#include "init/base/str.h"

int sync_send(enum runtime_event_kind kind, pid_t pid, int fd, struct err *e)
{
	struct sync_packet p = { .kind = (int32_t)kind, .pid = (int32_t)pid };

	return msg_send(SYNC_FD, &p, sizeof(p), &fd, fd >= 0 ? 1 : 0, e);
}

static int exit_code_of(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return RUNTIME_EXIT_NOT_FOUND;
	case EACCES:
	case EPERM:
	case EISDIR:
	case ENOEXEC:
		return RUNTIME_EXIT_PERMISSION;
	default:
		return RUNTIME_EXIT_SETUP;
	}
}

void sync_fail_by(int fd, int code, const struct err *e)
{
	struct sync_packet p = { .kind = RUNTIME_FAILED, .error = e->code ? e->code : EIO };

	p.exit_code = code ? code : exit_code_of(p.error);
	(void)str_copy(p.text, sizeof(p.text), err_text(e));
	/* the caller may be gone (a command line that only created): then the exit code speaks */
	(void)send(fd, &p, sizeof(p), MSG_NOSIGNAL);
	_exit(p.exit_code);
}

void sync_fail(int code, const struct err *e)
{
	sync_fail_by(SYNC_FD, code, e);
}

static bool told(void)
{
	char byte;
	ssize_t n;

	do
		n = recv(SYNC_FD, &byte, 1, 0);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

void sync_wait_hooks(void)
{
	if (sync_send(RUNTIME_HOOKS, 0, -1, NULL) < 0 || !told())
		_exit(RUNTIME_EXIT_SETUP);
}

/* The next one that connects to the gate is talked to from here on. */
static void take_starter(void)
{
	int fd;

	do
		fd = accept4(GATE_FD, NULL, NULL, SOCK_CLOEXEC);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0 || dup3(fd, SYNC_FD, O_CLOEXEC) < 0)
		_exit(RUNTIME_EXIT_SETUP);
	close(fd);
}

void sync_wait_gate(bool own_gate)
{
	if (sync_send(RUNTIME_READY, 0, -1, NULL) < 0)
		_exit(RUNTIME_EXIT_SETUP);
	if (!own_gate) {
		if (!told())
			_exit(RUNTIME_EXIT_SETUP);
		return;
	}
	do
		take_starter();
	while (sync_send(RUNTIME_READY, 0, -1, NULL) < 0 || !told());
	close(GATE_FD);
}

static void reset_signals(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, &sa, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Moves fd (-1: /dev/null) to a number of at least `high`. */
static int lift(int fd, int high, struct err *e)
{
	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_errno(e, errno, "/dev/null");
	fd = fcntl(fd, F_DUPFD_CLOEXEC, high);
	return fd < 0 ? err_errno(e, errno, "descriptors of a new process") : fd;
}

int sync_take_over(const struct sync_fds *fds, struct err *e)
{
	int from[FREE_FD + RUNTIME_FDS_MAX + SYNC_MORE_MAX] = { fds->stdio[0], fds->stdio[1],
								fds->stdio[2], fds->sync,
								fds->gate,     fds->target };
	int more = FREE_FD + (int)fds->preserved, n = more + (int)fds->n_more;

	memcpy(from + more, fds->more, fds->n_more * sizeof(int));
	reset_signals();
	for (int i = FREE_FD; i < more; i++)
		from[i] = 3 + i - FREE_FD;
	/* first above all the numbers wanted, so that no dup3 closes one still needed */
	for (int i = 0; i < n; i++) {
		if (from[i] < 0 && i >= SYNC_FD)
			continue;
		from[i] = lift(from[i], MAX(64, n), e);
		if (from[i] < 0)
			return from[i];
	}
	for (int i = 0; i < n; i++) {
		if (from[i] < 0)
			(void)close(i);
		else if (dup3(from[i], i, i < SYNC_FD ? 0 : O_CLOEXEC) < 0)
			return err_errno(e, errno, "descriptors of a new process");
	}
	if (syscall(SYS_close_range, n, ~0U, 0) < 0)
		return err_errno(e, errno, "close_range");
	return 0;
}

int sync_give_back(unsigned int preserved, struct err *e)
{
	int n = (int)preserved, sync;

	if (n == 0)
		return SYNC_FD;
	sync = fcntl(SYNC_FD, F_DUPFD_CLOEXEC, FREE_FD + n);
	if (sync < 0)
		return err_errno(e, errno, "descriptors of a new process");
	for (int i = 0; i < n; i++)
		if (dup2(FREE_FD + i, 3 + i) < 0)
			return err_errno(e, errno, "descriptors of a new process");
	if (syscall(SYS_close_range, 3 + n, sync - 1, 0) < 0)
		return err_errno(e, errno, "close_range");
	return sync;
}
