/*
 * The way of a new process from "inside the namespaces" to execve (launch.h).
 *
 * Order matters: the bounding set falls while CAP_SETPCAP is there, groups before gid before uid,
 * the working directory is resolved as the container's user, the seccomp filter comes after the
 * gate and as late as possible so that only capset, execve and the report of a failure run under
 * it. CAP_SYS_ADMIN is kept for the filter alone when no_new_privs is off, and is gone before
 * execve. Until execve the process is not dumpable (create.c, enter.c), so nobody in the container
 * can trace it or look into its /proc.
 */
#include "engine/runtime/launch.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "engine/runtime/hooks.h"
#include "engine/runtime/profile.h"
#include "engine/runtime/sync.h"
#include "init/base/path.h"
#include "init/base/str.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

int launch_mapped_root(bool user_ns, struct err *e)
{
	if (user_ns && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return err_errno(e, errno, "linux.uidMappings, gidMappings: root is not mapped");
	return 0;
}

int launch_user(struct launch *l, int root, struct err *e)
{
	const struct plan_process *p = l->process;
	int r;

	if (l->has_who)
		return 0;
	if (l->user) {
		r = user_resolve(root, l->user, l->groups, &l->who, e);
		if (r < 0)
			return r;
	} else {
		l->who = (struct user){ .uid = p->uid,
					.gid = p->gid,
					.home = user_home(root, p->uid) };
		l->who.groups = calloc(p->n_groups + 1, sizeof(*l->who.groups));
		if (!l->who.groups || !l->who.home)
			return err_errno(e, ENOMEM, "user");
		if (p->n_groups)
			memcpy(l->who.groups, p->groups, p->n_groups * sizeof(*p->groups));
		l->who.n_groups = p->n_groups;
	}
	l->has_who = true;
	return 0;
}

void launch_keyring(const char *id)
{
	char name[96];

	(void)str_format(name, sizeof(name), "_ses.%.64s", id ? id : "");
	/* without keyrings in the kernel, or with the quota full: an anonymous one, else none;
	 * the calls are closed to containers by the default filter anyway */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) < 0)
		(void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

/* The multiplexer of the container's own devpts, checked to be that. */
static int open_ptmx(int root, struct err *e)
{
	_cleanup_(fd_close) int fd =
		path_open(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK, 0, e);
	struct statfs fs;
	struct stat st;

	if (fd < 0) {
		err_wrap(e, "process.terminal");
		return fd;
	}
	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "process.terminal: /dev/pts/ptmx");
	if (fs.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
		return err_set(e, EINVAL,
			       "process.terminal: /dev/pts in the container is not a devpts");
	return take_fd(fd);
}

int launch_terminal(struct launch *l, int root, struct err *e)
{
	_cleanup_(fd_close) int master = open_ptmx(root, e), peer = -1;
	const struct plan_process *p = l->process;
	struct winsize size = { .ws_row = (unsigned short)p->rows,
				.ws_col = (unsigned short)p->cols };
	int unlock = 0, r;

	if (master < 0)
		return master;
	r = launch_user(l, root, e);
	if (r < 0)
		return r;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return err_errno(e, errno, "process.terminal: unlocking the terminal");
	/* by the master, not by a name: nobody can put something else there in between */
	peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (peer < 0)
		return err_errno(e, errno, "process.terminal: opening the terminal");
	if (fchown(peer, l->who.uid, (gid_t)-1) < 0)
		return err_errno(e, errno, "process.terminal: giving the terminal to uid %u",
				 l->who.uid);
	if (size.ws_row && size.ws_col)
		(void)ioctl(peer, TIOCSWINSZ, &size);
	r = sync_send(RUNTIME_TTY, 0, master, e);
	if (r < 0)
		return r;
	l->tty = take_fd(peer);
	return 0;
}

/* --- limits and credentials --- */

int launch_cpus(const struct plan_cpus *cpus, const char *which, struct err *e)
{
	if (cpus->wanted && syscall(SYS_sched_setaffinity, 0, sizeof(cpus->bits), cpus->bits) < 0)
		return err_errno(e, errno, "process.execCPUAffinity.%s", which);
	return 0;
}

static int set_limits(const struct plan_process *p, struct err *e)
{
	for (size_t i = 0; i < p->n_rlimits; i++) {
		const struct plan_rlimit *l = &p->rlimits[i];
		struct rlimit value = { .rlim_cur = l->soft, .rlim_max = l->hard };

		if (setrlimit((unsigned int)l->resource, &value) < 0)
			return err_errno(e, errno, "process.rlimits[%zu]", l->index);
	}
	return 0;
}

/* struct sched_attr of sched_setattr(2), size 1 (linux/sched/types.h; not in every libc) */
struct scheduling {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static int set_scheduling(const struct plan_process *p, struct err *e)
{
	const struct plan_scheduler *s = &p->scheduler;
	struct scheduling attr = { .size = sizeof(attr),
				   .policy = s->policy,
				   .flags = s->flags,
				   .nice = s->nice,
				   .priority = s->priority,
				   .runtime = s->runtime,
				   .deadline = s->deadline,
				   .period = s->period };

	if (s->wanted && syscall(SYS_sched_setattr, 0, &attr, 0) < 0)
		return err_errno(e, errno, "process.scheduler");
	if (p->io_priority >= 0 && syscall(SYS_ioprio_set, 1, 0, p->io_priority) < 0)
		return err_errno(e, errno, "process.ioPriority");
	return launch_cpus(&p->last_cpus, "final", e);
}

static int set_caps(uint64_t effective, uint64_t permitted, uint64_t inheritable, struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
		  (uint32_t)(inheritable >> 32) },
	};

	if (syscall(SYS_capset, &head, data) < 0)
		return err_errno(e, errno, "process.capabilities");
	return 0;
}

