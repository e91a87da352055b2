/*
 * The fetch worker's HTTP: requests to one place, by libcurl. Only in `skerryd worker fetch`.
 *
 * A session knows the place's endpoints and stands on one of them (session_use). session_do makes
 * one request there and does what every request needs: TLS with the machine's CAs and host names
 * checked, plain HTTP only where the endpoint may, proxies, credentials after a challenge (Basic,
 * or a bearer token from the realm), redirects of GET and HEAD without credentials for other
 * origins, a bound on bytes and a least speed. It does not try again: whoever calls knows what may
 * be repeated (session_may_retry counts for all of them).
 *
 * A kind of exchange (fetch.h) is a function fetch_kind_fn; worker_fetch.c has their table.
 */
#ifndef SKERRY_REGISTRY_SESSION_H
#define SKERRY_REGISTRY_SESSION_H

#include "engine/registry/endpoints.h"
#include "engine/registry/registry.h"
#include "engine/worker/worker.h"
#include "init/base/buf.h"

enum {
	TRIES_MAX = 5, /* attempts of one worker in all */
	REDIRECTS_MAX = 10,
	TOKEN_MAX = 64 << 10, /* bytes of a token's answer */
	ERROR_BODY_MAX = 64 << 10,
	HEADERS_MAX = 64 << 10, /* bytes of all headers of an answer */
};

struct session;

typedef int (*fetch_kind_fn)(struct session *s, struct worker_call *call, yyjson_val *args,
			     struct err *e);

struct request {
	const char *method; /* "GET", "HEAD", "POST", "PATCH", "PUT", "DELETE" */
	/* "/v2/..." of the current endpoint, or an absolute address (of an upload, say), which gets
	 * credentials only when it has that endpoint's origin */
	const char *url;
	const char *const *headers; /* "Accept: ...", NULL-terminated; may be NULL */
	/* what is sent: `body`, or `send_size` bytes of send_fd from send_offset on */
	const void *body;
	size_t body_len;
	bool sends_fd;
	int send_fd;
	int64_t send_offset, send_size;
	/* where a body with status 2xx goes; others are kept for the error text */
	struct buf *text; /* up to its max: -EFBIG */
	bool writes_fd;
	int write_fd;
	int64_t offset; /* asks for the bytes from here on (Range) */
	int64_t max; /* bytes from `offset` on that are taken; more is -EFBIG; 0: no limit */
};

struct answer {
	int status; /* HTTP's */
	char content_type[128]; /* without parameters, lower case; "" */
	char digest[DIGEST_TEXT_MAX]; /* Docker-Content-Digest; "" when absent or none */
	char location[REGISTRY_URL_MAX]; /* absolute; "" */
	char range[64]; /* "0-1023" of an upload */
	char uuid[128]; /* Docker-Upload-UUID */
	char content_range[64];
	int64_t length; /* Content-Length, -1 */
	bool denied; /* 401 because the token does not reach far enough */
	int64_t got; /* bytes that went to text or write_fd */
	struct buf error; /* the body of another status than 2xx */
};
void answer_free(struct answer *a);
DEFINE_CLEANUP_VALUE(struct answer, answer_free)

/* 0 for every answer that HTTP has a status for, else -errno: -EPIPE nobody reads write_fd,
 * -ETIMEDOUT too slow, -EFBIG too long, -EPROTO broken TLS, -EKEYREJECTED no credentials do,
 * -ECONNREFUSED, -EHOSTUNREACH, -EIO. *ret is zeroed first. */
int session_do(struct session *s, const struct request *q, struct answer *ret, struct err *e);
/* What another status than 2xx means, in the registry's words: "denied: requested access to the
 * resource is denied". Always an error: ENOENT, EKEYREJECTED (401), EACCES (403), EAGAIN (429,
 * 5xx), EIO. ret_code (may be NULL): the first error's code, "MANIFEST_UNKNOWN"; "" without. */
enum { ERROR_CODE_MAX = 64 };
int answer_error(const struct answer *a, char ret_code[ERROR_CODE_MAX], struct err *e);

const struct place *session_place(const struct session *s);
/* Stands on this endpoint from now on. */
void session_use(struct session *s, size_t endpoint);
size_t session_endpoint(const struct session *s);
/* Whether what failed so may go better the next time. Then waits a little, and counts. */
bool session_may_retry(struct session *s, int error);
/* The scope of tokens from now on: "repository:a/b:pull"; more than one parted by blanks. */
int session_set_scope(struct session *s, const char *scope, struct err *e);
/* Asks for a refresh token with the next bearer token; what came of it, or NULL. */
void session_want_refresh(struct session *s);
const char *session_refresh(const struct session *s);
/* Tells the engine how far it is, at most five times a second unless it is the end. */
void session_progress(struct session *s, int64_t current, int64_t total);
/* Writes the member "memory" of the result (fetch.h). */
void session_write_memory(const struct session *s, struct json_writer *w);

/* The kinds. */
int fetch_resolve(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e);
int fetch_blob(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e);
int fetch_login(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e);
int fetch_address(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e);
int fetch_upload(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e);
int fetch_manifest(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e);
int fetch_describe(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e);
int fetch_search(struct session *s, struct worker_call *call, yyjson_val *args, struct err *e);

#endif
