/*
 * What the files of engine/net share: the module's state. Nobody outside this folder includes it.
 *
 *   nets.c     the module and its list of networks
 *   bridges.c  bringing bridges up
 *   create.c   networks that people make and remove
 *   options.c  what their driver options ask for
 *   vlan.c     links of macvlan and ipvlan, and what they are made on
 *   attach.c   making and removing a sandbox
 *   endpoint.c  one network of a sandbox: plan, links, the way out
 *   connect.c  networks of a sandbox that is there
 *   departing.c  links on their way out
 *   restore.c  after an engine start: adopting sandboxes, removing leftovers
 *   record.c   networks and sandboxes as JSON documents
 *   files.c    the three files of a container, and following the machine's resolvers
 *   resolver.c the embedded resolver's process and what it knows
 *   stats.c    counters
 *   proxy.c    ports of IPv6 that a process carries
 *   heal.c     putting the rules back when somebody else changed them
 *   apply.c    the list of everything as struct rules, sent
 */
#ifndef SKERRY_NET_INSIDE_H
#define SKERRY_NET_INSIDE_H

#include "engine/data/json.h"
#include "engine/net/net.h"
#include "engine/net/pool.h"
#include "engine/worker/worker.h"
#include "init/base/list.h"
#include "init/base/map.h"

/* A network and what is known of it while the engine runs. */
struct net {
	struct network pub;
	struct pool pool, pool6; /* bridges */
	int index; /* of the bridge's link; 0 until it is up */
};

/* The resolver's process, resolver.c. */
struct dns_client {
	bool wanted;
	struct worker worker;
	int channel; /* -1: it does not run */
	struct timer_event again; /* until it is started again */
};

/* What carries IPv6 to where the packet filter cannot, proxy.c. */
struct proxy_client {
	bool wanted;
	struct worker worker;
	int channel; /* -1: it does not run */
	struct timer_event again; /* until it is started again */
	int epoll; /* of all sockets, until it is started; -1 none */
	struct io_event wake;
};

struct nets {
	struct loop *loop;
	struct dns_client dns;
	struct proxy_client proxy;
	char *run_dir, *state_dir, *resolv_conf, *hosts, *sysctl_dir;
	struct net **nets; /* in the order of nets_at */
	size_t n_nets;
	struct map sandboxes; /* container id -> struct sandbox */
	struct port_space ports;
	int route_fd, filter_fd; /* netlink sockets of the machine's namespace; -1 until needed */
	bool up; /* bridges, rules and forwarding are as they should be */
	int watch_fd; /* inotify on the folder of resolv_conf; -1 none */
	struct io_event watch;
	struct list departing; /* links that go with their namespaces, departing.c */
	struct timer_event departing_timer;
	int news_fd; /* notifications of nf_tables, heal.c; -1 none */
	struct io_event filter_news;
	struct timer_event heal_timer;
	bool heal_again; /* when the timer ends */
	uint32_t generation; /* of the rules, as the kernel counts them, after our last change */
};

/* nets.c */
struct net *net_of(const struct network *pub);
void network_release(struct net *n);
DEFINE_CLEANUP(struct net *, network_release)
int nets_add(struct nets *n, struct net *net, struct err *e); /* takes it over on success */

/* bridges.c */
enum { SUBNETS_MAX = 2048 };
/* Finds the bridges that an earlier engine made, so that their addresses do not count as the
 * machine's. */
void nets_recall(struct nets *n);
int nets_bring_up(struct nets *n, struct err *e);
/* The subnets of all our networks but `except` (their number in *ret_ours, may be NULL), then the
 * machine's. Returns the number. */
int taken_subnets(struct nets *n, const struct net *except, struct ip_net taken[SUBNETS_MAX],
		  size_t *ret_ours, struct err *e);
