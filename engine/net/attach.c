/*
 * Making and removing a sandbox: the container's namespace, links, addresses, ports, files, record.
 *
 * attach: plan (addresses and ports taken, nothing made) -> record -> namespace -> links -> files
 * -> rules. Whatever fails, sandbox_dismantle takes down what the record names; the same function
 * serves detach and the clean-up at engine start, so there is one way out only. Callers:
 * container/.
 */
#include <netinet/in.h>
#include <string.h>

#include "engine/data/ids.h"
#include "engine/net/hosts.h"
#include "engine/net/inside.h"
#include "engine/net/link.h"
#include "engine/net/netns.h"
#include "init/base/log.h"
#include "init/base/str.h"

void sandbox_free(struct sandbox *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_endpoints; i++)
		endpoint_clear(&s->endpoints[i]);
	for (size_t i = 0; i < s->n_ports; i++)
		fd_close(s->ports[i].fd);
	free(s->endpoints);
	free(s->ports);
	free(s->key);
	free(s->shared_with);
	free(s->name);
	free(s->host_names);
	free(s->hosts_path);
	free(s->hostname_path);
	free(s->resolv_path);
	strv_free(s->dns);
	strv_free(s->dns_search);
	strv_free(s->dns_options);
	free(s);
}

/* --- what is asked for ------------------------------------------------------------------------ */

/* The mode split up. */
struct mode {
	enum net_mode mode;
	const char *other; /* "container:": the id */
	const struct network *first; /* the network that the mode names */
};

static int mode_parse(const struct nets *n, const char *text, struct mode *ret_mode, struct err *e)
{
	struct mode m = { .mode = NET_MODE_OWN };
	int rc;

	if (str_empty(text) || str_eq(text, "default"))
		text = "bridge";
	if (str_starts(text, "container:")) {
		m.mode = NET_MODE_SHARED;
		m.other = text + strlen("container:");
		if (!*m.other)
			return err_set(e, EINVAL,
				       "invalid network mode \"%.80s\": no container named", text);
		*ret_mode = m;
		return 0;
	}
	rc = nets_find(n, text, &m.first, e);
	if (rc < 0)
		return rc;
	if (m.first->driver == NET_HOST)
		m.mode = NET_MODE_HOST;
	*ret_mode = m;
	return 0;
}

/* What may not be together; Docker's texts. */
static int check_pair(const struct network *first, const struct network *other, struct err *e)
{
	if (other == first || (network_has_links(first) && network_has_links(other)))
		return 0;
	if (first->driver == NET_NONE || other->driver == NET_NONE)
		return err_set(e, EINVAL,
			       "container cannot be connected to multiple networks with one of "
			       "the networks in private (none) mode");
	return err_set(e, EINVAL,
		       "container sharing network namespace with another container or host cannot "
		       "be connected to any other network");
}

int net_check_join(const struct nets *n, const char *mode, const struct net_join *j, struct err *e)
{
	const struct network *net;
	struct mode m;
	int rc = nets_find(n, j->network, &net, e);

	if (rc < 0)
		return rc;
	if (net->driver == NET_HOST)
		return err_set(e, EINVAL,
			       "container cannot be disconnected from host network or connected "
			       "to host network");
	if (mode && str_starts(mode, "container:"))
		return err_set(e, EINVAL,
			       "container sharing network namespace with another container or "
			       "host cannot be connected to any other network");
	if (mode_parse(n, mode, &m, NULL) == 0) /* its own network may be gone by now */
		rc = check_pair(m.first, net, e);
	return rc < 0 ? rc : join_check(n, net, j, e);
}

