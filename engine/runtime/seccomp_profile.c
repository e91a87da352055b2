/*
 * A user's own seccomp profile in Docker's format to the `linux.seccomp` object of one container.
 *
 * Docker's format is OCI's with conditions: archMap in place of architectures, and per rule
 * includes and excludes by capability, architecture and kernel version. They are decided here, for
 * this machine and these capabilities; what remains is passed through and checked by plan_seccomp.c
 * like any other.
 */
#include <stdio.h>
#include <string.h>

#include "engine/runtime/plan_json.h"
#include "engine/runtime/profile.h"
#include "engine/runtime/seccomp_default.h"
#include "init/base/str.h"

#if defined(__x86_64__)
#define ARCH_GO "amd64"
#define ARCH_SCMP "SCMP_ARCH_X86_64"
#elif defined(__aarch64__)
#define ARCH_GO "arm64"
#define ARCH_SCMP "SCMP_ARCH_AARCH64"
#else
#error "name this architecture here"
#endif

struct machine {
	uint64_t caps;
	unsigned int kernel;
};

/* One of includes, excludes. */
struct condition {
	char **caps, **arches;
	char *kernel;
};

static void condition_clear(struct condition *c)
{
	strv_free(c->caps);
	strv_free(c->arches);
	free(c->kernel);
}
DEFINE_CLEANUP_VALUE(struct condition, condition_clear)

static int read_condition(yyjson_val *rule, const char *at, const char *name, struct condition *ret,
			  struct err *e)
{
	yyjson_val *o = NULL;
	char key[KEY_MAX];
	int r = get_object(rule, at, name, &o, e);

	if (r <= 0)
		return r;
	key_of(key, at, name);
	r = get_strv(o, key, "caps", 64, 64, &ret->caps, e);
	if (r >= 0)
		r = get_strv(o, key, "arches", 64, 32, &ret->arches, e);
	if (r >= 0)
		r = get_text(o, key, "minKernel", 32, &ret->kernel, e);
	return r < 0 ? r : 0;
}

static bool has_cap(const struct machine *m, const char *name)
{
	int n = caps_number(name);

	return n >= 0 && (m->caps & 1ULL << n);
}

static bool kernel_is(const struct machine *m, const char *text)
{
	unsigned int major = 0, minor = 0;

	return sscanf(text, "%u.%u", &major, &minor) == 2 && m->kernel >= (major << 8 | minor);
}

/* All that `includes` names must hold, nothing that `excludes` names may (moby's rule). */
static bool applies(const struct machine *m, const struct condition *in, const struct condition *ex)
{
	if (in->arches && *in->arches && !strv_has(in->arches, ARCH_GO))
		return false;
	if (strv_has(ex->arches, ARCH_GO))
		return false;
	for (char **c = in->caps; c && *c; c++)
		if (!has_cap(m, *c))
			return false;
	for (char **c = ex->caps; c && *c; c++)
		if (has_cap(m, *c))
			return false;
	if (in->kernel && *in->kernel && !kernel_is(m, in->kernel))
		return false;
	return !(ex->kernel && *ex->kernel && kernel_is(m, ex->kernel));
}

static void copy_member(struct json_writer *w, yyjson_val *o, const char *name)
{
	yyjson_val *v = yyjson_obj_get(o, name);

	if (!v || yyjson_is_null(v))
		return;
	json_key(w, name);
	json_value(w, v);
}

