/* Strings: numbers and units at their limits, vectors, encodings. */
#include "init/base/str.h"
#include "tests/unit/test.h"

TEST(prefix_suffix_copy_format)
{
	char small[4];

	CHECK(str_starts("abc", "ab") && !str_starts("a", "ab") && !str_starts(NULL, "a"));
	CHECK(str_ends("abc", "bc") && !str_ends("c", "bc") && !str_ends(NULL, "a"));
	CHECK_INT(str_copy(small, sizeof(small), "abc"), 0);
	CHECK_INT(str_copy(small, sizeof(small), "abcd"), -ENAMETOOLONG);
	CHECK_STR(small, "");
	CHECK_INT(str_format(small, sizeof(small), "%d", 123), 0);
	CHECK_INT(str_format(small, sizeof(small), "%d", 1234), -ENAMETOOLONG);
	CHECK_STR(small, "");
	CHECK(str_eq(NULL, NULL) && !str_eq("a", NULL) && str_eq("a", "a"));
}

TEST(trim)
{
	char a[] = " \t a b \r\n", b[] = "  ", c[] = "";

	CHECK_STR(str_trim(a), "a b");
	CHECK_STR(str_trim(b), "");
	CHECK_STR(str_trim(c), "");
}

TEST(unsigned_numbers)
{
	uint64_t v = 42;

	CHECK_INT(str_to_u64("18446744073709551615", &v), 0);
	CHECK(v == UINT64_MAX);
	v = 42;
	CHECK_INT(str_to_u64("18446744073709551616", &v), -ERANGE);
	CHECK_INT(str_to_u64("", &v), -EINVAL);
	CHECK_INT(str_to_u64(NULL, &v), -EINVAL);
	CHECK_INT(str_to_u64("-1", &v), -EINVAL);
	CHECK_INT(str_to_u64("+1", &v), -EINVAL);
	CHECK_INT(str_to_u64(" 1", &v), -EINVAL);
	CHECK_INT(str_to_u64("1 ", &v), -EINVAL);
	CHECK_INT(str_to_u64("99999999999999999999x", &v), -EINVAL);
	CHECK_INT(v, 42);
	CHECK_INT(str_to_u64_base("755", 8, &v), 0);
	CHECK_INT(v, 0755);
	CHECK_INT(str_to_u64_base("8", 8, &v), -EINVAL);
	CHECK_INT(str_to_u64_base("fF", 16, &v), 0);
	CHECK_INT(v, 255);
}

TEST(ranges)
{
	static const struct {
		const char *text;
		int r;
		uint64_t first, last;
		const char *rest;
	} rows[] = {
		{ "5", 0, 5, 5, "" },
		{ "0-3,5", 0, 0, 3, ",5" },
		{ "7 x", 0, 7, 7, " x" },
		{ "0008-8191", 0, 8, 8191, "" },
		{ "8192", -EINVAL, 0, 0, NULL },
		{ "0-8192", -EINVAL, 0, 0, NULL },
		{ "18446744073709551617", -EINVAL, 0, 0, NULL },
		{ "3-1", -EINVAL, 0, 0, NULL },
		{ "3-", -EINVAL, 0, 0, NULL },
		{ "-3", -EINVAL, 0, 0, NULL },
		{ " 3", -EINVAL, 0, 0, NULL },
		{ "+3", -EINVAL, 0, 0, NULL },
		{ "", -EINVAL, 0, 0, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *at = rows[i].text;
		uint64_t first = 0, last = 0;

		CHECK_INT(str_take_range(&at, 8191, &first, &last), rows[i].r);
		if (rows[i].r < 0)
			continue;
		CHECK_INT(first, rows[i].first);
		CHECK_INT(last, rows[i].last);
		CHECK_STR(at, rows[i].rest);
	}
}

TEST(signed_numbers)
{
	int64_t v = 0;

	CHECK_INT(str_to_i64("-9223372036854775808", &v), 0);
	CHECK(v == INT64_MIN);
	CHECK_INT(str_to_i64("9223372036854775807", &v), 0);
	CHECK(v == INT64_MAX);
	CHECK_INT(str_to_i64("9223372036854775808", &v), -ERANGE);
	CHECK_INT(str_to_i64("-9223372036854775809", &v), -ERANGE);
	CHECK_INT(str_to_i64("--1", &v), -EINVAL);
	CHECK_INT(str_to_i64("-", &v), -EINVAL);
}

TEST(byte_sizes)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },	      { "512", 512 },	      { "64k", 65536 },
		{ "64KB", 65536 },    { "64KiB", 65536 },     { "1.5g", 1610612736 },
		{ "10MB", 10485760 }, { "2GiB", 2147483648 }, { "1b", 1 },
		{ "1 m", 1048576 },   { "0.1k", 102 },	      { "1p", UINT64_C(1) << 50 },
	};
	static const char *const bad[] = { "",	    "k",   "1x", "1kk",	 "-1",
					   "1 k b", "1e3", " 1", "1.k.", "0x10" };
	uint64_t v = 1;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_MSG(str_to_bytes(good[i].text, &v) == 0, "%s", good[i].text);
		CHECK_MSG(v == good[i].bytes, "%s is %llu", good[i].text, (unsigned long long)v);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_MSG(str_to_bytes(bad[i], &v) == -EINVAL, "%s", bad[i]);
	CHECK_INT(str_to_bytes("99999999999p", &v), -ERANGE);
	CHECK_INT(str_to_bytes("9223372036854775808", &v), -ERANGE);
}

