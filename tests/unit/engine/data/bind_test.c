/*
 * Binding of JSON to structs by table: every type there and back, wrong types, refused keys.
 */
#include "engine/data/bind.h"

#include "init/base/str.h"
#include "tests/unit/test.h"

struct inner {
	char *key;
	int64_t n;
};

struct outer {
	char *text;
	bool yes;
	int8_t maybe;
	int64_t number, optional;
	char **list, **words, **set;
	struct bind_pairs pairs;
	struct inner in, *pointer;
	struct bind_list items, dict, lists;
	char *raw;
};

static const struct bind inner_rows[] = {
	{ "", BIND_TEXT, offsetof(struct inner, key) },
	{ "N", BIND_I64, offsetof(struct inner, n) },
};
static BIND_TABLE(inner_table, struct inner, inner_rows);

static const struct bind outer_rows[] = {
	{ "Text", BIND_TEXT, offsetof(struct outer, text) },
	{ "Yes", BIND_BOOL, offsetof(struct outer, yes) },
	{ "Maybe", BIND_OPT_BOOL, offsetof(struct outer, maybe) },
	{ "Number", BIND_I64, offsetof(struct outer, number) },
	{ "Optional", BIND_OPT_I64, offsetof(struct outer, optional) },
	{ "List", BIND_STRV, offsetof(struct outer, list) },
	{ "Words", BIND_WORDS, offsetof(struct outer, words) },
	{ "Set", BIND_SET, offsetof(struct outer, set) },
	{ "Pairs", BIND_PAIRS, offsetof(struct outer, pairs) },
	{ "In", BIND_OBJECT, offsetof(struct outer, in), &inner_table },
	{ "Pointer", BIND_POINTER, offsetof(struct outer, pointer), &inner_table },
	{ "Items", BIND_LIST, offsetof(struct outer, items), &inner_table },
	{ "Dict", BIND_DICT, offsetof(struct outer, dict), &inner_table },
	{ "Lists", BIND_LISTS, offsetof(struct outer, lists), &inner_table },
	{ "Raw", BIND_JSON, offsetof(struct outer, raw) },
	{ "Later", BIND_REFUSED },
	{ "Fixed", BIND_FIXED, .empty = "[0,0]" },
};
static BIND_TABLE(outer_table, struct outer, outer_rows);

static int read_text(const char *json, struct outer *o, struct err *e)
{
	yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
	int r = bind_read(&outer_table, yyjson_doc_get_root(doc), o, "Outer", e);

	yyjson_doc_free(doc);
	return r;
}

static char *write_text(const struct outer *o)
{
	struct buf text = BUF_INIT(0);
	struct json_writer w;

	json_writer_init(&w, &text);
	bind_write(&outer_table, o, &w);
	return buf_take(&text);
}

static const char full[] =
	"{\"Text\":\"t\",\"Yes\":true,\"Maybe\":false,\"Number\":-5,\"Optional\":0,"
	"\"List\":[\"a\",\"b\"],\"Words\":[\"w\"],\"Set\":{\"80/tcp\":{}},\"Pairs\":{\"k\":\"v\"},"
	"\"In\":{\"N\":1},\"Pointer\":{\"N\":2},\"Items\":[{\"N\":3},{\"N\":4}],"
	"\"Dict\":{\"x\":{\"N\":5}},\"Lists\":{\"y\":[{\"N\":6}],\"z\":null},"
	"\"Raw\":{\"any\":[1,null]},\"Later\":null,\"Fixed\":[0,0]}";

TEST(there_and_back)
{
	struct outer o = { 0 }, copy = { 0 };
	struct err e = { 0 };
	char *text, *again;

	bind_init(&outer_table, &o);
	bind_init(&outer_table, &copy);
	CHECK_MSG(read_text(full, &o, &e) == 0, "%s", err_text(&e));
	text = write_text(&o);
	CHECK_STR(text, full);
	CHECK_MSG(bind_copy(&outer_table, &o, &copy, &e) == 0, "%s", err_text(&e));
	again = write_text(&copy);
	CHECK_STR(again, full);
	free(text);
	free(again);
	bind_free(&outer_table, &o);
	bind_free(&outer_table, &copy);
}

