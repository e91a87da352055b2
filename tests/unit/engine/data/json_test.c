/* JSON: bounds and typed access when reading, escapes and commas when writing. */
#include "engine/data/json.h"

#include <math.h>

#include "init/base/str.h"
#include "tests/unit/test.h"

static int parse(const char *text, yyjson_doc **ret, struct err *e)
{
	return json_parse(text, strlen(text), ret, e);
}

TEST(refuses_what_is_no_json)
{
	static const char *const bad[] = { "",	       " ",	     "{",	"{\"a\":1,}",
					   "[1 2]",    "nul",	     "{} x",	"'a'",
					   "\"\xff\"", "{\"a\":01}", "// c\n1", "NaN" };
	yyjson_doc *doc = NULL;
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_MSG(parse(bad[i], &doc, &e) == -EINVAL, "%s", bad[i]);
	CHECK(!doc);
	parse("{\n  \"a\": tru\n}", &doc, &e);
	CHECK_MSG(str_starts(err_text(&e), "not valid JSON: line 2, column 8"), "%s", err_text(&e));
	CHECK_INT(json_parse_object("[]", 2, &doc, NULL, &e), -EINVAL);
	CHECK_STR(err_text(&e), "expected a JSON object, not array");
}

TEST(depth_and_size_are_bounded)
{
	_cleanup_(json_doc_free) yyjson_doc *ok = NULL, *in_text = NULL;
	_cleanup_(mem_free) char *big = calloc(1, JSON_SIZE_MAX + 1);
	char text[2 * (JSON_DEPTH_MAX + 1) + 1] = "";
	yyjson_doc *doc = NULL;
	struct err e = { 0 };

	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	CHECK_INT(parse(text, &ok, &e), 0);
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	CHECK_INT(parse(text, &doc, &e), -EINVAL);
	CHECK(strstr(err_text(&e), "64 deep"));
	/* brackets inside of strings do not count */
	memset(text, '[', sizeof(text) - 1);
	text[0] = text[sizeof(text) - 2] = '"';
	memcpy(text + 1, "\\\"", 2);
	CHECK_INT(parse(text, &in_text, &e), 0);
	memset(big, ' ', JSON_SIZE_MAX + 1);
	CHECK_INT(json_parse(big, JSON_SIZE_MAX + 1, &doc, &e), -EFBIG);
}

TEST(members_by_type)
{
	const char *text =
		"{\"s\":\"x\",\"n\":-5,\"u\":18446744073709551615,\"b\":true,\"z\":null,\"d\":1.5,"
		"\"o\":{\"k\":1},\"a\":[\"p\",\"q\"],\"nul\":\"a\\u0000b\",\"mixed\":[\"a\",1]}";
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(strv_free) char **v = NULL;
	_cleanup_(mem_free) char *copy = NULL;
	const char *s = "default";
	yyjson_val *root, *o = NULL;
	struct err e = { 0 };
	uint64_t u = 1;
	int64_t n = 1;
	bool b = false;
	double d = 0;

	CHECK_INT(json_parse_object(text, strlen(text), &doc, &root, &e), 0);
	CHECK_INT(json_get_text(root, "absent", &s, &e), 0);
	CHECK_INT(json_get_text(root, "z", &s, &e), 0);
	CHECK_STR(s, "default");
	CHECK_INT(json_need_text(root, "z", &s, &e), -EINVAL);
	CHECK_STR(err_text(&e), "z: missing");
	CHECK_INT(json_get_text(root, "s", &s, &e), 0);
	CHECK_STR(s, "x");
	CHECK_INT(json_get_copy(root, "s", &copy, &e), 0);
	CHECK_STR(copy, "x");
	CHECK_INT(json_get_text(root, "n", &s, &e), -EINVAL);
	CHECK_STR(err_text(&e), "n: expected a string, not number");
	CHECK_INT(json_get_text(root, "nul", &s, &e), -EINVAL);
	CHECK_INT(json_get_i64(root, "n", &n, &e), 0);
	CHECK_INT(n, -5);
	CHECK_INT(json_get_i64(root, "u", &n, &e), -EINVAL);
	CHECK_INT(json_get_i64(root, "d", &n, &e), -EINVAL);
	CHECK_INT(n, -5);
	CHECK_INT(json_get_u64(root, "u", &u, &e), 0);
	CHECK(u == UINT64_MAX);
	CHECK_INT(json_get_u64(root, "n", &u, &e), -EINVAL);
	CHECK_INT(json_get_bool(root, "b", &b, &e), 0);
	CHECK(b);
	CHECK_INT(json_get_bool(root, "s", &b, &e), -EINVAL);
	CHECK_INT(json_get_double(root, "d", &d, &e), 0);
	CHECK(d == 1.5);
	CHECK_INT(json_get_object(root, "o", &o, &e), 0);
	CHECK(yyjson_is_obj(o));
	CHECK_INT(json_get_object(root, "a", &o, &e), -EINVAL);
	CHECK_INT(json_get_strv(root, "a", &v, &e), 0);
	CHECK_INT(strv_len(v), 2);
	CHECK_INT(json_get_strv(root, "mixed", &v, &e), -EINVAL);
	CHECK_STR(err_text(&e), "mixed[1]: expected a string, not number");
	CHECK_STR(v[1], "q");
}

