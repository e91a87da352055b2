/*
 * Writing a layer's members: see extract.h for the contract.
 *
 * Data: one open directory, the parent of the last member, kept because members of one directory
 * follow each other. Its modification time is remembered when it is opened and put back when it is
 * left, so that no list of directories is needed. Nothing here grows with the archive. files/node.c
 * makes the single nodes. Called by unpack.c.
 */
#include "engine/image/extract.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/files/node.h"
#include "init/base/buf.h"
#include "init/base/file.h"
#include "init/base/path.h"
#include "init/base/str.h"

#define WHITEOUT ".wh."
#define WHITEOUT_META ".wh..wh." /* aufs' own files */
#define WHITEOUT_OPAQUE ".wh..wh..opq"

enum { NOTES_BUFFER = 32 << 10 };

struct extract {
	const struct extract_config *cfg;
	struct tar_in *tar;
	int dir; /* parent of the last member; -1: none */
	char dir_path[PATH_MAX];
	struct timespec dir_mtime;
	struct buf notes;
	struct extract_result result;
};

/* ---- names ---- */

int extract_clean_path(char *dst, const char *path, uint64_t depth, struct err *e)
{
	size_t at = 0, len;
	uint64_t n = 0;

	for (; *path; path += len) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 0 || (len == 1 && path[0] == '.'))
			continue;
		if (len == 2 && path[0] == '.' && path[1] == '.')
			return err_set(e, EINVAL, "the path holds \"..\", which no layer may");
		if (len > NAME_MAX || at + 1 + len >= PATH_MAX)
			return err_set(e, ENAMETOOLONG, "the path is too long");
		if (++n > depth)
			return err_set(e, EFBIG, "the path has more than %llu components",
				       (unsigned long long)depth);
		if (at > 0)
			dst[at++] = '/';
		memcpy(dst + at, path, len);
		at += len;
	}
	dst[at] = '\0';
	return 0;
}

/* Cuts the clean path into parent (may be "") and name, in place. */
static const char *split_name(char *path, const char **ret_parent)
{
	char *slash = strrchr(path, '/');

	if (!slash) {
		*ret_parent = "";
		return path;
	}
	*slash = '\0';
	*ret_parent = path;
	return slash + 1;
}

/* ---- notes ---- */

static int flush_notes(struct extract *x, struct err *e)
{
	int r = file_write_all(x->cfg->notes_fd, x->notes.data, x->notes.len, e);

	buf_reset(&x->notes);
	return r;
}

static int add_note(struct extract *x, char kind, const char *parent, const char *name,
		    struct err *e)
{
	if (x->notes.len > NOTES_BUFFER) {
		int r = flush_notes(x, e);

		if (r < 0)
			return r;
	}
	buf_printf(&x->notes, "%c%s%s%s", kind, parent, *parent && *name ? "/" : "", name);
	buf_add(&x->notes, "", 1);
	return buf_failed(&x->notes) ? err_set(e, ENOMEM, "out of memory") : 0;
}

/* ---- the current directory ---- */

static int leave_dir(struct extract *x, struct err *e)
{
	struct timespec times[2] = { x->dir_mtime, x->dir_mtime };
	int r = 0;

	if (x->dir < 0)
		return 0;
	if (futimens(x->dir, times) < 0)
		r = err_errno(e, errno, "cannot set the time of \"%.128s\"", x->dir_path);
	fd_close(take_fd(x->dir));
	return r;
}

/* Makes `path` the current directory; it must exist. On failure the current one stays. */
static int switch_dir(struct extract *x, const char *path, struct err *e)
{
	_cleanup_(fd_close) int fd = -1;
	struct stat st;
	int r;

	if (x->dir >= 0 && str_eq(x->dir_path, path))
		return 0;
	fd = path_open(x->cfg->root, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0, e);
	if (fd < 0)
		return take_fd(fd);
	r = leave_dir(x, e);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot stat the directory");
	x->dir = take_fd(fd);
	x->dir_mtime = st.st_mtim;
	return str_copy(x->dir_path, sizeof(x->dir_path), path);
}

/* Walks to `path`, making and noting the directories that are missing. Links on the way are
 * followed below the root. */
