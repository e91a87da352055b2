/*
 * The one JSON writer: appends to a struct buf, places commas, escapes, repairs bytes that are no
 * UTF-8 (each becomes U+FFFD, as in Go).
 *
 * The state is one flag: after a value or a closing bracket a comma is due, after a key or an
 * opening bracket it is not. Answers of the API, state files, config.json and messages are all made
 * by it.
 */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "engine/data/json.h"
#include "init/base/clock.h"
#include "init/base/str.h"

void json_writer_init(struct json_writer *w, struct buf *out)
{
	*w = (struct json_writer){ .out = out };
}

static void separate(struct json_writer *w)
{
	if (w->comma)
		buf_add_char(w->out, ',');
	w->comma = true;
}

static void open_bracket(struct json_writer *w, char c)
{
	separate(w);
	buf_add_char(w->out, c);
	w->comma = false;
}

static void close_bracket(struct json_writer *w, char c)
{
	buf_add_char(w->out, c);
	w->comma = true;
}

void json_begin_object(struct json_writer *w)
{
	open_bracket(w, '{');
}

void json_end_object(struct json_writer *w)
{
	close_bracket(w, '}');
}

void json_begin_array(struct json_writer *w)
{
	open_bracket(w, '[');
}

void json_end_array(struct json_writer *w)
{
	close_bracket(w, ']');
}

/* the letter of a two-character escape, or 0 */
static char short_escape(unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	default:
		return 0;
	}
}

/* bytes at s that may stand as they are: 0 when one byte needs an escape */
static size_t plain_len(const char *s, size_t len)
{
	unsigned char c = (unsigned char)*s;

	if (c >= 0x80)
		return str_utf8_len(s, len);
	return c >= 0x20 && c != '"' && c != '\\';
}

static void add_escaped(struct buf *out, unsigned char c)
{
	if (short_escape(c)) {
		buf_add_char(out, '\\');
		buf_add_char(out, short_escape(c));
	} else if (c >= 0x80) {
		buf_add_text(out, "\xef\xbf\xbd");
	} else {
		buf_printf(out, "\\u%04x", c);
	}
}

static void add_string(struct buf *out, const char *s, size_t len)
{
	buf_add_char(out, '"');
	while (len > 0) {
		size_t run = 0, n;

		while (run < len && (n = plain_len(s + run, len - run)) > 0)
			run += n;
		buf_add(out, s, run);
		s += run;
		len -= run;
		if (len > 0) {
			add_escaped(out, (unsigned char)*s);
			s++;
			len--;
		}
	}
	buf_add_char(out, '"');
}

void json_key(struct json_writer *w, const char *key)
{
	separate(w);
	add_string(w->out, key, strlen(key));
	buf_add_char(w->out, ':');
	w->comma = false;
}

void json_strn(struct json_writer *w, const char *s, size_t len)
{
	separate(w);
	add_string(w->out, s, len);
}

void json_str(struct json_writer *w, const char *s)
{
	if (s)
		json_strn(w, s, strlen(s));
	else
		json_null(w);
}

void json_strf(struct json_writer *w, const char *fmt, ...)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(w->out->max);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (buf_failed(&text) && !w->out->failed)
		w->out->failed = buf_failed(&text);
	json_strn(w, buf_text(&text), text.len);
}

void json_strv(struct json_writer *w, char *const *v)
{
	if (!v) {
		json_null(w);
		return;
	}
	json_begin_array(w);
	for (; *v; v++)
		json_str(w, *v);
	json_end_array(w);
}

void json_raw(struct json_writer *w, const char *text)
{
	separate(w);
	buf_add_text(w->out, text);
}

void json_i64(struct json_writer *w, int64_t v)
{
	separate(w);
	buf_printf(w->out, "%lld", (long long)v);
}

void json_u64(struct json_writer *w, uint64_t v)
{
	separate(w);
	buf_printf(w->out, "%llu", (unsigned long long)v);
}

void json_double(struct json_writer *w, double v)
{
	char text[40];

	if (!isfinite(v)) {
		json_null(w);
		return;
	}
	/* the shortest of the two that reads back as the same number */
	snprintf(text, sizeof(text), "%.15g", v);
	if (strtod(text, NULL) != v)
		snprintf(text, sizeof(text), "%.17g", v);
	json_raw(w, text);
}

void json_bool(struct json_writer *w, bool v)
{
	json_raw(w, v ? "true" : "false");
}

void json_null(struct json_writer *w)
{
	json_raw(w, "null");
}

void json_time(struct json_writer *w, int64_t real_ns)
{
	char text[CLOCK_TEXT_MAX];

	clock_format(real_ns, text);
	json_str(w, text);
}

void json_value(struct json_writer *w, const yyjson_val *v)
{
	_cleanup_(mem_free) char *text = NULL;

	if (!v) {
		json_null(w);
		return;
	}
	text = yyjson_val_write((yyjson_val *)(uintptr_t)v, 0, NULL);
	if (text)
		json_raw(w, text);
	else if (!w->out->failed)
		w->out->failed = -ENOMEM;
}

void json_member_str(struct json_writer *w, const char *key, const char *s)
{
	json_key(w, key);
	json_str(w, s);
}

void json_member_i64(struct json_writer *w, const char *key, int64_t v)
{
	json_key(w, key);
	json_i64(w, v);
}

void json_member_u64(struct json_writer *w, const char *key, uint64_t v)
{
	json_key(w, key);
	json_u64(w, v);
}

void json_member_bool(struct json_writer *w, const char *key, bool v)
{
	json_key(w, key);
	json_bool(w, v);
}
