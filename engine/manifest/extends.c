/*
 * extends: a service on top of another one, of the same file or of one in its folder.
 *
 * Trees are put together before anything is read as a service, by the rules of the compose-spec
 * ("extends", "Merge"): mappings are merged, lists are joined (what stands for the same target only
 * once), other values of the service itself win. Nodes stay those of their documents, so errors
 * name the file in which a value stands; the new nodes belong to the project's own document, whose
 * bound on nodes bounds the work.
 */
#include "engine/manifest/reading.h"
#include "init/base/str.h"

enum { JOINED_MAX = 512 }; /* entries of a joined list: they are compared one by one */

/* How a key of a service is merged, where it is not by kind alone. */
enum merge_rule {
	MERGE_BY_KIND,
	MERGE_OVER, /* the service's own */
	MERGE_PAIRS, /* KEY=value lists are mappings */
	MERGE_NAMES, /* lists of names are mappings without values */
	MERGE_TARGETS, /* one entry for each target */
	MERGE_LOGGING, /* options only of the same driver */
};

static const struct {
	const char *key;
	enum merge_rule rule;
} rules[] = {
	{ "command", MERGE_OVER },	{ "entrypoint", MERGE_OVER },
	{ "environment", MERGE_PAIRS }, { "labels", MERGE_PAIRS },
	{ "annotations", MERGE_PAIRS }, { "sysctls", MERGE_PAIRS },
	{ "depends_on", MERGE_NAMES },	{ "networks", MERGE_NAMES },
	{ "volumes", MERGE_TARGETS },	{ "configs", MERGE_TARGETS },
	{ "secrets", MERGE_TARGETS },	{ "devices", MERGE_TARGETS },
	{ "logging", MERGE_LOGGING },	{ "test", MERGE_OVER }, /* of healthcheck */
};

static enum merge_rule rule_of(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (str_eq(rules[i].key, key))
			return rules[i].rule;
	return MERGE_BY_KIND;
}

static int merge(struct yaml_doc *doc, struct yaml_node *base, struct yaml_node *own,
		 const char *key, int depth, struct yaml_node **ret, struct err *e);

/* A list as a mapping: "KEY=value", or names whose value is nothing. */
static int as_map(struct yaml_doc *doc, struct yaml_node *n, bool values, struct yaml_node **ret,
		  struct err *e)
{
	struct yaml_node *map;

	*ret = n;
	if (n->kind != YAML_LIST)
		return 0;
	map = yaml_node_new(doc, YAML_MAP, n->line, e);
	for (size_t i = 0; map && i < n->n; i++) {
		const struct yaml_node *item = n->items[i];
		const char *text = item->kind == YAML_SCALAR ? item->text : NULL;
		const char *equals = text && values ? strchr(text, '=') : NULL;
		_cleanup_(mem_free) char *key = NULL;
		struct yaml_node *value;

		if (!text)
			return 0; /* the service's reader says what is wrong with it */
		key = strndup(text, equals ? (size_t)(equals - text) : strlen(text));
		value = yaml_node_new(doc, YAML_SCALAR, item->line, e);
		if (!key || !value)
			return -ENOMEM;
		value->doc = item->doc;
		value->plain = !equals;
		value->text = str_dup(equals ? equals + 1 : "");
		if (!value->text || yaml_set(map, key, item->line, value, e) < 0)
			return -ENOMEM;
	}
	if (!map)
		return -ENOMEM;
	map->doc = n->doc;
	*ret = map;
	return 0;
}

/* ---- lists ---- */

/* What an entry of volumes, configs, secrets or devices is for: its target, or its source. */
static char *target_of(const struct yaml_node *n)
{
	const struct yaml_node *target = yaml_get(n, "target");
	const char *text;
	size_t len;

	if (!target)
		target = yaml_get(n, "source");
	if (n->kind == YAML_MAP)
		return target && target->kind == YAML_SCALAR ? str_dup(target->text) : NULL;
	if (n->kind != YAML_SCALAR)
		return NULL;
	text = strchr(n->text, ':') ? strchr(n->text, ':') + 1 : n->text;
	len = strcspn(text, ":");
	return strndup(text, len);
}

static bool same_item(const struct yaml_node *a, const struct yaml_node *b, bool targets)
{
	_cleanup_(mem_free) char *ta = NULL, *tb = NULL;

	if (!targets)
		return a->kind == YAML_SCALAR && b->kind == YAML_SCALAR && str_eq(a->text, b->text);
	ta = target_of(a);
	tb = target_of(b);
	return ta && tb && str_eq(ta, tb);
}

