/*
 * What a pull asks of the fetch worker: "resolve" (documents) and "blob" (one layer).
 *
 * resolve: {"reference","digest","platform":{...}} with descriptors for the document that the
 * reference names, the manifest, and the config. When the first is the manifest itself, the second
 * stays empty. Result: {"content_type", "index": bool}.
 *
 * blob: {"digest","size"} with the descriptor of a pipe. What was cut off goes on from where it
 * was, at the next endpoint if need be; the bytes' digest is the reader's to check.
 */
#include "engine/registry/worker_pull.h"

#include <string.h>

#include "engine/image/limits.h"
#include "engine/registry/fetch.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum { FD_TOP = FETCH_FD_FIRST, FD_MANIFEST, FD_CONFIG, FD_BLOB = FETCH_FD_FIRST };

/* ---- documents ---- */

void document_free(struct document *d)
{
	buf_free(&d->text);
	json_doc_free(d->doc);
}

/* In the words that Docker's clients know. */
static int manifest_error(struct session *s, const struct answer *a, const char *reference,
			  struct err *e)
{
	const struct place *p = session_place(s);
	char code[ERROR_CODE_MAX], name[REF_TEXT_MAX];
	struct ref ref = { 0 };
	int r = answer_error(a, code, e);

	(void)str_copy(ref.domain, sizeof(ref.domain), p->domain);
	(void)str_copy(ref.path, sizeof(ref.path), p->path);
	ref_format_name(&ref, name);
	if (str_eq(code, "DENIED"))
		return err_set(e, ENOENT,
			       "pull access denied for %s, repository does not exist or may "
			       "require 'docker login': %.200s",
			       name, e ? e->text : "denied");
	if (str_eq(code, "NAME_UNKNOWN"))
		return err_set(e, ENOENT, "repository %s not found: %.200s", name,
			       e ? e->text : "name unknown");
	if (a->status == 404)
		return err_set(e, ENOENT, "manifest for %s%c%s not found: manifest unknown: %.200s",
			       name, digest_valid(reference) ? '@' : ':', reference,
			       str_eq(code, "MANIFEST_UNKNOWN") && e && strchr(e->text, ':')
				       ? strchr(e->text, ':') + 2
				       : "manifest unknown");
	return r;
}

static int get_text(struct session *s, const char *what, const char *reference, int64_t max,
		    struct document *d, struct answer *a, struct err *e)
{
	char url[REGISTRY_URL_MAX];
	struct request q = { .method = "GET",
			     .url = url,
			     .headers = str_eq(what, "manifests") ? choose_accept : NULL,
			     .text = &d->text,
			     .max = max };
	int r;

	(void)str_format(url, sizeof(url), "/v2/%s/%s/%s", session_place(s)->path, what, reference);
	buf_free(&d->text);
	d->text = BUF_INIT(IMAGE_DOCUMENT_MAX);
	r = session_do(s, &q, a, e);
	if (r < 0)
		return r;
	if (a->status < 200 || a->status > 299)
		return manifest_error(s, a, reference, e);
	if (digest_of(d->text.data, d->text.len, d->digest) < 0)
		return err_set(e, EIO, "cannot compute a digest");
	return str_copy(d->content_type, sizeof(d->content_type), a->content_type) < 0
		       ? err_set(e, EINVAL, "the Content-Type of the manifest is too long")
		       : 0;
}

int worker_get_manifest(struct session *s, const char *reference, const struct descriptor *promised,
			struct document *d, struct err *e)
{
	_cleanup_(answer_free) struct answer a = { 0 };
	int r = get_text(s, "manifests", reference, IMAGE_DOCUMENT_MAX, d, &a, e);

