/*
 * Opening the store: folders, the index from refs/, and what a crash left behind.
 *
 * Start-up is recovery: an image counts when its record, its config blob (by digest) and its
 * layers' records are there. All else in blobs/, layers/ and tmp/ belongs to nobody (a crash came
 * before the record was written, or after it was removed) and is wiped. Damaged records are put
 * aside as NAME.bad and said once; what they pointed to then stays until the next start. Called by
 * main.c; private parts by the module's other files.
 */
#include "engine/image/store_priv.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "engine/state/reserve.h"
#include "engine/state/state.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { ENTRIES_MAX = 1 << 20 };

/* ---- layers ---- */

static void layer_free(struct stored_layer *l)
{
	if (!l)
		return;
	free(l->layer.diff_id);
	free(l->layer.chain_id);
	free(l->layer.dir);
	free(l->layer.blob);
	free(l->layer.media_type);
	free(l);
}
DEFINE_CLEANUP(struct stored_layer *, layer_free)

static int check_record(struct stored_layer *l, const char *chain, struct err *e)
{
	if (!str_eq(l->layer.chain_id, chain))
		return err_set(e, EBADMSG, "chain_id is not %s", chain);
	if (!l->layer.diff_id || !digest_valid(l->layer.diff_id))
		return err_set(e, EBADMSG, "diff_id: not a digest");
	if (!l->layer.blob || !digest_valid(l->layer.blob))
		return err_set(e, EBADMSG, "blob: not a digest");
	return 0;
}

static int fill_layer(struct images *s, struct stored_layer *l, yyjson_val *root, const char *chain,
		      struct err *e)
{
	struct stat st;
	char tree[96];
	int r;

