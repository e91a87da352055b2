/*
 * config.json's "process" (runtime-spec config.md "Process", "POSIX process", "Linux process") to
 * struct plan_process. Used for a container's first process and, with a process object alone, for
 * exec.
 */
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#include "engine/runtime/plan_json.h"
#include "engine/runtime/profile.h"
#include "init/base/str.h"

struct rlimit_name {
	const char *name;
	int resource;
};

static const struct rlimit_name rlimit_names[] = {
	{ "RLIMIT_AS", RLIMIT_AS },
	{ "RLIMIT_CORE", RLIMIT_CORE },
	{ "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA },
	{ "RLIMIT_FSIZE", RLIMIT_FSIZE },
	{ "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
	{ "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },
	{ "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
	{ "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_STACK", RLIMIT_STACK },
};

static int read_user(yyjson_val *o, const char *at, struct plan_process *p, struct err *e)
{
	yyjson_val *u = NULL, *list = NULL, *item;
	uint32_t mask;
	size_t i, n;
	char key[KEY_MAX];
	int r = get_object(o, at, "user", &u, e);

	if (r <= 0)
		return r;
	key_of(key, at, "user");
	r = refuse_set(u, key, "username", "is for another system than Linux", e);
	if (r == 0)
		r = get_u32(u, key, "uid", &p->uid, e);
	if (r >= 0)
		r = get_u32(u, key, "gid", &p->gid, e);
	if (r >= 0 && (p->uid == UINT32_MAX || p->gid == UINT32_MAX))
		return err_set(e, EINVAL, "%s: uid and gid must be below 4294967295", key);
	if (r >= 0)
		r = get_u32(u, key, "umask", &mask, e);
	if (r == 1 && mask > 0777)
		return err_set(e, EINVAL, "%s.umask: must be from 0 to 511", key);
	if (r == 1)
		p->umask = (int)mask;
	if (r >= 0)
		r = get_array(u, key, "additionalGids", PLAN_LIST_MAX, &list, e);
	if (r <= 0)
		return r;
	free(p->groups);
	p->n_groups = 0;
	p->groups = calloc(yyjson_arr_size(list) + 1, sizeof(*p->groups));
	if (!p->groups)
		return err_errno(e, ENOMEM, "%s", key);
	yyjson_arr_foreach(list, i, n, item)
	{
		if (!yyjson_is_uint(item) || yyjson_get_uint(item) >= UINT32_MAX)
			return err_set(e, EINVAL,
				       "%s.additionalGids[%zu]: must be from 0 to 4294967294", key,
				       i);
		p->groups[p->n_groups++] = (gid_t)yyjson_get_uint(item);
	}
	return 0;
}

static int read_cap_set(yyjson_val *o, const char *at, const char *name, uint64_t *ret,
			struct err *e)
{
	_cleanup_(strv_free) char **v = NULL;
	uint64_t mask = 0;
	int r = get_strv(o, at, name, 256, 64, &v, e);

	if (r <= 0)
		return r;
	for (size_t i = 0; v[i]; i++) {
		int n = caps_number(v[i]);

		if (n < 0 || !str_starts(v[i], "CAP_"))
			return err_set(e, EINVAL, "%s.%s[%zu]: unknown capability \"%s\"", at, name,
				       i, v[i]);
		mask |= 1ULL << n;
	}
	*ret = mask;
	return 1;
}

static int read_caps(yyjson_val *o, const char *at, struct plan_process *p, struct err *e)
{
	yyjson_val *c = NULL;
	char key[KEY_MAX];
	int r = get_object(o, at, "capabilities", &c, e);

	if (r <= 0)
		return r;
	key_of(key, at, "capabilities");
	p->has_caps = true;
	r = read_cap_set(c, key, "bounding", &p->bounding, e);
	if (r >= 0)
		r = read_cap_set(c, key, "permitted", &p->permitted, e);
	if (r >= 0)
		r = read_cap_set(c, key, "effective", &p->effective, e);
	if (r >= 0)
		r = read_cap_set(c, key, "inheritable", &p->inheritable, e);
	if (r >= 0)
		r = read_cap_set(c, key, "ambient", &p->ambient, e);
	if (r >= 0 && (p->effective & ~p->permitted))
		return err_set(e, EINVAL, "%s.effective: holds more than permitted", key);
	if (r >= 0 && (p->ambient & ~(p->permitted & p->inheritable)))
		return err_set(e, EINVAL, "%s.ambient: holds more than permitted and inheritable",
			       key);
	return r;
}

static int rlimit_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rlimit_names); i++)
		if (str_eq(rlimit_names[i].name, name))
			return rlimit_names[i].resource;
	return -EINVAL;
}

static int read_rlimit(yyjson_val *item, const char *key, struct plan_process *p, struct err *e)
{
	_cleanup_(mem_free) char *type = NULL;
	struct plan_rlimit *l;
	int number, r;

	if (!yyjson_is_obj(item))
		return err_set(e, EINVAL, "%s: must be an object", key);
	r = need(get_text(item, key, "type", 64, &type, e), key, "type", e);
	if (r < 0)
		return r;
	number = rlimit_number(type);
	if (number < 0)
		return err_set(e, EINVAL, "%s.type: unknown limit \"%s\"", key, type);
	for (size_t i = 0; i < p->n_rlimits; i++)
		if (p->rlimits[i].resource == number)
			return err_set(e, EINVAL, "%s.type: %s is given twice", key, type);
	l = array_add(&p->rlimits, &p->n_rlimits, sizeof(*l));
	if (!l)
		return err_errno(e, ENOMEM, "%s", key);
	l->resource = number;
	l->index = p->n_rlimits - 1;
	r = need(get_u64(item, key, "soft", UINT64_MAX, &l->soft, e), key, "soft", e);
	if (r == 0)
		r = need(get_u64(item, key, "hard", UINT64_MAX, &l->hard, e), key, "hard", e);
	if (r == 0 && l->soft > l->hard)
		return err_set(e, EINVAL, "%s.soft: is above hard", key);
	return r;
}

static int read_rlimits(yyjson_val *o, const char *at, struct plan_process *p, struct err *e)
{
	yyjson_val *list = NULL, *item;
	size_t i, n;
	int r = get_array(o, at, "rlimits", ARRAY_SIZE(rlimit_names), &list, e);

	if (r <= 0)
		return r;
	yyjson_arr_foreach(list, i, n, item)
	{
		char key[KEY_MAX];

		r = read_rlimit(item, key_item(key, at, "rlimits", i), p, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What this runtime does not do must not be asked for. */
static int refuse_unsupported(yyjson_val *o, const char *at, struct err *e)
{
	int r = refuse_set(o, at, "apparmorProfile", "this kernel has no AppArmor", e);

	if (r == 0)
		r = refuse_set(o, at, "selinuxLabel", "this kernel has no SELinux", e);
	if (r == 0)
		r = refuse_set(o, at, "commandLine", "is for another system than Linux", e);
	return r;
}

static int read_console_size(yyjson_val *o, const char *at, struct plan_process *p, struct err *e)
{
	yyjson_val *c = NULL;
	uint64_t v = 0;
	char key[KEY_MAX];
	int r = get_object(o, at, "consoleSize", &c, e);

	if (r <= 0)
		return r;
	key_of(key, at, "consoleSize");
	r = get_u64(c, key, "height", UINT16_MAX, &v, e);
	p->rows = (unsigned int)v;
	v = 0;
	if (r >= 0)
		r = get_u64(c, key, "width", UINT16_MAX, &v, e);
	p->cols = (unsigned int)v;
	return r;
}

static int check_env(struct plan_process *p, const char *at, struct err *e)
{
	for (size_t i = 0; p->env && p->env[i]; i++)
		if (p->env[i][0] == '=' || !strchr(p->env[i], '='))
			return err_set(e, EINVAL, "%s%senv[%zu]: must be NAME=value", at,
				       *at ? "." : "", i);
	return 0;
}

int plan_read_process(yyjson_val *o, const char *at, struct plan_process *p, struct err *e)
{
	int64_t score;
	char key[KEY_MAX];
	int r = refuse_unsupported(o, at, e);

	p->umask = p->io_priority = -1;
	if (r == 0)
		r = need(get_text(o, at, "cwd", PATH_MAX - 1, &p->cwd, e), at, "cwd", e);
	if (r == 0 && p->cwd[0] != '/')
		return err_set(e, EINVAL, "%s: must be an absolute path", key_of(key, at, "cwd"));
	if (r == 0)
		r = need(get_strv(o, at, "args", PLAN_ARGS_MAX, PLAN_ARG_BYTES, &p->args, e), at,
			 "args", e);
	if (r == 0 && strv_len(p->args) == 0)
		return err_set(e, EINVAL, "%s: must not be empty", key_of(key, at, "args"));
	if (r >= 0)
		r = get_strv(o, at, "env", PLAN_ARGS_MAX, PLAN_ARG_BYTES, &p->env, e);
	if (r >= 0)
		r = check_env(p, at, e);
	if (r >= 0)
		r = get_bool(o, at, "terminal", &p->terminal, e);
	if (r >= 0)
		r = read_console_size(o, at, p, e);
	if (r >= 0)
		r = read_user(o, at, p, e);
	if (r >= 0)
		r = read_caps(o, at, p, e);
	if (r >= 0)
		r = read_rlimits(o, at, p, e);
	if (r >= 0)
		r = plan_read_scheduling(o, at, p, e);
	if (r >= 0)
		r = get_bool(o, at, "noNewPrivileges", &p->no_new_privs, e);
	if (r >= 0)
		r = get_i64(o, at, "oomScoreAdj", -1000, 1000, &score, e);
	if (r == 1) {
		p->has_oom_score = true;
		p->oom_score_adj = (int)score;
	}
	return r < 0 ? r : 0;
}

int plan_parse_process(const char *json, size_t len, struct plan_process *ret, struct err *e)
{
	_cleanup_(plan_process_clear) struct plan_process p = { 0 };
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root;
	int r = json_parse_object(json, len, &doc, &root, e);

	if (r < 0)
		return err_wrap(e, "process");
	r = plan_read_process(root, "process", &p, e);
	if (r < 0)
		return r;
	*ret = p;
	p = (struct plan_process){ 0 };
	return 0;
}

void plan_process_clear(struct plan_process *p)
{
	strv_free(p->args);
	strv_free(p->env);
	free(p->cwd);
	free(p->groups);
	free(p->rlimits);
	*p = (struct plan_process){ 0 };
}
