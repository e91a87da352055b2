/*
 * Inside of container/: the object, the module, and what the files of this folder say to each
 * other.
 *
 * Files: containers.c (module, names, restore) · create.c (request to object) · mounts.c (what is
 * mounted where) · record.c (documents on disk) · lifecycle.c (state x event table) · start.c ·
 * stop.c · pause.c · remove.c (its actions) · policy.c (when it runs again) · spec.c (config.json
 * and shim.json) · ops.c (callers that wait) · inspect.c, summary.c (JSON) · logs.c · files.c ·
 * events.c.
 */
#ifndef SKERRY_CONTAINER_OBJECT_H
#define SKERRY_CONTAINER_OBJECT_H

#include "engine/container/config.h"
#include "engine/container/container.h"
#include "engine/image/image.h"
#include "engine/net/net.h"
#include "engine/shim/client.h"
#include "engine/volume/volume.h"
#include "init/base/map.h"
#include "init/base/spawn.h"

enum { CONTAINER_ID_LEN = 64 };

#define CONTAINER_TRASH ".trash" /* folder beside the containers'; emptied at start */

enum {
	CONTAINERS_MAX = 4096,
	CONTAINER_DOC_MAX = 4 << 20, /* bytes of container.json */
	MOUNTS_MAX = 1024, /* per container */
	BACKOFF_FIRST_MS = 100, /* restart policy: first wait (Docker's restart manager) */
	BACKOFF_MAX_MS = 60000,
	BACKOFF_RESET_MS = 10000, /* a run of this length starts it anew */
	ADOPT_DEADLINE_MS = 5000, /* for a shim to answer after an engine start */
	ATTACH_FIRST_STALL_MS = 300000, /* as HTTP_STREAM_MS: a pager may stand still so long */
	KILL_PATIENCE_MS = 10000, /* after KILL, until the cgroup is killed and the shim given up */
};

struct mount_point {
	char *type; /* "bind", "volume", "tmpfs" */
	char *name; /* of the volume */
	char *driver; /* of the volume; NULL: local */
	char *source; /* path on the machine; NULL for tmpfs */
	char *destination; /* absolute, clean */
	char *mode; /* as written after the second colon, for inspect */
	char *propagation;
	char *options; /* tmpfs: "size=64m,mode=1777" */
	char *subpath; /* inside of a volume; or NULL */
	bool rw, no_copy, non_recursive, make_source, anonymous;
	bool ro_non_recursive; /* read-only itself, not what is mounted below it */
	bool inherited; /* while the list is made: by --volumes-from */
};

struct health_result {
	int64_t start_ns, end_ns; /* wall clock */
	int64_t exit_code; /* -1: it did not come to an end */
	char *output;
};

struct health_record {
	char *status; /* "starting", "healthy", "unhealthy" */
	int64_t failing_streak;
	struct bind_list log; /* struct health_result, oldest first */
};

/* What happened; state.json. */
struct container_record {
	char *state; /* container_state_name at the time of writing */
	char *boot_id; /* of the boot in which it was started last */
	char *error; /* why the last start failed, or NULL */
	int64_t pid, exit_code, started_ns, finished_ns;
	int64_t restart_count; /* by policy, since it was started by hand */
	int64_t backoff_ms; /* the wait before the last restart by policy, 0 none yet */
	int64_t oom_kills; /* processes of this run that the kernel killed for want of memory */
	bool oom_killed;
	bool stopped_by_user; /* no restart by policy until it is started again */
	bool remove_volumes; /* REMOVING: its anonymous volumes go too */
	struct health_record *health; /* NULL: there is no check */
};

struct container {
	struct containers *cs;
	char *id;
	char *name;
	int64_t created_ns;
	char *image_id;
	struct remap remap; /* of its user namespace; count 0: it has the machine's */
	struct create_config asked; /* Config already merged with the image's */
	struct bind_list mounts; /* struct mount_point */
	struct container_record rec;

