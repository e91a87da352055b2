/*
 * The network module: its life and its list of networks.
 *
 * Networks are read from STATE_DIR/networks and kept in memory; the three predefined ones are made
 * when they are missing. Callers: see net.h.
 */
#include <fcntl.h>
#include <linux/netlink.h>
#include <string.h>

#include "engine/data/ids.h"
#include "engine/net/inside.h"
#include "engine/net/link.h"
#include "engine/state/state.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/netlink.h"
#include "init/base/str.h"

enum { RECORD_MAX = 1 << 20, NETS_MAX = 1024, BRIDGE_MTU = 1500 };

static const struct {
	const char *name, *ifname;
	enum net_driver driver;
} predefined[] = {
	{ "bridge", "skerry0", NET_BRIDGE },
	{ "host", "", NET_HOST },
	{ "none", "", NET_NONE },
};

const char *net_driver_name(enum net_driver d)
{
	static const char *const names[] = {
		[NET_BRIDGE] = "bridge",   [NET_HOST] = "host",	    [NET_NONE] = "null",
		[NET_MACVLAN] = "macvlan", [NET_IPVLAN] = "ipvlan",
	};

	return names[d];
}

bool network_has_links(const struct network *n)
{
	return n->driver != NET_HOST && n->driver != NET_NONE;
}

struct net *net_of(const struct network *pub)
{
	return container_of(pub, struct net, pub);
}

void network_release(struct net *n)
{
	if (!n)
		return;
	free(n->pub.name);
	strv_free(n->pub.labels);
	strv_free(n->pub.options);
	strv_free(n->pub.aux);
	pool_free(&n->pool);
	pool_free(&n->pool6);
	free(n);
}

int net_sysctl(const struct nets *n, const char *value, struct err *e, const char *fmt, ...)
{
	char rest[200], path[300];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(rest, sizeof(rest), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(rest) ||
	    str_format(path, sizeof(path), "%s/%s", n->sysctl_dir, rest) < 0)
		return err_set(e, ENAMETOOLONG, "setting name is too long");
	return file_put(AT_FDCWD, path, value, e);
}

/* --- the list --------------------------------------------------------------------------------- */

int nets_add(struct nets *n, struct net *net, struct err *e)
{
	struct net **grown;

	for (size_t i = 0; i < n->n_nets; i++)
		if (str_eq(n->nets[i]->pub.name, net->pub.name) ||
		    str_eq(n->nets[i]->pub.id, net->pub.id))
			return err_set(e, EEXIST, "network with name %s already exists",
				       net->pub.name);
	if (n->n_nets == NETS_MAX)
		return err_set(e, E2BIG, "more than %d networks", NETS_MAX);
	grown = reallocarray(n->nets, n->n_nets + 1, sizeof(*grown));
	if (!grown)
		return err_set(e, ENOMEM, "out of memory");
	n->nets = grown;
	n->nets[n->n_nets++] = net;
	return 0;
}

size_t nets_count(const struct nets *n)
{
	return n->n_nets;
}

const struct network *nets_at(const struct nets *n, size_t i)
{
	return &n->nets[i]->pub;
}

int nets_find(const struct nets *n, const char *ref, const struct network **ret_network,
	      struct err *e)
{
	const struct network *found = NULL;
	size_t len = strlen(ref), hits = 0;

	for (size_t i = 0; i < n->n_nets; i++) {
		const struct network *p = &n->nets[i]->pub;

		if (str_eq(p->name, ref) || str_eq(p->id, ref)) {
			*ret_network = p;
			return 0;
		}
		if (len > 0 && strncmp(p->id, ref, len) == 0) {
			found = p;
			hits++;
		}
	}
	if (hits > 1)
		return err_set(e, EINVAL,
			       "network %.80s is ambiguous (%zu matches found on ID prefix)", ref,
			       hits);
	if (!found)
		return err_set(e, ENOENT, "network %.80s not found", ref);
	*ret_network = found;
	return 0;
}

static int by_age(const void *a, const void *b)
{
	const struct network *x = &(*(struct net *const *)a)->pub,
			     *y = &(*(struct net *const *)b)->pub;

	if (x->predefined != y->predefined)
		return x->predefined ? -1 : 1;
	if (x->predefined)
		return (int)x->driver - (int)y->driver;
	return x->created < y->created ? -1 : x->created > y->created;
}

