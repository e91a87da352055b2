/*
 * Sizes of volumes by project quota: all that lies below a directory counts for one project, and
 * the kernel lets it use no more than it may.
 *
 * The data disk's ext4 must have the feature (disks that were made by an earlier version have not)
 * and be mounted with it. Callers: volume.c.
 */
#ifndef SKERRY_VOLUME_QUOTA_H
#define SKERRY_VOLUME_QUOTA_H

#include <stdint.h>

#include "init/base/err.h"

/* Whether the file system of an open directory has limits by project in force. -EOPNOTSUPP with
 * what is missing. */
int quota_check(int dirfd, struct err *e);
/* An empty directory and all that will be in it becomes the project's, which may have so many
 * bytes. */
int quota_set(int dirfd, uint32_t project, uint64_t bytes, struct err *e);
/* The project's limit goes, its number may be used again. Harmless when there is none. */
void quota_clear(int dirfd, uint32_t project);

#endif
