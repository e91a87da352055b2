/*
 * The walk of pack.h: depth first, one recursion per directory, bounded by PACK_DEPTH_MAX.
 *
 * Errors are of two kinds. What concerns a single file (it vanished, it cannot be opened) leaves it
 * out, as Docker does; what concerns the stream (the reader has gone, a file that cannot be read
 * any further when its header is written) ends the walk. Callers: worker.c, unit tests.
 */
#include "engine/files/pack.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "engine/files/node.h"
#include "engine/files/view.h"
#include "init/base/file.h"
#include "init/base/map.h"
#include "init/base/path.h"
#include "init/base/str.h"

enum { CHUNK = 128 << 10, XATTRS_MAX = 64, XATTR_BYTES = 1 << 20 };

struct pack {
	struct tar_out out;
	struct map links; /* "dev:ino" -> name in the archive */
	struct buf path; /* of the current entry */
	char *chunk, *xattr_bytes; /* the target of a link, too */
	struct tar_xattr xattrs[XATTRS_MAX];
	dev_t no_devices;
	dev_t dev; /* of the current directory */
	bool one_mount, shallow, fatal;
	int root; /* of a layer's nodes */
	struct buf dirs; /* the deepest directory that the layer has now, with those above it */
	unsigned depth;
	struct pack_result result;
};

/* A failure that ends the walk. */
static int fail(struct pack *p, int r)
{
	p->fatal = r < 0;
	return r;
}

static int leave_out(struct pack *p)
{
	p->result.left_out++;
	return 0;
}

/* ---- entries ---- */

static void entry_of(struct tar_entry *entry, const struct stat *st, enum tar_type type,
		     const char *path)
{
	*entry = (struct tar_entry){
		.type = type,
		.path = path,
		.size = type == TAR_FILE ? st->st_size : 0,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mode = st->st_mode & 07777,
		.major = major(st->st_rdev),
		.minor = minor(st->st_rdev),
		.mtime = { .sec = st->st_mtim.tv_sec },
	};
}

/* The attributes of an open file that an archive keeps. A pax key ends at "=": names with one are
 * left out. */
static size_t read_xattrs(struct pack *p, int fd)
{
	char *names = p->xattr_bytes, *at;
	ssize_t len = flistxattr(fd, names, XATTR_BYTES / 2), got;
	size_t n = 0, room;

	if (len <= 0)
		return 0;
	at = names + len;
	for (char *name = names; name < names + len && n < XATTRS_MAX; name += strlen(name) + 1) {
		room = (size_t)(p->xattr_bytes + XATTR_BYTES - at);
		if (!node_keeps_xattr(name) || strchr(name, '='))
			continue;
		got = fgetxattr(fd, name, at, room);
		if (got < 0)
			continue;
		p->xattrs[n++] = (struct tar_xattr){ name, at, (size_t)got };
		at += got;
	}
	return n;
}

static int put_entry(struct pack *p, const struct tar_entry *entry, int fd, struct err *e)
{
	size_t n = fd >= 0 ? read_xattrs(p, fd) : 0;

	p->result.entries++;
	return fail(p, tar_out_entry(&p->out, entry, p->xattrs, n, e));
}

/* ---- files ---- */

/* Content from `at` on, up to `end`; a file that became shorter is filled up with zeros, since its
 * size is written already. */
static int put_bytes(struct pack *p, int fd, int64_t at, int64_t end, struct err *e)
{
	while (at < end) {
		size_t want = (size_t)MIN(end - at, (int64_t)CHUNK);
		ssize_t n = pread(fd, p->chunk, want, at);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "cannot read %.200s", buf_text(&p->path));
		r = tar_out_data(&p->out, n > 0 ? p->chunk : NULL, n > 0 ? n : end - at, e);
		if (r < 0)
			return r;
		at += n > 0 ? n : end - at;
	}
	return 0;
}

/* Holes are not read, but written as the zeros they stand for: readers that know sparse entries are
 * few. */
