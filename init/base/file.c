/*
 * Files: bounded reads, writes that are whole or absent, directories by fd.
 *
 * A durable replacement goes through five steps, each a fault point for tests: create, write,
 * fsync, rename, fsync of the directory. A power cut leaves the old file, or the new one, and
 * perhaps a temporary ".tmp-..." that the owner of the directory removes at start. Removal of trees
 * is in tree.c. Used by PID 1 and by everything in the engine that keeps state.
 */
#include "init/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "init/base/fault.h"
#include "init/base/str.h"

enum { READ_STEP = 4096, TEMP_TRIES = 16 };

int file_read_fd(int fd, size_t max, char **ret_data, size_t *ret_len, struct err *e)
{
	/* one byte of room over the limit tells "exactly max" from "longer" */
	_cleanup_(buf_free) struct buf b = BUF_INIT(max + 1);
	size_t len;

	for (;;) {
		size_t room = MIN((size_t)READ_STEP, max + 1 - b.len);
		void *at = buf_reserve(&b, room);
		ssize_t n;

		if (!at)
			return err_set(e, ENOMEM, "out of memory while reading a file");
		n = read(fd, at, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "cannot read");
		if (n == 0)
			break;
		buf_commit(&b, (size_t)n);
		if (b.len > max)
			return err_set(e, EFBIG, "longer than the %zu bytes allowed", max);
	}
	len = b.len;
	*ret_data = buf_take(&b);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int file_read(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len,
	      struct err *e)
{
	_cleanup_(fd_close) int fd = -1;
	struct stat st;

	fd = openat(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", path);
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot stat %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s is not a regular file", path);
	if (file_read_fd(fd, max, ret_data, ret_len, e) < 0)
		return err_wrap(e, "%s", path);
	return 0;
}

int file_write_all(int fd, const void *data, size_t len, struct err *e)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "cannot write");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_put(int dirfd, const char *path, const char *text, struct err *e)
{
	_cleanup_(fd_close) int fd = -1;
	size_t len = strlen(text);
	ssize_t n;

	fd = openat(dirfd, path, O_WRONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", path);
	n = write(fd, text, len);
	if (n < 0)
		return err_errno(e, errno, "cannot write \"%s\" to %s", text, path);
	if ((size_t)n != len)
		return err_set(e, EIO, "%s took only %zd of %zu bytes", path, n, len);
	return 0;
}

/* opens the directory of `path` and says where the last component starts */
static int open_dir_of(int dirfd, const char *path, const char **ret_name, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	int fd;

	if (!slash)
		(void)str_copy(dir, sizeof(dir), ".");
	else if (str_format(dir, sizeof(dir), "%.*s", (int)MAX(slash - path, 1), path) < 0)
		return err_set(e, ENAMETOOLONG, "the path is too long: %.64s...", path);
	*ret_name = slash ? slash + 1 : path;
	fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "cannot open the directory of %s", path);
	return fd;
}

static int create_temp(int dir, char name[32], mode_t mode, struct err *e)
{
	uint64_t random;
	int fd;

	for (int i = 0; i < TEMP_TRIES; i++) {
		if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
			random = (uint64_t)getpid() << 32 | (unsigned)i;
		snprintf(name, 32, FILE_TEMP_PREFIX "%016llx", (unsigned long long)random);
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    mode & 0700);
		if (fd >= 0 && fchmod(fd, mode) < 0) {
			int code = errno;

			fd_close(fd);
			unlinkat(dir, name, 0);
			return err_errno(e, code, "cannot set the mode of a temporary file");
		}
		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			break;
	}
	return err_errno(e, errno, "cannot create a temporary file");
}

/* a fault point that explains itself */
static int step(const char *name, struct err *e)
{
	int r = fault_point(name);

	return r < 0 ? err_errno(e, -r, "%s", name) : 0;
}

static int write_temp(int fd, const void *data, size_t len, bool durable, struct err *e)
{
	int r = step("file.write", e);

	if (r == 0)
		r = file_write_all(fd, data, len, e);
	if (r == 0 && durable)
		r = step("file.fsync", e);
	if (r == 0 && durable && fsync(fd) < 0)
		r = err_errno(e, errno, "cannot sync");
	return r;
}

