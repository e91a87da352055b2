/*
 * A small world for tests of engine/net: the test process is the machine, with one uplink to
 * "outside".
 *
 *   outside 192.0.2.2 --- up0 192.0.2.1 machine skerry0 172.17.0.1 --- containers
 *
 * All in network and mount namespaces of the test's own; needs root, else a case says so and
 * passes. Each world_new starts afresh. Sockets are made inside a namespace by entering it for a
 * moment, so that one process plays all parts and nothing has to sleep. A namespace is named by its
 * path, NULL is the machine's.
 */
#ifndef SKERRY_TEST_WORLD_H
#define SKERRY_TEST_WORLD_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/net/link.h"
#include "engine/net/net.h"
#include "engine/net/netns.h"
#include "init/base/file.h"
#include "init/base/netlink.h"
#include "init/base/str.h"
#include "init/base/util.h"
#include "tests/unit/test.h"

struct world {
	char run[256], state[256], resolv[300], outside[300], dir[256];
	uint8_t up_mac[6]; /* of up0, as outside sees it */
	struct loop *loop;
	struct nets *nets;
	struct nets_config config;
};

enum {
	WORLD_PATIENCE_MS = 10000, /* for what must come, on a busy machine too */
	WORLD_SILENCE_MS = 300 /* for what must not */
};

static inline UNUSED void world_die(const char *what)
{
	perror(what);
	exit(99);
}

static inline UNUSED int world_enter(const char *ns)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd;

	if (!ns)
		return own;
	fd = open(ns, O_RDONLY | O_CLOEXEC);
	if (own < 0 || fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		world_die(ns);
	close(fd);
	return own;
}

static inline UNUSED void world_leave(int own)
{
	if (setns(own, CLONE_NEWNET) < 0)
		world_die("setns");
	close(own);
}

static inline UNUSED int world_socket(const char *ns, int domain, int type, int proto)
{
	int own = world_enter(ns), fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);

	world_leave(own);
	if (fd < 0)
		world_die("socket");
	return fd;
}

static inline UNUSED struct sockaddr_in world_addr(const char *addr, uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, addr, &sa.sin_addr);
	return sa;
}

/* A bound TCP (then listening) or UDP socket. */
static inline UNUSED int world_listen(const char *ns, int type, const char *addr, uint16_t port)
{
	struct sockaddr_in sa = world_addr(addr, port);
	int fd = world_socket(ns, AF_INET, type, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 8) < 0))
		world_die("bind");
	return fd;
}

static inline UNUSED bool world_wait(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) > 0;
}

/* Connects from `ns`: the address that the server behind `listener` sees, or why there is none:
 * "Connection refused", ...; "dropped" when nothing comes of it. */
static inline UNUSED const char *world_try(const char *ns, const char *addr, uint16_t port,
					   int listener, int patience_ms)
{
	static char text[INET_ADDRSTRLEN];
	struct sockaddr_in sa = world_addr(addr, port), peer;
	socklen_t len = sizeof(peer), int_len = sizeof(int);
	int fd = world_socket(ns, AF_INET, SOCK_STREAM, 0), accepted, code = 0;
	const char *result = "dropped";

	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno != EINPROGRESS) {
		result = strerror(errno);
	} else if (world_wait(fd, POLLOUT, patience_ms)) {
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &int_len);
		result = strerror(code);
		if (code == 0 && world_wait(listener, POLLIN, WORLD_PATIENCE_MS)) {
			accepted = accept(listener, (struct sockaddr *)&peer, &len);
			result = inet_ntop(AF_INET, &peer.sin_addr, text, sizeof(text));
			close(accepted);
		}
	}
	close(fd);
	return result;
}

static inline UNUSED const char *world_ask(const char *ns, const char *addr, uint16_t port,
					   int listener)
{
	return world_try(ns, addr, port, listener, WORLD_PATIENCE_MS);
}

static inline UNUSED bool world_drops(const char *ns, const char *addr, uint16_t port, int listener)
{
	return str_eq(world_try(ns, addr, port, listener, WORLD_SILENCE_MS), "dropped");
}

