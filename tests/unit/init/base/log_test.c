/* The log's lines: prefix, level, escapes, cut. Read back through a pipe. */
#include <fcntl.h>
#include <unistd.h>

#include "init/base/log.h"
#include "init/base/util.h"
#include "tests/unit/test.h"

static char line[2048];

static void read_line(int fd)
{
	ssize_t n = read(fd, line, sizeof(line) - 1);

	line[n > 0 ? n : 0] = '\0';
}

struct pipe_log {
	int fds[2];
};

static struct pipe_log pipe_open(void)
{
	struct pipe_log p;

	if (pipe2(p.fds, O_CLOEXEC | O_NONBLOCK) < 0)
		abort();
	log_open("test", p.fds[1]);
	return p;
}

static void pipe_close(struct pipe_log *p)
{
	log_open("test", 2);
	close(p->fds[0]);
	close(p->fds[1]);
}

TEST(one_line_with_prefix)
{
	struct pipe_log p = pipe_open();

	log_info("hello %d", 3);
	read_line(p.fds[0]);
	CHECK_STR(line, "test: hello 3\n");
	log_debug("not at this level");
	read_line(p.fds[0]);
	CHECK_STR(line, "");
	log_set_level(LOG_DBG);
	log_debug("now");
	read_line(p.fds[0]);
	CHECK_STR(line, "test: now\n");
	log_set_level(LOG_INFO);
	pipe_close(&p);
}

TEST(nobody_forges_records)
{
	struct pipe_log p = pipe_open();

	log_info("%s", "a\n<0>init: panic\x1b[2J\x7f caf\xc3\xa9 \xff\xc2\x9b end\n");
	read_line(p.fds[0]);
	CHECK_STR(line,
		  "test: a\\x0a<0>init: panic\\x1b[2J\\x7f caf\xc3\xa9 \\xff\\xc2\\x9b end\n");
	pipe_close(&p);
}

TEST(cut_at_the_limit)
{
	struct pipe_log p = pipe_open();
	char big[3000];

	memset(big, '\x01', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	log_info("%s", big);
	read_line(p.fds[0]);
	CHECK(strlen(line) < LOG_LINE_MAX + 20);
	CHECK(strcmp(line + strlen(line) - 5, "\\x01\n") == 0);
	pipe_close(&p);
}

static void copy(enum log_level level, const char *text, void *data)
{
	snprintf(data, 100, "%d %s", level, text);
}

TEST(copies_go_to_the_hook)
{
	struct pipe_log p = pipe_open();
	char seen[100] = "";

	log_set_copy(copy, seen);
	log_warn("no data disk");
	log_set_copy(NULL, NULL);
	CHECK_STR(seen, "4 no data disk");
	pipe_close(&p);
}
