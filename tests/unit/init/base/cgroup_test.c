/*
 * cgroup v2 on the running kernel: a child mounts the hierarchy at CGROUP_ROOT in its own mount
 * namespace and works in a group of its own.
 */
#include "init/base/cgroup.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/mount.h"
#include "init/base/spawn.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

#define EXPECT(n, cond)                                                     \
	do {                                                                \
		if (!(cond)) {                                              \
			fprintf(stderr, "# %s: %s\n", #cond, err_text(&e)); \
			return (n);                                         \
		}                                                           \
	} while (0)

enum { NO_CGROUP2 = 50 };

static char base[64];

static int prepare(void)
{
	_cleanup_(fd_close) int root = -1;

	if (unshare(CLONE_NEWNS) < 0)
		return NO_CGROUP2;
	root = open("/", O_PATH | O_CLOEXEC); /* the new namespace's */
	if (mount_attrs(root, 0, 0, 1 << 18 /* MS_PRIVATE */, true, NULL) < 0 ||
	    mount_at("cgroup2", "cgroup2", CGROUP_ROOT, NULL, 0, NULL) < 0)
		return NO_CGROUP2;
	(void)str_format(base, sizeof(base), "skerry-test-%d", (int)getpid());
	return 0;
}

static int inside(int (*fn)(void))
{
	int status = -1;
	pid_t pid;

	if (getuid() != 0) {
		printf("# SKIP needs root\n");
		return 0;
	}
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int r = prepare();

		if (r == 0)
			r = fn();
		if (r != NO_CGROUP2)
			cgroup_remove(base, NULL);
		_exit(r);
	}
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return -1;
	if (WEXITSTATUS(status) == NO_CGROUP2)
		printf("# SKIP no cgroup v2 here\n");
	return WEXITSTATUS(status) == NO_CGROUP2 ? 0 : WEXITSTATUS(status);
}

static int try_knobs(void)
{
	_cleanup_(fd_close) int fd = -1, again = -1;
	struct err e = { 0 };
	char path[128];
	uint64_t v = 1;

	(void)str_format(path, sizeof(path), "%s/a/b", base);
	fd = cgroup_make(path, &e);
	EXPECT(1, fd >= 0);
	again = cgroup_make(path, &e);
	EXPECT(2, again >= 0);
	EXPECT(3, cgroup_write(fd, "nosuch.max", "1", &e) == -ENOENT);
	EXPECT(4,
	       str_eq(err_text(&e),
		      "the cgroup has no nosuch.max: the controller \"nosuch\" is not available"));
	EXPECT(5, cgroup_read_u64(fd, "nosuch.max", &v, &e) == -ENOENT);
	EXPECT(6, cgroup_read_u64(fd, "cgroup.max.depth", &v, &e) == 0 && v == UINT64_MAX);
	EXPECT(7, cgroup_writef(fd, "cgroup.max.depth", &e, "%d", 5) == 0);
	EXPECT(8, cgroup_read_u64(fd, "cgroup.max.depth", &v, &e) == 0 && v == 5);
	EXPECT(9, cgroup_read_key(fd, "cgroup.events", "frozen", &v, &e) == 0 && v == 0);
	EXPECT(10, cgroup_read_key(fd, "cgroup.events", "froz", &v, &e) == -ENOENT);
	EXPECT(11, cgroup_populated(fd, &e) == 0);
	EXPECT(12, cgroup_open("no/such/group", &e) == -ENOENT);
	EXPECT(13, cgroup_make("../x", &e) == -EINVAL && cgroup_make("/x", &e) == -EINVAL);
	EXPECT(14, cgroup_remove(base, &e) == 0);
	EXPECT(15, cgroup_open(path, &e) == -ENOENT);
	EXPECT(16, cgroup_remove(base, &e) == 0);
	return 0;
}

TEST(groups_and_knobs)
{
	CHECK_INT(inside(try_knobs), 0);
}

static int try_processes(void)
{
	static const char *const argv[] = { "sleep", "1000", NULL };
	_cleanup_(fd_close) int fd = -1;
	struct spawn s = { .path = "/bin/sleep", .argv = argv };
	struct child born, moved;
	struct err e = { 0 };
	int status = 0;
	_cleanup_(fd_close) int found = -1;
	char part[sizeof(base)];

	fd = cgroup_make(base, &e);
	EXPECT(1, fd >= 0);
	EXPECT(2, spawn(&s, &moved, &e) == 0);
	s.cgroup_fd = fd;
	EXPECT(3, spawn(&s, &born, &e) == 0);
	EXPECT(4, cgroup_populated(fd, &e) == 1);
	found = cgroup_open_process(base, born.pid, &e);
	EXPECT(12, found >= 0);
	EXPECT(13, cgroup_open_process(base, moved.pid, &e) == -ESRCH);
	base[strlen(base) - 1] ^= 1; /* a neighbour's name, then only a part of its own */
	EXPECT(14, cgroup_open_process(base, born.pid, &e) == -ESRCH);
	base[strlen(base) - 1] ^= 1;
	(void)str_format(part, sizeof(part), "%.*s", (int)strlen(base) - 1, base);
	EXPECT(15, cgroup_open_process(part, born.pid, &e) == -ESRCH);
	EXPECT(16, cgroup_open_process(base, 0, &e) == -ESRCH);
	EXPECT(5, cgroup_attach(fd, moved.pid, &e) == 0);
	EXPECT(6, cgroup_remove(base, &e) == -EBUSY);
	EXPECT(7, cgroup_freeze(fd, true, &e) == 0 && cgroup_freeze(fd, false, &e) == 0);
	EXPECT(8, cgroup_kill(fd, &e) == 0);
	EXPECT(9, child_wait(&born, &status, &e) == 0 && WTERMSIG(status) == SIGKILL);
	EXPECT(10, child_wait(&moved, &status, &e) == 0 && WTERMSIG(status) == SIGKILL);
	EXPECT(17, cgroup_open_process(base, born.pid, &e) == -ESRCH);
	EXPECT(11, cgroup_remove(base, &e) == 0);
	return 0;
}

TEST(processes_are_born_moved_and_killed)
{
	CHECK_INT(inside(try_processes), 0);
}
