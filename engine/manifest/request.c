/*
 * What a service's containers are asked for with: compose's labels, names, the JSON of the create
 * request, and the hash that tells whether a container is still what the file says.
 *
 * The hash covers what all containers of the service have in common. What else a container's labels
 * say (its number, the image's id, the version of this program) is put in when it is made, so that
 * an upgrade or another number of containers changes none.
 */
#include "engine/data/digest.h"
#include "engine/manifest/service.h"
#include "init/base/str.h"

#ifndef SKERRY_VERSION
#define SKERRY_VERSION "0.0.0"
#endif

static int set_label(struct bind_pairs *labels, const char *key, const char *value)
{
	char full[80];

	return str_format(full, sizeof(full), "com.docker.compose.%s", key) < 0
		       ? -ENAMETOOLONG
		       : pairs_set(labels, full, value);
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

int request_labels(const struct compose_project *p, struct compose_service *s)
{
	_cleanup_(mem_free) char *depends = depends_label(s), *dir = str_dup(p->file);
	struct bind_pairs *labels = &s->create.config.labels;
	char *slash = dir ? strrchr(dir, '/') : NULL;
	int r = depends && dir ? 0 : -ENOMEM;

	if (slash)
		*slash = '\0';
	r |= set_label(labels, "project", p->name);
	r |= set_label(labels, "service", s->name);
	r |= set_label(labels, "oneoff", "False");
	r |= set_label(labels, "project.config_files", p->file);
	r |= set_label(labels, "project.working_dir", dir ? dir : "");
	r |= set_label(labels, "depends_on", depends ? depends : "");
	return r ? -ENOMEM : 0;
}

char *compose_container_name(const struct compose_project *p, const struct compose_service *s,
			     unsigned number)
{
	return s->own_name ? str_dup(s->container_name)
			   : str_printf("%s-%s-%u", p->name, s->name, number);
}

/* ---- the request ---- */

static int stamp_labels(struct bind_pairs *labels, const struct compose_stamp *stamp)
{
	char number[16];
	int r = 0;

	snprintf(number, sizeof(number), "%u", stamp->number);
	r |= set_label(labels, "container-number", number);
	r |= set_label(labels, "config-hash", stamp->hash);
	r |= set_label(labels, "version", SKERRY_VERSION);
	if (stamp->image_id)
		r |= set_label(labels, "image", stamp->image_id);
	return r ? -ENOMEM : 0;
}

/* In networks that know names the container's own is the first. */
static int stamp_aliases(struct networking_config *n, const char *name)
{
	struct endpoint_config *eps = n->endpoints.items;

	for (size_t i = 0; i < n->endpoints.n; i++) {
		_cleanup_(strv_free) char **more = NULL;

		if (!eps[i].aliases || strv_has(eps[i].aliases, name))
			continue;
		if (strv_add(&more, name) < 0)
			return -ENOMEM;
		for (char **a = eps[i].aliases; *a; a++)
			if (strv_add(&more, *a) < 0)
				return -ENOMEM;
		strv_free(eps[i].aliases);
		eps[i].aliases = take_ptr(more);
	}
	return 0;
}

int compose_service_json(const struct compose_service *s, const struct compose_stamp *stamp,
			 struct buf *out)
{
	struct create_config c = s->create; /* shallow: labels and networks are others */
	struct bind_pairs labels = { 0 };
	struct networking_config networking;
	struct json_writer w;
	int r;

	bind_init(&networking_config_table, &networking);
	r = bind_copy(&networking_config_table, &s->create.networking, &networking, NULL);
	for (size_t i = 0; r == 0 && i < s->create.config.labels.n; i++)
		r = pairs_set(&labels, s->create.config.labels.v[i].key,
			      s->create.config.labels.v[i].value);
	if (r == 0 && stamp)
		r = stamp_labels(&labels, stamp);
	if (r == 0 && stamp && stamp->name)
		r = stamp_aliases(&networking, stamp->name);
	c.config.labels = labels;
	json_writer_init(&w, out);
	json_begin_object(&w);
	bind_write_members(&container_config_table, &c.config, &w);
	json_key(&w, "HostConfig");
	bind_write(&host_config_table, &c.host, &w);
	json_key(&w, "NetworkingConfig");
	bind_write(&networking_config_table, &networking, &w);
	json_end_object(&w);
	pairs_free(&labels);
	bind_free(&networking_config_table, &networking);
	return r < 0 ? r : buf_failed(out);
}

/* ---- hashes ---- */

static int hash_of(const struct buf *text, const char *what, char ret_hash[65], struct err *e)
{
	char digest[DIGEST_TEXT_MAX];

	if (buf_failed(text) < 0 || digest_of(buf_text(text), text->len, digest) < 0)
		return err_errno(e, ENOMEM, "%s", what);
	return str_copy(ret_hash, 65, digest_hex(digest));
}

int compose_service_hash(const struct compose_service *s, char ret_hash[65], struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(4 << 20);

	if (compose_service_json(s, NULL, &text) < 0)
		return err_errno(e, ENOMEM, "service %s", s->name);
	return hash_of(&text, s->name, ret_hash, e);
}

static void add_pairs(struct buf *b, const char *what, const struct bind_pairs *pairs)
{
	for (size_t i = 0; i < pairs->n; i++)
		buf_printf(b, "%s %zu:%s=%zu:%s\n", what, strlen(pairs->v[i].key), pairs->v[i].key,
			   strlen(pairs->v[i].value), pairs->v[i].value);
}

int compose_network_hash(const struct compose_network *n, char ret_hash[65], struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(4 << 20);

	buf_printf(&text, "%s %d %d %d\n", n->driver ? n->driver : "bridge", n->internal,
		   n->attachable, n->ipv6);
	if (n->no_ipv4)
		buf_printf(&text, "no IPv4\n");
	for (size_t i = 0; i < n->n_pools; i++) {
		const struct compose_pool *pool = &n->pools[i];

		buf_printf(&text, "pool %s %s %s\n", pool->subnet ? pool->subnet : "",
			   pool->range ? pool->range : "", pool->gateway ? pool->gateway : "");
		add_pairs(&text, "aux", &pool->aux);
	}
	add_pairs(&text, "option", &n->options);
	add_pairs(&text, "label", &n->labels);
	return hash_of(&text, n->key, ret_hash, e);
}
