/*
 * What is mounted where: volumes of other containers, HostConfig.Binds, Mounts and Tmpfs and the
 * image's volumes become one list of mount points, sorted so that parents come first. Volumes that
 * it names are made here. Rules and texts are Docker's (moby volume/mounts/linux_parser.go,
 * daemon/volumes.go).
 *
 * The list is made once, at create, and kept in container.json: a later start mounts the same
 * volumes. The words in its strings (modes, tmpfs options) are read by mount_words.c.
 */
#include <limits.h>
#include <sys/stat.h>

#include "engine/container/mounts.h"
#include "init/base/path.h"
#include "init/base/str.h"

/* what is not given is null on disk: an empty text would be read as given */
#define ROW(key_, type_, member_)                                                            \
	{                                                                                    \
		.key = key_, .type = type_, .offset = offsetof(struct mount_point, member_), \
		.empty = "null"                                                              \
	}

static const struct bind mount_point_rows[] = {
	ROW("Type", BIND_TEXT, type),
	ROW("Name", BIND_TEXT, name),
	ROW("Driver", BIND_TEXT, driver),
	ROW("Source", BIND_TEXT, source),
	ROW("Subpath", BIND_TEXT, subpath),
	ROW("Destination", BIND_TEXT, destination),
	ROW("Mode", BIND_TEXT, mode),
	ROW("Propagation", BIND_TEXT, propagation),
	ROW("Options", BIND_TEXT, options),
	ROW("RW", BIND_BOOL, rw),
	ROW("NoCopy", BIND_BOOL, no_copy),
	ROW("NonRecursive", BIND_BOOL, non_recursive),
	ROW("ReadOnlyNonRecursive", BIND_BOOL, ro_non_recursive),
	ROW("MakeSource", BIND_BOOL, make_source),
	ROW("Anonymous", BIND_BOOL, anonymous),
};
BIND_TABLE(mount_point_table, struct mount_point, mount_point_rows);

const struct mount_point *mount_at_index(const struct container *c, size_t i)
{
	return (const struct mount_point *)c->mounts.items + i;
}

static struct mount_point *by_destination(struct container *c, const char *destination)
{
	struct mount_point *m = c->mounts.items;

	for (size_t i = 0; i < c->mounts.n; i++)
		if (str_eq(m[i].destination, destination))
			return &m[i];
	return NULL;
}

static int clean_destination(const char *destination, char clean[PATH_MAX], struct err *e)
{
	if (str_empty(destination) || destination[0] != '/')
		return err_set(e, EINVAL, "invalid mount path: '%s' mount path must be absolute",
			       destination ? destination : "");
	if (path_clean(clean, PATH_MAX, destination) < 0)
		return err_set(e, EINVAL, "invalid mount path: longer than %d bytes", PATH_MAX);
	if (str_eq(clean, "/"))
		return err_set(e, EINVAL, "invalid specification: destination can't be '/'");
	return 0;
}

/* What becomes of a destination that is taken. */
enum taken { TAKEN_ERROR, TAKEN_KEEP, TAKEN_REPLACE };

/* A point for the destination, nothing else set. *ret is NULL when it is taken and stays. What came
 * from another container gives way to everything but the image's volumes. */
static int point_add(struct container *c, const char *destination, enum taken taken,
		     struct mount_point **ret, struct err *e)
{
	struct bind_list *list = &c->mounts;
	struct mount_point *m;
	char clean[PATH_MAX];
	int r = clean_destination(destination, clean, e);

	if (r < 0)
		return r;
	*ret = NULL;
	m = by_destination(c, clean);
	if (m && taken == TAKEN_KEEP)
		return 0;
	if (m && taken == TAKEN_ERROR && !m->inherited)
		return err_set(e, EINVAL, "Duplicate mount point: %s", clean);
	if (!m && list->n == MOUNTS_MAX)
		return err_set(e, EINVAL, "more than %d mounts", MOUNTS_MAX);
	if (m)
		bind_free(&mount_point_table, m);
	else
		m = bind_list_add(&mount_point_table, list);
	if (!m || str_set(&m->destination, clean) < 0)
		return err_errno(e, ENOMEM, "mounts");
	m->rw = true;
	m->inherited = false;
	*ret = m;
	return 0;
}

/* ---- volumes ---- */

