/*
 * The byte machine behind http_parse(): one small function per state, a table from state to
 * function.
 *
 * Head bytes are checked as they come and appended to head->text with a NUL behind each token, so
 * that nothing is scanned twice and a wrong byte is refused at once, however slowly the rest
 * arrives. What the complete head means is decided in head.c. Bodies (fixed length or chunked) are
 * handed out as spans of the input. Trailers are checked like headers and dropped.
 */
#include "engine/http/parser.h"

#include <string.h>

enum state {
	ST_METHOD,
	ST_TARGET,
	ST_VERSION,
	ST_LINE_LF,
	ST_FIELD,
	ST_NAME,
	ST_VALUE_START,
	ST_VALUE,
	ST_HEAD_LF,
	ST_BODY_BEGIN,
	ST_FIXED,
	ST_SIZE_FIRST,
	ST_SIZE,
	ST_EXT,
	ST_SIZE_LF,
	ST_CHUNK,
	ST_CHUNK_CR,
	ST_CHUNK_LF,
	ST_TRAILER,
	ST_TRAILER_NAME,
	ST_TRAILER_VALUE,
	ST_TRAILER_LF,
	ST_LAST_LF,
	ST_DONE,
	ST_FAILED,
	ST_COUNT
};

bool http_is_token_char(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_value_char(unsigned char c)
{
	return c == '\t' || (c >= ' ' && c != 0x7f);
}

static int refuse(struct http_parser *p, int status, struct err *e, const char *text)
{
	p->status = status;
	p->state = ST_FAILED;
	return err_set(e, EBADMSG, "%s", text);
}

static int put(struct http_parser *p, unsigned char c)
{
	return buf_add_char(&p->head->text, (char)c);
}

static int start_head(struct http_parser *p)
{
	p->head = calloc(1, sizeof(*p->head));
	if (!p->head)
		return -ENOMEM;
	/* one more byte per token for its NUL */
	p->head->text = BUF_INIT(HTTP_HEAD_MAX + 2 * HTTP_HEADERS_MAX + 8);
	p->head->content_length = -1;
	p->head_len = 0;
	p->line = 0;
	return 0;
}

static int on_method(struct http_parser *p, unsigned char c, struct err *e)
{
	if (!p->head && start_head(p) < 0)
		return err_set(e, ENOMEM, "out of memory");
	if (c == ' ' && p->line > 0) {
		p->line = 0;
		p->head->target_at = (uint32_t)p->head->text.len + 1;
		p->state = ST_TARGET;
		return put(p, '\0');
	}
	if (!http_is_token_char(c))
		return refuse(p, 400, e,
			      "malformed HTTP request line: the method has a wrong character");
	if (++p->line > HTTP_METHOD_MAX)
		return refuse(p, 400, e, "malformed HTTP request line: the method is too long");
	return put(p, c);
}

static int on_target(struct http_parser *p, unsigned char c, struct err *e)
{
	if (c == ' ' && p->line > 0) {
		p->line = 0;
		p->head->version_at = (uint32_t)p->head->text.len + 1;
		p->state = ST_VERSION;
		return put(p, '\0');
	}
	if (c <= ' ' || c >= 0x7f)
		return refuse(p, 400, e,
			      "malformed HTTP request line: the target has a wrong character");
	if (++p->line > HTTP_TARGET_MAX)
		return refuse(p, 414, e, "request target is too long: at most 32768 bytes");
	return put(p, c);
}

static int on_version(struct http_parser *p, unsigned char c, struct err *e)
{
	if (c == '\r') {
		p->state = ST_LINE_LF;
		return put(p, '\0');
	}
	if (c <= ' ' || c >= 0x7f || ++p->line > strlen("HTTP/1.1"))
		return refuse(p, 400, e,
			      "malformed HTTP request line: a version like HTTP/1.1 must end it");
	return put(p, c);
}

static int on_line_lf(struct http_parser *p, unsigned char c, struct err *e)
{
	if (c != '\n')
		return refuse(p, 400, e, "malformed HTTP request: CR without LF");
	p->state = ST_FIELD;
	return 0;
}

static int on_field(struct http_parser *p, unsigned char c, struct err *e)
{
	struct http_head *h = p->head;

	p->line = 0;
	if (c == '\r') {
		p->state = ST_HEAD_LF;
		return 0;
	}
	if (c == ' ' || c == '\t')
		return refuse(p, 400, e,
			      "malformed HTTP request: folded header lines are not accepted");
	if (!http_is_token_char(c))
		return refuse(p, 400, e,
			      "malformed HTTP request: a header name has a wrong character");
	if (h->n_fields == HTTP_HEADERS_MAX)
		return refuse(p, 431, e, "too many request headers: at most 100");
	h->fields[h->n_fields].name = (uint32_t)h->text.len;
	p->state = ST_NAME;
	p->line = 1;
	return put(p, c);
}

static int too_long(struct http_parser *p, struct err *e)
{
	return refuse(p, 431, e, "request header line is too long: at most 8192 bytes");
}

static int on_name(struct http_parser *p, unsigned char c, struct err *e)
{
	if (++p->line > HTTP_LINE_MAX)
		return too_long(p, e);
	if (c == ':') {
		p->head->fields[p->head->n_fields].value = (uint32_t)p->head->text.len + 1;
		p->state = ST_VALUE_START;
		return put(p, '\0');
	}
	if (!http_is_token_char(c))
		return refuse(p, 400, e,
			      "malformed HTTP request: a header name has a wrong character");
	return put(p, c);
}

/* Ends the value that was collected: trailing blanks go, the NUL comes. */
static int end_value(struct http_parser *p)
{
	struct http_head *h = p->head;
	size_t start = h->fields[h->n_fields].value;

	while (h->text.len > start &&
	       (h->text.data[h->text.len - 1] == ' ' || h->text.data[h->text.len - 1] == '\t'))
		h->text.len--;
	h->n_fields++;
	p->state = ST_LINE_LF;
	return put(p, '\0');
}

static int on_value(struct http_parser *p, unsigned char c, struct err *e)
{
	if (c == '\r')
		return end_value(p);
	if (!is_value_char(c))
		return refuse(p, 400, e,
			      "malformed HTTP request: a header value has a control character");
	if (++p->line > HTTP_LINE_MAX)
		return too_long(p, e);
	if (p->state == ST_VALUE_START && (c == ' ' || c == '\t'))
		return 0;
	p->state = ST_VALUE;
	return put(p, c);
}

static int on_head_lf(struct http_parser *p, unsigned char c, struct err *e)
{
	int r;

	if (c != '\n')
		return refuse(p, 400, e, "malformed HTTP request: CR without LF");
	p->status = 400;
	r = http_head_finish(p->head, &p->status, e);
	if (r == -EBADMSG)
		p->state = ST_FAILED;
	if (r < 0)
		return r;
	p->state = ST_BODY_BEGIN;
	p->left = p->head->content_length > 0 ? (uint64_t)p->head->content_length : 0;
	return 0;
}

static int hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int on_size(struct http_parser *p, unsigned char c, struct err *e)
{
	int digit = hex_value(c);

	if (p->state == ST_SIZE_FIRST) {
		p->left = 0;
		p->line = 0;
		if (digit < 0)
			return refuse(p, 400, e,
				      "malformed chunk: a size in hex digits must begin it");
		p->state = ST_SIZE;
	}
	if (c == '\r') {
		p->state = ST_SIZE_LF;
		return 0;
	}
	if (c == ';') {
		p->state = ST_EXT;
		return 0;
	}
	if (digit < 0)
		return refuse(p, 400, e, "malformed chunk: its size has a wrong character");
	if (p->left > (uint64_t)INT64_MAX >> 4)
		return refuse(p, 400, e, "malformed chunk: its size is out of range");
	p->left = p->left << 4 | (unsigned)digit;
	if (++p->line > HTTP_CHUNK_DIGITS_MAX)
		return refuse(p, 400, e, "malformed chunk: its size has too many digits");
	return 0;
}

static int on_ext(struct http_parser *p, unsigned char c, struct err *e)
{
	if (c == '\r') {
		p->state = ST_SIZE_LF;
		return 0;
	}
	if (!is_value_char(c))
		return refuse(p, 400, e, "malformed chunk: an extension has a control character");
	if (++p->ext_len > HTTP_CHUNK_EXT_MAX)
		return refuse(p, 400, e, "chunk extensions are too long: at most 16384 bytes");
	return 0;
}

static int on_size_lf(struct http_parser *p, unsigned char c, struct err *e)
{
	if (c != '\n')
		return refuse(p, 400, e, "malformed chunk: CR without LF");
	p->state = p->left > 0 ? ST_CHUNK : ST_TRAILER;
	return 0;
}

static int on_chunk_cr(struct http_parser *p, unsigned char c, struct err *e)
{
	if (c != '\r')
		return refuse(p, 400, e, "malformed chunk: it is longer than its size says");
	p->state = ST_CHUNK_LF;
	return 0;
}

static int on_chunk_lf(struct http_parser *p, unsigned char c, struct err *e)
{
	if (c != '\n')
		return refuse(p, 400, e, "malformed chunk: CR without LF");
	p->state = ST_SIZE_FIRST;
	return 0;
}

static int count_trailer(struct http_parser *p, struct err *e)
{
	if (++p->trailer_len > HTTP_TRAILER_MAX)
		return refuse(p, 431, e, "request trailers are too long: at most 8192 bytes");
	return 0;
}

static int on_trailer_name(struct http_parser *p, unsigned char c, struct err *e)
{
	if (p->state == ST_TRAILER && c == '\r') {
		p->state = ST_LAST_LF;
		return 0;
	}
	if (p->state == ST_TRAILER_NAME && c == ':') {
		p->state = ST_TRAILER_VALUE;
		return count_trailer(p, e);
	}
	if (!http_is_token_char(c))
		return refuse(p, 400, e, "malformed trailer: its name has a wrong character");
	p->state = ST_TRAILER_NAME;
	return count_trailer(p, e);
}

static int on_trailer_value(struct http_parser *p, unsigned char c, struct err *e)
{
	if (c == '\r') {
		p->state = ST_TRAILER_LF;
		return 0;
	}
	if (!is_value_char(c))
		return refuse(p, 400, e, "malformed trailer: its value has a control character");
	return count_trailer(p, e);
}

static int on_trailer_lf(struct http_parser *p, unsigned char c, struct err *e)
{
	if (c != '\n')
		return refuse(p, 400, e, "malformed trailer: CR without LF");
	p->state = p->state == ST_LAST_LF ? ST_DONE : ST_TRAILER;
	return 0;
}

/* States that take one byte each; the others (NULL) are handled in http_parse. */
static int (*const on_byte[ST_COUNT])(struct http_parser *p, unsigned char c, struct err *e) = {
	[ST_METHOD] = on_method,
	[ST_TARGET] = on_target,
	[ST_VERSION] = on_version,
	[ST_LINE_LF] = on_line_lf,
	[ST_FIELD] = on_field,
	[ST_NAME] = on_name,
	[ST_VALUE_START] = on_value,
	[ST_VALUE] = on_value,
	[ST_HEAD_LF] = on_head_lf,
	[ST_SIZE_FIRST] = on_size,
	[ST_SIZE] = on_size,
	[ST_EXT] = on_ext,
	[ST_SIZE_LF] = on_size_lf,
	[ST_CHUNK_CR] = on_chunk_cr,
	[ST_CHUNK_LF] = on_chunk_lf,
	[ST_TRAILER] = on_trailer_name,
	[ST_TRAILER_NAME] = on_trailer_name,
	[ST_TRAILER_VALUE] = on_trailer_value,
	[ST_TRAILER_LF] = on_trailer_lf,
	[ST_LAST_LF] = on_trailer_lf,
};

/* One byte of anything but body data, with the bound on the whole head. */
static int step_byte(struct http_parser *p, unsigned char c, struct err *e)
{
	int r;

	if (p->state < ST_BODY_BEGIN && ++p->head_len > HTTP_HEAD_MAX)
		return refuse(p, 431, e, "request headers are too long: at most 65536 bytes");
	r = on_byte[p->state](p, c, e);
	if (r == -ENOMEM || r == -EMSGSIZE) {
		p->status = 500;
		p->state = ST_FAILED;
		return err_set(e, ENOMEM, "out of memory");
	}
	return r;
}

static void give_body(struct http_parser *p, const char *data, size_t len, struct http_step *step)
{
	size_t n = len < p->left ? len : (size_t)p->left;

	step->event = HTTP_BODY;
	step->body = data;
	step->body_len = n;
	step->used += n;
	p->left -= n;
	if (p->left == 0)
		p->state = p->state == ST_CHUNK ? ST_CHUNK_CR : ST_DONE;
}

int http_parse(struct http_parser *p, const char *data, size_t len, struct http_step *ret_step,
	       struct err *e)
{
	struct http_step step = { .event = HTTP_NEED };

	while (true) {
		if (p->state == ST_FAILED)
			return err_set(e, EBADMSG, "the connection had a malformed request before");
		if (p->state == ST_DONE) {
			http_parser_clear(p);
			step.event = HTTP_END;
			break;
		}
		if (step.used == len)
			break;
		if (p->state == ST_FIXED || p->state == ST_CHUNK) {
			give_body(p, data + step.used, len - step.used, &step);
			break;
		}
		int r = step_byte(p, (unsigned char)data[step.used], e);
		if (r < 0)
			return r;
		step.used++;
		if (p->state == ST_BODY_BEGIN) {
			p->state = p->head->chunked ? ST_SIZE_FIRST
				   : p->left > 0    ? ST_FIXED
						    : ST_DONE;
			step.event = HTTP_HEAD;
			break;
		}
	}
	*ret_step = step;
	return 0;
}

struct http_head *http_parser_take_head(struct http_parser *p)
{
	return take_ptr(p->head);
}

bool http_parser_idle(const struct http_parser *p)
{
	return p->state == ST_METHOD && !p->head;
}

void http_parser_clear(struct http_parser *p)
{
	http_head_free(p->head);
	memset(p, 0, sizeof(*p));
}
