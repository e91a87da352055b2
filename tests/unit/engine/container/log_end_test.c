/*
 * Reading a log up to a place: what an attach with logs=1 sends before the live stream begins.
 */
#include "tests/unit/engine/container/world.h"

#include <sys/stat.h>

#define LINE(n) "{\"log\":\"" n "\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}\n"

static void on_ready(struct log_reader *r, void *data)
{
	(void)r;
	(void)data;
}

static struct container *with_log(void)
{
	world_open();
	world_engine("boot-1");
	return make("{\"Image\":\"img\",\"Tty\":true}");
}

/* Writes one file of the log; its inode. */
static uint64_t put(struct container *c, const char *suffix, const char *text)
{
	_cleanup_(mem_free) char *base = container_log_path(c);
	_cleanup_(mem_free) char *path = str_printf("%s%s", base, suffix);
	struct stat st;

	if (file_replace(AT_FDCWD, path, text, strlen(text), 0600, false, NULL) < 0 ||
	    stat(path, &st) < 0)
		abort();
	return (uint64_t)st.st_ino;
}

static const char *read_up_to(struct container *c, uint64_t ino, size_t offset)
{
	const struct log_query q = {
		.out = true,
		.err = true,
		.tail = -1,
		.end = { .known = true, .ino = ino, .offset = (int64_t)offset }
	};
	static char text[1024];
	_cleanup_(buf_free) struct buf out = BUF_INIT(65536);
	struct log_reader *r = NULL;
	struct err e = { 0 };
	int got = log_reader_open(c, &q, on_ready, NULL, &r, &e);

	while (got >= 0)
		got = log_reader_next(r, 4096, &out, &e);
	log_reader_free(r);
	snprintf(text, sizeof(text), "%s%s", buf_text(&out), got == -ENODATA ? "" : "?");
	return text;
}

TEST(up_to_a_place_in_the_newest_file)
{
	struct container *c = with_log();
	uint64_t ino = put(c, "", LINE("one") LINE("two") LINE("three"));

	CHECK_STR(read_up_to(c, ino, strlen(LINE("one") LINE("two"))), "one\ntwo\n");
	CHECK_STR(read_up_to(c, ino, 0), "");
	CHECK_STR(read_up_to(c, ino, strlen(LINE("one") LINE("two") LINE("three"))),
		  "one\ntwo\nthree\n");
	CHECK_STR(read_up_to(c, 0, strlen(LINE("one"))), "one\n"); /* an older shim names no file */
	world_close();
}

TEST(over_rotated_files)
{
	struct container *c = with_log();
	uint64_t middle;

	put(c, ".2", LINE("one"));
	middle = put(c, ".1", LINE("two") LINE("three"));
	put(c, "", LINE("four"));
	CHECK_STR(read_up_to(c, middle, strlen(LINE("two"))), "one\ntwo\n"); /* rotated meanwhile */
	CHECK_STR(read_up_to(c, middle, strlen(LINE("two") LINE("three"))), "one\ntwo\nthree\n");
	world_close();
}

TEST(a_file_that_is_gone_has_taken_all_before_it_along)
{
	struct container *c = with_log();

	put(c, "", LINE("later"));
	CHECK_STR(read_up_to(c, 1, 100), "");
	world_close();
}

TEST(no_file_yet)
{
	struct container *c = with_log();

	CHECK_STR(read_up_to(c, 0, 0), "");
	world_close();
}
