/*
 * The parser of udhcpc's events.
 */
#include "init/net/dhcp.h"

#include <string.h>
#include <sys/socket.h>

#include "init/base/str.h"

enum { LINES_MAX = 64 };

static const struct {
	const char *name;
	enum dhcp_kind kind;
} kinds[] = {
	{ "deconfig", DHCP_DECONFIG }, { "nak", DHCP_DECONFIG },     { "bound", DHCP_BOUND },
	{ "renew", DHCP_BOUND },       { "leasefail", DHCP_FAILED },
};

static int parse_kind(const char *name, enum dhcp_kind *ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (str_eq(kinds[i].name, name)) {
			*ret = kinds[i].kind;
			return 0;
		}
	}
	return err_set(e, EINVAL, "\"%.40s\" is not an event of the DHCP client", name);
}

static bool interface_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < IFNAMSIZ && !strchr(name, '/') && !str_eq(name, ".") &&
	       !str_eq(name, "..");
}

/* an IPv4 host address without a prefix */
static int parse_host(const char *text, struct ip *ret)
{
	struct ip ip;

	if (!text || strchr(text, '/') || ip_parse(text, &ip) < 0 || ip.family != AF_INET ||
	    !ip_is_host(&ip))
		return -EINVAL;
	*ret = ip;
	return 0;
}

static size_t parse_hosts(const char *text, struct ip *ret, size_t max)
{
	_cleanup_(strv_free) char **words = strv_split(text ? text : "", " ", false);
	size_t n = 0;

	for (size_t i = 0; words && words[i] && n < max; i++) {
		if (parse_host(words[i], &ret[n]) == 0)
			n++;
	}
	return n;
}

bool dhcp_domain_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= DHCP_NAME_MAX && name[0] != '.' && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
		       len;
}

/* udhcpc gives the number of bits as "mask"; 24 when there is none, as classes are history */
static unsigned parse_mask(const char *text)
{
	uint64_t bits;

	return text && str_to_u64(text, &bits) == 0 && bits >= 1 && bits <= 32 ? (unsigned)bits
									       : 24;
}

static void add_route(struct dhcp_event *ev, const struct ip *to, const struct ip *gateway)
{
	if (ev->n_routes < DHCP_ROUTES_MAX)
		ev->routes[ev->n_routes++] = (struct dhcp_route){ *to, *gateway };
}

/* "10.0.0.0/8 192.0.2.1 0.0.0.0/0 192.0.2.1": pairs of destination and gateway (RFC 3442) */
static void parse_static_routes(const char *text, struct dhcp_event *ev)
{
	_cleanup_(strv_free) char **words = strv_split(text, " ", false);

	for (size_t i = 0; words && words[i] && words[i + 1]; i += 2) {
		struct ip to, gateway = { 0 };

		if (ip_parse(words[i], &to) < 0 || to.family != AF_INET)
			continue;
		if (!str_eq(words[i + 1], "0.0.0.0") && parse_host(words[i + 1], &gateway) < 0)
			continue;
		add_route(ev, &to, &gateway);
	}
}

static void parse_router(const char *text, struct dhcp_event *ev)
{
	const struct ip all = { .family = AF_INET };
	struct ip gateway;

	/* the first one: more would need a metric each and a judge between them */
	if (parse_hosts(text, &gateway, 1) == 1)
		add_route(ev, &all, &gateway);
}

static void parse_lease(const char *text, struct dhcp_event *ev)
{
	uint64_t seconds;

	ev->lease = LINK_FOREVER;
	if (text && str_to_u64(text, &seconds) == 0 && seconds < LINK_FOREVER)
		ev->lease = (uint32_t)MAX(seconds, (uint64_t)DHCP_LEASE_MIN);
}

static int parse_bound(char *const *env, struct dhcp_event *ev, struct err *e)
{
	const char *routes = strv_env_get(env, "staticroutes");
	const char *domain = strv_env_get(env, "domain");

	if (parse_host(strv_env_get(env, "ip"), &ev->address) < 0)
		return err_set(e, EINVAL, "%s: the lease has no usable address", ev->interface);
	ev->address.prefix = parse_mask(strv_env_get(env, "mask"));
	if (routes) /* RFC 3442: then the router option does not count */
		parse_static_routes(routes, ev);
	else
		parse_router(strv_env_get(env, "router"), ev);
	ev->n_dns = parse_hosts(strv_env_get(env, "dns"), ev->dns, DHCP_SERVERS_MAX);
	ev->n_ntp = parse_hosts(strv_env_get(env, "ntpsrv"), ev->ntp, DHCP_SERVERS_MAX);
	if (domain && dhcp_domain_valid(domain))
		(void)str_copy(ev->domain, sizeof(ev->domain), domain);
	parse_lease(strv_env_get(env, "lease"), ev);
	return 0;
}

int dhcp_parse(const char *text, struct dhcp_event *ret, struct err *e)
{
	_cleanup_(strv_free) char **lines = strv_split(text, "\n", false);
	struct dhcp_event ev = { 0 };
	const char *interface;
	int r;

	if (!lines)
		return err_set(e, ENOMEM, "out of memory for an event of the DHCP client");
	if (!lines[0] || !str_starts(lines[0], "net-event ") || strv_len(lines) > LINES_MAX)
		return err_set(e, EINVAL, "this is not an event of the DHCP client");
	r = parse_kind(lines[0] + strlen("net-event "), &ev.kind, e);
	if (r < 0)
		return r;
	interface = strv_env_get(lines + 1, "interface");
	if (!interface || !interface_valid(interface))
		return err_set(e, EINVAL, "the event of the DHCP client names no link");
	(void)str_copy(ev.interface, sizeof(ev.interface), interface);
	if (ev.kind == DHCP_BOUND) {
		r = parse_bound(lines + 1, &ev, e);
		if (r < 0)
			return r;
	}
	*ret = ev;
	return 0;
}
