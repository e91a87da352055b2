/*
 * _ping, version, info: who we are. Read by every client before anything else.
 */
#include "engine/api/inside.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>

#include "init/base/cgroup.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/str.h"

void system_ping(struct http_req *r)
{
	http_header(r, "Builder-Version", "1");
	http_header(r, "Swarm", "inactive");
	http_header(r, "Cache-Control", "no-cache, no-store, must-revalidate");
	http_header(r, "Pragma", "no-cache");
	if (strcmp(r->method, "HEAD") == 0)
		http_reply(r, 200, "text/plain; charset=utf-8", NULL, 0);
	else
		http_reply_text(r, 200, "OK");
}

/* Docker writes architectures as Go does here, and as uname does in info. */
static const char *go_arch(const char *machine)
{
	static const char *const names[][2] = { { "x86_64", "amd64" }, { "aarch64", "arm64" } };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i][0], machine) == 0)
			return names[i][1];
	return machine;
}

/* When this program was made: its file's time, which the image's build sets. "" when unknown. */
static void build_time(char *buf, size_t size)
{
	struct stat st;
	struct tm t;

	buf[0] = '\0';
	if (stat("/proc/self/exe", &st) == 0 && gmtime_r(&st.st_mtime, &t))
		strftime(buf, size, "%Y-%m-%dT%H:%M:%S.000000000+00:00", &t);
}

/* What Docker says both in the component and, for old clients, beside it. There is no Go in here,
 * and no version control in a machine. */
static void write_facts(struct json_writer *w, const struct utsname *u)
{
	char built[48];

	build_time(built, sizeof(built));
	json_member_str(w, "ApiVersion", API_VERSION);
	json_member_str(w, "MinAPIVersion", API_VERSION_MIN);
	json_member_str(w, "Arch", go_arch(u->machine));
	json_member_str(w, "BuildTime", built);
	json_member_str(w, "GitCommit", "");
	json_member_str(w, "GoVersion", "");
	json_member_str(w, "KernelVersion", u->release);
	json_member_str(w, "Os", "linux");
}

static void write_component(struct json_writer *w, const struct utsname *u)
{
	json_begin_object(w);
	json_member_str(w, "Name", "Engine");
	json_member_str(w, "Version", SKERRY_VERSION);
	json_key(w, "Details");
	json_begin_object(w);
	write_facts(w, u);
	json_member_str(w, "Experimental", "false");
	json_end_object(w);
	json_end_object(w);
}

void system_version(struct http_req *r)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct json_writer w;
	struct utsname u;

	uname(&u);
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_key(&w, "Platform");
	json_begin_object(&w);
	json_member_str(&w, "Name", "Skerry");
	json_end_object(&w);
	json_key(&w, "Components");
	json_begin_array(&w);
	write_component(&w, &u);
	json_end_array(&w);
	json_member_str(&w, "Version", SKERRY_VERSION);
	write_facts(&w, &u);
	json_end_object(&w);
	api_reply(r, 200, &b);
}

static void write_list(struct json_writer *w, const char *key, const char *const *items)
{
	json_key(w, key);
	json_begin_array(w);
	for (; items && *items; items++)
		json_str(w, *items);
	json_end_array(w);
}

/* Docker's words for the file system below the layers: "extfs" is the family of ext4. */
static void write_driver_status(struct json_writer *w, const struct engine *en)
{
	struct statfs fs = { 0 };
	const char *pairs[][2] = {
		{ "Backing Filesystem", "unknown" },
		{ "Supports d_type", "true" },
		{ "Native Overlay Diff", "true" },
	};

	if (en->state_dir && statfs(en->state_dir, &fs) == 0)
		pairs[0][1] = fs.f_type == EXT4_SUPER_MAGIC ? "extfs"
			      : fs.f_type == TMPFS_MAGIC    ? "tmpfs"
							    : "unknown";
	json_key(w, "DriverStatus");
	json_begin_array(w);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		json_begin_array(w);
		json_str(w, pairs[i][0]);
		json_str(w, pairs[i][1]);
		json_end_array(w);
	}
	json_end_array(w);
}

static void write_plugins(struct engine *en, struct json_writer *w)
{
	_cleanup_(strv_free) char **volume = NULL;
	static const char *const network[] = { "bridge", "host", "null", NULL };
	static const char *const log[] = { "json-file", "local", "syslog", NULL };

	if (strv_add(&volume, VOLUME_LOCAL) == 0)
		(void)volume_drivers(en->volumes, &volume, NULL);
	json_key(w, "Plugins");
	json_begin_object(w);
	write_list(w, "Volume", (const char *const *)volume);
	write_list(w, "Network", network);
	json_key(w, "Authorization");
	json_null(w);
	write_list(w, "Log", log);
	json_end_object(w);
}

