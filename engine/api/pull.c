/*
 * POST /images/create?fromImage= (pull), and POST /auth (login).
 *
 * What fails before the registry had an answer is a plain status; behind the first line ("Pulling
 * from ...") everything is a line, also a failure. A client that leaves ends the pull, as in
 * Docker.
 */
#include "engine/api/inside.h"

#include <string.h>

#include "engine/registry/registry.h"
#include "init/base/str.h"

struct pull {
	struct image_op op;
	struct http_req *req;
	struct ref ref;
	bool streaming;
};

static void pull_gone(struct http_req *r)
{
	struct pull *p = r->data;

	image_op_cancel(&p->op);
	free(p);
}

/* ---- lines ---- */

static void write_line(struct json_writer *w, const struct image_progress *line)
{
	json_begin_object(w);
	json_member_str(w, "status", line->status ? line->status : "");
	if (line->id) {
		json_key(w, "progressDetail");
		json_begin_object(w);
		if (line->total > 0) {
			json_member_i64(w, "current", line->current);
			json_member_i64(w, "total", line->total);
		}
		json_end_object(w);
		json_member_str(w, "id", line->id);
	}
	json_end_object(w);
}

static void on_progress(struct image_op *op, const struct image_progress *line)
{
	struct pull *p = container_of(op, struct pull, op);
	_cleanup_(buf_free) struct buf b = BUF_INIT(64 << 10);
	struct json_writer w;

	json_writer_init(&w, &b);
	write_line(&w, line);
	api_line(p->req, &p->streaming, &b, line->total > 0 && line->current < line->total);
}

/* ---- the end ---- */

static void on_done(struct image_op *op, int code, const struct err *e)
{
	struct pull *p = container_of(op, struct pull, op);
	struct http_req *r = p->req;
	bool streaming = p->streaming;

	images_publish(engine_of(r), op->changes, op->n_changes);
	if (code == 0)
		events_publish_pull(engine_of(r)->events, &p->ref);
	if (code < 0 && streaming)
		api_error_line(r, &streaming, err_text(e));
	free(p);
	if (streaming)
		http_stream_end(r);
	else if (code < 0)
		api_fail(r, code, e);
	else
		http_reply_status(r, 200);
}

/* ---- the request ---- */

/* "httpd" and "2.4", "httpd" and "sha256:...", "httpd:2.4" and nothing */
static int read_ref(struct http_req *r, struct ref *ref, struct err *e)
{
	const char *image = http_query(r, "fromImage"), *tag = http_query(r, "tag");
	char text[REF_TEXT_MAX];
	int code = 0;

	if (str_empty(tag))
		code = str_copy(text, sizeof(text), image);
	else
		code = str_format(
			text, sizeof(text), "%s%c%s", image,
			str_starts(tag, "sha256:") || str_starts(tag, "sha512:") ? '@' : ':', tag);
	if (code < 0)
		return err_set(e, EINVAL, "invalid reference format: too long");
	code = ref_parse(text, ref, e);
	if (code == 0 && !ref->tag[0] && !ref->digest[0])
		return err_set(
			e, EOPNOTSUPP,
			"pulling all tags of %s is not supported: name one, such as %s:latest",
			image, image);
	if (code == 0 && ref->digest[0])
		ref->tag[0] = '\0';
	return code;
}

struct platform_text {
	char text[64];
	struct image_platform parts;
};

/* "linux/arm64/v8", "arm/v7" */
static int read_platform(struct http_req *r, struct platform_text *p, struct err *e)
{
	const char *asked = http_query(r, "platform"), *last = asked ? strrchr(asked, '/') : NULL;
	char *slash;
	int code;

	if (str_empty(asked))
		return 0;
	code = api_platform(asked, p->text, sizeof(p->text), e);
	if (code < 0)
		return code;
	slash = strchr(p->text, '/');
	*slash = '\0';
	p->parts.os = p->text;
	p->parts.architecture = slash + 1;
	if (last && last[1] == 'v' && last[2] >= '0' && last[2] <= '9')
		p->parts.variant = last + 1;
	return 0;
}

static int start(struct http_req *r, struct pull *p, struct err *e)
{
	_cleanup_(registry_auth_free) struct registry_auth auth = { 0 };
	struct platform_text platform = { 0 };
	char name[REF_TEXT_MAX];
	int code = read_ref(r, &p->ref, e);

	if (code == 0)
		code = read_platform(r, &platform, e);
	if (code < 0)
		return code;
	registry_auth_read(http_header_get(r, "X-Registry-Auth"), &auth);
	ref_format(&p->ref, name);
	return registry_pull(engine_of(r)->registry, name, &platform.parts, &auth, &p->op, e);
}

void images_pull(struct http_req *r)
{
	struct pull *p = api_new(r, sizeof(*p));
	struct err e = { 0 };
	int code;

	if (!p)
		return;
	p->req = r;
	p->op.progress = on_progress;
	p->op.done = on_done;
	code = start(r, p, &e);
	if (code < 0) {
		free(p);
		api_fail(r, code, &e);
		return;
	}
	r->data = p;
	r->on_gone = pull_gone;
}

/* ---- POST /auth ---- */

struct login {
	struct registry_login op;
	struct http_req *req;
};

static void login_gone(struct http_req *r)
{
	struct login *l = r->data;

	registry_login_cancel(&l->op);
	free(l);
}

static void on_login(struct registry_login *op, int code, const char *token, const struct err *e)
{
	struct login *l = container_of(op, struct login, op);
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct http_req *r = l->req;
	struct json_writer w;

	free(l);
	if (code < 0) {
		api_fail(r, code, e);
		return;
	}
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_str(&w, "Status", "Login Succeeded");
	json_member_str(&w, "IdentityToken", token ? token : "");
	json_end_object(&w);
	api_reply(r, 200, &b);
}

void auth_check(struct http_req *r)
{
	_cleanup_(registry_auth_free) struct registry_auth auth = { 0 };
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	struct login *l = api_new(r, sizeof(*l));
	yyjson_val *root = NULL;
	struct err e = { 0 };
	int code;

	if (!l)
		return;
	l->req = r;
	l->op.done = on_login;
	code = api_body(r, false, &doc, &root, &e);
	if (code == 0)
		code = registry_auth_read_object(root, &auth, &e);
	if (code == 0)
		code = registry_login(engine_of(r)->registry, &auth, &l->op, &e);
	if (code < 0) {
		free(l);
		api_fail(r, code, &e);
		return;
	}
	r->data = l;
	r->on_gone = login_gone;
}
