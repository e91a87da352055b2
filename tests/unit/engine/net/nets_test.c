/*
 * The network module for real: bridges, namespaces and rules in the kernel, with traffic through
 * them.
 *
 * world.h is the machine. Packets that must not arrive are sent before one that must, over the same
 * path, so that the arrival of the second proves the loss of the first.
 */
#include "tests/unit/engine/net/world.h"

#include "engine/net/inside.h"
#include "engine/net/rules.h"

static const char *const web[] = { "8080:80", NULL };

static char *slurp(const char *path)
{
	char *text = NULL;
	size_t len;

	if (file_read(AT_FDCWD, path, 65536, &text, &len, NULL) < 0)
		text = str_dup("(unreadable)");
	return text;
}

/* Until all links that are to go are gone. */
static void settle(struct world *w)
{
	while (!list_empty(&w->nets->departing))
		(void)loop_once(w->loop, 5000);
}

TEST(a_container_on_the_bridge)
{
	_cleanup_(world_free) struct world w;
	_cleanup_(mem_free) char *hosts = NULL, *resolv = NULL, *name = NULL;
	const struct sandbox *s;
	struct err e = { 0 };
	char text[IP_NET_TEXT_MAX];
	struct net_stats st[2];
	int server;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(world_attach(&w, 1, "", NULL, &s, &e) == 0, "%s", err_text(&e));
	CHECK_INT((long)s->n_endpoints, 1);
	CHECK_STR(ip_net_text(&s->endpoints[0].address, text), "172.17.0.2/16");
	CHECK_STR(ip_text(&s->endpoints[0].gateway, text), "172.17.0.1");
	CHECK_STR(mac_text(s->endpoints[0].mac, text), "02:42:ac:11:00:02");
	CHECK_STR(s->endpoints[0].network->name, "bridge");
	hosts = slurp(s->hosts_path);
	resolv = slurp(s->resolv_path);
	name = slurp(s->hostname_path);
	CHECK(strstr(hosts, "127.0.0.1\tlocalhost\n") &&
	      strstr(hosts, "\n172.17.0.2\t111111111111\n"));
	CHECK(strstr(resolv, "nameserver 10.0.2.3\n"));
	CHECK_STR(name, "111111111111\n");
	/* out of the machine with the machine's address */
	server = world_listen(w.outside, SOCK_STREAM, "0.0.0.0", 80);
	CHECK_STR(world_ask(s->key, "192.0.2.2", 80, server), "192.0.2.1");
	close(server);
	CHECK_INT(net_stats(w.nets, s->id, st, 2, &e), 1);
	CHECK(st[0].tx_packets > 0 && st[0].rx_packets > 0 && str_eq(st[0].ifname, "eth0"));
}

TEST(published_ports)
{
	_cleanup_(world_free) struct world w;
	const struct sandbox *a, *b;
	struct err e = { 0 };
	int server;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(world_attach(&w, 1, "bridge", web, &a, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 2, "bridge", NULL, &b, &e) == 0, "%s", err_text(&e));
	server = world_listen(a->key, SOCK_STREAM, "0.0.0.0", 80);
	/* the real client is seen */
	CHECK_STR(world_ask(w.outside, "192.0.2.1", 8080, server), "192.0.2.2");
	/* from the machine, by each of its addresses */
	CHECK_STR(world_ask(NULL, "127.0.0.1", 8080, server), "172.17.0.1");
	CHECK_STR(world_ask(NULL, "192.0.2.1", 8080, server), "192.0.2.1");
	CHECK_STR(world_ask(NULL, "172.17.0.2", 80, server), "172.17.0.1");
	/* from containers: hairpin, its own, and directly */
	CHECK_STR(world_ask(b->key, "192.0.2.1", 8080, server), "172.17.0.1");
	CHECK_STR(world_ask(a->key, "192.0.2.1", 8080, server), "172.17.0.1");
	CHECK_STR(world_ask(b->key, "172.17.0.2", 80, server), "172.17.0.3");
	/* not published: neither its port by the machine's address, nor its address from outside */
	CHECK_STR(world_ask(w.outside, "192.0.2.1", 80, server), "Connection refused");
	CHECK(world_drops(w.outside, "172.17.0.2", 80, server));
	/* gone with the container */
	CHECK_INT(net_detach(w.nets, world_id(1), &e), 0);
	CHECK_STR(world_ask(NULL, "127.0.0.1", 8080, server), "Connection refused");
	close(server);
}

