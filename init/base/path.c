/*
 * Path resolution below a root that its owner may change at any moment.
 *
 * The kernel resolves (openat2), we never do: no realpath, no component check before use. Missing
 * components are made one by one in the directory fd that the kernel found; a dangling link is
 * replaced in the string by its target and the walk starts again. Used by the runtime, archives,
 * layers and volumes.
 */
#include "init/base/path.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "init/base/str.h"

/* links as in the kernel's MAXSYMLINKS; openat2 answers EAGAIN when a rename raced with ".." */
enum { LINKS_MAX = 40, RACES_MAX = 64 };

static int open_how(int root, const char *path, uint64_t flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? mode & 07777 : 0,
		.resolve = resolve | RESOLVE_NO_MAGICLINKS,
	};
	int fd, tries = 0;

	do {
		fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR) && ++tries < RACES_MAX);
	return fd < 0 ? -errno : fd;
}

static int open_below(int root, const char *path, uint64_t flags, mode_t mode, uint64_t resolve)
{
	return open_how(root, path, flags, mode, resolve | RESOLVE_IN_ROOT);
}

int path_open_own(int dir, const char *path, int flags, mode_t mode, struct err *e)
{
	int fd = open_how(dir, path, (unsigned)flags, mode, 0);

	return fd < 0 ? err_errno(e, -fd, "cannot open %s", path) : fd;
}

int path_open(int root, const char *path, int flags, mode_t mode, struct err *e)
{
	int fd = open_below(root, path, (unsigned)flags, mode, 0);

	return fd < 0 ? err_errno(e, -fd, "cannot open %s", path) : fd;
}

int path_open_strict(int root, const char *path, int flags, mode_t mode, struct err *e)
{
	int fd = open_below(root, path, (unsigned)flags, mode,
			    RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);

	return fd < 0 ? err_errno(e, -fd, "cannot open %s without links", path) : fd;
}

/* Splits off the last component: dir gets what is before it ("." when nothing is), name the
 * rest. */
static int split_last(const char *path, char dir[PATH_MAX], char *name, struct err *e)
{
	size_t len = strlen(path), start;

	while (len > 0 && path[len - 1] == '/')
		len--;
	for (start = len; start > 0 && path[start - 1] != '/';)
		start--;
	if (len - start > NAME_MAX || len >= PATH_MAX)
		return err_set(e, ENAMETOOLONG, "the path is too long: %.64s...", path);
	(void)str_format(name, NAME_MAX + 1, "%.*s", (int)(len - start), path + start);
	if (name[0] == '\0' || str_eq(name, ".") || str_eq(name, ".."))
		return err_set(e, EINVAL, "\"%s\" does not end in a name", path);
	if (start == 0)
		return str_copy(dir, PATH_MAX, ".");
	return str_format(dir, PATH_MAX, "%.*s", (int)start, path);
}

int path_open_parent(int root, const char *path, char *ret_name, struct err *e)
{
	char dir[PATH_MAX], name[NAME_MAX + 1];
	int r = split_last(path, dir, name, e), fd;

	if (r < 0)
		return r;
	fd = open_below(root, dir, O_PATH | O_DIRECTORY, 0, 0);
	if (fd < 0)
		return err_errno(e, -fd, "cannot open the directory of %s", path);
	memcpy(ret_name, name, strlen(name) + 1);
	return fd;
}

struct make {
	int root;
	mode_t mode;
	bool file; /* the last component is a file */
	char path[PATH_MAX]; /* rewritten when a dangling link is met */
	int links;
};

/* The component path[start..end) is a dangling link: puts its target in its place. */
static int splice_link(struct make *m, int parent, const char *name, size_t start, size_t end)
{
	char target[PATH_MAX], spliced[PATH_MAX];
	ssize_t n = readlinkat(parent, name, target, sizeof(target));
	int r;

	if (n < 0)
		return -errno;
	if (n == (ssize_t)sizeof(target))
		return -ENAMETOOLONG;
	target[n] = '\0';
	if (++m->links > LINKS_MAX)
		return -ELOOP;
	r = str_format(spliced, sizeof(spliced), "%.*s%s%s", target[0] == '/' ? 0 : (int)start,
		       m->path, target, m->path + end);
	return r < 0 ? r : str_copy(m->path, sizeof(m->path), spliced);
}

