/*
 * Where output goes beside the log file: a process that sends it away (engine/syslog), fed through
 * a socket that the kernel bounds.
 *
 * What the socket does not take holds the container's output up (blocking), or is dropped and
 * counted. The process is started again when it dies. Nothing here waits.
 */
#ifndef SKERRY_SHIM_SINK_H
#define SKERRY_SHIM_SINK_H

#include "engine/shim/logfile.h"
#include "init/base/err.h"
#include "init/base/loop.h"

struct sink; /* opaque */

struct sink_config {
	struct loop *loop;
	const char *json; /* the object log.syslog of shim.json */
	bool blocking;
	/* Once: 0 when there is a connection, else why there is none; the sink is of no use
	 * then. */
	void (*ready)(void *data, int r, const struct err *why);
	/* Output has to wait (true) or may come again. */
	void (*hold)(void *data, bool on);
	/* After sink_finish: all is sent or given up. */
	void (*finished)(void *data);
	void *data;
};

int sink_open(const struct sink_config *cfg, struct sink **ret, struct err *e);
/* One chunk of output, at most SESSION_CHUNK bytes. */
void sink_write(struct sink *s, enum log_stream stream, const char *data, size_t len,
		int64_t real_ns);
void sink_end_stream(struct sink *s, enum log_stream stream);
/* The container has ended and its output must be read now: nothing is held up any more. */
void sink_give_up(struct sink *s);
/* No more output. Bounded; `finished` follows, never from inside. Later calls do nothing. */
void sink_finish(struct sink *s);
bool sink_is_finished(const struct sink *s);
/* Was pid its process? */
bool sink_reaped(struct sink *s, pid_t pid, int status);
void sink_free(struct sink *s);
DEFINE_CLEANUP(struct sink *, sink_free)

#endif
