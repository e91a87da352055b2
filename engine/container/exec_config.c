/*
 * What an exec is asked for: ExecConfig of the API, the container's defaults for what is not said,
 * and the OCI process object that the shim gets.
 *
 * The process object is that of the config.json with which the container runs, with the exec's
 * members in it: so capabilities, limits and no-new-privileges are the container's own, whatever
 * has been changed or learnt by the engine since (moby's ContainerExecStart does the same).
 */
#include <fcntl.h>

#include "engine/container/exec_priv.h"
#include "engine/data/keys.h"
#include "engine/runtime/profile.h"
#include "engine/runtime/runtime.h"
#include "init/base/file.h"
#include "init/base/str.h"

#define ROW(key_, type_, member_)                                                           \
	{                                                                                   \
		.key = key_, .type = type_, .offset = offsetof(struct exec_config, member_) \
	}

static const struct bind rows[] = {
	ROW("AttachStdin", BIND_BOOL, attach_stdin),
	ROW("AttachStdout", BIND_BOOL, attach_stdout),
	ROW("AttachStderr", BIND_BOOL, attach_stderr),
	ROW("ConsoleSize", BIND_JSON, console_size),
	ROW("DetachKeys", BIND_TEXT, detach_keys),
	ROW("Tty", BIND_BOOL, tty),
	ROW("Env", BIND_STRV, env),
	ROW("Cmd", BIND_WORDS, cmd),
	ROW("Privileged", BIND_BOOL, privileged),
	ROW("User", BIND_TEXT, user),
	ROW("WorkingDir", BIND_TEXT, working_dir),
};
BIND_TABLE(exec_config_table, struct exec_config, rows);

int exec_config_read(yyjson_val *body, struct exec_config *x, struct err *e)
{
	unsigned int size[2];
	struct key_sequence keys;
	int r = bind_read(&exec_config_table, body, x, "", e);

	if (r == 0)
		r = console_size_read(x->console_size, &size[0], &size[1], e);
	if (r < 0)
		return r;
	if (keys_parse(x->detach_keys, &keys, NULL) < 0)
		return err_set(e, EINVAL, "Invalid escape keys (%s) provided", x->detach_keys);
	if (!x->cmd || !x->cmd[0])
		return err_set(e, EINVAL, "No exec command specified");
	for (char **v = x->env; v && *v; v++)
		if ((*v)[0] == '=' || (*v)[0] == '\0')
			return err_set(e, EINVAL, "invalid environment variable: %s", *v);
	return 0;
}

/* Docker's order: what the engine sets, the container's over it, the exec's over that; a NAME
 * without = takes one away. */
static int add_env(char ***env, char *const *more)
{
	int r = 0;

	for (; r == 0 && more && *more; more++) {
		_cleanup_(mem_free) char *name = strndup(*more, strcspn(*more, "="));

		if (!name)
			return -ENOMEM;
		if (strchr(*more, '='))
			r = strv_env_set(env, name, *more + strlen(name) + 1);
		else
			strv_env_remove(*env, name);
	}
	return r;
}

static int complete_env(const struct container *c, struct exec_config *x)
{
	const struct container_config *config = &c->asked.config;
	_cleanup_(strv_free) char **env = NULL;
	int r = strv_add(&env, PROFILE_PATH);

	if (r == 0 && !str_empty(config->hostname))
		r = strv_addf(&env, "HOSTNAME=%s", config->hostname);
	if (r == 0 && x->tty)
		r = strv_add(&env, "TERM=xterm");
	if (r == 0)
		r = add_env(&env, config->env);
	if (r == 0)
		r = add_env(&env, x->env);
	if (r < 0)
		return r;
	strv_free(x->env);
	x->env = take_ptr(env);
	return 0;
}

int exec_config_defaults(const struct container *c, struct exec_config *x, struct err *e)
{
	const struct container_config *config = &c->asked.config;
	int r = complete_env(c, x);

	if (r == 0 && str_empty(x->user))
		r = str_set(&x->user, config->user);
	if (r == 0 && str_empty(x->working_dir))
		r = str_set(&x->working_dir,
			    str_empty(config->working_dir) ? "/" : config->working_dir);
	return r < 0 ? err_errno(e, ENOMEM, "exec") : 0;
}

/* ---- the process object ---- */

/* The container's members, but those that are the exec's own. */
static void write_inherited(yyjson_val *process, bool privileged, struct json_writer *w)
{
	static const char *const own[] = { "terminal",	  "consoleSize", "user", "args",
					   "commandLine", "env",	 "cwd",	 NULL };
	size_t i, n;
	yyjson_val *key, *val;

	yyjson_obj_foreach(process, i, n, key, val)
	{
		const char *name = yyjson_get_str(key);

		if (strv_has((char *const *)own, name) ||
		    (privileged && str_eq(name, "capabilities")))
			continue;
		json_key(w, name);
		json_value(w, val);
	}
}

int exec_process(const struct container *c, const struct exec_config *x, struct buf *out,
		 struct err *e)
{
	_cleanup_(mem_free) char *path =
		str_printf("%s/%s/bundle/config.json", c->cs->shims_dir, c->id);
	_cleanup_(mem_free) char *text = NULL;
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root = NULL, *process = NULL;
	struct json_writer w;
	size_t len = 0;
	int r = path ? file_read(AT_FDCWD, path, RUNTIME_CONFIG_MAX, &text, &len, e)
		     : err_errno(e, ENOMEM, "exec");

	if (r == 0)
		r = json_parse_object(text, len, &doc, &root, e);
	if (r == 0)
		r = json_get_object(root, "process", &process, e);
	if (r < 0)
		return err_wrap(e, "the container's configuration");
	json_writer_init(&w, out);
	json_begin_object(&w);
	write_inherited(process, x->privileged, &w);
	if (x->privileged) /* the filter stays the container's, as in Docker (moby#21984) */
		caps_write_process(&w, caps_all());
	json_member_bool(&w, "terminal", x->tty);
	json_key(&w, "user");
	json_raw(&w, "{\"uid\":0,\"gid\":0}"); /* the shim resolves the name in the container */
	json_key(&w, "args");
	json_strv(&w, x->cmd);
	json_key(&w, "env");
	json_strv(&w, x->env);
	json_member_str(&w, "cwd", x->working_dir);
	json_end_object(&w);
	return buf_failed(out) < 0 ? err_errno(e, -buf_failed(out), "exec") : 0;
}