int file_replace(int dirfd, const char *path, const void *data, size_t len, mode_t mode,
		 bool durable, struct err *e)
{
	_cleanup_(fd_close) int dir = -1, fd = -1;
	const char *name;
	char temp[32];
	int r;

	dir = open_dir_of(dirfd, path, &name, e);
	if (dir < 0)
		return dir;
	r = step("file.create", e);
	if (r < 0)
		return r;
	fd = create_temp(dir, temp, mode, e);
	if (fd < 0)
		return err_wrap(e, "%s", path);
	r = write_temp(fd, data, len, durable, e);
	if (r == 0)
		r = step("file.rename", e);
	if (r == 0 && renameat(dir, temp, dir, name) < 0)
		r = err_errno(e, errno, "cannot rename");
	if (r < 0) {
		unlinkat(dir, temp, 0);
		return err_wrap(e, "%s", path);
	}
	if (!durable)
		return 0;
	r = step("file.sync-dir", e);
	if (r == 0 && fsync(dir) < 0)
		r = err_errno(e, errno, "cannot sync the directory");
	return r < 0 ? err_wrap(e, "%s", path) : 0;
}

int dir_sync(int dirfd, const char *path, struct err *e)
{
	_cleanup_(fd_close) int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = step("dir.sync", e);

	if (r < 0)
		return r;
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", path);
	if (fsync(fd) < 0)
		return err_errno(e, errno, "cannot sync %s", path);
	return 0;
}

int dir_make(int dirfd, const char *path, mode_t mode, struct err *e)
{
	char prefix[PATH_MAX];
	struct stat st;

	if (str_copy(prefix, sizeof(prefix), path) < 0)
		return err_set(e, ENAMETOOLONG, "the path is too long: %.64s...", path);
	if (mkdirat(dirfd, path, mode) == 0) /* mostly the parents are there */
		return 0;
	for (char *p = prefix + strspn(prefix, "/");; *p++ = '/') {
		int code;

		p += strcspn(p, "/");
		bool last = p[strspn(p, "/")] == '\0';

		*p = '\0';
		if (mkdirat(dirfd, prefix, mode) < 0) {
			code = errno;
			if (code != EEXIST && code != EISDIR && code != EROFS)
				return err_errno(e, code, "cannot make the directory %s", prefix);
			if (fstatat(dirfd, prefix, &st, 0) < 0)
				return err_errno(e, code == EEXIST ? errno : code,
						 "cannot make the directory %s", prefix);
			if (!S_ISDIR(st.st_mode))
				return err_set(e, ENOTDIR, "%s is not a directory", prefix);
		}
		if (last)
			return 0;
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct name_list {
	char **names;
	size_t n, cap;
};

static void name_list_free(struct name_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->names[i]);
	free(l->names);
}
DEFINE_CLEANUP_VALUE(struct name_list, name_list_free)

static int name_list_add(struct name_list *l, const char *name)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		char **names = realloc(l->names, cap * sizeof(*names));

		if (!names)
			return -ENOMEM;
		l->names = names;
		l->cap = cap;
	}
	l->names[l->n] = strdup(name);
	if (!l->names[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

static int read_names(DIR *dir, size_t max, struct name_list *l, struct err *e)
{
	struct dirent *entry;

	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		if (l->n == max)
			return err_set(e, E2BIG, "more than %zu entries", max);
		if (name_list_add(l, entry->d_name) < 0)
			return err_set(e, ENOMEM, "out of memory while listing a directory");
	}
	return errno ? err_errno(e, errno, "cannot list") : 0;
}

static void dir_close(DIR *d)
{
	if (d)
		closedir(d);
}
DEFINE_CLEANUP(DIR *, dir_close)

int dir_each(int dirfd, const char *path, size_t max,
	     int (*fn)(int dirfd, const char *name, void *data, struct err *e), void *data,
	     struct err *e)
{
	_cleanup_(name_list_free) struct name_list list = { 0 };
	_cleanup_(dir_close) DIR *dir = NULL;
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0)
		return err_errno(e, errno, "cannot open the directory %s", path);
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(fd);
		return err_set(e, ENOMEM, "out of memory while opening %s", path);
	}
	if (read_names(dir, max, &list, e) < 0)
		return err_wrap(e, "%s", path);
	if (list.n > 0)
		qsort(list.names, list.n, sizeof(*list.names), compare_names);
	for (size_t i = 0; i < list.n; i++) {
		r = fn(fd, list.names[i], data, e);
		if (r != 0)
			return r;
	}
	return 0;
}

static int change_flag(int fd, int get, int set, int flag, bool on)
{
	int flags = fcntl(fd, get);

	if (flags < 0)
		return -errno;
	flags = on ? flags | flag : flags & ~flag;
	return fcntl(fd, set, flags) < 0 ? -errno : 0;
}

int fd_set_nonblock(int fd, bool on)
{
	return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int fd_set_cloexec(int fd, bool on)
{
	return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}