TEST(nothing_given)
{
	struct outer o = { 0 };
	char *text;

	bind_init(&outer_table, &o);
	CHECK_INT(o.maybe, BIND_UNSET_BOOL);
	CHECK(o.optional == BIND_UNSET_I64);
	text = write_text(&o);
	CHECK_STR(text, "{\"Text\":\"\",\"Yes\":false,\"Maybe\":null,\"Number\":0,\"Optional\":"
			"null,\"List\":null,"
			"\"Words\":null,\"Set\":null,\"Pairs\":{},\"In\":{\"N\":0},\"Pointer\":"
			"null,\"Items\":null,"
			"\"Dict\":null,\"Lists\":{},\"Raw\":null,\"Later\":null,\"Fixed\":[0,0]}");
	free(text);
	bind_free(&outer_table, &o);
}

TEST(forms_that_clients_send)
{
	struct outer o = { 0 };
	struct err e = { 0 };

	bind_init(&outer_table, &o);
	/* other case, a word instead of a list, null as nothing, unknown keys, 1e3 as a whole
	 * number */
	CHECK_MSG(read_text("{\"text\":\"t\",\"Words\":\"one "
			    "two\",\"List\":null,\"Unknown\":7,\"Number\":1e3,"
			    "\"Later\":false,\"Fixed\":[24,80],\"\":\"x\"}",
			    &o, &e) == 0,
		  "%s", err_text(&e));
	CHECK_STR(o.text, "t");
	CHECK_INT(strv_len(o.words), 1);
	CHECK_STR(o.words[0], "one two");
	CHECK_INT(o.number, 1000);
	bind_free(&outer_table, &o);
}

TEST(wrong_types_name_the_key)
{
	static const struct {
		const char *json, *want;
		int code;
	} cases[] = {
		{ "{\"Text\":1}", "invalid JSON: Outer.Text: expected a string, not a number",
		  EINVAL },
		{ "{\"Yes\":\"true\"}", "invalid JSON: Outer.Yes: expected a boolean, not a string",
		  EINVAL },
		{ "{\"Number\":\"5\"}",
		  "invalid JSON: Outer.Number: expected a whole number, not a string", EINVAL },
		{ "{\"Number\":1.5}",
		  "invalid JSON: Outer.Number: expected a whole number, not a number", EINVAL },
		{ "{\"Number\":1e300}",
		  "invalid JSON: Outer.Number: expected a whole number, not a number", EINVAL },
		{ "{\"List\":[1]}", "invalid JSON: Outer.List: expected a string, not a number",
		  EINVAL },
		{ "{\"Pairs\":{\"a\":1}}",
		  "invalid JSON: Outer.Pairs: expected an object of strings, not a number",
		  EINVAL },
		{ "{\"Items\":{}}", "invalid JSON: Outer.Items: expected an array, not an object",
		  EINVAL },
		{ "{\"In\":[]}", "invalid JSON: In: expected an object, not an array", EINVAL },
		{ "{\"Text\":\"a\\u0000b\"}",
		  "invalid JSON: Outer.Text: a string must not contain a NUL character", EINVAL },
		{ "{\"Later\":[1]}", "Outer.Later is not supported by this engine", EOPNOTSUPP },
		{ "[]", "invalid JSON: Outer: expected an object, not an array", EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct outer o = { 0 };
		struct err e = { 0 };

		bind_init(&outer_table, &o);
		CHECK_INT(read_text(cases[i].json, &o, &e), -cases[i].code);
		CHECK_STR(err_text(&e), cases[i].want);
		bind_free(&outer_table, &o);
	}
}
