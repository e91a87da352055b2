/*
 * From documents to a plan: common parts, and docker-archive's manifest.json. plan_oci.c reads OCI
 * layouts.
 *
 * Every image of the plan has a config document whose number of diff ids is that of its layers, and
 * a bundle member for each layer. See plan.h.
 */
#include "engine/image/plan.h"

#include <string.h>

#include "engine/data/ref.h"
#include "engine/image/plan_priv.h"
#include "init/base/str.h"

static void image_clear(struct plan_image *img)
{
	for (size_t i = 0; i < img->n_layers; i++)
		free(img->layers[i].name);
	free(img->layers);
	free(img->config_name);
	strv_free(img->names);
	strv_free(img->digest_names);
	*img = (struct plan_image){ 0 };
}

void load_plan_free(struct plan *p)
{
	for (size_t i = 0; i < p->n_images; i++)
		image_clear(&p->images[i]);
	free(p->images);
	*p = (struct plan){ 0 };
}

int chain_id(const char *parent, const char *diff_id, char ret[DIGEST_TEXT_MAX])
{
	char text[2 * DIGEST_TEXT_MAX];
	int r;

	if (str_empty(parent))
		return str_copy(ret, DIGEST_TEXT_MAX, diff_id);
	r = str_format(text, sizeof(text), "%s %s", parent, diff_id);
	return r < 0 ? r : digest_of(text, strlen(text), ret);
}

void plan_blob_name(char buf[96], const char *digest)
{
	(void)str_format(buf, 96, "blobs/sha256/%s", digest_hex(digest));
}

int plan_image_names(const struct plan_image *img, char ***names)
{
	char text[REF_TEXT_MAX];
	struct ref ref;
	int r = strv_add(names, img->id);

	for (size_t i = 0; r == 0 && i < strv_len(img->names); i++) {
		r = strv_add(names, img->names[i]);
		if (r < 0 || !img->manifest[0] || ref_parse(img->names[i], &ref, NULL) < 0)
			continue;
		ref.tag[0] = '\0';
		(void)str_copy(ref.digest, sizeof(ref.digest), img->manifest);
		ref_format(&ref, text);
		r = strv_add(names, text);
	}
	return r;
}

bool plan_holds(const struct plan *p, const char *key)
{
	bool found = false;

	for (size_t i = 0; i < p->n_images && !found; i++) {
		_cleanup_(strv_free) char **names = NULL;

		(void)plan_image_names(&p->images[i], &names);
		found = strv_has(names, key);
	}
	return found;
}

/* ---- parts of an image ---- */

struct plan_image *plan_add_image(struct plan *p, const struct image_limits *limits, struct err *e)
{
	struct plan_image *images;

	if (p->n_images >= limits->images) {
		err_set(e, EFBIG, "the archive has more than %llu images",
			(unsigned long long)limits->images);
		return NULL;
	}
	images = realloc(p->images, (p->n_images + 1) * sizeof(*images));
	if (!images) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	p->images = images;
	images[p->n_images] = (struct plan_image){ 0 };
	return &images[p->n_images++];
}

int plan_add_layer(struct plan_image *img, const struct bundle *b,
		   const struct image_limits *limits, const char *name, struct err *e)
{
	struct plan_layer *layers, *layer;

	if (img->n_layers >= limits->layers)
		return err_set(e, EFBIG, "the image has more than %llu layers",
			       (unsigned long long)limits->layers);
	if (!bundle_find(b, name))
		return err_set(e, ENOENT, "the archive has no \"%.200s\"", name);
	layers = realloc(img->layers, (img->n_layers + 1) * sizeof(*layers));
	if (!layers)
		return err_set(e, ENOMEM, "out of memory");
	img->layers = layers;
	layer = &layers[img->n_layers];
	*layer = (struct plan_layer){ .size = -1, .name = str_dup(name) };
	if (!layer->name)
		return err_set(e, ENOMEM, "out of memory");
	img->n_layers++;
	return 0;
}

