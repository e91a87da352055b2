/*
 * Making and removing network namespaces (see netns.h).
 *
 * The engine never leaves its own namespace: a child does what must be done inside, hands the
 * netlink socket it opened there to us, and exits. That socket goes on acting on its namespace. The
 * child is a plain fork with a bounded life of a few system calls; its result (errno and text)
 * comes back as one packet. Callers: attach.c, restore.c.
 */
#include "engine/net/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/net/link.h"
#include "init/base/file.h"
#include "init/base/msg.h"
#include "init/base/netlink.h"
#include "init/base/str.h"
#include "init/base/util.h"

enum { CHILD_TIMEOUT_MS = 10000, NETNS_FDS = 2 };

/* What the child says at its end; text as in struct err. */
struct answer {
	int rc;
	struct err e;
};

/* The child's part: returns 0 or -errno; those of ret_fds that are >= 0 go to the parent. */
typedef int child_fn(void *data, int ret_fds[NETNS_FDS], struct err *e);

static _Noreturn void child_main(int sock, child_fn *fn, void *data)
{
	struct answer a = { 0 };
	int fds[NETNS_FDS] = { -1, -1 };
	size_t n = 0;

	a.rc = fn(data, fds, &a.e);
	while (n < NETNS_FDS && fds[n] >= 0)
		n++;
	(void)msg_send(sock, &a, sizeof(a), fds, n, NULL);
	_exit(0);
}

static int child_answer(int sock, int *ret_fds, size_t max, struct err *e)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	char packet[sizeof(struct answer) + 1];
	int fds[MSG_FDS_MAX];
	size_t n_fds = 0;
	struct answer a = { 0 };
	ssize_t n;

	if (poll(&p, 1, CHILD_TIMEOUT_MS) <= 0)
		return err_set(e, ETIMEDOUT,
			       "the process in the network namespace does not answer");
	n = msg_recv(sock, packet, sizeof(packet), fds, &n_fds, e);
	if (n < 0)
		return (int)n;
	if (n == sizeof(a))
		memcpy(&a, packet, sizeof(a));
	for (size_t i = 0; i < n_fds; i++) {
		if (n == sizeof(a) && a.rc == 0 && i < max)
			ret_fds[i] = fds[i];
		else
			close(fds[i]);
	}
	if (n != sizeof(a))
		return err_set(e, ECHILD, "the process in the network namespace ended early");
	if (a.rc < 0)
		return err_set(e, -a.rc, "%s", err_text(&a.e));
	return a.rc;
}

