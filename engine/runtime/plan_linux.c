/*
 * config.json's "linux" (config-linux.md): namespaces, id maps, devices, sysctls, hidden paths, and
 * the rest that is neither resources nor seccomp.
 *
 * Steps that must come after the mounts are added here; plan.c calls this after
 * plan_parse_mounts().
 */
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>

#include "engine/runtime/devices.h"
#include "engine/runtime/plan_json.h"
#include "engine/runtime/profile.h"
#include "init/base/path.h"
#include "init/base/str.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

const struct plan_ns_kind plan_ns_kinds[NS_KINDS] = {
	[NS_USER] = { CLONE_NEWUSER, "user", "user" },
	[NS_MOUNT] = { CLONE_NEWNS, "mount", "mnt" },
	[NS_PID] = { CLONE_NEWPID, "pid", "pid" },
	[NS_NETWORK] = { CLONE_NEWNET, "network", "net" },
	[NS_UTS] = { CLONE_NEWUTS, "uts", "uts" },
	[NS_IPC] = { CLONE_NEWIPC, "ipc", "ipc" },
	[NS_CGROUP] = { CLONE_NEWCGROUP, "cgroup", "cgroup" },
	[NS_TIME] = { CLONE_NEWTIME, "time", "time" },
};

static int read_namespace(yyjson_val *o, const char *key, struct plan *p, struct err *e)
{
	_cleanup_(mem_free) char *type = NULL;
	struct plan_namespace *ns = NULL;
	int r;

	if (!yyjson_is_obj(o))
		return err_set(e, EINVAL, "%s: must be an object", key);
	r = need(get_text(o, key, "type", 32, &type, e), key, "type", e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < NS_KINDS; i++)
		if (str_eq(plan_ns_kinds[i].name, type))
			ns = &p->ns[i];
	if (!ns)
		return err_set(e, EINVAL, "%s.type: unknown namespace \"%s\"", key, type);
	if (ns->wanted)
		return err_set(e, EINVAL, "%s.type: %s is given twice", key, type);
	ns->wanted = true;
	r = get_text(o, key, "path", PATH_MAX - 1, &ns->path, e);
	if (r == 1 && !*ns->path) {
		free(ns->path);
		ns->path = NULL;
	} else if (r == 1 && ns->path[0] != '/') {
		return err_set(e, EINVAL, "%s.path: must be an absolute path", key);
	}
	return r < 0 ? r : 0;
}

static int read_namespaces(yyjson_val *o, struct plan *p, struct err *e)
{
	yyjson_val *list = NULL, *item;
	size_t i, n;
	int r = get_array(o, "linux", "namespaces", NS_KINDS, &list, e);

	if (r < 0)
		return r;
	yyjson_arr_foreach(list, i, n, item)
	{
		char key[KEY_MAX];

		r = read_namespace(item, key_item(key, "linux", "namespaces", i), p, e);
		if (r < 0)
			return r;
	}
	if (!p->ns[NS_MOUNT].wanted || p->ns[NS_MOUNT].path)
		return err_set(e, EINVAL, "linux.namespaces: a new mount namespace is needed");
	return 0;
}

int plan_read_id_maps(yyjson_val *o, const char *at, const char *name, struct plan_id_map **ret,
		      size_t *ret_n, struct err *e)
{
	yyjson_val *list = NULL, *item;
	size_t i, n;
	int r = get_array(o, at, name, PLAN_ID_MAPS_MAX, &list, e);

	if (r <= 0)
		return r;
	yyjson_arr_foreach(list, i, n, item)
	{
		struct plan_id_map *m = array_add(ret, ret_n, sizeof(*m));
		char key[KEY_MAX];

		if (!m)
			return err_errno(e, ENOMEM, "%s", name);
		key_item(key, at, name, i);
		if (!yyjson_is_obj(item))
			return err_set(e, EINVAL, "%s: must be an object", key);
		r = need(get_u32(item, key, "containerID", &m->inside, e), key, "containerID", e);
		if (r == 0)
			r = need(get_u32(item, key, "hostID", &m->outside, e), key, "hostID", e);
		if (r == 0)
			r = need(get_u32(item, key, "size", &m->size, e), key, "size", e);
		if (r < 0)
			return r;
		if (m->size == 0)
			return err_set(e, EINVAL, "%s.size: must be at least 1", key);
	}
	return 0;
}

