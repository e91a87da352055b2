/*
 * `skerryd runtime`: the OCI command line, so that any engine can drive this runtime on a
 * runtime-spec bundle. Options and exit codes are runc's where other engines use them.
 *
 * Here: the tables of commands and options, and errors. Errors go to stderr and, with --log, to
 * that file (as JSON lines with --log-format json). The commands are in cli_*.c.
 */
#include "engine/runtime/cli.h"

#include <fcntl.h>
#include <string.h>

#include "engine/data/json.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum command {
	CREATE,
	START,
	STATE,
	KILL,
	DELETE,
	RUN,
	EXEC,
	LIST,
	PS,
	PAUSE,
	RESUME,
	UPDATE,
	SPEC,
	FEATURES,
	N_COMMANDS
};

static const struct command_row {
	const char *name;
	int (*fn)(const struct cli_options *o, int *ret_code, struct err *e);
	const char *arguments;
	bool seals; /* processes of a container come from it */
} commands[N_COMMANDS] = {
	[CREATE] = { "create", cmd_create, "ID", true },
	[START] = { "start", cmd_start, "ID", false },
	[STATE] = { "state", cmd_state, "ID", false },
	[KILL] = { "kill", cmd_kill, "ID [SIGNAL]", false },
	[DELETE] = { "delete", cmd_delete, "ID", false },
	[RUN] = { "run", cmd_run, "ID", true },
	[EXEC] = { "exec", cmd_exec, "ID [PROGRAM ARGUMENT…]", true },
	[LIST] = { "list", cmd_list, "", false },
	[PS] = { "ps", cmd_ps, "ID", false },
	[PAUSE] = { "pause", cmd_pause, "ID", false },
	[RESUME] = { "resume", cmd_resume, "ID", false },
	[UPDATE] = { "update", cmd_update, "ID", false },
	[SPEC] = { "spec", cmd_spec, "", false },
	[FEATURES] = { "features", cmd_features, "", false },
};

enum value_kind {
	V_FLAG, /* bool */
	V_TEXT, /* const char * */
	V_LIST, /* char **, each use adds one */
	V_NUMBER, /* unsigned int */
	V_LIMIT, /* char **, "option=value" */
};

#define ANY (1u << N_COMMANDS) /* before the command, and behind each */
#define FOR(command) (1u << (command))
#define AT(member) offsetof(struct cli_options, member)

