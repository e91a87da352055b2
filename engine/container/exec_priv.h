/*
 * Inside of exec: the object, the module's part, and what exec.c, exec_config.c, exec_record.c and
 * probe.c say to each other.
 *
 * Documents, in the shim's directory (tmpfs, gone with the run): execs/<id>.json is the engine's
 * (what was asked, whether the end was told), execs/<id>.end the shim's (protocol.h).
 */
#ifndef SKERRY_CONTAINER_EXEC_PRIV_H
#define SKERRY_CONTAINER_EXEC_PRIV_H

#include "engine/container/exec.h"
#include "engine/container/object.h"
#include "engine/data/ids.h"

enum exec_state { EXEC_CREATED, EXEC_STARTING, EXEC_RUNNING, EXEC_ENDED };

/* ExecConfig of the API, with the container's defaults filled in. */
struct exec_config {
	bool attach_stdin, attach_stdout, attach_stderr, tty, privileged;
	char *console_size; /* JSON "[24,80]", or NULL */
	char *detach_keys;
	char **env; /* complete; dropped once it runs */
	char **cmd;
	char *user, *working_dir;
};
extern const struct bind_table exec_config_table;

struct exec {
	struct container *c;
	struct list link; /* container.execs */
	struct list age; /* execs.ended, the oldest first */
	char id[ID_LEN + 1];
	struct exec_config asked;
	enum exec_state state;
	bool is_probe;
	int exit_code; /* ENDED */
	pid_t pid;
	int64_t ended_ms; /* of the loop */
	size_t bytes; /* of its texts, in execs.bytes */
	unsigned int n_asked; /* requests to the shim whose answers come to this struct */
	struct list starter; /* the one struct exec_start, or empty */
	unsigned int rows, cols; /* asked for before it ran */
	struct list resize_ops; /* struct container_op */
	struct timer_event ready_timer; /* gives those up */
};

/* The module's part; containers.execs. */
struct execs {
	struct map by_id; /* id -> struct exec * */
	struct list ended; /* struct exec */
	struct timer_event forget_timer;
	size_t bytes;
	struct list probes; /* struct probe_job */
};

/* ---- exec.c ---- */
/* A registered one without texts; NULL with e. */
struct exec *exec_new(struct container *c, const char *id, struct err *e);
/* Takes its texts into account; EAGAIN when there are too many of them. */
int exec_count_texts(struct exec *x, struct err *e);
void exec_forget(struct exec *x);
/* It has ended: kept for EXEC_KEPT_MS. */
void exec_keep(struct exec *x, int exit_code);
/* The same, now: callers are told, exec_die is published. */
void exec_end(struct exec *x, int exit_code);
void exec_kill(struct exec *x);
/* Makes one; *taken is initialised (empty) afterwards, also on failure. */
int exec_new_for(struct container *c, struct exec_config *taken, bool is_probe, struct exec **ret,
		 struct err *e);

/* ---- exec_config.c ---- */
int exec_config_read(yyjson_val *body, struct exec_config *ret, struct err *e);
/* Fills in the container's user, environment and working directory. */
int exec_config_defaults(const struct container *c, struct exec_config *x, struct err *e);
/* The OCI process object: that of the container's config.json with x's members in it. */
int exec_process(const struct container *c, const struct exec_config *x, struct buf *out,
		 struct err *e);

/* ---- exec_record.c ---- */
int exec_record_write(const struct exec *x, struct err *e);
void exec_record_remove(const struct exec *x);
/* ---- probe.c ---- */
void probes_free(struct execs *xs);

#endif
