/*
 * Network namespaces that live as a file: made in a short-lived child, kept by a bind mount.
 */
#ifndef SKERRY_NET_NETNS_H
#define SKERRY_NET_NETNS_H

#include "init/base/err.h"

/* Makes a new namespace and mounts it at `path` (the file is made; the folder exists): loopback up,
 * IPv6 off on links to come, router advertisements never taken. It belongs to the user namespace of
 * the descriptor user_ns (<= 0: the machine's). *ret_socket is a NETLINK_ROUTE socket inside it,
 * *ret_ns its descriptor. */
int netns_make(const char *path, int user_ns, int *ret_ns, int *ret_socket, struct err *e);
/* The same two descriptors of a namespace that is there. */
int netns_open(const char *path, int *ret_ns, int *ret_socket, struct err *e);
/* Unmounts and removes the file; absent is fine. The namespace goes when its last process has. */
int netns_remove(const char *path, struct err *e);
/* Calls fn inside the namespace of `ns`, in a child process; fn's return value and *e come back,
 * memory it changes does not. */
int netns_call(int ns, int (*fn)(void *data, struct err *e), void *data, struct err *e);
/* The same for a function that makes two sockets there, which become the caller's. */
int netns_sockets(int ns, int (*fn)(void *data, int ret_fds[2], struct err *e), void *data,
		  int ret_fds[2], struct err *e);

#endif
