/*
 * What a service needs besides its image: volumes, networks, and the files of its configs and
 * secrets; and what of that is removed when nobody needs it any more. Volumes always stay.
 *
 * Files lie at FILES_DIR/PROJECT/STAMP, on the disk of the machine's state, since containers start
 * by their restart policy before any compose file is read. Several versions may lie side by side;
 * one goes when no version of a project wants it and no container mounts it.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "engine/data/ids.h"
#include "engine/manifest/inside.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

#define LABEL(name) "com.docker.compose." name

enum { FILES_MAX = 65536 };

static void add_pairs(char ***list, const struct bind_pairs *pairs)
{
	for (size_t i = 0; i < pairs->n; i++)
		strv_addf(list, "%s=%s", pairs->v[i].key, pairs->v[i].value);
}

/* ---- volumes ---- */

static int volume_make(struct service_run *run, const struct compose_volume *v, struct err *e)
{
	struct manifests *m = run->project->m;
	_cleanup_(strv_free) char **labels = NULL, **options = NULL;
	struct volume_want want = { .name = v->name, .driver = v->driver };
	const struct volume *made;
	int r = volume_get(m->cfg.volumes, v->name, &made, NULL);

	if (r == 0)
		return 0;
	if (v->external)
		return err_set(e, ENOENT, "the external volume '%s' does not exist", v->name);
	strv_addf(&labels, LABEL("project") "=%s", run->project->want->name);
	strv_addf(&labels, LABEL("volume") "=%s", v->key);
	add_pairs(&labels, &v->labels);
	add_pairs(&options, &v->options);
	want.labels = labels;
	want.options = options;
	r = volume_create(m->cfg.volumes, &want, &made, e);
	if (r == 0)
		events_publish_volume(containers_events(m->cfg.containers), "create", made->name,
				      made->driver);
	return r;
}

int volumes_make(struct service_run *run, struct err *e)
{
	const struct compose_project *p = run->project->want;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n_volumes; i++)
		r = volume_make(run, &p->volumes[i], e);
	return r;
}

/* ---- networks ---- */

static const struct compose_network *network_by_name(const struct compose_project *p,
						     const char *name)
{
	for (size_t i = 0; i < p->n_networks; i++)
		if (str_eq(p->networks[i].name, name))
			return &p->networks[i];
	return NULL;
}

static const char *label_of(const struct network *net, const char *key)
{
	return strv_env_get(net->labels, key);
}

static int network_labels(const struct compose_project *p, const struct compose_network *net,
			  char ***ret, struct err *e)
{
	char hash[65];
	int r = compose_network_hash(net, hash, e);

	if (r < 0)
		return r;
	strv_addf(ret, LABEL("network") "=%s", net->key);
	strv_addf(ret, LABEL("project") "=%s", p->name);
	strv_addf(ret, LABEL("project.config_files") "=%s", p->file);
	if (strv_addf(ret, LABEL("config-hash") "=%s", hash) < 0)
		return err_errno(e, ENOMEM, "%s", net->name);
	add_pairs(ret, &net->labels);
	return 0;
}

static int network_create(struct service_run *run, const struct compose_network *net,
			  char *const *labels, struct err *e)
{
	struct manifests *m = run->project->m;
	_cleanup_(strv_free) char **options = NULL;
	_cleanup_(mem_free) struct ipam_want *pools = calloc(net->n_pools + 1, sizeof(*pools));
	_cleanup_(mem_free) char ***aux = calloc(net->n_pools + 1, sizeof(*aux));
	struct network_want want = { .name = net->name,
				     .driver = net->driver,
				     .ipam = pools,
				     .n_ipam = net->n_pools,
				     .internal = net->internal,
				     .attachable = net->attachable,
				     .no_ipv4 = net->no_ipv4,
				     .ipv6 = net->ipv6,
				     .labels = labels };
	const struct network *made;
	int r;

	if (!pools || !aux)
		return err_errno(e, ENOMEM, "%s", net->name);
	for (size_t i = 0; i < net->n_pools; i++) {
		add_pairs(&aux[i], &net->pools[i].aux);
		pools[i] = (struct ipam_want){ .subnet = net->pools[i].subnet,
					       .range = net->pools[i].range,
					       .gateway = net->pools[i].gateway,
					       .aux = aux[i] };
	}
	add_pairs(&options, &net->options);
	want.options = options;
	r = nets_create(m->cfg.nets, &want, &made, e);
	for (size_t i = 0; i < net->n_pools; i++)
		strv_free(aux[i]);
	if (r == 0)
		events_publish_network(containers_events(m->cfg.containers), "create", made->id,
				       made->name, net_driver_name(made->driver));
	return r;
}