static const struct option_row {
	const char *name;
	char letter;
	enum value_kind kind;
	size_t at;
	unsigned int commands;
} options[] = {
	{ "root", 0, V_TEXT, AT(root), ANY },
	{ "log", 0, V_TEXT, AT(log), ANY },
	{ "log-format", 0, V_TEXT, AT(log_format), ANY },
	{ "log-level", 0, V_TEXT, AT(log_level), ANY },
	{ "debug", 0, V_FLAG, AT(debug), ANY },
	{ "systemd-cgroup", 0, V_FLAG, AT(systemd_cgroup), ANY },
	{ "cgroup-manager", 0, V_TEXT, AT(cgroup_manager), ANY },
	{ "help", 'h', V_FLAG, AT(help), ANY },
	{ "version", 'v', V_FLAG, AT(version), ANY },
	{ "bundle", 'b', V_TEXT, AT(bundle), FOR(CREATE) | FOR(RUN) | FOR(SPEC) },
	{ "console-socket", 0, V_TEXT, AT(console_socket), FOR(CREATE) | FOR(RUN) | FOR(EXEC) },
	{ "pid-file", 0, V_TEXT, AT(pid_file), FOR(CREATE) | FOR(RUN) | FOR(EXEC) },
	{ "preserve-fds", 0, V_NUMBER, AT(preserve_fds), FOR(CREATE) | FOR(RUN) | FOR(EXEC) },
	{ "no-pivot", 0, V_FLAG, AT(no_pivot), FOR(CREATE) | FOR(RUN) },
	{ "no-new-keyring", 0, V_FLAG, AT(no_new_keyring), FOR(CREATE) | FOR(RUN) },
	{ "detach", 'd', V_FLAG, AT(detach), FOR(RUN) | FOR(EXEC) },
	{ "no-subreaper", 0, V_FLAG, AT(no_subreaper), FOR(RUN) | FOR(EXEC) },
	{ "keep", 0, V_FLAG, AT(keep), FOR(RUN) },
	{ "process", 'p', V_TEXT, AT(process), FOR(EXEC) },
	{ "cwd", 0, V_TEXT, AT(cwd), FOR(EXEC) },
	{ "env", 'e', V_LIST, AT(env), FOR(EXEC) },
	{ "tty", 't', V_FLAG, AT(tty), FOR(EXEC) },
	{ "user", 'u', V_TEXT, AT(user), FOR(EXEC) },
	{ "additional-gids", 'g', V_LIST, AT(groups), FOR(EXEC) },
	{ "cap", 'c', V_LIST, AT(caps), FOR(EXEC) },
	{ "no-new-privs", 0, V_FLAG, AT(no_new_privs), FOR(EXEC) },
	{ "ignore-paused", 0, V_FLAG, AT(ignore_paused), FOR(EXEC) },
	{ "process-label", 0, V_TEXT, AT(process_label), FOR(EXEC) },
	{ "apparmor", 0, V_TEXT, AT(apparmor), FOR(EXEC) },
	{ "cgroup", 0, V_TEXT, AT(sub_cgroup), FOR(EXEC) },
	{ "all", 'a', V_FLAG, AT(all), FOR(KILL) },
	{ "force", 'f', V_FLAG, AT(force), FOR(DELETE) },
	{ "format", 'f', V_TEXT, AT(format), FOR(LIST) | FOR(PS) },
	{ "quiet", 'q', V_FLAG, AT(quiet), FOR(LIST) },
	{ "rootless", 0, V_FLAG, AT(rootless), FOR(SPEC) },
	{ "resources", 'r', V_TEXT, AT(resources), FOR(UPDATE) },
	{ "memory", 0, V_LIMIT, AT(limits), FOR(UPDATE) },
	{ "memory-reservation", 0, V_LIMIT, AT(limits), FOR(UPDATE) },
	{ "memory-swap", 0, V_LIMIT, AT(limits), FOR(UPDATE) },
	{ "cpu-period", 0, V_LIMIT, AT(limits), FOR(UPDATE) },
	{ "cpu-quota", 0, V_LIMIT, AT(limits), FOR(UPDATE) },
	{ "cpu-burst", 0, V_LIMIT, AT(limits), FOR(UPDATE) },
	{ "cpu-share", 0, V_LIMIT, AT(limits), FOR(UPDATE) },
	{ "cpu-idle", 0, V_LIMIT, AT(limits), FOR(UPDATE) },
	{ "cpuset-cpus", 0, V_LIMIT, AT(limits), FOR(UPDATE) },
	{ "cpuset-mems", 0, V_LIMIT, AT(limits), FOR(UPDATE) },
	{ "pids-limit", 0, V_LIMIT, AT(limits), FOR(UPDATE) },
	{ "blkio-weight", 0, V_LIMIT, AT(limits), FOR(UPDATE) },
};

/* --- options --- */

static int add_text(char ***list, const char *text, struct err *e)
{
	return strv_add(list, text) < 0 ? err_errno(e, ENOMEM, "options") : 0;
}

static int store(struct cli_options *o, const struct option_row *row, const char *value,
		 struct err *e)
{
	void *at = (char *)o + row->at;
	uint64_t number;

