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

/* A pattern of the filter `reference`, "nginx", "nginx:1.*", "ghcr.io/a/b", for a name with a
 * tag or a digest. */
static bool name_matches(const struct filters *f, const char *name)
{
	const char *pattern;
	char bare[REF_TEXT_MAX];

	(void)str_copy(bare, sizeof(bare), name);
	if (strchr(bare, '@'))
		*strchr(bare, '@') = '\0';
	else if (strrchr(bare, ':') && !strchr(strrchr(bare, ':'), '/'))
		*strrchr(bare, ':') = '\0';
	for (size_t i = 0; (pattern = filters_value(f, "reference", i)); i++)
		if (fnmatch(pattern, name, FNM_PATHNAME) == 0 ||
		    fnmatch(pattern, bare, FNM_PATHNAME) == 0)
			return true;
	return false;
}

/* Those that the filter `reference` lets through, in a new vector of borrowed texts. */
static char **matching(const struct filters *f, char *const *names)
{
	char **some = calloc(strv_len(names) + 1, sizeof(*some));
	size_t n = 0;

	for (size_t i = 0; some && i < strv_len(names); i++)
		if (!filters_has(f, "reference") || name_matches(f, names[i]))
			some[n++] = names[i];
	return some;
}

static bool listed(const struct list_query *q, const struct image *img)
{
	bool nameless = !strv_len(img->tags);

	if ((q->only_dangling && !nameless) ||
	    (q->no_dangling && nameless && !strv_len(img->digests)))
		return false;
	if ((q->before_ns && img->created_ns >= q->before_ns) ||
	    (q->since_ns && img->created_ns <= q->since_ns) ||
	    (q->until_ns && img->created_ns > q->until_ns))
		return false;
	return filters_labels(q->filters, "label", label_of, img);
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

/* Ids of the containers that stand on the image; never NULL unless memory is out. */
static char **users_of(struct engine *en, const struct image *img)
{
	char **ids = calloc(1, sizeof(*ids));
	struct container *c;
	size_t pos = 0;

	while (ids && (c = containers_next(en->containers, &pos)))
		if (str_eq(container_image_id(c), img->id))
			(void)strv_add(&ids, container_id(c));
	return ids;
}

/* What the client's version and its parameters make of an image. */
static struct image_view view_of(struct http_req *r)
{
	return (struct image_view){ .images = engine_of(r)->images,
				    .containers = -1,
				    .shared = -1,
				    .none = !api_at_least(r, 43),
				    .virtual_size = !api_at_least(r, 44),
				    .descriptor = api_at_least(r, 48) };
}

static bool wants_manifests(struct http_req *r)
{
	return api_at_least(r, 48) && http_query_bool(r, "manifests", false);
}

static void list_one(struct http_req *r, const struct list_query *q, const struct image *img,
		     const struct map *uses, struct json_writer *w)
{
	char **tags = matching(q->filters, img->tags),
	     **digests = matching(q->filters, img->digests);
	_cleanup_(strv_free) char **users = wants_manifests(r) ? users_of(q->en, img) : NULL;
	struct image_view v = view_of(r);

	v.tags = tags;
	v.digests = digests;
	v.users = users;
	if (api_at_least(r, 51))
		v.containers = api_image_users(q->en, img);
	if (uses)
		v.shared = api_shared_size(uses, img);
	if (!filters_has(q->filters, "reference") || strv_len(tags) || strv_len(digests))
		image_summary(img, &v, w);
	free(tags);
	free(digests);
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
			list_one(r, &q, img, shared ? &uses : NULL, &w);
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

void images_inspect(struct http_req *r)
{
	_cleanup_(strv_free) char **users = NULL;
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct image_view v = view_of(r);
	const struct image *img = find(r);
	struct json_writer w;

	if (!img)
		return;
	if (wants_manifests(r))
		v.users = users = users_of(engine_of(r), img);
	json_writer_init(&w, &b);
	image_inspect(img, &v, &w);
	api_reply(r, 200, &b);
}

void images_history(struct http_req *r)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	const struct image *img = find(r);
	struct json_writer w;

	if (!img)
		return;
	json_writer_init(&w, &b);
	image_write_history(img, &w);
	api_reply(r, 200, &b);
}

void images_publish(struct engine *en, const struct image_change *changes, size_t n)
{
	events_publish_images(en->events, changes, n);
}

void images_tag_one(struct http_req *r)
{
	struct image_change change = { .type = IMAGE_TAGGED };
	const struct image *img;
	struct err e = { 0 };
	char name[REF_TEXT_MAX];
	int code = api_repo_tag(r, name, &e);

	if (code == 0 && !name[0])
		code = err_set(&e, EINVAL, "invalid reference format: repo must be the new name");
	if (code == 0 && strcspn(name, ":") == strlen("sha256") && str_starts(name, "sha256"))
		code = err_set(
			&e, EINVAL,
			"refusing to create an ambiguous tag using digest algorithm as name");
	if (code == 0)
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
