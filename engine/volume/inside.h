/*
 * What the files of engine/volume share: names in a volume's folder and in worker requests.
 *
 * Nobody outside this folder includes it, but its tests.
 */
#ifndef SKERRY_VOLUME_INSIDE_H
#define SKERRY_VOLUME_INSIDE_H

#include "engine/volume/volume.h"

/* the worker's name, its two jobs ("op" of the request), and files in a volume's folder */
#define VOLUME_WORKER "volume"
#define VOLUME_OP_COPY "copy"
#define VOLUME_OP_REMOVE "remove"
#define VOLUME_DATA "_data"
#define VOLUME_COPYING "copying" /* there while a copy-up is not complete */

/* volume.c: the volume's folder; new memory (free()), NULL on ENOMEM. */
char *volume_folder(const struct volumes *vs, const char *name);

/* worker.c: the jobs themselves, also called directly by tests. */
int volume_do_copy(const char *folder, int image_root, const char *path, struct err *e);

#endif
