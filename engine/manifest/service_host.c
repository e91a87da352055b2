/*
 * The keys of a service that are about devices and block IO, and those that name other services
 * (volumes_from, links, network_mode, ipc, pid). The latter are dependencies too, as in compose;
 * the names become those of containers when all services are known (service_resolve).
 */
#include "engine/manifest/service.h"
#include "init/base/str.h"

#define SERVICE "service:"
#define CONTAINER "container:"

static int no_memory(const struct place *p, struct err *e)
{
	return err_errno(e, ENOMEM, "%s", p->path);
}

/* ---- devices ---- */

/* "/dev/a", "/dev/a:/dev/b", "/dev/a:/dev/b:rw" */
static int read_device_text(struct device_map *d, const struct place *p, const struct yaml_node *n,
			    struct err *e)
{
	_cleanup_(strv_free) char **parts = strv_split(n->text, ":", true);
	size_t count = strv_len(parts);

	if (count < 1 || count > 3 || parts[0][0] != '/' || (count > 1 && parts[1][0] != '/'))
		return value_wrong(p, n, "a device such as /dev/ttyUSB0:/dev/ttyUSB0:rw", e);
	if (str_set(&d->host, parts[0]) < 0 ||
	    str_set(&d->container, count > 1 ? parts[1] : parts[0]) < 0 ||
	    str_set(&d->permissions, count > 2 ? parts[2] : "rwm") < 0)
		return no_memory(p, e);
	return 0;
}

static int read_device_map(struct device_map *d, const struct place *p, const struct yaml_node *n,
			   struct err *e)
{
	static const struct key_row rows[] = {
		{ "source", VALUE_TEXT, offsetof(struct device_map, host) },
		{ "target", VALUE_TEXT, offsetof(struct device_map, container) },
		{ "permissions", VALUE_TEXT, offsetof(struct device_map, permissions) },
	};
	int r = value_map(p, n, rows, ARRAY_SIZE(rows), d, e);

	if (r == 0 && str_empty(d->host))
		return yaml_err(n->doc, n->line, p->path, e, "the key source is missing");
	if (r == 0 && str_empty(d->container) && str_set(&d->container, d->host) < 0)
		return no_memory(p, e);
	if (r == 0 && str_empty(d->permissions) && str_set(&d->permissions, "rwm") < 0)
		return no_memory(p, e);
	return r;
}

int service_read_devices(void *target, const struct place *p, const struct yaml_node *n,
			 struct err *e)
{
	struct service_target *t = target;
	int r = 0;

	if (n->kind != YAML_LIST)
		return value_wrong(p, n, "a list of devices", e);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		struct place at = place_at(p, NULL, i);
		struct device_map *d = bind_list_add(&device_map_table, &t->s.create.host.devices);

		if (!d)
			return no_memory(p, e);
		if (n->items[i]->kind == YAML_MAP)
			r = read_device_map(d, &at, n->items[i], e);
		else if (n->items[i]->kind == YAML_SCALAR)
			r = read_device_text(d, &at, n->items[i], e);
		else
			r = value_wrong(&at, n->items[i], "a device", e);
	}
	return r;
}

/* ---- blkio_config ---- */

/* A list of {path, NAME: number}. */
static int read_paths(struct bind_list *list, const struct bind_table *table,
		      const struct key_row *rows, size_t n_rows, const struct place *p,
		      const struct yaml_node *n, struct err *e)
{
	int r = 0;

	if (n->kind != YAML_LIST)
		return value_wrong(p, n, "a list of devices", e);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		struct place at = place_at(p, NULL, i);
		struct device_rate *d = bind_list_add(table, list);

		if (!d)
			return no_memory(p, e);
		r = value_map(&at, n->items[i], rows, n_rows, d, e);
		if (r == 0 && str_empty(d->path))
			r = yaml_err(n->items[i]->doc, n->items[i]->line, at.path, e,
				     "the key path is missing");
	}
	return r;
}

static int read_rates(struct bind_list *list, const struct place *p, const struct yaml_node *n,
		      struct err *e)
{
	static const struct key_row rows[] = {
		{ "path", VALUE_TEXT, offsetof(struct device_rate, path) },
		{ "rate", VALUE_BYTES, offsetof(struct device_rate, rate) },
	};

	return read_paths(list, &device_rate_table, rows, ARRAY_SIZE(rows), p, n, e);
}

#define RATES(name, member)                                                                    \
	static int read_##name(void *target, const struct place *p, const struct yaml_node *n, \
			       struct err *e)                                                  \
	{                                                                                      \
		struct service_target *t = target;                                             \
		return read_rates(&t->s.create.host.member, p, n, e);                          \
	}