/* Makes one missing component in `parent`; 1 when the path was rewritten, 0 when it may be
 * opened now. */
static int make_one(struct make *m, int parent, size_t start, size_t end, bool file)
{
	char name[NAME_MAX + 1];
	int fd, r;

	if (str_format(name, sizeof(name), "%.*s", (int)(end - start), m->path + start) < 0)
		return -ENAMETOOLONG;
	if (!file && mkdirat(parent, name, m->mode) == 0)
		return 0;
	if (file) {
		fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0644);
		if (fd >= 0) {
			fd_close(fd);
			return 0;
		}
	}
	if (errno != EEXIST)
		return -errno;
	r = splice_link(m, parent, name, start, end);
	if (r == -EINVAL)
		return 0; /* somebody else made it just now, and it is no link */
	return r < 0 ? r : 1;
}

/* Opens path[0..end), O_PATH. */
static int open_prefix(struct make *m, size_t end, bool file)
{
	char saved = m->path[end];
	int fd;

	m->path[end] = '\0';
	fd = open_below(m->root, m->path, O_PATH | (file ? 0 : O_DIRECTORY), 0, 0);
	m->path[end] = saved;
	return fd;
}

/* One walk over m->path; -EAGAIN when it was rewritten or raced, else the fd of the end. */
static int make_walk(struct make *m)
{
	_cleanup_(fd_close) int parent = open_below(m->root, ".", O_PATH | O_DIRECTORY, 0, 0);
	size_t start = 0, end;
	int fd, r;

	if (parent < 0)
		return parent;
	for (;;) {
		start += strspn(m->path + start, "/");
		if (!m->path[start])
			return take_fd(parent);
		end = start + strcspn(m->path + start, "/");
		bool file = m->file && m->path[end + strspn(m->path + end, "/")] == '\0';

		fd = open_prefix(m, end, file);
		if (fd == -ENOENT) {
			r = make_one(m, parent, start, end, file);
			return r < 0 ? r : -EAGAIN;
		}
		if (fd < 0)
			return fd;
		fd_close(parent);
		parent = fd;
		start = end;
	}
}

static int make_path(int root, const char *path, mode_t mode, bool file, struct err *e)
{
	struct make m = { .root = root, .mode = mode, .file = file };
	int fd = -EAGAIN;

	if (str_copy(m.path, sizeof(m.path), path) < 0)
		return err_set(e, ENAMETOOLONG, "the path is too long: %.64s...", path);
	/* every round makes one component, follows one link, or lost a race */
	for (int i = 0; i < PATH_MAX && fd == -EAGAIN; i++)
		fd = make_walk(&m);
	return fd < 0 ? err_errno(e, -fd, "cannot make %s", path) : fd;
}

int path_make_dirs(int root, const char *path, mode_t mode, struct err *e)
{
	return make_path(root, path, mode, false, e);
}

int path_make_target(int root, const char *path, bool file, struct err *e)
{
	_cleanup_(fd_close) int fd = make_path(root, path, 0755, file, e);
	struct stat st;

	if (fd < 0)
		return take_fd(fd);
	if (file && (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)))
		return err_set(e, EISDIR, "%s is a directory, where a file is to be mounted", path);
	return take_fd(fd);
}

int path_clean(char *dst, size_t size, const char *path)
{
	size_t at = 0, base = path[0] == '/';

	if (size < 2)
		return -ENAMETOOLONG;
	if (base)
		dst[at++] = '/';
	for (size_t len; *path; path += len) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 0 || (len == 1 && path[0] == '.'))
			continue;
		if (len == 2 && path[0] == '.' && path[1] == '.') {
			while (at > base && dst[at - 1] != '/')
				at--;
			if (at > base)
				at--;
			continue;
		}
		if (at + (at > base) + len >= size)
			return -ENAMETOOLONG;
		if (at > base)
			dst[at++] = '/';
		memcpy(dst + at, path, len);
		at += len;
	}
	if (at == 0)
		dst[at++] = '.';
	dst[at] = '\0';
	return 0;
}

const char *path_of_fd(char buf[32], int fd)
{
	snprintf(buf, 32, "/proc/self/fd/%d", fd);
	return buf;
}