	enum container_state state;
	struct shim_client *shim; /* while there is one */
	struct copy_up copy_up; /* of the volume being filled at start */
	size_t copy_next; /* the next mount to look at */
	const struct sandbox *sandbox;
	struct timer_event stop_timer; /* then KILL; after KILL, then the cgroup */
	struct child_event remover; /* deletes its files */
	struct defer_event removed; /* they are deleted */
	int freed_fd; /* where it says how many bytes they had; -1: not asked */
	struct timer_event backoff_timer; /* then start again */
	bool was_restarting; /* when the engine before this one saw it last */
	bool adopting; /* its shim has not answered yet after an engine start */
	bool stop_sent; /* by containers_stop_all */
	bool kill_sent, restart_wanted, remove_wanted;
	bool stop_wanted, kill_wanted; /* once it has started */
	bool stop_asked; /* of this run, by a stop or restart: its end is told as "stop" */
	bool restart_told; /* this start is told as "restart" too */
	bool by_policy; /* this start is the restart policy's */
	bool limits_stale; /* updated while it was being started */
	struct list updates; /* update.c: struct update_job, one at a time */
	struct health *health; /* health.c; NULL: never checked */
	bool healing; /* its restart is health.c's */
	bool freezing; /* the shim was asked to pause it and has not answered */
	struct list start_ops, stop_ops, restart_ops, remove_ops; /* struct container_op */
	struct list kill_ops, pause_ops, unpause_ops;
	struct list waits; /* struct container_wait */
	struct list attaches; /* struct container_attach, for the next start */
	struct list attach_jobs; /* attach.c: asked of the shim, not answered yet */
	struct list execs; /* exec.c */
	struct list resize_ops;
	struct list files; /* struct files_op */
	struct timer_event files_timer; /* a start waits for those of them that hold the overlay */
	bool start_held;
	int64_t size_rw; /* bytes of its own files when they were counted last, -1: never */
	struct stats_feed *stats_feed; /* while somebody watches */
};

struct containers {
	struct containers_config cfg;
	char *state_dir, *run_dir, *shims_dir,
		*boot_id; /* copies; cfg's own strings are not used */
	struct map by_id; /* full id -> struct container *, oldest first */
	struct map by_name; /* name -> struct container * */
	struct list log_readers; /* logs.c: those that follow */
	struct io_event log_watch; /* inotify */
	struct execs *execs; /* exec.c */
	struct shim_maker *shim_maker;
	size_t n_files; /* operations of files.c */
	struct list batches; /* ops.c: answers to be given */
	size_t n_tops; /* top.c: workers that run */
	struct defer_event answer;
	struct timer_event restore_timer;
	size_t probes_running; /* health.c */
	struct list probes_waiting; /* for their turn */
	size_t restoring; /* shims that have not answered yet, + 1 during the walk */
	void (*restored)(void *data);
	void *restored_data;
	bool stopping;
	struct timer_event stop_all_timer;
	void (*all_stopped)(void *data);
	void *all_stopped_data;
};

/* ---- create.c ---- */
struct container *container_alloc(struct containers *cs);
/* Frees memory only; everything else must be given back already. */
void container_free(struct container *c);

/* ---- health.c ---- */
extern const struct bind_table health_record_table;
/* Before a start is saved: the status is "starting", the first probe comes after its interval. */
void health_begin(struct container *c);
/* It runs since before this engine: goes on with what state.json says. */
void health_found(struct container *c);
/* It does not run any more, or is paused: no probes. */
void health_rest(struct container *c);
void health_resume(struct container *c); /* after a pause */
void health_free(struct container *c);
/* The member Health of State, if there is a check. */
void health_write(const struct container *c, struct json_writer *w);

/* ---- check_addresses.c ---- */
int addresses_check(const struct create_config *c, struct err *e);

/* ---- record.c ---- */
extern const struct bind_table mount_point_table;
extern const struct bind_table container_record_table;
/* Path of a file in the container's folder: STATE/<id>/<name>. New memory, NULL on ENOMEM. */
char *container_path(const struct container *c, const char *name);
char *container_log_path(const struct container *c);
int record_write_config(struct container *c, struct err *e); /* container.json, durable */
int record_write_state(struct container *c, struct err *e); /* state.json, durable */
int record_read(struct containers *cs, const char *id, struct container **ret, struct err *e);

/* ---- mounts.c ---- */
/* Fills c->mounts from Binds, Mounts, Tmpfs and the image's volumes; makes named and anonymous
 * volumes. */
int mounts_plan(struct container *c, struct err *e);
const struct mount_point *mount_at_index(const struct container *c, size_t i);

/* ---- spec.c ---- */
/* Writes DIR/shim.json and DIR/bundle/config.json for the next start. */
int spec_write(struct container *c, const char *dir, struct err *e);

