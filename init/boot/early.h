/*
 * The first milliseconds: pseudo file systems, hardened kernel settings, the cgroup tree.
 *
 * All of it is tables with a reason per line (early.c, sysctl.c). Nothing here reads what a person
 * or a disk provides. Called once by main's phase "early"; what fails is told and the boot goes on,
 * because a machine that says what is wrong is worth more than one that stops.
 */
#ifndef SKERRY_BOOT_EARLY_H
#define SKERRY_BOOT_EARLY_H

#include "init/base/err.h"

/* Mounts proc, sys, dev and the rest, makes the folders of /run; -errno of the last that failed. */
int early_mounts(struct err *e);
/* The groups init, engine, shims and containers, every controller delegated to them; moves the
 * caller into init. */
int early_cgroups(struct err *e);
/* Opens /dev/kmsg for writing (close-on-exec) and makes it descriptor 2; returns 0. */
int early_kmsg(struct err *e);

/* Applies the table of sysctl.c. Each entry that the kernel refuses is logged; entries that this
 * kernel does not have are skipped. Returns the number of refused ones. */
int sysctl_apply(void);
/* Writes one value; name in dotted form with '/' for dots inside a part ("net.ipv4.ip_forward"). */
int sysctl_set(const char *name, const char *value, struct err *e);

#endif