int plan_add_name(struct plan_image *img, const char *name, struct err *e)
{
	char text[REF_TEXT_MAX];
	struct ref ref;
	int r = ref_parse(name, &ref, e);

	if (r < 0)
		return r;
	if (ref.digest[0])
		return err_set(e, EINVAL, "the name \"%.200s\" of an image must not hold a digest",
			       name);
	ref_add_default_tag(&ref);
	ref_format(&ref, text);
	if (strv_has(img->names, text))
		return 0;
	return strv_add(&img->names, text) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int read_diff_ids(struct plan_image *img, yyjson_val *rootfs, struct err *e)
{
	_cleanup_(strv_free) char **ids = NULL;
	const char *parent = "";
	int r = json_get_strv(rootfs, "diff_ids", &ids, e);

	if (r < 0)
		return r;
	if (strv_len(ids) != img->n_layers)
		return err_set(e, EINVAL,
			       "rootfs.diff_ids has %zu entries, the image has %zu layers",
			       strv_len(ids), img->n_layers);
	for (size_t i = 0; i < img->n_layers; i++) {
		struct plan_layer *layer = &img->layers[i];

		r = digest_check(ids[i], e);
		if (r < 0)
			return err_wrap(e, "rootfs.diff_ids[%zu]", i);
		if (digest_algorithm_of(ids[i]) != DIGEST_SHA256)
			return err_set(e, EINVAL, "rootfs.diff_ids[%zu]: only sha256 is supported",
				       i);
		(void)str_copy(layer->diff_id, sizeof(layer->diff_id), ids[i]);
		r = chain_id(parent, layer->diff_id, layer->chain_id);
		if (r < 0)
			return err_set(e, -r, "cannot compute a chain id");
		parent = layer->chain_id;
	}
	return 0;
}

int plan_read_config(struct plan_image *img, const char *text, size_t len, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	const char *os = "linux", *type = "layers";
	yyjson_val *root, *rootfs = NULL;
	int r;

	if ((r = document_parse(text, len, &doc, e)) < 0)
		return r;
	root = yyjson_doc_get_root(doc);
	if (!yyjson_is_obj(root))
		return err_set(e, EINVAL, "expected an object, found %s", json_type_name(root));
	if ((r = json_get_text(root, "os", &os, e)) < 0 ||
	    (r = json_get_object(root, "rootfs", &rootfs, e)) < 0 ||
	    (r = json_get_text(rootfs, "type", &type, e)) < 0)
		return r;
	if (*os && !str_eq(os, "linux"))
		return err_set(e, EINVAL,
			       "the image is made for \"%.64s\", only linux images run here", os);
	if (!rootfs || !str_eq(type, "layers"))
		return err_set(e, EINVAL, "rootfs must be an object of type \"layers\"");
	if (digest_of(text, len, img->id) < 0)
		return err_set(e, EIO, "cannot compute a digest");
	return read_diff_ids(img, rootfs, e);
}

/* ---- docker-archive ---- */

/* The digest that a member's name promises: blobs/sha256/<hex>, <hex>.json, <hex>.tar; "" for
 * none. */
static void promised_digest(const char *name, char ret[DIGEST_TEXT_MAX])
{
	const char *base = strrchr(name, '/');
	size_t len;

	base = base ? base + 1 : name;
	len = strcspn(base, ".");
	ret[0] = '\0';
	if (len != DIGEST_HEX_LEN || strspn(base, "0123456789abcdef") != len)
		return;
	if (!base[len] && !str_starts(name, "blobs/sha256/"))
		return;
	(void)str_format(ret, DIGEST_TEXT_MAX, "sha256:%.*s", (int)len, base);
}

static int docker_config(struct plan_image *img, const struct bundle *b, const char *name,
			 struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	char promised[DIGEST_TEXT_MAX];
	size_t len = 0;
	int r = bundle_document(b, name, &text, &len, e);

	if (r == 0)
		r = plan_read_config(img, text, len, e);
	if (r < 0)
		return r;
	promised_digest(name, promised);
	if (promised[0] && !str_eq(promised, img->id))
		return err_set(e, EINVAL, "its content has the digest %s", img->id);
	img->config_name = str_dup(name);
	return img->config_name ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int docker_layers(struct plan_image *img, const struct bundle *b,
			 const struct image_limits *limits, yyjson_val *entry, struct err *e)
{
	_cleanup_(strv_free) char **layers = NULL;
	int r = json_get_strv(entry, "Layers", &layers, e);

	for (size_t i = 0; r == 0 && i < strv_len(layers); i++) {
		r = plan_add_layer(img, b, limits, layers[i], e);
		/* <hex>.tar names the diff id in some tools and the blob in others: only the
		 * layout's names promise */
		if (r == 0 && str_starts(layers[i], "blobs/sha256/"))
			promised_digest(layers[i], img->layers[i].digest);
	}
	return r;
}

static int docker_image(struct plan *p, const struct bundle *b, const struct image_limits *limits,
			yyjson_val *entry, struct err *e)
{
	_cleanup_(strv_free) char **names = NULL;
	struct plan_image *img = plan_add_image(p, limits, e);
	const char *config = NULL;
	int r;

	if (!img)
		return e ? -e->code : -ENOMEM;
	if (!yyjson_is_obj(entry))
		return err_set(e, EINVAL, "expected an object, found %s", json_type_name(entry));
	if ((r = json_need_text(entry, "Config", &config, e)) < 0 ||
	    (r = docker_layers(img, b, limits, entry, e)) < 0)
		return r;
	if ((r = docker_config(img, b, config, e)) < 0)
		return err_wrap(e, "config \"%.200s\"", config);
	r = json_get_strv(entry, "RepoTags", &names, e);
	for (size_t i = 0; r == 0 && i < strv_len(names); i++)
		r = plan_add_name(img, names[i], e);
	return r;
}

static int docker_plan(struct plan *p, const struct bundle *b, const struct image_limits *limits,
		       struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	yyjson_val *root, *entry;
	size_t len = 0, i, max;
	int r = bundle_document(b, "manifest.json", &text, &len, e);

	if (r < 0)
		return r;
	if ((r = document_parse(text, len, &doc, e)) < 0)
		return err_wrap(e, "manifest.json");
	root = yyjson_doc_get_root(doc);
	if (!yyjson_is_arr(root))
		return err_set(e, EINVAL, "manifest.json: expected an array, found %s",
			       json_type_name(root));
	yyjson_arr_foreach(root, i, max, entry)
	{
		r = docker_image(p, b, limits, entry, e);
		if (r < 0)
			return err_wrap(e, "manifest.json: image %zu", i + 1);
	}
	return 0;
}

/* ---- both ---- */

/* Gives the docker-archive's images the manifests and blob digests that index.json has for them. */
static void merge_manifests(struct plan *p, const struct plan *oci)
{
	for (size_t i = 0; i < p->n_images; i++) {
		struct plan_image *img = &p->images[i];

		for (size_t k = 0; k < oci->n_images; k++) {
			const struct plan_image *other = &oci->images[k];

			if (!str_eq(img->id, other->id) || img->n_layers != other->n_layers)
				continue;
			(void)str_copy(img->manifest, sizeof(img->manifest), other->manifest);
			for (size_t n = 0; n < img->n_layers; n++) {
				struct plan_layer *to = &img->layers[n], *from = &other->layers[n];
				char *name = take_ptr(from->name);

				free(to->name);
				to->name = name;
				to->size = from->size;
				(void)str_copy(to->digest, sizeof(to->digest), from->digest);
				(void)str_copy(to->media_type, sizeof(to->media_type),
					       from->media_type);
			}
			break;
		}
	}
}

int plan_make(const struct bundle *b, const struct image_limits *limits, struct plan *ret,
	      struct err *e)
{
	_cleanup_(load_plan_free) struct plan docker = { 0 }, oci = { 0 };
	bool is_docker = bundle_find(b, "manifest.json"), is_oci = bundle_find(b, "index.json");
	int r = 0;

	if (!is_docker && !is_oci)
		return err_set(
			e, EINVAL,
			"it is not an image archive: it has neither manifest.json nor index.json");
	if (is_oci)
		r = plan_oci(&oci, b, limits, e);
	if (r == -ENOENT && is_docker)
		r = 0; /* index.json may list platforms that are not in the archive */
	if (r == 0 && is_docker)
		r = docker_plan(&docker, b, limits, e);
	if (r < 0)
		return r;
	if (is_docker && is_oci)
		merge_manifests(&docker, &oci);
	*ret = is_docker ? docker : oci;
	if (is_docker)
		docker = (struct plan){ 0 };
	else
		oci = (struct plan){ 0 };
	return ret->n_images > 0 ? 0 : err_set(e, EINVAL, "the archive holds no image");
}
