/* Mounts by descriptor, each case in a mount namespace of its own child process. */
#include "init/base/mount.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/path.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

static char dir[300];

#define EXPECT(n, cond)                                                     \
	do {                                                                \
		if (!(cond)) {                                              \
			fprintf(stderr, "# %s: %s\n", #cond, err_text(&e)); \
			return (n);                                         \
		}                                                           \
	} while (0)

/* Runs fn in a child with private mounts; 0 or the number of the attempt that went wrong. */
static int inside(int (*fn)(void))
{
	int status = -1, root;
	pid_t pid;

	(void)str_format(dir, sizeof(dir), "%s", test_tmpdir());
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0)
			_exit(100);
		root = open("/", O_PATH | O_CLOEXEC);
		if (mount_attrs(root, 0, 0, 1 << 18 /* MS_PRIVATE */, true, NULL) < 0)
			_exit(101);
		_exit(fn());
	}
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static bool is_root(void)
{
	if (getuid() == 0)
		return true;
	printf("# SKIP needs root\n");
	return false;
}

static int try_tmpfs(void)
{
	static const char *const options[] = { "size=64k", "mode=0710", NULL };
	static const char *const bad[] = { "nonsense=1", NULL };
	char text[400];
	struct err e = { 0 };
	struct stat st;

	EXPECT(1, mount_is_point(AT_FDCWD, dir) == 0);
	EXPECT(2, mount_at("tmpfs", "tmpfs", dir, options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
			   &e) == 0);
	EXPECT(3, mount_is_point(AT_FDCWD, dir) == 1);
	EXPECT(4, stat(dir, &st) == 0 && (st.st_mode & 07777) == 0710);
	(void)str_format(text, sizeof(text), "%s/sub", dir);
	EXPECT(5, mkdir(text, 0755) == 0 && mount_is_point(AT_FDCWD, text) == 0);
	EXPECT(6, mount_at("tmpfs", "tmpfs", text, bad, 0, &e) == -EINVAL);
	EXPECT(7, strstr(err_text(&e), "nonsense"));
	EXPECT(8, mount_at("nosuchfs", NULL, text, NULL, 0, &e) == -ENODEV);
	EXPECT(9, strstr(err_text(&e), "does not offer the file system nosuchfs"));
	EXPECT(10, mount_at("tmpfs", NULL, "/no/such", NULL, 0, &e) == -ENOENT);
	EXPECT(11, mount_detach(dir, 0, &e) == 0);
	EXPECT(12, mount_detach(dir, 0, &e) == -EINVAL);
	EXPECT(13, mount_is_point(AT_FDCWD, "/no/such") == -ENOENT);
	return 0;
}

TEST(new_mount_with_options_and_reasons)
{
	if (is_root())
		CHECK_INT(inside(try_tmpfs), 0);
}

static int try_clone(void)
{
	char from[400], to[400], file[400];
	_cleanup_(fd_close) int source = -1, target = -1, tree = -1;
	struct err e = { 0 };

	(void)str_format(from, sizeof(from), "%s/from", dir);
	(void)str_format(to, sizeof(to), "%s/to", dir);
	(void)str_format(file, sizeof(file), "%s/to/f", dir);
	EXPECT(1, mkdir(from, 0755) == 0 && mkdir(to, 0755) == 0);
	source = open(from, O_PATH | O_CLOEXEC);
	target = open(to, O_PATH | O_CLOEXEC);
	tree = mount_clone(source, false, &e);
	EXPECT(2, tree >= 0);
	EXPECT(3, mount_attrs(tree, MOUNT_ATTR_RDONLY, 0, 0, false, &e) == 0);
	EXPECT(4, mount_attach(tree, target, &e) == 0);
	EXPECT(5, open(file, O_WRONLY | O_CREAT, 0600) < 0 && errno == EROFS);
	EXPECT(6, mount_attrs(tree, 0, MOUNT_ATTR_RDONLY, 0, false, &e) == 0);
	EXPECT(7, open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0);
	EXPECT(8, mount_clone(-1, false, &e) == -EBADF);
	return 0;
}

TEST(clone_flags_attach)
{
	if (is_root())
		CHECK_INT(inside(try_clone), 0);
}

static int try_removal(void)
{
	char deep[400], guard[420];
	struct err e = { 0 };

	(void)str_format(deep, sizeof(deep), "%s/t/a/mnt", dir);
	(void)str_format(guard, sizeof(guard), "%s/guard", deep);
	EXPECT(1, dir_make(AT_FDCWD, deep, 0755, &e) == 0);
	EXPECT(2, mount_at("tmpfs", NULL, deep, NULL, 0, &e) == 0);
	EXPECT(3, file_replace(AT_FDCWD, guard, "x", 1, 0600, false, &e) == 0);
	(void)str_format(deep, sizeof(deep), "%s/t", dir);
	EXPECT(4, tree_remove(AT_FDCWD, deep, &e) == -EBUSY);
	EXPECT(5, access(guard, F_OK) == 0);
	return 0;
}

TEST(removal_never_crosses_a_mount)
{
	if (is_root())
		CHECK_INT(inside(try_removal), 0);
}

/* A root of one's own: what lies in it is all there is, and paths relative to a directory lead as
 * far as that. */
static int try_pivot(void)
{
	_cleanup_(fd_close) int fd = -1, sub = -1, file = -1;
	struct err e = { 0 };

	EXPECT(1, mount_at("tmpfs", "tmpfs", dir, NULL, 0, &e) == 0);
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	EXPECT(2, mkdirat(fd, "sub", 0755) == 0 && mkdirat(fd, "other", 0755) == 0);
	EXPECT(3, symlinkat("/other/../../../other", fd, "sub/absolute") == 0);
	EXPECT(4, symlinkat("../../../../other", fd, "sub/relative") == 0);
	EXPECT(5, mount_pivot(fd, &e) == 0);
	EXPECT(6, access("/sub", F_OK) == 0 && access(dir, F_OK) < 0 && access("/proc", F_OK) < 0);
	sub = open("/sub", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		file = path_open_own(sub, i ? "absolute/f" : "relative/g", O_WRONLY | O_CREAT, 0600,
				     &e);
		EXPECT(7 + i, file >= 0);
		fd_close(take_fd(file));
	}
	EXPECT(9, access("/other/f", F_OK) == 0 && access("/other/g", F_OK) == 0);
	EXPECT(10, path_open_own(sub, "none", O_PATH, 0, NULL) == -ENOENT);
	return 0;
}

TEST(a_root_of_its_own)
{
	if (!is_root())
		return;
	CHECK_INT(inside(try_pivot), 0);
}
