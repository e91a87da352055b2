/*
 * The kernel's command line: what this machine was told for this boot only.
 *
 *   skerry.data=auto|none|/dev/NAME   where /var is; wins over storage.data of system.yaml
 *   skerry.hostname=NAME              wins over system.yaml
 *   skerry.console=yes|no             a shell on the console (default yes)
 *   skerry.network=yes|no             bring up the wired links (default yes)
 *   skerry.watchdog=yes|no            feed a watchdog when there is one (default yes)
 *   skerry.loglevel=0..7              the least severe kernel log level that the console shows
 *                                     (default: the kernel's loglevel=, at least 5, "notice")
 *   skerry.engine=yes|no              start the engine (default yes; "no" is for rescue)
 *
 * Unknown skerry.* options and wrong values are warnings that name them; everything else on the
 * line belongs to the kernel. The last of several wins.
 */
#ifndef SKERRY_BOOT_OPTIONS_H
#define SKERRY_BOOT_OPTIONS_H

#include <stdbool.h>

#include "init/base/err.h"

enum { OPTIONS_LINE_MAX = 4096, HOSTNAME_MAX = 64 };

struct options {
	char data[64]; /* "" when not given */
	char hostname[HOSTNAME_MAX + 1]; /* "" when not given */
	bool console;
	bool network;
	bool watchdog;
	bool engine;
	int loglevel; /* -1 when not given */
};

/* Fills ret with defaults and what `line` says. complain(data, text) is called per mistake and may
 * be NULL. Never fails: a boot goes on without its options. */
void options_parse(const char *line, struct options *ret,
		   void (*complain)(void *data, const char *text), void *data);
/* Letters, digits, hyphens and dots, labels of 1..63 not beginning or ending with a hyphen, at most
 * HOSTNAME_MAX bytes. */
bool hostname_valid(const char *name);
/* "auto", "none" or "/dev/" and a plain name. */
bool data_choice_valid(const char *text);

#endif