static int read_id_maps(yyjson_val *o, struct plan *p, struct err *e)
{
	bool fresh = p->ns[NS_USER].wanted && !p->ns[NS_USER].path;
	int r = plan_read_id_maps(o, "linux", "uidMappings", &p->uid_map, &p->n_uid_map, e);

	if (r >= 0)
		r = plan_read_id_maps(o, "linux", "gidMappings", &p->gid_map, &p->n_gid_map, e);
	if (r < 0)
		return r;
	if (fresh && (!p->n_uid_map || !p->n_gid_map))
		return err_set(e, EINVAL,
			       "linux.uidMappings, gidMappings: a new user namespace needs both");
	if (!fresh && (p->n_uid_map || p->n_gid_map))
		return err_set(e, EINVAL,
			       "linux.uidMappings, gidMappings: need a new user namespace");
	return 0;
}

static int read_device(yyjson_val *o, const char *key, struct plan *p, struct err *e)
{
	_cleanup_(mem_free) char *type = NULL;
	struct plan_op *op;
	struct plan_device *d;
	uint64_t major = 0, minor = 0, mode = 0666;
	int r;

	if (!yyjson_is_obj(o))
		return err_set(e, EINVAL, "%s: must be an object", key);
	op = plan_add_op(p, OP_DEVICE, key, e);
	if (!op)
		return -ENOMEM;
	d = &op->device;
	r = need(get_text(o, key, "type", 8, &type, e), key, "type", e);
	if (r == 0)
		r = need(get_text(o, key, "path", PATH_MAX - 1, &d->path, e), key, "path", e);
	if (r == 0 && d->path[0] != '/')
		return err_set(e, EINVAL, "%s.path: must be an absolute path", key);
	if (r == 0 && (!*type || type[1] || !strchr("bcup", type[0])))
		return err_set(e, EINVAL, "%s.type: must be b, c or p", key);
	if (r == 0)
		d->type = type[0] == 'u' ? 'c' : type[0];
	if (r == 0)
		r = get_u64(o, key, "major", (1 << 12) - 1, &major, e);
	if (r >= 0)
		r = get_u64(o, key, "minor", (1 << 20) - 1, &minor, e);
	if (r >= 0)
		r = get_u64(o, key, "fileMode", 0177777, &mode, e); /* some add the type */
	if (r >= 0)
		r = get_u32(o, key, "uid", &d->uid, e);
	if (r >= 0)
		r = get_u32(o, key, "gid", &d->gid, e);
	d->major = (unsigned int)major;
	d->minor = (unsigned int)minor;
	d->mode = (mode_t)mode & 07777;
	return r < 0 ? r : 0;
}

static bool has_device(const struct plan *p, const char *path)
{
	for (size_t i = 0; i < p->n_ops; i++)
		if (p->ops[i].kind == OP_DEVICE && str_eq(p->ops[i].device.path, path))
			return true;
	return false;
}

/* Those that the runtime-spec promises, unless the config makes them itself. */
static int add_standard_devices(struct plan *p, struct err *e)
{
	for (size_t i = 0; i < devices_n_standard; i++) {
		const struct devices_standard *s = &devices_standard[i];
		struct plan_op *op;

		if (has_device(p, s->path))
			continue;
		op = plan_add_op(p, OP_DEVICE, s->path, e);
		if (!op)
			return -ENOMEM;
		op->device = (struct plan_device){ .path = str_dup(s->path),
						   .type = 'c',
						   .major = s->major,
						   .minor = s->minor,
						   .mode = 0666,
						   .standard = true };
		if (!op->device.path)
			return err_errno(e, ENOMEM, "%s", s->path);
	}
	return 0;
}

static int read_devices(yyjson_val *o, struct plan *p, struct err *e)
{
	yyjson_val *list = NULL, *item;
	size_t i, n;
	int r = get_array(o, "linux", "devices", PLAN_LIST_MAX, &list, e);

	if (r < 0)
		return r;
	yyjson_arr_foreach(list, i, n, item)
	{
		char key[KEY_MAX];

		r = read_device(item, key_item(key, "linux", "devices", i), p, e);
		if (r < 0)
			return r;
	}
	return add_standard_devices(p, e);
}

/* Which namespace a sysctl belongs to: a machine-wide one must not be set from a container. */
static bool sysctl_allowed(const struct plan *p, const char *name)
{
	static const enum plan_ns of[] = {
		[SYSCTL_OF_NETWORK] = NS_NETWORK,
		[SYSCTL_OF_IPC] = NS_IPC,
		[SYSCTL_OF_UTS] = NS_UTS,
	};
	enum sysctl_space space = sysctl_space(name);

	return space != SYSCTL_OF_MACHINE && p->ns[of[space]].wanted;
}

