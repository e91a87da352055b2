/* config.json to plan: what becomes of it, in which order, and what every kind of mistake is
 * told. */
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "engine/runtime/plan.h"
#include "engine/runtime/profile.h"
#include "init/base/buf.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

#ifndef MS_REC
#define MS_REC 16384
#define MS_PRIVATE (1 << 18)
#define MS_SHARED (1 << 20)
#endif

/* A config with the given text in place of process, extra linux members, and the rest. */
static int parse(const char *process, const char *linux_part, const char *rest, struct plan **ret,
		 struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(1 << 20);

	buf_printf(&b,
		   "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"rootfs\",\"readonly\":%s},"
		   "\"process\":%s,\"linux\":{\"namespaces\":[{"
		   "\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"uts\"},{\"type\":\"ipc\"},{"
		   "\"type\":\"network\",\"path\":"
		   "\"/run/netns/x\"}]%s%s}%s%s}",
		   linux_part && strstr(linux_part, "maskedPaths\":[\"/") ? "true" : "false",
		   process ? process : "{\"cwd\":\"/\",\"args\":[\"true\"]}", linux_part ? "," : "",
		   linux_part ? linux_part : "", rest ? "," : "", rest ? rest : "");
	return plan_parse(b.data, b.len, ret, e);
}

static const struct plan_op *find(const struct plan *p, enum plan_op_kind kind, size_t nth)
{
	for (size_t i = 0; i < p->n_ops; i++)
		if (p->ops[i].kind == kind && nth-- == 0)
			return &p->ops[i];
	return NULL;
}

TEST(smallest_config)
{
	_cleanup_(plan_free) struct plan *p = NULL;
	struct err e = { 0 };

	CHECK_MSG(parse(NULL, NULL, NULL, &p, &e) == 0, "%s", err_text(&e));
	CHECK_STR(p->root, "rootfs");
	CHECK_STR(p->process.args[0], "true");
	CHECK_INT(p->process.umask, -1);
	CHECK(!p->process.has_caps && !p->seccomp && !p->process.has_oom_score);
	CHECK(p->ns[NS_MOUNT].wanted && !p->ns[NS_MOUNT].path);
	CHECK_STR(p->ns[NS_NETWORK].path, "/run/netns/x");
	CHECK(!p->ns[NS_USER].wanted && !p->ns[NS_TIME].wanted);
	/* six devices, the links and the directory come by themselves */
	CHECK_INT(p->n_ops, 8);
	CHECK_STR(find(p, OP_DEVICE, 0)->device.path, "/dev/null");
	CHECK_STR(find(p, OP_CWD, 0)->path, "/");
}

TEST(steps_are_in_order)
{
	_cleanup_(plan_free) struct plan *p = NULL;
	struct err e = { 0 };
	int last = -1;

	CHECK_MSG(parse("{\"cwd\":\"/srv\",\"args\":[\"a\"],\"terminal\":true}",
			"\"maskedPaths\":[\"/proc/kcore\"],\"readonlyPaths\":[\"/proc/"
			"sys\"],\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}",
			"\"hostname\":\"box\",\"domainname\":\"lan\",\"mounts\":[{\"destination\":"
			"\"/proc\","
			"\"type\":\"proc\"},{\"destination\":\"/a\",\"type\":\"tmpfs\"}]",
			&p, &e) == 0,
		  "%s", err_text(&e));
	for (size_t i = 0; i < p->n_ops; i++) {
		CHECK((int)p->ops[i].kind >= last);
		last = (int)p->ops[i].kind;
	}
	CHECK_STR(p->ops[0].mount.destination, "/proc");
	CHECK_INT(p->ops[0].mount.kind, PLAN_MOUNT_PROC);
	CHECK_STR(p->ops[1].mount.destination, "/a");
	CHECK_INT(p->ops[p->n_ops - 1].kind, OP_ROOT_READONLY);
	CHECK(find(p, OP_CONSOLE, 0));
	CHECK_STR(find(p, OP_SYSCTL, 0)->path, "net/ipv4/ip_forward");
	CHECK_STR(find(p, OP_SYSCTL, 0)->key, "linux.sysctl.net.ipv4.ip_forward");
}

static int mount_with(const char *type, const char *options, struct plan **ret, struct err *e)
{
	char text[1024];

	(void)str_format(text, sizeof(text),
			 "\"mounts\":[{\"destination\":\"/m\",\"source\":\"/"
			 "src\",\"type\":\"%s\",\"options\":[%s]}]",
			 type, options);
	return parse(NULL, NULL, text, ret, e);
}