TEST(durations)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
		{ "0", 0 },
		{ "1h2m3.5s", INT64_C(3723500000000) },
		{ "500ms", 500000000 },
		{ "-1.5s", -1500000000 },
		{ "+2ns", 2 },
		{ "1us", 1000 },
		{ "1\xc2\xb5s", 1000 },
		{ ".5m", INT64_C(30000000000) },
		{ "1m30s", INT64_C(90000000000) },
	};
	static const char *const bad[] = {
		"", "1", "s", "1x", "1s ", "--1s", "1.s.", "-", "1h-1m"
	};
	int64_t v = 0;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_MSG(str_to_duration(good[i].text, &v) == 0, "%s", good[i].text);
		CHECK_MSG(v == good[i].ns, "%s is %lld", good[i].text, (long long)v);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_MSG(str_to_duration(bad[i], &v) == -EINVAL, "%s", bad[i]);
	CHECK_INT(str_to_duration("9999999h", &v), -ERANGE);
}

TEST(hex)
{
	unsigned char bytes[3];
	char text[7];

	hex_encode(text, "\x00\xaf\x10", 3);
	CHECK_STR(text, "00af10");
	CHECK_INT(hex_decode(bytes, 3, "00AF10"), 0);
	CHECK(memcmp(bytes, "\x00\xaf\x10", 3) == 0);
	CHECK_INT(hex_decode(bytes, 3, "00af1"), -EINVAL);
	CHECK_INT(hex_decode(bytes, 3, "00af1g"), -EINVAL);
}

static bool base64_is(const char *text, const char *want)
{
	_cleanup_(mem_free) void *data = NULL;
	size_t len;

	return base64_decode(text, &data, &len) == 0 && len == strlen(want) &&
	       memcmp(data, want, len) == 0;
}

TEST(base64)
{
	static const char *const bad[] = { "A",	   "Zg=",   "Zg===", "Z===",
					   "Zh==", "Zm9v!", "Zm9=v", " Zg==" };
	_cleanup_(mem_free) char *one = base64_encode("f", 1), *three = base64_encode("foo", 3);
	_cleanup_(mem_free) char *none = base64_encode("", 0), *high = base64_encode("\xfb\xff", 2);

	CHECK_STR(one, "Zg==");
	CHECK_STR(three, "Zm9v");
	CHECK_STR(none, "");
	CHECK_STR(high, "+/8=");
	CHECK(base64_is("Zg==", "f") && base64_is("Zg", "f") && base64_is("Zm9v", "foo") &&
	      base64_is("", ""));
	CHECK(base64_is("-_8", "\xfb\xff"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		void *data;
		size_t len;

		CHECK_MSG(base64_decode(bad[i], &data, &len) == -EINVAL, "%s", bad[i]);
	}
}

TEST(utf8)
{
	CHECK_INT(str_utf8_len("a", 1), 1);
	CHECK_INT(str_utf8_len("\xc3\xa9", 2), 2);
	CHECK_INT(str_utf8_len("\xe2\x82\xac", 3), 3);
	CHECK_INT(str_utf8_len("\xf0\x9f\x9a\xa2", 4), 4);
	CHECK_INT(str_utf8_len("\xc3", 1), 0); /* cut */
	CHECK_INT(str_utf8_len("\xc0\xaf", 2), 0); /* overlong */
	CHECK_INT(str_utf8_len("\xe0\x80\xaf", 3), 0); /* overlong */
	CHECK_INT(str_utf8_len("\xed\xa0\x80", 3), 0); /* surrogate */
	CHECK_INT(str_utf8_len("\xf4\x90\x80\x80", 4), 0); /* above U+10FFFF */
	CHECK_INT(str_utf8_len("\x80", 1), 0);
	CHECK_INT(str_utf8_len("\xff", 1), 0);
	CHECK_INT(str_utf8_len("", 0), 0);
}

TEST(vectors)
{
	_cleanup_(strv_free) char **v = NULL, **copy = NULL;
	_cleanup_(mem_free) char *joined = NULL, *empty = NULL;

	CHECK_INT(strv_len(NULL), 0);
	for (int i = 0; i < 20; i++)
		CHECK_INT(strv_addf(&v, "n%d", i), 0);
	CHECK_INT(strv_len(v), 20);
	CHECK(strv_has(v, "n19") && !strv_has(v, "n20"));
	copy = strv_copy(v);
	CHECK_INT(strv_len(copy), 20);
	CHECK_STR(copy[19], "n19");
	CHECK(!strv_copy(NULL));
	strv_free(v);
	v = strv_split("a,,b;", ",;", false);
	CHECK_INT(strv_len(v), 2);
	joined = strv_join(v, "--");
	CHECK_STR(joined, "a--b");
	empty = strv_join(NULL, ",");
	CHECK_STR(empty, "");
	strv_free(v);
	v = strv_split("a,,b;", ",;", true);
	CHECK_INT(strv_len(v), 4);
	CHECK_STR(v[1], "");
	CHECK_STR(v[3], "");
}

TEST(environment)
{
	_cleanup_(strv_free) char **env = NULL;

	CHECK_INT(strv_env_set(&env, "A", "1"), 0);
	CHECK_INT(strv_env_set(&env, "AB", "2"), 0);
	CHECK_INT(strv_env_set(&env, "A", "3=4"), 0);
	CHECK_INT(strv_len(env), 2);
	CHECK_STR(strv_env_get(env, "A"), "3=4");
	CHECK_STR(strv_env_get(env, "AB"), "2");
	CHECK(!strv_env_get(env, "B"));
	CHECK(!strv_env_get(NULL, "B"));
}

TEST(set_replaces)
{
	_cleanup_(mem_free) char *s = NULL;

	CHECK_INT(str_set(&s, "one"), 0);
	CHECK_INT(str_set(&s, "two"), 0);
	CHECK_STR(s, "two");
	CHECK_INT(str_set(&s, NULL), 0);
	CHECK(!s);
}
