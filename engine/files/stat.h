/*
 * One path of a container: resolved once, below its root, and described as Docker does it. From
 * then on descriptors are used.
 *
 * The description is the object that clients get, encoded, as X-Docker-Container-Path-Stat. Called
 * by the worker for HEAD and GET of an archive.
 */
#ifndef SKERRY_FILES_STAT_H
#define SKERRY_FILES_STAT_H

#include <limits.h>
#include <sys/stat.h>

#include "init/base/buf.h"
#include "init/base/err.h"

struct found {
	int fd; /* O_PATH of what the path names; a link at its end is not followed */
	int dir; /* O_PATH of the directory where it has its `name`; -1 when it is a directory and
		  * was asked for as one ("/", "/a/", "/a/.") */
	struct stat st;
	char path[PATH_MAX]; /* as files_path has it */
	char name[NAME_MAX + 1];
};

void found_close(struct found *f);
DEFINE_CLEANUP_VALUE(struct found, found_close)

/* `container` is the name for Docker's text "Could not find the file PATH in container NAME"
 * (-ENOENT). -EINVAL when something on the way is no directory. */
int files_find(int root, const char *asked, const char *container, struct found *ret,
	       struct err *e);
/* The object, as JSON text. The link's target is resolved as far as there is something; it is for
 * the client to read, never to be opened here. */
void files_stat_write(int root, const struct found *f, struct buf *out);
/* What a link leads to inside of root, absolute: existing links on the way are followed, the rest
 * stays as it is written. -ELOOP, -ENAMETOOLONG. */
int files_link_target(int root, const char *path, char dst[PATH_MAX]);

#endif
