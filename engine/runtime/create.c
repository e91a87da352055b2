/*
 * Makes a container: the runner's work (cgroup, namespaces by path, clone) and the first process's
 * way to its gate.
 *
 * The first process is born with all new namespaces at once, in its cgroup, and does the rest
 * itself: the steps of the plan, pivot_root, then launch(). The runner only maps ids for it when
 * there is a user namespace, tells the caller its pid and ends.
 */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "engine/runtime/devices.h"
#include "engine/runtime/hooks.h"
#include "engine/runtime/idmap.h"
#include "engine/runtime/kept.h"
#include "engine/runtime/launch.h"
#include "engine/runtime/origin.h"
#include "engine/runtime/rootfs.h"
#include "engine/runtime/runner.h"
#include "engine/runtime/sync.h"
#include "init/base/buf.h"
#include "init/base/file.h"
#include "init/base/str.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

struct creation {
	const struct runtime_create *opts;
	struct plan *plan;
	struct kept kept;
	int cgroup_fd;
	int root_fd; /* the root's tree where its users may not go to its path, else -1 */
	char root[PATH_MAX];
};

static void fail(struct err *e)
{
	sync_fail(RUNTIME_EXIT_SETUP, e);
}

/* --- in the first process --- */

/* With mapped users: what belongs to the namespace (/dev/mqueue) is its maker's. */
static bool makes_ipc_late(const struct plan *p)
{
	return p->ns[NS_USER].wanted && p->ns[NS_IPC].wanted && !p->ns[NS_IPC].path;
}

static int enter_namespaces(struct creation *c, struct err *e)
{
	if (launch_mapped_root(c->plan->ns[NS_USER].wanted, e) < 0)
		return -e->code;
	if (makes_ipc_late(c->plan) && unshare(CLONE_NEWIPC) < 0)
		return err_errno(e, errno, "linux.namespaces: ipc");
	if (setsid() < 0)
		return err_errno(e, errno, "setsid");
	/* only now: the namespace's root is the cgroup that the process is in */
	if (c->plan->ns[NS_CGROUP].wanted && !c->plan->ns[NS_CGROUP].path &&
	    unshare(CLONE_NEWCGROUP) < 0)
		return err_errno(e, errno, "linux.namespaces: cgroup");
	return 0;
}

/* What happens here must not reach the host, unless that is wanted (linux.rootfsPropagation);
 * what the host does may still come in. */
static int part_from_host(const struct plan *p, struct err *e)
{
	unsigned long how = MS_SLAVE;

	if (p->root_propagation & MS_SHARED)
		return 0;
	if (p->root_propagation & (MS_PRIVATE | MS_UNBINDABLE))
		how = MS_PRIVATE;
	if (mount(NULL, "/", NULL, how | MS_REC, NULL) < 0)
		return err_errno(e, errno, "parting the mounts from the host's");
	return 0;
}

/* All is mounted, the old root is still there: the last moment for hooks that add something. */
static int creation_hooks(struct creation *c, struct err *e)
{
	struct hook_state s = { .id = c->opts->id,
				.bundle = c->opts->bundle,
				.status = "creating",
				.pid = getpid(),
				.annotations = c->plan->annotations };

	if (plan_has_hooks(c->plan, HOOK_PRESTART, HOOK_CREATE_RUNTIME))
		sync_wait_hooks();
	return hooks_run(c->plan, HOOK_CREATE_CONTAINER, &s, NULL, NULL, e);
}

static int build_root(struct creation *c, struct launch *l, struct err *e)
{
	struct rootfs fs = { .plan = c->plan,
			     .launch = l,
			     .root = -1,
			     .null_fd = -1,
			     .procfs = -1,
			     .mask_fd = -1,
			     .user_ns = c->plan->ns[NS_USER].wanted };
	int r = rootfs_open(&fs, c->root, c->root_fd, e);
	size_t i = 0;

	umask(0);
	for (; r == 0 && i < c->plan->n_ops && c->plan->ops[i].kind < OP_READONLY_PATH; i++)
		r = rootfs_apply(&fs, &c->plan->ops[i], e);
	if (r == 0)
		r = creation_hooks(c, e);
	for (; r == 0 && i < c->plan->n_ops; i++)
		r = rootfs_apply(&fs, &c->plan->ops[i], e);
	return r < 0 ? r : rootfs_enter(&fs, e);
}

static void first_process(struct creation *c) __attribute__((noreturn));

