/*
 * Shims forked by the maker: they are the caller's children, get its connection, and another maker
 * is started when one is gone. The shims here find no shim.json and say so in exit.json. This
 * program plays the maker's role, too (the constructor).
 */
#include "engine/shim/maker.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/shim/client.h"
#include "engine/shim/protocol.h"
#include "engine/shim/shim.h"
#include "init/base/file.h"
#include "init/base/msg.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

enum { PATIENCE_MS = 20000 };

__attribute__((constructor)) static void role(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "shim") == 0)
		exit(shim_main(3, argv + 1));
}

/* The packet that the shim says first, on the connection that it was given. */
static bool greets(int fd)
{
	_cleanup_(mem_free) char *text = calloc(1, MSG_SIZE_MAX + 1);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, PATIENCE_MS) == 1 &&
	       msg_recv(fd, text, MSG_SIZE_MAX + 1, NULL, NULL, NULL) > 0 &&
	       strstr(text, "\"hello\"");
}

static void one_shim(struct shim_maker *m, const char *dir)
{
	struct child child = { .pidfd = -1 };
	struct shim_exit x = { 0 };
	struct err e = { 0 };
	int pair[2], status = -1;

	CHECK_INT(dir_make(AT_FDCWD, dir, 0700, &e), 0);
	CHECK_INT(msg_pair(pair, &e), 0);
	CHECK_MSG(shim_maker_spawn(m, dir, -1, pair[1], &child, &e) == 0, "%s", err_text(&e));
	close(pair[1]);
	CHECK(greets(pair[0]));
	close(pair[0]); /* nobody waits for it any more: it goes */
	CHECK_INT(child_wait(&child, &status, &e), 0);
	CHECK(WIFEXITED(status));
	CHECK_MSG(shim_exit_read(dir, &x, &e) == 0, "%s", err_text(&e));
	CHECK(x.never_ran && strstr(x.error, SHIM_CONFIG));
}

/* The maker is the only child that is left. */
static pid_t maker_pid(void)
{
	_cleanup_(mem_free) char *text = NULL;
	char path[64];
	size_t len;

	(void)str_format(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	if (file_read(AT_FDCWD, path, 4096, &text, &len, NULL) < 0)
		return -1;
	return (pid_t)atoi(text);
}

TEST(shims_are_the_callers_children_and_a_lost_maker_is_replaced)
{
	_cleanup_(mem_free) char *first = str_printf("%s/first", test_tmpdir()),
				 *second = str_printf("%s/second", test_tmpdir());
	struct loop *loop = NULL;
	struct shim_maker *m;
	pid_t pid;

	CHECK_INT(loop_new(&loop, NULL), 0);
	m = shim_maker_new(loop);
	one_shim(m, first);
	pid = maker_pid();
	CHECK(pid > 0);
	one_shim(m, second);
	CHECK_INT(maker_pid(), pid);
	kill(pid, SIGKILL);
	CHECK_INT(loop_once(loop, PATIENCE_MS), 1);
	one_shim(m, first);
	CHECK(maker_pid() > 0 && maker_pid() != pid);
	shim_maker_free(m);
	CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
	loop_free(loop);
}

TEST(what_cannot_be_is_refused)
{
	_cleanup_(mem_free) char *longer = calloc(1, 300);
	_cleanup_(fd_close) int plain = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct child child = { .pidfd = -1 };
	struct loop *loop = NULL;
	struct shim_maker *m;
	struct err e = { 0 };

	CHECK_INT(loop_new(&loop, NULL), 0);
	m = shim_maker_new(loop);
	memset(longer, 'x', 299);
	CHECK_INT(shim_maker_spawn(m, longer, -1, plain, &child, &e), -ENAMETOOLONG);
	CHECK_INT(shim_maker_spawn(m, "", -1, plain, &child, &e), -ENAMETOOLONG);
	/* not a cgroup */
	CHECK(shim_maker_spawn(m, "/tmp", plain, plain, &child, &e) < 0);
	CHECK_MSG(strstr(err_text(&e), "fork of a shim"), "%s", err_text(&e));
	shim_maker_free(m);
	loop_free(loop);
}
