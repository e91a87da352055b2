/*
 * /etc/skerry/system.yaml, the machine's settings: read, checked, flattened to "key=value" lines.
 *
 * The schema is one table (settings.c): every key, its form, an example for the error. PID 1 runs
 * `skerryd settings FILE` and uses the lines (init/boot/settings.h); the engine reads its own part
 * (api.*, engine.*) through settings_read. Lists become KEY.0, KEY.1, ... An unknown key or a wrong
 * value is "FILE:LINE: key: what is wrong and what would be right".
 */
#ifndef SKERRY_DATA_SETTINGS_H
#define SKERRY_DATA_SETTINGS_H

#include <stddef.h>

#include "init/base/err.h"

enum { SETTINGS_SIZE_MAX = 64 << 10 };

/* Text of the file to a vector of "key=value" (strv_free); never NULL on success. `file` is for
 * errors. */
int settings_read(const char *text, size_t len, const char *file, char ***ret_list, struct err *e);
/* The file itself; one that is absent gives an empty list. */
int settings_read_file(const char *file, char ***ret_list, struct err *e);

/* The `settings` role: prints the lines of the file argv[1], or the error to stderr with exit
 * status 1. */
int settings_main(int argc, char **argv);

#endif
