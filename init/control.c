/*
 * The control socket's server: accept, one message, one answer, closed.
 *
 * Verbs are a table. Peers are checked by the kernel's word (SO_PEERCRED), although the socket is
 * 0600 already: a descriptor may be handed around.
 */
#include "init/control.h"

#include <string.h>

#include "init/base/log.h"
#include "init/base/msg.h"
#include "init/base/str.h"
#include "init/boot/floor.h"
#include "init/machine.h"

struct connection {
	struct list link;
	struct control *control;
	struct io_event io;
	struct timer_event timer;
	int fd;
};

static void connection_free(struct connection *c)
{
	io_remove(&c->io);
	timer_clear(&c->timer);
	list_remove(&c->link);
	c->control->n_connections--;
	fd_close(c->fd);
	free(c);
}

/* --- verbs: each fills the answer, or returns an error with its text --- */

static int do_status(struct machine *m, const char *rest, struct buf *answer, struct err *e)
{
	(void)rest;
	(void)e;
	machine_json(m, answer);
	return 0;
}

static int begin(struct machine *m, enum shutdown_kind kind, const char *reason, struct buf *answer)
{
	shutdown_begin(m, kind, *reason ? reason : "asked for on the control socket");
	return buf_add_text(answer, "ok");
}

static int do_reboot(struct machine *m, const char *rest, struct buf *answer, struct err *e)
{
	(void)e;
	return begin(m, SHUTDOWN_REBOOT, rest, answer);
}

static int do_poweroff(struct machine *m, const char *rest, struct buf *answer, struct err *e)
{
	(void)e;
	return begin(m, SHUTDOWN_POWEROFF, rest, answer);
}

static int do_halt(struct machine *m, const char *rest, struct buf *answer, struct err *e)
{
	(void)e;
	return begin(m, SHUTDOWN_HALT, rest, answer);
}

static int do_net_event(struct machine *m, const char *rest, struct buf *answer, struct err *e)
{
	int r;

	if (!m->net_started)
		return err_set(e, EAGAIN, "the network is not started");
	/* the parser wants the message as it came, with its verb */
	r = net_event(&m->net, rest - strlen("net-event "), e);
	return r < 0 ? r : buf_add_text(answer, "ok");
}

static int do_ntp_event(struct machine *m, const char *rest, struct buf *answer, struct err *e)
{
	struct err own = { 0 };

	(void)e;
	/* "unsync" is the only event without a time */
	if (!str_eq(rest, "unsync")) {
		if (report_clear(&m->report, "clock"))
			log_notice("the clock is set by NTP");
		if (m->storage.persistent && clock_save(MACHINE_CLOCK, &own) < 0)
			log_warn("%s", err_text(&own));
	}
	return buf_add_text(answer, "ok");
}

static const struct {
	const char *verb;
	int (*fn)(struct machine *m, const char *rest, struct buf *answer, struct err *e);
} verbs[] = {
	{ "status", do_status }, { "reboot", do_reboot },	{ "poweroff", do_poweroff },
	{ "halt", do_halt },	 { "net-event", do_net_event }, { "ntp-event", do_ntp_event },
};

static int handle(struct machine *m, const char *text, struct buf *answer, struct err *e)
{
	size_t len = strcspn(text, " \n");

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strlen(verbs[i].verb) == len && memcmp(verbs[i].verb, text, len) == 0)
			return verbs[i].fn(m, text[len] ? text + len + 1 : text + len, answer, e);
	}
	return err_set(e, EINVAL,
		       "\"%.40s\" is no request; there are status, reboot, poweroff and halt",
		       text);
}

static void on_request(struct io_event *io, uint32_t events)
{
	struct connection *c = container_of(io, struct connection, io);
	_cleanup_(buf_free) struct buf answer = BUF_INIT(MSG_SIZE_MAX);
	char text[CONTROL_MESSAGE_MAX];
	struct err e = { 0 };
	ssize_t n = msg_recv(c->fd, text, sizeof(text), NULL, NULL, &e);

	(void)events;
	if (n == -EAGAIN)
		return;
	if (n > 0 && strlen(text) == (size_t)n) {
		if (handle(c->control->machine, text, &answer, &e) < 0) {
			buf_reset(&answer);
			buf_printf(&answer, "error: %s", err_text(&e));
		}
		(void)msg_send(c->fd, buf_text(&answer), answer.len, NULL, 0, NULL);
	}
	connection_free(c);
}

static void on_patience(struct timer_event *ev)
{
	connection_free(container_of(ev, struct connection, timer));
}

static void on_connect(struct io_event *io, uint32_t events)
{
	struct control *control = container_of(io, struct control, io);
	struct connection *c;
	uid_t uid;
	int fd = msg_accept(control->fd, &uid);

	(void)events;
	if (fd < 0)
		return;
	c = uid == 0 && control->n_connections < CONTROL_CONNECTIONS_MAX ? calloc(1, sizeof(*c))
									 : NULL;
	if (!c) {
		fd_close(fd);
		return;
	}
	c->control = control;
	c->fd = fd;
	c->io.fn = on_request;
	c->timer.fn = on_patience;
	list_append(&control->connections, &c->link);
	control->n_connections++;
	if (io_add(io->loop, &c->io, fd, EPOLLIN) < 0 ||
	    timer_set(io->loop, &c->timer, CONTROL_PATIENCE_MS) < 0)
		connection_free(c);
}

int control_start(struct control *c, struct machine *m, struct err *e)
{
	int r;

	*c = (struct control){ .machine = m, .fd = -1 };
	list_init(&c->connections);
	c->io.fn = on_connect;
	c->fd = msg_listen(CONTROL_SOCKET, e);
	if (c->fd < 0)
		return c->fd;
	r = io_add(m->loop, &c->io, c->fd, EPOLLIN);
	return r < 0 ? err_errno(e, -r, "cannot watch %s", CONTROL_SOCKET) : 0;
}

void control_stop(struct control *c)
{
	struct connection *conn;

	if (!c->machine || c->fd < 0)
		return;
	while ((conn = list_first(&c->connections, struct connection, link)))
		connection_free(conn);
	io_remove(&c->io);
	fd_close(take_fd(c->fd));
}
