/*
 * networks: of the project (top level), and of a service: with which names and addresses it is in
 * which of them.
 *
 * A service that names none is in the project's network `default`, which then exists though the
 * file does not name it. What a service asks for goes into the create request's NetworkingConfig;
 * its names there are the service's, and (for each container) the container's.
 */
#include "engine/manifest/reading.h"
#include "engine/manifest/service.h"
#include "init/base/str.h"

enum { SERVICE_NETWORKS_MAX = 32, POOLS_MAX = 16 };

static int no_memory(const struct yaml_node *n, struct err *e)
{
	return err_errno(e, ENOMEM, "%s", n->doc->file);
}

/* ---- top level ---- */

static int read_pool(struct compose_network *net, const struct place *p, const struct yaml_node *n,
		     struct err *e)
{
	static const struct key_row rows[] = {
		{ "subnet", VALUE_TEXT, offsetof(struct compose_pool, subnet) },
		{ "ip_range", VALUE_TEXT, offsetof(struct compose_pool, range) },
		{ "gateway", VALUE_TEXT, offsetof(struct compose_pool, gateway) },
		{ "aux_addresses", VALUE_PAIRS, offsetof(struct compose_pool, aux) },
	};
	struct compose_pool *pool = &net->pools[net->n_pools++];

	return value_map(p, n, rows, ARRAY_SIZE(rows), pool, e);
}

static int read_pools(void *target, const struct place *p, const struct yaml_node *n, struct err *e)
{
	struct compose_network *net = target;
	int r = 0;

	if (n->kind != YAML_LIST)
		return value_wrong(p, n, "a list of subnets", e);
	if (n->n > POOLS_MAX)
		return yaml_err(n->doc, n->line, p->path, e, "more than %d", POOLS_MAX);
	net->pools = calloc(n->n + 1, sizeof(*net->pools));
	if (!net->pools)
		return no_memory(n, e);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		struct place at = place_at(p, NULL, i);

		r = read_pool(net, &at, n->items[i], e);
	}
	return r;
}

static int read_ipam_driver(void *target, const struct place *p, const struct yaml_node *n,
			    struct err *e)
{
	(void)target;
	if (n->kind != YAML_SCALAR || !str_eq(n->text, "default"))
		return value_wrong(p, n, "default, the only driver of addresses", e);
	return 0;
}

static int read_ipam(void *target, const struct place *p, const struct yaml_node *n, struct err *e)
{
	static const struct key_row rows[] = {
		{ "driver", VALUE_CALL, 0, read_ipam_driver },
		{ "config", VALUE_CALL, 0, read_pools },
		{ "options", VALUE_LATER, 0 },
	};

	return value_map(p, n, rows, ARRAY_SIZE(rows), target, e);
}

/* external: true, or (of old) external: {name: NAME} */
static int read_external(void *target, const struct place *p, const struct yaml_node *n,
			 struct err *e)
{
	static const struct key_row rows[] = {
		{ "name", VALUE_TEXT, offsetof(struct compose_network, name) },
	};
	struct compose_network *net = target;

	net->external = true;
	return n->kind == YAML_MAP ? value_map(p, n, rows, ARRAY_SIZE(rows), net, e)
				   : value_bool(p, n, &net->external, e);
}

static int read_ipv4(void *target, const struct place *p, const struct yaml_node *n, struct err *e)
{
	struct compose_network *net = target;
	bool on = true;
	int r = value_bool(p, n, &on, e);

	net->no_ipv4 = !on;
	return r;
}

static const struct key_row network_rows[] = {
	{ "name", VALUE_TEXT, offsetof(struct compose_network, name) },
	{ "driver", VALUE_TEXT, offsetof(struct compose_network, driver) },
	{ "driver_opts", VALUE_PAIRS, offsetof(struct compose_network, options) },
	{ "ipam", VALUE_CALL, 0, read_ipam },
	{ "external", VALUE_CALL, 0, read_external },
	{ "internal", VALUE_BOOL, offsetof(struct compose_network, internal) },
	{ "attachable", VALUE_BOOL, offsetof(struct compose_network, attachable) },
	{ "enable_ipv4", VALUE_CALL, 0, read_ipv4 },
	{ "enable_ipv6", VALUE_BOOL, offsetof(struct compose_network, ipv6) },
	{ "labels", VALUE_PAIRS, offsetof(struct compose_network, labels) },
};