static int drop_bounding(const struct plan_process *p, struct err *e)
{
	/* up to the first one that the kernel does not know: nothing of the container is asked */
	for (unsigned int i = 0; i < 64; i++)
		if (!(p->bounding & 1ULL << i) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			return errno == EINVAL && i > CAP_SETPCAP
				       ? 0
				       : err_errno(e, errno,
						   "process.capabilities.bounding: dropping %s",
						   caps_name(i));
	return 0;
}

/* Standard streams belong to the user, so that /dev/stdout can be opened again. */
static void give_streams(uid_t uid)
{
	struct stat st;

	for (int fd = 0; fd < 3; fd++)
		if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && st.st_uid != uid)
			(void)fchown(fd, uid, (gid_t)-1);
}

static int set_ids(struct launch *l, struct err *e)
{
	const struct user *u = &l->who;

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_errno(e, errno, "keeping capabilities");
	if (setgroups(u->n_groups, u->groups) < 0)
		return err_errno(e, errno, "process.user: %zu supplementary groups", u->n_groups);
	if (setresgid(u->gid, u->gid, u->gid) < 0)
		return err_errno(e, errno, "process.user: gid %u", u->gid);
	if (setresuid(u->uid, u->uid, u->uid) < 0)
		return err_errno(e, errno, "process.user: uid %u", u->uid);
	(void)prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return 0;
}

static bool filter_needs_admin(const struct launch *l)
{
	return l->filter->len > 0 && !l->process->no_new_privs;
}