/* What containers can be limited by: the controllers that the machine has. */
static void write_abilities(struct json_writer *w, char ***warnings)
{
	static const struct {
		const char *key, *controller, *warning;
	} abilities[] = {
		{ "MemoryLimit", "memory", "WARNING: No memory limit support" },
		{ "SwapLimit", "memory", "WARNING: No swap limit support" },
		{ "CpuCfsPeriod", "cpu", "WARNING: No cpu cfs period support" },
		{ "CpuCfsQuota", "cpu", "WARNING: No cpu cfs quota support" },
		{ "CPUShares", "cpu", "WARNING: No cpu shares support" },
		{ "CPUSet", "cpuset", "WARNING: No cpuset support" },
		{ "PidsLimit", "pids", "WARNING: No pids limit support" },
	};
	_cleanup_(strv_free) char **have = NULL;
	_cleanup_(mem_free) char *text = NULL, *forwarding = NULL;
	bool forwards;

	if (file_read(AT_FDCWD, CGROUP_ROOT "/cgroup.controllers", 4096, &text, NULL, NULL) == 0)
		have = strv_split(text, " \n", false);
	for (size_t i = 0; i < ARRAY_SIZE(abilities); i++) {
		bool there = strv_has(have, abilities[i].controller);

		json_member_bool(w, abilities[i].key, there);
		if (!there)
			strv_add(warnings, abilities[i].warning);
	}
	forwards = file_read(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", 16, &forwarding, NULL,
			     NULL) == 0 &&
		   forwarding[0] == '1';
	json_member_bool(w, "IPv4Forwarding", forwards);
	if (!forwards)
		strv_add(warnings, "WARNING: IPv4 forwarding is disabled");
}

