/*
 * The worker's side of a push: one blob, or one manifest, to the place's origin.
 *
 *   upload    {"digest","size","mounts":["library/a",...]}, descriptor FETCH_FD_FIRST: the blob
 *             -> {"outcome":"exists|mounted|pushed","from":"library/a"}
 *   manifest  {"reference","media_type","size"}, descriptor FETCH_FD_FIRST: its text -> {}
 *
 * A blob is asked for first, then mounted out of another repository of the same registry, then
 * sent: whole in one request, and where the registry or the network does not bear that in pieces,
 * of which only the last one is sent again. Rows of the table in worker_fetch.c.
 */
#include <string.h>

#include "engine/registry/fetch.h"
#include "engine/registry/session.h"
#include "init/base/str.h"

enum {
	PIECE = 16 << 20, /* bytes of one PATCH; halved for who does not take them, down to ... */
	PIECE_MIN = 64 << 10,
	MOUNTS_MAX = 4, /* repositories that are tried */
};

struct upload {
	struct session *s;
	const char *path; /* repository */
	const char *digest;
	int64_t size;
	char location[REGISTRY_URL_MAX]; /* of the running upload; "": none */
	int64_t at; /* bytes that the registry has */
};

static const char *const octets[] = { "Content-Type: application/octet-stream", NULL };

/* ---- single requests ---- */

/* One request without a body. */
static int ask(struct upload *u, const char *method, const char *url, struct answer *a,
	       struct err *e)
{
	return session_do(u->s, &(struct request){ .method = method, .url = url }, a, e);
}

/* 1: the registry has the blob, 0: it has not. */
static int look(struct upload *u, struct err *e)
{
	char url[REGISTRY_URL_MAX];
	int r = str_format(url, sizeof(url), "/v2/%s/blobs/%s", u->path, u->digest);

	for (;;) {
		_cleanup_(answer_free) struct answer a = { 0 };
		struct err why = { 0 };

		if (r == 0)
			r = ask(u, "HEAD", url, &a, &why);
		if (r == 0 && a.status / 100 == 2)
			return 1;
		if (r == 0 && a.status == 404)
			return 0;
		if (r == 0)
			r = answer_error(&a, NULL, &why);
		if (!session_may_retry(u->s, r))
			return err_set(e, -r, "%s", err_text(&why));
		r = 0;
	}
}

/* Starts an upload; with `from` a mount. 1: it was mounted, 0: u->location is where to send to. */
static int begin(struct upload *u, const char *from, struct err *e)
{
	_cleanup_(answer_free) struct answer a = { 0 };
	char url[REGISTRY_URL_MAX];
	int r = from ? str_format(url, sizeof(url), "/v2/%s/blobs/uploads/?mount=%s&from=%s",
				  u->path, u->digest, from)
		     : str_format(url, sizeof(url), "/v2/%s/blobs/uploads/", u->path);

	u->location[0] = '\0';
	u->at = 0;
	if (r == 0)
		r = ask(u, "POST", url, &a, e);
	if (r < 0)
		return r;
	if (a.status == 201 && from)
		return 1;
	if (a.status != 202)
		return answer_error(&a, NULL, e);
	if (!a.location[0])
		return err_set(e, EIO, "the registry began an upload but did not say where");
	return str_copy(u->location, sizeof(u->location), a.location);
}

/* A failed mount that became an upload is of no use when another repository is tried. */
static void drop(struct upload *u)
{
	_cleanup_(answer_free) struct answer a = { 0 };

	if (u->location[0])
		(void)ask(u, "DELETE", u->location, &a, NULL);
	u->location[0] = '\0';
}

static int set_scope(struct upload *u, const char *from, struct err *e)
{
	char scope[REGISTRY_URL_MAX];
	int r = str_format(scope, sizeof(scope), "repository:%s:pull,push%s%s%s", u->path,
			   from ? " repository:" : "", from ? from : "", from ? ":pull" : "");

	return r < 0 ? err_set(e, EINVAL, "the repository's name is too long")
		     : session_set_scope(u->s, scope, e);
}

/* The repository that the blob was mounted from, NULL: none. What fails here is only a pity: a
 * registry may not let this client read over there. */
