/*
 * Create requests: what is taken, what is refused with which error and words, and what is dropped
 * with a warning.
 */
#include "engine/container/config.h"
#include "engine/data/json.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

/* Reads and checks a request of these HostConfig members and further Config members. */
static int take(const char *host, const char *config, struct create_config *c, char ***warnings,
		struct err *e)
{
	_cleanup_(mem_free) char *text =
		str_printf("{\"Image\":\"i\"%s%s,\"HostConfig\":{%s}}", config ? "," : "",
			   config ? config : "", host ? host : "");
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root;
	int r = json_parse_object(text, strlen(text), &doc, &root, e);

	if (r == 0)
		r = create_config_read(root, c, e);
	return r < 0 ? r : create_config_check(c, warnings, e);
}

#define LOG(type, options) "\"LogConfig\":{\"Type\":\"" type "\",\"Config\":{" options "}}"

static const struct {
	const char *host, *config;
	int error;
	const char *text;
} refusals[] = {
	{ LOG("odd", ""), NULL, EINVAL, "logger: no log driver named 'odd' is registered" },
	{ LOG("journald", ""), NULL, EINVAL, "no log driver named 'journald' is registered" },
	{ LOG("none", "\"tag\":\"x\""), NULL, EINVAL, "invalid logging opts for driver none" },
	{ LOG("json-file", "\"odd\":\"1\""), NULL, EINVAL,
	  "unknown log opt 'odd' for json-file log driver" },
	{ LOG("local", "\"syslog-address\":\"x\""), NULL, EINVAL,
	  "unknown log opt 'syslog-address' for local log driver" },
	{ LOG("syslog", "\"odd\":\"1\""), NULL, EINVAL,
	  "unknown log opt 'odd' for syslog log driver" },
	{ LOG("syslog", "\"max-size\":\"1m\""), NULL, EINVAL,
	  "unknown log opt 'max-size' for syslog log driver" },
	{ LOG("syslog", "\"syslog-address\":\"http://h\""), NULL, EINVAL,
	  "log opt syslog-address: unsupported scheme: 'http'" },
	{ LOG("syslog", "\"syslog-address\":\"unix:///not/there\""), NULL, EINVAL,
	  "log opt syslog-address: /not/there: " },
	{ LOG("syslog", "\"syslog-facility\":\"odd\""), NULL, EINVAL,
	  "log opt syslog-facility: invalid syslog facility" },
	{ LOG("syslog", "\"syslog-format\":\"odd\""), NULL, EINVAL,
	  "log opt syslog-format: Invalid syslog format" },
	{ LOG("syslog", "\"tag\":\"{{.Odd}}\""), NULL, EINVAL, "tag" },
	{ LOG("syslog", "\"cache-max-file\":\"1\""), NULL, EINVAL, "cache-compress" },
	{ LOG("syslog", "\"cache-max-size\":\"0\""), NULL, EINVAL, "cache-max-size" },
	{ LOG("syslog", "\"syslog-tls-skip-verify\":\"true\",\"syslog-address\":\"tcp://h\""), NULL,
	  EINVAL, "log opt syslog-tls-skip-verify: needs a syslog-address with tcp+tls://" },
	{ LOG("syslog", "\"syslog-address\":\"tcp+tls://h\""), NULL, EINVAL,
	  "log opt syslog-tls-ca-cert: is needed" },
	{ LOG("syslog", "\"syslog-address\":\"tcp+tls://h\",\"syslog-tls-ca-cert\":\"/not/there\""),
	  NULL, EINVAL, "log opt syslog-tls-ca-cert: /not/there: " },
	{ LOG("syslog", "\"syslog-address\":\"tcp+tls://h\",\"syslog-tls-ca-cert\":\"rel\""), NULL,
	  EINVAL, "log opt syslog-tls-ca-cert: 'rel' is not an absolute path" },
	{ LOG("syslog",
	      "\"syslog-address\":\"tcp+tls://h\",\"syslog-tls-ca-cert\":\"/etc/passwd\""),
	  NULL, EINVAL, "log opts syslog-tls-*: /etc/passwd: " },
	{ LOG("syslog", "\"syslog-address\":\"tcp+tls://h\",\"syslog-tls-cert\":\"/etc/passwd\","
			"\"syslog-tls-skip-verify\":\"true\""),
	  NULL, EINVAL, "log opts syslog-tls-cert and syslog-tls-key go together" },
	{ LOG("json-file", "\"max-size\":\"x\""), NULL, EINVAL, "max-size" },
	{ LOG("json-file", "\"max-file\":\"0\""), NULL, EINVAL, "max-file" },
	{ LOG("json-file", "\"max-file\":\"1001\""), NULL, EINVAL, "max-file" },
	{ LOG("json-file", "\"compress\":\"yes\""), NULL, EINVAL, "compress" },
	{ LOG("json-file", "\"compress\":\"true\""), NULL, EINVAL,
	  "compress cannot be true when max-file is less than 2 or max-size is not set" },
	{ LOG("json-file", "\"compress\":\"1\",\"max-file\":\"2\""), NULL, EINVAL, "max-size" },
	{ LOG("local", "\"max-file\":\"1\""), NULL, EINVAL,
	  "compression cannot be enabled when max file count is 1" },
	{ LOG("json-file", "\"labels-regex\":\"(\""), NULL, EINVAL, "labels-regex" },
	{ LOG("json-file", "\"env-regex\":\"a{9}\""), NULL, EINVAL, "env-regex" },
	{ LOG("json-file", "\"env-regex\":\"(a)\\\\1\""), NULL, EINVAL, "env-regex" },
	{ LOG("json-file", "\"tag\":\"{{.Odd}}\""), NULL, EINVAL, "tag: '{{.Odd}}'" },
	{ LOG("json-file", "\"tag\":\"a{{.ID\""), NULL, EINVAL, "tag: '{{.ID'" },
	{ LOG("json-file", "\"mode\":\"odd\""), NULL, EINVAL,
	  "logger: logging mode not supported: odd" },
	{ LOG("json-file", "\"max-buffer-size\":\"1m\""), NULL, EINVAL,
	  "max-buffer-size option is only supported with 'mode=non-blocking'" },
	{ LOG("json-file", "\"mode\":\"non-blocking\",\"max-buffer-size\":\"x\""), NULL, EINVAL,
	  "error parsing option max-buffer-size" },
	{ LOG("json-file", "\"cache-disabled\":\"x\""), NULL, EINVAL,
	  "invalid value for option cache-disabled: x" },
	{ "\"Memory\":1", NULL, EINVAL, "Minimum memory limit allowed is 6MB" },
	{ "\"MemorySwap\":9000000", NULL, EINVAL, "always set the Memory limit" },
	{ "\"Memory\":9000000,\"MemorySwap\":8000000", NULL, EINVAL,
	  "Minimum memoryswap limit should be larger" },
	{ "\"MemorySwap\":-2", NULL, EINVAL, "HostConfig.MemorySwap" },
	{ "\"MemoryReservation\":-1", NULL, EINVAL, "HostConfig.MemoryReservation" },
	{ "\"MemoryReservation\":1000", NULL, EINVAL, "Minimum memory reservation" },
	{ "\"Memory\":9000000,\"MemoryReservation\":9000001", NULL, EINVAL,
	  "can not be less than memory reservation" },
	{ "\"NanoCpus\":-1", NULL, EINVAL, "range of CPUs" },
	{ "\"NanoCpus\":99999000000000", NULL, EINVAL, "range of CPUs" },
	{ "\"NanoCpus\":10000000,\"CpuPeriod\":1000", NULL, EINVAL, "Nano CPUs and CPU Period" },
	{ "\"CpuPeriod\":999", NULL, EINVAL, "CPU cfs period" },
	{ "\"CpuQuota\":999", NULL, EINVAL, "CPU cfs quota" },
	{ "\"CpuShares\":-1", NULL, EINVAL, "HostConfig.CpuShares" },
	{ "\"CpuRealtimePeriod\":1", NULL, EINVAL, "HostConfig.CpuRealtimePeriod" },
	{ "\"CpuRealtimeRuntime\":1", NULL, EINVAL, "HostConfig.CpuRealtimeRuntime" },
	{ "\"CpusetCpus\":\"0-\"", NULL, EINVAL, "Invalid value 0- for cpuset cpus" },
	{ "\"CpusetCpus\":\"0,\"", NULL, EINVAL, "Invalid value" },
	{ "\"CpusetCpus\":\"3-1\"", NULL, EINVAL, "Invalid value" },
	{ "\"CpusetMems\":\"a\"", NULL, EINVAL, "cpuset mems" },
	{ "\"BlkioWeight\":9", NULL, EINVAL, "Range of blkio weight" },
	{ "\"BlkioWeightDevice\":[{\"Path\":\"/d\",\"Weight\":1001}]", NULL, EINVAL,
	  "HostConfig.BlkioWeightDevice" },
	{ "\"BlkioDeviceReadBps\":[{\"Path\":\"/d\",\"Rate\":-1}]", NULL, EINVAL,
	  "HostConfig.BlkioDeviceReadBps" },
	{ "\"CpuCount\":1", NULL, EOPNOTSUPP, "HostConfig.CpuCount" },
	{ "\"IOMaximumBandwidth\":1", NULL, EOPNOTSUPP, "HostConfig.IOMaximumBandwidth" },
	{ "\"StorageOpt\":{\"size\":\"1g\"}", NULL, EOPNOTSUPP, "HostConfig.StorageOpt" },
	{ "\"ShmSize\":-1", NULL, EINVAL, "SHM size" },
	{ "\"OomScoreAdj\":1001", NULL, EINVAL, "range for oom score adj" },
	{ "\"IpcMode\":\"x\"", NULL, EINVAL, "invalid IPC mode: x" },
	{ "\"PidMode\":\"private\"", NULL, EINVAL, "invalid PID mode: private" },
	{ "\"PidMode\":\"container:\"", NULL, EINVAL, "invalid PID mode" },
	{ "\"UTSMode\":\"container:a\"", NULL, EINVAL, "invalid UTS mode" },
	{ "\"CgroupnsMode\":\"x\"", NULL, EINVAL, "invalid cgroup namespace mode" },
	{ "\"NetworkMode\":\"container:\"", NULL, EINVAL, "invalid container format" },
	{ "\"UTSMode\":\"host\"", "\"Hostname\":\"h\"", EINVAL, "hostname and the UTS mode" },
	{ "\"NetworkMode\":\"container:a\"", "\"Hostname\":\"h\"", EINVAL,
	  "hostname and the network mode" },
	{ "\"NetworkMode\":\"container:a\",\"Links\":[\"x\"]", NULL, EINVAL, "links" },
	{ "\"NetworkMode\":\"container:a\",\"Dns\":[\"1.1.1.1\"]", NULL, EINVAL, "dns and" },
	{ "\"NetworkMode\":\"container:a\",\"PublishAllPorts\":true", NULL, EINVAL,
	  "port publishing" },
	{ "\"NetworkMode\":\"container:a\"", "\"ExposedPorts\":{\"1/tcp\":{}}", EINVAL,
	  "port exposing" },
	{ "\"NetworkMode\":\"container:a\"", "\"MacAddress\":\"02:00:00:00:00:01\"", EINVAL,
	  "mac-address" },
	{ "\"NetworkMode\":\"host\",\"Links\":[\"x\"]", NULL, EINVAL, "host type networking" },
	{ "\"Runtime\":\"x\"", NULL, EINVAL, "unknown or invalid runtime name: x" },
	{ "\"Isolation\":\"hyperv\"", NULL, EINVAL, "invalid isolation \"hyperv\" on linux" },
	{ "\"CgroupParent\":\"a/../b\"", NULL, EINVAL, "HostConfig.CgroupParent" },
	{ "\"CgroupParent\":\"cgroup.procs\"", NULL, EINVAL, "HostConfig.CgroupParent" },
	{ "\"CgroupParent\":\"1/2/3/4/5/6/7/8/9\"", NULL, EINVAL, "more than 8 levels" },
	{ "\"CgroupParent\":"
	  "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
	  NULL, EINVAL, "HostConfig.CgroupParent" },
	{ "\"Sysctls\":{\"kernel.panic\":\"1\"}", NULL, EINVAL, "separate kernel namespace" },
	{ "\"Sysctls\":{\"kernel.semx\":\"1\"}", NULL, EINVAL, "separate kernel namespace" },
	{ "\"NetworkMode\":\"host\",\"Sysctls\":{\"net.a\":\"1\"}", NULL, EINVAL, "network" },
	{ "\"NetworkMode\":\"host\",\"Sysctls\":{\"net/a\":\"1\"}", NULL, EINVAL, "network" },
	{ "\"IpcMode\":\"container:a\",\"Sysctls\":{\"kernel.sem\":\"1\"}", NULL, EINVAL, "IPC" },
	{ "\"UTSMode\":\"host\",\"Sysctls\":{\"kernel.domainname\":\"1\"}", NULL, EINVAL, "UTS" },
	{ "\"Devices\":[{}]", NULL, EINVAL, "HostConfig.Devices" },
	{ "\"Devices\":[{\"PathOnHost\":\"/d\",\"PathInContainer\":\"x\"}]", NULL, EINVAL,
	  "HostConfig.Devices" },
	{ "\"Devices\":[{\"PathOnHost\":\"/d\",\"CgroupPermissions\":\"rx\"}]", NULL, EINVAL,
	  "r, w and m" },
	{ "\"DeviceCgroupRules\":[\"c 1:1\"]", NULL, EINVAL, "device cgroup rule format" },
	{ "\"DeviceRequests\":[{\"Driver\":\"nvidia\",\"Capabilities\":[[\"gpu\",\"x\"],["
	  "\"y\"]]}]",
	  NULL, EINVAL,
	  "could not select device driver \"nvidia\" with capabilities: [[gpu x] [y]]" },
	{ "\"DeviceRequests\":{}", NULL, EINVAL, "HostConfig.DeviceRequests" },
	{ "\"CapAdd\":[\"x\"]", NULL, EINVAL, "unknown capability" },
	{ "\"SecurityOpt\":[\"x\"]", NULL, EINVAL, "HostConfig.SecurityOpt: 'x'" },
	{ "\"SecurityOpt\":[\"no-new-privileges=x\"]", NULL, EINVAL, "true or false" },
	{ "\"SecurityOpt\":[\"apparmor=p\"]", NULL, EINVAL, "AppArmor" },
	{ "\"SecurityOpt\":[\"label=user:x\"]", NULL, EINVAL, "SELinux" },
	{ "\"SecurityOpt\":[\"systempaths=x\"]", NULL, EINVAL, "systempaths" },
	{ "\"SecurityOpt\":[\"seccomp={\"]", NULL, EINVAL, "seccomp profile" },
	{ "\"SecurityOpt\":[\"seccomp=\"]", NULL, EINVAL, "seccomp" },
	{ "\"Init\":\"yes\"", NULL, EINVAL, "Init" },
};

