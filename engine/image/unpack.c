/*
 * Image archive to job folder: see unpack.h.
 *
 * A regular file is read twice: once for names and documents (skipping over layers), once more to
 * unpack each layer straight from the stream. A pipe can be read only once, so its members are
 * copied to blobs/<number> first, and layers are unpacked from there. Layers do not depend on each
 * other here; what does (implied directories) is done by finish.c.
 */
#include "engine/image/unpack.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/image/bundle.h"
#include "engine/image/layer.h"
#include "engine/image/plan_priv.h"
#include "engine/image/tap.h"
#include "init/base/file.h"
#include "init/base/str.h"

struct unpack {
	const struct unpack_request *req;
	const struct image_limits *limits;
	int blobs; /* JOB_BLOBS */
	bool seekable;
	struct bundle bundle;
	struct plan plan;
	size_t n_folders;
	struct plan_layer *current; /* for progress */
	uint64_t total;
};

/* The archive as tar members: fd, limit, decompression, limit. */
struct reading {
	struct source_fd file;
	struct tap raw, plain;
	struct unpacker *unpacker;
	struct tar_in *tar;
};

static void reading_end(struct reading *in)
{
	tar_close(in->tar);
	unpacker_free(in->unpacker);
	source_fd_free(&in->file);
}
DEFINE_CLEANUP_VALUE(struct reading, reading_end)

static int reading_start(struct unpack *u, struct reading *in, struct err *e)
{
	const struct image_limits *l = u->limits;
	int r = source_fd_init(&in->file, u->req->archive, e);

	if (r < 0)
		return r;
	u->seekable = in->file.seekable;
	if (u->seekable && lseek(u->req->archive, 0, SEEK_SET) < 0)
		return err_errno(e, errno, "cannot rewind the archive");
	tap_init(&in->raw, &in->file.source, false);
	in->raw.max = l->archive_bytes;
	r = unpacker_open(&in->raw.source, l->memory / 2, &in->unpacker, e);
	if (r < 0)
		return r;
	tap_init(&in->plain, unpacker_source(in->unpacker), false);
	in->plain.max = l->archive_bytes;
	if (unpacker_compression(in->unpacker) != COMPRESSION_NONE) {
		in->plain.packed = &in->raw;
		in->plain.ratio = l->ratio;
		in->plain.ratio_from = l->ratio_from;
	}
	return tar_open(&in->plain.source, &in->tar, e);
}

/* ---- documents ---- */

/* Copies a document that the plan is built on to blobs/<hex>. */
static int keep_document(struct unpack *u, const char *name, const char *digest, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	size_t len = 0;
	int r = bundle_document(&u->bundle, name, &text, &len, e);

	if (r < 0)
		return r;
	return file_replace(u->blobs, digest_hex(digest), text, len, 0600, false, e);
}

static int keep_documents(struct unpack *u, struct err *e)
{
	char name[96];
	int r = 0;

	for (size_t i = 0; r == 0 && i < u->plan.n_images; i++) {
		const struct plan_image *img = &u->plan.images[i];

		r = keep_document(u, img->config_name, img->id, e);
		if (r == 0 && img->manifest[0]) {
			plan_blob_name(name, img->manifest);
			r = keep_document(u, name, img->manifest, e);
		}
	}
	return r;
}

/* ---- one layer ---- */

static void tell_progress(void *data, uint64_t bytes)
{
	struct unpack *u = data;

	u->req->progress(u->req->data, u->current->diff_id, bytes, u->total);
}

static const char *media_type_of(enum compression c)
{
	switch (c) {
	case COMPRESSION_GZIP:
		return "application/vnd.docker.image.rootfs.diff.tar.gzip";
	case COMPRESSION_ZSTD:
		return "application/vnd.oci.image.layer.v1.tar+zstd";
	case COMPRESSION_XZ:
		return "application/vnd.oci.image.layer.v1.tar+xz";
	default:
		return "application/vnd.docker.image.rootfs.diff.tar";
	}
}

static int open_folder(struct unpack *u, size_t number, int *ret_tree, int *ret_notes,
		       struct err *e)
{
	_cleanup_(fd_close) int folder = -1, tree = -1, notes = -1;
	char name[JOB_FOLDER_MAX];

