/*
 * Create requests with wrong JSON types: every field of Config, HostConfig and NetworkingConfig, at
 * every depth of its tables, with every kind of value that it is not. Each has to be refused by its
 * name, and nothing may leak (the sanitizers look).
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/container/config.h"
#include "init/base/str.h"

/* Values that a field of the type must not have. */
static const struct {
	enum bind_type type;
	const char *values[8];
} wrong[] = {
	{ BIND_TEXT, { "5", "true", "[]", "{}", "[\"a\"]" } },
	{ BIND_BOOL, { "1", "\"true\"", "[]", "{}" } },
	{ BIND_OPT_BOOL, { "1", "\"true\"", "[]", "{}" } },
	{ BIND_I64, { "\"5\"", "true", "1.5", "[]", "{}", "1e30", "9223372036854775808" } },
	{ BIND_OPT_I64, { "\"5\"", "true", "1.5", "[]", "{}", "1e30", "9223372036854775808" } },
	{ BIND_STRV, { "5", "true", "\"a\"", "{}", "[1]", "[[]]" } },
	{ BIND_WORDS, { "5", "true", "{}", "[1]", "[{}]" } },
	{ BIND_PAIRS, { "5", "\"a\"", "[]", "{\"a\":1}", "{\"a\":{}}", "[\"a=b\"]" } },
	{ BIND_SET, { "5", "\"a\"", "[]", "{\"a\":1}", "{\"a\":[]}", "[\"a\"]" } },
	{ BIND_OBJECT, { "5", "\"a\"", "[]", "true" } },
	{ BIND_POINTER, { "5", "\"a\"", "[]", "true" } },
	{ BIND_LIST, { "5", "\"a\"", "{}", "[5]", "[\"a\"]", "[[]]" } },
	{ BIND_DICT, { "5", "\"a\"", "[]", "{\"a\":5}", "{\"a\":[]}" } },
	{ BIND_LISTS, { "5", "\"a\"", "[]", "{\"a\":5}", "{\"a\":{}}", "{\"a\":[5]}" } },
};

static size_t n_tried;

/* 0 when the body was refused as it should be. */
static int try_body(const char *key, const char *body)
{
	_cleanup_(create_config_free) struct create_config c;
	yyjson_doc *doc = yyjson_read(body, strlen(body), 0);
	struct err e = { 0 };
	int r;

	n_tried++;
	create_config_init(&c);
	r = create_config_read(yyjson_doc_get_root(doc), &c, &e);
	yyjson_doc_free(doc);
	if (!doc)
		printf("# not JSON: %s\n", body);
	else if (r != -EINVAL || !strstr(err_text(&e), key))
		printf("# %s: %d \"%s\"\n", body, r, err_text(&e));
	return doc && r == -EINVAL && strstr(err_text(&e), key) ? 0 : -1;
}

static int try_table(const struct bind_table *t, const char *before, const char *behind);

static int try_values(const struct bind *row, const char *before, const char *behind)
{
	char body[600];
	int bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		for (size_t j = 0; wrong[i].type == row->type && wrong[i].values[j]; j++) {
			snprintf(body, sizeof(body), "%s\"%s\":%s%s", before, row->key,
				 wrong[i].values[j], behind);
			bad += try_body(row->key, body) < 0;
		}
	}
	return bad;
}

/* One level deeper, with the right thing around. */
static int try_inside(const struct bind *row, const char *before, const char *behind)
{
	static const struct {
		enum bind_type type;
		const char *open, *close;
	} shells[] = {
		{ BIND_OBJECT, "{", "}" },	    { BIND_POINTER, "{", "}" },
		{ BIND_LIST, "[{", "}]" },	    { BIND_DICT, "{\"k\":{", "}}" },
		{ BIND_LISTS, "{\"k\":[{", "}]}" },
	};
	int bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		char deeper[300], back[100];

		if (shells[i].type != row->type)
			continue;
		snprintf(deeper, sizeof(deeper), "%s\"%s\":%s", before, row->key, shells[i].open);
		snprintf(back, sizeof(back), "%s%s", shells[i].close, behind);
		bad += try_table(row->of, deeper, back);
	}
	return bad;
}

static int try_table(const struct bind_table *t, const char *before, const char *behind)
{
	int bad = 0;

	for (size_t i = 0; i < t->n_rows; i++) {
		if (!t->rows[i].key[0])
			continue; /* the name of a dictionary's entry */
		bad += try_values(&t->rows[i], before, behind);
		bad += try_inside(&t->rows[i], before, behind);
	}
	return bad;
}

TEST(every_field_refuses_every_wrong_type)
{
	int bad = try_table(&container_config_table, "{\"Image\":\"a\",", "}");

	bad += try_table(&host_config_table, "{\"Image\":\"a\",\"HostConfig\":{", "}}");
	bad += try_table(&networking_config_table, "{\"Image\":\"a\",\"NetworkingConfig\":{", "}}");
	CHECK_INT(bad, 0);
	CHECK_MSG(n_tried > 500, "only %zu bodies", n_tried);
}

TEST(bodies_that_are_no_configuration)
{
	static const char *const bodies[] = { "[]", "5", "\"a\"", "null", "true", "{}" };

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		_cleanup_(create_config_free) struct create_config c;
		yyjson_doc *doc = yyjson_read(bodies[i], strlen(bodies[i]), 0);
		struct err e = { 0 };

		create_config_init(&c);
		CHECK_INT(create_config_read(yyjson_doc_get_root(doc), &c, &e), -EINVAL);
		yyjson_doc_free(doc);
	}
}
