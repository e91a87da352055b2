/*
 * The server object: listeners, accepting, limits of how many.
 *
 * A listener that has its maximum of connections drops the connection that is idle between requests
 * for the longest time; when all are busy it stops accepting until one ends, and new clients wait
 * in the kernel's backlog. Called by main through api/.
 */
#include "engine/http/conn.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "init/base/log.h"
#include "init/base/str.h"
#include "engine/http/tls.h"

enum {
	BACKLOG = 128,
	ACCEPTS_PER_TURN = 16,
	RETRY_MS = 1000, /* after EMFILE and the like */
	KEEPALIVE_S = 30, /* a peer that vanished is found after about 30 + 4 * 10 s */
	KEEPALIVE_PROBES = 4,
};

static void listener_init(struct http_server *s, struct http_listener *l)
{
	*l = (struct http_listener){ .server = s, .max_conns = s->max_conns };
	list_init(&l->link);
	list_init(&l->idle);
	list_init(&l->shaking);
}

static void listener_pause(struct http_listener *l)
{
	if (!l->paused && l->io.loop)
		io_change(&l->io, 0);
	l->paused = true;
}

void listener_room(struct http_listener *l)
{
	if (l->paused && l->io.loop && !l->exhausted) {
		l->paused = false;
		io_change(&l->io, EPOLLIN);
	}
}

static void on_retry(struct timer_event *ev)
{
	struct http_listener *l = container_of(ev, struct http_listener, retry);

	l->exhausted = false;
	listener_room(l);
}

/* Accepts again when a place becomes free, at the latest after ms. */
static void wait_for_room(struct http_listener *l, int64_t ms)
{
	if (timer_set(l->server->config.loop, &l->retry, ms) == 0)
		listener_pause(l);
}

/* Silent handshakes must not keep others out: the oldest goes when it had its time. */
static bool has_handshake_room(const struct http_listener *l)
{
	const struct http_conn *oldest;

	if (l->n_handshakes < HTTP_HANDSHAKES_MAX)
		return true;
	oldest = list_first(&l->shaking, struct http_conn, idle_link);
	return oldest->born + HTTP_HANDSHAKE_GRACE_MS <= loop_now(l->server->config.loop);
}

/* True when one more may come in, if need be in place of another. */
static bool has_room(const struct http_listener *l)
{
	return has_handshake_room(l) && (l->n_conns < l->max_conns || !list_empty(&l->idle));
}

/* Drops those in whose place the new one comes. */
static void make_room(struct http_listener *l)
{
	if (l->n_handshakes >= HTTP_HANDSHAKES_MAX)
		conn_drop(list_first(&l->shaking, struct http_conn, idle_link));
	if (l->n_conns >= l->max_conns)
		conn_drop(list_first(&l->idle, struct http_conn, idle_link));
}

