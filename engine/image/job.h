/*
 * A job folder (tmp/<id>/ of the store), and the messages about it between the engine and its
 * workers.
 *
 *   blobs/<name>   <hex>: blobs for the store; <number>: copies of members, thrown away later
 *   l<number>/     a layer: fs/ (the tree), notes (extract.h), layer.json (once it is finished)
 *
 * `worker unpack` gets a struct job_request and answers with a struct plan; it has read hostile
 * input, so the engine believes of that plan only what it checks itself (job_result_read, load.c).
 * `worker store` gets the layers to finish or the folders to remove (finish.h).
 */
#ifndef SKERRY_IMAGE_JOB_H
#define SKERRY_IMAGE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "engine/data/digest.h"
#include "engine/data/json.h"
#include "engine/data/ref.h"
#include "engine/image/limits.h"
#include "engine/image/plan.h"
#include "init/base/err.h"

#define JOB_BLOBS "blobs"
#define JOB_NOTES "notes"
#define LAYER_TREE "fs"
#define LAYER_RECORD "layer.json"

enum { JOB_FOLDER_MAX = 24 };

/* Descriptors of the unpack worker, beside its standard input (the archive) and channel. */
enum { JOB_FD_DIR = 4, JOB_FD_LAYERS = 5 };

struct job_request {
	/* unpack only an archive that holds this ("docker.io/library/a:1", "...@sha256:...",
	 * "sha256:..."), else just tell what it holds; "": unpack whatever it is */
	char wanted[REF_TEXT_MAX];
	bool layer; /* the archive is that of one layer */
	size_t number; /* of its folder, */
	char digest[DIGEST_TEXT_MAX],
		diff_id[DIGEST_TEXT_MAX]; /* and what is promised of it; "": */
	int64_t size; /* and -1: whatever they are */
	bool keep; /* layers' archives go to blobs/ too */
	bool no_sandbox;
	struct image_limits limits;
};

void job_request_write(const struct job_request *req, struct buf *out);
int job_request_read(yyjson_val *root, struct job_request *ret, struct err *e);
void job_result_write(const struct plan *p, struct buf *out);
/* Every digest, name and folder is checked for its form, counts against the limits. config_name
 * and layers' names stay NULL, chain ids empty. The caller frees the plan in any case. */
int job_result_read(yyjson_val *root, const struct image_limits *limits, struct plan *ret,
		    struct err *e);

/* "l<number>" */
void job_folder(char buf[JOB_FOLDER_MAX], size_t number);

void image_limits_write(const struct image_limits *l, struct json_writer *w);
int image_limits_read(yyjson_val *object, struct image_limits *ret, struct err *e);

#endif
