/* Files: bounds, durable replacement cut at every step, removal of hostile trees. */
#include "init/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/base/fault.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

/* which step fails or dies; replaces the product's fault_point() */
static const char *fail_at, *die_at;

int fault_point(const char *step)
{
	if (str_eq(step, die_at))
		_exit(77);
	return str_eq(step, fail_at) ? -ENOSPC : 0;
}

static int open_tmp(void)
{
	return open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool content_is(int dir, const char *name, const char *want)
{
	_cleanup_(mem_free) char *data = NULL;

	return file_read(dir, name, 4096, &data, NULL, NULL) == 0 && str_eq(data, want);
}

static int count_one(int dirfd, const char *name, void *data, struct err *e)
{
	(void)dirfd;
	(void)name;
	(void)e;
	++*(int *)data;
	return 0;
}

static int count(int dir)
{
	int n = 0;

	return dir_each(dir, ".", 100, count_one, &n, NULL) < 0 ? -1 : n;
}

TEST(reads_within_the_bound)
{
	_cleanup_(fd_close) int dir = open_tmp();
	_cleanup_(mem_free) char *data = NULL;
	struct err e = { 0 };
	size_t len = 0;

	CHECK_INT(file_replace(dir, "f", "hello", 5, 0640, false, &e), 0);
	CHECK_INT(file_read(dir, "f", 5, &data, &len, &e), 0);
	CHECK_INT(len, 5);
	CHECK_STR(data, "hello");
	CHECK_INT(file_read(dir, "f", 4, &data, &len, &e), -EFBIG);
	CHECK_INT(file_read(dir, "none", 4, &data, &len, &e), -ENOENT);
	CHECK_INT(file_read(dir, ".", 4, &data, &len, &e), -EINVAL);
	CHECK_INT(mkfifoat(dir, "fifo", 0600), 0);
	CHECK_INT(file_read(dir, "fifo", 4, &data, &len, &e), -EINVAL);
	CHECK_STR(err_text(&e), "fifo is not a regular file");
}

TEST(reads_proc_and_puts_knobs)
{
	_cleanup_(mem_free) char *data = NULL;
	_cleanup_(fd_close) int dir = open_tmp();
	struct err e = { 0 };

	CHECK_INT(file_read(AT_FDCWD, "/proc/self/status", 65536, &data, NULL, &e), 0);
	CHECK(str_starts(data, "Name:"));
	CHECK_INT(file_put(dir, "none", "1", &e), -ENOENT);
	CHECK_INT(file_replace(dir, "knob", "000", 3, 0600, false, &e), 0);
	CHECK_INT(file_put(dir, "knob", "12", &e), 0);
	CHECK(content_is(dir, "knob", "120"));
	CHECK_INT(symlinkat("knob", dir, "link"), 0);
	CHECK_INT(file_put(dir, "link", "9", &e), -ELOOP);
}

TEST(replaces_links_and_sets_the_mode)
{
	_cleanup_(fd_close) int dir = open_tmp();
	struct stat st;

	CHECK_INT(file_replace(dir, "target", "old", 3, 0600, true, NULL), 0);
	CHECK_INT(symlinkat("target", dir, "link"), 0);
	CHECK_INT(file_replace(dir, "link", "new", 3, 0604, true, NULL), 0);
	CHECK_INT(fstatat(dir, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
	CHECK(S_ISREG(st.st_mode));
	CHECK_INT(st.st_mode & 07777, 0604);
	CHECK(content_is(dir, "target", "old"));
	CHECK(content_is(dir, "link", "new"));
	CHECK_INT(count(dir), 2);
	CHECK_INT(file_replace(dir, "no/such", "x", 1, 0600, true, NULL), -ENOENT);
}

static const char *const steps[] = { "file.create", "file.write", "file.fsync", "file.rename" };

TEST(failed_step_leaves_the_old_file_and_nothing_else)
{
	_cleanup_(fd_close) int dir = open_tmp();
	struct err e = { 0 };

	CHECK_INT(file_replace(dir, "f", "old", 3, 0600, true, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		fail_at = steps[i];
		int r = file_replace(dir, "f", "new", 3, 0600, true, &e);

		fail_at = NULL;
		CHECK_INT(r, -ENOSPC);
		CHECK(strstr(err_text(&e), "No space left"));
		CHECK(content_is(dir, "f", "old"));
		CHECK_INT(count(dir), 1);
	}
	/* behind the rename the new file is there, but the caller is told that it may not last */
	fail_at = "file.sync-dir";
	int r = file_replace(dir, "f", "new", 3, 0600, true, &e);

	fail_at = NULL;
	CHECK_INT(r, -ENOSPC);
	CHECK(content_is(dir, "f", "new"));
}

TEST(death_at_any_step_leaves_old_or_new)
{
	_cleanup_(fd_close) int dir = open_tmp();

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int status;
		pid_t pid;

		CHECK_INT(file_replace(dir, "f", "old", 3, 0600, true, NULL), 0);
		pid = fork();
		if (pid == 0) {
			die_at = steps[i];
			file_replace(dir, "f", "new", 3, 0600, true, NULL);
			_exit(0);
		}
		CHECK_INT(waitpid(pid, &status, 0), pid);
		CHECK_INT(WEXITSTATUS(status), 77);
		CHECK(content_is(dir, "f", "old"));
	}
}

TEST(makes_directories)
{
	_cleanup_(fd_close) int dir = open_tmp();
	struct err e = { 0 };
	struct stat st;

	CHECK_INT(dir_make(dir, "a/b//c/", 0755, &e), 0);
	CHECK_INT(fstatat(dir, "a/b/c", &st, 0), 0);
	CHECK_INT(dir_make(dir, "a/b/c", 0755, &e), 0);
	CHECK_INT(file_replace(dir, "a/f", "", 0, 0600, false, &e), 0);
	CHECK_INT(dir_make(dir, "a/f/x", 0755, &e), -ENOTDIR);
	CHECK_INT(dir_make(dir, "a/f", 0755, &e), -ENOTDIR);
	CHECK_INT(dir_make(AT_FDCWD, "/", 0755, &e), 0);
	CHECK_INT(dir_make(AT_FDCWD, "/proc/self", 0755, &e), 0);
}

static int collect(int dirfd, const char *name, void *data, struct err *e)
{
	(void)dirfd;
	(void)e;
	return buf_printf(data, "%s ", name);
}

TEST(lists_in_order_and_bounded)
{
	_cleanup_(fd_close) int dir = open_tmp();
	_cleanup_(buf_free) struct buf b = { 0 };
	struct err e = { 0 };

	for (const char *p = "dbca"; *p; p++)
		CHECK_INT(file_replace(dir, (char[]){ *p, 0 }, "", 0, 0600, false, &e), 0);
	CHECK_INT(dir_each(dir, ".", 4, collect, &b, &e), 0);
	CHECK_STR(buf_text(&b), "a b c d ");
	CHECK_INT(dir_each(dir, ".", 3, collect, &b, &e), -E2BIG);
	CHECK_INT(dir_each(dir, "none", 3, collect, &b, &e), -ENOENT);
}

TEST(removes_trees_without_following)
{
	_cleanup_(fd_close) int dir = open_tmp();
	struct err e = { 0 };

	CHECK_INT(dir_make(dir, "keep", 0755, &e), 0);
	CHECK_INT(file_replace(dir, "keep/f", "x", 1, 0600, false, &e), 0);
	CHECK_INT(dir_make(dir, "t/a/b", 0755, &e), 0);
	CHECK_INT(dir_make(dir, "t/c", 0755, &e), 0);
	CHECK_INT(symlinkat("../keep", dir, "t/link"), 0);
	CHECK_INT(symlinkat("../../keep", dir, "t/a/link"), 0);
	CHECK_INT(file_replace(dir, "t/a/b/f", "x", 1, 0600, false, &e), 0);
	CHECK_MSG(tree_remove(dir, "t", &e) == 0, "%s", err_text(&e));
	CHECK(content_is(dir, "keep/f", "x"));
	CHECK_INT(count(dir), 1);
	CHECK_INT(tree_remove(dir, "t", &e), 0);
	CHECK_INT(symlinkat("keep", dir, "link"), 0);
	CHECK_INT(tree_remove(dir, "link", &e), 0);
	CHECK(content_is(dir, "keep/f", "x"));
}

TEST(removes_a_tree_within_a_budget_or_says_that_it_is_too_much)
{
	static const struct tree_budget room = { 4, 1 << 20 }, few = { 3, 1 << 20 },
					little = { 4, 4095 };
	_cleanup_(fd_close) int dir = open_tmp();
	struct err e = { 0 };

	for (int round = 0; round < 2; round++) {
		CHECK_INT(dir_make(dir, "t/a/b", 0755, &e), 0);
		CHECK_INT(file_replace(dir, "t/a/f", "x", 1, 0600, true, &e), 0);
		CHECK_INT(symlinkat("..", dir, "t/link"), 0);
		CHECK_INT(tree_remove_some(dir, "t", round ? little : few, &e), -E2BIG);
		CHECK_INT(tree_remove_some(dir, "t", room, &e), 0);
		CHECK_INT(count(dir), 0);
	}
	CHECK_INT(tree_remove_some(dir, "t", few, &e), 0);
}

TEST(removes_what_is_deeper_than_any_path_or_descriptor_limit)
{
	_cleanup_(fd_close) int dir = open_tmp();
	int at = dup(dir), next;
	struct err e = { 0 };

	CHECK_INT(mkdirat(at, "deep", 0755), 0);
	for (int i = 0; i < 5000; i++) {
		next = openat(at, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CHECK(next >= 0);
		close(at);
		at = next;
		CHECK_INT(mkdirat(at, "deep", 0755), 0);
	}
	close(at);
	CHECK_MSG(tree_remove(dir, "deep", &e) == 0, "%s", err_text(&e));
	CHECK_INT(count(dir), 0);
}
