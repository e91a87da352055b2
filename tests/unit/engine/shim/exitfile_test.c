/* exit.json: written and read back, and what is not one. */
#include <fcntl.h>
#include <signal.h>

#include "engine/shim/shim.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

TEST(round_trip)
{
	struct shim_exit x = { .exit_code = 137,
			       .signal = 9,
			       .oom_killed = true,
			       .pid = 4711,
			       .started_ns = 5,
			       .finished_ns = 7,
			       .error = "a \"quoted\" reason\n" },
			 y = { 0 };

	CHECK_INT(shim_exit_write(test_tmpdir(), &x, NULL), 0);
	CHECK_INT(shim_exit_read(test_tmpdir(), &y, NULL), 0);
	CHECK(x.exit_code == y.exit_code && x.signal == y.signal && y.oom_killed && !y.never_ran &&
	      y.pid == 4711);
	CHECK(y.started_ns == 5 && y.finished_ns == 7);
	CHECK_STR(y.error, x.error);
}

TEST(absent_and_broken)
{
	static const char *const bad[] = {
		"", "{", "{}", "{\"exit_code\":300}", "{\"exit_code\":\"1\"}", "{\"exit_code\":-1}"
	};
	struct shim_exit x = { 0 };
	char path[400];

	CHECK_INT(shim_exit_read(test_tmpdir(), &x, NULL), -ENOENT);
	(void)str_format(path, sizeof(path), "%s/exit.json", test_tmpdir());
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK_INT(file_replace(AT_FDCWD, path, bad[i], strlen(bad[i]), 0600, false, NULL),
			  0);
		CHECK_MSG(shim_exit_read(test_tmpdir(), &x, NULL) < 0, "%s was taken", bad[i]);
	}
}

TEST(status_as_docker_counts)
{
	struct shim_exit x = { 0 };

	shim_exit_status(&x, 3 << 8);
	CHECK(x.exit_code == 3 && x.signal == 0);
	x = (struct shim_exit){ 0 };
	shim_exit_status(&x, SIGKILL);
	CHECK(x.exit_code == 137 && x.signal == 9);
	x = (struct shim_exit){ 0 };
	shim_exit_status(&x, SIGSEGV | 0x80);
	CHECK(x.exit_code == 139 && x.signal == 11);
}