static int put_content(struct pack *p, int fd, int64_t size, struct err *e)
{
	int64_t at = 0, data, hole;
	int r = 0;

	while (r == 0 && at < size) {
		data = lseek(fd, at, SEEK_DATA);
		if (data < 0)
			data = errno == ENXIO ? size : at;
		data = MIN(data, size);
		r = tar_out_data(&p->out, NULL, data - at, e);
		hole = data < size ? lseek(fd, data, SEEK_HOLE) : size;
		if (hole <= data || hole > size)
			hole = size;
		if (r == 0)
			r = put_bytes(p, fd, data, hole, e);
		at = hole;
	}
	return r;
}

/* Whether the file has come under another name; else it is remembered. */
static const char *earlier_name(struct pack *p, const struct stat *st)
{
	char key[48], *name;

	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return NULL;
	(void)str_format(key, sizeof(key), "%llx:%llx", (unsigned long long)st->st_dev,
			 (unsigned long long)st->st_ino);
	name = map_get(&p->links, key);
	if (name || map_len(&p->links) == PACK_LINKS_MAX)
		return name;
	name = str_dup(buf_text(&p->path));
	if (!name || map_put(&p->links, key, name, NULL) < 0)
		free(name);
	return NULL;
}

static int put_hardlink(struct pack *p, const struct stat *st, const char *target, struct err *e)
{
	struct tar_entry entry;

	entry_of(&entry, st, TAR_HARDLINK, buf_text(&p->path));
	entry.target = target;
	return put_entry(p, &entry, -1, e);
}

static int put_file(struct pack *p, int dir, const char *name, struct err *e)
{
	_cleanup_(fd_close) int fd =
		openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct tar_entry entry;
	const char *target;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return leave_out(p);
	target = earlier_name(p, &st);
	if (target)
		return put_hardlink(p, &st, target, e);
	entry_of(&entry, &st, TAR_FILE, buf_text(&p->path));
	r = put_entry(p, &entry, fd, e);
	return r < 0 ? r : fail(p, put_content(p, fd, st.st_size, e));
}

/* ---- what is not opened ---- */

static int put_other(struct pack *p, int dir, const char *name, const struct stat *st,
		     struct err *e)
{
	enum tar_type type = S_ISLNK(st->st_mode)    ? TAR_SYMLINK
			     : S_ISFIFO(st->st_mode) ? TAR_FIFO
			     : S_ISCHR(st->st_mode)  ? TAR_CHAR
						     : TAR_BLOCK;
	const char *earlier = earlier_name(p, st);
	struct tar_entry entry;
	ssize_t n;

	if (earlier)
		return put_hardlink(p, st, earlier, e);
	if (type == TAR_SYMLINK) {
		n = readlinkat(dir, name, p->chunk, CHUNK - 1);
		if (n <= 0)
			return leave_out(p);
		p->chunk[n] = '\0';
	}
	entry_of(&entry, st, type, buf_text(&p->path));
	entry.target = p->chunk;
	return put_entry(p, &entry, -1, e);
}

/* ---- directories ---- */

static int put_child(int dir, const char *name, void *data, struct err *e);

/* Everything below an open directory; its path, with a "/" at the end, is the current one. */
static int put_below(struct pack *p, int fd, dev_t dev, struct err *e)
{
	dev_t outer = p->dev;
	int r;

	if (p->depth == PACK_DEPTH_MAX)
		return leave_out(p);
	p->depth++;
	p->dev = dev;
	r = dir_each(fd, ".", PACK_DIR_MAX, put_child, p, e);
	p->dev = outer;
	p->depth--;
	if (r < 0 && !p->fatal && r != -E2BIG && r != -ENOMEM)
		return leave_out(p); /* it vanished */
	return fail(p, r);
}

static int put_dir(struct pack *p, int dir, const char *name, struct err *e)
{
	_cleanup_(fd_close) int fd =
		openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tar_entry entry;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return leave_out(p);
	buf_add_char(&p->path, '/');
	entry_of(&entry, &st, TAR_DIR, buf_text(&p->path));
	r = put_entry(p, &entry, fd, e);
	if (r < 0 || p->shallow || (st.st_dev != p->dev && (p->one_mount || view_is_pseudo(fd))))
		return r;
	return put_below(p, fd, st.st_dev, e);
}

