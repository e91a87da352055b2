/*
 * The object "log" of shim.json (shim/protocol.h): the options of LogConfig as numbers, and where
 * the file lies.
 *
 * Called by spec.c for each start.
 */
#include <fcntl.h>
#include <string.h>

#include "engine/container/log_config.h"
#include "engine/syslog/syslog.h"
#include "init/base/file.h"
#include "init/base/str.h"

struct file_options {
	const char *type, *prefix; /* of the driver, and of its options */
	uint64_t max_size, max_file;
	bool compress;
};

static const struct file_options defaults[] = {
	{ "json-file", "", 0, 1, false },
	{ "local", "", 20 << 20, 5, true },
	{ "syslog", "cache-", 20 << 20, 5, true }, /* what can be read of it here */
};

static bool is_true(const struct host_config *h, const char *key)
{
	const char *text = log_option(h, key);
	bool value = false;

	if (text)
		(void)log_parse_bool(text, &value);
	return value;
}

bool log_has_file(const struct host_config *h)
{
	if (str_eq(h->log.type, "syslog"))
		return !is_true(h, "cache-disabled");
	return !str_eq(h->log.type, "none");
}

static const char *file_option(const struct host_config *h, const char *prefix, const char *name)
{
	char key[32];

	(void)str_format(key, sizeof(key), "%s%s", prefix, name);
	return log_option(h, key);
}

static void write_file_options(const struct host_config *h, struct json_writer *w)
{
	struct file_options o = defaults[0];
	const char *text;

	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		if (str_eq(defaults[i].type, h->log.type))
			o = defaults[i];
	if ((text = file_option(h, o.prefix, "max-size")))
		(void)str_to_bytes(text, &o.max_size);
	if ((text = file_option(h, o.prefix, "max-file")))
		(void)str_to_u64(text, &o.max_file);
	if ((text = file_option(h, o.prefix, "compress")))
		(void)log_parse_bool(text, &o.compress);
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

/* What the worker is to know (syslog/syslog.h). */
static int write_syslog(const struct container *c, struct json_writer *w, struct err *e)
{
	static const char *const texts[][2] = {
		{ "address", "syslog-address" }, { "facility", "syslog-facility" },
		{ "format", "syslog-format" },	 { "ca", "syslog-tls-ca-cert" },
		{ "cert", "syslog-tls-cert" },	 { "key", "syslog-tls-key" },
	};
	const struct host_config *h = &c->asked.host;
	_cleanup_(mem_free) char *tag = log_tag(c, "{{.ID}}");
	const char *buffer = log_option(h, "max-buffer-size");
	uint64_t bytes = SYSLOG_BUFFER;

	if (!tag)
		return err_errno(e, ENOMEM, "tag");
	if (buffer)
		(void)str_to_bytes(buffer, &bytes);
	json_key(w, "syslog");
	json_begin_object(w);
	json_member_str(w, "id", c->id);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (log_option(h, texts[i][1]))
			json_member_str(w, texts[i][0], log_option(h, texts[i][1]));
	json_member_str(w, "tag", tag);
	json_member_bool(w, "skip_verify", is_true(h, "syslog-tls-skip-verify"));
	json_member_bool(w, "blocking", !str_eq(log_option(h, "mode"), "non-blocking"));
	json_member_i64(w, "buffer", (int64_t)bytes);
	json_end_object(w);
	return 0;
}

static int write_file(const struct container *c, struct json_writer *w, struct err *e)
{
	_cleanup_(mem_free) char *path = container_log_path(c);
	int r = path ? make_folder(path, e) : err_errno(e, ENOMEM, "shim.json");

	if (r < 0)
		return r;
	json_member_str(w, "path", path);
	write_file_options(&c->asked.host, w);
	json_key(w, "attrs");
	return log_attrs_write(c, w, e);
}

int log_write(const struct container *c, struct json_writer *w, struct err *e)
{
	const struct host_config *h = &c->asked.host;
	int r = 0;

	json_key(w, "log");
	json_begin_object(w);
	json_member_str(w, "driver", h->log.type);
	json_member_bool(w, "blocking", !str_eq(log_option(h, "mode"), "non-blocking"));
	if (log_has_file(h))
		r = write_file(c, w, e);
	if (r == 0 && str_eq(h->log.type, "syslog"))
		r = write_syslog(c, w, e);
	json_end_object(w);
	return r;
}
