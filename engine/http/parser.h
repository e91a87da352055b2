/*
 * Incremental HTTP/1.x request parser: bytes in, events out, no input or output of its own.
 *
 * It is strict on purpose: anything that two implementations might read differently (bare LF,
 * folded headers, a length beside chunked, a second length, a blank before the colon, NUL and other
 * control characters) is refused, so that no proxy, access check or log in front of a handler can
 * see another request than the handler does. Versions are HTTP/1.1 and HTTP/1.0.
 *
 * What was parsed of a request's head lives in one bounded allocation (struct http_head) that the
 * caller takes over at HTTP_HEAD; bodies are never copied: HTTP_BODY points into the input. An idle
 * parser holds no memory. Used by server.c and the fuzz targets.
 */
#ifndef SKERRY_HTTP_PARSER_H
#define SKERRY_HTTP_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/base/buf.h"
#include "init/base/err.h"

/* Every limit of the parser; what exceeds one is answered with the status named behind it. */
enum {
	HTTP_METHOD_MAX = 16, /* 400; the longest method in use has 7 letters */
	HTTP_TARGET_MAX = 32 << 10, /* 414; some clients repeat the body of create in the query */
	HTTP_LINE_MAX = 8 << 10, /* 431; one header line */
	HTTP_HEAD_MAX = 64 << 10, /* 431; request line and all headers */
	HTTP_HEADERS_MAX = 100, /* 431 */
	HTTP_CHUNK_DIGITS_MAX = 32, /* 400; leading zeros included */
	HTTP_CHUNK_EXT_MAX = 16 << 10, /* 400; chunk extensions of one body together */
	HTTP_TRAILER_MAX = 8 << 10, /* 431; all trailers of one body */
	HTTP_QUERY_MAX = 1024, /* 400; key=value pairs of a query */
};

struct http_field {
	uint32_t name, value; /* offsets into text, both NUL-terminated there */
};

struct http_pair {
	const char *key, *value; /* decoded; value "" when there was no "=" */
};

/* One request's head. All strings live in `text`, which does not move once the head is complete. */
struct http_head {
	struct buf text;
	uint32_t method_at, target_at, version_at;
	struct http_field fields[HTTP_HEADERS_MAX];
	size_t n_fields;

	/* filled by http_head_finish */
	const char *method;
	const char *path; /* decoded, begins with "/", or "*" */
	struct http_pair *query; /* owned */
	size_t n_query;
	unsigned minor; /* HTTP/1.minor */
	int64_t content_length; /* -1: none given */
	bool chunked;
	bool keep_alive;
	bool expect_continue;
	const char *upgrade; /* protocol of a wanted upgrade ("tcp"), or NULL */
};

void http_head_free(struct http_head *h);
DEFINE_CLEANUP(struct http_head *, http_head_free)

/* Value of the first header with this name (letter case ignored), or NULL. */
const char *http_head_get(const struct http_head *h, const char *name);

/* Decides what the collected lines mean: version, target, framing. 0, or -EBADMSG with the HTTP
 * status to answer in *ret_status. Called by the parser. */
int http_head_finish(struct http_head *h, int *ret_status, struct err *e);

enum http_event {
	HTTP_NEED, /* all input used, more is needed */
	HTTP_HEAD, /* the head is complete: http_parser_take_head() now */
	HTTP_BODY, /* body[0..body_len) of the input are body bytes */
	HTTP_END, /* the request is complete; the next byte begins another one */
};

struct http_step {
	enum http_event event;
	size_t used; /* bytes of the input that this step consumed */
	const char *body;
	size_t body_len;
};

/* Zero-initialised is ready. */
struct http_parser {
	int state;
	struct http_head *head; /* under construction */
	size_t line; /* bytes of the current line, digits of a chunk size */
	size_t head_len; /* bytes of the head so far */
	size_t ext_len, trailer_len;
	uint64_t left; /* bytes of the body or of the chunk still to come */
	int status; /* HTTP status to answer after a failure */
};

/*
 * Runs until one event is there or the input is used up. 0, or -EBADMSG (the request is wrong:
 * answer p->status with the text of e and close), -ENOMEM. After a failure every further call
 * fails the same way.
 */
int http_parse(struct http_parser *p, const char *data, size_t len, struct http_step *ret_step,
	       struct err *e);

/* The head that HTTP_HEAD announced, now the caller's. */
struct http_head *http_parser_take_head(struct http_parser *p);
/* True between requests: nothing of a next one has come yet. */
bool http_parser_idle(const struct http_parser *p);
void http_parser_clear(struct http_parser *p);

/*
 * Target handling (url.c). Decodes a request target in place: absolute-form loses its scheme and
 * authority, %XX is resolved in the path and in query keys and values ("+" is a blank in a query).
 * *ret_query is allocated (free()). -EBADMSG for anything malformed, %00 included.
 */
int http_target_parse(char *target, const char **ret_path, struct http_pair **ret_query,
		      size_t *ret_n_query, struct err *e);

/* RFC 9110 token characters */
bool http_is_token_char(unsigned char c);

#endif
