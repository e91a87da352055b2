/* The matrix of User forms against a container's own files, well-meant and hostile. */
#include <fcntl.h>
#include <sys/stat.h>

#include "engine/runtime/user.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

static const char passwd[] = "# comment\n"
			     "root:x:0:0:root:/root:/bin/sh\n"
			     "web:x:33:34:web:/srv/www:/bin/sh\n"
			     "4294967296:x:0:0::/:/bin/sh\n"
			     "2147483648:x:0:0::/:/bin/sh\n"
			     "77:x:0:0:digits as a name:/:/bin/sh\n"
			     "big:x:4294967296:0::/:/bin/sh\n"
			     "neg:x:-1:0::/:/bin/sh\n"
			     "short:x\n"
			     "nohome:x:44:44\n"
			     "relhome:x:45:45::../../etc:/bin/sh\n";
static const char group[] = "root:x:0:root\n"
			    "adm:x:4:web,root\n"
			    "www:x:34:\n"
			    "audio:x:29: web \n"
			    "55:x:0:\n"
			    "bad:x:99999999999:web\n";

static int root_with(const char *p, const char *g)
{
	char path[300];
	int fd;

	(void)str_format(path, sizeof(path), "%s/etc", test_tmpdir());
	mkdir(path, 0755);
	fd = open(test_tmpdir(), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p)
		file_replace(fd, "etc/passwd", p, strlen(p), 0644, false, NULL);
	if (g)
		file_replace(fd, "etc/group", g, strlen(g), 0644, false, NULL);
	return fd;
}

struct row {
	const char *spec;
	int uid, gid;
	const char *home;
	const char *groups; /* in order, spaces */
};

TEST(forms_that_are_right)
{
	static const struct row rows[] = {
		{ "", 0, 0, "/root", "0 4" },
		{ "root", 0, 0, "/root", "0 4" },
		{ "0", 0, 0, "/root", "0 4" },
		{ "web", 33, 34, "/srv/www", "34 4 29" },
		{ "33", 33, 34, "/srv/www", "34 4 29" },
		{ "web:4", 33, 4, "/srv/www", "4" },
		{ "web:adm", 33, 4, "/srv/www", "4" },
		{ "33:29", 33, 29, "/srv/www", "29" },
		{ "1000", 1000, 0, "/", "0" },
		{ "1000:", 1000, 0, "/", "0" },
		{ "1000:1000", 1000, 1000, "/", "1000" },
		{ "1000:audio", 1000, 29, "/", "29" },
		{ ":adm", 0, 4, "/root", "4" },
		{ "2147483647:2147483647", 2147483647, 2147483647, "/", "2147483647" },
		{ "nohome", 44, 44, "/", "44" },
		{ "relhome", 45, 45, "/", "45" },
		/* digits are a number, whatever names there are */
		{ "77", 77, 0, "/", "0" },
		{ "0:55", 0, 55, "/root", "55" },
	};
	_cleanup_(fd_close) int root = root_with(passwd, group);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(user_clear) struct user u = { 0 };
		struct err e = { 0 };
		char text[256] = "";

		CHECK_MSG(user_resolve(root, rows[i].spec, NULL, &u, &e) == 0, "\"%s\": %s",
			  rows[i].spec, err_text(&e));
		CHECK_INT(u.uid, rows[i].uid);
		CHECK_INT(u.gid, rows[i].gid);
		CHECK_STR(u.home, rows[i].home);
		for (size_t k = 0; k < u.n_groups; k++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u",
				 k ? " " : "", u.groups[k]);
		CHECK_STR(text, rows[i].groups);
	}
}

TEST(forms_that_are_refused)
{
	static const char *const specs[] = {
		"2147483648",  "4294967296", "4294967295", "0x0",
		"00",	       "01",	     "1000 ",	   " 1000",
		"nobody",      "-1",	     "+1",	   "web ",
		"web:nogroup", "web:00",     "web:-1",	   "web:4294967296",
		"big",	       "neg",	     "short",	   "a:b:c",
		"web:adm:x",   "we\tb",	     "web\n",	   "99999999999999999999999"
	};
	_cleanup_(fd_close) int root = root_with(passwd, group);

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct user u = { 0 };
		struct err e = { 0 };

		CHECK_MSG(user_resolve(root, specs[i], NULL, &u, &e) == -EINVAL,
			  "\"%s\" was taken as uid %u", specs[i], u.uid);
		CHECK(e.text[0]);
		CHECK(!u.groups && !u.home);
	}
}

