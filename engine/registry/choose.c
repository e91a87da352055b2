/*
 * See choose.h. The choice of a variant follows containerd: a newer processor runs what was made
 * for older ones, the newest of which is taken.
 */
#include "engine/registry/choose.h"

#include <string.h>

#include "engine/image/limits.h"
#include "init/base/str.h"

const char *const choose_accept[] = {
	"Accept: application/vnd.oci.image.index.v1+json",
	"Accept: application/vnd.docker.distribution.manifest.list.v2+json",
	"Accept: application/vnd.oci.image.manifest.v1+json",
	"Accept: application/vnd.docker.distribution.manifest.v2+json",
	NULL,
};

static bool is_schema1(const char *type)
{
	return str_eq(type, "application/vnd.docker.distribution.manifest.v1+json") ||
	       str_eq(type, "application/vnd.docker.distribution.manifest.v1+prettyjws");
}

static int refuse_schema1(struct err *e)
{
	return err_set(e, EINVAL,
		       "the image has a manifest of the old schema 1, which is not supported: it "
		       "has to be pushed again in the OCI format or as schema 2");
}

/* Servers of plain files know no better. */
static bool says_nothing(const char *type)
{
	return !*type || str_eq(type, "application/json") || str_eq(type, "text/plain") ||
	       str_eq(type, "application/octet-stream");
}

int choose_read(const char *text, size_t len, const char *content_type, yyjson_doc **ret_doc,
		enum document_kind *ret_kind, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root;
	int r;

	if (is_schema1(content_type))
		return refuse_schema1(e);
	r = document_parse(text, len, &doc, e);
	if (r < 0)
		return r;
	root = yyjson_doc_get_root(doc);
	if (yyjson_get_uint(yyjson_obj_get(root, "schemaVersion")) == 1)
		return refuse_schema1(e);
	r = document_kind(root, says_nothing(content_type) ? NULL : content_type, ret_kind, e);
	if (r == 0)
		*ret_doc = take_ptr(doc);
	return r;
}

/* ---- platforms ---- */

static unsigned variant_default(const char *architecture)
{
	if (str_eq(architecture, "arm64"))
		return 8;
	if (str_eq(architecture, "arm"))
		return 7;
	return str_eq(architecture, "amd64") ? 1 : 0;
}

/* "v8" -> 8; 0 for what is no such word */
static unsigned variant_number(const char *architecture, const char *variant)
{
	uint64_t n;

	if (str_empty(variant))
		return variant_default(architecture);
	if (variant[0] != 'v' || str_to_u64(variant + 1, &n) < 0 || n > 100)
		return 0;
	return (unsigned)n;
}

/* How well it fits: -1 not at all, else the more the better. */
static int fitness(yyjson_val *platform, const char *os, const char *architecture,
		   const char *variant)
{
	const char *has_os = yyjson_get_str(yyjson_obj_get(platform, "os"));
	const char *has_arch = yyjson_get_str(yyjson_obj_get(platform, "architecture"));
	const char *has_variant = yyjson_get_str(yyjson_obj_get(platform, "variant"));
	unsigned has, want = variant_number(architecture, variant);

	if (!str_eq(has_os, os) || !str_eq(has_arch, architecture))
		return -1;
	if (!str_empty(variant) && str_eq(has_variant, variant))
		return 1000;
	has = variant_number(architecture, has_variant);
	return has <= want ? (int)has : -1;
}

int choose_manifest(yyjson_val *index, const struct image_platform *p, struct descriptor *ret,
		    struct err *e)
{
	const char *os = p && p->os ? p->os : "linux";
	const char *arch = p && p->architecture ? p->architecture : platform_architecture();
	const char *variant = p && p->variant ? p->variant : "";
	yyjson_val *manifests = yyjson_obj_get(index, "manifests"), *value;
	int best = -1, fit, r;
	struct descriptor d;
	size_t i, max;

	if (!yyjson_is_arr(manifests))
		return err_set(e, EINVAL, "manifests: expected an array, found %s",
			       json_type_name(manifests));
	yyjson_arr_foreach(manifests, i, max, value)
	{
		r = descriptor_read(value, &d, e);
		if (r < 0)
			return err_wrap(e, "manifests[%zu]", i);
		if (!media_type_is_manifest(d.media_type))
			continue;
		fit = fitness(yyjson_obj_get(value, "platform"), os, arch, variant);
		if (fit > best) {
			best = fit;
			*ret = d;
		}
	}
	if (best >= 0)
		return 0;
	return err_set(e, ENOENT,
		       "no matching manifest for %.32s/%.32s%s%.32s in the manifest list entries",
		       os, arch, *variant ? "/" : "", variant);
}

int choose_config(yyjson_val *manifest, struct descriptor *ret, struct err *e)
{
	struct descriptor d;
	int r = descriptor_read(yyjson_obj_get(manifest, "config"), &d, e);

	if (r < 0)
		return err_wrap(e, "config");
	if (!media_type_is_config(d.media_type))
		return err_set(e, EINVAL, "it is no image: its config is of the type \"%.128s\"",
			       d.media_type);
	if (d.size > IMAGE_DOCUMENT_MAX)
		return err_set(e, EFBIG, "its config has more than %d bytes", IMAGE_DOCUMENT_MAX);
	*ret = d;
	return 0;
}
