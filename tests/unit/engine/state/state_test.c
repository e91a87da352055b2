/* State documents: round trip, damage put aside, every step of a write cut. */
#include "engine/state/state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "init/base/fault.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

enum { MAX = 4096 };

static const char *fail_at, *die_at;

int fault_point(const char *step)
{
	if (str_eq(step, die_at))
		_exit(77);
	return str_eq(step, fail_at) ? -EIO : 0;
}

static int open_tmp(void)
{
	return open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int put(int dir, const char *name, const char *text)
{
	return file_replace(dir, name, text, strlen(text), 0600, false, NULL);
}

/* the number at "v", or a negative errno */
static int64_t get(int dir, const char *name)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	int64_t v = -1;
	int r = state_read(dir, name, MAX, &doc, NULL);

	if (r < 0)
		return r;
	return json_get_i64(yyjson_doc_get_root(doc), "v", &v, NULL) < 0 ? -1 : v;
}

static int set(int dir, const char *name, int v, struct err *e)
{
	char text[32];

	snprintf(text, sizeof(text), "{\"v\":%d}", v);
	return state_write(dir, name, text, strlen(text), e);
}

TEST(round_trip)
{
	_cleanup_(fd_close) int dir = open_tmp();
	struct stat st;

	CHECK_INT(get(dir, "a.json"), -ENOENT);
	CHECK_INT(set(dir, "a.json", 1, NULL), 0);
	CHECK_INT(set(dir, "a.json", 2, NULL), 0);
	CHECK_INT(get(dir, "a.json"), 2);
	CHECK_INT(fstatat(dir, "a.json", &st, 0), 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	CHECK_INT(state_remove(dir, "a.json", NULL), 0);
	CHECK_INT(state_remove(dir, "a.json", NULL), 0);
	CHECK_INT(get(dir, "a.json"), -ENOENT);
}

static int log_lines;

static void count_line(enum log_level level, const char *text, void *data)
{
	(void)text;
	(void)data;
	log_lines += level == LOG_ERROR;
}

TEST(damage_is_put_aside_and_logged_once)
{
	static const char *const bad[] = { "", "{", "[1]", "{\"v\":1}x", "\"text\"" };
	_cleanup_(fd_close) int dir = open_tmp(), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	_cleanup_(mem_free) char *kept = NULL, *big = calloc(1, MAX + 2);
	struct err e = { 0 };
	yyjson_doc *doc = NULL;

	log_open("test", null);
	log_set_copy(count_line, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		log_lines = 0;
		CHECK_INT(put(dir, "x.json", bad[i]), 0);
		CHECK_INT(state_read(dir, "x.json", MAX, &doc, &e), -EBADMSG);
		CHECK_INT(state_read(dir, "x.json", MAX, &doc, &e), -ENOENT);
		CHECK_INT(log_lines, 1);
		CHECK_INT(file_read(dir, "x.json.bad", MAX, &kept, NULL, NULL), 0);
		CHECK_STR(kept, bad[i]);
		free(take_ptr(kept));
	}
	memset(big, ' ', MAX + 1);
	CHECK_INT(put(dir, "x.json", big), 0);
	CHECK_INT(state_read(dir, "x.json", MAX, &doc, &e), -EBADMSG);
	CHECK(strstr(err_text(&e), "longer than the 4096 bytes"));
	CHECK_INT(mkdirat(dir, "y.json", 0755), 0);
	CHECK_INT(state_read(dir, "y.json", MAX, &doc, &e), -EBADMSG);
	log_set_copy(NULL, NULL);
	log_open("test", 2);
	CHECK(!doc);
}

static int add_value(const char *name, yyjson_val *root, void *data, struct err *e)
{
	int64_t v = 0;

	if (json_get_i64(root, "v", &v, e) < 0)
		return -EINVAL;
	return v == 99 ? err_set(e, EPERM, "stop at %s", name)
		       : buf_printf(data, "%s=%d ", name, (int)v);
}

TEST(each_in_order_without_what_is_no_document)
{
	_cleanup_(fd_close) int dir = open_tmp(), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	_cleanup_(buf_free) struct buf seen = { 0 };
	struct err e = { 0 };

	CHECK_INT(state_each(dir, "none", MAX, add_value, &seen, &e), 0);
	CHECK_INT(mkdirat(dir, "d", 0755), 0);
	CHECK_INT(set(dir, "d/b.json", 2, &e), 0);
	CHECK_INT(set(dir, "d/a.json", 1, &e), 0);
	CHECK_INT(put(dir, "d/c.json", "broken"), 0);
	CHECK_INT(put(dir, "d/.tmp-0123", "half"), 0);
	CHECK_INT(put(dir, "d/readme", "text"), 0);
	log_open("test", null);
	CHECK_INT(state_each(dir, "d", MAX, add_value, &seen, &e), 0);
	log_open("test", 2);
	CHECK_STR(buf_text(&seen), "a=1 b=2 ");
	CHECK_INT(faccessat(dir, "d/.tmp-0123", F_OK, 0), -1);
	CHECK_INT(faccessat(dir, "d/readme", F_OK, 0), 0);
	CHECK_INT(faccessat(dir, "d/c.json.bad", F_OK, 0), 0);
	CHECK_INT(set(dir, "d/a.json", 99, &e), 0);
	CHECK_INT(state_each(dir, "d", MAX, add_value, &seen, &e), -EPERM);
	CHECK_STR(err_text(&e), "stop at a");
}

TEST(clean_removes_temporary_files_only)
{
	_cleanup_(fd_close) int dir = open_tmp();

	CHECK_INT(put(dir, ".tmp-a", "x"), 0);
	CHECK_INT(put(dir, "keep.json", "{}"), 0);
	CHECK_INT(state_clean(dir, ".", NULL), 0);
	CHECK_INT(state_clean(dir, "none", NULL), 0);
	CHECK_INT(faccessat(dir, ".tmp-a", F_OK, 0), -1);
	CHECK_INT(faccessat(dir, "keep.json", F_OK, 0), 0);
}

static const char *const steps[] = { "file.create", "file.write", "file.fsync", "file.rename",
				     "file.sync-dir" };

TEST(power_cut_at_every_step_leaves_a_whole_document)
{
	_cleanup_(fd_close) int dir = open_tmp();

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int status;
		pid_t pid;

		CHECK_INT(set(dir, "a.json", 1, NULL), 0);
		pid = fork();
		if (pid == 0) {
			die_at = steps[i];
			set(dir, "a.json", 2, NULL);
			_exit(0);
		}
		CHECK_INT(waitpid(pid, &status, 0), pid);
		CHECK_INT(WEXITSTATUS(status), 77);
		/* before the rename the old one, after it the new one */
		CHECK_INT(get(dir, "a.json"), str_eq(steps[i], "file.sync-dir") ? 2 : 1);
		CHECK_INT(state_clean(dir, ".", NULL), 0);
	}
}

TEST(failure_at_every_step_is_an_error)
{
	_cleanup_(fd_close) int dir = open_tmp();
	struct err e = { 0 };

	CHECK_INT(set(dir, "a.json", 1, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		fail_at = steps[i];
		int r = set(dir, "a.json", 2, &e);

		fail_at = NULL;
		CHECK_INT(r, -EIO);
	}
	fail_at = "state.remove";
	int r = state_remove(dir, "a.json", &e);

	fail_at = NULL;
	CHECK_INT(r, -EIO);
	CHECK_INT(get(dir, "a.json"), 2);
}
