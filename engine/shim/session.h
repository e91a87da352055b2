/*
 * The standard streams of one process (a container's first, or an exec'd one) and the clients
 * attached to them.
 *
 * Output is read in chunks, goes to the log first and then to every client that asked for it: in
 * Docker's frames ({stream,0,0,0,length}), raw with a terminal. A client that does not take its
 * data stops the reading (back-pressure up to the process itself) for at most stall_ms, then it is
 * dropped. So memory is at most one chunk per client. What clients write goes to the
 * process's stdin.
 */
#ifndef SKERRY_SHIM_SESSION_H
#define SKERRY_SHIM_SESSION_H

#include <stdbool.h>

#include "engine/shim/logfile.h"
#include "engine/shim/sink.h"
#include "init/base/err.h"
#include "init/base/loop.h"

enum { SESSION_CHUNK = 16384 };

struct session_output {
	struct io_event io;
	int fd; /* -1 when at its end */
	enum log_stream stream;
	struct session *session;
};

struct session {
	struct loop *loop;
	struct logfile *log; /* not owned, NULL: none */
	struct sink *sink; /* the same */
	bool tty;
	bool stdin_once; /* stdin closes with the first client's */
	struct session_output out[2];
	struct io_event in_io;
	int in_fd; /* -1: none or closed */
	char *in_pending;
	size_t in_len, in_off;
	struct list clients;
	unsigned int n_clients;
	int paused; /* clients (and the sink) that hold up the reading */
	bool ended; /* session_end() was called */
	int stall_ms; /* for clients that attach from now on; 0: no limit */
	/* called once when all outputs are at their end; may free the session */
	void (*drained)(struct session *s, void *data);
	void *data;
};

void session_init(struct session *s, struct loop *loop, struct logfile *log);
/* With pipes: our ends of stdin, stdout, stderr, -1 for none. Takes the
 * descriptors over. */
int session_pipes(struct session *s, int in, int out, int err, struct err *e);
/* With a terminal: its master, which is taken over. */
int session_terminal(struct session *s, int master, bool with_stdin, struct err *e);
/* A new client: *ret_fd is the other end of its socket, the caller's to hand on. */
int session_attach(struct session *s, bool in, bool out, bool err, int *ret_fd, struct err *e);
int session_resize(struct session *s, unsigned int rows, unsigned int cols, struct err *e);
/* No more stdin. */
void session_close_stdin(struct session *s);
/* Whether the outputs are all at their end. */
bool session_is_drained(const struct session *s);
/* Reads what is there now, then ends the outputs; `drained` is not called any more. false: a client
 * does not take its data; then nothing has ended and the caller tries again later. */
bool session_finish(struct session *s);
/* The reading of outputs waits (true) until it may go on; each call needs its opposite. */
void session_hold(struct session *s, bool on);
/* Another patience, also for those that are attached. */
void session_set_stall(struct session *s, int ms);
/* The clients' end of file, after the owner has told the end of the process; who still has data
 * to take gets it. */
void session_end(struct session *s);
/* Whether a client still takes data after session_end(). */
bool session_has_clients(const struct session *s);
void session_clear(struct session *s);

#endif
