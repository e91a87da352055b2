/*
 * The tree copy of copy-up (see copy.h). The source is an image's content, the target a volume that
 * other containers may be using: every name is opened relative to a descriptor, without following
 * links, and what was opened is looked at again.
 *
 * The walk keeps its levels on the heap, not on the stack. Directories get their owner and mode
 * last, when nothing has to be made in them any more. Callers: the volume worker, in its sandbox,
 * and the runtime, in the process that becomes a container's.
 */
#include "init/base/copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "init/base/file.h"
#include "init/base/path.h"
#include "init/base/util.h"

enum { COPY_CHUNK = 1 << 20, ATTR_NAMES_SIZE = 64 << 10, ATTR_VALUE_SIZE = 64 << 10 };

/* One directory of the walk. */
struct level {
	DIR *dir; /* of the source; owns its descriptor */
	int dst;
	struct stat st;
};

struct copy {
	struct level *levels;
	size_t depth;
	struct copy_totals totals;
	char *buf; /* COPY_CHUNK bytes, for everything */
};

/* --- attributes
 * ----------------------------------------------------------------------------------- */

/* What an unprivileged owner or the kernel gives meaning to; "trusted." belongs to overlayfs. */
static bool xattr_wanted(const char *name)
{
	static const char *const prefixes[] = { "user.", "security.capability",
						"system.posix_acl_" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* A target that has no such attributes (tmpfs without them) is no reason to fail. */
static int copy_xattrs(struct copy *c, int src, int dst, struct err *e)
{
	char names[ATTR_NAMES_SIZE];
	ssize_t len = flistxattr(src, names, sizeof(names)), got;

	for (char *n = names; len > 0 && n < names + len; n += strlen(n) + 1) {
		if (!xattr_wanted(n))
			continue;
		got = fgetxattr(src, n, c->buf, ATTR_VALUE_SIZE);
		if (got < 0)
			continue;
		if (fsetxattr(dst, n, c->buf, (size_t)got, 0) < 0 && errno != EOPNOTSUPP)
			return err_errno(e, errno, "cannot set the attribute %.64s", n);
	}
	return 0;
}

/* Owner first: a change of owner takes the set-id bits and capabilities away. */
static int finish_fd(struct copy *c, int src, int dst, const struct stat *st, struct err *e)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	int rc;

	if (fchown(dst, st->st_uid, st->st_gid) < 0)
		return err_errno(e, errno, "cannot set the owner");
	if (fchmod(dst, st->st_mode & 07777) < 0)
		return err_errno(e, errno, "cannot set the mode");
	rc = copy_xattrs(c, src, dst, e);
	if (rc == 0 && futimens(dst, times) < 0)
		rc = err_errno(e, errno, "cannot set the times");
	return rc;
}

static int finish_name(int dst, const char *name, const struct stat *st, struct err *e)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (fchownat(dst, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(dst, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, errno, "cannot set the owner or times");
	return 0;
}

/* --- entries
 * -------------------------------------------------------------------------------------- */

static int copy_bytes(struct copy *c, int in, int out, struct err *e)
{
	for (;;) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, COPY_CHUNK, 0);
		int rc;

		if (n < 0) { /* not between these file systems */
			n = read(in, c->buf, COPY_CHUNK);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return err_errno(e, errno, "cannot read");
			rc = file_write_all(out, c->buf, (size_t)n, e);
			if (rc < 0)
				return rc;
		}
		if (n == 0)
			return 0;
		c->totals.bytes += (uint64_t)n;
	}
}

static int copy_file(struct copy *c, int src, int dst, const char *name, struct err *e)
{
	_cleanup_(fd_close) int in = -1, out = -1;
	struct stat st;
	int rc;

	in = openat(src, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (in < 0 || fstat(in, &st) < 0)
		return err_errno(e, errno, "cannot open");
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "is not the file it was");
	out = openat(dst, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return err_errno(e, errno, "cannot create");
	rc = copy_bytes(c, in, out, e);
	return rc < 0 ? rc : finish_fd(c, in, out, &st, e);
}

static int copy_link(int src, int dst, const char *name, const struct stat *st, struct err *e)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(src, name, target, sizeof(target) - 1);

	if (len < 0)
		return err_errno(e, errno, "cannot read the link");
	target[len] = '\0';
	if (symlinkat(target, dst, name) < 0)
		return err_errno(e, errno, "cannot create");
	return finish_name(dst, name, st, e);
}