TEST(loopback_ports_stay_inside)
{
	static const char *const ports[] = { "127.0.0.1:5353:53/udp", "5354:54/udp", NULL };
	_cleanup_(world_free) struct world w;
	const struct sandbox *s;
	struct err e = { 0 };
	int hidden, open;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(world_attach(&w, 1, "", ports, &s, &e) == 0, "%s", err_text(&e));
	hidden = world_listen(s->key, SOCK_DGRAM, "0.0.0.0", 53);
	open = world_listen(s->key, SOCK_DGRAM, "0.0.0.0", 54);
	world_send(NULL, "127.0.0.1", 5353, "from the machine");
	CHECK_STR(world_next(hidden), "from the machine");
	/* a neighbour on the uplink writes 127.0.0.1 into his packets */
	world_forge(w.outside, "eth0", w.up_mac, "192.0.2.2", "127.0.0.1", 5353,
		    "forged destination");
	world_forge(w.outside, "eth0", w.up_mac, "127.0.0.1", "192.0.2.1", 5354, "forged source");
	world_forge(w.outside, "eth0", w.up_mac, "192.0.2.2", "172.17.0.2", 53, "not published");
	world_forge(w.outside, "eth0", w.up_mac, "192.0.2.2", "192.0.2.1", 5353, "other address");
	world_send(w.outside, "192.0.2.1", 5354, "published");
	CHECK_STR(world_next(open), "published");
	CHECK(!world_wait(hidden, POLLIN, 0)); /* was sent before what came */
	close(hidden);
	close(open);
}

TEST(containers_cannot_reach_the_machines_loopback)
{
	_cleanup_(world_free) struct world w;
	const struct sandbox *s;
	struct err e = { 0 };
	uint8_t mac[6];
	int local, any, outside;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(world_attach(&w, 1, "", NULL, &s, &e) == 0, "%s", err_text(&e));
	world_mac(NULL, "skerry0", mac);
	local = world_listen(NULL, SOCK_DGRAM, "127.0.0.1", 7777);
	any = world_listen(NULL, SOCK_DGRAM, "172.17.0.1", 7778);
	outside = world_listen(w.outside, SOCK_DGRAM, "0.0.0.0", 7779);
	world_forge(s->key, "eth0", mac, "172.17.0.2", "127.0.0.1", 7777, "to loopback");
	world_forge(s->key, "eth0", mac, "127.0.0.1", "172.17.0.1", 7778, "from loopback");
	world_forge(s->key, "eth0", mac, "192.0.2.2", "172.17.0.1", 7778, "from a stranger");
	world_forge(s->key, "eth0", mac, "10.1.1.1", "192.0.2.2", 7779, "spoofed");
	world_send(s->key, "172.17.0.1", 7778, "honest");
	world_send(s->key, "192.0.2.2", 7779, "honest");
	CHECK_STR(world_next(any), "honest");
	CHECK_STR(world_next(outside), "honest");
	CHECK(!world_wait(local, POLLIN, 0)); /* was sent before what came */
	close(local);
	close(any);
	close(outside);
}