/* What is the same everywhere: the engine has one way of doing these. */
static void write_fixed(struct json_writer *w)
{
	static const struct {
		const char *key;
		bool value;
	} fixed[] = {
		{ "OomKillDisable", false }, /* cgroup v2 has no such switch */
		{ "Debug", false },
		{ "ExperimentalBuild", false },
		{ "LiveRestoreEnabled", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		json_member_bool(w, fixed[i].key, fixed[i].value);
}

static size_t open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *d;
	size_t n = 0;

	while (dir && (d = readdir(dir)))
		n += d->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n > 0 ? n - 1 : 0; /* without this one */
}

/* Numbers of this process, as Docker's debug part has them; there are no goroutines. */
static void write_debug(struct json_writer *w, struct engine *en)
{
	json_member_i64(w, "NFd", (int64_t)open_descriptors());
	json_member_i64(w, "NGoroutines", 0);
	json_member_i64(w, "NEventsListener", (int64_t)events_listeners(en->events));
}

static void write_secure(struct json_writer *w, const char *name, const char *const *mirrors,
			 bool official)
{
	json_key(w, name);
	json_begin_object(w);
	write_list(w, "Mirrors", mirrors);
	json_member_str(w, "Name", name);
	json_member_bool(w, "Official", official);
	json_member_bool(w, "Secure", official);
	json_end_object(w);
}

/* Networks without TLS in one list, registries in another. */
static void write_registry(struct json_writer *w, struct engine *en)
{
	const char *const *mirrors = (const char *const *)registry_mirrors(en->registry);
	char *const *insecure = registry_insecure(en->registry);

	json_member_str(w, "IndexServerAddress", HUB_LOGIN);
	json_key(w, "RegistryConfig");
	json_begin_object(w);
	json_key(w, "InsecureRegistryCIDRs");
	json_begin_array(w);
	json_str(w, "::1/128");
	json_str(w, "127.0.0.0/8");
	for (size_t i = 0; i < strv_len(insecure); i++)
		if (strchr(insecure[i], '/'))
			json_str(w, insecure[i]);
	json_end_array(w);
	json_key(w, "IndexConfigs");
	json_begin_object(w);
	write_secure(w, "docker.io", mirrors, true);
	for (size_t i = 0; i < strv_len(insecure); i++)
		if (!strchr(insecure[i], '/'))
			write_secure(w, insecure[i], NULL, false);
	json_end_object(w);
	write_list(w, "Mirrors", mirrors);
	json_end_object(w);
}

static void write_commit(struct json_writer *w, const char *key, const char *id)
{
	json_key(w, key);
	json_begin_object(w);
	json_member_str(w, "ID", id);
	json_end_object(w);
}

/* What other engines are made of and this one is not: empty, but there. */
static void write_parts(struct json_writer *w)
{
	json_key(w, "Containerd");
	json_null(w);
	write_commit(w, "ContainerdCommit", "");
	write_commit(w, "RuncCommit", "");
	write_commit(w, "InitCommit", "");
	json_key(w, "FirewallBackend");
	json_begin_object(w);
	json_member_str(w, "Driver", "nftables");
	json_end_object(w);
	json_key(w, "GenericResources");
	json_null(w);
	write_list(w, "CDISpecDirs", NULL);
	write_list(w, "DiscoveredDevices", NULL);
	json_member_str(w, "ProductLicense", "Apache-2.0");
}

static void write_counts(struct json_writer *w, struct engine *en)
{
	size_t running = 0, paused = 0, all = containers_count(en->containers, &running, &paused);

	json_member_i64(w, "Containers", (int64_t)all);
	json_member_i64(w, "ContainersRunning", (int64_t)running);
	json_member_i64(w, "ContainersPaused", (int64_t)paused);
	json_member_i64(w, "ContainersStopped", (int64_t)(all - running - paused));
	json_member_i64(w, "Images", (int64_t)images_count(en->images));
}

static void write_machine(struct json_writer *w, const struct engine *en)
{
	struct sysinfo si = { 0 };
	struct utsname u;
	char now[CLOCK_TEXT_MAX];

	uname(&u);
	sysinfo(&si);
	clock_format(clock_real_ns(), now);
	json_member_str(w, "SystemTime", now);
	json_member_str(w, "KernelVersion", u.release);
	json_member_str(w, "OperatingSystem", "Skerry " SKERRY_VERSION);
	json_member_str(w, "OSVersion", SKERRY_VERSION);
	json_member_str(w, "OSType", "linux");
	json_member_str(w, "Architecture", u.machine);
	json_member_i64(w, "NCPU", sysconf(_SC_NPROCESSORS_ONLN));
	json_member_i64(w, "MemTotal", (int64_t)si.totalram * si.mem_unit);
	json_member_str(w, "Name", u.nodename);
	json_member_str(w, "DockerRootDir", en->state_dir);
}

/* Both names are taken (HostConfig.Runtime); there is one runtime behind them. */
static void write_runtime(struct json_writer *w)
{
	static const char *const names[] = { "runc", "skerry" };

	json_key(w, "Runtimes");
	json_begin_object(w);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		json_key(w, names[i]);
		json_begin_object(w);
		json_member_str(w, "path", "skerryd");
		json_end_object(w);
	}
	json_end_object(w);
	json_member_str(w, "DefaultRuntime", "skerry");
	json_key(w, "Swarm");
	json_begin_object(w);
	json_member_str(w, "NodeID", "");
	json_member_str(w, "NodeAddr", "");
	json_member_str(w, "LocalNodeState", "inactive");
	json_member_bool(w, "ControlAvailable", false);
	json_member_str(w, "Error", "");
	json_key(w, "RemoteManagers");
	json_null(w);
	json_end_object(w);
}

void system_info(struct http_req *r)
{
	struct engine *en = engine_of(r);
	const char *const security[] = { "name=seccomp,profile=builtin",
					 en->userns_remap ? "name=userns" : "name=cgroupns",
					 en->userns_remap ? "name=cgroupns" : NULL, NULL };
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	_cleanup_(strv_free) char **warnings = NULL;
	struct json_writer w;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_str(&w, "ID", en->machine_id ? en->machine_id : "");
	write_counts(&w, en);
	json_member_str(&w, "Driver", "overlay2");
	write_driver_status(&w, en);
	write_plugins(en, &w);
	write_abilities(&w, &warnings);
	write_fixed(&w);
	write_debug(&w, en);
	json_member_str(&w, "LoggingDriver", "json-file");
	json_member_str(&w, "CgroupDriver", "cgroupfs");
	json_member_str(&w, "CgroupVersion", "2");
	write_machine(&w, en);
	write_registry(&w, en);
	json_member_str(&w, "HttpProxy", "");
	json_member_str(&w, "HttpsProxy", "");
	json_member_str(&w, "NoProxy", "");
	write_list(&w, "Labels", NULL);
	json_member_str(&w, "ServerVersion", SKERRY_VERSION);
	write_runtime(&w);
	write_parts(&w);
	json_member_str(&w, "Isolation", "");
	json_member_str(&w, "InitBinary", en->init_program ? en->init_program : "");
	write_list(&w, "SecurityOptions", security);
	write_list(&w, "Warnings", (const char *const *)warnings);
	json_end_object(&w);
	api_reply(r, 200, &b);
}
