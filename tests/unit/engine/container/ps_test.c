/*
 * ps without ps: which columns its arguments mean, and what a process of /proc looks like in them.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/container/ps.h"
#include "init/base/str.h"

/* The titles of a plan in one line, or the error's text. */
static const char *titles(const char *args, char *buf, size_t size)
{
	struct ps_plan plan;
	struct err e = { 0 };

	buf[0] = '\0';
	if (ps_plan(args, &plan, &e) < 0) {
		snprintf(buf, size, "%s", err_text(&e));
		return buf;
	}
	for (size_t i = 0; i < plan.n; i++)
		snprintf(buf + strlen(buf), size - strlen(buf), "%s%s", i > 0 ? " " : "",
			 plan.columns[i]->title);
	return buf;
}

TEST(arguments_give_the_columns_of_ps)
{
	static const char *const cases[][2] = {
		{ NULL, "UID PID PPID C STIME TTY TIME CMD" },
		{ "", "UID PID PPID C STIME TTY TIME CMD" },
		{ "-ef", "UID PID PPID C STIME TTY TIME CMD" },
		{ "  -e   -f ", "UID PID PPID C STIME TTY TIME CMD" },
		{ "-e", "PID TTY TIME CMD" },
		{ "-A", "PID TTY TIME CMD" },
		{ "-eF", "UID PID PPID C SZ RSS PSR STIME TTY TIME CMD" },
		{ "-l", "F S UID PID PPID C PRI NI ADDR SZ WCHAN TTY TIME CMD" },
		{ "-elf", "F S UID PID PPID C PRI NI ADDR SZ WCHAN STIME TTY TIME CMD" },
		{ "-ej", "PID PGID SID TTY TIME CMD" },
		{ "aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND" },
		{ "-aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND" },
		{ "auxww", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND" },
		{ "ax", "PID TTY STAT TIME COMMAND" },
		{ "axl", "F UID PID PPID PRI NI VSZ RSS WCHAN STAT TTY TIME COMMAND" },
		{ "axj", "PPID PID PGID SID TTY TPGID STAT UID TIME COMMAND" },
		{ "-o pid,comm", "PID COMMAND" },
		{ "-opid,user,args", "PID USER COMMAND" },
		{ "-eo pid,ppid,%cpu,etime", "PID PPID %CPU ELAPSED" },
		{ "axo pid,stat,lstart", "PID STAT STARTED" },
		{ "o pid o rss,vsz", "PID RSS VSZ" },
		{ "-o pid -o euid,egroup", "PID EUID EGROUP" },
	};
	char buf[600];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_STR(titles(cases[i][0], buf, sizeof(buf)), cases[i][1]);
}

TEST(what_is_not_understood_is_named)
{
	static const char *const cases[][2] = {
		{ "-q 1", "option -q is not supported" },
		{ "-u root", "option -u is not supported" },
		{ "auxf", "option f is not supported" },
		{ "e", "option e is not supported" },
		{ "--forest", "\"--forest\" is not supported" },
		{ "-", "\"-\" is not supported" },
		{ "12", "option 1 is not supported" },
		{ "-o", "option o wants a list of columns" },
		{ "-o pid,zzz", "there is no column \"zzz\"" },
		{ "-o pid,", "PID" },
		{ "-o ,pid", "there is no column \"\"" },
		{ "-o pid=X", "titles of one's own" },
		{ "-o comm", "Couldn't find PID field in ps output" },
		{ "-f -o pid", "conflicting format options" },
		{ "aux -l", "conflicting format options" },
		{ "-e;reboot", "option -; is not supported" },
	};
	char buf[600], many[PS_ARGS_MAX + 2], columns[4 * PS_COLUMNS_MAX + 20] = "-o pid";

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_MSG(strstr(titles(cases[i][0], buf, sizeof(buf)), cases[i][1]), "%s: %s",
			  cases[i][0], buf);
	memset(many, 'e', sizeof(many) - 1);
	many[0] = '-';
	many[sizeof(many) - 1] = '\0';
	CHECK(strstr(titles(many, buf, sizeof(buf)), "more than"));
	for (size_t i = 0; i < PS_COLUMNS_MAX; i++)
		snprintf(columns + strlen(columns), sizeof(columns) - strlen(columns), ",ni");
	CHECK(strstr(titles(columns, buf, sizeof(buf)), "more than"));
}

static const char stat_text[] =
	"4242 (a) b (c\n) S 17 4242 4000 34817 4242 4194304 1 2 3 4 250 125 5 6 25 5 3 0 30000 "
	"10485760 512 18446744073709551615 1 2 3 4 5 6 7 8 9 10 11 12 17 1 40 2 0 0 0 0 0\n";
static const char status_text[] = "Name:\ta\nUid:\t1000\t0\t0\t0\nGid:\t5\t6\t7\t8\n"
				  "VmLck:\t       4 kB\n";

static struct ps_machine machine(void)
{
	return (struct ps_machine){
		.passwd = (char *)"root:x:0:0:root:/:/bin/sh\nbad\n:x:0:\nme:x:1000:5::/:\n",
		.group = (char *)"tty:x:5:\nusers:x:6:me",
		.now_ns = 1700000000 * INT64_C(1000000000),
		.boot_ns = 3900 * INT64_C(1000000000),
		.memory_kib = 20480,
		.hz = 100,
		.page_size = 4096,
	};
}

TEST(cells_of_a_process)
{
	static const char *const cases[][2] = {
		{ "pid", "4242" },
		{ "ppid", "17" },
		{ "pgid", "4242" },
		{ "sid", "4000" },
		{ "tpgid", "4242" },
		{ "tty", "pts/1" },
		{ "user", "root" },
		{ "ruser", "me" },
		{ "uid", "0" },
		{ "ruid", "1000" },
		{ "group", "users" },
		{ "rgroup", "tty" },
		{ "gid", "6" },
		{ "comm", "a) b (c?" },
		{ "args", "run 'x'" },
		{ "stat", "SNLl+" },
		{ "s", "S" },
		{ "ni", "5" },
		{ "pri", "14" },
		{ "nlwp", "3" },
		{ "psr", "1" },
		{ "rtprio", "40" },
		{ "vsz", "10240" },
		{ "sz", "2560" },
		{ "rss", "2048" },
		{ "%mem", "10.0" },
		{ "time", "00:00:03" },
		{ "bsdtime", "0:03" },
		{ "times", "3" },
		{ "etime", "01:00:00" },
		{ "etimes", "3600" },
		{ "%cpu", "0.1" },
		{ "c", "0" },
		{ "start_time", "21:13" },
		{ "lstart", "Tue Nov 14 21:13:20 2023" },
		{ "start", "21:13:20" },
		{ "bsdstart", "21:13" },
		{ "wchan", "-" },
	};
	struct ps_process p = { .pid = 4242, .args = (char *)"run 'x'" };
	struct ps_machine m = machine();

	setenv("TZ", "UTC", 1);
	tzset();
	CHECK_INT(ps_parse_stat(stat_text, &p), 0);
	ps_parse_status(status_text, &p);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(buf_free) struct buf b = BUF_INIT(200);
		const struct ps_column *column = ps_column_find(cases[i][0], strlen(cases[i][0]));

		CHECK_MSG(column, "no column %s", cases[i][0]);
		column->cell(&b, &p, &m);
		CHECK_MSG(str_eq(buf_text(&b), cases[i][1]), "%s is \"%s\", not \"%s\"",
			  cases[i][0], buf_text(&b), cases[i][1]);
	}
}

