/*
 * Image references: "nginx", "ghcr.io/a/b:1.2", "localhost:5000/x@sha256:...".
 *
 * Parsed by the grammar of the distribution project's reference package and normalised: the domain
 * defaults to docker.io, a single name there gets library/ in front. The familiar form is what
 * people type and what Docker shows. All members are checked and bounded, so they may be used in
 * file names and URLs. Called by image/, registry/, container/, manifest/.
 */
#ifndef SKERRY_DATA_REF_H
#define SKERRY_DATA_REF_H

#include <stdbool.h>

#include "engine/data/digest.h"
#include "init/base/err.h"

enum {
	REF_NAME_MAX = 255, /* of the domain, and of the path */
	REF_TAG_MAX = 128,
	/* domain/path:tag@digest with its NUL */
	REF_TEXT_MAX = 2 * REF_NAME_MAX + 1 + REF_TAG_MAX + 1 + DIGEST_TEXT_MAX + 2
};

struct ref {
	char domain[REF_NAME_MAX + 1]; /* "docker.io", "localhost:5000", "[::1]:5000" */
	char path[REF_NAME_MAX + 1]; /* "library/nginx" */
	char tag[REF_TAG_MAX + 1]; /* "" when none */
	char digest[DIGEST_TEXT_MAX]; /* "sha256:...", "" when none */
};

/* -EINVAL in Docker's words ("invalid reference format: ..."); *ret_ref is untouched then. */
int ref_parse(const char *text, struct ref *ret_ref, struct err *e);
/* Gives the tag "latest" to a reference with neither tag nor digest. */
void ref_add_default_tag(struct ref *r);
bool ref_tag_valid(const char *tag);

/* "docker.io/library/nginx:1@sha256:..." */
void ref_format(const struct ref *r, char ret_text[REF_TEXT_MAX]);
/* "nginx:1@sha256:..." */
void ref_format_familiar(const struct ref *r, char ret_text[REF_TEXT_MAX]);
/* "nginx": the familiar name alone */
void ref_format_name(const struct ref *r, char ret_text[REF_TEXT_MAX]);

#endif
