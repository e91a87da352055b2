/*
 * The network of containers: networks (bridge, host, none), and one sandbox per running container.
 *
 * A network is a bridge with a subnet (or the machine's own stack, or nothing). A sandbox is a
 * container's network stack: its namespace at RUN_DIR/netns/<id>, one endpoint (veth, address) for
 * each network it is in, its published ports, and its hosts, hostname and resolv.conf files. The
 * rules of the machine's packet filter (tables `skerry`) follow from the list of networks and
 * sandboxes and are replaced whole, in one transaction, at each change.
 *
 * Crash-only: the record RUN_DIR/net/<id>.json is written before anything is made, and what has a
 * record can be taken apart completely. nets_start adopts the sandboxes of containers that still
 * run, without touching them, and removes all others. RUN_DIR is a tmpfs: records live exactly as
 * long as namespaces can.
 *
 * Every call is synchronous and short (some netlink round trips; one fork for a new namespace).
 * Callers: container/ (attach, detach, stats), api/ and manifest/ (list, resolve), main (new,
 * start, free).
 */
#ifndef SKERRY_NET_NET_H
#define SKERRY_NET_NET_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/net/addr.h"
#include "engine/net/ports.h"
#include "init/base/err.h"
#include "init/base/loop.h"

struct nets;

struct nets_config {
	const char *run_dir; /* "/run/skerry" */
	const char *state_dir; /* "/var/lib/skerry": networks/<id>.json */
	const char *resolv_conf; /* the machine's resolvers; watched, containers' files follow it */
	const char *hosts; /* the machine's hosts file, copied for host mode; NULL: "/etc/hosts" */
	const char *sysctl_dir; /* NULL: "/proc/sys" */
	bool proxy; /* IPv6 of the machine reaches containers of IPv4 (engine/proxy) */
	bool dns; /* networks of one's own have the embedded resolver (engine/dns) */
};

enum net_driver { NET_BRIDGE, NET_HOST, NET_NONE, NET_MACVLAN, NET_IPVLAN };

/* How the outside reaches a bridge's containers, of each family. */
enum net_gateway {
	GATEWAY_NAT, /* by published ports of the machine; they leave with its address */
	GATEWAY_UNPROTECTED, /* the same, and by their own addresses at every port */
	GATEWAY_ROUTED, /* by their own addresses at their published ports; no translation */
	GATEWAY_ISOLATED, /* not at all: the bridge itself has no address (internal ones only) */
};

enum { NET_ID_LEN = 64 };

struct network {
	char id[NET_ID_LEN + 1];
	char *name;
	enum net_driver driver;
	int64_t created; /* real ns */
	struct ip_net subnet; /* none in host, none, and without IPv4 */
	struct ip_addr gateway; /* the bridge's own address */
	struct ip_net range; /* the part of the subnet that addresses are given from; none: all */
	struct ip_net subnet6, range6; /* none without IPv6 */
	struct ip_addr gateway6;
	char **aux; /* "name=address": never given to a container */
	char ifname[IFNAMSIZ]; /* the bridge's link */
	char prefix[IFNAMSIZ]; /* of the links in containers: "eth" */
	uint32_t mtu;
	bool predefined; /* bridge, host, none: cannot be removed */
	bool internal; /* nothing goes out, nothing is published */
	bool attachable; /* told in inspect; there is no swarm that it would matter to */
	bool ipv4, ipv6;
	enum net_gateway gateway_mode, gateway_mode6;
	bool subnet_asked; /* by its maker: containers may ask for addresses of it */
	bool masquerade; /* leaves the machine with the machine's address */
	bool icc; /* its containers may talk to each other */
	char **labels; /* "key=value" */
	char **options; /* "key=value", driver options as Docker names them */
	/* macvlan and ipvlan */
	char parent[IFNAMSIZ]; /* the machine's link that they are made on */
	bool parent_made; /* by us: it goes with the network */
	uint32_t link_mode; /* MACVLAN_MODE_* or IPVLAN_MODE_* */
	uint16_t link_flags; /* IPVLAN_F_* */
};