static int write_rule(struct json_writer *w, yyjson_val *rule, const char *at,
		      const struct machine *m, struct err *e)
{
	_cleanup_(condition_clear) struct condition in = { 0 }, ex = { 0 };
	_cleanup_(mem_free) char *name = NULL;
	int r;

	if (!yyjson_is_obj(rule))
		return err_set(e, EINVAL, "%s: must be an object", at);
	r = read_condition(rule, at, "includes", &in, e);
	if (r == 0)
		r = read_condition(rule, at, "excludes", &ex, e);
	if (r == 0)
		r = get_text(rule, at, "name", 64, &name, e);
	if (r < 0)
		return r;
	if (!applies(m, &in, &ex))
		return 0;
	json_begin_object(w);
	if (!str_empty(name)) { /* the oldest form: one call per rule */
		json_key(w, "names");
		json_begin_array(w);
		json_str(w, name);
		json_end_array(w);
	} else {
		copy_member(w, rule, "names");
	}
	copy_member(w, rule, "action");
	copy_member(w, rule, "errnoRet");
	copy_member(w, rule, "args");
	json_end_object(w);
	return 0;
}

/* archMap's entry for this machine, or the plain list. */
static int write_arches(struct json_writer *w, yyjson_val *root, struct err *e)
{
	yyjson_val *map = NULL, *item, *sub;
	size_t i, n, k, n_sub;
	int r = get_array(root, "", "archMap", 64, &map, e);

	if (r < 0)
		return r;
	if (!map) {
		copy_member(w, root, "architectures");
		return 0;
	}
	if (yyjson_arr_size(yyjson_obj_get(root, "architectures")) > 0)
		return err_set(
			e, EINVAL,
			"architectures: archMap and architectures do not go together, use one");
	yyjson_arr_foreach(map, i, n, item)
	{
		if (!str_eq(yyjson_get_str(yyjson_obj_get(item, "architecture")), ARCH_SCMP))
			continue;
		json_key(w, "architectures");
		json_begin_array(w);
		json_str(w, ARCH_SCMP);
		yyjson_arr_foreach(yyjson_obj_get(item, "subArchitectures"), k, n_sub, sub)
			json_value(w, sub);
		json_end_array(w);
		break;
	}
	return 0;
}

static int write_profile(struct json_writer *w, yyjson_val *root, const struct machine *m,
			 struct err *e)
{
	yyjson_val *rules = NULL, *rule;
	size_t i, n;
	int r;

	json_begin_object(w);
	copy_member(w, root, "defaultAction");
	copy_member(w, root, "defaultErrnoRet");
	copy_member(w, root, "flags");
	copy_member(w, root, "listenerPath");
	r = write_arches(w, root, e);
	if (r == 0)
		r = get_array(root, "", "syscalls", PLAN_LIST_MAX, &rules, e);
	if (r < 0)
		return r;
	json_key(w, "syscalls");
	json_begin_array(w);
	yyjson_arr_foreach(rules, i, n, rule)
	{
		char key[KEY_MAX];

		r = write_rule(w, rule, key_item(key, "", "syscalls", i), m, e);
		if (r < 0)
			return r;
	}
	json_end_array(w);
	json_end_object(w);
	return 0;
}

int seccomp_profile_write(const char *json, size_t len, uint64_t caps, unsigned int kernel,
			  struct buf *out, struct err *e)
{
	struct machine m = { caps, kernel ? kernel : seccomp_kernel() };
	_cleanup_(filter_spec_free) struct filter_spec *spec = NULL;
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL, *made = NULL;
	_cleanup_(buf_free) struct buf text = BUF_INIT(JSON_SIZE_MAX);
	struct json_writer w;
	yyjson_val *root;
	int r = json_parse_object(json, len, &doc, &root, e);

	json_writer_init(&w, &text);
	if (r == 0)
		r = write_profile(&w, root, &m, e);
	if (r == 0 && buf_failed(&text))
		r = err_errno(e, -buf_failed(&text), "too large");
	/* what the runtime would refuse later is told now, where the user still looks */
	if (r == 0)
		r = json_parse_object(text.data, text.len, &made, &root, e);
	if (r == 0)
		r = plan_read_seccomp(root, "", &spec, e);
	if (r < 0)
		return err_wrap(e, "seccomp profile");
	buf_add(out, text.data, text.len);
	return buf_failed(out) ? err_errno(e, -buf_failed(out), "seccomp profile") : 0;
}
