/*
 * config.json (OCI runtime-spec 1.2) and shim.json of the next start, from what was asked for and
 * the default security profile (engine/runtime/profile.h).
 *
 * Only translation: everything was checked at create; names of users are resolved later, by the
 * runtime, in the container's own files.
 */
#include "engine/container/spec.h"

#include <fcntl.h>
#include <stdarg.h>

#include "engine/container/log_config.h"
#include "engine/runtime/profile.h"
#include "engine/runtime/seccomp_default.h"
#include "init/base/file.h"
#include "init/base/str.h"

struct spec {
	struct container *c;
	const struct container_config *config;
	const struct host_config *host;
	const struct sandbox *net;
	uint64_t caps;
	struct joins joins; /* namespaces of other containers */
	char *shm; /* what is bound to /dev/shm, or NULL: its own */
	char cgroup[CONTAINER_CGROUP_MAX];
	struct json_writer w;
};

static bool security_opt(const struct host_config *h, const char *name)
{
	const char *value = security_option(h->security_opt, name);

	return value && !str_eq(value, "false");
}

static bool unconfined(const struct host_config *h, const char *what)
{
	return str_eq(security_option(h->security_opt, what), "unconfined");
}

static void write_strings(struct json_writer *w, const char *key, char *const *a, char *const *b)
{
	json_key(w, key);
	json_begin_array(w);
	for (; a && *a; a++)
		json_str(w, *a);
	for (; b && *b; b++)
		json_str(w, *b);
	json_end_array(w);
}

/* ---- process ---- */

static void write_rlimits(struct spec *s)
{
	const struct ulimit *u = s->host->ulimits.items;

	if (s->host->ulimits.n == 0)
		return;
	json_key(&s->w, "rlimits");
	json_begin_array(&s->w);
	for (size_t i = 0; i < s->host->ulimits.n; i++) {
		char name[40] = "RLIMIT_";
		size_t at = strlen(name);

		for (const char *p = u[i].name ? u[i].name : ""; *p && at < sizeof(name) - 1; p++)
			name[at++] = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
		name[at] = '\0';
		json_begin_object(&s->w);
		json_member_str(&s->w, "type", name);
		json_member_u64(&s->w, "soft",
				(uint64_t)u[i].soft); /* -1 is "no limit", as rlim_t has it */
		json_member_u64(&s->w, "hard", (uint64_t)u[i].hard);
		json_end_object(&s->w);
	}
	json_end_array(&s->w);
}

/* Docker adds HOSTNAME (and TERM with a tty) unless they are given. HOME is the runtime's, from
 * the user's entry. */
static void write_env(struct spec *s)
{
	_cleanup_(strv_free) char **extra = NULL;

	if (!strv_env_get(s->config->env, "HOSTNAME") && !str_empty(s->config->hostname))
		strv_addf(&extra, "HOSTNAME=%s", s->config->hostname);
	if (s->config->tty && !strv_env_get(s->config->env, "TERM"))
		strv_add(&extra, "TERM=xterm");
	write_strings(&s->w, "env", s->config->env, extra);
}

/* --init: our own first process runs the program and reaps what is left over in its namespace. */
static void write_args(struct spec *s)
{
	json_key(&s->w, "args");
	json_begin_array(&s->w);
	if (container_has_init(s->c)) {
		json_str(&s->w, INIT_IN_CONTAINER);
		json_str(&s->w, "--");
	}
	for (char **a = s->config->entrypoint; a && *a; a++)
		json_str(&s->w, *a);
	for (char **a = s->config->cmd; a && *a; a++)
		json_str(&s->w, *a);
	json_end_array(&s->w);
}

static void write_console_size(struct spec *s)
{
	unsigned int rows = 0, cols = 0;

	(void)console_size_read(s->host->console_size, &rows, &cols, NULL);
	if (!s->config->tty || rows == 0 || cols == 0)
		return;
	json_key(&s->w, "consoleSize");
	json_begin_object(&s->w);
	json_member_i64(&s->w, "height", rows);
	json_member_i64(&s->w, "width", cols);
	json_end_object(&s->w);
}

