/*
 * The JSON of a container for clients: the object of inspect. The element of the list is in
 * summary.c, and shares mounts and networks with it (inspect.h).
 *
 * Config, HostConfig are written by their bind tables; what is here is state, network and mounts,
 * in the order of Docker.
 */
#include "engine/container/inspect.h"
#include "init/base/clock.h"
#include "init/base/str.h"

static void write_state(struct container *c, struct json_writer *w)
{
	bool running = state_is_running(c->state);
	bool restarting = container_shows_restarting(c);

	json_key(w, "State");
	json_begin_object(w);
	json_member_str(w, "Status", container_state_name(c));
	json_member_bool(w, "Running", running || restarting);
	json_member_bool(w, "Paused", c->state == CONTAINER_PAUSED);
	json_member_bool(w, "Restarting", restarting);
	json_member_bool(w, "OOMKilled", c->rec.oom_killed);
	json_member_bool(w, "Dead", c->state == CONTAINER_DEAD);
	json_member_i64(w, "Pid", running ? c->rec.pid : 0);
	json_member_i64(w, "ExitCode", c->rec.exit_code);
	json_member_str(w, "Error", c->rec.error ? c->rec.error : "");
	json_key(w, "StartedAt");
	json_time(w, c->rec.started_ns);
	json_key(w, "FinishedAt");
	json_time(w, c->rec.finished_ns);
	health_write(c, w);
	json_end_object(w);
}

void inspect_mounts(struct container *c, bool in_summary, struct json_writer *w)
{
	json_key(w, "Mounts");
	json_begin_array(w);
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = mount_at_index(c, i);

		/* tmpfs of --tmpfs is shown in HostConfig.Tmpfs alone */
		if (str_eq(m->type, "tmpfs") && pairs_get(&c->asked.host.tmpfs, m->destination))
			continue;
		json_begin_object(w);
		json_member_str(w, "Type", m->type);
		if (m->name)
			json_member_str(w, "Name", m->name);
		json_member_str(w, "Source",
				m->source && !(in_summary && m->name) ? m->source : "");
		json_member_str(w, "Destination", m->destination);
		if (m->name)
			json_member_str(w, "Driver", m->driver ? m->driver : "local");
		json_member_str(w, "Mode", m->mode ? m->mode : m->name ? "z" : "");
		json_member_bool(w, "RW", m->rw);
		json_member_str(w, "Propagation", m->propagation ? m->propagation : "");
		json_end_object(w);
	}
	json_end_array(w);
}

/* ---- network ---- */

static void write_address(struct json_writer *w, const char *key, const struct ip_addr *a)
{
	char text[IP_TEXT_MAX];

	json_member_str(w, key, a && a->family ? ip_text(a, text) : "");
}

static void write_mac(struct json_writer *w, const struct endpoint *ep)
{
	char text[MAC_TEXT_MAX];

	json_member_str(w, "MacAddress", ep && ep->has_mac ? mac_text(ep->mac, text) : "");
}

/* What was asked for of the network of that name. */
static const struct endpoint_config *asked_endpoint(const struct container *c, const char *network)
{
	const struct endpoint_config *all = c->asked.networking.endpoints.items;

	for (size_t i = 0; i < c->asked.networking.endpoints.n; i++)
		if (str_eq(all[i].network, network))
			return &all[i];
	return NULL;
}

static void write_ipam(struct json_writer *w, const struct endpoint_config *asked)
{
	const struct {
		const char *key, *value;
	} addresses[] = {
		{ "IPv4Address", asked ? asked->ipam.ipv4 : NULL },
		{ "IPv6Address", asked ? asked->ipam.ipv6 : NULL },
	};
	bool links = asked && asked->ipam.link_local && asked->ipam.link_local[0];

	json_key(w, "IPAMConfig");
	if (str_empty(addresses[0].value) && str_empty(addresses[1].value) && !links) {
		json_null(w);
		return;
	}
	json_begin_object(w);
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		if (!str_empty(addresses[i].value))
			json_member_str(w, addresses[i].key, addresses[i].value);
	if (links) {
		json_key(w, "LinkLocalIPs");
		json_strv(w, asked->ipam.link_local);
	}
	json_end_object(w);
}

static void write_options(struct json_writer *w, const struct endpoint_config *asked)
{
	json_key(w, "DriverOpts");
	if (!asked || asked->driver_options.n == 0) {
		json_null(w);
		return;
	}
	json_begin_object(w);
	for (size_t i = 0; i < asked->driver_options.n; i++)
		json_member_str(w, asked->driver_options.v[i].key,
				asked->driver_options.v[i].value);
	json_end_object(w);
}

/* Names that resolve in a network of one's own; the predefined ones have no names. */
static void write_names(struct container *c, struct json_writer *w, const struct endpoint *ep)
{
	_cleanup_(strv_free) char **names = NULL;
	char *const *aliases = ep ? ep->aliases : NULL;

	json_key(w, "DNSNames");
	if (!ep || ep->network->predefined) {
		json_null(w);
		return;
	}
	strv_add(&names, c->name);
	for (; aliases && *aliases; aliases++)
		if (!strv_has(names, *aliases))
			strv_add(&names, *aliases);
	strv_addf(&names, "%.12s", c->id);
	if (!str_empty(c->asked.config.hostname) && !strv_has(names, c->asked.config.hostname))
		strv_add(&names, c->asked.config.hostname);
	json_strv(w, names);
}

