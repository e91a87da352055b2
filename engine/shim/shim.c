/*
 * The shim: the process that stands between the engine and one container (client.h, protocol.h).
 *
 * `skerryd shim DIR` (or a fork of the maker, maker.h) reads shim.json, takes a mount namespace of
 * its own, mounts the root file system there, makes the container by the runtime and then only
 * moves bytes: output to the log and to attached clients, input to the container, the exit status
 * to exit.json and to the engine. It needs no engine to go on, and leaves when the end has been
 * acknowledged, or when nobody is connected at the end.
 *
 * Life: CREATING -> CREATED (waits for "start") -> RUNNING -> EXITED. The heavy work (JSON of the
 * config, libseccomp) is done in the runtime's runner process, so this one stays small.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine/shim/maker.h"
#include "engine/shim/protocol.h"
#include "engine/shim/shim.h"
#include "init/base/cgroup.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/mount.h"
#include "init/base/msg.h"
#include "init/base/str.h"

/* --- the end --- */

/* Clients that still have output to take hold the end up; each is dropped when it stands still. */
static void on_leave(struct timer_event *ev)
{
	struct shim *s = container_of(ev, struct shim, leave);

	if (session_has_clients(&s->session) || s->n_execs > 0)
		(void)timer_set(s->loop, &s->leave, SHIM_LINGER_MS);
	else
		loop_quit(s->loop, 0);
}

void shim_leave(struct shim *s)
{
	s->leave.fn = on_leave;
	exec_hurry(s);
	if (!timer_armed(&s->leave))
		(void)timer_set(s->loop, &s->leave, 0);
}

static void check_oom(struct shim *s)
{
	uint64_t kills = 0;

	if (s->cgroup_fd < 0 ||
	    cgroup_read_key(s->cgroup_fd, "memory.events", "oom_kill", &kills, NULL) < 0)
		return;
	kills -= MIN(kills, s->oom_kills_before);
	if (kills <= s->oom_kills)
		return;
	s->oom_kills = kills;
	s->exit.oom_killed = true;
	conn_event_oom(s);
}

/* Everything is known and written: tell it. */
static void finish(struct shim *s)
{
	struct err e = { 0 };

	if (s->state == SHIM_EXITED)
		return;
	timer_clear(&s->drain);
	check_oom(s);
	io_remove(&s->oom_io);
	s->exit.pid = s->proc.pid;
	if (shim_exit_write(s->dir, &s->exit, &e) < 0)
		log_error("shim %.12s: %s", s->cfg.id, err_text(&e));
	s->state = SHIM_EXITED;
	if (s->cgroup_fd >= 0)
		(void)cgroup_remove(s->cfg.cgroup, NULL);
	conn_event_exit(s, NULL);
	session_end(&s->session);
	if (s->n_conns == 0)
		shim_leave(s);
}

/* All output is read and, where it goes elsewhere, sent or given up. */
static void maybe_finish(struct shim *s)
{
	if (!s->ending || (!s->reaped && s->proc.pid > 0) || !session_is_drained(&s->session))
		return;
	if (s->sink && !sink_is_finished(s->sink))
		sink_finish(s->sink);
	else
		finish(s);
}

static void on_sink_finished(void *data)
{
	maybe_finish(data);
}

static void on_drained(struct session *session, void *data)
{
	(void)session;
	maybe_finish(data);
}

/* Something outside the cgroup holds the pipes: take what is there and end. */
static void on_drain_timeout(struct timer_event *ev)
{
	struct shim *s = container_of(ev, struct shim, drain);

	if (s->sink)
		sink_give_up(s->sink);
	if (session_finish(&s->session))
		maybe_finish(s);
	else /* the client's own time limits this */
		(void)timer_set(s->loop, &s->drain, SHIM_LINGER_MS);
}

static void begin_end(struct shim *s)
{
	if (s->ending)
		return;
	s->ending = true;
	s->exit.finished_ns = clock_real_ns();
	if (s->cgroup_fd >= 0)
		(void)cgroup_kill(s->cgroup_fd, NULL);
	(void)timer_set(s->loop, &s->drain, SHIM_DRAIN_MS);
	maybe_finish(s);
}

