/*
 * The inside of the image module: the index in memory and the files behind it.
 *
 * Private to engine/image. store.c opens and closes, record.c reads and writes refs/, config.c
 * reads config blobs, query.c finds and changes names, job.c and load.c bring images in, ensure.c
 * looks into archives, make.c makes images of layers, save.c lets them out, outgoing.c serves
 * pushes, remove.c takes them out, trash.c wipes folders, check.c looks at all of it from outside.
 *
 * Files in refs/: i-<hex>.json an image: {"image","manifest","digests","loaded","chains"};
 * n-<escaped name>.json or x-<sha256 of the name>.json (long ones) a name: {"name","image"}. An
 * image exists when its record, config blob and layers do.
 */
#ifndef SKERRY_IMAGE_STORE_PRIV_H
#define SKERRY_IMAGE_STORE_PRIV_H

#include <limits.h>

#include "engine/data/digest.h"
#include "engine/data/ref.h"
#include "engine/image/image.h"
#include "engine/image/job.h"
#include "engine/worker/worker.h"
#include "init/base/map.h"

struct stored_layer {
	struct image_layer layer; /* owned strings */
	bool opaque_root; /* hides everything below it */
	size_t users; /* images in the index */
};

/* The archive of the machine that an image was loaded from, as it was then. */
struct image_source {
	char *path; /* NULL: from elsewhere */
	int64_t size, mtime_ns, inode;
};

/* an empty folder of the store: what an image without layers stands on */
#define STORE_EMPTY "empty"

struct stored {
	struct image image; /* layers' strings belong to the stored_layers */
	struct stored_layer **layers;
	char *empty; /* path of STORE_EMPTY when it has no layers, else NULL */
	char **names; /* normalised, with tag */
	char **digest_names; /* normalised "name@sha256:..." */
	struct image_source source;
	char *manifest_type; /* of image.manifest, once it was asked for (summary.c) */
	int64_t manifest_size;
};

struct archive_file; /* ensure.c */

struct images {
	char *dir;
	char **archive_dirs;
	struct loop *loop;
	struct image_limits limits;
	bool keep, no_sandbox;
	int dir_fd, blobs_fd, refs_fd, layers_fd, tmp_fd;
	struct map by_id; /* 64 hex digits -> struct stored */
	struct map by_name; /* normalised name or name@digest -> struct stored */
	struct map layers; /* chain id's hex digits -> struct stored_layer */
	struct stored **sorted; /* newest first; made when asked for */
	size_t n_sorted;
	bool unsorted;
	struct list saves; /* struct image_save */
	size_t n_saves;
	struct list jobs; /* loads and removals; waiting ones have not started */
	struct list intakes; /* intake.c */
	struct list ensures; /* ensure.c: the first one runs, the others wait */
	size_t running;
	struct map archives; /* path -> struct archive_file */
	image_user_fn user;
	void *user_data;
	/* trash.c */
	struct worker sweeper;
	char **trash;
	bool damaged; /* something was put aside at this start: nothing is swept */
	bool closing;
};

/* ---- store.c ---- */

/* Puts an image whose blob and layers are in place into the index, not its names. Takes `st`
 * over. */
int store_add(struct images *s, struct stored *st, struct err *e);
/* Takes it out and frees it; layers lose a user. */
void store_drop(struct images *s, struct stored *st);
void stored_free(struct stored *st);
int image_source_set(struct image_source *to,
		     const struct image_source *from); /* copies; -ENOMEM */
DEFINE_CLEANUP(struct stored *, stored_free)
/* Reads the config blob and layer records of an image and checks them against each other. */
int store_read_image(struct images *s, const char *id, struct stored **ret, struct err *e);
/* The layer with this chain id, from the index or its record. */
int store_layer(struct images *s, const char *chain_id_text, struct stored_layer **ret,
		struct err *e);
/* Forgets a layer that no image uses and moves its folder and blob away; the folder's new path
 * goes to trash. */
int store_release_layer(struct images *s, const char *chain_id_text, char ***trash, struct err *e);
/* Whether any image of the index needs this blob (hex digits). */
bool store_uses_blob(struct images *s, const char *hex);

/* ---- record.c ---- */

int record_write_image(struct images *s, const struct stored *st, struct err *e);
int record_remove_image(struct images *s, const struct stored *st, struct err *e);
/* Gives the name to the image, on disk and in the index. ret_old: the id of the image that had
 * it, or NULL (free()). */
int record_set_name(struct images *s, struct stored *st, const char *name, char **ret_old,
		    struct err *e);