static inline UNUSED void world_send(const char *ns, const char *addr, uint16_t port,
				     const char *text)
{
	struct sockaddr_in sa = world_addr(addr, port);
	int fd = world_socket(ns, AF_INET, SOCK_DGRAM, 0);

	(void)sendto(fd, text, strlen(text), 0, (struct sockaddr *)&sa, sizeof(sa));
	close(fd);
}

/* The next datagram's text; "(nothing)" when none comes. */
static inline UNUSED const char *world_next(int fd)
{
	static char text[100];
	ssize_t n;

	if (!world_wait(fd, POLLIN, WORLD_PATIENCE_MS))
		return "(nothing)";
	n = recv(fd, text, sizeof(text) - 1, 0);
	text[MAX(n, 0)] = '\0';
	return text;
}

static inline UNUSED uint16_t world_checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t) ~(sum + (sum >> 16)));
}

/* A UDP datagram with any addresses at all, put on link `ifname` of `ns` for the neighbour
 * `mac`. */
static inline UNUSED void world_forge(const char *ns, const char *ifname, const uint8_t mac[6],
				      const char *from, const char *to, uint16_t port,
				      const char *text)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char text[64];
	} __attribute__((packed)) m = { 0 };
	size_t len = sizeof(m.ip) + sizeof(m.udp) + strlen(text);
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP),
				  .sll_halen = 6 };
	int own = world_enter(ns), fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ll.sll_ifindex = (int)if_nametoindex(ifname);
	memcpy(ll.sll_addr, mac, 6);
	m.ip = (struct iphdr){ .version = 4,
			       .ihl = 5,
			       .ttl = 64,
			       .protocol = IPPROTO_UDP,
			       .tot_len = htons((uint16_t)len) };
	inet_pton(AF_INET, from, &m.ip.saddr);
	inet_pton(AF_INET, to, &m.ip.daddr);
	m.ip.check = world_checksum(&m.ip, sizeof(m.ip));
	m.udp.source = htons(4444);
	m.udp.dest = htons(port);
	m.udp.len = htons((uint16_t)(len - sizeof(m.ip)));
	memcpy(m.text, text, strlen(text));
	if (fd < 0 || sendto(fd, &m, len, 0, (struct sockaddr *)&ll, sizeof(ll)) != (ssize_t)len)
		world_die("forge");
	close(fd);
	world_leave(own);
}

static inline UNUSED void world_mac(const char *ns, const char *ifname, uint8_t mac[6])
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET };
	int own = world_enter(ns), fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(ll);

	ll.sll_ifindex = (int)if_nametoindex(ifname);
	if (fd < 0 || bind(fd, (struct sockaddr *)&ll, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&ll, &len) < 0)
		world_die("mac");
	memcpy(mac, ll.sll_addr, 6);
	close(fd);
	world_leave(own);
}

static inline UNUSED const char *world_id(int i)
{
	static char ids[2][65];
	static int turn;

	turn = !turn;
	memset(ids[turn], "0123456789abcdef"[i & 15], 64);
	return ids[turn];
}

static inline UNUSED int world_restart(struct world *w, char *const *running, struct err *e)
{
	int rc;

	nets_free(w->nets);
	w->nets = NULL;
	rc = nets_new(w->loop, &w->config, &w->nets, e);
	return rc < 0 ? rc : nets_start(w->nets, running, e);
}

