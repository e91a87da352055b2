/*
 * How a container ended, as JSON: the members of the exit event and of exit.json are the same.
 *
 * Written by the shim (atomically, before the event), read by the engine for shims that went while
 * no engine was there.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "engine/shim/protocol.h"
#include "engine/shim/shim.h"
#include "init/base/file.h"
#include "init/base/str.h"

void shim_exit_status(struct shim_exit *x, int status)
{
	if (WIFSIGNALED(status)) {
		x->signal = WTERMSIG(status);
		x->exit_code = 128 + x->signal;
	} else {
		x->exit_code = WEXITSTATUS(status);
	}
}

void shim_exit_json(struct json_writer *w, const struct shim_exit *x)
{
	json_member_i64(w, "exit_code", x->exit_code);
	json_member_i64(w, "signal", x->signal);
	json_member_bool(w, "oom_killed", x->oom_killed);
	json_member_bool(w, "never_ran", x->never_ran);
	json_member_i64(w, "pid", x->pid);
	json_member_i64(w, "started", x->started_ns);
	json_member_i64(w, "finished", x->finished_ns);
	json_member_str(w, "error", x->error);
}

int shim_exit_from_json(yyjson_val *o, struct shim_exit *ret, struct err *e)
{
	int64_t code = -1, signal = 0, pid = 0;
	const char *text = "";
	struct shim_exit x = { 0 };
	int r = json_get_i64(o, "exit_code", &code, e);

	if (r == 0)
		r = json_get_i64(o, "signal", &signal, e);
	if (r == 0)
		r = json_get_bool(o, "oom_killed", &x.oom_killed, e);
	if (r == 0)
		r = json_get_bool(o, "never_ran", &x.never_ran, e);
	if (r == 0)
		r = json_get_i64(o, "pid", &pid, e);
	if (r == 0)
		r = json_get_i64(o, "started", &x.started_ns, e);
	if (r == 0)
		r = json_get_i64(o, "finished", &x.finished_ns, e);
	if (r == 0)
		r = json_get_text(o, "error", &text, e);
	if (r < 0)
		return r;
	if (code < 0 || code > 255 || signal < 0 || signal > 127)
		return err_set(e, EINVAL, "exit_code or signal is out of range");
	x.exit_code = (int)code;
	x.signal = (int)signal;
	x.pid = (pid_t)pid;
	if (str_copy(x.error, sizeof(x.error), text) < 0)
		(void)str_copy(x.error, sizeof(x.error), "(too long)");
	*ret = x;
	return 0;
}

static int exit_path(const char *dir, char path[512], struct err *e)
{
	if (str_format(path, 512, "%s/" SHIM_EXIT, dir) < 0)
		return err_errno(e, ENAMETOOLONG, "%s", dir);
	return 0;
}

int shim_exit_write(const char *dir, const struct shim_exit *x, struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(8192);
	struct json_writer w;
	char path[512];

	if (exit_path(dir, path, e) < 0)
		return -ENAMETOOLONG;
	json_writer_init(&w, &out);
	json_begin_object(&w);
	json_member_i64(&w, "v", SHIM_PROTOCOL);
	shim_exit_json(&w, x);
	json_end_object(&w);
	if (buf_failed(&out))
		return err_errno(e, -buf_failed(&out), SHIM_EXIT);
	return file_replace(AT_FDCWD, path, out.data, out.len, 0600, false, e);
}

int shim_exit_read(const char *dir, struct shim_exit *ret, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	yyjson_val *root;
	char path[512];
	size_t len;
	int r = exit_path(dir, path, e);

	if (r == 0)
		r = file_read(AT_FDCWD, path, 8192, &text, &len, e);
	if (r == 0)
		r = json_parse_object(text, len, &doc, &root, e);
	if (r == 0)
		r = shim_exit_from_json(root, ret, e);
	return r;
}
