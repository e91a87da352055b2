/*
 * How the outside reaches a bridge's containers: gateway modes, both families, networks without
 * IPv4, and the chain of people's own rules. In the kernel, with traffic; outside has its default
 * route by the machine, so it can also try containers at their own addresses.
 */
#include "tests/unit/engine/net/world.h"

#include "engine/net/inside.h"

#define MODE4 "com.docker.network.bridge.gateway_mode_ipv4="
#define MODE6 "com.docker.network.bridge.gateway_mode_ipv6="

static int make(struct world *w, const char *name, const char *subnet, const char *option,
		const struct network **ret, struct err *e)
{
	const struct ipam_want ipam = { .subnet = subnet };
	char *options[] = { (char *)option, NULL };
	const struct network_want want = { .name = name,
					   .ipam = &ipam,
					   .n_ipam = 1,
					   .ipv6 = strchr(subnet, ':') != NULL,
					   .no_ipv4 = strchr(subnet, ':') != NULL,
					   .options = options };

	return nets_create(w->nets, &want, ret, e);
}

static bool nft(const char *line)
{
	char command[300];
	int status = 1;
	pid_t pid;

	(void)str_format(command, sizeof(command), "nft %s", line);
	pid = fork();
	if (pid == 0) {
		execlp("sh", "sh", "-c", command, (char *)NULL);
		_exit(99);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

/* --- IPv4 ------------------------------------------------------------------------------------- */

TEST(nat_hides_and_unprotected_does_not)
{
	static const char *const modes[] = { MODE4 "nat", MODE4 "nat-unprotected" },
				 *const names[] = { "nat", "open" };
	const char *const ports[] = { "8080:80", NULL };

	for (int open = 0; open < 2; open++) {
		_cleanup_(world_free) struct world w;
		const struct network *net;
		const struct sandbox *s;
		struct err e = { 0 };
		int server, other;

		if (!world_new(&w, "192.0.2.1/24"))
			return;
		CHECK_MSG(make(&w, names[open], "10.1.0.0/24", modes[open], &net, &e) == 0, "%s",
			  err_text(&e));
		CHECK_MSG(world_attach(&w, 1, names[open], ports, &s, &e) == 0, "%s", err_text(&e));
		server = world_listen(s->key, SOCK_STREAM, "0.0.0.0", 80);
		other = world_listen(s->key, SOCK_STREAM, "0.0.0.0", 81);
		CHECK_STR(world_ask(w.outside, "192.0.2.1", 8080, server), "192.0.2.2");
		if (open) {
			CHECK_STR(world_ask(w.outside, "10.1.0.2", 81, other), "192.0.2.2");
		} else {
			CHECK(world_drops(w.outside, "10.1.0.2", 81, other));
			CHECK(world_drops(w.outside, "10.1.0.2", 80, server));
		}
		close(server);
		close(other);
		server = world_listen(w.outside, SOCK_STREAM, "0.0.0.0", 80);
		CHECK_STR(world_ask(s->key, "192.0.2.2", 80, server), "192.0.2.1");
		close(server);
		CHECK_INT(net_detach(w.nets, world_id(1), &e), 0);
		CHECK_INT(nets_remove(w.nets, net, &e), 0); /* the worlds share a folder */
	}
}

TEST(routed_without_translation)
{
	const char *const ports[] = { "8080:80", NULL };
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *s, *b;
	struct err e = { 0 };
	int server, other;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(make(&w, "n", "10.1.0.0/24", MODE4 "routed", &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(make(&w, "m", "10.2.0.0/24", MODE4 "nat", &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 1, "n", ports, &s, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 2, "m", NULL, &b, &e) == 0, "%s", err_text(&e));
	CHECK_INT((long)s->n_ports, 1);
	CHECK_INT(s->ports[0].host_port, 0);
	server = world_listen(s->key, SOCK_STREAM, "0.0.0.0", 80);
	other = world_listen(s->key, SOCK_STREAM, "0.0.0.0", 81);
	for (int round = 0; round < 2; round++) {
		CHECK_STR(world_ask(w.outside, "10.1.0.2", 80, server), "192.0.2.2");
		CHECK_STR(world_ask(b->key, "10.1.0.2", 80, server), "10.1.0.1");
		CHECK(world_drops(w.outside, "10.1.0.2", 81, other));
		CHECK(world_drops(b->key, "10.1.0.2", 81, other));
		CHECK_STR(world_ask(w.outside, "192.0.2.1", 8080, server), "Connection refused");
		CHECK_MSG(world_restart(
				  &w, (char *[]){ (char *)world_id(1), (char *)world_id(2), NULL },
				  &e) == 0,
			  "%s", err_text(&e));
		s = net_get(w.nets, world_id(1));
		b = net_get(w.nets, world_id(2));
		CHECK(s && b && s->n_ports == 1);
	}
	close(server);
	close(other);
	/* out with its own address */
	server = world_listen(w.outside, SOCK_STREAM, "0.0.0.0", 80);
	CHECK_STR(world_ask(s->key, "192.0.2.2", 80, server), "10.1.0.2");
	close(server);
}

TEST(isolated_has_no_address_of_the_machine)
{
	const struct ipam_want ipam = { .subnet = "10.1.0.0/24" };
	char *options[] = { MODE4 "isolated", NULL };
	struct network_want want = { .name = "n", .ipam = &ipam, .n_ipam = 1, .options = options };
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *a, *b;
	struct link_net nets[64];
	struct err e = { 0 };
	int server, n;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_INT(nets_create(w.nets, &want, &net, &e), -EINVAL);
	CHECK_MSG(strstr(err_text(&e), "only be used for an internal network"), "%s", err_text(&e));
	options[0] = MODE4 "open";
	CHECK_INT(nets_create(w.nets, &want, &net, &e), -EINVAL);
	CHECK_MSG(strstr(err_text(&e), "none of nat"), "%s", err_text(&e));
	options[0] = MODE4 "isolated";
	want.internal = true;
	CHECK_MSG(nets_create(w.nets, &want, &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 1, "n", NULL, &a, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 2, "n", NULL, &b, &e) == 0, "%s", err_text(&e));
	server = world_listen(a->key, SOCK_STREAM, "0.0.0.0", 80);
	CHECK_STR(world_ask(b->key, "10.1.0.2", 80, server), "10.1.0.3");
	close(server);
	CHECK(!ip_is_set(&a->endpoints[0].gateway));
	n = link_subnets(w.nets->route_fd, nets, ARRAY_SIZE(nets), &e);
	CHECK(n > 0);
	for (int i = 0; i < n; i++)
		CHECK(nets[i].index != net_of(net)->index);
}

/* threats row 80: with CAP_NET_RAW a container can put any source on its link; only its own
 * network's is taken, and nothing of it reaches a port that is bound to the machine's loopback. */
TEST(forged_sources_stop_at_the_bridge)
{
	static const char *const forged[] = { "10.2.0.9", "192.0.2.2", "8.8.8.8", "127.0.0.1" };
	_cleanup_(world_free) struct world w;
	const struct network *net, *other;
	const struct sandbox *s, *victim;
	uint8_t mac[6];
	struct err e = { 0 };
	int far, near, local;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(make(&w, "n", "10.1.0.0/24", MODE4 "nat", &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(make(&w, "m", "10.2.0.0/24", MODE4 "nat-unprotected", &other, &e) == 0, "%s",
		  err_text(&e));
	CHECK_MSG(world_attach(&w, 1, "n", NULL, &s, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 2, "m", NULL, &victim, &e) == 0, "%s", err_text(&e));
	world_mac(NULL, net->ifname, mac);
	far = world_listen(w.outside, SOCK_DGRAM, "0.0.0.0", 700);
	near = world_listen(victim->key, SOCK_DGRAM, "0.0.0.0", 700);
	local = world_listen(NULL, SOCK_DGRAM, "127.0.0.1", 700);
	for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
		world_forge(s->key, "eth0", mac, forged[i], "192.0.2.2", 700, forged[i]);
		world_forge(s->key, "eth0", mac, forged[i], "10.2.0.2", 700, forged[i]);
		world_forge(s->key, "eth0", mac, forged[i], "127.0.0.1", 700, forged[i]);
	}
	world_forge(s->key, "eth0", mac, "10.1.0.2", "127.0.0.1", 700, "its own");
	/* what is not forged comes, and comes first */
	world_forge(s->key, "eth0", mac, "10.1.0.2", "192.0.2.2", 700, "own");
	world_forge(s->key, "eth0", mac, "10.1.0.2", "10.2.0.2", 700, "own");
	CHECK_STR(world_next(far), "own");
	CHECK_STR(world_next(near), "own");
	CHECK(!world_wait(local, POLLIN, WORLD_SILENCE_MS));
	close(far);
	close(near);
	close(local);
}

/* --- people's own rules ----------------------------------------------------------------------- */

TEST(own_rules_come_first_and_stay)
{
	const char *const ports[] = { "8080:80", NULL };
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *s;
	struct err e = { 0 };
	int server, other;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	if (!nft("--version > /dev/null")) {
		printf("# skipped: no nft program\n");
		return;
	}
	CHECK_MSG(make(&w, "n", "10.1.0.0/24", MODE4 "nat", &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 1, "n", ports, &s, &e) == 0, "%s", err_text(&e));
	server = world_listen(s->key, SOCK_STREAM, "0.0.0.0", 80);
	other = world_listen(s->key, SOCK_STREAM, "0.0.0.0", 81);
	CHECK_STR(world_ask(w.outside, "192.0.2.1", 8080, server), "192.0.2.2");
	CHECK(nft("add rule inet skerry-user forward ip saddr 192.0.2.2 tcp dport 80 drop"));
	CHECK(nft("add rule inet skerry-user forward tcp dport 81 meta mark set 0x736b"));
	for (int round = 0; round < 3; round++) {
		CHECK(world_drops(w.outside, "192.0.2.1", 8080, server));
		CHECK_STR(world_ask(w.outside, "10.1.0.2", 81, other), "192.0.2.2");
		if (round == 0) /* a change of ours, then an engine start */
			CHECK_INT(nets_apply(w.nets, &e), 0);
		else
			CHECK_MSG(world_restart(&w, (char *[]){ (char *)world_id(1), NULL }, &e) ==
					  0,
				  "%s", err_text(&e));
	}
	/* gone with everything else, the chain is there again */
	CHECK(nft("flush ruleset"));
	for (int i = 0; i < 50 && !nft("list chain inet skerry-user forward > /dev/null 2>&1"); i++)
		(void)loop_once(w.loop, 100);
	CHECK(nft("list chain inet skerry-user forward > /dev/null"));
	CHECK_STR(world_ask(w.outside, "192.0.2.1", 8080, server), "192.0.2.2");
	CHECK(world_drops(w.outside, "10.1.0.2", 81, other));
	close(server);
	close(other);
}

/* --- IPv6 ------------------------------------------------------------------------------------- */

TEST(both_families_have_the_same_port)
{
	const struct network_want want = { .name = "two", .ipv6 = true };
	const char *const ports[] = { "8080:80", "81", NULL };
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *s;
	char text[IP_TEXT_MAX];
	struct err e = { 0 };

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	if (nets_create(w.nets, &want, &net, &e) < 0) {
		printf("# skipped: no IPv6 here: %s\n", err_text(&e));
		return;
	}
	CHECK_MSG(world_attach(&w, 1, "two", ports, &s, &e) == 0, "%s", err_text(&e));
	CHECK_INT((long)s->n_ports, 4);
	for (size_t i = 0; i < 4; i += 2) {
		CHECK_STR(ip_text(&s->ports[i].host_ip, text), "0.0.0.0");
		CHECK_STR(ip_text(&s->ports[i + 1].host_ip, text), "::");
		CHECK_INT(s->ports[i].host_port, s->ports[i + 1].host_port);
		CHECK_INT(s->ports[i].container_port, i == 0 ? 80 : 81);
	}
	CHECK_INT(s->ports[0].host_port, 8080);
	/* one of them taken: neither is had */
	CHECK_INT(world_attach(&w, 2, "two", (const char *const[]){ "[::]:8080:80", NULL }, &s, &e),
		  -EADDRINUSE);
	CHECK_INT(net_detach(w.nets, world_id(1), &e), 0);
	CHECK_MSG(world_attach(&w, 2, "two", (const char *const[]){ "[::]:8080:80", NULL }, &s,
			       &e) == 0,
		  "%s", err_text(&e));
	CHECK_INT(world_attach(&w, 1, "two", (const char *const[]){ "8080:80", NULL }, &s, &e),
		  -EADDRINUSE);
	CHECK_MSG(world_attach(&w, 1, "two", (const char *const[]){ "8080-8081:80", NULL }, &s,
			       &e) == 0,
		  "%s", err_text(&e));
	CHECK_INT(s->ports[0].host_port, 8081);
	CHECK_INT(s->ports[1].host_port, 8081);
}

TEST(without_ipv4)
{
	const struct network_want none = { .name = "no", .no_ipv4 = true };
	const char *const ports[] = { "8080:80", NULL };
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *s;
	char text[IP_NET_TEXT_MAX];
	struct err e = { 0 };

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_INT(nets_create(w.nets, &none, &net, &e), -EINVAL);
	CHECK_STR(err_text(&e), "IPv4 or IPv6 must be enabled");
	if (make(&w, "six", "fd00:7::/64", MODE6 "nat", &net, &e) < 0) {
		printf("# skipped: no IPv6 here: %s\n", err_text(&e));
		return;
	}
	for (int round = 0; round < 2; round++) {
		CHECK(!net->ipv4 && net->ipv6 && !ip_is_set(&net->subnet.addr));
		CHECK_MSG(world_attach(&w, 1, "six", ports, &s, &e) == 0, "%s", err_text(&e));
		CHECK(!ip_is_set(&s->endpoints[0].address.addr));
		CHECK_STR(ip_net_text(&s->endpoints[0].address6, text), "fd00:7::2/64");
		CHECK_INT((long)s->n_ports, 1);
		CHECK_STR(ip_text(&s->ports[0].host_ip, text), "::");
		CHECK_INT(net_detach(w.nets, world_id(1), &e), 0);
		CHECK_MSG(world_attach(&w, 2, "six", NULL, &s, &e) == 0, "%s", err_text(&e));
		CHECK_MSG(world_restart(&w, (char *[]){ (char *)world_id(2), NULL }, &e) == 0, "%s",
			  err_text(&e));
		CHECK_INT(nets_find(w.nets, "six", &net, &e), 0);
		CHECK_INT(net_detach(w.nets, world_id(2), &e), 0);
	}
	CHECK_INT(world_attach(&w, 1, "six", (const char *const[]){ "127.0.0.1:8080:80", NULL }, &s,
			       &e),
		  -EINVAL);
	CHECK_MSG(strstr(err_text(&e), "network six has no IPv4"), "%s", err_text(&e));
}