static int predefined_add(struct nets *n, size_t i, struct err *e)
{
	_cleanup_(network_release) struct net *net = calloc(1, sizeof(*net));
	int rc;

	if (!net)
		return err_set(e, ENOMEM, "out of memory");
	rc = id_new(net->pub.id, e);
	if (rc < 0)
		return rc;
	net->pub.name = str_dup(predefined[i].name);
	if (!net->pub.name)
		return err_set(e, ENOMEM, "out of memory");
	net->pub.driver = predefined[i].driver;
	net->pub.created = clock_real_ns();
	net->pub.predefined = net->pub.ipv4 = true;
	net->pub.mtu = BRIDGE_MTU;
	(void)str_copy(net->pub.prefix, sizeof(net->pub.prefix), "eth");
	net->pub.masquerade = net->pub.icc = net->pub.driver == NET_BRIDGE;
	(void)str_copy(net->pub.ifname, sizeof(net->pub.ifname), predefined[i].ifname);
	rc = nets_add(n, net, e);
	if (rc < 0)
		return rc;
	rc = network_save(n, &net->pub, e);
	if (rc < 0) /* it works without; only its id changes with the next start */
		log_warn("network %s is not kept: %s", net->pub.name, err_text(e));
	(void)take_ptr(net);
	return 0;
}

static int load_one(const char *name, yyjson_val *root, void *data, struct err *e)
{
	struct nets *n = data;
	struct net *net = NULL;
	int rc = network_parse(root, &net, e);

	if (rc == 0) {
		rc = nets_add(n, net, e);
		if (rc < 0)
			network_release(net);
	}
	if (rc < 0) /* never a reason not to start */
		log_warn("network record %s is left out: %s", name, err_text(e));
	return 0;
}

static int load_all(struct nets *n, struct err *e)
{
	_cleanup_(mem_free) char *dir = str_printf("%s/networks", n->state_dir);
	struct err why = { 0 };
	int rc = 0;

	if (!dir)
		return err_set(e, ENOMEM, "out of memory");
	if (dir_make(AT_FDCWD, dir, 0700, &why) < 0 ||
	    state_each(AT_FDCWD, dir, RECORD_MAX, load_one, n, &why) < 0)
		log_warn("networks are not kept: %s", err_text(&why));
	for (size_t i = 0; i < ARRAY_SIZE(predefined) && rc == 0; i++) {
		const struct network *have;

		if (nets_find(n, predefined[i].name, &have, NULL) < 0)
			rc = predefined_add(n, i, e);
	}
	if (n->n_nets)
		qsort(n->nets, n->n_nets, sizeof(*n->nets), by_age);
	return rc;
}

/* --- the module ------------------------------------------------------------------------------- */

int nets_new(struct loop *loop, const struct nets_config *c, struct nets **ret_nets, struct err *e)
{
	_cleanup_(nets_free) struct nets *n = calloc(1, sizeof(*n));
	int rc;

	if (!n)
		return err_set(e, ENOMEM, "out of memory");
	n->loop = loop;
	n->dns.wanted = c->dns;
	n->dns.channel = -1;
	n->proxy.wanted = c->proxy;
	n->proxy.channel = n->proxy.epoll = -1;
	list_init(&n->departing);
	n->route_fd = n->filter_fd = n->watch_fd = n->news_fd = -1;
	n->run_dir = str_dup(c->run_dir);
	n->state_dir = str_dup(c->state_dir);
	n->resolv_conf = str_dup(c->resolv_conf);
	n->hosts = str_dup(c->hosts ? c->hosts : "/etc/hosts");
	n->sysctl_dir = str_dup(c->sysctl_dir ? c->sysctl_dir : "/proc/sys");
	if (!n->run_dir || !n->state_dir || !n->resolv_conf || !n->hosts || !n->sysctl_dir)
		return err_set(e, ENOMEM, "out of memory");
	rc = load_all(n, e);
	if (rc < 0)
		return rc;
	*ret_nets = take_ptr(n);
	return 0;
}

void nets_free(struct nets *n)
{
	struct map_entry *m;
	size_t i = 0;

	if (!n)
		return;
	resolver_free(n);
	proxy_free(n);
	files_unwatch(n);
	heal_unwatch(n);
	departing_free(n);
	while ((m = map_next(&n->sandboxes, &i)))
		sandbox_free(m->value);
	map_free(&n->sandboxes);
	for (i = 0; i < n->n_nets; i++)
		network_release(n->nets[i]);
	free(n->nets);
	port_space_free(&n->ports);
	fd_close(n->route_fd);
	fd_close(n->filter_fd);
	free(n->run_dir);
	free(n->state_dir);
	free(n->resolv_conf);
	free(n->hosts);
	free(n->sysctl_dir);
	free(n);
}

const struct sandbox *net_get(const struct nets *n, const char *id)
{
	return map_get(&n->sandboxes, id);
}

/* --- start ------------------------------------------------------------------------------------ */

int nets_start(struct nets *n, char *const *running, struct err *e)
{
	struct err why = { 0 };
	int first, rc;

	first = nets_restore(n, running, e);
	if (first < 0)
		log_warn("network: %s", err_text(e));
	rc = nets_bring_up(n, first < 0 ? &why : e);
	if (rc < 0)
		log_warn("network: %s", err_text(first < 0 ? &why : e));
	files_watch(n);
	heal_watch(n);
	resolver_start(n);
	files_follow(n);
	return first < 0 ? first : rc;
}
