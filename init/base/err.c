/*
 * Fills struct err: formatting, the errno's description, context in front.
 *
 * Texts are formatted into a buffer of their own first, so that an argument may point into the
 * struct that is being filled. Everybody uses this; it uses nothing.
 */
#include "init/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set_text(struct err *e, const char *text)
{
	size_t len = strnlen(text, ERR_TEXT_MAX - 1);

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	memmove(e->text, text, len);
	e->text[len] = '\0';
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	if (!e)
		return -code;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	set_text(e, text);
	e->code = code;
	return -code;
}

int err_errno(struct err *e, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX], whole[ERR_TEXT_MAX + 80];
	va_list ap;

	if (!e)
		return -code;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof(whole), "%s: %.64s", text, strerror(code));
	set_text(e, whole);
	e->code = code;
	return -code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX], whole[2 * ERR_TEXT_MAX + 4];
	va_list ap;

	if (!e)
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof(whole), "%s: %s", text, e->text);
	set_text(e, whole);
	return e->code ? -e->code : -EIO;
}

const char *err_text(const struct err *e)
{
	return e && e->text[0] ? e->text : "no error";
}