int record_remove_name(struct images *s, struct stored *st, const char *name, struct err *e);
/* Adds one of the digest_names, on disk and in the index. */
int record_add_digest(struct images *s, struct stored *st, const char *name, struct err *e);
/* The same for one of the digest_names; `name` must not be the list's own string. */
int record_remove_digest(struct images *s, struct stored *st, const char *name, struct err *e);
/* Reads all of refs/ into the index. What does not fit is put aside. */
int record_read_all(struct images *s, struct err *e);
/* The file of a name's record. -EINVAL when it cannot be one. */
int record_name_file(char file[NAME_MAX + 1], const char *name);
/* Rebuilds image.tags and image.digests from the normalised names. */
int record_familiar(struct stored *st);

/* ---- config.c ---- */

/* Fills config, history and descriptive members of img from the text of a config blob. */
int config_read(struct image *img, const char *text, size_t len, struct err *e);
void config_free(struct image *img);

/* ---- ensure.c ---- */

void archives_free(struct images *s);

/* ---- save.c ---- */

/* Ends all that run; their owners are told. */
void saves_stop(struct images *s, const struct err *why);

/* ---- trash.c ---- */

/* Removes paths below the store ("tmp/abc") by a worker, some time soon. Takes the strings of
 * `paths` over (may be NULL). */
void trash_add(struct images *s, char **paths);
void trash_close(struct images *s);
/* Starts a store worker that removes the paths now; w->on_done is the caller's. */
int trash_remove(struct images *s, struct worker *w, char *const *paths, struct err *e);
/* A fresh name below tmp/. */
int trash_name(char ret[64], struct err *e);

/* ---- load.c ---- */

struct making; /* make.c */

/* One running or waiting operation. */
struct image_job {
	struct list link;
	struct images *s;
	struct image_op *op; /* NULL: an inner job of an ensure */
	void (*end)(struct image_job *job, int r,
		    const struct err *e); /* inner jobs: instead of op->done */
	void *data;
	void (*cancel)(struct image_job *job); /* frees the job */
	void (*over)(struct image_job *job); /* at the end of all, before its memory; may be NULL */
	/* of an intake, instead of telling names and changes: all is in the store, the end
	 * follows */
	void (*committed)(struct image_job *job);
	struct worker worker;
	struct defer_event defer;
	bool started;
	char tmp[80]; /* "tmp/<name>", "" when it has no folder */
	int dir; /* that folder */
	int archive;
	struct job_request request;
	struct plan plan;
	struct making *making; /* of an image that is made here */
	char **trash;
	struct image_source source; /* goes into the records of what is loaded */
	struct image_change *changes;
	size_t n_changes;
	int64_t freed; /* bytes of removed layers */
	struct err why; /* of a failure, while cleaning up */
	int result;
};

/* The job is the first member of what its owner allocated, and is freed with it. */
void job_init(struct image_job *job, struct images *s, struct image_op *op,
	      void (*cancel)(struct image_job *job));
/* Adds to the changes; strings are copied. */
int job_change(struct image_job *job, enum image_change_type type, const char *id,
	       const char *name);
/* Frees the job and calls its end or op->done. */
void job_done(struct image_job *job, int r, const struct err *e);
void job_free(struct image_job *job);
/* Removes what the job made, then tells its error. */
void job_fail(struct image_job *job, int r, const struct err *e);
/* Makes the folder of a job, with its blobs/. */
int job_make_folder(struct image_job *job, struct err *e);
/* The plan is there, and all that it needs in the folder: a store worker, then commit_job, then the
 * end. */
int job_finish(struct image_job *job, struct err *e);
/* Loads an archive for an ensure if it holds `wanted` ("": in any case). end() gets the job with
 * its changes, or with plan.names_only and what the archive holds. */
int load_start(struct images *s, int fd, const char *wanted, struct image_op *op,
	       void (*end)(struct image_job *job, int r, const struct err *e), void *data,
	       struct image_job **ret, struct err *e);
/* ---- make.c ---- */

/* Makes the job's plan, which has the new layer alone, one of the whole image; writes its
 * config. */
int making_plan(struct image_job *job, struct err *e);
void making_free(struct making *m);

/* load.c calls commit.c with the unpacked job */
int commit_prepare(struct image_job *job, struct buf *finish_request, struct err *e);
int commit_job(struct image_job *job, struct err *e);

/* ---- summary.c ---- */

/* The members Descriptor and Manifests, as the view asks for; nothing when there is no manifest. */
void image_write_manifest(const struct image *img, const struct image_view *v,
			  struct json_writer *w);

#endif
