/*
 * Who a container's process runs as: Docker's User forms resolved in the container's own files.
 *
 * /etc/passwd and /etc/group belong to the container and are hostile: they are opened below the
 * root fd without waiting (no fifo, device or magic link), must be regular, and are read within
 * bounds. A string of digits is always a number and never looked up as a name.
 */
#ifndef SKERRY_RUNTIME_USER_H
#define SKERRY_RUNTIME_USER_H

#include <stddef.h>
#include <sys/types.h>

#include "init/base/err.h"
#include "init/base/util.h"

enum {
	USER_ID_MAX = 0x7fffffff, /* moby: uids and gids must be in range 0-2147483647 */
	USER_FILE_MAX = 1 << 20, /* bytes of passwd or group */
	USER_LINE_MAX = 4096,
	USER_GROUPS_MAX = 1024, /* supplementary groups */
};

struct user {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary, the effective gid among them; never NULL-and-counted */
	size_t n_groups;
	char *home; /* from passwd, "/" without an entry */
};

void user_clear(struct user *u);
DEFINE_CLEANUP_VALUE(struct user, user_clear)

/*
 * `spec`: "" or NULL (root), "uid", "name", "uid:gid", "name:group", and mixes. `extra`:
 * --group-add, names or numbers (NULL-terminated, may be NULL). root is the container's root
 * directory. A malformed or unknown user or group is -EINVAL with moby's text; a file that breaks
 * the bounds is -EFBIG.
 */
int user_resolve(int root, const char *spec, char *const *extra, struct user *ret, struct err *e);

/* The home directory of a uid ("/" when unknown or on any trouble); new memory, NULL on ENOMEM. */
char *user_home(int root, uid_t uid);

#endif
