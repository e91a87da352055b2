/*
 * Messages over SOCK_SEQPACKET unix sockets: one packet is one message, with up to MSG_FDS_MAX
 * descriptors.
 */
#ifndef SKERRY_BASE_MSG_H
#define SKERRY_BASE_MSG_H

#include <stddef.h>
#include <sys/types.h>

#include "init/base/err.h"

enum { MSG_FDS_MAX = 8, MSG_SIZE_MAX = 64 << 10 };

/* Listening socket at path (bound through the directory fd, so that long paths work; mode 0600);
 * an old socket is replaced, anything else there is -EEXIST. */
int msg_listen(const char *path, struct err *e);
/* The same for any unix socket: type SOCK_STREAM or SOCK_SEQPACKET, mode of the node. */
int msg_listen_type(const char *path, int type, mode_t mode, struct err *e);
/* Non-blocking; -EAGAIN when the listener's queue is full. */
int msg_connect(const char *path, struct err *e);
/* Accepts, non-blocking and close-on-exec; ret_uid (may be NULL) from SO_PEERCRED. Returns the
 * fd or -errno (-EAGAIN). */
int msg_accept(int listen_fd, uid_t *ret_uid);
/* ret_fds[0] is non-blocking, for a loop; ret_fds[1] blocks, for a child process. */
int msg_pair(int ret_fds[2], struct err *e);
/* Sends one message; the fds stay the caller's. -EAGAIN when the peer's queue is full, -EMSGSIZE
 * over MSG_SIZE_MAX. */
int msg_send(int fd, const void *data, size_t len, const int *fds, size_t n_fds, struct err *e);
/* Receives one; buf of `size` bytes, NUL-terminated after the message (so size - 1 usable).
 * Returns its length, 0 at the peer's end, -EAGAIN, -EMSGSIZE if cut. ret_fds has room for
 * MSG_FDS_MAX, unwanted ones are closed when ret_fds is NULL. */
ssize_t msg_recv(int fd, char *buf, size_t size, int *ret_fds, size_t *ret_n_fds, struct err *e);

#endif
