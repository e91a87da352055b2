/*
 * struct buf: growth by doubling under a limit, one NUL kept behind the data.
 *
 * The first failure sticks in `failed`; later adds are refused with the same code, so that a text
 * never has a hole in the middle. Used by everything that builds or receives bytes.
 */
#include "init/base/buf.h"

#include <string.h>

void buf_free(struct buf *b)
{
	if (!b)
		return;
	free(b->data);
	*b = BUF_INIT(b->max);
}

static int buf_fail(struct buf *b, int code)
{
	if (!b->failed)
		b->failed = -code;
	return b->failed;
}

/* makes cap >= len + more + 1 */
static int grow(struct buf *b, size_t more)
{
	size_t max = b->max ? b->max : BUF_MAX_DEFAULT;
	size_t need, cap;
	char *data;

	if (b->failed)
		return b->failed;
	if (more > max || b->len > max - more)
		return buf_fail(b, EMSGSIZE);
	need = b->len + more + 1;
	if (need <= b->cap)
		return 0;
	cap = b->cap ? b->cap : 64;
	while (cap < need)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		return buf_fail(b, ENOMEM);
	if (!b->data)
		data[0] = '\0';
	b->data = data;
	b->cap = cap;
	return 0;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	int r = grow(b, len);

	if (r < 0)
		return r;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	buf_commit(b, len);
	return 0;
}

int buf_add_text(struct buf *b, const char *text)
{
	return buf_add(b, text, strlen(text));
}

int buf_add_char(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

/* Into the room that is there; a second time only when that was too small. */
int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	size_t room = b->data && !b->failed ? b->cap - b->len : 0;
	va_list again;
	int n, r;

	va_copy(again, ap);
	n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, again);
	va_end(again);
	r = n < 0 ? buf_fail(b, EINVAL) : grow(b, (size_t)n);
	if (r < 0) {
		if (room)
			b->data[b->len] = '\0';
		return r;
	}
	if ((size_t)n >= room)
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return r;
}

void *buf_reserve(struct buf *b, size_t len)
{
	return grow(b, len) < 0 ? NULL : b->data + b->len;
}

void buf_commit(struct buf *b, size_t len)
{
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_consume(struct buf *b, size_t len)
{
	if (len >= b->len) {
		buf_reset(b);
		return;
	}
	memmove(b->data, b->data + len, b->len - len + 1);
	b->len -= len;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = 0;
	if (b->data)
		b->data[0] = '\0';
}

const char *buf_text(const struct buf *b)
{
	return b->data ? b->data : "";
}

int buf_failed(const struct buf *b)
{
	return b->failed;
}

char *buf_take(struct buf *b)
{
	char *data;

	if (!b->data && grow(b, 0) < 0)
		return NULL;
	data = take_ptr(b->data);
	*b = BUF_INIT(b->max);
	return data;
}
