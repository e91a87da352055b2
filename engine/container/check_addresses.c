/*
 * Checks of a create request: names and addresses that only a start would stumble over otherwise:
 * exposed ports, extra hosts, resolvers.
 *
 * Called once by container_create, before anything is made.
 */
#include "engine/container/object.h"
#include "engine/net/hosts.h"
#include "init/base/str.h"

enum { HOSTS_TEXT_MAX = 1 << 20 };

static int check_exposed(const struct container_config *c, struct err *e)
{
	for (char **x = c->exposed_ports; x && *x; x++) {
		uint16_t port;
		uint8_t proto;

		if (port_parse(*x, &port, &proto, NULL) < 0)
			return err_set(e, EINVAL, "invalid port specification: \"%.60s\"", *x);
	}
	return 0;
}

/* Made as at the start, with a gateway that stands for the one it will have. */
static int check_hosts(const struct host_config *h, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(HOSTS_TEXT_MAX);
	struct ip_addr gateway;
	int r = ip_parse("127.0.0.1", &gateway, e);

	return r < 0 ? r : hosts_extra(&text, h->extra_hosts, &gateway, e);
}

static int check_resolvers(const struct host_config *h, struct err *e)
{
	struct ip_addr a;

	for (char **x = h->dns; x && *x; x++)
		if (ip_parse(*x, &a, NULL) < 0)
			return err_set(e, EINVAL, "HostConfig.Dns: %.60s is not an ip address", *x);
	return 0;
}

int addresses_check(const struct create_config *c, struct err *e)
{
	int r = check_exposed(&c->config, e);

	if (r == 0)
		r = check_hosts(&c->host, e);
	return r < 0 ? r : check_resolvers(&c->host, e);
}
