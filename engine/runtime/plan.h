/*
 * The plan of a container: config.json checked and turned into data that says what will be done, in
 * order.
 *
 * plan_parse() needs no privileges and touches nothing of the machine; what it accepts, the
 * executing half (init.c and the files below it) carries out without looking at JSON again. Errors
 * name the JSON key ("mounts[3].options: …"). What the runtime cannot do is an error here, never
 * silently dropped; unknown keys are ignored as the runtime-spec asks (config.md, "Extensibility").
 *
 * Two parts: `ops`, the steps that build the container's file system and kernel settings, executed
 * in order by one table in init.c, and the settings around them (namespaces, cgroup, process).
 */
#ifndef SKERRY_RUNTIME_PLAN_H
#define SKERRY_RUNTIME_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/runtime/filter.h"
#include "init/base/err.h"
#include "init/base/util.h"

enum {
	PLAN_MOUNTS_MAX = 4096,
	PLAN_ARGS_MAX = 32768, /* args or env entries */
	PLAN_ARG_BYTES = 131072, /* one of them (MAX_ARG_STRLEN) */
	PLAN_LIST_MAX = 4096, /* any other list */
	PLAN_ID_MAPS_MAX = 340, /* kernel: user_namespace.h, UID_GID_MAP_MAX_EXTENTS */
	PLAN_CPUS_MAX = 8192, /* kernel: CONFIG_NR_CPUS at most (x86) */
	PLAN_HOOKS_MAX = 256, /* of one kind */
	PLAN_HOOK_SECONDS_MAX = 86400,
};

/* --- the steps --- */

enum plan_op_kind {
	OP_MOUNT, /* .mount */
	OP_DEVICE, /* .device */
	OP_DEV_LINKS, /* the /dev symlinks that every container has */
	OP_CONSOLE, /* make the terminal, put it on /dev/console */
	OP_CWD, /* make the working directory (.path) when it is missing */
	OP_HOSTNAME, /* .path is the name */
	OP_DOMAINNAME,
	OP_SYSCTL, /* .path below /proc/sys, .value */
	OP_READONLY_PATH, /* .path */
	OP_MASKED_PATH,
	OP_ROOT_READONLY,
	OP_KINDS
};

enum plan_mount_kind {
	PLAN_MOUNT_FS, /* a new file system of .type */
	PLAN_MOUNT_PROC,
	PLAN_MOUNT_SYSFS,
	PLAN_MOUNT_CGROUP, /* cgroup2, of the container's cgroup namespace */
	PLAN_MOUNT_BIND,
	PLAN_MOUNT_REMOUNT,
};

struct plan_id_map {
	uint32_t inside, outside, size;
};

enum plan_idmap { PLAN_IDMAP_NONE, PLAN_IDMAP_TOP, PLAN_IDMAP_ALL };

struct plan_mount {
	enum plan_mount_kind kind;
	char *type, *source, *destination;
	/* of a bind: a path inside of the source, which is as little trusted as a container's root
	 * (own key "subpath"); or NULL */
	char *subpath;
	int taken; /* origin.h, idmap.h: the source's tree, already there; 0 not */
	char **data; /* file system options, "k=v" or flags */
	uint64_t set, clear; /* MOUNT_ATTR_* of the mount itself */
	uint64_t rec_set, rec_clear; /* the same for it and all below ("rro", …) */
	uint64_t propagation; /* MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE or 0 */
	bool propagation_rec;
	bool recursive; /* rbind */
	bool copy_up; /* tmpcopyup: the new file system begins with what it hides */
	enum plan_idmap idmap; /* of the mount, or of all below too */
	struct plan_id_map *uid_map, *gid_map; /* none with idmap: those of the container */
	size_t n_uid_map, n_gid_map;
};

struct plan_device {
	char *path;
	char type; /* 'c', 'b', 'p' */
	unsigned int major, minor;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	bool standard; /* one of the six that every container has */
};

struct plan_op {
	enum plan_op_kind kind;
	char *key; /* where in config.json this comes from, for errors */
	struct plan_mount mount;
	struct plan_device device;
	char *path, *value;
};

/* --- around them --- */

enum plan_ns {
	NS_USER,
	NS_MOUNT,
	NS_PID,
	NS_NETWORK,
	NS_UTS,
	NS_IPC,
	NS_CGROUP,
	NS_TIME,
	NS_KINDS
};

struct plan_namespace {
	bool wanted;
	char *path; /* join this one; NULL: a new one */
};
/* CLONE_NEW* and config.json's name of each. */
struct plan_ns_kind {
	unsigned long long flag;
	const char *name, *proc; /* "network", "net" */
};
extern const struct plan_ns_kind plan_ns_kinds[NS_KINDS];

struct plan_rlimit {
	int resource;
	uint64_t soft, hard;
	size_t index;
};

