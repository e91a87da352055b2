/* Names, masks and Docker's rule of combining additions and drops. */
#include "engine/runtime/profile.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

#define V(...) ((char *[]){ __VA_ARGS__, NULL })
#define BIT(n) (1ULL << (n))

TEST(default_set_is_dockers)
{
	static const char *const names[] = {
		"CHOWN",   "DAC_OVERRIDE", "FSETID",	       "FOWNER",
		"MKNOD",   "NET_RAW",	   "SETGID",	       "SETUID",
		"SETFCAP", "SETPCAP",	   "NET_BIND_SERVICE", "SYS_CHROOT",
		"KILL",	   "AUDIT_WRITE"
	};
	uint64_t mask = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		mask |= BIT(caps_number(names[i]));
	CHECK(caps_default() == mask);
	CHECK(caps_default() == 0xa80425fbULL);
}

TEST(names_in_all_spellings)
{
	CHECK_INT(caps_number("CAP_SYS_ADMIN"), 21);
	CHECK_INT(caps_number("sys_admin"), 21);
	CHECK_INT(caps_number("Cap_Checkpoint_Restore"), 40);
	CHECK_INT(caps_number("SYSADMIN"), -EINVAL);
	CHECK_INT(caps_number(""), -EINVAL);
	CHECK_INT(caps_number(NULL), -EINVAL);
	CHECK_STR(caps_name(0), "CAP_CHOWN");
	CHECK(!caps_name(41));
	for (unsigned int i = 0; i <= 40; i++)
		CHECK_INT(caps_number(caps_name(i)), i);
}

TEST(tweak_combines_as_docker)
{
	uint64_t m = 0, all = caps_all();

	CHECK_INT(caps_tweak(true, NULL, V("ALL"), &m, NULL), 0);
	CHECK(m == all);
	CHECK_INT(caps_tweak(false, NULL, NULL, &m, NULL), 0);
	CHECK(m == (caps_default() & all));
	CHECK_INT(caps_tweak(false, V("net_admin"), V("CAP_MKNOD"), &m, NULL), 0);
	CHECK(m == ((caps_default() | BIT(12)) & ~BIT(27)));
	CHECK_INT(caps_tweak(false, V("all"), V("SYS_ADMIN"), &m, NULL), 0);
	CHECK(m == (all & ~BIT(21)));
	CHECK_INT(caps_tweak(false, V("CHOWN"), V("ALL"), &m, NULL), 0);
	CHECK(m == BIT(0));
	/* the same one added and dropped: the addition counts */
	CHECK_INT(caps_tweak(false, V("CHOWN"), V("CHOWN"), &m, NULL), 0);
	CHECK(m & BIT(0));
}

TEST(unknown_name_is_named_in_the_error)
{
	struct err e = { 0 };
	uint64_t m = 7;

	CHECK_INT(caps_tweak(false, V("CHOWN", "SUPERUSER"), NULL, &m, &e), -EINVAL);
	CHECK(strstr(e.text, "CapAdd") && strstr(e.text, "SUPERUSER"));
	CHECK(m == 7);
	CHECK_INT(caps_tweak(true, NULL, V("NOPE"), &m, &e), -EINVAL);
	CHECK(strstr(e.text, "CapDrop"));
}

/* A profile mount as "destination type source options". */
static void mount_text(const struct profile_mount *m, struct buf *out)
{
	buf_reset(out);
	buf_printf(out, "%s %s %s", m->destination, m->type, m->source);
	for (size_t i = 0; m->options[i]; i++)
		buf_printf(out, "%c%s", i ? ',' : ' ', m->options[i]);
}

/* As written down for Docker's default container; /dev/shm gets its size from the caller. */
TEST(mounts_are_the_profiles)
{
	static const char *const want[] = {
		"/proc proc proc nosuid,noexec,nodev",
		"/dev tmpfs tmpfs nosuid,strictatime,mode=755,size=65536k",
		"/dev/pts devpts devpts nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5",
		"/sys sysfs sysfs nosuid,noexec,nodev,ro",
		"/sys/fs/cgroup cgroup cgroup ro,nosuid,noexec,nodev",
		"/dev/mqueue mqueue mqueue nosuid,noexec,nodev",
		"/dev/shm tmpfs shm nosuid,noexec,nodev,mode=1777",
	};
	_cleanup_(buf_free) struct buf text = BUF_INIT(4096);

	CHECK_INT(profile_n_mounts, ARRAY_SIZE(want));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		mount_text(&profile_mounts[i], &text);
		CHECK_STR(buf_text(&text), want[i]);
	}
}

TEST(paths_are_the_profiles)
{
	static const char *const want[] = {
		"/proc/acpi",	     "/proc/asound",  "/proc/interrupts",
		"/proc/kcore",	     "/proc/keys",    "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi",    "/proc/timer_list",
		"/proc/timer_stats", "/sys/firmware", "/sys/devices/virtual/powercap",
	};
	_cleanup_(strv_free) char **masked = profile_masked_paths();
	_cleanup_(mem_free) char *readonly = strv_join((char **)profile_readonly_paths, " ");
	size_t per_cpu = 0;

	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		CHECK_MSG(strv_has(masked, want[i]), "%s is not masked", want[i]);
	for (char **m = masked; *m; m++)
		per_cpu += str_ends(*m, "/thermal_throttle");
	CHECK_INT(strv_len(masked), ARRAY_SIZE(want) + per_cpu);
	CHECK_STR(readonly, "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger");
}

TEST(device_rules_and_sysctls_are_the_profiles)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(4096);

	for (size_t i = 0; i < profile_n_device_rules; i++) {
		const struct profile_device_rule *d = &profile_device_rules[i];

		buf_printf(&text, "%c%c %d:%d %s;", d->allow ? '+' : '-', d->type, (int)d->major,
			   (int)d->minor, d->access);
	}
	CHECK_STR(buf_text(&text),
		  "-a -1:-1 rwm;+c 1:5 rwm;+c 1:3 rwm;+c 1:9 rwm;+c 1:8 rwm;+c 5:0 rwm;+c 5:1 rwm;"
		  "-c 10:229 rwm;");
	CHECK_STR(profile_net_sysctls[0][0], "net.ipv4.ping_group_range");
	CHECK_STR(profile_net_sysctls[0][1], "0 2147483647");
	CHECK_STR(profile_net_sysctls[1][0], "net.ipv4.ip_unprivileged_port_start");
	CHECK_STR(profile_net_sysctls[1][1], "0");
	CHECK(!profile_net_sysctls[2][0]);
}
