/*
 * The names of files as Docker's clients see them: paths in queries, names of archive entries, mode
 * bits.
 *
 * Pure functions; the rules are those of Go's path/filepath and os packages, which clients rely on
 * (docker cp decides by them where a copy goes).
 */
#ifndef SKERRY_FILES_NAMES_H
#define SKERRY_FILES_NAMES_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

/* The path that a query asks for, absolute and cleaned; an ending "/" or "/." is kept: it asks for
 * what is behind a link, and "/." for a directory's content. -ENAMETOOLONG. */
int files_path(char dst[PATH_MAX], const char *asked);
/* The last element (filepath.Base): "/" of "/", "." of "/a/.", "b" of "/a/b/". */
void files_base(char dst[NAME_MAX + 1], const char *path);
/* A tar member's name or a hard link's target relative to the directory that is unpacked to, ""
 * for the directory itself: ".." cuts what is before it, an absolute name begins there. -EINVAL
 * when it leads out, -ENAMETOOLONG. */
int files_member(char dst[PATH_MAX], const char *name);
/* st_mode as Go's os.FileMode. */
uint32_t files_go_mode(mode_t mode);

#endif
