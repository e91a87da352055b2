/*
 * A compose file as a whole: top-level keys, the order of the services, and what every service gets
 * from its project (names, labels as compose sets them, the JSON of its create request and its
 * hash).
 */
#include "engine/manifest/compose.h"

#include <limits.h>

#include "engine/data/digest.h"
#include "engine/manifest/service.h"
#include "init/base/str.h"

/* ---- freeing ---- */

static void service_free(struct compose_service *s)
{
	for (size_t i = 0; i < s->n_deps; i++)
		free(s->deps[i].service);
	free(s->deps);
	free(s->name);
	free(s->container_name);
	strv_free(s->profiles);
	create_config_free(&s->create);
}

void compose_free(struct compose_project *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_services; i++)
		service_free(&p->services[i]);
	for (size_t i = 0; i < p->n_volumes; i++) {
		free(p->volumes[i].key);
		free(p->volumes[i].name);
		pairs_free(&p->volumes[i].labels);
	}
	free(p->services);
	free(p->volumes);
	free(p->name);
	free(p->file);
	free(p);
}

/* ---- names ---- */

/* compose-spec, "name top-level element": lower-case letters, digits, - and _, beginning with a
 * letter or digit */
static bool project_name_valid(const char *s)
{
	if (!(*s >= 'a' && *s <= 'z') && !(*s >= '0' && *s <= '9'))
		return false;
	for (; *s; s++)
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= '0' && *s <= '9') && *s != '-' &&
		    *s != '_')
			return false;
	return true;
}

static bool key_valid(const char *s)
{
	if (!*s || *s == '-' || strlen(s) > 100)
		return false;
	for (; *s; s++)
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z') &&
		    !(*s >= '0' && *s <= '9') && !strchr("-_.", *s))
			return false;
	return true;
}

char *compose_name_of_file(const char *file)
{
	const char *slash = strrchr(file, '/');
	char *name = str_dup(slash ? slash + 1 : file);
	char *dot = name ? strrchr(name, '.') : NULL;

	if (dot && dot != name)
		*dot = '\0';
	return name;
}

static int read_name(struct compose_project *p, const struct yaml_doc *doc, struct err *e)
{
	const struct yaml_node *n = yaml_get(doc->root, "name");

	if (n && n->kind != YAML_SCALAR)
		return yaml_err(doc, n->line, "name", e, "expected a text, not %s",
				yaml_kind_name(n));
	p->name = n ? str_dup(n->text) : compose_name_of_file(p->file);
	if (!p->name)
		return err_errno(e, ENOMEM, "%s", p->file);
	if (!project_name_valid(p->name) || strlen(p->name) > 63)
		return yaml_err(
			doc, n ? n->line : 1, "name", e,
			"'%s' cannot name a project: lower-case letters, digits, - and _ only, at "
			"most 63%s",
			p->name,
			n ? "" : " (it comes from the file's name; the key name can set another)");
	return 0;
}

/* ---- volumes ---- */

static int read_external(void *target, const struct place *p, const struct yaml_node *n,
			 struct err *e)
{
	struct compose_volume *v = target;

	return value_bool(p, n, &v->external, e);
}

static int read_driver(void *target, const struct place *p, const struct yaml_node *n,
		       struct err *e)
{
	(void)target;
	if (n->kind != YAML_SCALAR || !str_eq(n->text, "local"))
		return value_wrong(p, n, "local, the only driver", e);
	return 0;
}