static struct compose_network *network_add(struct compose_project *p, const char *key)
{
	struct compose_network *grown =
				       reallocarray(p->networks, p->n_networks + 1, sizeof(*grown)),
			       *net;

	if (!grown)
		return NULL;
	p->networks = grown;
	net = &grown[p->n_networks++];
	*net = (struct compose_network){ .key = str_dup(key) };
	return net->key ? net : NULL;
}

/* PROJECT_KEY, or an external one's key, unless it has a name. */
static int settle_name(const struct compose_project *p, struct compose_network *net)
{
	if (!net->name)
		net->name =
			net->external ? str_dup(net->key) : str_printf("%s_%s", p->name, net->key);
	return net->name ? 0 : -ENOMEM;
}

static int check_external(const struct compose_network *net, const struct place *p,
			  const struct yaml_node *n, struct err *e)
{
	if (net->external && (net->driver || net->options.n || net->n_pools || net->internal ||
			      net->attachable || net->no_ipv4 || net->ipv6 || net->labels.n))
		return yaml_err(n->doc, n->line, p->path, e,
				"an external network has only a name; the other keys belong to who "
				"makes it");
	return 0;
}

int networks_read(struct reading *rd, const struct yaml_node *n, struct err *e)
{
	const struct place top = { .doc = rd->docs[0] };
	struct place p = place_at(&top, "networks", 0);
	int r = 0;

	if (yaml_is_null(n))
		return 0;
	if (n->kind != YAML_MAP)
		return value_wrong(&p, n, "a mapping of networks", e);
	if (n->n > COMPOSE_NETWORKS_MAX)
		return yaml_err(n->doc, n->line, p.path, e, "more than %d networks",
				COMPOSE_NETWORKS_MAX);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		const struct yaml_pair *pair = &n->pairs[i];
		struct place at = place_at(&p, pair->key, 0);
		struct compose_network *net;

		if (str_starts(pair->key, "x-"))
			continue;
		if (!compose_key_valid(pair->key))
			return yaml_err(pair->value->doc, pair->line, at.path, e,
					"not a name: letters, digits, - _ . only");
		net = network_add(rd->project, pair->key);
		if (!net)
			return no_memory(n, e);
		net->at = reading_spot(pair->value, pair->line);
		r = value_map(&at, pair->value, network_rows, ARRAY_SIZE(network_rows), net, e);
		if (r == 0)
			r = check_external(net, &at, pair->value, e);
		if (r == 0 && settle_name(rd->project, net) < 0)
			r = no_memory(n, e);
	}
	return r;
}

struct compose_network *networks_get(struct compose_project *p, const char *key)
{
	struct compose_network *net;

	for (size_t i = 0; i < p->n_networks; i++)
		if (str_eq(p->networks[i].key, key))
			return &p->networks[i];
	if (!str_eq(key, "default"))
		return NULL;
	net = network_add(p, key);
	if (!net || settle_name(p, net) < 0)
		return NULL;
	net->at = (struct compose_spot){ .file = p->file, .line = 1 };
	return net;
}

/* ---- of a service ---- */

struct join {
	struct endpoint_config *ep;
	int64_t priority;
};

static int read_priority(void *target, const struct place *p, const struct yaml_node *n,
			 struct err *e)
{
	struct join *j = target;

	return value_i64(p, n, &j->priority, e);
}

#define ENDPOINT(name_, call_, member_)                                                         \
	static int read_##name_(void *target, const struct place *p, const struct yaml_node *n, \
				struct err *e)                                                  \
	{                                                                                       \
		struct join *j = target;                                                        \
		return call_(p, n, &j->ep->member_, e);                                         \
	}

ENDPOINT(aliases, value_words, aliases)
ENDPOINT(ipv4_address, value_text, ipam.ipv4)
ENDPOINT(ipv6, value_text, ipam.ipv6)
ENDPOINT(link_local, value_words, ipam.link_local)
ENDPOINT(mac, value_text, mac_address)
ENDPOINT(options, value_pairs, driver_options)
ENDPOINT(gateway, value_i64, gateway_priority)

/* The network that the machine has of itself takes no names. */
static bool knows_names(const struct compose_network *net)
{
	return !str_eq(net->name, "bridge") && !str_eq(net->name, "host") &&
	       !str_eq(net->name, "none");
}

