/*
 * Signal names and numbers, as in `docker kill -s` and stop_signal.
 *
 * Numbers are those of Linux on x86-64; the real-time range is 34..64, since the first two belong
 * to the C library. Part of the spawn.h contract.
 */
#include "init/base/spawn.h"

#include <strings.h>

#include "init/base/str.h"

enum { SIGNAL_MAX = 64, RT_MIN = 34 };

/* index = number; NULL: no name */
static const char *const names[SIGNAL_MAX + 1] = {
	NULL,	    "HUP",	"INT",	    "QUIT",	"ILL",	    "TRAP",	"ABRT",
	"BUS",	    "FPE",	"KILL",	    "USR1",	"SEGV",	    "USR2",	"PIPE",
	"ALRM",	    "TERM",	"STKFLT",   "CHLD",	"CONT",	    "STOP",	"TSTP",
	"TTIN",	    "TTOU",	"URG",	    "XCPU",	"XFSZ",	    "VTALRM",	"PROF",
	"WINCH",    "IO",	"PWR",	    "SYS",	"32",	    "33",	"RTMIN",
	"RTMIN+1",  "RTMIN+2",	"RTMIN+3",  "RTMIN+4",	"RTMIN+5",  "RTMIN+6",	"RTMIN+7",
	"RTMIN+8",  "RTMIN+9",	"RTMIN+10", "RTMIN+11", "RTMIN+12", "RTMIN+13", "RTMIN+14",
	"RTMIN+15", "RTMAX-14", "RTMAX-13", "RTMAX-12", "RTMAX-11", "RTMAX-10", "RTMAX-9",
	"RTMAX-8",  "RTMAX-7",	"RTMAX-6",  "RTMAX-5",	"RTMAX-4",  "RTMAX-3",	"RTMAX-2",
	"RTMAX-1",  "RTMAX",
};

static const struct {
	const char *name;
	int signal;
} aliases[] = {
	{ "IOT", 6 },
	{ "CLD", 17 },
	{ "POLL", 29 },
};

/* "RTMIN+3" and "RTMAX-14" in all their spellings */
static int real_time(const char *s)
{
	bool from_max = strncasecmp(s, "RTMAX", 5) == 0;
	uint64_t n = 0;

	if (!from_max && strncasecmp(s, "RTMIN", 5) != 0)
		return -EINVAL;
	s += 5;
	if (*s && (*s != (from_max ? '-' : '+') || str_to_u64(s + 1, &n) < 0))
		return -EINVAL;
	if (n > SIGNAL_MAX - RT_MIN)
		return -EINVAL;
	return from_max ? SIGNAL_MAX - (int)n : RT_MIN + (int)n;
}

int signal_from_text(const char *text)
{
	uint64_t n;

	if (str_empty(text))
		return -EINVAL;
	if (str_to_u64(text, &n) == 0)
		return n >= 1 && n <= SIGNAL_MAX ? (int)n : -EINVAL;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int i = 1; i < 32; i++) {
		if (strcasecmp(text, names[i]) == 0)
			return i;
	}
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
		if (strcasecmp(text, aliases[i].name) == 0)
			return aliases[i].signal;
	}
	return real_time(text);
}

const char *signal_name(int signal)
{
	return signal >= 1 && signal <= SIGNAL_MAX ? names[signal] : "unknown";
}
