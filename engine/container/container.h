/*
 * Containers: the object that the API shows, and its life.
 *
 * A container is two documents on disk (container.json: what was asked for, written once at create
 * and on update or rename; state.json: what happened to it) and, while it runs, one shim. The life
 * cycle is a state x event table (lifecycle.c). Everything that takes time is asynchronous: the
 * caller embeds a struct container_op and is called back exactly once, never from inside the call
 * that started it, unless it takes the operation back with container_op_cancel (the client went
 * away: the operation itself goes on).
 *
 * Error texts are those that clients see. Errors used: ENOENT no such container, EINVAL bad request
 * or ambiguous id prefix, EEXIST name conflict, EBUSY wrong state, EALREADY nothing to do (HTTP
 * 304), EOPNOTSUPP field not supported, anything else is a failure of the machine.
 *
 * Users: api/ (one handler per verb), manifest/ (declared containers), main.c.
 */
#ifndef SKERRY_CONTAINER_H
#define SKERRY_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "engine/container/events.h"
#include "engine/data/json.h"
#include "engine/data/remap.h"
#include "init/base/err.h"
#include "init/base/list.h"
#include "init/base/loop.h"

struct containers; /* the module */
struct container; /* one of them; valid until its "destroy" event was published */

struct containers_config {
	const char *state_dir; /* .../containers */
	const char *run_dir; /* /run/skerry; shims live in run_dir/shims/<id> */
	const char *boot_id; /* /proc/sys/kernel/random/boot_id */
	const char
		*init_program; /* for --init; a static program, not copied; NULL: there is none */
	/* the users that new containers get unless they ask for the machine's; count 0: none */
	struct remap remap;
	struct loop *loop;
	struct images *images;
	struct nets *nets;
	struct volumes *volumes;
	struct events *events;
};

/* ---- the module ---- */

/* Makes the folders of the machine that hold what containers share mount points of their own
 * (shared.c); once per engine start, before the first container. */
int containers_mount_points(const char *run_dir, struct err *e);
int containers_new(const struct containers_config *cfg, struct containers **ret, struct err *e);
void containers_free(struct containers *cs);
/* Reads all documents, finds the shims that still run (in parallel, each with a deadline),
 * settles those that are gone, starts what its restart policy asks for. Calls ready(data) once,
 * after the last shim has answered or timed out. */
void containers_restore(struct containers *cs, void (*ready)(void *data), void *data);
/* Stops all, dependents first (label com.docker.compose.depends_on), each with its own grace
 * period; then done(data). Restart policies rest from now on. */
void containers_stop_all(struct containers *cs, void (*done)(void *data), void *data);

struct events *containers_events(struct containers *cs);

/* By full id, name (with or without a leading slash), or unique id prefix. NULL with e filled:
 * ENOENT "No such container: x", EINVAL "... multiple containers found with prefix: x" (Docker's
 * wording). */
struct container *containers_find(struct containers *cs, const char *ref, struct err *e);
/* Walks all, newest first. pos starts as 0. NULL at the end. The list must not change in
 * between. */
struct container *containers_next(struct containers *cs, size_t *pos);
size_t containers_count(const struct containers *cs, size_t *ret_running, size_t *ret_paused);

/* ---- reading ---- */

enum container_state {
	CONTAINER_CREATED,
	CONTAINER_STARTING, /* shown as created or exited */
	CONTAINER_RUNNING,
	CONTAINER_PAUSED,
	CONTAINER_RESTARTING, /* waits for its back-off */
	CONTAINER_EXITED,
	CONTAINER_REMOVING,
	CONTAINER_DEAD, /* removal failed half way; can be removed again */
	CONTAINER_N_STATES,
};

/* It has processes. */
static inline bool state_is_running(enum container_state s)
{
	return s == CONTAINER_RUNNING || s == CONTAINER_PAUSED;
}

