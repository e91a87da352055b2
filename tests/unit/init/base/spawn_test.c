/* Processes: exactly the descriptors asked for, clean signals, errors that name the step. */
#include "init/base/spawn.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/base/str.h"
#include "tests/unit/test.h"

static int run(const char *script, const struct spawn *base, char **ret_output, int *ret_status)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct spawn s = base ? *base : (struct spawn){ 0 };
	struct err e = { 0 };
	int r;

	s.path = "/bin/sh";
	s.argv = argv;
	r = spawn_run(&s, 10000, 4096, ret_output, ret_status, &e);
	if (r < 0)
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
	return r;
}

TEST(output_and_status)
{
	_cleanup_(mem_free) char *out = NULL;
	char text[64];
	int status = 0;

	CHECK_INT(run("echo out; echo err >&2; pwd; exit 3", NULL, &out, &status), 0);
	CHECK_STR(out, "out\nerr\n/\n");
	CHECK_STR(child_status_text(status, text, sizeof(text)), "exit status 3");
	CHECK_INT(run("kill -9 $$", NULL, NULL, &status), 0);
	CHECK_STR(child_status_text(status, text, sizeof(text)), "signal 9 (KILL)");
}

TEST(environment_and_directory)
{
	const char *const env[] = { "A=1", NULL };
	struct spawn s = { .env = env, .cwd = "/proc" };
	_cleanup_(mem_free) char *out = NULL, *path_only = NULL;
	int status;

	CHECK_INT(run("echo $A; pwd; echo ${HOME-none}", &s, &out, &status), 0);
	CHECK_STR(out, "1\n/proc\nnone\n");
	CHECK_INT(run("test -n \"$PATH\" && env | grep -v PWD= | grep -v _= | wc -l", NULL,
		      &path_only, &status),
		  0);
	CHECK_STR(str_trim(path_only), "1");
}

TEST(only_the_named_descriptors)
{
	_cleanup_(mem_free) char *out = NULL;
	int leak = open("/dev/null", O_RDONLY), pipes[2],
	    status; /* not close-on-exec, on purpose */
	char got[8] = "";

	CHECK_INT(pipe(pipes), 0);
	/* swapped on purpose: child 7 is our write end, child 5 our read end */
	const struct fd_map map[] = { { 7, pipes[1] }, { 5, pipes[0] }, { 9, -1 } };
	struct spawn s = { .fds = map, .n_fds = ARRAY_SIZE(map) };

	CHECK_INT(run("echo hi >&7; cd /proc/self/fd; echo *; readlink 0 9", &s, &out, &status), 0);
	CHECK_INT(read(pipes[0], got, sizeof(got) - 1), 3);
	CHECK_STR(got, "hi\n");
	/* the shell's own descriptor for the glob is gone by the time of readlink */
	CHECK_MSG(str_starts(out, "0 1 2") && strstr(out, " 5 7 9"), "%s", out);
	CHECK(!strstr(out, " 8") && !strstr(out, " 6"));
	CHECK(strstr(out, "/dev/null\n/dev/null\n"));
	close(leak);
	close(pipes[0]);
	close(pipes[1]);
}

TEST(signals_are_reset)
{
	_cleanup_(mem_free) char *out = NULL;
	sigset_t set, old;
	int status;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	CHECK_INT(run("grep -E 'Sig(Blk|Ign)' /proc/self/status", NULL, &out, &status), 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGPIPE, SIG_DFL);
	CHECK_STR(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(failures_name_the_step)
{
	const char *const argv[] = { "nothing", NULL };
	struct spawn s = { .path = "/no/such/program", .argv = argv };
	struct child c = { 7, 8 };
	struct err e = { 0 };

	CHECK_INT(spawn(&s, &c, &e), -ENOENT);
	CHECK_STR(err_text(&e), "/no/such/program: cannot execute: No such file or directory");
	CHECK_INT(c.pid, 7);
	s.path = "/bin/true";
	s.cwd = "/no/such/dir";
	CHECK_INT(spawn(&s, &c, &e), -ENOENT);
	CHECK_STR(err_text(&e),
		  "/bin/true: cannot change the directory: No such file or directory");
	s.argv = NULL;
	CHECK_INT(spawn(&s, &c, &e), -EINVAL);
	CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left behind */
}

TEST(timeout_kills)
{
	const char *const argv[] = { "sh", "-c", "exec sleep 1000", NULL };
	struct spawn s = { .path = "/bin/sh", .argv = argv };
	struct err e = { 0 };

	CHECK_INT(spawn_run(&s, 50, 100, NULL, NULL, &e), -ETIMEDOUT);
	CHECK_STR(err_text(&e), "sh took longer than 50 ms and was killed");
	CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

TEST(output_is_bounded)
{
	const char *const argv[] = {
		"sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo 0123456789; i=$((i+1)); done", NULL
	};
	struct spawn s = { .path = "/bin/sh", .argv = argv };
	_cleanup_(mem_free) char *out = NULL;
	int status = -1;

	CHECK_INT(spawn_run(&s, 10000, 25, &out, &status, NULL), 0);
	CHECK_INT(status, 0);
	CHECK_STR(out, "0123456789\n0123456789\n012");
}

TEST(signal_by_pidfd)
{
	const char *const argv[] = { "sleep", "1000", NULL };
	struct spawn s = {
		.path = "/bin/sleep", .argv = argv, .new_session = true, .death_signal = SIGKILL
	};
	struct child c;
	int status = 0;

	CHECK_INT(spawn(&s, &c, NULL), 0);
	CHECK_INT(getsid(c.pid), c.pid);
	CHECK_INT(child_signal(&c, SIGTERM), 0);
	CHECK_INT(child_wait(&c, &status, NULL), 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	CHECK_INT(c.pidfd, -1);
	CHECK_INT(child_signal(&c, SIGTERM), -ESRCH);
	child_free(&c);
	CHECK_INT(spawn(&s, &c, NULL), 0);
	child_free(&c);
	CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

TEST(another_user)
{
	struct spawn s = { .drop_user = true, .uid = 12345, .gid = 23456 };
	_cleanup_(mem_free) char *out = NULL;
	int status;

	if (getuid() != 0) {
		printf("# SKIP needs root\n");
		return;
	}
	CHECK_INT(run("id -u; id -g; id -G", &s, &out, &status), 0);
	CHECK_STR(out, "12345\n23456\n23456\n");
}

TEST(signal_names)
{
	CHECK_INT(signal_from_text("TERM"), 15);
	CHECK_INT(signal_from_text("sigkill"), 9);
	CHECK_INT(signal_from_text("9"), 9);
	CHECK_INT(signal_from_text("64"), 64);
	CHECK_INT(signal_from_text("RTMIN"), 34);
	CHECK_INT(signal_from_text("SIGRTMIN+3"), 37);
	CHECK_INT(signal_from_text("rtmax-1"), 63);
	CHECK_INT(signal_from_text("CLD"), 17);
	static const char *const bad[] = { "",	       "0",	  "65",	     "SIG", "XX",
					   "RTMIN+31", "RTMIN-1", "RTMAX+1", "-1",  "RTMIN+" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_MSG(signal_from_text(bad[i]) == -EINVAL, "%s", bad[i]);
	CHECK_INT(signal_from_text(NULL), -EINVAL);
	for (int i = 1; i <= 64; i++)
		CHECK_INT(signal_from_text(signal_name(i)), i);
	CHECK_STR(signal_name(37), "RTMIN+3");
	CHECK_STR(signal_name(0), "unknown");
}