static int add_join(struct service_target *t, const struct place *p, const struct yaml_node *n,
		    const char *key, int line, const struct yaml_node *settings,
		    int64_t *ret_priority, struct err *e)
{
	static const struct key_row rows[] = {
		{ "aliases", VALUE_CALL, 0, read_aliases },
		{ "ipv4_address", VALUE_CALL, 0, read_ipv4_address },
		{ "ipv6_address", VALUE_CALL, 0, read_ipv6 },
		{ "link_local_ips", VALUE_CALL, 0, read_link_local },
		{ "mac_address", VALUE_CALL, 0, read_mac },
		{ "driver_opts", VALUE_CALL, 0, read_options },
		{ "priority", VALUE_CALL, 0, read_priority },
		{ "gw_priority", VALUE_CALL, 0, read_gateway },
		{ "interface_name", VALUE_LATER, 0 },
	};
	struct compose_network *net = networks_get(t->rd->project, key);
	struct bind_list *endpoints = &t->s.create.networking.endpoints;
	struct place at = place_at(p, key, 0);
	struct join j = { 0 };
	int r;

	if (!net)
		return yaml_err(n->doc, line, p->path, e,
				"the network '%s' is not declared; add it under the top-level key "
				"networks",
				key);
	for (size_t i = 0; i < endpoints->n; i++)
		if (str_eq(((struct endpoint_config *)endpoints->items)[i].network, net->name))
			return yaml_err(n->doc, line, p->path, e, "the network '%s' stands twice",
					net->name);
	j.ep = bind_list_add(&endpoint_config_table, endpoints);
	if (!j.ep || str_set(&j.ep->network, net->name) < 0)
		return no_memory(n, e);
	r = settings ? value_map(&at, settings, rows, ARRAY_SIZE(rows), &j, e) : 0;
	if (r == 0 && knows_names(net) && !strv_has(j.ep->aliases, t->s.name) &&
	    strv_add(&j.ep->aliases, t->s.name) < 0)
		r = no_memory(n, e);
	*ret_priority = j.priority;
	net->used = net->used || !t->s.off;
	return r;
}

/* The mode is the network with the highest priority, the first of equal ones, and stands first. */
static int settle_mode(struct service_target *t, size_t first, const struct yaml_node *n,
		       struct err *e)
{
	struct endpoint_config *eps = t->s.create.networking.endpoints.items, best = eps[first];

	memmove(eps + 1, eps, first * sizeof(*eps));
	eps[0] = best;
	return str_set(&t->s.create.host.network_mode, best.network) < 0 ? no_memory(n, e) : 0;
}

int service_add_networks(struct service_target *t, const struct place *p,
			 const struct yaml_node *service, const struct yaml_node *n, struct err *e)
{
	struct place at = place_at(p, "networks", 0);
	int64_t priority, best = INT64_MIN;
	size_t first = 0;
	int r = 0;

	if (t->s.create.host.network_mode)
		return yaml_is_null(n) ? 0
				       : yaml_err(n->doc, n->line, at.path, e,
						  "network_mode and networks exclude each other");
	if (yaml_is_null(n) || n->n == 0) {
		r = add_join(t, &at, service, "default", service->line, NULL, &priority, e);
		return r < 0 ? r : settle_mode(t, 0, service, e);
	}
	if (n->kind == YAML_SCALAR)
		return value_wrong(&at, n, "a list of networks or a mapping", e);
	if (n->n > SERVICE_NETWORKS_MAX)
		return yaml_err(n->doc, n->line, at.path, e, "more than %d networks",
				SERVICE_NETWORKS_MAX);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		bool list = n->kind == YAML_LIST;
		const struct yaml_node *v = list ? n->items[i] : n->pairs[i].value;
		struct place item = place_at(&at, NULL, i);

		if (list && v->kind != YAML_SCALAR)
			return value_wrong(&item, v, "the name of a network", e);
		r = add_join(t, &at, v, list ? v->text : n->pairs[i].key,
			     list ? v->line : n->pairs[i].line, list ? NULL : v, &priority, e);
		if (r == 0 && priority > best) {
			best = priority;
			first = i;
		}
	}
	return r < 0 ? r : settle_mode(t, first, n, e);
}
