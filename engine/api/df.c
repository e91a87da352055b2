/*
 * What takes how much: GET /system/df, and the sizes in the list and inspect of containers.
 *
 * Containers' own files and volumes are counted by a worker (files/usage.h), images' layers are
 * known. The answer is written when the worker is done, from what is there by then.
 */
#include "engine/api/inside.h"

#include <string.h>

#include "engine/container/files.h"
#include "engine/files/usage.h"
#include "init/base/log.h"
#include "init/base/str.h"

struct sized {
	struct usage_op usage;
	struct http_req *req;
	struct engine *counted; /* where this one is counted */
	void (*answer)(struct http_req *r, const struct usage_op *sizes);
};

/* workers that count at a time: each may read through all there is */
enum { COUNTS_MAX = 8 };

enum { DF_CONTAINERS = 1, DF_IMAGES = 2, DF_VOLUMES = 4, DF_CACHE = 8, DF_ALL = 15 };

static void sized_free(struct sized *s)
{
	if (s->counted)
		s->counted->n_counts--;
	usage_clear(&s->usage);
	free(s);
}

static void on_gone(struct http_req *r)
{
	sized_free(r->data);
}

/* Keys of containers are their ids, those of volumes have this in front. */
#define VOLUME_KEY "volume "

static void on_counted(struct usage_op *u, int code, const struct err *e)
{
	struct sized *s = container_of(u, struct sized, usage);
	struct http_req *r = s->req;
	struct container *c;
	size_t pos = 0;

	if (code < 0)
		log_warn("sizes could not be counted: %s", err_text(e));
	while ((c = containers_next(engine_of(r)->containers, &pos)))
		if (map_has(&u->sizes, container_id(c)))
			container_set_size(c, usage_get(u, container_id(c)));
	r->on_gone = NULL;
	s->answer(r, u);
	sized_free(s);
}

static int add_container(struct sized *s, const struct container *c, struct err *e)
{
	_cleanup_(mem_free) char *path = container_upper_path(c);

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	return usage_add(&s->usage, container_id(c), path, e);
}

static int add_volumes(struct sized *s, const struct volumes *vs, struct err *e)
{
	int code = 0;

	for (size_t i = 0; code == 0 && i < volumes_count(vs); i++) {
		const struct volume *v = volumes_at(vs, i);
		_cleanup_(mem_free) char *key = str_printf(VOLUME_KEY "%s", v->name);

		if (api_volume_counts(v))
			code = key ? usage_add(&s->usage, key, v->mountpoint, e)
				   : err_set(e, ENOMEM, "out of memory");
	}
	return code;
}

static void begin(struct http_req *r, struct sized *s, int code, struct err *e)
{
	struct engine *en = engine_of(r);

	if (code == 0 && en->n_counts == COUNTS_MAX)
		code = err_set(e, EAGAIN, "sizes are counted for %d other requests, try again",
			       COUNTS_MAX);
	if (code == 0) {
		s->req = r;
		s->usage.done = on_counted;
		code = usage_start(&s->usage, en->loop, e);
	}
	if (code < 0) {
		sized_free(s);
		api_fail(r, code, e);
		return;
	}
	s->counted = en;
	en->n_counts++;
	r->data = s;
	r->on_gone = on_gone;
}

void api_count(struct http_req *r, bool (*wanted)(const void *data, const struct container *c),
	       const void *data, void (*answer)(struct http_req *r, const struct usage_op *sizes))
{
	struct sized *s = api_new(r, sizeof(*s));
	struct container *c;
	struct err e = { 0 };
	size_t pos = 0;
	int code = 0;

	if (!s)
		return;
	s->answer = answer;
	while (code == 0 && (c = containers_next(engine_of(r)->containers, &pos)))
		if (wanted(data, c))
			code = add_container(s, c, &e);
	begin(r, s, code, &e);
}

/* ---- images ---- */

int api_layer_uses(struct engine *en, struct map *uses, int64_t *ret_total)
{
	const struct image *img;
	size_t pos = 0;
	int64_t total = 0;

	while ((img = images_next(en->images, &pos))) {
		for (size_t i = 0; i < img->n_layers; i++) {
			const struct image_layer *l = &img->layers[i];
			uintptr_t n = (uintptr_t)map_get(uses, l->chain_id);

			total += n == 0 ? l->size : 0;
			if (map_put(uses, l->chain_id, (void *)(n + 1), NULL) < 0)
				return -ENOMEM;
		}
	}
	if (ret_total)
		*ret_total = total;
	return 0;
}

