/*
 * The machine's own network: which links there are, how each gets its addresses, resolv.conf, NTP.
 *
 * A link is ours when it is wired Ethernet with a device behind it (/sys/class/net/NAME/device):
 * bridges, veth pairs and the like belong to the engine and are never touched. Each of ours is
 * brought up and then configured from system.yaml or by a supervised udhcpc of its own; IPv6 comes
 * from router adverts, by the kernel. Nothing here waits: all answers arrive as events. Used by
 * main, control (events of udhcpc and ntpd) and shutdown.
 */
#ifndef SKERRY_NET_NET_H
#define SKERRY_NET_NET_H

#include <net/if.h>
#include <stdbool.h>

#include "init/base/buf.h"
#include "init/base/err.h"
#include "init/base/list.h"
#include "init/base/loop.h"
#include "init/net/dhcp.h"
#include "init/net/monitor.h"
#include "init/super/super.h"

enum {
	NET_LINKS_MAX = 64,
	NET_TIME_SERVERS_MAX = 4,
	NET_STATIC_MAX = 8,
	NET_COMPLAIN_MS = 15000, /* without any address for that long is worth a warning */
};

struct net_config {
	struct super *super;
	char *const *settings; /* flat settings (init/boot/settings.h), valid as long as the net */
	const char *hostname;
	const char *resolv_path;
	/* A warning under a key; text NULL takes it back. */
	void (*warn)(void *data, const char *key, const char *text);
	/* An address of the machine came or went. */
	void (*changed)(void *data);
	void *data;
};

struct net_link {
	struct list link;
	struct net *net;
	char name[IFNAMSIZ];
	int index;
	bool running;
	bool is_static;
	struct dhcp_event lease; /* kind BOUND and an address while there is one */
	struct ip rdnss[RDNSS_MAX];
	size_t n_rdnss;
	struct service dhcp;
	struct service_spec dhcp_spec;
	const char *dhcp_argv[24];
	char dhcp_hostname[80]; /* "hostname:NAME" */
};

struct net {
	struct net_config config;
	struct loop *loop;
	struct monitor monitor;
	int fd; /* for calls */
	struct list links;
	size_t n_links;
	struct timer_event complain;
	struct service ntp;
	struct service_spec ntp_spec;
	const char *ntp_argv[8 + 2 * NET_TIME_SERVERS_MAX];
	char ntp_servers[NET_TIME_SERVERS_MAX][128];
	size_t n_ntp;
	bool online;
};

/* Loopback up, links listed and set going. Fails only when there is no rtnetlink. */
int net_start(struct net *n, struct loop *l, const struct net_config *config, struct err *e);
/* Writes resolv.conf without servers, for a machine whose network is switched off. */
int net_write_empty(const char *resolv_path, struct err *e);
/* An event of udhcpc, as text (dhcp.h). */
int net_event(struct net *n, const char *text, struct err *e);
/* Stops watching and configuring; addresses stay until the kernel ends. */
void net_stop(struct net *n);
/* "eth0 192.0.2.2, 2001:db8::2; eth1 ..." for people; "" when there are none. */
void net_addresses(const struct net *n, struct buf *out);
/* [{"name":"eth0","running":true,"addresses":["192.0.2.2/24"],...}] */
void net_json(const struct net *n, struct buf *out);

#endif
