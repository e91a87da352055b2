/*
 * The embedded resolver in containers' namespaces: 127.0.0.11:53 answers in each of them, follows
 * networks and the machine's servers, and comes back after the end of its process or of the engine.
 *
 * The worker is this program started again; the constructor below plays its role.
 */
#include "tests/unit/engine/net/world.h"

#include "engine/dns/dns.h"
#include "engine/net/inside.h"
#include "tests/unit/engine/dns/ask.h"

__attribute__((constructor)) static void role_main(int argc, char **argv)
{
	if (argc >= 3 && str_eq(argv[0], "skerryd") && str_eq(argv[2], DNS_WORKER))
		_exit(dns_run(DNS_CHANNEL, false, WORLD_PATIENCE_MS, NULL) < 0);
}

static bool world_with_dns(struct world *w, struct err *e)
{
	const struct network_want shop = { .name = "shop" },
				  inside = { .name = "inside", .internal = true };
	const struct network *net;

	if (!world_new(w, "192.0.2.1/24"))
		return false;
	w->config.dns = true;
	if (file_replace(AT_FDCWD, w->resolv, "nameserver 192.0.2.2\n", 21, 0644, false, e) < 0 ||
	    world_restart(w, NULL, e) < 0 || nets_create(w->nets, &shop, &net, e) < 0 ||
	    nets_create(w->nets, &inside, &net, e) < 0) {
		test_fail(__FILE__, __LINE__, "%s", err_text(e));
		return false;
	}
	return true;
}

static void send_query(int fd, const char *to, const char *name, uint16_t type)
{
	struct sockaddr_in sa = world_addr(to, 53);
	uint8_t buf[512];
	size_t len = ask_write(buf, 7, name, type, 0);

	(void)sendto(fd, buf, len, 0, (struct sockaddr *)&sa, sizeof(sa));
}

static const char *take_answer(int fd)
{
	uint8_t buf[4096];
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	ssize_t n;

	if (!world_wait(fd, POLLIN, WORLD_PATIENCE_MS))
		return "(nothing)";
	n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &size);
	if (n < 0)
		return strerror(errno);
	if (ntohs(from.sin_port) != 53)
		return "(from another port than was asked)";
	return ask_text(buf, (size_t)n);
}

/* Asked inside of a container's namespace, as its programs do. */
static const char *ask(const struct sandbox *s, const char *name, uint16_t type)
{
	int fd = world_socket(s->key, AF_INET, SOCK_DGRAM, 0);
	const char *text;

	send_query(fd, DNS_ADDRESS, name, type);
	text = take_answer(fd);
	close(fd);
	return text;
}

static bool file_has(const char *path, const char *text)
{
	_cleanup_(mem_free) char *have = NULL;

	return file_read(AT_FDCWD, path, 65536, &have, NULL, NULL) == 0 && strstr(have, text);
}

TEST(containers_know_each_other)
{
	_cleanup_(world_free) struct world w;
	const struct sandbox *a, *b, *plain;
	struct err e = { 0 };
	struct net_join j = { .network = "shop", .aliases = (char *[]){ "Service", NULL } };
	int own;

	if (!world_with_dns(&w, &e))
		return;
	CHECK_MSG(world_attach(&w, 1, "shop", NULL, &a, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 2, "shop", NULL, &b, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 3, "bridge", NULL, &plain, &e) == 0, "%s", err_text(&e));
	CHECK(file_has(a->resolv_path, "\nnameserver 127.0.0.11\noptions ndots:0\n"));
	CHECK(file_has(plain->resolv_path, "\nnameserver 192.0.2.2\n"));
	CHECK_STR(ask(a, "c2", DNS_A), "NOERROR 172.18.0.3");
	CHECK_STR(ask(a, "C2.shop", DNS_A), "NOERROR 172.18.0.3");
	CHECK_STR(ask(b, "c1", DNS_A), "NOERROR 172.18.0.2");
	CHECK_STR(ask(b, "111111111111", DNS_A), "NOERROR 172.18.0.2");
	CHECK_STR(ask(a, "c2", DNS_AAAA), "NOERROR");
	CHECK_STR(ask(a, "3.0.18.172.in-addr.arpa", DNS_PTR), "NOERROR ?=c2.shop");
	/* its port 53 is free for itself */
	own = world_listen(a->key, SOCK_DGRAM, "0.0.0.0", 53);
	CHECK_STR(ask(a, "c2", DNS_A), "NOERROR 172.18.0.3");
	close(own);
	/* one that comes later, live; it resolves from then on itself */
	CHECK_MSG(net_connect(w.nets, plain->id, &j, &e) == 0, "%s", err_text(&e));
	CHECK_STR(ask(a, "service", DNS_A), "NOERROR 172.18.0.4");
	CHECK_STR(ask(plain, "c1", DNS_A), "NOERROR 172.18.0.2");
	CHECK(file_has(plain->resolv_path, "\nnameserver 127.0.0.11\n"));
	CHECK_MSG(net_rename(w.nets, b->id, "renamed", &e) == 0, "%s", err_text(&e));
	CHECK_STR(ask(a, "renamed", DNS_A), "NOERROR 172.18.0.3");
}