	if ((r = json_get_copy(root, "chain_id", &l->layer.chain_id, e)) < 0 ||
	    (r = json_get_copy(root, "diff_id", &l->layer.diff_id, e)) < 0 ||
	    (r = json_get_copy(root, "blob", &l->layer.blob, e)) < 0 ||
	    (r = json_get_copy(root, "media_type", &l->layer.media_type, e)) < 0 ||
	    (r = json_get_i64(root, "blob_size", &l->layer.blob_size, e)) < 0 ||
	    (r = json_get_i64(root, "size", &l->layer.size, e)) < 0 ||
	    (r = json_get_bool(root, "opaque_root", &l->opaque_root, e)) < 0 ||
	    (r = check_record(l, chain, e)) < 0)
		return r;
	(void)str_format(tree, sizeof(tree), "%s/" LAYER_TREE, digest_hex(chain));
	if (fstatat(s->layers_fd, tree, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, EBADMSG, "its tree is missing");
	l->layer.blob_kept =
		fstatat(s->blobs_fd, digest_hex(l->layer.blob), &st, AT_SYMLINK_NOFOLLOW) == 0;
	l->layer.dir = str_printf("%s/layers/%s/" LAYER_TREE, s->dir, digest_hex(chain));
	if (!l->layer.media_type)
		l->layer.media_type = str_dup("");
	return l->layer.dir && l->layer.media_type ? 0 : err_set(e, ENOMEM, "out of memory");
}

int store_layer(struct images *s, const char *chain, struct stored_layer **ret, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(layer_free) struct stored_layer *l = NULL;
	const char *hex = digest_hex(chain);
	char record[96];
	int r;

	*ret = map_get(&s->layers, hex);
	if (*ret)
		return 0;
	(void)str_format(record, sizeof(record), "%s/" LAYER_RECORD, hex);
	r = state_read(s->layers_fd, record, IMAGE_RECORD_MAX, &doc, e);
	if (r < 0)
		return err_wrap(e, "layer %s", chain);
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(e, ENOMEM, "out of memory");
	r = fill_layer(s, l, yyjson_doc_get_root(doc), chain, e);
	if (r < 0)
		return err_wrap(e, "layer %s", chain);
	if (map_put(&s->layers, hex, l, NULL) < 0)
		return err_set(e, ENOMEM, "out of memory");
	*ret = take_ptr(l);
	return 0;
}

int store_release_layer(struct images *s, const char *chain, char ***trash, struct err *e)
{
	struct stored_layer *l = map_get(&s->layers, digest_hex(chain));
	char name[64], path[80];
	int r;

	if (l && l->users > 0)
		return 0;
	r = trash_name(name, e);
	if (r < 0)
		return r;
	do
		r = renameat(s->layers_fd, digest_hex(chain), s->tmp_fd, name) < 0 ? -errno : 0;
	while (r == -ENOSPC && reserve_give(s->tmp_fd, name));
	if (r < 0) {
		if (r != -ENOENT)
			return err_errno(e, -r, "cannot remove the layer %s", chain);
	} else {
		(void)str_format(path, sizeof(path), "tmp/%s", name);
		if (strv_add(trash, path) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	if (l)
		layer_free(map_remove(&s->layers, digest_hex(chain)));
	return 0;
}

bool store_uses_blob(struct images *s, const char *hex)
{
	struct map_entry *m;
	size_t i = 0;

	while ((m = map_next(&s->by_id, &i))) {
		const struct stored *st = m->value;

		if (str_eq(digest_hex(st->image.id), hex) ||
		    (st->image.manifest && str_eq(digest_hex(st->image.manifest), hex)))
			return true;
	}
	for (i = 0; (m = map_next(&s->layers, &i));) {
		const struct stored_layer *l = m->value;

		if (l->users > 0 && str_eq(digest_hex(l->layer.blob), hex))
			return true;
	}
	return false;
}

/* ---- images ---- */

int image_source_set(struct image_source *to, const struct image_source *from)
{
	char *path = to->path;

	if (str_set(&path, from->path) < 0)
		return -ENOMEM;
	*to = *from;
	to->path = path;
	return 0;
}

void stored_free(struct stored *st)
{
	if (!st)
		return;
	config_free(&st->image);
	free(st->image.id);
	free(st->image.manifest);
	strv_free(st->image.tags);
	strv_free(st->image.digests);
	free(st->image.layers);
	free(st->layers);
	free(st->empty);
	free(st->manifest_type);
	strv_free(st->names);
	strv_free(st->digest_names);
	free(st->source.path);
	free(st);
}

/* The layers that the config names, looked up by their chain ids. */
static int attach_layers(struct images *s, struct stored *st, yyjson_val *root, struct err *e)
{
	_cleanup_(strv_free) char **ids = NULL;
	char chain[DIGEST_TEXT_MAX] = "", next[DIGEST_TEXT_MAX];
	size_t n;
	int r = json_get_strv(json_member(root, "rootfs"), "diff_ids", &ids, e);

	if (r < 0)
		return r;
	n = strv_len(ids);
	st->layers = calloc(n + 1, sizeof(*st->layers));
	st->image.layers = calloc(n + 1, sizeof(*st->image.layers));
	if (!st->layers || !st->image.layers)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		r = digest_check(ids[i], e);
		if (r < 0)
			return err_wrap(e, "rootfs.diff_ids[%zu]", i);
		if (chain_id(chain, ids[i], next) < 0)
			return err_set(e, EIO, "cannot compute a chain id");
		(void)str_copy(chain, sizeof(chain), next);
		r = store_layer(s, chain, &st->layers[i], e);
		if (r < 0)
			return r;
		st->image.layers[i] = st->layers[i]->layer;
		st->image.size += st->layers[i]->layer.size;
		st->image.n_layers = i + 1;
	}
	return 0;
}

static int read_config(struct images *s, const char *id, char **ret_text, size_t *ret_len,
		       struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	char digest[DIGEST_TEXT_MAX];
	size_t len = 0;
	int r = file_read(s->blobs_fd, digest_hex(id), IMAGE_DOCUMENT_MAX, &text, &len, e);

	if (r < 0)
		return err_wrap(e, "the config of %s", id);
	if (digest_of(text, len, digest) < 0 || !str_eq(digest, id))
		return err_set(e, EBADMSG, "the config of %s is damaged: it has another digest",
			       id);
	*ret_text = take_ptr(text);
	*ret_len = len;
	return 0;
}

int store_read_image(struct images *s, const char *id, struct stored **ret, struct err *e)
{
	_cleanup_(stored_free) struct stored *st = calloc(1, sizeof(*st));
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	size_t len = 0;
	int r;

	if (!st)
		return err_set(e, ENOMEM, "out of memory");
	st->image.id = str_dup(id);
	if (!st->image.id)
		return err_set(e, ENOMEM, "out of memory");
	if ((r = read_config(s, id, &text, &len, e)) < 0)
		return r;
	if ((r = config_read(&st->image, text, len, e)) < 0 ||
	    (r = json_parse_object(text, len, &doc, NULL, e)) < 0 ||
	    (r = attach_layers(s, st, yyjson_doc_get_root(doc), e)) < 0)
		return err_wrap(e, "image %s", id);
	if (st->image.n_layers == 0 && !(st->empty = str_printf("%s/" STORE_EMPTY, s->dir)))
		return err_set(e, ENOMEM, "out of memory");
	*ret = take_ptr(st);
	return 0;
}

int store_add(struct images *s, struct stored *st, struct err *e)
{
	if (map_put(&s->by_id, digest_hex(st->image.id), st, NULL) < 0)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < st->image.n_layers; i++)
		st->layers[i]->users++;
	s->unsorted = true;
	return 0;
}

void store_drop(struct images *s, struct stored *st)
{
	map_remove(&s->by_id, digest_hex(st->image.id));
	for (size_t i = 0; i < strv_len(st->names); i++)
		if (map_get(&s->by_name, st->names[i]) == st)
			map_remove(&s->by_name, st->names[i]);
	for (size_t i = 0; i < strv_len(st->digest_names); i++)
		if (map_get(&s->by_name, st->digest_names[i]) == st)
			map_remove(&s->by_name, st->digest_names[i]);
	for (size_t i = 0; i < st->image.n_layers; i++)
		st->layers[i]->users--;
	stored_free(st);
	s->unsorted = true;
}

/* ---- what a crash left ---- */

static int sweep_blob(int dirfd, const char *name, void *data, struct err *e)
{
	struct images *s = data;

	if (!store_uses_blob(s, name) && unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return err_errno(e, errno, "cannot remove the blob %s", name);
	return 0;
}

static int sweep_layer(int dirfd, const char *name, void *data, struct err *e)
{
	struct images *s = data;
	const struct stored_layer *l = map_get(&s->layers, name);
	char trash[64];
	int r;

	if (l && l->users > 0)
		return 0;
	r = trash_name(trash, e);
	if (r < 0)
		return r;
	if (renameat(dirfd, name, s->tmp_fd, trash) < 0)
		return err_errno(e, errno, "cannot remove the layer %s", name);
	if (l)
		layer_free(map_remove(&s->layers, name));
	return 0;
}

static int sweep_tmp(int dirfd, const char *name, void *data, struct err *e)
{
	char ***trash = data;

	(void)dirfd;
	return strv_addf(trash, "tmp/%s", name) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static void sweep(struct images *s)
{
	char **trash = NULL;
	struct err e = { 0 };

	/* when a record was damaged, its blobs and layers stay once more, so that somebody can
	 * look */
	if (!s->damaged && (dir_each(s->blobs_fd, ".", ENTRIES_MAX, sweep_blob, s, &e) < 0 ||
			    dir_each(s->layers_fd, ".", ENTRIES_MAX, sweep_layer, s, &e) < 0))
		log_warn("images: %s", err_text(&e));
	if (dir_each(s->tmp_fd, ".", ENTRIES_MAX, sweep_tmp, &trash, &e) < 0)
		log_warn("images: %s", err_text(&e));
	trash_add(s, trash);
}

/* ---- open and close ---- */

static int open_dir(struct images *s, const char *name, mode_t mode, int *ret, struct err *e)
{
	int r = dir_make(s->dir_fd, name, mode, e), fd;

	if (r < 0)
		return r;
	fd = openat(s->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s/%s", s->dir, name);
	*ret = fd;
	return 0;
}

static int open_dirs(struct images *s, enum image_keep keep, struct err *e)
{
	struct statfs fs;
	int r = dir_make(AT_FDCWD, s->dir, 0700, e);

	if (r < 0)
		return r;
	s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0 || fstatfs(s->dir_fd, &fs) < 0)
		return err_errno(e, errno, "cannot open %s", s->dir);
	s->keep = keep == IMAGE_KEEP_YES ||
		  (keep == IMAGE_KEEP_AUTO && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC);
	if ((r = open_dir(s, "blobs/sha256", 0700, &s->blobs_fd, e)) < 0 ||
	    (r = open_dir(s, "refs", 0700, &s->refs_fd, e)) < 0 ||
	    (r = open_dir(s, "layers", 0700, &s->layers_fd, e)) < 0 ||
	    (r = open_dir(s, "tmp", 0700, &s->tmp_fd, e)) < 0)
		return r;
	return dir_make(s->dir_fd, STORE_EMPTY, 0755, e);
}

static int init(struct images *s, const struct images_config *cfg, struct err *e)
{
	int r;

	s->dir = str_dup(cfg->dir);
	s->archive_dirs = strv_copy((char *const *)cfg->archive_dirs);
	s->loop = cfg->loop;
	s->limits = cfg->limits;
	image_limits_default(&s->limits);
	s->no_sandbox = cfg->no_sandbox;
	s->dir_fd = s->blobs_fd = s->refs_fd = s->layers_fd = s->tmp_fd = -1;
	list_init(&s->saves);
	list_init(&s->jobs);
	list_init(&s->ensures);
	list_init(&s->intakes);
	if (!s->dir || (cfg->archive_dirs && !s->archive_dirs))
		return err_set(e, ENOMEM, "out of memory");
	r = open_dirs(s, cfg->keep_blobs, e);
	return r < 0 ? r : record_read_all(s, e);
}

int images_new(const struct images_config *cfg, struct images **ret, struct err *e)
{
	_cleanup_(images_free) struct images *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	r = init(s, cfg, e);
	if (r < 0)
		return r;
	sweep(s);
	*ret = take_ptr(s);
	return 0;
}

static void free_index(struct images *s)
{
	struct map_entry *m;
	size_t i = 0;

	while ((m = map_next(&s->by_id, &i)))
		stored_free(m->value);
	for (i = 0; (m = map_next(&s->layers, &i));)
		layer_free(m->value);
	map_free(&s->by_id);
	map_free(&s->by_name);
	map_free(&s->layers);
	free(s->sorted);
}

/* Cancels all operations of the list; their owners are told. */
static void stop_all(struct list *jobs)
{
	const struct err stopped = { .code = ECANCELED, .text = "the engine stops" };
	struct image_job *job;

	while (jobs->next && (job = list_first(jobs, struct image_job, link))) {
		struct image_op *op = job->end ? NULL : job->op;

		job->cancel(job);
		if (op)
			op->done(op, -ECANCELED, &stopped);
	}
}

void images_free(struct images *s)
{
	if (!s)
		return;
	s->closing = true;
	saves_stop(s, &(const struct err){ .code = ECANCELED, .text = "the engine stops" });
	stop_all(&s->ensures);
	stop_all(&s->jobs);
	stop_all(&s->intakes);
	trash_close(s);
	archives_free(s);
	free_index(s);
	fd_close(s->dir_fd);
	fd_close(s->blobs_fd);
	fd_close(s->refs_fd);
	fd_close(s->layers_fd);
	fd_close(s->tmp_fd);
	free(s->dir);
	strv_free(s->archive_dirs);
	free(s);
}