TEST(a_zombie_without_arguments_and_old_times)
{
	struct ps_process p = { .pid = 9, .comm = "sh", .state = 'Z', .uid = { 7, 7 } };
	struct ps_machine m = machine();
	_cleanup_(buf_free) struct buf b = BUF_INIT(200);

	setenv("TZ", "UTC", 1);
	tzset();
	ps_column_find("args", 4)->cell(&b, &p, &m);
	CHECK_STR(buf_text(&b), "[sh] <defunct>");
	buf_reset(&b);
	ps_column_find("user", 4)->cell(&b, &p, &m);
	CHECK_STR(buf_text(&b), "7");
	buf_reset(&b);
	ps_column_find("tt", 2)->cell(&b, &p, &m);
	CHECK_STR(buf_text(&b), "?");
	buf_reset(&b);
	m.boot_ns = 3 * 86400 * INT64_C(1000000000);
	p.user_ticks = 100 * (86400 + 3661);
	ps_column_find("stime", 5)->cell(&b, &p, &m);
	ps_column_find("time", 4)->cell(&b, &p, &m);
	CHECK_STR(buf_text(&b), "Nov111-01:01:01");
	buf_reset(&b);
	m.boot_ns = 400 * 86400 * INT64_C(1000000000);
	ps_column_find("stime", 5)->cell(&b, &p, &m);
	CHECK_STR(buf_text(&b), "2022");
}

TEST(malformed_texts_of_proc)
{
	static const char *const cases[] = { "",	 "1",  "1 (a",
					     "1 a) S 1", ")(", "1 (a) S 1 2 3",
					     "1 (a) S x" };
	struct ps_process p = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_INT(ps_parse_stat(cases[i], &p), -EINVAL);
	ps_parse_status("Uid: x", &p);
	CHECK_INT(p.uid[1], 0);
}

TEST(a_living_process_is_read)
{
	_cleanup_(fd_close) int procfd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(ps_process_free) struct ps_process me = { 0 }, other = { 0 };
	_cleanup_(ps_machine_free) struct ps_machine m = { 0 };
	_cleanup_(buf_free) struct buf b = BUF_INIT(8000);

	ps_machine_read(&m);
	CHECK_INT(ps_process_read(procfd, getpid(), 4096, &me), 0);
	CHECK_INT(me.ppid, getppid());
	CHECK_INT(me.uid[1], geteuid());
	CHECK(strstr(me.args, "ps_test") && me.size > 0 && me.rss_pages > 0 && me.threads >= 1);
	CHECK_INT(me.pgrp, getpgrp());
	ps_column_find("etimes", 6)->cell(&b, &me, &m);
	CHECK(atoi(buf_text(&b)) < 3600);
	CHECK_INT(ps_process_read(procfd, 0, 4096, &other), -ESRCH);
	ps_process_free(&me);
	CHECK_INT(ps_process_read(procfd, getpid(), 3, &me), 0);
	CHECK_INT(strlen(me.args), 3);
}
