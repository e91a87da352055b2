/*
 * The processes of a container as `ps` shows them: GET /containers/{id}/top.
 *
 * Reading a command line in /proc may wait for the process's memory, which the container controls;
 * so a worker reads, in a sandbox and with a time limit. The engine checks what it says.
 */
#ifndef SKERRY_CONTAINER_TOP_H
#define SKERRY_CONTAINER_TOP_H

#include "engine/container/container.h"
#include "engine/worker/worker.h"

enum {
	TOP_AT_A_TIME = 16, /* workers; for one more -EAGAIN */
	TOP_TIMEOUT_MS = 10000,
	TOP_PROCESSES_MAX = 8192, /* more are an error */
};

struct container_top {
	/* 0: titles and rows (an array of arrays of strings), valid inside the call; else -errno
	 * with e. Not from inside container_top. */
	void (*done)(struct container_top *t, int r, yyjson_val *titles, yyjson_val *rows,
		     const struct err *e);
	/* private */
	struct worker worker;
	struct containers *cs;
	char id[65];
};

/* ps_args as of `ps` (ps.h). -EBUSY when it does not run, -EINVAL, -EAGAIN, -ENOMEM: then done is
 * not called. The caller zeroes *t and sets done. */
int container_top(struct container *c, const char *ps_args, struct container_top *t, struct err *e);
void container_top_cancel(struct container_top *t);

/* `skerryd worker top`: for main.c's table of workers. */
int container_top_worker(int argc, char **argv);

#endif
