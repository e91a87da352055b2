/*
 * GET /images/{name}/get and GET /images/get: images as one archive.
 *
 * The bytes come from the image store's worker, with back-pressure. The answer begins with the
 * first of them: a failure before is a plain status, one behind it breaks the stream off. A client
 * that leaves ends the work.
 */
#include "engine/api/inside.h"

#include <string.h>

#include "engine/data/ref.h"
#include "init/base/str.h"

enum { CHUNK = 32 << 10 };

struct save {
	struct image_save op;
	struct http_req *req;
	struct engine *en;
	bool streaming;
	char chunk[CHUNK];
};

static void on_gone(struct http_req *r)
{
	struct save *s = r->data;

	image_save_cancel(&s->op);
	free(s);
}

static void pump(struct save *s)
{
	size_t room, n;

	while ((room = http_stream_room(s->req)) > 0) {
		n = image_save_read(&s->op, s->chunk, MIN(room, sizeof(s->chunk)));
		if (n == 0)
			return;
		if (!s->streaming)
			http_stream_begin(s->req, 200, "application/x-tar");
		s->streaming = true;
		if (http_stream_write(s->req, s->chunk, n) < 0)
			return; /* the client has gone: on_gone follows */
	}
	image_save_pause(&s->op, true);
}

static void on_readable(struct image_save *op)
{
	pump(container_of(op, struct save, op));
}

static void on_drained(struct http_req *r)
{
	struct save *s = r->data;

	image_save_pause(&s->op, false);
	pump(s);
}

static void publish(struct engine *en, char *const *ids)
{
	for (size_t i = 0; i < strv_len(ids); i++) {
		const struct image *img = images_find(en->images, ids[i], NULL);
		struct event_attr name = { "name", img && img->tags ? img->tags[0] : ids[i] };
		struct event ev = {
			.type = "image",
			.action = "save",
			.id = ids[i],
			.attrs = &name,
			.n_attrs = 1,
		};

		events_publish(en->events, &ev);
	}
}

static void on_done(struct image_save *op, int code, const struct err *e)
{
	struct save *s = container_of(op, struct save, op);
	struct http_req *r = s->req;

	if (code == 0)
		publish(s->en, op->ids);
	if (s->streaming && code < 0)
		http_stream_abort(r);
	else if (s->streaming)
		http_stream_end(r);
	else if (code < 0)
		api_fail(r, code, e);
	else
		http_reply_status(r, 200);
	free(s);
}

int api_image_platform(struct http_req *r, yyjson_doc **ret_doc, struct image_platform *p,
		       struct err *e)
{
	const char *text = http_query(r, "platform");
	yyjson_val *root = NULL;
	int code;

	if (str_empty(text))
		return 0;
	if ((code = json_parse_object(text, strlen(text), ret_doc, &root, e)) < 0 ||
	    (code = json_get_text(root, "os", &p->os, e)) < 0 ||
	    (code = json_get_text(root, "architecture", &p->architecture, e)) < 0 ||
	    (code = json_get_text(root, "variant", &p->variant, e)) < 0)
		return err_wrap(e, "invalid platform");
	return 0;
}

static void save(struct http_req *r, char *const *names)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	struct image_platform platform = { 0 };
	struct save *s = api_new(r, sizeof(*s));
	struct err e = { 0 };
	int code;

	if (!s)
		return;
	s->req = r;
	s->en = engine_of(r);
	s->op.readable = on_readable;
	s->op.done = on_done;
	code = api_image_platform(r, &doc, &platform, &e);
	if (code == 0)
		code = images_save(s->en->images, names, doc ? &platform : NULL, &s->op, &e);
	if (code < 0) {
		free(s);
		api_fail(r, code, &e);
		return;
	}
	r->data = s;
	r->on_drained = on_drained;
	r->on_gone = on_gone;
}

void images_save_one(struct http_req *r)
{
	char name[REF_TEXT_MAX];
	char *const names[] = { name, NULL };

	if (str_copy(name, sizeof(name), r->params[0]) < 0) {
		http_reply_error(r, 400, "invalid reference format: too long");
		return;
	}
	save(r, names);
}

void images_save_many(struct http_req *r)
{
	_cleanup_(strv_free) char **names = NULL;
	const char *name;

	for (size_t i = 0; (name = http_query_at(r, "names", i)); i++) {
		if (strv_add(&names, name) < 0) {
			http_reply_error(r, 503, "out of memory");
			return;
		}
	}
	if (!names) {
		http_reply_error(r, 400, "names: say which images are to be saved");
		return;
	}
	save(r, names);
}
