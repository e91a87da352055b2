/*
 * The tables of Config, HostConfig and NetworkingConfig, in the order in which Docker's inspect
 * prints them.
 *
 * One row per field of docker-engine-api-1.51.yaml (ContainerConfig, HostConfig, EndpointSettings).
 * Windows-only fields are BIND_FIXED or BIND_REFUSED. What may be given but only with some values
 * is checked in config_check.c.
 */
#include "engine/container/config.h"

#include "init/base/str.h"

#define ROW(key_, type_, struct_, member_, ...)                                          \
	{                                                                                \
		.key = key_, .type = type_, .offset = offsetof(struct struct_, member_), \
		__VA_ARGS__                                                              \
	}
#define REFUSED(key_, empty_)                                      \
	{                                                          \
		.key = key_, .type = BIND_REFUSED, .empty = empty_ \
	}
#define FIXED(key_, empty_)                                      \
	{                                                        \
		.key = key_, .type = BIND_FIXED, .empty = empty_ \
	}

static const struct bind health_rows[] = {
	ROW("Test", BIND_STRV, health_config, test),
	ROW("Interval", BIND_I64, health_config, interval),
	ROW("Timeout", BIND_I64, health_config, timeout),
	ROW("StartPeriod", BIND_I64, health_config, start_period),
	ROW("StartInterval", BIND_I64, health_config, start_interval),
	ROW("Retries", BIND_I64, health_config, retries),
};
BIND_TABLE(health_config_table, struct health_config, health_rows);

static const struct bind config_rows[] = {
	ROW("Hostname", BIND_TEXT, container_config, hostname),
	ROW("Domainname", BIND_TEXT, container_config, domainname),
	ROW("User", BIND_TEXT, container_config, user),
	ROW("AttachStdin", BIND_BOOL, container_config, attach_stdin),
	ROW("AttachStdout", BIND_BOOL, container_config, attach_stdout),
	ROW("AttachStderr", BIND_BOOL, container_config, attach_stderr),
	ROW("ExposedPorts", BIND_SET, container_config, exposed_ports, .empty = "{}"),
	ROW("Tty", BIND_BOOL, container_config, tty),
	ROW("OpenStdin", BIND_BOOL, container_config, open_stdin),
	ROW("StdinOnce", BIND_BOOL, container_config, stdin_once),
	ROW("Env", BIND_STRV, container_config, env, .empty = "[]"),
	ROW("Cmd", BIND_WORDS, container_config, cmd),
	ROW("Healthcheck", BIND_POINTER, container_config, health, .of = &health_config_table),
	FIXED("ArgsEscaped", "false"),
	ROW("Image", BIND_TEXT, container_config, image),
	ROW("Volumes", BIND_SET, container_config, volumes),
	ROW("WorkingDir", BIND_TEXT, container_config, working_dir),
	ROW("Entrypoint", BIND_WORDS, container_config, entrypoint),
	ROW("NetworkDisabled", BIND_BOOL, container_config, network_disabled),
	ROW("MacAddress", BIND_TEXT, container_config, mac_address),
	ROW("OnBuild", BIND_STRV, container_config, on_build),
	ROW("Labels", BIND_PAIRS, container_config, labels),
	ROW("StopSignal", BIND_TEXT, container_config, stop_signal),
	ROW("StopTimeout", BIND_OPT_I64, container_config, stop_timeout),
	ROW("Shell", BIND_STRV, container_config, shell),
};
BIND_TABLE(container_config_table, struct container_config, config_rows);

static const struct bind port_host_rows[] = {
	ROW("HostIp", BIND_TEXT, port_host, ip),
	ROW("HostPort", BIND_TEXT, port_host, port),
};
BIND_TABLE(port_host_table, struct port_host, port_host_rows);

static const struct bind device_rows[] = {
	ROW("PathOnHost", BIND_TEXT, device_map, host),
	ROW("PathInContainer", BIND_TEXT, device_map, container),
	ROW("CgroupPermissions", BIND_TEXT, device_map, permissions),
};
BIND_TABLE(device_map_table, struct device_map, device_rows);

static const struct bind ulimit_rows[] = {
	ROW("Name", BIND_TEXT, ulimit, name),
	ROW("Hard", BIND_I64, ulimit, hard),
	ROW("Soft", BIND_I64, ulimit, soft),
};
BIND_TABLE(ulimit_table, struct ulimit, ulimit_rows);

static const struct bind rate_rows[] = {
	ROW("Path", BIND_TEXT, device_rate, path),
	ROW("Rate", BIND_I64, device_rate, rate),
};
BIND_TABLE(device_rate_table, struct device_rate, rate_rows);

