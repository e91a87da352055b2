/*
 * The log: one write per line, to /dev/kmsg as a record or to stderr as text.
 *
 * Text may come from containers and the network, so control characters and broken UTF-8 are
 * escaped: nobody forges a record or drives the console's terminal through us. The struct below is
 * the file-scope state that DESIGN.md grants the log. Called from everywhere.
 */
#include "init/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "init/base/str.h"

static struct {
	const char *prefix;
	int fd;
	bool kmsg;
	enum log_level max;
	void (*copy)(enum log_level level, const char *text, void *data);
	void *copy_data;
} state = { .prefix = "skerry", .fd = 2, .max = LOG_INFO };

void log_open(const char *prefix, int fd)
{
	struct stat st;

	state.prefix = prefix;
	state.fd = fd;
	state.kmsg = fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 11);
}

void log_set_level(enum log_level max)
{
	state.max = max;
}

void log_set_copy(void (*copy)(enum log_level level, const char *text, void *data), void *data)
{
	state.copy = copy;
	state.copy_data = data;
}

/* bytes at s that may be written as they are; 0: escape one byte */
static size_t plain_len(const char *s)
{
	unsigned char c = (unsigned char)*s;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	if (c == 0xc2 && (unsigned char)s[1] < 0xa0)
		return 0; /* C1 controls */
	return str_utf8_len(s, strlen(s));
}

/* copies with escapes, at most size - 1 bytes, never cutting an escape or a character */
static void clean(char *dst, size_t size, const char *src)
{
	size_t at = 0;

	while (*src) {
		size_t n = plain_len(src);

		if (at + (n ? n : 4) >= size)
			break;
		if (n) {
			memcpy(dst + at, src, n);
			at += n;
			src += n;
		} else {
			snprintf(dst + at, 5, "\\x%02x", (unsigned char)*src);
			at += 4;
			src++;
		}
	}
	dst[at] = '\0';
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char raw[LOG_LINE_MAX], text[LOG_LINE_MAX], line[LOG_LINE_MAX + 80];
	int saved = errno, n;
	va_list ap;

	if (level > state.max)
		return;
	va_start(ap, fmt);
	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	clean(text, sizeof(text), str_trim(raw));
	if (state.kmsg)
		n = snprintf(line, sizeof(line), "<%d>%.60s: %s\n", level, state.prefix, text);
	else
		n = snprintf(line, sizeof(line), "%.60s: %s\n", state.prefix, text);
	while (write(state.fd, line, (size_t)n) < 0 && errno == EINTR)
		;
	if (state.copy)
		state.copy(level, text, state.copy_data);
	errno = saved;
}