/* The engine forwards for containers, not for strangers. */
TEST(the_machine_is_no_router)
{
	_cleanup_(world_free) struct world w;
	_cleanup_(fd_close) int fd = -1, ns = -1, inside = -1, server = -1;
	static const uint8_t mac[6] = { 0x02, 0, 0, 0, 0, 9 };
	struct ip_net here = { { AF_INET, { 198, 51, 100, 1 } }, 24 },
		      there = { { AF_INET, { 198, 51, 100, 2 } }, 24 };
	struct link_veth v = { .host = "up1", .peer = "eth0", .mac = mac, .mtu = 1500 };
	struct err e = { 0 };
	struct link l;
	char path[300];

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	(void)str_format(path, sizeof(path), "%s/other", w.dir);
	fd = nl_open(NETLINK_ROUTE, &e);
	CHECK_INT(netns_make(path, 0, &ns, &inside, &e), 0);
	v.netns_fd = ns;
	CHECK_INT(link_veth(fd, &v, &e), 0);
	CHECK_INT(link_get(fd, "up1", &l, &e), 0);
	CHECK_INT(link_address(fd, l.index, &here, &e), 0);
	CHECK_INT(link_up(fd, l.index, &e), 0);
	CHECK_INT(link_get(inside, "eth0", &l, &e), 0);
	CHECK_INT(link_address(inside, l.index, &there, &e), 0);
	CHECK_INT(link_up(inside, l.index, &e), 0);
	CHECK_INT(link_default_route(inside, l.index, AF_INET, &here.addr, &e), 0);
	server = world_listen(path, SOCK_STREAM, "0.0.0.0", 80);
	CHECK(world_drops(w.outside, "198.51.100.2", 80, server));
	CHECK_STR(world_ask(NULL, "198.51.100.2", 80, server), "198.51.100.1");
	CHECK_INT(netns_remove(path, &e), 0);
}

TEST(an_engine_restart_changes_nothing)
{
	_cleanup_(world_free) struct world w;
	_cleanup_(strv_free) char **running = NULL;
	const struct sandbox *a, *b;
	struct err e = { 0 };
	char key[300], dead[300], veth[IFNAMSIZ];
	struct nft none;
	struct link l;
	int server, fd;
	struct stat st;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(world_attach(&w, 1, "", web, &a, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 2, "", (const char *const[]){ "9090:80", NULL }, &b, &e) == 0,
		  "%s", err_text(&e));
	(void)str_copy(key, sizeof(key), a->key);
	(void)str_copy(dead, sizeof(dead), b->key);
	(void)str_copy(veth, sizeof(veth), b->endpoints[0].host_ifname);
	server = world_listen(key, SOCK_STREAM, "0.0.0.0", 80);
	CHECK_STR(world_ask(w.outside, "192.0.2.1", 8080, server), "192.0.2.2");

	nets_free(w.nets); /* the engine is away: nothing changes for containers */
	w.nets = NULL;
	CHECK_STR(world_ask(w.outside, "192.0.2.1", 8080, server), "192.0.2.2");

	/* while it is away one container ends, and somebody removes our tables */
	fd = nl_open(NETLINK_NETFILTER, &e);
	rules_build_none(&none);
	CHECK_INT(nft_commit(&none, fd, &e), 0);
	nft_free(&none);
	close(fd);
	CHECK_STR(world_ask(w.outside, "192.0.2.1", 8080, server), "Connection refused");
	CHECK_INT(strv_add(&running, world_id(1)), 0);
	CHECK_MSG(world_restart(&w, running, &e) == 0, "%s", err_text(&e));
	a = net_get(w.nets, world_id(1));
	CHECK(a && str_eq(a->key, key) && a->n_ports == 1 && a->ports[0].fd >= 0);
	CHECK(!net_get(w.nets, world_id(2)));
	CHECK_STR(world_ask(w.outside, "192.0.2.1", 8080, server), "192.0.2.2");
	CHECK(stat(dead, &st) < 0 && errno == ENOENT);
	settle(&w);
	fd = nl_open(NETLINK_ROUTE, &e);
	CHECK_INT(link_get(fd, veth, &l, &e), -ENODEV);
	close(fd);
	/* books are right: the next one gets neither its address nor its port */
	CHECK_INT(world_attach(&w, 3, "", web, &b, &e), -EADDRINUSE);
	CHECK_STR(err_text(&e), "driver failed programming external connectivity on endpoint c3: "
				"Bind for 0.0.0.0:8080 failed: port is already allocated");
	CHECK_MSG(world_attach(&w, 3, "", NULL, &b, &e) == 0, "%s", err_text(&e));
	CHECK(!ip_eq(&b->endpoints[0].address.addr, &a->endpoints[0].address.addr));
	close(server);
}