static int read_volumes(struct compose_project *p, const struct place *at,
			const struct yaml_node *n, struct err *e)
{
	static const struct key_row rows[] = {
		{ "name", VALUE_TEXT, offsetof(struct compose_volume, name) },
		{ "external", VALUE_CALL, 0, read_external },
		{ "driver", VALUE_CALL, 0, read_driver },
		{ "driver_opts", VALUE_LATER, 0 },
		{ "labels", VALUE_PAIRS, offsetof(struct compose_volume, labels) },
	};
	int r = 0;

	if (yaml_is_null(n))
		return 0;
	if (n->kind != YAML_MAP)
		return value_wrong(at, n, "a mapping of volumes", e);
	if (n->n > COMPOSE_VOLUMES_MAX)
		return yaml_err(at->doc, n->line, at->path, e, "more than %d volumes",
				COMPOSE_VOLUMES_MAX);
	p->volumes = calloc(n->n + 1, sizeof(*p->volumes));
	if (!p->volumes)
		return err_errno(e, ENOMEM, "volumes");
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		struct place where = place_at(at, n->pairs[i].key, 0);
		struct compose_volume *v = &p->volumes[p->n_volumes++];

		if (!key_valid(n->pairs[i].key))
			return yaml_err(at->doc, n->pairs[i].line, where.path, e,
					"not a name: letters, digits, - _ . only");
		v->key = str_dup(n->pairs[i].key);
		r = value_map(&where, n->pairs[i].value, rows, ARRAY_SIZE(rows), v, e);
		if (r == 0 && !v->name)
			v->name = v->external ? str_dup(v->key)
					      : str_printf("%s_%s", p->name, v->key);
		if (r == 0 && (!v->key || !v->name))
			r = err_errno(e, ENOMEM, "volumes");
	}
	return r;
}

/* ---- services ---- */

static int set_label(struct compose_service *s, const char *key, const char *value)
{
	char full[80];

	return str_format(full, sizeof(full), "com.docker.compose.%s", key) < 0
		       ? -ENAMETOOLONG
		       : pairs_set(&s->create.config.labels, full, value);
}

/* "db:service_healthy:false,cache:service_started:true" */
static char *depends_label(const struct compose_service *s)
{
	static const char *const conditions[] = { "service_started", "service_healthy",
						  "service_completed_successfully" };
	_cleanup_(buf_free) struct buf text = BUF_INIT(64 << 10);

	for (size_t i = 0; i < s->n_deps; i++)
		buf_printf(&text, "%s%s:%s:%s", i ? "," : "", s->deps[i].service,
			   conditions[s->deps[i].condition], s->deps[i].restart ? "true" : "false");
	return buf_failed(&text) < 0 ? NULL : buf_take(&text);
}

static int add_labels(const struct compose_project *p, struct compose_service *s, const char *dir)
{
	_cleanup_(mem_free) char *depends = depends_label(s);
	int r = depends ? 0 : -ENOMEM;

	r |= set_label(s, "project", p->name);
	r |= set_label(s, "service", s->name);
	r |= set_label(s, "container-number", "1");
	r |= set_label(s, "oneoff", "False");
	r |= set_label(s, "project.config_files", p->file);
	r |= set_label(s, "project.working_dir", dir);
	r |= set_label(s, "depends_on", depends ? depends : "");
	return r ? -ENOMEM : 0;
}

static int read_service(struct compose_project *p, const struct place *at,
			const struct yaml_pair *pair, const char *dir, struct err *e)
{
	struct service_target t = { .project = p, .dir = dir };
	struct place where = place_at(at, pair->key, 0);
	int r;

	if (!key_valid(pair->key))
		return yaml_err(at->doc, pair->line, where.path, e,
				"not a name: letters, digits, - _ . only");
	create_config_init(&t.s.create);
	t.s.name = str_dup(pair->key);
	t.s.line = pair->line;
	r = t.s.name ? service_read(&t, &where, pair->value, e) : err_errno(e, ENOMEM, "services");
	strv_free(t.env_from_files);
	if (r == 0 && !t.s.container_name)
		t.s.container_name = str_printf("%s-%s-1", p->name, t.s.name);
	if (r == 0 && (!t.s.container_name || add_labels(p, &t.s, dir) < 0))
		r = err_errno(e, ENOMEM, "services");
	p->services[p->n_services++] = t.s;
	return r;
}

