/*
 * A container's files for clients: archives out and in, export, changes, its own files as a layer;
 * the engine's side.
 *
 * Each operation is a worker (files/worker.c) of its own; the engine passes bytes on and decides
 * how the container is to be seen: a running one by its first process, a stopped one by what it
 * would be mounted from. While a worker has the container's overlay in use, a start waits for it,
 * up to FILES_PATIENCE_MS; then the worker is ended. An operation on a container that is just
 * starting waits for the end of that.
 *
 * The caller embeds a struct files_op. Users: api/.
 */
#ifndef SKERRY_CONTAINER_FILES_H
#define SKERRY_CONTAINER_FILES_H

#include "engine/container/container.h"
#include "engine/volume/volume.h"
#include "engine/worker/worker.h"

enum {
	FILES_JOBS_MAX = 64, /* at a time, of all containers together */
	FILES_PATIENCE_MS = 10000,
};

enum files_kind { FILES_STAT, FILES_GET, FILES_PUT, FILES_EXPORT, FILES_CHANGES, FILES_LAYER };

struct files_request {
	enum files_kind kind;
	const char *path; /* STAT, GET, PUT */
	const char *asked; /* the container as the client named it, for messages */
	bool keep_kind; /* PUT: directories and other kinds do not replace each other */
	int out_fd; /* LAYER: where its archive goes; duplicated */
	bool own; /* PUT: files belong to the container's user, if it has one */
};

/* Zeroed by the caller but for the callbacks and `data`. */
struct files_op {
	/* STAT, GET: the object of X-Docker-Container-Path-Stat, before anything else */
	void (*found)(struct files_op *op, const char *json);
	/* GET, EXPORT, CHANGES: container_files_read has something */
	void (*readable)(struct files_op *op);
	/* PUT: container_files_write takes bytes again */
	void (*room)(struct files_op *op);
	/* Once, from the loop, never from inside a call here; all output was read when r is 0. The
	 * struct may be freed. */
	void (*done)(struct files_op *op, int r, const struct err *e);
	void *data;

	/* private */
	struct container *c; /* NULL when it is gone */
	struct containers *cs;
	struct list link;
	struct files_request q;
	char *path, *asked;
	struct worker worker;
	struct copy_up copy_up; /* volumes of a stopped container are filled as at its start */
	size_t fill_next;
	struct io_event out;
	int out_fd; /* -1: none (any more) */
	int give_fd; /* LAYER: for the worker */
	struct defer_event step;
	struct err why;
	bool taken; /* the container's volumes */
	bool waits, filling, holds, started, ended, over, input_ended, counted;
};

/* -EAGAIN when there are too many; else done follows. q's strings are copied. */
int container_files_start(struct container *c, const struct files_request *q, struct files_op *op,
			  struct err *e);
/* Output: bytes read, 0 when there is nothing now. At the end done comes. */
size_t container_files_read(struct files_op *op, void *buf, size_t size);
/* Stop and go of `readable`. */
void container_files_pause(struct files_op *op, bool paused);
/* Input: how many bytes were taken; fewer than len: wait for `room`. All are taken (and dropped)
 * when the worker wants no more. */
size_t container_files_write(struct files_op *op, const void *data, size_t len);
void container_files_end_input(struct files_op *op);
/* Ends it; done is not called. Harmless when it is over or never began. */
void container_files_cancel(struct files_op *op);

/* The paths whose sizes are "SizeRw" of a container, for usage.h. New memory. */
char *container_upper_path(const struct container *c);
/* Bytes of its own files, as counted just now; -1 unknown. For container_summary and
 * container_inspect. */
void container_set_size(struct container *c, int64_t bytes);

#endif
