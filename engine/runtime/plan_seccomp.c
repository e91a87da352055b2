/*
 * config.json's "linux.seccomp" to struct filter_spec: names to numbers, everything checked, so
 * that compiling it later can fail only for want of memory or in the kernel.
 */
#include <linux/seccomp.h>
#include <string.h>

#include "engine/runtime/plan_json.h"
#include "init/base/str.h"

struct flag_name {
	const char *name;
	unsigned long flag;
};

static const struct flag_name flag_names[] = {
	{ "SECCOMP_FILTER_FLAG_TSYNC", 0 }, /* there is one thread: always so */
	{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
	{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
};

const char *plan_seccomp_flag(size_t n)
{
	return n < ARRAY_SIZE(flag_names) ? flag_names[n].name : NULL;
}

static int read_action(yyjson_val *o, const char *at, const char *key, const char *errno_key,
		       uint32_t *ret, struct err *e)
{
	_cleanup_(mem_free) char *name = NULL;
	int64_t number = -1;
	char buf[KEY_MAX];
	int r = need(get_text(o, at, key, 64, &name, e), at, key, e);

	if (r == 0)
		r = get_i64(o, at, errno_key, 0, 4095, &number, e);
	if (r < 0)
		return r;
	if (str_eq(name, "SCMP_ACT_NOTIFY"))
		return err_set(e, EOPNOTSUPP, "%s: SCMP_ACT_NOTIFY is not supported",
			       key_of(buf, at, key));
	if (filter_action(name, number, ret) < 0)
		return err_set(
			e, EINVAL,
			"%s: unknown action \"%s\", or an errno with an action that takes none",
			key_of(buf, at, key), name);
	return 0;
}

static int read_arg(yyjson_val *o, const char *key, struct filter_arg *a, struct err *e)
{
	_cleanup_(mem_free) char *op = NULL;
	uint64_t index = 0;
	int r;

	if (!yyjson_is_obj(o))
		return err_set(e, EINVAL, "%s: must be an object", key);
	r = need(get_u64(o, key, "index", FILTER_ARGS_MAX - 1, &index, e), key, "index", e);
	if (r == 0)
		r = need(get_u64(o, key, "value", UINT64_MAX, &a->value, e), key, "value", e);
	if (r == 0)
		r = get_u64(o, key, "valueTwo", UINT64_MAX, &a->value_two, e);
	if (r >= 0)
		r = need(get_text(o, key, "op", 32, &op, e), key, "op", e);
	if (r < 0)
		return r;
	a->index = (unsigned int)index;
	a->op = filter_operator(op);
	if (a->op < 0)
		return err_set(e, EINVAL, "%s.op: unknown operator \"%s\"", key, op);
	return 0;
}

static int read_rule(yyjson_val *o, const char *key, struct filter_rule *rule, struct err *e)
{
	yyjson_val *list = NULL, *item;
	size_t i, n;
	int r;

	if (!yyjson_is_obj(o))
		return err_set(e, EINVAL, "%s: must be an object", key);
	r = need(get_strv(o, key, "names", PLAN_LIST_MAX, 64, &rule->names, e), key, "names", e);
	if (r == 0 && strv_len(rule->names) == 0)
		return err_set(e, EINVAL, "%s.names: must not be empty", key);
	if (r == 0)
		r = read_action(o, key, "action", "errnoRet", &rule->action, e);
	if (r == 0)
		r = get_array(o, key, "args", FILTER_ARGS_MAX, &list, e);
	if (r <= 0)
		return r;
	yyjson_arr_foreach(list, i, n, item)
	{
		char arg_key[KEY_MAX];

		r = read_arg(item, key_item(arg_key, key, "args", i), &rule->args[rule->n_args++],
			     e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_arches(yyjson_val *o, const char *at, struct filter_spec *s, struct err *e)
{
	_cleanup_(strv_free) char **v = NULL;
	char key[KEY_MAX];
	int r = get_strv(o, at, "architectures", FILTER_ARCHES_MAX, 64, &v, e);

	for (size_t i = 0; r == 1 && v[i]; i++)
		if (filter_arch(v[i], &s->arches[s->n_arches++]) < 0)
			return err_set(e, EINVAL, "%s: unknown architecture \"%s\"",
				       key_item(key, at, "architectures", i), v[i]);
	return r < 0 ? r : 0;
}

static int read_flags(yyjson_val *o, const char *at, struct filter_spec *s, struct err *e)
{
	_cleanup_(strv_free) char **v = NULL;
	char key[KEY_MAX];
	int r = get_strv(o, at, "flags", 16, 64, &v, e);

	if (r <= 0) {
		s->flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW; /* runc's default */
		return r;
	}
	for (size_t i = 0; v[i]; i++) {
		size_t k = 0;

		while (k < ARRAY_SIZE(flag_names) && !str_eq(flag_names[k].name, v[i]))
			k++;
		if (k == ARRAY_SIZE(flag_names))
			return err_set(e, EOPNOTSUPP, "%s: flag \"%s\" is not supported",
				       key_item(key, at, "flags", i), v[i]);
		s->flags |= flag_names[k].flag;
	}
	return 0;
}

int plan_read_seccomp(yyjson_val *o, const char *at, struct filter_spec **ret, struct err *e)
{
	_cleanup_(filter_spec_free) struct filter_spec *s = calloc(1, sizeof(*s));
	yyjson_val *list = NULL, *item;
	char key[KEY_MAX];
	size_t i, n;
	int r;

	if (!s)
		return err_errno(e, ENOMEM, "%s", at);
	r = refuse_set(o, at, "listenerPath", "is not supported", e);
	if (r == 0)
		r = refuse_set(o, at, "listenerMetadata", "is not supported", e);
	if (r == 0)
		r = read_action(o, at, "defaultAction", "defaultErrnoRet", &s->default_action, e);
	if (r == 0)
		r = read_arches(o, at, s, e);
	if (r == 0)
		r = read_flags(o, at, s, e);
	if (r == 0)
		r = get_array(o, at, "syscalls", PLAN_LIST_MAX, &list, e);
	if (r < 0)
		return r;
	s->rules = calloc(yyjson_arr_size(list) + 1, sizeof(*s->rules));
	if (!s->rules)
		return err_errno(e, ENOMEM, "%s", at);
	yyjson_arr_foreach(list, i, n, item)
	{
		r = read_rule(item, key_item(key, at, "syscalls", i), &s->rules[s->n_rules++], e);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(s);
	return 0;
}
