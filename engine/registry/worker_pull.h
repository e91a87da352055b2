/*
 * Documents in the fetch worker: what a pull and a description of an image both get.
 *
 * Errors are in the words that Docker's clients know ("manifest for a:1 not found: ...").
 */
#ifndef SKERRY_REGISTRY_WORKER_PULL_H
#define SKERRY_REGISTRY_WORKER_PULL_H

#include "engine/registry/choose.h"
#include "engine/registry/session.h"

struct document {
	struct buf text;
	char content_type[MEDIA_TYPE_MAX];
	char digest[DIGEST_TEXT_MAX]; /* of the text */
	yyjson_doc *doc;
	enum document_kind kind;
};

void document_free(struct document *d);
DEFINE_CLEANUP_VALUE(struct document, document_free)

/* A manifest or index from where the session stands, by tag or digest, checked against every
 * promise about it (`promised`: NULL when there is none but the reference). */
int worker_get_manifest(struct session *s, const char *reference, const struct descriptor *promised,
			struct document *d, struct err *e);
/* The config of that manifest, which has to be an image's. d->doc stays NULL. */
int worker_get_config(struct session *s, const struct document *manifest, struct document *config,
		      struct err *e);

#endif
