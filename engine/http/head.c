/*
 * What a complete request head means: version, framing of the body, connection, upgrade.
 *
 * The parser collected and checked the characters; here the headers that decide where a request
 * ends are read, each by one function of a table. Whatever would leave room for two readings is
 * refused. Called once per request by parser.c.
 */
#include "engine/http/parser.h"

#include <string.h>
#include <strings.h>

struct framing {
	struct http_head *head;
	int hosts, lengths, codings;
	bool close, keep_alive, upgrade_token;
	const char *upgrade;
	int status;
};

static int refuse(struct framing *f, int status, struct err *e, const char *text)
{
	f->status = status;
	return err_set(e, EBADMSG, "%s", text);
}

/* the characters of RFC 3986 that may stand in host[:port], [v6]:port and registered names */
static bool host_valid(const char *s)
{
	for (; *s; s++) {
		bool alnum = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			     (*s >= '0' && *s <= '9');

		if (!alnum && !strchr("!$%&()*+,-.:;=[']_~", *s))
			return false;
	}
	return true;
}

static int on_host(struct framing *f, const char *value, struct err *e)
{
	if (++f->hosts > 1)
		return refuse(f, 400, e, "too many Host headers");
	if (!host_valid(value))
		return refuse(f, 400, e, "malformed Host header");
	return 0;
}

static int on_length(struct framing *f, const char *value, struct err *e)
{
	uint64_t n = 0;

	if (++f->lengths > 1)
		return refuse(f, 400, e, "more than one Content-Length header");
	if (!*value)
		return refuse(f, 400, e, "malformed Content-Length header: it is empty");
	for (; *value; value++) {
		if (*value < '0' || *value > '9')
			return refuse(f, 400, e,
				      "malformed Content-Length header: only digits are allowed");
		if (n > ((uint64_t)INT64_MAX - 9) / 10)
			return refuse(f, 400, e, "malformed Content-Length header: out of range");
		n = n * 10 + (unsigned)(*value - '0');
	}
	f->head->content_length = (int64_t)n;
	return 0;
}

static int on_coding(struct framing *f, const char *value, struct err *e)
{
	if (++f->codings > 1)
		return refuse(f, 400, e, "more than one Transfer-Encoding header");
	if (strcasecmp(value, "chunked") != 0)
		return refuse(f, 501, e, "unsupported transfer encoding: only chunked is known");
	f->head->chunked = true;
	return 0;
}

static void connection_option(struct framing *f, const char *word, size_t len)
{
	if (len == 5 && strncasecmp(word, "close", len) == 0)
		f->close = true;
	else if (len == 10 && strncasecmp(word, "keep-alive", len) == 0)
		f->keep_alive = true;
	else if (len == 7 && strncasecmp(word, "upgrade", len) == 0)
		f->upgrade_token = true;
}

static int on_connection(struct framing *f, const char *value, struct err *e)
{
	(void)e;
	while (*value) {
		size_t len;

		value += strspn(value, ", \t");
		len = strcspn(value, ", \t");
		connection_option(f, value, len);
		value += len;
	}
	return 0;
}

static int on_upgrade(struct framing *f, const char *value, struct err *e)
{
	(void)e;
	if (!f->upgrade && *value)
		f->upgrade = value;
	return 0;
}

static int on_expect(struct framing *f, const char *value, struct err *e)
{
	if (strcasecmp(value, "100-continue") != 0)
		return refuse(f, 417, e, "unsupported Expect header: only 100-continue is known");
	f->head->expect_continue = true;
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(struct framing *f, const char *value, struct err *e);
} framing_headers[] = {
	{ "Host", on_host },
	{ "Content-Length", on_length },
	{ "Transfer-Encoding", on_coding },
	{ "Connection", on_connection },
	{ "Upgrade", on_upgrade },
	{ "Expect", on_expect },
};

static int check_version(struct framing *f, struct err *e)
{
	const char *version = f->head->text.data + f->head->version_at;

	if (strcmp(version, "HTTP/1.1") == 0)
		f->head->minor = 1;
	else if (strcmp(version, "HTTP/1.0") == 0)
		f->head->minor = 0;
	else if (strcmp(f->head->text.data, "PRI") == 0)
		return refuse(f, 400, e, "HTTP/2 is not supported here: use HTTP/1.1");
	else if (strncmp(version, "HTTP/", 5) == 0)
		return refuse(f, 505, e,
			      "unsupported protocol version: HTTP/1.1 and HTTP/1.0 are known");
	else
		return refuse(f, 400, e,
			      "malformed HTTP request line: a version like HTTP/1.1 must end it");
	return 0;
}

static int check_framing(struct framing *f, struct err *e)
{
	struct http_head *h = f->head;

	if (h->minor == 1 && f->hosts == 0)
		return refuse(f, 400, e, "missing required Host header");
	if (h->chunked && h->minor == 0)
		return refuse(f, 400, e, "Transfer-Encoding is not allowed in an HTTP/1.0 request");
	if (h->chunked && f->lengths > 0)
		return refuse(f, 400, e, "Content-Length beside Transfer-Encoding is not allowed");
	h->keep_alive = !f->close && (h->minor == 1 || f->keep_alive);
	h->upgrade = h->minor == 1 && f->upgrade_token ? f->upgrade : NULL;
	if (h->minor == 0)
		h->expect_continue = false;
	return 0;
}

static int each_header(struct framing *f, struct err *e)
{
	struct http_head *h = f->head;

	for (size_t i = 0; i < h->n_fields; i++) {
		const char *name = h->text.data + h->fields[i].name;

		for (size_t k = 0; k < ARRAY_SIZE(framing_headers); k++) {
			int r;

			if (strcasecmp(name, framing_headers[k].name) != 0)
				continue;
			r = framing_headers[k].fn(f, h->text.data + h->fields[i].value, e);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* OPTIONS may ask about "*"; CONNECT has no place here. */
static int check_target(struct framing *f, struct err *e)
{
	struct http_head *h = f->head;

	h->method = h->text.data + h->method_at;
	if (strcmp(h->method, "CONNECT") == 0)
		return refuse(f, 400, e, "CONNECT is not supported: this is no proxy");
	if (strcmp(h->text.data + h->target_at, "*") == 0 && strcmp(h->method, "OPTIONS") != 0)
		return refuse(f, 400, e, "malformed request target: \"*\" is for OPTIONS only");
	return http_target_parse(h->text.data + h->target_at, &h->path, &h->query, &h->n_query, e);
}

int http_head_finish(struct http_head *h, int *ret_status, struct err *e)
{
	struct framing f = { .head = h, .status = 400 };
	int r = check_version(&f, e);

	if (r == 0)
		r = each_header(&f, e);
	if (r == 0)
		r = check_framing(&f, e);
	if (r == 0)
		r = check_target(&f, e);
	if (r < 0)
		*ret_status = f.status;
	return r;
}

const char *http_head_get(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->n_fields; i++)
		if (strcasecmp(h->text.data + h->fields[i].name, name) == 0)
			return h->text.data + h->fields[i].value;
	return NULL;
}

void http_head_free(struct http_head *h)
{
	if (!h)
		return;
	buf_free(&h->text);
	free(h->query);
	free(h);
}
