/*
 * Typed reading of config.json for the plan's parsers: every function checks the type and the
 * bounds and names the key in its error ("process.rlimits[2].soft: must be a number").
 *
 * `at` is the path of the object ("" at the top). Absent and null members leave the output alone.
 * Returns 1 when set, 0 when absent, or -EINVAL/-ENOMEM.
 */
#ifndef SKERRY_RUNTIME_PLAN_JSON_H
#define SKERRY_RUNTIME_PLAN_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/data/json.h"
#include "engine/runtime/plan.h"
#include "init/base/err.h"

enum { KEY_MAX = 160 };

/* "at.key" or "key" into buf; returns buf. */
const char *key_of(char buf[KEY_MAX], const char *at, const char *key);
/* "at.key[i]" into buf. */
const char *key_item(char buf[KEY_MAX], const char *at, const char *key, size_t i);

int get_object(yyjson_val *o, const char *at, const char *key, yyjson_val **ret, struct err *e);
int get_array(yyjson_val *o, const char *at, const char *key, size_t max, yyjson_val **ret,
	      struct err *e);
/* New memory; no NUL inside; at most max bytes. */
int get_text(yyjson_val *o, const char *at, const char *key, size_t max, char **ret, struct err *e);
int get_bool(yyjson_val *o, const char *at, const char *key, bool *ret, struct err *e);
int get_i64(yyjson_val *o, const char *at, const char *key, int64_t min, int64_t max, int64_t *ret,
	    struct err *e);
int get_u64(yyjson_val *o, const char *at, const char *key, uint64_t max, uint64_t *ret,
	    struct err *e);
int get_u32(yyjson_val *o, const char *at, const char *key, uint32_t *ret, struct err *e);
/* An array of strings as a new vector. */
int get_strv(yyjson_val *o, const char *at, const char *key, size_t max, size_t max_bytes,
	     char ***ret, struct err *e);
/* -EOPNOTSUPP when the member is there (and not null): "at.key: " and why. */
int refuse(yyjson_val *o, const char *at, const char *key, const char *why, struct err *e);
/* The same for the empty value of its kind ("", false, {}, []) passed over. */
int refuse_set(yyjson_val *o, const char *at, const char *key, const char *why, struct err *e);
/* -EINVAL when the member is absent: "at.key: is missing". */
int need(int r, const char *at, const char *key, struct err *e);

/* Grows an array by one zeroed element and returns it; NULL on ENOMEM. */
void *array_add(void *array_ptr, size_t *n, size_t size);

/* --- the parsers, one file each --- */

struct plan_op *plan_add_op(struct plan *p, enum plan_op_kind kind, const char *key, struct err *e);
int plan_parse_mounts(yyjson_val *root, struct plan *p, struct err *e); /* plan_mounts.c */
/* plan_linux.c */
int plan_parse_linux(yyjson_val *root, const char *seccomp_cache, struct plan *p, struct err *e);
int plan_parse_hooks(yyjson_val *root, struct plan *p, struct err *e); /* plan_hooks.c */
void plan_hooks_clear(struct plan *p);
int plan_read_id_maps(yyjson_val *o, const char *at, const char *name, struct plan_id_map **ret,
		      size_t *ret_n, struct err *e); /* plan_linux.c */
int plan_read_scheduling(yyjson_val *o, const char *at, struct plan_process *p,
			 struct err *e); /* plan_sched.c */
int plan_read_resources(yyjson_val *o, const char *at, struct plan_resources *r,
			struct err *e); /* plan_resources.c */
int plan_read_process(yyjson_val *o, const char *at, struct plan_process *p,
		      struct err *e); /* plan_process.c */
int plan_read_seccomp(yyjson_val *o, const char *at, struct filter_spec **ret,
		      struct err *e); /* plan_seccomp.c */

#endif