/* The container did not come to run its program. */
static void never_ran(struct shim *s, const struct err *e, int exit_code)
{
	if (s->ending)
		return;
	s->exit.never_ran = true;
	s->exit.started_ns = 0;
	s->exit.exit_code = exit_code ? exit_code : RUNTIME_EXIT_SETUP;
	(void)str_copy(s->exit.error, sizeof(s->exit.error), err_text(e));
	if (s->start_conn)
		conn_answer(s->start_conn, s->start_seq, e, NULL, -1);
	s->start_conn = NULL;
	io_remove(&s->sync_io);
	if (s->proc.pid > 0 && !s->reaped)
		(void)syscall(SYS_pidfd_send_signal, s->proc.pidfd, SIGKILL, NULL, 0);
	begin_end(s);
}

/* --- making it --- */

static void on_oom(struct io_event *ev, uint32_t events)
{
	struct shim *s = container_of(ev, struct shim, oom_io);
	char text[512];

	(void)events;
	/* reading this very descriptor is what takes the event back */
	if (pread(s->oom_fd, text, sizeof(text), 0) <= 0) {
		io_remove(&s->oom_io);
		return;
	}
	check_oom(s);
}

static void watch_cgroup(struct shim *s)
{
	if (!s->cfg.cgroup)
		return;
	s->cgroup_fd = cgroup_open(s->cfg.cgroup, NULL);
	if (s->cgroup_fd < 0)
		return;
	/* a cgroup that could not be removed after the last run counts on */
	(void)cgroup_read_key(s->cgroup_fd, "memory.events", "oom_kill", &s->oom_kills_before,
			      NULL);
	s->oom_fd = openat(s->cgroup_fd, "memory.events", O_RDONLY | O_CLOEXEC);
	s->oom_io.fn = on_oom;
	if (s->oom_fd >= 0) {
		char text[512];

		(void)pread(s->oom_fd, text, sizeof(text), 0);
		(void)io_add(s->loop, &s->oom_io, s->oom_fd, EPOLLPRI);
	}
}

/* This mount namespace is a copy of the host's; what it holds of other containers (their network
 * namespaces) would live as long as this one. */
static void let_go_of_mounts(struct shim *s)
{
	for (char **path = s->cfg.detach; path && *path; path++)
		(void)mount_detach(*path, MNT_DETACH, NULL);
}

static int on_ready(struct shim *s, struct err *e)
{
	(void)e;
	let_go_of_mounts(s);
	s->state = SHIM_CREATED;
	watch_cgroup(s);
	conn_event_created(s);
	return 0;
}

static void on_started(struct shim *s)
{
	s->state = SHIM_RUNNING;
	io_remove(&s->sync_io);
	conn_answer(s->start_conn, s->start_seq, NULL, NULL, -1);
	s->start_conn = NULL;
}

static int on_terminal(struct shim *s, struct err *e)
{
	s->tty = true;
	return session_terminal(&s->session, take_fd(s->proc.tty_fd), s->cfg.has_stdin, e);
}

static void on_sync(struct io_event *ev, uint32_t events)
{
	struct shim *s = container_of(ev, struct shim, sync_io);
	struct runtime_event re = { 0 };
	struct err e = { 0 };
	int r = runtime_next(&s->proc, &re, &e);

	(void)events;
	if (r == -EAGAIN)
		return;
	if (r == 0 && re.kind == RUNTIME_TTY)
		r = on_terminal(s, &e);
	else if (r == 0 && re.kind == RUNTIME_READY)
		r = on_ready(s, &e);
	if (r < 0)
		never_ran(s, &e, 0);
	else if (re.kind == RUNTIME_FAILED)
		never_ran(s, &re.err, re.exit_code);
	else if (re.kind == RUNTIME_STARTED)
		on_started(s);
}

int shim_request_start(struct shim *s, struct conn *c, uint64_t seq, struct err *e)
{
	int r;

	if (s->state != SHIM_CREATED || s->started)
		return err_set(e, EINVAL, "the container does not wait to be started");
	s->exit.started_ns = clock_real_ns();
	r = runtime_start(&s->proc, e);
	if (r < 0)
		return r;
	s->started = true;
	s->start_conn = c;
	s->start_seq = seq;
	return 0;
}