static int add_sysctl(struct plan *p, const char *name, const char *value, struct err *e)
{
	bool slashes =
		strchr(name, '/') && (!strchr(name, '.') || strchr(name, '/') < strchr(name, '.'));
	char key[KEY_MAX];
	struct plan_op *op;
	char *dots;

	if (str_format(key, sizeof(key), "linux.sysctl.%s", name) < 0)
		return err_set(e, EINVAL, "linux.sysctl: a name is too long");
	op = plan_add_op(p, OP_SYSCTL, key, e);
	if (!op)
		return -ENOMEM;
	op->path = str_dup(name);
	op->value = str_dup(value);
	dots = str_dup(name);
	if (!op->path || !op->value || !dots) {
		free(dots);
		return err_errno(e, ENOMEM, "%s", key);
	}
	/* "net.ipv4.conf.eth0/1.x" and "net/ipv4/conf/eth0.1/x" are the same file (sysctl(8)) */
	for (char *c = op->path, *d = dots; *c; c++, d++)
		if (*c == (slashes ? '/' : '.')) {
			*c = '/';
			*d = '.';
		} else if (*c == (slashes ? '.' : '/')) {
			*c = '.';
			*d = '/';
		}
	if (!sysctl_allowed(p, dots) || strstr(op->path, "..") || *op->path == '/') {
		free(dots);
		return err_set(e, EINVAL, "%s: is not a setting of a namespace of this container",
			       key);
	}
	free(dots);
	return 0;
}

