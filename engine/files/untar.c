/*
 * The members, one by one (untar.h).
 *
 * Data: one open directory, the parent of the last member, kept because members of one directory
 * follow each other; and the list of directories whose times are set at the very end. node.c makes
 * the nodes. Callers: worker.c, unit tests.
 */
#include "engine/files/untar.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/files/names.h"
#include "engine/files/node.h"
#include "init/base/buf.h"
#include "init/base/path.h"
#include "init/base/str.h"

enum { IMPLIED_MODE = 0755 };

struct untar {
	const struct untar_config *cfg;
	struct tar_in *tar;
	int dir; /* parent of the last member, -1: none */
	char dir_path[PATH_MAX];
	struct buf times; /* struct timespec and path with its NUL, one after the other */
	struct untar_result result;
};

/* ---- the current directory ---- */

static void leave_dir(struct untar *x)
{
	fd_close(take_fd(x->dir));
}

/* Makes `path` the current directory; on failure the current one stays. */
static int switch_dir(struct untar *x, const char *path, struct err *e)
{
	int fd;

	if (x->dir >= 0 && str_eq(x->dir_path, path))
		return 0;
	fd = path_open_own(x->cfg->dest, *path ? path : ".", O_PATH | O_DIRECTORY, 0, e);
	if (fd < 0)
		return fd;
	leave_dir(x);
	x->dir = fd;
	return str_copy(x->dir_path, sizeof(x->dir_path), path);
}

