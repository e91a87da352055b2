/*
 * Finishing and removing: see finish.h.
 *
 * The trees are hostile (an unpack worker made them), so they are entered by openat2 without links,
 * and nothing in them is read. Runs as root with full rights, hence short.
 */
#include "engine/image/finish.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "engine/image/job.h"
#include "init/base/file.h"
#include "init/base/path.h"
#include "init/base/str.h"

struct layer_work {
	int folder, tree;
	int *lower; /* trees of the layers below, topmost first; -1 ends it */
	bool opaque_root;
};

static void work_end(struct layer_work *w)
{
	for (size_t i = 0; w->lower && w->lower[i] >= 0; i++)
		fd_close(w->lower[i]);
	free(w->lower);
	fd_close(w->folder);
	fd_close(w->tree);
}
DEFINE_CLEANUP_VALUE(struct layer_work, work_end)

void finish_write_remove(char *const *paths, struct buf *out)
{
	struct json_writer w;

	json_writer_init(&w, out);
	json_begin_object(&w);
	json_member_str(&w, "op", "remove");
	json_key(&w, "paths");
	json_strv(&w, paths);
	json_end_object(&w);
}

/* ---- opaque directories ---- */

static int set_opaque(struct layer_work *w, const char *path, struct err *e)
{
	_cleanup_(fd_close) int fd = -1;

	if (!*path) {
		/* overlayfs does not ask the root: whoever mounts leaves out what is below */
		w->opaque_root = true;
		return 0;
	}
	fd = path_open_strict(w->tree, path, O_RDONLY | O_DIRECTORY, 0, e);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0; /* a later entry of the archive replaced it */
	if (fd < 0)
		return take_fd(fd);
	if (fsetxattr(fd, OVERLAY_OPAQUE, "y", 1, 0) < 0)
		return err_errno(e, errno, "cannot mark \"%.128s\" as opaque", path);
	return 0;
}

/* ---- implied directories ---- */

static bool is_opaque(int fd)
{
	char value[2];

	return fgetxattr(fd, OVERLAY_OPAQUE, value, sizeof(value)) == 1 && value[0] == 'y';
}

/* Looks for the directory in one lower layer: 1 found, 0 go on below, -1 nothing below shines
 * through. */
static int find_in(int tree, const char *path, struct stat *ret)
{
	_cleanup_(fd_close) int dir = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[NAME_MAX + 1];
	bool opaque = false;
	size_t len;

	for (; *path && dir >= 0; path += len) {
		int next;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 0 || str_format(name, sizeof(name), "%.*s", (int)len, path) < 0)
			return -1;
		next = path_open_strict(dir, name, O_RDONLY | O_DIRECTORY, 0, NULL);
		if (next < 0)
			return next == -ENOENT && !opaque ? 0 : -1;
		fd_close(dir);
		dir = next;
		opaque = opaque || is_opaque(dir);
	}
	return dir >= 0 && fstat(dir, ret) == 0 ? 1 : -1;
}

static int copy_implied(struct layer_work *w, const char *path, struct err *e)
{
	_cleanup_(fd_close) int fd =
		path_open_strict(w->tree, path, O_RDONLY | O_DIRECTORY, 0, NULL);
	struct timespec times[2];
	struct stat st;
	int found = 0;

	for (size_t i = 0; fd >= 0 && found == 0 && w->lower[i] >= 0; i++)
		found = find_in(w->lower[i], path, &st);
	if (found <= 0 || fd < 0)
		return 0;
	times[0] = times[1] = st.st_mtim;
	if (fchown(fd, st.st_uid, st.st_gid) < 0 || fchmod(fd, st.st_mode & 07777) < 0 ||
	    futimens(fd, times) < 0)
		return err_errno(e, errno, "cannot set owner and mode of \"%.128s\"", path);
	return 0;
}

/* ---- notes ---- */

static int apply_note(struct layer_work *w, const char *note, struct err *e)
{
	switch (note[0]) {
	case 'o':
		return set_opaque(w, note + 1, e);
	case 'i':
		return copy_implied(w, note + 1, e);
	default:
		return err_set(e, EBADMSG, "a note of an unknown kind");
	}
}

/* Applies the complete notes at the front of the buffer and drops them. */
static int apply_complete(struct layer_work *w, struct buf *b, struct err *e)
{
	size_t at = 0, len;
	int r;

	while (at < b->len && (len = strnlen(b->data + at, b->len - at)) < b->len - at) {
		r = apply_note(w, b->data + at, e);
		if (r < 0)
			return r;
		at += len + 1;
	}
	buf_consume(b, at);
	return 0;
}

static int apply_notes(struct layer_work *w, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(128 << 10);
	_cleanup_(fd_close) int fd =
		openat(w->folder, JOB_NOTES, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EBADMSG, "the layer's notes are missing");
	for (;;) {
		void *at = buf_reserve(&b, 32 << 10);

		if (!at)
			return err_set(e, EBADMSG, "a note is too long");
		n = read(fd, at, 32 << 10);
		if (n < 0)
			return err_errno(e, errno, "cannot read the layer's notes");
		if (n == 0)
			break;
		buf_commit(&b, (size_t)n);
		r = apply_complete(w, &b, e);
		if (r < 0)
			return r;
	}
	return b.len == 0 ? 0 : err_set(e, EBADMSG, "the layer's notes are cut");
}

