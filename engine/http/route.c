/*
 * Routes and the reading side of a request: path patterns, version prefix, query, headers.
 *
 * Patterns are matched segment by segment against the decoded path; a greedy parameter ("{name*}")
 * takes as many segments as the rest of the pattern leaves. Empty, "." and ".." segments match
 * nothing, so that no handler ever sees them. Called by conn.c and by handlers.
 */
#include "engine/http/server.h"

#include <string.h>
#include <strings.h>

#include "init/base/str.h"

/* A piece of the path between two slashes. */
struct segment {
	char *at;
	size_t len;
};

enum { SEGMENTS_MAX = 32 };

/* Splits without changing the path; 0 when it has wrong segments or too many. "/" has none. */
static size_t split(char *path, struct segment *out)
{
	size_t n = 0;

	while (*path == '/') {
		size_t len = strcspn(++path, "/");

		if (len == 0 || n == SEGMENTS_MAX)
			return 0;
		if (path[0] == '.' && (len == 1 || (len == 2 && path[1] == '.')))
			return 0;
		out[n++] = (struct segment){ path, len };
		path += len;
	}
	return n;
}

struct match {
	struct segment values[HTTP_PARAMS_MAX];
	size_t n;
};

/* Matches pattern (at a "/") against segments[0..n). */
static bool match_rest(const char *pattern, const struct segment *seg, size_t n, struct match *m)
{
	size_t len, take, n_before = m->n;

	if (!*pattern)
		return n == 0;
	len = strcspn(++pattern, "/");
	if (n == 0)
		return false;
	if (pattern[0] != '{')
		return seg->len == len && memcmp(seg->at, pattern, len) == 0 &&
		       match_rest(pattern + len, seg + 1, n - 1, m);
	if (m->n == HTTP_PARAMS_MAX)
		return false;
	for (take = pattern[len - 2] == '*' ? n : 1; take > 0; take--) {
		char *start = seg[0].at, *end = seg[take - 1].at + seg[take - 1].len;

		m->n = n_before;
		m->values[m->n++] = (struct segment){ start, (size_t)(end - start) };
		if (match_rest(pattern + len, seg + take, n - take, m))
			return true;
	}
	m->n = n_before;
	return false;
}

/* "v1.41" -> 1, 41. False when the segment is no version. */
static bool parse_version(const struct segment *seg, unsigned *ret_major, unsigned *ret_minor)
{
	unsigned part[2] = { 0, 0 };
	size_t which = 0, digits = 0;

	if (seg->len < 2 || seg->at[0] != 'v')
		return false;
	for (size_t i = 1; i < seg->len; i++) {
		char c = seg->at[i];

		if (c == '.' && digits > 0 && which == 0) {
			which = 1;
			digits = 0;
			continue;
		}
		if (c < '0' || c > '9' || ++digits > 6)
			return false;
		part[which] = part[which] * 10 + (unsigned)(c - '0');
	}
	if (digits == 0)
		return false;
	*ret_major = part[0];
	*ret_minor = part[1];
	return true;
}

const struct http_route *http_route_find(const struct http_route *routes, size_t n_routes,
					 const char *method, char *path, struct http_req *r)
{
	struct segment all[SEGMENTS_MAX], *seg = all;
	size_t n = split(path, all);

	r->api_major = r->api_minor = 0;
	if (n > 1 && parse_version(seg, &r->api_major, &r->api_minor)) {
		seg++;
		n--;
	}
	for (size_t i = 0; n > 0 && i < n_routes; i++) {
		struct match m = { .n = 0 };

		if (strcmp(routes[i].method, method) != 0 ||
		    !match_rest(routes[i].pattern, seg, n, &m))
			continue;
		r->path = seg->at - 1;
		for (size_t k = 0; k < m.n; k++) {
			m.values[k].at[m.values[k].len] = '\0';
			r->params[k] = m.values[k].at;
		}
		return &routes[i];
	}
	return NULL;
}

const char *http_header_get(const struct http_req *r, const char *name)
{
	return http_head_get(r->head, name);
}

const char *http_query_at(const struct http_req *r, const char *key, size_t i)
{
	for (size_t k = 0; k < r->head->n_query; k++)
		if (strcmp(r->head->query[k].key, key) == 0 && i-- == 0)
			return r->head->query[k].value;
	return NULL;
}

const char *http_query(const struct http_req *r, const char *key)
{
	return http_query_at(r, key, 0);
}

bool http_text_bool(const char *text)
{
	static const char *const no[] = { "", "0", "no", "false", "none" };
	size_t len;

	while (*text == ' ' || *text == '\t')
		text++;
	len = strlen(text);
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		if (strlen(no[i]) == len && strncasecmp(text, no[i], len) == 0)
			return false;
	return true;
}

bool http_query_bool(const struct http_req *r, const char *key, bool absent)
{
	const char *text = http_query(r, key);

	return text ? http_text_bool(text) : absent;
}

int http_query_i64(const struct http_req *r, const char *key, int64_t *value, struct err *e)
{
	const char *text = http_query(r, key);

	if (str_empty(text) || str_to_i64(text, value) == 0)
		return 0;
	return err_set(e, EINVAL, "invalid value for %s: \"%.40s\": must be a whole number", key,
		       text);
}

bool http_wants_upgrade(const struct http_req *r, const char *protocol)
{
	return r->head->upgrade && strcasecmp(r->head->upgrade, protocol) == 0;
}