static int read_sysctls(yyjson_val *o, struct plan *p, struct err *e)
{
	yyjson_val *map = NULL, *name, *value;
	size_t i, n;
	int r = get_object(o, "linux", "sysctl", &map, e);

	if (r <= 0)
		return r;
	if (yyjson_obj_size(map) > PLAN_LIST_MAX)
		return err_set(e, EINVAL, "linux.sysctl: too many entries");
	yyjson_obj_foreach(map, i, n, name, value)
	{
		if (!yyjson_is_str(value))
			return err_set(e, EINVAL, "linux.sysctl.%s: must be a string",
				       yyjson_get_str(name));
		r = add_sysctl(p, yyjson_get_str(name), yyjson_get_str(value), e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_paths(yyjson_val *o, const char *name, enum plan_op_kind kind, struct plan *p,
		      struct err *e)
{
	_cleanup_(strv_free) char **v = NULL;
	int r = get_strv(o, "linux", name, PLAN_LIST_MAX, PATH_MAX - 1, &v, e);

	for (size_t i = 0; r == 1 && v[i]; i++) {
		char key[KEY_MAX];
		struct plan_op *op;

		key_item(key, "linux", name, i);
		if (v[i][0] != '/')
			return err_set(e, EINVAL, "%s: must be an absolute path", key);
		op = plan_add_op(p, kind, key, e);
		if (!op)
			return -ENOMEM;
		op->path = v[i];
		v[i] = str_dup(""); /* keeps the vector whole for its clean-up */
		if (!v[i])
			return err_errno(e, ENOMEM, "%s", key);
	}
	return r < 0 ? r : 0;
}

static int read_propagation(yyjson_val *o, struct plan *p, struct err *e)
{
	static const struct {
		const char *name;
		uint64_t flags;
	} modes[] = {
		{ "", 0 },
		{ "private", MS_PRIVATE },
		{ "rprivate", MS_PRIVATE | MS_REC },
		{ "slave", MS_SLAVE },
		{ "rslave", MS_SLAVE | MS_REC },
		{ "shared", MS_SHARED },
		{ "rshared", MS_SHARED | MS_REC },
		{ "unbindable", MS_UNBINDABLE },
		{ "runbindable", MS_UNBINDABLE | MS_REC },
	};
	_cleanup_(mem_free) char *text = NULL;
	int r = get_text(o, "linux", "rootfsPropagation", 32, &text, e);

	if (r <= 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (str_eq(modes[i].name, text)) {
			p->root_propagation = modes[i].flags;
			return 0;
		}
	return err_set(e, EINVAL, "linux.rootfsPropagation: unknown mode \"%s\"", text);
}

static int read_cgroup_path(yyjson_val *o, struct plan *p, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	char clean[PATH_MAX];
	int r = get_text(o, "linux", "cgroupsPath", PATH_MAX - 1, &text, e);

	if (r <= 0 || !*text)
		return r;
	if (strstr(text, "..") || path_clean(clean, sizeof(clean), text) < 0 || !clean[1])
		return err_set(e, EINVAL, "linux.cgroupsPath: \"%s\" is not a path of a cgroup",
			       text);
	p->cgroup = str_dup(clean + (clean[0] == '/'));
	return p->cgroup ? 0 : err_errno(e, ENOMEM, "linux.cgroupsPath");
}

static int read_time_offsets(yyjson_val *o, struct plan *p, struct err *e)
{
	static const char *const clocks[] = { "monotonic", "boottime" };
	_cleanup_(buf_free) struct buf text = BUF_INIT(256);
	yyjson_val *map = NULL;
	int r = get_object(o, "linux", "timeOffsets", &map, e);

	if (r <= 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		yyjson_val *c = NULL;
		int64_t secs = 0, nanos = 0;
		char key[KEY_MAX];

		r = get_object(map, "linux.timeOffsets", clocks[i], &c, e);
		key_of(key, "linux.timeOffsets", clocks[i]);
		if (r == 1)
			r = get_i64(c, key, "secs", INT64_MIN, INT64_MAX, &secs, e);
		if (r >= 0 && c)
			r = get_i64(c, key, "nanosecs", 0, 999999999, &nanos, e);
		if (r < 0)
			return r;
		if (c)
			buf_printf(&text, "%s %lld %lld\n", clocks[i], (long long)secs,
				   (long long)nanos);
	}
	if (text.len == 0)
		return 0;
	if (!p->ns[NS_TIME].wanted || p->ns[NS_TIME].path)
		return err_set(e, EINVAL, "linux.timeOffsets: need a new time namespace");
	p->time_offsets = buf_take(&text);
	return p->time_offsets ? 0 : err_errno(e, ENOMEM, "linux.timeOffsets");
}

static int read_personality(yyjson_val *o, struct plan *p, struct err *e)
{
	static const struct {
		const char *name;
		unsigned long number;
	} domains[] = { { "LINUX", PER_LINUX }, { "LINUX32", PER_LINUX32 } };
	_cleanup_(mem_free) char *domain = NULL;
	yyjson_val *v = NULL;
	int r = get_object(o, "linux", "personality", &v, e);

	p->personality = ~0UL;
	if (r <= 0)
		return r;
	r = need(get_text(v, "linux.personality", "domain", 16, &domain, e), "linux.personality",
		 "domain", e);
	if (r < 0)
		return r;
	r = refuse_set(v, "linux.personality", "flags", "no flag is supported", e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(domains); i++)
		if (str_eq(domains[i].name, domain)) {
			p->personality = domains[i].number;
			return 0;
		}
	return err_set(e, EINVAL, "linux.personality.domain: must be LINUX or LINUX32");
}

static int refuse_unsupported(yyjson_val *o, struct err *e)
{
	static const char *const names[] = { "intelRdt", "memoryPolicy", "netDevices" };
	int r = refuse_set(o, "linux", "mountLabel", "this kernel has no SELinux", e);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
		r = refuse_set(o, "linux", names[i], "is not supported", e);
	return r;
}

static int read_seccomp(yyjson_val *o, const char *cache, struct plan *p, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	size_t len = 0;

	if (cache) {
		text = yyjson_val_write(o, 0, &len);
		if (!text)
			return err_errno(e, ENOMEM, "linux.seccomp");
		if (filter_cache_take(cache, text, len, &p->program))
			return 0;
		p->seccomp_text = take_ptr(text);
	}
	return plan_read_seccomp(o, "linux.seccomp", &p->seccomp, e);
}

int plan_parse_linux(yyjson_val *root, const char *seccomp_cache, struct plan *p, struct err *e)
{
	yyjson_val *o = NULL, *resources = NULL, *seccomp = NULL;
	int r = need(get_object(root, "", "linux", &o, e), "", "linux", e);

	if (r == 0)
		r = refuse_unsupported(o, e);
	if (r == 0)
		r = read_namespaces(o, p, e);
	if (r == 0)
		r = read_id_maps(o, p, e);
	if (r == 0)
		r = read_devices(o, p, e);
	if (r == 0 && !plan_add_op(p, OP_DEV_LINKS, "/dev", e))
		return -ENOMEM;
	if (r == 0)
		r = read_sysctls(o, p, e);
	if (r == 0)
		r = read_paths(o, "readonlyPaths", OP_READONLY_PATH, p, e);
	if (r == 0)
		r = read_paths(o, "maskedPaths", OP_MASKED_PATH, p, e);
	if (r == 0)
		r = read_propagation(o, p, e);
	if (r >= 0)
		r = read_cgroup_path(o, p, e);
	if (r >= 0)
		r = read_time_offsets(o, p, e);
	if (r >= 0)
		r = read_personality(o, p, e);
	if (r >= 0)
		r = get_object(o, "linux", "resources", &resources, e);
	if (r == 1)
		r = plan_read_resources(resources, "linux.resources", &p->resources, e);
	if (r >= 0)
		r = get_object(o, "linux", "seccomp", &seccomp, e);
	if (r == 1)
		r = read_seccomp(seccomp, seccomp_cache, p, e);
	return r < 0 ? r : 0;
}