TEST(keys_match_as_in_go)
{
	const char *text =
		"{\"image\":\"lower\",\"Image\":\"first\",\"Image\":\"last\",\"cmd\":\"x\"}";
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root;
	const char *s = NULL;

	CHECK_INT(json_parse_object(text, strlen(text), &doc, &root, NULL), 0);
	CHECK_INT(json_get_text(root, "Image", &s, NULL), 0);
	CHECK_STR(s, "last");
	CHECK_INT(json_get_text(root, "Cmd", &s, NULL), 0);
	CHECK_STR(s, "x");
	CHECK(!json_member(NULL, "x"));
}

TEST(writes_every_kind)
{
	_cleanup_(buf_free) struct buf b = { 0 };
	char *const v[] = { "one", "two", NULL };
	struct json_writer w;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_str(&w, "s", "x");
	json_member_str(&w, "none", NULL);
	json_member_i64(&w, "i", INT64_MIN);
	json_key(&w, "u");
	json_u64(&w, UINT64_MAX);
	json_member_bool(&w, "t", true);
	json_key(&w, "d");
	json_double(&w, 0.1);
	json_key(&w, "inf");
	json_double(&w, INFINITY);
	json_key(&w, "v");
	json_strv(&w, v);
	json_key(&w, "nov");
	json_strv(&w, NULL);
	json_key(&w, "raw");
	json_raw(&w, "{\"k\":1}");
	json_key(&w, "f");
	json_strf(&w, "%d\"%s", 1, "x");
	json_key(&w, "time");
	json_time(&w, 0);
	json_key(&w, "a");
	json_begin_array(&w);
	json_begin_array(&w);
	json_end_array(&w);
	json_begin_object(&w);
	json_end_object(&w);
	json_null(&w);
	json_end_array(&w);
	json_end_object(&w);
	CHECK_STR(
		buf_text(&b),
		"{\"s\":\"x\",\"none\":null,\"i\":-9223372036854775808,\"u\":18446744073709551615,"
		"\"t\":true,\"d\":0.1,\"inf\":null,\"v\":[\"one\",\"two\"],\"nov\":null,\"raw\":{"
		"\"k\":1},"
		"\"f\":\"1\\\"x\",\"time\":\"0001-01-01T00:00:00Z\",\"a\":[[],{},null]}");
}

TEST(escapes_and_repairs)
{
	_cleanup_(buf_free) struct buf b = { 0 };
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	struct json_writer w;

	json_writer_init(&w, &b);
	json_strn(&w, "q\" b\\ n\n t\t \x01\x7f caf\xc3\xa9 \xff\xed\xa0\x80 z\0!", 29);
	CHECK_STR(buf_text(&b), "\"q\\\" b\\\\ n\\n t\\t \\u0001\x7f caf\xc3\xa9 "
				"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd z\\u0000!\"");
	CHECK_INT(json_parse(b.data, b.len, &doc, NULL), 0);
}

TEST(any_bytes_make_valid_json)
{
	uint32_t random = 1;
	char bytes[64];

	for (int round = 0; round < 2000; round++) {
		_cleanup_(buf_free) struct buf b = { 0 };
		_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
		struct json_writer w;

		for (size_t i = 0; i < sizeof(bytes); i++) {
			random = random * 1664525 + 1013904223;
			bytes[i] = (char)(random >> 24);
		}
		json_writer_init(&w, &b);
		json_strn(&w, bytes, sizeof(bytes));
		CHECK_INT(json_parse(b.data, b.len, &doc, NULL), 0);
	}
}

TEST(values_are_copied_through)
{
	const char *text = "{\"a\":[1,2.5,\"x\\n\",null,{\"b\":true}]}";
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(buf_free) struct buf b = { 0 };
	struct json_writer w;

	CHECK_INT(parse(text, &doc, NULL), 0);
	json_writer_init(&w, &b);
	json_begin_array(&w);
	json_value(&w, yyjson_doc_get_root(doc));
	json_value(&w, NULL);
	json_end_array(&w);
	CHECK_STR(buf_text(&b), "[{\"a\":[1,2.5,\"x\\n\",null,{\"b\":true}]},null]");
}

TEST(full_buffer_is_reported)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(8);
	struct json_writer w;

	json_writer_init(&w, &b);
	json_str(&w, "too long for it");
	json_str(&w, "x");
	CHECK_INT(buf_failed(&b), -EMSGSIZE);
}