static int set_credentials(struct launch *l, struct err *e)
{
	const struct plan_process *p = l->process;
	uint64_t extra = filter_needs_admin(l) ? 1ULL << CAP_SYS_ADMIN : 0;
	int r = drop_bounding(p, e);

	if (r == 0)
		r = set_ids(l, e);
	if (r == 0)
		r = set_caps(p->effective | extra, p->permitted | extra, p->inheritable, e);
	if (r < 0)
		return r;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (unsigned int i = 0; i < 64; i++)
		if ((p->ambient & 1ULL << i) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
			return err_errno(e, errno, "process.capabilities.ambient: %s",
					 caps_name(i));
	if (p->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(e, errno, "process.noNewPrivileges");
	if (l->personality != ~0UL && personality(l->personality) < 0)
		return err_errno(e, errno, "linux.personality");
	return 0;
}

/* --- working directory and program --- */

/* Clients know these by the words of Go's errors. */
static int program_error(struct err *e, int code, const char *what, const char *name,
			 const char *rest)
{
	const char *text = code == ENOENT    ? "no such file or directory"
			   : code == EACCES  ? "permission denied"
			   : code == ENOTDIR ? "not a directory"
			   : code == EISDIR  ? "is a directory"
			   : code == ENOEXEC ? "exec format error"
					     : strerror(code);

	return err_set(e, code, "%s%s%s: %s", what, name, rest, text);
}

/* As the container's user, below its root, through no magic link: /proc/self/fd/N leads nowhere. */
static int enter_cwd(int root, const char *cwd, struct err *e)
{
	_cleanup_(fd_close) int fd = path_open(root, cwd, O_PATH | O_DIRECTORY, 0, NULL);
	char now[PATH_MAX];

	if (fd < 0)
		return program_error(e, -fd, "chdir to cwd (\"", cwd,
				     "\") set in config.json failed");
	if (fchdir(fd) < 0)
		return program_error(e, errno, "chdir to cwd (\"", cwd,
				     "\") set in config.json failed");
	if (syscall(SYS_getcwd, now, sizeof(now)) < 0 || now[0] != '/')
		return err_set(e, EPERM,
			       "cwd (\"%s\") set in config.json is outside the container's root",
			       cwd);
	return 0;
}

/* 0 when path is a program; ret_code is the errno that says why not. */
static int check_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)
		return EACCES;
	return 0;
}

static int find_by_path(const char *name, const char *path, char found[PATH_MAX], struct err *e)
{
	int denied = 0;

	while (path && *path) {
		size_t len = strcspn(path, ":");
		int code;

		/* an empty or relative field would be the working directory: Docker refuses that
		 * too */
		if (path[0] == '/' &&
		    str_format(found, PATH_MAX, "%.*s/%s", (int)len, path, name) == 0) {
			code = check_program(found);
			if (code == 0)
				return 0;
			if (code == EACCES)
				denied = 1;
		}
		path += len + (path[len] == ':');
	}
	if (denied)
		return err_set(e, EACCES, "exec: \"%s\": permission denied", name);
	return err_set(e, ENOENT, "exec: \"%s\": executable file not found in $PATH", name);
}

static int find_program(const char *name, char *const *env, char found[PATH_MAX], struct err *e)
{
	int code;

	if (!strchr(name, '/')) {
		const char *path = strv_env_get(env, "PATH");

		if (!*name || str_eq(name, ".") || str_eq(name, ".."))
			return err_set(e, ENOENT,
				       "exec: \"%s\": executable file not found in $PATH", name);
		return find_by_path(name, path ? path : PROFILE_PATH + strlen("PATH="), found, e);
	}
	if (str_copy(found, PATH_MAX, name) < 0)
		return err_errno(e, ENAMETOOLONG, "exec: \"%.64s…\"", name);
	code = check_program(name);
	if (code == 0)
		return 0;
	if (code == EISDIR || code == EACCES)
		return program_error(e, code, "exec: \"", name, "\"");
	return err_set(e, code, "exec: \"%s\": stat %s: %s", name, name,
		       code == ENOENT ? "no such file or directory" : strerror(code));
}

static char **environment(const struct launch *l)
{
	_cleanup_(strv_free) char **env =
		l->process->env ? strv_copy(l->process->env) : calloc(1, sizeof(char *));

	if (!env)
		return NULL;
	if (str_empty(strv_env_get(env, "HOME")) && strv_env_set(&env, "HOME", l->who.home) < 0)
		return NULL;
	return take_ptr(env);
}

