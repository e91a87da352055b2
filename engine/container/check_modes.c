/*
 * Checks of a create request: namespaces and what does not go together with shared ones, the
 * runtime, the parent cgroup, and settings of the kernel. Texts are Docker's where it has one (moby
 * runconfig/hostconfig_unix.go, daemon/container.go).
 */
#include "engine/container/config.h"
#include "engine/data/ids.h"
#include "engine/runtime/profile.h"
#include "init/base/path.h"
#include "init/base/str.h"

#define CONTAINER "container:"

bool mode_is_container(const char *mode)
{
	return mode && str_starts(mode, CONTAINER);
}

const char *mode_container(const char *mode)
{
	return mode_is_container(mode) ? mode + strlen(CONTAINER) : NULL;
}

static bool mode_valid(const char *mode, const char *allowed)
{
	_cleanup_(strv_free) char **words = strv_split(allowed, "|", false);

	if (mode_is_container(mode))
		return *mode_container(mode) && strv_has(words, CONTAINER);
	return str_empty(mode) || strv_has(words, mode);
}

static int check_namespaces(const struct host_config *h, struct err *e)
{
	const struct {
		const char *what, *value, *allowed;
	} modes[] = {
		{ "IPC mode", h->ipc_mode, "private|host|shareable|none|" CONTAINER },
		{ "PID mode", h->pid_mode, "host|" CONTAINER },
		{ "UTS mode", h->uts_mode, "host" },
		{ "USER mode", h->userns_mode, "host" },
		{ "cgroup namespace mode", h->cgroupns_mode, "private|host" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (!mode_valid(modes[i].value, modes[i].allowed))
			return err_set(e, EINVAL, "invalid %s: %.80s", modes[i].what,
				       modes[i].value);
	if (mode_is_container(h->network_mode) && !*mode_container(h->network_mode))
		return err_set(e, EINVAL, "invalid container format container:<name|id>");
	return 0;
}

/* What the other container has already, and what the machine has. */
static int check_conflicts(const struct create_config *c, struct err *e)
{
	const struct host_config *h = &c->host;
	const struct {
		bool found;
		const char *text;
	} shared[] = {
		{ !str_empty(c->config.hostname), "hostname and the network mode" },
		{ strv_len(h->links) > 0,
		  "container type network can't be used with links. This would result in "
		  "undefined behavior" },
		{ strv_len(h->dns) > 0, "dns and the network mode" },
		{ strv_len(h->extra_hosts) > 0, "custom host-to-IP mapping and the network mode" },
		{ !str_empty(c->config.mac_address), "mac-address and the network mode" },
		{ h->port_bindings.n > 0 || h->publish_all,
		  "port publishing and the container type network mode" },
		{ strv_len(c->config.exposed_ports) > 0,
		  "port exposing and the container type network mode" },
	};

	if (str_eq(h->network_mode, "host") && strv_len(h->links) > 0)
		return err_set(e, EINVAL,
			       "conflicting options: host type networking can't be used with "
			       "links. This would result in undefined behavior");
	if (str_eq(h->uts_mode, "host") && !str_empty(c->config.hostname))
		return err_set(e, EINVAL, "conflicting options: hostname and the UTS mode");
	for (size_t i = 0; mode_is_container(h->network_mode) && i < ARRAY_SIZE(shared); i++)
		if (shared[i].found)
			return err_set(e, EINVAL, "conflicting options: %s", shared[i].text);
	return 0;
}

static int check_runtime(const struct host_config *h, struct err *e)
{
	/* the names that people's files carry; there is one runtime */
	static const char *const names[] = { "skerry", "runc", "io.containerd.runc.v2", NULL };

	if (!strv_has((char *const *)names, h->runtime ? h->runtime : ""))
		return err_set(e, EINVAL, "unknown or invalid runtime name: %.80s",
			       h->runtime ? h->runtime : "");
	if (!str_empty(h->isolation) && !str_eq(h->isolation, "default"))
		return err_set(e, EINVAL, "invalid isolation \"%.80s\" on linux", h->isolation);
	return 0;
}

static int check_cgroup_parent(const struct host_config *h, struct err *e)
{
	_cleanup_(strv_free) char **parts =
		strv_split(h->cgroup_parent ? h->cgroup_parent : "", "/", false);

	if (!parts)
		return err_errno(e, ENOMEM, "HostConfig.CgroupParent");
	if (strv_len(parts) > CGROUP_PARENT_DEPTH_MAX)
		return err_set(e, EINVAL, "HostConfig.CgroupParent: more than %d levels",
			       CGROUP_PARENT_DEPTH_MAX);
	for (char **p = parts; *p; p++)
		/* cgroup.procs and its kin are files of the parent; ids are containers' */
		if ((*p)[0] == '.' || str_starts(*p, "cgroup.") || strlen(*p) > 128 ||
		    strpbrk(*p, "\n\t \\") || id_valid(*p))
			return err_set(e, EINVAL,
				       "HostConfig.CgroupParent: \"%.80s\" is not a name for a "
				       "cgroup",
				       *p);
	return 0;
}

static bool own_namespace(const struct host_config *h, enum sysctl_space space)
{
	switch (space) {
	case SYSCTL_OF_NETWORK:
		return !str_eq(h->network_mode, "host") && !mode_is_container(h->network_mode);
	case SYSCTL_OF_IPC:
		return !str_eq(h->ipc_mode, "host") && !mode_is_container(h->ipc_mode);
	case SYSCTL_OF_UTS:
		return !str_eq(h->uts_mode, "host");
	case SYSCTL_OF_MACHINE:
		break;
	}
	return false;
}

static int check_sysctls(const struct host_config *h, struct err *e)
{
	for (size_t i = 0; i < h->sysctls.n; i++) {
		const char *name = h->sysctls.v[i].key;
		enum sysctl_space space = sysctl_space(name);

		if (space == SYSCTL_OF_MACHINE)
			return err_set(e, EINVAL,
				       "HostConfig.Sysctls: sysctl \"%.80s\" is not in a separate "
				       "kernel namespace",
				       name);
		if (!own_namespace(h, space))
			return err_set(e, EINVAL,
				       "HostConfig.Sysctls: sysctl \"%.80s\" is not allowed when "
				       "the container has no %s namespace of its own",
				       name,
				       space == SYSCTL_OF_NETWORK ? "network"
				       : space == SYSCTL_OF_IPC	  ? "IPC"
								  : "UTS");
	}
	return 0;
}

int modes_check(const struct create_config *c, struct err *e)
{
	int r = check_namespaces(&c->host, e);

	if (r == 0)
		r = check_conflicts(c, e);
	if (r == 0)
		r = check_runtime(&c->host, e);
	if (r == 0)
		r = check_cgroup_parent(&c->host, e);
	return r < 0 ? r : check_sysctls(&c->host, e);
}
