/*
 * Devices of a container in config.json: HostConfig.Devices (a device, or a folder of them), its
 * cgroup rules, and the machine's devices for a privileged one.
 *
 * Devices are looked at when the container starts, as Docker does: what is plugged in later is not
 * there. Numbers come from the node itself, links are followed as a person means them.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/container/spec.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum { DEVICES_MAX = 1024, DEVICE_DEPTH_MAX = 8 };

struct found {
	char *path; /* in the container */
	const char *permissions;
	mode_t mode;
	dev_t dev;
	uid_t uid;
	gid_t gid;
};

struct device_list {
	struct found *v;
	size_t n;
};

static void device_list_clear(struct device_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].path);
	free(l->v);
}
DEFINE_CLEANUP_VALUE(struct device_list, device_list_clear)

static bool is_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
}

static int add(struct device_list *l, const char *path, const char *permissions,
	       const struct stat *st, struct err *e)
{
	struct found *grown;

	for (size_t i = 0; i < l->n; i++)
		if (str_eq(l->v[i].path, path))
			return 0;
	if (l->n == DEVICES_MAX)
		return err_set(e, E2BIG, "more than %d devices", DEVICES_MAX);
	grown = reallocarray(l->v, l->n + 1, sizeof(*grown));
	if (!grown)
		return err_errno(e, ENOMEM, "devices");
	l->v = grown;
	grown[l->n] = (struct found){ .path = str_dup(path),
				      .permissions = permissions,
				      .mode = st->st_mode,
				      .dev = st->st_rdev,
				      .uid = st->st_uid,
				      .gid = st->st_gid };
	return grown[l->n++].path ? 0 : err_errno(e, ENOMEM, "devices");
}

/* A folder being walked; `skip` names what is not taken at its top. */
struct walk {
	struct device_list *list;
	const char *host, *container, *permissions;
	const char *const *skip;
	int depth;
};

static int walk(const struct walk *w, struct err *e);

static int walk_entry(int dirfd, const char *name, void *data, struct err *e)
{
	const struct walk *w = data;
	_cleanup_(mem_free) char *host = str_printf("%s/%s", w->host, name),
				 *container = str_printf("%s/%s", w->container, name);
	struct stat st;

	if (!host || !container)
		return err_errno(e, ENOMEM, "devices");
	if ((w->skip && strv_has((char *const *)w->skip, name)) ||
	    fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISDIR(st.st_mode) && w->depth < DEVICE_DEPTH_MAX)
		return walk(&(struct walk){ .list = w->list,
					    .host = host,
					    .container = container,
					    .permissions = w->permissions,
					    .depth = w->depth + 1 },
			    e);
	return is_device(&st) ? add(w->list, container, w->permissions, &st, e) : 0;
}

static int walk(const struct walk *w, struct err *e)
{
	_cleanup_(fd_close) int fd = open(w->host, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, errno, "%s", w->host);
	return dir_each(fd, ".", DEVICES_MAX, walk_entry, (void *)w, e);
}

/* One of HostConfig.Devices. */
static int collect(const struct device_map *d, struct device_list *l, struct err *e)
{
	const char *container = str_empty(d->container) ? d->host : d->container;
	const char *permissions = str_empty(d->permissions) ? "rwm" : d->permissions;
	size_t before = l->n;
	struct stat st;
	int r = 0;

	if (stat(d->host, &st) < 0)
		return err_set(e, EINVAL,
			       "error gathering device information while adding custom device "
			       "\"%s\": no such file or directory",
			       d->host);
	if (is_device(&st))
		return add(l, container, permissions, &st, e);
	if (S_ISDIR(st.st_mode))
		r = walk(&(struct walk){ .list = l,
					 .host = d->host,
					 .container = container,
					 .permissions = permissions },
			 e);
	if (r == 0 && l->n == before)
		return err_set(e, EINVAL,
			       "error gathering device information while adding custom device "
			       "\"%s\": not a device node",
			       d->host);
	return r;
}

/* All that the container gets, apart from those that every one has. */
static int list(const struct host_config *h, struct device_list *l, struct err *e)
{
	/* what each container has of its own, or of the runtime */
	static const char *const own[] = { "pts",  "shm",   "fd",     "mqueue", "console",
					   "ptmx", "stdin", "stdout", "stderr", NULL };
	const struct device_map *d = h->devices.items;
	int r = 0;

	if (h->privileged)
		r = walk(&(struct walk){ .list = l,
					 .host = "/dev",
					 .container = "/dev",
					 .permissions = "rwm",
					 .skip = own },
			 e);
	for (size_t i = 0; r == 0 && i < h->devices.n; i++)
		/* a privileged one has it already; its rules say nothing there either */
		if (!h->privileged ||
		    !(str_empty(d[i].container) || str_eq(d[i].host, d[i].container)))
			r = collect(&d[i], l, e);
	return r;
}

/* ---- rules ---- */

static void write_rule(struct json_writer *w, char type, int64_t major, int64_t minor,
		       const char *access)
{
	json_begin_object(w);
	json_member_bool(w, "allow", true);
	json_key(w, "type");
	json_strf(w, "%c", type);
	if (major >= 0)
		json_member_i64(w, "major", major);
	if (minor >= 0)
		json_member_i64(w, "minor", minor);
	json_member_str(w, "access", access);
	json_end_object(w);
}

/* "c 42:* rwm", checked at create; a number that no device has matches nothing and is cut. */
static void write_given_rule(struct json_writer *w, const char *rule)
{
	const char *major = rule + 2, *minor = strchr(rule, ':') + 1;

	write_rule(w, rule[0],
		   *major == '*' ? -1 : (int64_t)MIN(strtoul(major, NULL, 10), 0xfffffu),
		   *minor == '*' ? -1 : (int64_t)MIN(strtoul(minor, NULL, 10), 0xfffffu),
		   strchr(minor, ' ') + 1);
}

int spec_device_rules(const struct host_config *h, struct json_writer *w, struct err *e)
{
	_cleanup_(device_list_clear) struct device_list l = { 0 };
	int r = h->privileged ? 0 : list(h, &l, e);

	for (size_t i = 0; r == 0 && i < l.n; i++)
		write_rule(w, S_ISCHR(l.v[i].mode) ? 'c' : 'b', major(l.v[i].dev),
			   minor(l.v[i].dev), l.v[i].permissions);
	for (char **rule = h->device_cgroup_rules; r == 0 && rule && *rule; rule++)
		if (!h->privileged)
			write_given_rule(w, *rule);
	return r;
}

int spec_devices(const struct host_config *h, struct json_writer *w, struct err *e)
{
	_cleanup_(device_list_clear) struct device_list l = { 0 };
	int r = list(h, &l, e);

	if (r < 0)
		return r;
	json_key(w, "devices");
	json_begin_array(w);
	for (size_t i = 0; i < l.n; i++) {
		json_begin_object(w);
		json_member_str(w, "path", l.v[i].path);
		json_member_str(w, "type", S_ISCHR(l.v[i].mode) ? "c" : "b");
		json_member_i64(w, "major", major(l.v[i].dev));
		json_member_i64(w, "minor", minor(l.v[i].dev));
		json_member_i64(w, "fileMode", l.v[i].mode & 07777);
		json_member_i64(w, "uid", l.v[i].uid);
		json_member_i64(w, "gid", l.v[i].gid);
		json_end_object(w);
	}
	json_end_array(w);
	return 0;
}
