/*
 * Rotated log files are compressed by a process of its own; this program plays its role (the
 * constructor), as told by the environment: well, or not at all.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/container/log_part.h"
#include "engine/shim/logfile.h"
#include "engine/shim/logpack.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

#define T0 1767323045123456789LL

/* `skerryd worker logpack` without its sandbox, which the sanitizers do not bear. A file whose
 * first record says "bad" breaks it. */
__attribute__((constructor)) static void role(int argc, char **argv)
{
	char first[16] = "";
	struct err e = { 0 };

	if (argc != 3 || strcmp(argv[1], "worker") != 0 || strcmp(argv[2], LOGPACK_WORKER) != 0)
		return;
	if (pread(0, first, sizeof(first) - 1, 0) > 0 && strstr(first, "bad"))
		_exit(3);
	_exit(logpack_file(0, 1, &e) < 0 ? 1 : 0);
}

static const char *path_of(const char *name)
{
	static char path[400];

	(void)str_format(path, sizeof(path), "%s/%s", test_tmpdir(), name);
	return path;
}

static bool exists(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

static struct logfile *open_log(uint64_t max_size, unsigned int max_file)
{
	struct logfile *l = NULL;
	struct err e = { 0 };

	if (logfile_open(path_of("r"), max_size, max_file, NULL, &l, &e) < 0)
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
	return l;
}

static void put(struct logfile *l, const char *text)
{
	logfile_write(l, LOG_STDOUT, text, strlen(text), T0);
}

/* Waits for packers until there is none; how many ended. */
static int reap(struct logfile *l)
{
	int status, n = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) > 0)
		n += logfile_reaped(l, pid, status);
	return n;
}

/* The text of one file of the log, whichever form it has. */
static const char *text_of(unsigned int number)
{
	static char text[64 << 10];
	_cleanup_(log_part_free) struct log_part *p = log_part_open(path_of("r"), number);
	size_t len = 0, n;

	while (p && (n = log_part_read(p, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	text[len] = '\0';
	return p ? text : "(absent)";
}

TEST(what_is_rotated_away_is_packed)
{
	_cleanup_(logfile_free) struct logfile *l = open_log(50, 4);

	logfile_compress(l);
	put(l, "1\n2\n3\n");
	CHECK_INT(reap(l), 2);
	CHECK(exists("r") && exists("r.1.gz") && exists("r.2.gz"));
	CHECK(!exists("r.1") && !exists("r.2") && !exists("r.tmp"));
	CHECK(strstr(text_of(1), "\"2\\n\"") && strstr(text_of(2), "\"1\\n\""));
	put(l, "4\n5\n");
	CHECK(reap(l) >= 1);
	CHECK(exists("r.3.gz") && !exists("r.4.gz") && !exists("r.4"));
	CHECK(strstr(text_of(3), "\"2\\n\"") && strstr(text_of(1), "\"4\\n\""));
}

TEST(a_file_that_falls_out_while_it_is_packed)
{
	_cleanup_(logfile_free) struct logfile *l = open_log(50, 2);

	logfile_compress(l);
	put(l, "1\n2\n"); /* a packer has file 1 */
	put(l, "3\n4\n");
	CHECK(reap(l) >= 2);
	CHECK(strstr(text_of(1), "\"3\\n\"") && strstr(text_of(0), "\"4\\n\""));
	CHECK(exists("r.1.gz") && !exists("r.1") && !exists("r.2.gz") && !exists("r.tmp"));
}

TEST(a_packer_that_fails_leaves_the_file)
{
	_cleanup_(logfile_free) struct logfile *l = open_log(50, 3);

	logfile_compress(l);
	put(l, "bad\nnext\n");
	CHECK_INT(reap(l), 1);
	CHECK(exists("r.1") && !exists("r.1.gz") && !exists("r.tmp"));
	CHECK(strstr(text_of(1), "\"bad\\n\""));
	put(l, "last\n");
	CHECK(reap(l) >= 1);
	CHECK(exists("r.2") && exists("r.1"));
}

TEST(what_an_earlier_run_left_is_packed)
{
	struct logfile *l = open_log(50, 3);

	put(l, "1\n2\n");
	logfile_free(l);
	CHECK(exists("r.1"));
	l = open_log(50, 3);
	logfile_compress(l);
	CHECK_INT(reap(l), 1);
	CHECK(exists("r.1.gz") && !exists("r.1"));
	logfile_free(l);
}

TEST(the_header_says_what_it_was)
{
	static const char records[] = "{\"log\":\"a\"}\n{\"log\":\"b\"}\n{\"log\":\"c\"}\n";
	_cleanup_(log_part_free) struct log_part *plain = NULL, *packed = NULL;
	struct logpack_origin origin;
	_cleanup_(fd_close) int from = -1, to = -1;
	struct err e = { 0 };
	struct stat st;

	CHECK_INT(file_replace(AT_FDCWD, path_of("r.1"), records, strlen(records), 0600, false, &e),
		  0);
	from = open(path_of("r.1"), O_RDONLY | O_CLOEXEC);
	to = open(path_of("r.2.gz"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fstat(from, &st) == 0);
	CHECK_MSG(logpack_file(from, to, &e) == 0, "%s", err_text(&e));
	CHECK_INT(logpack_origin_read(to, &origin), 0);
	CHECK(origin.ino == st.st_ino && origin.lines == 3);
	plain = log_part_open(path_of("r"), 1);
	packed = log_part_open(path_of("r"), 2);
	CHECK(plain && packed && log_part_same(plain, packed) && log_part_same(packed, plain));
	CHECK(log_part_ino(packed) == st.st_ino);
	CHECK_STR(text_of(2), records);
	/* another file with that inode's number is another file */
	CHECK_INT(utimensat(AT_FDCWD, path_of("r.1"), (struct timespec[]){ { 1, 0 }, { 1, 0 } }, 0),
		  0);
	CHECK(!log_part_same(plain, packed));
}

TEST(damage_is_the_end)
{
	char text[200], noise[100];
	_cleanup_(fd_close) int from = -1, to = -1;
	struct err e = { 0 };
	struct stat st;

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)(i * 7 + 1);
	CHECK_INT(file_replace(AT_FDCWD, path_of("r.1.gz"), noise, sizeof(noise), 0600, false, &e),
		  0);
	CHECK_STR(text_of(1), "");
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i * i % 23);
	CHECK_INT(file_replace(AT_FDCWD, path_of("p"), text, sizeof(text), 0600, false, &e), 0);
	from = open(path_of("p"), O_RDONLY | O_CLOEXEC);
	to = open(path_of("r.2.gz"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(logpack_file(from, to, &e) == 0 && fstat(to, &st) == 0);
	CHECK_INT(ftruncate(to, st.st_size - 12), 0);
	CHECK(strlen(text_of(2)) < sizeof(text) && strncmp(text_of(2), text, 20) == 0);
}
