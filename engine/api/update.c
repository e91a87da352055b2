/*
 * POST /containers/{id}/update: limits and restart policy of a container that exists. The rules
 * are container/'s (update.c there); the answer follows once they are on disk and in force.
 */
#include "engine/api/inside.h"

#include "init/base/str.h"

struct update {
	struct container_op op;
	struct http_req *req;
	char **warnings;
};

/* Docker's encoder writes the empty list as null. */
static void answer(struct http_req *r, char *const *warnings)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct json_writer w;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_key(&w, "Warnings");
	json_strv(&w, warnings);
	json_end_object(&w);
	api_reply(r, 200, &b);
}

static void update_done(struct container_op *op, int r, const struct err *e)
{
	struct update *u = container_of(op, struct update, op);

	if (r < 0)
		api_fail(u->req, r, e);
	else
		answer(u->req, u->warnings);
	strv_free(u->warnings);
	free(u);
}

/* Clients before 1.40 send a PidsLimit that they do not mean (Docker ignores it too). */
static void drop_pids_limit(const struct http_req *r, yyjson_doc *doc, yyjson_mut_doc **ret)
{
	*ret = NULL;
	if (api_at_least(r, 40))
		return;
	*ret = yyjson_doc_mut_copy(doc, NULL);
	if (*ret)
		yyjson_mut_obj_remove_key(yyjson_mut_doc_get_root(*ret), "PidsLimit");
}

void containers_update(struct http_req *r)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL, *old = NULL;
	struct container *c = api_container(r);
	yyjson_mut_doc *changed = NULL;
	yyjson_val *body = NULL;
	struct err e = { 0 };
	struct update *u;

	if (!c)
		return;
	if (api_body(r, false, &doc, &body, &e) < 0) {
		api_fail(r, EINVAL, &e);
		return;
	}
	u = api_new(r, sizeof(*u));
	if (!u)
		return;
	drop_pids_limit(r, doc, &changed);
	if (changed) {
		old = yyjson_mut_doc_imut_copy(changed, NULL);
		yyjson_mut_doc_free(changed);
		body = old ? yyjson_doc_get_root(old) : body;
	}
	u->op.done = update_done;
	list_init(&u->op.link);
	u->req = r;
	container_update(c, body, &u->warnings, &u->op);
}
