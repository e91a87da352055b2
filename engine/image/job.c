/*
 * The messages of a job: see job.h.
 *
 * Request and result are written by one process and read by another one of the same program, so
 * they carry no version. Reading the result is the engine's border to a process that may have been
 * taken over: forms and counts are checked here, contents in load.c.
 */
#include "engine/image/job.h"

#include <string.h>

#include "engine/image/plan_priv.h"
#include "init/base/str.h"

void job_folder(char buf[JOB_FOLDER_MAX], size_t number)
{
	(void)str_format(buf, JOB_FOLDER_MAX, "l%zu", number);
}

void job_request_write(const struct job_request *req, struct buf *out)
{
	struct json_writer w;

	json_writer_init(&w, out);
	json_begin_object(&w);
	json_member_str(&w, "wanted", req->wanted);
	json_member_bool(&w, "layer", req->layer);
	if (req->layer) {
		json_member_u64(&w, "number", req->number);
		json_member_str(&w, "digest", req->digest);
		json_member_str(&w, "diff_id", req->diff_id);
		json_member_i64(&w, "size", req->size);
	}
	json_member_bool(&w, "keep", req->keep);
	json_member_bool(&w, "no_sandbox", req->no_sandbox);
	json_key(&w, "limits");
	image_limits_write(&req->limits, &w);
	json_end_object(&w);
}

static int read_promise(yyjson_val *root, struct job_request *req, struct err *e)
{
	const char *digest = "", *diff_id = "";
	uint64_t number = 0;
	int r;

	req->size = -1;
	if ((r = json_get_u64(root, "number", &number, e)) < 0 ||
	    (r = json_get_i64(root, "size", &req->size, e)) < 0 ||
	    (r = json_get_text(root, "digest", &digest, e)) < 0 ||
	    (r = json_get_text(root, "diff_id", &diff_id, e)) < 0 ||
	    (r = str_copy(req->digest, sizeof(req->digest), digest)) < 0)
		return r;
	req->number = (size_t)number;
	return str_copy(req->diff_id, sizeof(req->diff_id), diff_id);
}

int job_request_read(yyjson_val *root, struct job_request *ret, struct err *e)
{
	struct job_request req = { 0 };
	yyjson_val *limits = NULL;
	const char *wanted = "";
	int r;

	if ((r = json_get_text(root, "wanted", &wanted, e)) < 0 ||
	    (r = str_copy(req.wanted, sizeof(req.wanted), wanted)) < 0 ||
	    (r = json_get_bool(root, "layer", &req.layer, e)) < 0 ||
	    (r = read_promise(root, &req, e)) < 0 ||
	    (r = json_get_bool(root, "keep", &req.keep, e)) < 0 ||
	    (r = json_get_bool(root, "no_sandbox", &req.no_sandbox, e)) < 0 ||
	    (r = json_get_object(root, "limits", &limits, e)) < 0 ||
	    (r = image_limits_read(limits, &req.limits, e)) < 0)
		return r;
	*ret = req;
	return 0;
}

static void write_layer(const struct plan_layer *layer, struct json_writer *w)
{
	char folder[JOB_FOLDER_MAX];

	json_begin_object(w);
	json_member_str(w, "diff_id", layer->diff_id);
	if (layer->done && !layer->present) {
		job_folder(folder, layer->number);
		json_member_str(w, "folder", folder);
		json_member_str(w, "digest", layer->digest);
		json_member_str(w, "media_type", layer->media_type);
		json_member_i64(w, "size", layer->size);
		json_member_i64(w, "bytes", (int64_t)layer->bytes);
	}
	json_end_object(w);
}

static void write_image(const struct plan_image *img, struct json_writer *w)
{
	json_begin_object(w);
	json_member_str(w, "id", img->id);
	if (img->manifest[0])
		json_member_str(w, "manifest", img->manifest);
	json_key(w, "names");
	json_strv(w, img->names);
	json_key(w, "layers");
	json_begin_array(w);
	for (size_t i = 0; i < img->n_layers; i++)
		write_layer(&img->layers[i], w);
	json_end_array(w);
	json_end_object(w);
}

void job_result_write(const struct plan *p, struct buf *out)
{
	struct json_writer w;

	json_writer_init(&w, out);
	json_begin_object(&w);
	json_member_bool(&w, "names_only", p->names_only);
	json_key(&w, "images");
	json_begin_array(&w);
	for (size_t i = 0; i < p->n_images; i++)
		write_image(&p->images[i], &w);
	json_end_array(&w);
	json_end_object(&w);
}

/* ---- reading it ---- */

static int get_digest(yyjson_val *object, const char *key, bool needed, char ret[DIGEST_TEXT_MAX],
		      struct err *e)
{
	const char *text = NULL;
	int r = json_get_text(object, key, &text, e);

