/*
 * The object "log" of shim.json (shim/protocol.h): the options of LogConfig as numbers, and where
 * the file lies.
 *
 * Called by spec.c for each start.
 */
#include <fcntl.h>

#include "engine/container/log_config.h"
#include "init/base/file.h"
#include "init/base/str.h"

struct file_options {
	uint64_t max_size, max_file;
	bool compress;
};

static const struct file_options json_file = { 0, 1, false };
static const struct file_options local = { 20 << 20, 5, true };

bool log_has_file(const struct host_config *h)
{
	return !str_eq(h->log.type, "none");
}

static void write_file_options(const struct host_config *h, struct file_options o,
			       struct json_writer *w)
{
	const char *size = log_option(h, "max-size"), *files = log_option(h, "max-file"),
		   *compress = log_option(h, "compress");

	if (size)
		(void)str_to_bytes(size, &o.max_size);
	if (files)
		(void)str_to_u64(files, &o.max_file);
	if (compress)
		(void)log_parse_bool(compress, &o.compress);
	json_member_i64(w, "max_size", (int64_t)o.max_size);
	json_member_i64(w, "max_file", (int64_t)o.max_file);
	json_member_bool(w, "compress", o.compress);
}

/* The file's folder; the one of a json-file is the container's own. */
static int make_folder(const char *path, struct err *e)
{
	_cleanup_(mem_free) char *dir = strndup(path, (size_t)(strrchr(path, '/') - path));

	return dir ? dir_make(AT_FDCWD, dir, 0700, e) : err_errno(e, ENOMEM, "log file");
}

int log_write(const struct container *c, struct json_writer *w, struct err *e)
{
	const struct host_config *h = &c->asked.host;
	_cleanup_(mem_free) char *path = container_log_path(c);
	int r = path ? 0 : err_errno(e, ENOMEM, "shim.json");

	json_key(w, "log");
	json_begin_object(w);
	json_member_str(w, "driver", h->log.type);
	if (r == 0 && log_has_file(h)) {
		r = make_folder(path, e);
		json_member_str(w, "path", path);
		write_file_options(h, str_eq(h->log.type, "local") ? local : json_file, w);
		json_key(w, "attrs");
		if (r == 0)
			r = log_attrs_write(c, w, e);
	}
	json_end_object(w);
	return r;
}
