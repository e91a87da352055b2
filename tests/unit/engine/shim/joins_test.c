/*
 * Namespaces to join: what shim.json may say, and that a process is only believed in its own
 * cgroup.
 */
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "engine/shim/shim.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

static int read_config(const char *members, struct shim_config *c, struct err *e)
{
	_cleanup_(mem_free) char *path = str_printf("%s/shim.json", test_tmpdir());
	_cleanup_(mem_free) char *text = str_printf("{\"v\":1,\"id\":\"x\",%s}", members);
	int r = file_replace(AT_FDCWD, path, text, strlen(text), 0600, false, e);

	return r < 0 ? r : shim_config_read(test_tmpdir(), c, e);
}

TEST(what_may_be_asked)
{
	struct shim_config c = { 0 };
	struct err e = { 0 };

	CHECK_MSG(read_config("\"joins\":[{\"kind\":\"pid\",\"pid\":7,\"cgroup\":\"a/b\"},"
			      "{\"kind\":\"ipc\",\"pid\":8,\"cgroup\":\"c\"}],\"detach\":[\"/x\"]",
			      &c, &e) == 0,
		  "%s", err_text(&e));
	CHECK_INT(c.n_joins, 2);
	CHECK(c.joins[0].flag == CLONE_NEWPID && c.joins[1].flag == CLONE_NEWIPC);
	CHECK_INT(c.joins[1].pid, 8);
	CHECK_STR(c.joins[0].cgroup, "a/b");
	CHECK_STR(c.detach[0], "/x");
	CHECK_INT(c.first_id, 0);
	shim_config_clear(&c);
}

TEST(a_user_namespace_by_what_it_owns)
{
	struct shim_config c = { 0 };
	struct runtime_join got[RUNTIME_JOINS_MAX];
	struct err e = { 0 };

	CHECK_MSG(read_config("\"joins\":[{\"kind\":\"user\",\"owner_of\":\"/proc/self/ns/net\"}],"
			      "\"first_id\":100000",
			      &c, &e) == 0,
		  "%s", err_text(&e));
	CHECK_INT(c.first_id, 100000);
	CHECK_MSG(shim_joins_open(&c, got, &e) == 0, "%s", err_text(&e));
	CHECK_INT(ioctl(got[0].fd, NS_GET_NSTYPE), CLONE_NEWUSER);
	CHECK_INT(shim_joins_user(got, 1), got[0].fd);
	CHECK_INT(shim_joins_user(got, 0), -1);
	shim_joins_close(got, 1);
	free(c.joins[0].owner_of);
	c.joins[0].owner_of = str_dup("/nothing");
	CHECK_INT(shim_joins_open(&c, got, &e), -ENOENT);
	shim_config_clear(&c);
}

TEST(what_is_refused)
{
	static const char *const bad[] = {
		"\"joins\":{}",
		"\"joins\":[{}]",
		"\"joins\":[{\"kind\":\"mount\",\"pid\":7,\"cgroup\":\"a\"}]",
		"\"joins\":[{\"kind\":\"pid\",\"pid\":0,\"cgroup\":\"a\"}]",
		"\"joins\":[{\"kind\":\"pid\",\"pid\":7}]",
		"\"joins\":[{\"kind\":\"pid\",\"pid\":7,\"cgroup\":\"\"}]",
		"\"joins\":[{},{},{},{},{},{},{},{},{}]",
		"\"detach\":\"x\"",
		"\"joins\":[{\"kind\":\"user\"}]",
		"\"joins\":[{\"kind\":\"pid\",\"owner_of\":\"/x\"}]",
		"\"joins\":[{\"kind\":\"user\",\"owner_of\":\"/x\",\"pid\":7,\"cgroup\":\"a\"}]",
		"\"first_id\":4294967295",
		"\"first_id\":-1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct shim_config c = { 0 };

		CHECK_MSG(read_config(bad[i], &c, NULL) < 0, "%s", bad[i]);
	}
}

/* A living process that is not in the cgroup named, and one that has ended. */
TEST(a_number_alone_is_not_believed)
{
	struct shim_config c = { .n_joins = 1 };
	struct runtime_join got[RUNTIME_JOINS_MAX];
	struct err e = { 0 };
	pid_t pid;

	c.joins[0] = (struct shim_join){ .flag = CLONE_NEWPID,
					 .pid = getpid(),
					 .cgroup = (char *)"containers/abcdef" };
	CHECK_INT(shim_joins_open(&c, got, &e), -ESRCH);
	CHECK_STR(err_text(&e), "the container abcdef, whose namespace is joined, has ended");
	pid = fork();
	if (pid == 0)
		_exit(0);
	CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid);
	c.joins[0].pid = pid;
	CHECK_INT(shim_joins_open(&c, got, &e), -ESRCH);
}
