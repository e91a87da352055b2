/*
 * Links, their addresses, and what follows from them.
 *
 * The list of links mirrors what the kernel announces. A link's lease is kept when its client is
 * restarted or its cable pulled: the kernel drops the address when the lease has run out, and a new
 * lease replaces it. Routes prefer links in the order of their numbers.
 */
#include "init/net/net.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/netlink.h"
#include "init/base/str.h"
#include "init/net/ntp.h"
#include "init/net/resolv.h"

enum { METRIC = 100, MTU_MIN = 576, MTU_MAX = 65535 };

static void warn(struct net *n, const char *key, const char *text)
{
	if (n->config.warn)
		n->config.warn(n->config.data, key, text);
}

static const char *setting(const struct net *n, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static const char *setting(const struct net *n, const char *fmt, ...)
{
	char key[128];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(key, sizeof(key), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(key))
		return NULL;
	return strv_env_get(n->config.settings, key);
}

static struct net_link *find(struct net *n, int index)
{
	struct net_link *l;

	list_for_each(l, &n->links, link) {
		if (l->index == index)
			return l;
	}
	return NULL;
}

static bool has_sys(const char *name, const char *entry)
{
	char path[96];

	return str_format(path, sizeof(path), "/sys/class/net/%s/%s", name, entry) == 0 &&
	       access(path, F_OK) == 0;
}

static bool is_ours(const struct link_news *news)
{
	return news->ethernet && has_sys(news->name, "device") &&
	       !has_sys(news->name, "wireless") && !has_sys(news->name, "phy80211") &&
	       !has_sys(news->name, "master");
}

/* --- resolv.conf and what else follows from a change --- */

static void write_resolv(struct net *n)
{
	struct resolv r = { 0 };
	struct err e = { 0 };
	struct net_link *l;
	struct ip ip;
	const char *text;

	for (unsigned i = 0; i < RESOLV_SERVERS_MAX; i++) {
		text = setting(n, "network.dns.%u", i);
		if (text && ip_parse(text, &ip) == 0)
			resolv_add_server(&r, &ip);
	}
	for (unsigned i = 0; i < RESOLV_SEARCH_MAX; i++)
		resolv_add_search(&r, setting(n, "network.search.%u", i));
	list_for_each(l, &n->links, link) {
		for (size_t i = 0; r.n_servers < RESOLV_SERVERS_MAX && i < l->lease.n_dns; i++)
			resolv_add_server(&r, &l->lease.dns[i]);
		resolv_add_search(&r, l->lease.domain);
	}
	list_for_each(l, &n->links, link) {
		for (size_t i = 0; i < l->n_rdnss; i++)
			resolv_add_server(&r, &l->rdnss[i]);
	}
	if (resolv_write(&r, n->config.resolv_path, &e) < 0)
		log_warn("%s", err_text(&e));
}

int net_write_empty(const char *resolv_path, struct err *e)
{
	const struct resolv none = { 0 };

	return resolv_write(&none, resolv_path, e);
}

/* Whether a socket address is one by which others reach the machine; its text goes to buf. */
static bool global_address(const struct sockaddr *sa, char buf[IP_TEXT_MAX])
{
	struct ip ip = { 0 };

	if (!sa)
		return false;
	if (sa->sa_family == AF_INET) {
		ip = (struct ip){ .family = AF_INET, .prefix = 32 };
		memcpy(ip.bytes, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		ip = (struct ip){ .family = AF_INET6, .prefix = 128 };
		memcpy(ip.bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
		if (ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0) == 0x80)
			return false;
	} else {
		return false;
	}
	return ip_is_host(&ip) && *ip_text(&ip, buf);
}

/* Calls fn for every global address of the link; returns how many there are. */
static int each_address(const struct net_link *l, void (*fn)(const char *text, int i, void *data),
			void *data)
{
	struct ifaddrs *all = NULL;
	char text[IP_TEXT_MAX];
	int count = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		if (!str_eq(a->ifa_name, l->name) || !global_address(a->ifa_addr, text))
			continue;
		if (fn)
			fn(text, count, data);
		count++;
	}
	freeifaddrs(all);
	return count;
}

static void on_addresses(struct net *n)
{
	struct net_link *l;
	bool online = false;

	list_for_each(l, &n->links, link)
		online = online || each_address(l, NULL, NULL) > 0;
	if (online && !n->online) {
		timer_clear(&n->complain);
		warn(n, "network", NULL);
	}
	if (!online && n->online)
		(void)timer_set(n->loop, &n->complain, NET_COMPLAIN_MS);
	n->online = online;
	ntp_update(n);
	if (n->config.changed)
		n->config.changed(n->config.data);
}

static void on_complain(struct timer_event *ev)
{
	struct net *n = container_of(ev, struct net, complain);

	if (n->n_links == 0)
		warn(n, "network", "no network: the machine has no wired link");
	else
		warn(n, "network", "no network: no link has got an address yet");
}

/* --- one link --- */

static void static_address(struct net_link *l, const char *text)
{
	struct err e = { 0 };
	struct ip ip;

	if (ip_parse(text, &ip) < 0)
		log_warn("%s: \"%s\" is not an address like 192.0.2.2/24", l->name, text);
	else if (link_add_address(l->net->fd, l->index, &ip, LINK_FOREVER, &e) < 0)
		log_warn("%s: address %s: %s", l->name, text, err_text(&e));
}

static void static_gateway(struct net_link *l, const char *text)
{
	struct ip gateway, all = { 0 };
	struct err e = { 0 };

	if (ip_parse(text, &gateway) < 0) {
		log_warn("%s: \"%s\" is not the address of a gateway", l->name, text);
		return;
	}
	all.family = gateway.family;
	if (link_add_route(l->net->fd, l->index, &all, &gateway, NULL, METRIC + (uint32_t)l->index,
			   &e) < 0)
		log_warn("%s: gateway %s: %s", l->name, text, err_text(&e));
}

/* Calls fn with the value of network.links.NAME.KEY, or with each item when it is a list. */
static bool each_value(struct net_link *l, const char *key,
		       void (*fn)(struct net_link *l, const char *text))
{
	const char *text = setting(l->net, "network.links.%s.%s", l->name, key);
	bool any = text != NULL;

	if (text)
		fn(l, text);
	for (unsigned i = 0; i < NET_STATIC_MAX; i++) {
		text = setting(l->net, "network.links.%s.%s.%u", l->name, key, i);
		if (!text)
			break;
		fn(l, text);
		any = true;
	}
	return any;
}

static void start_dhcp(struct net_link *l)
{
	char name[SERVICE_NAME_MAX];
	size_t at = 0;

	snprintf(name, sizeof(name), "udhcpc@%s", l->name);
	snprintf(l->dhcp_hostname, sizeof(l->dhcp_hostname), "hostname:%s",
		 l->net->config.hostname);
	l->dhcp_argv[at++] = "udhcpc";
	l->dhcp_argv[at++] = "-f";
	l->dhcp_argv[at++] = "-i";
	l->dhcp_argv[at++] = l->name;
	l->dhcp_argv[at++] = "-s";
	l->dhcp_argv[at++] = "/usr/share/udhcpc/default.script";
	l->dhcp_argv[at++] = "-x";
	l->dhcp_argv[at++] = l->dhcp_hostname;
	l->dhcp_argv[at++] = "-O";
	l->dhcp_argv[at++] = "ntpsrv";
	l->dhcp_argv[at++] = "-O";
	l->dhcp_argv[at++] = "staticroutes";
	/* three questions a second apart, then again after five seconds, for ever */
	l->dhcp_argv[at++] = "-t3";
	l->dhcp_argv[at++] = "-T1";
	l->dhcp_argv[at++] = "-A5";
	l->dhcp_argv[at] = NULL;
	l->dhcp_spec = (struct service_spec){
		.path = "/sbin/udhcpc",
		.argv = l->dhcp_argv,
		.stop_ms = 1000,
		.hold_ms = 60000,
	};
	super_add(l->net->config.super, &l->dhcp, name, &l->dhcp_spec);
}

static void set_link_sysctls(const struct net_link *l)
{
	static const struct {
		const char *name, *value;
	} table[] = {
		/* 2: although this machine forwards for its containers */
		{ "ipv6/conf/%s/accept_ra", "2" },
		{ "ipv6/conf/%s/autoconf", "1" },
		{ "ipv6/conf/%s/accept_redirects", "0" },
		{ "ipv6/conf/%s/accept_source_route", "0" },
		{ "ipv4/conf/%s/accept_redirects", "0" },
		{ "ipv4/conf/%s/send_redirects", "0" },
		{ "ipv4/conf/%s/rp_filter", "2" },
	};
	_cleanup_(fd_close) int dir = open("/proc/sys/net", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *ipv6 = setting(l->net, "network.links.%s.ipv6", l->name);
	char path[96];

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const char *value = table[i].value;

		if (str_eq(ipv6, "false") && (i == 0 || i == 1))
			value = "0";
		if (str_format(path, sizeof(path), table[i].name, l->name) == 0)
			(void)file_put(dir, path, value, NULL);
	}
}

static void configure(struct net_link *l)
{
	const char *mtu = setting(l->net, "network.links.%s.mtu", l->name);
	const char *dhcp = setting(l->net, "network.links.%s.dhcp", l->name);
	struct err e = { 0 };
	uint64_t value;

	set_link_sysctls(l);
	if (mtu && (str_to_u64(mtu, &value) < 0 || value < MTU_MIN || value > MTU_MAX))
		log_warn("%s: \"%s\" is not an MTU between %d and %d", l->name, mtu, MTU_MIN,
			 MTU_MAX);
	else if (mtu && link_mtu(l->net->fd, l->index, (unsigned)value, &e) < 0)
		log_warn("%s: mtu %s: %s", l->name, mtu, err_text(&e));
	if (link_up(l->net->fd, l->index, &e) < 0)
		log_warn("%s cannot be brought up: %s", l->name, err_text(&e));
	l->is_static = each_value(l, "address", static_address);
	if (l->is_static) {
		(void)each_value(l, "gateway", static_gateway);
		log_info("%s: static", l->name);
	}
	if (dhcp ? str_eq(dhcp, "true") : !l->is_static)
		start_dhcp(l);
}

static void add_link(struct net *n, const struct link_news *news)
{
	struct net_link *l;

	if (n->n_links == NET_LINKS_MAX) {
		log_warn("%s: more than %d links, it stays down", news->name, NET_LINKS_MAX);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		return;
	l->net = n;
	l->index = news->index;
	(void)str_copy(l->name, sizeof(l->name), news->name);
	list_append(&n->links, &l->link);
	n->n_links++;
	configure(l);
}

static void remove_link(struct net_link *l)
{
	struct net *n = l->net;

	super_remove(&l->dhcp);
	list_remove(&l->link);
	n->n_links--;
	free(l);
}

/* A carrier came: ask at once, or ask for the lease anew, as it may be another network. */
static void on_carrier(struct net_link *l)
{
	if (!l->dhcp.super)
		return;
	if (super_alive(&l->dhcp))
		(void)super_signal(&l->dhcp, SIGUSR1);
	else
		super_start(&l->dhcp);
}

static void on_link(struct monitor *m, const struct link_news *news)
{
	struct net *n = container_of(m, struct net, monitor);
	struct net_link *l = find(n, news->index);

	if (!l && !news->gone && is_ours(news)) {
		add_link(n, news);
		l = find(n, news->index);
	}
	if (!l)
		return;
	if (news->gone || !str_eq(l->name, news->name)) {
		log_notice("%s is gone", l->name);
		remove_link(l);
		write_resolv(n);
		on_addresses(n);
		if (!news->gone)
			on_link(m, news); /* a new name: a new link */
		return;
	}
	if (news->running == l->running)
		return;
	l->running = news->running;
	log_info("%s: %s", l->name, l->running ? "link is up" : "link is down");
	if (l->running)
		on_carrier(l);
}

static void on_address(struct monitor *m, int index)
{
	struct net *n = container_of(m, struct net, monitor);

	if (find(n, index))
		on_addresses(n);
}

static void on_rdnss(struct monitor *m, const struct rdnss_news *news)
{
	struct net *n = container_of(m, struct net, monitor);
	struct net_link *l = find(n, news->index);

	if (!l)
		return;
	l->n_rdnss = news->lifetime ? news->n : 0;
	memcpy(l->rdnss, news->servers, sizeof(l->rdnss));
	write_resolv(n);
}

static void on_lost(struct monitor *m)
{
	struct net *n = container_of(m, struct net, monitor);
	struct err e = { 0 };

	if (monitor_list_links(m, &e) < 0)
		log_warn("cannot list links: %s", err_text(&e));
	on_addresses(n);
}

/* --- leases --- */

static uint32_t metric_of(const struct net_link *l)
{
	return METRIC + (uint32_t)l->index;
}

static void drop_lease(struct net_link *l)
{
	const struct dhcp_event *old = &l->lease;

	if (!old->address.family)
		return;
	for (size_t i = 0; i < old->n_routes; i++)
		(void)link_remove_route(l->net->fd, l->index, &old->routes[i].to,
					&old->routes[i].gateway, metric_of(l), NULL);
	(void)link_remove_address(l->net->fd, l->index, &old->address, NULL);
	l->lease = (struct dhcp_event){ 0 };
}

static void take_lease(struct net_link *l, const struct dhcp_event *ev)
{
	bool same = ip_equal(&l->lease.address, &ev->address);
	char text[IP_TEXT_MAX];
	struct err e = { 0 };

	if (!same)
		drop_lease(l);
	if (link_add_address(l->net->fd, l->index, &ev->address, ev->lease, &e) < 0)
		log_warn("%s: %s", l->name, err_text(&e));
	/* routes on the link first: gateways are reached through them */
	for (int gateways = 0; gateways <= 1; gateways++) {
		for (size_t i = 0; i < ev->n_routes; i++) {
			const struct dhcp_route *r = &ev->routes[i];

			if ((r->gateway.family != 0) == gateways &&
			    link_add_route(l->net->fd, l->index, &r->to, &r->gateway, &ev->address,
					   metric_of(l), &e) < 0)
				log_warn("%s: a route of the lease: %s", l->name, err_text(&e));
		}
	}
	l->lease = *ev;
	if (!same)
		log_info("%s: address %s/%u by DHCP", l->name, ip_text(&ev->address, text),
			 ev->address.prefix);
}

int net_event(struct net *n, const char *text, struct err *e)
{
	struct dhcp_event ev;
	struct net_link *l;
	int r = dhcp_parse(text, &ev, e);

	if (r < 0)
		return r;
	list_for_each(l, &n->links, link) {
		if (!str_eq(l->name, ev.interface) || !l->dhcp.super)
			continue;
		/* a client that starts or asks anew is no reason to cut connections: the kernel
		 * drops the address at the end of its lease */
		if (ev.kind != DHCP_BOUND)
			return 0;
		take_lease(l, &ev);
		write_resolv(n);
		ntp_update(n);
		return 0;
	}
	return err_set(e, ENOENT, "%s does not get its address by DHCP", ev.interface);
}

/* --- all of it --- */

int net_start(struct net *n, struct loop *l, const struct net_config *config, struct err *e)
{
	*n = (struct net){ .config = *config, .loop = l, .monitor = MONITOR_INIT, .fd = -1 };
	list_init(&n->links);
	n->complain.fn = on_complain;
	n->monitor.link = on_link;
	n->monitor.address = on_address;
	n->monitor.rdnss = on_rdnss;
	n->monitor.lost = on_lost;
	n->fd = nl_open(NETLINK_ROUTE, e);
	if (n->fd < 0)
		return n->fd;
	if (link_up(n->fd, (int)if_nametoindex("lo"), e) < 0)
		log_warn("loopback: %s", err_text(e));
	ntp_init(n);
	write_resolv(n);
	if (monitor_start(&n->monitor, l, e) < 0 || monitor_list_links(&n->monitor, e) < 0)
		return -e->code;
	(void)timer_set(l, &n->complain, n->n_links ? NET_COMPLAIN_MS : 0);
	return 0;
}

void net_stop(struct net *n)
{
	struct net_link *l;

	monitor_stop(&n->monitor);
	timer_clear(&n->complain);
	while (n->links.next && (l = list_first(&n->links, struct net_link, link)))
		remove_link(l);
	super_remove(&n->ntp);
	fd_close(take_fd(n->fd));
}

/* --- telling --- */

struct telling {
	struct buf *out;
	const char *separator;
};

static void tell_text(const char *text, int i, void *data)
{
	struct telling *t = data;

	(void)i;
	buf_printf(t->out, "%s%s", t->separator, text);
	t->separator = ", ";
}

void net_addresses(const struct net *n, struct buf *out)
{
	struct net_link *l;

	if (!n->links.next)
		return;
	list_for_each(l, &n->links, link) {
		_cleanup_(buf_free) struct buf text = BUF_INIT(1024);
		struct telling t = { .out = &text, .separator = "" };

		if (each_address(l, tell_text, &t) > 0)
			buf_printf(out, "%s%s %s", out->len ? "; " : "", l->name, buf_text(&text));
	}
}

static void tell_json(const char *text, int i, void *data)
{
	buf_printf(data, "%s\"%s\"", i ? "," : "", text);
}

void net_json(const struct net *n, struct buf *out)
{
	struct net_link *l;
	const char *comma = "";

	buf_add_char(out, '[');
	if (n->links.next) {
		list_for_each(l, &n->links, link) {
			/* link names have no quotes: the kernel allows them, so leave such a
			 * link out */
			if (strpbrk(l->name, "\"\\"))
				continue;
			buf_printf(out,
				   "%s{\"name\":\"%s\",\"running\":%s,\"method\":\"%s\","
				   "\"addresses\":[",
				   comma, l->name, l->running ? "true" : "false",
				   l->is_static ? "static" : "dhcp");
			(void)each_address(l, tell_json, out);
			buf_add_text(out, "]}");
			comma = ",";
		}
	}
	buf_add_char(out, ']');
}
