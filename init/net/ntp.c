/*
 * ntpd as a service whose arguments follow the list of servers.
 */
#include "init/net/ntp.h"

#include <string.h>

#include "init/base/log.h"
#include "init/base/str.h"

void ntp_init(struct net *n)
{
	n->ntp_spec = (struct service_spec){
		.path = "/usr/sbin/ntpd",
		.argv = n->ntp_argv,
		.stop_ms = 1000,
		.hold_ms = 600000,
	};
	super_add(n->config.super, &n->ntp, "ntpd", &n->ntp_spec);
}

bool ntp_server_valid(const char *name)
{
	struct ip ip;

	if (ip_parse(name, &ip) == 0)
		return !strchr(name, '/') && ip_is_host(&ip);
	return dhcp_domain_valid(name);
}

static void add_server(struct net *n, const char *name)
{
	if (n->n_ntp == NET_TIME_SERVERS_MAX)
		return;
	for (size_t i = 0; i < n->n_ntp; i++) {
		if (str_eq(n->ntp_servers[i], name))
			return;
	}
	if (ntp_server_valid(name) &&
	    str_copy(n->ntp_servers[n->n_ntp], sizeof(n->ntp_servers[0]), name) == 0)
		n->n_ntp++;
	else
		log_warn("the time server \"%s\" is neither a name nor an address", name);
}

static void collect(struct net *n)
{
	char key[48], text[IP_TEXT_MAX];
	struct net_link *l;

	n->n_ntp = 0;
	for (unsigned i = 0; i < NET_TIME_SERVERS_MAX; i++) {
		const char *name;

		snprintf(key, sizeof(key), "time.servers.%u", i);
		name = strv_env_get(n->config.settings, key);
		if (name)
			add_server(n, name);
	}
	if (n->n_ntp)
		return;
	list_for_each(l, &n->links, link) {
		for (size_t i = 0; i < l->lease.n_ntp; i++)
			add_server(n, ip_text(&l->lease.ntp[i], text));
	}
}

static void build_argv(struct net *n)
{
	size_t at = 0;

	n->ntp_argv[at++] = "ntpd";
	n->ntp_argv[at++] = "-n";
	n->ntp_argv[at++] = "-S";
	n->ntp_argv[at++] = "/usr/share/skerry/ntp-event"; /* PID 1's binary, see init/client.c */
	for (size_t i = 0; i < n->n_ntp; i++) {
		n->ntp_argv[at++] = "-p";
		n->ntp_argv[at++] = n->ntp_servers[i];
	}
	n->ntp_argv[at] = NULL;
}

void ntp_update(struct net *n)
{
	char old[sizeof(n->ntp_servers)];
	size_t n_old = n->n_ntp;

	memcpy(old, n->ntp_servers, sizeof(old));
	memset(n->ntp_servers, 0, sizeof(n->ntp_servers));
	collect(n);
	if (!n->online || n->n_ntp == 0) {
		if (n->ntp.life.state != SERVICE_STOPPED)
			super_stop(&n->ntp);
		return;
	}
	if (n->ntp.life.state == SERVICE_STOPPED || n->ntp.life.state == SERVICE_STOPPING) {
		build_argv(n);
		super_start(&n->ntp);
	} else if (n_old != n->n_ntp || memcmp(old, n->ntp_servers, sizeof(old)) != 0) {
		build_argv(n);
		super_restart(&n->ntp);
	}
}
