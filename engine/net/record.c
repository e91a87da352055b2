/*
 * Networks and sandboxes as JSON documents: STATE_DIR/networks/<id>.json, RUN_DIR/net/<id>.json.
 *
 * A sandbox's record is written before anything of it is made and says how to take it apart; it is
 * removed last. Reading checks every field: the folders are ours, but a record of an older or newer
 * engine must not lead to a wrong address or a foreign link. Callers: nets.c, attach.c, restore.c.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "engine/data/ids.h"
#include "engine/net/inside.h"
#include "engine/net/link.h"
#include "engine/state/state.h"
#include "init/base/str.h"

enum { RECORD_VERSION = 1 };

static void put_addr(struct json_writer *w, const char *key, const struct ip_addr *a)
{
	char text[IP_TEXT_MAX];

	json_member_str(w, key, ip_text(a, text));
}

static void put_net(struct json_writer *w, const char *key, const struct ip_net *n)
{
	char text[IP_NET_TEXT_MAX];

	json_member_str(w, key, ip_net_text(n, text));
}

static void put_strv(struct json_writer *w, const char *key, char *const *v)
{
	json_key(w, key);
	json_strv(w, v);
}

static int get_addr(yyjson_val *o, const char *key, struct ip_addr *ret_addr, struct err *e)
{
	const char *text = "";
	int rc = json_get_text(o, key, &text, e);

	return rc < 0 || !*text ? rc : ip_parse(text, ret_addr, e);
}

static int get_net(yyjson_val *o, const char *key, struct ip_net *ret_net, struct err *e)
{
	const char *text = "";
	int rc = json_get_text(o, key, &text, e);

	return rc < 0 || !*text ? rc : ip_net_parse(text, ret_net, e);
}

/* A text of a fixed size field; absent leaves it as it is. */
static int get_fixed(yyjson_val *o, const char *key, char *dst, size_t size, struct err *e)
{
	const char *text = dst;
	int rc = json_get_text(o, key, &text, e);

	if (rc == 0 && text != dst && str_copy(dst, size, text) < 0)
		rc = err_set(e, EINVAL, "%s: too long", key);
	return rc;
}

static int get_id(yyjson_val *o, const char *key, char ret_id[NET_ID_LEN + 1], struct err *e)
{
	int rc = get_fixed(o, key, ret_id, NET_ID_LEN + 1, e);

	if (rc == 0 && !id_valid(ret_id))
		rc = err_set(e, EINVAL, "%s: not an id", key);
	return rc;
}

static int get_link_name(yyjson_val *o, const char *key, char *dst, struct err *e)
{
	int rc = get_fixed(o, key, dst, IFNAMSIZ, e);

	return rc < 0 || !*dst ? rc : link_name_check(dst, e);
}

static int get_number(yyjson_val *o, const char *key, uint64_t max, uint64_t *ret_value,
		      struct err *e)
{
	int rc = json_get_u64(o, key, ret_value, e);

	if (rc == 0 && *ret_value > max)
		rc = err_set(e, EINVAL, "%s: too large", key);
	return rc;
}

static int check_version(yyjson_val *root, struct err *e)
{
	uint64_t v = 0;
	int rc = json_get_u64(root, "v", &v, e);

	if (rc == 0 && v != RECORD_VERSION)
		rc = err_set(e, EINVAL, "record version %llu is not known", (unsigned long long)v);
	return rc;
}

/* --- networks --------------------------------------------------------------------------------- */

