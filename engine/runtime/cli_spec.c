/*
 * `skerryd runtime spec` and `features` (cli.h): what a config.json may look like, and what this
 * runtime makes of one.
 *
 * spec writes the default profile (profile.h) as a bundle's config.json; features.md says what the
 * features document holds. Both come from the same tables as the plan's parsers.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/runtime/cli.h"
#include "engine/runtime/filter.h"
#include "engine/runtime/profile.h"
#include "engine/runtime/seccomp_default.h"
#include "init/base/file.h"
#include "init/base/str.h"

/* --- features --- */

static void write_names(struct json_writer *w, const char *key, const char *(*name)(size_t n))
{
	json_key(w, key);
	json_begin_array(w);
	for (size_t i = 0; name(i); i++)
		json_str(w, name(i));
	json_end_array(w);
}

static const char *hook_name(size_t n)
{
	return n < HOOK_KINDS ? plan_hook_names[n] : NULL;
}

static const char *namespace_name(size_t n)
{
	return n < NS_KINDS ? plan_ns_kinds[n].name : NULL;
}

static const char *capability_name(size_t n)
{
	return caps_name((unsigned int)n);
}

static void write_enabled(struct json_writer *w, const char *key, bool enabled)
{
	json_key(w, key);
	json_begin_object(w);
	json_member_bool(w, "enabled", enabled);
	json_end_object(w);
}

static void write_linux_features(struct json_writer *w)
{
	write_names(w, "namespaces", namespace_name);
	write_names(w, "capabilities", capability_name);
	json_key(w, "cgroup");
	json_begin_object(w);
	json_member_bool(w, "v1", false);
	json_member_bool(w, "v2", true);
	json_member_bool(w, "systemd", false);
	json_member_bool(w, "systemdUser", false);
	json_member_bool(w, "rdma", true);
	json_end_object(w);
	json_key(w, "seccomp");
	json_begin_object(w);
	json_member_bool(w, "enabled", true);
	write_names(w, "actions", filter_action_name);
	write_names(w, "operators", filter_operator_name);
	write_names(w, "archs", filter_arch_name);
	write_names(w, "knownFlags", plan_seccomp_flag);
	write_names(w, "supportedFlags", plan_seccomp_flag);
	json_end_object(w);
	write_enabled(w, "apparmor", false);
	write_enabled(w, "selinux", false);
	write_enabled(w, "intelRdt", false);
	json_key(w, "mountExtensions");
	json_begin_object(w);
	write_enabled(w, "idmap", true);
	json_end_object(w);
}

int cmd_features(const struct cli_options *o, int *ret_code, struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(1 << 16);
	struct json_writer w;

	(void)o;
	(void)ret_code;
	json_writer_init(&w, &out);
	json_begin_object(&w);
	json_member_str(&w, "ociVersionMin", "1.0.0");
	json_member_str(&w, "ociVersionMax", RUNTIME_SPEC_VERSION);
	write_names(&w, "hooks", hook_name);
	write_names(&w, "mountOptions", plan_mount_option);
	json_key(&w, "linux");
	json_begin_object(&w);
	write_linux_features(&w);
	json_end_object(&w);
	json_end_object(&w);
	buf_add_char(&out, '\n');
	return cli_print(&out, e);
}

/* --- spec --- */

static void write_strings(struct json_writer *w, const char *key, const char *const *list)
{
	json_key(w, key);
	json_begin_array(w);
	for (; *list; list++)
		json_str(w, *list);
	json_end_array(w);
}

static void write_process(struct json_writer *w)
{
	static const char *const args[] = { "sh", NULL }, *const env[] = { PROFILE_PATH,
									   "TERM=xterm", NULL };

	json_member_bool(w, "terminal", true);
	json_key(w, "user");
	json_raw(w, "{\"uid\":0,\"gid\":0}");
	write_strings(w, "args", args);
	write_strings(w, "env", env);
	json_member_str(w, "cwd", "/");
	caps_write_process(w, caps_default());
	json_member_bool(w, "noNewPrivileges", true);
}

