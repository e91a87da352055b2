/*
 * config.json's "mounts" to OP_MOUNT steps: option words to mount attributes, propagation and file
 * system data.
 *
 * The words are those of runtime-spec config.md "Linux mount options" and mount(8); what is not a
 * known word is data for the file system ("size=64m"), as the spec says.
 */
#include <limits.h>
#include <linux/mount.h>
#include <string.h>

/* struct mount_attr and MS_* come from two headers that do not go together */
#ifndef MS_UNBINDABLE
#define MS_UNBINDABLE (1 << 17)
#define MS_PRIVATE (1 << 18)
#define MS_SLAVE (1 << 19)
#define MS_SHARED (1 << 20)
#endif

#include "engine/runtime/plan_json.h"
#include "init/base/str.h"

enum word_kind {
	W_ATTR,
	W_REC_ATTR,
	W_PROPAGATION,
	W_REC_PROPAGATION,
	W_BIND,
	W_RBIND,
	W_REMOUNT,
	W_IDMAP, /* .set is enum plan_idmap */
	W_COPY_UP,
	W_DATA, /* the file system's, though not of one kind of file system only */
	W_NOTHING
};

struct word {
	const char *name;
	enum word_kind kind;
	uint64_t set, clear;
};

#define ATIME_SET(flag) MOUNT_ATTR_##flag, MOUNT_ATTR__ATIME

static const struct word words[] = {
	{ "ro", W_ATTR, MOUNT_ATTR_RDONLY, 0 },
	{ "rw", W_ATTR, 0, MOUNT_ATTR_RDONLY },
	{ "nosuid", W_ATTR, MOUNT_ATTR_NOSUID, 0 },
	{ "suid", W_ATTR, 0, MOUNT_ATTR_NOSUID },
	{ "nodev", W_ATTR, MOUNT_ATTR_NODEV, 0 },
	{ "dev", W_ATTR, 0, MOUNT_ATTR_NODEV },
	{ "noexec", W_ATTR, MOUNT_ATTR_NOEXEC, 0 },
	{ "exec", W_ATTR, 0, MOUNT_ATTR_NOEXEC },
	{ "noatime", W_ATTR, ATIME_SET(NOATIME) },
	{ "atime", W_ATTR, ATIME_SET(RELATIME) },
	{ "relatime", W_ATTR, ATIME_SET(RELATIME) },
	{ "norelatime", W_ATTR, ATIME_SET(STRICTATIME) },
	{ "strictatime", W_ATTR, ATIME_SET(STRICTATIME) },
	{ "nostrictatime", W_ATTR, ATIME_SET(RELATIME) },
	{ "nodiratime", W_ATTR, MOUNT_ATTR_NODIRATIME, 0 },
	{ "diratime", W_ATTR, 0, MOUNT_ATTR_NODIRATIME },
	{ "nosymfollow", W_ATTR, MOUNT_ATTR_NOSYMFOLLOW, 0 },
	{ "symfollow", W_ATTR, 0, MOUNT_ATTR_NOSYMFOLLOW },
	{ "rro", W_REC_ATTR, MOUNT_ATTR_RDONLY, 0 },
	{ "rrw", W_REC_ATTR, 0, MOUNT_ATTR_RDONLY },
	{ "rnosuid", W_REC_ATTR, MOUNT_ATTR_NOSUID, 0 },
	{ "rsuid", W_REC_ATTR, 0, MOUNT_ATTR_NOSUID },
	{ "rnodev", W_REC_ATTR, MOUNT_ATTR_NODEV, 0 },
	{ "rdev", W_REC_ATTR, 0, MOUNT_ATTR_NODEV },
	{ "rnoexec", W_REC_ATTR, MOUNT_ATTR_NOEXEC, 0 },
	{ "rexec", W_REC_ATTR, 0, MOUNT_ATTR_NOEXEC },
	{ "rnodiratime", W_REC_ATTR, MOUNT_ATTR_NODIRATIME, 0 },
	{ "rdiratime", W_REC_ATTR, 0, MOUNT_ATTR_NODIRATIME },
	{ "rnoatime", W_REC_ATTR, ATIME_SET(NOATIME) },
	{ "ratime", W_REC_ATTR, ATIME_SET(RELATIME) },
	{ "rrelatime", W_REC_ATTR, ATIME_SET(RELATIME) },
	{ "rnorelatime", W_REC_ATTR, ATIME_SET(STRICTATIME) },
	{ "rstrictatime", W_REC_ATTR, ATIME_SET(STRICTATIME) },
	{ "rnostrictatime", W_REC_ATTR, ATIME_SET(RELATIME) },
	{ "rnosymfollow", W_REC_ATTR, MOUNT_ATTR_NOSYMFOLLOW, 0 },
	{ "rsymfollow", W_REC_ATTR, 0, MOUNT_ATTR_NOSYMFOLLOW },
	{ "private", W_PROPAGATION, MS_PRIVATE, 0 },
	{ "slave", W_PROPAGATION, MS_SLAVE, 0 },
	{ "shared", W_PROPAGATION, MS_SHARED, 0 },
	{ "unbindable", W_PROPAGATION, MS_UNBINDABLE, 0 },
	{ "rprivate", W_REC_PROPAGATION, MS_PRIVATE, 0 },
	{ "rslave", W_REC_PROPAGATION, MS_SLAVE, 0 },
	{ "rshared", W_REC_PROPAGATION, MS_SHARED, 0 },
	{ "runbindable", W_REC_PROPAGATION, MS_UNBINDABLE, 0 },
	{ "bind", W_BIND, 0, 0 },
	{ "rbind", W_RBIND, 0, 0 },
	{ "remount", W_REMOUNT, 0, 0 },
	{ "defaults", W_NOTHING, 0, 0 },
	{ "async", W_NOTHING, 0, 0 },
	{ "loud", W_NOTHING, 0, 0 },
	{ "silent", W_NOTHING, 0, 0 },
	{ "norelabel", W_NOTHING, 0, 0 },
	{ "nolazytime", W_NOTHING, 0, 0 },
	{ "nomand", W_NOTHING, 0, 0 },
	{ "noiversion", W_NOTHING, 0, 0 },
	{ "idmap", W_IDMAP, PLAN_IDMAP_TOP, 0 },
	{ "ridmap", W_IDMAP, PLAN_IDMAP_ALL, 0 },
	{ "tmpcopyup", W_COPY_UP, 0, 0 },
	{ "sync", W_DATA, 0, 0 },
	{ "dirsync", W_DATA, 0, 0 },
	{ "mand", W_DATA, 0, 0 },
	{ "lazytime", W_DATA, 0, 0 },
	{ "iversion", W_DATA, 0, 0 },
	{ "acl", W_DATA, 0, 0 },
	{ "noacl", W_DATA, 0, 0 },
};

