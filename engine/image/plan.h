/*
 * What an image archive asks for: its images, with their documents, layers and names, all checked
 * against each other.
 *
 * Made by the sandboxed worker from the bundle's documents: manifest.json (docker-archive) or
 * index.json (OCI layout). When an archive has both, manifest.json says which images and names,
 * index.json adds the manifests. Layers' contents are not looked at here; layer.c does, and checks
 * what is promised here. Caller: unpack.c.
 */
#ifndef SKERRY_IMAGE_PLAN_H
#define SKERRY_IMAGE_PLAN_H

#include "engine/data/digest.h"
#include "engine/image/bundle.h"
#include "engine/image/document.h"

struct plan_layer {
	char *name; /* in the bundle */
	char digest
		[DIGEST_TEXT_MAX]; /* promised for the archive as it is; "" when nobody promised */
	int64_t size; /* the same; -1 */
	char media_type[MEDIA_TYPE_MAX]; /* "" */
	char diff_id[DIGEST_TEXT_MAX]; /* promised for the uncompressed archive */
	char chain_id[DIGEST_TEXT_MAX];
	/* filled by unpack.c */
	bool done;
	bool present; /* the store has it already */
	size_t number; /* folder l<number> of the job */
	uint64_t bytes;
};

struct plan_image {
	char id[DIGEST_TEXT_MAX]; /* digest of the config document */
	char *config_name; /* in the bundle */
	char manifest[DIGEST_TEXT_MAX]; /* "" when the archive has none for it */
	char **names; /* normalised, with tag; may be NULL */
	char **digest_names; /* normalised "name@sha256:..."; NULL: the names with `manifest` */
	struct plan_layer *layers; /* base first */
	size_t n_layers;
};

struct plan {
	struct plan_image *images;
	size_t n_images;
	bool names_only; /* the layers were not unpacked, because nobody wants the archive */
};

/* EINVAL with the document's name and what is wrong in it, ENOENT when something that it names
 * is missing. */
int plan_make(const struct bundle *b, const struct image_limits *limits, struct plan *ret,
	      struct err *e);
void load_plan_free(struct plan *p);
DEFINE_CLEANUP_VALUE(struct plan, load_plan_free)

/* All that the image can be asked for by: its id, its names, its names with its manifest's
 * digest. Appends to *names; -ENOMEM. */
int plan_image_names(const struct plan_image *img, char ***names);
/* Whether any image of the plan can be asked for by `key`. */
bool plan_holds(const struct plan *p, const char *key);

/* chain id of a layer on top of `parent` ("" for the base): sha256 of "parent diff_id" (OCI
 * image-spec, config.md). */
int chain_id(const char *parent, const char *diff_id, char ret[DIGEST_TEXT_MAX]);

/* The name in an archive where the OCI layout keeps a blob: "blobs/sha256/<hex>". */
void plan_blob_name(char buf[96], const char *digest);

#endif