static void write_process(struct spec *s)
{
	json_key(&s->w, "process");
	json_begin_object(&s->w);
	json_member_bool(&s->w, "terminal", s->config->tty);
	write_console_size(s);
	json_key(&s->w, "user");
	json_raw(&s->w, "{\"uid\":0,\"gid\":0}");
	write_args(s);
	write_env(s);
	json_member_str(&s->w, "cwd",
			str_empty(s->config->working_dir) ? "/" : s->config->working_dir);
	caps_write_process(&s->w, s->caps);
	write_rlimits(s);
	json_member_bool(&s->w, "noNewPrivileges", security_opt(s->host, "no-new-privileges"));
	json_member_i64(&s->w, "oomScoreAdj", s->host->oom_score_adj);
	json_end_object(&s->w);
}

/* ---- mounts ---- */

static void mount_begin(struct spec *s, const char *destination, const char *type,
			const char *source)
{
	json_begin_object(&s->w);
	json_member_str(&s->w, "destination", destination);
	json_member_str(&s->w, "type", type);
	json_member_str(&s->w, "source", source);
	json_key(&s->w, "options");
	json_begin_array(&s->w);
}

static void mount_end(struct spec *s)
{
	json_end_array(&s->w);
	json_end_object(&s->w);
}

/* Texts up to a NULL. */
static void write_words(struct spec *s, const char *word, ...)
{
	va_list ap;

	va_start(ap, word);
	for (; word; word = va_arg(ap, const char *))
		json_str(&s->w, word);
	va_end(ap);
}

static bool has_point(const struct container *c, const char *destination)
{
	for (size_t i = 0; i < c->mounts.n; i++)
		if (str_eq(mount_at_index(c, i)->destination, destination))
			return true;
	return false;
}

/* The profile's mounts, but those that the user mounts something else over. */
static void write_profile_mounts(struct spec *s)
{
	for (size_t i = 0; i < profile_n_mounts; i++) {
		const struct profile_mount *m = &profile_mounts[i];
		bool shm = str_eq(m->destination, "/dev/shm");
		bool cgroup = str_eq(m->type, "cgroup");
		bool writable = m->read_only_unless_privileged &&
				(s->host->privileged ||
				 (cgroup && security_opt(s->host, "writable-cgroups")));

		if (has_point(s->c, m->destination))
			continue;
		if (shm && str_eq(s->host->ipc_mode, "none"))
			continue;
		if (shm && s->shm) { /* one that is shared */
			mount_begin(s, m->destination, "bind", s->shm);
			write_words(s, "rbind", "rprivate", "nosuid", "noexec", "nodev", NULL);
			mount_end(s);
			continue;
		}
		if (str_eq(s->host->ipc_mode, "host") && str_eq(m->destination, "/dev/mqueue")) {
			mount_begin(s, m->destination, "bind", m->destination);
			write_words(s, "rbind", NULL);
			mount_end(s);
			continue;
		}
		mount_begin(s, m->destination, m->type, m->source);
		for (const char *const *o = m->options; o && *o; o++)
			if (!(writable && str_eq(*o, "ro")) && !(shm && str_starts(*o, "size=")))
				json_str(&s->w, *o);
		if (shm)
			json_strf(&s->w, "size=%lld", (long long)s->host->shm_size);
		mount_end(s);
	}
}

static void write_file_mount(struct spec *s, const char *destination, const char *source)
{
	if (!source || has_point(s->c, destination))
		return;
	mount_begin(s, destination, "bind", source);
	json_str(&s->w, "rbind");
	json_str(&s->w, "rprivate");
	if (s->c->remap.count) /* the engine writes it, the container's root owns it */
		json_str(&s->w, "idmap");
	if (s->host->readonly_rootfs)
		json_str(&s->w, "ro");
	mount_end(s);
}

static void write_tmpfs_options(struct spec *s, const struct mount_point *m)
{
	_cleanup_(strv_free) char **given = strv_split(m->options ? m->options : "", ",", false);
	static const char *const defaults[] = { "noexec", "nosuid", "nodev" };
	static const char *const undo[] = { "exec", "suid", "dev" };

	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		if (!strv_has(given, undo[i]))
			json_str(&s->w, defaults[i]);
	for (char **o = given; o && *o; o++)
		if (!str_eq(*o, "exec") && !str_eq(*o, "suid") && !str_eq(*o, "dev"))
			json_str(&s->w, *o);
}

