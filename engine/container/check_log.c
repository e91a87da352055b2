/*
 * LogConfig of a create request: which options a driver has and which values they take
 * (log_config.h).
 *
 * One table of all options; a row names its drivers and its check. What a start would find wrong
 * (a rotation that cannot be) is found here. Called by create_config_check.
 */
#include <string.h>
#include <unistd.h>

#include "engine/container/log_config.h"
#include "engine/http/tls.h"
#include "engine/syslog/syslog.h"
#include "init/base/str.h"

enum {
	JSON_FILE = 1,
	LOCAL = 2,
	SYSLOG = 4,
	FILES = JSON_FILE | LOCAL,
	ALL = JSON_FILE | LOCAL | SYSLOG,
	MAX_FILES = 1000,
	BUFFER_MAX = 256 << 20
};

static const struct {
	const char *name;
	unsigned int bit;
} drivers[] = {
	{ "json-file", JSON_FILE },
	{ "local", LOCAL },
	{ "syslog", SYSLOG },
};

const char *log_option(const struct host_config *h, const char *key)
{
	const char *value = pairs_get(&h->log.options, key);

	return str_empty(value) ? NULL : value;
}

int log_parse_bool(const char *text, bool *ret)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True", NULL };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False", NULL };

	if (!strv_has((char *const *)yes, text) && !strv_has((char *const *)no, text))
		return -EINVAL;
	*ret = strv_has((char *const *)yes, text);
	return 0;
}

/* ---- values ---- */

static int check_any(const char *key, const char *value, struct err *e)
{
	(void)key;
	(void)value;
	(void)e;
	return 0;
}

static int check_size(const char *key, const char *value, struct err *e)
{
	uint64_t n;

	if (str_to_bytes(value, &n) < 0 || n == 0 || n > INT64_MAX)
		return err_set(e, EINVAL, "log opt %s: '%s' is not a size such as 10m", key, value);
	return 0;
}

static int check_files(const char *key, const char *value, struct err *e)
{
	uint64_t n;

	if (str_to_u64(value, &n) < 0 || n < 1 || n > MAX_FILES)
		return err_set(e, EINVAL, "log opt %s: '%s' is not a number from 1 to %d", key,
			       value, MAX_FILES);
	return 0;
}

static int check_bool(const char *key, const char *value, struct err *e)
{
	bool b;

	if (log_parse_bool(value, &b) < 0)
		return err_set(e, EINVAL,
			       "invalid value for option %s: %s (it must be true or false)", key,
			       value);
	return 0;
}

static int check_tag(const char *key, const char *value, struct err *e)
{
	(void)key;
	return log_tag_check(value, e);
}

static int check_mode(const char *key, const char *value, struct err *e)
{
	(void)key;
	if (!str_eq(value, "blocking") && !str_eq(value, "non-blocking"))
		return err_set(e, EINVAL,
			       "logger: logging mode not supported: %s (log opt mode: blocking or "
			       "non-blocking)",
			       value);
	return 0;
}

static int check_buffer(const char *key, const char *value, struct err *e)
{
	uint64_t n;

	if (str_to_bytes(value, &n) < 0 || n > BUFFER_MAX)
		return err_set(e, EINVAL,
			       "error parsing option %s: invalid size: '%s' (at most %dm)", key,
			       value, BUFFER_MAX >> 20);
	return 0;
}

static int check_address(const char *key, const char *value, struct err *e)
{
	struct syslog_address a;
	int r = syslog_address_parse(value, &a, e);

	if (r == 0 && a.net >= SYSLOG_UNIX && access(a.path, F_OK) < 0)
		r = err_set(e, EINVAL, "%s: %s", a.path, strerror(errno));
	return r < 0 ? err_wrap(e, "log opt %s", key) : 0;
}

static int check_facility(const char *key, const char *value, struct err *e)
{
	unsigned int facility;

	return syslog_facility_parse(value, &facility, e) < 0 ? err_wrap(e, "log opt %s", key) : 0;
}

static int check_format(const char *key, const char *value, struct err *e)
{
	enum syslog_format format;

	return syslog_format_parse(value, &format, e) < 0 ? err_wrap(e, "log opt %s", key) : 0;
}

static int check_file(const char *key, const char *value, struct err *e)
{
	if (value[0] != '/')
		return err_set(e, EINVAL, "log opt %s: '%s' is not an absolute path", key, value);
	if (access(value, R_OK) < 0)
		return err_set(e, EINVAL, "log opt %s: %s: %s", key, value, strerror(errno));
	return 0;
}

