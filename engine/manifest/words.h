/*
 * Shell words, as commands in compose files have them.
 */
#ifndef SKERRY_MANIFEST_WORDS_H
#define SKERRY_MANIFEST_WORDS_H

#include "init/base/err.h"

/* Splits as a POSIX shell does (blanks, ' " and \), without any expansion. -EINVAL when a quote
 * stays open. */
int words_split(const char *text, char ***ret);

#endif
