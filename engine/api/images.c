/*
 * Images: list with its filters, inspect, history, tag, remove. Loading is in load.c.
 */
#include "engine/api/inside.h"

#include <fnmatch.h>
#include <string.h>

#include "init/base/map.h"
#include "init/base/str.h"
#include "engine/api/filters.h"
#include "engine/data/ref.h"

struct list_query {
	struct engine *en;
	struct filters *filters;
	int64_t before_ns, since_ns, until_ns;
	bool only_dangling, no_dangling;
};

static void list_query_free(struct list_query *q)
{
	filters_free(q->filters);
}
DEFINE_CLEANUP_VALUE(struct list_query, list_query_free)

static int created_of(const struct list_query *q, const char *key, int64_t *ret_ns, struct err *e)
{
	const char *value = filters_value(q->filters, key, 0);
	const struct image *img;

	if (!value)
		return 0;
	img = images_find(q->en->images, value, e);
	if (!img)
		return -(e->code ? e->code : ENOENT);
	*ret_ns = img->created_ns;
	return 0;
}

static int read_list_query(struct http_req *r, struct list_query *q, struct err *e)
{
	static const char *const allowed[] = { "before", "dangling", "label", "reference",
					       "since",	 "until",    NULL };
	bool dangling = false;
	int code;

	q->en = engine_of(r);
	code = filters_parse(http_query(r, "filters"), allowed, &q->filters, e);
	if (code == 0)
		code = filters_bool(q->filters, "dangling", &dangling, e);
	if (code == 0)
		code = created_of(q, "before", &q->before_ns, e);
	if (code == 0)
		code = created_of(q, "since", &q->since_ns, e);
	if (code == 0)
		code = api_time("until", filters_value(q->filters, "until", 0), &q->until_ns, e);
	if (code == 0 && filters_has(q->filters, "dangling")) {
		q->only_dangling = dangling;
		q->no_dangling = !dangling;
	}
	return code;
}

static const char *label_of(const void *object, const char *label)
{
	const struct image *img = object;

	return pairs_get(&img->config.labels, label);
}

/* A reference pattern: "nginx", "nginx:1.*", "ghcr.io/a/b". */
static bool name_matches(const struct filters *f, const char *name)
{
	const char *pattern;
	char bare[REF_TEXT_MAX];

	snprintf(bare, sizeof(bare), "%s", name);
	if (strrchr(bare, ':') && !strchr(strrchr(bare, ':'), '/'))
		*strrchr(bare, ':') = '\0';
	for (size_t i = 0; (pattern = filters_value(f, "reference", i)); i++)
		if (fnmatch(pattern, name, FNM_PATHNAME) == 0 ||
		    fnmatch(pattern, bare, FNM_PATHNAME) == 0)
			return true;
	return false;
}

static bool reference_matches(const struct filters *f, const struct image *img)
{
	if (!filters_has(f, "reference"))
		return true;
	for (size_t i = 0; i < strv_len(img->tags); i++)
		if (name_matches(f, img->tags[i]))
			return true;
	return false;
}

static bool listed(const struct list_query *q, const struct image *img)
{
	bool dangling = strv_len(img->tags) == 0;

	if ((q->only_dangling && !dangling) || (q->no_dangling && dangling))
		return false;
	if ((q->before_ns && img->created_ns >= q->before_ns) ||
	    (q->since_ns && img->created_ns <= q->since_ns) ||
	    (q->until_ns && img->created_ns > q->until_ns))
		return false;
	return reference_matches(q->filters, img) &&
	       filters_labels(q->filters, "label", label_of, img);
}

int64_t api_image_users(struct engine *en, const struct image *img)
{
	struct container *c;
	size_t pos = 0;
	int64_t n = 0;

	while ((c = containers_next(en->containers, &pos)))
		n += str_eq(container_image_id(c), img->id);
	return n;
}

