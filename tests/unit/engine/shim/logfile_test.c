/* json-file records: lines, pieces of long ones, what JSON cannot hold, rotation, a full disk. */
#include <fcntl.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>

#include "engine/data/json.h"
#include "engine/shim/logfile.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

static const char *path_of(const char *name)
{
	static char path[400];

	(void)str_format(path, sizeof(path), "%s/%s", test_tmpdir(), name);
	return path;
}

static char *content(const char *name)
{
	char *text = NULL;
	size_t len;

	return file_read(AT_FDCWD, path_of(name), 64 << 20, &text, &len, NULL) < 0
		       ? str_dup("(absent)")
		       : text;
}

#define T0 1767323045123456789LL /* 2026-01-02T03:04:05.123456789Z */
#define TIME "\"time\":\"2026-01-02T03:04:05.123456789Z\"}\n"

static void put(struct logfile *l, enum log_stream s, const char *text)
{
	logfile_write(l, s, text, strlen(text), T0);
}

TEST(lines_as_docker_writes_them)
{
	_cleanup_(logfile_free) struct logfile *l = NULL;
	_cleanup_(mem_free) char *text = NULL;

	CHECK_INT(logfile_open(path_of("a"), 0, 1, NULL, &l, NULL), 0);
	put(l, LOG_STDOUT, "one\ntw");
	put(l, LOG_STDERR, "err\n");
	put(l, LOG_STDOUT, "o\n\n");
	text = content("a");
	CHECK_STR(text, "{\"log\":\"one\\n\",\"stream\":\"stdout\"," TIME
			"{\"log\":\"err\\n\",\"stream\":\"stderr\"," TIME
			"{\"log\":\"two\\n\",\"stream\":\"stdout\"," TIME
			"{\"log\":\"\\n\",\"stream\":\"stdout\"," TIME);
	CHECK_INT(logfile_size(l), (long long)strlen(text));
}

TEST(unfinished_line_comes_at_the_end)
{
	_cleanup_(logfile_free) struct logfile *l = NULL;
	_cleanup_(mem_free) char *before = NULL, *after = NULL;

	CHECK_INT(logfile_open(path_of("a"), 0, 1, NULL, &l, NULL), 0);
	put(l, LOG_STDOUT, "prompt: ");
	before = content("a");
	CHECK_STR(before, "");
	logfile_end(l, LOG_STDOUT);
	logfile_end(l, LOG_STDERR);
	after = content("a");
	CHECK(str_starts(after, "{\"log\":\"prompt: \",\"stream\":\"stdout\","));
}

TEST(unfinished_lines_can_be_asked_for)
{
	_cleanup_(logfile_free) struct logfile *l = NULL;
	_cleanup_(mem_free) char *before = NULL, *after = NULL;
	struct stat st;

	CHECK_INT(logfile_open(path_of("a"), 0, 1, NULL, &l, NULL), 0);
	put(l, LOG_STDOUT, "pro");
	put(l, LOG_STDERR, "x");
	CHECK(stat(path_of("a"), &st) == 0 && logfile_sync_lines(l) == (uint64_t)st.st_ino);
	before = content("a");
	CHECK(str_starts(before, "{\"log\":\"pro\",\"stream\":\"stdout\","));
	CHECK(strstr(before, "{\"log\":\"x\",\"stream\":\"stderr\","));
	CHECK_INT(logfile_size(l), (long long)strlen(before));
	put(l, LOG_STDOUT, "mpt\n");
	put(l, LOG_STDERR, "\n");
	after = content("a");
	CHECK(strstr(after, "{\"log\":\"mpt\\n\",") && strstr(after, "{\"log\":\"\\n\","));
}

TEST(characters_that_json_or_html_minds)
{
	_cleanup_(logfile_free) struct logfile *l = NULL;
	_cleanup_(mem_free) char *text = NULL;
	static const char in[] =
		"\"\\\t\x01\x7f\r<&>\xc3\xa4\xff\xc3(\xe2\x80\xa8\xed\xa0\x80\xf0\x9f\x98\x80\n";

	CHECK_INT(logfile_open(path_of("a"), 0, 1, NULL, &l, NULL), 0);
	put(l, LOG_STDOUT, in);
	text = content("a");
	CHECK_STR(text, "{\"log\":"
			"\"\\\"\\\\\\u0009\\u0001\x7f\\r\\u003c\\u0026\\u003e\xc3\xa4\\ufffd\\ufffd"
			"(\\u2028\\ufffd\\ufffd\\ufffd"
			"\xf0\x9f\x98\x80\\n\",\"stream\":\"stdout\"," TIME);
}

/* Every line of the file must be an object; gives back the sum of their "log". */
static char *joined(char *text)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(64 << 20);
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
		yyjson_val *o;

		if (json_parse_object(line, strlen(line), &doc, &o, NULL) < 0)
			return NULL;
		buf_add(&out, yyjson_get_str(yyjson_obj_get(o, "log")),
			yyjson_get_len(yyjson_obj_get(o, "log")));
	}
	return buf_take(&out);
}

