/*
 * Images: the store and what is done with it.
 *
 * On disk (below `dir`): blobs/sha256/<hex>, refs/ (one small JSON document per image and per
 * name), layers/<chain id hex>/{fs/,layer.json}, tmp/. In memory: an index, rebuilt by reading
 * refs/ at the start. An image's id is the sha256 of its config blob, as in Docker. A layer
 * directory is immutable and may be shared by many images; overlayfs uses it as it is (whiteouts
 * are char devices 0:0, opaque directories carry trusted.overlay.opaque).
 *
 * Hostile input (archives) is only ever read by the sandboxed `unpack` worker; what it made is
 * checked and moved into the store by the `store` worker and the engine. Everything slow is an
 * image_op: asynchronous, called back exactly once, never from inside the call that started it.
 *
 * A `struct image *` stays valid until the loop runs again; keep the id, not the pointer.
 *
 * Users: container/ (resolve, layers), manifest/ (images_ensure), api/ (list, inspect, load, tag,
 * remove), main.c.
 */
#ifndef SKERRY_IMAGE_H
#define SKERRY_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/data/bind.h"
#include "engine/data/json.h"
#include "engine/image/limits.h"
#include "engine/worker/worker.h"
#include "init/base/err.h"
#include "init/base/list.h"
#include "init/base/loop.h"

struct images; /* the module */

/* Whether the layers' own archives stay in blobs/ beside the unpacked layer (push and save send
 * them unchanged). */
enum image_keep {
	IMAGE_KEEP_AUTO, /* yes, unless the store lies in memory (tmpfs, ramfs) */
	IMAGE_KEEP_YES,
	IMAGE_KEEP_NO,
};

struct images_config {
	const char *dir; /* .../images; made when missing */
	/* NULL-terminated: folders of baked and preloaded archives; may be NULL */
	const char *const *archive_dirs;
	struct loop *loop;
	struct image_limits limits; /* zero members mean the defaults (limits.h) */
	enum image_keep keep_blobs;
	bool no_sandbox; /* tests under sanitizers only: workers keep their rights */
};

/* Opens the store: makes the folders, puts what does not verify into quarantine/ (logged),
 * builds the index, starts wiping tmp/. Fails only when the folders cannot be made or read. All
 * strings of cfg are copied. */
int images_new(const struct images_config *cfg, struct images **ret, struct err *e);
/* Kills running operations (their done() is called with -ECANCELED first). */
void images_free(struct images *s);
DEFINE_CLEANUP(struct images *, images_free)

/* ---- reading ---- */

struct image_health {
	char **test;
	int64_t interval, timeout, start_period, start_interval; /* ns, 0: default */
	int64_t retries;
};

/* The config object of the image's config blob: what a container starts from. Absent lists are
 * NULL, absent strings NULL. */
struct image_config {
	char *user, *working_dir, *stop_signal;
	char **exposed_ports; /* "80/tcp" */
	char **env; /* "NAME=value" */
	char **entrypoint, **cmd;
	char **volumes; /* "/data" */
	char **shell, **on_build;
	struct bind_pairs labels;
	struct image_health *health; /* NULL: none */
	bool args_escaped;
};

/* Reads, writes, copies and frees a struct image_config: the object `config` of a config blob,
 * which is that of a container's request too. */
extern const struct bind_table image_config_table;

struct image_history {
	char *created, *created_by, *author, *comment;
	bool empty_layer;
};

struct image_layer {
	char *diff_id; /* "sha256:..." of the uncompressed archive */
	char *chain_id; /* "sha256:..."; names the folder */
	char *dir; /* absolute path of the unpacked tree (.../layers/<hex>/fs) */
	char *blob; /* "sha256:..." of the archive as it came */
	char *media_type; /* of that archive */
	int64_t blob_size; /* bytes of that archive */
	int64_t size; /* bytes of the files in the tree */
	bool blob_kept; /* blobs/ holds it */
};

struct image {
	char *id; /* "sha256:<64 hex>" */
	char *manifest; /* digest of its manifest; NULL when it came without (docker-archive) */
	char **tags; /* familiar names: "nginx:latest", "ghcr.io/a/b:1"; NULL when it has none */
	char **digests; /* familiar "nginx@sha256:...", NULL when none is known */
	char *created; /* RFC 3339 text as in the config, never NULL */
	int64_t created_ns;
	int64_t loaded_ns; /* when it came into the store */
	char *architecture, *variant, *os, *os_version, *author, *comment,
		*docker_version; /* NULL when absent */
	struct image_config config;
	struct image_history *history;
	size_t n_history;
	struct image_layer *
		layers; /* base first; overlayfs wants them the other way round: image_lower_dirs */
	size_t n_layers;
	int64_t size; /* bytes: sum of the layers' files */
};

