/*
 * Checks of a create request: capabilities and security options.
 *
 * What is known and cannot be had is an error that names it; what means "off" of something that
 * this machine does not have (AppArmor, SELinux) is taken as it is. A seccomp profile is rendered
 * once, so that its mistakes are told at create.
 */
#include "engine/container/config.h"
#include "engine/runtime/profile.h"
#include "engine/runtime/seccomp_default.h"
#include "init/base/str.h"

enum { SECCOMP_RENDERED_MAX = 4 << 20 };

const char *security_option(char *const *options, const char *name)
{
	size_t len = strlen(name);

	for (; options && *options; options++) {
		if (strncmp(*options, name, len) != 0)
			continue;
		if (!(*options)[len])
			return "";
		if ((*options)[len] == '=' || (*options)[len] == ':')
			return *options + len + 1;
	}
	return NULL;
}

static bool is_off(const char *value)
{
	return str_empty(value) || str_eq(value, "unconfined") || str_eq(value, "disable");
}

static bool is_bool(const char *value)
{
	return str_empty(value) || str_eq(value, "true") || str_eq(value, "false");
}

static int check_seccomp(const char *value, uint64_t caps, struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(SECCOMP_RENDERED_MAX);
	int r;

	if (str_eq(value, "unconfined") || str_eq(value, "builtin"))
		return 0;
	if (*value != '{')
		return err_set(e, EINVAL,
			       "HostConfig.SecurityOpt: seccomp=%.80s: expected unconfined, "
			       "builtin or the profile itself as JSON",
			       value);
	r = seccomp_profile_write(value, strlen(value), caps, 0, &out, e);
	return r < 0 ? err_wrap(e, "HostConfig.SecurityOpt: seccomp profile") : 0;
}

static int check_option(const char *option, uint64_t caps, struct err *e)
{
	char name[32];
	const char *value = option + strcspn(option, "=:");

	if (str_format(name, sizeof(name), "%.*s", (int)MIN(strcspn(option, "=:"), 31u), option) <
	    0)
		return err_errno(e, EINVAL, "HostConfig.SecurityOpt");
	value += *value != '\0';
	if (str_eq(name, "seccomp"))
		return check_seccomp(value, caps, e);
	if (str_eq(name, "no-new-privileges") || str_eq(name, "writable-cgroups")) {
		if (is_bool(value))
			return 0;
		return err_set(e, EINVAL, "HostConfig.SecurityOpt: %s: expected true or false",
			       name);
	}
	if (str_eq(name, "apparmor")) {
		if (is_off(value))
			return 0;
		return err_set(e, EINVAL,
			       "HostConfig.SecurityOpt: AppArmor is not supported on this host, "
			       "but the profile '%.80s' was specified",
			       value);
	}
	if (str_eq(name, "label")) {
		if (is_off(value))
			return 0;
		return err_set(e, EINVAL,
			       "HostConfig.SecurityOpt: label=%.80s: SELinux is not supported on "
			       "this host (label=disable is)",
			       value);
	}
	if (str_eq(name, "systempaths") && str_eq(value, "unconfined"))
		return 0;
	return err_set(e, EINVAL,
		       "HostConfig.SecurityOpt: '%.80s' is not known (known: seccomp=, "
		       "no-new-privileges, systempaths=unconfined, writable-cgroups, "
		       "apparmor=unconfined, label=disable)",
		       option);
}

int security_check(const struct host_config *h, struct err *e)
{
	uint64_t caps;
	int r = caps_tweak(h->privileged, h->cap_add, h->cap_drop, &caps, e);

	for (char **o = h->security_opt; r == 0 && o && *o; o++)
		r = check_option(*o, caps, e);
	return r;
}