static int read_services(struct compose_project *p, const struct place *at,
			 const struct yaml_node *n, const char *dir, struct err *e)
{
	int r = 0;

	if (yaml_is_null(n) || n->kind != YAML_MAP || n->n == 0)
		return yaml_err(at->doc, n ? n->line : 1, "services", e,
				"expected a mapping with at least one service");
	if (n->n > COMPOSE_SERVICES_MAX)
		return yaml_err(at->doc, n->line, at->path, e, "more than %d services",
				COMPOSE_SERVICES_MAX);
	p->services = calloc(n->n, sizeof(*p->services));
	if (!p->services)
		return err_errno(e, ENOMEM, "services");
	for (size_t i = 0; r == 0 && i < n->n; i++)
		if (!str_starts(n->pairs[i].key, "x-"))
			r = read_service(p, at, &n->pairs[i], dir, e);
	return r;
}

/* ---- order ---- */

static struct compose_service *find_service(struct compose_project *p, const char *name)
{
	for (size_t i = 0; i < p->n_services; i++)
		if (str_eq(p->services[i].name, name))
			return &p->services[i];
	return NULL;
}

enum mark { FRESH, OPEN, DONE };

/* Depth first; `path` names the way for the error of a cycle. */
static int visit(struct compose_project *p, const struct yaml_doc *doc, size_t i, enum mark *marks,
		 size_t *order, size_t *n_order, struct buf *path, struct err *e)
{
	struct compose_service *s = &p->services[i];
	size_t len = path->len;

	marks[i] = OPEN;
	buf_printf(path, "%s%s", len ? " -> " : "", s->name);
	for (size_t d = 0; d < s->n_deps; d++) {
		struct compose_service *on = find_service(p, s->deps[d].service);
		size_t j = on ? (size_t)(on - p->services) : 0;
		char where[PLACE_MAX];
		int r;

		snprintf(where, sizeof(where), "services.%s.depends_on", s->name);
		if (!on && s->deps[d].optional)
			continue;
		if (!on)
			return yaml_err(doc, s->deps[d].line, where, e,
					"there is no service '%s' in this file",
					s->deps[d].service);
		if (marks[j] == OPEN)
			return yaml_err(doc, s->deps[d].line, where, e,
					"services wait for each other: %s -> %s", buf_text(path),
					on->name);
		r = marks[j] == FRESH ? visit(p, doc, j, marks, order, n_order, path, e) : 0;
		if (r < 0)
			return r;
	}
	path->len = len;
	if (path->data)
		path->data[len] = '\0';
	marks[i] = DONE;
	order[(*n_order)++] = i;
	return 0;
}

static int sort_services(struct compose_project *p, const struct yaml_doc *doc, struct err *e)
{
	_cleanup_(buf_free) struct buf path = BUF_INIT(64 << 10);
	_cleanup_(mem_free) enum mark *marks = calloc(p->n_services + 1, sizeof(*marks));
	_cleanup_(mem_free) size_t *order = calloc(p->n_services + 1, sizeof(*order));
	struct compose_service *sorted = calloc(p->n_services + 1, sizeof(*sorted));
	size_t n = 0;
	int r = marks && order && sorted ? 0 : err_errno(e, ENOMEM, "services");

	for (size_t i = 0; r == 0 && i < p->n_services; i++)
		if (marks[i] == FRESH)
			r = visit(p, doc, i, marks, order, &n, &path, e);
	if (r < 0) {
		free(sorted);
		return r;
	}
	for (size_t i = 0; i < n; i++)
		sorted[i] = p->services[order[i]];
	free(p->services);
	p->services = sorted;
	return 0;
}

/* ---- the file ---- */

static int skip_key(void *target, const struct place *p, const struct yaml_node *n, struct err *e)
{
	(void)target;
	(void)p;
	(void)n;
	(void)e;
	return 0;
}

static int check_values(struct compose_project *p, const struct yaml_doc *doc, struct err *e)
{
	for (size_t i = 0; i < p->n_services; i++) {
		struct compose_service *s = &p->services[i];
		char where[PLACE_MAX];
		struct err why = { 0 };

		snprintf(where, sizeof(where), "services.%s", s->name);
		if (create_config_defaults(&s->create) < 0)
			return err_errno(e, ENOMEM, "services");
		if (create_config_check(&s->create, NULL, &why) < 0)
			return yaml_err(doc, s->line, where, e, "%s", err_text(&why));
		for (size_t j = 0; j < i; j++)
			if (str_eq(p->services[j].container_name, s->container_name))
				return yaml_err(doc, s->line, where, e,
						"service %s has the same container_name '%s'",
						p->services[j].name, s->container_name);
	}
	return 0;
}