static int write_point(struct spec *s, const struct mount_point *m, struct err *e)
{
	if (str_eq(m->type, "tmpfs")) {
		mount_begin(s, m->destination, "tmpfs", "tmpfs");
		write_tmpfs_options(s, m);
	} else {
		if (m->make_source && access(m->source, F_OK) < 0) {
			int r = dir_make(AT_FDCWD, m->source, 0755, e);

			/* Docker's are the container's root's too */
			if (r == 0 && s->c->remap.count &&
			    chown(m->source, s->c->remap.first, s->c->remap.first) < 0)
				r = err_errno(e, errno, "chown");
			if (r < 0)
				return err_wrap(e, "bind mount source %s could not be made",
						m->source);
		}
		mount_begin(s, m->destination, "bind", m->source);
		json_str(&s->w, m->non_recursive ? "bind" : "rbind");
		json_str(&s->w, str_empty(m->propagation) ? "rprivate" : m->propagation);
		if (s->c->remap.count && str_eq(m->type, "volume"))
			json_str(&s->w, "idmap");
	}
	if (!m->rw) /* what is mounted below a read-only source is read-only too, unless asked */
		json_str(&s->w, m->ro_non_recursive || str_eq(m->type, "tmpfs") ? "ro" : "rro");
	json_end_array(&s->w);
	if (m->subpath)
		json_member_str(&s->w, "subpath", m->subpath);
	json_end_object(&s->w);
	return 0;
}

static int write_mounts(struct spec *s, struct err *e)
{
	int r = 0;

	json_key(&s->w, "mounts");
	json_begin_array(&s->w);
	write_profile_mounts(s);
	if (container_has_init(s->c)) {
		mount_begin(s, INIT_IN_CONTAINER, "bind", s->c->cs->cfg.init_program);
		write_words(s, "bind", "ro", "nosuid", "nodev", NULL);
		mount_end(s);
	}
	write_file_mount(s, "/etc/resolv.conf", s->net->resolv_path);
	write_file_mount(s, "/etc/hostname", s->net->hostname_path);
	write_file_mount(s, "/etc/hosts", s->net->hosts_path);
	for (size_t i = 0; r == 0 && i < s->c->mounts.n; i++)
		r = write_point(s, mount_at_index(s->c, i), e);
	json_end_array(&s->w);
	return r;
}

/* ---- linux ---- */

static void write_namespaces(struct spec *s)
{
	char pid_path[JOIN_PATH_MAX], ipc_path[JOIN_PATH_MAX];
	const struct {
		const char *type;
		bool own;
		const char *path;
	} spaces[] = {
		{ "mount", true, NULL },
		{ "network", s->net->key != NULL, s->net->key },
		{ "uts", !str_eq(s->host->uts_mode, "host"), NULL },
		{ "pid", !str_eq(s->host->pid_mode, "host"), join_path(&s->joins.pid, pid_path) },
		{ "ipc", !str_eq(s->host->ipc_mode, "host"), join_path(&s->joins.ipc, ipc_path) },
		{ "cgroup", !str_eq(s->host->cgroupns_mode, "host"), NULL },
		{ "time", true, NULL },
		/* the path only says that one is joined: the shim gives the descriptor */
		{ "user", s->c->remap.count > 0, s->net->key },
	};

	json_key(&s->w, "namespaces");
	json_begin_array(&s->w);
	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++) {
		if (!spaces[i].own)
			continue;
		json_begin_object(&s->w);
		json_member_str(&s->w, "type", spaces[i].type);
		if (spaces[i].path)
			json_member_str(&s->w, "path", spaces[i].path);
		json_end_object(&s->w);
	}
	json_end_array(&s->w);
}

static void write_device_rule(struct spec *s, const struct profile_device_rule *d)
{
	char type[2] = { d->type, '\0' };

	json_begin_object(&s->w);
	json_member_bool(&s->w, "allow", d->allow);
	json_member_str(&s->w, "type", type);
	if (d->major >= 0)
		json_member_i64(&s->w, "major", d->major);
	if (d->minor >= 0)
		json_member_i64(&s->w, "minor", d->minor);
	json_member_str(&s->w, "access", d->access);
	json_end_object(&s->w);
}