static int wanted_options(const struct volume_options *opts, char ***labels, char ***options)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < opts->labels.n; i++)
		r = strv_addf(labels, "%s=%s", opts->labels.v[i].key, opts->labels.v[i].value);
	for (size_t i = 0; r == 0 && i < opts->driver.options.n; i++)
		r = strv_addf(options, "%s=%s", opts->driver.options.v[i].key,
			      opts->driver.options.v[i].value);
	return r;
}

static int use_volume(struct container *c, struct mount_point *m, const char *name,
		      const struct volume_options *opts, struct err *e)
{
	_cleanup_(strv_free) char **labels = NULL, **options = NULL;
	const struct volume *vol;
	struct volume_want want = { .name = name, .driver = c->asked.host.volume_driver };
	int r;

	if (opts) {
		if (wanted_options(opts, &labels, &options) < 0)
			return err_errno(e, ENOMEM, "mounts");
		want.labels = labels;
		want.options = options;
		want.driver = opts->driver.name;
		m->no_copy = opts->no_copy || !str_empty(opts->subpath);
		if (str_set(&m->subpath, str_empty(opts->subpath) ? NULL : opts->subpath) < 0)
			return err_errno(e, ENOMEM, "mounts");
	}
	r = volume_make(c->cs, &want, &vol, e);
	if (r < 0)
		return r;
	m->anonymous = str_empty(name);
	if (str_set(&m->type, "volume") < 0 || str_set(&m->name, vol->name) < 0 ||
	    str_set(&m->driver, vol->driver) < 0 || str_set(&m->source, vol->mountpoint) < 0)
		return err_errno(e, ENOMEM, "mounts");
	return 0;
}

/* ---- Binds: "SOURCE:DESTINATION:MODE" ---- */

static int bind_source(struct mount_point *m, const char *source, struct err *e)
{
	char clean[PATH_MAX];

	if (path_clean(clean, sizeof(clean), source) < 0)
		return err_set(e, EINVAL, "invalid mount path: longer than %d bytes", PATH_MAX);
	if (str_set(&m->type, "bind") < 0 || str_set(&m->source, clean) < 0 ||
	    (!m->propagation && str_set(&m->propagation, "rprivate") < 0))
		return err_errno(e, ENOMEM, "mounts");
	return 0;
}

static int plan_bind_parts(struct container *c, char *const *parts, size_t n, struct err *e)
{
	bool is_bind = n > 1 && parts[0][0] == '/';
	struct mount_words words = { 0 };
	struct mount_point *m;
	int r = n == 3 ? mount_words_read(parts[2], &words, e) : 0;

	if (r == 0 && words.propagation[0] && !is_bind)
		r = err_set(e, EINVAL,
			    "invalid mount config for type \"volume\": field BindOptions must not "
			    "be specified");
	if (r == 0 && words.has_copy && is_bind)
		r = err_set(e, EINVAL,
			    "invalid mount config for type \"bind\": field VolumeOptions must not "
			    "be specified");
	if (r == 0)
		r = point_add(c, n == 1 ? parts[0] : parts[1], TAKEN_ERROR, &m, e);
	if (r < 0)
		return r;
	m->rw = !words.read_only;
	m->no_copy = words.no_copy;
	m->make_source = is_bind;
	if ((words.propagation[0] && str_set(&m->propagation, words.propagation) < 0) ||
	    (n == 3 && str_set(&m->mode, parts[2]) < 0))
		return err_errno(e, ENOMEM, "mounts");
	return is_bind ? bind_source(m, parts[0], e)
		       : use_volume(c, m, n == 1 ? NULL : parts[0], NULL, e);
}

static int plan_bind(struct container *c, const char *spec, struct err *e)
{
	_cleanup_(strv_free) char **parts = strv_split(spec, ":", true);
	size_t n = strv_len(parts);
	int r;

	if (n < 1 || n > 3 || str_empty(parts[0]) || (n > 1 && str_empty(parts[1])) ||
	    (n == 2 && mount_words_read(parts[1], &(struct mount_words){ 0 }, NULL) == 0))
		return err_set(e, EINVAL,
			       "invalid volume specification: '%s': expected "
			       "SOURCE:DESTINATION[:MODE]",
			       spec);
	r = plan_bind_parts(c, parts, n, e);
	if (r == -EINVAL && !str_starts(err_text(e), "Duplicate"))
		return err_wrap(e, "invalid volume specification: '%s'", spec);
	return r;
}

/* ---- Mounts ---- */

