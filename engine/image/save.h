/*
 * `skerryd worker save`: images as one tar stream, docker-archive and OCI layout at once.
 *
 *   blobs/sha256/<hex>   configs, manifests, layers' archives as they came, each once
 *   index.json, oci-layout, manifest.json
 *
 * An image's own manifest is kept when the store has all that it names, so that its digest stays;
 * else one is written. Every blob is opened before the first byte goes out (an image that is
 * removed meanwhile does not break the stream) and its digest is checked on the way.
 *
 * Request: {"no_sandbox":B,"images":[{"id":DIGEST,"manifest":DIGEST?,"names":["docker.io/a/b:1"],
 * "layers":[{"digest":DIGEST,"diff_id":DIGEST,"media_type":"..."}]}]}. Written by save.c, served by
 * save_write.c, worker_save.c is the process around it.
 */
#ifndef SKERRY_IMAGE_SAVE_H
#define SKERRY_IMAGE_SAVE_H

#include <yyjson.h>

#include "init/base/err.h"

#define SAVE_WORKER "save"

enum { SAVE_FD_OUT = 4, SAVE_FD_BLOBS = 5 }; /* the stream; blobs/sha256 of the store */

/* Serves one request: writes the archive to `out`. */
int save_write(int blobs, int out, yyjson_val *request, struct err *e);

#endif
