/*
 * From a job folder into the store: what the unpack worker claims is checked, layers and blobs are
 * moved, records are written.
 *
 * The order is that of DESIGN.md section 3: everything is on disk (the store worker's syncfs)
 * before it is renamed into place, directories are synced before the records, the image's record
 * comes before its names. The worker's word counts for one thing only: that a tree has the content
 * of its diff id. Called by load.c.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/image/plan_priv.h"
#include "engine/image/store_priv.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/path.h"
#include "init/base/str.h"

/* ---- checks ---- */

/* Reads a document that the worker left in blobs/ and compares its digest with its name. */
static int read_blob(struct image_job *job, const char *digest, char **ret_text, size_t *ret_len,
		     struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	_cleanup_(fd_close) int fd = -1;
	char path[128], found[DIGEST_TEXT_MAX];
	struct stat st;
	size_t len = 0;
	int r;

	(void)str_format(path, sizeof(path), JOB_BLOBS "/%s", digest_hex(digest));
	fd = path_open_strict(job->dir, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, e);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EBADMSG, "%s is not a regular file", path);
	r = file_read_fd(fd, IMAGE_DOCUMENT_MAX, &text, &len, e);
	if (r < 0)
		return r;
	if (digest_of(text, len, found) < 0 || !str_eq(found, digest))
		return err_set(e, EBADMSG, "the unpack worker's blob %s has the digest %s", digest,
			       found);
	*ret_text = take_ptr(text);
	*ret_len = len;
	return 0;
}

static int check_manifest(struct image_job *job, const struct plan_image *img, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	size_t len;

	return img->manifest[0] ? read_blob(job, img->manifest, &text, &len, e) : 0;
}

/* Reads the config once more, here: diff ids must be those that the worker unpacked, and all of
 * it must make an image. */
static int check_config(struct image_job *job, struct plan_image *img, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL, *claimed = NULL;
	struct image parsed = { 0 };
	size_t len = 0, step = DIGEST_TEXT_MAX;
	int r = read_blob(job, img->id, &text, &len, e);

	if (r < 0)
		return r;
	claimed = calloc(img->n_layers + 1, step);
	if (!claimed)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < img->n_layers; i++)
		memcpy(claimed + i * step, img->layers[i].diff_id, step);
	r = plan_read_config(img, text, len, e);
	for (size_t i = 0; r == 0 && i < img->n_layers; i++)
		if (!str_eq(claimed + i * step, img->layers[i].diff_id))
			r = err_set(e, EBADMSG, "the unpack worker made another layer than %s",
				    img->layers[i].diff_id);
	if (r == 0) {
		r = config_read(&parsed, text, len, e);
		config_free(&parsed);
	}
	return r < 0 ? err_wrap(e, "the config of image %s", img->id) : 0;
}

static int check_layer(struct image_job *job, const struct plan_layer *layer, struct err *e)
{
	struct stored_layer *stored;
	char path[JOB_FOLDER_MAX + 8], folder[JOB_FOLDER_MAX];
	int fd;

	if (layer->present) {
		if (store_layer(job->s, layer->chain_id, &stored, NULL) < 0)
			return err_set(e, EAGAIN,
				       "the layer %s was removed while the archive was loaded: "
				       "load it again",
				       layer->diff_id);
		return 0;
	}
	job_folder(folder, layer->number);
	(void)str_format(path, sizeof(path), "%s/" LAYER_TREE, folder);
	fd = path_open_strict(job->dir, path, O_PATH | O_DIRECTORY, 0, e);
	if (fd < 0)
		return fd;
	fd_close(fd);
	return 0;
}

/* ---- the store worker's request ---- */

static void write_record(const struct plan_layer *layer, struct json_writer *w)
{
	json_key(w, "record");
	json_begin_object(w);
	json_member_str(w, "chain_id", layer->chain_id);
	json_member_str(w, "diff_id", layer->diff_id);
	json_member_str(w, "blob", layer->digest);
	json_member_str(w, "media_type", layer->media_type);
	json_member_i64(w, "blob_size", layer->size);
	json_member_i64(w, "size", (int64_t)layer->bytes);
	json_end_object(w);
}

static void write_path(const struct image_job *job, const struct plan_layer *layer,
		       struct json_writer *w)
{
	char folder[JOB_FOLDER_MAX];

	if (layer->present) {
		json_strf(w, "layers/%s", digest_hex(layer->chain_id));
		return;
	}
	job_folder(folder, layer->number);
	json_strf(w, "%s/%s", job->tmp, folder);
}

static void write_layer(const struct image_job *job, const struct plan_image *img, size_t n,
			struct json_writer *w)
{
	json_begin_object(w);
	json_key(w, "folder");
	write_path(job, &img->layers[n], w);
	json_key(w, "lower");
	json_begin_array(w);
	for (size_t i = n; i > 0; i--)
		write_path(job, &img->layers[i - 1], w);
	json_end_array(w);
	write_record(&img->layers[n], w);
	json_end_object(w);
}

