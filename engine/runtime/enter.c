/*
 * Starts a further process in a running container (exec).
 *
 * The runner joins the namespaces of the container's first process by its pidfd, all in one setns,
 * and clones the new process into the container's cgroup; the process then takes the same way as a
 * first one (launch.c): same credentials, filter and rules. The runner has been not dumpable since
 * its first moment, so that no process of the container can trace it while it is half inside.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>

#include "engine/runtime/kept.h"
#include "engine/runtime/launch.h"
#include "engine/runtime/runner.h"
#include "engine/runtime/sync.h"
#include "init/base/str.h"

enum { ENDING_MS = 1000 }; /* for the first process to be gone, once its end has begun */

struct entry {
	const struct runtime_exec *opts;
	struct kept kept;
	struct plan_process process;
	int cgroup_fd;
};

static void fail(struct err *e)
{
	sync_fail(RUNTIME_EXIT_SETUP, e);
}

static void next_process(struct entry *n) __attribute__((noreturn));

static void next_process(struct entry *n)
{
	static const struct filter_program none;
	struct launch l = {
		.id = n->opts->id,
		.process = &n->process,
		.filter = n->opts->privileged ? &none : &n->kept.filter,
		.user = n->opts->user,
		.groups = n->opts->groups,
		.tty = -1,
		.preserve_fds = n->opts->preserve_fds,
		.personality = n->kept.personality,
	};
	_cleanup_(fd_close) int root = -1;
	struct err e = { 0 };

	/* here and not in the runner: a process in the container's cgroup namespace could not be
	 * put into its cgroup */
	if (n->kept.ns[NS_CGROUP] && setns(TARGET_FD, CLONE_NEWCGROUP) < 0) {
		err_errno(&e, errno, "joining the container's cgroup namespace");
		fail(&e);
	}
	close(TARGET_FD);
	if (launch_mapped_root(n->kept.ns[NS_USER], &e) < 0)
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

/* What is known of the container; with config.json read, *ret_cgroup is what it says. */
static int find_kept(struct entry *n, char **ret_cgroup, struct err *e)
{
	_cleanup_(plan_free) struct plan *plan = NULL;
	const struct runtime_exec *o = n->opts;
	int r;

	if (o->kept && kept_read(o->kept, &n->kept))
		return 0;
	r = runner_plan(o->bundle, o->config, o->seccomp_cache, &plan, e);
	if (r == 0)
		r = kept_from_plan(plan, o->seccomp_cache, &n->kept, e);
	if (r == 0)
		*ret_cgroup = take_ptr(plan->cgroup);
	return r;
}

static int prepare(struct entry *n, struct err *e)
{
	const struct runtime_exec *o = n->opts;
	_cleanup_(mem_free) char *cgroup = NULL;
	int r = find_kept(n, &cgroup, e);

	if (r == 0)
		r = plan_parse_process(o->process, strlen(o->process), &n->process, e);
	if (r == 0)
		r = launch_cpus(&n->process.first_cpus, "initial", e);
	if (r < 0)
		return r;
	if (!n->process.has_oom_score && n->kept.has_oom_score) {
		n->process.has_oom_score = true;
		n->process.oom_score_adj = n->kept.oom_score_adj;
	}
	r = runner_oom_score(&n->process, e);
	if (r == 0)
		r = runner_cgroup(o->cgroup ? o->cgroup : cgroup, o->no_cgroup, false,
				  &n->cgroup_fd, e);
	return r;
}

static int join(const struct kept *k, struct err *e)
{
	int flags = 0;

	for (int i = 0; i < NS_KINDS; i++)
		if (k->ns[i] && i != NS_CGROUP)
			flags |= (int)plan_ns_kinds[i].flag;
	if (setns(TARGET_FD, flags) < 0)
		return err_errno(e, errno,
				 errno == ESRCH ? "the container is not running"
						: "joining the container's namespaces");
	return 0;
}

/* The kernel says ENOMEM for a clone into process ids whose first process is ending (alloc_pid in
 * kernel/pid.c), a moment before its pidfd tells the end. */
static void explain_clone(struct err *e)
{
	struct pollfd end = { .fd = TARGET_FD, .events = POLLIN };

	if (e->code == ENOMEM && poll(&end, 1, ENDING_MS) == 1)
		err_set(e, ESRCH, "the container is not running");
}

static void run(const void *arg)
{
	struct entry n = { .opts = arg, .cgroup_fd = -1 };
	struct err e = { 0 };
	int go = -1;
	pid_t pid;

	if (prepare(&n, &e) < 0 || join(&n.kept, &e) < 0)
		fail(&e);
	pid = runner_clone(0, n.cgroup_fd, &go, &e);
	if (pid == 0)
		next_process(&n);
	if (pid < 0)
		explain_clone(&e);
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