static void write_mounts(struct json_writer *w)
{
	json_begin_array(w);
	for (size_t i = 0; i < profile_n_mounts; i++) {
		const struct profile_mount *m = &profile_mounts[i];

		json_begin_object(w);
		json_member_str(w, "destination", m->destination);
		json_member_str(w, "type", m->type);
		json_member_str(w, "source", m->source);
		write_strings(w, "options", m->options);
		json_end_object(w);
	}
	json_end_array(w);
}

static void write_device_rules(struct json_writer *w)
{
	json_begin_array(w);
	for (size_t i = 0; i < profile_n_device_rules; i++) {
		const struct profile_device_rule *d = &profile_device_rules[i];
		const char type[] = { d->type, '\0' };

		json_begin_object(w);
		json_member_bool(w, "allow", d->allow);
		json_member_str(w, "type", type);
		if (d->major >= 0)
			json_member_i64(w, "major", d->major);
		if (d->minor >= 0)
			json_member_i64(w, "minor", d->minor);
		json_member_str(w, "access", d->access);
		json_end_object(w);
	}
	json_end_array(w);
}

static int write_linux(struct json_writer *w, struct err *e)
{
	static const char *const spaces[] = { "mount", "pid", "network", "uts", "ipc", "cgroup" };
	_cleanup_(strv_free) char **masked = profile_masked_paths();
	_cleanup_(buf_free) struct buf seccomp = BUF_INIT(1 << 20);

	if (!masked)
		return err_errno(e, ENOMEM, "spec");
	json_key(w, "namespaces");
	json_begin_array(w);
	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++) {
		json_begin_object(w);
		json_member_str(w, "type", spaces[i]);
		json_end_object(w);
	}
	json_end_array(w);
	json_key(w, "resources");
	json_begin_object(w);
	json_key(w, "devices");
	write_device_rules(w);
	json_end_object(w);
	json_key(w, "maskedPaths");
	json_strv(w, masked);
	write_strings(w, "readonlyPaths", profile_readonly_paths);
	if (seccomp_default_write(caps_default(), 0, &seccomp, e) < 0)
		return -e->code;
	json_key(w, "seccomp");
	json_raw(w, buf_text(&seccomp));
	return 0;
}

int cmd_spec(const struct cli_options *o, int *ret_code, struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(1 << 20);
	_cleanup_(fd_close) int fd = -1;
	char path[PATH_MAX];
	struct json_writer w;
	int r;

	(void)ret_code;
	if (o->rootless)
		return err_set(e, EOPNOTSUPP, "--rootless: this runtime needs root");
	if (str_format(path, sizeof(path), "%s/config.json", o->bundle ? o->bundle : ".") < 0)
		return err_errno(e, ENAMETOOLONG, "--bundle");
	json_writer_init(&w, &out);
	json_begin_object(&w);
	json_member_str(&w, "ociVersion", RUNTIME_SPEC_VERSION);
	json_key(&w, "process");
	json_begin_object(&w);
	write_process(&w);
	json_end_object(&w);
	json_key(&w, "root");
	json_raw(&w, "{\"path\":\"rootfs\",\"readonly\":true}");
	json_member_str(&w, "hostname", "skerry");
	json_key(&w, "mounts");
	write_mounts(&w);
	json_key(&w, "linux");
	json_begin_object(&w);
	r = write_linux(&w, e);
	json_end_object(&w);
	json_end_object(&w);
	buf_add_char(&out, '\n');
	if (r < 0 || buf_failed(&out))
		return r < 0 ? r : err_errno(e, -buf_failed(&out), "spec");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno == EEXIST
			       ? err_set(e, EEXIST,
					 "%s exists already; remove it to have a new one", path)
			       : err_errno(e, errno, "%s", path);
	return file_write_all(fd, out.data, out.len, e);
}
