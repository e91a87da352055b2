/*
 * Changes of an image's config: instructions of a Dockerfile ("ENV A=b"), as commit and import take
 * them, and a config on top of another one.
 *
 * The texts come from clients. Pure. Callers: api/ (import), container/ (commit).
 */
#ifndef SKERRY_IMAGE_CHANGE_H
#define SKERRY_IMAGE_CHANGE_H

#include "engine/image/image.h"

/* Applies CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR,
 * one to a line, in order; $NAME and ${NAME} stand for variables of the config. EINVAL says
 * which and why. */
int image_config_change(struct image_config *cfg, const char *const *texts, struct err *e);
/* Fills what `cfg` does not say with what `below` says, by Docker's rules. -ENOMEM. */
int image_config_merge(struct image_config *cfg, const struct image_config *below);

#endif