static void write_sysctls(struct spec *s)
{
	bool own_net = s->net->key != NULL && s->net->mode == NET_MODE_OWN;

	json_key(&s->w, "sysctl");
	json_begin_object(&s->w);
	for (size_t i = 0; own_net && profile_net_sysctls[i][0]; i++) {
		const char *name = profile_net_sysctls[i][0];

		if (pairs_get(&s->host->sysctls, name))
			continue;
		json_key(&s->w, name);
		/* all groups that there are */
		if (s->c->remap.count && str_eq(name, "net.ipv4.ping_group_range"))
			json_strf(&s->w, "0 %u", s->c->remap.count - 1);
		else
			json_str(&s->w, profile_net_sysctls[i][1]);
	}
	for (size_t i = 0; i < s->host->sysctls.n; i++)
		json_member_str(&s->w, s->host->sysctls.v[i].key, s->host->sysctls.v[i].value);
	json_end_object(&s->w);
}

static void write_paths(struct spec *s)
{
	/* an empty list, which is what systempaths=unconfined becomes in the client, is one too */
	bool open = s->host->privileged || unconfined(s->host, "systempaths");
	_cleanup_(strv_free) char **masked = open ? NULL : profile_masked_paths();

	write_strings(&s->w, "maskedPaths", s->host->masked_paths ? s->host->masked_paths : masked,
		      NULL);
	write_strings(&s->w, "readonlyPaths",
		      s->host->readonly_paths ? s->host->readonly_paths
		      : open		      ? NULL
					      : (char *const *)profile_readonly_paths,
		      NULL);
}

static int write_seccomp(struct spec *s, struct err *e)
{
	const char *profile = security_option(s->host->security_opt, "seccomp");
	bool own = profile && *profile == '{';

	if (unconfined(s->host, "seccomp") || (s->host->privileged && str_empty(profile)))
		return 0;
	json_key(&s->w, "seccomp");
	s->w.comma = true; /* the object comes from another writer */
	return own ? seccomp_profile_write(profile, strlen(profile), s->caps, 0, s->w.out, e)
		   : seccomp_default_write(s->caps, 0, s->w.out, e);
}

static int write_linux(struct spec *s, struct err *e)
{
	int r;

	json_key(&s->w, "linux");
	json_begin_object(&s->w);
	json_key(&s->w, "cgroupsPath");
	json_strf(&s->w, "/%s", s->cgroup);
	write_namespaces(s);
	write_sysctls(s);
	write_paths(s);
	json_key(&s->w, "resources");
	json_begin_object(&s->w);
	json_key(&s->w, "devices");
	json_begin_array(&s->w);
	if (s->host->privileged) {
		const struct profile_device_rule all = { true, 'a', -1, -1, "rwm" };

		write_device_rule(s, &all);
	}
	for (size_t i = 0; !s->host->privileged && i < profile_n_device_rules; i++)
		write_device_rule(s, &profile_device_rules[i]);
	r = spec_device_rules(s->host, &s->w, e);
	json_end_array(&s->w);
	if (r == 0)
		r = spec_resources(s->host, &s->w, e);
	json_end_object(&s->w);
	if (r == 0)
		r = spec_devices(s->host, &s->w, e);
	if (r == 0)
		r = write_seccomp(s, e);
	json_end_object(&s->w);
	return r;
}

static int write_config(struct spec *s, struct err *e)
{
	int r;

	json_begin_object(&s->w);
	json_member_str(&s->w, "ociVersion", "1.2.0");
	write_process(s);
	json_key(&s->w, "root");
	json_begin_object(&s->w);
	json_member_str(&s->w, "path", "rootfs");
	json_member_bool(&s->w, "readonly", s->host->readonly_rootfs);
	json_end_object(&s->w);
	if (!str_eq(s->host->uts_mode, "host")) {
		json_member_str(&s->w, "hostname", s->config->hostname ? s->config->hostname : "");
		if (!str_empty(s->config->domainname))
			json_member_str(&s->w, "domainname", s->config->domainname);
	}
	r = write_mounts(s, e);
	if (r == 0)
		r = write_linux(s, e);
	json_key(&s->w, "annotations");
	json_begin_object(&s->w);
	for (size_t i = 0; i < s->host->annotations.n; i++)
		json_member_str(&s->w, s->host->annotations.v[i].key,
				s->host->annotations.v[i].value);
	json_end_object(&s->w);
	json_end_object(&s->w);
	return r;
}