TEST(added_groups)
{
	char *extra[] = { "29", "adm", "7777", "29", NULL }, *unknown[] = { "nogroup", NULL };
	_cleanup_(fd_close) int root = root_with(passwd, group);
	_cleanup_(user_clear) struct user u = { 0 };
	struct err e = { 0 };

	CHECK_INT(user_resolve(root, "1000:1000", extra, &u, &e), 0);
	CHECK_INT(u.n_groups, 4);
	CHECK(u.groups[0] == 1000 && u.groups[1] == 29 && u.groups[2] == 4 && u.groups[3] == 7777);
	user_clear(&u);
	CHECK_INT(user_resolve(root, "0", unknown, &u, &e), -EINVAL);
	CHECK_STR(e.text, "unable to find group nogroup: no matching entries in group file");
}

TEST(without_files_only_numbers_work)
{
	_cleanup_(fd_close) int root = root_with(NULL, NULL);
	_cleanup_(user_clear) struct user u = { 0 };
	struct err e = { 0 };

	CHECK_INT(user_resolve(root, "12:13", NULL, &u, &e), 0);
	CHECK_INT(u.uid, 12);
	user_clear(&u);
	CHECK_INT(user_resolve(root, "web", NULL, &u, &e), -EINVAL);
	CHECK_STR(e.text, "unable to find user web: no matching entries in passwd file");
}

TEST(fifo_device_and_link_are_refused_at_once)
{
	_cleanup_(fd_close) int root = root_with(NULL, NULL);
	struct user u = { 0 };
	struct err e = { 0 };

	/* a test that hangs here is the failure it looks for */
	CHECK_INT(mkfifoat(root, "etc/passwd", 0644), 0);
	CHECK_INT(user_resolve(root, "web", NULL, &u, &e), -EINVAL);
	CHECK(strstr(e.text, "not a regular file"));
	unlinkat(root, "etc/passwd", 0);
	CHECK_INT(symlinkat("/proc/self/fd/0", root, "etc/passwd"), 0);
	CHECK(user_resolve(root, "web", NULL, &u, &e) < 0);
	unlinkat(root, "etc/passwd", 0);
	/* an absolute link stays below the root: the host's passwd knows root, this one does not
	 * exist */
	CHECK_INT(symlinkat("/etc/../../../../etc/shadow-of-host", root, "etc/passwd"), 0);
	CHECK_INT(user_resolve(root, "root", NULL, &u, &e), -EINVAL);
}

TEST(sizes_are_bounded)
{
	_cleanup_(fd_close) int root = root_with("root:x:0:0::/:/bin/sh\n", NULL), fd = -1;
	_cleanup_(mem_free) char *line = malloc(1 << 20);
	struct user u = { 0 };
	struct err e = { 0 };

	fd = openat(root, "etc/group", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	CHECK_INT(ftruncate(fd, 2LL << 30), 0);
	CHECK_INT(user_resolve(root, "root", NULL, &u, &e), -EFBIG);
	CHECK(line);
	CHECK_INT(ftruncate(fd, 0), 0);
	memset(line, 'a', 1 << 20);
	CHECK_INT(pwrite(fd, line, 100000, 0), 100000);
	CHECK_INT(user_resolve(root, "root", NULL, &u, &e), -EFBIG);
	CHECK(strstr(e.text, "line 1"));
}

TEST(too_many_groups)
{
	_cleanup_(mem_free) char *text = malloc(200000);
	_cleanup_(fd_close) int root = -1;
	struct user u = { 0 };
	struct err e = { 0 };
	size_t len = 0;

	CHECK(text);
	for (int i = 1; i < 3000; i++)
		len += (size_t)snprintf(text + len, 200000 - len, "g%d:x:%d:web\n", i, i);
	root = root_with(passwd, text);
	CHECK_INT(user_resolve(root, "web", NULL, &u, &e), -E2BIG);
}