static int plan_bind_mount(struct mount_point *m, const struct mount_request *q, struct err *e)
{
	static const struct bind_options none;
	const struct bind_options *o = q->bind ? q->bind : &none;
	struct stat st;

	if (str_empty(q->source))
		return err_set(e, EINVAL, "field Source must not be empty");
	if (!str_empty(o->propagation) && !is_propagation(o->propagation))
		return err_set(e, EINVAL, "invalid propagation mode: %s", o->propagation);
	if (q->source[0] != '/')
		return err_set(e, EINVAL, "invalid mount path: '%s' mount path must be absolute",
			       q->source);
	if (!o->create_mountpoint && stat(q->source, &st) < 0)
		return err_set(e, EINVAL, "bind source path does not exist: %s", q->source);
	if (!q->read_only && (o->read_only_non_recursive || o->read_only_force_recursive))
		return err_set(e, EINVAL, "mount options conflict: !ReadOnly && BindOptions.%s",
			       o->read_only_non_recursive ? "ReadOnlyNonRecursive"
							  : "ReadOnlyForceRecursive");
	if (o->read_only_non_recursive && o->read_only_force_recursive)
		return err_set(e, EINVAL,
			       "mount options conflict: ReadOnlyNonRecursive && "
			       "BindOptions.ReadOnlyForceRecursive");
	m->make_source = o->create_mountpoint;
	m->non_recursive = o->non_recursive;
	m->ro_non_recursive = o->read_only_non_recursive;
	if (!str_empty(o->propagation) && str_set(&m->propagation, o->propagation) < 0)
		return err_errno(e, ENOMEM, "mounts");
	return bind_source(m, q->source, e);
}

static int plan_tmpfs_mount(struct mount_point *m, const struct mount_request *q, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	int r;

	if (!str_empty(q->source))
		return err_set(e, EINVAL, "field Source must not be specified");
	r = tmpfs_options_text(q->tmpfs, &text, e);
	if (r == 0 && str_set(&m->options, text) < 0)
		r = err_errno(e, ENOMEM, "mounts");
	return r;
}

/* A relative path that does not leave by its own words. */
static bool is_local_path(const char *path)
{
	_cleanup_(strv_free) char **parts = strv_split(path, "/", false);
	int depth = 0;

	if (!parts || *path == '/')
		return false;
	for (char **p = parts; *p; p++) {
		depth += str_eq(*p, "..") ? -1 : !str_eq(*p, ".");
		if (depth < 0)
			return false;
	}
	return true;
}

static int plan_volume_mount(struct container *c, struct mount_point *m,
			     const struct mount_request *q, struct err *e)
{
	if (q->volume && !str_empty(q->volume->subpath)) {
		if (str_empty(q->source))
			return err_set(e, EINVAL,
				       "must not set Subpath when using anonymous volumes");
		if (!is_local_path(q->volume->subpath))
			return err_set(e, EINVAL,
				       "subpath must be a relative path within the volume");
	}
	return use_volume(c, m, q->source, q->volume, e);
}

/* Options of another type than the mount's. */
static int check_options(const struct mount_request *q, struct err *e)
{
	const struct {
		const char *type, *field;
		bool given;
	} options[] = {
		{ "bind", "BindOptions", q->bind != NULL },
		{ "volume", "VolumeOptions", q->volume != NULL },
		{ "tmpfs", "TmpfsOptions", q->tmpfs != NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].given && !str_eq(q->type, options[i].type))
			return err_set(e, EINVAL, "field %s must not be specified",
				       options[i].field);
	return 0;
}

static int plan_mount_of(struct container *c, const struct mount_request *q, struct err *e)
{
	struct mount_point *m;
	int r;

	if (str_eq(q->type, "image") || str_eq(q->type, "cluster"))
		return err_set(e, EOPNOTSUPP,
			       "HostConfig.Mounts: type %s is not supported by this engine",
			       q->type);
	if (!str_eq(q->type, "bind") && !str_eq(q->type, "tmpfs") && !str_eq(q->type, "volume"))
		return err_set(e, EINVAL, "mount type unknown");
	if (str_empty(q->target))
		return err_set(e, EINVAL, "field Target must not be empty");
	r = check_options(q, e);
	if (r == 0)
		r = point_add(c, q->target, TAKEN_ERROR, &m, e);
	if (r < 0)
		return r;
	m->rw = !q->read_only;
	if (str_set(&m->type, q->type) < 0)
		return err_errno(e, ENOMEM, "mounts");
	if (str_eq(q->type, "bind"))
		return plan_bind_mount(m, q, e);
	return str_eq(q->type, "tmpfs") ? plan_tmpfs_mount(m, q, e) : plan_volume_mount(c, m, q, e);
}

