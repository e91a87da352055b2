/*
 * One element of the list of containers: what `docker ps` shows.
 *
 * Texts are those of Docker: the status with its rounded time (docker/go-units, HumanDuration), the
 * command line, the image's name only while it still means the container's image.
 */
#include "engine/container/inspect.h"
#include "init/base/clock.h"
#include "init/base/str.h"

#define NS INT64_C(1000000000)

void human_duration(int64_t ns, char *buf, size_t size)
{
	long long seconds = ns / NS, minutes = seconds / 60, hours = (seconds + 1800) / 3600;

	if (seconds < 1)
		str_copy(buf, size, "Less than a second");
	else if (seconds == 1)
		str_copy(buf, size, "1 second");
	else if (seconds < 60)
		str_format(buf, size, "%lld seconds", seconds);
	else if (minutes == 1)
		str_copy(buf, size, "About a minute");
	else if (minutes < 60)
		str_format(buf, size, "%lld minutes", minutes);
	else if (hours == 1)
		str_copy(buf, size, "About an hour");
	else if (hours < 48)
		str_format(buf, size, "%lld hours", hours);
	else if (hours < 24 * 7 * 2)
		str_format(buf, size, "%lld days", hours / 24);
	else if (hours < 24 * 30 * 2)
		str_format(buf, size, "%lld weeks", hours / 24 / 7);
	else if (hours < 24 * 365 * 2)
		str_format(buf, size, "%lld months", hours / 24 / 30);
	else
		str_format(buf, size, "%lld years", seconds / 3600 / 24 / 365);
}

static void write_status(struct container *c, struct json_writer *w)
{
	const char *health = container_health(c);
	char up[40], down[40];
	int64_t now = clock_real_ns();

	human_duration(now - c->rec.started_ns, up, sizeof(up));
	human_duration(now - c->rec.finished_ns, down, sizeof(down));
	json_key(w, "Status");
	switch (container_shows_restarting(c) ? CONTAINER_RESTARTING : c->state) {
	case CONTAINER_PAUSED:
		json_strf(w, "Up %s (Paused)", up);
		break;
	case CONTAINER_RUNNING:
		if (str_eq(health, "none"))
			json_strf(w, "Up %s", up);
		else
			json_strf(w, "Up %s (%s%s)", up,
				  str_eq(health, "starting") ? "health: " : "", health);
		break;
	case CONTAINER_RESTARTING:
		json_strf(w, "Restarting (%d) %s ago", (int)c->rec.exit_code, down);
		break;
	case CONTAINER_REMOVING:
		json_str(w, "Removal In Progress");
		break;
	case CONTAINER_DEAD:
		json_str(w, "Dead");
		break;
	default:
		if (c->rec.started_ns == 0)
			json_str(w, "Created");
		else if (c->rec.finished_ns == 0)
			json_str(w, "");
		else
			json_strf(w, "Exited (%d) %s ago", (int)c->rec.exit_code, down);
	}
}

static void write_ports(struct container *c, struct json_writer *w)
{
	const struct sandbox *net = c->sandbox;
	char ip[IP_TEXT_MAX];

	json_key(w, "Ports");
	json_begin_array(w);
	for (size_t i = 0; net && i < net->n_ports; i++) {
		json_begin_object(w);
		if (net->ports[i].host_port)
			json_member_str(w, "IP", ip_text(&net->ports[i].host_ip, ip));
		json_member_i64(w, "PrivatePort", net->ports[i].container_port);
		if (net->ports[i].host_port)
			json_member_i64(w, "PublicPort", net->ports[i].host_port);
		json_member_str(w, "Type", port_proto_name(net->ports[i].proto));
		json_end_object(w);
	}
	for (char **x = c->asked.config.exposed_ports; net && x && *x; x++) {
		uint16_t port;
		uint8_t proto;

		if (port_parse(*x, &port, &proto, NULL) < 0 || inspect_published(c, port, proto))
			continue;
		json_begin_object(w);
		json_member_i64(w, "PrivatePort", port);
		json_member_str(w, "Type", port_proto_name(proto));
		json_end_object(w);
	}
	json_end_array(w);
}

