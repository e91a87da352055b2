/*
 * Images in the list, and the manifest that an image came with, as the API shows both.
 *
 * Field by field after docker-engine-api-1.51.yaml (ImageSummary, OCIDescriptor,
 * ImageManifestSummary). An image that came without a manifest (docker-archive, commit) shows none;
 * with one there is exactly that of this machine's platform. Called by api/ and inspect.c.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "engine/image/document.h"
#include "engine/image/store_priv.h"
#include "init/base/file.h"
#include "init/base/str.h"

/* ---- the manifest ---- */

static int64_t size_of_blob(const struct images *s, const char *digest)
{
	struct stat st;

	return fstatat(s->blobs_fd, digest_hex(digest), &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_size
										       : 0;
}

/* Reads type and size once; a list of hundreds shall not read hundreds of files each time. False
 * when the image has no manifest. */
static bool know_manifest(const struct images *s, const struct image *img)
{
	struct stored *st = (struct stored *)(uintptr_t)container_of(img, struct stored, image);
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	const char *type = NULL;
	size_t len = 0;

	if (!img->manifest || st->manifest_type)
		return img->manifest;
	if (file_read(s->blobs_fd, digest_hex(img->manifest), IMAGE_DOCUMENT_MAX, &text, &len,
		      NULL) < 0 ||
	    document_parse(text, len, &doc, NULL) < 0)
		return false;
	(void)json_get_text(yyjson_doc_get_root(doc), "mediaType", &type, NULL);
	if (!type || !media_type_is_manifest(type))
		type = "application/vnd.oci.image.manifest.v1+json";
	st->manifest_type = str_dup(type);
	st->manifest_size = (int64_t)len;
	return st->manifest_type;
}

/* Bytes of the manifest, the config and the layers' archives. */
static int64_t content_of(const struct images *s, const struct stored *st)
{
	const struct image *img = &st->image;
	int64_t total = st->manifest_size + size_of_blob(s, img->id);

	for (size_t i = 0; i < img->n_layers; i++)
		if (img->layers[i].blob_kept)
			total += img->layers[i].blob_size;
	return total;
}

static void write_platform(const struct image *img, const char *key, struct json_writer *w)
{
	json_key(w, key);
	json_begin_object(w);
	json_member_str(w, "architecture", img->architecture ? img->architecture : "");
	json_member_str(w, "os", img->os ? img->os : "");
	if (!str_empty(img->os_version))
		json_member_str(w, "os.version", img->os_version);
	if (!str_empty(img->variant))
		json_member_str(w, "variant", img->variant);
	json_end_object(w);
}

static void write_descriptor(const struct stored *st, struct json_writer *w)
{
	json_key(w, "Descriptor");
	json_begin_object(w);
	json_member_str(w, "mediaType", st->manifest_type);
	json_member_str(w, "digest", st->image.manifest);
	json_member_i64(w, "size", st->manifest_size);
	json_end_object(w);
}

static void write_manifests(const struct stored *st, const struct image_view *v,
			    struct json_writer *w)
{
	const struct image *img = &st->image;
	int64_t content = content_of(v->images, st);

	json_key(w, "Manifests");
	json_begin_array(w);
	json_begin_object(w);
	json_member_str(w, "ID", img->manifest);
	write_descriptor(st, w);
	json_member_bool(w, "Available", true);
	json_key(w, "Size");
	json_begin_object(w);
	json_member_i64(w, "Content", content);
	json_member_i64(w, "Total", content + img->size);
	json_end_object(w);
	json_member_str(w, "Kind", "image");
	json_key(w, "ImageData");
	json_begin_object(w);
	write_platform(img, "Platform", w);
	json_key(w, "Containers");
	json_strv(w, v->users);
	json_key(w, "Size");
	json_begin_object(w);
	json_member_i64(w, "Unpacked", img->size);
	json_end_object(w);
	json_end_object(w);
	json_end_object(w);
	json_end_array(w);
}

void image_write_manifest(const struct image *img, const struct image_view *v,
			  struct json_writer *w)
{
	const struct stored *st = container_of(img, struct stored, image);

	if (!(v->descriptor || v->users) || !know_manifest(v->images, img))
		return;
	if (v->descriptor)
		write_descriptor(st, w);
	if (v->users)
		write_manifests(st, v, w);
}

/* ---- a line of the list ---- */

static void write_names(struct json_writer *w, const char *key, char *const *names,
			const char *instead)
{
	json_key(w, key);
	json_begin_array(w);
	for (size_t i = 0; names && names[i]; i++)
		json_str(w, names[i]);
	if (instead)
		json_str(w, instead);
	json_end_array(w);
}

static void write_labels(struct json_writer *w, const struct bind_pairs *labels)
{
	json_key(w, "Labels");
	if (labels->n == 0) {
		json_null(w);
		return;
	}
	json_begin_object(w);
	for (size_t i = 0; i < labels->n; i++)
		json_member_str(w, labels->v[i].key, labels->v[i].value);
	json_end_object(w);
}

void image_summary(const struct image *img, const struct image_view *v, struct json_writer *w)
{
	bool none = v->none && !strv_len(v->tags) && !strv_len(v->digests);

	json_begin_object(w);
	json_member_str(w, "Id", img->id);
	json_member_str(w, "ParentId", "");
	write_names(w, "RepoTags", v->tags, none ? "<none>:<none>" : NULL);
	write_names(w, "RepoDigests", v->digests, none ? "<none>@<none>" : NULL);
	json_member_i64(w, "Created", img->created_ns / 1000000000);
	json_member_i64(w, "Size", img->size);
	if (v->virtual_size)
		json_member_i64(w, "VirtualSize", img->size);
	json_member_i64(w, "SharedSize", v->shared);
	write_labels(w, &img->config.labels);
	json_member_i64(w, "Containers", v->containers);
	image_write_manifest(img, v, w);
	json_end_object(w);
}