/* ---- one layer ---- */

static int open_tree_of(int store, const char *folder, struct err *e)
{
	char path[PATH_MAX];

	if (str_format(path, sizeof(path), "%s/" LAYER_TREE, folder) < 0)
		return err_set(e, ENAMETOOLONG, "the path is too long");
	return path_open_strict(store, path, O_RDONLY | O_DIRECTORY, 0, e);
}

static int open_lower(struct layer_work *w, int store, char *const *lower, struct err *e)
{
	size_t n = strv_len(lower);

	w->lower = malloc((n + 1) * sizeof(*w->lower));
	if (!w->lower)
		return err_set(e, ENOMEM, "out of memory");
	w->lower[0] = -1;
	for (size_t i = 0; i < n; i++) {
		int fd = open_tree_of(store, lower[i], e);

		if (fd < 0)
			return fd;
		w->lower[i] = fd;
		w->lower[i + 1] = -1;
	}
	return 0;
}

static int write_record(struct layer_work *w, yyjson_val *record, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(IMAGE_RECORD_MAX);
	struct json_writer jw;
	yyjson_val *key, *value;
	size_t i, max;

	json_writer_init(&jw, &b);
	json_begin_object(&jw);
	yyjson_obj_foreach(record, i, max, key, value)
	{
		json_key(&jw, yyjson_get_str(key));
		json_value(&jw, value);
	}
	json_member_bool(&jw, "opaque_root", w->opaque_root);
	json_end_object(&jw);
	if (buf_failed(&b))
		return err_set(e, -buf_failed(&b), "the layer's record is too long");
	return file_replace(w->folder, LAYER_RECORD, b.data, b.len, 0600, false, e);
}

static int finish_layer(int store, yyjson_val *layer, struct err *e)
{
	_cleanup_(work_end) struct layer_work w = { .folder = -1, .tree = -1 };
	_cleanup_(strv_free) char **lower = NULL;
	const char *folder = NULL;
	yyjson_val *record = NULL;
	int r;

	if ((r = json_need_text(layer, "folder", &folder, e)) < 0 ||
	    (r = json_get_strv(layer, "lower", &lower, e)) < 0 ||
	    (r = json_get_object(layer, "record", &record, e)) < 0)
		return r;
	w.folder = path_open_strict(store, folder, O_RDONLY | O_DIRECTORY, 0, e);
	if (w.folder < 0)
		return w.folder;
	w.tree = path_open_strict(w.folder, LAYER_TREE, O_RDONLY | O_DIRECTORY, 0, e);
	if (w.tree < 0)
		return w.tree;
	if ((r = open_lower(&w, store, lower, e)) < 0 || (r = apply_notes(&w, e)) < 0 ||
	    (r = write_record(&w, record, e)) < 0)
		return r;
	if (unlinkat(w.folder, JOB_NOTES, 0) < 0)
		return err_errno(e, errno, "cannot remove the layer's notes");
	return 0;
}

static int finish_layers(int store, yyjson_val *request, struct err *e)
{
	yyjson_val *layers = NULL, *layer;
	size_t i, max;
	int r = json_get_array(request, "layers", &layers, e);

	if (r < 0)
		return r;
	yyjson_arr_foreach(layers, i, max, layer)
	{
		r = finish_layer(store, layer, e);
		if (r < 0)
			return err_wrap(e, "finishing a layer");
	}
	return syncfs(store) < 0 ? err_errno(e, errno, "cannot sync the image store") : 0;
}

static int remove_paths(int store, yyjson_val *request, struct err *e)
{
	_cleanup_(strv_free) char **paths = NULL;
	int r = json_get_strv(request, "paths", &paths, e), first = 0;

	for (size_t i = 0; r == 0 && i < strv_len(paths); i++) {
		if (!str_starts(paths[i], "tmp/") || strchr(paths[i] + 4, '/') ||
		    str_eq(paths[i] + 4, "..") || str_eq(paths[i] + 4, ".") || !paths[i][4])
			return err_set(e, EINVAL, "\"%.128s\" is not a folder of tmp", paths[i]);
		if (tree_remove(store, paths[i], first ? NULL : e) < 0)
			first = -1; /* the others go all the same */
	}
	return r < 0 ? r : first ? (e && e->code ? -e->code : -EIO) : 0;
}

int finish_serve(int store, yyjson_val *request, struct err *e)
{
	const char *op = NULL;
	int r = json_need_text(request, "op", &op, e);

	if (r < 0)
		return r;
	if (str_eq(op, "finish"))
		return finish_layers(store, request, e);
	if (str_eq(op, "remove"))
		return remove_paths(store, request, e);
	return err_set(e, EINVAL, "the store worker does not know \"%.64s\"", op);
}
