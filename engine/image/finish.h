/*
 * `skerryd worker store`: trusted file work that may take long. It never looks into an archive.
 *
 * Finishing layers: the store's side of extract.h's notes (opaque directories get
 * trusted.overlay.opaque; implied directories take owner, mode and time of the same directory in
 * the layers below, as if the archive had been unpacked on top of them), then layer.json, and one
 * syncfs for all. Removing: whole folders below the store.
 *
 * Messages: {"op":"finish","layers":[{"folder":P,"lower":[P...],"record":{...}}]} and
 * {"op":"remove","paths":[P...]}, paths below the store, lower layers topmost first. Callers:
 * commit.c and trash.c write them, worker_store.c serves them.
 */
#ifndef SKERRY_IMAGE_FINISH_H
#define SKERRY_IMAGE_FINISH_H

#include <yyjson.h>

#include "engine/data/json.h"
#include "init/base/err.h"

enum { FINISH_FD_STORE = 4 }; /* the store's folder */

#define OVERLAY_OPAQUE "trusted.overlay.opaque"

void finish_write_remove(char *const *paths, struct buf *out);

/* Serves one message; `store` is the store's folder. */
int finish_serve(int store, yyjson_val *request, struct err *e);

#endif
