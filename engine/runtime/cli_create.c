/*
 * `skerryd runtime create` and `run` (cli.h).
 *
 * A container is made from a copy of config.json in its state directory, so that later changes of
 * the bundle change nothing (runtime.md "Lifecycle", step 2). What was begun and failed is undone:
 * process, cgroup, state.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "engine/runtime/cli.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/str.h"

struct making {
	struct cli_state state;
	struct runtime_process proc;
	struct plan *plan;
	char *config; /* its text */
	size_t config_len;
	bool begun; /* its state directory is there */
};

static void making_clear(struct making *m)
{
	cli_state_clear(&m->state);
	runtime_process_close(&m->proc);
	plan_free(m->plan);
	free(m->config);
}
DEFINE_CLEANUP_VALUE(struct making, making_clear)

/* --- before anything is made --- */

static int read_config(const struct cli_options *o, struct making *m, char full[PATH_MAX],
		       struct err *e)
{
	_cleanup_(mem_free) char *path = NULL;

	if (!realpath(o->bundle ? o->bundle : ".", full))
		return err_errno(e, errno, "bundle %s", o->bundle ? o->bundle : ".");
	path = str_printf("%s/config.json", full);
	if (!path)
		return err_errno(e, ENOMEM, "config.json");
	if (file_read(AT_FDCWD, path, RUNTIME_CONFIG_MAX, &m->config, &m->config_len, e) < 0)
		return err_wrap(e, "config.json");
	return plan_parse(m->config, m->config_len, &m->plan, e);
}

static int check_terminal(const struct cli_options *o, const struct plan *p, bool detached,
			  struct err *e)
{
	if (p->process.terminal && detached && !o->console_socket)
		return err_set(e, EINVAL, "process.terminal: --console-socket is missing");
	if (!p->process.terminal && o->console_socket)
		return err_set(e, EINVAL, "--console-socket: process.terminal is not true");
	if (!detached && o->console_socket)
		return err_set(e, EINVAL, "--console-socket: is for create and run --detach");
	return 0;
}

static int describe(const struct cli_options *o, struct making *m, bool detached, struct err *e)
{
	_cleanup_(mem_free) char *cgroup = NULL;
	char full[PATH_MAX], now[CLOCK_TEXT_MAX];
	int r;

	if (o->n_args != 1)
		return err_set(e, EINVAL, "one argument is wanted: the container's id");
	if (o->no_pivot)
		return err_set(e, EOPNOTSUPP,
			       "--no-pivot: the root is always changed by pivot_root, which hides "
			       "the host's mounts for good");
	r = cli_state_path(full, sizeof(full), o->root, o->args[0], "", e);
	if (r == 0)
		r = cli_check_fds(o, e);
	if (r == 0)
		r = read_config(o, m, full, e);
	if (r == 0)
		r = check_terminal(o, m->plan, detached, e);
	if (r < 0)
		return r;
	if (str_eq(o->cgroup_manager, "disabled"))
		cgroup = str_dup("");
	else
		cgroup = m->plan->cgroup ? str_dup(m->plan->cgroup)
					 : str_printf("skerry-%s", o->args[0]);
	clock_format(clock_real_ns(), now);
	m->state = (struct cli_state){ .id = str_dup(o->args[0]),
				       .bundle = str_dup(full),
				       .cgroup = take_ptr(cgroup),
				       .created = str_dup(now),
				       .annotations = take_ptr(m->plan->annotations) };
	return m->state.id && m->state.bundle && m->state.cgroup && m->state.created
		       ? 0
		       : err_errno(e, ENOMEM, "state");
}

/* --- making --- */

