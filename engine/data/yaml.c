/*
 * libyaml's events to a tree of nodes (see yaml.h). One stack of open collections, one table of
 * anchors; all nodes are kept in a list of the document and freed together.
 */
#include "engine/data/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <yaml.h>

#include "init/base/map.h"
#include "init/base/str.h"

struct builder {
	struct yaml_doc *doc;
	yaml_parser_t parser;
	struct map anchors; /* name -> node */
	struct yaml_node *stack[YAML_DEPTH_MAX];
	char *keys[YAML_DEPTH_MAX]; /* of a map: the key that waits for its value */
	int key_lines[YAML_DEPTH_MAX];
	size_t depth;
	size_t merged; /* keys that merges looked at */
};

int yaml_err(const struct yaml_doc *doc, int line, const char *path, struct err *e, const char *fmt,
	     ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(e, EINVAL, "%s:%d: %s%s%s", doc->file, line, path ? path : "",
		       path && *path ? ": " : "", text);
}

void yaml_doc_free(struct yaml_doc *doc)
{
	if (!doc)
		return;
	for (size_t i = 0; i < doc->n_nodes; i++) {
		struct yaml_node *n = doc->nodes[i];

		for (size_t j = 0; n->kind == YAML_MAP && j < n->n; j++)
			free((char *)n->pairs[j].key);
		free((char *)n->text);
		free(n->pairs);
		free(n->items);
		free(n);
	}
	free(doc->nodes);
	free(doc->file);
	free(doc);
}

struct yaml_node *yaml_node_new(struct yaml_doc *doc, enum yaml_kind kind, int line, struct err *e)
{
	struct yaml_node *n;

	if (doc->n_nodes == YAML_NODES_MAX) {
		yaml_err(doc, line, NULL, e, "more than %d values in one file", YAML_NODES_MAX);
		return NULL;
	}
	if ((doc->n_nodes & (doc->n_nodes - 1)) == 0) { /* full at powers of two */
		size_t cap = doc->n_nodes ? doc->n_nodes * 2 : 1;
		struct yaml_node **grown = reallocarray(doc->nodes, cap, sizeof(*grown));

		if (!grown) {
			err_errno(e, ENOMEM, "%s", doc->file);
			return NULL;
		}
		doc->nodes = grown;
	}
	n = calloc(1, sizeof(*n));
	if (!n) {
		err_errno(e, ENOMEM, "%s", doc->file);
		return NULL;
	}
	n->kind = kind;
	n->line = line;
	n->doc = doc;
	n->weight = 1;
	doc->nodes[doc->n_nodes++] = n;
	return n;
}

static int add_weight(struct builder *b, struct yaml_node *parent, const struct yaml_node *child,
		      struct err *e)
{
	parent->weight += child->weight;
	if (parent->weight > YAML_WEIGHT_MAX)
		return yaml_err(b->doc, MAX(parent->line, child->line), NULL, e,
				"the aliases of this file stand for more than %d values",
				YAML_WEIGHT_MAX);
	return 0;
}

static struct yaml_pair *pair_find(const struct yaml_node *map, const char *key)
{
	for (size_t i = 0; i < map->n; i++)
		if (str_eq(map->pairs[i].key, key))
			return &map->pairs[i];
	return NULL;
}

static int pair_append(struct yaml_node *map, const char *key, int line, struct yaml_node *value,
		       struct err *e)
{
	struct yaml_pair *grown;
	char *copy;

	if (map->n == YAML_KEYS_MAX)
		return yaml_err(map->doc, line, NULL, e, "more than %d keys in one mapping",
				YAML_KEYS_MAX);
	grown = reallocarray(map->pairs, map->n + 1, sizeof(*grown));
	copy = str_dup(key);

	if (grown)
		map->pairs = grown;
	if (!grown || !copy) {
		free(copy);
		return err_errno(e, ENOMEM, "%s", map->doc->file);
	}
	grown[map->n++] = (struct yaml_pair){ .key = copy, .line = line, .value = value };
	return 0;
}

static int pair_add(struct builder *b, struct yaml_node *map, const char *key, int line,
		    struct yaml_node *value, struct err *e)
{
	int r = pair_append(map, key, line, value, e);

	return r < 0 ? r : add_weight(b, map, value, e);
}

int yaml_set(struct yaml_node *map, const char *key, int line, struct yaml_node *value,
	     struct err *e)
{
	struct yaml_pair *pair = pair_find(map, key);

	if (!pair)
		return pair_append(map, key, line, value, e);
	pair->line = line;
	pair->value = value;
	return 0;
}

int yaml_append(struct yaml_node *list, struct yaml_node *value, struct err *e)
{
	struct yaml_node **grown =
		reallocarray(list->items, list->n + 1, sizeof(struct yaml_node *));

	if (!grown)
		return err_errno(e, ENOMEM, "%s", list->doc->file);
	list->items = grown;
	list->items[list->n++] = value;
	return 0;
}