TEST(refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct create_config c;
		struct err e = { 0 };
		int r;

		create_config_init(&c);
		r = take(refusals[i].host, refusals[i].config, &c, NULL, &e);
		create_config_free(&c);
		CHECK_MSG(r == -refusals[i].error, "row %zu (%s): %d: %s", i, refusals[i].host, r,
			  err_text(&e));
		CHECK_MSG(strstr(err_text(&e), refusals[i].text),
			  "row %zu: \"%s\" does not say \"%s\"", i, err_text(&e), refusals[i].text);
	}
}

TEST(taken)
{
	static const struct {
		const char *host, *config;
	} rows[] = {
		{ "\"Memory\":6291456,\"MemorySwap\":-1", NULL },
		{ LOG("json-file",
		      "\"max-size\":\"1m\",\"max-file\":\"2\",\"compress\":\"true\","
		      "\"labels\":\"a\",\"labels-regex\":\"^a\",\"env\":\"b\","
		      "\"env-regex\":\"\",\"tag\":\"x{{.Name}}\",\"mode\":\"blocking\""),
		  NULL },
		{ LOG("syslog", ""), NULL },
		{ LOG("syslog",
		      "\"syslog-address\":\"tcp+tls://h\",\"syslog-tls-skip-verify\":\"true\","
		      "\"syslog-facility\":\"local3\",\"syslog-format\":\"rfc5424micro\","
		      "\"tag\":\"{{.Name}}\",\"labels\":\"a\",\"cache-disabled\":\"true\","
		      "\"mode\":\"non-blocking\",\"max-buffer-size\":\"64k\""),
		  NULL },
		{ LOG("local", "\"max-size\":\"1m\",\"max-file\":\"1\",\"compress\":\"0\","
			       "\"mode\":\"non-blocking\",\"max-buffer-size\":\"4m\","
			       "\"cache-disabled\":\"true\""),
		  NULL },
		{ "\"MemorySwap\":-1", NULL },
		{ "\"CpuQuota\":-1,\"CpuPeriod\":1000000", NULL },
		{ "\"NanoCpus\":10000000,\"CpusetCpus\":\"0\",\"CpusetMems\":\"0\"", NULL },
		{ "\"BlkioWeightDevice\":[],\"BlkioWeight\":10", NULL },
		{ "\"IpcMode\":\"container:a\",\"PidMode\":\"container:b\"", NULL },
		{ "\"NetworkMode\":\"container:c\",\"UTSMode\":\"host\"", NULL },
		{ "\"Runtime\":\"io.containerd.runc.v2\",\"Isolation\":\"default\"", NULL },
		{ "\"CgroupParent\":\"/a/b.slice/c_1\"", NULL },
		{ "\"Sysctls\":{\"net.ipv4.ip_forward\":\"1\",\"fs.mqueue.msg_max\":\"9\","
		  "\"kernel.shmmax\":\"1\",\"kernel.domainname\":\"x\"}",
		  NULL },
		{ "\"DeviceCgroupRules\":[\"a *:* rwm\",\"b 8:0 r\",\"c 1:* wm\"]", NULL },
		{ "\"DeviceRequests\":[]", NULL },
		{ "\"DeviceRequests\":null", NULL },
		{ "\"SecurityOpt\":[\"no-new-privileges:false\",\"label:disable\",\"apparmor=\","
		  "\"seccomp:unconfined\",\"writable-cgroups=true\",\"systempaths=unconfined\"]",
		  NULL },
		{ "\"SecurityOpt\":[\"seccomp={\\\"defaultAction\\\":\\\"SCMP_ACT_ALLOW\\\"}\"]",
		  NULL },
		{ "\"Init\":true,\"StorageOpt\":{},\"CpuCount\":0,\"Links\":[\"a:b\"]", NULL },
		{ "\"KernelMemory\":0", "\"Hostname\":\"h\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(strv_free) char **warnings = NULL;
		struct create_config c;
		struct err e = { 0 };
		int r;

		create_config_init(&c);
		r = take(rows[i].host, rows[i].config, &c, &warnings, &e);
		create_config_free(&c);
		CHECK_MSG(r == 0, "row %zu (%s): %s", i, rows[i].host, err_text(&e));
		CHECK_MSG(!warnings, "row %zu: %s", i, warnings ? warnings[0] : "");
	}
}

TEST(told_and_dropped)
{
	_cleanup_(strv_free) char **warnings = NULL;
	struct create_config c;
	struct err e = { 0 };

	create_config_init(&c);
	CHECK_MSG(take("\"MemorySwappiness\":60,\"OomKillDisable\":true,\"KernelMemory\":5,"
		       "\"KernelMemoryTCP\":5,\"PidsLimit\":-1",
		       NULL, &c, &warnings, &e) == 0,
		  "%s", err_text(&e));
	CHECK_INT(strv_len(warnings), 4);
	CHECK(c.host.memory_swappiness == BIND_UNSET_I64);
	CHECK(c.host.oom_kill_disable == BIND_UNSET_BOOL);
	CHECK(c.host.pids_limit == BIND_UNSET_I64);
	CHECK_INT(c.host.kernel_memory, 0);
	create_config_free(&c);
}

TEST(an_empty_list_of_paths_is_not_the_default)
{
	struct create_config c;
	struct err e = { 0 };

	create_config_init(&c);
	CHECK_INT(take("\"MaskedPaths\":[]", NULL, &c, NULL, &e), 0);
	CHECK(c.host.masked_paths && !c.host.masked_paths[0]);
	CHECK(!c.host.readonly_paths);
	create_config_free(&c);
}

TEST(security_options_by_name)
{
	char *const v[] = { (char *)"seccomp={\"a\":1}", (char *)"no-new-privileges",
			    (char *)"label:disable", NULL };

	CHECK_STR(security_option(v, "seccomp"), "{\"a\":1}");
	CHECK_STR(security_option(v, "no-new-privileges"), "");
	CHECK_STR(security_option(v, "label"), "disable");
	CHECK(!security_option(v, "lab"));
	CHECK(!security_option(NULL, "label"));
}