static int run_child(child_fn *fn, void *data, int *ret_fds, size_t max, struct err *e)
{
	int pair[2], rc;
	pid_t pid;

	rc = msg_pair(pair, e);
	if (rc < 0)
		return rc;
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		child_main(pair[1], fn, data);
	}
	if (pid < 0)
		rc = err_errno(e, errno, "cannot fork");
	close(pair[1]);
	if (pid > 0) {
		rc = child_answer(pair[0], ret_fds, max, e);
		if (rc == -ETIMEDOUT)
			(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(pair[0]);
	return rc;
}

/* --- making ----------------------------------------------------------------------------------- */

/* What every namespace starts with; links that come later take over the values of "default".
 * Kernels without IPv6 have no such files. */
static int child_sysctls(struct err *e)
{
	static const char *const knobs[][2] = {
		{ "/proc/sys/net/ipv6/conf/default/disable_ipv6", "1" },
		{ "/proc/sys/net/ipv6/conf/default/accept_ra", "0" },
		{ "/proc/sys/net/ipv6/conf/all/accept_ra", "0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++) {
		int rc = file_put(AT_FDCWD, knobs[i][0], knobs[i][1], e);

		if (rc < 0 && rc != -ENOENT)
			return rc;
	}
	return 0;
}

/* What a process in the new namespace has to do; gives the socket. */
static int child_fill(int *ret_fd, struct err *e)
{
	int fd = nl_open(NETLINK_ROUTE, e), rc;
	struct link lo;

	if (fd < 0)
		return fd;
	rc = child_sysctls(e);
	if (rc == 0)
		rc = link_get(fd, "lo", &lo, e);
	if (rc == 0)
		rc = link_up(fd, lo.index, e);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

struct making {
	const char *path;
	int user_ns;
};

/* A namespace belongs to the user namespace of who makes it. But from there the machine's mounts
 * cannot be changed: a second child enters it, and this one mounts what that is in. */
static int child_enter(void *data, int *ret_fd, struct err *e)
{
	const struct making *m = data;

	if (setns(m->user_ns, CLONE_NEWUSER) < 0)
		return err_errno(e, errno, "cannot enter the container's user namespace");
	if (unshare(CLONE_NEWNET) < 0)
		return err_errno(e, errno, "cannot make a network namespace");
	*ret_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno(e, errno, "/proc/self/ns/net") : 0;
}

static int new_namespace(struct making *m, struct err *e)
{
	_cleanup_(fd_close) int ns = -1;
	int rc;

	if (m->user_ns <= 0)
		return unshare(CLONE_NEWNET) < 0
			       ? err_errno(e, errno, "cannot make a network namespace")
			       : 0;
	rc = run_child(child_enter, m, &ns, 1, e);
	if (rc == 0 && setns(ns, CLONE_NEWNET) < 0)
		rc = err_errno(e, errno, "cannot enter the network namespace");
	return rc;
}

static int child_make(void *data, int *ret_fd, struct err *e)
{
	struct making *m = data;
	int rc = new_namespace(m, e);

	if (rc == 0 && mount("/proc/self/ns/net", m->path, NULL, MS_BIND, NULL) < 0)
		rc = err_errno(e, errno, "cannot mount the network namespace at %s", m->path);
	return rc < 0 ? rc : child_fill(ret_fd, e);
}

static int open_ns(const char *path, struct err *e)
{
	struct statfs sfs;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, errno, "cannot open the network namespace %s", path);
	if (fstatfs(fd, &sfs) < 0 || sfs.f_type != NSFS_MAGIC) {
		close(fd);
		return err_set(e, EINVAL, "%s is not a network namespace", path);
	}
	return fd;
}

int netns_make(const char *path, int user_ns, int *ret_ns, int *ret_socket, struct err *e)
{
	struct making making = { path, user_ns };
	_cleanup_(fd_close) int file = -1, sock = -1;
	int rc, ns;

	rc = netns_remove(path, e);
	if (rc < 0)
		return rc;
	file = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (file < 0)
		return err_errno(e, errno, "cannot create %s", path);
	rc = run_child(child_make, &making, &sock, 1, e);
	ns = rc < 0 ? rc : open_ns(path, e);
	if (ns < 0) {
		(void)netns_remove(path, NULL);
		return ns;
	}
	*ret_ns = ns;
	*ret_socket = take_fd(sock);
	return 0;
}

static int child_socket(void *data, int *ret_fd, struct err *e)
{
	const int *ns = data;

	if (setns(*ns, CLONE_NEWNET) < 0)
		return err_errno(e, errno, "cannot enter the network namespace");
	*ret_fd = nl_open(NETLINK_ROUTE, e);
	return MIN(*ret_fd, 0);
}

int netns_open(const char *path, int *ret_ns, int *ret_socket, struct err *e)
{
	_cleanup_(fd_close) int sock = -1;
	int ns = open_ns(path, e), rc;

	if (ns < 0)
		return ns;
	rc = run_child(child_socket, &ns, &sock, 1, e);
	if (rc < 0) {
		close(ns);
		return rc;
	}
	*ret_ns = ns;
	*ret_socket = take_fd(sock);
	return 0;
}

int netns_remove(const char *path, struct err *e)
{
	/* more than one mount on top of each other only after a crash between the two steps
	 * above */
	while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	if (errno != EINVAL && errno != ENOENT)
		return err_errno(e, errno, "cannot unmount %s", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(e, errno, "cannot remove %s", path);
	return 0;
}

struct call {
	int ns;
	int (*fn)(void *data, struct err *e);
	void *data;
};

static int child_call(void *data, int *ret_fd, struct err *e)
{
	struct call *c = data;

	(void)ret_fd;
	if (setns(c->ns, CLONE_NEWNET) < 0)
		return err_errno(e, errno, "cannot enter the network namespace");
	return c->fn(c->data, e);
}

int netns_call(int ns, int (*fn)(void *data, struct err *e), void *data, struct err *e)
{
	struct call c = { ns, fn, data };

	return run_child(child_call, &c, NULL, 0, e);
}

struct fds_call {
	int ns;
	int (*fn)(void *data, int ret_fds[2], struct err *e);
	void *data;
};

static int child_fds(void *data, int ret_fds[NETNS_FDS], struct err *e)
{
	struct fds_call *c = data;

	if (setns(c->ns, CLONE_NEWNET) < 0)
		return err_errno(e, errno, "cannot enter the network namespace");
	return c->fn(c->data, ret_fds, e);
}

int netns_sockets(int ns, int (*fn)(void *data, int ret_fds[2], struct err *e), void *data,
		  int ret_fds[2], struct err *e)
{
	struct fds_call c = { ns, fn, data };
	int fds[NETNS_FDS] = { -1, -1 }, rc = run_child(child_fds, &c, fds, NETNS_FDS, e);

	if (rc < 0)
		return rc;
	memcpy(ret_fds, fds, sizeof(fds));
	return 0;
}
