/*
 * The process that forks shims (maker.h), and the engine's side of it.
 *
 * One request is one packet: the directory, with one or two descriptors (the engine's connection,
 * the cgroup); its answer the pid with a pidfd, or an errno. Requests are few and short, so the
 * engine waits. A maker that does not answer is killed, and the next request starts another. Called
 * by client.c.
 */
#include "engine/shim/maker.h"

#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "engine/shim/protocol.h"
#include "engine/shim/shim.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/msg.h"
#include "init/base/str.h"

enum {
	MAKER_FD = 3,
	MAKER_TIMEOUT_MS = 10000,
	MAKER_DIR_MAX = 255,
};

struct answer {
	int32_t pid; /* or -errno */
};

/* --- the process ------------------------------------------------------------------------------ */

static _Noreturn void become_shim(char *room, const char *dir, int engine_fd)
{
	char *argv[] = { "shim", room, NULL };

	(void)str_copy(room, strlen(room) + 1, dir);
	if (setsid() < 0 || dup2(engine_fd, SHIM_FD_ENGINE) < 0 ||
	    syscall(SYS_close_range, SHIM_FD_ENGINE + 1, ~0U, 0) < 0)
		_exit(1);
	log_open("shim", STDERR_FILENO);
	exit(shim_main(2, argv));
}

static pid_t fork_shim(char *room, const char *dir, const int *fds, size_t n_fds, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_PIDFD | (n_fds > 1 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
		.cgroup = n_fds > 1 ? (uint64_t)fds[1] : 0,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		become_shim(room, dir, fds[0]);
	if (pid < 0) {
		pid = -errno;
		*ret_pidfd = -1; /* one that the kernel had given already is taken back */
	}
	return (pid_t)pid;
}

/* One request; 0 at the engine's end. */
static ssize_t serve(char *room)
{
	char dir[MAKER_DIR_MAX + 1];
	int fds[MSG_FDS_MAX], pidfd = -1;
	struct answer a = { .pid = -EINVAL };
	struct err e = { 0 };
	size_t n_fds = 0;
	ssize_t n = msg_recv(MAKER_FD, dir, sizeof(dir), fds, &n_fds, &e);

	if (n > 0 && n_fds > 0 && (size_t)n <= strlen(room))
		a.pid = fork_shim(room, dir, fds, n_fds, &pidfd);
	if (n > 0)
		(void)msg_send(MAKER_FD, &a, sizeof(a), &pidfd, pidfd >= 0, NULL);
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
	fd_close(pidfd);
	return n;
}

int shim_maker_main(int argc, char **argv)
{
	size_t room = argc > 1 ? strlen(argv[1]) : 0;

	if (room == 0 || room > MAKER_DIR_MAX) {
		log_error("shim: --maker needs 1 to %d blanks", MAKER_DIR_MAX);
		return 2;
	}
	while (serve(argv[1]) > 0)
		;
	return 0;
}

/* --- the engine's side ------------------------------------------------------------------------ */

struct shim_maker {
	struct loop *loop;
	struct child_event child;
	int fd; /* -1: no process */
};

static void on_ended(struct child_event *ev, int status)
{
	struct shim_maker *m = container_of(ev, struct shim_maker, child);

	(void)status; /* the next request starts another */
	fd_close(take_fd(m->fd));
}

struct shim_maker *shim_maker_new(struct loop *loop)
{
	struct shim_maker *m = calloc(1, sizeof(*m));

	if (m)
		*m = (struct shim_maker){ .loop = loop, .child.fn = on_ended, .fd = -1 };
	return m;
}

static void end_process(struct shim_maker *m)
{
	if (m->fd < 0)
		return;
	child_remove(&m->child, true, NULL);
	fd_close(take_fd(m->fd));
}

void shim_maker_free(struct shim_maker *m)
{
	if (m)
		end_process(m);
	free(m);
}

static int start_process(struct shim_maker *m, struct err *e)
{
	_cleanup_(fd_close) int ours = -1, theirs = -1;
	char room[MAKER_DIR_MAX + 1];
	const char *argv[] = { "skerryd", "shim", "--maker", room, NULL };
	struct child child = { .pidfd = -1 };
	struct fd_map map = { .child = MAKER_FD };
	struct spawn s = { .argv = argv, .fds = &map, .n_fds = 1 };
	int pair[2], r = msg_pair(pair, e);

	if (r < 0)
		return r;
	ours = pair[0];
	map.ours = theirs = pair[1];
	memset(room, ' ', MAKER_DIR_MAX);
	room[MAKER_DIR_MAX] = '\0';
	r = spawn(&s, &child, e);
	if (r == 0)
		r = child_add(m->loop, &m->child, &child);
	if (r < 0) {
		child_free(&child);
		return r;
	}
	m->fd = take_fd(ours);
	return 0;
}

static int hear(struct shim_maker *m, struct child *ret, struct err *e)
{
	struct pollfd p = { .fd = m->fd, .events = POLLIN };
	char packet[sizeof(struct answer) + 1];
	struct answer a;
	int fds[MSG_FDS_MAX];
	size_t n_fds = 0;
	ssize_t n;
	int r;

	while ((r = poll(&p, 1, MAKER_TIMEOUT_MS)) < 0 && errno == EINTR)
		;
	if (r != 1)
		return err_set(e, ETIMEDOUT, "the process that makes shims does not answer");
	n = msg_recv(m->fd, packet, sizeof(packet), fds, &n_fds, e);
	if (n != sizeof(a))
		return err_set(e, EIO, "the process that makes shims has ended");
	memcpy(&a, packet, sizeof(a));
	if (a.pid <= 0 || n_fds != 1) {
		for (size_t i = 0; i < n_fds; i++)
			close(fds[i]);
		return err_errno(e, a.pid < 0 ? -a.pid : EIO, "fork of a shim");
	}
	*ret = (struct child){ .pid = a.pid, .pidfd = fds[0] };
	return 0;
}

int shim_maker_spawn(struct shim_maker *m, const char *dir, int cgroup_fd, int engine_fd,
		     struct child *ret, struct err *e)
{
	const int fds[] = { engine_fd, cgroup_fd };
	size_t len = strlen(dir);
	int r = 0;

	if (len == 0 || len > MAKER_DIR_MAX)
		return err_errno(e, ENAMETOOLONG, "shim");
	if (m->fd < 0)
		r = start_process(m, e);
	if (r < 0)
		return r;
	r = msg_send(m->fd, dir, len, fds, cgroup_fd >= 0 ? 2 : 1, e);
	if (r == 0)
		r = hear(m, ret, e);
	if (r == -ETIMEDOUT || r == -EIO || r == -EPIPE)
		end_process(m);
	return r;
}
