/*
 * "linux.resources" to writes into cgroup v2 files and to device rules.
 *
 * The spec's words are those of cgroup v1; the translations are the ones every runtime uses: swap
 * is memory plus swap there and swap alone here, CPU shares (2..262144) and block IO weight
 * (10..1000) become weights (1..10000). Called for a whole config and for `update`.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "engine/runtime/plan_json.h"
#include "init/base/str.h"

static int add_knob(struct plan_resources *r, const char *file, const char *key, struct err *e,
		    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static int add_knob(struct plan_resources *r, const char *file, const char *key, struct err *e,
		    const char *fmt, ...)
{
	struct plan_knob *k = array_add(&r->knobs, &r->n_knobs, sizeof(*k));
	va_list ap;
	int n;

	if (!k)
		return err_errno(e, ENOMEM, "%s", key);
	va_start(ap, fmt);
	n = vasprintf(&k->value, fmt, ap);
	va_end(ap);
	if (n < 0)
		k->value = NULL;
	k->file = str_dup(file);
	k->key = str_dup(key);
	if (!k->file || !k->key || !k->value)
		return err_errno(e, ENOMEM, "%s", key);
	return 0;
}

/* a limit in bytes, -1 is none */
static int add_limit(struct plan_resources *r, const char *file, const char *key, int64_t v,
		     struct err *e)
{
	if (v < 0)
		return add_knob(r, file, key, e, "max");
	return add_knob(r, file, key, e, "%lld", (long long)v);
}

/* What cgroup v1 had and v2 has not. */
static int refuse_memory(yyjson_val *m, const char *at, struct err *e)
{
	static const char *const kernel[] = { "kernel", "kernelTCP" };
	bool off = false, hierarchy = true;
	int64_t limit = 0;
	char key[KEY_MAX];
	int r = get_bool(m, at, "disableOOMKiller", &off, e);

	if (r >= 0 && off)
		return err_set(e, EOPNOTSUPP, "%s: cgroup v2 cannot switch off the OOM killer",
			       key_of(key, at, "disableOOMKiller"));
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(kernel); i++) {
		r = get_i64(m, at, kernel[i], -1, INT64_MAX, &limit, e);
		if (r == 1 && limit > 0)
			return err_set(e, EOPNOTSUPP, "%s: cgroup v2 has no limit of kernel memory",
				       key_of(key, at, kernel[i]));
	}
	if (r >= 0)
		r = get_bool(m, at, "useHierarchy", &hierarchy, e);
	if (r >= 0 && !hierarchy)
		return err_set(e, EOPNOTSUPP, "%s: cgroup v2 is always a hierarchy",
			       key_of(key, at, "useHierarchy"));
	return r < 0 ? r : refuse(m, at, "swappiness", "cgroup v2 has no swappiness", e);
}

static int read_memory(yyjson_val *m, const char *at, struct plan_resources *res, struct err *e)
{
	int64_t limit = 0, swap = 0, low = 0;
	char key[KEY_MAX];
	int has_limit = get_i64(m, at, "limit", -1, INT64_MAX, &limit, e);
	int has_swap = has_limit < 0 ? has_limit : get_i64(m, at, "swap", -1, INT64_MAX, &swap, e);
	int has_low =
		has_swap < 0 ? has_swap : get_i64(m, at, "reservation", -1, INT64_MAX, &low, e);
	int r = has_low;

	if (r >= 0)
		r = refuse_memory(m, at, e);
	if (r >= 0)
		r = get_bool(m, at, "checkBeforeUpdate", &res->check_memory, e);
	if (r >= 0 && has_limit && limit > 0)
		res->memory_limit = (uint64_t)limit;
	if (r >= 0 && has_swap && swap > 0) {
		if (limit <= 0)
			return err_set(e, EINVAL, "%s: needs a memory limit",
				       key_of(key, at, "swap"));
		if (swap < limit)
			return err_set(e, EINVAL,
				       "%s: is memory plus swap, so it must not be below limit",
				       key_of(key, at, "swap"));
	}
	/* swap first when it shrinks, limit first when it grows: the kernel takes both orders on
	 * v2 */
	if (r >= 0 && has_limit && limit != 0)
		r = add_limit(res, "memory.max", key_of(key, at, "limit"), limit, e);
	if (r >= 0 && has_swap && swap != 0)
		r = add_limit(res, "memory.swap.max", key_of(key, at, "swap"),
			      swap < 0 ? -1 : swap - limit, e);
	if (r >= 0 && has_low && low != 0)
		r = add_limit(res, "memory.low", key_of(key, at, "reservation"), low, e);
	return r < 0 ? r : 0;
}

