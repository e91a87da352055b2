/*
 * The limits of everything that is read from an archive, in one place.
 *
 * Each is a setting of system.yaml (a member of struct image_limits; zero means the default here).
 * The defaults let the largest images that people use pass and stop a bomb before it hurts: see
 * threats.md part C, rows 44 to 46. Rows that the kernel limits itself (path and name length) are
 * not settings.
 */
#ifndef SKERRY_IMAGE_LIMITS_H
#define SKERRY_IMAGE_LIMITS_H

#include <stdint.h>

struct image_limits {
	uint64_t archive_bytes; /* of a whole archive as it comes (compressed or not) */
	uint64_t archive_entries; /* of a whole archive (blobs and documents) */
	uint64_t layer_bytes; /* of one layer, uncompressed, files' holes included */
	uint64_t layer_entries; /* of one layer */
	uint64_t layers; /* of one image; overlayfs takes 500, Docker 125 */
	uint64_t images; /* of one archive */
	uint64_t ratio; /* uncompressed to compressed bytes, checked from ratio_from on */
	uint64_t ratio_from; /* uncompressed bytes that are free of the ratio check */
	uint64_t depth; /* components of a path in a layer */
	uint64_t xattr_bytes; /* of one entry, names and values together */
	/* bytes that the worker may have for itself; a decompressor gets half (xz -6: 9 MiB of all,
	 * zstd -19: 8 MiB) */
	uint64_t memory;
	uint64_t jobs; /* archives that are loaded at the same time; others wait */
};

/* One row per member: X(name, its setting below engine.image-limits, default). Where the name of a
 * setting ends in bytes or memory its value may have a unit, as in 512M. */
#define IMAGE_LIMITS(X)                                        \
	X(archive_bytes, "archive-bytes", UINT64_C(256) << 30) \
	X(archive_entries, "archive-entries", UINT64_C(65536)) \
	X(layer_bytes, "layer-bytes", UINT64_C(64) << 30)      \
	X(layer_entries, "layer-entries", UINT64_C(2000000))   \
	X(layers, "layers", UINT64_C(125))                     \
	X(images, "images", UINT64_C(256))                     \
	X(ratio, "ratio", UINT64_C(250))                       \
	X(ratio_from, "ratio-from-bytes", UINT64_C(64) << 20)  \
	X(depth, "depth", UINT64_C(256))                       \
	X(xattr_bytes, "xattr-bytes", UINT64_C(1) << 20)       \
	X(memory, "memory", UINT64_C(16) << 20)                \
	X(jobs, "jobs", UINT64_C(2))

/* Replaces zero members by the defaults. */
void image_limits_default(struct image_limits *l);
/* From the machine's settings (settings_read): engine.image-limits.NAME; what is not there is 0. */
void image_limits_settings(char *const *settings, struct image_limits *ret);

/* The document kinds' sizes: 4 MiB is what registries and containerd accept for a manifest. */
enum {
	IMAGE_DOCUMENT_MAX = 4 << 20, /* one JSON document: manifest, index, config */
	IMAGE_DOCUMENTS_MAX = 4096, /* documents of one archive */
	IMAGE_JSON_DEPTH = 32,
	IMAGE_RECORD_MAX = 1 << 20, /* our own records in refs/ and layer.json */
};

enum {
	IMAGE_SAVES_MAX = 16, /* archives that are written out at the same time */
	IMAGE_SAVE_BLOBS_MAX = 4096, /* blobs of one of them: each is open while it is written */
	IMAGE_CHANGES_BYTES = 256 << 10, /* the instructions of one commit or import */
	IMAGE_SAVE_PIPE = 256 << 10, /* bytes of the pipe from its worker */
};

#endif