/* ---- lifecycle.c ---- */
enum container_event {
	EV_START, /* somebody asks */
	EV_STARTED, /* the program runs */
	EV_START_FAILED, /* it never ran */
	EV_EXITED,
	EV_STOP,
	EV_KILL,
	EV_PAUSE,
	EV_FROZEN, /* the shim did it */
	EV_UNPAUSE,
	EV_THAWED,
	EV_BACKOFF, /* its wait is over */
	EV_REMOVE,
	EV_N,
};

struct event_args {
	struct container_op *op; /* who asks, or NULL */
	int timeout, signal; /* STOP, KILL */
	bool force, volumes, restart; /* REMOVE; STOP for a restart */
	const struct shim_exit *exit; /* EXITED, START_FAILED by the shim */
	const struct err *error; /* START_FAILED */
};

/* Runs the cell of the table. A refused event is answered to args->op (or only returned when
 * that is NULL). */
int lifecycle(struct container *c, enum container_event ev, const struct event_args *args);
/* Changes the state, writes state.json (a failure is logged: the container's life goes on). */
void container_enter(struct container *c, enum container_state state);
/* The same without the write: for what a crash may forget. */
void container_pass(struct container *c, enum container_state state);

/* Waits for its next start by policy, or is in the middle of it. */
bool container_shows_restarting(const struct container *c);

/* ---- the table's actions ---- */
int act_start(struct container *c, const struct event_args *a, struct err *e);
int act_started(struct container *c, const struct event_args *a, struct err *e);
int act_start_failed(struct container *c, const struct event_args *a, struct err *e);
int act_join_start(struct container *c, const struct event_args *a, struct err *e);
int act_exited(struct container *c, const struct event_args *a, struct err *e);
int act_stop(struct container *c, const struct event_args *a, struct err *e);
int act_stop_later(struct container *c, const struct event_args *a, struct err *e);
int act_stop_backoff(struct container *c, const struct event_args *a, struct err *e);
int act_restart_stopped(struct container *c, const struct event_args *a, struct err *e);
int act_kill(struct container *c, const struct event_args *a, struct err *e);
int act_kill_later(struct container *c, const struct event_args *a, struct err *e);
int act_kill_backoff(struct container *c, const struct event_args *a, struct err *e);
int act_pause(struct container *c, const struct event_args *a, struct err *e);
int act_frozen(struct container *c, const struct event_args *a, struct err *e);
int act_unpause(struct container *c, const struct event_args *a, struct err *e);
int act_thawed(struct container *c, const struct event_args *a, struct err *e);
int act_remove(struct container *c, const struct event_args *a, struct err *e);
int act_remove_forced(struct container *c, const struct event_args *a, struct err *e);
int act_join_remove(struct container *c, const struct event_args *a, struct err *e);

/* ---- pause.c ---- */
/* Lets a paused container run on, so that it hears a signal; harmless when it is not paused. */
void container_thaw(struct container *c);

/* ---- update.c ---- */
/* Applies the limits that container.json has to what runs. */
void update_again(struct container *c);
/* The shim is gone: those that it has not answered are told, and further ones need it no more. */
void updates_end(struct container *c);
void updates_free(struct container *c);

/* ---- start.c, stop.c, remove.c ---- */
extern const struct shim_client_ops container_shim_ops;
/* Connects to a shim that may still live; used by restore. */
int container_adopt(struct container *c, struct err *e);
void container_end_known(struct container *c);
/* One more container of the restore walk is settled. */
void containers_adopted(struct containers *cs);
/* The shim told (or left in its file) how it ended. */
void container_ended(struct container *c, const struct shim_exit *x);
/* Answers those who waited for it to stop and goes on with what was wanted after that (removal,
 * restart, stop of all). */
void stopped(struct container *c);
/* ---- attach.c ---- */
void attaches_fail(struct container *c, const struct err *e);
/* Takes the caller out of its list and calls it. */
void attach_answer(struct container_attach *a, int fd, const struct err *e);
/* Asks the shim for the sockets of all that wait. */
void attaches_begin(struct container *c);
/* The shim is gone: those it has not answered are told. */
void attaches_end(struct container *c);
/* Gives back what a run holds: shim, network, cgroup, the shim's directory. */
void container_release(struct container *c);
/* Kills what may be left in a container's cgroup (relative path) and removes it. */
void cgroup_clear(const char *path);
void container_cgroup_kill(const struct container *c);
/* The directory of its cgroup, or -errno. */
int container_cgroup_open(const struct container *c);
void container_timers_init(struct container *c);
/* Events with more attributes than container_publish takes. */
void container_publish2(struct container *c, const char *action, const char *key1,
			const char *value1, const char *key2, const char *value2);
