/*
 * What inspect and list share (inspect.c, summary.c). Private to this folder.
 */
#ifndef SKERRY_CONTAINER_INSPECT_H
#define SKERRY_CONTAINER_INSPECT_H

#include "engine/container/object.h"

/* Members "Mounts" and "Networks". in_summary: without the volumes' places, as Docker's list. */
void inspect_mounts(struct container *c, bool in_summary, struct json_writer *w);
void inspect_networks(struct container *c, struct json_writer *w);
/* Members "SizeRw" (when counted, files.h) and "SizeRootFs". */
void inspect_sizes(struct container *c, struct json_writer *w);
/* Whether the port of the container is published now. */
bool inspect_published(const struct container *c, uint16_t port, uint8_t proto);
/* "About an hour" and its kin. */
void human_duration(int64_t ns, char *buf, size_t size);

#endif
