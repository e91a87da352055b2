/*
 * Finding and describing one path (stat.h).
 *
 * files_link_target() walks the string, one openat2 per component, and may be lied to by a
 * container that changes it meanwhile: its result is only shown.
 */
#include "engine/files/stat.h"

#include <fcntl.h>
#include <string.h>

#include "engine/data/json.h"
#include "engine/files/names.h"
#include "init/base/path.h"
#include "init/base/str.h"

enum { LINKS_MAX = 255 /* Go's FollowSymlinkInScope */ };

void found_close(struct found *f)
{
	fd_close(take_fd(f->fd));
	fd_close(take_fd(f->dir));
}

/* A path that does not end in a name asks for what is behind it, links included. */
static int open_path(int root, struct found *f)
{
	char name[NAME_MAX + 1];
	size_t len = strlen(f->path);

	if (f->path[len - 1] == '/' || str_ends(f->path, "/.")) {
		f->fd = path_open(root, f->path, O_PATH | O_DIRECTORY, 0, NULL);
		return MIN(f->fd, 0);
	}
	f->dir = path_open_parent(root, f->path, name, NULL);
	if (f->dir < 0)
		return f->dir;
	f->fd = openat(f->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return f->fd < 0 ? -errno : 0;
}

static int explain(int code, const char *asked, const char *container, struct err *e)
{
	if (code == -ENOENT)
		return err_set(e, ENOENT, "Could not find the file %s in container %s", asked,
			       container);
	if (code == -ENOTDIR)
		return err_set(e, EINVAL, "%s: not a directory", asked);
	if (code == -ELOOP)
		return err_set(e, EINVAL, "%s: too many links", asked);
	return err_errno(e, -code, "%s", asked);
}

int files_find(int root, const char *asked, const char *container, struct found *ret, struct err *e)
{
	_cleanup_(found_close) struct found f = { .fd = -1, .dir = -1 };
	int r = files_path(f.path, asked);

	if (r < 0)
		return err_set(e, ENAMETOOLONG, "the path is longer than %d bytes", PATH_MAX);
	r = open_path(root, &f);
	if (r == 0 && fstat(f.fd, &f.st) < 0)
		r = -errno;
	if (r < 0)
		return explain(r, asked, container, e);
	files_base(f.name, f.path);
	*ret = f;
	f.fd = f.dir = -1;
	return 0;
}

/* One component more: `dst` is what is resolved so far, `rest` what is left to do. */
static int follow(int root, char dst[PATH_MAX], const char *name, char rest[PATH_MAX], int *links)
{
	char target[PATH_MAX], joined[PATH_MAX];
	size_t len = strlen(dst);
	int fd, r = str_format(joined, sizeof(joined), "%s/%s", len == 1 ? "" : dst, name);
	ssize_t n;

	if (r < 0)
		return r;
	fd = path_open(root, joined, O_PATH | O_NOFOLLOW, 0, NULL);
	n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target) - 1);
	fd_close(fd);
	if (n < 0)
		return str_copy(dst, PATH_MAX, joined);
	if (++*links > LINKS_MAX)
		return -ELOOP;
	target[n] = '\0';
	if (target[0] == '/')
		(void)str_copy(dst, PATH_MAX, "/");
	r = str_format(joined, sizeof(joined), "%s/%s", target, rest);
	return r < 0 ? r : str_copy(rest, PATH_MAX, joined);
}

static void cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	slash[slash == path] = '\0';
}

int files_link_target(int root, const char *path, char dst[PATH_MAX])
{
	char rest[PATH_MAX], name[NAME_MAX + 1];
	int links = 0, r = str_copy(rest, sizeof(rest), path);

	(void)str_copy(dst, PATH_MAX, "/");
	while (r == 0) {
		size_t start = strspn(rest, "/"), len = strcspn(rest + start, "/");

		if (len == 0)
			return 0;
		r = str_format(name, sizeof(name), "%.*s", (int)len, rest + start);
		memmove(rest, rest + start + len, strlen(rest + start + len) + 1);
		if (r < 0 || str_eq(name, "."))
			continue;
		if (str_eq(name, ".."))
			cut_last(dst);
		else
			r = follow(root, dst, name, rest, &links);
	}
	return r;
}

void files_stat_write(int root, const struct found *f, struct buf *out)
{
	char target[PATH_MAX] = "";
	struct json_writer w;

	if (S_ISLNK(f->st.st_mode) && files_link_target(root, f->path, target) < 0)
		target[0] = '\0';
	json_writer_init(&w, out);
	json_begin_object(&w);
	json_member_str(&w, "name", f->name);
	json_member_i64(&w, "size", f->st.st_size);
	json_member_i64(&w, "mode", files_go_mode(f->st.st_mode));
	json_key(&w, "mtime");
	json_time(&w, f->st.st_mtim.tv_sec * INT64_C(1000000000) + f->st.st_mtim.tv_nsec);
	json_member_str(&w, "linkTarget", target);
	json_end_object(&w);
}