static int copy_fifo(int dst, const char *name, const struct stat *st, struct err *e)
{
	if (mkfifoat(dst, name, st->st_mode & 0777) < 0)
		return err_errno(e, errno, "cannot create");
	return finish_name(dst, name, st, e);
}

/* Takes both descriptors over, on failure too. */
static int push(struct copy *c, int src, int dst, struct err *e)
{
	struct level *l = &c->levels[c->depth];

	*l = (struct level){ .dst = dst };
	if (c->depth == COPY_DEPTH_MAX || fstat(src, &l->st) < 0 || !(l->dir = fdopendir(src))) {
		int code = c->depth == COPY_DEPTH_MAX ? ELOOP : errno;

		close(src);
		close(dst);
		return err_errno(e, code, "cannot enter");
	}
	c->depth++;
	return 0;
}

static int copy_dir(struct copy *c, int src, int dst, const char *name, struct err *e)
{
	int in = openat(src, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), out;

	if (in < 0)
		return err_errno(e, errno, "cannot open");
	if (mkdirat(dst, name, 0700) < 0 && errno != EEXIST) {
		int code = errno;

		close(in);
		return err_errno(e, code, "cannot create");
	}
	out = openat(dst, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out < 0) {
		int code = errno;

		close(in);
		return err_errno(e, code, "cannot open what was created");
	}
	return push(c, in, out, e);
}

/* Makes room for an entry that an earlier, interrupted copy left; directories are gone on with. */
static int clear_old(int dst, const char *name, mode_t type, struct err *e)
{
	struct stat old;

	if (fstatat(dst, name, &old, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "cannot look at the target");
	if (S_ISDIR(type) && S_ISDIR(old.st_mode))
		return 0;
	return tree_remove(dst, name, e);
}

static int copy_entry(struct copy *c, const char *name, struct err *e)
{
	int src = dirfd(c->levels[c->depth - 1].dir), dst = c->levels[c->depth - 1].dst, rc;
	struct stat st;

	if (fstatat(src, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, errno, "cannot look at it");
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) || S_ISSOCK(st.st_mode)) {
		c->totals.left_out++;
		return 0;
	}
	c->totals.entries++;
	rc = clear_old(dst, name, st.st_mode, e);
	if (rc < 0)
		return rc;
	if (S_ISDIR(st.st_mode))
		return copy_dir(c, src, dst, name, e);
	if (S_ISLNK(st.st_mode))
		return copy_link(src, dst, name, &st, e);
	if (S_ISFIFO(st.st_mode))
		return copy_fifo(dst, name, &st, e);
	return copy_file(c, src, dst, name, e);
}

static void level_close(struct level *l)
{
	if (l->dir)
		closedir(l->dir);
	fd_close(l->dst);
}

/* The next entry of the deepest level, or its end. */
static int step(struct copy *c, struct err *e)
{
	struct level *l = &c->levels[c->depth - 1];
	struct dirent *d;
	int rc;

	errno = 0;
	d = readdir(l->dir);
	if (d && (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0))
		return 0;
	if (d) {
		rc = copy_entry(c, d->d_name, e);
		if (rc < 0)
			(void)err_wrap(e, "%.200s", d->d_name);
		return rc;
	}
	if (errno)
		return err_errno(e, errno, "cannot read a directory");
	rc = finish_fd(c, dirfd(l->dir), l->dst, &l->st, e);
	c->depth--;
	level_close(l);
	return rc;
}

/* A second descriptor with a position of its own. */
static int reopen(int dir)
{
	return openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int copy_tree(int src, int dst, struct copy_totals *ret_totals, struct err *e)
{
	struct copy c = { .levels = calloc(COPY_DEPTH_MAX + 1, sizeof(*c.levels)),
			  .buf = malloc(COPY_CHUNK) };
	int in = reopen(src), out = reopen(dst), rc;

	if (!c.levels || !c.buf || in < 0 || out < 0) {
		rc = err_errno(e, c.levels && c.buf ? errno : ENOMEM, "cannot start the copy");
		fd_close(in);
		fd_close(out);
	} else {
		rc = push(&c, in, out, e);
	}
	while (rc == 0 && c.depth > 0)
		rc = step(&c, e);
	while (c.depth > 0)
		level_close(&c.levels[--c.depth]);
	free(c.levels);
	free(c.buf);
	if (rc == 0 && ret_totals)
		*ret_totals = c.totals;
	return rc;
}
