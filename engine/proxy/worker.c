/*
 * `skerryd worker proxy`: the process that carries what the packet filter cannot (see proxy.h).
 *
 * Its channel says "open KEY PROTO ADDRESS PORT" with a socket, and "close KEY"; the engine's end
 * closing is the end. Everything else that it reads is hostile, so before the first port it gives
 * up files, privileges and all calls but those of sockets.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "engine/proxy/inside.h"
#include "engine/proxy/proxy.h"
#include "engine/worker/sandbox.h"
#include "engine/worker/worker.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/msg.h"
#include "init/base/str.h"

enum {
	PROXY_UID = 65534,
	PROXY_MEMORY = 256 << 20,
	PROXY_FILES = 16384,
	MESSAGE_MAX = 256,
	WORDS = 5,
};

struct channel {
	struct io_event io;
	struct proxy p;
};

/* --- the engine's side ------------------------------------------------------------------------ */

int proxy_send_open(int channel, const char *key, uint8_t proto, const char *address, uint16_t port,
		    int fd, struct err *e)
{
	char text[MESSAGE_MAX];

	if (str_format(text, sizeof(text), "open %s %u %s %u", key, proto, address, port) < 0)
		return err_set(e, EINVAL, "the port's name is too long");
	return msg_send(channel, text, strlen(text), &fd, 1, e);
}

int proxy_send_close(int channel, const char *key, struct err *e)
{
	char text[MESSAGE_MAX];

	if (str_format(text, sizeof(text), "close %s", key) < 0)
		return err_set(e, EINVAL, "the port's name is too long");
	return msg_send(channel, text, strlen(text), NULL, 0, e);
}

/* --- ports ------------------------------------------------------------------------------------ */

static void port_close(struct port *port)
{
	proxy_close_conns(port);
	proxy_close_flows(port);
	io_remove(&port->io);
	fd_close(port->fd);
	free(port);
}

static int read_target(const char *address, const char *port, struct target *ret, struct err *e)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->addr;
	uint64_t number;

	if (str_to_u64(port, &number) < 0 || number < 1 || number > UINT16_MAX)
		return err_set(e, EINVAL, "port %s", port);
	*ret = (struct target){ .len = sizeof(*v4) };
	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)number);
		return 0;
	}
	ret->len = sizeof(*v6);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)number);
	return inet_pton(AF_INET6, address, &v6->sin6_addr) == 1
		       ? 0
		       : err_set(e, EINVAL, "address %s", address);
}

static int port_new(struct proxy *p, char **words, int fd, struct err *e)
{
	struct port *port = calloc(1, sizeof(*port));
	uint64_t proto = 0;
	int rc;

	if (!port) {
		fd_close(fd);
		return err_set(e, ENOMEM, "out of memory");
	}
	port->p = p;
	port->fd = fd;
	list_init(&port->conns);
	list_init(&port->flows);
	rc = read_target(words[3], words[4], &port->target, e);
	if (rc == 0 &&
	    (str_to_u64(words[2], &proto) < 0 || (proto != IPPROTO_TCP && proto != IPPROTO_UDP)))
		rc = err_set(e, EINVAL, "protocol %s", words[2]);
	port->proto = (uint8_t)proto;
	port->io.fn = proto == IPPROTO_TCP ? proxy_accept : proxy_receive;
	if (rc == 0 && proto == IPPROTO_UDP)
		proxy_prepare(fd);
	if (rc == 0) {
		rc = map_put(&p->ports, words[1], port, NULL);
		if (rc == 0) {
			rc = io_add(p->loop, &port->io, fd, EPOLLIN);
			if (rc < 0)
				(void)map_remove(&p->ports, words[1]);
		}
		if (rc < 0)
			(void)err_errno(e, -rc, "port %s", words[1]);
	}
	if (rc < 0)
		port_close(port);
	return rc;
}

/* --- the channel ------------------------------------------------------------------------------ */

/* Takes fd (-1: there was none). */
static int take_message(struct proxy *p, const char *text, int fd, struct err *e)
{
	_cleanup_(strv_free) char **words = strv_split(text, " ", false);
	size_t n = strv_len(words);
	struct port *old;
	int rc = 0;

	if (n == WORDS && str_eq(words[0], "open") && fd >= 0) {
		old = map_get(&p->ports, words[1]);
		if (!old)
			return port_new(p, words, fd, e);
		proxy_close_flows(old); /* connections go on to where they went */
		rc = read_target(words[3], words[4], &old->target, e);
	} else if (n == 2 && str_eq(words[0], "close")) {
		old = map_remove(&p->ports, words[1]);
		if (old)
			port_close(old);
	} else {
		rc = err_set(e, EINVAL, "a message that is not known");
	}
	fd_close(fd);
	return rc;
}

static void on_channel(struct io_event *io, uint32_t events)
{
	struct channel *c = container_of(io, struct channel, io);
	char text[MESSAGE_MAX + 1];

	(void)events;
	for (;;) {
		int fds[MSG_FDS_MAX];
		size_t n_fds = 0;
		struct err e = { 0 };
		ssize_t n = msg_recv(c->io.fd, text, sizeof(text), fds, &n_fds, NULL);

		if (n == -EAGAIN)
			return;
		if (n <= 0)
			break;
		for (size_t i = 1; i < n_fds; i++)
			fd_close(fds[i]);
		if (take_message(&c->p, text, n_fds > 0 ? fds[0] : -1, &e) < 0)
			log_warn("%s", err_text(&e));
	}
	loop_quit(c->p.loop, 0);
}

static int enter_sandbox(struct err *e)
{
	const struct worker_sandbox sandbox = {
		.drop_user = true,
		.uid = PROXY_UID,
		.gid = PROXY_UID,
		.confine_files = true,
		.calls = WORKER_CALLS_BASE | WORKER_CALLS_NET | WORKER_CALLS_SERVE,
		.max_memory = worker_memory_limit(PROXY_MEMORY),
		.max_files = PROXY_FILES,
		.death_signal = SIGKILL,
	};

	return worker_sandbox_apply(&sandbox, e);
}

int proxy_run(int channel, bool confined, struct err *e)
{
	struct channel c = { .io.fn = on_channel };
	struct map_entry *m;
	int rc = loop_new(&c.p.loop, e);

	if (rc == 0 && confined)
		rc = enter_sandbox(e);
	if (rc == 0) {
		fd_set_nonblock(channel, true);
		rc = io_add(c.p.loop, &c.io, channel, EPOLLIN);
		if (rc < 0)
			rc = err_errno(e, -rc, "channel");
	}
	if (rc == 0)
		(void)loop_run(c.p.loop);
	io_remove(&c.io);
	for (size_t i = 0; (m = map_next(&c.p.ports, &i));)
		port_close(m->value);
	map_free(&c.p.ports);
	loop_free(c.p.loop);
	return rc;
}

static int run(struct worker_call *call, struct err *e)
{
	int rc = proxy_run(PROXY_CHANNEL, true, e);

	(void)call;
	if (rc == 0) /* the engine is gone: there is nobody to report to */
		_exit(0);
	return rc;
}

int proxy_worker(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return worker_serve(PROXY_WORKER, run);
}
