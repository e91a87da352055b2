/*
 * Names that people give to containers and volumes, and those that we invent.
 *
 * The rule is Docker's, [a-zA-Z0-9][a-zA-Z0-9_.-]+, so a valid name is safe as a file name. Called
 * by container/, volume/, net/, manifest/.
 */
#ifndef SKERRY_DATA_NAMES_H
#define SKERRY_DATA_NAMES_H

#include <stdbool.h>

#include "init/base/err.h"

enum {
	NAME_LEN_MAX = 255, /* so that a name fits in a file name */
	NAME_RANDOM_MAX = 64 /* room for name_random, with its NUL */
};

/* 2 to NAME_LEN_MAX characters of the rule above */
bool name_valid(const char *s);
/* -EINVAL in Docker's words; `kind` is "container name", "volume name". */
int name_check(const char *kind, const char *s, struct err *e);

/* "calm_fresnel"; with a number behind it when attempt > 0, for a caller that met a taken one. */
void name_random(char ret_name[NAME_RANDOM_MAX], int attempt);

#endif
