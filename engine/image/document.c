/*
 * Strict reading of manifests and indexes: see document.h.
 *
 * Everything here looks at a parsed yyjson document; nothing is kept. The media types are those of
 * the OCI image-spec and of Docker's manifest schema 2; the two families mean the same.
 */
#include "engine/image/document.h"

#include <string.h>
#include <strings.h>

#include "engine/image/limits.h"
#include "init/base/str.h"

/* ---- every document ---- */

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_unique_keys(yyjson_val *object, struct err *e)
{
	_cleanup_(mem_free) const char **keys = NULL;
	size_t n = yyjson_obj_size(object), i, max;
	yyjson_val *key, *value;

	if (n < 2)
		return 0;
	keys = malloc(n * sizeof(*keys));
	if (!keys)
		return err_set(e, ENOMEM, "out of memory");
	yyjson_obj_foreach(object, i, max, key, value) keys[i] = yyjson_get_str(key);
	qsort(keys, n, sizeof(*keys), compare_keys);
	for (i = 1; i < n; i++)
		if (str_eq(keys[i - 1], keys[i]))
			return err_set(e, EINVAL, "the key \"%.64s\" stands twice in one object",
				       keys[i]);
	return 0;
}

/* A text that ends in the middle for one reader is a different one for another. */
static int check_text(yyjson_val *value, struct err *e)
{
	if (yyjson_is_str(value) && strlen(yyjson_get_str(value)) != yyjson_get_len(value))
		return err_set(e, EINVAL, "the text \"%.64s\" holds a NUL character",
			       yyjson_get_str(value));
	return 0;
}

static int check_value(yyjson_val *value, int depth, struct err *e)
{
	yyjson_val *key, *child;
	size_t i, max;
	int r = 0;

	if (depth > IMAGE_JSON_DEPTH)
		return err_set(e, EINVAL, "nested deeper than %d levels", IMAGE_JSON_DEPTH);
	if (yyjson_is_arr(value)) {
		yyjson_arr_foreach(value, i, max,
				   child) if ((r = check_value(child, depth + 1, e)) < 0) return r;
	} else if (yyjson_is_obj(value)) {
		r = check_unique_keys(value, e);
		if (r < 0)
			return r;
		yyjson_obj_foreach(value, i, max, key, child)
		{
			if ((r = check_text(key, e)) < 0 ||
			    (r = check_value(child, depth + 1, e)) < 0)
				return r;
		}
	}
	return check_text(value, e);
}

int document_parse(const char *text, size_t len, yyjson_doc **ret_doc, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	int r = json_parse(text, len, &doc, e);

	if (r == 0)
		r = check_value(yyjson_doc_get_root(doc), 1, e);
	if (r < 0)
		return r;
	*ret_doc = take_ptr(doc);
	return 0;
}

/* ---- media types ---- */

static bool among(const char *type, const char *const *list)
{
	for (; *list; list++)
		if (str_eq(type, *list))
			return true;
	return false;
}

bool media_type_is_index(const char *type)
{
	static const char *const types[] = {
		"application/vnd.oci.image.index.v1+json",
		"application/vnd.docker.distribution.manifest.list.v2+json",
		NULL,
	};

	return among(type, types);
}

bool media_type_is_manifest(const char *type)
{
	static const char *const types[] = {
		"application/vnd.oci.image.manifest.v1+json",
		"application/vnd.docker.distribution.manifest.v2+json",
		NULL,
	};

	return among(type, types);
}

bool media_type_is_config(const char *type)
{
	static const char *const types[] = {
		"application/vnd.oci.image.config.v1+json",
		"application/vnd.docker.container.image.v1+json",
		NULL,
	};

	return among(type, types);
}

bool media_type_is_layer(const char *type)
{
	static const char *const types[] = {
		"application/vnd.oci.image.layer.v1.tar",
		"application/vnd.oci.image.layer.v1.tar+gzip",
		"application/vnd.oci.image.layer.v1.tar+zstd",
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
		"application/vnd.docker.image.rootfs.diff.tar",
		"application/vnd.docker.image.rootfs.diff.tar.gzip",
		"application/vnd.docker.image.rootfs.diff.tar.zstd",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
		NULL,
	};

	return among(type, types);
}

/* ---- manifest or index ---- */

/* "Layers" beside or instead of "layers": readers that fold case would see something else than
 * the others. */
static int check_spelling(yyjson_val *root, struct err *e)
{
	static const char *const known[] = {
		"schemaVersion", "mediaType", "artifactType", "config",
		"layers",	 "manifests", "subject",      "annotations",
	};
	yyjson_val *key, *value;
	size_t i, max;

	yyjson_obj_foreach(root, i, max, key, value)
	{
		const char *name = yyjson_get_str(key);

		for (size_t k = 0; k < ARRAY_SIZE(known); k++)
			if (strcasecmp(name, known[k]) == 0 && !str_eq(name, known[k]))
				return err_set(e, EINVAL, "the key \"%s\" must be written \"%s\"",
					       name, known[k]);
	}
	return 0;
}

