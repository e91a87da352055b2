/*
 * Exec: further processes in a running container, for clients (POST /containers/{id}/exec and
 * /exec/{id}/...) and for the engine itself (container_probe).
 *
 * An exec is made (EXEC_CREATED), started once, and ends; its exit code is kept for EXEC_KEPT_MS.
 * The process is the shim's: an exec goes on when the engine is gone, and is found again with its
 * documents in the shim's directory (exec_record.c). Nothing here is called back from inside the
 * call that started it. Errors are those of container.h; texts are what clients see.
 */
#ifndef SKERRY_CONTAINER_EXEC_H
#define SKERRY_CONTAINER_EXEC_H

#include "engine/container/container.h"
#include "init/base/buf.h"

struct exec; /* valid until control returns to the loop: then look it up again */

enum {
	EXECS_MAX = 4096, /* known at a time, all containers together; then ended ones go first */
	EXEC_TEXT_MAX = 1 << 20, /* bytes of Cmd and Env of one */
	EXEC_TEXTS_MAX = 32 << 20, /* of all together */
	EXEC_KEPT_MS = 300000, /* after the end (Docker: 5 to 10 min) */
	EXEC_READY_MS = 10000, /* a resize waits so long for the start (Docker's number) */
	EXEC_EVENT_TEXT_MAX = 4096, /* of the command in events */
};

/* Makes one from the body of POST /containers/{id}/exec (ExecConfig). EINVAL bad request, EBUSY the
 * container does not run, EAGAIN too many. */
int exec_create(struct container *c, yyjson_val *body, struct exec **ret, struct err *e);
/* By full id. ENOENT "No such exec instance: x". */
struct exec *execs_find(struct containers *cs, const char *id, struct err *e);

const char *exec_id(const struct exec *x);
bool exec_tty(const struct exec *x);
bool exec_open_stdin(const struct exec *x);
const char *exec_detach_keys(const struct exec *x); /* as asked for; NULL or "": the default */
/* The object of GET /exec/{id}/json. */
void exec_inspect(const struct exec *x, struct json_writer *w);
/* 0 when it may be started now; EBUSY with Docker's text when its container does not run or is
 * paused, or it has run already. */
int exec_check(const struct exec *x, struct err *e);
/* Event exec_detach: a client typed its detach keys. */
void exec_detached(struct exec *x);

struct exec_start {
	bool detach; /* the caller's: no streams */
	unsigned int rows,
		cols; /* the caller's: first size of the terminal; 0: that of the create */
	/* Once: its process runs (fd: the stream, as of container_attach, now the callee's; -1 when
	 * detached), or could not be started (fd -1, r < 0 with e; its exit code is 126 or 127). */
	void (*started)(struct exec_start *s, int r, int fd, const struct err *e);
	/* Once, after `started` with 0: its exit code is known. The end of the stream comes on its
	 * own, before or after this. */
	void (*ended)(struct exec_start *s, int exit_code);
	struct list link;
};
/* 0: `started` follows; else refused as exec_check says, and nothing follows. */
int exec_start(struct exec *x, struct exec_start *s, struct err *e);
/* The caller has gone: the process goes on. Harmless when over. */
void exec_start_cancel(struct exec_start *s);

/* A new size for its terminal; one that is not started yet is waited for (EXEC_READY_MS). */
void exec_set_size(struct exec *x, unsigned int rows, unsigned int cols, struct container_op *op);
/* The container's own terminal. EBUSY when it does not run. */
void container_resize(struct container *c, unsigned int rows, unsigned int cols,
		      struct container_op *op);

/* ---- commands of the engine itself ---- */

enum { PROBE_OUTPUT_MAX = 4096 }; /* bytes kept of stdout and stderr together (Docker's number) */

struct container_probe {
	/* The caller's, read during container_probe(). As Docker runs health checks: the
	 * container's user, environment and working directory, no terminal, no stdin; events
	 * exec_create, exec_start, exec_die. */
	char *const *argv;
	int timeout_ms; /* of its run; then it is killed. 0: none */
	/* Once, from the loop; the probe is over then and may be freed or used again.
	 * r 0: it ran to its end: exit_code (128 + signal when killed). -ETIMEDOUT: it was killed,
	 * output is what it said until then. Other -errno with e: it did not run (exit_code 126 or
	 * 127 when the program is not executable or not there), or the container ended first
	 * (-ENOTCONN). `output` is never NULL and lives during the call. */
	void (*done)(struct container_probe *p, int r, int exit_code, const struct buf *output,
		     const struct err *e);
	struct probe_job *job; /* inside */
};
/* Runs a command in a container that runs. Always ends in `done` unless it is cancelled. */
void container_probe(struct container *c, struct container_probe *p);
/* Kills the command and forgets the caller; harmless when it is over or never was (zeroed). */
void container_probe_cancel(struct container_probe *p);

#endif
