/*
 * The reserve: see reserve.h.
 *
 * Which reserve belongs to a document is found by walking up from its folder, so that every process
 * and every test's temporary folder has its own without being told. Files are filled by fallocate:
 * that takes blocks without writing them.
 */
#include "engine/state/reserve.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

static void file_name(char name[16], int number)
{
	(void)str_format(name, 16, "%d", number);
}

/* ---- filling ---- */

static bool has_room(const struct statfs *fs, int missing)
{
	uint64_t want = (uint64_t)missing * RESERVE_FILE_BYTES * RESERVE_ROOM_FACTOR;

	return (uint64_t)fs->f_bfree * (uint64_t)fs->f_bsize >= want &&
	       fs->f_ffree >= RESERVE_ROOM_INODES;
}

static int add_file(int dir, const char *name, struct err *e)
{
	_cleanup_(fd_close) int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(e, errno, "cannot make a file of the reserve");
	if (fallocate(fd, 0, 0, RESERVE_FILE_BYTES) < 0) {
		int code = errno;

		unlinkat(dir, name, 0);
		return err_errno(e, code, "cannot fill a file of the reserve");
	}
	return 0;
}

int reserve_fill(const char *dir, struct err *e)
{
	_cleanup_(fd_close) int fd = -1;
	char path[PATH_MAX], name[16];
	int missing = 0, r = 0;
	struct statfs fs;
	struct stat st;

	if (str_format(path, sizeof(path), "%s/" RESERVE_DIR, dir) < 0)
		return err_set(e, ENAMETOOLONG, "the path is too long: %.64s...", dir);
	if (statfs(dir, &fs) < 0)
		return err_errno(e, errno, "cannot look at %s", dir);
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)
		return 0;
	r = dir_make(AT_FDCWD, path, 0700, e);
	if (r < 0)
		return r == -ENOSPC ? 0 : r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", path);
	for (int i = 0; i < RESERVE_FILES; i++) {
		file_name(name, i);
		missing += fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0;
	}
	if (missing == 0 || !has_room(&fs, missing))
		return 0;
	for (int i = 0; r == 0 && i < RESERVE_FILES; i++) {
		file_name(name, i);
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			r = add_file(fd, name, e);
	}
	return r;
}

/* ---- giving ---- */

static bool remove_one(int dir)
{
	char name[16];
	struct stat st;

	for (int i = RESERVE_FILES; i-- > 0;) {
		file_name(name, i);
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
		    unlinkat(dir, name, 0) < 0)
			continue;
		/* ext4 gives freed blocks away again only after they are free on disk */
		(void)fsync(dir);
		log_notice("the disk is full: a part of the reserve is given up, %d are left", i);
		return true;
	}
	return false;
}

bool reserve_give(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_(fd_close) int at = -1;
	char dir[PATH_MAX] = ".";
	struct stat here, there;

	if (slash && str_format(dir, sizeof(dir), "%.*s", (int)MAX(slash - path, 1), path) < 0)
		return false;
	at = openat(dirfd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; at >= 0 && i <= RESERVE_LEVELS; i++) {
		_cleanup_(fd_close) int fd =
			openat(at, RESERVE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int up;

		if (fd >= 0)
			return fstat(at, &here) == 0 && fstat(fd, &there) == 0 &&
			       here.st_dev == there.st_dev && remove_one(fd);
		up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		fd_close(at);
		at = up;
	}
	return false;
}
