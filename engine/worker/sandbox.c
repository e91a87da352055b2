/*
 * Applies a worker's sandbox, in the one order that works: what needs privileges first, the filter
 * that forbids the rest last.
 *
 * Capabilities are set by system call (no libcap): the bounding set is emptied but for what is
 * kept, the change of user keeps the permitted set, capset() reduces it. Called by worker roles.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "engine/worker/sandbox_priv.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum { FILES_DEFAULT = 256, CAPS_MAX = 64 };

uint64_t worker_memory_limit(uint64_t more)
{
	_cleanup_(mem_free) char *text = NULL;
	uint64_t pages = 0;
	size_t len;

	if (file_read(AT_FDCWD, "/proc/self/statm", 256, &text, &len, NULL) < 0)
		return 0;
	text[strcspn(text, " ")] = '\0';
	if (str_to_u64(text, &pages) < 0)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE) + more;
}

static int limit(int resource, const char *name, uint64_t value, struct err *e)
{
	struct rlimit l = { value, value };

	if (setrlimit(resource, &l) < 0)
		return err_errno(e, errno, "cannot limit %s", name);
	return 0;
}

static int set_limits(const struct worker_sandbox *s, struct err *e)
{
	int r = limit(RLIMIT_CORE, "core files", 0, e);

	if (r == 0)
		r = limit(RLIMIT_NOFILE, "open files", s->max_files ? s->max_files : FILES_DEFAULT,
			  e);
	if (r == 0 && s->max_memory)
		r = limit(RLIMIT_AS, "memory", s->max_memory, e);
	if (r == 0 && s->max_file_size)
		r = limit(RLIMIT_FSIZE, "the size of files", s->max_file_size, e);
	return r;
}

/* Empties the bounding set but for `keep`; without CAP_SETPCAP there is nothing to lose. */
static int bound_caps(uint64_t keep, struct err *e)
{
	for (int cap = 0; cap < CAPS_MAX; cap++) {
		if (keep & UINT64_C(1) << cap)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL)
			return 0; /* behind the last capability of this kernel */
		if (errno != EPERM)
			return err_errno(e, errno, "cannot drop capability %d", cap);
	}
	return 0;
}

static int set_caps(uint64_t keep, struct err *e)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)keep, (uint32_t)keep, 0 },
		{ (uint32_t)(keep >> 32), (uint32_t)(keep >> 32), 0 },
	};

	if (syscall(SYS_capset, &header, data) < 0)
		return err_errno(e, errno, "cannot set the worker's capabilities");
	return 0;
}

static int change_user(const struct worker_sandbox *s, struct err *e)
{
	if (!s->drop_user)
		return 0;
	/* the permitted set outlives the change of user; set_caps() reduces it right after */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || syscall(SYS_setgroups, 0, NULL) < 0 ||
	    syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0 ||
	    syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0)
		return err_errno(e, errno, "cannot become uid %u, gid %u", s->uid, s->gid);
	return 0;
}

static int drop_privileges(const struct worker_sandbox *s, struct err *e)
{
	int r = bound_caps(s->keep_caps, e);

	if (r == 0)
		r = change_user(s, e);
	if (r == 0)
		r = set_caps(s->keep_caps, e);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = err_errno(e, errno, "cannot set no_new_privs");
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = err_errno(e, errno, "cannot make the worker undumpable");
	if (r == 0 && s->death_signal && prctl(PR_SET_PDEATHSIG, s->death_signal) < 0)
		r = err_errno(e, errno, "cannot tie the worker to its parent");
	return r;
}

int worker_sandbox_apply(const struct worker_sandbox *s, struct err *e)
{
	_cleanup_(fd_close) int ruleset = -1;
	int r = set_limits(s, e);

	if (r < 0)
		return r;
	if (s->no_network && unshare(CLONE_NEWNET) < 0)
		return err_errno(e, errno, "cannot leave the network");
	if (s->confine_files) {
		ruleset = sandbox_landlock_new(s->paths, s->n_paths, e);
		if (ruleset < 0 && !(ruleset == -EOPNOTSUPP && s->optional_landlock))
			return take_fd(ruleset);
	}
	r = drop_privileges(s, e);
	if (r == 0 && ruleset >= 0)
		r = sandbox_landlock_enter(ruleset, e);
	if (r == 0 && s->calls)
		r = sandbox_load_filter(s->calls, e);
	return r;
}
