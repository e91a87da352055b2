/*
 * The parts of config.json's "process" that are about the processor's and the disk's time:
 * scheduler, ioPriority and execCPUAffinity (config.md "Linux Process").
 *
 * Names become the kernel's numbers here; launch.c hands them to it. Called by plan_process.c.
 */
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <string.h>

#include "engine/runtime/plan_json.h"
#include "init/base/str.h"

struct number_name {
	const char *name;
	uint64_t number;
};

/* linux/sched.h; SCHED_ISO has a number but no kernel has it */
static const struct number_name policies[] = {
	{ "SCHED_OTHER", 0 }, { "SCHED_FIFO", 1 }, { "SCHED_RR", 2 },	    { "SCHED_BATCH", 3 },
	{ "SCHED_ISO", 4 },   { "SCHED_IDLE", 5 }, { "SCHED_DEADLINE", 6 },
};

static const struct number_name flags[] = {
	{ "SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK },
	{ "SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM },
	{ "SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN },
	{ "SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY },
	{ "SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS },
	{ "SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN },
	{ "SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX },
};

static const struct number_name io_classes[] = {
	{ "IOPRIO_CLASS_RT", IOPRIO_CLASS_RT },
	{ "IOPRIO_CLASS_BE", IOPRIO_CLASS_BE },
	{ "IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE },
};

static int find(const struct number_name *table, size_t n, const char *name, uint64_t *ret)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(table[i].name, name)) {
			*ret = table[i].number;
			return 0;
		}
	return -EINVAL;
}

static int read_io_priority(yyjson_val *o, const char *at, struct plan_process *p, struct err *e)
{
	_cleanup_(mem_free) char *name = NULL;
	yyjson_val *io = NULL;
	int64_t level = 0;
	uint64_t class;
	char key[KEY_MAX];
	int r = get_object(o, at, "ioPriority", &io, e);

	if (r <= 0)
		return r;
	key_of(key, at, "ioPriority");
	r = need(get_text(io, key, "class", 32, &name, e), key, "class", e);
	if (r == 0)
		r = get_i64(io, key, "priority", 0, 7, &level, e);
	if (r < 0)
		return r;
	if (find(io_classes, ARRAY_SIZE(io_classes), name, &class) < 0)
		return err_set(e, EINVAL, "%s.class: unknown class \"%s\"", key, name);
	p->io_priority = (int)(class << IOPRIO_CLASS_SHIFT) | (int)level;
	return 0;
}

static int read_flags(yyjson_val *o, const char *at, struct plan_scheduler *s, struct err *e)
{
	_cleanup_(strv_free) char **names = NULL;
	char key[KEY_MAX];
	int r = get_strv(o, at, "flags", ARRAY_SIZE(flags), 64, &names, e);

	for (size_t i = 0; r == 1 && names[i]; i++) {
		uint64_t flag;

		if (find(flags, ARRAY_SIZE(flags), names[i], &flag) < 0)
			return err_set(e, EINVAL, "%s: unknown flag \"%s\"",
				       key_item(key, at, "flags", i), names[i]);
		s->flags |= flag;
	}
	return r < 0 ? r : 0;
}

static int read_scheduler(yyjson_val *o, const char *at, struct plan_scheduler *s, struct err *e)
{
	_cleanup_(mem_free) char *name = NULL;
	yyjson_val *v = NULL;
	int64_t nice = 0, priority = 0;
	uint64_t policy;
	char key[KEY_MAX];
	int r = get_object(o, at, "scheduler", &v, e);

	if (r <= 0)
		return r;
	key_of(key, at, "scheduler");
	r = need(get_text(v, key, "policy", 32, &name, e), key, "policy", e);
	if (r == 0 && find(policies, ARRAY_SIZE(policies), name, &policy) < 0)
		return err_set(e, EINVAL, "%s.policy: unknown policy \"%s\"", key, name);
	if (r == 0)
		r = get_i64(v, key, "nice", -20, 19, &nice, e);
	if (r >= 0)
		r = get_i64(v, key, "priority", 0, 99, &priority, e);
	if (r >= 0)
		r = read_flags(v, key, s, e);
	if (r >= 0)
		r = get_u64(v, key, "runtime", UINT64_MAX, &s->runtime, e);
	if (r >= 0)
		r = get_u64(v, key, "deadline", UINT64_MAX, &s->deadline, e);
	if (r >= 0)
		r = get_u64(v, key, "period", UINT64_MAX, &s->period, e);
	if (r < 0)
		return r;
	s->wanted = true;
	s->policy = (uint32_t)policy;
	s->nice = (int32_t)nice;
	s->priority = (uint32_t)priority;
	return 0;
}

static int parse_cpus(const char *text, struct plan_cpus *cpus)
{
	const char *at = text + strspn(text, " ");
	uint64_t cpu, last;

	while (*at) {
		if (str_take_range(&at, PLAN_CPUS_MAX - 1, &cpu, &last) < 0)
			return -EINVAL;
		for (; cpu <= last; cpu++)
			cpus->bits[cpu / 64] |= 1ULL << cpu % 64;
		at += strspn(at, " ");
		if (*at == ',')
			at++;
		else if (*at)
			return -EINVAL;
		at += strspn(at, " ");
		cpus->wanted = true;
	}
	return 0;
}

static int read_cpus(yyjson_val *o, const char *at, const char *name, struct plan_cpus *cpus,
		     struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	char key[KEY_MAX];
	int r = get_text(o, at, name, 4096, &text, e);

	if (r == 1 && parse_cpus(text, cpus) < 0)
		return err_set(e, EINVAL, "%s: \"%s\" is not a list like 0-3,5 below %d",
			       key_of(key, at, name), text, PLAN_CPUS_MAX);
	return r < 0 ? r : 0;
}

int plan_read_scheduling(yyjson_val *o, const char *at, struct plan_process *p, struct err *e)
{
	yyjson_val *v = NULL;
	char key[KEY_MAX];
	int r = read_io_priority(o, at, p, e);

	if (r >= 0)
		r = read_scheduler(o, at, &p->scheduler, e);
	if (r >= 0)
		r = get_object(o, at, "execCPUAffinity", &v, e);
	if (r <= 0)
		return r;
	key_of(key, at, "execCPUAffinity");
	r = read_cpus(v, key, "initial", &p->first_cpus, e);
	return r < 0 ? r : read_cpus(v, key, "final", &p->last_cpus, e);
}
