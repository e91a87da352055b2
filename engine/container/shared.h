/*
 * Inside of container/: what a container takes from other containers or lies in the machine for
 * them: namespaces to join, /dev/shm, its place in the cgroup tree (shared.c).
 */
#ifndef SKERRY_CONTAINER_SHARED_H
#define SKERRY_CONTAINER_SHARED_H

#include "engine/container/object.h"

enum {
	/* "containers/", the levels of --cgroup-parent (check_modes.c), the id */
	CONTAINER_CGROUP_MAX = 16 + CGROUP_PARENT_DEPTH_MAX * 130 + CONTAINER_ID_LEN,
	JOIN_PATH_MAX = 40,
};

/* The first process of another container; pid 0: nothing to join. */
struct join {
	const char *kind; /* "pid", "ipc" */
	pid_t pid;
	char cgroup[CONTAINER_CGROUP_MAX];
};
struct joins {
	struct join pid, ipc;
};

/* The running container that a mode ("container:NAME") names; errors as joins_find. */
int mode_find(struct container *c, const char *mode, const struct container **ret, struct err *e);
/* Looks up whom PidMode and IpcMode name. -EINVAL no such container, -EBUSY not running; with
 * Docker's texts. */
int joins_find(struct container *c, struct joins *ret, struct err *e);
/* "/proc/PID/ns/KIND" for linux.namespaces, NULL when there is nothing to join. What is joined is
 * the pidfd that the shim opens and checks, not this path. */
const char *join_path(const struct join *j, char buf[JOIN_PATH_MAX]);
/* shim.json's members joins and detach. */
void joins_write(const struct container *c, const struct joins *j, struct json_writer *w);

/* The network mode for net/: "container:NAME" as "container:<full id>" of one that runs (new
 * memory); others as they are. */
int network_mode_find(struct container *c, char **ret, struct err *e);
/* The same at create: an unknown name stays, a known one need not run. */
int network_mode_settle(struct container *c, struct err *e);

/* networks.c: NetworkingConfig gets names for keys, and the network of the mode as its first
 * one. */
int networks_settle(struct container *c, struct err *e);
/* The networks of NetworkingConfig (the strings stay there), and links.c: the ports of PortBindings
 * and PublishAllPorts (new memory). -EINVAL. */
int joins_wanted(const struct create_config *a, struct net_join ret[NET_ENDPOINTS_MAX],
		 size_t *ret_n, struct err *e);
int ports_wanted(const struct create_config *a, struct port_want **ret, size_t *ret_n,
		 struct err *e);
/* whether what is linked to is there; the lines of the hosts file for links and ExtraHosts
 * ("NAME:ADDRESS", new memory), -EBUSY when a container that is linked to does not run. */
int links_check(struct container *c, struct err *e);
int links_hosts(struct container *c, char ***ret_hosts, struct err *e);
/* The container's MacAddress becomes that of its first network. */
int mac_settle(struct create_config *a, struct err *e);

/* What is bound to /dev/shm: NULL for a tmpfs of the container's own; new memory. Makes the one of
 * a container that shares its own. */
int shm_prepare(struct container *c, char **ret, struct err *e);
/* Gives it back; those who joined keep what they have. Harmless when there is none. */
void shm_release(const struct container *c);
/* After an engine start: removes those of containers that do not run. */
void shm_sweep(struct containers *cs);

/* Whether --init puts a first process of ours into it. */
bool container_has_init(const struct container *c);
#define INIT_IN_CONTAINER "/sbin/docker-init" /* as Docker; people's scripts look for it */

/* Its cgroup, relative to /sys/fs/cgroup. */
void container_cgroup(const struct container *c, char ret[CONTAINER_CGROUP_MAX]);
/* Makes the levels of --cgroup-parent that are missing, and marks them as ours. */
int container_cgroup_parents(const struct container *c, struct err *e);
/* Removes those levels that are ours and empty. */
void container_cgroup_parents_release(const struct container *c);

#endif
