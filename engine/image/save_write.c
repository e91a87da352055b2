/*
 * The archive of a save, written: see save.h.
 *
 * First all is read and opened (images, blobs, manifests), then it goes out in one pass. Stored
 * manifests came from archives, so they are read as hostile documents. Times in the archive are
 * zero: the same images give the same bytes. Called by worker_save.c, unit tests.
 */
#include "engine/image/save.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/data/ref.h"
#include "engine/data/tar_out.h"
#include "engine/image/limits.h"
#include "engine/image/manifest.h"
#include "engine/image/plan.h"
#include "init/base/file.h"
#include "init/base/map.h"
#include "init/base/str.h"

#define OCI_TYPE "application/vnd.oci.image."

enum { CHUNK = 128 << 10 };

struct save_blob {
	char digest[DIGEST_TEXT_MAX];
	int fd;
	int64_t size;
};

struct save_layer {
	const char *diff_id, *media_type; /* the request's */
	const struct save_blob *blob;
};

struct save_image {
	const struct save_blob *config;
	char **names;
	struct save_layer *layers;
	size_t n_layers;
	struct manifest manifest;
};

struct save {
	int blobs_fd;
	struct map blobs; /* digest -> struct save_blob */
	struct save_image *images;
	size_t n_images;
	struct tar_out tar;
	char *chunk;
};

/* ---- blobs ---- */

static int open_blob(struct save *s, const char *digest, const struct save_blob **ret,
		     struct err *e)
{
	struct save_blob *b = map_get(&s->blobs, digest);
	struct stat st;