static const char *mount(struct upload *u, yyjson_val *mounts)
{
	yyjson_val *value;
	size_t i, max;

	yyjson_arr_foreach(mounts, i, max, value)
	{
		const char *from = yyjson_get_str(value);

		if (!from || i == MOUNTS_MAX)
			break;
		drop(u);
		if (set_scope(u, from, NULL) == 0 && begin(u, from, NULL) == 1)
			return from;
	}
	return NULL;
}

/* ---- sending ---- */

/* The address that ends the upload. */
static int final_url(const struct upload *u, char ret[REGISTRY_URL_MAX], struct err *e)
{
	return str_format(ret, REGISTRY_URL_MAX, "%s%sdigest=%s", u->location,
			  strchr(u->location, '?') ? "&" : "?", u->digest) < 0
		       ? err_set(e, EIO, "the address of an upload is too long")
		       : 0;
}

/* One PUT with all of it. ret_status: HTTP's, 0 when there was no answer. */
static int send_whole(struct upload *u, int *ret_status, struct err *e)
{
	_cleanup_(answer_free) struct answer a = { 0 };
	struct request q = { .method = "PUT",
			     .headers = octets,
			     .sends_fd = true,
			     .send_fd = FETCH_FD_FIRST,
			     .send_size = u->size };
	char url[REGISTRY_URL_MAX];
	int r = final_url(u, url, e);

	*ret_status = 0;
	q.url = url;
	if (r == 0)
		r = session_do(u->s, &q, &a, e);
	*ret_status = a.status;
	if (r == 0 && a.status / 100 != 2)
		r = answer_error(&a, NULL, e);
	return r;
}

/* "0-1023" or "bytes=0-1023": 1024; -1: not to be read. */
static int64_t range_end(const char *range)
{
	const char *dash = strchr(range, '-');
	uint64_t last;

	if (!dash || str_to_u64(dash + 1, &last) < 0 || last >= INT64_MAX)
		return -1;
	return (int64_t)last + 1;
}

static void take_location(struct upload *u, const struct answer *a)
{
	if (a->location[0])
		(void)str_copy(u->location, sizeof(u->location), a->location);
}

/* Asks how much of the upload has arrived. */
static int find_out(struct upload *u, struct err *e)
{
	_cleanup_(answer_free) struct answer a = { 0 };
	int r = ask(u, "GET", u->location, &a, e);
	int64_t have = range_end(a.range);

	if (r == 0 && a.status / 100 != 2)
		r = answer_error(&a, NULL, e);
	if (r < 0)
		return r;
	take_location(u, &a);
	/* "0-0" is what registries say of nothing, and of one byte */
	if (have == 1)
		have = 0;
	if (have < 0 || have > u->size)
		return err_set(e, EIO, "the registry does not say how much of %s it has",
			       u->digest);
	u->at = have;
	return 0;
}

/* One PATCH of up to `piece` bytes. */
static int send_piece(struct upload *u, int64_t piece, int *ret_status, struct err *e)
{
	_cleanup_(answer_free) struct answer a = { 0 };
	int64_t n = MIN(piece, u->size - u->at), have;
	char range[80];
	const char *const headers[] = { octets[0], range, NULL };
	int r;

	(void)str_format(range, sizeof(range), "Content-Range: %lld-%lld", (long long)u->at,
			 (long long)(u->at + n - 1));
	r = session_do(u->s,
		       &(struct request){ .method = "PATCH",
					  .url = u->location,
					  .headers = headers,
					  .sends_fd = true,
					  .send_fd = FETCH_FD_FIRST,
					  .send_offset = u->at,
					  .send_size = n },
		       &a, e);
	*ret_status = a.status;
	if (r < 0)
		return r;
	if (a.status != 202 && a.status != 204 && a.status != 201)
		return answer_error(&a, NULL, e);
	take_location(u, &a);
	have = range_end(a.range);
	u->at = have > u->at && have <= u->at + n ? have : u->at + n;
	return 0;
}

static int finish(struct upload *u, struct err *e)
{
	_cleanup_(answer_free) struct answer a = { 0 };
	char url[REGISTRY_URL_MAX];
	int r = final_url(u, url, e);

	if (r == 0)
		r = ask(u, "PUT", url, &a, e);
	return r == 0 && a.status / 100 != 2 ? answer_error(&a, NULL, e) : r;
}

