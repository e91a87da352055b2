/*
 * A compose file as a whole: top-level keys, volumes, services and their order. What a container of
 * a service is asked for with stands in request.c.
 */
#include "engine/manifest/compose.h"

#include <limits.h>

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
	for (size_t i = 0; i < s->n_files; i++) {
		free(s->files[i].path);
		free(s->files[i].data);
	}
	free(s->files);
	create_config_free(&s->create);
}

static void network_free(struct compose_network *n)
{
	for (size_t i = 0; i < n->n_pools; i++) {
		free(n->pools[i].subnet);
		free(n->pools[i].range);
		free(n->pools[i].gateway);
		pairs_free(&n->pools[i].aux);
	}
	free(n->pools);
	free(n->key);
	free(n->name);
	free(n->driver);
	pairs_free(&n->options);
	pairs_free(&n->labels);
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
		free(p->volumes[i].driver);
		pairs_free(&p->volumes[i].options);
		pairs_free(&p->volumes[i].labels);
	}
	for (size_t i = 0; i < p->n_networks; i++)
		network_free(&p->networks[i]);
	free(p->services);
	free(p->volumes);
	free(p->networks);
	strv_free(p->files);
	strv_free(p->warnings);
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

bool compose_key_valid(const char *s)
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

static int read_name(struct reading *rd, struct err *e)
{
	struct compose_project *p = rd->project;
	const struct yaml_doc *doc = rd->docs[0];
	struct yaml_node *n = yaml_get(doc->root, "name");
	int r = n ? reading_expand(rd, n, "name", e) : 0;

	if (r < 0)
		return r;

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
	return strv_env_set(&rd->vars.env, "COMPOSE_PROJECT_NAME", p->name) < 0
		       ? err_errno(e, ENOMEM, "%s", p->file)
		       : 0;
}

/* ---- volumes ---- */

/* external: true, or (of old) external: {name: NAME} */
static int read_external(void *target, const struct place *p, const struct yaml_node *n,
			 struct err *e)
{
	static const struct key_row rows[] = {
		{ "name", VALUE_TEXT, offsetof(struct compose_volume, name) },
	};
	struct compose_volume *v = target;

	v->external = true;
	return n->kind == YAML_MAP ? value_map(p, n, rows, ARRAY_SIZE(rows), v, e)
				   : value_bool(p, n, &v->external, e);
}

static int read_volumes(struct compose_project *p, const struct place *at,
			const struct yaml_node *n, struct err *e)
{
	static const struct key_row rows[] = {
		{ "name", VALUE_TEXT, offsetof(struct compose_volume, name) },
		{ "external", VALUE_CALL, 0, read_external },
		{ "driver", VALUE_TEXT, offsetof(struct compose_volume, driver) },
		{ "driver_opts", VALUE_PAIRS, offsetof(struct compose_volume, options) },
		{ "labels", VALUE_PAIRS, offsetof(struct compose_volume, labels) },
	};
	int r = 0;

	if (yaml_is_null(n))
		return 0;
	if (n->kind != YAML_MAP)
		return value_wrong(at, n, "a mapping of volumes", e);
	if (n->n > COMPOSE_VOLUMES_MAX)
		return yaml_err(n->doc, n->line, at->path, e, "more than %d volumes",
				COMPOSE_VOLUMES_MAX);
	p->volumes = calloc(n->n + 1, sizeof(*p->volumes));
	if (!p->volumes)
		return err_errno(e, ENOMEM, "volumes");
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		struct place where = place_at(at, n->pairs[i].key, 0);
		struct compose_volume *v = &p->volumes[p->n_volumes];

		if (str_starts(n->pairs[i].key, "x-"))
			continue;
		p->n_volumes++;
		if (!compose_key_valid(n->pairs[i].key))
			return yaml_err(n->pairs[i].value->doc, n->pairs[i].line, where.path, e,
					"not a name: letters, digits, - _ . only");
		v->key = str_dup(n->pairs[i].key);
		r = value_map(&where, n->pairs[i].value, rows, ARRAY_SIZE(rows), v, e);
		if (r == 0 && v->external && (v->driver || v->options.n || v->labels.n))
			return yaml_err(n->pairs[i].value->doc, n->pairs[i].line, where.path, e,
					"an external volume has only a name; the other keys belong "
					"to who makes it");
		if (r == 0 && !v->name)
			v->name = v->external ? str_dup(v->key)
					      : str_printf("%s_%s", p->name, v->key);
		if (r == 0 && (!v->key || !v->name))
			r = err_errno(e, ENOMEM, "volumes");
	}
	return r;
}

