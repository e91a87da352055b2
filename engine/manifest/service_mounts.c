/*
 * The keys ports, expose, volumes and tmpfs of a service, in their short and long forms.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "engine/manifest/service.h"
#include "engine/net/ports.h"
#include "init/base/str.h"

/* ---- ports ---- */

static int add_port(struct service_target *t, const struct port_want *w, struct err *e)
{
	struct create_config *c = &t->s.create;
	char key[24], ip[IP_TEXT_MAX] = "", range[16] = "";
	struct bind_list *hosts;
	struct port_host *host;

	snprintf(key, sizeof(key), "%u/%s", w->container_port, port_proto_name(w->proto));
	if (w->host_ip.family)
		ip_text(&w->host_ip, ip);
	if (w->host_first && w->host_first == w->host_last)
		snprintf(range, sizeof(range), "%u", w->host_first);
	else if (w->host_first)
		snprintf(range, sizeof(range), "%u-%u", w->host_first, w->host_last);
	hosts = bind_lists_get(&c->host.port_bindings, key);
	host = hosts ? bind_list_add(&port_host_table, hosts) : NULL;
	if (!host || str_set(&host->ip, ip) < 0 || str_set(&host->port, range) < 0 ||
	    (!strv_has(c->config.exposed_ports, key) &&
	     strv_add(&c->config.exposed_ports, key) < 0))
		return err_errno(e, ENOMEM, "ports");
	return 0;
}

static int read_port_text(struct service_target *t, const struct place *p,
			  const struct yaml_node *n, const char *spec, struct err *e)
{
	_cleanup_(mem_free) struct port_want *wants = NULL;
	struct err why = { 0 };
	size_t count = 0;
	int r = port_spec_parse(spec, &wants, &count, &why);

	if (r < 0)
		return yaml_err(n->doc, n->line, p->path, e, "%s", err_text(&why));
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_port(t, &wants[i], e);
	return r;
}

struct long_port {
	char *target, *published, *host_ip, *protocol;
};

/* The long form is put into the words of the short one, which is then read. */
static int read_port_map(struct service_target *t, const struct place *p, const struct yaml_node *n,
			 struct err *e)
{
	static const struct key_row rows[] = {
		{ "target", VALUE_TEXT, offsetof(struct long_port, target) },
		{ "published", VALUE_TEXT, offsetof(struct long_port, published) },
		{ "host_ip", VALUE_TEXT, offsetof(struct long_port, host_ip) },
		{ "protocol", VALUE_TEXT, offsetof(struct long_port, protocol) },
		{ "mode", VALUE_SKIP, 0 },
		{ "name", VALUE_SKIP, 0 },
		{ "app_protocol", VALUE_SKIP, 0 },
	};
	struct long_port l = { 0 };
	int r = value_map(p, n, rows, ARRAY_SIZE(rows), &l, e);
	bool six = l.host_ip && strchr(l.host_ip, ':');
	char *spec = NULL;

	if (r == 0 && !l.target)
		r = yaml_err(n->doc, n->line, p->path, e,
			     "the key target (the container's port) is missing");
	if (r == 0) {
		spec = str_printf("%s%s%s%s%s%s%s/%s", six ? "[" : "", l.host_ip ? l.host_ip : "",
				  six ? "]" : "", l.host_ip ? ":" : "",
				  l.published ? l.published : "",
				  l.host_ip || l.published ? ":" : "", l.target,
				  l.protocol ? l.protocol : "tcp");
		r = spec ? read_port_text(t, p, n, spec, e) : err_errno(e, ENOMEM, "ports");
	}
	free(l.target);
	free(l.published);
	free(l.host_ip);
	free(l.protocol);
	free(spec);
	return r;
}

int service_read_ports(void *target, const struct place *p, const struct yaml_node *n,
		       struct err *e)
{
	struct service_target *t = target;
	int r = 0;

	if (n->kind != YAML_LIST)
		return value_wrong(p, n, "a list of ports such as \"8080:80\"", e);
	t->s.ports_at = reading_spot(n, n->line);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		struct place at = place_at(p, NULL, i);

		if (n->items[i]->kind == YAML_MAP)
			r = read_port_map(t, &at, n->items[i], e);
		else if (n->items[i]->kind == YAML_SCALAR)
			r = read_port_text(t, &at, n->items[i], n->items[i]->text, e);
		else
			r = value_wrong(&at, n->items[i], "a port such as \"8080:80\"", e);
	}
	return r;
}

int service_read_expose(void *target, const struct place *p, const struct yaml_node *n,
			struct err *e)
{
	struct service_target *t = target;
	_cleanup_(strv_free) char **ports = NULL;
	int r = value_words(p, n, &ports, e);

