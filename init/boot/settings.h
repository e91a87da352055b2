/*
 * /etc/skerry/system.yaml as PID 1 sees it: a list of "key=value" lines.
 *
 * PID 1 does not parse YAML. `skerryd settings FILE` validates the file (its schema is in
 * engine/data/settings.h) and prints one flat line per value ("network.links.eth0.gateway=...");
 * what is wrong comes back as text with file, line and key. The list is an ordinary string vector,
 * read with strv_env_get(list, "hostname"). Used by main; net and storage get the list or values.
 */
#ifndef SKERRY_BOOT_SETTINGS_H
#define SKERRY_BOOT_SETTINGS_H

#include <stdbool.h>

#include "init/base/err.h"

enum { SETTINGS_FILE_MAX = 64 << 10, SETTINGS_LINES_MAX = 512 };

/* Reads `file` through `program` (skerryd). An absent file, or one with nothing but comments, gives
 * an empty list without starting the program. -EINVAL with the program's own first line when the
 * file is wrong. *ret_list (strv_free) is never NULL on success. */
int settings_load(const char *program, const char *file, char ***ret_list, struct err *e);
/* Splits the program's output; -EINVAL on a line without a key or with control characters. */
int settings_parse(const char *text, char ***ret_list, struct err *e);
/* Whether YAML text has anything besides blank lines, comments and document markers. */
bool settings_has_content(const char *text);
/* The value of "PREFIX.N" for N = 0.. in order; NULL after the last. */
const char *settings_item(char *const *list, const char *prefix, unsigned n);

#endif
