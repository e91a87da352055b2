/*
 * struct err: why something failed, in one sentence, for the one who reads it.
 *
 * Every function that can fail returns 0 or -errno and takes a `struct err *e` as its last
 * parameter. Whoever first sees the failure fills it once; callers either hand it on as it is or
 * put their own context in front (err_wrap). The text says what is wrong and what would be right;
 * the engine sends it to API clients unchanged, so it never holds a secret.
 *
 * The struct lives on the caller's stack (by value, no allocation, nothing to free). A NULL `e` is
 * allowed everywhere and means that the caller does not want the text.
 */
#ifndef SKERRY_BASE_ERR_H
#define SKERRY_BASE_ERR_H

#include <errno.h>

enum { ERR_TEXT_MAX = 512 };

struct err {
	int code; /* positive errno, 0 when no error was recorded */
	char text[ERR_TEXT_MAX]; /* NUL-terminated, no newline at the end */
};

/* Records `code` (positive errno) and a printf text, cut at ERR_TEXT_MAX - 1. Returns -code. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Like err_set, with ": " and the errno's description appended. Returns -code. */
int err_errno(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts a printf text and ": " in front of what `e` holds already. Returns -e->code (-EIO if e is
 * NULL). */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The text, or "no error" when none was recorded; never NULL. */
const char *err_text(const struct err *e);

#endif
