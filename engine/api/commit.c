/*
 * POST /commit: an image of a container. It goes on when the client leaves.
 */
#include "engine/api/inside.h"

#include <string.h>

#include "engine/container/commit.h"
#include "init/base/str.h"

struct commit {
	struct container_commit op;
	struct http_req *req;
	struct engine *en;
};

static void on_stored(struct container_commit *op, const struct image_change *changes, size_t n)
{
	images_publish(container_of(op, struct commit, op)->en, changes, n);
}

static void on_done(struct container_commit *op, int code, const char *id, const struct err *e)
{
	struct commit *m = container_of(op, struct commit, op);
	_cleanup_(buf_free) struct buf b = BUF_INIT(4096);
	struct json_writer w;

	if (code < 0) {
		api_fail(m->req, code, e);
	} else {
		json_writer_init(&w, &b);
		json_begin_object(&w);
		json_member_str(&w, "Id", id);
		json_end_object(&w);
		api_reply(m->req, 201, &b);
	}
	free(m);
}

/* The body is a Config; clients that have none send nothing, or null. */
static int read_body(struct http_req *r, yyjson_doc **ret_doc, yyjson_val **ret, struct err *e)
{
	*ret_doc = NULL;
	*ret = NULL;
	if (r->body_len >= 4 && strncmp(r->body, "null", 4) == 0 &&
	    strspn(r->body + 4, " \r\n\t") == r->body_len - 4)
		return 0;
	return api_body(r, true, ret_doc, ret, e);
}

static int start(struct http_req *r, struct container *c, struct commit *m, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(strv_free) char **changes = NULL;
	struct commit_request q = { .pause = http_query_bool(r, "pause", true),
				    .author = http_query(r, "author"),
				    .comment = http_query(r, "comment"),
				    .asked = http_query(r, "container") };
	char name[REF_TEXT_MAX];
	int code = read_body(r, &doc, &q.config, e);

	if (code == 0)
		code = api_repo_tag(r, name, e);
	if (code == 0)
		code = api_changes(r, &changes, e);
	if (code < 0)
		return code;
	q.changes = (const char *const *)changes;
	q.name = name;
	return container_commit(c, &q, &m->op, e);
}

void commit_make(struct http_req *r)
{
	struct engine *en = engine_of(r);
	const char *ref = http_query(r, "container");
	struct err e = { 0 };
	struct container *c = containers_find(en->containers, ref ? ref : "", &e);
	struct commit *m;
	int code;

	if (!c) {
		api_fail(r, e.code ? e.code : ENOENT, &e);
		return;
	}
	m = api_new(r, sizeof(*m));
	if (!m)
		return;
	m->req = r;
	m->en = en;
	m->op.stored = on_stored;
	m->op.done = on_done;
	code = start(r, c, m, &e);
	if (code < 0) {
		free(m);
		api_fail(r, code, &e);
	}
}
