/*
 * Kernel settings with the reason of each. What the kernel's configuration can say is said there;
 * this is what it leaves to run time. Containers get their own values for what lives in a
 * namespace.
 */
#include "init/boot/early.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"
#include "init/base/util.h"

struct setting {
	const char *name, *value;
	const char *reason;
};

static const struct setting table[] = {
	/* the kernel's own secrets */
	{ "kernel.kptr_restrict", "2", "kernel addresses are for nobody" },
	{ "kernel.dmesg_restrict", "1", "the kernel log may hold addresses and names of others" },
	{ "kernel.perf_event_paranoid", "3", "performance counters leak across containers" },
	{ "kernel.unprivileged_bpf_disabled", "1", "BPF programs only with CAP_BPF" },
	/* not 2: blinding is quadratic, and the engine's own filters, whose constants nobody in a
	 * container chooses, would take most of the time of a start or an exec */
	{ "net.core.bpf_jit_harden", "1",
	  "constants in BPF compiled for processes without CAP_BPF are blinded" },
	{ "kernel.yama.ptrace_scope", "1", "a process traces only its own children" },
	{ "kernel.sysrq", "176",
	  "sync, remount read-only and reboot by keyboard; nothing that reads" },
	{ "dev.tty.legacy_tiocsti", "0", "nobody types into another's terminal" },
	{ "dev.tty.ldisc_autoload", "0", "line disciplines are not loaded by users" },
	{ "vm.mmap_min_addr", "65536", "null pointers stay unmapped" },
	{ "vm.unprivileged_userfaultfd", "0", "not in this kernel; off in any other" },
	{ "kernel.core_pattern", "core", "a relative name: no program runs on a crash" },
	{ "fs.suid_dumpable", "0", "set-user-id programs leave no memory image" },
	/* files in shared folders */
	{ "fs.protected_symlinks", "1",
	  "links in sticky folders are followed by their owner only" },
	{ "fs.protected_hardlinks", "1", "no hard link to what one cannot write" },
	{ "fs.protected_fifos", "2", "no write into planted fifos" },
	{ "fs.protected_regular", "2", "no write into planted files" },
	/* a machine that heals itself */
	{ "kernel.panic", "10", "restart ten seconds after a panic" },
	{ "kernel.panic_on_oops", "1", "a confused kernel does not go on" },
	{ "kernel.printk_devkmsg", "on", "services write their log here; no line may be dropped" },
	{ "kernel.ctrl-alt-del", "0", "the key goes to PID 1, which restarts in order" },
	{ "vm.panic_on_oom", "0", "a container dies, not the machine" },
	/* room for many containers */
	{ "user.max_user_namespaces", "15000", "containers with mapped users, within a bound" },
	{ "kernel.pid_max", "4194304", "many containers, late reuse of numbers" },
	{ "fs.inotify.max_user_instances", "8192",
	  "every container watches files as the same user" },
	{ "fs.inotify.max_user_watches", "1048576", "as above" },
	{ "vm.max_map_count", "262144", "search engines in containers ask for it" },
	{ "kernel.keys.maxkeys", "20000", "one session keyring per container" },
	{ "kernel.keys.maxbytes", "2000000", "as above" },
	{ "net.ipv4.neigh.default.gc_thresh3", "8192", "neighbours of many bridges" },
	/* network: a router for its containers, a quiet host for everyone else */
	{ "net.ipv4.ip_forward", "1", "containers reach the world through us" },
	{ "net.ipv6.conf.all.forwarding", "1",
	  "as above; uplinks still accept router adverts (net/)" },
	{ "net.ipv6.conf.default.accept_ra", "0", "only uplinks accept them, and net/ says which" },
	{ "net.ipv4.conf.all.rp_filter", "2", "packets must come from a place that could answer" },
	{ "net.ipv4.conf.default.rp_filter", "2", "as above" },
	{ "net.ipv4.conf.all.accept_redirects", "0", "nobody changes our routes" },
	{ "net.ipv4.conf.default.accept_redirects", "0", "as above" },
	{ "net.ipv4.conf.all.secure_redirects", "0", "as above" },
	{ "net.ipv4.conf.default.secure_redirects", "0", "as above" },
	{ "net.ipv6.conf.all.accept_redirects", "0", "as above" },
	{ "net.ipv6.conf.default.accept_redirects", "0", "as above" },
	{ "net.ipv4.conf.all.send_redirects", "0", "containers' routes are ours to set" },
	{ "net.ipv4.conf.default.send_redirects", "0", "as above" },
	{ "net.ipv4.conf.all.accept_source_route", "0", "the sender does not choose the way" },
	{ "net.ipv4.conf.default.accept_source_route", "0", "as above" },
	{ "net.ipv6.conf.all.accept_source_route", "0", "as above" },
	{ "net.ipv6.conf.default.accept_source_route", "0", "as above" },
	{ "net.ipv4.conf.all.arp_ignore", "1", "ARP answers only for the link's own addresses" },
	{ "net.ipv4.tcp_syncookies", "1", "floods of half-open connections" },
	{ "net.ipv4.tcp_rfc1337", "1", "stray resets do not end closing connections" },
	{ "net.ipv4.icmp_echo_ignore_broadcasts", "1", "no amplifier" },
	{ "net.ipv4.icmp_ignore_bogus_error_responses", "1", "no log floods" },
};

/* "net.ipv4.ip_forward" -> "net/ipv4/ip_forward"; a '/' in a name stands for a dot (links) */
static int to_path(const char *name, char *path, size_t size)
{
	if (strstr(name, "..") || str_copy(path, size, name) < 0)
		return -EINVAL;
	for (char *p = path; *p; p++) {
		if (*p == '.')
			*p = '/';
		else if (*p == '/')
			*p = '.';
	}
	return 0;
}

static int set_at(int dir, const char *name, const char *value, struct err *e)
{
	char path[160], line[256];

	if (to_path(name, path, sizeof(path)) < 0)
		return err_set(e, EINVAL, "\"%s\" is not the name of a kernel setting", name);
	/* some settings (printk_devkmsg) take their word only as a whole line */
	if (str_format(line, sizeof(line), "%s\n", value) < 0)
		return err_set(e, EINVAL, "the value of \"%s\" is too long", name);
	return file_put(dir, path, line, e);
}

int sysctl_set(const char *name, const char *value, struct err *e)
{
	_cleanup_(fd_close) int dir = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_errno(e, errno, "cannot open /proc/sys");
	return set_at(dir, name, value, e);
}

int sysctl_apply(void)
{
	_cleanup_(fd_close) int dir = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int refused = 0;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct err e = { 0 };
		int r = set_at(dir, table[i].name, table[i].value, &e);

		if (r == 0 || r == -ENOENT)
			continue;
		log_warn("kernel setting %s=%s is refused (%s): %s", table[i].name, table[i].value,
			 table[i].reason, err_text(&e));
		refused++;
	}
	return refused;
}