static int send_pieces(struct upload *u, struct err *e)
{
	int64_t piece = PIECE;
	int r = begin(u, NULL, e), status = 0;

	while (r == 0 && u->at < u->size) {
		r = send_piece(u, piece, &status, e);
		if (r == 0)
			session_progress(u->s, u->at, u->size);
		else if (status == 413 && piece > PIECE_MIN && (piece /= 2))
			r = 0;
		else if (status == 416 || session_may_retry(u->s, r))
			r = status == 416 && !session_may_retry(u->s, -EAGAIN) ? r : find_out(u, e);
	}
	return r == 0 ? finish(u, e) : r;
}

static int send(struct upload *u, struct err *e)
{
	int status = 0, r = 0;

	if (!u->location[0])
		r = begin(u, NULL, e);
	if (r == 0)
		r = send_whole(u, &status, e);
	/* too much for one request, or the connection did not last so long */
	if (r < 0 && (status == 413 || session_may_retry(u->s, r)))
		r = send_pieces(u, e);
	return r;
}

/* ---- kinds ---- */

static void write_outcome(const struct upload *u, struct worker_call *call, const char *outcome,
			  const char *from)
{
	struct json_writer w;

	json_writer_init(&w, &call->result);
	json_begin_object(&w);
	json_member_str(&w, "outcome", outcome);
	json_member_str(&w, "from", from);
	session_write_memory(u->s, &w);
	json_end_object(&w);
}

/* Pushes go to the origin, never to a mirror. */
static void use_origin(struct session *s)
{
	session_use(s, session_place(s)->n_endpoints - 1);
}

int fetch_upload(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e)
{
	struct upload u = { .s = s, .path = session_place(s)->path };
	yyjson_val *mounts = NULL;
	const char *from = NULL;
	int r;

	if ((r = json_need_text(args, "digest", &u.digest, e)) < 0 ||
	    (r = json_get_i64(args, "size", &u.size, e)) < 0 ||
	    (r = json_get_array(args, "mounts", &mounts, e)) < 0)
		return r;
	use_origin(s);
	r = look(&u, e);
	if (r < 0)
		return r;
	if (r > 0) {
		write_outcome(&u, call, "exists", NULL);
		return 0;
	}
	from = mount(&u, mounts);
	r = yyjson_arr_size(mounts) ? set_scope(&u, NULL, e) : 0;
	if (r == 0 && !from)
		r = send(&u, e);
	if (r < 0)
		return r;
	write_outcome(&u, call, from ? "mounted" : "pushed", from);
	return 0;
}

static int put_manifest(struct session *s, const char *url, const char *const *headers,
			int64_t size, struct err *e)
{
	for (;;) {
		_cleanup_(answer_free) struct answer a = { 0 };
		struct err why = { 0 };
		int r = session_do(s,
				   &(struct request){ .method = "PUT",
						      .url = url,
						      .headers = headers,
						      .sends_fd = true,
						      .send_fd = FETCH_FD_FIRST,
						      .send_size = size },
				   &a, &why);

		if (r == 0 && a.status / 100 == 2)
			return 0;
		if (r == 0)
			r = answer_error(&a, NULL, &why);
		if (!session_may_retry(s, r))
			return err_set(e, -r, "%s", err_text(&why));
	}
}

int fetch_manifest(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e)
{
	const char *reference = NULL, *media_type = NULL;
	char url[REGISTRY_URL_MAX], type[192];
	const char *const headers[] = { type, NULL };
	const struct upload u = { .s = s };
	int64_t size = 0;
	int r;

	if ((r = json_need_text(args, "reference", &reference, e)) < 0 ||
	    (r = json_need_text(args, "media_type", &media_type, e)) < 0 ||
	    (r = json_get_i64(args, "size", &size, e)) < 0)
		return r;
	if (str_format(url, sizeof(url), "/v2/%s/manifests/%s", session_place(s)->path, reference) <
		    0 ||
	    str_format(type, sizeof(type), "Content-Type: %s", media_type) < 0)
		return err_set(e, EINVAL, "the name or type of the manifest is too long");
	use_origin(s);
	r = put_manifest(s, url, headers, size, e);
	if (r == 0)
		write_outcome(&u, call, "pushed", NULL);
	return r;
}