int document_kind(yyjson_val *root, const char *media_type, enum document_kind *ret, struct err *e)
{
	const char *own = NULL;
	uint64_t version = 2;
	bool manifest, index;
	int r;

	if (!yyjson_is_obj(root))
		return err_set(e, EINVAL, "expected an object, found %s", json_type_name(root));
	if ((r = check_spelling(root, e)) < 0 ||
	    (r = json_get_text(root, "mediaType", &own, e)) < 0 ||
	    (r = json_get_u64(root, "schemaVersion", &version, e)) < 0)
		return r;
	if (version != 2)
		return err_set(e, EINVAL, "schemaVersion is %llu, only 2 is supported",
			       (unsigned long long)version);
	manifest = yyjson_obj_get(root, "layers") || yyjson_obj_get(root, "config");
	index = yyjson_obj_get(root, "manifests");
	if (manifest == index)
		return err_set(e, EINVAL,
			       manifest ? "it is a manifest and an index at once"
					: "it is neither a manifest (config, layers) nor an index "
					  "(manifests)");
	if (own && media_type && !str_eq(own, media_type))
		return err_set(e, EINVAL,
			       "its mediaType is \"%.128s\", its descriptor says \"%.128s\"", own,
			       media_type);
	own = own ? own : media_type;
	if (own && !(index ? media_type_is_index(own) : media_type_is_manifest(own)))
		return err_set(e, EINVAL, "the media type \"%.128s\" does not fit %s", own,
			       index ? "an index" : "a manifest");
	*ret = index ? DOCUMENT_INDEX : DOCUMENT_MANIFEST;
	return 0;
}

/* ---- descriptors ---- */

int descriptor_read(yyjson_val *value, struct descriptor *ret, struct err *e)
{
	struct descriptor d = { .value = value };
	uint64_t size = 0;
	int r;

	if (!yyjson_is_obj(value))
		return err_set(e, EINVAL, "a descriptor must be an object, found %s",
			       json_type_name(value));
	if ((r = json_need_text(value, "mediaType", &d.media_type, e)) < 0 ||
	    (r = json_need_text(value, "digest", &d.digest, e)) < 0 ||
	    (r = digest_check(d.digest, e)) < 0)
		return r;
	if (digest_algorithm_of(d.digest) != DIGEST_SHA256)
		return err_set(e, EINVAL, "the digest \"%.80s...\" is not supported, sha256 is",
			       d.digest);
	if (strlen(d.media_type) >= MEDIA_TYPE_MAX)
		return err_set(e, EINVAL, "the media type \"%.64s...\" is too long", d.media_type);
	if (!yyjson_obj_get(value, "size") || yyjson_is_null(yyjson_obj_get(value, "size")))
		return err_set(e, EINVAL, "size: missing");
	r = json_get_u64(value, "size", &size, e);
	if (r < 0)
		return r;
	if (size > INT64_MAX)
		return err_set(e, EINVAL, "size: %llu is too large", (unsigned long long)size);
	d.size = (int64_t)size;
	*ret = d;
	return 0;
}

const char *descriptor_annotation(const struct descriptor *d, const char *key)
{
	return yyjson_get_str(yyjson_obj_get(yyjson_obj_get(d->value, "annotations"), key));
}

int descriptor_verify(const struct descriptor *d, const char *text, size_t len, struct err *e)
{
	char digest[DIGEST_TEXT_MAX];

	if ((int64_t)len != d->size)
		return err_set(e, EINVAL, "%s has %zu bytes, its descriptor says %lld", d->digest,
			       len, (long long)d->size);
	if (digest_of(text, len, digest) < 0)
		return err_set(e, EIO, "cannot compute a digest");
	if (!str_eq(digest, d->digest))
		return err_set(e, EINVAL, "the content of %s has the digest %s", d->digest, digest);
	return 0;
}

const char *platform_architecture(void)
{
#if defined(__x86_64__)
	return "amd64";
#elif defined(__aarch64__)
	return "arm64";
#else
#error "name this machine's architecture as Go does"
#endif
}

int descriptor_platform(const struct descriptor *d)
{
	yyjson_val *platform = yyjson_obj_get(d->value, "platform");
	const char *os = yyjson_get_str(yyjson_obj_get(platform, "os"));
	const char *architecture = yyjson_get_str(yyjson_obj_get(platform, "architecture"));

	if (!os || !architecture)
		return -1;
	return str_eq(os, "linux") && str_eq(architecture, platform_architecture());
}
