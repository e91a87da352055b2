/*
 * The options of the driver "local", as `docker volume create --opt` has them: size, type, device
 * and o. Pure but for the kernel's list of file systems.
 *
 * Without `type` a volume is a folder on the data disk, with `size` one that cannot grow beyond it.
 * With `type` and `device` it is a mount that is there while a container has it: of a directory
 * (o=bind), of memory (tmpfs) or of a block device. Callers: volume.c (checks), worker.c (mounts).
 */
#ifndef SKERRY_VOLUME_OPTIONS_H
#define SKERRY_VOLUME_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "init/base/err.h"
#include "init/base/util.h"

enum { VOLUME_OPTION_MAX = 4096, VOLUME_SIZE_MIN = 64 << 10 };

struct volume_options_local {
	uint64_t size; /* bytes of the quota, 0: none */
	const char *type, *device; /* point into what was parsed; NULL: no mount */
	bool bind, recursive; /* `device` is a directory */
	uint64_t attrs; /* MOUNT_ATTR_* */
	char **data; /* the file system's own options */
};

void volume_options_free(struct volume_options_local *o);
DEFINE_CLEANUP_VALUE(struct volume_options_local, volume_options_free)

/* options: "key=value" entries (NULL: none), which must stay. -EINVAL names the option that is
 * wrong and what would be right. */
int volume_options_parse(char *const *options, struct volume_options_local *ret, struct err *e);
/* Whether the kernel mounts that type, by the text of /proc/filesystems. -EOPNOTSUPP with the
 * reason. */
int volume_type_check(const char *type, const char *filesystems, struct err *e);

#endif