static void first_process(struct creation *c)
{
	struct launch l = {
		.id = c->opts->id,
		.process = &c->plan->process,
		.filter = &c->kept.filter,
		.user = c->opts->user,
		.groups = c->opts->groups,
		.tty = -1,
		.own_gate = c->opts->gate_fd >= 0,
		.plan = c->plan,
		.bundle = c->opts->bundle,
		.preserve_fds = c->opts->preserve_fds,
		.personality = c->plan->personality,
	};
	struct err e = { 0 };

	if (enter_namespaces(c, &e) < 0 || part_from_host(c->plan, &e) < 0)
		fail(&e);
	if (!c->opts->no_new_keyring)
		launch_keyring(c->opts->id);
	if (build_root(c, &l, &e) < 0)
		fail(&e);
	launch(&l);
}

/* --- in the runner --- */

/* Where the caller's descriptors lie after sync_take_over: behind the preserved ones the origin,
 * then the joins. */
static int origin_fd(const struct runtime_create *o)
{
	return FREE_FD + (int)o->preserve_fds;
}

static int given_namespace(const struct runtime_create *o, unsigned long long flag)
{
	for (size_t i = 0; i < o->n_joins; i++)
		if (o->joins[i].flag == flag)
			return origin_fd(o) + 1 + (int)i;
	return -1;
}

