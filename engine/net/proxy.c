/*
 * Published ports of IPv6 that the packet filter does not lead to their container (engine/proxy),
 * as net/ sees them: who listens, and the process that carries.
 *
 * Each binding of IPv6 (TCP, UDP) has a socket that listens. Where the container has IPv6 too, the
 * rules take everything before it comes there, but for what the machine asks of its own ::1. The
 * process is started when the first one comes, and told of changes from then on; until then one
 * epoll descriptor watches all sockets. Callers: attach.c, connect.c, restore.c, nets.c.
 */
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#include "engine/net/inside.h"
#include "engine/proxy/proxy.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/msg.h"
#include "init/base/spawn.h"
#include "init/base/str.h"

enum { AGAIN_MS = 500, PATIENCE_MS = 2000, KEY_MAX = 80 };

bool proxy_possible(const struct nets *n, uint8_t proto)
{
	_cleanup_(mem_free) char *path =
		str_printf("%s/net/ipv6/conf/all/disable_ipv6", n->sysctl_dir);
	_cleanup_(mem_free) char *off = NULL;

	return n->proxy.wanted && proto != IPPROTO_SCTP && path &&
	       file_read(AT_FDCWD, path, 16, &off, NULL, NULL) == 0 && off[0] == '0';
}

static bool carried(const struct port_binding *b)
{
	return b->fd >= 0 && b->host_ip.family == AF_INET6 && b->proto != IPPROTO_SCTP;
}

static void key_of(const struct port_binding *b, char key[KEY_MAX])
{
	char ip[IP_TEXT_MAX];

	(void)str_format(key, KEY_MAX, "%u/%u/%s", b->proto, b->host_port,
			 ip_text(&b->host_ip, ip));
}

/* --- the process ------------------------------------------------------------------------------ */

static void give_up(struct nets *n, const struct err *why)
{
	log_warn("network: the proxy is started again: %s", err_text(why));
	worker_cancel(&n->proxy.worker);
	fd_close(take_fd(n->proxy.channel));
	(void)timer_set(n->loop, &n->proxy.again, AGAIN_MS);
}

static void ended(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	(void)code;
	(void)result;
	give_up(container_of(w, struct nets, proxy.worker), why);
}

static int send_one(struct nets *n, const struct sandbox *s, const struct port_binding *b,
		    struct err *e)
{
	const struct endpoint *six = sandbox_publisher(s, AF_INET6),
			      *four = sandbox_publisher(s, AF_INET);
	char key[KEY_MAX], text[IP_TEXT_MAX];

	key_of(b, key);
	if (!six && !four)
		return proxy_send_close(n->proxy.channel, key, e);
	return proxy_send_open(n->proxy.channel, key, b->proto,
			       ip_text(six ? &six->address6.addr : &four->address.addr, text),
			       b->container_port, b->fd, e);
}

/* The process reads all the time: what does not fit now does in a moment. */
static bool room_again(const struct nets *n, int rc)
{
	struct pollfd p = { .fd = n->proxy.channel, .events = POLLOUT };

	return rc == -EAGAIN && poll(&p, 1, PATIENCE_MS) > 0;
}

static int send_all(struct nets *n, const struct sandbox *s, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < s->n_ports && rc == 0; i++) {
		if (!carried(&s->ports[i]))
			continue;
		do
			rc = send_one(n, s, &s->ports[i], e);
		while (room_again(n, rc));
	}
	return rc;
}

static void start(struct nets *n)
{
	struct fd_map fds[1] = { { .child = PROXY_CHANNEL } };
	const struct worker_spec spec = { .name = PROXY_WORKER, .fds = fds, .n_fds = 1 };
	struct map_entry *m;
	struct err e = { 0 };
	int pair[2], rc;

	io_remove(&n->proxy.wake);
	fd_close(take_fd(n->proxy.epoll));
	rc = msg_pair(pair, &e);
	if (rc == 0) {
		fds[0].ours = pair[1];
		n->proxy.worker.on_done = ended;
		rc = worker_start(n->loop, &n->proxy.worker, &spec, &e);
		fd_close(pair[1]);
		n->proxy.channel = pair[0];
	}
	for (size_t i = 0; rc == 0 && (m = map_next(&n->sandboxes, &i));)
		rc = send_all(n, m->value, &e);
	if (rc < 0)
		give_up(n, &e);
}

static void on_wake(struct io_event *ev, uint32_t events)
{
	(void)events;
	start(container_of(ev, struct nets, proxy.wake));
}

static void on_again(struct timer_event *ev)
{
	start(container_of(ev, struct nets, proxy.again));
}

/* --- ports ------------------------------------------------------------------------------------ */

/* Somebody will wake us. */
static void watch(struct nets *n, const struct port_binding *b)
{
	struct epoll_event ev = { .events = EPOLLIN };

	if (n->proxy.epoll < 0) {
		n->proxy.epoll = epoll_create1(EPOLL_CLOEXEC);
		n->proxy.wake.fn = on_wake;
		n->proxy.again.fn = on_again;
		if (n->proxy.epoll < 0 ||
		    io_add(n->loop, &n->proxy.wake, n->proxy.epoll, EPOLLIN) < 0) {
			log_warn("network: published ports of IPv6: %s", strerror(errno));
			fd_close(take_fd(n->proxy.epoll));
			return;
		}
	}
	if (epoll_ctl(n->proxy.epoll, EPOLL_CTL_ADD, b->fd, &ev) < 0 && errno != EEXIST)
		log_warn("network: published port %u of IPv6: %s", b->host_port, strerror(errno));
}

void proxy_serve(struct nets *n, const struct sandbox *s)
{
	struct err e = { 0 };

	if (!n->proxy.wanted || timer_armed(&n->proxy.again))
		return; /* it gets all of them when it is back */
	if (n->proxy.channel >= 0) {
		if (send_all(n, s, &e) < 0)
			give_up(n, &e);
		return;
	}
	for (size_t i = 0; i < s->n_ports; i++)
		if (carried(&s->ports[i]))
			watch(n, &s->ports[i]);
}

void proxy_forget(struct nets *n, const struct sandbox *s)
{
	struct err e = { 0 };
	char key[KEY_MAX];
	int rc = 0;

	for (size_t i = 0; i < s->n_ports && rc == 0 && n->proxy.channel >= 0; i++) {
		if (!carried(&s->ports[i]))
			continue;
		key_of(&s->ports[i], key);
		do
			rc = proxy_send_close(n->proxy.channel, key, &e);
		while (room_again(n, rc));
	}
	if (rc < 0)
		give_up(n, &e);
}

void proxy_free(struct nets *n)
{
	timer_clear(&n->proxy.again);
	worker_cancel(&n->proxy.worker);
	fd_close(take_fd(n->proxy.channel));
	io_remove(&n->proxy.wake);
	fd_close(take_fd(n->proxy.epoll));
}