static int make_implied(struct extract *x, const char *path, struct err *e)
{
	char prefix[PATH_MAX];
	size_t start, end = 0;
	int r = switch_dir(x, "", e);

	while (r == 0 && path[end]) {
		start = end + (path[end] == '/');
		end = start + strcspn(path + start, "/");
		(void)str_format(prefix, sizeof(prefix), "%.*s", (int)end, path);
		r = switch_dir(x, prefix, e);
		if (r != -ENOENT)
			continue;
		if (mkdirat(x->dir, prefix + start, 0755) < 0)
			return err_errno(e, errno, "cannot make the directory \"%.128s\"", prefix);
		r = add_note(x, 'i', prefix, "", e);
		if (r == 0)
			r = switch_dir(x, prefix, e);
	}
	return r;
}

static int enter_dir(struct extract *x, const char *path, struct err *e)
{
	int r = switch_dir(x, path, e);

	return r == -ENOENT ? make_implied(x, path, e) : r;
}

/* ---- whiteouts ---- */

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* A whiteout or opaque mark must sit in a directory that is reached without links: it says
 * something about layers below, where the link may not exist. */
static int check_no_links(struct extract *x, const char *parent, struct err *e)
{
	_cleanup_(fd_close) int fd =
		path_open_strict(x->cfg->root, *parent ? parent : ".", O_PATH | O_DIRECTORY, 0, e);

	return fd == -ELOOP ? err_set(e, EINVAL, "a whiteout must not lie behind a symbolic link")
			    : MIN(fd, 0);
}