static int join_given(struct creation *c, struct err *e)
{
	struct plan *p = c->plan;

	for (int i = 0; i < NS_KINDS; i++) {
		_cleanup_(fd_close) int fd = -1;

		if (!p->ns[i].path)
			continue;
		fd = given_namespace(c->opts, plan_ns_kinds[i].flag);
		if (fd < 0)
			fd = open(p->ns[i].path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_errno(e, errno, "linux.namespaces: %s: %s",
					 plan_ns_kinds[i].name, p->ns[i].path);
		if (setns(fd, (int)plan_ns_kinds[i].flag) < 0)
			return err_errno(e, errno, "linux.namespaces: joining the %s namespace %s",
					 plan_ns_kinds[i].name, p->ns[i].path);
	}
	return 0;
}

/* The time namespace takes effect for children; its offsets can be set until the first one is in
 * it. */
static int new_time(struct plan *p, struct err *e)
{
	if (!p->ns[NS_TIME].wanted || p->ns[NS_TIME].path)
		return 0;
	if (unshare(CLONE_NEWTIME) < 0)
		return err_errno(e, errno, "linux.namespaces: time");
	if (p->time_offsets &&
	    file_put(AT_FDCWD, "/proc/self/timens_offsets", p->time_offsets, e) < 0)
		return err_wrap(e, "linux.timeOffsets");
	return 0;
}

static int map_ids(const struct plan *p, pid_t pid, struct err *e)
{
	if (!p->n_uid_map)
		return 0;
	if (idmap_write(pid, p->uid_map, p->n_uid_map, p->gid_map, p->n_gid_map, e) < 0)
		return err_wrap(e, "linux");
	return 0;
}

/* In a user namespace nobody can raise hard limits: the runner's own are, before it enters one. */
static int raise_limits(const struct plan *p, struct err *e)
{
	for (size_t i = 0; p->ns[NS_USER].wanted && i < p->process.n_rlimits; i++) {
		const struct plan_rlimit *l = &p->process.rlimits[i];
		struct rlimit now;

		if (getrlimit((unsigned int)l->resource, &now) < 0)
			return err_errno(e, errno, "process.rlimits[%zu]", l->index);
		if (l->hard <= now.rlim_max)
			continue;
		now.rlim_max = l->hard;
		if (setrlimit((unsigned int)l->resource, &now) < 0)
			return err_errno(e, errno, "process.rlimits[%zu]", l->index);
	}
	return 0;
}

static unsigned long long clone_flags(const struct plan *p)
{
	unsigned long long flags = 0;

	for (int i = 0; i < NS_KINDS; i++)
		if (p->ns[i].wanted && !p->ns[i].path && i != NS_CGROUP && i != NS_TIME)
			flags |= plan_ns_kinds[i].flag;
	return makes_ipc_late(p) ? flags & ~(unsigned long long)CLONE_NEWIPC : flags;
}

/* Paths that are relative are below the bundle (config.md "Mounts", "Root"). */
static int below_bundle(const char *bundle, char **path, struct err *e)
{
	char *full;

	if (!*path || (*path)[0] == '/')
		return 0;
	full = str_printf("%s/%s", bundle, *path);
	if (!full)
		return err_errno(e, ENOMEM, "%s", *path);
	free(*path);
	*path = full;
	return 0;
}

/* What only the host's side may do for a bind mount: take it from where it is shared, map its ids,
 * and look behind directories that are closed to the users of the container. */
static int prepare_sources(struct creation *c, struct err *e)
{
	struct plan *p = c->plan;

	for (size_t i = 0; i < p->n_ops; i++)
		if (p->ops[i].kind == OP_MOUNT && p->ops[i].mount.kind == PLAN_MOUNT_BIND &&
		    below_bundle(c->opts->bundle, &p->ops[i].mount.source, e) < 0)
			return -ENOMEM;
	if (c->opts->origin_fd > 0 && origin_take(p, origin_fd(c->opts), e) < 0)
		return -e->code;
	for (size_t i = 0; i < p->n_ops; i++) {
		struct plan_mount *m = &p->ops[i].mount;

		if (p->ops[i].kind != OP_MOUNT || m->kind != PLAN_MOUNT_BIND ||
		    (m->idmap == PLAN_IDMAP_NONE && !p->ns[NS_USER].wanted))
			continue;
		if (idmap_take(p, m, given_namespace(c->opts, CLONE_NEWUSER), e) < 0)
			return err_wrap(e, "%s", p->ops[i].key);
	}
	if (p->ns[NS_USER].wanted) {
		c->root_fd = rootfs_take(c->root, e);
		return MIN(c->root_fd, 0);
	}
	return 0;
}

static int prepare_devices(struct creation *c, struct err *e)
{
	struct plan_resources *res = &c->plan->resources;

	for (size_t i = 0; i < devices_n_always; i++) {
		struct plan_device_rule *d =
			reallocarray(res->devices, res->n_devices + 1, sizeof(*d));

		if (!d)
			return err_errno(e, ENOMEM, "linux.resources.devices");
		res->devices = d;
		d[res->n_devices++] = devices_always[i];
	}
	return devices_attach(c->cgroup_fd, res->devices, res->n_devices, e);
}

static int prepare(struct creation *c, struct err *e)
{
	const struct runtime_create *o = c->opts;
	int r = runner_plan(o->bundle, o->config, o->seccomp_cache, &c->plan, e);

	if (r == 0 && !o->hooks && plan_has_hooks(c->plan, HOOK_PRESTART, HOOK_POSTSTOP))
		return err_set(e, EOPNOTSUPP, "hooks: nobody is there to run them");
	if (r == 0)
		r = below_bundle(o->bundle, &c->plan->root, e);
	if (r < 0)
		return r;
	/* config.md, "execCPUAffinity": not for this process */
	c->plan->process.first_cpus.wanted = c->plan->process.last_cpus.wanted = false;
	if (str_copy(c->root, sizeof(c->root), c->plan->root) < 0)
		return err_errno(e, ENAMETOOLONG, "root.path");
	r = prepare_sources(c, e);
	if (r == 0)
		r = kept_from_plan(c->plan, o->seccomp_cache, &c->kept, e);
	if (r == 0 && o->kept)
		kept_write(o->kept, &c->kept);
	if (r == 0)
		r = runner_cgroup(o->cgroup ? o->cgroup : c->plan->cgroup, o->no_cgroup, true,
				  &c->cgroup_fd, e);
	if (r < 0 || c->cgroup_fd < 0)
		return r;
	r = runner_knobs(c->cgroup_fd, &c->plan->resources, e);
	return r < 0 ? r : prepare_devices(c, e);
}

static void run(const void *arg)
{
	struct creation c = { .opts = arg, .cgroup_fd = -1, .root_fd = -1 };
	struct err e = { 0 };
	int go = -1;
	pid_t pid;

	if (prepare(&c, &e) < 0 || runner_oom_score(&c.plan->process, &e) < 0 ||
	    raise_limits(c.plan, &e) < 0)
		fail(&e);
	if (join_given(&c, &e) < 0 || new_time(c.plan, &e) < 0)
		fail(&e);
	pid = runner_clone(clone_flags(c.plan), c.cgroup_fd, &go, &e);
	if (pid == 0)
		first_process(&c);
	if (pid == -ENOMEM &&
	    c.plan->ns[NS_PID].path) /* the kernel's answer once its init is gone */
		err_set(&e, ESRCH, "the container whose processes are joined has ended");
	if (pid < 0 || map_ids(c.plan, pid, &e) < 0 || runner_go(go, &e) < 0)
		fail(&e);
	_exit(0);
}

int runtime_create(const struct runtime_create *c, struct runtime_process *ret, struct err *e)
{
	struct sync_fds fds = { .stdio = { c->stdin_fd, c->stdout_fd, c->stderr_fd },
				.gate = c->gate_fd,
				.target = -1,
				.preserved = c->preserve_fds };

	if (c->n_joins > RUNTIME_JOINS_MAX)
		return err_set(e, E2BIG, "more than %d namespaces to join", RUNTIME_JOINS_MAX);
	fds.more[fds.n_more++] = c->origin_fd > 0 ? c->origin_fd : -1;
	for (size_t i = 0; i < c->n_joins; i++)
		fds.more[fds.n_more++] = c->joins[i].fd;
	return runner_fork(&fds, run, c, ret, e);
}