int64_t api_shared_size(const struct map *uses, const struct image *img)
{
	int64_t size = 0;

	for (size_t i = 0; i < img->n_layers; i++)
		if ((uintptr_t)map_get(uses, img->layers[i].chain_id) > 1)
			size += img->layers[i].size;
	return size;
}

/* ---- /system/df ---- */

static int read_types(const struct http_req *r, unsigned *ret_types, struct err *e)
{
	static const struct {
		const char *name;
		unsigned type;
	} known[] = { { "container", DF_CONTAINERS },
		      { "image", DF_IMAGES },
		      { "volume", DF_VOLUMES },
		      { "build-cache", DF_CACHE } };
	unsigned types = 0;
	const char *value;

	/* the parameter came with 1.42 */
	for (size_t i = 0; api_at_least(r, 42) && (value = http_query_at(r, "type", i)); i++) {
		unsigned type = 0;

		for (size_t k = 0; k < ARRAY_SIZE(known); k++)
			if (str_eq(value, known[k].name))
				type = known[k].type;
		if (!type)
			return err_set(e, EINVAL, "unknown object type: %.60s", value);
		types |= type;
	}
	*ret_types = types ? types : DF_ALL;
	return 0;
}

static void write_images(struct engine *en, struct json_writer *w)
{
	_cleanup_(map_free) struct map uses = { 0 };
	const struct image *img;
	int64_t total = 0;
	size_t pos = 0;

	(void)api_layer_uses(en, &uses, &total);
	json_member_i64(w, "LayersSize", total);
	json_key(w, "Images");
	json_begin_array(w);
	while ((img = images_next(en->images, &pos)))
		image_summary(img,
			      &(struct image_view){ .images = en->images,
						    .tags = img->tags,
						    .digests = img->digests,
						    .containers = api_image_users(en, img),
						    .shared = api_shared_size(&uses, img) },
			      w);
	json_end_array(w);
}

static void write_containers(struct engine *en, struct json_writer *w)
{
	struct container *c;
	size_t pos = 0;

	json_key(w, "Containers");
	json_begin_array(w);
	while ((c = containers_next(en->containers, &pos)))
		container_summary(c, true, w);
	json_end_array(w);
}

static void write_volumes(struct engine *en, const struct usage_op *sizes, struct json_writer *w)
{
	json_key(w, "Volumes");
	json_begin_array(w);
	for (size_t i = 0; i < volumes_count(en->volumes); i++) {
		const struct volume *v = volumes_at(en->volumes, i);
		_cleanup_(mem_free) char *key = str_printf(VOLUME_KEY "%s", v->name);
		size_t users = 0;

		(void)containers_use_volume(en->containers, v->name, &users);
		api_volume(w, v, key ? usage_get(sizes, key) : -1, users, true);
	}
	json_end_array(w);
}

static void absent(struct json_writer *w, const char *key)
{
	json_key(w, key);
	json_null(w);
}

static void df_answer(struct http_req *r, const struct usage_op *sizes)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct engine *en = engine_of(r);
	unsigned types = DF_ALL;
	struct json_writer w;
	struct err e = { 0 };

	(void)read_types(r, &types, &e);
	json_writer_init(&w, &b);
	json_begin_object(&w);
	if (types & DF_IMAGES) {
		write_images(en, &w);
	} else {
		json_member_i64(&w, "LayersSize", 0);
		absent(&w, "Images");
	}
	if (types & DF_CONTAINERS)
		write_containers(en, &w);
	else
		absent(&w, "Containers");
	if (types & DF_VOLUMES)
		write_volumes(en, sizes, &w);
	else
		absent(&w, "Volumes");
	json_key(&w, "BuildCache");
	json_raw(&w, types & DF_CACHE ? "[]" : "null");
	if (!api_at_least(r, 42))
		json_member_i64(&w, "BuilderSize", 0);
	json_end_object(&w);
	api_reply(r, 200, &b);
}

void df_read(struct http_req *r)
{
	struct engine *en = engine_of(r);
	struct sized *s = api_new(r, sizeof(*s));
	struct container *c;
	unsigned types = 0;
	struct err e = { 0 };
	size_t pos = 0;
	int code = read_types(r, &types, &e);

	if (!s)
		return;
	s->answer = df_answer;
	while (code == 0 && types & DF_CONTAINERS && (c = containers_next(en->containers, &pos)))
		code = add_container(s, c, &e);
	if (code == 0 && types & DF_VOLUMES)
		code = add_volumes(s, en->volumes, &e);
	if (code == 0 && s->usage.n == 0) {
		df_answer(r, &s->usage);
		sized_free(s);
		return;
	}
	begin(r, s, code, &e);
}