/* ---- services ---- */

static int read_service(struct reading *rd, const struct place *at, const struct yaml_pair *pair,
			struct err *e)
{
	struct service_target t = { .rd = rd };
	struct compose_project *p = rd->project;
	struct place where = place_at(at, pair->key, 0);
	int r;

	if (!compose_key_valid(pair->key))
		return yaml_err(pair->value->doc, pair->line, where.path, e,
				"not a name: letters, digits, - _ . only");
	create_config_init(&t.s.create);
	t.s.name = str_dup(pair->key);
	t.s.at = reading_spot(pair->value, pair->line);
	r = t.s.name ? service_read(&t, &where, pair->value, e) : err_errno(e, ENOMEM, "services");
	service_target_free(&t);
	t.s.own_name = t.s.container_name;
	if (r == 0 && !t.s.container_name)
		t.s.container_name = compose_container_name(p, &t.s, 1);
	if (r == 0 && (!t.s.container_name || request_labels(p, &t.s) < 0))
		r = err_errno(e, ENOMEM, "services");
	p->services[p->n_services++] = t.s;
	return r;
}

static int read_services(struct reading *rd, const struct yaml_node *n, struct err *e)
{
	const struct place top = { .doc = rd->docs[0] }, at = place_at(&top, "services", 0);
	int r = 0;

	if (yaml_is_null(n) || n->kind != YAML_MAP || n->n == 0)
		return yaml_err(rd->docs[0], n ? n->line : 1, "services", e,
				"expected a mapping with at least one service");
	if (n->n > COMPOSE_SERVICES_MAX)
		return yaml_err(n->doc, n->line, at.path, e, "more than %d services",
				COMPOSE_SERVICES_MAX);
	rd->project->services = calloc(n->n, sizeof(*rd->project->services));
	if (!rd->project->services)
		return err_errno(e, ENOMEM, "services");
	for (size_t i = 0; r == 0 && i < n->n; i++)
		if (!str_starts(n->pairs[i].key, "x-"))
			r = read_service(rd, &at, &n->pairs[i], e);
	return r;
}

/* Which profiles are active: those of the file's x-skerry-profiles, and those of COMPOSE_PROFILES
 * in .env. */
