/*
 * The walk over the upper directory (changes.h).
 *
 * A directory is told when its owner or mode changed, when its time did, or when something in it
 * was added or deleted; then before that. Its time says nothing when the runtime made a mount point
 * in it. Deleted is what the layers have and the container does not show.
 */
#include "engine/files/changes.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "init/base/buf.h"
#include "init/base/file.h"
#include "init/base/str.h"

/* One directory of the walk. */
struct place {
	int upper, merged, lower; /* -1: it is not there */
	bool told; /* this directory is in the list */
};

struct walk {
	struct changes *c;
	struct buf path; /* of the current entry, from "/" on */
	struct place *at;
	unsigned depth;
	bool fatal;
};

/* Docker's init layer (moby daemon/initlayer) and what the runtime adds to it. */
static const char *const made_by_runtime[] = {
	"/dev",	      "/dev/pts",      "/dev/shm",    "/dev/mqueue", "/dev/console",
	"/proc",      "/sys",	       "/.dockerenv", "/etc",	     "/etc/resolv.conf",
	"/etc/hosts", "/etc/hostname", "/etc/mtab",
};

static bool is_made(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(made_by_runtime); i++)
		if (str_eq(path, made_by_runtime[i]))
			return true;
	return false;
}

/* Whether the runtime made something in this directory: then its time is the runtime's. */
static bool holds_made(const char *path, int dir)
{
	size_t len = str_eq(path, "/") ? 0 : strlen(path);
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(made_by_runtime); i++) {
		const char *made = made_by_runtime[i];

		if (strncmp(made, path, len) == 0 && made[len] == '/' &&
		    !strchr(made + len + 1, '/') &&
		    fstatat(dir, made + len + 1, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

static bool same_time(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int tell(struct walk *w, enum change_kind kind, struct err *e)
{
	int r = w->c->add(w->c, kind, buf_text(&w->path), e);

	w->fatal = r < 0;
	return r;
}

/* The directory that holds the current entry comes first; the root is never told. */
static int tell_parent(struct walk *w, size_t parent_len, struct err *e)
{
	char saved = w->path.data[parent_len];
	int r = 0;

	if (w->at->told || parent_len == 0)
		return 0;
	w->at->told = true;
	w->path.data[parent_len] = '\0';
	r = tell(w, CHANGE_MODIFIED, e);
	w->path.data[parent_len] = saved;
	return r;
}

/* What the bounds do not let in. */
static int too_much(struct walk *w, const char *what, struct err *e)
{
	if (!w->c->whole)
		return 0;
	w->fatal = true;
	return err_set(e, EFBIG, "%s: \"%.200s...\"", what, buf_text(&w->path));
}

/* ---- directories ---- */

static int walk_place(struct walk *w, struct place *in, struct err *e);

static int open_dir(int dir, const char *name)
{
	return dir < 0 ? -1 : openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool dir_changed(struct walk *w, int fd, const struct stat *up, const struct stat *low)
{
	if (up->st_mode != low->st_mode || up->st_uid != low->st_uid || up->st_gid != low->st_gid)
		return true;
	return !same_time(up, low) && !holds_made(buf_text(&w->path), fd);
}

/* A directory of the upper one; low NULL: there was none. */
static int walk_dir(struct walk *w, const char *name, const struct stat *up, const struct stat *low,
		    bool made, struct err *e)
{
	_cleanup_(fd_close) int upper = open_dir(w->at->upper, name),
				merged = open_dir(w->at->merged, name),
				lower = low ? open_dir(w->at->lower, name) : -1;
	struct place in = { upper, merged, lower, false };
	int r = 0;

	if (upper < 0)
		return 0; /* it vanished */
	if (!low)
		in.told = !made;
	else if (!S_ISDIR(low->st_mode) || dir_changed(w, upper, up, low))
		in.told = true;
	if (in.told)
		r = tell(w, low ? CHANGE_MODIFIED : CHANGE_ADDED, e);
	return r < 0 ? r : walk_place(w, &in, e);
}

/* ---- entries ---- */

static int one_entry(struct walk *w, const char *name, size_t parent_len, struct err *e)
{
	struct stat up, low;
	bool was, made;
	int r = 0;

	if (fstatat(w->at->upper, name, &up, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	was = w->at->lower >= 0 && fstatat(w->at->lower, name, &low, AT_SYMLINK_NOFOLLOW) == 0;
	if (is_whiteout(&up) && !was)
		return 0;
	made = !was && is_made(buf_text(&w->path)) && (!S_ISREG(up.st_mode) || up.st_size == 0);
	if ((is_whiteout(&up) || !was) && !made)
		r = tell_parent(w, parent_len, e);
	if (r < 0)
		return r;
	if (is_whiteout(&up))
		return tell(w, CHANGE_DELETED, e);
	if (S_ISDIR(up.st_mode))
		return walk_dir(w, name, &up, was ? &low : NULL, made, e);
	return made ? 0 : tell(w, was ? CHANGE_MODIFIED : CHANGE_ADDED, e);
}

/* An entry of the layers that has no part in the upper directory: deleted if it is not shown, since
 * an opaque directory hides it. */
static int one_hidden(struct walk *w, const char *name, size_t parent_len, struct err *e)
{
	struct stat st;
	int r;

	if (fstatat(w->at->upper, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	    fstatat(w->at->merged, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return 0;
	r = tell_parent(w, parent_len, e);
	return r < 0 ? r : tell(w, CHANGE_DELETED, e);
}

static int with_path(struct walk *w, const char *name, struct err *e,
		     int (*fn)(struct walk *w, const char *name, size_t parent_len, struct err *e))
{
	size_t len = w->path.len;
	int r = 0;

	buf_printf(&w->path, "/%s", name);
	if (!buf_failed(&w->path))
		r = fn(w, name, len, e);
	else
		r = too_much(w, "a path is too long", e);
	w->path.failed = 0;
	w->path.len = len;
	w->path.data[len] = '\0';
	return r;
}

static int upper_entry(int dir, const char *name, void *data, struct err *e)
{
	(void)dir;
	return with_path(data, name, e, one_entry);
}

static int lower_entry(int dir, const char *name, void *data, struct err *e)
{
	(void)dir;
	return with_path(data, name, e, one_hidden);
}

static int walk_place(struct walk *w, struct place *in, struct err *e)
{
	struct place *outer = w->at;
	int r = 0;

	if (w->depth == CHANGES_DEPTH_MAX)
		return too_much(w, "directories are nested too deep", e);
	w->depth++;
	w->at = in;
	r = dir_each(in->upper, ".", CHANGES_DIR_MAX, upper_entry, w, e);
	if (r == 0 && in->lower >= 0 && in->merged >= 0)
		r = dir_each(in->lower, ".", CHANGES_DIR_MAX, lower_entry, w, e);
	w->at = outer;
	w->depth--;
	return r < 0 && !w->fatal && r == -ENOENT ? 0 : r; /* it vanished */
}

int changes_walk(struct changes *c, struct err *e)
{
	struct walk w = { .c = c, .path = BUF_INIT(CHANGES_PATH_MAX) };
	struct place root = { c->upper, c->merged, c->lower, true };
	int r;

	if (buf_add_text(&w.path, "") < 0 || !w.path.data)
		return err_set(e, ENOMEM, "out of memory");
	r = walk_place(&w, &root, e);
	buf_free(&w.path);
	return r;
}
