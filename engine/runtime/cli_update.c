/*
 * `skerryd runtime update` (cli.h): limits of a container from a file with an OCI "resources"
 * object ("-" is stdin), with single options over it.
 *
 * The options become members of such an object; the plan's parser judges their values.
 */
#include <fcntl.h>
#include <string.h>

#include "engine/runtime/cli.h"
#include "init/base/file.h"
#include "init/base/str.h"

static const struct limit_row {
	const char *option, *group, *member;
	bool text; /* a string, else a number; sizes may have a unit */
	bool size;
} limits[] = {
	{ "memory", "memory", "limit", false, true },
	{ "memory-reservation", "memory", "reservation", false, true },
	{ "memory-swap", "memory", "swap", false, true },
	{ "cpu-period", "cpu", "period", false, false },
	{ "cpu-quota", "cpu", "quota", false, false },
	{ "cpu-burst", "cpu", "burst", false, false },
	{ "cpu-share", "cpu", "shares", false, false },
	{ "cpu-idle", "cpu", "idle", false, false },
	{ "cpuset-cpus", "cpu", "cpus", true, false },
	{ "cpuset-mems", "cpu", "mems", true, false },
	{ "pids-limit", "pids", "limit", false, false },
	{ "blkio-weight", "blockIO", "weight", false, false },
};

static int write_limit(struct json_writer *w, const struct limit_row *row, const char *value,
		       struct err *e)
{
	int64_t number;
	uint64_t bytes;

	json_key(w, row->member);
	if (row->text)
		json_str(w, value);
	else if (str_to_i64(value, &number) == 0)
		json_i64(w, number);
	else if (row->size && str_to_bytes(value, &bytes) == 0 && bytes <= INT64_MAX)
		json_i64(w, (int64_t)bytes);
	else
		return err_set(e, EINVAL, "--%s: \"%.32s\" is not a %s", row->option, value,
			       row->size ? "size" : "number");
	return 0;
}

/* One group with what the file has of it and what the options set. */
static int write_group(struct json_writer *w, const struct cli_options *o, const char *group,
		       yyjson_val *base, struct err *e)
{
	yyjson_val *have = yyjson_obj_get(base, group), *key, *value;
	const char *given[ARRAY_SIZE(limits)] = { 0 };
	size_t i, n;
	int r = 0;

	for (i = 0; i < ARRAY_SIZE(limits); i++)
		if (str_eq(limits[i].group, group))
			given[i] = strv_env_get(o->limits, limits[i].option);
	json_key(w, group);
	json_begin_object(w);
	yyjson_obj_foreach(have, i, n, key, value)
	{
		bool replaced = false;

		for (size_t k = 0; k < ARRAY_SIZE(limits); k++)
			replaced |= given[k] && str_eq(limits[k].member, yyjson_get_str(key));
		if (!replaced) {
			json_key(w, yyjson_get_str(key));
			json_value(w, value);
		}
	}
	for (i = 0; r == 0 && i < ARRAY_SIZE(limits); i++)
		if (given[i])
			r = write_limit(w, &limits[i], given[i], e);
	json_end_object(w);
	return r;
}

static bool has_group(const struct cli_options *o, const char *group)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (str_eq(limits[i].group, group) && strv_env_get(o->limits, limits[i].option))
			return true;
	return false;
}

static int merge(const struct cli_options *o, const char *text, size_t len, char **ret,
		 struct err *e)
{
	static const char *const groups[] = { "memory", "cpu", "pids", "blockIO" };
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(buf_free) struct buf out = BUF_INIT(RUNTIME_CONFIG_MAX);
	yyjson_val *base, *key, *value;
	struct json_writer w;
	size_t i, n;
	int r = json_parse_object(text, len, &doc, &base, e);

	if (r < 0)
		return err_wrap(e, "resources");
	json_writer_init(&w, &out);
	json_begin_object(&w);
	yyjson_obj_foreach(base, i, n, key, value)
	{
		if (has_group(o, yyjson_get_str(key)))
			continue;
		json_key(&w, yyjson_get_str(key));
		json_value(&w, value);
	}
	for (i = 0; r == 0 && i < ARRAY_SIZE(groups); i++)
		if (has_group(o, groups[i]))
			r = write_group(&w, o, groups[i], base, e);
	json_end_object(&w);
	if (r < 0)
		return r;
	*ret = buf_take(&out);
	return *ret ? 0 : err_errno(e, ENOMEM, "resources");
}

int cmd_update(const struct cli_options *o, int *ret_code, struct err *e)
{
	_cleanup_(cli_state_clear) struct cli_state s = { 0 };
	_cleanup_(mem_free) char *text = NULL, *merged = NULL;
	size_t len = 2;
	int r = cli_find(o, &s, e);

	(void)ret_code;
	if (r == 0 && str_eq(cli_state_status(o->root, &s), "stopped"))
		return err_set(e, ESRCH, "container not running");
	if (r == 0 && !*s.cgroup)
		return err_set(e, EOPNOTSUPP, "container %s has no cgroup with limits", s.id);
	if (r == 0 && !o->resources && !o->limits)
		return err_set(e, EINVAL, "--resources FILE or a limit is missing");
	if (r == 0 && !o->resources)
		text = str_dup("{}");
	else if (r == 0 && str_eq(o->resources, "-"))
		r = file_read_fd(STDIN_FILENO, RUNTIME_CONFIG_MAX, &text, &len, e);
	else if (r == 0)
		r = file_read(AT_FDCWD, o->resources, RUNTIME_CONFIG_MAX, &text, &len, e);
	if (r == 0 && !text)
		r = err_errno(e, ENOMEM, "resources");
	if (r == 0)
		r = merge(o, text, len, &merged, e);
	return r < 0 ? r : runtime_update(s.cgroup, merged, e);
}