/* The pools of a network whose subnets are settled, without what is never given. */
int settle_pools(struct net *net, struct err *e);
/* The link of the machine that a network needs, and what we made of it taken away again. */
int link_make(struct nets *n, struct net *net, struct err *e);
int link_unmake(struct nets *n, struct net *net, struct err *e);
int forwarding_on(const struct nets *n, struct err *e);
/* Writes /proc/sys (or sysctl_dir) + the printf path. */
int net_sysctl(const struct nets *n, const char *value, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* options.c */
/* driver, id, internal, ipv6, options and the defaults are set. -EINVAL. */
int options_read(struct network *p, struct err *e);
int options_read_late(struct network *p,
		      struct err *e); /* of a record; predefined ones have none */

/* vlan.c: all of it for macvlan and ipvlan only */
int parent_free(const struct nets *n, const struct network *p, struct err *e);
/* Settles whether its parent is ours to make, which must stand in the record before it is. */
int parent_plan(struct nets *n, struct net *net, struct err *e);
int parent_up(struct nets *n, struct net *net, struct err *e);
int parent_down(struct nets *n, struct net *net, struct err *e);
/* The link inside, which the caller gives addresses. */
int vlan_link(struct nets *n, struct endpoint *ep, int ns, int inside, struct err *e);
/* Removes it; absent is fine, and so is a namespace that is gone. */
int vlan_unlink(const struct sandbox *s, const struct endpoint *ep, struct err *e);
/* Whether its containers reach the outside without a gateway. */
bool vlan_routes(const struct network *p);

/* endpoint.c */
void endpoint_clear(struct endpoint *ep);
/* Fills the next endpoint of s, for which there is room; it counts from then on. */
int endpoint_plan(struct nets *n, struct sandbox *s, const struct network *net,
		  const struct net_join *j, struct err *e);
/* Its addresses are free again. */
void endpoint_release(const struct endpoint *ep);
/* Makes its links. ns: the namespace, inside: a NETLINK_ROUTE socket in it. */
int endpoint_make(struct nets *n, struct endpoint *ep, int ns, int inside, struct err *e);
/* Sets the default routes as the endpoints say. */
int routes_make(const struct sandbox *s, int inside, struct err *e);
bool endpoint_has_link(const struct endpoint *ep);
int join_check(const struct nets *n, const struct network *net, const struct net_join *j,
	       struct err *e);

/* attach.c */
void sandbox_free(struct sandbox *s);
DEFINE_CLEANUP(struct sandbox *, sandbox_free)
/* Takes down everything that belongs to the record (links, namespace, ports, addresses, record);
 * goes on after failures, returns the first. Rules are the caller's. */
int sandbox_dismantle(struct nets *n, struct sandbox *s, struct err *e);

/* departing.c */
/* Watches the link of an endpoint whose namespace was let go; its address is given back then. */
int depart(struct nets *n, const struct endpoint *ep, struct err *e);
/* Removes what departs from that network with that address (NULL: any) at once. */
int depart_now(struct nets *n, const struct net *net, const struct ip_addr *addr, struct err *e);
bool departing_link(const struct nets *n, const char *ifname);
void departing_free(struct nets *n);

/* record.c */
int network_save(const struct nets *n, const struct network *net, struct err *e);
int network_parse(yyjson_val *root, struct net **ret_net, struct err *e);
int sandbox_save(const struct nets *n, const struct sandbox *s, struct err *e);
/* -EINVAL when a field is wrong or names a network that is gone. */
int sandbox_parse(const struct nets *n, yyjson_val *root, struct sandbox **ret_sandbox,
		  struct err *e);
int sandbox_forget(const struct nets *n, const char *id, struct err *e);

/* files.c */
int files_write(struct nets *n, struct sandbox *s, const struct net_request *r, struct err *e);
void files_watch(struct nets *n);
void files_unwatch(struct nets *n);
void files_follow(struct nets *n); /* rewrites resolv.conf where it is still ours */
/* A line for the endpoint's addresses in the hosts file of a container that runs, or none any
 * more. Somebody else's lines stay. */
int files_host_add(const struct sandbox *s, const struct endpoint *ep, struct err *e);
int files_host_remove(const struct sandbox *s, const struct endpoint *ep, struct err *e);
/* resolv.conf again, after its networks changed; unless somebody wrote into it. */
void files_resolv_again(struct nets *n, struct sandbox *s);
/* Names that a request gives to a container: its hostname as it will be (buf), never NULL. */
const char *request_hostname(const struct net_request *r, char buf[65]);

/* resolver.c */
/* Makes the sockets of a sandbox that has the embedded resolver, and hands them over. */
int resolver_serve(struct nets *n, const struct sandbox *s, struct err *e);
void resolver_tell(struct nets *n); /* names, networks or servers changed */
void resolver_start(struct nets *n); /* after an engine start, for those that run */
void resolver_free(struct nets *n);

/* proxy.c */
/* Whether a port of IPv6 can be published for a container that has IPv4 only. */
bool proxy_possible(const struct nets *n, uint8_t proto);
void proxy_serve(struct nets *n, const struct sandbox *s); /* also when its networks changed */
void proxy_forget(struct nets *n, const struct sandbox *s); /* before its ports are released */
void proxy_free(struct nets *n);

/* apply.c */
int nets_apply(struct nets *n, struct err *e);
/* The chain of people's own rules, if it is not there; nets_apply comes after it. */
void user_chain_up(const struct nets *n);
/* The endpoint that the default route goes by: on a network with a way out, of those the highest
 * priority, then the first by the network's name. NULL when there is none. */
const struct endpoint *sandbox_way_out(const struct sandbox *s, uint8_t family);
/* The endpoint that ports are published at: the way out, if it is a bridge. */
const struct endpoint *sandbox_publisher(const struct sandbox *s, uint8_t family);
/* Forgets tracked connections to the sandbox's datagram ports, which would otherwise go on to where
 * they went before (nowhere, or an address that is no longer its). */
void forget_connections(struct nets *n, const struct sandbox *s);

/* heal.c */
void heal_watch(struct nets *n);
void heal_unwatch(struct nets *n);
/* The kernel's number of the rules in force, which each change raises; 0 when it cannot be had. */
uint32_t rules_generation(const struct nets *n);

/* restore.c */
int nets_restore(struct nets *n, char *const *running, struct err *e);

#endif