/* The caller's part of the hooks (hooks.h); the container can be asked about meanwhile. */
static int creation_hooks(const struct cli_options *o, struct making *m, struct err *e)
{
	struct hook_state told = cli_state_told(&m->state, "creating");
	int r = cli_state_write(o->root, &m->state, e);

	if (r == 0)
		r = hooks_run(m->plan, HOOK_PRESTART, &told, NULL, NULL, e);
	if (r == 0)
		r = hooks_run(m->plan, HOOK_CREATE_RUNTIME, &told, NULL, NULL, e);
	return r < 0 ? r : runtime_go_on(&m->proc, e);
}

static int until_ready(const struct cli_options *o, struct making *m, int *ret_code, struct err *e)
{
	int r = runtime_wait(&m->proc, -1, ret_code, e);

	m->state.pid = m->proc.pid;
	m->state.start_time = cli_start_time(m->proc.pid);
	if (r == 1) {
		r = creation_hooks(o, m, e);
		if (r == 0)
			r = runtime_wait(&m->proc, -1, ret_code, e);
	}
	return r;
}

/* With the state directory there: the copy of the config, and the container. */
static int build(const struct cli_options *o, struct making *m, int gate, int *ret_code,
		 struct err *e)
{
	bool no_cgroup = !*m->state.cgroup;
	char config[PATH_MAX];
	int r = cli_state_path(config, sizeof(config), o->root, m->state.id, "config.json", e);

	if (r == 0)
		r = file_replace(AT_FDCWD, config, m->config, m->config_len, 0600, false, e);
	if (r < 0)
		return r;
	m->state.creating = true;
	r = runtime_create(&(struct runtime_create){ .id = m->state.id,
						     .bundle = m->state.bundle,
						     .config = config,
						     .cgroup = no_cgroup ? NULL : m->state.cgroup,
						     .no_cgroup = no_cgroup,
						     .stdin_fd = 0,
						     .stdout_fd = 1,
						     .stderr_fd = 2,
						     .gate_fd = gate,
						     .no_new_keyring = o->no_new_keyring,
						     .hooks = true,
						     .preserve_fds = o->preserve_fds },
			   &m->proc, e);
	if (r == 0)
		r = until_ready(o, m, ret_code, e);
	cli_reap(m->proc.runner);
	if (r == 0 && o->console_socket)
		r = cli_send_console(o->console_socket, m->proc.tty_fd, e);
	m->state.creating = false;
	if (r == 0)
		r = cli_state_write(o->root, &m->state, e);
	return r < 0 ? r : cli_write_pid_file(o->pid_file, m->proc.pid, e);
}

static void undo(const struct cli_options *o, struct making *m)
{
	cli_state_destroy(o, &m->state);
	cli_reap(m->proc.pid);
	m->begun = false;
}

static int make(const struct cli_options *o, struct making *m, bool detached, int *ret_code,
		struct err *e)
{
	_cleanup_(fd_close) int gate = -1;
	int r = describe(o, m, detached, e);

	if (r == 0)
		r = cli_state_make(o->root, m->state.id, &gate, e);
	if (r < 0)
		return r;
	m->begun = true;
	r = build(o, m, gate, ret_code, e);
	if (r < 0)
		undo(o, m);
	return r;
}

int cmd_create(const struct cli_options *o, int *ret_code, struct err *e)
{
	_cleanup_(making_clear) struct making m = { 0 };
	int code, r = make(o, &m, true, &code, e);

	(void)ret_code; /* always 1: engines tell a failed create by that */
	return r;
}

/* --- run: create, start, and unless detached also delete --- */

int cmd_run(const struct cli_options *o, int *ret_code, struct err *e)
{
	_cleanup_(making_clear) struct making m = { 0 };
	int status = 0, r = make(o, &m, o->detach, ret_code, e);

	if (r == 0 && !o->detach)
		cli_hold_signals();
	if (r == 0) {
		r = cmd_start(o, ret_code, e);
		if (r == 0 && !o->detach)
			r = status = cli_foreground(&m.proc, e);
		if (r < 0 || (!o->detach && !o->keep))
			undo(o, &m);
	}
	return r < 0 ? r : status;
}
