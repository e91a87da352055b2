/*
 * Named volumes: STATE_DIR/volumes/<name>/{volume.json,_data} of the driver "local", or a record
 * alone for those of a plugin.
 *
 * Memory holds one struct volume per folder, read at start; volume.json is the record and is
 * written last at creation. Removal is one rename into volumes/.trash, emptied by a worker. Data is
 * never removed because a record is missing or damaged. Who uses a volume is the containers'
 * business: the caller gives the count. The content of a volume is hostile like a rootfs.
 *
 * A volume of a plugin is made there by volume_op_make, or when it is taken first; so everything
 * but what has a callback is quick. What is asked of a volume one after the other happens so.
 * Callers: container/ (create on demand, take, release), api/ (list, inspect, create, remove),
 * manifest/.
 */
#ifndef SKERRY_VOLUME_VOLUME_H
#define SKERRY_VOLUME_VOLUME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/plugin/plugin.h"
#include "init/base/err.h"
#include "init/base/list.h"
#include "init/base/loop.h"

#define VOLUME_LOCAL "local"

struct volumes;

struct volume {
	char *name;
	char *driver; /* "local", or the name of a plugin */
	char *mountpoint; /* STATE_DIR/volumes/<name>/_data; of a plugin: where it is now, or "" */
	int64_t created; /* real ns */
	bool anonymous; /* made for a container without a name (64 hex) */
	char **labels; /* "key=value", anonymous ones have "com.docker.volume.anonymous=" */
	char **options; /* "key=value" driver options, kept as given */

	/* private */
	bool made; /* the plugin knows it */
	uint32_t project; /* of its quota, 0: none */
	bool mounts; /* its options make it a mount */
	char **users; /* who has taken it; of plugins and mounts only */
	struct list jobs; /* struct volume_job, the first one runs */
};

enum { VOLUME_NAME_MAX = 255, VOLUMES_MAX = 65536 };

struct volume_want {
	const char *name; /* NULL or "": anonymous */
	const char *driver; /* NULL or "": local */
	char *const *labels;
	char *const *options;
};

/* Reads the volumes; a folder whose record is lost keeps its content under a new one. Removal of
 * content runs in workers on `loop` (NULL, in tests: at once). */
int volumes_new(struct loop *loop, const char *state_dir, struct volumes **ret_volumes,
		struct err *e);
void volumes_free(struct volumes *vs); /* calls no callback */
DEFINE_CLEANUP(struct volumes *, volumes_free)
/* Without, there are no plugins. They outlive vs. */
void volumes_set_plugins(struct volumes *vs, struct plugins *plugins);

/* [a-zA-Z0-9][a-zA-Z0-9_.-]+, at most VOLUME_NAME_MAX: the rule of Docker. -EINVAL with Docker's
 * text. */
int volume_name_check(const char *name, struct err *e);
/* Makes it durably (of a plugin: its record), or gives the one that exists under that name (labels
 * and options then stay as they were). -EINVAL (name, options), -ENOENT (no such driver), -EEXIST
 * (another driver has it), -EOPNOTSUPP (what this machine has not), -E2BIG. *ret_volume belongs to
 * vs. */
int volume_create(struct volumes *vs, const struct volume_want *w, const struct volume **ret_volume,
		  struct err *e);
/* -ENOENT "get NAME: no such volume". */
int volume_get(const struct volumes *vs, const char *name, const struct volume **ret_volume,
	       struct err *e);
bool volume_is_local(const struct volume *v);
size_t volumes_count(const struct volumes *vs);
const struct volume *volumes_at(const struct volumes *vs, size_t i); /* in order of creation */
/* `users`: number of containers that have it; > 0 is -EBUSY; users_text (may be NULL) names them in
 * the message ("[id id]"). -EBUSY too while something else happens to it. A plugin is not asked:
 * for its volumes see volume_op_drop. */
int volume_remove(struct volumes *vs, const char *name, unsigned int users, const char *users_text,
		  struct err *e);

