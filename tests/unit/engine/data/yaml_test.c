/*
 * YAML trees: lines, kinds, merges, and the bounds that hostile files run into.
 */
#include "engine/data/yaml.h"

#include <stdlib.h>

#include "init/base/buf.h"
#include "tests/unit/test.h"

static int parse(const char *text, struct yaml_doc **doc, struct err *e)
{
	return yaml_parse(text, strlen(text), "f.yaml", doc, e);
}

TEST(tree_with_lines)
{
	_cleanup_(yaml_doc_free) struct yaml_doc *doc = NULL;
	struct err e = { 0 };
	int64_t n;
	bool b;

	CHECK_MSG(parse("a: 1\nb:\n  - x\n  - 'null'\nc: {d: true}\n", &doc, &e) == 0, "%s",
		  err_text(&e));
	CHECK_INT(doc->root->kind, YAML_MAP);
	CHECK(yaml_i64(yaml_get(doc->root, "a"), &n) == 0 && n == 1);
	CHECK_INT(yaml_get(doc->root, "b")->n, 2);
	CHECK_INT(yaml_get(doc->root, "b")->items[1]->line, 4);
	CHECK(!yaml_is_null(yaml_get(doc->root, "b")->items[1]));
	CHECK(yaml_bool(yaml_get(yaml_get(doc->root, "c"), "d"), &b) == 0 && b);
	CHECK(yaml_get(doc->root, "nope") == NULL);
}

TEST(empty_file_is_an_empty_map)
{
	static const char *const texts[] = { "", "\n", "# only a comment\n", "---\n", "~\n" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(yaml_doc_free) struct yaml_doc *doc = NULL;
		struct err e = { 0 };

		CHECK_MSG(parse(texts[i], &doc, &e) == 0, "%s", err_text(&e));
		CHECK(doc->root->kind == YAML_MAP && doc->root->n == 0);
	}
}

TEST(merge_keys)
{
	_cleanup_(yaml_doc_free) struct yaml_doc *doc = NULL;
	struct err e = { 0 };

	CHECK_MSG(parse("b: &b {x: 1, y: 2}\nc: &c {z: 3}\na:\n  <<: [*b, *c]\n  y: own\n", &doc,
			&e) == 0,
		  "%s", err_text(&e));
	CHECK_STR(yaml_get(yaml_get(doc->root, "a"), "y")->text, "own");
	CHECK_STR(yaml_get(yaml_get(doc->root, "a"), "x")->text, "1");
	CHECK_STR(yaml_get(yaml_get(doc->root, "a"), "z")->text, "3");
	CHECK(yaml_get(yaml_get(doc->root, "a"), "<<") == NULL);
}

TEST(errors_name_file_and_line)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "a: 1\na: 2\n", "f.yaml:2: a: this key stands twice (first in line 1)" },
		{ "a: *nope\n", "f.yaml:1: *nope: there is no &nope above" },
		{ "a: &x [*x]\n", "f.yaml:1: *x: an alias inside of what it stands for" },
		{ "a: 1\n---\nb: 2\n", "f.yaml:2: a second document; one file holds one" },
		{ "<<: 3\n", "f.yaml:1: <<: a merge key takes a mapping or a list of mappings" },
		{ "[a]: 1\n", "f.yaml:1: a key must be a plain word" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(yaml_doc_free) struct yaml_doc *doc = NULL;
		struct err e = { 0 };

		CHECK_INT(parse(cases[i].text, &doc, &e), -EINVAL);
		CHECK_STR(err_text(&e), cases[i].want);
	}
}

TEST(tabs_and_bad_syntax_name_the_line)
{
	static const char *const texts[] = { "a:\n\tb: 1\n", "a: 1\nb: [1, 2\n", "a: \"open\n",
					     "a: b: c\n" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(yaml_doc_free) struct yaml_doc *doc = NULL;
		struct err e = { 0 };

		CHECK_INT(parse(texts[i], &doc, &e), -EINVAL);
		CHECK(strncmp(err_text(&e), "f.yaml:", 7) == 0 && strstr(err_text(&e), "not YAML"));
	}
}