/* Layers that several images of the archive share are finished once: `seen` has their chain ids. */
static int write_image(struct image_job *job, const struct plan_image *img, struct map *seen,
		       struct json_writer *w, struct err *e)
{
	for (size_t i = 0; i < img->n_layers; i++) {
		const struct plan_layer *layer = &img->layers[i];

		if (layer->present || map_has(seen, layer->chain_id))
			continue;
		if (map_put(seen, layer->chain_id, NULL, NULL) < 0)
			return err_set(e, ENOMEM, "out of memory");
		write_layer(job, img, i, w);
	}
	return 0;
}

int commit_prepare(struct image_job *job, struct buf *out, struct err *e)
{
	_cleanup_(map_free) struct map seen = { 0 };
	struct json_writer w;
	int r = 0;

	json_writer_init(&w, out);
	json_begin_object(&w);
	json_member_str(&w, "op", "finish");
	json_key(&w, "layers");
	json_begin_array(&w);
	for (size_t i = 0; r == 0 && i < job->plan.n_images; i++) {
		struct plan_image *img = &job->plan.images[i];

		if ((r = check_config(job, img, e)) < 0 || (r = check_manifest(job, img, e)) < 0)
			break;
		for (size_t k = 0; r == 0 && k < img->n_layers; k++)
			r = check_layer(job, &img->layers[k], e);
		if (r == 0)
			r = write_image(job, img, &seen, &w, e);
	}
	json_end_array(&w);
	json_end_object(&w);
	return r;
}

/* ---- moving ---- */