int network_save(const struct nets *n, const struct network *net, struct err *e)
{
	_cleanup_(mem_free) char *path = str_printf("%s/networks/%s.json", n->state_dir, net->id);
	_cleanup_(buf_free) struct buf b = BUF_INIT(0);
	struct json_writer w;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_i64(&w, "v", RECORD_VERSION);
	json_member_str(&w, "id", net->id);
	json_member_str(&w, "name", net->name);
	json_member_str(&w, "driver", net_driver_name(net->driver));
	json_member_i64(&w, "created", net->created);
	put_net(&w, "subnet", &net->subnet);
	put_addr(&w, "gateway", &net->gateway);
	put_net(&w, "range", &net->range);
	put_net(&w, "subnet6", &net->subnet6);
	put_addr(&w, "gateway6", &net->gateway6);
	put_net(&w, "range6", &net->range6);
	put_strv(&w, "aux", net->aux);
	json_member_str(&w, "ifname", net->ifname);
	json_member_str(&w, "prefix", net->prefix);
	json_member_i64(&w, "mtu", net->mtu);
	json_member_bool(&w, "predefined", net->predefined);
	json_member_bool(&w, "internal", net->internal);
	json_member_bool(&w, "attachable", net->attachable);
	json_member_bool(&w, "ipv4", net->ipv4);
	json_member_bool(&w, "ipv6", net->ipv6);
	json_member_bool(&w, "parent_made", net->parent_made);
	json_member_bool(&w, "subnet_asked", net->subnet_asked);
	json_member_bool(&w, "masquerade", net->masquerade);
	json_member_bool(&w, "icc", net->icc);
	put_strv(&w, "labels", net->labels);
	put_strv(&w, "options", net->options);
	json_end_object(&w);
	if (!path || buf_failed(&b))
		return err_set(e, ENOMEM, "out of memory");
	return state_write(AT_FDCWD, path, buf_text(&b), b.len, e);
}

static int parse_driver(yyjson_val *root, struct network *net, struct err *e)
{
	const char *text = "";
	int rc = json_get_text(root, "driver", &text, e);

	if (rc < 0)
		return rc;
	for (enum net_driver d = NET_BRIDGE; d <= NET_IPVLAN; d++) {
		if (str_eq(text, net_driver_name(d))) {
			net->driver = d;
			return 0;
		}
	}
	return err_set(e, EINVAL, "driver \"%.32s\" is not known", text);
}

static int check_network(const struct network *net, struct err *e)
{
	if (str_empty(net->name))
		return err_set(e, EINVAL, "name: missing");
	if (!network_has_links(net))
		return 0;
	if (net->driver == NET_BRIDGE && !net->ifname[0])
		return err_set(e, EINVAL, "ifname: missing");
	if (!net->predefined && net->ipv4 != ip_is_set(&net->subnet.addr))
		return err_set(e, EINVAL, "subnet: missing");
	if (ip_is_set(&net->subnet.addr) && !ip_net_has(&net->subnet, &net->gateway))
		return err_set(e, EINVAL, "gateway: not in the subnet");
	if (net->ipv6 &&
	    (!ip_is_set(&net->subnet6.addr) || !ip_net_has(&net->subnet6, &net->gateway6)))
		return err_set(e, EINVAL, "gateway6: not in the subnet");
	return 0;
}