void images_list(struct http_req *r)
{
	_cleanup_(list_query_free) struct list_query q = { 0 };
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	_cleanup_(map_free) struct map uses = { 0 };
	bool shared = http_query_bool(r, "shared-size", false);
	const struct image *img;
	struct json_writer w;
	struct err e = { 0 };
	size_t pos = 0;
	int code = read_list_query(r, &q, &e);

	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	shared = shared && api_layer_uses(q.en, &uses, NULL) == 0;
	json_writer_init(&w, &b);
	json_begin_array(&w);
	while ((img = images_next(q.en->images, &pos)))
		if (listed(&q, img))
			image_summary(img, api_image_users(q.en, img),
				      shared ? api_shared_size(&uses, img) : -1, &w);
	json_end_array(&w);
	api_reply(r, 200, &b);
}

static const struct image *find(struct http_req *r)
{
	struct err e = { 0 };
	const struct image *img = images_find(engine_of(r)->images, r->params[0], &e);

	if (!img)
		api_fail(r, e.code ? e.code : ENOENT, &e);
	return img;
}

static void answer(struct http_req *r, void (*write)(const struct image *, struct json_writer *))
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	const struct image *img = find(r);
	struct json_writer w;

	if (!img)
		return;
	json_writer_init(&w, &b);
	write(img, &w);
	api_reply(r, 200, &b);
}

void images_inspect(struct http_req *r)
{
	answer(r, image_inspect);
}

void images_history(struct http_req *r)
{
	answer(r, image_write_history);
}

void images_publish(struct engine *en, const struct image_change *changes, size_t n)
{
	events_publish_images(en->events, changes, n);
}

void images_tag_one(struct http_req *r)
{
	const char *repo = http_query(r, "repo"), *tag = http_query(r, "tag");
	struct image_change change = { .type = IMAGE_TAGGED };
	const struct image *img;
	struct err e = { 0 };
	char name[REF_TEXT_MAX];
	int code;

	if (str_empty(repo))
		code = err_set(&e, EINVAL, "invalid reference format: repo must be the new name");
	else if (str_format(name, sizeof(name), "%s%s%s", repo, str_empty(tag) ? "" : ":",
			    tag ? tag : "") < 0)
		code = err_set(&e, EINVAL, "invalid reference format: too long");
	else
		code = images_tag(engine_of(r)->images, r->params[0], name, &e);
	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	img = images_find(engine_of(r)->images, name, NULL);
	change.id = img ? img->id : NULL;
	change.name = name;
	if (change.id)
		images_publish(engine_of(r), &change, 1);
	http_reply_status(r, 201);
}

/* --- remove ----------------------------------------------------------------------------------- */

struct removal {
	struct image_op op;
	struct http_req *req;
	struct engine *en;
};

void api_image_changes(const struct image_change *changes, size_t n, struct json_writer *w)
{
	for (size_t i = 0; i < n; i++) {
		const struct image_change *c = &changes[i];

		if (c->type == IMAGE_LOADED || c->type == IMAGE_TAGGED || c->type == IMAGE_MADE)
			continue;
		json_begin_object(w);
		if (c->type == IMAGE_UNTAGGED)
			json_member_str(w, "Untagged", c->name);
		else
			json_member_str(w, "Deleted", c->id);
		json_end_object(w);
	}
}

static void removed(struct image_op *op, int code, const struct err *e)
{
	struct removal *rm = container_of(op, struct removal, op);
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct json_writer w;

	images_publish(rm->en, op->changes, op->n_changes);
	if (code < 0) {
		api_fail(rm->req, code, e);
	} else {
		json_writer_init(&w, &b);
		json_begin_array(&w);
		api_image_changes(op->changes, op->n_changes, &w);
		json_end_array(&w);
		api_reply(rm->req, 200, &b);
	}
	free(rm);
}

void images_remove_one(struct http_req *r)
{
	unsigned flags = (http_query_bool(r, "force", false) ? IMAGE_REMOVE_FORCE : 0) |
			 (http_query_bool(r, "noprune", false) ? IMAGE_REMOVE_NO_PRUNE : 0);
	struct removal *rm = api_new(r, sizeof(*rm));
	struct err e = { 0 };
	int code;

	if (!rm)
		return;
	*rm = (struct removal){ .op.done = removed, .req = r, .en = engine_of(r) };
	code = images_remove(rm->en->images, r->params[0], flags, &rm->op, &e);
	if (code < 0) {
		free(rm);
		api_fail(r, code, &e);
	}
}