static int add_whiteout(struct extract *x, const char *parent, const char *name, struct err *e)
{
	const char *victim = name + strlen(WHITEOUT);
	struct stat st;
	int r = check_no_links(x, parent, e);

	if (r < 0)
		return r;
	if (str_eq(name, WHITEOUT_OPAQUE))
		return add_note(x, 'o', parent, "", e);
	if (str_empty(victim) || str_eq(victim, ".") || str_eq(victim, ".."))
		return err_set(e, EINVAL, "the whiteout names no file");
	if (fstatat(x->dir, victim, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		/* what this layer itself brings stays; below it nothing shines through */
		return S_ISDIR(st.st_mode) ? add_note(x, 'o', parent, victim, e) : 0;
	}
	if (errno != ENOENT)
		return err_errno(e, errno, "cannot stat \"%.128s\"", victim);
	if (mknodat(x->dir, victim, S_IFCHR, makedev(0, 0)) < 0)
		return err_errno(e, errno, "cannot make the whiteout");
	return 0;
}

/* ---- members ---- */

static int open_link_target(struct extract *x, const struct tar_entry *entry, char *ret_name,
			    struct err *e)
{
	char target[PATH_MAX];
	int r = extract_clean_path(target, entry->target, x->cfg->limits->depth, e);

	if (r < 0)
		return err_wrap(e, "its target \"%.128s\"", entry->target);
	if (!*target)
		return err_set(e, EINVAL, "a hard link to the layer's root");
	return path_open_parent(x->cfg->root, target, ret_name, e);
}

static int add_hardlink(struct extract *x, const struct tar_entry *entry, const char *name,
			struct err *e)
{
	_cleanup_(fd_close) int from = -1;
	char from_name[NAME_MAX + 1];
	struct stat target, old;
	int r;

	from = open_link_target(x, entry, from_name, e);
	if (from < 0)
		return from;
	if (fstatat(from, from_name, &target, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, errno, "the hard link's target \"%.128s\" is not in the layer",
				 entry->target);
	if (S_ISDIR(target.st_mode) || is_whiteout(&target))
		return err_set(e, EINVAL, "a hard link to the directory or whiteout \"%.128s\"",
			       entry->target);
	if (fstatat(x->dir, name, &old, AT_SYMLINK_NOFOLLOW) == 0 && old.st_ino == target.st_ino &&
	    old.st_dev == target.st_dev)
		return 0; /* it is the same file already */
	r = node_remove(x->dir, name, e);
	if (r < 0)
		return r;
	if (linkat(from, from_name, x->dir, name, 0) < 0)
		return err_errno(e, errno, "cannot make the hard link");
	return 0;
}

/* Makes way for the new member; a directory meets a directory: it stays. Says whether the new
 * one hides what lower layers have. */
static int make_way(struct extract *x, const struct tar_entry *entry, const char *name,
		    bool *ret_exists, bool *ret_opaque, struct err *e)
{
	struct stat st;

	*ret_exists = *ret_opaque = false;
	if (fstatat(x->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "cannot stat it");
	if (entry->type == TAR_DIR && S_ISDIR(st.st_mode)) {
		*ret_exists = true;
		return 0;
	}
	*ret_opaque = entry->type == TAR_DIR;
	return node_remove(x->dir, name, e);
}

static int add_member(struct extract *x, const struct tar_entry *entry, const char *parent,
		      const char *name, struct err *e)
{
	bool exists, opaque;
	int r;

	if (entry->type == TAR_HARDLINK)
		return add_hardlink(x, entry, name, e);
	r = make_way(x, entry, name, &exists, &opaque, e);
	if (r < 0)
		return r;
	switch (entry->type) {
	case TAR_FILE:
		return node_file(x->tar, entry, x->dir, name, x->cfg->limits->xattr_bytes, e);
	case TAR_DIR:
		r = node_dir(x->tar, entry, x->dir, name, exists, x->cfg->limits->xattr_bytes, e);
		/* it took the place of a whiteout or file of this layer: what lower layers have
		 * there stays hidden */
		if (r == 0 && opaque && check_no_links(x, parent, e) == 0)
			r = add_note(x, 'o', parent, name, e);
		return r;
	case TAR_SYMLINK:
		return node_symlink(entry, x->dir, name, e);
	default:
		return node_special(entry, x->dir, name, e);
	}
}

static int add_root(struct extract *x, const struct tar_entry *entry, struct err *e)
{
	int r;

	if (entry->type != TAR_DIR)
		return err_set(e, EINVAL, "the layer's root must be a directory");
	r = enter_dir(x, "", e);
	if (r < 0)
		return r;
	r = node_dir_meta(x->tar, entry, x->dir, x->cfg->limits->xattr_bytes, e);
	x->dir_mtime = node_mtime(entry);
	return r;
}

static int add_entry(struct extract *x, const struct tar_entry *entry, struct err *e)
{
	char path[PATH_MAX];
	const char *parent, *name;
	int r = extract_clean_path(path, entry->path, x->cfg->limits->depth, e);

	if (r < 0)
		return r;
	r = node_check(entry, e);
	if (r < 0)
		return r;
	if (!*path)
		return add_root(x, entry, e);
	name = split_name(path, &parent);
	r = enter_dir(x, parent, e);
	if (r < 0)
		return r;
	if (str_starts(name, WHITEOUT_META) && !str_eq(name, WHITEOUT_OPAQUE))
		return 0;
	if (str_starts(name, WHITEOUT))
		return add_whiteout(x, parent, name, e);
	return add_member(x, entry, parent, name, e);
}

static int count_entry(struct extract *x, const struct tar_entry *entry, struct err *e)
{
	const struct image_limits *l = x->cfg->limits;

	if (++x->result.entries > l->layer_entries)
		return err_set(e, EFBIG, "the layer has more than %llu entries",
			       (unsigned long long)l->layer_entries);
	if ((uint64_t)entry->size > l->layer_bytes ||
	    x->result.bytes + (uint64_t)entry->size > l->layer_bytes)
		return err_set(e, EFBIG, "the layer's files have more than %llu bytes",
			       (unsigned long long)l->layer_bytes);
	x->result.bytes += (uint64_t)entry->size;
	return 0;
}

static int extract_all(struct extract *x, struct err *e)
{
	struct tar_entry entry;
	int r;

	while ((r = tar_next(x->tar, &entry, e)) > 0) {
		r = count_entry(x, &entry, e);
		if (r == 0)
			r = add_entry(x, &entry, e);
		if (r < 0)
			return err_wrap(e, "entry %llu \"%.200s\"",
					(unsigned long long)x->result.entries, entry.path);
	}
	if (r == 0)
		r = leave_dir(x, e);
	return r < 0 ? r : flush_notes(x, e);
}

int extract_layer(struct source *tar, const struct extract_config *cfg, struct extract_result *ret,
		  struct err *e)
{
	_cleanup_(tar_close) struct tar_in *in = NULL;
	struct extract x = { .cfg = cfg,
			     .dir = -1,
			     .notes = BUF_INIT(NOTES_BUFFER + 2 * PATH_MAX) };
	int r = tar_open(tar, &in, e);

	if (r < 0)
		return r;
	x.tar = in;
	r = extract_all(&x, e);
	fd_close(x.dir);
	buf_free(&x.notes);
	if (r == 0)
		*ret = x.result;
	return r;
}