static int take_terminal(struct launch *l, struct err *e)
{
	if (l->tty < 0)
		return 0;
	if (ioctl(l->tty, TIOCSCTTY, 0) < 0)
		return err_errno(e, errno, "process.terminal: making it the controlling terminal");
	for (int fd = 0; fd < 3; fd++)
		if (dup2(l->tty, fd) < 0)
			return err_errno(e, errno, "process.terminal");
	close(take_fd(l->tty));
	return 0;
}

/* All but what needs the gate open. */
static int prepare(struct launch *l, char ***ret_env, char found[PATH_MAX], struct err *e)
{
	_cleanup_(fd_close) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (root < 0)
		return err_errno(e, errno, "the container's root");
	r = launch_user(l, root, e);
	if (r == 0)
		r = take_terminal(l, e);
	if (r == 0)
		r = set_scheduling(l->process, e);
	if (r == 0)
		r = set_limits(l->process, e);
	if (r < 0)
		return r;
	give_streams(l->who.uid);
	umask(l->process->umask >= 0 ? (mode_t)l->process->umask : 022);
	r = set_credentials(l, e);
	if (r < 0)
		return r;
	l->by_errno = true;
	r = enter_cwd(root, l->process->cwd, e);
	if (r < 0)
		return r;
	*ret_env = environment(l);
	if (!*ret_env)
		return err_errno(e, ENOMEM, "process.env");
	return find_program(l->process->args[0], *ret_env, found, e);
}

/* The filter, and then the capabilities without what only it needed. */
static int put_under_filter(void *data, struct err *e)
{
	const struct launch *l = data;
	const struct plan_process *p = l->process;

	if (l->filter->len > 0 && filter_load(l->filter, e) < 0)
		return -e->code;
	return filter_needs_admin(l) ? set_caps(p->effective, p->permitted, p->inheritable, e) : 0;
}

static int start_hooks(struct launch *l, struct err *e)
{
	struct hook_state s = { .id = l->id,
				.bundle = l->bundle,
				.status = "created",
				.pid = getpid(),
				.annotations = l->plan ? l->plan->annotations : NULL };

	/* they are the image's programs and get what the image's program gets */
	return l->plan ? hooks_run(l->plan, HOOK_START_CONTAINER, &s, put_under_filter, l, e) : 0;
}

/* Nothing of the host stays open but the way to report, the gate and what is to be kept. */
static int close_rest(const struct launch *l, struct err *e)
{
	(void)close(TARGET_FD);
	if (!l->own_gate)
		(void)close(GATE_FD);
	if (syscall(SYS_close_range, FREE_FD + l->preserve_fds, ~0U, 0) < 0)
		return err_errno(e, errno, "close_range");
	return 0;
}

void launch(struct launch *l)
{
	char found[PATH_MAX], **env = NULL;
	struct err e = { 0 };
	int r = prepare(l, &env, found, &e), sync;

	if (r < 0)
		sync_fail(l->by_errno ? 0 : RUNTIME_EXIT_SETUP, &e);
	if (close_rest(l, &e) < 0)
		sync_fail(RUNTIME_EXIT_SETUP, &e);
	sync_wait_gate(l->own_gate);
	if (start_hooks(l, &e) < 0)
		sync_fail(RUNTIME_EXIT_SETUP, &e);
	sync = sync_give_back(l->preserve_fds, &e);
	if (sync < 0)
		sync_fail(RUNTIME_EXIT_SETUP, &e);
	if (put_under_filter(l, &e) < 0)
		sync_fail_by(sync, RUNTIME_EXIT_SETUP, &e);
	(void)execve(found, l->process->args, env);
	program_error(&e, errno, "exec ", found, "");
	sync_fail_by(sync, 0, &e);
}
