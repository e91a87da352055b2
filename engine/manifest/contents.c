/*
 * configs and secrets: what they are (top level), and where a service has them.
 *
 * Each becomes a file of the machine (struct compose_file) that is bound into the containers,
 * read-only. Its path is made from a keyed hash of everything about it: another content is another
 * path, so the service's hash changes with it, while the path itself tells nothing of the content,
 * which appears in no document of the container.
 */
#include "engine/data/digest.h"
#include "engine/manifest/reading.h"
#include "engine/manifest/service.h"
#include "init/base/str.h"

enum { CONTENTS_MAX = 256, STAMP_LEN = 32, MODE_DEFAULT = 0444 };

struct kind {
	const char *key, *word, *folder;
};

static const struct kind kinds[] = {
	{ "configs", "config", "/" },
	{ "secrets", "secret", "/run/secrets/" },
};

/* ---- top level ---- */

struct source {
	char *file, *environment, *content;
	bool external;
};

static int no_memory(const struct yaml_node *n, struct err *e)
{
	return err_errno(e, ENOMEM, "%s", n->doc->file);
}

static int read_external(void *target, const struct place *p, const struct yaml_node *n,
			 struct err *e)
{
	struct source *s = target;

	s->external = true;
	return n->kind == YAML_MAP ? 0 : value_bool(p, n, &s->external, e);
}

static int load(struct reading *rd, const struct kind *k, const struct place *p,
		const struct yaml_node *n, const struct source *s, struct stored_file *ret,
		struct err *e)
{
	const char *value = s->content;
	struct err why = { 0 };

	if (s->external)
		return yaml_err(n->doc, n->line, p->path, e,
				"there is no store of %s on this machine; use file, environment or "
				"content",
				k->key);
	if (!!s->file + !!s->environment + !!s->content != 1)
		return yaml_err(n->doc, n->line, p->path, e,
				"one of the keys file, environment and content is needed");
	if (s->file) {
		if (reading_file(rd, n, s->file, COMPOSE_CONTENT_MAX, &ret->data, &ret->len, &why) <
		    0)
			return yaml_err(n->doc, n->line, p->path, e, "%s", err_text(&why));
		return 0;
	}
	if (s->environment)
		value = strv_env_get(rd->vars.env, s->environment);
	if (!value)
		return yaml_err(n->doc, n->line, p->path, e,
				"the variable %s is not set; it would stand in the file .env",
				s->environment);
	ret->data = str_dup(value);
	ret->len = strlen(value);
	return ret->data ? 0 : no_memory(n, e);
}

static int read_source(struct reading *rd, const struct kind *k, const struct place *p,
		       const struct yaml_node *n, struct stored_file *ret, struct err *e)
{
	static const struct key_row rows[] = {
		{ "file", VALUE_TEXT, offsetof(struct source, file) },
		{ "environment", VALUE_TEXT, offsetof(struct source, environment) },
		{ "content", VALUE_TEXT, offsetof(struct source, content) },
		{ "external", VALUE_CALL, 0, read_external },
		{ "name", VALUE_SKIP, 0 },
		{ "labels", VALUE_SKIP, 0 },
		{ "driver", VALUE_LATER, 0 },
		{ "driver_opts", VALUE_LATER, 0 },
		{ "template_driver", VALUE_LATER, 0 },
	};
	struct source s = { 0 };
	int r = value_map(p, n, rows, ARRAY_SIZE(rows), &s, e);

	if (r == 0)
		r = load(rd, k, p, n, &s, ret, e);
	free(s.file);
	free(s.environment);
	free(s.content);
	return r;
}

int contents_read(struct reading *rd, int kind, const struct yaml_node *n, struct err *e)
{
	const struct kind *k = &kinds[kind];
	struct place p = { .doc = rd->docs[0] };
	int r = 0;

	(void)str_copy(p.path, sizeof(p.path), k->key);
	if (yaml_is_null(n))
		return 0;
	if (n->kind != YAML_MAP)
		return value_wrong(&p, n, "a mapping", e);
	if (n->n > CONTENTS_MAX)
		return yaml_err(n->doc, n->line, p.path, e, "more than %d", CONTENTS_MAX);
	rd->stored[kind] = calloc(n->n + 1, sizeof(struct stored_file));
	if (!rd->stored[kind])
		return no_memory(n, e);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		struct stored_file *f = &rd->stored[kind][rd->n_stored[kind]];
		struct place at = place_at(&p, n->pairs[i].key, 0);

		if (str_starts(n->pairs[i].key, "x-"))
			continue;
		if (!compose_key_valid(n->pairs[i].key))
			return yaml_err(n->pairs[i].value->doc, n->pairs[i].line, at.path, e,
					"not a name: letters, digits, - _ . only");
		f->key = str_dup(n->pairs[i].key);
		rd->n_stored[kind]++;
		r = f->key ? read_source(rd, k, &at, n->pairs[i].value, f, e) : no_memory(n, e);
	}
	return r;
}

/* ---- in a service ---- */

struct content_ref {
	char *source, *target, *uid, *gid, *mode;
};

static void ref_free(struct content_ref *ref)
{
	free(ref->source);
	free(ref->target);
	free(ref->uid);
	free(ref->gid);
	free(ref->mode);
}

static const struct stored_file *stored_get(const struct reading *rd, int kind, const char *key)
{
	for (size_t i = 0; i < rd->n_stored[kind]; i++)
		if (str_eq(rd->stored[kind][i].key, key))
			return &rd->stored[kind][i];
	return NULL;
}