/* It has processes, or is about to: starting, or waiting for its back-off. */
static inline bool state_is_up(enum container_state s)
{
	return state_is_running(s) || s == CONTAINER_STARTING || s == CONTAINER_RESTARTING;
}

const char *container_id(const struct container *c); /* 64 hex digits */
const char *container_name(const struct container *c); /* without slash */
enum container_state container_state(const struct container *c);
const char *container_state_name(
	const struct container *c); /* Docker's: "created", "running", ... */
int container_exit_code(const struct container *c);
/* "starting", "healthy", "unhealthy", or "none": there is no check */
const char *container_health(const struct container *c);
/* The label whose value "true" restarts what stays unhealthy. */
#define HEALTH_LABEL_HEAL "skerry.autoheal"
int64_t container_created_ns(const struct container *c);
int64_t container_started_ns(const struct container *c); /* the last time; 0: never */
bool container_tty(const struct container *c);
bool container_open_stdin(const struct container *c);
const char *container_image_id(const struct container *c); /* "sha256:..." */
const char *container_image_ref(const struct container *c); /* as asked for */
const char *container_label(const struct container *c, const char *key); /* or NULL */
/* Whether it ran (or tried to) since the machine started. */
bool container_ran_in_boot(const struct container *c);
/* What the list's filters ask: a port of first..last exposed (or published: on the machine's
 * side) while it runs; a mount by volume name, source or destination; a network by name or start
 * of id. */
bool container_has_port(const struct container *c, uint8_t proto, uint16_t first, uint16_t last,
			bool published);
bool container_has_mount(const struct container *c, const char *text);
bool container_has_network(const struct container *c, const char *name);
/* Host ports it holds now. */
bool container_holds_port(const struct container *c, uint8_t proto, uint16_t host_port);
/* Whether a new container with the same request would get the same map of users. */
bool container_remap_current(const struct container *c);
/* Fills events' attributes: image, name and all labels. */
void container_publish(struct container *c, const char *action, const char *extra_key,
		       const char *extra_value);

/* The object of GET /containers/{id}/json. */
void container_inspect(struct container *c, bool size, struct json_writer *w);
/* One element of GET /containers/json. */
void container_summary(struct container *c, bool size, struct json_writer *w);
/* Whether any container (running or not) uses the image id or the named volume; its id, or NULL. */
const char *containers_use_image(struct containers *cs, const char *image_id, bool *ret_running);
const char *containers_use_volume(struct containers *cs, const char *volume, size_t *ret_count);

/* ---- changing ---- */

struct container_op {
	/* r: 0 or -errno with e filled */
	void (*done)(struct container_op *op, int r, const struct err *e);
	struct list link; /* container's */
	bool measure; /* remove: `freed` is wanted */
	int64_t freed; /* bytes of its own files */
};

/* Forgets the caller; harmless when not waiting. */
void container_op_cancel(struct container_op *op);

/* Creates from the body of POST /containers/create (Config with HostConfig and
 * NetworkingConfig). name NULL: a random one. Durable when it returns 0. warnings (may be NULL)
 * get strings to tell the client. Volumes named there are made. */
int container_create(struct containers *cs, const char *name, yyjson_val *body,
		     struct container **ret, char ***warnings, struct err *e);

void container_start(struct container *c, struct container_op *op);
/* timeout in s before KILL; -1: the container's StopTimeout (default 10), -2: for ever. signal
 * 0: its StopSignal. Done when it has stopped. */
void container_stop(struct container *c, int timeout, int signal, struct container_op *op);
void container_restart(struct container *c, int timeout, int signal, struct container_op *op);
/* Sends the signal; done once it was sent (for KILL: once it has stopped). */
void container_kill(struct container *c, int signal, struct container_op *op);
/* The first is done once its cgroup is frozen, the second once it runs on. */
void container_pause(struct container *c, struct container_op *op);
void container_unpause(struct container *c, struct container_op *op);
/* force: kills it first; volumes: its anonymous volumes go too. Done when everything is given
 * back. */
