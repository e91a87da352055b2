/*
 * Whole answers: status line, headers, body, error bodies, and the end of a request's life.
 *
 * An answer is put into the connection's output as a whole; the connection's kick sends it. When
 * the client has gone already, answering only frees the request. Called by handlers and conn.c.
 */
#include "engine/http/conn.h"

#include <string.h>
#include <time.h>

#include "init/base/str.h"

static const struct {
	int status;
	const char *text;
} statuses[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 301, "Moved Permanently" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 413, "Request Entity Too Large" },
	{ 414, "Request URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 417, "Expectation Failed" },
	{ 426, "Upgrade Required" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 505, "HTTP Version Not Supported" },
	{ 507, "Insufficient Storage" },
};

const char *http_status_text(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].text;
	return "Unknown";
}

/* Length of the well-formed UTF-8 character at s, 0 when it is none. */
static size_t utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char from, to, second_min, second_max, len;
	} forms[] = {
		{ 0x01, 0x7f, 0x00, 0xff, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (s[0] < forms[i].from || s[0] > forms[i].to)
			continue;
		if (s[1] < forms[i].second_min || s[1] > forms[i].second_max)
			return 0;
		for (size_t k = 2; k < forms[i].len; k++)
			if (s[k] < 0x80 || s[k] > 0xbf)
				return 0;
		return forms[i].len;
	}
	return 0;
}

static void json_char(struct buf *b, unsigned char c)
{
	if (c == '"' || c == '\\')
		buf_printf(b, "\\%c", c);
	else if (c == '\n')
		buf_add_text(b, "\\n");
	else if (c < 0x20 || c == 0x7f)
		buf_printf(b, "\\u%04x", c);
	else
		buf_add_char(b, (char)c);
}

int http_json_string(struct buf *b, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	buf_add_char(b, '"');
	while (*s) {
		size_t len = utf8_len(s);

		if (len == 1)
			json_char(b, *s);
		else if (len > 1)
			buf_add(b, s, len);
		else
			buf_add_text(b, "\xef\xbf\xbd");
		s += len > 0 ? len : 1;
	}
	buf_add_char(b, '"');
	return buf_failed(b);
}

static void add_date(struct buf *b)
{
	char text[40];
	struct tm tm;
	time_t now = time(NULL);

	if (gmtime_r(&now, &tm) &&
	    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0)
		buf_printf(b, "Date: %s\r\n", text);
}

void reply_head(struct buf *b, const struct http_config *config, const struct http_req *r,
		int status, const char *content_type, const char *framing)
{
	buf_printf(b, "HTTP/1.1 %d %s\r\n%s", status, http_status_text(status),
		   config->headers ? config->headers : "");
	if (r)
		buf_add(b, buf_text(&r->extra), r->extra.len);
	if (content_type)
		buf_printf(b, "Content-Type: %s\r\n", content_type);
	add_date(b);
	buf_printf(b, "%s\r\n", framing);
}

static bool keeps_alive(const struct http_req *r)
{
	return r->head->keep_alive && r->body_done && !r->conn->ending && !r->conn->read_ended;
}

static bool has_no_body(int status)
{
	return status < 200 || status == 204 || status == 304;
}

void http_reply(struct http_req *r, int status, const char *content_type, const void *body,
		size_t len)
{
	struct http_conn *c = r->conn;
	_cleanup_(buf_free) struct buf head = BUF_INIT(64 << 10);
	char framing[96] = "";

	if (!c) {
		req_end(r);
		return;
	}
	if (!has_no_body(status))
		str_format(framing, sizeof(framing), "Content-Length: %zu\r\n", len);
	if (!keeps_alive(r)) {
		str_format(framing + strlen(framing), sizeof(framing) - strlen(framing),
			   "Connection: close\r\n");
		c->ending = true;
	} else if (r->head->minor == 0) {
		str_format(framing + strlen(framing), sizeof(framing) - strlen(framing),
			   "Connection: keep-alive\r\n");
	}
	reply_head(&head, &c->server->config, r, status, content_type, framing);
	if (buf_failed(&head) < 0)
		c->broken = true;
	conn_queue(c, head.data, head.len);
	if (len > 0 && !has_no_body(status) && strcmp(r->method, "HEAD") != 0)
		conn_queue(c, body, len);
	req_end(r);
}

void http_reply_json(struct http_req *r, int status, const char *json, size_t len)
{
	http_reply(r, status, "application/json", json, len);
}

void http_reply_text(struct http_req *r, int status, const char *text)
{
	http_reply(r, status, "text/plain; charset=utf-8", text, strlen(text));
}

void http_reply_status(struct http_req *r, int status)
{
	http_reply(r, status, NULL, NULL, 0);
}

static void error_body(struct buf *b, const char *text)
{
	buf_add_text(b, "{\"message\":");
	http_json_string(b, text);
	buf_add_text(b, "}\n");
}

void http_reply_error(struct http_req *r, int status, const char *text)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(64 << 10);

	error_body(&b, text);
	http_reply_json(r, status, buf_text(&b), b.len);
}

void http_header(struct http_req *r, const char *name, const char *value)
{
	if (strpbrk(name, "\r\n") || strpbrk(value, "\r\n"))
		return;
	buf_printf(&r->extra, "%s: %s\r\n", name, value);
}

void reply_refusal(struct http_conn *c, int status, const char *text)
{
	_cleanup_(buf_free) struct buf body = BUF_INIT(8 << 10), b = BUF_INIT(16 << 10);
	char framing[96];

	error_body(&body, text);
	str_format(framing, sizeof(framing), "Content-Length: %zu\r\nConnection: close\r\n",
		   body.len);
	reply_head(&b, &c->server->config, NULL, status, "application/json", framing);
	buf_add(&b, buf_text(&body), body.len);
	conn_queue(c, b.data, b.len);
	c->ending = true;
}

void req_free(struct http_req *r)
{
	if (!r)
		return;
	http_head_free(r->head);
	buf_free(&r->body_buf);
	buf_free(&r->extra);
	free(r);
}

void req_end(struct http_req *r)
{
	r->mode = REQ_ENDED;
	if (r->conn)
		conn_kick(r->conn);
	else
		req_free(r);
}
