/*
 * Between plan.c and plan_oci.c: the parts of which both formats' plans are made.
 *
 * All report what is wrong without the document's name; the callers wrap it.
 */
#ifndef SKERRY_IMAGE_PLAN_PRIV_H
#define SKERRY_IMAGE_PLAN_PRIV_H

#include "engine/image/plan.h"

/* A new empty image at the end; NULL with e filled. Valid until the next one is added. */
struct plan_image *plan_add_image(struct plan *p, const struct image_limits *limits, struct err *e);
/* A layer on top; its bundle member must exist. */
int plan_add_layer(struct plan_image *img, const struct bundle *b,
		   const struct image_limits *limits, const char *name, struct err *e);
/* Normalises a name and adds it once. */
int plan_add_name(struct plan_image *img, const char *name, struct err *e);
/* Reads the config document: id, diff ids and chain ids of the layers added before. */
int plan_read_config(struct plan_image *img, const char *text, size_t len, struct err *e);
/* Adds the images of index.json to the plan. */
int plan_oci(struct plan *p, const struct bundle *b, const struct image_limits *limits,
	     struct err *e);

#endif