int network_parse(yyjson_val *root, struct net **ret_net, struct err *e)
{
	struct net *net = calloc(1, sizeof(*net));
	struct network *p = &net->pub;
	uint64_t mtu = 1500;
	int rc;

	if (!net)
		return err_set(e, ENOMEM, "out of memory");
	rc = check_version(root, e);
	rc = rc < 0 ? rc : get_id(root, "id", p->id, e);
	rc = rc < 0 ? rc : json_get_copy(root, "name", &p->name, e);
	rc = rc < 0 ? rc : parse_driver(root, p, e);
	rc = rc < 0 ? rc : json_get_i64(root, "created", &p->created, e);
	rc = rc < 0 ? rc : get_net(root, "subnet", &p->subnet, e);
	rc = rc < 0 ? rc : get_addr(root, "gateway", &p->gateway, e);
	rc = rc < 0 ? rc : get_net(root, "range", &p->range, e);
	rc = rc < 0 ? rc : get_net(root, "subnet6", &p->subnet6, e);
	rc = rc < 0 ? rc : get_addr(root, "gateway6", &p->gateway6, e);
	rc = rc < 0 ? rc : get_net(root, "range6", &p->range6, e);
	rc = rc < 0 ? rc : json_get_strv(root, "aux", &p->aux, e);
	rc = rc < 0 ? rc : get_link_name(root, "ifname", p->ifname, e);
	(void)str_copy(p->prefix, sizeof(p->prefix), "eth");
	rc = rc < 0 ? rc : get_link_name(root, "prefix", p->prefix, e);
	rc = rc < 0 ? rc : get_number(root, "mtu", 65535, &mtu, e);
	rc = rc < 0 ? rc : json_get_bool(root, "predefined", &p->predefined, e);
	rc = rc < 0 ? rc : json_get_bool(root, "internal", &p->internal, e);
	rc = rc < 0 ? rc : json_get_bool(root, "attachable", &p->attachable, e);
	p->ipv4 = true; /* records of before there were networks without */
	rc = rc < 0 ? rc : json_get_bool(root, "ipv4", &p->ipv4, e);
	rc = rc < 0 ? rc : json_get_bool(root, "ipv6", &p->ipv6, e);
	rc = rc < 0 ? rc : json_get_bool(root, "parent_made", &p->parent_made, e);
	rc = rc < 0 ? rc : json_get_bool(root, "subnet_asked", &p->subnet_asked, e);
	rc = rc < 0 ? rc : json_get_bool(root, "masquerade", &p->masquerade, e);
	rc = rc < 0 ? rc : json_get_bool(root, "icc", &p->icc, e);
	rc = rc < 0 ? rc : json_get_strv(root, "labels", &p->labels, e);
	rc = rc < 0 ? rc : json_get_strv(root, "options", &p->options, e);
	rc = rc < 0 ? rc : options_read_late(p, e);
	rc = rc < 0 ? rc : check_network(p, e);
	if (rc < 0) {
		network_release(net);
		return rc;
	}
	p->mtu = (uint32_t)mtu;
	*ret_net = net;
	return 0;
}

/* --- sandboxes -------------------------------------------------------------------------------- */

static const char *const mode_names[] = {
	[NET_MODE_OWN] = "own", [NET_MODE_HOST] = "host", [NET_MODE_SHARED] = "shared"
};

static void put_endpoint(struct json_writer *w, const struct endpoint *ep)
{
	char mac[MAC_TEXT_MAX];

	json_begin_object(w);
	json_member_str(w, "id", ep->id);
	json_member_str(w, "network", ep->network->id);
	put_net(w, "address", &ep->address);
	put_addr(w, "gateway", &ep->gateway);
	put_net(w, "address6", &ep->address6);
	put_addr(w, "gateway6", &ep->gateway6);
	json_member_i64(w, "priority", ep->priority);
	if (ep->has_mac)
		json_member_str(w, "mac", mac_text(ep->mac, mac));
	json_member_str(w, "ifname", ep->ifname);
	json_member_str(w, "host_ifname", ep->host_ifname);
	if (ep->index)
		json_member_i64(w, "index", ep->index);
	put_strv(w, "aliases", ep->aliases);
	json_end_object(w);
}

static void put_port(struct json_writer *w, const struct port_binding *b)
{
	json_begin_object(w);
	json_member_i64(w, "proto", b->proto);
	json_member_i64(w, "container_port", b->container_port);
	put_addr(w, "host_ip", &b->host_ip);
	json_member_i64(w, "host_port", b->host_port);
	json_end_object(w);
}

