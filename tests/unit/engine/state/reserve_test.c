/* The reserve: filled, given up piece by piece by writes that find the disk full, taken back. */
#include "engine/state/reserve.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "engine/state/state.h"
#include "init/base/fault.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

static int full; /* so many writes find the disk full */

int fault_point(const char *step)
{
	return str_eq(step, "file.write") && full > 0 && full-- ? -ENOSPC : 0;
}

static int count_one(int dirfd, const char *name, void *data, struct err *e)
{
	struct stat st;

	(void)e;
	*(int *)data += fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode) && st.st_blocks * 512 >= RESERVE_FILE_BYTES;
	return 0;
}

/* Files of the reserve that hold what they promise; -1 without one. */
static int count(void)
{
	char path[300];
	int n = 0;

	snprintf(path, sizeof(path), "%s/" RESERVE_DIR, test_tmpdir());
	return dir_each(AT_FDCWD, path, 100, count_one, &n, NULL) < 0 ? -1 : n;
}

/* Whether the tests' folder can have one, and how much it should be. */
static int whole(void)
{
	struct statfs fs;

	if (statfs(test_tmpdir(), &fs) < 0)
		return -2;
	return fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC ? -1 : RESERVE_FILES;
}

static int write_deep(const char *text, struct err *e)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/a/b", test_tmpdir());
	if (dir_make(AT_FDCWD, path, 0700, e) < 0)
		return -EIO;
	snprintf(path, sizeof(path), "%s/a/b/c.json", test_tmpdir());
	return state_write(AT_FDCWD, path, text, strlen(text), e);
}

TEST(filled_once_and_only_on_a_disk)
{
	CHECK_INT(reserve_fill(test_tmpdir(), NULL), 0);
	CHECK_INT(count(), whole());
	CHECK_INT(reserve_fill(test_tmpdir(), NULL), 0);
	CHECK_INT(count(), whole());
	CHECK_INT(reserve_fill("/dev/shm", NULL), 0);
	CHECK_INT(access("/dev/shm/" RESERVE_DIR, F_OK), -1);
}

TEST(a_write_that_finds_the_disk_full_gives_parts_up_until_it_succeeds)
{
	struct err e = { 0 };
	char path[300];

	log_set_level(LOG_ERROR);
	CHECK_INT(reserve_fill(test_tmpdir(), NULL), 0);
	if (whole() < 0)
		return;
	full = 3;
	CHECK_INT(write_deep("{}", &e), 0);
	CHECK_INT(e.code, 0);
	CHECK_INT(count(), RESERVE_FILES - 3);
	snprintf(path, sizeof(path), "%s/a/b/c.json", test_tmpdir());
	CHECK_INT(access(path, F_OK), 0);
	CHECK_INT(reserve_fill(test_tmpdir(), NULL), 0);
	CHECK_INT(count(), RESERVE_FILES);
}

TEST(without_any_left_it_is_an_error_and_the_old_document_stays)
{
	_cleanup_(mem_free) char *text = NULL;
	struct err e = { 0 };
	char path[300];

	log_set_level(LOG_ERROR);
	CHECK_INT(reserve_fill(test_tmpdir(), NULL), 0);
	CHECK_INT(write_deep("{\"v\":1}", &e), 0);
	full = RESERVE_FILES + 1;
	CHECK_INT(write_deep("{\"v\":2}", &e), -ENOSPC);
	CHECK(strstr(err_text(&e), "No space left on device"));
	CHECK_INT(MAX(count(), 0), 0);
	full = 0;
	snprintf(path, sizeof(path), "%s/a/b/c.json", test_tmpdir());
	CHECK_INT(file_read(AT_FDCWD, path, 100, &text, NULL, NULL), 0);
	CHECK_STR(text, "{\"v\":1}");
}

TEST(only_regular_files_of_the_folders_above_are_given)
{
	char path[300];

	log_set_level(LOG_ERROR);
	CHECK(!reserve_give(AT_FDCWD, "/proc/self/nothing"));
	snprintf(path, sizeof(path), "%s/x/" RESERVE_DIR "/7", test_tmpdir());
	CHECK_INT(dir_make(AT_FDCWD, path, 0700, NULL), 0);
	snprintf(path, sizeof(path), "%s/x/" RESERVE_DIR "/6", test_tmpdir());
	CHECK_INT(symlink("/etc/passwd", path), 0);
	snprintf(path, sizeof(path), "%s/x/c.json", test_tmpdir());
	CHECK(!reserve_give(AT_FDCWD, path));
	snprintf(path, sizeof(path), "%s/x/" RESERVE_DIR "/5", test_tmpdir());
	CHECK_INT(file_replace(AT_FDCWD, path, "", 0, 0600, false, NULL), 0);
	snprintf(path, sizeof(path), "%s/x/c.json", test_tmpdir());
	CHECK(reserve_give(AT_FDCWD, path));
	CHECK(!reserve_give(AT_FDCWD, path));
}
