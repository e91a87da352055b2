/*
 * Networks that people make: what may be asked for, subnets, who reaches whom, several networks of
 * a container, live changes, and what an engine start finds again. In the kernel, with traffic.
 */
#include "tests/unit/engine/net/world.h"

#include "engine/net/inside.h"
#include "engine/net/rules.h"

static int make(struct world *w, const char *name, const char *subnet, char *const *options,
		bool internal, const struct network **ret, struct err *e)
{
	const struct ipam_want ipam = { .subnet = subnet };
	const struct network_want want = { .name = name,
					   .ipam = &ipam,
					   .n_ipam = subnet != NULL,
					   .internal = internal,
					   .options = options };

	return nets_create(w->nets, &want, ret, e);
}

static int join(struct world *w, int i, const struct net_join *joins, size_t n,
		const struct sandbox **ret, struct err *e)
{
	struct net_request r = { .id = world_id(i), .joins = joins, .n_joins = n };
	char name[16], dir[300];

	(void)str_format(name, sizeof(name), "c%d", i);
	(void)str_format(dir, sizeof(dir), "%s/%s", w->dir, name);
	(void)mkdir(dir, 0700);
	r.name = name;
	r.dir = dir;
	r.mode = joins[0].network;
	return net_attach(w->nets, &r, ret, e);
}

static bool file_has(const char *path, const char *text)
{
	_cleanup_(mem_free) char *have = NULL;

	return file_read(AT_FDCWD, path, 65536, &have, NULL, NULL) == 0 && strstr(have, text);
}

TEST(made_removed_and_found_again)
{
	static char *labels[] = { "a=b", NULL },
		    *options[] = { "com.docker.network.bridge.name=shop0",
				   "com.docker.network.driver.mtu=1400", NULL };
	static char *aux[] = { "router=10.9.0.9", NULL };
	const struct ipam_want ipam = { "10.9.0.0/16", "10.9.1.0/24", "10.9.0.1", aux };
	const struct network_want want = { .name = "shop",
					   .ipam = &ipam,
					   .n_ipam = 1,
					   .attachable = true,
					   .labels = labels,
					   .options = options };
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *s;
	char text[IP_NET_TEXT_MAX], id[NET_ID_LEN + 1];
	struct err e = { 0 };
	struct link l;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(nets_create(w.nets, &want, &net, &e) == 0, "%s", err_text(&e));
	memcpy(id, net->id, sizeof(id));
	for (int round = 0; round < 2; round++) {
		CHECK_INT(nets_find(w.nets, "shop", &net, &e), 0);
		CHECK_STR(net->id, id);
		CHECK_STR(ip_net_text(&net->subnet, text), "10.9.0.0/16");
		CHECK_STR(ip_net_text(&net->range, text), "10.9.1.0/24");
		CHECK_STR(ip_text(&net->gateway, text), "10.9.0.1");
		CHECK_STR(net->labels[0], "a=b");
		CHECK_STR(net->aux[0], "router=10.9.0.9");
		CHECK(net->mtu == 1400 && net->attachable && net->icc && net->masquerade);
		CHECK_INT(link_get(w.nets->route_fd, "shop0", &l, &e), 0);
		CHECK_STR(l.kind, "bridge");
		CHECK_INT(nets_create(w.nets, &want, &net, &e), -EEXIST);
		CHECK_STR(err_text(&e), "network with name shop already exists");
		CHECK_MSG(world_restart(&w, NULL, &e) == 0, "%s", err_text(&e));
	}
	CHECK_INT(nets_find(w.nets, "shop", &net, &e), 0);
	CHECK_MSG(world_attach(&w, 1, "shop", NULL, &s, &e) == 0, "%s", err_text(&e));
	CHECK_STR(ip_net_text(&s->endpoints[0].address, text), "10.9.1.0/16"); /* as Docker */
	CHECK_INT(nets_remove(w.nets, net, &e), -EPERM);
	CHECK_MSG(strstr(err_text(&e), "network shop has active endpoints (name:\"c1\""), "%s",
		  err_text(&e));
	CHECK_INT(net_detach(w.nets, world_id(1), &e), 0);
	CHECK_MSG(nets_remove(w.nets, net, &e) == 0, "%s", err_text(&e));
	CHECK_INT(nets_find(w.nets, "shop", &net, &e), -ENOENT);
	CHECK_STR(err_text(&e), "network shop not found");
	CHECK_INT(link_get(w.nets->route_fd, "shop0", &l, &e), -ENODEV);
	CHECK_MSG(world_restart(&w, NULL, &e) == 0, "%s", err_text(&e));
	CHECK_INT(nets_find(w.nets, "shop", &net, NULL), -ENOENT);
	CHECK_INT(nets_find(w.nets, "bridge", &net, NULL), 0);
	CHECK_INT(nets_remove(w.nets, net, &e), -EPERM);
	CHECK_STR(err_text(&e), "bridge is a pre-defined network and cannot be removed");
}

