/*
 * JSON documents of images (manifest, index, config, manifest.json): parsed so that nobody can read
 * them in another way.
 *
 * Refused: nesting over IMAGE_JSON_DEPTH, one key twice in an object, keys of a manifest or index
 * in another spelling (Layers beside layers), a document that is manifest and index at once
 * (threats.md, rows 47 and 51). Callers: plan.c in the worker, registry/ later.
 */
#ifndef SKERRY_IMAGE_DOCUMENT_H
#define SKERRY_IMAGE_DOCUMENT_H

#include <stdint.h>
#include <yyjson.h>

#include "engine/data/digest.h"
#include "engine/data/json.h"
#include "init/base/err.h"

enum document_kind {
	DOCUMENT_MANIFEST, /* config and layers */
	DOCUMENT_INDEX, /* manifests */
};

/* A reference from one document to a blob. Strings are the document's. */
struct descriptor {
	const char *media_type;
	const char *digest; /* checked: sha256 */
	int64_t size;
	yyjson_val *value;
};

enum { MEDIA_TYPE_MAX = 128 };

/* Parses text as JSON with the checks that hold for all documents. */
int document_parse(const char *text, size_t len, yyjson_doc **ret_doc, struct err *e);
/* Checks that an object is a manifest or an index and says which. `media_type` is what its
 * descriptor promised; NULL when there was none (index.json). */
int document_kind(yyjson_val *root, const char *media_type, enum document_kind *ret, struct err *e);
/* Whether the media type is one of an index, manifest, config, layer. */
bool media_type_is_index(const char *type);
bool media_type_is_manifest(const char *type);
bool media_type_is_config(const char *type);
bool media_type_is_layer(const char *type);
/* Reads mediaType, digest and size of a descriptor; `urls` and `data` are ignored (row 52). */
int descriptor_read(yyjson_val *value, struct descriptor *ret, struct err *e);
/* A string of the descriptor's annotations, or NULL. */
const char *descriptor_annotation(const struct descriptor *d, const char *key);
/* Whether text has the descriptor's size and digest. */
int descriptor_verify(const struct descriptor *d, const char *text, size_t len, struct err *e);

/* The platform that this program was built for: "amd64", "arm64". */
const char *platform_architecture(void);
/* 1: the descriptor's platform is ours, 0: it is another one, -1: it names none. */
int descriptor_platform(const struct descriptor *d);

#endif