/* Works the merge keys of a finished map in: one mapping, or a list of them. */
static int merge_map(struct builder *b, struct yaml_node *map, const struct yaml_node *from,
		     struct err *e)
{
	int r = 0;

	if (from->kind != YAML_MAP)
		return yaml_err(b->doc, from->line, "<<", e,
				"a merge key takes a mapping or a list of mappings");
	b->merged += from->n;
	if (b->merged > YAML_MERGED_MAX)
		return yaml_err(b->doc, map->line, "<<", e,
				"the merges of this file stand for more than %d keys",
				YAML_MERGED_MAX);
	for (size_t i = 0; r == 0 && i < from->n; i++)
		if (!pair_find(map, from->pairs[i].key))
			r = pair_add(b, map, from->pairs[i].key, from->pairs[i].line,
				     from->pairs[i].value, e);
	return r;
}

static int merge_keys(struct builder *b, struct yaml_node *map, struct err *e)
{
	struct yaml_pair *merge = pair_find(map, "<<");
	struct yaml_node *from;
	int r = 0;

	if (!merge)
		return 0;
	from = merge->value;
	free((char *)merge->key);
	*merge = map->pairs[--map->n];
	if (from->kind != YAML_LIST)
		return merge_map(b, map, from, e);
	for (size_t i = 0; r == 0 && i < from->n; i++)
		r = merge_map(b, map, from->items[i], e);
	return r;
}

/* Puts a finished or just opened value where it belongs. */
static int place(struct builder *b, struct yaml_node *value, struct err *e)
{
	struct yaml_node *top = b->depth ? b->stack[b->depth - 1] : NULL;
	char **key = b->depth ? &b->keys[b->depth - 1] : NULL;
	int r;

	if (!top) {
		b->doc->root = value;
		return 0;
	}
	if (top->kind == YAML_LIST) {
		r = yaml_append(top, value, e);
		return r < 0 ? r : add_weight(b, top, value, e);
	}
	if (!*key) {
		if (value->kind != YAML_SCALAR)
			return yaml_err(b->doc, value->line, NULL, e, "a key must be a plain word");
		if (pair_find(top, value->text))
			return yaml_err(b->doc, value->line, value->text, e,
					"this key stands twice (first in line %d)",
					pair_find(top, value->text)->line);
		*key = str_dup(value->text);
		b->key_lines[b->depth - 1] = value->line;
		return *key ? 0 : err_errno(e, ENOMEM, "%s", b->doc->file);
	}
	r = pair_add(b, top, *key, b->key_lines[b->depth - 1], value, e);
	free(*key);
	*key = NULL;
	return r;
}

static int anchor(struct builder *b, const yaml_char_t *name, struct yaml_node *node, struct err *e)
{
	if (!name)
		return 0;
	return map_put(&b->anchors, (const char *)name, node, NULL) < 0
		       ? err_errno(e, ENOMEM, "%s", b->doc->file)
		       : 0;
}

static int on_alias(struct builder *b, const yaml_event_t *ev, int line, struct err *e)
{
	const char *name = (const char *)ev->data.alias.anchor;
	struct yaml_node *node = map_get(&b->anchors, name);

	if (!node)
		return yaml_err(b->doc, line, NULL, e, "*%s: there is no &%s above", name, name);
	if (node->open)
		return yaml_err(b->doc, line, NULL, e, "*%s: an alias inside of what it stands for",
				name);
	return place(b, node, e);
}

/* Only the core schema's tags mean something here; a text that is named one is no number. */
static int check_tag(struct builder *b, const yaml_char_t *tag, int line, struct err *e)
{
	static const char core[] = "tag:yaml.org,2002:";
	static const char *const names[] = { "str", "int", "float", "bool", "null", "map", "seq" };

	if (!tag || str_eq((const char *)tag, "!"))
		return 0;
	for (size_t i = 0; str_starts((const char *)tag, core) && i < ARRAY_SIZE(names); i++)
		if (str_eq((const char *)tag + strlen(core), names[i]))
			return 0;
	return yaml_err(b->doc, line, NULL, e, "the tag %s is not supported", (const char *)tag);
}

static int on_scalar(struct builder *b, const yaml_event_t *ev, int line, struct err *e)
{
	const char *text = (const char *)ev->data.scalar.value;
	struct yaml_node *n = yaml_node_new(b->doc, YAML_SCALAR, line, e);
	int r;

	if (!n)
		return -e->code;
	if (strlen(text) != ev->data.scalar.length)
		return yaml_err(b->doc, line, NULL, e, "a text must not contain a NUL character");
	if (check_tag(b, ev->data.scalar.tag, line, e) < 0)
		return -EINVAL;
	n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !ev->data.scalar.tag;
	n->text = str_dup(text);
	if (!n->text)
		return err_errno(e, ENOMEM, "%s", b->doc->file);
	r = anchor(b, ev->data.scalar.anchor, n, e);
	return r < 0 ? r : place(b, n, e);
}

