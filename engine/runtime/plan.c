/*
 * config.json to struct plan: the top level and the order of the steps.
 *
 * The order of ops: mounts as given, devices, /dev links, terminal, working directory, names,
 * sysctls, read-only paths, masked paths, read-only root last. plan_parse() is what the runner
 * (create.c) calls; the parsers of the parts are in plan_*.c.
 */
#include "engine/runtime/plan.h"

#include <limits.h>
#include <string.h>

#include "engine/runtime/plan_json.h"
#include "init/base/str.h"

struct plan_op *plan_add_op(struct plan *p, enum plan_op_kind kind, const char *key, struct err *e)
{
	struct plan_op *op = array_add(&p->ops, &p->n_ops, sizeof(*op));

	if (op) {
		op->kind = kind;
		op->key = str_dup(key);
		if (op->key)
			return op;
	}
	err_errno(e, ENOMEM, "%s", key);
	return NULL;
}

static int check_version(yyjson_val *root, struct err *e)
{
	_cleanup_(mem_free) char *version = NULL;
	int r = need(get_text(root, "", "ociVersion", 64, &version, e), "", "ociVersion", e);

	if (r == 0 && !str_starts(version, "1."))
		return err_set(e, EINVAL, "ociVersion: %s is not a version 1 of the runtime-spec",
			       version);
	return r;
}

/* Parts for other systems: a config that has them is not meant for this one. */
static int refuse_foreign(yyjson_val *root, struct err *e)
{
	static const char *const names[] = { "solaris", "windows", "vm", "zos", "freebsd" };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
		r = refuse_set(root, "", names[i], "is for another system than Linux", e);
	return r;
}

static int read_root(yyjson_val *root, struct plan *p, struct err *e)
{
	yyjson_val *o = NULL;
	int r = need(get_object(root, "", "root", &o, e), "", "root", e);

	if (r == 0)
		r = need(get_text(o, "root", "path", PATH_MAX - 1, &p->root, e), "root", "path", e);
	if (r == 0 && str_empty(p->root))
		return err_set(e, EINVAL, "root.path: must not be empty");
	if (r == 0)
		r = get_bool(o, "root", "readonly", &p->root_readonly, e);
	return r < 0 ? r : 0;
}

static int read_names(yyjson_val *root, struct plan *p, struct err *e)
{
	int r = get_text(root, "", "hostname", 64, &p->hostname, e);

	if (r >= 0)
		r = get_text(root, "", "domainname", 64, &p->domainname, e);
	if (r >= 0 && (!str_empty(p->hostname) || !str_empty(p->domainname)) &&
	    !p->ns[NS_UTS].wanted)
		return err_set(e, EINVAL,
			       "hostname, domainname: need a uts namespace of the container's own");
	return r < 0 ? r : 0;
}

static int read_annotations(yyjson_val *root, struct plan *p, struct err *e)
{
	yyjson_val *map = NULL, *key, *value;
	size_t i, n;
	int r = get_object(root, "", "annotations", &map, e);

	if (r <= 0)
		return r;
	if (yyjson_obj_size(map) > PLAN_LIST_MAX)
		return err_set(e, EINVAL, "annotations: too many entries");
	yyjson_obj_foreach(map, i, n, key, value)
	{
		if (!yyjson_is_str(value))
			return err_set(e, EINVAL, "annotations.%s: must be a string",
				       yyjson_get_str(key));
		if (strv_addf(&p->annotations, "%s=%s", yyjson_get_str(key),
			      yyjson_get_str(value)) < 0)
			return err_errno(e, ENOMEM, "annotations");
	}
	return 0;
}

/* "idmap" without mappings of its own takes those of the container's user namespace. */
static int check_idmaps(const struct plan *p, struct err *e)
{
	for (size_t i = 0; i < p->n_ops; i++)
		if (p->ops[i].kind == OP_MOUNT && p->ops[i].mount.idmap != PLAN_IDMAP_NONE &&
		    !p->ops[i].mount.n_uid_map && !p->ns[NS_USER].wanted)
			return err_set(
				e, EINVAL,
				"%s.options: \"idmap\" needs uidMappings and gidMappings, or "
				"a user namespace",
				p->ops[i].key);
	return 0;
}

/* A step with one text. */
static int add_text_op(struct plan *p, enum plan_op_kind kind, const char *key, const char *text,
		       struct err *e)
{
	struct plan_op *op;

