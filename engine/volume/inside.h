/*
 * What the files of engine/volume share: names in a volume's folder and in worker requests.
 *
 * Nobody outside this folder includes it, but its tests.
 */
#ifndef SKERRY_VOLUME_INSIDE_H
#define SKERRY_VOLUME_INSIDE_H

#include "engine/volume/volume.h"
#include "engine/worker/worker.h"
#include "init/base/map.h"

/* the worker's name, its two jobs ("op" of the request), and files in a volume's folder */
#define VOLUME_WORKER "volume"
#define VOLUME_OP_COPY "copy"
#define VOLUME_OP_REMOVE "remove"
#define VOLUME_OP_MOUNT "mount"
#define VOLUME_DATA "_data"
#define VOLUME_COPYING "copying" /* there while a copy-up is not complete */

#define VOLUME_DRIVER "VolumeDriver" /* the kind of plugins */

struct volumes {
	struct loop *loop;
	struct plugins *plugins; /* NULL: none */
	char *dir; /* STATE_DIR/volumes */
	struct map by_name;
	struct volume **list;
	size_t n;
	struct worker sweeper; /* empties the trash */
	bool sweep_again;
	bool ending;
};

/* Something that is done to a volume, one after the other (jobs.c). */
struct volume_job {
	void (*begin)(struct volume_job *job); /* it is its turn; ends by volume_job_end */
	/* The volume, and with it the job's place, is gone: it frees itself, and calls who waits
	 * unless vs->ending. */
	void (*gone)(struct volume_job *job);
	struct volumes *vs;
	struct volume *v; /* NULL once it is gone */

	/* private */
	struct list link;
	struct defer_event turn;
};

void volume_job_add(struct volumes *vs, struct volume *v, struct loop *loop,
		    struct volume_job *job);
/* Out of the queue, whether it ran or waited; the next one begins. */
void volume_job_end(struct volume_job *job);
/* `first` is about to free the volume: all others are told. */
void volume_jobs_gone(struct volume *v, struct volume_job *first);

/* volume.c: the record, anew. Takes it out of the list and its folder away; v is gone. */
int volume_record(const struct volumes *vs, const struct volume *v, struct err *e);
int volume_forget(struct volumes *vs, struct volume *v, struct volume_job *job, struct err *e);
struct volume *volume_find(const struct volumes *vs, const char *name, struct err *e);

/* remote.c: a call of VolumeDriver with {"Name": name, more...}. */
int volume_call(struct volumes *vs, const char *driver, const char *method, const char *name,
		const char *id, char *const *options, struct plugin_call *c, struct err *e);
/* Whether a plugin may say that a volume is there: a directory, and none of the machine's own. */
int volume_place_check(const struct volumes *vs, const char *path, struct err *e);

/* volume.c: the volume's folder; new memory (free()), NULL on ENOMEM. */
char *volume_folder(const struct volumes *vs, const char *name);

/* worker.c: the jobs themselves, also called directly by tests. */
int volume_do_copy(const char *folder, const char *data, int image_root, const char *path,
		   struct err *e);
int volume_do_mount(const char *target, char *const *options, struct err *e);

#endif