TEST(leftovers_are_removed)
{
	_cleanup_(world_free) struct world w;
	_cleanup_(mem_free) char *stray = NULL, *bad = NULL;
	const struct sandbox *s;
	struct err e = { 0 };
	char veth[IFNAMSIZ], record[400];
	struct link l;
	struct stat st;
	int fd;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(world_attach(&w, 1, "", web, &s, &e) == 0, "%s", err_text(&e));
	(void)str_copy(veth, sizeof(veth), s->endpoints[0].host_ifname);
	/* a damaged record, as after a crash of another version: its link and namespace are strays
	 * now */
	(void)str_format(record, sizeof(record), "%s/net/%s.json", w.run, s->id);
	CHECK_INT(file_replace(AT_FDCWD, record, "{\"v\":99}", 8, 0600, false, &e), 0);
	stray = str_printf("%s/netns/%s", w.run, s->id);
	CHECK_MSG(world_restart(&w, (char *[]){ (char *)world_id(1), NULL }, &e) == 0, "%s",
		  err_text(&e));
	CHECK(!net_get(w.nets, world_id(1)));
	CHECK(stat(stray, &st) < 0);
	CHECK(stat(record, &st) < 0);
	fd = nl_open(NETLINK_ROUTE, &e);
	CHECK_INT(link_get(fd, veth, &l, &e), -ENODEV);
	CHECK_INT(link_get(fd, "up0", &l, &e),
		  0); /* the machine's own links are not ours to touch */
	close(fd);
	CHECK_MSG(world_attach(&w, 1, "", web, &s, &e) == 0, "%s", err_text(&e));
}

TEST(a_failed_attach_leaves_nothing)
{
	_cleanup_(world_free) struct world w;
	const struct sandbox *s;
	struct err e = { 0 };
	struct net_request r = { .id = world_id(1), .name = "x", .dir = "/nonexistent/folder" };
	char path[400];
	struct stat st;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	r.id = world_id(1);
	for (int i = 0; i < 3; i++)
		CHECK_INT(net_attach(w.nets, &r, &s, &e), -ENOENT);
	CHECK(!net_get(w.nets, world_id(1)));
	(void)str_format(path, sizeof(path), "%s/netns/%s", w.run, world_id(1));
	CHECK(stat(path, &st) < 0);
	(void)str_format(path, sizeof(path), "%s/net/%s.json", w.run, world_id(1));
	CHECK(stat(path, &st) < 0);
	CHECK_MSG(world_attach(&w, 2, "", web, &s, &e) == 0, "%s", err_text(&e));
	CHECK_INT(s->endpoints[0].address.addr.b[3], 5); /* three were given and given back */
}

