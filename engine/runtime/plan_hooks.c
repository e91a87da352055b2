/*
 * config.json's "hooks" (runtime-spec config.md "POSIX-platform Hooks") to lists of programs.
 *
 * Who runs which kind where is in hooks.h. Called by plan_parse(); the lists belong to the plan.
 */
#include <limits.h>
#include <string.h>

#include "engine/runtime/plan_json.h"
#include "init/base/str.h"

const char *const plan_hook_names[HOOK_KINDS] = {
	[HOOK_PRESTART] = "prestart",
	[HOOK_CREATE_RUNTIME] = "createRuntime",
	[HOOK_CREATE_CONTAINER] = "createContainer",
	[HOOK_START_CONTAINER] = "startContainer",
	[HOOK_POSTSTART] = "poststart",
	[HOOK_POSTSTOP] = "poststop",
};

static int read_hook(yyjson_val *o, const char *key, struct plan_hook *h, struct err *e)
{
	int64_t timeout = 0;
	int r;

	if (!yyjson_is_obj(o))
		return err_set(e, EINVAL, "%s: must be an object", key);
	r = need(get_text(o, key, "path", PATH_MAX - 1, &h->path, e), key, "path", e);
	if (r == 0 && h->path[0] != '/')
		return err_set(e, EINVAL, "%s.path: must be an absolute path", key);
	if (r == 0)
		r = get_strv(o, key, "args", PLAN_ARGS_MAX, PLAN_ARG_BYTES, &h->args, e);
	if (r >= 0)
		r = get_strv(o, key, "env", PLAN_ARGS_MAX, PLAN_ARG_BYTES, &h->env, e);
	if (r >= 0)
		r = get_i64(o, key, "timeout", 1, PLAN_HOOK_SECONDS_MAX, &timeout, e);
	h->timeout = (unsigned int)timeout;
	return r < 0 ? r : 0;
}

static int read_kind(yyjson_val *o, const char *name, struct plan_hooks *ret, struct err *e)
{
	yyjson_val *list = NULL, *item;
	size_t i, n;
	int r = get_array(o, "hooks", name, PLAN_HOOKS_MAX, &list, e);

	if (r <= 0)
		return r;
	yyjson_arr_foreach(list, i, n, item)
	{
		struct plan_hook *h = array_add(&ret->list, &ret->n, sizeof(*h));
		char key[KEY_MAX];

		if (!h)
			return err_errno(e, ENOMEM, "hooks.%s", name);
		r = read_hook(item, key_item(key, "hooks", name, i), h, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int plan_parse_hooks(yyjson_val *root, struct plan *p, struct err *e)
{
	yyjson_val *o = NULL;
	int r = get_object(root, "", "hooks", &o, e);

	if (r <= 0)
		return r;
	for (int kind = 0; r >= 0 && kind < HOOK_KINDS; kind++)
		r = read_kind(o, plan_hook_names[kind], &p->hooks[kind], e);
	return r < 0 ? r : 0;
}

bool plan_has_hooks(const struct plan *p, enum plan_hook_kind first, enum plan_hook_kind last)
{
	for (int kind = first; kind <= (int)last; kind++)
		if (p->hooks[kind].n > 0)
			return true;
	return false;
}

void plan_hooks_clear(struct plan *p)
{
	for (int kind = 0; kind < HOOK_KINDS; kind++) {
		for (size_t i = 0; i < p->hooks[kind].n; i++) {
			free(p->hooks[kind].list[i].path);
			strv_free(p->hooks[kind].list[i].args);
			strv_free(p->hooks[kind].list[i].env);
		}
		free(p->hooks[kind].list);
		p->hooks[kind] = (struct plan_hooks){ 0 };
	}
}