int sandbox_save(const struct nets *n, const struct sandbox *s, struct err *e)
{
	_cleanup_(mem_free) char *path = str_printf("%s/net/%s.json", n->run_dir, s->id);
	_cleanup_(buf_free) struct buf b = BUF_INIT(0);
	struct json_writer w;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_i64(&w, "v", RECORD_VERSION);
	json_member_str(&w, "id", s->id);
	json_member_str(&w, "sandbox", s->sandbox_id);
	json_member_str(&w, "mode", mode_names[s->mode]);
	json_member_str(&w, "key", s->key);
	json_member_str(&w, "shared_with", s->shared_with);
	json_member_str(&w, "name", s->name);
	json_member_str(&w, "host_names", s->host_names);
	json_member_bool(&w, "embedded_dns", s->embedded_dns);
	json_member_str(&w, "hosts", s->hosts_path);
	json_member_str(&w, "hostname", s->hostname_path);
	json_member_str(&w, "resolv", s->resolv_path);
	json_member_u64(&w, "resolv_mark", s->resolv_mark);
	put_strv(&w, "dns", s->dns);
	put_strv(&w, "dns_search", s->dns_search);
	put_strv(&w, "dns_options", s->dns_options);
	json_key(&w, "endpoints");
	json_begin_array(&w);
	for (size_t i = 0; i < s->n_endpoints; i++)
		put_endpoint(&w, &s->endpoints[i]);
	json_end_array(&w);
	json_key(&w, "ports");
	json_begin_array(&w);
	for (size_t i = 0; i < s->n_ports; i++)
		put_port(&w, &s->ports[i]);
	json_end_array(&w);
	json_end_object(&w);
	if (!path || buf_failed(&b))
		return err_set(e, ENOMEM, "out of memory");
	return state_write(AT_FDCWD, path, buf_text(&b), b.len, e);
}

int sandbox_forget(const struct nets *n, const char *id, struct err *e)
{
	_cleanup_(mem_free) char *path = str_printf("%s/net/%s.json", n->run_dir, id);

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	return state_remove(AT_FDCWD, path, e);
}

static int parse_endpoint(const struct nets *n, yyjson_val *o, struct endpoint *ep, struct err *e)
{
	const char *net = "", *mac = "";
	uint64_t index = 0;
	int rc;

	rc = get_id(o, "id", ep->id, e);
	rc = rc < 0 ? rc : json_get_text(o, "network", &net, e);
	rc = rc < 0 ? rc : nets_find(n, net, &ep->network, e);
	rc = rc < 0 ? rc : get_net(o, "address", &ep->address, e);
	rc = rc < 0 ? rc : get_addr(o, "gateway", &ep->gateway, e);
	rc = rc < 0 ? rc : get_net(o, "address6", &ep->address6, e);
	rc = rc < 0 ? rc : get_addr(o, "gateway6", &ep->gateway6, e);
	rc = rc < 0 ? rc : json_get_i64(o, "priority", &ep->priority, e);
	rc = rc < 0 ? rc : json_get_text(o, "mac", &mac, e);
	rc = rc < 0 ? rc : get_link_name(o, "ifname", ep->ifname, e);
	rc = rc < 0 ? rc : get_link_name(o, "host_ifname", ep->host_ifname, e);
	rc = rc < 0 ? rc : get_number(o, "index", INT_MAX, &index, e);
	ep->index = (int)index;
	rc = rc < 0 ? rc : json_get_strv(o, "aliases", &ep->aliases, e);
	if (rc == 0 && *mac) {
		rc = mac_parse(mac, ep->mac, e);
		ep->has_mac = rc == 0;
	}
	return rc;
}

static int parse_port(yyjson_val *o, struct port_binding *b, struct err *e)
{
	uint64_t proto = 0, port = 0, host = 0;
	int rc;

	b->fd = -1;
	rc = get_number(o, "proto", UINT8_MAX, &proto, e);
	rc = rc < 0 ? rc : get_number(o, "container_port", UINT16_MAX, &port, e);
	rc = rc < 0 ? rc : get_number(o, "host_port", UINT16_MAX, &host, e);
	rc = rc < 0 ? rc : get_addr(o, "host_ip", &b->host_ip, e);
	if (rc == 0 && (!ip_is_set(&b->host_ip) || !port))
		rc = err_set(e, EINVAL, "ports: incomplete entry");
	b->proto = (uint8_t)proto;
	b->container_port = (uint16_t)port;
	b->host_port = (uint16_t)host;
	return rc;
}

