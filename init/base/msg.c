/*
 * Messages over SOCK_SEQPACKET: the kernel keeps the boundaries, SCM_RIGHTS carries descriptors.
 *
 * Socket paths are longer than sun_path allows, so bind and connect go through /proc/self/fd of the
 * directory. The mode is set on the socket before bind, so that no moment has a wider one. Used by
 * the shim protocol, workers and PID 1's control socket.
 */
#include "init/base/msg.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "init/base/file.h"
#include "init/base/str.h"

enum { BACKLOG = 64 };

/* Fills addr with a short path to the same place; *ret_dir must stay open until the address was
 * used. */
static int short_address(const char *path, struct sockaddr_un *addr, int *ret_dir, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	int fd;

	if (str_format(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) + 1 : 1,
		       slash ? path : ".") < 0)
		return err_set(e, ENAMETOOLONG, "the socket path is too long");
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", dir);
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (str_format(addr->sun_path, sizeof(addr->sun_path), "/proc/self/fd/%d/%s", fd,
		       slash ? slash + 1 : path) < 0) {
		fd_close(fd);
		return err_set(e, ENAMETOOLONG, "the socket name in %s is too long", path);
	}
	*ret_dir = fd;
	return 0;
}

static int remove_old_socket(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "cannot stat %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, EEXIST, "%s is there and is no socket", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(e, errno, "cannot remove the old socket %s", path);
	return 0;
}

int msg_listen_type(const char *path, int type, mode_t mode, struct err *e)
{
	_cleanup_(fd_close) int fd = -1, dir = -1;
	struct sockaddr_un addr;
	int r;

	r = remove_old_socket(path, e);
	if (r == 0)
		r = short_address(path, &addr, &dir, e);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || fchmod(fd, mode) < 0)
		return err_errno(e, errno, "cannot make a socket");
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_errno(e, errno, "cannot bind %s", path);
	if (listen(fd, BACKLOG) < 0)
		return err_errno(e, errno, "cannot listen on %s", path);
	return take_fd(fd);
}

int msg_listen(const char *path, struct err *e)
{
	return msg_listen_type(path, SOCK_SEQPACKET, 0600, e);
}

int msg_connect(const char *path, struct err *e)
{
	_cleanup_(fd_close) int fd = -1, dir = -1;
	struct sockaddr_un addr;
	int r = short_address(path, &addr, &dir, e);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, errno, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_errno(e, errno, "cannot connect to %s", path);
	return take_fd(fd);
}

int msg_accept(int listen_fd, uid_t *ret_uid)
{
	_cleanup_(fd_close) int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	socklen_t len = sizeof(struct ucred);
	struct ucred peer;

	if (fd < 0)
		return -errno;
	if (ret_uid) {
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
			return -errno;
		*ret_uid = peer.uid;
	}
	return take_fd(fd);
}

int msg_pair(int ret_fds[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0)
		return err_errno(e, errno, "cannot make a socket pair");
	fd_set_nonblock(ret_fds[0], true);
	return 0;
}

union control {
	struct cmsghdr align;
	char data[CMSG_SPACE(MSG_FDS_MAX * sizeof(int))];
};

int msg_send(int fd, const void *data, size_t len, const int *fds, size_t n_fds, struct err *e)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control = { 0 };
	struct cmsghdr *c;
	ssize_t n;

	if (len == 0 || len > MSG_SIZE_MAX || n_fds > MSG_FDS_MAX)
		return err_set(e, EMSGSIZE,
			       "a message has 1 to %d bytes and at most %d descriptors",
			       MSG_SIZE_MAX, MSG_FDS_MAX);
	if (n_fds > 0) {
		h.msg_control = control.data;
		h.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	do {
		n = sendmsg(fd, &h, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? err_errno(e, errno, "cannot send a message") : 0;
}

/* Copies the received descriptors to fds[MSG_FDS_MAX]; returns how many. */
static size_t received_fds(struct msghdr *h, int fds[MSG_FDS_MAX])
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = MIN((c->cmsg_len - CMSG_LEN(0)) / sizeof(int), MSG_FDS_MAX - n);
		memcpy(fds + n, CMSG_DATA(c), count * sizeof(int));
		n += count;
	}
	return n;
}

ssize_t msg_recv(int fd, char *buf, size_t size, int *ret_fds, size_t *ret_n_fds, struct err *e)
{
	struct iovec iov = { .iov_base = buf, .iov_len = size - 1 };
	union control control = { 0 };
	struct msghdr h = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.data,
			    .msg_controllen = sizeof(control.data) };
	int fds[MSG_FDS_MAX];
	size_t n_fds;
	ssize_t n;

	do {
		n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(e, errno, "cannot receive a message");
	n_fds = received_fds(&h, fds);
	if (!ret_fds || h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		for (size_t i = 0; i < n_fds; i++)
			fd_close(fds[i]);
		n_fds = 0;
	}
	if (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return err_set(e, EMSGSIZE, "a message is longer than %zu bytes", size - 1);
	buf[n] = '\0';
	if (ret_fds && n_fds > 0)
		memcpy(ret_fds, fds, n_fds * sizeof(int));
	if (ret_n_fds)
		*ret_n_fds = n_fds;
	return n;
}
