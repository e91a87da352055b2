/*
 * Checks of HostConfig's limits (resources_check), and what cgroup v2 has no counterpart of, which
 * is told to the client and dropped (resources_discard). Texts are Docker's where it has one, as
 * clients and people look for them (moby daemon/daemon_unix.go, runconfig/hostconfig_unix.go).
 *
 * Called for a create request (config_check.c) and for an update.
 */
#include <fcntl.h>

#include "engine/container/config.h"
#include "init/base/cgroup.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum {
	MEMORY_MIN = 6 << 20, /* Docker's least memory limit */
	CPU_NUMBER_MAX = 8191, /* kernel: NR_CPUS at most */
	CPUSET_TEXT_MAX = 4096,
};

static int check_memory(const struct host_config *h, struct err *e)
{
	if (h->memory != 0 && h->memory < MEMORY_MIN)
		return err_set(e, EINVAL, "Minimum memory limit allowed is 6MB");
	if (h->memory == 0 && h->memory_swap > 0)
		return err_set(e, EINVAL,
			       "You should always set the Memory limit when using Memoryswap "
			       "limit, see usage");
	if (h->memory_swap < -1)
		return err_set(e, EINVAL, "HostConfig.MemorySwap: -1 is the least");
	if (h->memory > 0 && h->memory_swap > 0 && h->memory_swap < h->memory)
		return err_set(e, EINVAL,
			       "Minimum memoryswap limit should be larger than memory limit, see "
			       "usage");
	if (h->memory_reservation < 0)
		return err_set(e, EINVAL, "HostConfig.MemoryReservation must not be negative");
	if (h->memory_reservation > 0 && h->memory_reservation < MEMORY_MIN)
		return err_set(e, EINVAL, "Minimum memory reservation allowed is 6MB");
	if (h->memory > 0 && h->memory_reservation > h->memory)
		return err_set(e, EINVAL,
			       "Minimum memory limit can not be less than memory reservation "
			       "limit, see usage");
	return 0;
}

static int check_cpu(const struct host_config *h, struct err *e)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (h->nano_cpus > 0 && (h->cpu_period > 0 || h->cpu_quota > 0))
		return err_set(e, EINVAL,
			       "Conflicting options: Nano CPUs and CPU %s cannot both be set",
			       h->cpu_period > 0 ? "Period" : "Quota");
	if (h->nano_cpus < 0 || (cpus > 0 && h->nano_cpus > cpus * INT64_C(1000000000)))
		return err_set(e, EINVAL,
			       "range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs "
			       "available",
			       cpus, cpus);
	if (h->cpu_period != 0 && (h->cpu_period < 1000 || h->cpu_period > 1000000))
		return err_set(e, EINVAL,
			       "CPU cfs period can not be less than 1ms (i.e. 1000) or larger "
			       "than 1s (i.e. 1000000)");
	if (h->cpu_quota > 0 && h->cpu_quota < 1000)
		return err_set(e, EINVAL, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
	if (h->cpu_shares < 0)
		return err_set(e, EINVAL, "HostConfig.CpuShares must not be negative");
	if (h->cpu_rt_period != 0)
		return err_set(e, EINVAL,
			       "HostConfig.CpuRealtimePeriod: Your kernel does not support CPU "
			       "real-time scheduler");
	if (h->cpu_rt_runtime != 0)
		return err_set(e, EINVAL,
			       "HostConfig.CpuRealtimeRuntime: Your kernel does not support CPU "
			       "real-time scheduler");
	return 0;
}

/* ---- cpusets ---- */

/* One number or range of "0-3,5" at *s, which is moved behind it and its comma. */
static int next_range(const char **s, uint64_t *first, uint64_t *last)
{
	int r = str_take_range(s, CPU_NUMBER_MAX, first, last);

	if (r == 0 && **s == ',')
		return *++*s ? 0 : -EINVAL;
	return r == 0 && **s ? -EINVAL : r;
}

static bool set_has(const char *set, uint64_t first, uint64_t last)
{
	uint64_t a, b;

	while (*set && first <= last) {
		if (next_range(&set, &a, &b) < 0)
			return false;
		if (a <= first && first <= b)
			first = b + 1;
	}
	return first > last;
}

