/*
 * Syslog messages as Docker's driver writes them (syslog.h): four forms, two framings.
 *
 * The tag is APP-NAME and MSGID of RFC 5424, and in the older forms what stands before the process
 * number. Pure.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/syslog/syslog.h"
#include "init/base/str.h"

enum { SEVERITY_ERR = 3, SEVERITY_INFO = 6, STAMP_MAX = 48 };

/* RFC 5424 wants printable ASCII without blanks, and "-" for nothing. */
static void add_word(struct buf *out, const char *text)
{
	for (const char *p = text; *p; p++)
		buf_add_char(out, *p > ' ' && *p <= '~' ? *p : '_');
	if (!*text)
		buf_add_char(out, '-');
}

/* 2006-01-02T15:04:05Z, with micro ….000123Z without trailing zeros. */
static void rfc3339(int64_t real_ns, bool micro, char out[STAMP_MAX])
{
	time_t seconds = real_ns / 1000000000;
	long us = (long)(real_ns % 1000000000) / 1000;
	size_t len;
	struct tm t;

	(void)gmtime_r(&seconds, &t);
	len = strftime(out, STAMP_MAX, "%Y-%m-%dT%H:%M:%S", &t);
	if (micro && us > 0) {
		len += (size_t)snprintf(out + len, STAMP_MAX - len, ".%06ld", us);
		while (out[len - 1] == '0')
			len--;
	}
	(void)str_copy(out + len, STAMP_MAX - len, "Z");
}

/* Jan _2 15:04:05 */
static void stamp(int64_t real_ns, char out[STAMP_MAX])
{
	time_t seconds = real_ns / 1000000000;
	struct tm t;

	(void)gmtime_r(&seconds, &t);
	(void)strftime(out, STAMP_MAX, "%b %e %H:%M:%S", &t);
}

static void add_head(const struct syslog_style *s, unsigned int priority, int64_t real_ns,
		     struct buf *out)
{
	char time[STAMP_MAX];

	if (s->format < SYSLOG_RFC5424) {
		stamp(real_ns, time);
		buf_printf(out, "<%u>%s ", priority, time);
		if (s->format == SYSLOG_RFC3164)
			buf_printf(out, "%s ", s->hostname);
		buf_printf(out, "%s[%d]: ", s->tag, s->pid);
		return;
	}
	rfc3339(real_ns, s->format == SYSLOG_RFC5424MICRO, time);
	buf_printf(out, "<%u>1 %s ", priority, time);
	add_word(out, s->hostname);
	buf_add_char(out, ' ');
	add_word(out, s->tag);
	buf_printf(out, " %d ", s->pid);
	add_word(out, s->tag);
	buf_add_text(out, " - ");
}

void syslog_message(const struct syslog_style *s, bool is_err, int64_t real_ns, const char *line,
		    size_t len, struct buf *out)
{
	_cleanup_(buf_free) struct buf head = BUF_INIT(8192);

	add_head(s, s->facility << 3 | (is_err ? SEVERITY_ERR : SEVERITY_INFO), real_ns, &head);
	if (s->counted)
		buf_printf(out, "%zu ", head.len + len + 1);
	buf_add(out, buf_text(&head), head.len);
	buf_add(out, line, len);
	buf_add_char(out, '\n');
}
