/*
 * Reading logs of several files, packed ones among them: all, the tail, while they are rotated and
 * packed under a reader; details; drivers without a file.
 */
#include "tests/unit/engine/container/world.h"

#include <sys/stat.h>

#include "engine/container/log_config.h"
#include "engine/shim/logpack.h"

#define LINE(n) "{\"log\":\"" n "\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}\n"
#define WITH(attrs)                                                \
	"{\"log\":\"x\\n\",\"stream\":\"stdout\",\"attrs\":" attrs \
	",\"time\":\"2026-01-02T03:04:05Z\"}\n"

static void on_ready(struct log_reader *r, void *data)
{
	(void)r;
	(void)data;
}

static struct container *with_log(const char *log)
{
	char json[512];

	world_open();
	world_engine("boot-1");
	snprintf(json, sizeof(json), "{\"Image\":\"img\",\"Tty\":true,\"HostConfig\":{%s}}", log);
	return make(json);
}

static char *path_of(struct container *c, const char *suffix)
{
	_cleanup_(mem_free) char *base = container_log_path(c);

	return str_printf("%s%s", base, suffix);
}

static void put(struct container *c, const char *suffix, const char *text)
{
	_cleanup_(mem_free) char *path = path_of(c, suffix);
	_cleanup_(mem_free) char *dir = strndup(path, (size_t)(strrchr(path, '/') - path));

	if (dir_make(AT_FDCWD, dir, 0700, NULL) < 0 ||
	    file_replace(AT_FDCWD, path, text, strlen(text), 0600, false, NULL) < 0)
		abort();
}

/* path.N becomes path.N.gz, as the shim does it. */
static void pack(struct container *c, const char *suffix)
{
	_cleanup_(mem_free) char *from = path_of(c, suffix), *to = str_printf("%s.gz", from);
	_cleanup_(fd_close) int in = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_(fd_close) int out = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (logpack_file(in, out, NULL) < 0 || unlink(from) < 0)
		abort();
}

static void move(struct container *c, const char *from, const char *to)
{
	_cleanup_(mem_free) char *a = path_of(c, from), *b = path_of(c, to);

	if (rename(a, b) < 0)
		abort();
}

static struct log_reader *reader(struct container *c, int64_t tail, bool details)
{
	const struct log_query q = { .out = true, .tail = tail, .details = details };
	struct log_reader *r = NULL;
	struct err e = { 0 };

	if (log_reader_open(c, &q, on_ready, NULL, &r, &e) < 0)
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
	return r;
}

/* At least `room` bytes more, or all. */
static const char *more(struct log_reader *r, size_t room)
{
	static char text[8192];
	_cleanup_(buf_free) struct buf out = BUF_INIT(65536);
	struct err e = { 0 };
	int got = 1;

	while (got > 0 && out.len < room)
		got = log_reader_next(r, 1, &out, &e);
	snprintf(text, sizeof(text), "%s", buf_text(&out));
	return text;
}

static const char *all(struct container *c, int64_t tail, bool details)
{
	struct log_reader *r = reader(c, tail, details);
	const char *text = more(r, 4096);

	log_reader_free(r);
	return text;
}

static struct container *four_files(void)
{
	struct container *c = with_log("");

	put(c, ".3", LINE("one") LINE("two"));
	pack(c, ".3");
	put(c, ".2", LINE("three") LINE("four"));
	pack(c, ".2");
	put(c, ".1", LINE("five"));
	put(c, "", LINE("six"));
	return c;
}

TEST(packed_files_are_read_in_order)
{
	CHECK_STR(all(four_files(), -1, false), "one\ntwo\nthree\nfour\nfive\nsix\n");
	world_close();
}

TEST(a_tail_reaches_into_packed_files)
{
	struct container *c = four_files();

	CHECK_STR(all(c, 0, false), "");
	CHECK_STR(all(c, 1, false), "six\n");
	CHECK_STR(all(c, 2, false), "five\nsix\n");
	CHECK_STR(all(c, 3, false), "four\nfive\nsix\n");
	CHECK_STR(all(c, 4, false), "three\nfour\nfive\nsix\n");
	CHECK_STR(all(c, 5, false), "two\nthree\nfour\nfive\nsix\n");
	CHECK_STR(all(c, 99, false), "one\ntwo\nthree\nfour\nfive\nsix\n");
	world_close();
}