static int read_project(struct compose_project *p, const struct yaml_doc *doc, struct err *e)
{
	static const struct key_row rows[] = {
		{ "name", VALUE_SKIP, 0 },
		{ "version", VALUE_SKIP, 0 },
		{ "services", VALUE_CALL, 0, skip_key },
		{ "volumes", VALUE_CALL, 0, skip_key },
		{ "networks", VALUE_LATER, 0 },
		{ "configs", VALUE_LATER, 0 },
		{ "secrets", VALUE_LATER, 0 },
		{ "include", VALUE_LATER, 0 },
		{ "models", VALUE_LATER, 0 },
	};
	const struct place top = { .doc = doc };
	const struct place services = place_at(&top, "services", 0),
			   volumes = place_at(&top, "volumes", 0);
	_cleanup_(mem_free) char *dir = str_dup(p->file);
	char *slash = dir ? strrchr(dir, '/') : NULL;
	int r;

	if (!dir)
		return err_errno(e, ENOMEM, "%s", p->file);
	if (slash)
		*slash = '\0';
	r = value_map(&top, doc->root, rows, ARRAY_SIZE(rows), p, e);
	if (r == 0)
		r = read_name(p, doc, e);
	if (r == 0)
		r = read_volumes(p, &volumes, yaml_get(doc->root, "volumes"), e);
	if (r == 0)
		r = read_services(p, &services, yaml_get(doc->root, "services"), dir, e);
	for (size_t i = 0; r == 0 && i < p->n_services; i++)
		r = service_resolve(p, &p->services[i], doc, e);
	if (r == 0)
		r = check_values(p, doc, e);
	return r == 0 ? sort_services(p, doc, e) : r;
}

int compose_parse(const char *text, size_t len, const char *file, struct compose_project **ret,
		  struct err *e)
{
	_cleanup_(compose_free) struct compose_project *p = calloc(1, sizeof(*p));
	_cleanup_(yaml_doc_free) struct yaml_doc *doc = NULL;
	int r;

	if (!p || !(p->file = str_dup(file)))
		return err_errno(e, ENOMEM, "%s", file);
	r = yaml_parse(text, len, file, &doc, e);
	if (r == 0)
		r = read_project(p, doc, e);
	if (r == 0)
		*ret = take_ptr(p);
	return r;
}

/* ---- the create request ---- */

int compose_service_json(const struct compose_service *s, const char *hash, struct buf *out)
{
	struct create_config with_hash =
		s->create; /* shallow: only the list of labels is another */
	struct bind_pairs labels = { 0 };
	struct json_writer w;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->create.config.labels.n; i++)
		r = pairs_set(&labels, s->create.config.labels.v[i].key,
			      s->create.config.labels.v[i].value);
	if (r == 0 && hash)
		r = pairs_set(&labels, "com.docker.compose.config-hash", hash);
	with_hash.config.labels = labels;
	json_writer_init(&w, out);
	json_begin_object(&w);
	bind_write_members(&container_config_table, &with_hash.config, &w);
	json_key(&w, "HostConfig");
	bind_write(&host_config_table, &with_hash.host, &w);
	json_end_object(&w);
	pairs_free(&labels);
	return r < 0 ? r : buf_failed(out);
}

int compose_service_hash(const struct compose_service *s, char ret_hash[65], struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(4 << 20);
	char digest[DIGEST_TEXT_MAX];

	if (compose_service_json(s, NULL, &text) < 0 ||
	    digest_of(buf_text(&text), text.len, digest) < 0)
		return err_errno(e, ENOMEM, "service %s", s->name);
	return str_copy(ret_hash, 65, digest_hex(digest));
}