TEST(a_bomb_of_aliases_is_refused)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(0);
	_cleanup_(yaml_doc_free) struct yaml_doc *doc = NULL;
	struct err e = { 0 };

	buf_add_text(&text, "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 12; i++) {
		buf_printf(&text, "l%d: &l%d [", i, i);
		for (int j = 0; j < 10; j++)
			buf_printf(&text, "%s*l%d", j ? ", " : "", i - 1);
		buf_add_text(&text, "]\n");
	}
	CHECK_INT(parse(buf_text(&text), &doc, &e), -EINVAL);
	CHECK_STR(err_text(&e), "f.yaml:6: the aliases of this file stand for more than 1000000 "
				"values");
}

TEST(bounds)
{
	_cleanup_(buf_free) struct buf deep = BUF_INIT(0), wide = BUF_INIT(0);
	_cleanup_(yaml_doc_free) struct yaml_doc *doc = NULL;
	struct err e = { 0 };

	for (int i = 0; i < 200; i++)
		buf_add_text(&deep, "[");
	CHECK_INT(parse(buf_text(&deep), &doc, &e), -EINVAL);
	for (int i = 0; i <= YAML_KEYS_MAX; i++)
		buf_printf(&wide, "k%d: 1\n", i);
	CHECK_INT(parse(buf_text(&wide), &doc, &e), -EINVAL);
	CHECK(strstr(err_text(&e), "keys in one mapping") != NULL);
}

TEST(merges_again_and_again_are_refused)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(0);
	_cleanup_(yaml_doc_free) struct yaml_doc *doc = NULL;
	struct err e = { 0 };

	buf_add_text(&text, "a: &a\n");
	for (int i = 0; i < 4000; i++)
		buf_printf(&text, "  k%d: v\n", i);
	for (int i = 0; i < 20; i++)
		buf_printf(&text, "b%d: {<<: *a}\n", i);
	CHECK_INT(parse(buf_text(&text), &doc, &e), -EINVAL);
	CHECK_STR(err_text(&e),
		  "f.yaml:4014: <<: the merges of this file stand for more than 50000 keys");
}

TEST(tags)
{
	_cleanup_(yaml_doc_free) struct yaml_doc *doc = NULL;
	struct err e = { 0 };
	bool on;

	CHECK_MSG(parse("a: !!str true\nb: !!map {}\nc: ! x\n", &doc, &e) == 0, "%s", err_text(&e));
	CHECK(yaml_bool(yaml_get(doc->root, "a"), &on) < 0);
	yaml_doc_free(take_ptr(doc));
	CHECK_INT(parse("a: 1\nb: !reset null\n", &doc, &e), -EINVAL);
	CHECK_STR(err_text(&e), "f.yaml:2: the tag !reset is not supported");
	CHECK_INT(parse("a: !!python/object {}\n", &doc, &e), -EINVAL);
}

TEST(trees_that_are_put_together)
{
	_cleanup_(yaml_doc_free) struct yaml_doc *doc = NULL, *other = NULL;
	struct err e = { 0 };
	struct yaml_node *map, *list;

	CHECK_INT(parse("a: 1\n", &doc, &e), 0);
	CHECK_INT(yaml_parse("b: 2\n", 5, "g.yaml", &other, &e), 0);
	map = yaml_node_new(doc, YAML_MAP, 7, &e);
	list = yaml_node_new(doc, YAML_LIST, 8, &e);
	CHECK(map && list);
	CHECK_INT(yaml_append(list, yaml_get(other->root, "b"), &e), 0);
	CHECK_INT(yaml_set(map, "x", 9, yaml_get(doc->root, "a"), &e), 0);
	CHECK_INT(yaml_set(map, "x", 10, list, &e), 0);
	CHECK_INT(map->n, 1);
	CHECK_INT(map->pairs[0].line, 10);
	CHECK_STR(yaml_get(map, "x")->items[0]->doc->file, "g.yaml");
}