RATES(read_bps, read_bps)
RATES(write_bps, write_bps)
RATES(read_iops, read_iops)
RATES(write_iops, write_iops)

static int read_weights(void *target, const struct place *p, const struct yaml_node *n,
			struct err *e)
{
	static const struct key_row rows[] = {
		{ "path", VALUE_TEXT, offsetof(struct device_rate, path) },
		{ "weight", VALUE_I64, offsetof(struct device_rate, rate) },
	};
	struct service_target *t = target;

	return read_paths(&t->s.create.host.weight_devices, &device_weight_table, rows,
			  ARRAY_SIZE(rows), p, n, e);
}

int service_read_blkio(void *target, const struct place *p, const struct yaml_node *n,
		       struct err *e)
{
	static const struct key_row rows[] = {
		{ "weight", VALUE_I64,
		  offsetof(struct service_target, s.create.host.blkio_weight) },
		{ "weight_device", VALUE_CALL, 0, read_weights },
		{ "device_read_bps", VALUE_CALL, 0, read_read_bps },
		{ "device_write_bps", VALUE_CALL, 0, read_write_bps },
		{ "device_read_iops", VALUE_CALL, 0, read_read_iops },
		{ "device_write_iops", VALUE_CALL, 0, read_write_iops },
	};

	return value_map(p, n, rows, ARRAY_SIZE(rows), target, e);
}

int service_read_init(void *target, const struct place *p, const struct yaml_node *n, struct err *e)
{
	struct service_target *t = target;
	bool on = false;
	int r = value_bool(p, n, &on, e);

	if (r == 0)
		t->s.create.host.init = on;
	return r;
}

int service_read_platform(void *target, const struct place *p, const struct yaml_node *n,
			  struct err *e)
{
	(void)target;
	if (n->kind != YAML_SCALAR ||
	    (!str_eq(n->text, "linux") && !str_eq(n->text, "linux/amd64") &&
	     !str_eq(n->text, "linux/x86_64")))
		return value_wrong(p, n, "linux/amd64, which this machine is", e);
	return 0;
}

/* ---- names of other services ---- */

/* The dependency that a name brings with it, unless depends_on has it. */
static int imply(struct service_target *t, const struct place *p, const char *service,
		 const struct yaml_node *n, struct err *e)
{
	struct compose_dep *dep;
	int r;

	for (size_t i = 0; i < t->s.n_deps; i++)
		if (str_eq(t->s.deps[i].service, service))
			return 0;
	r = service_add_dep(t, p, service, reading_spot(n, n->line), &dep, e);
	if (r == 0)
		dep->implied = true;
	return r;
}

/* "NAME:rest", the name being a service's. */
static int imply_first_part(struct service_target *t, const struct place *p, const char *text,
			    const struct yaml_node *n, struct err *e)
{
	_cleanup_(mem_free) char *service = strndup(text, strcspn(text, ":"));

	if (!service)
		return no_memory(p, e);
	if (!*service)
		return yaml_err(n->doc, n->line, p->path, e, "the name of a service is missing");
	return imply(t, p, service, n, e);
}

int service_read_volumes_from(void *target, const struct place *p, const struct yaml_node *n,
			      struct err *e)
{
	struct service_target *t = target;
	char ***list = &t->s.create.host.volumes_from;
	int r = value_words(p, n, list, e);

	for (char **v = *list; r == 0 && v && *v; v++)
		if (!str_starts(*v, CONTAINER))
			r = imply_first_part(t, p, *v, n, e);
	return r;
}

int service_read_links(void *target, const struct place *p, const struct yaml_node *n,
		       struct err *e)
{
	struct service_target *t = target;
	_cleanup_(strv_free) char **words = NULL;
	int r = value_words(p, n, &words, e);

	for (char **v = words; r == 0 && v && *v; v++) {
		r = imply_first_part(t, p, *v, n, e);
		if (r == 0 && strv_addf(&t->s.create.host.links, SERVICE "%s", *v) < 0)
			r = no_memory(p, e);
	}
	return r;
}

int service_read_external_links(void *target, const struct place *p, const struct yaml_node *n,
				struct err *e)
{
	struct service_target *t = target;
	_cleanup_(strv_free) char **words = NULL;
	int r = value_words(p, n, &words, e);

	for (char **v = words; r == 0 && v && *v; v++)
		if (strv_add(&t->s.create.host.links, *v) < 0)
			r = no_memory(p, e);
	return r;
}