/* Whether its containers get links: not host and none. */
bool network_has_links(const struct network *n);

const char *net_driver_name(enum net_driver d); /* "bridge", "null", ... as Docker says */

struct endpoint {
	char id[NET_ID_LEN + 1];
	const struct network *network;
	struct ip_net address; /* with the subnet's prefix; none in host and none */
	struct ip_addr gateway;
	struct ip_net address6; /* in networks with IPv6 */
	struct ip_addr gateway6;
	int64_t priority; /* the highest is the way out */
	uint8_t mac[6];
	bool has_mac;
	char ifname[IFNAMSIZ]; /* in the container: eth0, eth1, ... */
	char host_ifname[IFNAMSIZ]; /* the other end, on bridges */
	int index; /* of the link in the container, once it is made; macvlan and ipvlan */
	char **aliases; /* as asked for */
};

enum net_mode {
	NET_MODE_OWN, /* its own namespace */
	NET_MODE_HOST, /* the machine's; no namespace in the runtime's config */
	NET_MODE_SHARED, /* another container's */
};

enum { NET_ENDPOINTS_MAX = 32 };

struct sandbox {
	char id[NET_ID_LEN + 1]; /* of the container */
	char sandbox_id[NET_ID_LEN + 1];
	enum net_mode mode;
	char *key; /* path of the namespace ("/run/skerry/netns/<id>"); NULL in host mode */
	char *shared_with; /* NET_MODE_SHARED: that container's id */
	char *name; /* the container's, without slash */
	char *host_names; /* its own names, as a line of the hosts file has them */
	bool embedded_dns; /* resolv.conf names 127.0.0.11; once so, always */
	struct endpoint *endpoints;
	size_t n_endpoints;
	struct port_binding *ports; /* what is published now */
	size_t n_ports;
	/* the three files to bind over /etc/...; in shared mode the other container's */
	char *hosts_path;
	char *hostname_path;
	char *resolv_path;
	uint64_t resolv_mark; /* checksum of the resolv.conf that was written last */
	/* as asked for; needed when the machine's resolvers change */
	char **dns, **dns_search, **dns_options;
};

/* One network to join, besides or instead of the one that the mode names. */
struct net_join {
	const char *network; /* name, id, or unique start of an id */
	const char *ipv4, *ipv6; /* fixed addresses, or NULL */
	const char *mac; /* or NULL */
	char *const *aliases; /* or NULL */
	int64_t priority; /* for the way out; 0: none */
};

struct net_request {
	const char *id; /* container id, 64 hex */
	const char *name; /* without slash */
	const char *hostname; /* Config.Hostname; none: 12 of the id (in host mode the machine's) */
	const char *domainname; /* or NULL */
	const char *dir; /* where the three files are written (the container's state folder) */
	/* HostConfig.NetworkMode: "", "default", "bridge", "host", "none", "container:<full
	 * id>", or a network's name or id */
	const char *mode;
	/* The networks to be in, the first one as eth0; none: the one of the mode alone. */
	const struct net_join *joins;
	size_t n_joins;
	const struct port_want *ports;
	size_t n_ports;
	char *const *dns, *const *dns_search, *const *dns_options; /* HostConfig.Dns*, or NULL */
	char *const *extra_hosts; /* "name:address", address may be "host-gateway"; or NULL */
	int user_ns; /* descriptor of the user namespace that a new network namespace belongs to; <=
		      * 0: the machine's */
};

/* Reads the networks; makes nothing yet. */
int nets_new(struct loop *loop, const struct nets_config *c, struct nets **ret_nets, struct err *e);
/* Brings the machine into the state that the records say: bridges, rules (before forwarding is
 * switched on), adopts the sandboxes of `running` (container ids, strv, may be NULL), removes every
 * other one. What fails is logged as a warning and tried again by the next net_attach; returns the
 * first such failure, which need not stop the engine. */