	switch (row->kind) {
	case V_FLAG:
		if (value && !str_eq(value, "true") && !str_eq(value, "false"))
			return err_set(e, EINVAL, "--%s takes no value", row->name);
		*(bool *)at = !str_eq(value, "false");
		return 0;
	case V_TEXT:
		*(const char **)at = value;
		return 0;
	case V_LIST:
		return add_text(at, value, e);
	case V_NUMBER:
		if (str_to_u64(value, &number) < 0 || number > UINT32_MAX)
			return err_set(e, EINVAL, "--%s: \"%s\" is not a number", row->name, value);
		*(unsigned int *)at = (unsigned int)number;
		return 0;
	case V_LIMIT:
		return strv_addf(at, "%s=%s", row->name, value) < 0
			       ? err_errno(e, ENOMEM, "options")
			       : 0;
	}
	return -EINVAL;
}

/* command -1: none yet. len: of the name; letter: instead of a name. */
static const struct option_row *find_option(const char *name, size_t len, char letter, int command)
{
	unsigned int want = ANY | (command >= 0 ? FOR(command) : 0);

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option_row *row = &options[i];

		if (!(row->commands & want))
			continue;
		if (name ? strlen(row->name) == len && strncmp(row->name, name, len) == 0
			 : letter && row->letter == letter)
			return row;
	}
	return NULL;
}

/* "--name", "--name=value", "--name value"; *i is moved over a value of its own. */
static int long_option(struct cli_options *o, int argc, char **argv, int *i, int command,
		       struct err *e)
{
	const char *name = argv[*i] + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_row *row = find_option(name, len, 0, command);
	const char *value = equals ? equals + 1 : NULL;

	if (!row)
		return err_set(e, EINVAL, "unknown option --%.*s%s%s", (int)MIN(len, 64), name,
			       command >= 0 ? " of " : "",
			       command >= 0 ? commands[command].name : "");
	if (!value && row->kind != V_FLAG) {
		if (*i + 1 >= argc)
			return err_set(e, EINVAL, "--%s: its value is missing", row->name);
		value = argv[++*i];
	}
	return store(o, row, value, e);
}

/* "-d", "-dt", "-u 0", "-u0" */
static int short_options(struct cli_options *o, int argc, char **argv, int *i, int command,
			 struct err *e)
{
	for (const char *c = argv[*i] + 1; *c; c++) {
		const struct option_row *row = find_option(NULL, 0, *c, command);
		const char *value = c[1] == '=' ? c + 2 : c + 1;

		if (!row)
			return err_set(e, EINVAL, "unknown option -%c%s%s", *c,
				       command >= 0 ? " of " : "",
				       command >= 0 ? commands[command].name : "");
		if (row->kind == V_FLAG) {
			if (store(o, row, NULL, e) < 0)
				return -EINVAL;
			continue;
		}
		if (!*value && *i + 1 >= argc)
			return err_set(e, EINVAL, "-%c: its value is missing", *c);
		return store(o, row, *value ? value : argv[++*i], e);
	}
	return 0;
}

static int find_command(const char *name)
{
	for (int i = 0; i < N_COMMANDS; i++)
		if (str_eq(commands[i].name, name))
			return i;
	return -1;
}

/* Options stand before and behind the command; the first other word behind it ends them. */
static int parse(int argc, char **argv, struct cli_options *o, int *ret_command, struct err *e)
{
	int command = -1, i = 1, r = 0;

	for (; r == 0 && i < argc; i++) {
		if (str_eq(argv[i], "--")) {
			i++;
			break;
		}
		if (str_starts(argv[i], "--"))
			r = long_option(o, argc, argv, &i, command, e);
		else if (argv[i][0] == '-' && argv[i][1])
			r = short_options(o, argc, argv, &i, command, e);
		else if (command >= 0)
			break;
		else if ((command = find_command(argv[i])) < 0)
			return err_set(e, EINVAL, "unknown command \"%.64s\"", argv[i]);
	}
	o->args = argv + MIN(i, argc);
	o->n_args = argc - MIN(i, argc);
	*ret_command = command;
	return r;
}