	for (char **x = ports; r == 0 && x && *x; x++) {
		struct err why = { 0 };
		char key[24];
		uint16_t port;
		uint8_t proto;

		if (port_parse(*x, &port, &proto, &why) < 0)
			return yaml_err(n->doc, n->line, p->path, e, "%s", err_text(&why));
		snprintf(key, sizeof(key), "%u/%s", port, port_proto_name(proto));
		if (!strv_has(t->s.create.config.exposed_ports, key) &&
		    strv_add(&t->s.create.config.exposed_ports, key) < 0)
			return err_errno(e, ENOMEM, "expose");
	}
	return r;
}

/* ---- volumes ---- */

static const struct compose_volume *find_volume(const struct compose_project *project,
						const char *key)
{
	for (size_t i = 0; i < project->n_volumes; i++)
		if (str_eq(project->volumes[i].key, key))
			return &project->volumes[i];
	return NULL;
}

/* Turns the source of a request into what the engine takes: the volume's full name, or an
 * absolute path. */
static int resolve_source(struct service_target *t, struct mount_request *m, const struct place *p,
			  const struct yaml_node *n, struct err *e)
{
	const struct compose_volume *vol;
	char *source = NULL;

	if (str_eq(m->type, "volume")) {
		if (str_empty(m->source))
			return 0; /* anonymous */
		vol = find_volume(t->rd->project, m->source);
		if (!vol)
			return yaml_err(n->doc, n->line, p->path, e,
					"the volume '%s' is not declared; add it under the "
					"top-level key volumes",
					m->source);
		source = str_dup(vol->name);
	} else if (str_eq(m->type, "bind")) {
		if (str_empty(m->source))
			return yaml_err(n->doc, n->line, p->path, e,
					"the source of a bind mount is missing");
		if (m->source[0] == '~')
			return yaml_err(n->doc, n->line, p->path, e,
					"~ has no meaning on this machine; write an absolute path");
		source = reading_path(n, m->source);
	} else if (str_eq(m->type, "tmpfs")) {
		return 0;
	} else {
		return yaml_err(n->doc, n->line, p->path, e,
				"type '%s' is not supported (bind, volume, tmpfs)",
				m->type ? m->type : "");
	}
	if (!source)
		return err_errno(e, ENOMEM, "volumes");
	free(m->source);
	m->source = source;
	return 0;
}

static struct bind_options *bind_of(struct mount_request *m)
{
	if (!m->bind)
		m->bind = calloc(1, sizeof(*m->bind));
	return m->bind;
}

static int apply_modes(struct mount_request *m, const char *modes, const struct place *p,
		       const struct yaml_node *n, struct err *e)
{
	_cleanup_(strv_free) char **words = strv_split(modes, ",", false);

	for (char **w = words; w && *w; w++) {
		if (str_eq(*w, "ro")) {
			m->read_only = true;
		} else if (str_eq(*w, "nocopy") && str_eq(m->type, "volume")) {
			if (!m->volume)
				m->volume = calloc(1, sizeof(*m->volume));
			if (!m->volume)
				return err_errno(e, ENOMEM, "volumes");
			m->volume->no_copy = true;
		} else if (!str_eq(*w, "rw") && !str_eq(*w, "z") && !str_eq(*w, "Z") &&
			   !str_eq(*w, "cached") && !str_eq(*w, "delegated") &&
			   !str_eq(*w, "consistent")) {
			return yaml_err(n->doc, n->line, p->path, e,
					"unknown mode '%s' (ro, rw, nocopy)", *w);
		}
	}
	return 0;
}

/* "data:/var/lib/x:ro", "./conf:/etc/x", "/abs:/x", "/anonymous" */
static int read_volume_text(struct service_target *t, struct mount_request *m,
			    const struct place *p, const struct yaml_node *n, struct err *e)
{
	_cleanup_(strv_free) char **parts = strv_split(n->text, ":", true);
	size_t count = strv_len(parts);
	bool path = count > 1 && strchr("./~", parts[0][0]) && parts[0][0];
	int r;

	if (count < 1 || count > 3 || str_empty(parts[0]))
		return yaml_err(n->doc, n->line, p->path, e,
				"expected SOURCE:TARGET[:ro], not '%s'", n->text);
	if (str_set(&m->type, path ? "bind" : "volume") < 0 ||
	    str_set(&m->target, count > 1 ? parts[1] : parts[0]) < 0 ||
	    (count > 1 && str_set(&m->source, parts[0]) < 0))
		return err_errno(e, ENOMEM, "volumes");
	if (path) {
		if (!bind_of(m))
			return err_errno(e, ENOMEM, "volumes");
		m->bind->create_mountpoint = true; /* the short form makes a missing folder */
	}
	r = count == 3 ? apply_modes(m, parts[2], p, n, e) : 0;
	return r < 0 ? r : resolve_source(t, m, p, n, e);
}

/* What is mounted below the source: the words of the client's bind-recursive. target is the bind's
 * options. */
static int read_recursive(void *target, const struct place *p, const struct yaml_node *n,
			  struct err *e)
{
	struct bind_options *o = target;