/* The program, then its arguments; those with a blank in quotes. */
static void write_command(struct container *c, struct json_writer *w)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(1 << 20);
	char **lists[] = { c->asked.config.entrypoint, c->asked.config.cmd };
	bool program = true;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		for (char **a = lists[i]; a && *a; a++, program = false) {
			bool quoted = !program && strchr(*a, ' ');

			buf_printf(&text, "%s%s%s%s", program ? "" : " ", quoted ? "'" : "", *a,
				   quoted ? "'" : "");
		}
	}
	json_member_str(w, "Command", buf_text(&text));
}

/* The name it was made from, or the id when that name has come to mean another image. */
static const char *image_name(const struct container *c)
{
	const char *asked = c->asked.config.image;
	const struct image *img = images_find(c->cs->cfg.images, asked, NULL);

	return img && str_eq(img->id, c->image_id) ? asked : c->image_id;
}

static void write_host_config(struct container *c, struct json_writer *w)
{
	const struct bind_pairs *annotations = &c->asked.host.annotations;

	json_key(w, "HostConfig");
	json_begin_object(w);
	json_member_str(w, "NetworkMode", c->asked.host.network_mode);
	if (annotations->n > 0) {
		json_key(w, "Annotations");
		json_begin_object(w);
		for (size_t i = 0; i < annotations->n; i++)
			json_member_str(w, annotations->v[i].key, annotations->v[i].value);
		json_end_object(w);
	}
	json_end_object(w);
}

void container_summary(struct container *c, bool size, struct json_writer *w)
{
	struct bind labels = { .key = "Labels",
			       .type = BIND_PAIRS,
			       .offset = offsetof(struct container_config, labels) };
	struct bind_table one = { .rows = &labels, .n_rows = 1, .size = sizeof(c->asked.config) };

	json_begin_object(w);
	json_member_str(w, "Id", c->id);
	json_key(w, "Names");
	json_begin_array(w);
	json_strf(w, "/%s", c->name);
	json_end_array(w);
	json_member_str(w, "Image", image_name(c));
	json_member_str(w, "ImageID", c->image_id);
	write_command(c, w);
	json_member_i64(w, "Created", c->created_ns / NS);
	write_ports(c, w);
	if (size)
		inspect_sizes(c, w);
	bind_write_members(&one, &c->asked.config, w);
	json_member_str(w, "State", container_state_name(c));
	write_status(c, w);
	write_host_config(c, w);
	json_key(w, "NetworkSettings");
	json_begin_object(w);
	inspect_networks(c, w);
	json_end_object(w);
	inspect_mounts(c, true, w);
	json_end_object(w);
}

/* ---- what the list filters by ---- */

bool container_has_port(const struct container *c, uint8_t proto, uint16_t first, uint16_t last,
			bool published)
{
	const struct sandbox *net = c->sandbox;

	for (size_t i = 0; net && i < net->n_ports; i++) {
		uint16_t port = published ? net->ports[i].host_port : net->ports[i].container_port;

		if (net->ports[i].proto == proto && port >= first && port <= last)
			return true;
	}
	for (char **x = c->asked.config.exposed_ports; net && !published && x && *x; x++) {
		uint16_t port;
		uint8_t p;

		if (port_parse(*x, &port, &p, NULL) == 0 && p == proto && port >= first &&
		    port <= last)
			return true;
	}
	return false;
}

bool container_has_mount(const struct container *c, const char *text)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = mount_at_index(c, i);

		if (str_eq(m->destination, text) || str_eq(m->name ? m->name : m->source, text))
			return true;
	}
	return false;
}

bool container_has_network(const struct container *c, const char *name)
{
	const struct endpoint_config *asked = c->asked.networking.endpoints.items;

	for (size_t i = 0; c->sandbox && i < c->sandbox->n_endpoints; i++) {
		const struct network *n = c->sandbox->endpoints[i].network;

		if (str_eq(n->name, name) || (!str_empty(name) && str_starts(n->id, name)))
			return true;
	}
	for (size_t i = 0; !c->sandbox && i < c->asked.networking.endpoints.n; i++)
		if (str_eq(asked[i].network, name))
			return true;
	return !c->sandbox && c->asked.networking.endpoints.n == 0 &&
	       str_eq(c->asked.host.network_mode, name);
}