	if (str_empty(text))
		return 0;
	op = plan_add_op(p, kind, key, e);
	if (!op)
		return -ENOMEM;
	op->path = str_dup(text);
	return op->path ? 0 : err_errno(e, ENOMEM, "%s", key);
}

/* The steps that come from the top level, between the devices and the sysctls as far as order
 * matters. */
static int add_own_ops(struct plan *p, struct err *e)
{
	int r = add_text_op(p, OP_CWD, "process.cwd", p->process.cwd, e);

	if (r == 0)
		r = add_text_op(p, OP_HOSTNAME, "hostname", p->hostname, e);
	if (r == 0)
		r = add_text_op(p, OP_DOMAINNAME, "domainname", p->domainname, e);
	if (r == 0 && p->root_readonly && !plan_add_op(p, OP_ROOT_READONLY, "root.readonly", e))
		return -ENOMEM;
	return r;
}

/* Steps are carried out in the order of their kinds; within a kind as they came. */
static int sort_ops(struct plan *p, struct err *e)
{
	struct plan_op *sorted = calloc(p->n_ops ? p->n_ops : 1, sizeof(*sorted));
	size_t n = 0;

	if (!sorted)
		return err_errno(e, ENOMEM, "config.json");
	for (int kind = 0; kind < OP_KINDS; kind++)
		for (size_t i = 0; i < p->n_ops; i++)
			if ((int)p->ops[i].kind == kind)
				sorted[n++] = p->ops[i];
	if (n > 0)
		memcpy(p->ops, sorted, n * sizeof(*sorted));
	free(sorted);
	return 0;
}

int plan_parse_cached(const char *json, size_t len, const char *seccomp_cache, struct plan **ret,
		      struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(plan_free) struct plan *p = calloc(1, sizeof(*p));
	yyjson_val *root, *process = NULL;
	int r;

	if (!p)
		return err_errno(e, ENOMEM, "config.json");
	r = json_parse_object(json, len, &doc, &root, e);
	if (r < 0)
		return err_wrap(e, "config.json");
	r = check_version(root, e);
	if (r == 0)
		r = refuse_foreign(root, e);
	if (r == 0)
		r = read_root(root, p, e);
	if (r == 0)
		r = need(get_object(root, "", "process", &process, e), "", "process", e);
	if (r == 0)
		r = plan_read_process(process, "process", &p->process, e);
	if (r == 0)
		r = plan_parse_mounts(root, p, e);
	if (r == 0)
		r = plan_parse_linux(root, seccomp_cache, p, e);
	if (r == 0)
		r = check_idmaps(p, e);
	if (r == 0)
		r = read_names(root, p, e);
	if (r == 0)
		r = read_annotations(root, p, e);
	if (r == 0)
		r = plan_parse_hooks(root, p, e);
	if (r == 0 && p->process.terminal && !plan_add_op(p, OP_CONSOLE, "process.terminal", e))
		r = -ENOMEM;
	if (r == 0)
		r = add_own_ops(p, e);
	if (r == 0)
		r = sort_ops(p, e);
	if (r < 0)
		return r;
	*ret = take_ptr(p);
	return 0;
}

int plan_parse(const char *json, size_t len, struct plan **ret, struct err *e)
{
	return plan_parse_cached(json, len, NULL, ret, e);
}

static void op_clear(struct plan_op *op)
{
	free(op->key);
	free(op->path);
	free(op->value);
	free(op->device.path);
	free(op->mount.type);
	free(op->mount.source);
	free(op->mount.subpath);
	free(op->mount.destination);
	free(op->mount.uid_map);
	free(op->mount.gid_map);
	strv_free(op->mount.data);
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_ops; i++)
		op_clear(&p->ops[i]);
	for (size_t i = 0; i < NS_KINDS; i++)
		free(p->ns[i].path);
	free(p->ops);
	free(p->root);
	free(p->uid_map);
	free(p->gid_map);
	free(p->time_offsets);
	free(p->cgroup);
	free(p->hostname);
	free(p->domainname);
	strv_free(p->annotations);
	plan_resources_clear(&p->resources);
	plan_process_clear(&p->process);
	plan_hooks_clear(p);
	filter_spec_free(p->seccomp);
	filter_program_clear(&p->program);
	free(p->seccomp_text);
	free(p);
}
