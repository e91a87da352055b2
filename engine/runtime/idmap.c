/*
 * Writing id maps and making id-mapped copies of mounts (idmap.h).
 *
 * A mount is mapped by a user namespace (mount_setattr(2), MOUNT_ATTR_IDMAP). That namespace needs
 * a process only while its maps are written: a child waits for its end and is gone as soon as the
 * namespace is open here.
 */
#include "engine/runtime/idmap.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine/runtime/origin.h"
#include "init/base/buf.h"
#include "init/base/file.h"
#include "init/base/mount.h"
#include "init/base/str.h"

static int write_map(pid_t pid, const char *file, const struct plan_id_map *map, size_t n,
		     struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(1 << 16);
	char path[64];

	for (size_t i = 0; i < n; i++)
		buf_printf(&text, "%u %u %u\n", map[i].inside, map[i].outside, map[i].size);
	if (buf_failed(&text))
		return err_errno(e, ENOMEM, "id maps");
	(void)str_format(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return file_put(AT_FDCWD, path, buf_text(&text), e);
}

int idmap_write(pid_t pid, const struct plan_id_map *uids, size_t n_uids,
		const struct plan_id_map *gids, size_t n_gids, struct err *e)
{
	if (write_map(pid, "uid_map", uids, n_uids, e) < 0)
		return err_wrap(e, "uidMappings");
	if (write_map(pid, "gid_map", gids, n_gids, e) < 0)
		return err_wrap(e, "gidMappings");
	return 0;
}

int idmap_namespace(const struct plan_id_map *uids, size_t n_uids, const struct plan_id_map *gids,
		    size_t n_gids, struct err *e)
{
	struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	_cleanup_(fd_close) int ours = -1, theirs = -1, ns = -1;
	int pair[2], r;
	char path[64], byte;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socket pair");
	ours = pair[0];
	theirs = pair[1];
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return err_errno(e, errno, "a new user namespace");
	if (pid == 0) {
		close(ours);
		(void)recv(theirs, &byte, 1, 0);
		_exit(0);
	}
	fd_close(take_fd(theirs));
	r = idmap_write(pid, uids, n_uids, gids, n_gids, e);
	(void)str_format(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	if (r == 0) {
		ns = open(path, O_RDONLY | O_CLOEXEC);
		if (ns < 0)
			r = err_errno(e, errno, "%s", path);
	}
	fd_close(take_fd(ours));
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r < 0 ? r : take_fd(ns);
}

int idmap_owner(const char *path, struct err *e)
{
	_cleanup_(fd_close) int of = open(path, O_RDONLY | O_CLOEXEC);
	int user;

	if (of < 0)
		return err_errno(e, errno, "%s", path);
	user = ioctl(of, NS_GET_USERNS);
	return user < 0 ? err_errno(e, errno, "the user namespace of %s", path) : user;
}

static int namespace_of(const struct plan *p, const struct plan_mount *m, int user_ns,
			struct err *e)
{
	int fd;

	if (m->n_uid_map)
		return idmap_namespace(m->uid_map, m->n_uid_map, m->gid_map, m->n_gid_map, e);
	if (!p->ns[NS_USER].path)
		return idmap_namespace(p->uid_map, p->n_uid_map, p->gid_map, p->n_gid_map, e);
	fd = user_ns >= 0 ? fcntl(user_ns, F_DUPFD_CLOEXEC, 0)
			  : open(p->ns[NS_USER].path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_errno(e, errno, "%s", p->ns[NS_USER].path) : fd;
}

int idmap_take(const struct plan *p, struct plan_mount *m, int user_ns, struct err *e)
{
	_cleanup_(fd_close) int source = -1, ns = -1;
	int r;

	if (!m->taken) {
		source = origin_open(m, e);
		r = source < 0 ? source : mount_clone(source, m->recursive, e);
		if (r < 0)
			return source < 0 ? r : err_wrap(e, "bind source path %s", m->source);
		m->taken = r;
	}
	if (m->idmap == PLAN_IDMAP_NONE)
		return 0;
	ns = namespace_of(p, m, user_ns, e);
	if (ns < 0)
		return ns;
	if (mount_idmap(m->taken, ns, m->idmap == PLAN_IDMAP_ALL, e) < 0)
		return err_wrap(e, "bind source path %s", m->source);
	return 0;
}
