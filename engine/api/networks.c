/*
 * Networks: list and inspect. What changes them is in networks_change.c.
 */
#include "engine/api/inside.h"

#include "init/base/str.h"
#include "engine/api/filters.h"

/* The auxiliary addresses of one family. */
static void write_aux(struct json_writer *w, const struct network *n, uint8_t family)
{
	_cleanup_(strv_free) char **mine = NULL;
	struct ip_addr a;

	for (char **x = n->aux; x && *x; x++) {
		const char *equals = strchr(*x, '=');

		if (equals && ip_parse(equals + 1, &a, NULL) == 0 && a.family == family)
			(void)strv_add(&mine, *x);
	}
	if (mine)
		api_pairs(w, "AuxiliaryAddresses", mine);
}

static void write_subnet(struct json_writer *w, const struct network *n, bool six)
{
	const struct ip_net *subnet = six ? &n->subnet6 : &n->subnet,
			    *range = six ? &n->range6 : &n->range;
	const struct ip_addr *gateway = six ? &n->gateway6 : &n->gateway;
	char text[IP_NET_TEXT_MAX];

	if (!ip_is_set(&subnet->addr))
		return;
	json_begin_object(w);
	json_member_str(w, "Subnet", ip_net_text(subnet, text));
	if (ip_is_set(&range->addr))
		json_member_str(w, "IPRange", ip_net_text(range, text));
	if (ip_is_set(gateway))
		json_member_str(w, "Gateway", ip_text(gateway, text));
	write_aux(w, n, subnet->addr.family);
	json_end_object(w);
}

static void write_ipam(struct json_writer *w, const struct network *n)
{
	json_key(w, "IPAM");
	json_begin_object(w);
	json_member_str(w, "Driver", "default");
	if (n->predefined) {
		json_key(w, "Options");
		json_null(w);
	} else {
		api_pairs(w, "Options", NULL);
	}
	json_key(w, "Config");
	json_begin_array(w);
	write_subnet(w, n, false);
	write_subnet(w, n, true);
	json_end_array(w);
	json_end_object(w);
}

static void write_endpoint(struct json_writer *w, const struct sandbox *s,
			   const struct endpoint *ep)
{
	char text[IP_NET_TEXT_MAX];

	json_key(w, s->id);
	json_begin_object(w);
	json_member_str(w, "Name", s->name);
	json_member_str(w, "EndpointID", ep->id);
	json_member_str(w, "MacAddress", ep->has_mac ? mac_text(ep->mac, text) : "");
	json_member_str(w, "IPv4Address", ip_net_text(&ep->address, text));
	json_member_str(w, "IPv6Address", ip_net_text(&ep->address6, text));
	json_end_object(w);
}

static void write_members(struct json_writer *w, struct engine *en, const struct network *n)
{
	struct container *c;
	size_t pos = 0;

	json_key(w, "Containers");
	json_begin_object(w);
	while ((c = containers_next(en->containers, &pos))) {
		const struct sandbox *s = net_get(en->nets, container_id(c));

		for (size_t i = 0; s && i < s->n_endpoints; i++)
			if (s->endpoints[i].network == n)
				write_endpoint(w, s, &s->endpoints[i]);
	}
	json_end_object(w);
}

static void write_network(struct json_writer *w, struct engine *en, const struct network *n,
			  bool members)
{
	json_begin_object(w);
	json_member_str(w, "Name", n->name);
	json_member_str(w, "Id", n->id);
	json_key(w, "Created");
	json_time(w, n->created);
	json_member_str(w, "Scope", "local");
	json_member_str(w, "Driver", net_driver_name(n->driver));
	json_member_bool(w, "EnableIPv4", n->ipv4 || !network_has_links(n));
	json_member_bool(w, "EnableIPv6", n->ipv6);
	write_ipam(w, n);
	json_member_bool(w, "Internal", n->internal);
	json_member_bool(w, "Attachable", n->attachable);
	json_member_bool(w, "Ingress", false);
	json_key(w, "ConfigFrom");
	json_begin_object(w);
	json_member_str(w, "Network", "");
	json_end_object(w);
	json_member_bool(w, "ConfigOnly", false);
	if (members)
		write_members(w, en, n);
	else
		api_pairs(w, "Containers", NULL);
	api_pairs(w, "Options", n->options);
	api_pairs(w, "Labels", n->labels);
	json_end_object(w);
}

static const char *network_label(const void *object, const char *label)
{
	return strv_env_get(((const struct network *)object)->labels, label);
}

/* `dangling`: only those that no container is to be in (1), or only the others (0). */
static bool network_listed(struct engine *en, const struct filters *f, int dangling,
			   const struct network *n)
{
	if (dangling >= 0 &&
	    (n->predefined || containers_in_network(en->containers, n->name)) == dangling)
		return false;
	return filters_regex(f, "name", n->name) && filters_prefix(f, "id", n->id) &&
	       filters_exact(f, "driver", net_driver_name(n->driver)) &&
	       filters_exact(f, "scope", "local") &&
	       filters_exact(f, "type", n->predefined ? "builtin" : "custom") &&
	       filters_labels(f, "label", network_label, n);
}

static int check_type(const struct filters *f, struct err *e)
{
	const char *type;

	for (size_t i = 0; (type = filters_value(f, "type", i)); i++)
		if (!str_eq(type, "custom") && !str_eq(type, "builtin"))
			return err_set(e, EINVAL, "invalid filter: 'type'='%.60s'", type);
	return 0;
}

void networks_list(struct http_req *r)
{
	static const char *const allowed[] = { "dangling", "driver", "id",   "label",
					       "name",	   "scope",  "type", NULL };
	_cleanup_(filters_free) struct filters *f = NULL;
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct engine *en = engine_of(r);
	struct json_writer w;
	struct err e = { 0 };
	bool dangling = false;
	int code = filters_parse(http_query(r, "filters"), allowed, &f, &e);

	if (code == 0)
		code = filters_bool(f, "dangling", &dangling, &e);
	if (code == 0)
		code = check_type(f, &e);
	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	json_writer_init(&w, &b);
	json_begin_array(&w);
	for (size_t i = 0; i < nets_count(en->nets); i++)
		if (network_listed(en, f, filters_has(f, "dangling") ? dangling : -1,
				   nets_at(en->nets, i)))
			write_network(&w, en, nets_at(en->nets, i), false);
	json_end_array(&w);
	api_reply(r, 200, &b);
}

void networks_inspect(struct http_req *r)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	const struct network *n;
	struct json_writer w;
	struct err e = { 0 };
	const char *scope = http_query(r, "scope");
	int code = nets_find(engine_of(r)->nets, r->params[0], &n, &e);

	if (code == 0 && !str_empty(scope) && !str_eq(scope, "local"))
		code = err_set(&e, ENOENT, "network %.80s not found", r->params[0]);
	if (code < 0) {
		api_fail(r, code, &e);
		return;
	}
	json_writer_init(&w, &b);
	write_network(&w, engine_of(r), n, true);
	api_reply(r, 200, &b);
}