TEST(mount_options)
{
	static const struct {
		const char *type, *options;
		enum plan_mount_kind kind;
		uint64_t set, clear, rec_set, propagation;
		bool recursive;
		const char *data;
	} rows[] = {
		{ "bind", "\"rbind\",\"ro\",\"rprivate\"", PLAN_MOUNT_BIND, MOUNT_ATTR_RDONLY, 0, 0,
		  MS_PRIVATE, true, NULL },
		{ "none", "\"bind\",\"rro\",\"nosuid\"", PLAN_MOUNT_BIND, MOUNT_ATTR_NOSUID, 0,
		  MOUNT_ATTR_RDONLY, 0, false, NULL },
		{ "bind", "\"ro\",\"rw\"", PLAN_MOUNT_BIND, 0, MOUNT_ATTR_RDONLY, 0, 0, false,
		  NULL },
		{ "bind", "\"rw\",\"ro\"", PLAN_MOUNT_BIND, MOUNT_ATTR_RDONLY, 0, 0, 0, false,
		  NULL },
		{ "tmpfs", "\"size=64m\",\"mode=755\",\"noexec\",\"shared\"", PLAN_MOUNT_FS,
		  MOUNT_ATTR_NOEXEC, 0, 0, MS_SHARED, false, "size=64m mode=755" },
		{ "tmpfs", "\"noatime\",\"strictatime\"", PLAN_MOUNT_FS, MOUNT_ATTR_STRICTATIME,
		  MOUNT_ATTR__ATIME, 0, 0, false, NULL },
		{ "cgroup", "\"ro\"", PLAN_MOUNT_CGROUP, MOUNT_ATTR_RDONLY, 0, 0, 0, false, NULL },
		{ "sysfs", "\"defaults\"", PLAN_MOUNT_SYSFS, 0, 0, 0, 0, false, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(plan_free) struct plan *p = NULL;
		_cleanup_(mem_free) char *data = NULL;
		const struct plan_mount *m;
		struct err e = { 0 };

		CHECK_MSG(mount_with(rows[i].type, rows[i].options, &p, &e) == 0, "%s",
			  err_text(&e));
		m = &p->ops[0].mount;
		CHECK_INT(m->kind, rows[i].kind);
		CHECK_INT(m->set, rows[i].set);
		CHECK_INT(m->clear, rows[i].clear);
		CHECK_INT(m->rec_set, rows[i].rec_set);
		CHECK_INT(m->propagation, rows[i].propagation);
		CHECK_INT(m->recursive, rows[i].recursive);
		data = m->data ? strv_join(m->data, " ") : NULL;
		CHECK(rows[i].data ? str_eq(data, rows[i].data) : !data);
	}
}

static const char *knob(const struct plan_resources *r, const char *file)
{
	for (size_t i = 0; i < r->n_knobs; i++)
		if (str_eq(r->knobs[i].file, file))
			return r->knobs[i].value;
	return NULL;
}

TEST(resources_become_knobs)
{
	static const char json[] =
		"{\"memory\":{\"limit\":67108864,\"swap\":100663296,\"reservation\":33554432},"
		"\"cpu\":{\"shares\":1024,\"quota\":50000,"
		"\"cpus\":\"0-1\"},\"pids\":{\"limit\":100},\"blockIO\":{\"weight\":500,"
		"\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,"
		"\"rate\":1048576}]},\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304}],"
		"\"unified\":{\"memory.high\":\"50M\"}}";
	_cleanup_(plan_resources_clear) struct plan_resources r = { 0 };
	struct err e = { 0 };

	CHECK_MSG(plan_parse_resources(json, strlen(json), &r, &e) == 0, "%s", err_text(&e));
	CHECK_STR(knob(&r, "memory.max"), "67108864");
	CHECK_STR(knob(&r, "memory.swap.max"), "33554432");
	CHECK_STR(knob(&r, "memory.low"), "33554432");
	CHECK_STR(knob(&r, "cpu.weight"), "100");
	CHECK_STR(knob(&r, "cpu.max"), "50000 100000");
	CHECK_STR(knob(&r, "cpuset.cpus"), "0-1");
	CHECK_STR(knob(&r, "pids.max"), "100");
	CHECK_STR(knob(&r, "io.weight"), "4950");
	CHECK_STR(knob(&r, "io.max"), "8:0 rbps=1048576");
	CHECK_STR(knob(&r, "hugetlb.2MB.max"), "4194304");
	CHECK_STR(knob(&r, "memory.high"), "50M");
}

TEST(resources_without_limits)
{
	static const char json[] = "{\"memory\":{\"limit\":-1,\"swap\":-1},\"pids\":{\"limit\":-1},"
				   "\"cpu\":{\"shares\":2,\"period\":50000},"
				   "\"blockIO\":{}}";
	_cleanup_(plan_resources_clear) struct plan_resources r = { 0 };

	CHECK_INT(plan_parse_resources(json, strlen(json), &r, NULL), 0);
	CHECK_STR(knob(&r, "memory.max"), "max");
	CHECK_STR(knob(&r, "memory.swap.max"), "max");
	CHECK_STR(knob(&r, "pids.max"), "max");
	CHECK_STR(knob(&r, "cpu.weight"), "1");
	CHECK_STR(knob(&r, "cpu.max"), "max 50000");
}

TEST(weights_of_devices)
{
	static const char json[] =
		"{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":16,\"weight\":0},"
		"{\"major\":8,\"minor\":0,\"weight\":300}]}}";
	static const char bad[] = "{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,"
				  "\"weight\":5}]}}";
	_cleanup_(plan_resources_clear) struct plan_resources r = { 0 }, none = { 0 };
	struct err e = { 0 };

	CHECK_INT(plan_parse_resources(json, strlen(json), &r, NULL), 0);
	CHECK_INT(r.n_knobs, 1);
	CHECK_STR(knob(&r, "io.bfq.weight"), "8:0 300");
	CHECK_INT(plan_parse_resources(bad, strlen(bad), &none, &e), -EINVAL);
	CHECK(strstr(e.text, "resources.blockIO.weightDevice[0].weight"));
}

TEST(a_subpath_of_a_source)
{
	_cleanup_(plan_free) struct plan *p = NULL;
	struct err e = { 0 };

	CHECK_MSG(parse(NULL, NULL,
			"\"mounts\":[{\"destination\":\"/m\",\"source\":\"/v\",\"type\":"
			"\"bind\",\"options\":[\"rbind\",\"rro\"],\"subpath\":\"a/b\"}]",
			&p, &e) == 0,
		  "%s", err_text(&e));
	CHECK_STR(find(p, OP_MOUNT, 0)->mount.subpath, "a/b");
	CHECK_INT(find(p, OP_MOUNT, 0)->mount.rec_set, MOUNT_ATTR_RDONLY);
	CHECK_INT(find(p, OP_MOUNT, 0)->mount.taken, 0);
}

TEST(sysctls_by_namespace)
{
	static const struct {
		const char *name;
		enum sysctl_space space;
	} rows[] = {
		{ "net.ipv4.ip_forward", SYSCTL_OF_NETWORK },
		{ "net/ipv4/conf/eth0.7/x", SYSCTL_OF_NETWORK },
		{ "network", SYSCTL_OF_MACHINE },
		{ "fs.mqueue.msg_max", SYSCTL_OF_IPC },
		{ "fs.mqueue", SYSCTL_OF_MACHINE },
		{ "kernel.sem", SYSCTL_OF_IPC },
		{ "kernel/shmmax", SYSCTL_OF_IPC },
		{ "kernel.sem.x", SYSCTL_OF_MACHINE },
		{ "kernel.domainname", SYSCTL_OF_UTS },
		{ "kernel.hostname", SYSCTL_OF_MACHINE },
		{ "", SYSCTL_OF_MACHINE },
		{ "vm.swappiness", SYSCTL_OF_MACHINE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_MSG(sysctl_space(rows[i].name) == rows[i].space, "%s", rows[i].name);
}

TEST(process_in_full)
{
	static const char json[] =
		"{\"cwd\":\"/w\",\"args\":[\"a\",\"b "
		"c\"],\"env\":[\"A=1\",\"B=\"],\"user\":{\"uid\":1000,\"gid\":1001,\"umask\":18,"
		"\"additionalGids\":[5,6]},\"capabilities\":{\"bounding\":[\"CAP_KILL\"],"
		"\"permitted\":[\"CAP_KILL\"],\"effective\":[]},"
		"\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":10,\"hard\":"
		"18446744073709551615}],\"noNewPrivileges\":true,"
		"\"oomScoreAdj\":-7,\"ioPriority\":{\"class\":\"IOPRIO_CLASS_IDLE\"},"
		"\"consoleSize\":{\"height\":24,\"width\":80}}";
	_cleanup_(plan_process_clear) struct plan_process p = { 0 };
	struct err e = { 0 };

	CHECK_MSG(plan_parse_process(json, strlen(json), &p, &e) == 0, "%s", err_text(&e));
	CHECK_STR(p.args[1], "b c");
	CHECK_INT(p.uid, 1000);
	CHECK_INT(p.umask, 18);
	CHECK(p.n_groups == 2 && p.groups[1] == 6);
	CHECK(p.has_caps && p.bounding == 1 << 5 && p.permitted == 1 << 5 && p.effective == 0);
	CHECK_INT(p.rlimits[0].resource, RLIMIT_NOFILE);
	CHECK(p.rlimits[0].hard == UINT64_MAX);
	CHECK(p.no_new_privs && p.has_oom_score && p.oom_score_adj == -7);
	CHECK_INT(p.io_priority, 3 << 13);
	CHECK(p.rows == 24 && p.cols == 80);
}

struct wrong {
	const char *process, *linux_part, *rest, *text;
};

static const struct wrong mistakes[] = {
	{ "{\"args\":[\"a\"]}", NULL, NULL, "process.cwd: is missing" },
	{ "{\"cwd\":\"w\",\"args\":[\"a\"]}", NULL, NULL, "process.cwd: must be an absolute path" },
	{ "{\"cwd\":\"/\"}", NULL, NULL, "process.args: is missing" },
	{ "{\"cwd\":\"/\",\"args\":[]}", NULL, NULL, "process.args: must not be empty" },
	{ "{\"cwd\":\"/\",\"args\":[1]}", NULL, NULL, "process.args[0]: must be a string" },
	{ "{\"cwd\":\"/\",\"args\":[\"a\\u0000b\"]}", NULL, NULL,
	  "process.args[0]: must not hold a NUL" },
	{ "{\"cwd\":\"/\",\"args\":[\"a\"],\"env\":[\"NOVALUE\"]}", NULL, NULL,
	  "process.env[0]: must be NAME=value" },
	{ "{\"cwd\":\"/\",\"args\":[\"a\"],\"user\":{\"uid\":-1}}", NULL, NULL,
	  "process.user.uid: must be from 0" },
	{ "{\"cwd\":\"/\",\"args\":[\"a\"],\"user\":{\"uid\":4294967295}}", NULL, NULL,
	  "process.user: uid and gid" },
	{ "{\"cwd\":\"/\",\"args\":[\"a\"],\"capabilities\":{\"bounding\":[\"CAP_ROOT\"]}}", NULL,
	  NULL, "process.capabilities.bounding[0]: unknown capability \"CAP_ROOT\"" },
	{ "{\"cwd\":\"/"
	  "\",\"args\":[\"a\"],\"capabilities\":{\"effective\":[\"CAP_KILL\"]}}",
	  NULL, NULL, "process.capabilities.effective: holds more than permitted" },
	{ "{\"cwd\":\"/"
	  "\",\"args\":[\"a\"],\"rlimits\":[{\"type\":\"RLIMIT_X\",\"soft\":1,\"hard\":1}]"
	  "}",
	  NULL, NULL, "process.rlimits[0].type: unknown limit" },
	{ "{\"cwd\":\"/"
	  "\",\"args\":[\"a\"],\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2,\"hard\":1}"
	  "]}",
	  NULL, NULL, "process.rlimits[0].soft: is above hard" },
	{ "{\"cwd\":\"/\",\"args\":[\"a\"],\"apparmorProfile\":\"x\"}", NULL, NULL,
	  "process.apparmorProfile" },
	{ "{\"cwd\":\"/\",\"args\":[\"a\"],\"oomScoreAdj\":1001}", NULL, NULL,
	  "process.oomScoreAdj" },
	{ NULL, "\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}]", NULL,
	  "need a new user namespace" },
	{ NULL, "\"devices\":[{\"type\":\"q\",\"path\":\"/dev/x\"}]", NULL,
	  "linux.devices[0].type: must be b, c or p" },
	{ NULL, "\"devices\":[{\"type\":\"c\",\"path\":\"x\"}]", NULL,
	  "linux.devices[0].path: must be an absolute path" },
	{ NULL, "\"sysctl\":{\"kernel.core_pattern\":\"|/x\"}", NULL,
	  "linux.sysctl.kernel.core_pattern: is not a setting" },
	{ NULL, "\"sysctl\":{\"net/ipv4/../../kernel/core_pattern\":\"|/x\"}", NULL,
	  "is not a setting" },
	{ NULL, "\"sysctl\":{\"vm.swappiness\":\"1\"}", NULL, "is not a setting" },
	{ NULL, "\"maskedPaths\":[\"proc\"]", NULL,
	  "linux.maskedPaths[0]: must be an absolute path" },
	{ NULL, "\"rootfsPropagation\":\"often\"", NULL,
	  "linux.rootfsPropagation: unknown mode \"often\"" },
	{ NULL, "\"cgroupsPath\":\"/../x\"", NULL, "linux.cgroupsPath" },
	{ NULL, "\"resources\":{\"memory\":{\"limit\":10,\"swap\":5}}", NULL,
	  "linux.resources.memory.swap: is memory plus swap" },
	{ NULL, "\"resources\":{\"unified\":{\"../x.y\":\"1\"}}", NULL,
	  "is not the name of a controller's file" },
	{ NULL, "\"resources\":{\"unified\":{\"cgroup.procs\":\"1\"}}", NULL,
	  "is not the name of a controller's file" },
	{ NULL, "\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"rx\"}]}", NULL,
	  "linux.resources.devices[0].access" },
	{ NULL, "\"resources\":{\"cpu\":{\"cpus\":\"all\"}}", NULL, "linux.resources.cpu.cpus" },
	{ NULL, "\"intelRdt\":{\"closID\":\"x\"}", NULL, "linux.intelRdt: is not supported" },
	{ NULL, "\"timeOffsets\":{\"boottime\":{\"secs\":5}}", NULL,
	  "linux.timeOffsets: need a new time namespace" },
	{ NULL, NULL, "\"mounts\":[{\"type\":\"tmpfs\"}]", "mounts[0].destination: is missing" },
	{ NULL, NULL, "\"mounts\":[{\"destination\":\"/x\",\"type\":\"bind\"}]",
	  "mounts[0].source: a bind mount needs one" },
	{ NULL, NULL,
	  "\"mounts\":[{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"/"
	  "y\",\"options\":[\"size=5\"]}]",
	  "mounts[0].options: \"size=5\" is not an option of a bind mount" },
	{ NULL, NULL, "\"mounts\":[{\"destination\":\"/x\",\"source\":\"/y\"}]",
	  "mounts[0].type: is missing" },
	{ NULL, NULL, "\"mounts\":7", "mounts: must be a list" },
	{ NULL, NULL, "\"hooks\":{\"prestart\":[{\"path\":\"x\"}]}",
	  "hooks.prestart[0].path: must be an absolute path" },
	{ NULL, NULL, "\"annotations\":{\"a\":1}", "annotations.a: must be a string" },
	{ NULL, NULL, "\"hooks\":{\"poststop\":[{\"path\":\"/x\",\"timeout\":0}]}",
	  "hooks.poststop[0].timeout: must be from 1" },
	{ NULL, NULL, "\"hooks\":{\"startContainer\":[{}]}",
	  "hooks.startContainer[0].path: is missing" },
	{ NULL, NULL, "\"windows\":{\"x\":1}", "windows: is for another system" },
	{ "{\"cwd\":\"/\",\"args\":[\"a\"],\"scheduler\":{\"policy\":\"SCHED_X\"}}", NULL, NULL,
	  "process.scheduler.policy: unknown policy \"SCHED_X\"" },
	{ "{\"cwd\":\"/\",\"args\":[\"a\"],\"scheduler\":{\"policy\":\"SCHED_OTHER\","
	  "\"nice\":20}}",
	  NULL, NULL, "process.scheduler.nice: must be from -20 to 19" },
	{ "{\"cwd\":\"/\",\"args\":[\"a\"],\"scheduler\":{\"policy\":\"SCHED_OTHER\","
	  "\"flags\":[\"X\"]}}",
	  NULL, NULL, "process.scheduler.flags[0]: unknown flag \"X\"" },
	{ "{\"cwd\":\"/\",\"args\":[\"a\"],\"execCPUAffinity\":{\"final\":\"3-1\"}}", NULL, NULL,
	  "process.execCPUAffinity.final: \"3-1\" is not a list" },
	{ "{\"cwd\":\"/\",\"args\":[\"a\"],\"execCPUAffinity\":{\"initial\":\"8192\"}}", NULL, NULL,
	  "process.execCPUAffinity.initial: \"8192\" is not a list" },
	{ NULL, "\"personality\":{\"domain\":\"BSD\"}", NULL,
	  "linux.personality.domain: must be LINUX" },
	{ NULL, "\"personality\":{\"domain\":\"LINUX\",\"flags\":[\"X\"]}", NULL,
	  "linux.personality.flags: no flag is supported" },
	{ NULL, "\"resources\":{\"memory\":{\"swappiness\":5}}", NULL,
	  "linux.resources.memory.swappiness: cgroup v2 has no" },
	{ NULL, "\"resources\":{\"memory\":{\"useHierarchy\":false}}", NULL,
	  "linux.resources.memory.useHierarchy: cgroup v2 is always" },
	{ NULL, "\"resources\":{\"blockIO\":{\"weight\":9}}", NULL,
	  "linux.resources.blockIO.weight: must be from 10" },
	{ NULL, "\"resources\":{\"blockIO\":{\"leafWeight\":9}}", NULL,
	  "linux.resources.blockIO.leafWeight: cgroup v2" },
	{ NULL, "\"resources\":{\"rdma\":{\"a b\":{\"hcaHandles\":1}}}", NULL,
	  "linux.resources.rdma: \"a b\" is not the name" },
	{ NULL,
	  "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":["
	  "\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"]}",
	  NULL, "linux.seccomp.flags[0]: flag \"SECCOMP_FILTER_FLAG_WAIT_KILLABLE" },
	{ NULL, NULL,
	  "\"mounts\":[{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"/y\","
	  "\"options\":[\"idmap\"]}]",
	  "mounts[0].options: \"idmap\" needs uidMappings" },
	{ NULL, NULL,
	  "\"mounts\":[{\"destination\":\"/"
	  "x\",\"type\":\"tmpfs\",\"options\":[\"idmap\"]}]",
	  "mounts[0]: only bind mounts can be id-mapped" },
	{ NULL, NULL,
	  "\"mounts\":[{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"/y\","
	  "\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}]}]",
	  "mounts[0]: uidMappings and gidMappings go together" },
	{ NULL, NULL,
	  "\"mounts\":[{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"/y\","
	  "\"options\":[\"tmpcopyup\"]}]",
	  "mounts[0].options: \"tmpcopyup\" is for tmpfs" },
	{ NULL, NULL,
	  "\"mounts\":[{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"/y\","
	  "\"options\":[\"sync\"]}]",
	  "mounts[0].options: \"sync\" is not an option of a bind mount" },
};

TEST(mistakes_name_the_key)
{
	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
		struct plan *p = NULL;
		struct err e = { 0 };

		CHECK_MSG(parse(mistakes[i].process, mistakes[i].linux_part, mistakes[i].rest, &p,
				&e) < 0,
			  "row %zu was taken", i);
		CHECK_MSG(strstr(e.text, mistakes[i].text), "row %zu: \"%s\" does not say \"%s\"",
			  i, e.text, mistakes[i].text);
		CHECK(!p);
	}
}

TEST(top_level_mistakes)
{
	static const struct {
		const char *json, *text;
	} rows[] = {
		{ "", "config.json" },
		{ "[]", "config.json" },
		{ "{\"ociVersion\":\"2.0\"}", "ociVersion: 2.0 is not a version 1" },
		{ "{\"ociVersion\":\"1.0.2\"}", "root: is missing" },
		{ "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"\"}}",
		  "root.path: must not be empty" },
		{ "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"}}", "process: is missing" },
		{ "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/"
		  "\",\"args\":[\"a\"]}}",
		  "linux: is missing" },
		{ "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/"
		  "\",\"args\":[\"a\"]},\"linux\":{}}",
		  "linux.namespaces: a new mount namespace is needed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct plan *p = NULL;
		struct err e = { 0 };

		CHECK(plan_parse(rows[i].json, strlen(rows[i].json), &p, &e) < 0);
		CHECK_MSG(strstr(e.text, rows[i].text), "row %zu: \"%s\"", i, e.text);
	}
}

TEST(every_cut_of_a_config_is_refused)
{
	static const char json[] =
		"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/"
		"\",\"args\":[\"a\"]},\"linux\":{"
		"\"namespaces\":[{\"type\":\"mount\"}],\"resources\":{\"pids\":{\"limit\":5}}}}";
	_cleanup_(plan_free) struct plan *p = NULL;

	for (size_t i = 0; i < strlen(json); i++) {
		struct plan *cut = NULL;

		CHECK(plan_parse(json, i, &cut, NULL) < 0);
	}
	CHECK_INT(plan_parse(json, strlen(json), &p, NULL), 0);
}
