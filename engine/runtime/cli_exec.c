/*
 * `skerryd runtime exec` (cli.h): a further process in a container, described by --process FILE or
 * by words and options on top of the container's own process.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "engine/runtime/cli.h"
#include "engine/runtime/profile.h"
#include "init/base/file.h"
#include "init/base/str.h"

/* --- the process object, out of the options --- */

static int write_env(struct json_writer *w, const struct cli_options *o, const struct plan *p,
		     struct err *e)
{
	_cleanup_(strv_free) char **env =
		p->process.env ? strv_copy(p->process.env) : calloc(1, sizeof(char *));

	if (!env)
		return err_errno(e, ENOMEM, "env");
	for (char **item = o->env; item && *item; item++) {
		const char *equals = strchr(*item, '=');
		_cleanup_(mem_free) char *name = NULL;

		if (!equals || equals == *item)
			return err_set(e, EINVAL, "--env: must be NAME=value, not \"%.64s\"",
				       *item);
		name = strndup(*item, (size_t)(equals - *item));
		if (!name || strv_env_set(&env, name, equals + 1) < 0)
			return err_errno(e, ENOMEM, "env");
	}
	json_key(w, "env");
	json_strv(w, env);
	return 0;
}

static int write_capabilities(struct json_writer *w, const struct cli_options *o,
			      const struct plan *p, struct err *e)
{
	uint64_t more = 0;

	for (char **name = o->caps; name && *name; name++) {
		int n = caps_number(*name);

		if (n < 0)
			return err_set(e, EINVAL, "--cap: unknown capability \"%.32s\"", *name);
		more |= 1ULL << n;
	}
	if (!p->process.has_caps && !more)
		return 0;
	json_key(w, "capabilities");
	json_begin_object(w);
	caps_write(w, "bounding", p->process.bounding | more);
	caps_write(w, "permitted", p->process.permitted | more);
	caps_write(w, "effective", p->process.effective | more);
	caps_write(w, "inheritable", p->process.inheritable);
	caps_write(w, "ambient", p->process.ambient);
	json_end_object(w);
	return 0;
}

/* What the container's own process has and an exec'd one gets too: user, limits and the like stand
 * in its JSON and are copied. */
static void write_rest(struct json_writer *w, yyjson_val *process)
{
	static const char *const copied[] = { "user",	   "rlimits",	 "oomScoreAdj",
					      "scheduler", "ioPriority", "execCPUAffinity" };

	for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
		yyjson_val *v = yyjson_obj_get(process, copied[i]);

		if (v) {
			json_key(w, copied[i]);
			json_value(w, v);
		}
	}
}

static int read_process(const struct cli_options *o, const char *id, yyjson_doc **ret_doc,
			yyjson_val **ret_process, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	char path[PATH_MAX];
	yyjson_val *root;
	size_t len;
	int r = cli_state_path(path, sizeof(path), o->root, id, "config.json", e);

	if (r == 0)
		r = file_read(AT_FDCWD, path, RUNTIME_CONFIG_MAX, &text, &len, e);
	if (r == 0)
		r = json_parse_object(text, len, ret_doc, &root, e);
	return r < 0 ? r : json_get_object(root, "process", ret_process, e);
}

static int process_of_options(const struct cli_options *o, const char *id, const struct plan *p,
			      char **ret, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(buf_free) struct buf out = BUF_INIT(RUNTIME_CONFIG_MAX);
	yyjson_val *process = NULL;
	struct json_writer w;
	int r = read_process(o, id, &doc, &process, e);

	if (r < 0)
		return r;
	json_writer_init(&w, &out);
	json_begin_object(&w);
	json_key(&w, "args");
	json_strv(&w, o->args + 1);
	json_member_bool(&w, "terminal", o->tty);
	json_member_str(&w, "cwd", o->cwd ? o->cwd : p->process.cwd);
	json_member_bool(&w, "noNewPrivileges", o->no_new_privs || p->process.no_new_privs);
	if (o->apparmor)
		json_member_str(&w, "apparmorProfile", o->apparmor);
	if (o->process_label)
		json_member_str(&w, "selinuxLabel", o->process_label);
	r = write_env(&w, o, p, e);
	if (r == 0)
		r = write_capabilities(&w, o, p, e);
	if (r < 0)
		return r;
	write_rest(&w, process);
	json_end_object(&w);
	*ret = buf_take(&out);
	return *ret ? 0 : err_errno(e, ENOMEM, "process");
}

/* --- the command --- */

