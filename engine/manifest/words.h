/*
 * Small readers of text that compose files use: shell words, and env files.
 */
#ifndef SKERRY_MANIFEST_WORDS_H
#define SKERRY_MANIFEST_WORDS_H

#include "init/base/err.h"

/* Splits as a POSIX shell does (blanks, ' " and \), without any expansion. -EINVAL when a quote
 * stays open. */
int words_split(const char *text, char ***ret);
/* Lines KEY=value; # comments, blank lines, "export ", quotes around the value. Sets each in
 * *env. `file` is for errors. */
int env_file_read(const char *text, const char *file, char ***env, struct err *e);

#endif
