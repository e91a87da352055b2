/*
 * The connection to a syslog server: found, opened, watched, and opened again with growing pauses.
 *
 * Embedded by its owner, zeroed but for the first block. Everything is non-blocking but the look-up
 * of a name (the resolver gives up after a few seconds). Inside of engine/syslog.
 */
#ifndef SKERRY_SYSLOG_LINK_H
#define SKERRY_SYSLOG_LINK_H

#include <sys/socket.h>

#include "engine/http/tls.h"
#include "engine/http/transport.h"
#include "engine/syslog/syslog.h"
#include "init/base/loop.h"

enum { LINK_TARGETS_MAX = 8 };

enum link_state { LINK_DOWN, LINK_OPENING, LINK_SHAKING, LINK_UP };

struct link {
	struct loop *loop;
	struct syslog_address address;
	struct tls_context *tls; /* the owner's; SYSLOG_TLS only */
	void (*up)(struct link *l);
	/* It was up, or all targets were tried in vain. A new try is on its way. */
	void (*down)(struct link *l, bool was_up, const struct err *why);
	void (*room)(struct link *l); /* after a link_send that took less than all */

	/* private */
	enum link_state state;
	struct {
		struct sockaddr_storage addr;
		socklen_t len;
	} targets[LINK_TARGETS_MAX];
	size_t n_targets, next; /* the one to try next */
	int fd; /* while it is opening */
	struct http_transport *transport;
	struct io_event io;
	struct timer_event timer; /* the limit of a try, or the pause before the next */
	int64_t pause_ms;
};

/* Begins the first try; up or down follow, never from inside. */
void link_start(struct link *l);
/* Only while it is up. Bytes taken, -EAGAIN: wait for `room`; any other error has ended the
 * connection (down was called). Datagrams are taken as a whole. */
ssize_t link_send(struct link *l, const void *data, size_t len);
/* Tells the server that nothing more comes; 0, -EAGAIN (try again at `room`) or -errno. */
int link_end(struct link *l);
void link_close(struct link *l);
/* "tcp://host:514" */
void link_name(const struct link *l, char *buf, size_t size);

#endif
