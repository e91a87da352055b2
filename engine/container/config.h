/*
 * What was asked for: the Config, HostConfig and NetworkingConfig of POST /containers/create, as
 * structs, bound to JSON by tables (engine/data/bind.h). The same tables write inspect and
 * container.json.
 *
 * Field names follow the API (docker-engine-api-1.51.yaml, ContainerConfig, HostConfig); a field
 * that the engine does not support is BIND_REFUSED there, or refused by config_check with its name.
 */
#ifndef SKERRY_CONTAINER_CONFIG_H
#define SKERRY_CONTAINER_CONFIG_H

#include <stdint.h>

#include "engine/data/bind.h"
#include "init/base/err.h"

struct health_config {
	char **test;
	int64_t interval, timeout, start_period, start_interval; /* ns, 0: default */
	int64_t retries;
};

/* Config: what an image may preset */
struct container_config {
	char *hostname, *domainname, *user;
	bool attach_stdin, attach_stdout, attach_stderr;
	char **exposed_ports; /* "80/tcp" */
	bool tty, open_stdin, stdin_once;
	char **env;
	char **cmd, **entrypoint; /* NULL: the image's */
	struct health_config *health;
	char *image;
	char **volumes;
	char *working_dir;
	bool network_disabled;
	char *mac_address;
	struct bind_pairs labels;
	char *stop_signal;
	int64_t stop_timeout; /* s, BIND_UNSET_I64 */
	char **shell;
	char **on_build;
};

struct port_host {
	char *ip, *port; /* port may be "", "8080" or "8000-8010" */
};

struct device_map {
	char *host, *container, *permissions;
};

struct ulimit {
	char *name;
	int64_t soft, hard;
};

struct device_rate { /* blkio: throttle, or weight */
	char *path;
	int64_t rate;
};

struct bind_options {
	char *propagation;
	bool non_recursive, create_mountpoint, read_only_non_recursive, read_only_force_recursive;
};

struct volume_options {
	bool no_copy;
	struct bind_pairs labels;
	char *subpath;
	struct {
		char *name;
		struct bind_pairs options;
	} driver;
};

struct tmpfs_options {
	int64_t size;
	int64_t mode;
	char *options; /* JSON: [["noexec"], ...] */
};

struct mount_request {
	char *target, *source, *type; /* bind, volume, tmpfs */
	bool read_only;
	char *consistency;
	struct bind_options *bind;
	struct volume_options *volume;
	struct tmpfs_options *tmpfs;
};

struct host_config {
	/* resources */
	int64_t cpu_shares, memory, memory_reservation, memory_swap, nano_cpus, cpu_period,
		cpu_quota;
	int64_t memory_swappiness; /* BIND_UNSET_I64 */
	char *cpuset_cpus, *cpuset_mems, *cgroup_parent;
	int64_t cpu_rt_period, cpu_rt_runtime; /* cgroup v2 has none: refused */
	int64_t kernel_memory, kernel_memory_tcp; /* nor these: told and dropped, as Docker does */
	int64_t blkio_weight;
	struct bind_list weight_devices; /* struct device_rate: weights */
	struct bind_list read_bps, write_bps, read_iops, write_iops; /* struct device_rate */
	int64_t pids_limit; /* BIND_UNSET_I64 */
	int8_t oom_kill_disable;
	struct bind_list devices; /* struct device_map */
	char **device_cgroup_rules;
	char *device_requests; /* JSON, as given; refused when there is one */
	struct bind_list ulimits; /* struct ulimit */
	/* the machine's side */
	char **binds;
	char *container_id_file;
	struct {
		char *type;
		struct bind_pairs options;
	} log;
	char *network_mode;
	struct bind_list port_bindings; /* struct bind_named_list of struct port_host */
	struct {
		char *name;
		int64_t max_retries;
	} restart;
	bool auto_remove;
	char *volume_driver;
	char **volumes_from;
	struct bind_list mounts; /* struct mount_request */
	struct bind_pairs annotations;
	char **cap_add, **cap_drop;
	char *cgroupns_mode;
	char **dns, **dns_options, **dns_search;
	char **extra_hosts, **group_add, **links;
	char *ipc_mode, *pid_mode, *uts_mode, *userns_mode;
	int64_t oom_score_adj;
	bool privileged, publish_all, readonly_rootfs;
	char **security_opt;
	struct bind_pairs tmpfs, sysctls;
	int64_t shm_size;
	char *runtime, *isolation;
	int8_t init;
	char **masked_paths, **readonly_paths; /* NULL: the default profile */
	char *console_size; /* JSON "[24,80]": rows, columns (console_size_read) */
};