/* A folder without its record is what is left of a damaged layer: it makes way. */
static int clear_damaged(struct image_job *job, const char *hex, struct err *e)
{
	char record[96], name[64];
	struct stat st;
	int r;

	(void)str_format(record, sizeof(record), "%s/" LAYER_RECORD, hex);
	if (fstatat(job->s->layers_fd, hex, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstatat(job->s->layers_fd, record, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	r = trash_name(name, e);
	if (r < 0)
		return r;
	if (renameat(job->s->layers_fd, hex, job->s->tmp_fd, name) < 0)
		return err_errno(e, errno, "cannot move a damaged layer away");
	return strv_addf(&job->trash, "tmp/%s", name) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int move_layer(struct image_job *job, const struct plan_layer *layer, struct err *e)
{
	const char *hex = digest_hex(layer->chain_id);
	char folder[JOB_FOLDER_MAX];
	int r;

	if (layer->present)
		return 0;
	r = clear_damaged(job, hex, e);
	if (r < 0)
		return r;
	job_folder(folder, layer->number);
	if (renameat2(job->dir, folder, job->s->layers_fd, hex, RENAME_NOREPLACE) == 0)
		return 0;
	/* another load was faster, or an image before this one in the archive has it: both hold
	 * the same content */
	if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOENT)
		return faccessat(job->s->layers_fd, hex, F_OK, AT_SYMLINK_NOFOLLOW) < 0
			       ? err_errno(e, errno, "the layer %s is missing", layer->diff_id)
			       : 0;
	return err_errno(e, errno, "cannot move the layer %s into the store", layer->diff_id);
}

/* A blob that is not in the job folder is in the store, or is not kept. */
static int move_blob(struct image_job *job, const char *digest, struct err *e)
{
	char path[128];

	(void)str_format(path, sizeof(path), JOB_BLOBS "/%s", digest_hex(digest));
	if (renameat(job->dir, path, job->s->blobs_fd, digest_hex(digest)) < 0 && errno != ENOENT)
		return err_errno(e, errno, "cannot move the blob %s into the store", digest);
	return 0;
}

static int move_image(struct image_job *job, const struct plan_image *img, struct err *e)
{
	int r = move_blob(job, img->id, e);

	if (r == 0 && img->manifest[0])
		r = move_blob(job, img->manifest, e);
	for (size_t i = 0; r == 0 && i < img->n_layers; i++) {
		r = move_layer(job, &img->layers[i], e);
		if (r == 0 && job->request.keep && !img->layers[i].present)
			r = move_blob(job, img->layers[i].digest, e);
	}
	return r;
}

/* ---- records ---- */

/* A name with a digest belongs to one image: with an index's digest it may have been another
 * platform's. */
static int add_digest_name(struct images *s, struct stored *st, const char *text, struct err *e)
{
	struct stored *old = map_get(&s->by_name, text);

	if (old == st)
		return 0;
	if (old && record_remove_digest(s, old, text, e) < 0)
		return e ? -e->code : -EIO;
	if (strv_add(&st->digest_names, text) < 0 || map_put(&s->by_name, text, st, NULL) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static int add_digest_names(struct images *s, struct stored *st, const struct plan_image *img,
			    struct err *e)
{
	char text[REF_TEXT_MAX];
	struct ref ref;
	int r = 0;

	for (size_t i = 0; r == 0 && i < strv_len(img->digest_names); i++)
		r = add_digest_name(s, st, img->digest_names[i], e);
	for (size_t i = 0;
	     r == 0 && img->manifest[0] && !img->digest_names && i < strv_len(img->names); i++) {
		if (ref_parse(img->names[i], &ref, NULL) < 0)
			continue;
		ref.tag[0] = '\0';
		(void)str_copy(ref.digest, sizeof(ref.digest), img->manifest);
		ref_format(&ref, text);
		r = add_digest_name(s, st, text, e);
	}
	free(take_ptr(st->manifest_type)); /* it may be another one now */
	if (r == 0 && img->manifest[0] && str_set(&st->image.manifest, img->manifest) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0 && record_familiar(st) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	return r;
}

/* The image in the index, new or known; its record on disk. */
static int record_image(struct image_job *job, const struct plan_image *img, struct stored **ret,
			struct err *e)
{
	struct images *s = job->s;
	struct stored *st = map_get(&s->by_id, digest_hex(img->id));
	bool known = st;
	int r = 0;

	if (!known) {
		r = store_read_image(s, img->id, &st, e);
		if (r < 0)
			return r;
		st->image.loaded_ns = clock_real_ns();
		r = store_add(s, st, e);
		if (r < 0) {
			stored_free(st);
			return r;
		}
	}
	r = add_digest_names(s, st, img, e);
	if (r == 0 && job->source.path && image_source_set(&st->source, &job->source) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0)
		r = record_write_image(s, st, e);
	if (r < 0) {
		if (!known)
			store_drop(s, st);
		return r;
	}
	*ret = st;
	return 0;
}

static int record_names(struct image_job *job, struct stored *st, const struct plan_image *img,
			struct err *e)
{
	enum image_change_type type = job->making ? IMAGE_TAGGED : IMAGE_LOADED;
	char text[REF_TEXT_MAX];
	struct ref ref;
	int r = 0;

	if (job->making && job_change(job, IMAGE_MADE, st->image.id, NULL) < 0)
		return err_set(e, ENOMEM, "out of memory");

	for (size_t i = 0; i < strv_len(img->names); i++) {
		_cleanup_(mem_free) char *old = NULL;

		r = record_set_name(job->s, st, img->names[i], &old, e);
		if (r < 0)
			return r;
		if (job->committed)
			continue;
		(void)ref_parse(img->names[i], &ref, NULL);
		ref_format_familiar(&ref, text);
		if ((old && job_change(job, IMAGE_UNTAGGED, old, text) < 0) ||
		    job_change(job, type, st->image.id, text) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	if (strv_len(img->names) == 0 && !job->making && !job->committed &&
	    job_change(job, IMAGE_LOADED, st->image.id, NULL) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

/* ---- all ---- */

/* Takes away what was moved and is used by no image. */
static void undo(struct image_job *job)
{
	struct images *s = job->s;
	struct err e = { 0 };

	for (size_t i = 0; i < job->plan.n_images; i++) {
		const struct plan_image *img = &job->plan.images[i];

		for (size_t k = 0; k < img->n_layers; k++) {
			const struct plan_layer *layer = &img->layers[k];

			if (!layer->present &&
			    store_release_layer(s, layer->chain_id, &job->trash, &e) < 0)
				log_warn("images: %s", err_text(&e));
			if (!store_uses_blob(s, digest_hex(layer->digest)) && layer->digest[0])
				unlinkat(s->blobs_fd, digest_hex(layer->digest), 0);
		}
		if (!store_uses_blob(s, digest_hex(img->id)))
			unlinkat(s->blobs_fd, digest_hex(img->id), 0);
		if (img->manifest[0] && !store_uses_blob(s, digest_hex(img->manifest)))
			unlinkat(s->blobs_fd, digest_hex(img->manifest), 0);
	}
}

/* An image that came, but none of whose names could be written, is nobody's. */
static void take_back(struct images *s, struct stored *st)
{
	struct err e = { 0 };

	if (strv_len(st->names) > 0)
		return;
	if (record_remove_image(s, st, &e) < 0)
		log_warn("images: %s", err_text(&e));
	else
		store_drop(s, st);
}

static int commit_all(struct image_job *job, struct err *e)
{
	struct images *s = job->s;
	struct stored *st;
	int r = 0;

	for (size_t i = 0; r == 0 && i < job->plan.n_images; i++)
		r = move_image(job, &job->plan.images[i], e);
	if (r < 0)
		return r;
	if (fsync(s->blobs_fd) < 0 || fsync(s->layers_fd) < 0)
		return err_errno(e, errno, "cannot sync the image store");
	for (size_t i = 0; r == 0 && i < job->plan.n_images; i++) {
		const struct plan_image *img = &job->plan.images[i];
		bool known = map_has(&s->by_id, digest_hex(img->id));

		r = record_image(job, img, &st, e);
		if (r < 0)
			break;
		r = record_names(job, st, img, e);
		if (r < 0 && !known)
			take_back(s, st);
	}
	return r;
}

int commit_job(struct image_job *job, struct err *e)
{
	int r = commit_all(job, e);

	if (r < 0)
		undo(job);
	return r;
}