static const struct bind weight_rows[] = {
	ROW("Path", BIND_TEXT, device_rate, path),
	ROW("Weight", BIND_I64, device_rate, rate),
};
BIND_TABLE(device_weight_table, struct device_rate, weight_rows);

static const struct bind bind_option_rows[] = {
	ROW("Propagation", BIND_TEXT, bind_options, propagation),
	ROW("NonRecursive", BIND_BOOL, bind_options, non_recursive),
	ROW("CreateMountpoint", BIND_BOOL, bind_options, create_mountpoint),
	ROW("ReadOnlyNonRecursive", BIND_BOOL, bind_options, read_only_non_recursive),
	ROW("ReadOnlyForceRecursive", BIND_BOOL, bind_options, read_only_force_recursive),
};
BIND_TABLE(bind_options_table, struct bind_options, bind_option_rows);

static const struct bind driver_rows[] = {
	ROW("Name", BIND_TEXT, volume_options, driver.name),
	ROW("Options", BIND_PAIRS, volume_options, driver.options),
};
/* the driver's members lie in volume_options: its rows have offsets of that struct */
static BIND_TABLE(driver_table, struct volume_options, driver_rows);

static const struct bind volume_option_rows[] = {
	ROW("NoCopy", BIND_BOOL, volume_options, no_copy),
	ROW("Labels", BIND_PAIRS, volume_options, labels),
	ROW("Subpath", BIND_TEXT, volume_options, subpath),
	{ .key = "DriverConfig", .type = BIND_OBJECT, .offset = 0, .of = &driver_table },
};
BIND_TABLE(volume_options_table, struct volume_options, volume_option_rows);

static const struct bind tmpfs_option_rows[] = {
	ROW("SizeBytes", BIND_I64, tmpfs_options, size),
	ROW("Mode", BIND_I64, tmpfs_options, mode),
	ROW("Options", BIND_JSON, tmpfs_options, options),
};
BIND_TABLE(tmpfs_options_table, struct tmpfs_options, tmpfs_option_rows);

static const struct bind mount_rows[] = {
	ROW("Type", BIND_TEXT, mount_request, type),
	ROW("Source", BIND_TEXT, mount_request, source),
	ROW("Target", BIND_TEXT, mount_request, target),
	ROW("ReadOnly", BIND_BOOL, mount_request, read_only),
	ROW("Consistency", BIND_TEXT, mount_request, consistency),
	ROW("BindOptions", BIND_POINTER, mount_request, bind, .of = &bind_options_table),
	ROW("VolumeOptions", BIND_POINTER, mount_request, volume, .of = &volume_options_table),
	ROW("TmpfsOptions", BIND_POINTER, mount_request, tmpfs, .of = &tmpfs_options_table),
	REFUSED("ImageOptions", "null"),
	REFUSED("ClusterOptions", "null"),
};
BIND_TABLE(mount_request_table, struct mount_request, mount_rows);

static const struct bind log_rows[] = {
	ROW("Type", BIND_TEXT, host_config, log.type),
	ROW("Config", BIND_PAIRS, host_config, log.options),
};
static BIND_TABLE(log_table, struct host_config, log_rows);

static const struct bind restart_rows[] = {
	ROW("Name", BIND_TEXT, host_config, restart.name),
	ROW("MaximumRetryCount", BIND_I64, host_config, restart.max_retries),
};
static BIND_TABLE(restart_table, struct host_config, restart_rows);