const char *plan_mount_option(size_t n)
{
	return n < ARRAY_SIZE(words) ? words[n].name : NULL;
}

static const struct word *find_word(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eq(words[i].name, name))
			return &words[i];
	return NULL;
}

static void apply_attr(uint64_t *set, uint64_t *clear, const struct word *w)
{
	*set = (*set & ~(w->clear | (w->set & MOUNT_ATTR__ATIME ? MOUNT_ATTR__ATIME : 0))) | w->set;
	*clear = (*clear & ~(w->set & ~(uint64_t)MOUNT_ATTR__ATIME)) | w->clear;
}

static int apply_option(struct plan_mount *m, const char *option, const char *key, struct err *e)
{
	const struct word *w = find_word(option);

	switch (w ? w->kind : W_DATA) {
	case W_ATTR:
		apply_attr(&m->set, &m->clear, w);
		break;
	case W_REC_ATTR:
		apply_attr(&m->rec_set, &m->rec_clear, w);
		break;
	case W_PROPAGATION:
	case W_REC_PROPAGATION:
		m->propagation = w->set;
		m->propagation_rec = w->kind == W_REC_PROPAGATION;
		break;
	case W_BIND:
	case W_RBIND:
		if (m->kind != PLAN_MOUNT_REMOUNT)
			m->kind = PLAN_MOUNT_BIND;
		m->recursive = m->recursive || w->kind == W_RBIND;
		break;
	case W_REMOUNT:
		m->kind = PLAN_MOUNT_REMOUNT;
		break;
	case W_IDMAP:
		m->idmap = (enum plan_idmap)w->set;
		break;
	case W_COPY_UP:
		m->copy_up = true;
		break;
	case W_NOTHING:
		break;
	case W_DATA:
		if (!*option)
			return err_set(e, EINVAL, "%s.options: an empty option", key);
		return strv_add(&m->data, option) < 0 ? err_errno(e, ENOMEM, "%s", key) : 0;
	}
	return 0;
}

