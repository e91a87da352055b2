/*
 * The inside of the OCI command line (cli.c): options, the commands by file, and the state that is
 * kept between calls.
 *
 * A command returns its exit status, or -errno with e; *ret_code (1 at first) is the exit status
 * then.
 */
#ifndef SKERRY_RUNTIME_CLI_H
#define SKERRY_RUNTIME_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/runtime/hooks.h"
#include "engine/runtime/plan.h"
#include "engine/runtime/runtime.h"
#include "init/base/buf.h"
#include "init/base/err.h"
#include "init/base/util.h"

#define CLI_ROOT "/run/skerry/runtime"

struct cli_options {
	/* before the command */
	const char *root; /* where states are */
	const char *log, *log_format, *log_level, *cgroup_manager;
	bool debug, systemd_cgroup, version, help;
	/* behind it */
	const char *bundle, *pid_file, *console_socket, *process, *cwd, *user, *format, *resources;
	const char *process_label, *apparmor, *sub_cgroup;
	bool detach, force, all, tty, quiet, keep, rootless;
	bool no_pivot, no_new_keyring, no_new_privs, ignore_paused, no_subreaper;
	unsigned int preserve_fds;
	char **env, **caps, **groups;
	char **limits; /* update: "option=value" */
	char **args; /* what is left: id, program … */
	int n_args;
};

/* --- the commands --- */

int cmd_create(const struct cli_options *o, int *ret_code, struct err *e); /* cli_create.c */
int cmd_run(const struct cli_options *o, int *ret_code, struct err *e);
int cmd_start(const struct cli_options *o, int *ret_code, struct err *e); /* cli_control.c */
int cmd_kill(const struct cli_options *o, int *ret_code, struct err *e);
int cmd_delete(const struct cli_options *o, int *ret_code, struct err *e);
int cmd_pause(const struct cli_options *o, int *ret_code, struct err *e);
int cmd_resume(const struct cli_options *o, int *ret_code, struct err *e);
int cmd_update(const struct cli_options *o, int *ret_code, struct err *e); /* cli_update.c */
int cmd_state(const struct cli_options *o, int *ret_code, struct err *e); /* cli_show.c */
int cmd_list(const struct cli_options *o, int *ret_code, struct err *e);
int cmd_ps(const struct cli_options *o, int *ret_code, struct err *e);
int cmd_exec(const struct cli_options *o, int *ret_code, struct err *e); /* cli_exec.c */
int cmd_spec(const struct cli_options *o, int *ret_code, struct err *e); /* cli_spec.c */
int cmd_features(const struct cli_options *o, int *ret_code, struct err *e);

/* --- shared by them --- */

/* One line into --log (and for warnings to stderr too). level: "debug", "warning", "error". */
void cli_log(const struct cli_options *o, const char *level, const char *text);
int cli_print(const struct buf *out, struct err *e);
/* The state of o->args[0]; -EINVAL when there is no such argument. */
struct cli_state;
int cli_find(const struct cli_options *o, struct cli_state *ret, struct err *e);
int cli_write_pid_file(const char *path, pid_t pid, struct err *e);
/* Hands the terminal's master to a console socket (a stream socket that takes one descriptor). */
int cli_send_console(const char *path, int master, struct err *e);
/* Checks --preserve-fds: all of them must be open. */
int cli_check_fds(const struct cli_options *o, struct err *e);
/* Reaps a child, whatever it was. */
void cli_reap(pid_t pid);
/* Before a process is started in the foreground: signals that are for it wait for it. */
void cli_hold_signals(void);
/*
 * Stays with a process that was started in the foreground: passes signals on, and with a terminal
 * (tty is its master, else -1) what is typed and printed. Returns the exit status as a shell has
 * it (128 + signal).
 */
int cli_foreground(const struct runtime_process *p, struct err *e);
/* In a copy of this program that nobody can write to (threat 1), unless the file cannot be
 * written anyway: starts it again from sealed memory. Returns when nothing is to be done. */
int cli_seal(char **argv, struct err *e);

/* --- state between calls (cli_state.c) --- */

/* <root>/<id>/state.json */
struct cli_state {
	char *id, *bundle;
	char *cgroup; /* "": none */
	pid_t pid;
	uint64_t start_time; /* of the process, in clock ticks since boot: a pid used again is not
				ours */
	char *created; /* RFC 3339 */
	char **annotations; /* "key=value" */
	bool creating; /* create is not done */
};

void cli_state_clear(struct cli_state *s);
DEFINE_CLEANUP_VALUE(struct cli_state, cli_state_clear)
/* Makes the directory and the gate (a listening socket) in it. -EEXIST when there is one
 * already. */
int cli_state_make(const char *root, const char *id, int *ret_gate, struct err *e);
int cli_state_write(const char *root, const struct cli_state *s, struct err *e);
int cli_state_read(const char *root, const char *id, struct cli_state *ret, struct err *e);
void cli_state_remove(const char *root, const char *id);
/* "<root>/<id>/<file>"; -EINVAL for an id that is none. Files: "gate", and "config.json" as it was
 * when the container was made. */
int cli_state_path(char *buf, size_t size, const char *root, const char *id, const char *file,
		   struct err *e);
/* "creating", "created", "running", "paused" or "stopped" */
const char *cli_state_status(const char *root, const struct cli_state *s);
/* pidfd of the process, checked to be the one; -ESRCH. */
int cli_state_pidfd(const struct cli_state *s, struct err *e);
uint64_t cli_start_time(pid_t pid);
/* What hooks are told; points into s. */
struct hook_state cli_state_told(const struct cli_state *s, const char *status);
/* Ends all processes, removes the cgroup, runs the poststop hooks and forgets the container. */
void cli_state_destroy(const struct cli_options *o, const struct cli_state *s);
/* The plan of the container, from its config.json as it was. */
int cli_state_plan(const char *root, const struct cli_state *s, struct plan **ret, struct err *e);

#endif