/* Both arrays; what was read so far is in *s also on failure, for sandbox_free. */
static int parse_arrays(const struct nets *n, yyjson_val *root, struct sandbox *s, struct err *e)
{
	yyjson_val *eps = NULL, *ports = NULL, *v;
	size_t i, max;
	int rc;

	rc = json_get_array(root, "endpoints", &eps, e);
	rc = rc < 0 ? rc : json_get_array(root, "ports", &ports, e);
	if (rc < 0)
		return rc;
	if (yyjson_arr_size(eps) > NET_ENDPOINTS_MAX || yyjson_arr_size(ports) > 2 * PORT_WANTS_MAX)
		return err_set(e, EINVAL, "too many endpoints or ports");
	s->endpoints = calloc(yyjson_arr_size(eps) + 1, sizeof(*s->endpoints));
	s->ports = calloc(yyjson_arr_size(ports) + 1, sizeof(*s->ports));
	if (!s->endpoints || !s->ports)
		return err_set(e, ENOMEM, "out of memory");
	yyjson_arr_foreach(eps, i, max, v)
	{
		rc = parse_endpoint(n, v, &s->endpoints[s->n_endpoints++], e);
		if (rc < 0)
			return rc;
	}
	yyjson_arr_foreach(ports, i, max, v)
	{
		rc = parse_port(v, &s->ports[s->n_ports++], e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int parse_mode(yyjson_val *root, struct sandbox *s, struct err *e)
{
	const char *text = "";
	int rc = json_get_text(root, "mode", &text, e);

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(mode_names); i++) {
		if (str_eq(text, mode_names[i])) {
			s->mode = (enum net_mode)i;
			return 0;
		}
	}
	return rc < 0 ? rc : err_set(e, EINVAL, "mode \"%.32s\" is not known", text);
}

int sandbox_parse(const struct nets *n, yyjson_val *root, struct sandbox **ret_sandbox,
		  struct err *e)
{
	_cleanup_(sandbox_free) struct sandbox *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	rc = check_version(root, e);
	rc = rc < 0 ? rc : get_id(root, "id", s->id, e);
	rc = rc < 0 ? rc : get_id(root, "sandbox", s->sandbox_id, e);
	rc = rc < 0 ? rc : parse_mode(root, s, e);
	rc = rc < 0 ? rc : json_get_copy(root, "key", &s->key, e);
	rc = rc < 0 ? rc : json_get_copy(root, "shared_with", &s->shared_with, e);
	rc = rc < 0 ? rc : json_get_copy(root, "name", &s->name, e);
	rc = rc < 0 ? rc : json_get_copy(root, "host_names", &s->host_names, e);
	rc = rc < 0 ? rc : json_get_bool(root, "embedded_dns", &s->embedded_dns, e);
	rc = rc < 0 ? rc : json_get_copy(root, "hosts", &s->hosts_path, e);
	rc = rc < 0 ? rc : json_get_copy(root, "hostname", &s->hostname_path, e);
	rc = rc < 0 ? rc : json_get_copy(root, "resolv", &s->resolv_path, e);
	rc = rc < 0 ? rc : json_get_u64(root, "resolv_mark", &s->resolv_mark, e);
	rc = rc < 0 ? rc : json_get_strv(root, "dns", &s->dns, e);
	rc = rc < 0 ? rc : json_get_strv(root, "dns_search", &s->dns_search, e);
	rc = rc < 0 ? rc : json_get_strv(root, "dns_options", &s->dns_options, e);
	rc = rc < 0 ? rc : parse_arrays(n, root, s, e);
	if (rc == 0 && (!s->hosts_path || !s->hostname_path || !s->resolv_path ||
			(s->mode == NET_MODE_OWN && !s->key)))
		rc = err_set(e, EINVAL, "record is incomplete");
	if (rc < 0)
		return rc;
	*ret_sandbox = take_ptr(s);
	return 0;
}