/* The kind of a mount that is no bind, from its type. */
static int set_kind(struct plan_mount *m, const char *key, struct err *e)
{
	if (str_eq(m->type, "bind") && m->kind == PLAN_MOUNT_FS)
		m->kind = PLAN_MOUNT_BIND;
	if (m->kind == PLAN_MOUNT_BIND) {
		if (str_empty(m->source))
			return err_set(e, EINVAL, "%s.source: a bind mount needs one", key);
		if (m->data)
			return err_set(e, EINVAL,
				       "%s.options: \"%s\" is not an option of a bind mount", key,
				       m->data[0]);
		return 0;
	}
	if (m->kind == PLAN_MOUNT_REMOUNT)
		return 0;
	if (str_empty(m->type))
		return err_set(e, EINVAL, "%s.type: is missing", key);
	if (str_eq(m->type, "proc"))
		m->kind = PLAN_MOUNT_PROC;
	else if (str_eq(m->type, "sysfs"))
		m->kind = PLAN_MOUNT_SYSFS;
	else if (str_eq(m->type, "cgroup") || str_eq(m->type, "cgroup2"))
		m->kind = PLAN_MOUNT_CGROUP;
	return 0;
}

/* The spec wants an error where no mapping can be had (config.md, "idmap"). */
static int check_idmap(const struct plan_mount *m, const char *key, struct err *e)
{
	if (m->idmap == PLAN_IDMAP_NONE)
		return 0;
	if (m->kind != PLAN_MOUNT_BIND)
		return err_set(e, EOPNOTSUPP, "%s: only bind mounts can be id-mapped", key);
	if (!m->n_uid_map != !m->n_gid_map)
		return err_set(e, EINVAL, "%s: uidMappings and gidMappings go together", key);
	return 0;
}

static int read_mappings(yyjson_val *o, const char *key, struct plan_mount *m, struct err *e)
{
	int r = plan_read_id_maps(o, key, "uidMappings", &m->uid_map, &m->n_uid_map, e);

	if (r >= 0)
		r = plan_read_id_maps(o, key, "gidMappings", &m->gid_map, &m->n_gid_map, e);
	if (r >= 0 && (m->n_uid_map || m->n_gid_map) && m->idmap == PLAN_IDMAP_NONE)
		m->idmap = PLAN_IDMAP_TOP;
	return r;
}

static int read_mount(yyjson_val *o, const char *key, struct plan *p, struct err *e)
{
	_cleanup_(strv_free) char **options = NULL;
	struct plan_op *op;
	struct plan_mount *m;
	int r;

	if (!yyjson_is_obj(o))
		return err_set(e, EINVAL, "%s: must be an object", key);
	op = plan_add_op(p, OP_MOUNT, key, e);
	if (!op)
		return -ENOMEM;
	m = &op->mount;
	r = need(get_text(o, key, "destination", PATH_MAX - 1, &m->destination, e), key,
		 "destination", e);
	if (r == 0 && str_empty(m->destination))
		return err_set(e, EINVAL, "%s.destination: must not be empty", key);
	if (r >= 0)
		r = get_text(o, key, "type", 64, &m->type, e);
	if (r >= 0)
		r = get_text(o, key, "source", PATH_MAX - 1, &m->source, e);
	if (r >= 0)
		r = get_text(o, key, "subpath", PATH_MAX - 1, &m->subpath, e);
	if (r >= 0)
		r = get_strv(o, key, "options", 256, PATH_MAX, &options, e);
	for (size_t i = 0; r >= 0 && options && options[i]; i++)
		r = apply_option(m, options[i], key, e);
	if (r >= 0)
		r = read_mappings(o, key, m, e);
	if (r >= 0)
		r = set_kind(m, key, e);
	if (r >= 0 && m->copy_up && !str_eq(m->type, "tmpfs"))
		return err_set(e, EINVAL, "%s.options: \"tmpcopyup\" is for tmpfs", key);
	return r < 0 ? r : check_idmap(m, key, e);
}

int plan_parse_mounts(yyjson_val *root, struct plan *p, struct err *e)
{
	yyjson_val *list = NULL, *item;
	size_t i, n;
	int r = get_array(root, "", "mounts", PLAN_MOUNTS_MAX, &list, e);

	if (r <= 0)
		return r;
	yyjson_arr_foreach(list, i, n, item)
	{
		char key[KEY_MAX];

		r = read_mount(item, key_item(key, "", "mounts", i), p, e);
		if (r < 0)
			return r;
	}
	return 0;
}
