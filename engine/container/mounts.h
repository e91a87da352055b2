/*
 * Inside of container/: the words in mount requests (mount_words.c), for mounts.c.
 */
#ifndef SKERRY_CONTAINER_MOUNTS_H
#define SKERRY_CONTAINER_MOUNTS_H

#include "engine/container/object.h"

/* "ro,nocopy,rslave": the third field of a bind, or the second of volumes-from. */
struct mount_words {
	bool read_only, has_copy, no_copy;
	char propagation[12]; /* "" when not named */
};

/* -EINVAL "invalid mode: ..." for unknown words and for two of one kind. e may be NULL. */
int mount_words_read(const char *mode, struct mount_words *ret, struct err *e);
bool is_propagation(const char *word);
/* "size=64m,exec": the options of --tmpfs. -EINVAL with Docker's text. */
int tmpfs_words_check(const char *options, struct err *e);
/* TmpfsOptions (may be NULL) in that form. New memory. */
int tmpfs_options_text(const struct tmpfs_options *t, char **ret, struct err *e);

#endif