static int put_node(struct pack *p, int dir, const char *name, struct err *e)
{
	struct stat st;

	if (buf_failed(&p->path) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return leave_out(p);
	if (S_ISDIR(st.st_mode))
		return put_dir(p, dir, name, e);
	if (S_ISREG(st.st_mode))
		return put_file(p, dir, name, e);
	if (S_ISSOCK(st.st_mode))
		return leave_out(p);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		/* the runtime's devices are no data: those of its /dev, and those bound over
		 * them */
		if ((p->no_devices && st.st_dev == p->no_devices) || st.st_dev != p->dev)
			return leave_out(p);
	return put_other(p, dir, name, &st, e);
}

/* The path is cut back to its directory afterwards. */
static int put_child(int dir, const char *name, void *data, struct err *e)
{
	struct pack *p = data;
	size_t len = p->path.len;
	int r;

	buf_add_text(&p->path, name);
	r = put_node(p, dir, name, e);
	p->path.failed = 0;
	p->path.len = len;
	p->path.data[len] = '\0';
	return r;
}

/* ---- the whole ---- */

static int pack_init(struct pack *p, struct sink *to, struct err *e)
{
	*p = (struct pack){ .path = BUF_INIT(PACK_PATH_MAX),
			    .chunk = malloc(CHUNK),
			    .xattr_bytes = malloc(XATTR_BYTES) };
	tar_out_init(&p->out, to);
	if (!p->chunk || !p->xattr_bytes || buf_add_text(&p->path, "") < 0 || !p->path.data)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static int pack_end(struct pack *p, int r, struct pack_result *ret, struct err *e)
{
	struct map_entry *m;
	size_t i = 0;

	if (r == 0)
		r = tar_out_end(&p->out, e);
	if (r == 0)
		*ret = p->result;
	while ((m = map_next(&p->links, &i)))
		free(m->value);
	map_free(&p->links);
	tar_out_free(&p->out);
	buf_free(&p->path);
	buf_free(&p->dirs);
	free(p->chunk);
	free(p->xattr_bytes);
	return r;
}

/* The directory itself: opened again from its O_PATH descriptor, not by its name. */
static int put_top_dir(struct pack *p, const struct found *f, struct err *e)
{
	_cleanup_(fd_close) int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct tar_entry entry;
	int r;

	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", f->path);
	buf_add_text(&p->path, str_eq(f->name, "/") ? "" : f->name);
	buf_add_char(&p->path, '/');
	entry_of(&entry, &f->st, TAR_DIR, buf_text(&p->path));
	r = put_entry(p, &entry, fd, e);
	return r < 0 || view_is_pseudo(fd) ? r : put_below(p, fd, f->st.st_dev, e);
}

int pack_found(const struct found *f, dev_t no_devices, struct sink *to, struct pack_result *ret,
	       struct err *e)
{
	struct pack p;
	int r = pack_init(&p, to, e);

	p.no_devices = S_ISCHR(f->st.st_mode) || S_ISBLK(f->st.st_mode) ? 0 : no_devices;
	p.dev = f->st.st_dev;
	if (r == 0 && S_ISDIR(f->st.st_mode)) {
		r = put_top_dir(&p, f, e);
	} else if (r == 0) {
		buf_add_text(&p.path, f->name);
		r = put_node(&p, f->dir, f->name, e);
	}
	return pack_end(&p, r, ret, e);
}

int pack_root(int root, struct sink *to, struct pack_result *ret, struct err *e)
{
	_cleanup_(fd_close) int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pack p;
	struct stat st;
	int r = pack_init(&p, to, e);

	p.one_mount = true;
	if (r == 0 && (fd < 0 || fstat(fd, &st) < 0))
		r = err_errno(e, errno, "cannot open the container's root");
	if (r == 0)
		r = put_below(&p, fd, st.st_dev, e);
	return pack_end(&p, r, ret, e);
}

/* ---- a layer ---- */

#define WHITEOUT ".wh."

int pack_layer_begin(int root, struct sink *to, struct pack **ret, struct err *e)
{
	struct pack *p = malloc(sizeof(*p));
	struct pack_result unused;
	struct stat st;
	int r = p ? pack_init(p, to, e) : err_set(e, ENOMEM, "out of memory");

	if (r == 0 && fstat(root, &st) < 0)
		r = err_errno(e, errno, "cannot open the container's files");
	if (r < 0) {
		if (p)
			(void)pack_end(p, r, &unused, e);
		free(p);
		return r;
	}
	p->shallow = true;
	p->root = root;
	p->dirs = BUF_INIT(PACK_PATH_MAX);
	p->dev = st.st_dev;
	*ret = p;
	return 0;
}

/* Whether `path` is `dir` or lies below it. */
static bool is_within(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || !path[len]);
}

/* "/a/b" -> "a" (new memory; "." for the top) and "b" */
static const char *split(const char *path, char **ret_dir)
{
	const char *slash = strrchr(path, '/');

	*ret_dir = slash > path ? strndup(path + 1, (size_t)(slash - path - 1)) : str_dup(".");
	return slash + 1;
}

static int put_one(struct pack *p, const char *path, struct err *e)
{
	_cleanup_(mem_free) char *dir = NULL;
	_cleanup_(fd_close) int fd = -1;
	const char *name = split(path, &dir);

	if (!dir)
		return err_set(e, ENOMEM, "out of memory");
	fd = path_open_strict(p->root, dir, O_PATH | O_DIRECTORY, 0, NULL);
	if (fd < 0)
		return leave_out(p);
	buf_reset(&p->path);
	buf_add_text(&p->path, path + 1);
	return put_node(p, fd, name, e);
}

/* The directories above a node come before it, each once: a layer that has them only behind what
 * is in them would lose their owners and modes. The walk is depth first, so one path remembers
 * all. */
static int put_above(struct pack *p, const char *path, struct err *e)
{
	_cleanup_(mem_free) char *above = str_dup(path);
	int r = above ? 0 : err_set(e, ENOMEM, "out of memory");

	for (char *slash = above ? strchr(above + 1, '/') : NULL; r == 0 && slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (!is_within(buf_text(&p->dirs), above)) {
			r = put_one(p, above, e);
			buf_reset(&p->dirs);
			buf_add_text(&p->dirs, above);
		}
		*slash = '/';
	}
	return r;
}

int pack_layer_node(struct pack *p, const char *path, struct err *e)
{
	int r;

	if (strstr(path, "/" WHITEOUT))
		return err_set(
			e, EINVAL,
			"\"%.200s\" cannot be in a layer: a name that begins with \"" WHITEOUT
			"\" means there that something was deleted",
			path);
	if (is_within(buf_text(&p->dirs), path))
		return 0; /* a directory, told once more */
	r = put_above(p, path, e);
	if (r < 0)
		return r;
	r = put_one(p, path, e);
	if (str_ends(buf_text(&p->path), "/")) {
		buf_reset(&p->dirs);
		buf_add_text(&p->dirs, path);
	}
	return r;
}

int pack_layer_deleted(struct pack *p, const char *path, struct err *e)
{
	_cleanup_(mem_free) char *dir = NULL, *mark = NULL;
	struct tar_entry entry = { .type = TAR_FILE };
	const char *name = split(path, &dir);
	int r = put_above(p, path, e);

	if (r < 0)
		return r;
	if (dir)
		mark = str_eq(dir, ".") ? str_printf(WHITEOUT "%s", name)
					: str_printf("%s/" WHITEOUT "%s", dir, name);
	if (!mark)
		return err_set(e, ENOMEM, "out of memory");
	entry.path = mark;
	return put_entry(p, &entry, -1, e);
}

int pack_layer_end(struct pack *p, int r, struct pack_result *ret, struct err *e)
{
	r = pack_end(p, r, ret, e);
	free(p);
	return r;
}
