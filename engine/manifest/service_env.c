/*
 * The keys of a service that are lists of names and values: environment, env_file, label_file,
 * extra_hosts.
 */
#include "engine/manifest/service.h"
#include "init/base/str.h"

static int no_memory(const struct place *p, struct err *e)
{
	return err_errno(e, ENOMEM, "%s", p->path);
}

/* ---- files ---- */

static int read_file_at(struct service_target *t, const struct place *p, const struct yaml_node *n,
			const char *name, bool required, bool raw, char ***env, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL, *path = reading_path(n, name);
	size_t known = strv_len(t->rd->vars.missing);
	struct err why = { 0 };
	int r = path ? reading_file(t->rd, n, name, READING_FILE_MAX, &text, NULL, &why)
		     : err_errno(&why, ENOMEM, "%s", name);

	if (r == -ENOENT && !required)
		return 0;
	if (r == 0)
		r = env_file_read(text, path, raw, &t->rd->vars, env, &why);
	if (r < 0)
		return yaml_err(n->doc, n->line, p->path, e, "%s", err_text(&why));
	for (size_t i = known; t->rd->vars.missing && t->rd->vars.missing[i]; i++)
		if (strv_addf(&t->rd->project->warnings,
			      "%s: The \"%s\" variable is not set. Defaulting to a blank string.",
			      path, t->rd->vars.missing[i]) < 0)
			return no_memory(p, e);
	return 0;
}

struct env_file {
	char *path, *format;
	bool optional;
};

static int read_required(void *target, const struct place *p, const struct yaml_node *n,
			 struct err *e)
{
	struct env_file *f = target;
	bool required = true;
	int r = value_bool(p, n, &required, e);

	f->optional = !required;
	return r;
}

static int read_format(void *target, const struct place *p, const struct yaml_node *n,
		       struct err *e)
{
	struct env_file *f = target;

	if (n->kind != YAML_SCALAR || !str_eq(n->text, "raw"))
		return value_wrong(p, n, "raw, or no format for that of compose", e);
	return value_text(p, n, &f->format, e);
}

static int read_env_file_map(struct service_target *t, const struct place *p,
			     const struct yaml_node *n, struct err *e)
{
	static const struct key_row rows[] = {
		{ "path", VALUE_TEXT, offsetof(struct env_file, path) },
		{ "required", VALUE_CALL, 0, read_required },
		{ "format", VALUE_CALL, 0, read_format },
	};
	struct env_file f = { 0 };
	int r = value_map(p, n, rows, ARRAY_SIZE(rows), &f, e);

	if (r == 0 && str_empty(f.path))
		r = yaml_err(n->doc, n->line, p->path, e, "the key path is missing");
	if (r == 0)
		r = read_file_at(t, p, n, f.path, !f.optional, f.format != NULL, &t->env_from_files,
				 e);
	free(f.path);
	free(f.format);
	return r;
}

/* One entry, or a list of them. */
static int each_item(const struct place *p, const struct yaml_node *n, struct service_target *t,
		     int (*fn)(struct service_target *t, const struct place *p,
			       const struct yaml_node *n, struct err *e),
		     struct err *e)
{
	int r = 0;

	if (n->kind != YAML_LIST)
		return fn(t, p, n, e);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		struct place at = place_at(p, NULL, i);

		r = fn(t, &at, n->items[i], e);
	}
	return r;
}

static int read_env_file_item(struct service_target *t, const struct place *p,
			      const struct yaml_node *n, struct err *e)
{
	if (n->kind == YAML_LIST)
		return value_wrong(p, n, "a path", e);
	return n->kind == YAML_MAP
		       ? read_env_file_map(t, p, n, e)
		       : read_file_at(t, p, n, n->text, true, false, &t->env_from_files, e);
}

int service_read_env_file(void *target, const struct place *p, const struct yaml_node *n,
			  struct err *e)
{
	return each_item(p, n, target, read_env_file_item, e);
}

static int read_label_file_item(struct service_target *t, const struct place *p,
				const struct yaml_node *n, struct err *e)
{
	if (n->kind != YAML_SCALAR)
		return value_wrong(p, n, "a path", e);
	return read_file_at(t, p, n, n->text, true, false, &t->labels_from_files, e);
}