TEST(other_modes)
{
	_cleanup_(world_free) struct world w;
	_cleanup_(mem_free) char *name = NULL;
	const struct sandbox *a, *b;
	struct err e = { 0 };
	char mode[80], host[65];
	int server;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	/* none: loopback only, ports are left out */
	CHECK_MSG(world_attach(&w, 1, "none", web, &a, &e) == 0, "%s", err_text(&e));
	CHECK(a->mode == NET_MODE_OWN && a->n_endpoints == 1 && a->n_ports == 0);
	CHECK(!ip_is_set(&a->endpoints[0].address.addr) && !a->endpoints[0].has_mac);
	server = world_listen(a->key, SOCK_STREAM, "127.0.0.1", 80);
	CHECK_STR(world_ask(a->key, "127.0.0.1", 80, server), "127.0.0.1");
	CHECK_STR(world_ask(a->key, "172.17.0.1", 80, server), "Network is unreachable");
	close(server);
	/* host: no namespace of its own */
	CHECK_MSG(world_attach(&w, 2, "host", web, &b, &e) == 0, "%s", err_text(&e));
	CHECK(b->mode == NET_MODE_HOST && !b->key && b->n_ports == 0);
	gethostname(host, sizeof(host));
	name = slurp(b->hostname_path);
	CHECK(strncmp(name, host, strlen(host)) == 0);
	/* container: the other's, also by way of a third */
	(void)str_format(mode, sizeof(mode), "container:%s", world_id(1));
	CHECK_MSG(world_attach(&w, 3, mode, NULL, &b, &e) == 0, "%s", err_text(&e));
	CHECK(b->mode == NET_MODE_SHARED && str_eq(b->key, a->key) &&
	      str_eq(b->hosts_path, a->hosts_path));
	(void)str_format(mode, sizeof(mode), "container:%s", world_id(3));
	CHECK_MSG(world_attach(&w, 4, mode, NULL, &b, &e) == 0, "%s", err_text(&e));
	CHECK_STR(b->shared_with, a->id);
	CHECK_INT(world_attach(&w, 5, mode, web, &b, &e), -EINVAL);
	(void)str_format(mode, sizeof(mode), "container:%s", world_id(9));
	CHECK_INT(world_attach(&w, 5, mode, NULL, &b, &e), -ESRCH);
	CHECK_INT(world_attach(&w, 5, "nope", NULL, &b, &e), -ENOENT);
	CHECK_STR(err_text(&e), "network nope not found");
	/* the end of one that shares does not touch the shared one */
	CHECK_INT(net_detach(w.nets, world_id(3), &e), 0);
	CHECK(access(a->key, F_OK) == 0);
}

TEST(resolvers_are_followed)
{
	_cleanup_(world_free) struct world w;
	_cleanup_(mem_free) char *one = NULL, *two = NULL;
	const struct sandbox *a, *b;
	struct err e = { 0 };
	struct stat before, after;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(world_attach(&w, 1, "", NULL, &a, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 2, "", NULL, &b, &e) == 0, "%s", err_text(&e));
	CHECK_INT(stat(a->resolv_path, &before), 0);
	CHECK_INT(
		file_replace(AT_FDCWD, b->resolv_path, "nameserver 9.9.9.9\n", 19, 0644, false, &e),
		0);
	CHECK_INT(file_replace(AT_FDCWD, w.resolv, "nameserver 10.9.9.9\n", 20, 0644, false, &e),
		  0);
	CHECK(loop_once(w.loop, 5000) > 0);
	one = slurp(a->resolv_path);
	two = slurp(b->resolv_path);
	CHECK(strstr(one, "nameserver 10.9.9.9\n") && !strstr(one, "10.0.2.3"));
	CHECK_STR(two, "nameserver 9.9.9.9\n"); /* the user's own is left alone */
	CHECK_INT(stat(a->resolv_path, &after), 0);
	CHECK(before.st_ino == after.st_ino); /* bind mounts see it */
}

TEST(the_bridge_avoids_the_machines_subnets)
{
	_cleanup_(world_free) struct world w;
	const struct sandbox *s;
	const struct network *net;
	struct err e = { 0 };
	char text[IP_NET_TEXT_MAX], id[65];

	if (!world_new(&w, "172.17.200.1/24"))
		return;
	CHECK_INT(nets_find(w.nets, "bridge", &net, &e), 0);
	CHECK_STR(ip_net_text(&net->subnet, text), "172.18.0.0/16");
	(void)str_copy(id, sizeof(id), net->id);
	CHECK_MSG(world_attach(&w, 1, "", NULL, &s, &e) == 0, "%s", err_text(&e));
	CHECK_STR(ip_net_text(&s->endpoints[0].address, text), "172.18.0.2/16");
	/* and keeps subnet and id over restarts */
	CHECK_INT(world_restart(&w, (char *[]){ (char *)world_id(1), NULL }, &e), 0);
	CHECK_INT(nets_find(w.nets, "bridge", &net, &e), 0);
	CHECK_STR(ip_net_text(&net->subnet, text), "172.18.0.0/16");
	CHECK_STR(net->id, id);
}