TEST(a_file_that_is_packed_under_its_reader)
{
	struct container *c = four_files();
	struct log_reader *r = reader(c, 2, false);

	CHECK_STR(more(r, 1), "five\n"); /* file 1 is open */
	pack(c, ".1");
	CHECK_STR(more(r, 4096), "six\n");
	log_reader_free(r);
	world_close();
}

TEST(rotation_under_a_reader_loses_and_repeats_nothing)
{
	struct container *c = four_files();
	struct log_reader *r = reader(c, -1, false);

	CHECK_STR(more(r, 1), "one\n");
	move(c, ".3.gz", ".4.gz");
	move(c, ".2.gz", ".3.gz");
	move(c, ".1", ".2");
	move(c, "", ".1");
	put(c, "", LINE("seven"));
	pack(c, ".1");
	CHECK_STR(more(r, 4096), "two\nthree\nfour\nfive\nsix\nseven\n");
	log_reader_free(r);
	world_close();
}

TEST(one_number_may_be_missing_for_a_moment)
{
	struct container *c = four_files();

	move(c, ".1", ".1.gone");
	CHECK_STR(all(c, -1, false), "one\ntwo\nthree\nfour\nsix\n");
	world_close();
}

TEST(an_older_file_with_the_inode_of_the_end)
{
	struct container *c = with_log("");
	_cleanup_(mem_free) char *newest = path_of(c, ""), *old = path_of(c, ".1");
	_cleanup_(buf_free) struct buf out = BUF_INIT(65536);
	struct log_query q = { .out = true, .tail = -1, .end.known = true };
	struct log_reader *r = NULL;
	struct timespec past[] = { { 7, 0 }, { 7, 0 } };
	struct stat st;

	/* the file of the end was packed from this very inode, long ago */
	put(c, ".1", LINE("one") LINE("two"));
	CHECK(utimensat(AT_FDCWD, old, past, 0) == 0 && link(old, newest) == 0);
	pack(c, ".1");
	put(c, ".new", LINE("three") LINE("four"));
	{
		_cleanup_(mem_free) char *text = str_dup(LINE("three") LINE("four"));
		_cleanup_(fd_close) int fd = open(newest, O_WRONLY | O_TRUNC | O_CLOEXEC);

		CHECK_INT(file_write_all(fd, text, strlen(text), NULL), 0);
	}
	CHECK(stat(newest, &st) == 0);
	q.end.ino = (uint64_t)st.st_ino;
	q.end.offset = (int64_t)strlen(LINE("three"));
	CHECK_INT(log_reader_open(c, &q, on_ready, NULL, &r, NULL), 0);
	while (log_reader_next(r, 4096, &out, NULL) > 0)
		;
	CHECK_STR(buf_text(&out), "one\ntwo\nthree\n");
	log_reader_free(r);
	world_close();
}

TEST(details_are_sorted_and_escaped)
{
	struct container *c = with_log("");

	put(c, "", WITH("{\"z\":\"1\",\"a b\":\"c=d,e\",\"k\":\"\xc3\xa4~_-.\"}") LINE("plain"));
	CHECK_STR(all(c, -1, true), "a+b=c%3Dd%2Ce,k=%C3%A4~_-.,z=1 x\n plain\n");
	CHECK_STR(all(c, -1, false), "x\nplain\n");
	world_close();
}

TEST(the_local_driver_has_its_own_place)
{
	struct container *c = with_log("\"LogConfig\":{\"Type\":\"local\"}");
	_cleanup_(mem_free) char *path = container_log_path(c);

	CHECK(str_ends(path, "/local-logs/container.log"));
	put(c, "", LINE("one"));
	CHECK_STR(all(c, -1, false), "one\n");
	world_close();
}

TEST(no_file_no_logs)
{
	struct container *c = with_log("\"LogConfig\":{\"Type\":\"none\"}");
	const struct log_query q = { .out = true, .tail = -1 };
	struct log_reader *r = NULL;
	struct err e = { 0 };

	CHECK(log_reader_open(c, &q, on_ready, NULL, &r, &e) < 0);
	CHECK_STR(err_text(&e), "configured logging driver does not support reading");
	world_close();
}