TEST(long_line_comes_in_pieces)
{
	_cleanup_(mem_free) char *line = malloc(40001), *text = NULL, *sum = NULL;
	_cleanup_(logfile_free) struct logfile *l = NULL;
	int pieces = 0;

	CHECK(line);
	memset(line, 'x', 40000);
	line[39999] = '\n';
	line[40000] = '\0';
	CHECK_INT(logfile_open(path_of("a"), 0, 1, NULL, &l, NULL), 0);
	for (size_t i = 0; i < 40000; i += 1000)
		logfile_write(l, LOG_STDOUT, line + i, 1000, T0 + (int64_t)i);
	text = content("a");
	for (char *p = text; (p = strstr(p, "\"stream\"")); p++)
		pieces++;
	CHECK_INT(pieces, 3);
	/* all pieces carry the time of the first, and only the last one has the newline */
	CHECK(str_ends(
		text,
		"x\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05.123472789Z\"}\n"));
	sum = joined(text);
	CHECK_STR(sum, line);
}

TEST(exactly_one_buffer)
{
	_cleanup_(mem_free) char *line = malloc(LOG_LINE_BYTES + 2), *text = NULL, *sum = NULL;
	_cleanup_(logfile_free) struct logfile *l = NULL;

	CHECK(line);
	memset(line, 'y', LOG_LINE_BYTES);
	line[LOG_LINE_BYTES] = '\n';
	line[LOG_LINE_BYTES + 1] = '\0';
	CHECK_INT(logfile_open(path_of("a"), 0, 1, NULL, &l, NULL), 0);
	put(l, LOG_STDOUT, line);
	text = content("a");
	sum = joined(text);
	CHECK_STR(sum, line);
}

TEST(rotation_keeps_the_newest)
{
	_cleanup_(mem_free) char *now = NULL, *one = NULL, *two = NULL, *three = NULL;
	_cleanup_(logfile_free) struct logfile *l = NULL;

	/* each record is larger than the limit: one per file */
	CHECK_INT(logfile_open(path_of("r"), 50, 3, NULL, &l, NULL), 0);
	put(l, LOG_STDOUT, "1\n2\n3\n");
	put(l, LOG_STDOUT, "4\n5\n");
	now = content("r");
	one = content("r.1");
	two = content("r.2");
	three = content("r.3");
	CHECK(strstr(now, "\"5\\n\"") && !strstr(now, "\"4\\n\""));
	CHECK(strstr(one, "\"4\\n\""));
	CHECK(strstr(two, "\"3\\n\""));
	CHECK_STR(three, "(absent)");
}

TEST(rotation_with_one_file_truncates)
{
	_cleanup_(mem_free) char *now = NULL, *one = NULL;
	_cleanup_(logfile_free) struct logfile *l = NULL;

	CHECK_INT(logfile_open(path_of("r"), 50, 1, NULL, &l, NULL), 0);
	put(l, LOG_STDOUT, "1\n2\n3\n");
	now = content("r");
	one = content("r.1");
	CHECK(strstr(now, "\"3\\n\"") && !strstr(now, "\"2\\n\""));
	CHECK_STR(one, "(absent)");
}

TEST(appends_to_what_is_there_and_carries_attributes)
{
	_cleanup_(mem_free) char *text = NULL;
	struct logfile *l = NULL;

	CHECK_INT(logfile_open(path_of("a"), 0, 1, NULL, &l, NULL), 0);
	put(l, LOG_STDOUT, "1\n");
	logfile_free(l);
	CHECK_INT(logfile_open(path_of("a"), 0, 1, "{\"k\":\"v\"}", &l, NULL), 0);
	put(l, LOG_STDOUT, "2\n");
	logfile_free(l);
	text = content("a");
	CHECK(str_starts(text, "{\"log\":\"1\\n\""));
	CHECK(strstr(text,
		     "{\"log\":\"2\\n\",\"stream\":\"stdout\",\"attrs\":{\"k\":\"v\"},\"time\""));
}

TEST(link_in_place_of_the_file_is_refused)
{
	struct logfile *l = NULL;
	char target[400];

	(void)str_copy(target, sizeof(target), path_of("target"));
	CHECK_INT(symlink(target, path_of("a")), 0);
	CHECK(logfile_open(path_of("a"), 0, 1, NULL, &l, NULL) < 0);
	CHECK(access(target, F_OK) < 0);
}

TEST(full_disk_loses_lines_and_recovers)
{
	struct rlimit old, small = { 300, RLIM_INFINITY };
	_cleanup_(logfile_free) struct logfile *l = NULL;
	_cleanup_(mem_free) char *text = NULL, *sum = NULL;

	CHECK_INT(logfile_open(path_of("a"), 0, 1, NULL, &l, NULL), 0);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 20; i++)
		put(l, LOG_STDOUT, "line\n");
	setrlimit(RLIMIT_FSIZE, &old);
	put(l, LOG_STDOUT, "back\n");
	text = content("a");
	/* no half record is left behind */
	sum = joined(text);
	CHECK_STR(sum, "line\nline\nline\nline\nback\n");
}