static int signal_all(struct shim *s, int signal, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	char *save = NULL;
	size_t len;
	int r;

	if (s->cgroup_fd < 0)
		return err_set(e, EOPNOTSUPP, "the container has no cgroup");
	if (signal == SIGKILL)
		return cgroup_kill(s->cgroup_fd, e);
	r = file_read(s->cgroup_fd, "cgroup.procs", 1 << 20, &text, &len, e);
	if (r < 0)
		return r;
	for (char *p = strtok_r(text, "\n", &save); p; p = strtok_r(NULL, "\n", &save)) {
		_cleanup_(fd_close) int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)atoi(p), 0);

		if (pidfd >= 0)
			(void)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
	}
	return 0;
}

int shim_request_signal(struct shim *s, int signal, bool all, struct err *e)
{
	if (s->proc.pidfd < 0 || s->reaped || s->state == SHIM_EXITED)
		return err_set(e, ESRCH, "the container is not running");
	if (all)
		return signal_all(s, signal, e);
	if (syscall(SYS_pidfd_send_signal, s->proc.pidfd, signal, NULL, 0) < 0)
		return err_errno(e, errno, "signal %d", signal);
	return 0;
}

/* --- children --- */

static void first_ended(struct shim *s, int status)
{
	/* what it said before its end comes first: why it failed, or that it ran */
	while (s->sync_io.loop && s->proc.sync_fd >= 0) {
		int before = s->proc.sync_fd;
		enum shim_state was = s->state;

		on_sync(&s->sync_io, EPOLLIN);
		if (s->proc.sync_fd == before && s->state == was && s->sync_io.loop) {
			struct err e = { 0 };

			err_set(&e, EIO, "the container's process ended while it was being set up");
			never_ran(s, &e, 0);
		}
	}
	s->reaped = true;
	if (!s->exit.never_ran)
		shim_exit_status(&s->exit, status);
	/* killed at the gate: it never was its own program */
	if (!s->exit.never_ran && s->state != SHIM_RUNNING)
		s->exit.never_ran = true;
	if (s->ending)
		maybe_finish(s);
	else
		begin_end(s);
}

static void on_sigchld(struct signal_event *ev, const struct signalfd_siginfo *info)
{
	struct shim *s = container_of(ev, struct shim, sigchld);
	int status;
	pid_t pid;

	(void)info;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if ((s->log && logfile_reaped(s->log, pid, status)) ||
		    (s->sink && sink_reaped(s->sink, pid, status)))
			continue;
		/* the runner may not have said its pid yet */
		if (s->proc.pid <= 0 && pid != s->proc.runner && s->sync_io.loop)
			on_sync(&s->sync_io, EPOLLIN);
		if (pid == s->proc.pid && !s->reaped)
			first_ended(s, status);
		else
			(void)exec_reaped(s, pid, status);
	}
}

/* --- start of the shim --- */

static void sigterm_ignored(struct signal_event *ev, const struct signalfd_siginfo *info)
{
	(void)ev;
	/* the engine decides; a shutdown stops containers through it and kills what is left */
	(void)info;
}

/* A mount namespace of its own, that still sees what the host mounts. */
static int isolate(struct shim *s, struct err *e)
{
	char score[16];

	s->origin_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (s->origin_fd < 0)
		return err_errno(e, errno, "/proc/self/ns/mnt");
	(void)str_format(score, sizeof(score), "%d", s->cfg.oom_score_adj);
	(void)file_put(AT_FDCWD, "/proc/self/oom_score_adj", score, NULL);
	(void)prctl(PR_SET_NAME, "skerry-shim", 0, 0, 0);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return err_errno(e, errno, "subreaper");
	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(e, errno, "mount namespace of the shim");
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return err_errno(e, errno, "mount namespace of the shim");
	return 0;
}

static bool wants_terminal(const struct shim *s)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *path = NULL, *text = NULL;
	yyjson_val *root, *process = NULL;
	bool tty = false;
	size_t len;

	if (s->cfg.has_tty)
		return s->cfg.tty;
	path = str_printf("%s/config.json", s->bundle);
	/* what is wrong with it, the runner says */
	if (path && file_read(AT_FDCWD, path, RUNTIME_CONFIG_MAX, &text, &len, NULL) == 0 &&
	    json_parse_object(text, len, &doc, &root, NULL) == 0 &&
	    json_get_object(root, "process", &process, NULL) == 0 && process)
		(void)json_get_bool(process, "terminal", &tty, NULL);
	return tty;
}