/* The uplink and who is at its other end. */
static inline UNUSED int world_uplink(struct world *w, const char *machine, struct err *e)
{
	static const uint8_t mac[6] = { 0x02, 0, 0, 0, 0, 2 };
	struct ip_net here, there = { { AF_INET, { 192, 0, 2, 2 } }, 24 };
	struct ip_addr gw = { AF_INET, { 192, 0, 2, 1 } };
	struct link_veth v = { .host = "up0", .peer = "eth0", .mac = mac, .mtu = 1500 };
	_cleanup_(fd_close) int fd = nl_open(NETLINK_ROUTE, e), ns = -1, inside = -1;
	struct link l;
	int rc = ip_net_parse(machine, &here, e);

	rc = rc < 0 ? rc : netns_make(w->outside, 0, &ns, &inside, e);
	v.netns_fd = ns;
	rc = rc < 0 ? rc : link_veth(fd, &v, e);
	rc = rc < 0 ? rc : link_get(fd, "lo", &l, e);
	rc = rc < 0 ? rc : link_up(fd, l.index, e);
	rc = rc < 0 ? rc : link_get(fd, "up0", &l, e);
	rc = rc < 0 ? rc : link_address(fd, l.index, &here, e);
	rc = rc < 0 ? rc : link_up(fd, l.index, e);
	rc = rc < 0 ? rc : link_get(inside, "eth0", &l, e);
	rc = rc < 0 ? rc : link_address(inside, l.index, &there, e);
	rc = rc < 0 ? rc : link_up(inside, l.index, e);
	rc = rc < 0 ? rc : link_default_route(inside, l.index, AF_INET, &gw, e);
	if (rc == 0)
		world_mac(NULL, "up0", w->up_mac);
	return rc;
}

/* uplink: the machine's address there. false: not possible here, or failed (said). */
static inline UNUSED bool world_new(struct world *w, const char *uplink)
{
	static const char *const strict[] = { "/proc/sys/net/ipv4/conf/all/rp_filter",
					      "/proc/sys/net/ipv4/conf/default/rp_filter",
					      "/proc/sys/net/ipv4/conf/all/arp_ignore" };
	struct err e = { 0 };

	*w = (struct world){ 0 };
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
		printf("# skipped: needs root\n");
		return false;
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		world_die("mount");
	/* as strict as a hardened machine is */
	for (size_t i = 0; i < ARRAY_SIZE(strict); i++)
		if (file_put(AT_FDCWD, strict[i], "1", &e) < 0)
			world_die(strict[i]);
	(void)str_copy(w->dir, sizeof(w->dir), test_tmpdir());
	(void)str_format(w->run, sizeof(w->run), "%s/run", w->dir);
	(void)str_format(w->state, sizeof(w->state), "%s/state", w->dir);
	(void)str_format(w->resolv, sizeof(w->resolv), "%s/resolv.conf", w->dir);
	(void)str_format(w->outside, sizeof(w->outside), "%s/outside", w->dir);
	w->config = (struct nets_config){ .run_dir = w->run,
					  .state_dir = w->state,
					  .resolv_conf = w->resolv };
	if (file_replace(AT_FDCWD, w->resolv, "nameserver 10.0.2.3\n", 20, 0644, false, &e) < 0 ||
	    loop_new(&w->loop, &e) < 0 || world_uplink(w, uplink, &e) < 0 ||
	    world_restart(w, NULL, &e) < 0) {
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
		return false;
	}
	return true;
}

/* Attaches container i (id: that digit 64 times, name c<i>) with published ports in the short
 * form. */
static inline UNUSED int world_attach(struct world *w, int i, const char *mode,
				      const char *const *ports, const struct sandbox **ret_sandbox,
				      struct err *e)
{
	struct net_request r = { .id = world_id(i), .mode = mode };
	struct port_want wants[32];
	char name[16], dir[300];

	(void)str_format(name, sizeof(name), "c%d", i);
	(void)str_format(dir, sizeof(dir), "%s/%s", w->dir, name);
	(void)mkdir(dir, 0700);
	for (; ports && *ports; ports++) {
		_cleanup_(mem_free) struct port_want *list = NULL;
		size_t n;

		if (port_spec_parse(*ports, &list, &n, e) < 0 || n != 1)
			world_die(*ports);
		wants[r.n_ports++] = list[0];
	}
	r.name = name;
	r.dir = dir;
	r.ports = wants;
	return net_attach(w->nets, &r, ret_sandbox, e);
}

/* Takes everything down, so that the temporary folder can be removed. */
static inline UNUSED void world_free(struct world *w)
{
	for (int i = 0; i < 16 && w->nets; i++)
		(void)net_detach(w->nets, world_id(i), NULL);
	nets_free(w->nets);
	loop_free(w->loop);
	(void)netns_remove(w->outside, NULL);
}
DEFINE_CLEANUP_VALUE(struct world, world_free)

#endif
