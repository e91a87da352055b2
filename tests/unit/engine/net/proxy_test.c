/*
 * Published ports of IPv6 for containers that have IPv4 only, and the machine's ::1: carried by the
 * proxy's process, which starts with the first of them. In the kernel, with traffic.
 *
 * The worker is this program started again; the constructor below plays its role.
 */
#include "tests/unit/engine/net/world.h"

#include "engine/net/inside.h"
#include "engine/proxy/proxy.h"

enum { MUCH = 1 << 20 };

__attribute__((constructor)) static void role_main(int argc, char **argv)
{
	if (argc >= 3 && str_eq(argv[0], "skerryd") && str_eq(argv[2], PROXY_WORKER))
		_exit(proxy_run(PROXY_CHANNEL, false, NULL) < 0);
}

static bool world_with_proxy(struct world *w, struct err *e)
{
	if (!world_new(w, "192.0.2.1/24"))
		return false;
	w->config.proxy = true;
	if (world_restart(w, NULL, e) < 0) {
		test_fail(__FILE__, __LINE__, "%s", err_text(e));
		return false;
	}
	if (!proxy_possible(w->nets, IPPROTO_TCP)) {
		printf("# skipped: no IPv6 here\n");
		return false;
	}
	return true;
}

static struct sockaddr_in6 local6(uint16_t port)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	sa.sin6_addr.s6_addr[15] = 1;
	return sa;
}

/* Lets the engine run until there is something on fd. */
static bool comes(struct world *w, int fd)
{
	for (int i = 0; i < WORLD_PATIENCE_MS / 50; i++) {
		if (world_wait(fd, POLLIN, 0))
			return true;
		(void)loop_once(w->loop, 50);
	}
	return false;
}

/* A connection from the machine's ::1 to that port, as accepted by the server; -1. */
static int connect_local(struct world *w, uint16_t port, int listener, int *ret_client)
{
	struct sockaddr_in6 sa = local6(port);
	int fd = world_socket(NULL, AF_INET6, SOCK_STREAM, 0);

	*ret_client = fd;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno != EINPROGRESS)
		return -1;
	return comes(w, listener) ? accept4(listener, NULL, NULL, SOCK_NONBLOCK) : -1;
}