	*ret = b;
	if (b)
		return 0;
	if (!digest_valid(digest) || digest_algorithm_of(digest) != DIGEST_SHA256)
		return err_set(e, EINVAL, "\"%.80s\" is not the digest of a blob", digest);
	if (map_len(&s->blobs) >= IMAGE_SAVE_BLOBS_MAX)
		return err_set(e, EFBIG, "the images have more than %d blobs: save fewer at a time",
			       IMAGE_SAVE_BLOBS_MAX);
	b = calloc(1, sizeof(*b));
	if (!b || map_put(&s->blobs, digest, b, NULL) < 0) {
		free(b);
		return err_set(e, ENOMEM, "out of memory");
	}
	(void)str_copy(b->digest, sizeof(b->digest), digest);
	b->fd = openat(s->blobs_fd, digest_hex(digest), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (b->fd < 0)
		return err_errno(e, errno, "cannot open the blob %s", digest);
	if (fstat(b->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EIO, "the blob %s is not a regular file", digest);
	b->size = st.st_size;
	*ret = b;
	return 0;
}

/* ---- manifests ---- */

static int choose_manifest(struct save *s, struct save_image *img, const char *kept, struct err *e)
{
	_cleanup_(mem_free) struct manifest_blob *layers =
		calloc(img->n_layers + 1, sizeof(*layers));
	const struct manifest_parts parts = { .config = { img->config->digest, img->config->size,
							  NULL },
					      .layers = layers,
					      .n_layers = img->n_layers };
	const struct save_blob *blob = NULL;
	int r;

	if (!layers)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < img->n_layers; i++)
		layers[i] = (struct manifest_blob){ img->layers[i].blob->digest,
						    img->layers[i].blob->size,
						    img->layers[i].media_type };
	r = manifest_choose(s->blobs_fd, kept, &parts, &img->manifest, e);
	if (r < 0 || !img->manifest.kept)
		return r;
	buf_free(&img->manifest.text); /* it goes out with the blobs */
	return open_blob(s, img->manifest.digest, &blob, e);
}

/* ---- the request ---- */

static int read_layer(struct save *s, struct save_layer *l, yyjson_val *value, struct err *e)
{
	const char *digest = NULL;
	int r = json_need_text(value, "digest", &digest, e);

	if (r == 0)
		r = json_need_text(value, "diff_id", &l->diff_id, e);
	if (r == 0)
		r = json_need_text(value, "media_type", &l->media_type, e);
	return r < 0 ? r : open_blob(s, digest, &l->blob, e);
}

static int read_image(struct save *s, struct save_image *img, yyjson_val *value, struct err *e)
{
	const char *id = NULL, *manifest = NULL;
	yyjson_val *layers = NULL, *layer;
	size_t i, max;
	int r;

	if ((r = json_need_text(value, "id", &id, e)) < 0 ||
	    (r = json_get_text(value, "manifest", &manifest, e)) < 0 ||
	    (r = json_get_strv(value, "names", &img->names, e)) < 0 ||
	    (r = json_get_array(value, "layers", &layers, e)) < 0 ||
	    (r = open_blob(s, id, &img->config, e)) < 0)
		return r;
	img->layers = calloc(yyjson_arr_size(layers) + 1, sizeof(*img->layers));
	if (!img->layers)
		return err_set(e, ENOMEM, "out of memory");
	yyjson_arr_foreach(layers, i, max, layer)
	{
		r = read_layer(s, &img->layers[img->n_layers++], layer, e);
		if (r < 0)
			return r;
	}
	return choose_manifest(s, img, manifest, e);
}

static int read_request(struct save *s, yyjson_val *request, struct err *e)
{
	yyjson_val *images = NULL, *value;
	size_t i, max;
	int r = json_get_array(request, "images", &images, e);

	if (r < 0)
		return r;
	s->images = calloc(yyjson_arr_size(images) + 1, sizeof(*s->images));
	s->chunk = malloc(CHUNK);
	if (!s->images || !s->chunk)
		return err_set(e, ENOMEM, "out of memory");
	yyjson_arr_foreach(images, i, max, value)
	{
		r = read_image(s, &s->images[s->n_images++], value, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- members ---- */

static int put_dir(struct save *s, const char *name, struct err *e)
{
	const struct tar_entry entry = { .type = TAR_DIR, .path = name, .mode = 0755 };

	return tar_out_entry(&s->tar, &entry, NULL, 0, e);
}

static int begin_file(struct save *s, const char *name, int64_t size, struct err *e)
{
	const struct tar_entry entry = {
		.type = TAR_FILE, .path = name, .mode = 0644, .size = size
	};

	return tar_out_entry(&s->tar, &entry, NULL, 0, e);
}

static int put_document(struct save *s, const char *name, const struct buf *text, struct err *e)
{
	int r;

	if (buf_failed(text) || text->len > IMAGE_DOCUMENT_MAX)
		return err_set(e, EFBIG, "%s is too long: save fewer images at a time", name);
	r = begin_file(s, name, (int64_t)text->len, e);
	return r < 0 ? r : tar_out_data(&s->tar, text->data, (int64_t)text->len, e);
}

static int put_content(struct save *s, const struct save_blob *b, struct err *e)
{
	char found[DIGEST_TEXT_MAX];
	struct digester d;
	int64_t left = b->size;
	int r = 0;

	digest_start(&d, DIGEST_SHA256);
	while (r == 0 && left > 0) {
		ssize_t n = read(b->fd, s->chunk, (size_t)MIN(left, (int64_t)CHUNK));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_errno(e, n < 0 ? errno : EIO, "cannot read the blob %s",
					 b->digest);
		digest_update(&d, s->chunk, (size_t)n);
		r = tar_out_data(&s->tar, s->chunk, n, e);
		left -= n;
	}
	if (r < 0)
		return r;
	if (digest_finish(&d, found) < 0 || !str_eq(found, b->digest))
		return err_set(e, EIO, "the blob %s is damaged: it has another digest", b->digest);
	return 0;
}

static int put_blobs(struct save *s, struct err *e)
{
	struct map_entry *m;
	char name[96];
	size_t at = 0;
	int r = put_dir(s, "blobs/", e);

	if (r == 0)
		r = put_dir(s, "blobs/sha256/", e);
	while (r == 0 && (m = map_next(&s->blobs, &at))) {
		const struct save_blob *b = m->value;

		plan_blob_name(name, b->digest);
		r = begin_file(s, name, b->size, e);
		if (r == 0)
			r = put_content(s, b, e);
	}
	for (size_t i = 0; r == 0 && i < s->n_images; i++) {
		const struct manifest *own = &s->images[i].manifest;

		if (own->kept)
			continue;
		plan_blob_name(name, own->digest);
		r = put_document(s, name, &own->text, e);
	}
	return r;
}

/* ---- documents ---- */

static void index_entry(struct json_writer *w, const struct save_image *img, const char *name)
{
	struct ref ref;

	json_begin_object(w);
	json_member_str(w, "mediaType", img->manifest.media_type);
	json_member_str(w, "digest", img->manifest.digest);
	json_member_i64(w, "size", img->manifest.size);
	if (name && ref_parse(name, &ref, NULL) == 0) {
		json_key(w, "annotations");
		json_begin_object(w);
		json_member_str(w, "io.containerd.image.name", name);
		json_member_str(w, "org.opencontainers.image.ref.name", ref.tag);
		json_end_object(w);
	}
	json_end_object(w);
}

static int put_index(struct save *s, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(IMAGE_DOCUMENT_MAX);
	struct json_writer w;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_i64(&w, "schemaVersion", 2);
	json_member_str(&w, "mediaType", OCI_TYPE "index.v1+json");
	json_key(&w, "manifests");
	json_begin_array(&w);
	for (size_t i = 0; i < s->n_images; i++) {
		const struct save_image *img = &s->images[i];

		for (size_t k = 0; k < strv_len(img->names); k++)
			index_entry(&w, img, img->names[k]);
		if (strv_len(img->names) == 0)
			index_entry(&w, img, NULL);
	}
	json_end_array(&w);
	json_end_object(&w);
	return put_document(s, "index.json", &b, e);
}

static void write_names(struct json_writer *w, char *const *names)
{
	char text[REF_TEXT_MAX];
	struct ref ref;

	json_key(w, "RepoTags");
	if (strv_len(names) == 0) {
		json_null(w);
		return;
	}
	json_begin_array(w);
	for (size_t i = 0; i < strv_len(names); i++) {
		if (ref_parse(names[i], &ref, NULL) < 0)
			continue;
		ref_format_familiar(&ref, text);
		json_str(w, text);
	}
	json_end_array(w);
}

/* One image of manifest.json. LayerSources tells Docker what the blobs are. */
static void manifest_entry(struct json_writer *w, const struct save_image *img)
{
	char name[96];

	json_begin_object(w);
	plan_blob_name(name, img->config->digest);
	json_member_str(w, "Config", name);
	write_names(w, img->names);
	json_key(w, "Layers");
	json_begin_array(w);
	for (size_t i = 0; i < img->n_layers; i++) {
		plan_blob_name(name, img->layers[i].blob->digest);
		json_str(w, name);
	}
	json_end_array(w);
	json_key(w, "LayerSources");
	json_begin_object(w);
	for (size_t i = 0; i < img->n_layers; i++) {
		const struct save_layer *l = &img->layers[i];

		json_key(w, l->diff_id);
		manifest_descriptor(w, manifest_layer_type(l->media_type), l->blob->digest,
				    l->blob->size);
	}
	json_end_object(w);
	json_end_object(w);
}

static int put_manifest_json(struct save *s, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(IMAGE_DOCUMENT_MAX);
	struct json_writer w;

	json_writer_init(&w, &b);
	json_begin_array(&w);
	for (size_t i = 0; i < s->n_images; i++)
		manifest_entry(&w, &s->images[i]);
	json_end_array(&w);
	return put_document(s, "manifest.json", &b, e);
}

static int put_layout(struct save *s, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(256);

	buf_add_text(&b, "{\"imageLayoutVersion\":\"1.0.0\"}");
	return put_document(s, "oci-layout", &b, e);
}

/* ---- all ---- */

struct out {
	struct sink sink;
	int fd;
};

static int out_write(struct sink *s, const void *data, size_t len, struct err *e)
{
	return file_write_all(container_of(s, struct out, sink)->fd, data, len, e);
}

static void save_free(struct save *s)
{
	struct map_entry *m;
	size_t at = 0;

	while ((m = map_next(&s->blobs, &at))) {
		fd_close(((struct save_blob *)m->value)->fd);
		free(m->value);
	}
	map_free(&s->blobs);
	for (size_t i = 0; i < s->n_images; i++) {
		strv_free(s->images[i].names);
		free(s->images[i].layers);
		manifest_free(&s->images[i].manifest);
	}
	free(s->images);
	free(s->chunk);
	tar_out_free(&s->tar);
}

int save_write(int blobs, int out, yyjson_val *request, struct err *e)
{
	struct out to = { .sink = { .write = out_write }, .fd = out };
	struct save s = { .blobs_fd = blobs };
	int r;

	tar_out_init(&s.tar, &to.sink);
	r = read_request(&s, request, e);
	if (r == 0)
		r = put_blobs(&s, e);
	if (r == 0)
		r = put_index(&s, e);
	if (r == 0)
		r = put_manifest_json(&s, e);
	if (r == 0)
		r = put_layout(&s, e);
	if (r == 0)
		r = tar_out_end(&s.tar, e);
	save_free(&s);
	return r;
}
