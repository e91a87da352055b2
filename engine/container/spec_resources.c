/*
 * HostConfig's limits as linux.resources of config.json. The runtime
 * turns them into cgroup v2 files; the conversions of names and scales (shares to weight) are done
 * there, as OCI has them.
 */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/container/spec.h"
#include "init/base/str.h"

enum { CPU_PERIOD_US = 100000 }; /* of NanoCpus, as Docker */

static void write_memory(const struct host_config *h, struct json_writer *w)
{
	json_key(w, "memory");
	json_begin_object(w);
	if (h->memory > 0)
		json_member_i64(w, "limit", h->memory);
	if (h->memory_reservation > 0)
		json_member_i64(w, "reservation", h->memory_reservation);
	if (h->memory_swap != 0)
		json_member_i64(w, "swap", h->memory_swap);
	json_end_object(w);
}

static void write_cpu(const struct host_config *h, struct json_writer *w)
{
	int64_t period = h->cpu_period, quota = h->cpu_quota;

	if (h->nano_cpus > 0) {
		period = CPU_PERIOD_US;
		quota = h->nano_cpus / (1000000000 / CPU_PERIOD_US);
	}
	json_key(w, "cpu");
	json_begin_object(w);
	if (h->cpu_shares > 0)
		json_member_i64(w, "shares", h->cpu_shares);
	if (period > 0)
		json_member_i64(w, "period", period);
	if (quota != 0) /* -1: none */
		json_member_i64(w, "quota", quota);
	if (!str_empty(h->cpuset_cpus))
		json_member_str(w, "cpus", h->cpuset_cpus);
	if (!str_empty(h->cpuset_mems))
		json_member_str(w, "mems", h->cpuset_mems);
	json_end_object(w);
}

static int block_device(const char *key, const char *path, struct stat *st, struct err *e)
{
	if (str_empty(path) || stat(path, st) < 0 || !S_ISBLK(st->st_mode))
		return err_set(e, EINVAL, "%s: %s is not a block device of this machine", key,
			       path ? path : "");
	return 0;
}

static int write_weights(const struct bind_list *weights, struct json_writer *w, struct err *e)
{
	const struct device_rate *d = weights->items;
	struct stat st;
	int r = 0;

	json_key(w, "weightDevice");
	json_begin_array(w);
	for (size_t i = 0; r == 0 && i < weights->n; i++) {
		r = block_device("HostConfig.BlkioWeightDevice", d[i].path, &st, e);
		if (r < 0)
			break;
		json_begin_object(w);
		json_member_i64(w, "major", major(st.st_rdev));
		json_member_i64(w, "minor", minor(st.st_rdev));
		json_member_i64(w, "weight", d[i].rate);
		json_end_object(w);
	}
	json_end_array(w);
	return r;
}

static int write_rates(const char *key, const struct bind_list *rates, struct json_writer *w,
		       struct err *e)
{
	const struct device_rate *d = rates->items;

	if (rates->n == 0)
		return 0;
	json_key(w, key);
	json_begin_array(w);
	for (size_t i = 0; i < rates->n; i++) {
		struct stat st;
		int r = block_device(key, d[i].path, &st, e);

		if (r < 0)
			return r;
		json_begin_object(w);
		json_member_i64(w, "major", major(st.st_rdev));
		json_member_i64(w, "minor", minor(st.st_rdev));
		json_member_i64(w, "rate", d[i].rate);
		json_end_object(w);
	}
	json_end_array(w);
	return 0;
}

int spec_resources(const struct host_config *h, struct json_writer *w, struct err *e)
{
	int r;

	write_memory(h, w);
	write_cpu(h, w);
	if (h->pids_limit != BIND_UNSET_I64 && h->pids_limit > 0) {
		json_key(w, "pids");
		json_begin_object(w);
		json_member_i64(w, "limit", h->pids_limit);
		json_end_object(w);
	}
	json_key(w, "blockIO");
	json_begin_object(w);
	if (h->blkio_weight > 0)
		json_member_i64(w, "weight", h->blkio_weight);
	r = write_weights(&h->weight_devices, w, e);
	if (r == 0)
		r = write_rates("throttleReadBpsDevice", &h->read_bps, w, e);
	if (r == 0)
		r = write_rates("throttleWriteBpsDevice", &h->write_bps, w, e);
	if (r == 0)
		r = write_rates("throttleReadIOPSDevice", &h->read_iops, w, e);
	if (r == 0)
		r = write_rates("throttleWriteIOPSDevice", &h->write_iops, w, e);
	json_end_object(w);
	return r;
}
