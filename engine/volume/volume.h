/*
 * Named volumes: STATE_DIR/volumes/<name>/{volume.json,_data}, driver "local".
 *
 * Memory holds one struct volume per folder, read at start; volume.json is the record and is
 * written last at creation. Removal is one rename into volumes/.trash, emptied by a worker. Data is
 * never removed because a record is missing or damaged. Who uses a volume is the containers'
 * business: the caller gives the count. The content of a volume is hostile like a rootfs: it is
 * reached by descriptor only. Callers: container/ (create on demand, open, copy-up), api/ (list,
 * inspect, create, remove), manifest/.
 */
#ifndef SKERRY_VOLUME_VOLUME_H
#define SKERRY_VOLUME_VOLUME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "init/base/err.h"
#include "init/base/loop.h"

struct volumes;

struct volume {
	char *name;
	char *mountpoint; /* STATE_DIR/volumes/<name>/_data */
	int64_t created; /* real ns */
	bool anonymous; /* made for a container without a name (64 hex) */
	char **labels; /* "key=value", anonymous ones have "com.docker.volume.anonymous=" */
	char **options; /* "key=value" driver options, kept as given */
};

enum { VOLUME_NAME_MAX = 255, VOLUMES_MAX = 65536 };

struct volume_want {
	const char *name; /* NULL or "": anonymous */
	const char *driver; /* NULL, "" or "local"; others are -ENOENT */
	char *const *labels;
	char *const *options; /* not empty: -EOPNOTSUPP until the local driver knows them */
};

/* Reads the volumes; a folder whose record is lost keeps its content under a new one. Removal of
 * content runs in workers on `loop` (NULL, in tests: at once). */
int volumes_new(struct loop *loop, const char *state_dir, struct volumes **ret_volumes,
		struct err *e);
void volumes_free(struct volumes *vs);
DEFINE_CLEANUP(struct volumes *, volumes_free)

/* [a-zA-Z0-9][a-zA-Z0-9_.-]+, at most VOLUME_NAME_MAX: the rule of Docker. -EINVAL with Docker's
 * text. */
int volume_name_check(const char *name, struct err *e);
/* Makes it durably, or gives the one that exists under that name (labels then stay as they were).
 * -EINVAL (name), -ENOENT (no such driver), -EOPNOTSUPP (options), -E2BIG. *ret_volume belongs to
 * vs. */
int volume_create(struct volumes *vs, const struct volume_want *w, const struct volume **ret_volume,
		  struct err *e);
/* -ENOENT "get NAME: no such volume". */
int volume_get(const struct volumes *vs, const char *name, const struct volume **ret_volume,
	       struct err *e);
size_t volumes_count(const struct volumes *vs);
const struct volume *volumes_at(const struct volumes *vs, size_t i); /* in order of creation */
/* `users`: number of containers that have it; > 0 is -EBUSY; users_text (may be NULL) names them in
 * the message ("[id id]"). */
int volume_remove(struct volumes *vs, const char *name, unsigned int users, const char *users_text,
		  struct err *e);
/* O_PATH descriptor of _data, for bind mounts by mount_clone. */
int volume_open(const struct volumes *vs, const char *name, struct err *e);

/*
 * Copy-up: an empty volume gets what the image has at the mount path (content, owners, modes,
 * times, links, devices not, extended attributes), and its root the owner and mode of that
 * directory. A volume that has anything in it is left alone; one whose earlier copy-up was cut off
 * is completed. Runs in a worker process (`skerryd worker volume`), which sees the image's layers
 * read-only in a mount namespace of its own and never follows a link out of them.
 */
struct copy_up {
	/* rc 0 or -errno; c may be freed inside; never called from inside volume_copy_up */
	void (*done)(struct copy_up *c, int rc, const struct err *e);
	struct copy_up_job *job; /* NULL while none runs */
};

/* layers: absolute paths of the image's layer folders, lowest first (as image_resolve gives them);
 * path: the mount path in the image. The path missing in the image is fine (nothing to copy). */
int volume_copy_up(struct volumes *vs, struct loop *loop, const char *name,
		   const char *const *layers, size_t n_layers, const char *path, struct copy_up *c,
		   struct err *e);
/* Kills it; done is not called. Harmless when none runs. */
void copy_up_cancel(struct copy_up *c);

/* The worker's entry, for the table of workers in main.c: name "volume". */
int volume_worker_main(int argc, char **argv);

#endif
