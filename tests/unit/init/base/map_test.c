/* struct map: order, removal while walking, many keys. */
#include "init/base/map.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

TEST(put_get_remove)
{
	_cleanup_(map_free) struct map m = { 0 };
	int a, b;
	void *old = &b;

	CHECK(!map_get(&m, "x") && !map_has(&m, "x") && !map_remove(&m, "x"));
	CHECK_INT(map_put(&m, "x", &a, &old), 0);
	CHECK(!old);
	CHECK_INT(map_put(&m, "x", &b, &old), 0);
	CHECK(old == &a && map_get(&m, "x") == &b);
	CHECK_INT(map_len(&m), 1);
	CHECK(map_remove(&m, "x") == &b);
	CHECK_INT(map_len(&m), 0);
	CHECK(!map_has(&m, "x"));
}

TEST(keeps_insertion_order_through_growth_and_removal)
{
	_cleanup_(map_free) struct map m = { 0 };
	struct map_entry *e;
	size_t pos = 0;
	char key[16];
	int n = 0;

	for (intptr_t i = 1; i <= 1000; i++) {
		snprintf(key, sizeof(key), "k%d", (int)i);
		CHECK_INT(map_put(&m, key, (void *)i, NULL), 0);
	}
	/* remove every second one while walking */
	while ((e = map_next(&m, &pos))) {
		if ((intptr_t)e->value % 2 == 0)
			map_remove(&m, e->key);
	}
	CHECK_INT(map_len(&m), 500);
	for (intptr_t i = 1001; i <= 1500; i++) {
		snprintf(key, sizeof(key), "k%d", (int)i);
		CHECK_INT(map_put(&m, key, (void *)i, NULL), 0);
	}
	CHECK_INT(map_len(&m), 1000);
	for (intptr_t i = 1; i <= 1500; i++) {
		snprintf(key, sizeof(key), "k%d", (int)i);
		CHECK(map_has(&m, key) == (i > 1000 || i % 2 == 1));
	}
	pos = 0;
	for (intptr_t last = 0; (e = map_next(&m, &pos)); last = (intptr_t)e->value, n++)
		CHECK((intptr_t)e->value > last);
	CHECK_INT(n, 1000);
}

TEST(churn_does_not_grow_without_bound)
{
	_cleanup_(map_free) struct map m = { 0 };

	for (int i = 0; i < 100000; i++) {
		CHECK_INT(map_put(&m, i % 2 ? "odd" : "even", &m, NULL), 0);
		map_remove(&m, i % 2 ? "odd" : "even");
	}
	CHECK_INT(map_len(&m), 0);
	CHECK(m.cap <= 16);
}