static int plan_mount(struct container *c, const struct mount_request *q, struct err *e)
{
	int r = plan_mount_of(c, q, e);

	if (r == -EINVAL && !str_starts(err_text(e), "Duplicate") &&
	    !str_starts(err_text(e), "mount options"))
		return err_wrap(e, "invalid mount config for type \"%s\"", q->type ? q->type : "");
	return r;
}

/* ---- the other sources ---- */

static int plan_tmpfs(struct container *c, const struct bind_pair *p, struct err *e)
{
	struct mount_point *m;
	int r = tmpfs_words_check(p->value, e);

	if (r == 0)
		r = point_add(c, p->key, TAKEN_ERROR, &m, e);
	if (r < 0)
		return r;
	return str_set(&m->type, "tmpfs") < 0 || str_set(&m->options, p->value) < 0
		       ? err_errno(e, ENOMEM, "mounts")
		       : 0;
}

static int plan_image_volume(struct container *c, const char *destination, struct err *e)
{
	struct mount_point *m;
	int r = point_add(c, destination, TAKEN_KEEP, &m, e);

	return r < 0 || !m ? r : use_volume(c, m, NULL, NULL, e);
}

/* One mount of another container. Nothing is copied into its volume: the other did that. */
static int inherit(struct container *c, const struct mount_point *from, bool read_only,
		   struct err *e)
{
	_cleanup_(mem_free) char *destination = str_dup(from->destination);
	struct mount_point *m;
	int r = destination ? point_add(c, destination, TAKEN_REPLACE, &m, e)
			    : err_errno(e, ENOMEM, "mounts");

	if (r == 0)
		r = bind_copy(&mount_point_table, from, m, e);
	if (r < 0)
		return r;
	m->rw = from->rw && !read_only;
	m->no_copy = true;
	m->inherited = true;
	return str_set(&m->mode, "") < 0 ? err_errno(e, ENOMEM, "mounts") : 0;
}

static int plan_volumes_from(struct container *c, const char *spec, struct err *e)
{
	_cleanup_(mem_free) char *ref = strndup(spec, strcspn(spec, ":"));
	const char *mode = strchr(spec, ':') ? strchr(spec, ':') + 1 : "";
	struct mount_words words = { 0 };
	const struct container *other;
	int r;

	if (!ref)
		return err_errno(e, ENOMEM, "HostConfig.VolumesFrom");
	if (!*ref)
		return err_set(e, EINVAL, "volumes-from specification cannot be an empty string");
	r = *mode ? mount_words_read(mode, &words, e) : 0;
	if (r < 0)
		return r;
	if (words.propagation[0] || words.has_copy)
		return err_set(e, EINVAL, "invalid mode: %s", mode);
	other = containers_find(c->cs, ref, e);
	if (!other)
		return e->code = EINVAL, -EINVAL;
	for (size_t i = 0; r == 0 && i < other->mounts.n; i++) {
		const struct mount_point *m = mount_at_index(other, i);

		if (!str_eq(m->type, "tmpfs") ||
		    !pairs_get(&other->asked.host.tmpfs, m->destination))
			r = inherit(c, m, words.read_only, e);
	}
	return r;
}

static size_t path_depth(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

static int compare_points(const void *a, const void *b)
{
	const struct mount_point *x = a, *y = b;
	size_t dx = path_depth(x->destination), dy = path_depth(y->destination);

	return dx != dy ? (dx < dy ? -1 : 1) : strcmp(x->destination, y->destination);
}

int mounts_plan(struct container *c, struct err *e)
{
	const struct host_config *h = &c->asked.host;
	const struct mount_request *mounts = h->mounts.items;
	int r = 0;

	for (char **v = h->volumes_from; r == 0 && v && *v; v++)
		r = plan_volumes_from(c, *v, e);
	for (char **b = h->binds; r == 0 && b && *b; b++)
		r = plan_bind(c, *b, e);
	for (size_t i = 0; r == 0 && i < h->mounts.n; i++)
		r = plan_mount(c, &mounts[i], e);
	for (size_t i = 0; r == 0 && i < h->tmpfs.n; i++)
		r = plan_tmpfs(c, &h->tmpfs.v[i], e);
	for (char **v = c->asked.config.volumes; r == 0 && v && *v; v++)
		r = plan_image_volume(c, *v, e);
	if (r == 0 && c->mounts.n > 1)
		qsort(c->mounts.items, c->mounts.n, sizeof(struct mount_point), compare_points);
	return r;
}
