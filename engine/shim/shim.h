/*
 * The inside of a shim: one struct for its one container, the connections of engines, the exec'd
 * processes.
 *
 * shim.c: configuration, mounts, life cycle. conn.c: connections, requests, events. execs.c:
 * further processes. Everything in one process, one loop, nothing at file scope.
 */
#ifndef SKERRY_SHIM_SHIM_H
#define SKERRY_SHIM_SHIM_H

#include "engine/data/json.h"
#include "engine/runtime/runtime.h"
#include "engine/shim/client.h"
#include "engine/shim/logfile.h"
#include "engine/shim/session.h"
#include "init/base/buf.h"
#include "init/base/loop.h"

/* How long the outputs may stay open after the first process is gone (held by something outside
 * the cgroup). */
enum {
	SHIM_DRAIN_MS = 3000,
	SHIM_CONFIG_MAX = 1 << 20,
	SHIM_QUEUE_MAX = 1024,
	SHIM_LINGER_MS = 20
};

/* A namespace of another container's first process. */
struct shim_join {
	unsigned long long flag; /* CLONE_NEW* */
	pid_t pid;
	char *cgroup; /* that it must be in */
	char *owner_of; /* instead: whose user namespace, a network namespace's file */
};

struct shim_config {
	char *id, *cgroup, *user, *seccomp_cache;
	char **groups;
	struct shim_join joins[RUNTIME_JOINS_MAX];
	size_t n_joins;
	char **detach; /* mounts of the host that are not kept once the container is set up */
	char **lower;
	char *upper, *work;
	char **overlay_options;
	bool has_rootfs, has_stdin, stdin_once;
	uid_t first_id; /* root of the user namespace on the machine; 0: there is none */
	bool has_tty, tty; /* whether it is said here, and what */
	char *log_driver, *log_path, *log_attrs;
	uint64_t log_max_size;
	unsigned int log_max_file;
	bool log_compress, log_blocking;
	char *log_syslog; /* JSON of the object */
	int oom_score_adj;
};

struct conn {
	struct list link;
	struct shim *shim;
	struct io_event io;
	int fd;
	struct list queue; /* packets that did not fit into the socket */
	unsigned int n_queue;
};

struct shim {
	struct loop *loop;
	const char *dir;
	char *bundle;
	char *kept; /* runtime_create.kept */
	struct shim_config cfg;
	struct logfile *log;
	struct sink *sink;
	struct session session;
	struct runtime_process proc;
	struct io_event sync_io;
	struct signal_event sigchld, sigterm;
	struct io_event listen_io, oom_io;
	int listen_fd, oom_fd, cgroup_fd;
	int origin_fd; /* the host's mount namespace, until the container is made */
	uint64_t oom_kills, oom_kills_before;
	struct list conns, execs;
	unsigned int n_conns, n_execs;
	enum shim_state state;
	bool tty, paused, reaped, ending, started;
	struct conn *start_conn; /* who waits for the answer to start */
	uint64_t start_seq;
	struct shim_exit exit;
	struct timer_event drain;
	struct timer_event leave;
};

/* conn.c */
int conn_listen(struct shim *s, struct err *e);
int conn_add(struct shim *s, int fd, struct err *e);
void conn_free_all(struct shim *s);
/* Sends a finished packet to one or (NULL) all connections. */
void conn_send(struct shim *s, struct conn *c, const struct buf *packet, int fd);
/* Answers a request; e NULL: ok; with `extra` members ("\"pid\":1") unless NULL. */
void conn_answer(struct conn *c, uint64_t seq, const struct err *e, const char *extra, int fd);
void conn_event_created(struct shim *s);
void conn_event_exit(struct shim *s, struct conn *only);
void conn_event_oom(struct shim *s);
void conn_event_exec_exit(struct shim *s, const char *id, int code);

/* shim.c */
/* A pipe of the container belongs to its root, so that /dev/stdout can be opened again. */
void shim_give_pipe(const struct shim *s, int fd);
int shim_request_start(struct shim *s, struct conn *c, uint64_t seq, struct err *e);
int shim_request_signal(struct shim *s, int signal, bool all, struct err *e);
/* The engine has taken note of the end, or nobody is there: leave. */
void shim_leave(struct shim *s);

/* execs.c */
struct exec;
int exec_request(struct shim *s, struct conn *c, uint64_t seq, yyjson_val *o, int process_fd,
		 struct err *e);
struct exec *exec_find(struct shim *s, const char *id);
int exec_resize(struct exec *x, unsigned int rows, unsigned int cols, struct err *e);
int exec_signal(struct exec *x, int signal, struct err *e);
/* Was pid one of ours? Then its end is dealt with. */
bool exec_reaped(struct shim *s, pid_t pid, int status);
/* The shim is to end: clients that stand still are dropped in time. */
void exec_hurry(struct shim *s);
void exec_forget_conn(struct shim *s, const struct conn *c);
void exec_free_all(struct shim *s);

/* config.c */
int shim_config_read(const char *dir, struct shim_config *ret, struct err *e);
void shim_config_clear(struct shim_config *c);

/* overlay.c */
/* Mounts the overlay at <dir>/bundle/rootfs in this mount namespace; its layers are mapped by
 * user_ns unless that is -1. */
int shim_mount_rootfs(const struct shim_config *c, const char *bundle, int user_ns, struct err *e);

/* joins.c */
int shim_joins_read(yyjson_val *root, struct shim_config *c, struct err *e);
/* ret has room for RUNTIME_JOINS_MAX; c->n_joins are filled. -ESRCH when the other has ended. */
int shim_joins_open(const struct shim_config *c, struct runtime_join *ret, struct err *e);
void shim_joins_close(struct runtime_join *joins, size_t n);
/* The user namespace among them, or -1. */
int shim_joins_user(const struct runtime_join *joins, size_t n);

/* exitfile.c */
void shim_exit_json(struct json_writer *w,
		    const struct shim_exit *x); /* the members, inside an open object */
int shim_exit_from_json(yyjson_val *o, struct shim_exit *ret, struct err *e);
int shim_exit_write(const char *dir, const struct shim_exit *x, struct err *e);
/* wait status -> Docker's exit code, signal */
void shim_exit_status(struct shim_exit *x, int status);

#endif