static int check(const struct cli_options *o, const struct cli_state *s, struct err *e)
{
	const char *status = cli_state_status(o->root, s);

	if (str_eq(status, "paused") && !o->ignore_paused)
		return err_set(e, EINVAL, "cannot exec in a paused container (--ignore-paused)");
	if (!str_eq(status, "running") && !str_eq(status, "created") && !str_eq(status, "paused"))
		return err_set(e, ESRCH, "cannot exec in container %s: it is %s", s->id, status);
	if (o->sub_cgroup)
		return err_set(e, EOPNOTSUPP, "--cgroup: a process is in its container's cgroup");
	if (o->process && (o->n_args > 1 || o->user || o->env || o->cwd || o->caps || o->groups))
		return err_set(
			e, EINVAL,
			"--process describes all; no program, --user, --env, --cwd, --cap or "
			"--additional-gids beside it");
	if (!o->process && o->n_args < 2)
		return err_set(e, EINVAL, "the program is missing");
	return cli_check_fds(o, e);
}

/* Docker's form of who it is, for --user and --additional-gids; NULL: the process's numbers. */
static int who(const struct cli_options *o, const struct plan *p, char **ret, struct err *e)
{
	if (!o->user && !o->groups)
		return 0;
	*ret = o->user ? str_dup(o->user)
		       : str_printf("%u:%u", (unsigned int)p->process.uid,
				    (unsigned int)p->process.gid);
	return *ret ? 0 : err_errno(e, ENOMEM, "user");
}

struct executing {
	struct cli_state state;
	struct runtime_process proc;
	struct plan *plan;
	char *process, *user;
	int pidfd;
};

static void executing_clear(struct executing *x)
{
	cli_state_clear(&x->state);
	runtime_process_close(&x->proc);
	plan_free(x->plan);
	free(x->process);
	free(x->user);
	fd_close(x->pidfd);
}
DEFINE_CLEANUP_VALUE(struct executing, executing_clear)

static int prepare(const struct cli_options *o, struct executing *x, struct err *e)
{
	size_t len;
	int r = cli_find(o, &x->state, e);

	if (r == 0)
		r = check(o, &x->state, e);
	if (r == 0)
		r = cli_state_plan(o->root, &x->state, &x->plan, e);
	if (r == 0 && o->process)
		r = file_read(AT_FDCWD, o->process, RUNTIME_CONFIG_MAX, &x->process, &len, e);
	else if (r == 0)
		r = process_of_options(o, x->state.id, x->plan, &x->process, e);
	if (r == 0)
		r = who(o, x->plan, &x->user, e);
	if (r < 0)
		return r;
	x->pidfd = cli_state_pidfd(&x->state, e);
	return MIN(x->pidfd, 0);
}

static int start(const struct cli_options *o, struct executing *x, int *ret_code, struct err *e)
{
	char config[PATH_MAX];
	int r = cli_state_path(config, sizeof(config), o->root, x->state.id, "config.json", e);

	if (r < 0)
		return r;
	r = runtime_exec(&(struct runtime_exec){ .id = x->state.id,
						 .pidfd = x->pidfd,
						 .bundle = x->state.bundle,
						 .config = config,
						 .process = x->process,
						 .user = x->user,
						 .groups = o->groups,
						 .cgroup = x->state.cgroup,
						 .no_cgroup = !*x->state.cgroup,
						 .stdin_fd = 0,
						 .stdout_fd = 1,
						 .stderr_fd = 2,
						 .preserve_fds = o->preserve_fds },
			 &x->proc, e);
	if (r == 0)
		r = runtime_wait(&x->proc, -1, ret_code, e);
	cli_reap(x->proc.runner);
	if (r == 0 && x->proc.tty_fd >= 0 && o->console_socket)
		r = cli_send_console(o->console_socket, x->proc.tty_fd, e);
	else if (r == 0 && x->proc.tty_fd >= 0 && o->detach)
		r = err_set(e, EINVAL, "process.terminal: --console-socket is missing");
	if (r == 0 && !o->detach)
		cli_hold_signals();
	if (r == 0)
		r = runtime_start(&x->proc, e);
	if (r == 0)
		r = runtime_wait(&x->proc, -1, ret_code, e);
	return r < 0 ? r : cli_write_pid_file(o->pid_file, x->proc.pid, e);
}

int cmd_exec(const struct cli_options *o, int *ret_code, struct err *e)
{
	_cleanup_(executing_clear) struct executing x = { .pidfd = -1 };
	int r = prepare(o, &x, e);

	if (r == 0)
		r = start(o, &x, ret_code, e);
	if (r < 0 || o->detach)
		return r;
	if (o->console_socket)
		x.proc.tty_fd = -1; /* somebody else has the terminal */
	return cli_foreground(&x.proc, e);
}
