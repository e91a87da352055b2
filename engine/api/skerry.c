/*
 * Our own additions below /skerry: what PID 1 says of the boot, what became of the declared
 * containers.
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

void skerry_manifests(struct http_req *r)
{
	struct engine *en = engine_of(r);
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct json_writer w;

	if (!en->write_manifests) {
		answer_empty_list(r);
		return;
	}
	json_writer_init(&w, &b);
	en->write_manifests(en->manifests, &w);
	api_reply(r, 200, &b);
}