	if (n->kind != YAML_SCALAR ||
	    (!str_eq(n->text, "enabled") && !str_eq(n->text, "disabled") &&
	     !str_eq(n->text, "writable") && !str_eq(n->text, "readonly")))
		return value_wrong(p, n, "enabled, disabled, writable or readonly", e);
	o->non_recursive = str_eq(n->text, "disabled");
	o->read_only_non_recursive = str_eq(n->text, "writable");
	o->read_only_force_recursive = str_eq(n->text, "readonly");
	return 0;
}

static int read_bind_options(void *target, const struct place *p, const struct yaml_node *n,
			     struct err *e)
{
	static const struct key_row rows[] = {
		{ "propagation", VALUE_TEXT, offsetof(struct bind_options, propagation) },
		{ "create_host_path", VALUE_BOOL,
		  offsetof(struct bind_options, create_mountpoint) },
		{ "selinux", VALUE_SKIP, 0 },
		{ "recursive", VALUE_CALL, 0, read_recursive },
	};
	struct mount_request *m = target;

	return bind_of(m) ? value_map(p, n, rows, ARRAY_SIZE(rows), m->bind, e)
			  : err_errno(e, ENOMEM, "volumes");
}

static int read_volume_options(void *target, const struct place *p, const struct yaml_node *n,
			       struct err *e)
{
	static const struct key_row rows[] = {
		{ "nocopy", VALUE_BOOL, offsetof(struct volume_options, no_copy) },
		{ "subpath", VALUE_TEXT, offsetof(struct volume_options, subpath) },
	};
	struct mount_request *m = target;

	m->volume = m->volume ? m->volume : calloc(1, sizeof(*m->volume));
	return m->volume ? value_map(p, n, rows, ARRAY_SIZE(rows), m->volume, e)
			 : err_errno(e, ENOMEM, "volumes");
}

static int read_tmpfs_options(void *target, const struct place *p, const struct yaml_node *n,
			      struct err *e)
{
	static const struct key_row rows[] = {
		{ "size", VALUE_BYTES, offsetof(struct tmpfs_options, size) },
		{ "mode", VALUE_I64, offsetof(struct tmpfs_options, mode) },
	};
	struct mount_request *m = target;

	m->tmpfs = m->tmpfs ? m->tmpfs : calloc(1, sizeof(*m->tmpfs));
	return m->tmpfs ? value_map(p, n, rows, ARRAY_SIZE(rows), m->tmpfs, e)
			: err_errno(e, ENOMEM, "volumes");
}

static int read_volume_map(struct service_target *t, struct mount_request *m, const struct place *p,
			   const struct yaml_node *n, struct err *e)
{
	static const struct key_row rows[] = {
		{ "type", VALUE_TEXT, offsetof(struct mount_request, type) },
		{ "source", VALUE_TEXT, offsetof(struct mount_request, source) },
		{ "target", VALUE_TEXT, offsetof(struct mount_request, target) },
		{ "read_only", VALUE_BOOL, offsetof(struct mount_request, read_only) },
		{ "consistency", VALUE_SKIP, 0 },
		{ "bind", VALUE_CALL, 0, read_bind_options },
		{ "volume", VALUE_CALL, 0, read_volume_options },
		{ "tmpfs", VALUE_CALL, 0, read_tmpfs_options },
		{ "image", VALUE_LATER, 0 },
	};
	int r = value_map(p, n, rows, ARRAY_SIZE(rows), m, e);

	if (r == 0 && (str_empty(m->type) || str_empty(m->target)))
		return yaml_err(n->doc, n->line, p->path, e, "the keys type and target are needed");
	return r < 0 ? r : resolve_source(t, m, p, n, e);
}

int service_read_volumes(void *target, const struct place *p, const struct yaml_node *n,
			 struct err *e)
{
	struct service_target *t = target;
	int r = 0;

	if (n->kind != YAML_LIST)
		return value_wrong(p, n, "a list of volumes such as \"data:/var/lib/data\"", e);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		struct place at = place_at(p, NULL, i);
		struct mount_request *m =
			bind_list_add(&mount_request_table, &t->s.create.host.mounts);

		if (!m)
			return err_errno(e, ENOMEM, "volumes");
		if (n->items[i]->kind == YAML_MAP)
			r = read_volume_map(t, m, &at, n->items[i], e);
		else if (n->items[i]->kind == YAML_SCALAR)
			r = read_volume_text(t, m, &at, n->items[i], e);
		else
			r = value_wrong(&at, n->items[i], "a volume such as \"data:/var/lib/data\"",
					e);
	}
	return r;
}

int service_read_tmpfs(void *target, const struct place *p, const struct yaml_node *n,
		       struct err *e)
{
	struct service_target *t = target;
	_cleanup_(strv_free) char **paths = NULL;
	int r = value_words(p, n, &paths, e);

	for (char **x = paths; r == 0 && x && *x; x++) {
		char *options = strchr(*x, ':');

		if (options)
			*options++ = '\0';
		if (pairs_set(&t->s.create.host.tmpfs, *x, options ? options : "") < 0)
			return err_errno(e, ENOMEM, "tmpfs");
	}
	return r;
}