	if (r < 0)
		return r;
	if (!text)
		return needed ? err_set(e, EBADMSG, "%s: missing", key) : 0;
	if (!digest_valid(text) || digest_algorithm_of(text) != DIGEST_SHA256)
		return err_set(e, EBADMSG, "%s: not a sha256 digest", key);
	return str_copy(ret, DIGEST_TEXT_MAX, text);
}

/* "l<number>" */
static int get_folder(yyjson_val *object, struct plan_layer *layer, struct err *e)
{
	const char *folder = NULL;
	uint64_t number;
	int r = json_get_text(object, "folder", &folder, e);

	if (r < 0)
		return r;
	layer->done = true;
	layer->present = !folder;
	if (!folder)
		return 0;
	if (folder[0] != 'l' || str_to_u64(folder + 1, &number) < 0 || number > UINT32_MAX)
		return err_set(e, EBADMSG, "folder: not a layer's folder");
	layer->number = (size_t)number;
	return 0;
}

static int get_count(yyjson_val *object, const char *key, int64_t *ret, struct err *e)
{
	int64_t value = -1;
	int r = json_get_i64(object, key, &value, e);

	if (r < 0)
		return r;
	if (value < 0)
		return err_set(e, EBADMSG, "%s: missing or negative", key);
	*ret = value;
	return 0;
}

static int read_layer(yyjson_val *object, struct plan_layer *layer, struct err *e)
{
	const char *media_type = "";
	int64_t bytes = 0;
	int r;

	if (!yyjson_is_obj(object))
		return err_set(e, EBADMSG, "not an object");
	if ((r = get_digest(object, "diff_id", true, layer->diff_id, e)) < 0 ||
	    (r = get_folder(object, layer, e)) < 0)
		return r;
	if (layer->present)
		return 0;
	if ((r = get_digest(object, "digest", true, layer->digest, e)) < 0 ||
	    (r = get_count(object, "size", &layer->size, e)) < 0 ||
	    (r = get_count(object, "bytes", &bytes, e)) < 0 ||
	    (r = json_get_text(object, "media_type", &media_type, e)) < 0)
		return r;
	layer->bytes = (uint64_t)bytes;
	return str_copy(layer->media_type, sizeof(layer->media_type), media_type) < 0
		       ? err_set(e, EBADMSG, "media_type: too long")
		       : 0;
}

static int read_layers(yyjson_val *array, const struct image_limits *limits, struct plan_image *img,
		       struct err *e)
{
	size_t n = yyjson_arr_size(array), i, max;
	yyjson_val *value;
	int r;

	if (n > limits->layers)
		return err_set(e, EBADMSG, "too many layers");
	img->layers = calloc(n + 1, sizeof(*img->layers));
	if (!img->layers)
		return err_set(e, ENOMEM, "out of memory");
	img->n_layers = n;
	yyjson_arr_foreach(array, i, max, value)
	{
		r = read_layer(value, &img->layers[i], e);
		if (r < 0)
			return err_wrap(e, "layers[%zu]", i);
	}
	return 0;
}

static int read_image(yyjson_val *object, const struct image_limits *limits, struct plan *p,
		      struct err *e)
{
	_cleanup_(strv_free) char **names = NULL;
	struct plan_image *img = plan_add_image(p, limits, e);
	yyjson_val *layers = NULL;
	int r;

	if (!img)
		return e ? -e->code : -ENOMEM;
	if (!yyjson_is_obj(object))
		return err_set(e, EBADMSG, "not an object");
	if ((r = get_digest(object, "id", true, img->id, e)) < 0 ||
	    (r = get_digest(object, "manifest", false, img->manifest, e)) < 0 ||
	    (r = json_get_strv(object, "names", &names, e)) < 0 ||
	    (r = json_get_array(object, "layers", &layers, e)) < 0 ||
	    (r = read_layers(layers, limits, img, e)) < 0)
		return r;
	for (size_t i = 0; r == 0 && i < strv_len(names); i++)
		r = plan_add_name(img, names[i], e);
	return r;
}

int job_result_read(yyjson_val *root, const struct image_limits *limits, struct plan *ret,
		    struct err *e)
{
	yyjson_val *images = NULL, *value;
	size_t i, max;
	int r = json_get_array(root, "images", &images, e);

	if (r == 0)
		r = json_get_bool(root, "names_only", &ret->names_only, e);
	if (r < 0)
		return r;
	yyjson_arr_foreach(images, i, max, value)
	{
		r = read_image(value, limits, ret, e);
		if (r < 0)
			return err_wrap(e, "the unpack worker's result: images[%zu]", i);
	}
	return ret->n_images > 0 ? 0
				 : err_set(e, EBADMSG, "the unpack worker's result holds no image");
}