static void tcp_options(int fd)
{
	int on = 1, idle = KEEPALIVE_S, interval = 10, probes = KEEPALIVE_PROBES;

	/* best effort: a connection works without them */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

/* What clients do not read lies in the kernel first: a thousand of them must not fill the
 * machine's memory (TCP has a bound of its own for all sockets together). */
static void unix_options(int fd)
{
	int bytes = HTTP_UNIX_UNSENT;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static int serve(struct http_listener *l, int fd, struct err *e)
{
	struct http_transport *t;

	if (l->is_tcp)
		tcp_options(fd);
	else
		unix_options(fd);
	t = l->tls ? tls_transport(l->tls, fd) : http_transport_plain(fd);
	if (!t)
		return err_set(e, ENOMEM, "out of memory");
	return conn_new(l->server, l, t, e);
}

static void on_accept(struct io_event *ev, uint32_t events)
{
	struct http_listener *l = container_of(ev, struct http_listener, io);
	struct err e = { 0 };

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd;

		if (!has_room(l)) {
			wait_for_room(l, HTTP_HANDSHAKE_GRACE_MS);
			return;
		}
		fd = accept4(l->io.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 &&
		    (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
			log_warn("cannot accept a connection now: %s", strerror(errno));
			l->exhausted = true;
			wait_for_room(l, RETRY_MS);
			return;
		}
		if (fd < 0)
			return;
		make_room(l);
		if (serve(l, fd, &e) < 0)
			log_warn("cannot serve a connection: %s", err_text(&e));
	}
}

static int listener_start(struct http_server *s, int fd, bool is_tcp, struct tls_context *tls,
			  struct err *e)
{
	struct http_listener *l;
	int r;

	if (listen(fd, BACKLOG) < 0)
		return err_errno(e, errno, "listen");
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(e, ENOMEM, "out of memory");
	listener_init(s, l);
	l->is_tcp = is_tcp;
	l->tls = tls;
	if (tls)
		l->max_conns = MIN(l->max_conns, (size_t)HTTP_TLS_CONNS_MAX);
	l->io.fn = on_accept;
	l->retry.fn = on_retry;
	r = io_add(s->config.loop, &l->io, fd, EPOLLIN);
	if (r < 0) {
		free(l);
		return err_errno(e, -r, "listen");
	}
	list_append(&s->listeners, &l->link);
	return 0;
}

int http_listen_unix(struct http_server *s, const char *path, mode_t mode, struct err *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_(fd_close) int fd = -1;
	int r;

	if (str_copy(addr.sun_path, sizeof(addr.sun_path), path) < 0)
		return err_set(e, ENAMETOOLONG, "%s: a socket's path has at most %zu bytes", path,
			       sizeof(addr.sun_path) - 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, errno, "socket");
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(e, errno, "%s: remove the old socket", path);
	/* the mode must hold from the first moment: bind takes it from the inode's fd on Linux */
	if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    chmod(path, mode) < 0)
		return err_errno(e, errno, "%s: bind", path);
	r = listener_start(s, fd, false, NULL, e);
	if (r == 0)
		(void)take_fd(fd);
	return r;
}

/* "a.b.c.d:port" or "[v6]:port" */
static int parse_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len,
			 struct err *e)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	const char *colon = strrchr(text, ':');
	char host[64];
	uint64_t port;

	memset(ret, 0, sizeof(*ret));
	if (!colon || (size_t)(colon - text) >= sizeof(host) || str_to_u64(colon + 1, &port) < 0 ||
	    port > 65535)
		return err_set(e, EINVAL,
			       "%s: must be ADDRESS:PORT, e.g. 0.0.0.0:2376 or [::]:2376", text);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	if (host[0] == '[' && str_ends(host, "]")) {
		host[strlen(host) - 1] = '\0';
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		*ret_len = sizeof(*v6);
		if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1)
			return 0;
	} else {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		*ret_len = sizeof(*v4);
		if (inet_pton(AF_INET, host, &v4->sin_addr) == 1)
			return 0;
	}
	return err_set(e, EINVAL, "%s: \"%s\" is not an IP address", text, host);
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return 0;
	return addr.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&addr)->sin6_port)
					  : ntohs(((struct sockaddr_in *)&addr)->sin_port);
}

int http_listen_tcp(struct http_server *s, const char *address, struct tls_context *tls,
		    uint16_t *ret_port, struct err *e)
{
	struct sockaddr_storage addr;
	_cleanup_(fd_close) int fd = -1;
	socklen_t len = 0;
	int on = 1, r;

	r = parse_address(address, &addr, &len, e);
	if (r < 0)
		return r;
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, errno, "socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* the address may come later than the engine */
	(void)setsockopt(fd, SOL_IP, IP_FREEBIND, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, len) < 0)
		return err_errno(e, errno, "%s: bind", address);
	r = listener_start(s, fd, true, tls, e);
	if (r < 0)
		return r;
	if (ret_port)
		*ret_port = bound_port(fd);
	(void)take_fd(fd);
	return 0;
}

int http_serve_fd(struct http_server *s, int fd, struct err *e)
{
	return serve(&s->adopted, fd, e);
}

int http_server_new(const struct http_config *config, struct http_server **ret_server,
		    struct err *e)
{
	struct http_server *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	s->config = *config;
	s->max_conns = HTTP_CONNS_MAX;
	list_init(&s->listeners);
	list_init(&s->conns);
	listener_init(s, &s->adopted);
	*ret_server = s;
	return 0;
}

void http_server_free(struct http_server *s)
{
	if (!s)
		return;
	while (!list_empty(&s->conns))
		conn_drop(list_first(&s->conns, struct http_conn, link));
	while (!list_empty(&s->listeners)) {
		struct http_listener *l = list_first(&s->listeners, struct http_listener, link);
		int fd = l->io.fd;

		list_remove(&l->link);
		io_remove(&l->io);
		timer_clear(&l->retry);
		fd_close(fd);
		free(l);
	}
	free(s);
}

void http_server_set_max(struct http_server *s, size_t max_conns)
{
	s->max_conns = max_conns;
}

void http_server_set_patience(struct http_server *s, int ms)
{
	s->patience = ms;
}

size_t http_server_conns(const struct http_server *s)
{
	return s->n_conns;
}

size_t http_server_queued(const struct http_server *s)
{
	return s->queued;
}
