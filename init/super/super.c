/*
 * Events in, actions out: processes, timers and log lines around the table of service.c.
 *
 * A process that cannot be started counts as one that ended at once, so the same back-off applies.
 * Reaping is the loop's (loop_reap): it dispatches to the child events by pid and takes orphans
 * along.
 */
#include "init/super/super.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/base/cgroup.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/spawn.h"
#include "init/base/str.h"

static void step(struct service *s, enum service_event event);

static void on_sigchld(struct signal_event *ev, const struct signalfd_siginfo *info)
{
	(void)info;
	loop_reap(ev->loop);
}

int super_init(struct super *s, struct loop *l, struct err *e)
{
	int r;

	*s = (struct super){ .loop = l };
	list_init(&s->services);
	s->sigchld.fn = on_sigchld;
	r = signal_add(l, &s->sigchld, SIGCHLD);
	return r < 0 ? err_errno(e, -r, "cannot watch for ended children") : 0;
}

static void on_child(struct child_event *ev, int status)
{
	struct service *s = container_of(ev, struct service, child);
	bool expected = s->life.state == SERVICE_STOPPING || s->life.state == SERVICE_RESTARTING;
	char text[64];

	s->last_status = status;
	if (!expected && !s->spec->quiet)
		log_warn("%s ended: %s", s->name, child_status_text(status, text, sizeof(text)));
	step(s, SERVICE_EXIT);
	if (s->on_exit)
		s->on_exit(s, status, s->on_exit_data);
}

static void on_timer(struct timer_event *ev)
{
	step(container_of(ev, struct service, timer), SERVICE_TIMER);
}

static int open_tty(const char *path, struct err *e)
{
	/* non-blocking open: a serial line without a carrier must not stop PID 1 */
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", path);
	fd_set_nonblock(fd, false);
	return fd;
}

static int launch(struct service *s, struct err *e)
{
	const struct service_spec *spec = s->spec;
	const struct fd_map log_fds[] = { { 1, STDERR_FILENO }, { 2, STDERR_FILENO } };
	_cleanup_(fd_close) int cgroup = -1, tty = -1;
	struct child child = { 0, -1 };
	struct spawn how = {
		.path = spec->path,
		.argv = spec->argv,
		.env = spec->env,
		.new_session = true,
		.oom_score_adj = spec->oom_score_adj,
	};
	int r;

	cgroup = cgroup_open(spec->cgroup ? spec->cgroup : "init", e);
	if (cgroup < 0 && spec->cgroup)
		return cgroup;
	how.cgroup_fd = cgroup; /* better without its group than not at all */
	if (spec->tty) {
		tty = open_tty(spec->tty, e);
		if (tty < 0)
			return tty;
		how.tty = tty;
	} else {
		how.fds = log_fds;
		how.n_fds = ARRAY_SIZE(log_fds);
	}
	r = spawn(&how, &child, e);
	if (r < 0)
		return r;
	r = child_add(s->super->loop, &s->child, &child);
	if (r < 0) {
		child_free(&child);
		return err_errno(e, -r, "cannot watch %s", s->name);
	}
	return 0;
}

static void arm(struct service *s, int64_t ms)
{
	int r = timer_set(s->super->loop, &s->timer, ms);

	if (r < 0)
		log_error("%s: no timer: %s", s->name, strerror(-r));
}

static void spawn_service(struct service *s)
{
	struct err e = { 0 };

	arm(s, SERVICE_STABLE_MS);
	if (launch(s, &e) == 0)
		return;
	log_warn("%s cannot be started: %s", s->name, err_text(&e));
	step(s, SERVICE_EXIT);
}

static void hold(struct service *s)
{
	log_error("%s failed %u times in a row; the next attempt is in %d s", s->name,
		  s->life.failures, s->spec->hold_ms / 1000);
	arm(s, s->spec->hold_ms);
}

static void step(struct service *s, enum service_event event)
{
	switch (service_step(&s->life, event)) {
	case ACT_NONE:
		return;
	case ACT_SPAWN:
		spawn_service(s);
		return;
	case ACT_BACKOFF:
		arm(s, service_delay(s->life.failures));
		return;
	case ACT_HOLD:
		hold(s);
		return;
	case ACT_TERM:
		arm(s, s->spec->stop_ms);
		(void)super_signal(s, s->spec->stop_signal ? s->spec->stop_signal : SIGTERM);
		return;
	case ACT_KILL:
		log_warn("%s did not stop within %d ms and is killed", s->name, s->spec->stop_ms);
		(void)super_signal(s, SIGKILL);
		return;
	case ACT_GONE:
	case ACT_STABLE:
		timer_clear(&s->timer);
		return;
	}
}

void super_add(struct super *s, struct service *svc, const char *name,
	       const struct service_spec *spec)
{
	(void)str_copy(svc->name, sizeof(svc->name), name);
	svc->spec = spec;
	svc->super = s;
	svc->child.fn = on_child;
	svc->child.child.pidfd = -1;
	svc->timer.fn = on_timer;
	list_append(&s->services, &svc->link);
}

void super_remove(struct service *svc)
{
	if (!svc->super)
		return;
	timer_clear(&svc->timer);
	child_remove(&svc->child, true, NULL);
	list_remove(&svc->link);
	svc->super = NULL;
}

void super_start(struct service *svc)
{
	step(svc, SERVICE_START);
}

void super_stop(struct service *svc)
{
	step(svc, SERVICE_STOP);
}

void super_restart(struct service *svc)
{
	step(svc, SERVICE_STOP);
	step(svc, SERVICE_START);
}

bool super_alive(const struct service *svc)
{
	return svc->super && svc->child.io.loop;
}

pid_t super_pid(const struct service *svc)
{
	return super_alive(svc) ? svc->child.child.pid : 0;
}

int super_signal(struct service *svc, int signal)
{
	return super_alive(svc) ? child_signal(&svc->child.child, signal) : -ESRCH;
}

void super_stop_all(struct super *s, const struct service *except)
{
	struct service *svc;

	list_for_each(svc, &s->services, link) {
		if (svc != except)
			super_stop(svc);
	}
}

bool super_any_alive(const struct super *s, const struct service *except)
{
	struct service *svc;

	list_for_each(svc, &s->services, link) {
		if (svc != except && super_alive(svc))
			return true;
	}
	return false;
}

void super_json(const struct super *s, struct buf *out)
{
	struct service *svc;
	const char *comma = "";

	buf_add_char(out, '[');
	list_for_each(svc, &s->services, link) {
		buf_printf(out,
			   "%s{\"name\":\"%s\",\"state\":\"%s\",\"pid\":%d,\"starts\":%u,"
			   "\"failures\":%u}",
			   comma, svc->name, service_state_name(svc->life.state),
			   (int)super_pid(svc), svc->life.starts, svc->life.failures);
		comma = ",";
	}
	buf_add_char(out, ']');
}