void container_remove(struct container *c, bool force, bool volumes, struct container_op *op);
/* body: UpdateConfig. warnings (may be NULL) get strings to tell the client, at once. Done when
 * it is durable and in force; -EBUSY (conflicts with what it has), -EOPNOTSUPP (names the
 * field). */
void container_update(struct container *c, yyjson_val *body, char ***warnings,
		      struct container_op *op);
int container_rename(struct container *c, const char *name, struct err *e);
/* One more network, or one less, at once when it runs; durable. config: an EndpointSettings object,
 * or NULL. force: the network may be gone. -ENOENT, -EINVAL, -EPERM (in it already, or not). */
int container_connect(struct container *c, const char *network, yyjson_val *config, struct err *e);
int container_disconnect(struct container *c, const char *network, bool force, struct err *e);
/* Whether any container, running or not, is or is to be in the network of that name. */
bool containers_in_network(struct containers *cs, const char *network);

enum container_wait_for { WAIT_NOT_RUNNING, WAIT_NEXT_EXIT, WAIT_REMOVED };

struct container_wait {
	/* error is NULL, or why the exit code is not known */
	void (*done)(struct container_wait *w, int exit_code, const char *error);
	enum container_wait_for condition;
	struct list link;
};

/* "" or NULL: not-running. -EINVAL for unknown conditions. */
int container_wait_condition(const char *text, enum container_wait_for *ret, struct err *e);
void container_wait(struct container *c, struct container_wait *w);
void container_wait_cancel(struct container_wait *w);

/* A place in a container's log. */
struct log_place {
	bool known;
	uint64_t ino; /* the file; 0: the newest one */
	int64_t offset; /* bytes of it */
};

/*
 * Attach: a socket with the container's streams. Reading gives its output from now on (8-byte
 * frames without tty, raw with), up to its end of file at the container's end; writing feeds stdin
 * if asked for, shutdown(SHUT_WR) is the end of stdin. On a container that does not run the socket
 * comes at its next start, before its first byte of output.
 */
struct container_attach {
	bool in, out, err; /* set by the caller */
	/* Called once: fd is the socket, now the callee's, non-blocking; or -1 with e (removed,
	 * or could not be started). */
	void (*ready)(struct container_attach *a, int fd, const struct err *e);
	struct list link;
	struct log_place log_end; /* at `ready`: what was said before the stream began ends here */
};
/* A client that does not read holds the container's output up until it is cut off: one that waited
 * for the start (docker run) after ATTACH_FIRST_STALL_MS, others after SHIM_ATTACH_STALL_MS. */
void container_attach(struct container *c, struct container_attach *a);
void container_attach_cancel(struct container_attach *a); /* harmless when over */
bool container_stdin_once(const struct container *c);

/* `skerryd worker remove FOLDER`: for main.c's table of workers. */
int container_remove_worker(int argc, char **argv);

/* ---- logs ---- */

struct log_query {
	bool out, err;
	bool timestamps;
	bool follow;
	bool details;
	int64_t since_ns, until_ns; /* 0: open */
	int64_t tail; /* lines; -1: all */
	struct log_place end; /* unless it is not known: nothing from there on; not with follow */
};

struct log_reader;

/* Reads the log file of a container. `ready` is called whenever log_reader_next may give more
 * after it gave nothing (follow only). */
int log_reader_open(struct container *c, const struct log_query *q,
		    void (*ready)(struct log_reader *r, void *data), void *data,
		    struct log_reader **ret, struct err *e);
/* Appends up to about `room` bytes (at least one entry) as the API sends them (8-byte frames
 * without tty, raw with) to out. Returns 1 when something was added, 0 when nothing now
 * (follow), -ENODATA at the end, -errno. */
int log_reader_next(struct log_reader *r, size_t room, struct buf *out, struct err *e);
void log_reader_free(struct log_reader *r); /* accepts NULL */

#endif