void container_publish_signal(struct container *c, int signal);
/* After the exit of one: goes on with containers_stop_all. */
void stop_all_continue(struct containers *cs);

/* ---- exec.c, exec_record.c ---- */
int execs_init(struct containers *cs);
void execs_free(struct containers *cs);
/* The shim's word that one has ended. */
void execs_exited(struct container *c, const char *id, int exit_code);
/* The shim is gone: what ran has ended, what was to run never will. */
void execs_end(struct container *c);
/* After an engine restart, with the shim connected or gone: those that its directory knows. Those
 * that ended meanwhile are told. */
void execs_load(struct container *c);
/* The container is gone, and so is the memory of its execs. */
void execs_drop(struct container *c);
/* The value of ExecIDs. */
void execs_write_ids(const struct container *c, struct json_writer *w);

/* ---- commit.c ---- */
/* At the end of the restore: those that an earlier engine had paused for a commit run on. */
void commits_restored(struct containers *cs);

/* ---- policy.c ---- */
void backoff_due(struct timer_event *ev);
/* Whether the restart policy wants it to run again. at_boot: it ran in an earlier boot of the
 * machine. */
bool policy_wants_restart(const struct container *c, bool at_boot);
/* Its last run was in an earlier boot of the machine. */
bool container_of_earlier_boot(const struct container *c);
/* The numbers of the restart to come: count and wait. The caller saves them, with the state. */
void policy_count(struct container *c);
/* Begins the wait of a container in RESTARTING (during the restore: at its end). */
void policy_wait(struct container *c);
/* At the end of the restore: those that are to run again do. */
void policies_act(struct containers *cs);
/* A stop by hand: kept, also over a crash of the engine, until the next start by hand. */
void policy_stopped_by_user(struct container *c);

/*
 * Takes the container's next volume, and fills it from its image if it is empty; *next counts its
 * mounts, the caller sets cu->done and says who takes it ("": the container). 1: on its way; 0:
 * none is left, and where they are is known.
 */
int container_copy_up(struct container *c, const char *who, size_t *next, struct copy_up *cu,
		      struct err *e);
/* Gives all of them back. */
void container_release_volumes(struct container *c, const char *who);
/* They were taken before this engine was there. */
void container_found_volumes(struct container *c);
/* A start that files.c held goes on. */
void container_start_go_on(struct container *c);

/* ---- files.c ---- */
/* True: the start waits for operations that use the container's overlay; container_start_go_on
 * follows. */
bool container_files_hold_start(struct container *c);
/* The container's state changed: operations that waited look again. */
void container_files_wake(struct container *c);
/* Ends all operations with this error. */
void container_files_drop(struct container *c, const struct err *why);

/* ---- logs.c ---- */
void logs_init(struct containers *cs);
void logs_free(struct containers *cs);
/* The container started or ended: those who follow its log look again. */
void logs_wake(struct container *c);

/* ---- announce.c ---- */
void announce_network(const struct container *c, const struct network *n, const char *action);
void announce_taken(struct container *c); /* networks and volumes of a start */
void announce_given_back(struct container *c); /* the same at its end; nothing when none were */
/* volume_create and volume_remove (of one without users; of a plugin's in the background), with
 * their events. */
int volume_make(struct containers *cs, const struct volume_want *want, const struct volume **ret,
		struct err *e);
int volume_unmake(struct containers *cs, const char *name, struct err *e);

/* ---- stats.c ---- */
/* The container goes: who watches is told. */
void stats_end(struct container *c);

/* ---- ops.c ---- */
void list_move_all(struct list *from, struct list *to);
/* Answers every waiting op of the list later, from the loop. e may be NULL when r is 0. */
void ops_answer(struct containers *cs, struct list *ops, int r, const struct err *e);
void op_answer(struct containers *cs, struct container_op *op, int r, const struct err *e);
/* Answers the waits with one of these conditions (bit mask of 1 << condition). */
void waits_answer(struct container *c, unsigned int conditions, int exit_code, const char *error);
void ops_init(struct containers *cs);
void ops_free(struct containers *cs);

#endif