/* A user of the container, as the machine knows it. */
static int read_id(const struct service_target *t, const struct place *p, const struct yaml_node *n,
		   const char *text, uint32_t *ret, struct err *e)
{
	const struct remap *map = &t->rd->cfg->remap;
	bool mapped = map->count > 0 && !str_eq(t->s.create.host.userns_mode, "host");
	uint64_t id = 0;

	if (text && (str_to_u64(text, &id) < 0 || id > INT32_MAX || (mapped && id >= map->count)))
		return yaml_err(n->doc, n->line, p->path, e,
				"'%s' is no user or group id: a number is expected", text);
	*ret = (uint32_t)id + (mapped ? map->first : 0);
	return 0;
}

static int read_mode(const struct place *p, const struct yaml_node *n, const char *text,
		     uint32_t *ret, struct err *e)
{
	uint64_t mode = MODE_DEFAULT;

	if (text && str_starts(text, "0o"))
		text += 2;
	if (text && (str_to_u64_base(text, 8, &mode) < 0 || mode > 0777))
		return yaml_err(n->doc, n->line, p->path, e,
				"expected a mode in octal digits such as 0440, not '%s'", text);
	*ret = (uint32_t)mode;
	return 0;
}

static int stamp_of(const struct reading *rd, const struct compose_file *f, const char *name,
		    char ret[STAMP_LEN + 1])
{
	char digest[DIGEST_TEXT_MAX], facts[80];
	struct digester d;
	const char *key = rd->cfg->key ? rd->cfg->key : "";

	snprintf(facts, sizeof(facts), "%u:%u:%o:", f->uid, f->gid, f->mode);
	digest_start(&d, DIGEST_SHA256);
	digest_update(&d, key, strlen(key) + 1);
	digest_update(&d, name, strlen(name) + 1);
	digest_update(&d, facts, strlen(facts) + 1);
	digest_update(&d, f->data, f->len);
	if (digest_finish(&d, digest) < 0)
		return -EIO;
	memcpy(ret, digest_hex(digest), STAMP_LEN);
	ret[STAMP_LEN] = '\0';
	return 0;
}

/* Copies the content; its path and the mount follow from all the rest. */
static int add_file(struct service_target *t, const struct stored_file *stored,
		    struct compose_file *f, const char *target, struct err *e)
{
	const char *dir = t->rd->cfg->files_dir ? t->rd->cfg->files_dir : "/run/skerry/files";
	struct mount_request *m = bind_list_add(&mount_request_table, &t->s.create.host.mounts);
	char stamp[STAMP_LEN + 1];

	f->data = malloc(stored->len + 1);
	if (!f->data || !m)
		return err_errno(e, ENOMEM, "%s", stored->key);
	memcpy(f->data, stored->data, stored->len);
	f->len = stored->len;
	if (stamp_of(t->rd, f, stored->key, stamp) < 0)
		return err_set(e, EIO, "%s: no hash", stored->key);
	f->path = str_printf("%s/%s/%s", dir, t->rd->project->name, stamp);
	m->read_only = true;
	if (!f->path || str_set(&m->type, "bind") < 0 || str_set(&m->source, f->path) < 0 ||
	    str_set(&m->target, target) < 0)
		return err_errno(e, ENOMEM, "%s", stored->key);
	return 0;
}

static int add_ref(struct service_target *t, int kind, const struct place *p,
		   const struct yaml_node *n, const struct content_ref *ref, struct err *e)
{
	const struct stored_file *stored = stored_get(t->rd, kind, ref->source);
	const char *target = ref->target ? ref->target : ref->source;
	_cleanup_(mem_free) char *full = str_printf(
		"%s%s", target && target[0] == '/' ? "" : kinds[kind].folder, target ? target : "");
	struct compose_file *grown, *f;
	int r;

	if (!stored)
		return yaml_err(n->doc, n->line, p->path, e,
				"the %s '%s' is not declared; add it under the top-level key %s",
				kinds[kind].word, ref->source ? ref->source : "", kinds[kind].key);
	grown = reallocarray(t->s.files, t->s.n_files + 1, sizeof(*grown));
	if (!grown || !full)
		return no_memory(n, e);
	t->s.files = grown;
	f = &grown[t->s.n_files++];
	*f = (struct compose_file){ 0 };
	r = read_id(t, p, n, ref->uid, &f->uid, e);
	if (r == 0)
		r = read_id(t, p, n, ref->gid, &f->gid, e);
	if (r == 0)
		r = read_mode(p, n, ref->mode, &f->mode, e);
	return r < 0 ? r : add_file(t, stored, f, full, e);
}

int service_add_contents(struct service_target *t, int kind, const struct place *p,
			 const struct yaml_node *n, struct err *e)
{
	static const struct key_row rows[] = {
		{ "source", VALUE_TEXT, offsetof(struct content_ref, source) },
		{ "target", VALUE_TEXT, offsetof(struct content_ref, target) },
		{ "uid", VALUE_TEXT, offsetof(struct content_ref, uid) },
		{ "gid", VALUE_TEXT, offsetof(struct content_ref, gid) },
		{ "mode", VALUE_TEXT, offsetof(struct content_ref, mode) },
	};
	struct place at = place_at(p, kinds[kind].key, 0);
	int r = 0;

	if (yaml_is_null(n))
		return 0;
	if (n->kind != YAML_LIST)
		return value_wrong(&at, n, "a list of names", e);
	if (n->n > CONTENTS_MAX)
		return yaml_err(n->doc, n->line, at.path, e, "more than %d", CONTENTS_MAX);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		struct place here = place_at(&at, NULL, i);
		struct content_ref ref = { 0 };

		r = n->items[i]->kind == YAML_SCALAR
			    ? value_text(&here, n->items[i], &ref.source, e)
			    : value_map(&here, n->items[i], rows, ARRAY_SIZE(rows), &ref, e);
		if (r == 0)
			r = add_ref(t, kind, &here, n->items[i], &ref, e);
		ref_free(&ref);
	}
	return r;
}
