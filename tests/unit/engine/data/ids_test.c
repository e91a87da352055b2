/* Ids, prefixes, names. */
#include "engine/data/ids.h"

#include "engine/data/names.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

TEST(new_ids)
{
	char a[ID_LEN + 1], b[ID_LEN + 1];

	CHECK_INT(id_new(a, NULL), 0);
	CHECK_INT(id_new(b, NULL), 0);
	CHECK(id_valid(a) && id_valid(b));
	CHECK(!str_eq(a, b));
	CHECK(strspn(a, "0123456789") < ID_SHORT_LEN);
	a[5] = 'G';
	CHECK(!id_valid(a));
	b[63] = '\0';
	CHECK(!id_valid(b));
	CHECK(id_is_prefix(b) && id_is_prefix("a") && !id_is_prefix("") && !id_is_prefix("A"));
	CHECK(!id_valid(NULL));
}

TEST(found_by_unique_prefix)
{
	static const char a[] = "aa00000000000000000000000000000000000000000000000000000000000001";
	static const char b[] = "aa00000000000000000000000000000000000000000000000000000000000002";
	static const char c[] = "bb00000000000000000000000000000000000000000000000000000000000003";
	_cleanup_(map_free) struct map m = { 0 };
	void *found = NULL;

	map_put(&m, a, (void *)(uintptr_t)a, NULL);
	map_put(&m, b, (void *)(uintptr_t)b, NULL);
	map_put(&m, c, (void *)(uintptr_t)c, NULL);
	CHECK_INT(id_find(&m, "b", &found), 0);
	CHECK(found == c);
	CHECK_INT(id_find(&m, b, &found), 0);
	CHECK(found == b);
	CHECK_INT(id_find(&m, "aa0", &found), -EINVAL);
	CHECK_INT(id_find(&m, "c", &found), -ENOENT);
	CHECK_INT(id_find(&m, "", &found), -ENOENT);
	CHECK_INT(id_find(&m, "web", &found), -ENOENT);
	CHECK(found == b);
}

TEST(names)
{
	static const char *const good[] = { "ab", "a-b", "A.1_", "0x", "web-1.2_3" };
	static const char *const bad[] = { "",	  "a",	 "-a",	 ".a",		"_a",
					   "a b", "a/b", "../x", "caf\xc3\xa9", "a\n" };
	char big[NAME_LEN_MAX + 2];
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		CHECK_MSG(name_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_MSG(!name_valid(bad[i]), "%s", bad[i]);
	memset(big, 'a', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	CHECK(!name_valid(big));
	CHECK_INT(name_check("container name", big, &e), -EINVAL);
	CHECK_INT(name_check("container name", "-x", &e), -EINVAL);
	CHECK_STR(err_text(&e),
		  "Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
	CHECK_INT(name_check("container name", NULL, &e), -EINVAL);
	CHECK_INT(name_check("container name", "xy", &e), 0);
}

TEST(random_names_are_valid_and_vary)
{
	_cleanup_(map_free) struct map seen = { 0 };
	char name[NAME_RANDOM_MAX];

	for (int i = 0; i < 500; i++) {
		name_random(name, i % 2);
		CHECK_MSG(name_valid(name), "%s", name);
		CHECK(strchr(name, '_'));
		CHECK_INT(map_put(&seen, name, name, NULL), 0);
	}
	CHECK(map_len(&seen) > 300);
}