struct endpoint_config {
	char *network; /* key of the dictionary */
	struct {
		char *ipv4, *ipv6;
		char **link_local;
	} ipam;
	char **links, **aliases;
	char *mac_address;
	struct bind_pairs driver_options;
	int64_t gateway_priority;
};

struct networking_config {
	struct bind_list endpoints; /* struct endpoint_config */
};

/* Everything of a create request. */
struct create_config {
	struct container_config config;
	struct host_config host;
	struct networking_config networking;
};

extern const struct bind_table container_config_table;
extern const struct bind_table host_config_table;
extern const struct bind_table networking_config_table;
extern const struct bind_table endpoint_config_table;
extern const struct bind_table device_rate_table;
extern const struct bind_table device_weight_table;
extern const struct bind_table port_host_table;
extern const struct bind_table mount_request_table;
extern const struct bind_table bind_options_table;
extern const struct bind_table volume_options_table;
extern const struct bind_table tmpfs_options_table;
extern const struct bind_table ulimit_table;
extern const struct bind_table device_map_table;
extern const struct bind_table health_config_table;

/* [24,80] -> 24, 80; -EINVAL for anything else. */
int console_size_of(yyjson_val *array, unsigned int *ret_rows, unsigned int *ret_cols,
		    struct err *e);
/* The same from JSON text; 0, 0 for NULL. */
int console_size_read(const char *json, unsigned int *ret_rows, unsigned int *ret_cols,
		      struct err *e);

void create_config_init(struct create_config *c);
void create_config_free(struct create_config *c);
DEFINE_CLEANUP_VALUE(struct create_config, create_config_free)
/* Reads the request body (Config's keys beside HostConfig and NetworkingConfig) and fills in
 * Docker's defaults (network mode, restart policy, shm size, log driver, ...). EINVAL,
 * EOPNOTSUPP with the field's name. */
int create_config_read(yyjson_val *body, struct create_config *c, struct err *e);
/* The defaults alone; create_config_read does this too. -ENOMEM. */
int create_config_defaults(struct create_config *c);
/* Checks values: ranges, names, forms, and what is not supported yet. What has no counterpart here
 * is dropped as Docker drops it, with a text for the client in *warnings (may be NULL). */
int create_config_check(struct create_config *c, char ***warnings, struct err *e);
/* The same for the limits and the restart policy of an update, where absent is "as it is". */
int update_config_check(struct host_config *h, char ***warnings, struct err *e);

/* ---- its parts: -EINVAL or -EOPNOTSUPP with the field's name or Docker's text ---- */
int resources_check(const struct host_config *h, struct err *e);
void resources_discard(struct host_config *h, char ***warnings);
int modes_check(const struct create_config *c, struct err *e);
int devices_check(const struct host_config *h, struct err *e);
int security_check(const struct host_config *h, struct err *e);

/* "container:NAME" and the NAME in it (NULL for every other mode). */
bool mode_is_container(const char *mode);
const char *mode_container(const char *mode);
/* "c 42:* rmw" */
bool device_rule_valid(const char *rule);
/* The value behind "NAME=" or "NAME:" of a SecurityOpt, "" for "NAME" alone, NULL when absent. */
const char *security_option(char *const *options, const char *name);

enum { SHM_SIZE_DEFAULT = 64 << 20 }; /* docker-security-profile.md: /dev/shm 64 MiB */
enum { CGROUP_PARENT_DEPTH_MAX = 8 }; /* levels of --cgroup-parent */
enum { STOP_TIMEOUT_DEFAULT = 10 }; /* s (Docker) */

#endif
