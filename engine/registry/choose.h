/*
 * Documents of a registry: what one is, and which of an index is meant. Pure.
 *
 * The strict reader of engine/image/document.h does the reading; here is what only registries have:
 * Content-Type, the old schema 1, and the choice of a platform.
 */
#ifndef SKERRY_REGISTRY_CHOOSE_H
#define SKERRY_REGISTRY_CHOOSE_H

#include "engine/image/document.h"
#include "engine/image/image.h"

/* The headers that ask for a manifest or an index, and for nothing else; NULL-terminated. */
extern const char *const choose_accept[];

/* Parses what came as a manifest with this Content-Type ("" when there was none). EINVAL for what
 * is neither manifest nor index, is both, or is not what its type says; schema 1 is named. The
 * caller frees *ret_doc. */
int choose_read(const char *text, size_t len, const char *content_type, yyjson_doc **ret_doc,
		enum document_kind *ret_kind, struct err *e);

/* The manifest of an index for this platform (members that are NULL: this machine's). The best
 * variant that the platform can run. ENOENT "no matching manifest for linux/arm64 in the manifest
 * list entries". */
int choose_manifest(yyjson_val *index, const struct image_platform *platform,
		    struct descriptor *ret, struct err *e);

/* The config's descriptor of a manifest: -EINVAL when it is not that of an image. */
int choose_config(yyjson_val *manifest, struct descriptor *ret, struct err *e);

#endif