TEST(networks_are_found)
{
	_cleanup_(world_free) struct world w;
	const struct network *net, *again;
	struct err e = { 0 };
	char start[13];

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_INT((long)nets_count(w.nets), 3);
	CHECK_STR(nets_at(w.nets, 0)->name, "bridge");
	CHECK_STR(nets_at(w.nets, 1)->name, "host");
	CHECK_STR(nets_at(w.nets, 2)->name, "none");
	CHECK_INT(nets_find(w.nets, "host", &net, &e), 0);
	(void)str_format(start, sizeof(start), "%.12s", net->id);
	CHECK_INT(nets_find(w.nets, start, &again, &e), 0);
	CHECK(net == again);
	CHECK_INT(nets_find(w.nets, "", &net, &e), -ENOENT);
}

/* Our tables are removed, again and again: they come back, and our own changes are no reason to. */
TEST(rules_are_healed)
{
	_cleanup_(world_free) struct world w;
	_cleanup_(fd_close) int fd = -1;
	const struct sandbox *s;
	struct nft none;
	struct err e = { 0 };
	int server;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(world_attach(&w, 1, "", web, &s, &e) == 0, "%s", err_text(&e));
	server = world_listen(s->key, SOCK_STREAM, "0.0.0.0", 80);
	(void)loop_once(w.loop, 0);
	CHECK(!timer_armed(&w.nets->heal_timer));
	fd = nl_open(NETLINK_NETFILTER, &e);
	for (int i = 0; i < 2; i++) {
		rules_build_none(&none);
		CHECK_INT(nft_commit(&none, fd, &e), 0);
		nft_free(&none);
		CHECK_STR(world_ask(NULL, "192.0.2.1", 8080, server), "Connection refused");
		CHECK(loop_once(w.loop, 5000) > 0);
		while (w.nets->heal_again) /* the second time it rests first */
			CHECK(loop_once(w.loop, 5000) > 0);
		CHECK_STR(world_ask(w.outside, "192.0.2.1", 8080, server), "192.0.2.2");
	}
	close(server);
}

/* Somebody else holds the namespace: the link goes all the same, and its address can be had
 * again. */
TEST(a_held_namespace)
{
	_cleanup_(world_free) struct world w;
	_cleanup_(fd_close) int holder = -1, fd = -1;
	const struct sandbox *s;
	struct err e = { 0 };
	char veth[IFNAMSIZ];
	struct link l;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(world_attach(&w, 1, "", NULL, &s, &e) == 0, "%s", err_text(&e));
	holder = open(s->key, O_RDONLY | O_CLOEXEC);
	(void)str_copy(veth, sizeof(veth), s->endpoints[0].host_ifname);
	fd = nl_open(NETLINK_ROUTE, &e);
	CHECK_INT(net_detach(w.nets, world_id(1), &e), 0);
	CHECK_INT(link_get(fd, veth, &l, &e), 0);
	settle(&w);
	CHECK_INT(link_get(fd, veth, &l, &e), -ENODEV);
	CHECK_INT((long)net_of(nets_at(w.nets, 0))->pool.n_used, 1);
	/* or at once */
	CHECK_MSG(world_attach(&w, 1, "", NULL, &s, &e) == 0, "%s", err_text(&e));
	CHECK_INT(net_detach(w.nets, world_id(1), &e), 0);
	CHECK_INT(depart_now(w.nets, net_of(nets_at(w.nets, 0)), NULL, &e), 0);
	CHECK(list_empty(&w.nets->departing));
}