int nets_start(struct nets *n, char *const *running, struct err *e);
/* Leaves the machine as it is: containers keep their network while the engine is away. */
void nets_free(struct nets *n);
DEFINE_CLEANUP(struct nets *, nets_free)

/* Networks in the order bridge, host, none, then by creation. */
size_t nets_count(const struct nets *n);
const struct network *nets_at(const struct nets *n, size_t i);
/* By name, id, or unique start of an id. -ENOENT "network X not found", -EINVAL when a start fits
 * several. */
int nets_find(const struct nets *n, const char *ref, const struct network **ret_network,
	      struct err *e);

/* One entry of a create request's IPAM.Config. */
struct ipam_want {
	const char *subnet, *range, *gateway; /* NULL or "": ours to choose */
	char *const *aux; /* "name=address", or NULL */
};

struct network_want {
	const char *name;
	const char *driver; /* NULL or "": bridge */
	const struct ipam_want *ipam;
	size_t n_ipam;
	bool internal, attachable, no_ipv4, ipv6;
	char *const *labels, *const *options; /* "key=value", or NULL */
};

/* A new network: durable, its bridge up and in the rules. -EEXIST, -EINVAL, -EPERM (a predefined
 * name; a subnet that another network or the machine has), -ENOENT (driver), -ENOSPC. */
int nets_create(struct nets *n, const struct network_want *w, const struct network **ret_network,
		struct err *e);
/* Removes one that has no endpoints; *net is gone after success. -EPERM. */
int nets_remove(struct nets *n, const struct network *net, struct err *e);
/* Whether a running container is in it. */
bool network_in_use(const struct nets *n, const struct network *net);

/* Checks a request as far as that is possible without making anything (for container create): mode,
 * networks, addresses. -EINVAL, -ENOENT. */
int net_check(const struct nets *n, const struct net_request *r, struct err *e);
/* Whether these ports could be had now (they are taken and given back): errors as net_attach. */
int nets_probe_ports(struct nets *n, const struct port_want *wants, size_t n_wants, struct err *e);
/* Makes the sandbox of a container that is about to start. An older sandbox of that id is removed
 * first. *ret_sandbox belongs to net/ and is valid until net_detach. On failure nothing is left.
 * -ENOENT (network), -EINVAL, -EADDRINUSE (port or address), -EADDRNOTAVAIL, -ENOSPC (no address
 * left), -ESRCH (container:ID that has no sandbox). */
int net_attach(struct nets *n, const struct net_request *r, const struct sandbox **ret_sandbox,
	       struct err *e);
/* Removes rules, ports, links, namespace and record (the files stay: they belong to the container's
 * folder). Absent is fine. */
int net_detach(struct nets *n, const char *id, struct err *e);
const struct sandbox *net_get(const struct nets *n, const char *id); /* NULL when there is none */
/* Whether a container of this mode may be in that network too. -EINVAL, Docker's texts. */
int net_check_join(const struct nets *n, const char *mode, const struct net_join *j, struct err *e);
/* One more network for a sandbox, or one less, while the container runs. -EPERM when it is in it
 * already, or is not; else as net_attach. The sandbox's endpoints have moved after either. */
int net_connect(struct nets *n, const char *id, const struct net_join *j, struct err *e);
int net_disconnect(struct nets *n, const char *id, const struct network *net, struct err *e);
/* The container has another name now, which its networks resolve. */
int net_rename(struct nets *n, const char *id, const char *name, struct err *e);

struct net_stats {
	char ifname[IFNAMSIZ]; /* in the container */
	uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped;
	uint64_t tx_bytes, tx_packets, tx_errors, tx_dropped;
};
/* Counters as the container sees them, one for each endpoint with a link; at most `max`. Returns
 * the number or -errno. */
int net_stats(struct nets *n, const char *id, struct net_stats *ret_stats, size_t max,
	      struct err *e);

#endif