/* ---- shim.json ---- */

static int write_rootfs(struct spec *s, struct err *e)
{
	const struct image *img = images_find(s->c->cs->cfg.images, s->c->image_id, e);
	_cleanup_(strv_free) char **lower = img ? image_lower_dirs(img) : NULL;
	_cleanup_(mem_free) char *upper = container_path(s->c, "upper"),
				 *work = container_path(s->c, "work");

	if (!img)
		return -ENOENT;
	if (!lower || !upper || !work)
		return err_errno(e, ENOMEM, "shim.json");
	json_key(&s->w, "rootfs");
	json_begin_object(&s->w);
	write_strings(&s->w, "lower", lower, NULL);
	json_member_str(&s->w, "upper", upper);
	json_member_str(&s->w, "work", work);
	json_end_object(&s->w);
	return 0;
}

static int write_shim(struct spec *s, struct err *e)
{
	int r;

	json_begin_object(&s->w);
	json_member_i64(&s->w, "v", 1);
	json_member_str(&s->w, "id", s->c->id);
	json_member_str(&s->w, "cgroup", s->cgroup);
	joins_write(s->c, &s->joins, &s->w);
	if (s->c->remap.count)
		json_member_i64(&s->w, "first_id", s->c->remap.first);
	r = write_rootfs(s, e);
	json_member_str(&s->w, "user", s->config->user ? s->config->user : "");
	if (s->host->group_add)
		write_strings(&s->w, "groups", s->host->group_add, NULL);
	json_member_bool(&s->w, "terminal", s->config->tty);
	json_member_bool(&s->w, "stdin", s->config->open_stdin);
	json_member_bool(&s->w, "stdin_once", s->config->stdin_once);
	if (r == 0)
		r = log_write(s->c, &s->w, e);
	json_member_bool(&s->w, "kill_all", str_eq(s->host->pid_mode, "host"));
	json_key(&s->w, "seccomp_cache");
	json_strf(&s->w, "%s/seccomp", s->c->cs->run_dir);
	json_end_object(&s->w);
	return r;
}

static int write_out(struct spec *s, struct buf *text, const char *dir, const char *name,
		     int (*fill)(struct spec *s, struct err *e), struct err *e)
{
	_cleanup_(mem_free) char *path = str_printf("%s/%s", dir, name);
	int r;

	buf_reset(text);
	json_writer_init(&s->w, text);
	r = fill(s, e);
	if (r < 0)
		return r;
	if (!path || buf_failed(text) < 0)
		return err_errno(e, ENOMEM, "%s", name);
	return file_replace(AT_FDCWD, path, buf_text(text), text->len, 0600, false, e);
}

int spec_write(struct container *c, const char *dir, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(CONTAINER_DOC_MAX);
	_cleanup_(mem_free) char *rootfs = str_printf("%s/bundle/rootfs", dir);
	struct spec s = {
		.c = c, .config = &c->asked.config, .host = &c->asked.host, .net = c->sandbox
	};
	int r = caps_tweak(s.host->privileged, s.host->cap_add, s.host->cap_drop, &s.caps, e);

	container_cgroup(c, s.cgroup);
	if (r == 0)
		r = container_cgroup_parents(c, e);
	if (r == 0)
		r = joins_find(c, &s.joins, e);
	if (r == 0)
		r = shm_prepare(c, &s.shm, e);
	if (r == 0)
		r = rootfs ? dir_make(AT_FDCWD, rootfs, 0700, e) : err_errno(e, ENOMEM, "bundle");
	if (r == 0)
		r = write_out(&s, &text, dir, "bundle/config.json", write_config, e);
	if (r == 0)
		r = write_out(&s, &text, dir, "shim.json", write_shim, e);
	free(s.shm);
	return r;
}