	job_folder(name, number);
	if (mkdirat(u->req->job, name, 0700) < 0)
		return err_errno(e, errno, "cannot make a folder");
	folder = openat(u->req->job, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0 || mkdirat(folder, LAYER_TREE, 0755) < 0)
		return err_errno(e, errno, "cannot make a folder");
	tree = openat(folder, LAYER_TREE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	notes = openat(folder, JOB_NOTES, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (tree < 0 || notes < 0)
		return err_errno(e, errno, "cannot make a folder");
	*ret_tree = take_fd(tree);
	*ret_notes = take_fd(notes);
	return 0;
}

/* Of a layer's archive, until its digest is known: others may be written beside it. */
static void copy_name(char buf[JOB_FOLDER_MAX], const struct plan_layer *layer)
{
	(void)str_format(buf, JOB_FOLDER_MAX, "copy%zu", layer->number);
}

static int do_layer(struct unpack *u, struct plan_layer *layer, struct source *from, struct err *e)
{
	_cleanup_(fd_close) int tree = -1, notes = -1, copy = -1;
	struct layer_outcome out;
	char name[JOB_FOLDER_MAX];
	int r = open_folder(u, layer->number, &tree, &notes, e);

	if (r < 0)
		return r;
	copy_name(name, layer);
	if (u->req->options.keep && (u->seekable || u->req->options.layer)) {
		copy = openat(u->blobs, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (copy < 0)
			return err_errno(e, errno, "cannot create a temporary file");
	}
	u->current = layer;
	r = layer_unpack(
		&(struct layer_request){ .from = from,
					 .root = tree,
					 .notes_fd = notes,
					 .copy_fd = copy,
					 .digest = layer->digest,
					 .size = layer->size,
					 .diff_id = layer->diff_id,
					 .limits = u->limits,
					 .progress = u->req->progress ? tell_progress : NULL,
					 .data = u },
		&out, e);
	if (r < 0)
		return r;
	if (copy >= 0 && renameat(u->blobs, name, u->blobs, digest_hex(out.digest)) < 0)
		return err_errno(e, errno, "cannot rename a temporary file");
	(void)str_copy(layer->digest, sizeof(layer->digest), out.digest);
	(void)str_copy(layer->diff_id, sizeof(layer->diff_id), out.diff_id);
	if (!layer->media_type[0])
		(void)str_copy(layer->media_type, sizeof(layer->media_type),
			       media_type_of(out.compression));
	layer->size = (int64_t)out.size;
	layer->bytes = out.bytes;
	layer->done = true;
	return 0;
}

static int do_layer_of(struct unpack *u, struct plan_layer *layer, const struct bundle_entry *entry,
		       struct source *from, struct err *e)
{
	u->total = (uint64_t)entry->size;
	layer->number = u->n_folders++;
	return do_layer(u, layer, from, e) < 0 ? err_wrap(e, "layer %s", layer->diff_id) : 0;
}

/* ---- which layers ---- */

/* Calls fn for each layer of the plan, until it returns something else than 0. */
static int each_layer(struct unpack *u,
		      int (*fn)(struct unpack *u, struct plan_layer *layer, void *data), void *data)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < u->plan.n_images; i++)
		for (size_t k = 0; r == 0 && k < u->plan.images[i].n_layers; k++)
			r = fn(u, &u->plan.images[i].layers[k], data);
	return r;
}

/* Marks what the store has already. */
static int mark_present(struct unpack *u, struct plan_layer *layer, void *data)
{
	char record[DIGEST_HEX_LEN + sizeof("/" LAYER_RECORD)];
	struct stat st;

	(void)data;
	if (u->req->layers < 0)
		return 0;
	(void)str_format(record, sizeof(record), "%s/" LAYER_RECORD, digest_hex(layer->chain_id));
	layer->present = fstatat(u->req->layers, record, &st, AT_SYMLINK_NOFOLLOW) == 0;
	layer->done = layer->present;
	return 0;
}

struct wanted {
	const struct bundle_entry *entry; /* NULL: any */
	struct plan_layer *layer; /* found */
};

static int match(struct unpack *u, struct plan_layer *layer, void *data)
{
	struct wanted *w = data;

	if (layer->done || (w->entry && bundle_find(&u->bundle, layer->name) != w->entry))
		return 0;
	w->layer = layer;
	return 1;
}

/* The first layer that is not done and comes from `entry` (NULL: from anywhere), or NULL. */
static struct plan_layer *next_layer(struct unpack *u, const struct bundle_entry *entry)
{
	struct wanted w = { .entry = entry };

	each_layer(u, match, &w);
	return w.layer;
}

/* Other images of the archive may stand on the same layer. */
static int share(struct unpack *u, struct plan_layer *layer, void *data)
{
	const struct plan_layer *made = data;

	(void)u;
	if (layer->done || !str_eq(layer->chain_id, made->chain_id))
		return 0;
	layer->done = true;
	layer->number = made->number;
	layer->size = made->size;
	layer->bytes = made->bytes;
	(void)str_copy(layer->digest, sizeof(layer->digest), made->digest);
	return str_copy(layer->media_type, sizeof(layer->media_type), made->media_type);
}

/* ---- from copies, from a file ---- */

static int layer_from_copy(struct unpack *u, struct plan_layer *layer, struct err *e)
{
	_cleanup_(source_fd_free) struct source_fd from = { 0 };
	_cleanup_(fd_close) int fd = -1;
	struct bundle_entry *entry = bundle_find(&u->bundle, layer->name);
	int r;

	fd = bundle_open(&u->bundle, entry, e);
	if (fd < 0)
		return fd;
	r = source_fd_init(&from, fd, e);
	if (r == 0)
		r = do_layer_of(u, layer, entry, &from.source, e);
	if (r < 0)
		return r;
	each_layer(u, share, layer);
	if (next_layer(u, entry))
		return 0;
	return u->req->options.keep ? bundle_give(&u->bundle, entry, digest_hex(layer->digest), e)
				    : (bundle_drop(&u->bundle, entry), 0);
}

static int layers_from_copies(struct unpack *u, struct err *e)
{
	struct plan_layer *layer;
	int r = 0;

	while (r == 0 && (layer = next_layer(u, NULL)))
		r = layer_from_copy(u, layer, e);
	return r;
}

/* Unpacks the current member of the archive if a layer waits for it. */
static int layer_from_member(struct unpack *u, const struct tar_entry *member, struct tar_in *tar,
			     struct err *e)
{
	char name[PATH_MAX];
	struct plan_layer *layer;
	struct bundle_entry *entry;
	int r = extract_clean_path(name, member->path, UINT64_MAX, e);

