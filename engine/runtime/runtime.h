/*
 * The OCI runtime: makes a container from a bundle (config.json and a root file system) and runs
 * processes in it.
 *
 * The caller (the shim, or the command line in cli.c) forks nothing itself: runtime_create() starts
 * a short-lived runner, which parses config.json into a plan (plan.h), makes the cgroup, compiles
 * the seccomp filter and clones the container's first process with CLONE_PARENT, so that this
 * process is the caller's child and is reaped by it. Progress comes as events on `sync_fd`; nothing
 * here blocks except the two calls that say so. Nothing large stays in the caller's memory.
 *
 * Order of events: PID, [TTY], [HOOKS], READY (set up completely, waits at the gate), then after
 * runtime_start(): STARTED (execve succeeded), or FAILED at any point (with Docker's exit code and
 * text; the process is gone or about to go).
 */
#ifndef SKERRY_RUNTIME_H
#define SKERRY_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "init/base/err.h"
#include "init/base/util.h"

/* Exit codes of a container that never ran its program (docker run's convention). */
enum { RUNTIME_EXIT_SETUP = 125, RUNTIME_EXIT_PERMISSION = 126, RUNTIME_EXIT_NOT_FOUND = 127 };

/* config.json is refused above this size (MiB-long environments and mount lists fit). */
enum { RUNTIME_CONFIG_MAX = 4 << 20 };

/* The runtime-spec that is implemented. */
#define RUNTIME_SPEC_VERSION "1.2.0"

/* A namespace to join by descriptor (nsfs, or a pidfd of a process in it) in place of its path. */
struct runtime_join {
	unsigned long long flag; /* CLONE_NEWPID, CLONE_NEWIPC, ... */
	int fd;
};
enum {
	RUNTIME_JOINS_MAX = 8,
	RUNTIME_FDS_MAX = 256, /* further descriptors that a process may be given */
};

struct runtime_create {
	const char *id; /* for the session keyring's name and texts */
	const char *bundle; /* directory with config.json; relative paths in it are below it */
	const char *config; /* another file instead of <bundle>/config.json, may be NULL */
	/* NULL: config.json's process.user as it is. Else Docker's User ("", "1000", "name",
	 * "uid:gid", "name:group"), resolved in the container's /etc/passwd and /etc/group
	 * (user.h). */
	const char *user;
	char *const *groups; /* --group-add: names or numbers, with `user` only; may be NULL */
	const char
		*cgroup; /* instead of linux.cgroupsPath, relative to /sys/fs/cgroup; may be NULL */
	const char *seccomp_cache; /* directory for compiled filters (filter.h), may be NULL */
	const char *kept; /* file where what execs need is left (kept.h), may be NULL */
	int stdin_fd, stdout_fd,
		stderr_fd; /* without process.terminal; -1 is /dev/null; stay the caller's */
	/* -1: the gate is runtime_start() of the caller; else a listening SOCK_SEQPACKET socket:
	 * whoever connects takes the caller's place there (runtime_attach()) */
	int gate_fd;
	/* For kinds that linux.namespaces gives a path of; the path is then not looked at. */
	const struct runtime_join *joins;
	size_t n_joins;
	/* The mount namespace that binds with "shared" or "slave" propagation are about: their
	 * sources must be shared there (slave: or slaves), and a shared one is taken from there, so
	 * that what the container mounts below it comes out there. <= 0: the caller's own,
	 * unchecked */
	int origin_fd;
	bool no_cgroup; /* run where the caller is; for hosts without cgroup v2 */
	bool no_new_keyring; /* the caller's session keyring stays */
	/* The caller runs the hooks of the runtime's side (hooks.h) on RUNTIME_HOOKS; without it a
	 * config with hooks is refused. */
	bool hooks;
	unsigned int preserve_fds; /* the caller's 3, 4, … become the process's, so many */
};

struct runtime_exec {
	const char *id; /* the container's, for texts */
	int pidfd; /* the container's first process */
	const char *bundle; /* for its config.json: seccomp, and the defaults of the process */
	const char *config; /* as above */
	const char *process; /* OCI process object as JSON (runtime-spec config.md, "process") */
	const char *user; /* as above, resolved inside the container */
	char *const *groups;
	const char *cgroup; /* as above */
	const char *seccomp_cache;
	const char *kept; /* read instead of config.json where it is there; then with `cgroup` */
	int stdin_fd, stdout_fd, stderr_fd;
	bool no_cgroup;
	bool privileged; /* no seccomp filter; capabilities are what `process` says */
	unsigned int preserve_fds; /* as above */
};

/* A process being made or running. Zeroed by the calls that start one. */
struct runtime_process {
	/* child of the caller, lives for milliseconds; the caller reaps it (any status) */
	pid_t runner;
	pid_t pid; /* child of the caller, 0 until RUNTIME_PID */
	int pidfd; /* owned, -1 until RUNTIME_PID */
	int tty_fd; /* owned master of the pseudo terminal, -1 without one */
	int sync_fd; /* owned, readable when an event is there; -1 when over */
	bool waiting; /* at the gate */
};

enum runtime_event_kind {
	RUNTIME_PID = 1,
	RUNTIME_TTY,
	RUNTIME_READY,
	RUNTIME_STARTED,
	RUNTIME_FAILED,
	RUNTIME_HOOKS /* all is made but the root is not changed yet; waits for runtime_go_on() */
};

struct runtime_event {
	enum runtime_event_kind kind;
	int exit_code; /* RUNTIME_FAILED: 125, 126 or 127 */
	struct err err; /* RUNTIME_FAILED: what and why */
};

/* Starts making a container. The config.json may be replaced after READY. */
int runtime_create(const struct runtime_create *c, struct runtime_process *ret, struct err *e);
/* Starts a process in a running container; same events, and it does not stop at the gate by
 * itself: call runtime_start(). */
int runtime_exec(const struct runtime_exec *x, struct runtime_process *ret, struct err *e);
/* Takes the next event; -EAGAIN when none is there (call when sync_fd is readable). After
 * STARTED or FAILED sync_fd is closed. */
int runtime_next(struct runtime_process *p, struct runtime_event *ret, struct err *e);
/* Blocks (at most timeout_ms, -1 for ever) until READY or STARTED (0), HOOKS (1) or FAILED; the
 * latter is an error with e filled from it and ret_exit_code set. For the command line and
 * tests. */
int runtime_wait(struct runtime_process *p, int timeout_ms, int *ret_exit_code, struct err *e);
/* The hooks are done: the process goes on to its gate. */
int runtime_go_on(struct runtime_process *p, struct err *e);
/* Takes the caller's part at a gate of runtime_create's gate_fd: *ret gets READY next. `path` is
 * where the socket was bound. -ECONNREFUSED or -ENOENT when nobody waits there any more. */
int runtime_attach(const char *path, struct runtime_process *ret, struct err *e);
/* Opens the gate. -EINVAL when the process does not wait there. */
int runtime_start(struct runtime_process *p, struct err *e);
/* Closes descriptors; does not kill. */
void runtime_process_close(struct runtime_process *p);
DEFINE_CLEANUP_VALUE(struct runtime_process, runtime_process_close)

/* Applies an OCI "resources" object (JSON) to the cgroup (relative path): the limits only, not
 * the device rules. */
int runtime_update(const char *cgroup, const char *resources_json, struct err *e);

/* The `runtime` role: the OCI command line. */
int runtime_main(int argc, char **argv);

#endif
