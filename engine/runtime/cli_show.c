/*
 * The commands that only look: state, list, ps (cli.h).
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/runtime/cli.h"
#include "init/base/cgroup.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum { CONTAINERS_MAX = 100000, GROUPS_MAX = 4096, DEPTH_MAX = 16, PIDS_TEXT_MAX = 16 << 20 };

static void write_state(struct json_writer *w, const struct cli_options *o,
			const struct cli_state *s)
{
	struct hook_state told = cli_state_told(s, cli_state_status(o->root, s));

	told.created = s->created;
	hook_state_write(w, &told);
}

int cmd_state(const struct cli_options *o, int *ret_code, struct err *e)
{
	_cleanup_(cli_state_clear) struct cli_state s = { 0 };
	_cleanup_(buf_free) struct buf out = BUF_INIT(8 << 20);
	struct json_writer w;
	int r = cli_find(o, &s, e);

	(void)ret_code;
	if (r < 0)
		return r;
	json_writer_init(&w, &out);
	write_state(&w, o, &s);
	buf_add_char(&out, '\n');
	return cli_print(&out, e);
}

/* --- list --- */

struct listing {
	const struct cli_options *o;
	struct buf out;
	struct json_writer w;
};

static int list_one(int dirfd, const char *name, void *data, struct err *e)
{
	_cleanup_(cli_state_clear) struct cli_state s = { 0 };
	struct listing *l = data;
	const char *status;

	(void)dirfd;
	(void)e;
	if (cli_state_read(l->o->root, name, &s, NULL) < 0)
		return 0; /* being made or deleted just now */
	status = cli_state_status(l->o->root, &s);
	if (l->o->quiet)
		buf_printf(&l->out, "%s\n", s.id);
	else if (str_eq(l->o->format, "json"))
		write_state(&l->w, l->o, &s);
	else
		buf_printf(&l->out, "%-12s%-12d%-12s%-18s%-33s%s\n", s.id,
			   str_eq(status, "stopped") ? 0 : (int)s.pid, status, s.bundle, s.created,
			   "root");
	return 0;
}

int cmd_list(const struct cli_options *o, int *ret_code, struct err *e)
{
	struct listing l = { .o = o, .out = BUF_INIT(64 << 20) };
	bool json = str_eq(o->format, "json") && !o->quiet;
	int r;

	(void)ret_code;
	if (o->format && !str_eq(o->format, "json") && !str_eq(o->format, "table"))
		return err_set(e, EINVAL, "--format: must be json or table, not \"%s\"", o->format);
	json_writer_init(&l.w, &l.out);
	if (json)
		json_begin_array(&l.w);
	else if (!o->quiet)
		buf_printf(&l.out, "%-12s%-12s%-12s%-18s%-33s%s\n", "ID", "PID", "STATUS", "BUNDLE",
			   "CREATED", "OWNER");
	r = dir_each(AT_FDCWD, o->root, CONTAINERS_MAX, list_one, &l, e);
	if (r == -ENOENT)
		r = 0;
	if (json) {
		json_end_array(&l.w);
		buf_add_char(&l.out, '\n');
	}
	if (r == 0)
		r = cli_print(&l.out, e);
	buf_free(&l.out);
	return r;
}

/* --- ps --- */

struct pids {
	struct buf text; /* one per line */
	int depth;
};

static int add_group(int dirfd, const char *name, void *data, struct err *e)
{
	struct pids *p = data;
	_cleanup_(mem_free) char *text = NULL;
	struct stat st;
	int r = 0;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	if (p->depth < DEPTH_MAX) {
		p->depth++;
		r = dir_each(dirfd, name, GROUPS_MAX, add_group, p, e);
		p->depth--;
	}
	if (r == 0) {
		_cleanup_(fd_close) int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0 && file_read(fd, "cgroup.procs", PIDS_TEXT_MAX, &text, NULL, NULL) == 0)
			buf_add_text(&p->text, text);
	}
	return r == -ENOENT ? 0 : r;
}

/* A process as `ps` names it: its words, or its short name in brackets. */
static void add_line(struct buf *out, const char *pid)
{
	_cleanup_(mem_free) char *words = NULL, *comm = NULL;
	char path[64];
	size_t len = 0;

	(void)str_format(path, sizeof(path), "/proc/%s/cmdline", pid);
	if (file_read(AT_FDCWD, path, 1 << 20, &words, &len, NULL) < 0)
		return;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)words[i] < ' ' || words[i] == 0x7f)
			words[i] = ' ';
	(void)str_format(path, sizeof(path), "/proc/%s/comm", pid);
	if (len == 0 && file_read(AT_FDCWD, path, 64, &comm, NULL, NULL) == 0)
		buf_printf(out, "%-8s[%s]\n", pid, str_trim(comm));
	else
		buf_printf(out, "%-8s%.200s\n", pid, len ? str_trim(words) : "");
}

static void write_pids(char *text, bool json, struct buf *out)
{
	struct json_writer w;
	char *save = NULL;
	int64_t pid;

	json_writer_init(&w, out);
	if (json)
		json_begin_array(&w);
	else
		buf_printf(out, "%-8s%s\n", "PID", "COMMAND");
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (json && str_to_i64(l, &pid) == 0)
			json_i64(&w, pid);
		else if (!json)
			add_line(out, l);
	}
	if (json) {
		json_end_array(&w);
		buf_add_char(out, '\n');
	}
}

int cmd_ps(const struct cli_options *o, int *ret_code, struct err *e)
{
	_cleanup_(cli_state_clear) struct cli_state s = { 0 };
	_cleanup_(fd_close) int root = -1;
	_cleanup_(buf_free) struct buf out = BUF_INIT(64 << 20);
	struct pids p = { .text = BUF_INIT(PIDS_TEXT_MAX) };
	int r = cli_find(o, &s, e);

	(void)ret_code;
	if (r < 0)
		return r;
	if (o->format && !str_eq(o->format, "json") && !str_eq(o->format, "table"))
		return err_set(e, EINVAL, "--format: must be json or table, not \"%s\"", o->format);
	if (o->n_args > 1)
		return err_set(e, EINVAL, "options of ps are not supported: %s", o->args[1]);
	root = open(CGROUP_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*s.cgroup && root >= 0)
		r = add_group(root, s.cgroup, &p, e);
	else if (cli_start_time(s.pid) == s.start_time && s.start_time)
		buf_printf(&p.text, "%d\n", (int)s.pid);
	if (r == 0 && buf_failed(&p.text))
		r = err_errno(e, -buf_failed(&p.text), "ps");
	if (r == 0) {
		_cleanup_(mem_free) char *text = buf_take(&p.text);

		if (text)
			write_pids(text, str_eq(o->format, "json"), &out);
		r = text ? cli_print(&out, e) : err_errno(e, ENOMEM, "ps");
	}
	buf_free(&p.text);
	return r;
}
