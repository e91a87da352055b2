/*
 * The tables of profile.h: mounts, paths, device rules and sysctls of a default container.
 *
 * Pure data; the only thing asked of the machine is how many CPUs there may be (their thermal
 * counters are masked one by one).
 */
#include "engine/runtime/profile.h"

#include <fcntl.h>

#include "init/base/file.h"
#include "init/base/str.h"

#define OPTS(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

const struct profile_mount profile_mounts[] = {
	{ "/proc", "proc", "proc", OPTS("nosuid", "noexec", "nodev"), false },
	{ "/dev", "tmpfs", "tmpfs", OPTS("nosuid", "strictatime", "mode=755", "size=65536k"),
	  false },
	{ "/dev/pts", "devpts", "devpts",
	  OPTS("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"), false },
	{ "/sys", "sysfs", "sysfs", OPTS("nosuid", "noexec", "nodev", "ro"), true },
	{ "/sys/fs/cgroup", "cgroup", "cgroup", OPTS("ro", "nosuid", "noexec", "nodev"), true },
	{ "/dev/mqueue", "mqueue", "mqueue", OPTS("nosuid", "noexec", "nodev"), false },
	{ "/dev/shm", "tmpfs", "shm", OPTS("nosuid", "noexec", "nodev", "mode=1777"), false },
};
const size_t profile_n_mounts = ARRAY_SIZE(profile_mounts);

const char *const profile_readonly_paths[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL,
};

static const char *const masked[] = {
	"/proc/acpi",
	"/proc/asound",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/sys/devices/virtual/powercap",
	"/sys/firmware",
};

/* How many CPUs the machine may ever have: the end of "0-3" in cpu/possible, plus one. */
static uint64_t cpus_possible(void)
{
	_cleanup_(mem_free) char *text = NULL;
	uint64_t last;
	size_t len;
	char *p;

	if (file_read(AT_FDCWD, "/sys/devices/system/cpu/possible", 4096, &text, &len, NULL) < 0)
		return 1;
	p = str_trim(text);
	if (strrchr(p, ','))
		p = strrchr(p, ',') + 1;
	if (strrchr(p, '-'))
		p = strrchr(p, '-') + 1;
	if (str_to_u64(p, &last) < 0 || last > 8191)
		return 1;
	return last + 1;
}

char **profile_masked_paths(void)
{
	_cleanup_(strv_free) char **v = NULL;
	uint64_t cpus = cpus_possible();

	for (size_t i = 0; i < ARRAY_SIZE(masked); i++)
		if (strv_add(&v, masked[i]) < 0)
			return NULL;
	for (uint64_t i = 0; i < cpus; i++) {
		char path[80];

		/* a virtual machine has none: no need to carry a line per CPU in every config */
		(void)str_format(path, sizeof(path),
				 "/sys/devices/system/cpu/cpu%llu/thermal_throttle",
				 (unsigned long long)i);
		if (access(path, F_OK) == 0 && strv_add(&v, path) < 0)
			return NULL;
	}
	return take_ptr(v);
}

const struct profile_device_rule profile_device_rules[] = {
	{ false, 'a', -1, -1, "rwm" },	{ true, 'c', 1, 5, "rwm" }, /* zero */
	{ true, 'c', 1, 3, "rwm" }, /* null */
	{ true, 'c', 1, 9, "rwm" }, /* urandom */
	{ true, 'c', 1, 8, "rwm" }, /* random */
	{ true, 'c', 5, 0, "rwm" }, /* tty */
	{ true, 'c', 5, 1, "rwm" }, /* console */
	{ false, 'c', 10, 229, "rwm" }, /* fuse */
};
const size_t profile_n_device_rules = ARRAY_SIZE(profile_device_rules);

/* kernel: the tables of ipc/ipc_sysctl.c, ipc/mq_sysctl.c, net/ and kernel/utsname_sysctl.c; runc
 * takes the same. */
enum sysctl_space sysctl_space(const char *name)
{
	static const struct {
		const char *name;
		bool whole; /* else all that begin so */
		enum sysctl_space space;
	} known[] = {
		{ "net.", false, SYSCTL_OF_NETWORK },
		{ "fs.mqueue.", false, SYSCTL_OF_IPC },
		{ "kernel.msgmax", true, SYSCTL_OF_IPC },
		{ "kernel.msgmnb", true, SYSCTL_OF_IPC },
		{ "kernel.msgmni", true, SYSCTL_OF_IPC },
		{ "kernel.sem", true, SYSCTL_OF_IPC },
		{ "kernel.shmall", true, SYSCTL_OF_IPC },
		{ "kernel.shmmax", true, SYSCTL_OF_IPC },
		{ "kernel.shmmni", true, SYSCTL_OF_IPC },
		{ "kernel.shm_rmid_forced", true, SYSCTL_OF_IPC },
		{ "kernel.domainname", true, SYSCTL_OF_UTS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		const char *k = known[i].name, *n = name;

		while (*k && (*k == *n || (*k == '.' && *n == '/'))) {
			k++;
			n++;
		}
		if (!*k && (!known[i].whole || !*n))
			return known[i].space;
	}
	return SYSCTL_OF_MACHINE;
}

const char *const profile_net_sysctls[][2] = {
	{ "net.ipv4.ping_group_range", "0 2147483647" },
	{ "net.ipv4.ip_unprivileged_port_start", "0" },
	{ NULL, NULL },
};