TEST(no_open_resolver)
{
	_cleanup_(world_free) struct world w;
	const struct sandbox *a, *b;
	struct sockaddr_in to = world_addr("172.18.0.2", 53);
	struct err e = { 0 };
	int fd;

	if (!world_with_dns(&w, &e))
		return;
	CHECK_MSG(world_attach(&w, 1, "shop", NULL, &a, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 2, "shop", NULL, &b, &e) == 0, "%s", err_text(&e));
	fd = world_socket(b->key, AF_INET, SOCK_DGRAM, 0);
	CHECK_INT(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	send_query(fd, "172.18.0.2", "c2", DNS_A); /* the other container's address */
	CHECK_STR(take_answer(fd), "Connection refused");
	close(fd);
}

/* What the machine's server at 192.0.2.2 is asked; "(nothing)". Answers 198.51.100.LAST. */
static const char *serve(int server, uint8_t last)
{
	static struct dns_query q;
	struct dns_addr a = { 4, { 198, 51, 100, last } };
	uint8_t in[512], out[512];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct dns_out o;
	ssize_t n;

	if (!world_wait(server, POLLIN, WORLD_PATIENCE_MS))
		return "(nothing)";
	n = recvfrom(server, in, sizeof(in), 0, (struct sockaddr *)&from, &len);
	if (n < 0 || dns_query_read(in, (size_t)n, &q) < 0)
		return "(no query)";
	dns_answer_begin(&o, out, sizeof(out), in, &q, DNS_NOERROR);
	(void)dns_answer_addr(&o, &a, 60);
	(void)sendto(server, out, dns_answer_end(&o), 0, (struct sockaddr *)&from, len);
	return q.name;
}

TEST(the_machines_servers_are_followed)
{
	_cleanup_(world_free) struct world w;
	const struct sandbox *a, *in;
	struct err e = { 0 };
	int server, other, fd;

	if (!world_with_dns(&w, &e))
		return;
	CHECK_MSG(world_attach(&w, 1, "shop", NULL, &a, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 2, "inside", NULL, &in, &e) == 0, "%s", err_text(&e));
	server = world_listen(w.outside, SOCK_DGRAM, "192.0.2.2", 53);
	other = world_listen(NULL, SOCK_DGRAM, "127.0.0.1", 53); /* the machine's own */
	/* nothing leaves an internal network: this is asked first, and must not come */
	CHECK_STR(ask(in, "secret.example", DNS_A), "SERVFAIL");
	fd = world_socket(a->key, AF_INET, SOCK_DGRAM, 0);
	send_query(fd, DNS_ADDRESS, "example.com", DNS_A);
	CHECK_STR(serve(server, 1), "example.com");
	CHECK_STR(take_answer(fd), "NOERROR 198.51.100.1");
	CHECK_INT(file_replace(AT_FDCWD, w.resolv, "nameserver 127.0.0.1\n", 21, 0644, false, &e),
		  0);
	while (loop_once(w.loop, WORLD_PATIENCE_MS) == 0)
		;
	files_follow(w.nets);
	send_query(fd, DNS_ADDRESS, "example.org", DNS_A);
	CHECK_STR(serve(other, 2), "example.org");
	CHECK_STR(take_answer(fd), "NOERROR 198.51.100.2");
	close(fd);
	close(server);
	close(other);
}

TEST(it_comes_back)
{
	_cleanup_(world_free) struct world w;
	const struct sandbox *a;
	struct err e = { 0 };

	if (!world_with_dns(&w, &e))
		return;
	CHECK_MSG(world_attach(&w, 1, "shop", NULL, &a, &e) == 0, "%s", err_text(&e));
	CHECK_STR(ask(a, "c1", DNS_A), "NOERROR 172.18.0.2");
	/* the process dies */
	CHECK_INT(kill(w.nets->dns.worker.child.child.pid, SIGKILL), 0);
	while (w.nets->dns.channel >= 0)
		(void)loop_once(w.loop, WORLD_PATIENCE_MS);
	while (w.nets->dns.channel < 0)
		(void)loop_once(w.loop, WORLD_PATIENCE_MS);
	CHECK_STR(ask(a, "c1", DNS_A), "NOERROR 172.18.0.2");
	/* the engine is another one */
	CHECK_MSG(world_restart(&w, (char *[]){ (char *)world_id(1), NULL }, &e) == 0, "%s",
		  err_text(&e));
	a = net_get(w.nets, world_id(1));
	CHECK_STR(ask(a, "c1", DNS_A), "NOERROR 172.18.0.2");
}