/* By name ("nginx", "nginx:1.27", "docker.io/library/nginx@sha256:..."), by id ("sha256:<64
 * hex>"), or by a unique prefix of the id's hex digits (with or without "sha256:"). NULL with e
 * filled: ENOENT "No such image: nginx:latest", EINVAL for an ambiguous prefix or a text that is
 * neither. */
const struct image *images_find(struct images *s, const char *ref, struct err *e);
/* Walks all, newest (created) first. pos starts as 0; NULL at the end. The store must not change
 * in between. */
const struct image *images_next(struct images *s, size_t *pos);
size_t images_count(const struct images *s);
/* Folders for overlayfs, topmost first, as NULL-terminated vector (strv_free). NULL on ENOMEM. */
char **image_lower_dirs(const struct image *img);

/* What is shown of an image beside what it is. */
struct image_view {
	struct images *images;
	char *const *tags, *const *digests; /* of these names; in the list only */
	int64_t containers,
		shared; /* how many use it; bytes of its layers that others have too; -1:
				       not counted; in the list only */
	bool none; /* "<none>:<none>" where there are no names (before 1.43) */
	bool virtual_size; /* before 1.44 */
	bool descriptor; /* of its manifest (from 1.48 on) */
	char *const *users; /* ids of containers: with `Manifests`; NULL: without */
};

/* The object of GET /images/{name}/json. */
void image_inspect(const struct image *img, const struct image_view *v, struct json_writer *w);
/* One element of GET /images/json. */
void image_summary(const struct image *img, const struct image_view *v, struct json_writer *w);
/* The array of GET /images/{name}/history. */
void image_write_history(const struct image *img, struct json_writer *w);

/* Whether and by whom an image is used; asked before removal. Returns the id of a container or
 * NULL. */
typedef const char *(*image_user_fn)(const char *image_id, bool *ret_running, void *data);
void images_set_users(struct images *s, image_user_fn fn, void *data);

/* ---- changing: operations ---- */

/* What an operation reports on its way, in Docker's terms; api/ writes one JSON line per call. */
struct image_progress {
	const char *status; /* "Loading layer" with id, current, total; NULL for plain text */
	const char *id; /* 12 hex digits of the layer's diff id */
	int64_t current, total; /* bytes */
	const char *stream; /* "Loaded image: nginx:latest\n"; NULL for progress */
};

/* What happened to the store; in order. The caller turns them into events and answers. */
enum image_change_type {
	IMAGE_LOADED,
	IMAGE_TAGGED,
	IMAGE_UNTAGGED,
	IMAGE_DELETED,
	IMAGE_LAYER_DELETED,
	IMAGE_MADE
};
struct image_change {
	enum image_change_type type;
	char *id; /* image id; chain id of a layer */
	char *name; /* familiar name; NULL for what was deleted and nameless images */
};

/* Embedded by the caller, zero-initialised; it must live until done() or image_op_cancel(). */
struct image_op {
	/* set by the caller */
	void (*progress)(struct image_op *op, const struct image_progress *p); /* may be NULL */
	void (*done)(struct image_op *op, int r,
		     const struct err *e); /* r: 0 or -errno with e's text */
	/* result, valid during done() */
	const struct image_change *changes;
	size_t n_changes;
	int64_t freed; /* bytes of the layers that were removed */
	/* internal */
	struct image_job *job;
};

/* Takes the operation back: its work is killed and undone, done() is not called. Harmless when
 * not running. */
void image_op_cancel(struct image_op *op);

/* Loads an archive (docker-archive or OCI layout tar, plain, gzip, zstd or xz, any number of
 * images) from fd: a pipe, socket or regular file, which is duplicated. On success every image
 * of it is in the store durably, with its names. E.g. EINVAL (bad archive), EFBIG (a limit),
 * ENOSPC. */
int images_load(struct images *s, int fd, struct image_op *op, struct err *e);
/* The same from a file of the machine; on a store in memory the blobs stay in that file. */
int images_load_file(struct images *s, const char *path, struct image_op *op, struct err *e);
/* An image that is made here: the archive of one layer on top of another image, or of nothing. */
struct image_make {
	const char *parent; /* id; NULL: none */
	const struct image_config *config;
	const char *author, *comment, *created_by; /* NULL: none */
	const char *architecture, *variant; /* NULL: the parent's, else this machine's */
	const char *name; /* with or without a tag; NULL: none */
};
/* Reads the layer from fd (as images_load) up to its end, so a caller who keeps the other end of a
 * pipe open decides when it is complete. A layer without entries is none. Durable at done(); the
 * changes are IMAGE_MADE, then what became of names. */
