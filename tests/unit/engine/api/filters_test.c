/*
 * Filters: both JSON forms, what is refused and with which words, and how values match.
 */
#include "tests/unit/test.h"

#include "engine/api/filters.h"

static const char *const allowed[] = { "name", "label", "dangling", "status", NULL };

static struct filters *parse(const char *text)
{
	struct filters *f = NULL;
	struct err e = { 0 };

	if (filters_parse(text, allowed, &f, &e) < 0)
		printf("# %s\n", err_text(&e));
	return f;
}

TEST(both_forms_mean_the_same)
{
	_cleanup_(filters_free) struct filters *go =
		parse("{\"name\":{\"a\":true,\"b\":true,\"c\":false}}");
	_cleanup_(filters_free) struct filters *list = parse("{\"name\":[\"a\",\"b\",\"a\"]}");

	CHECK(go && list);
	CHECK_INT(filters_count(go, "name"), 2);
	CHECK_INT(filters_count(list, "name"), 2);
	CHECK_STR(filters_value(go, "name", 1), "b");
	CHECK_STR(filters_value(list, "name", 1), "b");
	CHECK(!filters_value(list, "name", 2));
}

TEST(nothing_matches_everything)
{
	static const char *const nothing[] = { NULL, "", "{}", "{\"name\":[]}", "{\"name\":{}}" };

	for (size_t i = 0; i < ARRAY_SIZE(nothing); i++) {
		_cleanup_(filters_free) struct filters *f = parse(nothing[i]);

		CHECK(f);
		CHECK(!filters_has(f, "name"));
		CHECK(filters_exact(f, "name", "x") && filters_regex(f, "name", "x") &&
		      filters_prefix(f, "name", "x"));
	}
}

TEST(wrong_filters_have_dockers_words)
{
	static const char *const cases[][2] = {
		{ "{\"zzz\":[\"a\"]}", "invalid filter 'zzz'" },
		{ "{\"zzz\":{}}", "invalid filter 'zzz'" },
		{ "{", "invalid filter" },
		{ "[]", "invalid filter" },
		{ "null", "invalid filter" },
		{ "\"name\"", "invalid filter" },
		{ "{\"name\":\"a\"}", "invalid filter" },
		{ "{\"name\":[1]}", "invalid filter" },
		{ "{\"name\":{\"a\":1}}", "invalid filter" },
		{ "{\"name\":[\"a\"]}x", "invalid filter" },
		{ "{\"name\":[[\"a\"]]}", "invalid filter" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct filters *f = NULL;
		struct err e = { 0 };

		CHECK_MSG(filters_parse(cases[i][0], allowed, &f, &e) == -EINVAL, "%s passed",
			  cases[i][0]);
		CHECK_STR(err_text(&e), cases[i][1]);
		CHECK(!f);
	}
}

TEST(values_match_exactly_by_beginning_and_by_expression)
{
	_cleanup_(filters_free) struct filters *f = parse("{\"name\":[\"^/web\",\"db\"]}");

	CHECK(filters_exact(f, "name", "db") && !filters_exact(f, "name", "db1"));
	CHECK(filters_prefix(f, "name", "db1") && !filters_prefix(f, "name", "xdb"));
	CHECK(filters_regex(f, "name", "/web-1") && filters_regex(f, "name", "mydb2"));
	CHECK(!filters_regex(f, "name", "x/web") && !filters_regex(f, "name", "cache"));
}

TEST(dangerous_expressions_are_plain_text)
{
	_cleanup_(filters_free) struct filters *f =
		parse("{\"name\":[\"((a{1,200}){1,200}){1,200}\",\"a(b\"]}");

	CHECK(!filters_regex(f, "name", "aaaa"));
	CHECK(filters_regex(f, "name", "xa(bx"));
}

static const char *get_label(const void *object, const char *label)
{
	(void)object;
	return strcmp(label, "a") == 0 ? "1" : strcmp(label, "empty") == 0 ? "" : NULL;
}

TEST(all_labels_have_to_match)
{
	static const struct {
		const char *text;
		bool matches;
	} cases[] = {
		{ "{\"label\":[\"a\"]}", true },
		{ "{\"label\":[\"a=1\"]}", true },
		{ "{\"label\":[\"a=2\"]}", false },
		{ "{\"label\":[\"a=1\",\"empty\"]}", true },
		{ "{\"label\":[\"a\",\"b\"]}", false },
		{ "{\"label\":[\"empty=\"]}", true },
		{ "{\"label\":{\"a=1\":true}}", true },
		{ "{\"label\":[\"=\"]}", false },
		{ "{}", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(filters_free) struct filters *f = parse(cases[i].text);

		CHECK_MSG(filters_labels(f, "label", get_label, NULL) == cases[i].matches, "%s",
			  cases[i].text);
	}
}

TEST(booleans)
{
	static const struct {
		const char *text;
		int r;
		bool value;
	} cases[] = {
		{ "{}", 0, true },
		{ "{\"dangling\":[\"false\"]}", 0, false },
		{ "{\"dangling\":{\"0\":true}}", 0, false },
		{ "{\"dangling\":[\"1\"]}", 0, true },
		{ "{\"dangling\":[\"maybe\"]}", -EINVAL, true },
		{ "{\"dangling\":[\"true\",\"false\"]}", -EINVAL, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(filters_free) struct filters *f = parse(cases[i].text);
		bool value = true;

		CHECK_MSG(filters_bool(f, "dangling", &value, NULL) == cases[i].r &&
				  value == cases[i].value,
			  "%s", cases[i].text);
	}
}

TEST(number_of_values_is_bounded)
{
	static char text[FILTER_VALUES_MAX * 8 + 64];
	struct filters *f = NULL;
	struct err e = { 0 };
	size_t len = (size_t)snprintf(text, sizeof(text), "{\"name\":[\"x\"");

	for (int i = 0; i < FILTER_VALUES_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, ",\"%d\"", i);
	snprintf(text + len, sizeof(text) - len, "]}");
	CHECK_INT(filters_parse(text, allowed, &f, &e), -EINVAL);
	CHECK(strstr(err_text(&e), "too many values"));
}
