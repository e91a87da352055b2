/*
 * Our own additions below /skerry: what PID 1 says of the boot, what became of the declared
 * containers, and their files.
 */
#include "engine/api/inside.h"

#include <fcntl.h>

#include "init/base/file.h"

enum { BOOT_JSON_MAX = 1 << 20 };

/* The file is PID 1's and replaced atomically; here it is only checked to be JSON. */
void skerry_boot(struct http_req *r)
{
	const char *path = engine_of(r)->boot_json;
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(mem_free) char *text = NULL;
	struct err e = { 0 };
	size_t len;
	int code;

	if (!path) {
		http_reply_error(r, 404, "this machine has no record of its boot");
		return;
	}
	code = file_read(AT_FDCWD, path, BOOT_JSON_MAX, &text, &len, &e);
	if (code == 0)
		code = json_parse_object(text, len, &doc, NULL, &e);
	if (code < 0)
		api_fail(r, code == -ENOENT ? ENOENT : EIO, &e);
	else
		http_reply_json(r, 200, text, len);
}

/* ---- declared containers ---- */

/* NULL: they are not followed yet; the request was answered. */
static struct manifests *manifests_of(struct http_req *r)
{
	struct manifests *m = engine_of(r)->manifests;

	if (!m)
		http_reply_error(r, 503, "the engine is starting: its containers are looked for");
	return m;
}

void skerry_manifests(struct http_req *r)
{
	struct engine *en = engine_of(r);
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct json_writer w;

	if (!en->manifests) {
		answer_empty_list(r);
		return;
	}
	json_writer_init(&w, &b);
	manifests_write(en->manifests, &w);
	api_reply(r, 200, &b);
}

void skerry_manifest_show(struct http_req *r)
{
	struct manifests *m = manifests_of(r);
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct json_writer w;
	struct err e = { 0 };

	if (!m)
		return;
	json_writer_init(&w, &b);
	if (manifests_show(m, r->params[0], &w, &e) < 0)
		api_fail(r, e.code, &e);
	else
		api_reply(r, 200, &b);
}

void skerry_manifest_put(struct http_req *r)
{
	struct manifests *m = manifests_of(r);
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct manifest_put put = { .name = r->params[0],
				    .text = r->body,
				    .len = r->body_len,
				    .dry_run = http_query_bool(r, "dry-run", false) };
	struct json_writer w;
	struct err e = { 0 };
	int code;

	if (!m)
		return;
	json_writer_init(&w, &b);
	code = http_query_i64(r, "try", &put.trial, &e);
	if (code == 0 && http_query(r, "try") && put.trial < 1)
		code = err_set(&e, EINVAL, "try: expected seconds from 1 to %d",
			       MANIFEST_TRIAL_MAX);
	if (code == 0)
		code = manifests_put(m, &put, &w, &e);
	if (code < 0)
		api_fail(r, e.code, &e);
	else
		api_reply(r, code ? 201 : 200, &b);
}

void skerry_manifest_confirm(struct http_req *r)
{
	struct manifests *m = manifests_of(r);
	struct err e = { 0 };

	if (m)
		api_verdict(r, manifests_confirm(m, r->params[0], &e), &e);
}

void skerry_manifest_remove(struct http_req *r)
{
	struct manifests *m = manifests_of(r);
	struct err e = { 0 };

	if (m)
		api_verdict(r, manifests_remove(m, r->params[0], &e), &e);
}