/* The base's entries, but for those that the own list replaces, then the own ones. */
static int join_lists(struct yaml_doc *doc, struct yaml_node *base, struct yaml_node *own,
		      bool targets, struct yaml_node **ret, struct err *e)
{
	struct yaml_node *list = yaml_node_new(doc, YAML_LIST, own->line, e);
	int r = list ? 0 : -ENOMEM;

	if (list)
		list->doc = own->doc;
	if (r == 0 && base->n + own->n > JOINED_MAX)
		return yaml_err(own->doc, own->line, NULL, e,
				"with what it extends the list is longer than %d", JOINED_MAX);
	for (size_t i = 0; r == 0 && i < base->n; i++) {
		bool replaced = false;

		for (size_t j = 0; !replaced && j < own->n; j++)
			replaced = same_item(base->items[i], own->items[j], targets);
		if (!replaced)
			r = yaml_append(list, base->items[i], e);
	}
	for (size_t i = 0; r == 0 && i < own->n; i++)
		r = yaml_append(list, own->items[i], e);
	if (r == 0)
		*ret = list;
	return r;
}

/* ---- mappings ---- */

static int merge_maps(struct yaml_doc *doc, struct yaml_node *base, struct yaml_node *own,
		      int depth, struct yaml_node **ret, struct err *e)
{
	struct yaml_node *map = yaml_node_new(doc, YAML_MAP, own->line, e);
	int r = map ? 0 : -ENOMEM;

	if (map)
		map->doc = own->doc;
	for (size_t i = 0; r == 0 && i < base->n; i++) {
		const struct yaml_pair *b = &base->pairs[i];
		struct yaml_node *over = yaml_get(own, b->key), *value = b->value;

		if (over)
			r = merge(doc, b->value, over, b->key, depth + 1, &value, e);
		if (r == 0)
			r = yaml_set(map, b->key, over ? over->line : b->line, value, e);
	}
	for (size_t i = 0; r == 0 && i < own->n; i++)
		if (!yaml_get(base, own->pairs[i].key))
			r = yaml_set(map, own->pairs[i].key, own->pairs[i].line,
				     own->pairs[i].value, e);
	if (r == 0)
		*ret = map;
	return r;
}

static bool same_driver(const struct yaml_node *a, const struct yaml_node *b)
{
	const struct yaml_node *da = yaml_get(a, "driver"), *db = yaml_get(b, "driver");

	return !da || !db ||
	       (da->kind == YAML_SCALAR && db->kind == YAML_SCALAR && str_eq(da->text, db->text));
}

static int merge(struct yaml_doc *doc, struct yaml_node *base, struct yaml_node *own,
		 const char *key, int depth, struct yaml_node **ret, struct err *e)
{
	enum merge_rule rule = rule_of(key);
	int r = 0;

	if (depth > YAML_DEPTH_MAX)
		return yaml_err(own->doc, own->line, key, e, "nested too deep");
	if (rule == MERGE_PAIRS || rule == MERGE_NAMES) {
		r = as_map(doc, base, rule == MERGE_PAIRS, &base, e);
		if (r == 0)
			r = as_map(doc, own, rule == MERGE_PAIRS, &own, e);
		if (r < 0)
			return r;
	}
	*ret = own;
	if (yaml_is_null(own)) {
		*ret = base;
		return 0;
	}
	if (base->kind != own->kind || own->kind == YAML_SCALAR || rule == MERGE_OVER ||
	    (rule == MERGE_LOGGING && !same_driver(base, own)))
		return 0;
	return own->kind == YAML_LIST ? join_lists(doc, base, own, rule == MERGE_TARGETS, ret, e)
				      : merge_maps(doc, base, own, depth, ret, e);
}

/* ---- services ---- */

struct chain {
	const struct yaml_doc *doc;
	const char *name;
	const struct chain *up;
	int depth;
};

struct base_ref {
	char *service, *file;
};

static int read_ref(const struct place *p, const struct yaml_node *n, struct base_ref *ref,
		    struct err *e)
{
	static const struct key_row rows[] = {
		{ "service", VALUE_TEXT, offsetof(struct base_ref, service) },
		{ "file", VALUE_TEXT, offsetof(struct base_ref, file) },
	};
	int r = n->kind == YAML_SCALAR ? value_text(p, n, &ref->service, e)
				       : value_map(p, n, rows, ARRAY_SIZE(rows), ref, e);

	if (r == 0 && str_empty(ref->service))
		return yaml_err(n->doc, n->line, p->path, e, "the key service is missing");
	return r;
}

/* Files are those of the project's folder and of folders below it. */
static bool path_stays(const char *name)
{
	_cleanup_(strv_free) char **parts = strv_split(name, "/", false);

	return name[0] != '/' && parts && !strv_has(parts, "..");
}

