/*
 * The default security profile as data: what a container gets when nothing else is asked, as Docker
 * defines it. container/spec.c builds config.json from these tables; the runtime enforces what the
 * config says and nothing of this by itself (except the devices no container can do without,
 * devices.h).
 *
 * Sources: moby's default profile (capabilities, seccomp, masked and read-only paths) and
 * runtime-spec 1.2 config-linux.md "Default Filesystems" and "Default Devices".
 */
#ifndef SKERRY_RUNTIME_PROFILE_H
#define SKERRY_RUNTIME_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/base/buf.h"
#include "init/base/err.h"

struct json_writer;

/* --- capabilities (a mask: bit N is capability number N) --- */

/* The 14 that a container has by default. */
uint64_t caps_default(void);
/* All that the running kernel knows (/proc/sys/kernel/cap_last_cap; 0..40 when unreadable). */
uint64_t caps_all(void);
/* "CAP_CHOWN", "chown" -> 0; -EINVAL when unknown. */
int caps_number(const char *name);
/* 0 -> "CAP_CHOWN"; NULL above the last one known. */
const char *caps_name(unsigned int number);
/* A mask as config.json has it: the member `key`, an array of names. */
void caps_write(struct json_writer *w, const char *key, uint64_t mask);
/* The member "capabilities" with the same set thrice: bounding, permitted and effective. */
void caps_write_process(struct json_writer *w, uint64_t mask);
/*
 * --privileged, --cap-add, --cap-drop as Docker combines them: privileged is all; add ALL is all
 * minus the drops; drop ALL is only the adds; else (default - drops) + adds. An unknown name is
 * -EINVAL with a text that lists it. Vectors may be NULL.
 */
int caps_tweak(bool privileged, char *const *add, char *const *drop, uint64_t *ret_mask,
	       struct err *e);

/* --- seccomp: seccomp_default.h --- */

/* --- file system --- */

struct profile_mount {
	const char *destination, *type, *source;
	const char *const *options; /* NULL-terminated */
	/* "ro" is dropped for privileged containers (/sys, /sys/fs/cgroup) */
	bool read_only_unless_privileged;
};
/* The mounts in order: /proc /dev /dev/pts /sys /sys/fs/cgroup /dev/mqueue /dev/shm (size to be
 * put by the caller: 64 MiB default, left out when ipc is shared). */
extern const struct profile_mount profile_mounts[];
extern const size_t profile_n_mounts;

/* NULL-terminated. Not for privileged containers nor systempaths=unconfined. */
extern const char *const profile_readonly_paths[];
/* All masked paths, with thermal_throttle of each possible CPU: new NULL-terminated vector
 * (strv_free). */
char **profile_masked_paths(void);

/* linux.resources.devices in order; the runtime appends what no container can do without.
 * Privileged: one rule, allow a *:* rwm. */
struct profile_device_rule {
	bool allow;
	char type; /* 'a', 'c', 'b' */
	int64_t major, minor; /* -1 is any */
	const char *access; /* of "rwm" */
};
extern const struct profile_device_rule profile_device_rules[];
extern const size_t profile_n_device_rules;

/* Sysctls of a container with a network namespace of its own; the first one not with a user
 * namespace. "name", "value" pairs, NULL. */
extern const char *const profile_net_sysctls[][2];

/* Which namespace a sysctl belongs to ("net.ipv4.ip_forward", dots or slashes); those of the
 * machine must not be set from a container. */
enum sysctl_space { SYSCTL_OF_MACHINE, SYSCTL_OF_NETWORK, SYSCTL_OF_IPC, SYSCTL_OF_UTS };
enum sysctl_space sysctl_space(const char *name);

/* "PATH=…" that every container has when the image sets none (moby's default). */
#define PROFILE_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#endif
