/*
 * Choosing or writing a manifest: see manifest.h.
 *
 * Pure but for reading the stored one. Runs in the save worker and in the engine.
 */
#include "engine/image/manifest.h"

#include "engine/image/limits.h"
#include "init/base/file.h"
#include "init/base/str.h"

#define OCI_TYPE "application/vnd.oci.image."

void manifest_free(struct manifest *m)
{
	buf_free(&m->text);
}

const char *manifest_layer_type(const char *media_type)
{
	if (str_ends(media_type, "gzip"))
		return OCI_TYPE "layer.v1.tar+gzip";
	if (str_ends(media_type, "zstd"))
		return OCI_TYPE "layer.v1.tar+zstd";
	if (str_ends(media_type, "xz"))
		return OCI_TYPE "layer.v1.tar+xz";
	return OCI_TYPE "layer.v1.tar";
}

void manifest_descriptor(struct json_writer *w, const char *type, const char *digest, int64_t size)
{
	json_begin_object(w);
	json_member_str(w, "mediaType", type);
	json_member_str(w, "digest", digest);
	json_member_i64(w, "size", size);
	json_end_object(w);
}

static int make(const struct manifest_parts *parts, struct manifest *m, struct err *e)
{
	const struct manifest_blob *config = &parts->config;
	struct json_writer w;

	json_writer_init(&w, &m->text);
	json_begin_object(&w);
	json_member_i64(&w, "schemaVersion", 2);
	json_member_str(&w, "mediaType", OCI_TYPE "manifest.v1+json");
	json_key(&w, "config");
	manifest_descriptor(&w, OCI_TYPE "config.v1+json", config->digest, config->size);
	json_key(&w, "layers");
	json_begin_array(&w);
	for (size_t i = 0; i < parts->n_layers; i++)
		manifest_descriptor(&w, manifest_layer_type(parts->layers[i].media_type),
				    parts->layers[i].digest, parts->layers[i].size);
	json_end_array(&w);
	json_end_object(&w);
	if (buf_failed(&m->text))
		return err_set(e, EFBIG, "the manifest of %s is too long", config->digest);
	m->size = (int64_t)m->text.len;
	(void)str_copy(m->media_type, sizeof(m->media_type), OCI_TYPE "manifest.v1+json");
	return digest_of(m->text.data, m->text.len, m->digest) < 0
		       ? err_set(e, EIO, "cannot compute a digest")
		       : 0;
}

static bool names(yyjson_val *value, const struct manifest_blob *have)
{
	struct descriptor d;

	return descriptor_read(value, &d, NULL) == 0 && str_eq(d.digest, have->digest) &&
	       d.size == have->size;
}

/* Whether a manifest names just these blobs. */
static bool fits(yyjson_val *root, const struct manifest_parts *parts)
{
	yyjson_val *layers = yyjson_obj_get(root, "layers"), *value;
	size_t i, max;

	if (!names(yyjson_obj_get(root, "config"), &parts->config) || !yyjson_is_arr(layers) ||
	    yyjson_arr_size(layers) != parts->n_layers)
		return false;
	yyjson_arr_foreach(layers, i, max, value)
	{
		if (!names(value, &parts->layers[i]))
			return false;
	}
	return true;
}

/* The stored manifest, when it can be used: 1; 0: it cannot. */
static int keep(int blobs_fd, const char *digest, const struct manifest_parts *parts,
		struct manifest *m, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	const char *type = OCI_TYPE "manifest.v1+json";
	char found[DIGEST_TEXT_MAX];
	yyjson_val *root;
	size_t len = 0;

	if (!digest || !digest_valid(digest) ||
	    file_read(blobs_fd, digest_hex(digest), IMAGE_DOCUMENT_MAX, &text, &len, NULL) < 0)
		return 0;
	if (digest_of(text, len, found) < 0 || !str_eq(found, digest))
		return err_set(e, EIO, "the blob %s is damaged: it has another digest", digest);
	if (document_parse(text, len, &doc, NULL) < 0)
		return 0;
	root = yyjson_doc_get_root(doc);
	if (!fits(root, parts) || json_get_text(root, "mediaType", &type, NULL) < 0 ||
	    !media_type_is_manifest(type))
		return 0;
	(void)str_copy(m->media_type, sizeof(m->media_type), type);
	(void)str_copy(m->digest, sizeof(m->digest), digest);
	m->kept = true;
	m->size = (int64_t)len;
	buf_add(&m->text, text, len);
	return buf_failed(&m->text) ? err_set(e, ENOMEM, "out of memory") : 1;
}

int manifest_choose(int blobs_fd, const char *kept, const struct manifest_parts *parts,
		    struct manifest *ret, struct err *e)
{
	int r;

	*ret = (struct manifest){ .text = BUF_INIT(IMAGE_DOCUMENT_MAX) };
	r = keep(blobs_fd, kept, parts, ret, e);
	return r == 0 ? make(parts, ret, e) : MIN(r, 0);
}
