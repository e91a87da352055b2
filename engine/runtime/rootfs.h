/*
 * Building a container's file system below one root fd, in the new process, before pivot_root.
 *
 * Every target is resolved below `root` by openat2 and used as a descriptor only; what the runtime
 * itself mounts (procfs, /dev/null over masked files, the terminal) comes from descriptors that
 * were opened and checked on the host's side. rootfs.c does mounts, nodes.c devices, links, hidden
 * paths and settings.
 */
#ifndef SKERRY_RUNTIME_ROOTFS_H
#define SKERRY_RUNTIME_ROOTFS_H

#include "engine/runtime/launch.h"
#include "engine/runtime/plan.h"
#include "init/base/err.h"

struct rootfs {
	const struct plan *plan;
	struct launch *launch; /* for the terminal */
	int root; /* the mount that becomes / */
	int null_fd; /* the host's /dev/null, checked */
	int procfs; /* a private procfs of the new pid namespace, attached nowhere; -1 until used */
	int mask_fd; /* the empty read-only directory that masks directories; -1 until used */
	/* inside a user namespace: no mknod, no fresh sysfs of foreign network namespaces */
	bool user_ns;
};

/* On the host's side: a detached copy of the root, for users who may not go to its path. */
int rootfs_take(const char *path, struct err *e);
/* Opens the bundle's root as a mount of its own in this (new) mount namespace; `taken` is what
 * rootfs_take() gave, or -1. */
int rootfs_open(struct rootfs *fs, const char *path, int taken, struct err *e);
/* Carries out one step of the plan. */
int rootfs_apply(struct rootfs *fs, const struct plan_op *op, struct err *e);
/* Makes it the root of this process; nothing of the old root stays reachable. */
int rootfs_enter(struct rootfs *fs, struct err *e);

/* nodes.c: the steps by kind */
int node_device(struct rootfs *fs, const struct plan_op *op, struct err *e);
int node_links(struct rootfs *fs, const struct plan_op *op, struct err *e);
int node_console(struct rootfs *fs, const struct plan_op *op, struct err *e);
int node_masked(struct rootfs *fs, const struct plan_op *op, struct err *e);
int node_readonly(struct rootfs *fs, const struct plan_op *op, struct err *e);
int node_sysctl(struct rootfs *fs, const struct plan_op *op, struct err *e);

#endif
