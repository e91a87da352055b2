/*
 * Inside of container/: the user namespace of a container (userns.c). The map that it gets is
 * decided at create and kept in container.json (struct container, remap), so that a container stays
 * what it was checked to be when the engine's setting changes.
 */
#ifndef SKERRY_CONTAINER_USERNS_H
#define SKERRY_CONTAINER_USERNS_H

#include "engine/container/object.h"

/* At create: takes the engine's map unless UsernsMode is "host"; -EINVAL for what does not go
 * together with it, with Docker's texts. */
int userns_settle(struct container *c, struct err *e);
/* At start: the user namespace that the container's network namespace is to belong to, a
 * descriptor: a new one, or that of the containers whose namespaces it joins. -1 without a map.
 * -EINVAL when those have another one. */
int userns_open(struct container *c, int *ret, struct err *e);

#endif
