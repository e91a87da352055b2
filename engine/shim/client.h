/*
 * The engine's side of a shim: starts one or finds one again, asks, hears. Asynchronous on the
 * loop.
 *
 * One struct shim_client per container that has a shim. Everything that happens comes through the
 * owner's `ops` table; requests take an optional `done` callback that runs exactly once: with the
 * answer, with the shim's error, at its deadline (-ETIMEDOUT) or when the connection ends
 * (-ENOTCONN). Callbacks may call any function here, shim_client_free included. The wire is
 * described in protocol.h.
 *
 * Life: shim_client_spawn -> ops->created -> shim_start -> ... -> ops->exited -> shim_ack -> the
 * shim goes. After an engine restart: shim_client_connect -> ops->created (status says created or
 * running) or ops->exited.
 */
#ifndef SKERRY_SHIM_CLIENT_H
#define SKERRY_SHIM_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "init/base/err.h"
#include "init/base/loop.h"

struct shim_client; /* opaque */
struct shim_maker;

enum shim_state { SHIM_CREATING, SHIM_CREATED, SHIM_RUNNING, SHIM_EXITED };

struct shim_status {
	enum shim_state state;
	pid_t pid; /* the container's first process, in the engine's pid namespace; 0 unknown */
	int64_t started_ns; /* wall clock, 0 before the start */
	bool paused;
	bool tty;
	int64_t oom_kills; /* processes in it that the kernel killed for want of memory */
};

/* The end of a container; also what exit.json says. */
struct shim_exit {
	/* as Docker: status, or 128 + signal; 125..127 when it never ran (error says why) */
	int exit_code;
	int signal; /* that killed it, or 0 */
	bool oom_killed;
	bool never_ran;
	pid_t pid;
	int64_t started_ns, finished_ns; /* wall clock; started 0 when it never ran */
	char error[ERR_TEXT_MAX]; /* "" or why it could not start */
};

struct shim_client_ops {
	/* the container is set up and waits for shim_start(), or runs already (found again) */
	void (*created)(struct shim_client *c, const struct shim_status *st, void *data);
	/* the container's first process ended and its output is in the log; also when it could
	 * not be made. Once. */
	void (*exited)(struct shim_client *c, const struct shim_exit *x, void *data);
	void (*exec_exited)(struct shim_client *c, const char *exec_id, int exit_code, void *data);
	void (*oom)(struct shim_client *c,
		    void *data); /* the kernel killed something in it for want of memory */
	/* the connection ended without `exited`, or could not be made in time: the shim is dead
	 * (its container's processes must be killed by cgroup) or talks another protocol (e says
	 * so). Once; only shim_client_free is useful afterwards. */
	void (*lost)(struct shim_client *c, const struct err *e, void *data);
};

struct shim_client_config {
	struct loop *loop;
	const char *
		/* /run/skerry/shims/<id>: holds shim.json and bundle/config.json before spawn
		 * (shim.json: protocol.h) */
		dir;
	const char *id;
	const char *cgroup; /* the shims' own branch, "shims"; NULL: stays in the engine's */
	const struct shim_client_ops *ops;
	void *data;
	struct shim_maker *maker; /* who forks it (maker.h); NULL: it is executed */
	const char *program; /* what to start as "PROGRAM shim DIR"; NULL: this very binary */
	int create_timeout_ms; /* spawn to `created`; 0: 60000 */
	int request_timeout_ms; /* 0: 10000 */
};

/* An answer; fields beyond `fd` are set by the requests that say so. */
struct shim_reply {
	/* a stream, now the callback's to keep (take_fd) or else closed after it; -1 none */
	int fd;
	/* attach: what was said before the stream began is in the log files up to this place of
	 * the file with this inode (0: not known, the current one); -1 no log */
	int64_t log_offset;
	uint64_t log_ino;
	pid_t pid; /* exec */
	int exit_code; /* exec that could not run: 125, 126 or 127; 0 unknown */
};
/* r is 0 or -errno with e filled. */
struct shim_done {
	void (*fn)(struct shim_client *c, int r, struct shim_reply *reply, const struct err *e,
		   void *data);
	void *data;
};

/* Starts a shim for dir. Configuration strings are copied. */
int shim_client_spawn(const struct shim_client_config *cfg, struct shim_client **ret,
		      struct err *e);
/* Connects to the shim of dir; -ENOENT or -ECONNREFUSED when none lives there (read its
 * exit.json with shim_exit_read). */
int shim_client_connect(const struct shim_client_config *cfg, struct shim_client **ret,
			struct err *e);
/* Ends the connection; the shim and its container run on. Pending `done`s are dropped without a
 * call. Accepts NULL. */
void shim_client_free(struct shim_client *c);
/* The last status heard; never NULL. */
const struct shim_status *shim_client_status(const struct shim_client *c);

/* All requests: 0 when sent (done follows), else -errno with e and no done. `done` may be NULL. */
int shim_start(struct shim_client *c, const struct shim_done *done, struct err *e);
/* To the first process, or (all) to every process of the container. */
int shim_signal(struct shim_client *c, int signal, bool all, const struct shim_done *done,
		struct err *e);
/* reply.fd: a SOCK_STREAM socket. Reading gives the output (8-byte frames, raw with a tty; only
 * the streams asked for), EOF at the container's end; writing is stdin when asked for,
 * shutdown(SHUT_WR) is its EOF. A reader that stands still for stall_ms is cut off, and holds the
 * container's output up until then; 0: SHIM_ATTACH_STALL_MS. */
int shim_attach(struct shim_client *c, bool in, bool out, bool err, int stall_ms,
		const struct shim_done *done, struct err *e);
/* exec_id NULL: the container's own terminal. */
int shim_resize(struct shim_client *c, const char *exec_id, unsigned int rows, unsigned int cols,
		const struct shim_done *done, struct err *e);
int shim_pause(struct shim_client *c, bool paused, const struct shim_done *done, struct err *e);
/* An OCI "resources" object as JSON. */
int shim_update(struct shim_client *c, const char *resources_json, const struct shim_done *done,
		struct err *e);

struct shim_exec {
	const char *exec_id;
	const char *process_json; /* OCI process object */
	const char *user; /* Docker's User form; NULL: process.user as it is */
	char *const *groups; /* may be NULL */
	bool tty, in, out, err; /* streams to attach; none: detached, output dropped */
	bool privileged;
	unsigned int rows, cols; /* first size of the tty, 0 unknown */
};
/* ops->exec_exited comes before the end of the stream is sent, but on another socket: who relays
 * the stream waits for both. done: the process runs (or why not: -ENOENT, -EACCES as for exit
 * codes 127, 126); reply.fd as for attach (-1 when detached), reply.pid. Its end comes as
 * ops->exec_exited. */
int shim_exec(struct shim_client *c, const struct shim_exec *x, const struct shim_done *done,
	      struct err *e);
int shim_exec_signal(struct shim_client *c, const char *exec_id, int signal,
		     const struct shim_done *done, struct err *e);

/* After `exited` was put into durable state: the shim removes its mounts and ends. The caller
 * removes `dir`. */
int shim_ack(struct shim_client *c, struct err *e);

/* exit.json in a shim's directory, for shims that went while no engine was there. -ENOENT when
 * there is none. */
int shim_exit_read(const char *dir, struct shim_exit *ret, struct err *e);

/* The `shim` role: argv[1] is the directory. */
int shim_main(int argc, char **argv);

#endif