static int read_profiles(struct reading *rd, const struct yaml_node *n, struct err *e)
{
	const struct place top = { .doc = rd->docs[0] }, p = place_at(&top, "x-skerry-profiles", 0);
	const char *env = strv_env_get(rd->vars.env, "COMPOSE_PROFILES");
	_cleanup_(strv_free) char **words = strv_split(env ? env : "", ", ", false);
	int r = yaml_is_null(n) ? 0 : value_words(&p, n, &rd->profiles, e);

	for (char **w = words; r == 0 && w && *w; w++)
		if (strv_add(&rd->profiles, *w) < 0)
			r = err_errno(e, ENOMEM, "profiles");
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
static int visit(struct compose_project *p, size_t i, enum mark *marks, size_t *order,
		 size_t *n_order, struct buf *path, struct err *e)
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
			return spot_err(s->deps[d].at, where, e,
					"there is no service '%s' in this file",
					s->deps[d].service);
		if (on->off && !s->off && !s->deps[d].optional)
			return spot_err(s->deps[d].at, where, e,
					"the service '%s' has profiles, and none of them is active "
					"(x-skerry-profiles, or COMPOSE_PROFILES in .env)",
					on->name);
		if (marks[j] == OPEN)
			return spot_err(s->deps[d].at, where, e,
					"services wait for each other: %s -> %s", buf_text(path),
					on->name);
		r = marks[j] == FRESH ? visit(p, j, marks, order, n_order, path, e) : 0;
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

static int sort_services(struct compose_project *p, struct err *e)
{
	_cleanup_(buf_free) struct buf path = BUF_INIT(64 << 10);
	_cleanup_(mem_free) enum mark *marks = calloc(p->n_services + 1, sizeof(*marks));
	_cleanup_(mem_free) size_t *order = calloc(p->n_services + 1, sizeof(*order));
	struct compose_service *sorted = calloc(p->n_services + 1, sizeof(*sorted));
	size_t n = 0;
	int r = marks && order && sorted ? 0 : err_errno(e, ENOMEM, "services");

	for (size_t i = 0; r == 0 && i < p->n_services; i++)
		if (marks[i] == FRESH)
			r = visit(p, i, marks, order, &n, &path, e);
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

static int check_values(struct compose_project *p, struct err *e)
{
	for (size_t i = 0; i < p->n_services; i++) {
		struct compose_service *s = &p->services[i];
		char where[PLACE_MAX];
		struct err why = { 0 };

		snprintf(where, sizeof(where), "services.%s", s->name);
		if (create_config_defaults(&s->create) < 0)
			return err_errno(e, ENOMEM, "services");
		if (create_config_check(&s->create, NULL, &why) < 0)
			return spot_err(s->at, where, e, "%s", err_text(&why));
		for (size_t j = 0; j < i; j++)
			if (str_eq(p->services[j].container_name, s->container_name))
				return spot_err(s->at, where, e,
						"service %s has the same container_name '%s'",
						p->services[j].name, s->container_name);
	}
	return 0;
}

static int read_top(struct reading *rd, const struct yaml_node *root, struct err *e)
{
	const struct place top = { .doc = rd->docs[0] }, volumes = place_at(&top, "volumes", 0);
	int r = read_volumes(rd->project, &volumes, yaml_get(root, "volumes"), e);

	if (r == 0)
		r = networks_read(rd, yaml_get(root, "networks"), e);
	if (r == 0)
		r = contents_read(rd, 0, yaml_get(root, "configs"), e);
	if (r == 0)
		r = contents_read(rd, 1, yaml_get(root, "secrets"), e);
	return r;
}

static int read_project(struct reading *rd, const struct yaml_doc *doc, struct err *e)
{
	static const struct key_row rows[] = {
		{ "name", VALUE_SKIP, 0 },
		{ "version", VALUE_SKIP, 0 },
		{ "services", VALUE_CALL, 0, skip_key },
		{ "volumes", VALUE_CALL, 0, skip_key },
		{ "networks", VALUE_CALL, 0, skip_key },
		{ "configs", VALUE_CALL, 0, skip_key },
		{ "secrets", VALUE_CALL, 0, skip_key },
		{ "include", VALUE_LATER, 0 },
		{ "models", VALUE_LATER, 0 },
	};
	const struct place top = { .doc = doc };
	struct compose_project *p = rd->project;
	int r = value_map(&top, doc->root, rows, ARRAY_SIZE(rows), p, e);

	if (r == 0)
		r = reading_env(rd, e);
	if (r == 0)
		r = read_name(rd, e);
	if (r == 0)
		r = reading_expand(rd, doc->root, "", e);
	if (r == 0)
		r = extends_resolve(rd, e);
	if (r == 0)
		r = read_profiles(rd, yaml_get(doc->root, "x-skerry-profiles"), e);
	if (r == 0)
		r = read_top(rd, doc->root, e);
	if (r == 0)
		r = read_services(rd, yaml_get(doc->root, "services"), e);
	for (size_t i = 0; r == 0 && i < p->n_services; i++)
		r = service_resolve(p, &p->services[i], e);
	if (r == 0)
		r = check_values(p, e);
	return r == 0 ? sort_services(p, e) : r;
}

int compose_parse(const char *text, size_t len, const char *file, const struct compose_config *cfg,
		  struct compose_project **ret, char ***ret_inputs, struct err *e)
{
	static const struct compose_config none;
	_cleanup_(compose_free) struct compose_project *p = calloc(1, sizeof(*p));
	_cleanup_(reading_free) struct reading rd = { .project = p, .cfg = cfg ? cfg : &none };
	struct yaml_doc *doc;
	int r;

	if (!p || !(p->file = str_dup(file)))
		return err_errno(e, ENOMEM, "%s", file);
	r = reading_parse(&rd, text, len, file, &doc, e);
	if (r == 0)
		r = read_project(&rd, doc, e);
	if (ret_inputs)
		*ret_inputs = take_ptr(rd.inputs);
	if (r == 0)
		*ret = take_ptr(p);
	return r;
}