/* Writes and reads MUCH bytes across and ends the direction; the number that came. */
static size_t carry(int from, int to)
{
	static char data[4096];
	size_t sent = 0, got = 0;

	for (int i = 0; i < 200000; i++) {
		ssize_t n = sent < MUCH
				    ? send(from, data, MIN(sizeof(data), MUCH - sent), MSG_NOSIGNAL)
				    : 0;

		sent += n > 0 ? (size_t)n : 0;
		if (sent >= MUCH)
			(void)shutdown(from, SHUT_WR);
		if (sent >= MUCH || n < 0)
			(void)world_wait(to, POLLIN, 100);
		n = recv(to, data, sizeof(data), 0);
		if (n == 0)
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	return got;
}

TEST(ipv6_reaches_a_container_of_ipv4)
{
	const char *const ports[] = { "8080:80", "8081:81/udp", "8082:82/sctp", NULL };
	_cleanup_(world_free) struct world w = { 0 };
	const struct sandbox *s;
	char text[IP_TEXT_MAX];
	struct err e = { 0 };
	int server, client, conn;

	if (!world_with_proxy(&w, &e))
		return;
	CHECK_MSG(world_attach(&w, 1, "", ports, &s, &e) == 0, "%s", err_text(&e));
	CHECK_INT((long)s->n_ports, 5); /* sctp is not carried */
	CHECK_STR(ip_text(&s->ports[1].host_ip, text), "::");
	CHECK(!worker_running(&w.nets->proxy.worker)); /* nobody came yet */
	server = world_listen(s->key, SOCK_STREAM, "0.0.0.0", 80);
	for (int round = 0; round < 2; round++) {
		conn = connect_local(&w, 8080, server, &client);
		CHECK(conn >= 0 && worker_running(&w.nets->proxy.worker));
		CHECK_INT((long)carry(client, conn), MUCH);
		CHECK_INT((long)carry(conn, client), MUCH); /* the other direction is still open */
		close(client);
		close(conn);
		/* another engine, another process */
		CHECK_MSG(world_restart(&w, (char *[]){ (char *)world_id(1), NULL }, &e) == 0, "%s",
			  err_text(&e));
		s = net_get(w.nets, world_id(1));
	}
	/* IPv4 is not its business */
	CHECK_STR(world_ask(w.outside, "192.0.2.1", 8080, server), "192.0.2.2");
	CHECK(!worker_running(&w.nets->proxy.worker));
	close(server);
	/* gone, and had again at once although there were connections */
	CHECK_INT(net_detach(w.nets, world_id(1), &e), 0);
	CHECK_INT(connect_local(&w, 8080, -1, &client), -1);
	close(client);
	CHECK_MSG(world_attach(&w, 2, "", ports, &s, &e) == 0, "%s", err_text(&e));
	CHECK_INT(world_attach(&w, 3, "", (const char *const[]){ "[::1]:8080:80", NULL }, &s, &e),
		  -EADDRINUSE);
}

TEST(datagrams_find_back)
{
	const char *const ports[] = { "8081:81/udp", NULL };
	_cleanup_(world_free) struct world w = { 0 };
	struct sockaddr_in6 sa = local6(8081);
	struct sockaddr_in from[2];
	const struct sandbox *s;
	struct err e = { 0 };
	int server, clients[2];

	if (!world_with_proxy(&w, &e))
		return;
	CHECK_MSG(world_attach(&w, 1, "", ports, &s, &e) == 0, "%s", err_text(&e));
	server = world_listen(s->key, SOCK_DGRAM, "0.0.0.0", 81);
	for (int i = 0; i < 2; i++) {
		socklen_t len = sizeof(from[i]);
		char got[8] = "";

		clients[i] = world_socket(NULL, AF_INET6, SOCK_DGRAM, 0);
		CHECK_INT(connect(clients[i], (struct sockaddr *)&sa, sizeof(sa)), 0);
		CHECK_INT(send(clients[i], i ? "two" : "one", 3, 0), 3);
		CHECK(comes(&w, server));
		CHECK_INT(recvfrom(server, got, sizeof(got), 0, (struct sockaddr *)&from[i], &len),
			  3);
		CHECK_STR(got, i ? "two" : "one");
	}
	for (int i = 0; i < 2; i++)
		CHECK_INT(sendto(server, i ? "TWO" : "ONE", 3, 0, (struct sockaddr *)&from[i],
				 sizeof(from[i])),
			  3);
	for (int i = 0; i < 2; i++) {
		CHECK_STR(world_next(clients[i]), i ? "TWO" : "ONE");
		close(clients[i]);
	}
	close(server);
}

TEST(its_process_is_killed)
{
	const char *const ports[] = { "8080:80", NULL };
	_cleanup_(world_free) struct world w = { 0 };
	const struct sandbox *s;
	struct err e = { 0 };
	int server, client, conn;

	if (!world_with_proxy(&w, &e))
		return;
	CHECK_MSG(world_attach(&w, 1, "", ports, &s, &e) == 0, "%s", err_text(&e));
	server = world_listen(s->key, SOCK_STREAM, "0.0.0.0", 80);
	conn = connect_local(&w, 8080, server, &client);
	CHECK(conn >= 0);
	CHECK_INT(kill(w.nets->proxy.worker.child.child.pid, SIGKILL), 0);
	CHECK(comes(&w, client)); /* its end */
	close(client);
	close(conn);
	conn = connect_local(&w, 8080, server, &client);
	CHECK(conn >= 0);
	close(client);
	close(conn);
	/* where it is to go follows the container's networks */
	CHECK_MSG(net_disconnect(w.nets, s->id, s->endpoints[0].network, &e) == 0, "%s",
		  err_text(&e));
	CHECK_MSG(net_connect(w.nets, s->id, &(struct net_join){ .network = "bridge" }, &e) == 0,
		  "%s", err_text(&e));
	conn = connect_local(&w, 8080, server, &client);
	CHECK(conn >= 0);
	close(client);
	close(conn);
	close(server);
}
