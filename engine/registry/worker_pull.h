/*
 * Documents of a registry, as the fetch worker gets them: for pulling, and for describing what
 * could be pulled. Only in the worker's process; worker_pull.c has them, worker_look.c asks too.
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

/* A manifest or index from where the session stands, checked against every promise about it
 * (`promised` may be NULL). The caller frees *d in any case. */
int worker_get_manifest(struct session *s, const char *reference, const struct descriptor *promised,
			struct document *d, struct err *e);
/* The config blob of a manifest, checked; not parsed. */
int worker_get_config(struct session *s, const struct document *manifest, struct document *config,
		      struct err *e);

#endif