	if (r < 0)
		return r;
	if (promised) {
		r = descriptor_verify(promised, buf_text(&d->text), d->text.len, e);
	} else if (digest_valid(reference) && !str_eq(reference, d->digest)) {
		r = err_set(e, EINVAL, "the manifest that came for %s has the digest %s", reference,
			    d->digest);
	} else if (str_starts(a.digest, "sha256:") && !str_eq(a.digest, d->digest)) {
		r = err_set(e, EINVAL,
			    "the registry says that the manifest has the digest %s, and it has %s",
			    a.digest, d->digest);
	}
	if (r == 0 && promised && d->content_type[0] &&
	    !str_eq(d->content_type, promised->media_type) &&
	    (media_type_is_manifest(d->content_type) || media_type_is_index(d->content_type)))
		r = err_set(e, EINVAL, "the manifest came as \"%s\", the index says \"%s\"",
			    d->content_type, promised->media_type);
	if (r == 0)
		r = choose_read(buf_text(&d->text), d->text.len, d->content_type, &d->doc, &d->kind,
				e);
	return r < 0 && r != -EIO ? err_wrap(e, "the manifest of %s", reference) : r;
}

int worker_get_config(struct session *s, const struct document *manifest, struct document *config,
		      struct err *e)
{
	_cleanup_(answer_free) struct answer a = { 0 };
	struct descriptor d;
	int r = choose_config(yyjson_doc_get_root(manifest->doc), &d, e);

	if (r == 0)
		r = get_text(s, "blobs", d.digest, d.size, config, &a, e);
	if (r == 0)
		r = descriptor_verify(&d, buf_text(&config->text), config->text.len, e);
	return r < 0 ? err_wrap(e, "the image's config") : 0;
}

struct wanted {
	const char *reference;
	struct image_platform platform;
};

/* All documents from the endpoint where the session stands, to their descriptors. */
static int resolve_here(struct session *s, const struct wanted *w, struct document *top,
			struct err *e)
{
	_cleanup_(document_free) struct document chosen = { 0 }, config = { 0 };
	const struct document *manifest = top;
	struct descriptor d;
	int r = worker_get_manifest(s, w->reference, NULL, top, e);

	if (r == 0 && top->kind == DOCUMENT_INDEX) {
		r = choose_manifest(yyjson_doc_get_root(top->doc), &w->platform, &d, e);
		if (r == 0)
			r = worker_get_manifest(s, d.digest, &d, &chosen, e);
		if (r == 0 && chosen.kind != DOCUMENT_MANIFEST)
			r = err_set(e, EINVAL, "an index within an index is not supported");
		manifest = &chosen;
	}
	if (r == 0)
		r = worker_get_config(s, manifest, &config, e);
	if (r == 0)
		r = file_write_all(FD_TOP, top->text.data, top->text.len, e);
	if (r == 0 && manifest == &chosen)
		r = file_write_all(FD_MANIFEST, chosen.text.data, chosen.text.len, e);
	if (r == 0)
		r = file_write_all(FD_CONFIG, config.text.data, config.text.len, e);
	return r;
}

static int read_wanted(yyjson_val *args, struct wanted *w, struct err *e)
{
	yyjson_val *platform = NULL;
	int r = json_need_text(args, "reference", &w->reference, e);

	if (r == 0)
		r = json_get_object(args, "platform", &platform, e);
	if (r == 0)
		r = json_get_text(platform, "os", &w->platform.os, e);
	if (r == 0)
		r = json_get_text(platform, "architecture", &w->platform.architecture, e);
	if (r == 0)
		r = json_get_text(platform, "variant", &w->platform.variant, e);
	return r;
}

static bool is_mirror(const struct session *s)
{
	return session_place(s)->endpoints[session_endpoint(s)].mirror;
}

int fetch_resolve(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e)
{
	_cleanup_(document_free) struct document top = { 0 };
	struct wanted w = { 0 };
	struct json_writer out;
	int r = read_wanted(args, &w, e);

	for (size_t i = session_endpoint(s); r == 0; i++) {
		session_use(s, i);
		do {
			document_free(&top);
			top = (struct document){ 0 };
			r = resolve_here(s, &w, &top, e);
			/* nobody there: that is said at once */
		} while (r < 0 && !is_mirror(s) && r != -ECONNREFUSED && r != -EHOSTUNREACH &&
			 session_may_retry(s, r));
		if (r == 0 || !is_mirror(s))
			break;
		r = 0; /* the next mirror, or the origin: always the last */
	}
	if (r < 0)
		return r;
	json_writer_init(&out, &call->result);
	json_begin_object(&out);
	json_member_str(&out, "content_type", top.content_type);
	json_member_bool(&out, "index", top.kind == DOCUMENT_INDEX);
	session_write_memory(s, &out);
	json_end_object(&out);
	return 0;
}