static int network_remove(struct manifests *m, const struct network *net, struct err *e)
{
	_cleanup_(mem_free) char *name = str_dup(net->name), *id = str_dup(net->id);
	const char *driver = net_driver_name(net->driver);
	int r = nets_remove(m->cfg.nets, net, e);

	if (r == 0 && name && id)
		events_publish_network(containers_events(m->cfg.containers), "destroy", id, name,
				       driver);
	return r;
}

static int network_make(struct service_run *run, const struct compose_network *net, struct err *e)
{
	struct manifests *m = run->project->m;
	_cleanup_(strv_free) char **labels = NULL;
	const struct network *there;
	int r = nets_find(m->cfg.nets, net->name, &there, NULL);
	bool named = r == 0 && str_eq(there->name, net->name); /* not the start of an id */

	if (net->external)
		return named ? 0
			     : err_set(e, ENOENT, "the external network '%s' does not exist",
				       net->name);
	r = network_labels(run->project->want, net, &labels, e);
	if (r < 0 || !named)
		return r < 0 ? r : network_create(run, net, labels, e);
	if (!str_eq(label_of(there, LABEL("project")), run->project->want->name))
		return err_set(e, EEXIST,
			       "there is a network '%s' that is not the project's; declare it as "
			       "external, or remove it",
			       net->name);
	if (str_eq(label_of(there, LABEL("config-hash")),
		   strv_env_get(labels, LABEL("config-hash"))))
		return 0;
	if (network_in_use(m->cfg.nets, there))
		return err_set(
			e, EBUSY,
			"the network '%s' is declared in another way than it is, and running "
			"containers are in it; stop them, or give the new one another name",
			net->name);
	r = network_remove(m, there, e);
	return r < 0 ? r : network_create(run, net, labels, e);
}

int networks_make(struct service_run *run, struct err *e)
{
	const struct endpoint_config *eps = run->want->create.networking.endpoints.items;
	const struct compose_project *p = run->project->want;
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->want->create.networking.endpoints.n; i++) {
		const struct compose_network *net = network_by_name(p, eps[i].network);

		if (net)
			r = network_make(run, net, e);
	}
	return r;
}

/* Whether the folder's files made it and none declares it any more. */
static bool network_left(struct manifests *m, const struct network *net)
{
	const char *file = label_of(net, LABEL("project.config_files"));
	const struct project *p = file ? project_by_file(m, file) : NULL;
	const struct compose_network *want;
	struct container *c;
	size_t pos = 0;

	if (net->predefined || !file || strncmp(file, m->dir, strlen(m->dir)) != 0 ||
	    file[strlen(m->dir)] != '/' || (p && !p->want))
		return false;
	want = p ? network_by_name(p->want, net->name) : NULL;
	if (want && (want->used || want->external))
		return false;
	while ((c = containers_next(m->cfg.containers, &pos)))
		if (container_has_network(c, net->name))
			return false;
	return true;
}

static void networks_clean(struct manifests *m)
{
	for (size_t i = nets_count(m->cfg.nets); i-- > 0;) {
		const struct network *net = nets_at(m->cfg.nets, i);
		struct err e = { 0 };

		if (network_left(m, net) && network_remove(m, net, &e) < 0)
			log_warn("manifest: %s", err_text(&e));
	}
}

