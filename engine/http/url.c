/*
 * Request targets: absolute form, percent-decoding, queries.
 *
 * Everything is decoded in place (the result is never longer), once, before any decision is taken,
 * so that whoever looks at a path later sees the same bytes as the handler. Called by head.c.
 */
#include "engine/http/parser.h"

#include <string.h>
#include <strings.h>

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes s in place. A NUL may not hide in it. */
static int decode(char *s, bool plus_is_blank, struct err *e)
{
	char *out = s;

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '%') {
			int hi = digit(s[1]), lo = hi < 0 ? -1 : digit(s[2]);

			if (lo < 0)
				return err_set(e, EBADMSG, "invalid URL escape \"%.3s\"", s);
			c = (unsigned char)(hi << 4 | lo);
			s += 2;
			if (c == 0)
				return err_set(e, EBADMSG, "invalid URL escape \"%%00\"");
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		*out++ = (char)c;
	}
	*out = '\0';
	return 0;
}

/* http://authority/path?query -> /path?query */
static int strip_authority(char **target, struct err *e)
{
	char *s = *target;
	size_t len;

	if (strncasecmp(s, "http://", 7) == 0)
		s += 7;
	else if (strncasecmp(s, "https://", 8) == 0)
		s += 8;
	else
		return err_set(e, EBADMSG, "malformed request target: it must begin with \"/\"");
	len = strcspn(s, "/?");
	if (len == 0 || memchr(s, '@', len))
		return err_set(e, EBADMSG, "malformed request target: wrong host");
	s += len;
	if (*s == '/') {
		*target = s;
		return 0;
	}
	/* an empty path means "/"; there is room for it where the authority was */
	*--s = '/';
	*target = s;
	return 0;
}

static int split_query(char *query, struct http_pair *pairs, size_t *ret_n, struct err *e)
{
	size_t n = 0;
	char *next, *value;
	int r;

	for (char *s = query; s && *s; s = next) {
		next = strchr(s, '&');
		if (next)
			*next++ = '\0';
		if (!*s)
			continue;
		value = strchr(s, '=');
		if (value)
			*value++ = '\0';
		r = decode(s, true, e);
		if (r == 0 && value)
			r = decode(value, true, e);
		if (r < 0)
			return r;
		pairs[n++] = (struct http_pair){ .key = s, .value = value ? value : "" };
	}
	*ret_n = n;
	return 0;
}

static size_t count_pairs(const char *query)
{
	size_t n = 1;

	for (; *query; query++)
		n += *query == '&';
	return n;
}

int http_target_parse(char *target, const char **ret_path, struct http_pair **ret_query,
		      size_t *ret_n_query, struct err *e)
{
	_cleanup_(mem_free) struct http_pair *pairs = NULL;
	char *query;
	size_t n = 0;
	int r = 0;

	if (strchr(target, '#'))
		return err_set(e, EBADMSG, "malformed request target: it has a fragment");
	if (strcmp(target, "*") != 0 && *target != '/')
		r = strip_authority(&target, e);
	if (r < 0)
		return r;
	query = strchr(target, '?');
	if (query) {
		*query++ = '\0';
		if (count_pairs(query) > HTTP_QUERY_MAX)
			return err_set(e, EBADMSG, "too many query parameters: at most 1024");
		pairs = calloc(count_pairs(query), sizeof(*pairs));
		if (!pairs)
			return err_set(e, ENOMEM, "out of memory");
		r = split_query(query, pairs, &n, e);
	}
	if (r == 0)
		r = decode(target, false, e);
	if (r < 0)
		return r;
	*ret_path = target;
	*ret_query = take_ptr(pairs);
	*ret_n_query = n;
	return 0;
}