static int open_doc(struct reading *rd, const struct place *p, const struct yaml_node *at,
		    const char *name, struct yaml_doc **ret, struct err *e)
{
	_cleanup_(mem_free) char *path = reading_path(at, name), *text = NULL;
	struct err why = { 0 };
	size_t len;

	if (!path)
		return err_errno(e, ENOMEM, "extends");
	if (!path_stays(name))
		return yaml_err(at->doc, at->line, p->path, e,
				"'%s' is not below the folder of this file", name);
	for (size_t i = 0; i < rd->n_docs; i++) {
		if (str_eq(rd->docs[i]->file, path)) {
			*ret = rd->docs[i];
			return 0;
		}
	}
	if (reading_file(rd, at, name, READING_FILE_MAX, &text, &len, &why) < 0)
		return yaml_err(at->doc, at->line, p->path, e, "%s", err_text(&why));
	if (reading_parse(rd, text, len, path, ret, &why) < 0)
		return yaml_err(at->doc, at->line, p->path, e, "%s", err_text(&why));
	return 0;
}

static int without_extends(struct yaml_doc *doc, struct yaml_node *n, struct yaml_node **ret,
			   struct err *e)
{
	struct yaml_node *map = yaml_node_new(doc, YAML_MAP, n->line, e);
	int r = map ? 0 : -ENOMEM;

	if (map)
		map->doc = n->doc;
	for (size_t i = 0; r == 0 && i < n->n; i++)
		if (!str_eq(n->pairs[i].key, "extends"))
			r = yaml_set(map, n->pairs[i].key, n->pairs[i].line, n->pairs[i].value, e);
	*ret = map;
	return r;
}

static int resolve(struct reading *rd, struct yaml_node *service, const struct chain *at,
		   struct yaml_node **ret, struct err *e);

/* The service that is extended, whole. */
static int resolve_base(struct reading *rd, const struct yaml_node *extends, const struct chain *at,
			struct yaml_node **ret, struct err *e)
{
	struct base_ref ref = { 0 };
	struct place p = { .doc = extends->doc };
	struct yaml_doc *doc = (struct yaml_doc *)at->doc;
	struct chain below = { .up = at, .depth = at->depth + 1 };
	struct yaml_node *base;
	int r;

	snprintf(p.path, sizeof(p.path), "services.%.100s.extends", at->name);
	r = read_ref(&p, extends, &ref, e);
	if (r == 0 && ref.file)
		r = open_doc(rd, &p, extends, ref.file, &doc, e);
	base = r == 0 ? yaml_get(yaml_get(doc->root, "services"), ref.service) : NULL;
	if (r == 0 && (!base || base->kind != YAML_MAP))
		r = yaml_err(extends->doc, extends->line, p.path, e,
			     "there is no service '%s' in %s", ref.service, doc->file);
	below.doc = doc;
	below.name = ref.service;
	for (const struct chain *c = at; r == 0 && c; c = c->up)
		if (c->doc == doc && str_eq(c->name, ref.service))
			r = yaml_err(extends->doc, extends->line, p.path, e,
				     "services extend each other: %s -> ... -> %s", ref.service,
				     ref.service);
	if (r == 0 && below.depth > READING_CHAIN_MAX)
		r = yaml_err(extends->doc, extends->line, p.path, e,
			     "more than %d services extend each other", READING_CHAIN_MAX);
	if (r == 0)
		r = resolve(rd, base, &below, ret, e);
	free(ref.service);
	free(ref.file);
	return r;
}

static int resolve(struct reading *rd, struct yaml_node *service, const struct chain *at,
		   struct yaml_node **ret, struct err *e)
{
	struct yaml_node *extends = yaml_get(service, "extends"), *own, *base;
	int r;

	*ret = service;
	if (yaml_is_null(extends))
		return 0;
	r = resolve_base(rd, extends, at, &base, e);
	if (r == 0)
		r = without_extends(rd->docs[0], service, &own, e);
	return r < 0 ? r : merge(rd->docs[0], base, own, "", 0, ret, e);
}

int extends_resolve(struct reading *rd, struct err *e)
{
	struct yaml_node *services = yaml_get(rd->docs[0]->root, "services");
	_cleanup_(mem_free) struct yaml_node **whole = NULL;
	int r = 0;

	if (!services || services->kind != YAML_MAP)
		return 0;
	whole = calloc(services->n + 1, sizeof(struct yaml_node *));
	if (!whole)
		return err_errno(e, ENOMEM, "extends");
	for (size_t i = 0; r == 0 && i < services->n; i++) {
		struct chain at = { .doc = rd->docs[0], .name = services->pairs[i].key };

		r = resolve(rd, services->pairs[i].value, &at, &whole[i], e);
	}
	for (size_t i = 0; r == 0 && i < services->n; i++)
		services->pairs[i].value = whole[i];
	return r;
}
