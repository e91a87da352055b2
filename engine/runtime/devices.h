/*
 * The device rules of a container as an eBPF program on its cgroup, and the devices that no
 * container can do without.
 *
 * cgroup v2 has no device controller files; access is decided by a program of type
 * BPF_PROG_TYPE_CGROUP_DEVICE. It is assembled here by hand (a handful of instructions per rule).
 */
#ifndef SKERRY_RUNTIME_DEVICES_H
#define SKERRY_RUNTIME_DEVICES_H

#include <linux/bpf.h>
#include <stddef.h>

#include "engine/runtime/plan.h"
#include "init/base/err.h"

/* Always allowed after the configured rules, as runc appends them. */
extern const struct plan_device_rule devices_always[];
extern const size_t devices_n_always;

/* Always made in /dev (runtime-spec config-linux.md "Default Devices"; console and ptmx are not
 * here). */
struct devices_standard {
	const char *path;
	unsigned int major, minor;
};
extern const struct devices_standard devices_standard[];
extern const size_t devices_n_standard;

enum { DEVICES_INSNS_MAX = 4096, DEVICES_RULE_INSNS = 8 };

/* Assembles the program: the last rule that matches decides, none is a refusal. Rules beyond
 * what fits are -E2BIG. New memory. */
int devices_assemble(const struct plan_device_rule *rules, size_t n, struct bpf_insn **ret_insns,
		     size_t *ret_n, struct err *e);
/* Whether the rules let everything through, so that no program is needed. */
bool devices_allow_all(const struct plan_device_rule *rules, size_t n);
/* Loads and attaches to the cgroup. */
int devices_attach(int cgroup_fd, const struct plan_device_rule *rules, size_t n, struct err *e);

#endif