void shim_give_pipe(const struct shim *s, int fd)
{
	if (s->cfg.first_id && fd >= 0)
		(void)fchown(fd, s->cfg.first_id, s->cfg.first_id);
}

static int make_pipes(struct shim *s, int ends[3], struct err *e)
{
	int in[2] = { -1, -1 }, out[2], err[2];

	if (s->cfg.has_stdin && pipe2(in, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	ends[0] = in[0];
	ends[1] = out[1];
	ends[2] = err[1];
	for (int i = 0; i < 3; i++)
		shim_give_pipe(s, ends[i]);
	return session_pipes(&s->session, in[1], out[0], err[0], e);
}

static int create(struct shim *s, struct err *e)
{
	struct runtime_join joins[RUNTIME_JOINS_MAX];
	int ends[3] = { -1, -1, -1 }, r = shim_joins_open(&s->cfg, joins, e);

	if (r < 0)
		return r;
	if (s->cfg.has_rootfs)
		r = shim_mount_rootfs(&s->cfg, s->bundle, shim_joins_user(joins, s->cfg.n_joins),
				      e);
	if (r == 0 && !wants_terminal(s))
		r = make_pipes(s, ends, e);
	if (r == 0) {
		struct runtime_create rc = {
			.id = s->cfg.id,
			.bundle = s->bundle,
			.user = s->cfg.user,
			.groups = s->cfg.groups,
			.cgroup = s->cfg.cgroup,
			.seccomp_cache = s->cfg.seccomp_cache,
			.kept = s->kept,
			.stdin_fd = ends[0],
			.stdout_fd = ends[1],
			.stderr_fd = ends[2],
			.gate_fd = -1,
			.joins = joins,
			.n_joins = s->cfg.n_joins,
			.origin_fd = s->origin_fd,
			.no_cgroup = !s->cfg.cgroup,
		};

		r = runtime_create(&rc, &s->proc, e);
	}
	for (int i = 0; i < 3; i++)
		fd_close(ends[i]);
	shim_joins_close(joins, s->cfg.n_joins);
	fd_close(take_fd(s->origin_fd));
	if (r < 0)
		return r;
	s->sync_io.fn = on_sync;
	return io_add(s->loop, &s->sync_io, s->proc.sync_fd, EPOLLIN) < 0
		       ? err_errno(e, errno, "shim")
		       : 0;
}

/* --- the log --- */

static void on_sink_ready(void *data, int r, const struct err *why)
{
	struct shim *s = data;
	struct err e = *why;

	if (s->ending)
		return;
	if (r < 0)
		err_wrap(&e, "failed to initialize logging driver");
	else
		r = create(s, &e);
	if (r < 0)
		never_ran(s, &e, RUNTIME_EXIT_SETUP);
}

static void on_sink_hold(void *data, bool on)
{
	struct shim *s = data;

	session_hold(&s->session, on);
}

static int open_sink(struct shim *s, struct err *e)
{
	const struct sink_config cfg = {
		.loop = s->loop,
		.json = s->cfg.log_syslog,
		.blocking = s->cfg.log_blocking,
		.ready = on_sink_ready,
		.hold = on_sink_hold,
		.finished = on_sink_finished,
		.data = s,
	};
	int r = sink_open(&cfg, &s->sink, e);

	s->session.sink = s->sink;
	return r < 0 ? err_wrap(e, "failed to initialize logging driver") : 0;
}

static int open_file(struct shim *s, struct err *e)
{
	int r = logfile_open(s->cfg.log_path, s->cfg.log_max_size, s->cfg.log_max_file,
			     s->cfg.log_attrs, &s->log, e);

	if (r == 0 && s->cfg.log_compress)
		logfile_compress(s->log);
	s->session.log = s->log;
	return r;
}

/* What the drivers need: the file is all of the first two, and what can be read of the third. */
static int open_log(struct shim *s, struct err *e)
{
	static const struct {
		const char *driver;
		bool file, sink;
	} drivers[] = {
		{ "json-file", true, false },
		{ "local", true, false },
		{ "syslog", false, true },
		{ "none", false, false },
	};
	const char *driver = s->cfg.log_driver ? s->cfg.log_driver : "none";
	size_t i = 0;
	int r = 0;

	while (i < ARRAY_SIZE(drivers) && !str_eq(drivers[i].driver, driver))
		i++;
	if (i == ARRAY_SIZE(drivers))
		return err_set(e, EOPNOTSUPP, "log.driver: \"%s\" is not supported", driver);
	if (drivers[i].file && !s->cfg.log_path)
		return err_set(e, EINVAL, "log.path: is missing");
	if (drivers[i].sink && !s->cfg.log_syslog)
		return err_set(e, EINVAL, "log.syslog: is missing");
	if (s->cfg.log_path && (drivers[i].file || drivers[i].sink))
		r = open_file(s, e);
	if (r == 0 && drivers[i].sink)
		r = open_sink(s, e);
	return r;
}

static int set_up(struct shim *s, struct err *e)
{
	int r = loop_new(&s->loop, e);

	if (r < 0)
		return r;
	s->sigchld.fn = on_sigchld;
	s->sigterm.fn = sigterm_ignored;
	s->drain.fn = on_drain_timeout;
	if (signal_add(s->loop, &s->sigchld, SIGCHLD) < 0 ||
	    signal_add(s->loop, &s->sigterm, SIGTERM) < 0)
		return err_errno(e, errno, "signals");
	session_init(&s->session, s->loop, NULL);
	s->session.drained = on_drained;
	s->session.data = s;
	r = conn_listen(s, e);
	/* the engine that started us, if it did */
	if (r == 0 && fcntl(SHIM_FD_ENGINE, F_GETFD) >= 0) {
		(void)fd_set_cloexec(SHIM_FD_ENGINE, true);
		(void)fd_set_nonblock(SHIM_FD_ENGINE, true);
		r = conn_add(s, SHIM_FD_ENGINE, e);
	}
	return r;
}

static int run(struct shim *s)
{
	struct err e = { 0 };
	int r = set_up(s, &e);

	if (r == 0)
		r = shim_config_read(s->dir, &s->cfg, &e);
	if (r == 0)
		s->session.stdin_once = s->cfg.stdin_once;
	if (r == 0)
		r = isolate(s, &e);
	if (r == 0)
		r = open_log(s, &e);
	if (r == 0 && !s->sink) /* else once that is ready */
		r = create(s, &e);
	if (r < 0 && (!s->loop || s->listen_fd < 0)) {
		log_error("shim %s: %s", s->dir, err_text(&e));
		return 1;
	}
	if (r < 0)
		never_ran(s, &e, RUNTIME_EXIT_SETUP);
	return loop_run(s->loop);
}

static void shim_clear(struct shim *s)
{
	_cleanup_(mem_free) char *path = str_printf("%s/" SHIM_SOCKET, s->dir);

	if (s->listen_fd >= 0 && path)
		(void)unlink(path);
	if (s->loop) {
		exec_free_all(s);
		conn_free_all(s);
		session_clear(&s->session);
		sink_free(s->sink);
		timer_clear(&s->leave);
		timer_clear(&s->drain);
	}
	fd_close(s->listen_fd);
	fd_close(s->oom_fd);
	fd_close(s->cgroup_fd);
	fd_close(s->origin_fd);
	runtime_process_close(&s->proc);
	logfile_free(s->log);
	shim_config_clear(&s->cfg);
	free(s->bundle);
	free(s->kept);
	loop_free(s->loop);
}

int shim_main(int argc, char **argv)
{
	struct shim s = { .listen_fd = -1, .oom_fd = -1, .cgroup_fd = -1, .origin_fd = -1 };
	int r;

	if (argc < 2) {
		log_error("shim: the directory is missing");
		return 2;
	}
	if (str_eq(argv[1], "--maker"))
		return shim_maker_main(argc - 1, argv + 1);
	(void)signal(SIGPIPE, SIG_IGN);
	s.proc.pidfd = s.proc.tty_fd = s.proc.sync_fd = -1;
	s.dir = argv[argc - 1];
	s.bundle = str_printf("%s/bundle", s.dir);
	s.kept = str_printf("%s/" SHIM_KEPT, s.dir);
	list_init(&s.conns);
	list_init(&s.execs);
	if (!s.bundle || !s.kept)
		return 1;
	r = run(&s);
	if (s.cfg.cgroup)
		(void)cgroup_remove(s.cfg.cgroup, NULL);
	shim_clear(&s);
	return r;
}