int service_read_label_file(void *target, const struct place *p, const struct yaml_node *n,
			    struct err *e)
{
	return each_item(p, n, target, read_label_file_item, e);
}

/* ---- environment ---- */

/* Names without a value, whose value is the project's, if it has one. */
static int inherit(struct service_target *t, const struct place *p, const char *name, struct err *e)
{
	const char *value = strv_env_get(t->rd->vars.env, name);

	if (!value || strchr(name, '='))
		return 0;
	return strv_env_set(&t->s.create.config.env, name, value) < 0 ? no_memory(p, e) : 0;
}

int service_read_environment(void *target, const struct place *p, const struct yaml_node *n,
			     struct err *e)
{
	struct service_target *t = target;
	int r = value_env(p, n, &t->s.create.config.env, e);

	for (size_t i = 0; r == 0 && i < n->n; i++) {
		if (n->kind == YAML_LIST)
			r = inherit(t, p, n->items[i]->text, e);
		else if (yaml_is_null(n->pairs[i].value))
			r = inherit(t, p, n->pairs[i].key, e);
	}
	return r;
}

int service_join_files(struct service_target *t, struct err *e)
{
	struct container_config *c = &t->s.create.config;

	for (char **v = c->env; v && *v; v++) {
		_cleanup_(mem_free) char *name = strndup(*v, strcspn(*v, "="));

		if (!name || strv_env_set(&t->env_from_files, name, *v + strlen(name) + 1) < 0)
			return err_errno(e, ENOMEM, "environment");
	}
	strv_free(c->env);
	c->env = take_ptr(t->env_from_files);
	for (char **v = t->labels_from_files; v && *v; v++) {
		_cleanup_(mem_free) char *name = strndup(*v, strcspn(*v, "="));

		if (!name)
			return err_errno(e, ENOMEM, "label_file");
		if (!pairs_get(&c->labels, name) &&
		    pairs_set(&c->labels, name, *v + strlen(name) + 1) < 0)
			return err_errno(e, ENOMEM, "label_file");
	}
	return 0;
}

/* ---- extra_hosts ---- */

static int add_host(struct service_target *t, const struct place *p, const struct yaml_node *n,
		    const char *name, const char *address, struct err *e)
{
	size_t len = strlen(address);
	bool bracket = len > 2 && address[0] == '[' && address[len - 1] == ']';

	if (!*name || !*address || strchr(name, '='))
		return yaml_err(n->doc, n->line, p->path, e,
				"expected NAME:ADDRESS or NAME=ADDRESS");
	return strv_addf(&t->s.create.host.extra_hosts, "%s:%.*s", name,
			 (int)(bracket ? len - 2 : len), address + bracket) < 0
		       ? no_memory(p, e)
		       : 0;
}

/* "NAME:ADDRESS", "NAME=ADDRESS" */
static int add_host_text(struct service_target *t, const struct place *p, const struct yaml_node *n,
			 struct err *e)
{
	size_t len;
	_cleanup_(mem_free) char *name = NULL;

	if (n->kind != YAML_SCALAR)
		return value_wrong(p, n, "a text such as \"name:10.0.0.1\"", e);
	len = strchr(n->text, '=') ? strcspn(n->text, "=") : strcspn(n->text, ":");
	name = strndup(n->text, len);
	if (!name)
		return no_memory(p, e);
	return add_host(t, p, n, name, n->text[len] ? n->text + len + 1 : "", e);
}

int service_read_extra_hosts(void *target, const struct place *p, const struct yaml_node *n,
			     struct err *e)
{
	struct service_target *t = target;
	int r = 0;

	if (n->kind == YAML_SCALAR)
		return value_wrong(p, n, "a list of \"name:address\", or a mapping", e);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		const struct yaml_node *v = n->kind == YAML_LIST ? n->items[i] : n->pairs[i].value;
		struct place at = place_at(p, n->kind == YAML_MAP ? n->pairs[i].key : NULL, i);
		_cleanup_(strv_free) char **words = NULL;

		if (n->kind == YAML_LIST) {
			r = add_host_text(t, &at, v, e);
			continue;
		}
		r = value_words(&at, v, &words, e);
		for (char **w = words; r == 0 && w && *w; w++)
			r = add_host(t, &at, v, n->pairs[i].key, *w, e);
	}
	return r;
}
