/*
 * The last part of every process that enters a container, first or exec'd: limits, credentials,
 * working directory, program look-up, the gate, seccomp, execve.
 *
 * Runs in the new process, inside the container's namespaces and root. Errors end it through
 * sync_fail().
 */
#ifndef SKERRY_RUNTIME_LAUNCH_H
#define SKERRY_RUNTIME_LAUNCH_H

#include <stdbool.h>

#include "engine/runtime/filter.h"
#include "engine/runtime/plan.h"
#include "engine/runtime/user.h"
#include "init/base/err.h"

struct launch {
	const char *id;
	const struct plan_process *process;
	const struct filter_program *filter; /* len 0: none */
	const char *user; /* Docker's form, NULL: process's numbers */
	char *const *groups;
	struct user who; /* after launch_user() */
	bool has_who;
	int tty; /* peer of the terminal, -1 none; stays open until it is 0, 1, 2 */
	bool own_gate;
	const struct plan *plan; /* for its hooks and annotations; NULL: none */
	const char *bundle; /* for the state that hooks are told */
	unsigned int preserve_fds; /* open from FREE_FD (sync.h) on */
	/* a failure from here on is the program's: its errno decides the exit code */
	bool by_errno;
	unsigned long personality;
};

/* In the container's user namespace, if it has one: becomes its root, so that what is made from now
 * on has an owner there. */
int launch_mapped_root(bool user_ns, struct err *e);
/* Finds out who the process will be, once; root is the container's root directory. */
int launch_user(struct launch *l, int root, struct err *e);
/* A session keyring of its own, where the kernel has keyrings. */
void launch_keyring(const char *id);
/* A new terminal of the devpts that is mounted at root's /dev/pts: sends the master, keeps the
 * peer in l->tty. */
int launch_terminal(struct launch *l, int root, struct err *e);
/* Which processors this process runs on; `which` is the key's name. */
int launch_cpus(const struct plan_cpus *cpus, const char *which, struct err *e);
/* Everything else; does not return. The process's root is the container's root. */
void launch(struct launch *l) __attribute__((noreturn));

#endif