TEST(what_is_refused)
{
	static char *bad_icc[] = { "com.docker.network.bridge.enable_icc=maybe", NULL };
	static char *bad_mtu[] = { "com.docker.network.driver.mtu=67", NULL };
	static char *bad_link[] = { "com.docker.network.bridge.name=a/b", NULL };
	static char *taken_link[] = { "com.docker.network.bridge.name=up0", NULL };
	static char *bad_aux[] = { "r=10.8.0.1", NULL };
	char long_name[300] = "";
	const struct {
		const char *name, *driver, *subnet, *range, *gateway;
		char **aux, **options;
		int code;
		const char *text;
	} rows[] = {
		{ .name = "", .code = EINVAL, .text = "name is empty" },
		{ .name = "  ", .code = EINVAL, .text = "name is empty" },
		{ .name = "bridge",
		  .code = EPERM,
		  .text = "operation is not permitted on predefined bridge network " },
		{ .name = "default", .code = EPERM, .text = "predefined default" },
		{ .name = "container:x", .code = EINVAL, .text = "container:" },
		{ .name = "a\nb", .code = EINVAL, .text = "control characters" },
		{ .name = long_name, .code = EINVAL, .text = "at most 255" },
		{ .name = "x", .driver = "host", .code = EPERM, .text = "only one instance" },
		{ .name = "x", .driver = "overlay", .code = ENOSYS, .text = "swarm" },
		{ .name = "x", .driver = "weave", .code = ENOENT, .text = "\"weave\" not found" },
		{ .name = "x", .subnet = "10.1", .code = EINVAL, .text = "invalid CIDR block" },
		{ .name = "x", .gateway = "10.1.0.1", .code = EINVAL, .text = "invalid subnet" },
		{ .name = "x",
		  .subnet = "10.1.0.1/16",
		  .code = EINVAL,
		  .text = "invalid subnet 10.1.0.1/16: it should be 10.1.0.0/16" },
		{ .name = "x", .subnet = "10.1.0.0/31", .code = EINVAL, .text = "prefix of 4" },
		{ .name = "x", .subnet = "127.0.0.0/8", .code = EINVAL, .text = "loopback" },
		{ .name = "x",
		  .subnet = "10.1.0.0/16",
		  .gateway = "10.2.0.1",
		  .code = EINVAL,
		  .text = "invalid gateway 10.2.0.1: parent subnet 10.1.0.0/16 doesn't contain" },
		{ .name = "x",
		  .subnet = "10.1.0.0/16",
		  .gateway = "fd00::1",
		  .code = EINVAL,
		  .text = "is an IPv4 block" },
		{ .name = "x",
		  .subnet = "10.1.0.0/16",
		  .range = "10.0.0.0/8",
		  .code = EINVAL,
		  .text = "bigger than its parent" },
		{ .name = "x",
		  .subnet = "10.1.0.0/16",
		  .range = "10.2.0.0/24",
		  .code = EINVAL,
		  .text = "doesn't contain ip-range" },
		{ .name = "x",
		  .subnet = "10.1.0.0/16",
		  .aux = bad_aux,
		  .code = EINVAL,
		  .text = "invalid auxiliary address 10.8.0.1" },
		{ .name = "x", .subnet = "172.17.5.0/24", .code = EPERM, .text = "overlaps" },
		{ .name = "x", .subnet = "192.0.0.0/16", .code = EPERM, .text = "overlaps" },
		{ .name = "x", .options = bad_icc, .code = EINVAL, .text = "no boolean" },
		{ .name = "x", .options = bad_mtu, .code = EINVAL, .text = "between 68" },
		{ .name = "x", .options = bad_link, .code = EINVAL, .text = "invalid link name" },
		{ .name = "x", .options = taken_link, .code = EPERM, .text = "a link named up0" },
	};
	_cleanup_(world_free) struct world w;
	const struct network *net;

	memset(long_name, 'n', 256);
	if (!world_new(&w, "192.0.2.1/24"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ipam_want ipam = { rows[i].subnet, rows[i].range, rows[i].gateway,
					  rows[i].aux };
		struct network_want want = { .name = rows[i].name,
					     .driver = rows[i].driver,
					     .ipam = &ipam,
					     .n_ipam = 1,
					     .options = rows[i].options };
		struct err e = { 0 };

		CHECK_MSG(nets_create(w.nets, &want, &net, &e) == -rows[i].code &&
				  strstr(err_text(&e), rows[i].text),
			  "row %zu (%s): %s", i, rows[i].text, err_text(&e));
	}
	CHECK_INT((long)nets_count(w.nets), 3); /* nothing of them was left */
	memset(long_name, 0, sizeof(long_name));
	memset(long_name, 'n', 255);
	CHECK_INT(make(&w, long_name, NULL, NULL, false, &net, NULL), 0);
}

TEST(pools_run_out_and_come_back)
{
	_cleanup_(world_free) struct world w;
	const struct network *net, *first = NULL;
	char text[IP_NET_TEXT_MAX], name[32];
	struct err e = { 0 };
	int made = 0, rc;

	if (!world_new(&w, "172.20.0.1/16")) /* the machine's own */
		return;
	for (;;) {
		(void)str_format(name, sizeof(name), "n%d", made);
		rc = make(&w, name, NULL, NULL, false, &net, &e);
		if (rc < 0)
			break;
		CHECK(!str_eq(ip_net_text(&net->subnet, text), "172.20.0.0/16"));
		first = made++ == 0 ? net : first;
	}
	CHECK_INT(rc, -ENOSPC);
	CHECK_MSG(strstr(err_text(&e), "all predefined address pools have been fully subnetted"),
		  "%s", err_text(&e));
	CHECK_INT(made, 15 + 16 - 2); /* without skerry0's and the machine's */
	CHECK_STR(ip_net_text(&first->subnet, text), "172.18.0.0/16");
	CHECK_MSG(nets_remove(w.nets, first, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(make(&w, "again", NULL, NULL, false, &net, &e) == 0, "%s", err_text(&e));
	CHECK_STR(ip_net_text(&net->subnet, text), "172.18.0.0/16");
}

TEST(addresses_run_out)
{
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *s;
	struct err e = { 0 };

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(make(&w, "tiny", "10.1.0.0/30", NULL, false, &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 1, "tiny", NULL, &s, &e) == 0, "%s", err_text(&e));
	CHECK_INT(world_attach(&w, 2, "tiny", NULL, &s, &e), -ENOSPC);
	CHECK_MSG(strstr(err_text(&e), "no available IPv4 addresses"), "%s", err_text(&e));
}

TEST(fixed_addresses_and_macs)
{
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *s;
	struct err e = { 0 };
	char text[IP_NET_TEXT_MAX];
	struct net_join j = { .network = "own", .ipv4 = "10.1.0.77", .mac = "02:00:00:00:00:07" };

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(make(&w, "own", "10.1.0.0/24", NULL, false, &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(make(&w, "any", NULL, NULL, false, &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(join(&w, 1, &j, 1, &s, &e) == 0, "%s", err_text(&e));
	CHECK_STR(ip_net_text(&s->endpoints[0].address, text), "10.1.0.77/24");
	CHECK_STR(mac_text(s->endpoints[0].mac, text), "02:00:00:00:00:07");
	CHECK_INT(join(&w, 2, &j, 1, &s, &e), -EADDRINUSE);
	j.ipv4 = "10.2.0.1";
	CHECK_INT(join(&w, 2, &j, 1, &s, &e), -EINVAL);
	CHECK_MSG(strstr(err_text(&e), "no configured subnet contains IP address 10.2.0.1"), "%s",
		  err_text(&e));
	j = (struct net_join){ .network = "any", .ipv4 = "172.18.0.5" };
	CHECK_INT(join(&w, 2, &j, 1, &s, &e), -EINVAL);
	CHECK_MSG(strstr(err_text(&e), "user configured subnets"), "%s", err_text(&e));
	j = (struct net_join){ .network = "bridge", .aliases = (char *[]){ "x", NULL } };
	CHECK_INT(join(&w, 2, &j, 1, &s, &e), -EINVAL);
	CHECK_MSG(strstr(err_text(&e), "network-scoped alias is supported only"), "%s",
		  err_text(&e));
}

TEST(bridges_are_isolated_from_each_other)
{
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *a, *b, *c;
	struct err e = { 0 };
	int server;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(make(&w, "one", "10.1.0.0/24", NULL, false, &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(make(&w, "two", "10.2.0.0/24", NULL, false, &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 1, "one", NULL, &a, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 2, "one", NULL, &b, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 3, "two", NULL, &c, &e) == 0, "%s", err_text(&e));
	server = world_listen(a->key, SOCK_STREAM, "0.0.0.0", 80);
	CHECK_STR(world_ask(b->key, "10.1.0.2", 80, server), "10.1.0.3");
	CHECK(world_drops(c->key, "10.1.0.2", 80, server));
	close(server);
	server = world_listen(w.outside, SOCK_STREAM, "0.0.0.0", 80);
	CHECK_STR(world_ask(c->key, "192.0.2.2", 80, server), "192.0.2.1");
	close(server);
}

TEST(internal_networks_have_no_way_out)
{
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *a, *b;
	struct err e = { 0 };
	int server;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(make(&w, "in", "10.1.0.0/24", NULL, true, &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 1, "in", (const char *const[]){ "8080:80", NULL }, &a, &e) == 0,
		  "%s", err_text(&e));
	CHECK_INT((long)a->n_ports, 0);
	CHECK_MSG(world_attach(&w, 2, "in", NULL, &b, &e) == 0, "%s", err_text(&e));
	server = world_listen(a->key, SOCK_STREAM, "0.0.0.0", 80);
	CHECK_STR(world_ask(b->key, "10.1.0.2", 80, server), "10.1.0.3");
	close(server);
	server = world_listen(w.outside, SOCK_STREAM, "0.0.0.0", 80);
	CHECK_STR(world_ask(b->key, "192.0.2.2", 80, server), "Network is unreachable");
	close(server);
}

/* Not by the packet filter, which bridged packets do not pass: by the bridge's ports. */
TEST(without_icc_containers_do_not_talk)
{
	static char *options[] = { "com.docker.network.bridge.enable_icc=false", NULL };
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *a, *b;
	struct err e = { 0 };
	int server;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(make(&w, "hush", "10.1.0.0/24", options, false, &net, &e) == 0, "%s",
		  err_text(&e));
	CHECK_MSG(world_attach(&w, 1, "hush", NULL, &a, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 2, "hush", NULL, &b, &e) == 0, "%s", err_text(&e));
	server = world_listen(a->key, SOCK_STREAM, "0.0.0.0", 80);
	CHECK_STR(world_ask(NULL, "10.1.0.2", 80, server), "10.1.0.1"); /* the machine does */
	CHECK(world_drops(b->key, "10.1.0.2", 80, server));
	close(server);
}

/* The gateway that `ns` has its default route by. */
static const char *way_out(const char *ns)
{
	static char text[32];
	_cleanup_(mem_free) char *routes = NULL;
	int own = world_enter(ns);
	char *line, *save = NULL;

	text[0] = '\0';
	if (file_read(AT_FDCWD, "/proc/thread-self/net/route", 65536, &routes, NULL, NULL) == 0)
		for (line = strtok_r(routes, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			char ifname[16], dst[16], gw[16];

			if (sscanf(line, "%15s %15s %15s", ifname, dst, gw) == 3 &&
			    str_eq(dst, "00000000"))
				(void)str_format(text, sizeof(text), "%s %s", ifname, gw);
		}
	world_leave(own);
	return text;
}

TEST(several_networks_live)
{
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *s, *peer;
	struct err e = { 0 };
	char text[IP_NET_TEXT_MAX];
	struct net_join joins[] = { { .network = "bb" }, { .network = "aa" } };
	struct net_join high = { .network = "cc",
				 .priority = 7,
				 .aliases = (char *[]){ "x", NULL } };
	int server;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(make(&w, "aa", "10.1.0.0/24", NULL, false, &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(make(&w, "bb", "10.2.0.0/24", NULL, false, &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(make(&w, "cc", "10.3.0.0/24", NULL, false, &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(join(&w, 1, joins, 2, &s, &e) == 0, "%s", err_text(&e));
	CHECK_INT((long)s->n_endpoints, 2);
	CHECK_STR(s->endpoints[0].ifname, "eth0"); /* bb, as asked */
	CHECK_STR(ip_net_text(&s->endpoints[0].address, text), "10.2.0.2/24");
	CHECK_STR(way_out(s->key), "eth1 0100010A"); /* aa: the first by name */
	/* one more, with priority */
	CHECK_MSG(net_connect(w.nets, s->id, &high, &e) == 0, "%s", err_text(&e));
	CHECK_INT((long)s->n_endpoints, 3);
	CHECK_STR(s->endpoints[2].ifname, "eth2");
	CHECK_STR(s->endpoints[2].aliases[0], "x");
	CHECK_STR(way_out(s->key), "eth2 0100030A");
	CHECK(file_has(s->hosts_path, "\n10.3.0.2\t111111111111\n"));
	CHECK_INT(net_connect(w.nets, s->id, &high, &e), -EPERM);
	CHECK_STR(err_text(&e), "endpoint with name c1 already exists in network cc");
	CHECK_MSG(world_attach(&w, 2, "cc", NULL, &peer, &e) == 0, "%s", err_text(&e));
	server = world_listen(s->key, SOCK_STREAM, "0.0.0.0", 80);
	CHECK_STR(world_ask(peer->key, "10.3.0.2", 80, server), "10.3.0.3");
	/* an engine start finds all of it */
	CHECK_MSG(world_restart(&w, (char *[]){ (char *)world_id(1), (char *)world_id(2), NULL },
				&e) == 0,
		  "%s", err_text(&e));
	s = net_get(w.nets, world_id(1));
	CHECK_INT((long)s->n_endpoints, 3);
	CHECK_INT(nets_find(w.nets, "cc", &net, &e), 0);
	CHECK_INT(nets_remove(w.nets, net, &e), -EPERM);
	CHECK_MSG(net_disconnect(w.nets, s->id, net, &e) == 0, "%s", err_text(&e));
	CHECK_INT((long)s->n_endpoints, 2);
	CHECK_STR(way_out(s->key), "eth1 0100010A");
	CHECK(!file_has(s->hosts_path, "10.3.0.2"));
	CHECK(file_has(s->hosts_path, "10.2.0.2"));
	CHECK_INT(net_disconnect(w.nets, s->id, net, &e), -EPERM);
	CHECK_MSG(strstr(err_text(&e), "is not connected to network cc"), "%s", err_text(&e));
	/* its address and its place are free again */
	CHECK_MSG(net_connect(w.nets, s->id, &high, &e) == 0, "%s", err_text(&e));
	CHECK_STR(s->endpoints[2].ifname, "eth2");
	close(server);
}

TEST(a_half_made_endpoint_is_forgotten)
{
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *s;
	struct err e = { 0 };
	struct net_join j = { .network = "aa" };

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(make(&w, "aa", "10.1.0.0/24", NULL, false, &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 1, "bridge", NULL, &s, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(net_connect(w.nets, s->id, &j, &e) == 0, "%s", err_text(&e));
	CHECK_INT(link_delete(w.nets->route_fd, s->endpoints[1].host_ifname, &e), 0);
	CHECK_MSG(world_restart(&w, (char *[]){ (char *)world_id(1), NULL }, &e) == 0, "%s",
		  err_text(&e));
	s = net_get(w.nets, world_id(1));
	CHECK_INT((long)s->n_endpoints, 1);
	CHECK_STR(s->endpoints[0].network->name, "bridge");
}

TEST(published_ports_follow_the_way_out)
{
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *s;
	struct err e = { 0 };
	struct net_join high = { .network = "zz", .priority = 1 };
	int server;

	if (!world_new(&w, "192.0.2.1/24"))
		return;
	CHECK_MSG(make(&w, "mine", "10.1.0.0/24", NULL, false, &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(make(&w, "zz", "10.2.0.0/24", NULL, false, &net, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 1, "mine", (const char *const[]){ "8080:80", NULL }, &s, &e) ==
			  0,
		  "%s", err_text(&e));
	server = world_listen(s->key, SOCK_STREAM, "0.0.0.0", 80);
	CHECK_STR(world_ask(w.outside, "192.0.2.1", 8080, server), "192.0.2.2");
	CHECK_STR(world_ask(NULL, "127.0.0.1", 8080, server), "10.1.0.1");
	CHECK_MSG(net_connect(w.nets, s->id, &high, &e) == 0, "%s", err_text(&e));
	CHECK_STR(world_ask(w.outside, "192.0.2.1", 8080, server), "192.0.2.2");
	CHECK_STR(world_ask(NULL, "127.0.0.1", 8080, server), "10.2.0.1");
	CHECK_MSG(net_disconnect(w.nets, s->id, net, &e) == 0, "%s", err_text(&e));
	CHECK_STR(world_ask(NULL, "127.0.0.1", 8080, server), "10.1.0.1");
	close(server);
}

/* --- IPv6 ------------------------------------------------------------------------------------- */

static int socket6(const char *ns)
{
	return world_socket(ns, AF_INET6, SOCK_STREAM, 0);
}

static struct sockaddr_in6 addr6(const char *text, uint16_t port)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	inet_pton(AF_INET6, text, &sa.sin6_addr);
	return sa;
}

static int listen6(const char *ns, uint16_t port)
{
	struct sockaddr_in6 sa = addr6("::", port);
	int fd = socket6(ns);

	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 8) < 0)
		world_die("bind");
	return fd;
}

/* As world_ask. */
static const char *ask6(const char *ns, const char *addr, uint16_t port, int listener,
			int patience_ms)
{
	static char text[INET6_ADDRSTRLEN];
	struct sockaddr_in6 sa = addr6(addr, port), peer;
	socklen_t len = sizeof(peer), int_len = sizeof(int);
	int fd = socket6(ns), code = 0, accepted;
	const char *result = "dropped";

	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno != EINPROGRESS) {
		result = strerror(errno);
	} else if (world_wait(fd, POLLOUT, patience_ms)) {
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &int_len);
		result = strerror(code);
		if (code == 0 && world_wait(listener, POLLIN, WORLD_PATIENCE_MS)) {
			accepted = accept(listener, (struct sockaddr *)&peer, &len);
			result = inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof(text));
			close(accepted);
		}
	}
	close(fd);
	return result;
}

/* The uplink's two ends speak IPv6 too: 2001:db8::1 and ::2. */
static bool uplink6(struct world *w)
{
	static const char *const ends[][3] = { { NULL, "up0", "2001:db8::1/64" },
					       { "outside", "eth0", "2001:db8::2/64" } };
	struct err e = { 0 };
	int rc = 0;

	for (int i = 0; i < 2 && rc == 0; i++) {
		int own = world_enter(ends[i][0] ? w->outside : NULL);
		_cleanup_(fd_close) int fd = nl_open(NETLINK_ROUTE, &e);
		char path[100];
		struct ip_net a;
		struct link l;

		(void)str_format(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6",
				 ends[i][1]);
		rc = file_put(AT_FDCWD, path, "0", &e);
		rc = rc < 0 ? rc : link_get(fd, ends[i][1], &l, &e);
		rc = rc < 0 ? rc : ip_net_parse(ends[i][2], &a, &e);
		rc = rc < 0 ? rc : link_address(fd, l.index, &a, &e);
		world_leave(own);
	}
	if (rc < 0)
		printf("# skipped: no IPv6 here: %s\n", err_text(&e));
	return rc == 0;
}

TEST(ipv6_on_a_bridge)
{
	const struct ipam_want six = { .subnet = "fd00:1::/64" };
	const struct network_want want = { .name = "six", .ipam = &six, .n_ipam = 1, .ipv6 = true };
	const struct network_want chosen = { .name = "chosen", .ipv6 = true };
	_cleanup_(world_free) struct world w;
	const struct network *net;
	const struct sandbox *a, *b, *c;
	char text[IP_NET_TEXT_MAX];
	struct err e = { 0 };
	int server;

	if (!world_new(&w, "192.0.2.1/24") || !uplink6(&w))
		return;
	CHECK_MSG(nets_create(w.nets, &want, &net, &e) == 0, "%s", err_text(&e));
	CHECK_STR(ip_net_text(&net->subnet, text), "172.18.0.0/16");
	CHECK_MSG(nets_create(w.nets, &chosen, &net, &e) == 0, "%s", err_text(&e));
	CHECK(net->subnet6.prefix == 64 && net->subnet6.addr.b[0] == 0xfd);
	CHECK_MSG(world_attach(&w, 1, "six", (const char *const[]){ "[::]:8080:80", NULL }, &a,
			       &e) == 0,
		  "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 2, "six", NULL, &b, &e) == 0, "%s", err_text(&e));
	CHECK_MSG(world_attach(&w, 3, "chosen", NULL, &c, &e) == 0, "%s", err_text(&e));
	CHECK_STR(ip_net_text(&a->endpoints[0].address6, text), "fd00:1::2/64");
	CHECK_STR(ip_text(&a->endpoints[0].gateway6, text), "fd00:1::1");
	CHECK(file_has(a->hosts_path, "\nfd00:1::2\t111111111111\n"));
	server = listen6(a->key, 80);
	CHECK_STR(ask6(b->key, "fd00:1::2", 80, server, WORLD_PATIENCE_MS), "fd00:1::3");
	CHECK_STR(ask6(w.outside, "2001:db8::1", 8080, server, WORLD_PATIENCE_MS), "2001:db8::2");
	CHECK_STR(ask6(c->key, "fd00:1::2", 80, server, WORLD_SILENCE_MS), "dropped");
	close(server);
	/* out with the machine's address */
	server = listen6(w.outside, 80);
	CHECK_STR(ask6(b->key, "2001:db8::2", 80, server, WORLD_PATIENCE_MS), "2001:db8::1");
	close(server);
	/* found again */
	CHECK_MSG(world_restart(&w, (char *[]){ (char *)world_id(1), NULL }, &e) == 0, "%s",
		  err_text(&e));
	a = net_get(w.nets, world_id(1));
	CHECK_STR(ip_net_text(&a->endpoints[0].address6, text), "fd00:1::2/64");
	CHECK_MSG(world_attach(&w, 4, "six", NULL, &b, &e) == 0, "%s", err_text(&e));
	CHECK_STR(ip_net_text(&b->endpoints[0].address6, text), "fd00:1::3/64");
}

/* threats row 76: on a network without IPv6 a container can neither speak it nor teach it to the
 * bridge; where there is IPv6, router advertisements are for nobody. */
TEST(router_advertisements_are_ignored)
{
	static const char *const files[] = { "accept_ra", "accept_redirects" };
	const struct network_want six = { .name = "six", .ipv6 = true }, four = { .name = "four" };
	_cleanup_(world_free) struct world w;
	const struct network *nets[2];
	const struct sandbox *s;
	struct err e = { 0 };

	if (!world_new(&w, "192.0.2.1/24") || !uplink6(&w))
		return;
	CHECK_MSG(nets_create(w.nets, &six, &nets[0], &e) == 0, "%s", err_text(&e));
	CHECK_MSG(nets_create(w.nets, &four, &nets[1], &e) == 0, "%s", err_text(&e));
	for (size_t i = 0; i < 2; i++) {
		char path[100];

		for (size_t k = 0; k < ARRAY_SIZE(files); k++) {
			(void)str_format(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s",
					 nets[i]->ifname, files[k]);
			CHECK_MSG(file_has(path, "0"), "%s", path);
		}
		(void)str_format(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6",
				 nets[i]->ifname);
		CHECK_MSG(file_has(path, i == 0 ? "0" : "1"), "%s", path);
		CHECK_MSG(world_attach(&w, (int)i, nets[i]->name, NULL, &s, &e) == 0, "%s",
			  err_text(&e));
		{
			int own = world_enter(s->key);
			bool off = file_has("/proc/sys/net/ipv6/conf/eth0/accept_ra", "0"),
			     none = file_has("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1");

			world_leave(own);
			CHECK(off && none == (i == 1));
		}
	}
}