static const struct bind host_rows[] = {
	ROW("Binds", BIND_STRV, host_config, binds),
	ROW("ContainerIDFile", BIND_TEXT, host_config, container_id_file),
	{ .key = "LogConfig", .type = BIND_OBJECT, .offset = 0, .of = &log_table },
	ROW("NetworkMode", BIND_TEXT, host_config, network_mode),
	ROW("PortBindings", BIND_LISTS, host_config, port_bindings, .of = &port_host_table),
	{ .key = "RestartPolicy", .type = BIND_OBJECT, .offset = 0, .of = &restart_table },
	ROW("AutoRemove", BIND_BOOL, host_config, auto_remove),
	ROW("VolumeDriver", BIND_TEXT, host_config, volume_driver),
	ROW("VolumesFrom", BIND_STRV, host_config, volumes_from),
	ROW("ConsoleSize", BIND_JSON, host_config, console_size, .empty = "[0,0]"),
	ROW("Annotations", BIND_PAIRS, host_config, annotations),
	ROW("CapAdd", BIND_STRV, host_config, cap_add),
	ROW("CapDrop", BIND_STRV, host_config, cap_drop),
	ROW("CgroupnsMode", BIND_TEXT, host_config, cgroupns_mode),
	ROW("Dns", BIND_STRV, host_config, dns, .empty = "[]"),
	ROW("DnsOptions", BIND_STRV, host_config, dns_options, .empty = "[]"),
	ROW("DnsSearch", BIND_STRV, host_config, dns_search, .empty = "[]"),
	ROW("ExtraHosts", BIND_STRV, host_config, extra_hosts),
	ROW("GroupAdd", BIND_STRV, host_config, group_add),
	ROW("IpcMode", BIND_TEXT, host_config, ipc_mode),
	REFUSED("Cgroup", "\"\""),
	ROW("Links", BIND_STRV, host_config, links),
	ROW("OomScoreAdj", BIND_I64, host_config, oom_score_adj),
	ROW("PidMode", BIND_TEXT, host_config, pid_mode),
	ROW("Privileged", BIND_BOOL, host_config, privileged),
	ROW("PublishAllPorts", BIND_BOOL, host_config, publish_all),
	ROW("ReadonlyRootfs", BIND_BOOL, host_config, readonly_rootfs),
	ROW("SecurityOpt", BIND_STRV, host_config, security_opt),
	REFUSED("StorageOpt", "null"),
	ROW("Tmpfs", BIND_PAIRS, host_config, tmpfs),
	ROW("UTSMode", BIND_TEXT, host_config, uts_mode),
	ROW("UsernsMode", BIND_TEXT, host_config, userns_mode),
	ROW("ShmSize", BIND_I64, host_config, shm_size),
	ROW("Sysctls", BIND_PAIRS, host_config, sysctls),
	ROW("Runtime", BIND_TEXT, host_config, runtime),
	ROW("Isolation", BIND_TEXT, host_config, isolation),
	ROW("CpuShares", BIND_I64, host_config, cpu_shares),
	ROW("Memory", BIND_I64, host_config, memory),
	ROW("NanoCpus", BIND_I64, host_config, nano_cpus),
	ROW("CgroupParent", BIND_TEXT, host_config, cgroup_parent),
	ROW("BlkioWeight", BIND_I64, host_config, blkio_weight),
	ROW("BlkioWeightDevice", BIND_LIST, host_config, weight_devices, .of = &device_weight_table,
	    .empty = "[]"),
	ROW("BlkioDeviceReadBps", BIND_LIST, host_config, read_bps, .of = &device_rate_table,
	    .empty = "[]"),
	ROW("BlkioDeviceWriteBps", BIND_LIST, host_config, write_bps, .of = &device_rate_table,
	    .empty = "[]"),
	ROW("BlkioDeviceReadIOps", BIND_LIST, host_config, read_iops, .of = &device_rate_table,
	    .empty = "[]"),
	ROW("BlkioDeviceWriteIOps", BIND_LIST, host_config, write_iops, .of = &device_rate_table,
	    .empty = "[]"),
	ROW("CpuPeriod", BIND_I64, host_config, cpu_period),
	ROW("CpuQuota", BIND_I64, host_config, cpu_quota),
	ROW("CpuRealtimePeriod", BIND_I64, host_config, cpu_rt_period),
	ROW("CpuRealtimeRuntime", BIND_I64, host_config, cpu_rt_runtime),
	ROW("CpusetCpus", BIND_TEXT, host_config, cpuset_cpus),
	ROW("CpusetMems", BIND_TEXT, host_config, cpuset_mems),
	ROW("Mounts", BIND_LIST, host_config, mounts, .of = &mount_request_table, .empty = ""),
	ROW("Devices", BIND_LIST, host_config, devices, .of = &device_map_table, .empty = "[]"),
	ROW("DeviceCgroupRules", BIND_STRV, host_config, device_cgroup_rules),
	ROW("DeviceRequests", BIND_JSON, host_config, device_requests),
	ROW("KernelMemory", BIND_I64, host_config, kernel_memory),
	ROW("KernelMemoryTCP", BIND_I64, host_config, kernel_memory_tcp),
	ROW("MemoryReservation", BIND_I64, host_config, memory_reservation),
	ROW("MemorySwap", BIND_I64, host_config, memory_swap),
	ROW("MemorySwappiness", BIND_OPT_I64, host_config, memory_swappiness),
	ROW("OomKillDisable", BIND_OPT_BOOL, host_config, oom_kill_disable),
	ROW("PidsLimit", BIND_OPT_I64, host_config, pids_limit),
	ROW("Ulimits", BIND_LIST, host_config, ulimits, .of = &ulimit_table, .empty = "[]"),
	REFUSED("CpuCount", "0"), /* of Windows */
	REFUSED("CpuPercent", "0"), /* of Windows */
	REFUSED("IOMaximumIOps", "0"), /* of Windows */
	REFUSED("IOMaximumBandwidth", "0"), /* of Windows */
	ROW("Init", BIND_OPT_BOOL, host_config, init),
	ROW("MaskedPaths", BIND_STRV, host_config, masked_paths),
	ROW("ReadonlyPaths", BIND_STRV, host_config, readonly_paths),
};
BIND_TABLE(host_config_table, struct host_config, host_rows);

