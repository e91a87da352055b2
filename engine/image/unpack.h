/*
 * The work of `skerryd worker unpack`, apart from being a process: one image archive into a job
 * folder.
 *
 * Callers: worker_unpack.c (the role), unit tests and the fuzz target (directly, in their own
 * process).
 */
#ifndef SKERRY_IMAGE_UNPACK_H
#define SKERRY_IMAGE_UNPACK_H

#include "engine/image/job.h"

struct unpack_request {
	int job; /* the job folder (job.h); JOB_BLOBS in it exists */
	int layers; /* the store's layers/: what is there is not unpacked again; -1: none */
	int archive; /* pipe, socket or regular file */
	struct job_request options;
	/* "Loading layer": bytes read of the layer with this diff id; may be NULL */
	void (*progress)(void *data, const char *diff_id, uint64_t bytes, uint64_t total);
	void *data;
};

/* Reads the archive and unpacks its layers. On failure the job folder holds leftovers; its owner
 * removes it whole. The caller frees the plan. */
int unpack_archive(const struct unpack_request *req, struct plan *ret, struct err *e);

#endif