/* 2..262144 with 1024 -> 100: the curve that runc 1.4 and crun 1.23 share */
static unsigned int weight_of_shares(uint64_t shares)
{
	double l;

	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;
	l = log2((double)shares);
	return (unsigned int)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

static int read_cpu_time(yyjson_val *c, const char *at, struct plan_resources *res, struct err *e)
{
	uint64_t period = 0, burst = 0;
	int64_t quota = 0;
	char key[KEY_MAX];
	int has_quota = get_i64(c, at, "quota", -1, INT64_MAX, &quota, e);
	int has_period = has_quota < 0 ? has_quota : get_u64(c, at, "period", 1000000, &period, e);
	int has_burst = has_period < 0 ? has_period : get_u64(c, at, "burst", INT64_MAX, &burst, e);
	int r = has_burst;

	if (r < 0)
		return r;
	key_of(key, at, has_quota ? "quota" : "period");
	if ((has_period && period > 0) || (has_quota && quota != 0)) {
		if (period == 0)
			period = 100000; /* the kernel's default, microseconds */
		if (has_quota && quota > 0)
			r = add_knob(res, "cpu.max", key, e, "%lld %llu", (long long)quota,
				     (unsigned long long)period);
		else
			r = add_knob(res, "cpu.max", key, e, "max %llu",
				     (unsigned long long)period);
	}
	if (r >= 0 && has_burst == 1)
		r = add_knob(res, "cpu.max.burst", key_of(key, at, "burst"), e, "%llu",
			     (unsigned long long)burst);
	return r < 0 ? r : 0;
}

/* "0-3,5": digits, commas and dashes; the kernel judges the rest */
static int read_cpu_list(yyjson_val *c, const char *at, const char *name, const char *file,
			 struct plan_resources *res, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	char key[KEY_MAX];
	int r = get_text(c, at, name, 4096, &text, e);

	if (r <= 0 || str_empty(text))
		return r;
	key_of(key, at, name);
	if (strspn(text, "0123456789,- ") != strlen(text))
		return err_set(e, EINVAL, "%s: \"%s\" is not a list like 0-3,5", key, text);
	return add_knob(res, file, key, e, "%s", text);
}

static int read_cpu(yyjson_val *c, const char *at, struct plan_resources *res, struct err *e)
{
	uint64_t shares = 0;
	int64_t idle = 0, realtime = 0;
	uint64_t realtime_period = 0;
	char key[KEY_MAX];
	int r = get_u64(c, at, "shares", UINT64_MAX, &shares, e);

	if (r >= 0 && shares > 0)
		r = add_knob(res, "cpu.weight", key_of(key, at, "shares"), e, "%u",
			     weight_of_shares(shares));
	if (r >= 0)
		r = read_cpu_time(c, at, res, e);
	if (r >= 0)
		r = get_i64(c, at, "idle", 0, 1, &idle, e);
	if (r == 1)
		r = add_knob(res, "cpu.idle", key_of(key, at, "idle"), e, "%lld", (long long)idle);
	if (r >= 0)
		r = get_i64(c, at, "realtimeRuntime", INT64_MIN, INT64_MAX, &realtime, e);
	if (r >= 0)
		r = get_u64(c, at, "realtimePeriod", UINT64_MAX, &realtime_period, e);
	if (r >= 0 && (realtime != 0 || realtime_period != 0))
		return err_set(e, EOPNOTSUPP, "%s: cgroup v2 has no realtime limits",
			       key_of(key, at, realtime ? "realtimeRuntime" : "realtimePeriod"));
	if (r >= 0)
		r = read_cpu_list(c, at, "cpus", "cpuset.cpus", res, e);
	if (r >= 0)
		r = read_cpu_list(c, at, "mems", "cpuset.mems", res, e);
	return r < 0 ? r : 0;
}

/* "major" and "minor" of an element of a list. */
static int read_number(yyjson_val *item, const char *key, uint64_t *major, uint64_t *minor,
		       struct err *e)
{
	int r;

	if (!yyjson_is_obj(item))
		return err_set(e, EINVAL, "%s: must be an object", key);
	r = need(get_u64(item, key, "major", UINT32_MAX, major, e), key, "major", e);
	return r < 0 ? r : need(get_u64(item, key, "minor", UINT32_MAX, minor, e), key, "minor", e);
}

static int read_throttle(yyjson_val *o, const char *at, const char *name, const char *word,
			 struct plan_resources *res, struct err *e)
{
	yyjson_val *list = NULL, *item;
	size_t i, n;
	int r = get_array(o, at, name, 256, &list, e);

	if (r <= 0)
		return r;
	yyjson_arr_foreach(list, i, n, item)
	{
		uint64_t major = 0, minor = 0, rate = 0;
		char key[KEY_MAX];

		key_item(key, at, name, i);
		r = read_number(item, key, &major, &minor, e);
		if (r == 0)
			r = get_u64(item, key, "rate", UINT64_MAX, &rate, e);
		if (r >= 0 && rate == 0)
			r = add_knob(res, "io.max", key, e, "%llu:%llu %s=max",
				     (unsigned long long)major, (unsigned long long)minor, word);
		else if (r >= 0)
			r = add_knob(res, "io.max", key, e, "%llu:%llu %s=%llu",
				     (unsigned long long)major, (unsigned long long)minor, word,
				     (unsigned long long)rate);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Weights of single devices. io.bfq.weight has no device of its own scale: 1..1000, as asked. */
static int read_weight_devices(yyjson_val *o, const char *at, struct plan_resources *res,
			       struct err *e)
{
	yyjson_val *list = NULL, *item;
	size_t i, n;
	int r = get_array(o, at, "weightDevice", 256, &list, e);

	if (r <= 0)
		return r;
	yyjson_arr_foreach(list, i, n, item)
	{
		uint64_t major = 0, minor = 0, weight = 0;
		char key[KEY_MAX];

		key_item(key, at, "weightDevice", i);
		r = read_number(item, key, &major, &minor, e);
		if (r == 0)
			r = get_u64(item, key, "weight", 1000, &weight, e);
		if (r >= 0)
			r = refuse(item, key, "leafWeight", "cgroup v2 has no weight of leaves", e);
		if (r >= 0 && weight != 0 && weight < 10)
			r = err_set(e, EINVAL, "%s.weight: must be from 10 to 1000, or 0", key);
		if (r >= 0 && weight != 0)
			r = add_knob(res, "io.bfq.weight", key, e, "%llu:%llu %llu",
				     (unsigned long long)major, (unsigned long long)minor,
				     (unsigned long long)weight);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_block_io(yyjson_val *b, const char *at, struct plan_resources *res, struct err *e)
{
	static const char *const throttles[][2] = {
		{ "throttleReadBpsDevice", "rbps" },
		{ "throttleWriteBpsDevice", "wbps" },
		{ "throttleReadIOPSDevice", "riops" },
		{ "throttleWriteIOPSDevice", "wiops" },
	};
	uint64_t weight = 0;
	char key[KEY_MAX];
	int r = get_u64(b, at, "weight", 1000, &weight, e);

	if (r >= 0)
		r = refuse(b, at, "leafWeight", "cgroup v2 has no weight of leaves", e);
	if (r >= 0 && weight > 0 && weight < 10)
		return err_set(e, EINVAL, "%s: must be from 10 to 1000, or 0",
			       key_of(key, at, "weight"));
	if (r >= 0 && weight > 0)
		r = add_knob(res, "io.weight", key_of(key, at, "weight"), e, "%llu",
			     (unsigned long long)(1 + (weight - 10) * 9999 / 990));

	if (r >= 0)
		r = read_weight_devices(b, at, res, e);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(throttles); i++)
		r = read_throttle(b, at, throttles[i][0], throttles[i][1], res, e);
	return r < 0 ? r : 0;
}

static int read_rdma(yyjson_val *o, const char *at, struct plan_resources *res, struct err *e)
{
	yyjson_val *map = NULL, *name, *item;
	size_t i, n;
	char key[KEY_MAX], device[KEY_MAX];
	int r = get_object(o, at, "rdma", &map, e);

	if (r <= 0)
		return r;
	key_of(key, at, "rdma");
	yyjson_obj_foreach(map, i, n, name, item)
	{
		uint32_t handles = 0, objects = 0;
		const char *text = yyjson_get_str(name);

		key_of(device, key, text);
		if (!yyjson_is_obj(item))
			return err_set(e, EINVAL, "%s: must be an object", device);
		if (!*text || strpbrk(text, " \n"))
			return err_set(e, EINVAL, "%s: \"%s\" is not the name of a device", key,
				       text);
		r = get_u32(item, device, "hcaHandles", &handles, e);
		if (r == 1)
			r = add_knob(res, "rdma.max", device, e, "%s hca_handle=%u", text, handles);
		if (r >= 0)
			r = get_u32(item, device, "hcaObjects", &objects, e);
		if (r == 1)
			r = add_knob(res, "rdma.max", device, e, "%s hca_object=%u", text, objects);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_huge_pages(yyjson_val *o, const char *at, struct plan_resources *res, struct err *e)
{
	yyjson_val *list = NULL, *item;
	size_t i, n;
	int r = get_array(o, at, "hugepageLimits", 16, &list, e);

	if (r <= 0)
		return r;
	yyjson_arr_foreach(list, i, n, item)
	{
		_cleanup_(mem_free) char *size = NULL;
		uint64_t limit = 0;
		char key[KEY_MAX], file[64];

		key_item(key, at, "hugepageLimits", i);
		if (!yyjson_is_obj(item))
			return err_set(e, EINVAL, "%s: must be an object", key);
		r = need(get_text(item, key, "pageSize", 16, &size, e), key, "pageSize", e);
		if (r == 0)
			r = need(get_u64(item, key, "limit", UINT64_MAX, &limit, e), key, "limit",
				 e);
		if (r < 0)
			return r;
		if (!isdigit((unsigned char)size[0]) ||
		    strspn(size, "0123456789KMGB") != strlen(size))
			return err_set(e, EINVAL, "%s.pageSize: must be like 2MB", key);
		(void)str_format(file, sizeof(file), "hugetlb.%s.max", size);
		r = add_knob(res, file, key, e, "%llu", (unsigned long long)limit);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_unified(yyjson_val *o, const char *at, struct plan_resources *res, struct err *e)
{
	yyjson_val *map = NULL, *name, *value;
	size_t i, n;
	char key[KEY_MAX];
	int r = get_object(o, at, "unified", &map, e);

	if (r <= 0)
		return r;
	key_of(key, at, "unified");
	yyjson_obj_foreach(map, i, n, name, value)
	{
		const char *file = yyjson_get_str(name);

		if (!yyjson_is_str(value))
			return err_set(e, EINVAL, "%s.%s: must be a string", key, file);
		if (strchr(file, '/') || !strchr(file, '.') || file[0] == '.' ||
		    str_starts(file, "cgroup."))
			return err_set(e, EINVAL,
				       "%s: \"%s\" is not the name of a controller's file", key,
				       file);
		r = add_knob(res, file, key, e, "%s", yyjson_get_str(value));
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_access(const char *text, unsigned int *ret)
{
	unsigned int access = 0;

	for (; *text; text++) {
		unsigned int bit = *text == 'r'	  ? DEV_READ
				   : *text == 'w' ? DEV_WRITE
				   : *text == 'm' ? DEV_MKNOD
						  : 0;

		if (!bit)
			return -EINVAL;
		access |= bit;
	}
	*ret = access;
	return 0;
}

static int read_device_rule(yyjson_val *o, const char *key, struct plan_device_rule *d,
			    struct err *e)
{
	_cleanup_(mem_free) char *type = NULL, *access = NULL;
	int r;

	*d = (struct plan_device_rule){
		.type = 'a', .major = -1, .minor = -1, .access = DEV_READ | DEV_WRITE | DEV_MKNOD
	};
	if (!yyjson_is_obj(o))
		return err_set(e, EINVAL, "%s: must be an object", key);
	r = need(get_bool(o, key, "allow", &d->allow, e), key, "allow", e);
	if (r == 0)
		r = get_text(o, key, "type", 8, &type, e);
	if (r >= 0)
		r = get_text(o, key, "access", 8, &access, e);
	if (r >= 0)
		r = get_i64(o, key, "major", -1, UINT32_MAX >> 12, &d->major, e);
	if (r >= 0)
		r = get_i64(o, key, "minor", -1, (1 << 20) - 1, &d->minor, e);
	if (r < 0)
		return r;
	if (!str_empty(type)) {
		if (type[1] || !strchr("abcu", type[0]))
			return err_set(e, EINVAL, "%s.type: must be a, b or c", key);
		d->type = type[0] == 'u' ? 'c' : type[0];
	}
	if (!str_empty(access) && read_access(access, &d->access) < 0)
		return err_set(e, EINVAL, "%s.access: must be of the letters r, w and m", key);
	return 0;
}

static int read_devices(yyjson_val *o, const char *at, struct plan_resources *res, struct err *e)
{
	yyjson_val *list = NULL, *item;
	size_t i, n;
	int r = get_array(o, at, "devices", 256, &list, e);

	if (r <= 0)
		return r;
	yyjson_arr_foreach(list, i, n, item)
	{
		struct plan_device_rule *d = array_add(&res->devices, &res->n_devices, sizeof(*d));
		char key[KEY_MAX];

		if (!d)
			return err_errno(e, ENOMEM, "%s", at);
		r = read_device_rule(item, key_item(key, at, "devices", i), d, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_pids(yyjson_val *o, const char *at, struct plan_resources *res, struct err *e)
{
	yyjson_val *p = NULL;
	int64_t limit = 0;
	char key[KEY_MAX];
	int r = get_object(o, at, "pids", &p, e);

	if (r <= 0)
		return r;
	key_of(key, at, "pids");
	r = need(get_i64(p, key, "limit", INT64_MIN, INT64_MAX, &limit, e), key, "limit", e);
	return r < 0 ? r : add_limit(res, "pids.max", key, limit > 0 ? limit : -1, e);
}

int plan_read_resources(yyjson_val *o, const char *at, struct plan_resources *res, struct err *e)
{
	yyjson_val *memory = NULL, *cpu = NULL, *io = NULL;
	char key[KEY_MAX];
	int r = get_object(o, at, "memory", &memory, e);

	if (r == 1)
		r = read_memory(memory, key_of(key, at, "memory"), res, e);
	if (r >= 0)
		r = get_object(o, at, "cpu", &cpu, e);
	if (r == 1)
		r = read_cpu(cpu, key_of(key, at, "cpu"), res, e);
	if (r >= 0)
		r = read_pids(o, at, res, e);
	if (r >= 0)
		r = get_object(o, at, "blockIO", &io, e);
	if (r == 1)
		r = read_block_io(io, key_of(key, at, "blockIO"), res, e);
	if (r >= 0)
		r = read_huge_pages(o, at, res, e);
	if (r >= 0)
		r = read_rdma(o, at, res, e);
	if (r >= 0)
		r = refuse_set(o, at, "network", "cgroup v2 has no classes of network traffic", e);
	if (r >= 0)
		r = read_unified(o, at, res, e);
	if (r >= 0)
		r = read_devices(o, at, res, e);
	return r < 0 ? r : 0;
}

int plan_parse_resources(const char *json, size_t len, struct plan_resources *ret, struct err *e)
{
	_cleanup_(plan_resources_clear) struct plan_resources res = { 0 };
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root;
	int r = json_parse_object(json, len, &doc, &root, e);

	if (r < 0)
		return err_wrap(e, "resources");
	r = plan_read_resources(root, "resources", &res, e);
	if (r < 0)
		return r;
	*ret = res;
	res = (struct plan_resources){ 0 };
	return 0;
}

void plan_resources_clear(struct plan_resources *r)
{
	for (size_t i = 0; i < r->n_knobs; i++) {
		free(r->knobs[i].file);
		free(r->knobs[i].value);
		free(r->knobs[i].key);
	}
	free(r->knobs);
	free(r->devices);
	*r = (struct plan_resources){ 0 };
}
