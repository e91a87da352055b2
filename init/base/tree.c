/*
 * Removal of a directory tree that may be hostile: any depth, any names, changed while we work.
 *
 * tree_remove_some() is the same within a budget, for a caller that must not be held up. Works with
 * two descriptors and a stack of directory identities on the heap: down by
 * openat2(RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV), up by ".." that must be the directory we came
 * from. So depth costs memory, not descriptors or stack, and no rename makes us leave the tree.
 * Called for removed containers, layers, volumes and temporary folders.
 */
#include "init/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "init/base/str.h"

/* depth of one tree; passes over one directory that somebody else keeps filling */
enum { DEPTH_MAX = 1 << 20, PASSES_MAX = 64 };

struct level {
	dev_t dev;
	ino_t ino;
	char *name; /* in its parent */
};

struct walk {
	struct level *levels;
	size_t depth, cap;
	int fd; /* the directory at the top of the stack */
	struct tree_budget *budget; /* NULL: no limit */
};

static void walk_free(struct walk *w)
{
	for (size_t i = 0; i < w->depth; i++)
		free(w->levels[i].name);
	free(w->levels);
	fd_close(w->fd);
}
DEFINE_CLEANUP_VALUE(struct walk, walk_free)

static int open_child(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_BENEATH,
	};
	int fd, tries = 0;

	do {
		fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR) && ++tries < 32);
	return fd < 0 ? -errno : fd;
}

/* takes fd over and makes it the current directory */
static int push(struct walk *w, int fd, const char *name, struct err *e)
{
	_cleanup_(fd_close) int own = fd;
	struct stat st;
	char *copy;

	if (w->depth == DEPTH_MAX)
		return err_set(e, ELOOP, "more than %d directories deep", DEPTH_MAX);
	if (w->depth == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 16;
		struct level *levels = realloc(w->levels, cap * sizeof(*levels));

		if (!levels)
			return err_set(e, ENOMEM, "out of memory while removing %s", name);
		w->levels = levels;
		w->cap = cap;
	}
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot stat %s", name);
	copy = strdup(name);
	if (!copy)
		return err_set(e, ENOMEM, "out of memory while removing %s", name);
	w->levels[w->depth++] = (struct level){ st.st_dev, st.st_ino, copy };
	fd_close(w->fd);
	w->fd = take_fd(own);
	return 0;
}

static int enter(struct walk *w, int dir, const char *name, struct err *e)
{
	int fd = open_child(dir, name);

	if (fd == -EXDEV)
		return err_set(e, EBUSY, "something is mounted on %s", name);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return err_errno(e, -fd, "cannot open %s", name);
	return push(w, fd, name, e);
}

/* Takes one entry, and the blocks of a file, from the budget; -E2BIG when it has no room. */
static int spend(struct walk *w, const char *name, bool is_dir, struct err *e)
{
	struct tree_budget *b = w->budget;
	struct stat st;
	uint64_t bytes;

	if (!b)
		return 0;
	if (is_dir || fstatat(w->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		st.st_blocks = 0;
	bytes = (uint64_t)st.st_blocks * 512;
	if (b->entries == 0 || b->bytes < bytes)
		return err_set(e, E2BIG, "more to remove than fits the budget");
	b->entries--;
	b->bytes -= bytes;
	return 0;
}

/* Removes what is no directory; 1 when it went down into a directory, 0 when nothing is left. */
static int clear_level(struct walk *w, struct err *e)
{
	int fd = openat(w->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	size_t depth = w->depth;
	struct dirent *entry;
	DIR *dir;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		fd_close(fd);
		return err_errno(e, errno, "cannot list a directory");
	}
	while (r == 0 && w->depth == depth && (entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (str_eq(name, ".") || str_eq(name, ".."))
			continue;
		r = spend(w, name, entry->d_type == DT_DIR, e);
		if (r < 0 || (entry->d_type != DT_DIR && unlinkat(w->fd, name, 0) == 0))
			continue;
		if (entry->d_type == DT_DIR || errno == EISDIR)
			r = enter(w, fd, name, e);
		else if (errno != ENOENT)
			r = err_errno(e, errno, "cannot remove %s", name);
	}
	closedir(dir);
	return r < 0 ? r : w->depth > depth;
}

/* Removes the (empty) current directory and goes back to its parent. */
static int leave(struct walk *w, struct err *e)
{
	struct level *top = &w->levels[w->depth - 1], *up = top - 1;
	struct stat st;
	int fd = openat(w->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, errno, "cannot open the parent of %s", top->name);
	fd_close(w->fd);
	w->fd = fd;
	if (fstat(fd, &st) < 0 || st.st_dev != up->dev || st.st_ino != up->ino)
		return err_set(e, EAGAIN, "%s was moved while it was removed", top->name);
	if (unlinkat(fd, top->name, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != ENOTEMPTY)
		return err_errno(e, errno, "cannot remove %s", top->name);
	free(top->name);
	w->depth--;
	return 0;
}

/* empties the directory at the bottom of the stack */
static int empty_tree(struct walk *w, struct err *e)
{
	int r;

	for (;;) {
		r = clear_level(w, e);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		if (w->depth == 1)
			return 0;
		r = leave(w, e);
		if (r < 0)
			return r;
	}
}

static int remove_dir(int dirfd, const char *path, struct tree_budget *budget, struct err *e)
{
	for (int pass = 0; pass < PASSES_MAX; pass++) {
		_cleanup_(walk_free) struct walk w = { .fd = -1, .budget = budget };
		int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;

		if (fd < 0)
			return errno == ENOENT ? 0 : err_errno(e, errno, "cannot open %s", path);
		r = push(&w, fd, path, e);
		if (r == 0)
			r = empty_tree(&w, e);
		if (r < 0 && r != -EAGAIN)
			return err_wrap(e, "%s", path);
		if (r == 0 && (unlinkat(dirfd, path, AT_REMOVEDIR) == 0 || errno == ENOENT))
			return 0;
		if (r == 0 && errno != ENOTEMPTY && errno != EEXIST)
			return err_errno(e, errno, "cannot remove %s", path);
	}
	return err_set(e, ENOTEMPTY, "%s is filled faster than it can be removed", path);
}

static int remove_any(int dirfd, const char *path, struct tree_budget *budget, struct err *e)
{
	if (unlinkat(dirfd, path, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EISDIR)
		return remove_dir(dirfd, path, budget, e);
	return err_errno(e, errno, "cannot remove %s", path);
}

int tree_remove(int dirfd, const char *path, struct err *e)
{
	return remove_any(dirfd, path, NULL, e);
}

int tree_remove_some(int dirfd, const char *path, struct tree_budget budget, struct err *e)
{
	return remove_any(dirfd, path, &budget, e);
}