	if (r < 0)
		return r;
	entry = member->type == TAR_FILE ? bundle_find(&u->bundle, name) : NULL;
	layer = entry ? next_layer(u, entry) : NULL;
	if (!layer)
		return 0;
	r = do_layer_of(u, layer, entry, tar_content(tar), e);
	if (r < 0)
		return r;
	each_layer(u, share, layer);
	return 1;
}

static int layers_from_file(struct unpack *u, struct err *e)
{
	while (next_layer(u, NULL)) {
		_cleanup_(reading_end) struct reading in = { 0 };
		struct tar_entry member;
		size_t made = 0;
		int r = reading_start(u, &in, e);

		while (r >= 0 && (r = tar_next(in.tar, &member, e)) > 0) {
			r = layer_from_member(u, &member, in.tar, e);
			made += r > 0;
		}
		if (r < 0)
			return r;
		/* a member can serve one layer per round; no progress means that the file
		 * changed under us */
		if (made == 0)
			return err_set(e, EINVAL, "the archive changed while it was read");
	}
	return 0;
}

/* ---- all ---- */

static int read_bundle(struct unpack *u, struct err *e)
{
	_cleanup_(reading_end) struct reading in = { 0 };
	int r = reading_start(u, &in, e);

	if (r == 0)
		r = bundle_read(&u->bundle, in.tar, u->blobs, !u->seekable, u->limits, e);
	if (r == 0 && !u->seekable)
		r = source_drain(&in.raw.source, e); /* the sender shall not see a closed pipe */
	return r;
}

/* The archive is one layer; its image is made up by who asked (make.c, intake.c), here it has the
 * layer's name. */
static int unpack_layer(struct unpack *u, struct err *e)
{
	const struct job_request *q = &u->req->options;
	_cleanup_(source_fd_free) struct source_fd from = { 0 };
	struct plan_image *img = plan_add_image(&u->plan, u->limits, e);
	int r;

	if (!img)
		return e ? -e->code : -ENOMEM;
	img->layers = calloc(1, sizeof(*img->layers));
	if (!img->layers)
		return err_set(e, ENOMEM, "out of memory");
	img->n_layers = 1;
	img->layers[0].size = q->size;
	img->layers[0].number = q->number;
	(void)str_copy(img->layers[0].digest, DIGEST_TEXT_MAX, q->digest);
	(void)str_copy(img->layers[0].diff_id, DIGEST_TEXT_MAX, q->diff_id);
	u->total = q->size < 0 ? 0 : (uint64_t)q->size;
	r = source_fd_init(&from, u->req->archive, e);
	if (r == 0)
		r = do_layer(u, &img->layers[0], &from.source, e);
	return r < 0 ? r : str_copy(img->id, sizeof(img->id), img->layers[0].diff_id);
}

static int unpack_all(struct unpack *u, struct err *e)
{
	int r;

	if (u->req->options.layer)
		return unpack_layer(u, e);
	r = read_bundle(u, e);

	if (r == 0)
		r = plan_make(&u->bundle, u->limits, &u->plan, e);
	if (r == 0 && u->req->options.wanted[0])
		u->plan.names_only = !plan_holds(&u->plan, u->req->options.wanted);
	if (r == 0 && !u->plan.names_only) {
		each_layer(u, mark_present, NULL);
		r = u->seekable ? layers_from_file(u, e) : layers_from_copies(u, e);
		if (r == 0)
			r = keep_documents(u, e);
	}
	return r;
}

int unpack_archive(const struct unpack_request *req, struct plan *ret, struct err *e)
{
	_cleanup_(fd_close) int blobs =
		openat(req->job, JOB_BLOBS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct unpack u = { .req = req, .limits = &req->options.limits, .blobs = blobs };
	int r;

	if (blobs < 0)
		return err_errno(e, errno, "cannot open the job's folder");
	r = unpack_all(&u, e);
	bundle_free(&u.bundle);
	if (r < 0)
		load_plan_free(&u.plan);
	else
		*ret = u.plan;
	return r;
}