/* ---- layers ---- */

struct blob {
	const char *digest;
	int64_t size, have;
};

/* Bytes from where it stands on; 0 when all have come. */
static int blob_once(struct session *s, struct blob *b, struct err *e)
{
	_cleanup_(answer_free) struct answer a = { 0 };
	char url[REGISTRY_URL_MAX];
	struct request q = { .method = "GET",
			     .url = url,
			     .writes_fd = true,
			     .write_fd = FD_BLOB,
			     .offset = b->have,
			     .max = b->size - b->have };
	int r;

	(void)str_format(url, sizeof(url), "/v2/%s/blobs/%s", session_place(s)->path, b->digest);
	r = session_do(s, &q, &a, e);
	b->have += a.got;
	if (r < 0)
		return r;
	if (a.status < 200 || a.status > 299) {
		r = answer_error(&a, NULL, e);
		return err_wrap(e, "the blob %s", b->digest), r;
	}
	if (b->have < b->size)
		return err_set(e, ECONNRESET, "the blob %s ended after %lld of its %lld bytes",
			       b->digest, (long long)b->have, (long long)b->size);
	return 0;
}

/* Whether another endpoint may have it, when this one does not. */
static bool next_endpoint(struct session *s, bool *ret_tried)
{
	size_t n = session_place(s)->n_endpoints;

	ret_tried[session_endpoint(s)] = true;
	for (size_t i = 0; i < n; i++) {
		if (ret_tried[i])
			continue;
		session_use(s, i);
		return true;
	}
	return false;
}

/* Its end is nobody's business but the pipe's; a wrong length is the blob's own. */
static bool is_final(int r)
{
	return r == -EPIPE || r == -EFBIG || r == -ENOMEM;
}

int fetch_blob(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e)
{
	bool tried[ENDPOINTS_MAX] = { 0 };
	struct json_writer out;
	struct blob b = { 0 };
	int r = json_need_text(args, "digest", &b.digest, e);

	if (r == 0)
		r = json_get_i64(args, "size", &b.size, e);
	if (r < 0)
		return r;
	session_progress(s, 0, b.size);
	do {
		r = b.size > 0 ? blob_once(s, &b, e) : 0;
	} while (r < 0 && !is_final(r) &&
		 ((is_mirror(s) && next_endpoint(s, tried)) || session_may_retry(s, r) ||
		  next_endpoint(s, tried)));
	if (r < 0)
		return r;
	json_writer_init(&out, &call->result);
	json_begin_object(&out);
	session_write_memory(s, &out);
	json_end_object(&out);
	return 0;
}

/* ---- an address, for imports ---- */

int fetch_address(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e)
{
	_cleanup_(answer_free) struct answer a = { 0 };
	struct request q = { .method = "GET", .writes_fd = true, .write_fd = FD_BLOB };
	int r = json_need_text(args, "url", &q.url, e);

	(void)call;
	if (r == 0)
		r = session_do(s, &q, &a, e);
	if (r < 0)
		return r;
	if (a.status < 200 || a.status > 299)
		return err_set(e, EREMOTEIO, "the server answers with status %d", a.status);
	if (a.length >= 0 && a.got != a.length)
		return err_set(e, ECONNRESET, "the download ended after %lld of %lld bytes",
			       (long long)a.got, (long long)a.length);
	return 0;
}

/* ---- login ---- */

int fetch_login(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e)
{
	_cleanup_(answer_free) struct answer a = { 0 };
	const struct request q = { .method = "GET", .url = "/v2/" };
	struct json_writer out;
	int r;

	(void)args;
	session_want_refresh(s);
	r = session_do(s, &q, &a, e);
	if (r == 0 && (a.status < 200 || a.status > 299)) {
		r = answer_error(&a, NULL, e);
		if (a.status == 401)
			r = err_set(e, EKEYREJECTED,
				    "login attempt to %s/v2/ failed with status: 401 Unauthorized",
				    session_place(s)->endpoints[session_endpoint(s)].base);
	}
	if (r < 0)
		return r;
	json_writer_init(&out, &call->result);
	json_begin_object(&out);
	if (session_refresh(s))
		json_member_str(&out, "identity_token", session_refresh(s));
	json_end_object(&out);
	return 0;
}