static const struct bind ipam_rows[] = {
	ROW("IPv4Address", BIND_TEXT, endpoint_config, ipam.ipv4),
	ROW("IPv6Address", BIND_TEXT, endpoint_config, ipam.ipv6),
	ROW("LinkLocalIPs", BIND_STRV, endpoint_config, ipam.link_local),
};
static BIND_TABLE(ipam_table, struct endpoint_config, ipam_rows);

static const struct bind endpoint_rows[] = {
	ROW("", BIND_TEXT, endpoint_config, network),
	{ .key = "IPAMConfig", .type = BIND_OBJECT, .offset = 0, .of = &ipam_table },
	ROW("Links", BIND_STRV, endpoint_config, links),
	ROW("Aliases", BIND_STRV, endpoint_config, aliases),
	ROW("MacAddress", BIND_TEXT, endpoint_config, mac_address),
	ROW("DriverOpts", BIND_PAIRS, endpoint_config, driver_options),
	ROW("GwPriority", BIND_I64, endpoint_config, gateway_priority),
};
BIND_TABLE(endpoint_config_table, struct endpoint_config, endpoint_rows);

static const struct bind networking_rows[] = {
	ROW("EndpointsConfig", BIND_DICT, networking_config, endpoints,
	    .of = &endpoint_config_table, .empty = "{}"),
};
BIND_TABLE(networking_config_table, struct networking_config, networking_rows);

void create_config_init(struct create_config *c)
{
	bind_init(&container_config_table, &c->config);
	bind_init(&host_config_table, &c->host);
	bind_init(&networking_config_table, &c->networking);
}

void create_config_free(struct create_config *c)
{
	bind_free(&container_config_table, &c->config);
	bind_free(&host_config_table, &c->host);
	bind_free(&networking_config_table, &c->networking);
}

static int default_text(char **at, const char *value)
{
	return str_empty(*at) ? str_set(at, value) : 0;
}

/* What Docker fills in when the request is silent (moby daemon/create.go and runconfig). */
int create_config_defaults(struct create_config *c)
{
	struct host_config *h = &c->host;
	int r = 0;

	if (str_eq(h->network_mode, "default"))
		r |= str_set(&h->network_mode, "bridge");
	r |= default_text(&h->network_mode, c->config.network_disabled ? "none" : "bridge");
	r |= default_text(&h->restart.name, "no");
	r |= default_text(&h->log.type, "json-file");
	r |= default_text(&h->runtime, "skerry");
	r |= default_text(&h->ipc_mode, "private");
	r |= default_text(&h->cgroupns_mode, "private");
	if (h->shm_size == 0)
		h->shm_size = SHM_SIZE_DEFAULT;
	if (h->oom_kill_disable == 0) /* means nothing on cgroup v2; Docker shows null */
		h->oom_kill_disable = BIND_UNSET_BOOL;
	if (h->memory > 0 && h->memory_swap == 0) /* swap as much again, as Docker does */
		h->memory_swap = h->memory * 2;
	return r ? -ENOMEM : 0;
}

int create_config_read(yyjson_val *body, struct create_config *c, struct err *e)
{
	int r;

	if (!yyjson_is_obj(body))
		return err_set(
			e, EINVAL,
			"invalid JSON: expected an object with the container's configuration");
	if (yyjson_obj_size(body) == 0)
		return err_set(e, EINVAL, "config cannot be empty in order to create a container");
	r = bind_read(&container_config_table, body, &c->config, "", e);
	if (r == 0)
		r = bind_read(&host_config_table, yyjson_obj_get(body, "HostConfig"), &c->host,
			      "HostConfig", e);
	if (r == 0)
		r = bind_read(&networking_config_table, yyjson_obj_get(body, "NetworkingConfig"),
			      &c->networking, "NetworkingConfig", e);
	if (r == 0 && create_config_defaults(c) < 0)
		r = err_errno(e, ENOMEM, "container configuration");
	return r;
}