int images_make(struct images *s, int fd, const struct image_make *m, struct image_op *op,
		struct err *e);

/* Makes sure that `ref` is there: at once when the store has it, else by loading the first
 * archive of archive_dirs (byte order of names) that holds it. done() gives -ENOENT "No such
 * image: ..., and no archive in ... holds it". */
int images_ensure(struct images *s, const char *ref, struct image_op *op, struct err *e);

/* An archive of images, streamed out. Embedded by the caller, zeroed but for the callbacks; it must
 * live until done() or image_save_cancel(). */
struct image_save {
	/* image_save_read has something */
	void (*readable)(struct image_save *sv);
	/* Once, never from inside a call here; all output was read when r is 0. */
	void (*done)(struct image_save *sv, int r, const struct err *e);
	char **ids; /* of the images in it; valid during done() */

	/* private */
	struct list link;
	struct images *s; /* NULL: not running */
	struct worker worker;
	struct io_event out;
	int out_fd; /* -1: none (any more) */
	struct defer_event end;
	struct err why;
	bool ended;
};

/* The parts that are asked for; NULL: any. */
struct image_platform {
	const char *os, *architecture, *variant;
};

/* What an image must be to leave the store: of the platform (NULL: any; ENOENT in Docker's words),
 * its layers' archives kept (EOPNOTSUPP; verb: "saved", "pushed"). */
int image_check_platform(const struct image *img, const struct image_platform *p, struct err *e);
int image_check_kept(const struct image *img, const char *verb, struct err *e);

/* Writes the images that `refs` (NULL-terminated) name into one tar, docker-archive and OCI layout
 * at once. A name with a tag gives the image that name, one without a tag all tags that it has, an
 * id none. ENOENT in Docker's words; EOPNOTSUPP when a layer's archive was not kept (a store in
 * memory); EAGAIN when too many are written. */
int images_save(struct images *s, char *const *refs, const struct image_platform *platform,
		struct image_save *sv, struct err *e);
/* Bytes read; 0 when there is nothing now. At the end done() comes. */
size_t image_save_read(struct image_save *sv, void *buf, size_t size);
/* Stop and go of readable(). */
void image_save_pause(struct image_save *sv, bool paused);
/* Ends it; done() is not called. Harmless when it is over or never began. */
void image_save_cancel(struct image_save *sv);

/* What a push sends, in registry/. Opens a blob (a layer's archive, a config): a new descriptor,
 * and its size. ENOENT once its image has gone. */
int images_open_blob(struct images *s, const char *digest, int64_t *ret_size, struct err *e);
/* The manifest (manifest.h) with which the image goes out. The caller frees *ret in any case. */
struct manifest;
int images_manifest(struct images *s, const struct image *img, struct manifest *ret, struct err *e);
/* The repository's name (its tag does not matter) has the image under this digest from now on. */
struct ref;
int images_add_digest(struct images *s, const char *id, const struct ref *repository,
		      const char *digest, struct err *e);

enum { IMAGE_REMOVE_FORCE = 1, IMAGE_REMOVE_NO_PRUNE = 2 };
/* DELETE /images/{ref}: takes the name away, and the image with its unshared layers when that
 * was its last one. Conflicts are -EBUSY with Docker's text; what a container uses is never
 * deleted, force takes its names at most. NO_PRUNE changes nothing: images have no untagged
 * parents here. The space is free when done() is called. */
int images_remove(struct images *s, const char *ref, unsigned flags, struct image_op *op,
		  struct err *e);

/* Gives the image `ref` the name `name` (tag "latest" when it has none), durably; moves the name
 * when another image has it. Synchronous (one small file). EINVAL for a bad name or one with a
 * digest. */
int images_tag(struct images *s, const char *ref, const char *name, struct err *e);

/* ---- roles of skerryd (main.c's worker table) ---- */

int image_unpack_worker(int argc, char **argv); /* `skerryd worker unpack` */
int image_store_worker(int argc, char **argv); /* `skerryd worker store` */
int image_save_worker(int argc, char **argv); /* `skerryd worker save` */

/* ---- the check (check.c) ---- */

/* Looks at a store on disk that no engine changes, and prints what it finds. with_recovery:
 * opens it first as an engine would. Fails only when it cannot look. */
int image_check(const char *dir, bool with_recovery, size_t *ret_violations, struct err *e);
int image_check_main(int argc, char **argv); /* `skerryd store-check [--recover] DIR` */

#endif
