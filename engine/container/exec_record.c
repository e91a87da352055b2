/*
 * The documents of execs in the shim's directory: written by the engine at create and at the end,
 * read after an engine restart together with what the shim wrote about the end of the process.
 *
 * The directory is tmpfs and goes with the run, so nothing here is synced; what cannot be read is
 * left out.
 */
#include <fcntl.h>
#include <unistd.h>

#include "engine/container/exec_priv.h"
#include "engine/shim/protocol.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { DOCUMENT_MAX = 8 << 20 }; /* EXEC_TEXT_MAX, each byte escaped to at most 6 */

static char *path_of(const struct container *c, const char *id, const char *suffix)
{
	return str_printf("%s/%s/" SHIM_EXECS "/%s%s", c->cs->shims_dir, c->id, id, suffix);
}

int exec_record_write(const struct exec *x, struct err *e)
{
	_cleanup_(mem_free) char *dir =
		str_printf("%s/%s/" SHIM_EXECS, x->c->cs->shims_dir, x->c->id);
	_cleanup_(mem_free) char *path = path_of(x->c, x->id, ".json");
	_cleanup_(buf_free) struct buf text = BUF_INIT(DOCUMENT_MAX);
	struct json_writer w;
	int r;

	json_writer_init(&w, &text);
	json_begin_object(&w);
	json_member_bool(&w, "Ended", x->state == EXEC_ENDED);
	json_member_bool(&w, "Probe", x->is_probe);
	json_member_i64(&w, "ExitCode", x->exit_code);
	bind_write_members(&exec_config_table, &x->asked, &w);
	json_end_object(&w);
	if (!dir || !path || buf_failed(&text) < 0)
		return err_errno(e, ENOMEM, "exec");
	r = dir_make(AT_FDCWD, dir, 0700, e);
	if (r == 0)
		r = file_replace(AT_FDCWD, path, buf_text(&text), text.len, 0600, false, e);
	return r;
}

void exec_record_remove(const struct exec *x)
{
	static const char *const suffixes[] = { ".json", SHIM_EXEC_STATE };

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup_(mem_free) char *path = path_of(x->c, x->id, suffixes[i]);

		if (path)
			(void)unlink(path);
	}
}

/* ---- after an engine restart ---- */

static int read_document(const struct container *c, const char *id, const char *suffix,
			 yyjson_doc **ret, yyjson_val **ret_root, struct err *e)
{
	_cleanup_(mem_free) char *path = path_of(c, id, suffix), *text = NULL;
	size_t len = 0;
	int r = path ? file_read(AT_FDCWD, path, DOCUMENT_MAX, &text, &len, e)
		     : err_errno(e, ENOMEM, "exec");

	return r < 0 ? r : json_parse_object(text, len, ret, ret_root, e);
}

/* What the shim says of the process: it runs, it ended, or (no document) it was never started. */
static int read_state(struct exec *x, bool *ret_ended, int64_t *ret_code)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root = NULL;
	int64_t pid = 0;

	*ret_code = -1;
	if (read_document(x->c, x->id, SHIM_EXEC_STATE, &doc, &root, NULL) < 0)
		return -ENOENT;
	(void)json_get_i64(root, "pid", &pid, NULL);
	(void)json_get_i64(root, "exit_code", ret_code, NULL);
	x->pid = (pid_t)pid;
	*ret_ended = *ret_code >= 0;
	return 0;
}

static void take_up(struct exec *x, bool was_told, int64_t code)
{
	bool ended = false;

	if (was_told) {
		exec_keep(x, (int)code);
		return;
	}
	if (read_state(x, &ended, &code) < 0)
		return; /* it waits for its start */
	x->state = EXEC_RUNNING;
	if (ended)
		exec_end(x, (int)code);
	else if (x->is_probe)
		exec_kill(x); /* nobody waits for it any more */
}

static int load_one(int dirfd, const char *name, void *data, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	struct container *c = data;
	yyjson_val *root = NULL;
	bool told = false, probe = false;
	char id[ID_LEN + 1];
	int64_t code = 0;
	struct exec *x;

	(void)dirfd;
	(void)e;
	if (!str_ends(name, ".json") || str_format(id, sizeof(id), "%.*s", ID_LEN, name) < 0 ||
	    !id_valid(id) || map_has(&c->cs->execs->by_id, id))
		return 0;
	x = exec_new(c, id, NULL);
	if (!x)
		return 0;
	if (read_document(c, id, ".json", &doc, &root, NULL) < 0 ||
	    bind_read(&exec_config_table, root, &x->asked, "", NULL) < 0 || !x->asked.cmd ||
	    !x->asked.cmd[0] || exec_count_texts(x, NULL) < 0) {
		exec_forget(x);
		return 0;
	}
	(void)json_get_bool(root, "Ended", &told, NULL);
	(void)json_get_bool(root, "Probe", &probe, NULL);
	(void)json_get_i64(root, "ExitCode", &code, NULL);
	x->is_probe = probe;
	take_up(x, told, code);
	return 0;
}

void execs_load(struct container *c)
{
	_cleanup_(mem_free) char *dir = str_printf("%s/%s/" SHIM_EXECS, c->cs->shims_dir, c->id);
	struct err e = { 0 };

	if (!dir || access(dir, F_OK) < 0)
		return;
	if (dir_each(AT_FDCWD, dir, 3 * EXECS_MAX, load_one, c, &e) < 0)
		log_warn("container %.12s: its execs: %s", c->id, err_text(&e));
}
