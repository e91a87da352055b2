/*
 * System call filters: an OCI seccomp description compiled by libseccomp to BPF, with a prologue
 * that answers ENOSYS for calls newer than all that the profile names (so that a libc probing for a
 * new call falls back instead of seeing EPERM).
 *
 * Used by the runner (compile) and by the container's process just before execve (load).
 * plan_seccomp.c fills the description.
 */
#ifndef SKERRY_RUNTIME_FILTER_H
#define SKERRY_RUNTIME_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/base/err.h"
#include "init/base/util.h"

enum { FILTER_ARGS_MAX = 6, FILTER_ARCHES_MAX = 16 };

struct filter_arg {
	unsigned int index;
	int op; /* enum scmp_compare */
	uint64_t value, value_two;
};

struct filter_rule {
	char **names;
	uint32_t action; /* SCMP_ACT_*, errno included */
	struct filter_arg args[FILTER_ARGS_MAX];
	size_t n_args;
};

struct filter_spec {
	uint32_t default_action;
	uint32_t arches[FILTER_ARCHES_MAX]; /* SCMP_ARCH_*; none: the native one */
	size_t n_arches;
	unsigned long flags; /* SECCOMP_FILTER_FLAG_* */
	struct filter_rule *rules;
	size_t n_rules;
};

struct filter_program {
	struct sock_filter *filter;
	unsigned short len;
	unsigned long flags;
};

/* Numbers behind the OCI names; -EINVAL when unknown. errno_ret < 0: the action's default. */
int filter_action(const char *name, int64_t errno_ret, uint32_t *ret_action);
int filter_arch(const char *name, uint32_t *ret_arch);
int filter_operator(const char *name);
/* The n-th name that is known, NULL at the end. */
const char *filter_action_name(size_t n);
const char *filter_operator_name(size_t n);
const char *filter_arch_name(size_t n);

void filter_spec_free(struct filter_spec *s);
DEFINE_CLEANUP(struct filter_spec *, filter_spec_free)

int filter_compile(const struct filter_spec *s, struct filter_program *ret, struct err *e);
/* Programs that were compiled earlier, by the description's JSON text: files of a directory that
 * only root can write. Trouble only costs time: false, or none is put there. */
bool filter_cache_take(const char *dir, const char *text, size_t len, struct filter_program *ret);
void filter_cache_put(const char *dir, const char *text, size_t len,
		      const struct filter_program *p);
/* Installs it in this process for good. Needs CAP_SYS_ADMIN or no_new_privs. Makes no call
 * besides seccomp(2) on success. */
int filter_load(const struct filter_program *p, struct err *e);
void filter_program_clear(struct filter_program *p);
DEFINE_CLEANUP_VALUE(struct filter_program, filter_program_clear)

#endif
