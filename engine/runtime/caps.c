/*
 * Capability names, masks and Docker's rule for combining --privileged, --cap-add and --cap-drop.
 *
 * A set is a 64-bit mask, bit N is capability number N (linux/capability.h). Called by plan.c
 * (config.json to masks), by container/spec.c through profile.h, and by seccomp_default.c.
 */
#include "engine/runtime/profile.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <strings.h>

#include "engine/data/json.h"
#include "init/base/file.h"
#include "init/base/str.h"

static const char *const names[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};
_Static_assert(ARRAY_SIZE(names) == 41, "one name per capability, 0 to 40");

#define BIT(n) (1ULL << (n))

uint64_t caps_default(void)
{
	return BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) |
	       BIT(CAP_MKNOD) | BIT(CAP_NET_RAW) | BIT(CAP_SETGID) | BIT(CAP_SETUID) |
	       BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) | BIT(CAP_NET_BIND_SERVICE) |
	       BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE);
}

uint64_t caps_all(void)
{
	_cleanup_(mem_free) char *text = NULL;
	uint64_t last = ARRAY_SIZE(names) - 1, n;
	size_t len;

	if (file_read(AT_FDCWD, "/proc/sys/kernel/cap_last_cap", 16, &text, &len, NULL) == 0 &&
	    str_to_u64(str_trim(text), &n) == 0 && n < last)
		last = n;
	return BIT(last + 1) - 1;
}

int caps_number(const char *name)
{
	if (!name)
		return -EINVAL;
	if (strncasecmp(name, "CAP_", 4) == 0)
		name += 4;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(name, names[i] + 4) == 0)
			return (int)i;
	return -EINVAL;
}

const char *caps_name(unsigned int number)
{
	return number < ARRAY_SIZE(names) ? names[number] : NULL;
}

void caps_write(struct json_writer *w, const char *key, uint64_t mask)
{
	json_key(w, key);
	json_begin_array(w);
	for (unsigned int n = 0; n < ARRAY_SIZE(names); n++)
		if (mask & BIT(n))
			json_str(w, names[n]);
	json_end_array(w);
}

void caps_write_process(struct json_writer *w, uint64_t mask)
{
	json_key(w, "capabilities");
	json_begin_object(w);
	caps_write(w, "bounding", mask);
	caps_write(w, "permitted", mask);
	caps_write(w, "effective", mask);
	json_end_object(w);
}

/* Collects a list of names; *ret_all says whether ALL was among them. */
static int collect(char *const *list, const char *what, uint64_t *ret_mask, bool *ret_all,
		   struct err *e)
{
	uint64_t mask = 0;
	bool all = false;

	for (char *const *p = list; p && *p; p++) {
		int n;

		if (strcasecmp(*p, "ALL") == 0 || strcasecmp(*p, "CAP_ALL") == 0) {
			all = true;
			continue;
		}
		n = caps_number(*p);
		if (n < 0)
			return err_set(e, EINVAL,
				       "invalid %s: unknown capability: \"%s\" (known: ALL and the "
				       "names of capabilities(7))",
				       what, *p);
		mask |= BIT(n);
	}
	*ret_mask = mask;
	*ret_all = all;
	return 0;
}

int caps_tweak(bool privileged, char *const *add, char *const *drop, uint64_t *ret_mask,
	       struct err *e)
{
	uint64_t adds = 0, drops = 0;
	bool add_all = false, drop_all = false;
	int r = collect(add, "CapAdd", &adds, &add_all, e);

	if (r == 0)
		r = collect(drop, "CapDrop", &drops, &drop_all, e);
	if (r < 0)
		return r;
	if (privileged)
		*ret_mask = caps_all();
	else if (add_all)
		*ret_mask =
			caps_all() & ~drops; /* with drop ALL too: Docker looks at the names only */
	else if (drop_all)
		*ret_mask = adds & caps_all();
	else
		*ret_mask = ((caps_default() & ~drops) | adds) & caps_all();
	return 0;
}
