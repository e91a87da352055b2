/*
 * POST /images/prune: removes the images that no container uses and that the filters let through,
 * one after the other, and says what that freed.
 *
 * By default those without a tag, with dangling=false all. Which ones is settled when the request
 * comes; one that a container uses by then is left out, with all its names. One prune at a time. A
 * client that goes away does not stop it.
 */
#include "engine/api/inside.h"

#include "engine/api/filters.h"
#include "init/base/log.h"
#include "init/base/str.h"

struct image_prune {
	struct image_op op;
	struct http_req *req;
	struct engine *en;
	char **ids; /* to be removed */
	size_t at; /* the next one */
	struct buf deleted; /* elements of ImagesDeleted */
	struct json_writer w;
	int64_t freed;
};

static const char *label_of(const void *object, const char *label)
{
	return pairs_get(&((const struct image *)object)->config.labels, label);
}

static int choose(struct image_prune *p, const struct filters *f, bool dangling, int64_t until_ns)
{
	const struct image *img;
	size_t pos = 0;

	while ((img = images_next(p->en->images, &pos))) {
		if ((dangling && strv_len(img->tags) > 0) ||
		    (until_ns && img->created_ns > until_ns) || !api_labels_pass(f, label_of, img))
			continue;
		if (strv_add(&p->ids, img->id) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void prune_free(struct image_prune *p)
{
	p->en->pruning_images = false;
	strv_free(p->ids);
	buf_free(&p->deleted);
	free(p);
}

static void tell(struct image_prune *p)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct json_writer w;

	api_publish_prune(p->en, "image", p->freed);
	json_end_array(&p->w);
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_key(&w, "ImagesDeleted");
	if (p->deleted.len > 2)
		json_raw(&w, buf_text(&p->deleted));
	else
		json_null(&w);
	json_member_i64(&w, "SpaceReclaimed", p->freed);
	json_end_object(&w);
	if (buf_failed(&p->deleted))
		http_reply_error(p->req, 500,
				 "the images were removed, but their list is too long");
	else
		api_reply(p->req, 200, &b);
}

static void prune_next(struct image_prune *p)
{
	struct err e = { 0 };

	while (p->ids && p->ids[p->at]) {
		const char *id = p->ids[p->at++];
		const struct image *img = images_find(p->en->images, id, NULL);

		if (!img || api_image_users(p->en, img) > 0)
			continue;
		if (images_remove(p->en->images, id, IMAGE_REMOVE_FORCE, &p->op, &e) == 0)
			return;
		log_warn("prune: %s", err_text(&e));
	}
	tell(p);
	prune_free(p);
}

static void removed(struct image_op *op, int code, const struct err *e)
{
	struct image_prune *p = container_of(op, struct image_prune, op);

	images_publish(p->en, op->changes, op->n_changes);
	if (code < 0)
		log_warn("prune: %s", err_text(e));
	if (code == -ECANCELED) /* the engine stops */
		p->at = strv_len(p->ids);
	api_image_changes(op->changes, op->n_changes, &p->w);
	p->freed += op->freed;
	prune_next(p);
}

static int read_query(struct http_req *r, struct filters **f, bool *dangling, int64_t *until_ns,
		      struct err *e)
{
	static const char *const allowed[] = { "dangling", "label", "label!", "until", NULL };
	int code = filters_parse(http_query(r, "filters"), allowed, f, e);

	*dangling = true;
	if (code == 0)
		code = filters_bool(*f, "dangling", dangling, e);
	return code < 0 ? code : api_until(*f, until_ns, e);
}

void images_prune(struct http_req *r)
{
	_cleanup_(filters_free) struct filters *f = NULL;
	struct engine *en = engine_of(r);
	struct image_prune *p;
	struct err e = { 0 };
	int64_t until_ns;
	bool dangling;
	int code =
		en->pruning_images ? err_set(&e, EBUSY, "a prune operation is already running") : 0;

	if (code == 0)
		code = read_query(r, &f, &dangling, &until_ns, &e);
	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	p = api_new(r, sizeof(*p));
	if (!p)
		return;
	en->pruning_images = true;
	p->en = en;
	p->req = r;
	p->op.done = removed;
	p->deleted = BUF_INIT(API_ANSWER_MAX);
	json_writer_init(&p->w, &p->deleted);
	json_begin_array(&p->w);
	if (choose(p, f, dangling, until_ns) < 0) {
		http_reply_error(r, 503, "out of memory");
		prune_free(p);
		return;
	}
	prune_next(p);
}