int net_check(const struct nets *n, const struct net_request *r, struct err *e)
{
	struct mode m;
	int rc;

	rc = mode_parse(n, r->mode, &m, e);
	if (rc == 0 && !str_empty(r->hostname))
		rc = hosts_name_check(r->hostname, e);
	if (rc == 0 && !str_empty(r->domainname))
		rc = hosts_name_check(r->domainname, e);
	if (rc < 0)
		return rc;
	if (m.mode == NET_MODE_SHARED && r->n_ports > 0)
		return err_set(e, EINVAL,
			       "conflicting options: port publishing and the container type "
			       "network mode");
	if (r->n_joins > NET_ENDPOINTS_MAX || r->n_ports > PORT_WANTS_MAX)
		return err_set(e, EINVAL, "more than %d networks or %d ports", NET_ENDPOINTS_MAX,
			       PORT_WANTS_MAX);
	for (size_t i = 0; i < r->n_joins && m.mode != NET_MODE_SHARED; i++) {
		const struct network *net;

		rc = nets_find(n, r->joins[i].network, &net, e);
		if (rc == 0)
			rc = check_pair(m.first, net, e);
		if (rc == 0)
			rc = join_check(n, net, &r->joins[i], e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* --- planning --------------------------------------------------------------------------------- */

static int plan_endpoints(struct nets *n, struct sandbox *s, const struct net_request *r,
			  const struct mode *m, struct err *e)
{
	struct net_join plain = { .network = m->first->name };
	int rc = 0;

	s->endpoints = calloc(r->n_joins + 1, sizeof(*s->endpoints));
	if (!s->endpoints)
		return err_set(e, ENOMEM, "out of memory");
	if (r->n_joins == 0)
		return endpoint_plan(n, s, m->first, &plain, e);
	for (size_t i = 0; i < r->n_joins && rc == 0; i++) {
		const struct network *net;
		bool have = false;

		rc = nets_find(n, r->joins[i].network, &net, e);
		for (size_t k = 0; k < s->n_endpoints && rc == 0 && !have; k++)
			have = s->endpoints[k].network == net;
		if (rc == 0 && !have)
			rc = endpoint_plan(n, s, net, &r->joins[i], e);
	}
	return rc;
}

static bool publishes(const struct endpoint *ep, uint8_t family, const struct ip_addr *host_ip)
{
	return ep && (!ip_is_set(host_ip) || host_ip->family == family);
}

static bool routed(const struct endpoint *ep, uint8_t family)
{
	const struct network *p = ep->network;

	return (family == AF_INET ? p->gateway_mode : p->gateway_mode6) == GATEWAY_ROUTED;
}

/* IPv6 of the machine to a container that has none: a process carries it. */
static const struct endpoint *translated(const struct sandbox *s)
{
	const struct endpoint *ep = sandbox_publisher(s, AF_INET);

	return ep && !routed(ep, AF_INET) ? ep : NULL;
}

/* The bindings of one wish, at most one of each family. */
static int plan_port(struct nets *n, struct sandbox *s, const struct port_want *wish, struct err *e)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct port_want w = *wish;
	char text[IP_TEXT_MAX];
	int hosts = 0, open = 0, rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		const struct endpoint *ep = sandbox_publisher(s, families[i]);

		if (!ep && families[i] == AF_INET6 && proxy_possible(n, w.proto))
			ep = translated(s);
		if (!publishes(ep, families[i], &wish->host_ip))
			continue;
		if (routed(ep, families[i])) {
			s->ports[s->n_ports++] = (struct port_binding){
				.proto = w.proto,
				.container_port = w.container_port,
				.host_ip = { .family = families[i] },
				.fd = -1,
			};
			open++;
		} else if (hosts++ == 0 && !ip_is_set(&wish->host_ip)) {
			w.host_ip.family = families[i];
		}
	}
	if (hosts + open == 0)
		return err_set(e, EINVAL, "cannot publish a port on %s: network %s has no %s",
			       ip_text(&w.host_ip, text), s->endpoints[0].network->name,
			       w.host_ip.family == AF_INET6 ? "IPv6" : "IPv4");
	w.both = hosts == 2;
	if (hosts > 0)
		rc = ports_take(&n->ports, &w, 1, &s->ports[s->n_ports], e);
	if (rc < 0) {
		(void)err_wrap(e, "driver failed programming external connectivity on endpoint %s",
			       s->name);
		return rc;
	}
	s->n_ports += (size_t)hosts;
	return 0;
}

static int plan_ports(struct nets *n, struct sandbox *s, const struct net_request *r, struct err *e)
{
	int rc = 0;

	if (r->n_ports == 0 || (!sandbox_publisher(s, AF_INET) && !sandbox_publisher(s, AF_INET6)))
		return 0; /* no way in: Docker discards them too */
	s->ports = calloc(2 * r->n_ports, sizeof(*s->ports));
	if (!s->ports)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < r->n_ports && rc == 0; i++)
		rc = plan_port(n, s, &r->ports[i], e);
	return rc;
}

