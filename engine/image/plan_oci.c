/*
 * OCI image layouts: index.json, nested indexes, manifests (OCI image-spec: image-layout.md,
 * image-index.md, manifest.md).
 *
 * Each descriptor of index.json is one image, or an index from which the manifest for this
 * machine's platform is taken. Attestations and other platforms are passed over. Names come from
 * the annotations that containerd and Docker write, or from ref.name when that is a whole name.
 * Called by plan_make.
 */
#include <string.h>

#include "engine/image/plan_priv.h"
#include "init/base/buf.h"
#include "init/base/str.h"

enum { INDEX_DEPTH = 4 };

struct oci {
	struct plan *plan;
	const struct bundle *bundle;
	const struct image_limits *limits;
	const struct descriptor *top; /* of index.json: carries the names */
	struct buf others; /* platforms that were passed over, for the error */
};

static int read_blob(struct oci *o, const struct descriptor *d, char **ret_text, size_t *ret_len,
		     struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	char name[96];
	size_t len = 0;
	int r;

	plan_blob_name(name, d->digest);
	r = bundle_document(o->bundle, name, &text, &len, e);
	if (r == 0)
		r = descriptor_verify(d, text, len, e);
	if (r < 0)
		return r;
	*ret_text = take_ptr(text);
	*ret_len = len;
	return 0;
}

/* ---- a manifest ---- */

static int add_layer(struct oci *o, struct plan_image *img, yyjson_val *value, struct err *e)
{
	struct plan_layer *layer;
	struct descriptor d;
	char name[96];
	int r = descriptor_read(value, &d, e);

	if (r < 0)
		return r;
	if (!media_type_is_layer(d.media_type))
		return err_set(e, EINVAL, "\"%.128s\" is not a media type of a layer",
			       d.media_type);
	plan_blob_name(name, d.digest);
	r = plan_add_layer(img, o->bundle, o->limits, name, e);
	if (r < 0)
		return r;
	layer = &img->layers[img->n_layers - 1];
	layer->size = d.size;
	(void)str_copy(layer->digest, sizeof(layer->digest), d.digest);
	return str_copy(layer->media_type, sizeof(layer->media_type), d.media_type);
}

static int add_layers(struct oci *o, struct plan_image *img, yyjson_val *root, struct err *e)
{
	yyjson_val *layers = NULL, *value;
	size_t i, max;
	int r = json_get_array(root, "layers", &layers, e);

	if (r < 0)
		return r;
	if (!layers)
		return err_set(e, EINVAL, "layers: missing");
	yyjson_arr_foreach(layers, i, max, value)
	{
		r = add_layer(o, img, value, e);
		if (r < 0)
			return err_wrap(e, "layers[%zu]", i);
	}
	return 0;
}

