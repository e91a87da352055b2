/*
 * Variables: ${NAME} in values of a compose file and of env files, and the env files themselves.
 *
 * The forms are those of the compose-spec ("Interpolation"): $NAME, ${NAME}, ${NAME:-word},
 * ${NAME-word}, ${NAME:?message}, ${NAME?message}, ${NAME:+word}, ${NAME+word}, words with
 * variables of their own, and $$ for a dollar sign. Variables come from the .env file beside the
 * compose file; the machine has none.
 */
#ifndef SKERRY_MANIFEST_VARS_H
#define SKERRY_MANIFEST_VARS_H

#include <stddef.h>

#include "init/base/err.h"
#include "init/base/util.h"

enum {
	VARS_DEPTH_MAX = 16, /* words within words */
	VARS_VALUE_MAX = 1 << 20, /* bytes of one value */
	VARS_TOTAL_MAX = 16 << 20, /* bytes of all values of a project */
};

struct vars {
	char **env; /* "NAME=value" */
	char **missing; /* names that were asked for and are not set */
	size_t total;
};

void vars_free(struct vars *v);
DEFINE_CLEANUP_VALUE(struct vars, vars_free)

/* The text with its variables filled in, new memory. What is not set is empty and noted in
 * v->missing. -EINVAL with what is wrong (no place). */
int vars_expand(struct vars *v, const char *text, char **ret, struct err *e);

/* An env file into *env: KEY=value, "export ", comments, quotes (in double ones \n, \t, \" and
 * their kin), values over several lines in quotes, variables outside of single quotes: of v,
 * then of *env. A KEY alone takes its value from v, or is left out. `raw`: lines KEY=value as
 * they are. `file` is for errors ("FILE:LINE: what"). */
int env_file_read(const char *text, const char *file, bool raw, struct vars *v, char ***env,
		  struct err *e);

#endif