/* Many at once: all reach the gateway's side of the books, and the whole goes down again. */
TEST(many_containers)
{
	enum { N = 60 };
	_cleanup_(world_free) struct world w;
	const struct sandbox *s = NULL;
	struct err e = { 0 };
	struct net_request r = { .name = "many" };
	struct port_want want = { .proto = IPPROTO_TCP, .container_port = 80 };
	char id[65], text[IP_NET_TEXT_MAX];
	int server;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	r.id = id;
	r.dir = w.dir;
	r.ports = &want;
	r.n_ports = 1;
	for (int i = 0; i < N; i++) {
		(void)str_format(id, sizeof(id), "%064x", i);
		CHECK_MSG(net_attach(w.nets, &r, &s, &e) == 0, "%d: %s", i, err_text(&e));
	}
	CHECK_STR(ip_net_text(&s->endpoints[0].address, text), "172.17.0.61/16");
	/* more notifications of our own changes than fit are no reason to repeat them */
	(void)loop_once(w.loop, 0);
	CHECK(!timer_armed(&w.nets->heal_timer));
	server = world_listen(s->key, SOCK_STREAM, "0.0.0.0", 80);
	CHECK_STR(world_ask(w.outside, "192.0.2.1", s->ports[0].host_port, server), "192.0.2.2");
	close(server);
	for (int i = 0; i < N; i++) {
		(void)str_format(id, sizeof(id), "%064x", i);
		CHECK_MSG(net_detach(w.nets, id, &e) == 0, "%d: %s", i, err_text(&e));
	}
	settle(&w);
	CHECK_INT((long)net_of(nets_at(w.nets, 0))->pool.n_used, 1);
}

/* No IPv6 on links of a network without it; advertisements are never taken. */
TEST(no_ipv6_by_accident)
{
	_cleanup_(world_free) struct world w;
	const struct sandbox *s;
	struct err e = { 0 };
	int own;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(world_attach(&w, 1, "", NULL, &s, &e) == 0, "%s", err_text(&e));
	if (access("/proc/sys/net/ipv6", F_OK) < 0)
		return;
	for (int inside = 0; inside < 2; inside++) {
		_cleanup_(mem_free) char *off = NULL, *ra = NULL;
		char path[200];

		own = world_enter(inside ? s->key : NULL);
		(void)str_format(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6",
				 inside ? "eth0" : "skerry0");
		off = slurp(path);
		(void)str_format(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_ra",
				 inside ? "eth0" : "skerry0");
		ra = slurp(path);
		world_leave(own);
		CHECK_STR(off, "1\n");
		CHECK_STR(ra, "0\n");
	}
}

TEST(bad_requests)
{
	_cleanup_(world_free) struct world w;
	struct net_join fixed = { .network = "bridge", .ipv4 = "172.17.0.9" },
			mac = { .network = "bridge", .mac = "x" };
	struct net_join both = { .network = "host" };
	struct net_request r = { .id = world_id(1), .dir = "/tmp", .joins = &fixed, .n_joins = 1 };
	const struct sandbox *s;
	struct err e = { 0 };

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	r.id = world_id(1);
	CHECK_INT(net_attach(w.nets, &r, &s, &e), -EINVAL);
	CHECK_STR(err_text(&e),
		  "user specified IP address is supported on user defined networks only");
	r.joins = &mac;
	CHECK_INT(net_check(w.nets, &r, &e), -EINVAL);
	r.joins = &both;
	CHECK_INT(net_check(w.nets, &r, &e), -EINVAL);
	r.n_joins = 0;
	r.hostname = "a b";
	CHECK_INT(net_check(w.nets, &r, &e), -EINVAL);
	r.hostname = NULL;
	r.id = "../../etc";
	CHECK_INT(net_attach(w.nets, &r, &s, &e), -EINVAL);
	r.id = world_id(1);
	r.ports = &(struct port_want){ .proto = IPPROTO_TCP,
				       .container_port = 80,
				       .host_ip = { AF_INET6, { 0 } } };
	r.n_ports = 1;
	CHECK_INT(net_attach(w.nets, &r, &s, &e), -EINVAL);
	CHECK_STR(err_text(&e), "cannot publish a port on ::: network bridge has no IPv6");
}