static int on_begin(struct builder *b, enum yaml_kind kind, const yaml_char_t *name,
		    const yaml_char_t *tag, int line, struct err *e)
{
	struct yaml_node *n;
	int r = check_tag(b, tag, line, e);

	if (r < 0)
		return r;
	if (b->depth == YAML_DEPTH_MAX)
		return yaml_err(b->doc, line, NULL, e, "nested deeper than %d levels",
				YAML_DEPTH_MAX);
	n = yaml_node_new(b->doc, kind, line, e);
	if (!n)
		return -e->code;
	n->open = true;
	r = anchor(b, name, n, e);
	b->stack[b->depth] = n;
	b->keys[b->depth++] = NULL;
	return r;
}

/* A collection is placed when it is complete, so that its weight is known. */
static int on_end(struct builder *b, struct err *e)
{
	struct yaml_node *n = b->stack[--b->depth];
	int r = n->kind == YAML_MAP ? merge_keys(b, n, e) : 0;

	n->open = false;
	return r < 0 ? r : place(b, n, e);
}

static int on_event(struct builder *b, const yaml_event_t *ev, struct err *e)
{
	int line = (int)ev->start_mark.line + 1;

	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->doc->root)
			return yaml_err(b->doc, line, NULL, e,
					"a second document; one file holds one");
		return 0;
	case YAML_ALIAS_EVENT:
		return on_alias(b, ev, line, e);
	case YAML_SCALAR_EVENT:
		return on_scalar(b, ev, line, e);
	case YAML_SEQUENCE_START_EVENT:
		return on_begin(b, YAML_LIST, ev->data.sequence_start.anchor,
				ev->data.sequence_start.tag, line, e);
	case YAML_MAPPING_START_EVENT:
		return on_begin(b, YAML_MAP, ev->data.mapping_start.anchor,
				ev->data.mapping_start.tag, line, e);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_end(b, e);
	default:
		return 0;
	}
}

static int parser_error(struct builder *b, struct err *e)
{
	const yaml_parser_t *p = &b->parser;
	int line = (int)(p->problem_mark.line ? p->problem_mark.line : p->context_mark.line) + 1;

	if (p->error == YAML_MEMORY_ERROR)
		return err_errno(e, ENOMEM, "%s", b->doc->file);
	return yaml_err(b->doc, line, NULL, e, "not YAML: %s%s%s", p->context ? p->context : "",
			p->context ? ", " : "", p->problem ? p->problem : "unreadable");
}

static int build(struct builder *b, struct err *e)
{
	bool over = false;
	int r = 0;

	while (r == 0 && !over) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&b->parser, &ev))
			return parser_error(b, e);
		r = on_event(b, &ev, e);
		over = ev.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
	}
	if (r == 0 && (!b->doc->root || yaml_is_null(b->doc->root))) {
		b->doc->root = yaml_node_new(b->doc, YAML_MAP, 1, e);
		r = b->doc->root ? 0 : -e->code;
	}
	return r;
}

int yaml_parse(const char *text, size_t len, const char *file, struct yaml_doc **ret, struct err *e)
{
	_cleanup_(yaml_doc_free) struct yaml_doc *doc = calloc(1, sizeof(*doc));
	struct builder b = { .doc = doc };
	struct err own = { 0 };
	int r;

	e = e ? e : &own;
	if (!doc || !(doc->file = str_dup(file)) || !yaml_parser_initialize(&b.parser))
		return err_errno(e, ENOMEM, "%s", file);
	if (len > YAML_SIZE_MAX) {
		yaml_parser_delete(&b.parser);
		return err_set(e, EFBIG, "%s:1: larger than %d bytes", file, YAML_SIZE_MAX);
	}
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
	r = build(&b, e);
	yaml_parser_delete(&b.parser);
	map_free(&b.anchors);
	for (size_t i = 0; i < b.depth; i++)
		free(b.keys[i]);
	if (r == 0)
		*ret = take_ptr(doc);
	return r;
}

const char *yaml_kind_name(const struct yaml_node *n)
{
	if (yaml_is_null(n))
		return "nothing";
	return n->kind == YAML_MAP ? "a mapping" : n->kind == YAML_LIST ? "a list" : "a text";
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	const struct yaml_pair *p = map && map->kind == YAML_MAP ? pair_find(map, key) : NULL;

	return p ? p->value : NULL;
}

bool yaml_is_null(const struct yaml_node *n)
{
	return !n || (n->kind == YAML_SCALAR && n->plain &&
		      (!*n->text || str_eq(n->text, "~") || strcasecmp(n->text, "null") == 0));
}

int yaml_bool(const struct yaml_node *n, bool *ret)
{
	if (!n || n->kind != YAML_SCALAR || !n->plain)
		return -EINVAL;
	if (strcasecmp(n->text, "true") == 0)
		*ret = true;
	else if (strcasecmp(n->text, "false") == 0)
		*ret = false;
	else
		return -EINVAL;
	return 0;
}

int yaml_i64(const struct yaml_node *n, int64_t *ret)
{
	if (!n || n->kind != YAML_SCALAR)
		return -EINVAL;
	return str_to_i64(n->text, ret);
}