static const struct option {
	const char *key;
	unsigned int drivers;
	int (*check)(const char *key, const char *value, struct err *e);
} options[] = {
	{ "max-size", FILES, check_size },
	{ "max-file", FILES, check_files },
	{ "compress", FILES, check_bool },
	{ "labels", ALL, check_any },
	{ "labels-regex", ALL, log_regex_check },
	{ "env", ALL, check_any },
	{ "env-regex", ALL, log_regex_check },
	{ "tag", ALL, check_tag },
	{ "mode", ALL, check_mode },
	{ "max-buffer-size", ALL, check_buffer },
	{ "syslog-address", SYSLOG, check_address },
	{ "syslog-facility", SYSLOG, check_facility },
	{ "syslog-format", SYSLOG, check_format },
	{ "syslog-tls-ca-cert", SYSLOG, check_file },
	{ "syslog-tls-cert", SYSLOG, check_file },
	{ "syslog-tls-key", SYSLOG, check_file },
	{ "syslog-tls-skip-verify", SYSLOG, check_bool },
	/* of the file beside a driver that keeps none; the others have none, as in Docker */
	{ "cache-disabled", ALL, check_bool },
	{ "cache-max-size", ALL, check_size },
	{ "cache-max-file", ALL, check_files },
	{ "cache-compress", ALL, check_bool },
};

static const struct option *find_option(const char *key, unsigned int driver)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (str_eq(options[i].key, key) && (options[i].drivers & driver))
			return &options[i];
	return NULL;
}

/* ---- what does not go together ---- */

static int check_rotation(const struct host_config *h, unsigned int driver, struct err *e)
{
	/* the file beside syslog is one of the local driver */
	const char *files = log_option(h, driver == SYSLOG ? "cache-max-file" : "max-file");
	const char *compress = log_option(h, driver == SYSLOG ? "cache-compress" : "compress");
	bool has_size = driver != JSON_FILE || log_option(h, "max-size");
	bool packs = driver != JSON_FILE;
	uint64_t n = driver != JSON_FILE ? 5 : 1;

	if (compress)
		(void)log_parse_bool(compress, &packs);
	if (files)
		(void)str_to_u64(files, &n);
	if (packs && driver != JSON_FILE && n < 2)
		return err_set(e, EINVAL,
			       "compression cannot be enabled when max file count is 1 "
			       "(log opts %smax-file, %scompress)",
			       driver == SYSLOG ? "cache-" : "", driver == SYSLOG ? "cache-" : "");
	if (packs && (n < 2 || !has_size))
		return err_set(e, EINVAL,
			       "compress cannot be true when max-file is less than 2 or max-size "
			       "is not set");
	return 0;
}

static int check_buffering(const struct host_config *h, struct err *e)
{
	const char *mode = log_option(h, "mode");

	if (log_option(h, "max-buffer-size") && !str_eq(mode, "non-blocking"))
		return err_set(e, EINVAL,
			       "logger: max-buffer-size option is only supported with "
			       "'mode=non-blocking'");
	return 0;
}

static int no_tls(const struct host_config *h, struct err *e)
{
	for (size_t i = 0; i < h->log.options.n; i++)
		if (str_starts(h->log.options.v[i].key, "syslog-tls-") &&
		    !str_empty(h->log.options.v[i].value))
			return err_set(e, EINVAL,
				       "log opt %s: needs a syslog-address with tcp+tls://",
				       h->log.options.v[i].key);
	return 0;
}

/* The files are read as the worker will read them. */
static int check_tls(const struct host_config *h, struct err *e)
{
	const char *address = log_option(h, "syslog-address");
	const char *skip = log_option(h, "syslog-tls-skip-verify");
	_cleanup_(tls_context_free) struct tls_context *tls = NULL;
	struct tls_client_files files = {
		.ca = log_option(h, "syslog-tls-ca-cert"),
		.certificate = log_option(h, "syslog-tls-cert"),
		.key = log_option(h, "syslog-tls-key"),
	};

	if (!address || !str_starts(address, "tcp+tls://"))
		return no_tls(h, e);
	if (skip)
		(void)log_parse_bool(skip, &files.skip_verify);
	if (!files.certificate != !files.key)
		return err_set(e, EINVAL,
			       "log opts syslog-tls-cert and syslog-tls-key go together");
	if (!files.ca && !files.skip_verify)
		return err_set(e, EINVAL,
			       "log opt syslog-tls-ca-cert: is needed for tcp+tls, since this "
			       "machine has no list of authorities (or "
			       "syslog-tls-skip-verify=true)");
	return tls_client_new(&files, &tls, e) < 0 ? err_wrap(e, "log opts syslog-tls-*") : 0;
}

int log_check(const struct host_config *h, struct err *e)
{
	unsigned int driver = 0;
	int r = 0;

	if (str_eq(h->log.type, "none"))
		return h->log.options.n == 0
			       ? 0
			       : err_set(e, EINVAL, "invalid logging opts for driver none: '%s'",
					 h->log.options.v[0].key);
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (str_eq(drivers[i].name, h->log.type))
			driver = drivers[i].bit;
	if (!driver)
		return err_set(e, EINVAL, "logger: no log driver named '%s' is registered",
			       h->log.type);
	for (size_t i = 0; r == 0 && i < h->log.options.n; i++) {
		const struct bind_pair *o = &h->log.options.v[i];
		const struct option *known = find_option(o->key, driver);

		if (!known)
			return err_set(e, EINVAL, "unknown log opt '%s' for %s log driver", o->key,
				       h->log.type);
		if (!str_empty(o->value))
			r = known->check(o->key, o->value, e);
	}
	if (r == 0)
		r = check_buffering(h, e);
	if (r == 0 && driver == SYSLOG)
		r = check_tls(h, e);
	return r == 0 ? check_rotation(h, driver, e) : r;
}