/*
 * Taking: what a container needs before it can mount a volume. A plugin makes and mounts it; the
 * mount of a local one with options is made when nobody has it yet. Then copy-up: an empty volume
 * gets what the image has at the mount path (content, owners, modes, times, links, devices not,
 * extended attributes), and its root the owner and mode of that directory. A volume that has
 * anything in it is left alone; one whose earlier copy-up was cut off is completed. The copy runs
 * in a worker process (`skerryd worker volume`), which sees the image's layers read-only in a mount
 * namespace of its own and never follows a link out of them.
 */
struct copy_up {
	/* rc 0 or -errno; c may be freed inside; never called from inside volume_take. Where the
	 * volume is then, its `mountpoint` says. */
	void (*done)(struct copy_up *c, int rc, const struct err *e);
	struct take_job *job; /* NULL while none runs */
};

struct volume_take {
	const char *name;
	const char *user; /* who takes it, unique; to be given back by volume_release */
	bool copy;
	/* absolute paths of the image's layer folders, lowest first (as image_resolve gives them),
	 * and the mount path in the image; missing there is fine (nothing to copy) */
	const char *const *layers;
	size_t n_layers;
	const char *path;
};

int volume_take(struct volumes *vs, struct loop *loop, const struct volume_take *q,
		struct copy_up *c, struct err *e);
/* Kills it; done is not called. Harmless when none runs. */
void copy_up_cancel(struct copy_up *c);
/* Gives it back, also after a take that failed or was cancelled. Harmless when it was not taken. A
 * plugin is told in the background. */
void volume_release(struct volumes *vs, const char *name, const char *user);
/* After a start of the engine: that one has it since before. */
void volume_taken(struct volumes *vs, const char *name, const char *user);

/*
 * What plugins are asked on their own. The struct is zeroed but for `done`, which is called once,
 * from the loop, never from inside a call here; it may free the struct. The name is kept.
 */
struct volume_op {
	void (*done)(struct volume_op *op, int r, const struct err *e);
	char *status; /* volume_op_look: the plugin's object of that name as JSON, or NULL */
	char *mountpoint; /* volume_op_look: or NULL */
	bool global; /* volume_op_look: the plugin's volumes are the same on all machines */

	/* private */
	struct op_job *job;
};

/* Makes it at its plugin, unless that was done. Of a local one: nothing to do. */
int volume_op_make(struct volumes *vs, const char *name, struct volume_op *op, struct err *e);
/* Asks how it is. Of a local one, and one that is not made yet: nothing to ask. */
int volume_op_look(struct volumes *vs, const char *name, struct volume_op *op, struct err *e);
/* Removes it, at its plugin too; `force`: the record even if the plugin refuses. Who uses it was
 * looked at by the caller. */
int volume_op_drop(struct volumes *vs, const char *name, bool force, struct volume_op *op,
		   struct err *e);
/* Ends it; done is not called. Harmless when none runs. */
void volume_op_cancel(struct volume_op *op);
/* One that a plugin has and that has no record yet gets one. */
int volume_adopt(struct volumes *vs, const char *name, const char *driver,
		 const struct volume **ret_volume, struct err *e);

/* What plugins have, whether we know it or not. */
struct volume_seen {
	char *name, *driver, *mountpoint;
};
struct volume_survey {
	void (*done)(struct volume_survey *s); /* as above */
	struct volume_seen *seen; /* those that have no record here */
	size_t n_seen;
	char **warnings; /* one for each plugin that did not answer well */

	/* private */
	struct survey_job *job;
};
/* Asks all plugins at once; at once done (later, from the loop) when there are none. */
int volume_survey(struct volumes *vs, struct volume_survey *s, struct err *e);
/* Ends it and frees what it found. */
void volume_survey_clear(struct volume_survey *s);
/* Names of the plugins that are drivers of volumes, as far as is known: those that said so, and
 * those that were never asked. New memory. */
int volume_drivers(const struct volumes *vs, char ***ret_names, struct err *e);

/* The worker's entry, for the table of workers in main.c: name "volume". */
int volume_worker_main(int argc, char **argv);

#endif