/* process.scheduler, as sched_setattr(2) takes it. */
struct plan_scheduler {
	bool wanted;
	uint32_t policy, priority;
	int32_t nice;
	uint64_t flags, runtime, deadline, period;
};

/* A set of processors; bit N is processor N. */
struct plan_cpus {
	bool wanted;
	uint64_t bits[PLAN_CPUS_MAX / 64];
};

struct plan_process {
	char **args, **env;
	char *cwd;
	bool terminal;
	unsigned int rows, cols;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
	int umask; /* -1: as it is */
	bool has_caps;
	uint64_t bounding, permitted, effective, inheritable, ambient;
	bool no_new_privs;
	bool has_oom_score;
	int oom_score_adj;
	int io_priority; /* as ioprio_set(2) takes it, -1 none */
	struct plan_rlimit *rlimits;
	size_t n_rlimits;
	struct plan_scheduler scheduler;
	/* exec only: while joining the container, and from execve on */
	struct plan_cpus first_cpus, last_cpus;
};

enum plan_hook_kind {
	HOOK_PRESTART,
	HOOK_CREATE_RUNTIME,
	HOOK_CREATE_CONTAINER,
	HOOK_START_CONTAINER,
	HOOK_POSTSTART,
	HOOK_POSTSTOP,
	HOOK_KINDS
};

struct plan_hook {
	char *path;
	char **args, **env; /* args NULL: the path alone; env NULL: empty */
	unsigned int timeout; /* seconds, 0: none */
};

struct plan_hooks {
	struct plan_hook *list;
	size_t n;
};
/* config.json's name of each kind */
extern const char *const plan_hook_names[HOOK_KINDS];

/* One write to a file of the cgroup. */
struct plan_knob {
	char *file, *value, *key;
};

struct plan_resources {
	struct plan_knob *knobs;
	size_t n_knobs;
	struct plan_device_rule *devices;
	size_t n_devices;
	uint64_t memory_limit; /* bytes, 0: none given */
	bool check_memory; /* memory.checkBeforeUpdate: not below what is used */
};

/* A device rule as devices.h compiles it; -1 is any. */
enum { DEV_READ = 2, DEV_WRITE = 4, DEV_MKNOD = 1 }; /* linux/bpf.h BPF_DEVCG_ACC_* */
struct plan_device_rule {
	bool allow;
	char type; /* 'a', 'b', 'c' */
	int64_t major, minor;
	unsigned int access;
};

struct plan {
	char *root; /* root.path */
	bool root_readonly;
	uint64_t root_propagation; /* MS_* with MS_REC; 0: MS_SLAVE|MS_REC */
	struct plan_op *ops;
	size_t n_ops;
	struct plan_namespace ns[NS_KINDS];
	struct plan_id_map *uid_map, *gid_map;
	size_t n_uid_map, n_gid_map;
	char *time_offsets; /* text for timens_offsets, or NULL */
	char *cgroup; /* linux.cgroupsPath without leading slash, or NULL */
	struct plan_resources resources;
	struct filter_spec *seccomp; /* NULL: none, or the program is there already */
	struct filter_program program; /* from the cache; len 0: not */
	char *seccomp_text; /* of what was not in the cache that was asked; NULL: none was */
	struct plan_process process;
	struct plan_hooks hooks[HOOK_KINDS];
	char *hostname, *domainname;
	char **annotations; /* "key=value" */
	unsigned long personality; /* ~0: as it is */
};

/* A whole config.json. */
int plan_parse(const char *json, size_t len, struct plan **ret, struct err *e);
/* The same, but a seccomp description whose program is in the cache (filter_cache_take()) was
 * checked when that was made: it is not taken apart again. */
int plan_parse_cached(const char *json, size_t len, const char *seccomp_cache, struct plan **ret,
		      struct err *e);
/* Only a process object (exec). */
int plan_parse_process(const char *json, size_t len, struct plan_process *ret, struct err *e);
/* Only a resources object (update). */
int plan_parse_resources(const char *json, size_t len, struct plan_resources *ret, struct err *e);

/* Whether any hook of the kinds first..last is there. */
bool plan_has_hooks(const struct plan *p, enum plan_hook_kind first, enum plan_hook_kind last);

/* Words that plan_parse() knows, for the features document: the n-th one, NULL at the end. */
const char *plan_mount_option(size_t n); /* mount options that are no file system's data */
const char *plan_seccomp_flag(size_t n);

void plan_free(struct plan *p);
DEFINE_CLEANUP(struct plan *, plan_free)
void plan_process_clear(struct plan_process *p);
DEFINE_CLEANUP_VALUE(struct plan_process, plan_process_clear)
void plan_resources_clear(struct plan_resources *r);
DEFINE_CLEANUP_VALUE(struct plan_resources, plan_resources_clear)

#endif