/* Whether `asked` is a list, and what it names is there (the machine's list is ascending). */
static int check_set(const char *asked, const char *what, const char *nouns, const char *file,
		     struct err *e)
{
	_cleanup_(mem_free) char *have = NULL;
	uint64_t first, last;
	const char *s = asked;

	if (str_empty(asked))
		return 0;
	/* where there is no such file (a host without cgroup v2) the kernel decides later */
	if (file_read(AT_FDCWD, file, CPUSET_TEXT_MAX, &have, NULL, NULL) == 0)
		have[strcspn(have, "\n")] = '\0';
	while (*s) {
		if (next_range(&s, &first, &last) < 0)
			return err_set(e, EINVAL, "Invalid value %.64s for cpuset %s", asked, what);
		if (have && !set_has(have, first, last))
			return err_set(e, EINVAL,
				       "Requested %s are not available - requested %.64s, "
				       "available: %.64s",
				       nouns, asked, have);
	}
	return 0;
}

/* ---- block devices ---- */

static int check_rates(const struct bind_list *rates, const char *field, struct err *e)
{
	const struct device_rate *d = rates->items;

	for (size_t i = 0; i < rates->n; i++)
		if (d[i].rate < 0)
			return err_set(e, EINVAL,
				       "HostConfig.%s: the rate of %.64s must not be negative",
				       field, d[i].path ? d[i].path : "");
	return 0;
}

static int check_blkio(const struct host_config *h, struct err *e)
{
	const struct device_rate *w = h->weight_devices.items;
	const struct {
		const struct bind_list *rates;
		const char *field;
	} lists[] = {
		{ &h->read_bps, "BlkioDeviceReadBps" },
		{ &h->write_bps, "BlkioDeviceWriteBps" },
		{ &h->read_iops, "BlkioDeviceReadIOps" },
		{ &h->write_iops, "BlkioDeviceWriteIOps" },
	};

	if (h->blkio_weight != 0 && (h->blkio_weight < 10 || h->blkio_weight > 1000))
		return err_set(e, EINVAL, "Range of blkio weight is from 10 to 1000");
	for (size_t i = 0; i < h->weight_devices.n; i++)
		if (w[i].rate != 0 && (w[i].rate < 10 || w[i].rate > 1000))
			return err_set(e, EINVAL,
				       "HostConfig.BlkioWeightDevice: Range of blkio weight is "
				       "from 10 to 1000, not %lld",
				       (long long)w[i].rate);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		int r = check_rates(lists[i].rates, lists[i].field, e);

		if (r < 0)
			return r;
	}
	return 0;
}

int resources_check(const struct host_config *h, struct err *e)
{
	int r = check_memory(h, e);

	if (r == 0)
		r = check_cpu(h, e);
	if (r == 0)
		r = check_set(h->cpuset_cpus, "cpus", "CPUs", CGROUP_ROOT "/cpuset.cpus.effective",
			      e);
	if (r == 0)
		r = check_set(h->cpuset_mems, "mems", "memory nodes",
			      CGROUP_ROOT "/cpuset.mems.effective", e);
	return r < 0 ? r : check_blkio(h, e);
}

void resources_discard(struct host_config *h, char ***warnings)
{
	static const char *const texts[] = {
		"Your kernel does not support memory swappiness capabilities or the cgroup is not "
		"mounted. Memory swappiness discarded.",
		"Your kernel does not support OomKillDisable. OomKillDisable discarded.",
		"Specifying a kernel memory limit is deprecated and has no effect on cgroup v2. "
		"Limitation discarded.",
		"Your kernel does not support kernel memory TCP limit capabilities or the cgroup "
		"is not mounted. Limitation discarded.",
	};
	const bool found[] = {
		h->memory_swappiness != BIND_UNSET_I64 && h->memory_swappiness != -1,
		h->oom_kill_disable == 1,
		h->kernel_memory != 0,
		h->kernel_memory_tcp != 0,
	};

	for (size_t i = 0; warnings && i < ARRAY_SIZE(found); i++)
		if (found[i])
			(void)strv_add(warnings, texts[i]);
	h->memory_swappiness = BIND_UNSET_I64;
	h->oom_kill_disable = BIND_UNSET_BOOL;
	h->kernel_memory = h->kernel_memory_tcp = 0;
	if (h->pids_limit != BIND_UNSET_I64 && h->pids_limit <= 0) /* all of these mean: none */
		h->pids_limit = BIND_UNSET_I64;
}