/* network_mode, ipc, pid: what may be, or service:NAME, or container:NAME */
static int read_mode(struct service_target *t, char **mode, const char *allowed, const char *want,
		     const struct place *p, const struct yaml_node *n, struct err *e)
{
	_cleanup_(strv_free) char **words = strv_split(allowed, "|", false);
	const char *text = n->kind == YAML_SCALAR ? n->text : "";
	bool service = str_starts(text, SERVICE) && text[strlen(SERVICE)];
	bool container = str_starts(text, CONTAINER) && text[strlen(CONTAINER)];
	int r;

	if (!service && !container && !strv_has(words, text))
		return value_wrong(p, n, want, e);
	r = value_text(p, n, mode, e);
	return r == 0 && service ? imply(t, p, text + strlen(SERVICE), n, e) : r;
}

int service_read_network_mode(void *target, const struct place *p, const struct yaml_node *n,
			      struct err *e)
{
	struct service_target *t = target;

	return read_mode(t, &t->s.create.host.network_mode, "bridge|host|none",
			 "bridge, host, none, service:NAME or container:NAME", p, n, e);
}

int service_read_ipc(void *target, const struct place *p, const struct yaml_node *n, struct err *e)
{
	struct service_target *t = target;

	return read_mode(t, &t->s.create.host.ipc_mode, "private|shareable|host|none",
			 "private, shareable, host, none, service:NAME or container:NAME", p, n, e);
}

int service_read_pid(void *target, const struct place *p, const struct yaml_node *n, struct err *e)
{
	struct service_target *t = target;

	return read_mode(t, &t->s.create.host.pid_mode, "host",
			 "host, service:NAME or container:NAME", p, n, e);
}

/* ---- services to containers ---- */

static const struct compose_service *service_of(const struct compose_project *p, const char *name,
						size_t len)
{
	for (size_t i = 0; i < p->n_services; i++)
		if (strlen(p->services[i].name) == len &&
		    strncmp(p->services[i].name, name, len) == 0)
			return &p->services[i];
	return NULL;
}

static int unknown(const struct compose_service *s, const char *key, const char *name, size_t len,
		   struct err *e)
{
	char where[PLACE_MAX];
	struct compose_spot at = s->at;

	for (size_t i = 0; i < s->n_deps; i++)
		if (strlen(s->deps[i].service) == len &&
		    strncmp(s->deps[i].service, name, len) == 0)
			at = s->deps[i].at;
	snprintf(where, sizeof(where), "services.%s.%s", s->name, key);
	return spot_err(at, where, e, "there is no service '%.*s' in this file", (int)len, name);
}

/* `prefix` before the name of a service becomes `replace` before that of its container; what stands
 * behind the name stays, or is `behind` and the service's name when there is nothing. */
static int resolve_one(const struct compose_project *p, const struct compose_service *s,
		       const char *key, char **text, const char *prefix, const char *replace,
		       bool alias, struct err *e)
{
	const char *name = *text + strlen(prefix);
	size_t len = strcspn(name, ":");
	const struct compose_service *other = service_of(p, name, len);
	char *resolved;

	if (!other)
		return unknown(s, key, name, len, e);
	resolved =
		str_printf("%s%s%s%s%s", replace, other->container_name, name + len,
			   alias && !name[len] ? ":" : "", alias && !name[len] ? other->name : "");
	if (!resolved)
		return err_errno(e, ENOMEM, "services");
	free(*text);
	*text = resolved;
	return 0;
}

static int resolve_volumes_from(const struct compose_project *p, struct compose_service *s,
				struct err *e)
{
	int r = 0;

	for (char **v = s->create.host.volumes_from; r == 0 && v && *v; v++) {
		if (str_starts(*v, CONTAINER))
			memmove(*v, *v + strlen(CONTAINER), strlen(*v + strlen(CONTAINER)) + 1);
		else
			r = resolve_one(p, s, "volumes_from", v, "", "", false, e);
	}
	return r;
}

int service_resolve(const struct compose_project *p, struct compose_service *s, struct err *e)
{
	struct host_config *h = &s->create.host;
	const struct {
		const char *key;
		char **mode;
	} modes[] = {
		{ "network_mode", &h->network_mode },
		{ "ipc", &h->ipc_mode },
		{ "pid", &h->pid_mode },
	};
	int r = resolve_volumes_from(p, s, e);

	for (char **l = h->links; r == 0 && l && *l; l++)
		if (str_starts(*l, SERVICE))
			r = resolve_one(p, s, "links", l, SERVICE, "", true, e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(modes); i++)
		if (*modes[i].mode && str_starts(*modes[i].mode, SERVICE))
			r = resolve_one(p, s, modes[i].key, modes[i].mode, SERVICE, CONTAINER,
					false, e);
	return r;
}