static int plan_texts(struct nets *n, struct sandbox *s, const struct net_request *r, struct err *e)
{
	bool ok = true;

	s->name = str_dup(r->name ? r->name : "");
	s->hosts_path = str_printf("%s/hosts", r->dir);
	s->hostname_path = str_printf("%s/hostname", r->dir);
	s->resolv_path = str_printf("%s/resolv.conf", r->dir);
	if (s->mode == NET_MODE_OWN)
		s->key = str_printf("%s/netns/%s", n->run_dir, r->id);
	s->dns = strv_copy(r->dns);
	s->dns_search = strv_copy(r->dns_search);
	s->dns_options = strv_copy(r->dns_options);
	ok = (!r->dns || s->dns) && (!r->dns_search || s->dns_search) &&
	     (!r->dns_options || s->dns_options);
	if (!ok || !s->name || !s->hosts_path || !s->hostname_path || !s->resolv_path ||
	    (s->mode == NET_MODE_OWN && !s->key))
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

/* --- making ----------------------------------------------------------------------------------- */

static int sandbox_make(struct nets *n, struct sandbox *s, int user_ns, struct err *e)
{
	_cleanup_(fd_close) int ns = -1, inside = -1;
	int rc;

	if (s->mode != NET_MODE_OWN)
		return 0;
	rc = netns_make(s->key, user_ns, &ns, &inside, e);
	for (size_t i = 0; i < s->n_endpoints && rc == 0; i++)
		if (endpoint_has_link(&s->endpoints[i]))
			rc = endpoint_make(n, &s->endpoints[i], ns, inside, e);
	return rc < 0 ? rc : routes_make(s, inside, e);
}

/* Records, makes, and puts it in force. */
static int sandbox_realise(struct nets *n, struct sandbox *s, const struct net_request *r,
			   struct err *e)
{
	int rc = sandbox_save(n, s, e);

	if (rc == 0)
		rc = sandbox_make(n, s, r->user_ns, e);
	if (rc == 0 && s->mode != NET_MODE_SHARED)
		rc = files_write(n, s, r, e);
	if (rc == 0)
		rc = resolver_serve(n, s, e);
	if (rc == 0)
		rc = sandbox_save(n, s, e);
	if (rc == 0)
		rc = map_put(&n->sandboxes, s->id, s, NULL);
	if (rc < 0)
		return rc;
	if (s->n_ports > 0)
		rc = nets_apply(n, e);
	if (rc < 0) {
		(void)map_remove(&n->sandboxes, s->id);
		return rc;
	}
	resolver_tell(n);
	proxy_serve(n, s);
	forget_connections(n, s);
	return 0;
}

/* container:ID: everything is the other's. */
static int share(struct nets *n, struct sandbox *s, const char *other, struct err *e)
{
	const struct sandbox *o = map_get(&n->sandboxes, other);

	if (!o)
		return err_set(e, ESRCH, "cannot join network of a non running container: %.80s",
			       other);
	s->mode = o->mode == NET_MODE_HOST ? NET_MODE_HOST : NET_MODE_SHARED;
	free(s->key);
	s->key = str_dup(o->key);
	if ((o->key && !s->key) ||
	    str_set(&s->shared_with, o->shared_with ? o->shared_with : o->id) < 0 ||
	    str_set(&s->hosts_path, o->hosts_path) < 0 ||
	    str_set(&s->hostname_path, o->hostname_path) < 0 ||
	    str_set(&s->resolv_path, o->resolv_path) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static int sandbox_plan(struct nets *n, struct sandbox *s, const struct net_request *r,
			struct err *e)
{
	struct mode m;
	int rc;

	rc = mode_parse(n, r->mode, &m, e);
	if (rc == 0)
		rc = str_copy(s->id, sizeof(s->id), r->id);
	if (rc == 0)
		rc = id_new(s->sandbox_id, e);
	if (rc < 0)
		return rc;
	s->mode = m.mode;
	rc = plan_texts(n, s, r, e);
	if (rc == 0 && m.mode == NET_MODE_SHARED)
		return share(n, s, m.other, e);
	if (rc == 0)
		rc = plan_endpoints(n, s, r, &m, e);
	return rc < 0 ? rc : plan_ports(n, s, r, e);
}

int net_attach(struct nets *n, const struct net_request *r, const struct sandbox **ret_sandbox,
	       struct err *e)
{
	struct sandbox *s;
	int rc;

	if (!id_valid(r->id))
		return err_set(e, EINVAL, "invalid container id \"%.80s\"", r->id);
	rc = net_check(n, r, e);
	if (rc == 0 && !n->up)
		rc = nets_bring_up(n, e);
	if (rc == 0)
		rc = net_detach(n, r->id, e);
	if (rc < 0)
		return rc;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	rc = sandbox_plan(n, s, r, e);
	if (rc == 0)
		rc = sandbox_realise(n, s, r, e);
	if (rc < 0) {
		(void)sandbox_dismantle(n, s, NULL);
		sandbox_free(s);
		return rc;
	}
	*ret_sandbox = s;
	return 0;
}

/* --- removing --------------------------------------------------------------------------------- */

/* Keeps the first failure of several steps. */
static void keep_first(int *first, int rc, struct err *e, const struct err *why)
{
	if (rc >= 0 || *first < 0)
		return;
	*first = rc;
	(void)err_set(e, -rc, "%s", err_text(why));
}

int sandbox_dismantle(struct nets *n, struct sandbox *s, struct err *e)
{
	struct err why = { 0 };
	int first = 0;

	proxy_forget(n, s);
	ports_release(&n->ports, s->ports, s->n_ports);
	for (size_t i = 0; i < s->n_endpoints && s->mode == NET_MODE_OWN && s->key; i++) {
		struct endpoint *ep = &s->endpoints[i];

		if (!endpoint_has_link(ep) || ep->host_ifname[0])
			continue;
		keep_first(&first, vlan_unlink(s, ep, &why), e, &why);
		endpoint_release(ep);
	}
	if (s->mode == NET_MODE_OWN && s->key)
		keep_first(&first, netns_remove(s->key, &why), e, &why);
	for (size_t i = 0; i < s->n_endpoints; i++) {
		struct endpoint *ep = &s->endpoints[i];

		if (ep->host_ifname[0])
			keep_first(&first, depart(n, ep, &why), e, &why);
	}
	if (s->id[0])
		keep_first(&first, sandbox_forget(n, s->id, &why), e, &why);
	return first;
}

int net_detach(struct nets *n, const char *id, struct err *e)
{
	struct sandbox *s = map_remove(&n->sandboxes, id);
	struct err why = { 0 };
	int first = 0;

	if (!s)
		return 0;
	if (s->n_ports >
	    0) { /* rules before anything else, so that nothing points at a free address */
		keep_first(&first, nets_apply(n, &why), e, &why);
		forget_connections(n, s);
	}
	resolver_tell(n); /* its sockets would keep the namespace */
	keep_first(&first, sandbox_dismantle(n, s, &why), e, &why);
	sandbox_free(s);
	return first;
}

/* --- looking ahead ---------------------------------------------------------------------------- */

int nets_probe_ports(struct nets *n, const struct port_want *wants, size_t n_wants, struct err *e)
{
	_cleanup_(mem_free) struct port_binding *got = calloc(n_wants + 1, sizeof(*got));
	int r;

	if (!got)
		return err_errno(e, ENOMEM, "ports");
	r = ports_take(&n->ports, wants, n_wants, got, e);
	if (r == 0)
		ports_release(&n->ports, got, n_wants);
	return r;
}