static int add_config(struct oci *o, struct plan_image *img, yyjson_val *root, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	yyjson_val *value = NULL;
	struct descriptor d;
	char name[96];
	size_t len = 0;
	int r = json_get_object(root, "config", &value, e);

	if (r < 0)
		return r;
	if (!value)
		return err_set(e, EINVAL, "config: missing");
	if ((r = descriptor_read(value, &d, e)) < 0)
		return err_wrap(e, "config");
	if (!media_type_is_config(d.media_type))
		return err_set(e, EINVAL,
			       "config: \"%.128s\" is not a media type of an image's config",
			       d.media_type);
	r = read_blob(o, &d, &text, &len, e);
	if (r == 0)
		r = plan_read_config(img, text, len, e);
	if (r < 0)
		return err_wrap(e, "config");
	plan_blob_name(name, d.digest);
	img->config_name = str_dup(name);
	return img->config_name ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int add_names(struct oci *o, struct plan_image *img, struct err *e)
{
	const char *name = descriptor_annotation(o->top, "io.containerd.image.name");

	if (name)
		return plan_add_name(img, name, e);
	name = descriptor_annotation(o->top, "org.opencontainers.image.ref.name");
	/* a bare word is a tag of nothing; a text that is no image name at all is somebody
	 * else's label */
	if (name && strpbrk(name, ":/"))
		(void)plan_add_name(img, name, NULL);
	return 0;
}

static int add_manifest(struct oci *o, const struct descriptor *d, yyjson_val *root, struct err *e)
{
	struct plan_image *img = plan_add_image(o->plan, o->limits, e);
	int r;

	if (!img)
		return e ? -e->code : -ENOMEM;
	(void)str_copy(img->manifest, sizeof(img->manifest), d->digest);
	if ((r = add_layers(o, img, root, e)) < 0 || (r = add_config(o, img, root, e)) < 0)
		return r;
	return add_names(o, img, e);
}

/* ---- indexes ---- */

static int add_descriptor(struct oci *o, const struct descriptor *d, int depth, struct err *e);

/* Whether a descriptor may be an image for this machine; notes the platform when not. */
static bool wanted(struct oci *o, const struct descriptor *d)
{
	yyjson_val *platform = yyjson_obj_get(d->value, "platform");

	if (descriptor_annotation(d, "vnd.docker.reference.type"))
		return false; /* attestation of another manifest */
	if (!media_type_is_manifest(d->media_type) && !media_type_is_index(d->media_type))
		return false; /* image-spec: implementations must ignore what they do not know */
	if (descriptor_platform(d) != 0)
		return true;
	buf_printf(&o->others, "%s%.32s/%.32s", o->others.len ? ", " : "",
		   yyjson_get_str(yyjson_obj_get(platform, "os")),
		   yyjson_get_str(yyjson_obj_get(platform, "architecture")));
	return false;
}

/* A nested index stands for one image: the first manifest for our platform. */
static int choose(struct oci *o, yyjson_val *manifests, int depth, struct err *e)
{
	yyjson_val *value;
	size_t i, max;
	int r;

	yyjson_arr_foreach(manifests, i, max, value)
	{
		struct descriptor d;

		r = descriptor_read(value, &d, e);
		if (r < 0)
			return err_wrap(e, "manifests[%zu]", i);
		if (wanted(o, &d))
			return add_descriptor(o, &d, depth + 1, e);
	}
	return err_set(e, ENOENT, "no manifest for linux/%s; there is %s", platform_architecture(),
		       o->others.len ? buf_text(&o->others) : "none at all");
}

static int add_document(struct oci *o, const struct descriptor *d, int depth, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	enum document_kind kind;
	yyjson_val *root;
	size_t len = 0;
	int r;

	if ((r = read_blob(o, d, &text, &len, e)) < 0 ||
	    (r = document_parse(text, len, &doc, e)) < 0)
		return r;
	root = yyjson_doc_get_root(doc);
	r = document_kind(root, d->media_type, &kind, e);
	if (r < 0)
		return r;
	if (kind == DOCUMENT_MANIFEST)
		return add_manifest(o, d, root, e);
	if (depth >= INDEX_DEPTH)
		return err_set(e, EINVAL, "indexes are nested deeper than %d levels", INDEX_DEPTH);
	return choose(o, yyjson_obj_get(root, "manifests"), depth, e);
}

static int add_descriptor(struct oci *o, const struct descriptor *d, int depth, struct err *e)
{
	int r = add_document(o, d, depth, e);

	return r < 0 ? err_wrap(e, "%s", d->digest) : 0;
}

static int add_top(struct oci *o, yyjson_val *value, struct err *e)
{
	struct descriptor d;
	int r = descriptor_read(value, &d, e);

	if (r < 0)
		return r;
	if (!wanted(o, &d))
		return 0;
	o->top = &d;
	r = add_descriptor(o, &d, 0, e);
	o->top = NULL;
	return r;
}

static int read_index(struct oci *o, yyjson_val *root, struct err *e)
{
	enum document_kind kind;
	yyjson_val *value;
	size_t i, max;
	int r = document_kind(root, NULL, &kind, e);

	if (r < 0)
		return r;
	if (kind != DOCUMENT_INDEX)
		return err_set(e, EINVAL, "it must be an index, and is a manifest");
	if (!yyjson_is_arr(yyjson_obj_get(root, "manifests")))
		return err_set(e, EINVAL, "manifests: expected an array, found %s",
			       json_type_name(yyjson_obj_get(root, "manifests")));
	yyjson_arr_foreach(yyjson_obj_get(root, "manifests"), i, max, value)
	{
		r = add_top(o, value, e);
		if (r < 0)
			return err_wrap(e, "manifests[%zu]", i);
	}
	if (o->plan->n_images == 0 && o->others.len > 0)
		return err_set(e, ENOENT, "no image for linux/%s; there is %s",
			       platform_architecture(), buf_text(&o->others));
	return 0;
}

int plan_oci(struct plan *p, const struct bundle *b, const struct image_limits *limits,
	     struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	struct oci o = { .plan = p, .bundle = b, .limits = limits, .others = BUF_INIT(4096) };
	size_t len = 0;
	int r = bundle_document(b, "index.json", &text, &len, e);

	if (r < 0)
		return r;
	r = document_parse(text, len, &doc, e);
	if (r == 0)
		r = read_index(&o, yyjson_doc_get_root(doc), e);
	buf_free(&o.others);
	return r < 0 ? err_wrap(e, "index.json") : 0;
}
