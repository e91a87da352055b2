/* Resolution below a hostile root: nothing leads out, dangling links are followed inside. */
#include "init/base/path.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

/* tmpdir/outside is what must never be reached, tmpdir/root is the root; returns its fd */
static int make_root(int *ret_tmp)
{
	int tmp = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir_make(tmp, "root/etc", 0755, NULL) < 0 || dir_make(tmp, "outside", 0755, NULL) < 0 ||
	    file_replace(tmp, "outside/secret", "s", 1, 0600, false, NULL) < 0 ||
	    file_replace(tmp, "root/etc/passwd", "p", 1, 0600, false, NULL) < 0)
		abort();
	*ret_tmp = tmp;
	return openat(tmp, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

TEST(stays_below_the_root)
{
	_cleanup_(fd_close) int tmp = -1, root = make_root(&tmp);
	static const char *const paths[] = { "../outside/secret", "/../outside/secret",
					     "up/outside/secret", "abs/secret",
					     "etc/../../outside/secret" };
	char outside[PATH_MAX];

	CHECK_INT(str_format(outside, sizeof(outside), "%s/outside", test_tmpdir()), 0);
	CHECK_INT(symlinkat("..", root, "up"), 0);
	CHECK_INT(symlinkat(outside, root, "abs"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		CHECK_MSG(path_open(root, paths[i], O_RDONLY, 0, NULL) == -ENOENT, "%s", paths[i]);
}

TEST(follows_links_inside_and_refuses_them_when_strict)
{
	_cleanup_(fd_close) int tmp = -1, root = make_root(&tmp), fd = -1;
	struct err e = { 0 };

	CHECK_INT(symlinkat("/etc/passwd", root, "abs"), 0);
	CHECK_INT(symlinkat("etc", root, "conf"), 0);
	fd = path_open(root, "/abs", O_RDONLY, 0, &e);
	CHECK_MSG(fd >= 0, "%s", err_text(&e));
	CHECK_INT(path_open_strict(root, "abs", O_RDONLY, 0, &e), -ELOOP);
	CHECK_INT(path_open_strict(root, "conf/passwd", O_RDONLY, 0, &e), -ELOOP);
	fd_close(fd);
	fd = path_open_strict(root, "etc/passwd", O_RDONLY, 0, &e);
	CHECK(fd >= 0);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK_INT(symlinkat("/proc/self/root", root, "magic"), 0);
	CHECK_INT(path_open(root, "magic/etc", O_RDONLY, 0, &e), -ENOENT);
}

TEST(magic_links_are_refused)
{
	_cleanup_(fd_close) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	CHECK_INT(path_open(root, "proc/self/root/etc", O_RDONLY, 0, NULL), -ELOOP);
}

TEST(parent_and_name)
{
	_cleanup_(fd_close) int tmp = -1, root = make_root(&tmp), fd = -1;
	static const char *const bad[] = { "", "/", ".", "..", "etc/..", "etc/.", "//" };
	char name[NAME_MAX + 1] = "untouched", big[NAME_MAX + 10];
	struct stat a, b;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_MSG(path_open_parent(root, bad[i], name, NULL) == -EINVAL, "\"%s\"", bad[i]);
	CHECK_STR(name, "untouched");
	fd = path_open_parent(root, "/etc/new//", name, NULL);
	CHECK(fd >= 0);
	CHECK_STR(name, "new");
	CHECK_INT(fstat(fd, &a), 0);
	CHECK_INT(fstatat(root, "etc", &b, 0), 0);
	CHECK_INT(a.st_ino, b.st_ino);
	fd_close(fd);
	fd = path_open_parent(root, "top", name, NULL);
	CHECK(fd >= 0);
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	CHECK_INT(path_open_parent(root, big, name, NULL), -ENAMETOOLONG);
}

TEST(makes_missing_directories_through_dangling_links)
{
	_cleanup_(fd_close) int tmp = -1, root = make_root(&tmp), fd = -1;
	struct err e = { 0 };
	struct stat st;

	CHECK_INT(mkdirat(root, "var", 0755), 0);
	CHECK_INT(symlinkat("/run", root, "var/run"), 0);
	CHECK_INT(symlinkat("../../../../outside/new", root, "evil"), 0);
	fd = path_make_dirs(root, "/var/run/a/b", 0755, &e);
	CHECK_MSG(fd >= 0, "%s", err_text(&e));
	CHECK_INT(fstatat(root, "run/a/b", &st, AT_SYMLINK_NOFOLLOW), 0);
	CHECK(S_ISDIR(st.st_mode));
	fd_close(fd);
	fd = path_make_dirs(root, "evil/x", 0755, &e);
	CHECK_MSG(fd >= 0, "%s", err_text(&e));
	CHECK_INT(fstatat(root, "outside/new/x", &st, AT_SYMLINK_NOFOLLOW), 0);
	CHECK_INT(fstatat(tmp, "outside/new", &st, 0), -1);
	CHECK_INT(path_make_dirs(root, "etc/passwd/x", 0755, &e), -ENOTDIR);
	CHECK_INT(symlinkat("loop", root, "loop"), 0);
	CHECK_INT(path_make_dirs(root, "loop/x", 0755, &e), -ELOOP);
	fd_close(fd);
	fd = path_make_dirs(root, "/", 0755, &e);
	CHECK(fd >= 0);
}

TEST(makes_mount_targets)
{
	_cleanup_(fd_close) int tmp = -1, root = make_root(&tmp), fd = -1, dir = -1;
	struct err e = { 0 };
	struct stat st;

	/* what systemd's images have: a link to a file that is not there */
	CHECK_INT(symlinkat("../run/stub-resolv.conf", root, "etc/resolv.conf"), 0);
	fd = path_make_target(root, "/etc/resolv.conf", true, &e);
	CHECK_MSG(fd >= 0, "%s", err_text(&e));
	CHECK_INT(fstatat(root, "run/stub-resolv.conf", &st, AT_SYMLINK_NOFOLLOW), 0);
	CHECK(S_ISREG(st.st_mode) && st.st_size == 0);
	CHECK_INT(path_make_target(root, "/etc", true, &e), -EISDIR);
	CHECK_INT(path_make_target(root, "/etc/passwd", false, &e), -ENOTDIR);
	dir = path_make_target(root, "/data/deep", false, &e);
	CHECK(dir >= 0 && fstat(dir, &st) == 0 && S_ISDIR(st.st_mode));
	fd_close(fd);
	fd = path_make_target(root, "/new/dir/file", true, &e);
	CHECK(fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode));
}

TEST(clean)
{
	static const char *const cases[][2] = {
		{ "/", "/" },
		{ "", "." },
		{ "//a//b/", "/a/b" },
		{ "/a/./b/../c", "/a/c" },
		{ "/../../a", "/a" },
		{ "a/../..", "." },
		{ "../a", "a" },
		{ "a/b/..", "a" },
		{ "/a/b/../../..", "/" },
		{ "./a", "a" },
		{ "/...", "/..." },
	};
	char dst[64], small[4];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_INT(path_clean(dst, sizeof(dst), cases[i][0]), 0);
		CHECK_STR(dst, cases[i][1]);
	}
	CHECK_INT(path_clean(small, sizeof(small), "/abc"), -ENAMETOOLONG);
	CHECK_INT(path_clean(small, sizeof(small), "/ab"), 0);
}