/* ---- configs and secrets ---- */

int files_key(struct manifests *m, struct err *e)
{
	_cleanup_(mem_free) char *path = str_printf("%s/.key", m->files_dir), *text = NULL;
	int r = path ? dir_make(AT_FDCWD, m->files_dir, 0700, e) : err_errno(e, ENOMEM, "key");

	if (r < 0)
		return r;
	if (file_read(AT_FDCWD, path, ID_LEN, &text, NULL, NULL) == 0 && id_valid(text))
		return str_copy(m->key, sizeof(m->key), text);
	r = id_new(m->key, e);
	return r < 0 ? r : file_replace(AT_FDCWD, path, m->key, ID_LEN, 0600, true, e);
}

static bool file_is(const struct compose_file *f)
{
	struct stat st;

	return lstat(f->path, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size == f->len &&
	       st.st_uid == f->uid && st.st_gid == f->gid && (st.st_mode & 07777) == f->mode;
}

static int file_make(const struct manifests *m, const struct compose_project *p,
		     const struct compose_file *f, struct err *e)
{
	_cleanup_(mem_free) char *dir = str_printf("%s/%s", m->files_dir, p->name);
	int r;

	if (file_is(f))
		return 0;
	r = dir ? dir_make(AT_FDCWD, dir, 0700, e) : err_errno(e, ENOMEM, "%s", f->path);
	if (r == 0)
		r = file_replace(AT_FDCWD, f->path, f->data, f->len, 0600, true, e);
	if (r == 0 && (fchownat(AT_FDCWD, f->path, f->uid, f->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		       fchmodat(AT_FDCWD, f->path, f->mode, 0) < 0))
		r = err_errno(e, errno, "%s", f->path);
	return r;
}

int files_make(struct service_run *run, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->want->n_files; i++)
		r = file_make(run->project->m, run->project->want, &run->want->files[i], e);
	return r;
}

/* ---- leftovers ---- */

static bool path_wanted(const struct manifests *m, const char *path)
{
	const struct project *p;
	struct container *c;
	size_t pos = 0;

	list_for_each(p, &m->projects, link)
		for (size_t i = 0; i < p->n_runs; i++)
			for (size_t j = 0; j < p->runs[i].want->n_files; j++)
				if (str_eq(p->runs[i].want->files[j].path, path))
					return true;
	while ((c = containers_next(m->cfg.containers, &pos)))
		if (container_has_mount(c, path))
			return true;
	return false;
}

struct cleaning {
	struct manifests *m;
	const char *dir;
	size_t left;
};

static int clean_file(int dirfd, const char *name, void *data, struct err *e)
{
	struct cleaning *c = data;
	_cleanup_(mem_free) char *path = str_printf("%s/%s", c->dir, name);

	(void)e;
	if (path && path_wanted(c->m, path))
		c->left++;
	else if (path)
		unlinkat(dirfd, name, 0);
	return 0;
}

static int clean_project(int dirfd, const char *name, void *data, struct err *unused)
{
	struct manifests *m = data;
	_cleanup_(mem_free) char *dir = str_printf("%s/%s", m->files_dir, name);
	struct cleaning c = { .m = m, .dir = dir };
	struct err e = { 0 };

	(void)unused;
	if (!dir || strchr(name, '.')) /* the key, trials: no project's name has a dot */
		return 0;
	if (dir_each(AT_FDCWD, dir, FILES_MAX, clean_file, &c, &e) < 0)
		log_warn("manifest: %s", err_text(&e));
	else if (c.left == 0)
		unlinkat(dirfd, name, AT_REMOVEDIR);
	return 0;
}

void things_clean(struct manifests *m)
{
	struct err e = { 0 };
	int r = m->files_dir
			? dir_each(AT_FDCWD, m->files_dir, PROJECTS_MAX * 8, clean_project, m, &e)
			: 0;

	if (r < 0 && r != -ENOENT)
		log_warn("manifest: %s", err_text(&e));
	if (m->cfg.nets)
		networks_clean(m);
}
