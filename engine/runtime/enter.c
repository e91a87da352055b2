/*
 * Starts a further process in a running container (exec).
 *
 * The runner joins the namespaces of the container's first process by its pidfd, all in one setns,
 * and clones the new process into the container's cgroup; the process then takes the same way as a
 * first one (launch.c): same credentials, filter and rules. The runner has been not dumpable since
 * its first moment, so that no process of the container can trace it while it is half inside.
 */
#include <fcntl.h>
#include <sched.h>
#include <string.h>

#include "engine/runtime/launch.h"
#include "engine/runtime/runner.h"
#include "engine/runtime/sync.h"
#include "init/base/str.h"

struct entry {
	const struct runtime_exec *opts;
	struct plan *plan;
	struct plan_process process;
	struct filter_program filter;
	int cgroup_fd;
};

static void fail(struct err *e)
{
	sync_fail(RUNTIME_EXIT_SETUP, e);
}

static void next_process(struct entry *n) __attribute__((noreturn));

static void next_process(struct entry *n)
{
	struct launch l = {
		.id = n->opts->id,
		.process = &n->process,
		.filter = &n->filter,
		.user = n->opts->user,
		.groups = n->opts->groups,
		.tty = -1,
		.preserve_fds = n->opts->preserve_fds,
		.personality = n->plan->personality,
	};
	_cleanup_(fd_close) int root = -1;
	struct err e = { 0 };

	/* here and not in the runner: a process in the container's cgroup namespace could not be
	 * put into its cgroup */
	if (n->plan->ns[NS_CGROUP].wanted && setns(TARGET_FD, CLONE_NEWCGROUP) < 0) {
		err_errno(&e, errno, "joining the container's cgroup namespace");
		fail(&e);
	}
	close(TARGET_FD);
	if (launch_mapped_root(n->plan->ns[NS_USER].wanted, &e) < 0)
		fail(&e);
	if (setsid() < 0) {
		err_errno(&e, errno, "setsid");
		fail(&e);
	}
	launch_keyring(n->opts->id);
	if (n->process.terminal) {
		root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (launch_terminal(&l, root, &e) < 0)
			fail(&e);
	}
	launch(&l);
}

static int prepare(struct entry *n, struct err *e)
{
	const struct runtime_exec *o = n->opts;
	int r = runner_plan(o->bundle, o->config, &n->plan, e);

	if (r == 0)
		r = plan_parse_process(o->process, strlen(o->process), &n->process, e);
	if (r == 0)
		r = launch_cpus(&n->process.first_cpus, "initial", e);
	if (r < 0)
		return r;
	if (n->plan->seccomp && !o->privileged)
		r = filter_compile(n->plan->seccomp, o->seccomp_cache, &n->filter, e);
	if (r == 0 && !n->process.has_oom_score && n->plan->process.has_oom_score) {
		n->process.has_oom_score = true;
		n->process.oom_score_adj = n->plan->process.oom_score_adj;
	}
	if (r == 0)
		r = runner_oom_score(&n->process, e);
	if (r == 0)
		r = runner_cgroup(n->plan, o->cgroup, o->no_cgroup, false, &n->cgroup_fd, e);
	return r;
}

static int join(const struct plan *p, struct err *e)
{
	int flags = 0;

	for (int i = 0; i < NS_KINDS; i++)
		if (p->ns[i].wanted && i != NS_CGROUP)
			flags |= (int)plan_ns_kinds[i].flag;
	if (setns(TARGET_FD, flags) < 0)
		return err_errno(e, errno,
				 errno == ESRCH ? "the container is not running"
						: "joining the container's namespaces");
	return 0;
}

static void run(const void *arg)
{
	struct entry n = { .opts = arg, .cgroup_fd = -1 };
	struct err e = { 0 };
	int go = -1;
	pid_t pid;

	if (prepare(&n, &e) < 0 || join(n.plan, &e) < 0)
		fail(&e);
	pid = runner_clone(0, n.cgroup_fd, &go, &e);
	if (pid == 0)
		next_process(&n);
	if (pid < 0 || runner_go(go, &e) < 0)
		fail(&e);
	_exit(0);
}

int runtime_exec(const struct runtime_exec *x, struct runtime_process *ret, struct err *e)
{
	struct sync_fds fds = { .stdio = { x->stdin_fd, x->stdout_fd, x->stderr_fd },
				.gate = -1,
				.target = x->pidfd,
				.preserved = x->preserve_fds };

	return runner_fork(&fds, run, x, ret, e);
}
