/*
 * Time: nanoseconds of the clocks, RFC 3339 text as Docker writes it.
 */
#ifndef SKERRY_BASE_CLOCK_H
#define SKERRY_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "init/base/err.h"

int64_t clock_real_ns(void);
int64_t clock_mono_ns(void); /* since boot, CLOCK_BOOTTIME */
static inline int64_t clock_mono_ms(void)
{
	return clock_mono_ns() / 1000000;
}

enum { CLOCK_TEXT_MAX = 40 };
/* "2026-01-02T03:04:05.123456789Z"; 0 gives Docker's zero time "0001-01-01T00:00:00Z". */
void clock_format(int64_t real_ns, char buf[CLOCK_TEXT_MAX]);
/* RFC 3339 with any fraction and offset; -EINVAL. */
int clock_parse(const char *text, int64_t *ret_real_ns);

#endif