/* "" when there is none of that name. */
static const char *network_id(const struct container *c, const char *name)
{
	const struct network *n;

	return nets_find(c->cs->cfg.nets, name, &n, NULL) == 0 ? n->id : "";
}

/* An endpoint of a running container, or (ep NULL) of one that is stopped. */
static void write_endpoint(struct container *c, struct json_writer *w, const char *network,
			   const struct endpoint *ep)
{
	const struct endpoint_config *asked = asked_endpoint(c, network);

	json_key(w, network);
	json_begin_object(w);
	write_ipam(w, asked);
	json_key(w, "Links");
	json_null(w);
	json_key(w, "Aliases");
	json_strv(w, ep ? ep->aliases : asked ? asked->aliases : NULL);
	write_mac(w, ep);
	write_options(w, asked);
	json_member_i64(w, "GwPriority", asked ? asked->gateway_priority : 0);
	json_member_str(w, "NetworkID", ep ? ep->network->id : network_id(c, network));
	json_member_str(w, "EndpointID", ep ? ep->id : "");
	write_address(w, "Gateway", ep ? &ep->gateway : NULL);
	write_address(w, "IPAddress", ep ? &ep->address.addr : NULL);
	json_member_i64(w, "IPPrefixLen", ep && ep->address.addr.family ? ep->address.prefix : 0);
	write_address(w, "IPv6Gateway", ep ? &ep->gateway6 : NULL);
	write_address(w, "GlobalIPv6Address", ep ? &ep->address6.addr : NULL);
	json_member_i64(w, "GlobalIPv6PrefixLen",
			ep && ep->address6.addr.family ? ep->address6.prefix : 0);
	write_names(c, w, ep);
	json_end_object(w);
}

void inspect_networks(struct container *c, struct json_writer *w)
{
	const struct endpoint_config *asked = c->asked.networking.endpoints.items;
	const char *mode = c->asked.host.network_mode;

	json_key(w, "Networks");
	json_begin_object(w);
	for (size_t i = 0; c->sandbox && i < c->sandbox->n_endpoints; i++)
		write_endpoint(c, w, c->sandbox->endpoints[i].network->name,
			       &c->sandbox->endpoints[i]);
	if (!c->sandbox && !str_starts(mode, "container:") && c->asked.networking.endpoints.n == 0)
		write_endpoint(c, w, str_eq(mode, "default") ? "bridge" : mode, NULL);
	for (size_t i = 0; !c->sandbox && i < c->asked.networking.endpoints.n; i++)
		write_endpoint(c, w, asked[i].network, NULL);
	json_end_object(w);
}

bool inspect_published(const struct container *c, uint16_t port, uint8_t proto)
{
	const struct sandbox *net = c->sandbox;

	for (size_t i = 0; net && i < net->n_ports; i++)
		if (net->ports[i].container_port == port && net->ports[i].proto == proto)
			return true;
	return false;
}

static void write_ports(struct container *c, struct json_writer *w)
{
	const struct sandbox *net = c->sandbox;
	char ip[IP_TEXT_MAX];

	json_key(w, "Ports");
	json_begin_object(w);
	for (size_t i = 0; net && i < net->n_ports; i++) {
		const struct port_binding *p = &net->ports[i];
		bool first = i == 0 || net->ports[i - 1].container_port != p->container_port ||
			     net->ports[i - 1].proto != p->proto;

		if (first) {
			char key[16];

			str_format(key, sizeof(key), "%u/%s", p->container_port,
				   port_proto_name(p->proto));
			json_key(w, key);
			json_begin_array(w);
		}
		json_begin_object(w);
		json_member_str(w, "HostIp", ip_text(&p->host_ip, ip));
		json_key(w, "HostPort");
		if (p->host_port)
			json_strf(w, "%u", p->host_port);
		else /* routed */
			json_str(w, "");
		json_end_object(w);
		if (i + 1 == net->n_ports ||
		    net->ports[i + 1].container_port != p->container_port ||
		    net->ports[i + 1].proto != p->proto)
			json_end_array(w);
	}
	for (char **x = c->asked.config.exposed_ports; net && x && *x; x++) {
		uint16_t port;
		uint8_t proto;

		if (port_parse(*x, &port, &proto, NULL) < 0 || inspect_published(c, port, proto))
			continue;
		json_key(w, *x);
		json_null(w);
	}
	json_end_object(w);
}

