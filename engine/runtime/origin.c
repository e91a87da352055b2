/*
 * Sources of bind mounts (origin.h).
 *
 * The runner goes to the origin and back by setns(2); it has one thread and shares nothing with its
 * caller. Whether a mount is shared is asked of mountinfo by the mount's number, not by its path.
 */
#include "engine/runtime/origin.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/stat.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>

#include "init/base/file.h"
#include "init/base/mount.h"
#include "init/base/path.h"
#include "init/base/str.h"

/* <sys/mount.h> does not go together with <linux/mount.h> everywhere */
#ifndef MS_SHARED
#define MS_SLAVE (1 << 19)
#define MS_SHARED (1 << 20)
#endif

enum { MOUNTINFO_MAX = 16 << 20 };

int origin_open(const struct plan_mount *m, struct err *e)
{
	_cleanup_(fd_close) int source = open(m->source, O_PATH | O_CLOEXEC);
	int fd;

	if (source < 0)
		return err_errno(e, errno, "bind source path %s", m->source);
	if (str_empty(m->subpath))
		return take_fd(source);
	fd = path_open(source, m->subpath, O_PATH, 0, e);
	return fd < 0 ? err_wrap(e, "cannot access path %s/%s", m->source, m->subpath) : fd;
}

/* The line of a mount's number: "36 35 98:0 /mnt1 /mnt2 rw shared:1 master:2 - ext3 ..." */
static char *find_line(char *table, uint64_t id)
{
	char start[24], *save = NULL;

	(void)str_format(start, sizeof(start), "%llu ", (unsigned long long)id);
	for (char *l = strtok_r(table, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (str_starts(l, start))
			return l;
	return NULL;
}

/* Is the mount that fd lies on a member of a peer group (or, with `or_slave`, a slave of one)? */
static int check_shared(int fd, const struct plan_mount *m, bool or_slave, struct err *e)
{
	_cleanup_(mem_free) char *table = NULL;
	_cleanup_(strv_free) char **fields = NULL;
	struct statx st = { 0 };
	char *line;
	int r;

	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0)
		return err_errno(e, errno, "%s", m->source);
	r = file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &table, NULL, e);
	if (r < 0)
		return r;
	line = find_line(table, st.stx_mnt_id);
	fields = strv_split(line ? line : "", " ", false);
	if (!fields)
		return err_errno(e, ENOMEM, "mountinfo");
	for (size_t i = 6; i < strv_len(fields) && !str_eq(fields[i], "-"); i++)
		if (str_starts(fields[i], "shared:") ||
		    (or_slave && str_starts(fields[i], "master:")))
			return 0;
	return err_set(e, EINVAL, "path %s is mounted on %s but it is not a shared%s mount",
		       m->source, strv_len(fields) > 4 ? fields[4] : "?",
		       or_slave ? " or slave" : "");
}

static int take_one(struct plan_op *op, struct err *e)
{
	struct plan_mount *m = &op->mount;
	_cleanup_(fd_close) int source = origin_open(m, e);
	int r = source < 0 ? source : check_shared(source, m, m->propagation == MS_SLAVE, e);

	if (r == 0 && m->propagation == MS_SHARED) {
		r = mount_clone(source, m->recursive, e);
		if (r >= 0)
			m->taken = r;
	}
	return r < 0 ? err_wrap(e, "%s", op->key) : 0;
}

static bool concerns(const struct plan_op *op)
{
	return op->kind == OP_MOUNT && op->mount.kind == PLAN_MOUNT_BIND &&
	       (op->mount.propagation == MS_SHARED || op->mount.propagation == MS_SLAVE);
}

int origin_take(struct plan *p, int origin, struct err *e)
{
	_cleanup_(fd_close) int back = -1;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < p->n_ops; i++)
		n += concerns(&p->ops[i]);
	if (n == 0)
		return 0;
	back = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (back < 0)
		return err_errno(e, errno, "/proc/self/ns/mnt");
	if (setns(origin, CLONE_NEWNS) < 0)
		return err_errno(e, errno, "looking at the mounts of the host");
	for (size_t i = 0; i < p->n_ops && r == 0; i++)
		if (concerns(&p->ops[i]))
			r = take_one(&p->ops[i], e);
	if (setns(back, CLONE_NEWNS) < 0)
		return err_errno(e, errno, "coming back from the mounts of the host");
	return r;
}
