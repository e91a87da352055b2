/*
 * The control socket /run/skerry/control.sock: SOCK_SEQPACKET, root only, one request per
 * connection.
 *
 *   status                         the machine as JSON
 *   reboot|poweroff|halt [REASON]  begins an orderly shutdown
 *   net-event EVENT\nname=value... from udhcpc, see init/net/dhcp.h
 *   ntp-event EVENT                from ntpd
 *
 * The answer is JSON for status, "ok", or "error: TEXT". A connection that says nothing is closed
 * after CONTROL_PATIENCE_MS. client.c is the other side.
 */
#ifndef SKERRY_INIT_CONTROL_H
#define SKERRY_INIT_CONTROL_H

#include "init/base/err.h"
#include "init/base/list.h"
#include "init/base/loop.h"

#define CONTROL_SOCKET "/run/skerry/control.sock"

enum { CONTROL_CONNECTIONS_MAX = 8, CONTROL_PATIENCE_MS = 5000, CONTROL_MESSAGE_MAX = 8 << 10 };

struct machine;

struct control {
	struct machine *machine;
	struct io_event io;
	struct list connections;
	int n_connections;
	int fd;
};

int control_start(struct control *c, struct machine *m, struct err *e);
void control_stop(struct control *c);

#endif
