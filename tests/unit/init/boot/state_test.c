/* machine-id, clock floor, random seed, certificates: small files, well and badly filled. */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/str.h"
#include "init/boot/floor.h"
#include "init/boot/handover.h"
#include "init/boot/ident.h"
#include "init/boot/seed.h"
#include "tests/unit/test.h"

static char *put(const char *name, const char *text, size_t len)
{
	char *path = str_printf("%s/%s", test_tmpdir(), name);

	file_replace(AT_FDCWD, path, text, len, 0600, false, NULL);
	return path;
}

TEST(a_machine_id_is_made_once)
{
	_cleanup_(mem_free) char *path = str_printf("%s/machine-id", test_tmpdir());
	char first[MACHINE_ID_LEN + 1], again[MACHINE_ID_LEN + 1];
	struct err e = { 0 };

	CHECK_MSG(machine_id_ensure(path, first, &e) == 0, "%s", err_text(&e));
	CHECK_INT(strlen(first), MACHINE_ID_LEN);
	CHECK_INT(machine_id_ensure(path, again, &e), 0);
	CHECK_STR(again, first);
}

TEST(a_broken_machine_id_is_replaced)
{
	static const char *const broken[] = { "", "uninitialized\n",
					      "00000000000000000000000000000000\n",
					      "0123456789ABCDEF0123456789ABCDEF\n" };

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		_cleanup_(mem_free) char *path = put("machine-id", broken[i], strlen(broken[i]));
		char id[MACHINE_ID_LEN + 1];

		CHECK_INT(machine_id_ensure(path, id, NULL), 0);
		CHECK(strspn(id, "0123456789abcdef") == MACHINE_ID_LEN &&
		      strspn(id, "0") < MACHINE_ID_LEN);
	}
}

TEST(an_id_that_cannot_be_kept_is_still_an_id)
{
	char id[MACHINE_ID_LEN + 1] = "";

	CHECK(machine_id_ensure("/nonexistent/machine-id", id, NULL) < 0);
	CHECK_INT(strlen(id), MACHINE_ID_LEN);
}

TEST(the_first_valid_host_name)
{
	CHECK_STR(hostname_choose("", "box", "other"), "box");
	CHECK_STR(hostname_choose("bad name", NULL, "other"), "other");
	CHECK_STR(hostname_choose(NULL, NULL, NULL), "skerry");
}

TEST(the_floor_of_the_clock)
{
	CHECK_INT(clock_floor(1000, 0), 1000);
	CHECK_INT(clock_floor(1000, 999), 1000);
	CHECK_INT(clock_floor(1000, 2000), 2000);
	CHECK_INT(clock_floor(1000, 1000 + (int64_t)FLOOR_AHEAD_MAX + 1), 1000);
}

TEST(a_kept_clock_comes_back)
{
	_cleanup_(mem_free) char *path = str_printf("%s/clock", test_tmpdir());
	int64_t now = time(NULL), got;

	CHECK_INT(clock_load(path), 0);
	CHECK_INT(clock_save(path, NULL), 0);
	got = clock_load(path);
	CHECK(got >= now && got <= now + 5);
}

TEST(a_broken_clock_file_is_none)
{
	static const char *const broken[] = { "", "-5\n", "noon\n", "12 13\n",
					      "99999999999999999999\n" };

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		_cleanup_(mem_free) char *path = put("clock", broken[i], strlen(broken[i]));

		CHECK_INT(clock_load(path), 0);
	}
}

TEST(a_seed_depends_on_both_parts)
{
	unsigned char a[SEED_SIZE] = { 1 }, b[SEED_SIZE] = { 2 }, x[SEED_SIZE], y[SEED_SIZE];

	seed_next(a, b, x);
	seed_next(b, a, y);
	CHECK(memcmp(x, y, SEED_SIZE) != 0);
	seed_next(a, a, y);
	CHECK(memcmp(x, y, SEED_SIZE) != 0);
	seed_next(a, b, y);
	CHECK(memcmp(x, y, SEED_SIZE) == 0);
}

TEST(a_seed_is_written_anew_each_time)
{
	_cleanup_(mem_free) char *path = str_printf("%s/seed", test_tmpdir()), *one = NULL,
				 *two = NULL;
	struct err e = { 0 };
	size_t len;
	struct stat st;

	CHECK_INT(seed_restore(path, &e), 0); /* a first boot */
	CHECK_MSG(seed_save(path, &e) == 0, "%s", err_text(&e));
	CHECK_INT(file_read(AT_FDCWD, path, 100, &one, &len, NULL), 0);
	CHECK_INT(len, SEED_SIZE);
	CHECK_INT(seed_save(path, &e), 0);
	CHECK_INT(file_read(AT_FDCWD, path, 100, &two, &len, NULL), 0);
	CHECK(memcmp(one, two, SEED_SIZE) != 0);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
}

TEST(a_seed_of_a_wrong_size_is_not_used)
{
	_cleanup_(mem_free) char *path = put("seed", "short", 5), *text = NULL;

	CHECK_INT(seed_restore(path, NULL), 0);
	CHECK_INT(file_read(AT_FDCWD, path, 100, &text, NULL, NULL), 0);
	CHECK_STR(text, "short");
}

static void item(const char *name, const char *text)
{
	_cleanup_(mem_free) char *dir = str_printf("%s/by_name/opt/skerry/%s", test_tmpdir(), name),
				 *path = str_printf("%s/raw", dir);

	dir_make(AT_FDCWD, dir, 0755, NULL);
	file_replace(AT_FDCWD, path, text, strlen(text), 0400, false, NULL);
}

TEST(certificates_come_over_all_or_none)
{
	_cleanup_(mem_free) char *from = str_printf("%s/by_name", test_tmpdir()),
				 *to = str_printf("%s/pki", test_tmpdir()),
				 *key = str_printf("%s/server-key.pem", to), *text = NULL;
	struct err e = { 0 };
	struct stat st;

	CHECK_INT(handover_pki(from, to, &e), 0);
	item("server.pem", "CERT");
	item("server-key.pem", "KEY");
	CHECK_INT(handover_pki(from, to, &e), -ENOENT);
	CHECK_STR(
		err_text(&e),
		"the host handed over certificates without opt/skerry/client-ca.pem; none is used");
	CHECK(access(key, F_OK) < 0);
	item("client-ca.pem", "CA");
	CHECK_MSG(handover_pki(from, to, &e) == 1, "%s", err_text(&e));
	CHECK_INT(file_read(AT_FDCWD, key, 100, &text, NULL, NULL), 0);
	CHECK_STR(text, "KEY");
	CHECK(stat(key, &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK(stat(to, &st) == 0 && (st.st_mode & 0777) == 0700);
}