/* Missing directories on the way belong to root, as Docker has it. */
static int enter_dir(struct untar *x, const char *path, struct err *e)
{
	char prefix[PATH_MAX];
	size_t start, end = 0;
	int r = switch_dir(x, path, NULL);

	if (r != -ENOENT)
		return r < 0 ? err_errno(e, -r, "cannot enter %.200s", path) : 0;
	r = switch_dir(x, "", e);
	while (r == 0 && path[end]) {
		start = end + (path[end] == '/');
		end = start + strcspn(path + start, "/");
		(void)str_format(prefix, sizeof(prefix), "%.*s", (int)end, path);
		r = switch_dir(x, prefix, e);
		if (r != -ENOENT)
			continue;
		if (mkdirat(x->dir, prefix + start, IMPLIED_MODE) < 0 ||
		    fchownat(x->dir, prefix + start, 0, 0, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(e, errno, "cannot make the directory %.200s", prefix);
		r = switch_dir(x, prefix, e);
	}
	return r;
}

/* ---- what is there already ---- */

static int check_kind(const struct untar *x, const char *path, bool is_dir, bool becomes_dir,
		      struct err *e)
{
	if (!x->cfg->keep_kind || is_dir == becomes_dir)
		return 0;
	return err_set(e, EINVAL,
		       is_dir ? "cannot overwrite directory \"%s\" with non-directory \"%s\""
			      : "cannot overwrite non-directory \"%s\" with directory \"%s\"",
		       path, x->cfg->dest_name);
}

/* Makes way for a member; a directory that meets a directory is merged with it. */
static int make_way(struct untar *x, const struct tar_entry *entry, const char *name,
		    bool *ret_exists, struct err *e)
{
	bool dir = entry->type == TAR_DIR;
	struct stat st;
	int r;

	*ret_exists = false;
	if (fstatat(x->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "cannot stat it");
	r = check_kind(x, entry->path, S_ISDIR(st.st_mode), dir, e);
	if (r < 0)
		return r;
	*ret_exists = dir && S_ISDIR(st.st_mode);
	return *ret_exists ? 0 : node_remove(x->dir, name, e);
}

/* ---- members ---- */

/* Where the file system has no files without names: under its name from the start, and taken away
 * when it does not get complete. */
static int add_named_file(struct untar *x, const struct tar_entry *entry, const char *name,
			  struct err *e)
{
	bool exists;
	int r = make_way(x, entry, name, &exists, e);

	if (r < 0)
		return r;
	r = node_file(x->tar, entry, x->dir, name, UNTAR_XATTR_MAX, e);
	if (r < 0)
		(void)unlinkat(x->dir, name, 0);
	return r;
}

static int add_file(struct untar *x, const struct tar_entry *entry, const char *name, struct err *e)
{
	_cleanup_(fd_close) int fd = openat(x->dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	bool exists;
	int r;

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT))
		return add_named_file(x, entry, name, e);
	if (fd < 0)
		return err_errno(e, errno, "cannot create the file");
	r = node_fill(x->tar, entry, fd, UNTAR_XATTR_MAX, e);
	for (int tries = 0; r == 0; tries++) {
		r = make_way(x, entry, name, &exists, e);
		if (r < 0 || linkat(fd, "", x->dir, name, AT_EMPTY_PATH) == 0)
			break;
		if (errno != EEXIST || tries == 16)
			r = err_errno(e, errno, "cannot give the file its name");
	}
	return r;
}

/* The link's target is a member's name too: below the directory that is unpacked to. */
static int add_hardlink(struct untar *x, const struct tar_entry *entry, const char *name,
			struct err *e)
{
	_cleanup_(fd_close) int from = -1;
	char target[PATH_MAX], from_name[NAME_MAX + 1];
	struct stat have, old;
	const char *slash;
	bool exists;
	int r = files_member(target, entry->target);

	if (r < 0 || !*target)
		return err_set(e, EINVAL, "invalid hardlink \"%.200s\" -> \"%.200s\"", entry->path,
			       entry->target);
	slash = strrchr(target, '/');
	(void)str_copy(from_name, sizeof(from_name), slash ? slash + 1 : target);
	if (slash)
		target[slash - target] = '\0';
	from = path_open_own(x->cfg->dest, slash ? target : ".", O_PATH | O_DIRECTORY, 0, e);
	if (from < 0)
		return from;
	if (fstatat(from, from_name, &have, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, errno, "the hard link's target \"%.200s\"", entry->target);
	if (fstatat(x->dir, name, &old, AT_SYMLINK_NOFOLLOW) == 0 && old.st_ino == have.st_ino &&
	    old.st_dev == have.st_dev)
		return 0; /* it is the same file already */
	r = make_way(x, entry, name, &exists, e);
	if (r == 0 && linkat(from, from_name, x->dir, name, 0) < 0)
		r = err_errno(e, errno, "cannot make the hard link");
	return r;
}

/* Its time is set at the end: what comes into it still would change it. */
static void note_time(struct untar *x, const struct tar_entry *entry, const char *path)
{
	struct timespec mtime = node_mtime(entry);
	size_t len = x->times.len;

	buf_add(&x->times, &mtime, sizeof(mtime));
	if (buf_add(&x->times, path, strlen(path) + 1) < 0)
		x->times.len = len;
}

static int add_member(struct untar *x, const struct tar_entry *entry, const char *path,
		      const char *name, struct err *e)
{
	bool exists;
	int r;

	if (entry->type == TAR_HARDLINK)
		return add_hardlink(x, entry, name, e);
	if (entry->type == TAR_FILE)
		return add_file(x, entry, name, e);
	r = make_way(x, entry, name, &exists, e);
	if (r < 0)
		return r;
	if (entry->type == TAR_SYMLINK)
		return node_symlink(entry, x->dir, name, e);
	if (entry->type != TAR_DIR)
		return node_special(entry, x->dir, name, e);
	r = node_dir(x->tar, entry, x->dir, name, exists, UNTAR_XATTR_MAX, e);
	if (r == 0)
		note_time(x, entry, path);
	return r;
}

static int add_entry(struct untar *x, struct tar_entry *entry, struct err *e)
{
	char path[PATH_MAX], parent[PATH_MAX], *name;
	int r = files_member(path, entry->path);

	if (r == -EINVAL)
		return err_set(e, EINVAL, "\"%.200s\" is outside of \"%s\"", entry->path,
			       x->cfg->dest_name);
	if (r < 0)
		return err_set(e, ENAMETOOLONG, "the path is too long");
	r = node_check(entry, e);
	if (r < 0)
		return r;
	if (!*path) /* the directory itself is as it is, whatever the archive says */
		return 0;
	if (x->cfg->own) {
		entry->uid = x->cfg->uid;
		entry->gid = x->cfg->gid;
	}
	memcpy(parent, path, strlen(path) + 1);
	name = strrchr(parent, '/');
	if (name)
		*name++ = '\0';
	r = enter_dir(x, name ? parent : "", e);
	if (r < 0)
		return r;
	return add_member(x, entry, path, name ? name : parent, e);
}

static void set_times(struct untar *x)
{
	const char *at = x->times.data, *end = at + x->times.len;

	while (at < end) {
		_cleanup_(fd_close) int fd = -1;
		struct timespec times[2];

		memcpy(&times[0], at, sizeof(times[0]));
		times[1] = times[0];
		at += sizeof(times[0]);
		/* gone or replaced meanwhile: then there is nothing to set */
		fd = path_open_own(x->cfg->dest, at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);
		if (fd >= 0)
			(void)futimens(fd, times);
		at += strlen(at) + 1;
	}
}

static int all(struct untar *x, struct err *e)
{
	struct tar_entry entry;
	int r;

	while ((r = tar_next(x->tar, &entry, e)) > 0) {
		x->result.entries++;
		x->result.bytes += (uint64_t)entry.size;
		r = add_entry(x, &entry, e);
		if (r < 0)
			return err_wrap(e, "%.200s", entry.path);
	}
	if (r == 0)
		set_times(x);
	return r;
}

int untar(struct source *tar, const struct untar_config *cfg, struct untar_result *ret,
	  struct err *e)
{
	_cleanup_(tar_close) struct tar_in *in = NULL;
	struct untar x = { .cfg = cfg, .dir = -1, .times = BUF_INIT(UNTAR_TIMES_MAX) };
	int r = tar_open(tar, &in, e);

	if (r < 0)
		return r;
	x.tar = in;
	r = all(&x, e);
	leave_dir(&x);
	buf_free(&x.times);
	if (r == 0)
		*ret = x.result;
	return r;
}
