/*
 * struct buf: a growing byte buffer with a limit, used for everything that is built or received.
 *
 * Data sits in data[0..len), always followed by a NUL that is not counted, so that text can be
 * read in place. Adding beyond `max` fails with -EMSGSIZE and changes nothing; out of memory is
 * -ENOMEM. A failed add marks the buffer (buf_failed), so that a run of adds may be checked once.
 * Zero-initialise with BUF_INIT(max); free with buf_free.
 */
#ifndef SKERRY_BASE_BUF_H
#define SKERRY_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/base/util.h"

struct buf {
	char *data; /* NULL while nothing was added; use buf_text() for a string */
	size_t len;
	size_t cap;
	size_t max; /* bytes; 0 means BUF_MAX_DEFAULT */
	int failed; /* -errno of the first failed add, or 0 */
};

enum { BUF_MAX_DEFAULT = 16 << 20 };

#define BUF_INIT(limit) ((struct buf){ .max = (limit) })

void buf_free(struct buf *b); /* frees the data, leaves an empty buffer with the same limit */
DEFINE_CLEANUP_VALUE(struct buf, buf_free)

int buf_add(struct buf *b, const void *data, size_t len);
int buf_add_text(struct buf *b, const char *text);
int buf_add_char(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *fmt, va_list ap);

/* Makes room for `len` more bytes and returns where they go (NULL: see failed); buf_commit says
 * how many of them were filled. */
void *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);

void buf_consume(struct buf *b, size_t len); /* drops len bytes at the front */
void buf_reset(struct buf *b); /* len = 0, keeps the memory */
const char *buf_text(const struct buf *b); /* never NULL */
int buf_failed(const struct buf *b); /* 0 or the -errno of the first failed add */
char *buf_take(
	struct
	buf *b); /* the data, now the caller's (free()); "" allocated when empty; NULL on ENOMEM */

#endif
