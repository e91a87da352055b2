/*
 * The commands that change a container that is there: start, kill, delete, pause, resume (cli.h).
 *
 * States and what is refused in them are those of runtime.md "Operations". Signals go by pidfd, or
 * to the whole cgroup.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "engine/runtime/cli.h"
#include "init/base/cgroup.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/msg.h"
#include "init/base/spawn.h"
#include "init/base/str.h"

enum { FREEZE_MS = 10000, PIDS_TEXT_MAX = 16 << 20 };

/* --- shared --- */

int cli_find(const struct cli_options *o, struct cli_state *ret, struct err *e)
{
	if (o->n_args < 1)
		return err_set(e, EINVAL, "the container's id is missing");
	return cli_state_read(o->root, o->args[0], ret, e);
}

int cli_write_pid_file(const char *path, pid_t pid, struct err *e)
{
	char text[16];

	if (!path)
		return 0;
	(void)str_format(text, sizeof(text), "%d", (int)pid);
	return file_replace(AT_FDCWD, path, text, strlen(text), 0644, false, e);
}

int cli_send_console(const char *path, int master, struct err *e)
{
	_cleanup_(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (fd < 0 || str_copy(addr.sun_path, sizeof(addr.sun_path), path) < 0)
		return err_set(e, EINVAL, "--console-socket: the path is too long");
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_errno(e, errno, "--console-socket %s", path);
	return msg_send(fd, "console", 7, &master, 1, e);
}

int cli_check_fds(const struct cli_options *o, struct err *e)
{
	if (o->preserve_fds > RUNTIME_FDS_MAX)
		return err_set(e, EINVAL, "--preserve-fds: at most %d", RUNTIME_FDS_MAX);
	for (unsigned int i = 0; i < o->preserve_fds; i++)
		if (fcntl(3 + (int)i, F_GETFD) < 0)
			return err_set(e, EBADF, "--preserve-fds %u: descriptor %u is not open",
				       o->preserve_fds, 3 + i);
	return 0;
}

void cli_reap(pid_t pid)
{
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* --- start --- */

static int not_created(const struct cli_options *o, const struct cli_state *s, struct err *e)
{
	return err_set(e, EINVAL, "cannot start container %s: it is %s, not in the created state",
		       s->id, cli_state_status(o->root, s));
}

/* Takes the gate: of two that start at once, one finds nobody behind it. */
static int open_gate(const struct cli_options *o, const struct cli_state *s, int *ret_code,
		     struct err *e)
{
	_cleanup_(runtime_process_close) struct runtime_process proc = { 0 };
	char gate[PATH_MAX];
	int r = cli_state_path(gate, sizeof(gate), o->root, s->id, "gate", e);

	if (r < 0)
		return r;
	if (runtime_attach(gate, &proc, NULL) < 0 || runtime_wait(&proc, -1, NULL, NULL) < 0)
		return not_created(o, s, e);
	if (unlink(gate) < 0)
		return err_errno(e, errno, "%s", gate);
	r = runtime_start(&proc, e);
	return r < 0 ? r : runtime_wait(&proc, -1, ret_code, e);
}

static int start_hooks(const struct cli_options *o, const struct cli_state *s, struct err *e)
{
	_cleanup_(plan_free) struct plan *p = NULL;
	_cleanup_(fd_close) int pidfd = -1;
	struct hook_state told = cli_state_told(s, "running");
	int r = cli_state_plan(o->root, s, &p, e);

	if (r == 0)
		r = hooks_run(p, HOOK_POSTSTART, &told, NULL, NULL, e);
	if (r == 0)
		return 0;
	/* runtime.md "Lifecycle", step 9: the container is stopped */
	pidfd = cli_state_pidfd(s, NULL);
	if (pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	return r;
}

int cmd_start(const struct cli_options *o, int *ret_code, struct err *e)
{
	_cleanup_(cli_state_clear) struct cli_state s = { 0 };
	int r = cli_find(o, &s, e);

	if (r == 0 && !str_eq(cli_state_status(o->root, &s), "created"))
		return not_created(o, &s, e);
	if (r == 0)
		r = open_gate(o, &s, ret_code, e);
	return r < 0 ? r : start_hooks(o, &s, e);
}

/* --- pause, resume --- */

/* Freezes or thaws, and waits until it is so. */
static int set_frozen(int cgroup, bool on, struct err *e)
{
	int64_t until = clock_mono_ms() + FREEZE_MS;
	uint64_t frozen = !on;
	int r = cgroup_freeze(cgroup, on, e);

	while (r == 0 && frozen != on) {
		r = cgroup_read_key(cgroup, "cgroup.events", "frozen", &frozen, e);
		if (r == 0 && frozen != on && clock_mono_ms() > until) {
			(void)cgroup_freeze(cgroup, !on, NULL);
			return err_set(e, ETIMEDOUT, "the container did not %s in %d s",
				       on ? "pause" : "resume", FREEZE_MS / 1000);
		}
		if (r == 0 && frozen != on)
			usleep(1000);
	}
	return r;
}

static int freeze(const struct cli_options *o, bool on, const char *must_be, struct err *e)
{
	_cleanup_(cli_state_clear) struct cli_state s = { 0 };
	_cleanup_(fd_close) int cgroup = -1;
	int r = cli_find(o, &s, e);

	if (r < 0)
		return r;
	if (!*s.cgroup)
		return err_set(e, EOPNOTSUPP, "container %s has no cgroup to be paused by", s.id);
	if (!str_eq(cli_state_status(o->root, &s), must_be))
		return err_set(e, EINVAL, "container not %s: %s is %s", must_be, s.id,
			       cli_state_status(o->root, &s));
	cgroup = cgroup_open(s.cgroup, e);
	return cgroup < 0 ? cgroup : set_frozen(cgroup, on, e);
}

int cmd_pause(const struct cli_options *o, int *ret_code, struct err *e)
{
	(void)ret_code;
	return freeze(o, true, "running", e);
}

int cmd_resume(const struct cli_options *o, int *ret_code, struct err *e)
{
	(void)ret_code;
	return freeze(o, false, "paused", e);
}

/* --- kill --- */

static bool signal_member(const char *text, int number)
{
	_cleanup_(fd_close) int pidfd = -1;
	int64_t pid;

	if (str_to_i64(text, &pid) < 0 || pid <= 0)
		return false;
	pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	return pidfd >= 0 && syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) == 0;
}

/* All processes of the cgroup. They are frozen meanwhile: nobody forks or ends, so none is missed
 * and no number changes hands. */
static int signal_all(const struct cli_state *st, int number, struct err *e)
{
	_cleanup_(fd_close) int cgroup = cgroup_open(st->cgroup, e);
	_cleanup_(mem_free) char *text = NULL;
	uint64_t frozen = 0;
	char *save = NULL;
	size_t sent = 0;
	int r;

	if (cgroup < 0)
		return cgroup;
	if (number == SIGKILL)
		return cgroup_kill(cgroup, e);
	r = cgroup_read_key(cgroup, "cgroup.events", "frozen", &frozen, e);
	if (r == 0 && !frozen)
		r = set_frozen(cgroup, true, e);
	if (r == 0)
		r = file_read(cgroup, "cgroup.procs", PIDS_TEXT_MAX, &text, NULL, e);
	for (char *line = r < 0 ? NULL : strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		sent += signal_member(line, number);
	if (!frozen)
		(void)cgroup_freeze(cgroup, false, NULL);
	if (r == 0 && sent == 0)
		return err_set(e, ESRCH, "container not running");
	return r;
}

int cmd_kill(const struct cli_options *o, int *ret_code, struct err *e)
{
	_cleanup_(cli_state_clear) struct cli_state s = { 0 };
	_cleanup_(fd_close) int pidfd = -1;
	const char *name = o->n_args > 1 ? o->args[1] : "TERM";
	int number = signal_from_text(name), r = cli_find(o, &s, e);

	(void)ret_code;
	if (r < 0)
		return r;
	if (number < 0)
		return err_set(e, EINVAL, "unknown signal \"%.32s\"", name);
	if (o->all && *s.cgroup)
		return signal_all(&s, number, e);
	pidfd = cli_state_pidfd(&s, e);
	if (pidfd < 0)
		return pidfd;
	if (syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) < 0)
		return err_errno(e, errno, "kill %s", s.id);
	return 0;
}

/* --- delete --- */

int cmd_delete(const struct cli_options *o, int *ret_code, struct err *e)
{
	_cleanup_(cli_state_clear) struct cli_state s = { 0 };
	int r = cli_find(o, &s, e);

	(void)ret_code;
	if (r == -ENOENT && o->force)
		return 0;
	if (r < 0)
		return r;
	if (!o->force && !str_eq(cli_state_status(o->root, &s), "stopped"))
		return err_set(e, EBUSY, "cannot delete container %s that is not stopped: %s", s.id,
			       cli_state_status(o->root, &s));
	cli_state_destroy(o, &s);
	return 0;
}
