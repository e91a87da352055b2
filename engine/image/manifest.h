/*
 * The manifest under which an image leaves the store, in an archive or to a registry.
 *
 * The image's own, when the store has it and it names exactly the blobs that the store has, so
 * that its digest stays; else an OCI manifest, the same bytes each time. Stored manifests came
 * from outside and are read as hostile documents. Callers: save_write.c, push.c, unit tests.
 */
#ifndef SKERRY_IMAGE_MANIFEST_H
#define SKERRY_IMAGE_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "engine/data/json.h"
#include "engine/image/document.h"
#include "init/base/buf.h"
#include "init/base/err.h"

struct manifest_blob {
	const char *digest;
	int64_t size;
	const char *media_type; /* of a layer, in OCI's or Docker's words; NULL for a config */
};

struct manifest_parts {
	struct manifest_blob config;
	const struct manifest_blob *layers; /* base first */
	size_t n_layers;
};

struct manifest {
	char digest[DIGEST_TEXT_MAX];
	char media_type[MEDIA_TYPE_MAX];
	int64_t size; /* of text */
	struct buf text;
	bool kept; /* it is a blob of the store */
};
void manifest_free(struct manifest *m);
DEFINE_CLEANUP_VALUE(struct manifest, manifest_free)

/* `kept`: digest of the image's own manifest, NULL or "" when it has none; blobs_fd:
 * blobs/sha256. The caller frees *ret in any case.
 * EFBIG; EIO for a damaged one. */
int manifest_choose(int blobs_fd, const char *kept, const struct manifest_parts *parts,
		    struct manifest *ret, struct err *e);
/* The OCI name of what a layer's archive is; Docker's names mean the same. */
const char *manifest_layer_type(const char *media_type);
/* {"mediaType","digest","size"} */
void manifest_descriptor(struct json_writer *w, const char *type, const char *digest, int64_t size);

#endif
