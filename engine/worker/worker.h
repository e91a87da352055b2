/*
 * Workers: one process per blocking or dangerous job, the same binary started again as
 * `skerryd worker NAME`. Cancel = kill.
 *
 * The engine's side embeds a struct worker, sends one request (a JSON object), may stream bytes
 * into the worker's standard input, gets progress objects while it runs and exactly one on_done()
 * at the end, after the process was reaped. The worker's side calls worker_serve() from its role's
 * main function.
 *
 * Channel: descriptor 3 of the worker, messages {"kind":"request|progress|result|error","body":...}
 * over init/base/msg.h; a body that does not fit travels in a sealed memfd. What a worker sends is
 * untrusted input for the engine (it may have been taken over by what it reads) and is bounded and
 * checked here. The process ignores SIGPIPE (main.c). Called by image/, volume/, registry/, build/.
 */
#ifndef SKERRY_WORKER_WORKER_H
#define SKERRY_WORKER_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/data/json.h"
#include "init/base/buf.h"
#include "init/base/err.h"
#include "init/base/loop.h"

/* --- the engine's side --- */

struct worker_spec {
	const char *name; /* role; the program is `skerryd worker NAME` */
	const char *request; /* JSON object, NULL: {} */
	int input_fd; /* becomes its standard input (stays the caller's); 0 or -1: /dev/null */
	bool stream_input; /* input comes by worker_write() instead */
	const struct fd_map *fds; /* more descriptors, child numbers from 4 up */
	size_t n_fds;
	int cgroup_fd; /* born there; 0 or -1: ours */
	int64_t timeout_ms; /* killed after so long; 0: never */
	int oom_score_adj;
};

/* Embedded by the caller, zeroed; on_done is set before the start, the others when wanted. */
struct worker {
	/* A progress object, valid inside the call, which may cancel the worker but not free *w. */
	void (*on_progress)(struct worker *w, yyjson_val *body);
	/* After a worker_write() that took less than all: there is room again. */
	void (*on_room)(struct worker *w);
	/* The end, never from inside another function of this header. code 0: `result` is the
	 * worker's object (valid inside the call); else a negative errno and why. The struct may be
	 * freed or started again from here. */
	void (*on_done)(struct worker *w, int code, yyjson_val *result, const struct err *why);
	void *data; /* the caller's */

	/* private */
	struct loop *loop;
	const char *name;
	struct child_event child;
	struct io_event channel, input;
	int channel_fd, input_fd;
	struct timer_event timer;
	struct defer_event finish;
	int64_t timeout_ms;
	yyjson_doc *result;
	struct err why;
	int status;
	bool running, timed_out;
};

/* Starts it. On failure nothing runs and on_done is not called. spec and its strings are not
 * kept, except `name`. */
int worker_start(struct loop *l, struct worker *w, const struct worker_spec *spec, struct err *e);

/* Feeds a streaming worker: returns how many bytes were taken (0: no room now, wait for
 * on_room), -EPIPE when the worker does not read any more (its own error follows by on_done). */
ssize_t worker_write(struct worker *w, const void *data, size_t len);
/* No more input: the worker sees the end of its standard input. */
void worker_end_input(struct worker *w);

/* Kills and reaps it at once; on_done is not called. Harmless when it does not run. */
void worker_cancel(struct worker *w);
static inline UNUSED bool worker_running(const struct worker *w)
{
	return w->running;
}

/* --- the worker's side --- */

struct worker_call {
	int channel;
	yyjson_val *request; /* an object */
	struct buf result; /* run() writes its JSON object here; empty means {} */
};

/* The main function of a role: takes the request, calls run(), sends its result or its error,
 * and returns the exit status. Opens the log as "worker NAME". */
int worker_serve(const char *name, int (*run)(struct worker_call *call, struct err *e));

/* Sends one progress object (JSON text); lost silently when the engine is gone. */
void worker_progress(struct worker_call *call, const char *json, size_t len);

/* --- shared by both sides, and for tests --- */

enum { WORKER_CHANNEL = 3, WORKER_BODY_MAX = JSON_SIZE_MAX };

enum worker_kind { WORKER_REQUEST, WORKER_PROGRESS, WORKER_RESULT, WORKER_ERROR };

int worker_send(int channel, enum worker_kind kind, const char *json, size_t len, struct err *e);
/* One message; ret_doc's root is the body. 1 when there was one, 0 at the peer's end, -EAGAIN,
 * -EBADMSG. */
int worker_receive(int channel, enum worker_kind *ret_kind, yyjson_doc **ret_doc, struct err *e);

#endif