static void write_network_settings(struct container *c, struct json_writer *w)
{
	const struct sandbox *net = c->sandbox;
	const struct endpoint *ep = NULL;

	/* the old top-level fields speak of the network named bridge only */
	for (size_t i = 0; net && i < net->n_endpoints; i++)
		if (str_eq(net->endpoints[i].network->name, "bridge"))
			ep = &net->endpoints[i];
	json_key(w, "NetworkSettings");
	json_begin_object(w);
	json_member_str(w, "Bridge", "");
	json_member_str(w, "SandboxID", net ? net->sandbox_id : "");
	json_member_str(w, "SandboxKey", net && net->key ? net->key : "");
	write_ports(c, w);
	json_member_bool(w, "HairpinMode", false);
	json_member_str(w, "LinkLocalIPv6Address", "");
	json_member_i64(w, "LinkLocalIPv6PrefixLen", 0);
	json_key(w, "SecondaryIPAddresses");
	json_null(w);
	json_key(w, "SecondaryIPv6Addresses");
	json_null(w);
	json_member_str(w, "EndpointID", ep ? ep->id : "");
	write_address(w, "Gateway", ep ? &ep->gateway : NULL);
	json_member_str(w, "GlobalIPv6Address", "");
	json_member_i64(w, "GlobalIPv6PrefixLen", 0);
	write_address(w, "IPAddress", ep ? &ep->address.addr : NULL);
	json_member_i64(w, "IPPrefixLen", ep ? ep->address.prefix : 0);
	json_member_str(w, "IPv6Gateway", "");
	write_mac(w, ep);
	inspect_networks(c, w);
	json_end_object(w);
}

/* ---- inspect ---- */

static void write_command(struct container *c, struct json_writer *w)
{
	char **entry = c->asked.config.entrypoint, **cmd = c->asked.config.cmd;
	bool own = entry && entry[0];

	json_member_str(w, "Path", own ? entry[0] : cmd && cmd[0] ? cmd[0] : "");
	json_key(w, "Args");
	json_begin_array(w);
	for (char **a = own ? entry + 1 : NULL; a && *a; a++)
		json_str(w, *a);
	for (char **a = own ? cmd : cmd && cmd[0] ? cmd + 1 : NULL; a && *a; a++)
		json_str(w, *a);
	json_end_array(w);
}

static void member_path(struct json_writer *w, const char *key, char *path)
{
	json_member_str(w, key, path ? path : "");
	free(path);
}

static void write_graph(struct container *c, const struct image *img, struct json_writer *w)
{
	_cleanup_(strv_free) char **lower = img ? image_lower_dirs(img) : NULL;

	json_key(w, "GraphDriver");
	json_begin_object(w);
	json_key(w, "Data");
	json_begin_object(w);
	json_member_str(w, "ID", c->id);
	member_path(w, "LowerDir", lower ? strv_join(lower, ":") : NULL);
	/* seen by the container's shim alone, while there is one */
	member_path(w, "MergedDir", str_printf("%s/%s/bundle/rootfs", c->cs->shims_dir, c->id));
	member_path(w, "UpperDir", container_path(c, "upper"));
	member_path(w, "WorkDir", container_path(c, "work"));
	json_end_object(w);
	json_member_str(w, "Name", "overlay2");
	json_end_object(w);
}

/* What files.h counted, and the image below. */
void inspect_sizes(struct container *c, struct json_writer *w)
{
	const struct image *img = images_find(c->cs->cfg.images, c->image_id, NULL);

	if (c->size_rw >= 0)
		json_member_i64(w, "SizeRw", c->size_rw);
	json_member_i64(w, "SizeRootFs", (img ? img->size : 0) + MAX(c->size_rw, (int64_t)0));
}

void container_inspect(struct container *c, bool size, struct json_writer *w)
{
	const struct image *img = images_find(c->cs->cfg.images, c->image_id, NULL);
	const struct sandbox *net = c->sandbox;

	json_begin_object(w);
	json_member_str(w, "Id", c->id);
	json_key(w, "Created");
	json_time(w, c->created_ns);
	write_command(c, w);
	write_state(c, w);
	json_member_str(w, "Image", c->image_id);
	json_member_str(w, "ResolvConfPath", net && net->resolv_path ? net->resolv_path : "");
	json_member_str(w, "HostnamePath", net && net->hostname_path ? net->hostname_path : "");
	json_member_str(w, "HostsPath", net && net->hosts_path ? net->hosts_path : "");
	member_path(w, "LogPath",
		    str_eq(c->asked.host.log.type, "json-file") ? container_log_path(c) : NULL);
	json_key(w, "Name");
	json_strf(w, "/%s", c->name);
	json_member_i64(w, "RestartCount", c->rec.restart_count);
	json_member_str(w, "Driver", "overlay2");
	json_member_str(w, "Platform", img && img->os ? img->os : "linux");
	if (size)
		inspect_sizes(c, w);
	json_member_str(w, "MountLabel", "");
	json_member_str(w, "ProcessLabel", "");
	json_member_str(w, "AppArmorProfile", "");
	json_key(w, "ExecIDs");
	execs_write_ids(c, w);
	json_key(w, "HostConfig");
	bind_write(&host_config_table, &c->asked.host, w);
	write_graph(c, img, w);
	inspect_mounts(c, false, w);
	json_key(w, "Config");
	bind_write(&container_config_table, &c->asked.config, w);
	write_network_settings(c, w);
	json_end_object(w);
}