/* Values of global options. */
static int check(const struct cli_options *o, struct err *e)
{
	if (o->log_format && !str_eq(o->log_format, "json") && !str_eq(o->log_format, "text"))
		return err_set(e, EINVAL, "--log-format: must be json or text, not \"%s\"",
			       o->log_format);
	if (o->systemd_cgroup || str_eq(o->cgroup_manager, "systemd"))
		return err_set(e, EOPNOTSUPP,
			       "--systemd-cgroup: cgroups are made without systemd here; use the "
			       "cgroupfs manager");
	if (o->cgroup_manager && !str_eq(o->cgroup_manager, "cgroupfs") &&
	    !str_eq(o->cgroup_manager, "disabled"))
		return err_set(e, EINVAL, "--cgroup-manager: must be cgroupfs or disabled");
	return 0;
}

/* --- output --- */

void cli_log(const struct cli_options *o, const char *level, const char *text)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(8192);
	_cleanup_(fd_close) int fd = -1;
	char now[CLOCK_TEXT_MAX];
	struct json_writer w;

	if (!str_eq(level, "debug"))
		fprintf(stderr, "%s\n", text);
	if (!o->log)
		return;
	fd = open(o->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	clock_format(clock_real_ns(), now);
	if (str_eq(o->log_format, "json")) {
		json_writer_init(&w, &out);
		json_begin_object(&w);
		json_member_str(&w, "level", level);
		json_member_str(&w, "msg", text);
		json_member_str(&w, "time", now);
		json_end_object(&w);
		buf_add_char(&out, '\n');
	} else {
		buf_printf(&out, "time=\"%s\" level=%s msg=\"%s\"\n", now, level, text);
	}
	if (fd >= 0 && !buf_failed(&out))
		(void)file_write_all(fd, out.data, out.len, NULL);
}

int cli_print(const struct buf *out, struct err *e)
{
	if (buf_failed(out))
		return err_errno(e, -buf_failed(out), "output");
	return file_write_all(STDOUT_FILENO, out->data, out->len, e);
}

static int usage(FILE *to)
{
	fprintf(to, "usage: skerryd runtime [OPTION…] COMMAND [OPTION…] [ARGUMENT…]\n");
	for (int i = 0; i < N_COMMANDS; i++)
		fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].arguments);
	fprintf(to, "options:");
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		fprintf(to, " --%s", options[i].name);
		if (options[i].kind != V_FLAG)
			fprintf(to, " VALUE");
	}
	fprintf(to, "\n");
	return 0;
}

static int dispatch(struct cli_options *o, char **argv, const struct command_row *row,
		    struct err *e)
{
	int code = 1, r = check(o, e);

	if (r == 0 && row->seals)
		r = cli_seal(argv, e);
	if (r == 0 && (o->debug || str_eq(o->log_level, "debug")))
		cli_log(o, "debug", row->name);
	if (r == 0)
		r = row->fn(o, &code, e);
	if (r < 0) {
		cli_log(o, "error", err_text(e));
		return code;
	}
	return r;
}

int runtime_main(int argc, char **argv)
{
	struct cli_options o = { .root = CLI_ROOT };
	struct err e = { 0 };
	int command = -1, r = parse(argc, argv, &o, &command, &e), code = 1;

	if (r < 0) {
		cli_log(&o, "error", err_text(&e));
	} else if (o.version) {
		printf("skerry-runtime version %s\nspec: %s\n", SKERRY_VERSION,
		       RUNTIME_SPEC_VERSION);
		code = 0;
	} else if (o.help) {
		code = usage(stdout);
	} else if (command < 0) {
		(void)usage(stderr);
	} else {
		code = dispatch(&o, argv, &commands[command], &e);
	}
	strv_free(o.env);
	strv_free(o.caps);
	strv_free(o.groups);
	strv_free(o.limits);
	return code;
}
