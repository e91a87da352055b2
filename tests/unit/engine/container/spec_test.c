/*
 * A create request to config.json and shim.json: single values of them by JSON pointer, for each
 * option that shows there; and the starts that are refused because of other containers.
 */
#include "engine/container/shared.h"
#include "tests/unit/engine/container/world.h"

/* The document that the newest start wrote. */
static yyjson_doc *document(const struct container *c, const char *name)
{
	_cleanup_(mem_free) char *path = str_printf("%s/run/shims/%s/%s", w.dir, c->id, name);
	_cleanup_(mem_free) char *text = NULL;
	size_t len;

	if (file_read(AT_FDCWD, path, CONTAINER_DOC_MAX, &text, &len, NULL) < 0)
		return NULL;
	return yyjson_read(text, len, 0);
}

static const struct {
	const char *host, *config, *pointer;
	const char *want; /* JSON, or NULL: not there */
} values[] = {
	/* process */
	{ "", "\"Entrypoint\":[\"/e\"],\"Cmd\":[\"c\"]", "/process/args", "[\"/e\",\"c\"]" },
	{ "\"Init\":true", "\"Cmd\":[\"c\"]", "/process/args",
	  "[\"/sbin/docker-init\",\"--\",\"c\"]" },
	{ "\"Init\":true,\"PidMode\":\"host\"", "\"Cmd\":[\"c\"]", "/process/args", "[\"c\"]" },
	{ "\"Init\":false", "\"Cmd\":[\"c\"]", "/process/args", "[\"c\"]" },
	{ "\"Init\":true", NULL, "/mounts/7",
	  "{\"destination\":\"/sbin/docker-init\",\"type\":\"bind\",\"source\":"
	  "\"/usr/libexec/docker-init\",\"options\":[\"bind\",\"ro\",\"nosuid\",\"nodev\"]}" },
	{ "\"OomScoreAdj\":7", NULL, "/process/oomScoreAdj", "7" },
	{ "\"SecurityOpt\":[\"no-new-privileges\"]", NULL, "/process/noNewPrivileges", "true" },
	{ "\"SecurityOpt\":[\"no-new-privileges=false\"]", NULL, "/process/noNewPrivileges",
	  "false" },
	{ "\"CapDrop\":[\"ALL\"],\"CapAdd\":[\"kill\"]", NULL, "/process/capabilities/bounding",
	  "[\"CAP_KILL\"]" },
	{ "\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":1,\"Hard\":-1}]", NULL, "/process/rlimits",
	  "[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1,\"hard\":18446744073709551615}]" },
	/* mounts */
	{ "\"Binds\":[\"/etc:/b\"]", NULL, "/mounts/7/options", "[\"rbind\",\"rprivate\"]" },
	{ "\"Binds\":[\"/etc:/b:ro,rshared\"]", NULL, "/mounts/7/options",
	  "[\"rbind\",\"rshared\",\"rro\"]" },
	{ "\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/etc\",\"Target\":\"/b\",\"ReadOnly\":true,"
	  "\"BindOptions\":{\"NonRecursive\":true,\"ReadOnlyNonRecursive\":true}}]",
	  NULL, "/mounts/7/options", "[\"bind\",\"rprivate\",\"ro\"]" },
	{ "\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"v\",\"Target\":\"/b\","
	  "\"VolumeOptions\":{\"Subpath\":\"x\"}}]",
	  NULL, "/mounts/7/subpath", "\"x\"" },
	{ "\"Tmpfs\":{\"/t\":\"exec,size=1m\"}", NULL, "/mounts/7/options",
	  "[\"nosuid\",\"nodev\",\"size=1m\"]" },
	{ "\"Mounts\":[{\"Type\":\"tmpfs\",\"Target\":\"/t\",\"ReadOnly\":true}]", NULL,
	  "/mounts/7/options", "[\"noexec\",\"nosuid\",\"nodev\",\"ro\"]" },
	{ "\"ShmSize\":4096", NULL, "/mounts/6/options/4", "\"size=4096\"" },
	{ "\"IpcMode\":\"none\"", NULL, "/mounts/6", NULL },
	{ "\"IpcMode\":\"host\"", NULL, "/mounts/6",
	  "{\"destination\":\"/dev/shm\",\"type\":\"bind\",\"source\":\"/dev/shm\",\"options\":["
	  "\"rbind\",\"rprivate\",\"nosuid\",\"noexec\",\"nodev\"]}" },
	{ "\"IpcMode\":\"host\"", NULL, "/mounts/5/type", "\"bind\"" },
	{ "", NULL, "/mounts/4/options/0", "\"ro\"" },
	{ "\"SecurityOpt\":[\"writable-cgroups=true\"]", NULL, "/mounts/4/options",
	  "[\"nosuid\",\"noexec\",\"nodev\"]" },
	{ "\"SecurityOpt\":[\"writable-cgroups=true\"]", NULL, "/mounts/3/options/3", "\"ro\"" },
	{ "\"Privileged\":true", NULL, "/mounts/3/options", "[\"nosuid\",\"noexec\",\"nodev\"]" },
	{ "\"ReadonlyRootfs\":true", NULL, "/root/readonly", "true" },
	/* namespaces, names */
	{ "", NULL, "/linux/namespaces/1", "{\"type\":\"uts\"}" },
	{ "\"UTSMode\":\"host\"", NULL, "/linux/namespaces/1/type", "\"pid\"" },
	{ "\"UTSMode\":\"host\"", NULL, "/hostname", NULL },
	{ "\"CgroupnsMode\":\"host\"", NULL, "/linux/namespaces/4/type", "\"time\"" },
	{ "\"PidMode\":\"container:donor\"", NULL, "/linux/namespaces/2",
	  "{\"type\":\"pid\",\"path\":\"/proc/42/ns/pid\"}" },
	{ "", "\"Domainname\":\"d\"", "/domainname", "\"d\"" },
	/* settings */
	{ "\"Sysctls\":{\"kernel.sem\":\"1\"}", NULL, "/linux/sysctl", "{\"kernel.sem\":\"1\"}" },
	{ "\"MaskedPaths\":[]", NULL, "/linux/maskedPaths", "[]" },
	{ "\"ReadonlyPaths\":[\"/x\"]", NULL, "/linux/readonlyPaths", "[\"/x\"]" },
	{ "\"SecurityOpt\":[\"systempaths=unconfined\"]", NULL, "/linux/readonlyPaths", "[]" },
	{ "\"SecurityOpt\":[\"seccomp=unconfined\"]", NULL, "/linux/seccomp", NULL },
	{ "\"Privileged\":true", NULL, "/linux/seccomp", NULL },
	{ "\"Privileged\":true,\"SecurityOpt\":[\"seccomp=builtin\"]", NULL,
	  "/linux/seccomp/defaultAction", "\"SCMP_ACT_ERRNO\"" },
	{ "\"SecurityOpt\":[\"seccomp={\\\"defaultAction\\\":\\\"SCMP_ACT_LOG\\\"}\"]", NULL,
	  "/linux/seccomp/defaultAction", "\"SCMP_ACT_LOG\"" },
	{ "\"Annotations\":{\"a\":\"b\"}", NULL, "/annotations", "{\"a\":\"b\"}" },
	/* resources */
	{ "\"Memory\":9000000,\"MemorySwap\":-1,\"MemoryReservation\":8000000", NULL,
	  "/linux/resources/memory", "{\"limit\":9000000,\"reservation\":8000000,\"swap\":-1}" },
	{ "\"NanoCpus\":500000000,\"CpuShares\":9,\"CpusetCpus\":\"0\"", NULL,
	  "/linux/resources/cpu",
	  "{\"shares\":9,\"period\":100000,\"quota\":50000,\"cpus\":\"0\"}" },
	{ "\"PidsLimit\":5", NULL, "/linux/resources/pids/limit", "5" },
	{ "\"PidsLimit\":0", NULL, "/linux/resources/pids", NULL },
	{ "\"BlkioWeight\":20", NULL, "/linux/resources/blockIO/weight", "20" },
	{ "\"DeviceCgroupRules\":[\"c 7:* rw\",\"a *:* m\"]", NULL, "/linux/resources/devices/8",
	  "{\"allow\":true,\"type\":\"c\",\"major\":7,\"access\":\"rw\"}" },
	{ "\"DeviceCgroupRules\":[\"c 7:* rw\",\"a *:* m\"]", NULL, "/linux/resources/devices/9",
	  "{\"allow\":true,\"type\":\"a\",\"access\":\"m\"}" },
	{ "\"Devices\":[{\"PathOnHost\":\"/dev/null\",\"PathInContainer\":\"/dev/n\","
	  "\"CgroupPermissions\":\"r\"}]",
	  NULL, "/linux/resources/devices/8",
	  "{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":3,\"access\":\"r\"}" },
	{ "\"Devices\":[{\"PathOnHost\":\"/dev/null\",\"PathInContainer\":\"/dev/n\"}]", NULL,
	  "/linux/devices/0/path", "\"/dev/n\"" },
	{ "\"Privileged\":true", NULL, "/linux/resources/devices",
	  "[{\"allow\":true,\"type\":\"a\",\"access\":\"rwm\"}]" },
	{ "\"CgroupParent\":\"/a//b/\"", NULL, "/linux/cgroupsPath", "/containers/a/b/ID" },
	{ "", NULL, "/linux/cgroupsPath", "/containers/ID" },
};

static struct container *donor(void)
{
	struct container *c = make("{\"Image\":\"img\"}");
	struct err e = { 0 };
	static struct caller starter;

	starter = (struct caller){ .op.done = caller_done };
	if (container_rename(c, "donor", &e) < 0)
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
	container_start(c, &starter.op);
	shim_comes_up();
	world_settle();
	return c;
}

/* The value at a pointer as text, the container's id replaced. New memory or NULL. */
static char *value_at(yyjson_doc *doc, const char *pointer, const char *id)
{
	yyjson_val *v = yyjson_ptr_get(yyjson_doc_get_root(doc), pointer);
	const char *text = yyjson_get_str(v), *at = text ? strstr(text, id) : NULL;

	if (!v)
		return NULL;
	return at ? str_printf("%.*sID%s", (int)(at - text), text, at + strlen(id))
		  : yyjson_val_write(v, 0, NULL);
}

TEST(config_json)
{
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		_cleanup_(mem_free) char *json = str_printf(
			"{\"Image\":\"img\"%s%s,\"HostConfig\":{%s}}", values[i].config ? "," : "",
			values[i].config ? values[i].config : "", values[i].host);
		_cleanup_(mem_free) char *have = NULL;
		struct container *c;
		yyjson_doc *doc;
		CALLER(caller);

		world_open();
		world_engine("boot-1");
		donor();
		c = make(json);
		container_start(c, &caller.op);
		world_settle();
		doc = document(c, "bundle/config.json");
		CHECK_MSG(doc, "row %zu: %s", i, caller.text);
		have = value_at(doc, values[i].pointer, c->id);
		yyjson_doc_free(doc);
		world_close();
		CHECK_MSG(values[i].want ? have && str_eq(have, values[i].want) : !have,
			  "row %zu (%s): %s is %s, not %s", i, values[i].host, values[i].pointer,
			  have ? have : "not there", values[i].want ? values[i].want : "absent");
	}
}

TEST(shim_json)
{
	struct container *c, *other;
	_cleanup_(mem_free) char *join = NULL, *want = NULL, *cgroup = NULL, *detach = NULL;
	yyjson_doc *doc;
	CALLER(caller);

	world_open();
	world_engine("boot-1");
	other = donor();
	c = make("{\"Image\":\"img\",\"HostConfig\":{\"PidMode\":\"container:donor\","
		 "\"CgroupParent\":\"p\"}}");
	container_start(c, &caller.op);
	world_settle();
	doc = document(c, "shim.json");
	CHECK_MSG(doc, "%s", caller.text);
	join = value_at(doc, "/joins", c->id);
	cgroup = value_at(doc, "/cgroup", c->id);
	detach = value_at(doc, "/detach/1", c->id);
	yyjson_doc_free(doc);
	want = str_printf("[{\"kind\":\"pid\",\"pid\":42,\"cgroup\":\"containers/%s\"}]",
			  other->id);
	CHECK_STR(join, want);
	CHECK_STR(cgroup, "containers/p/ID");
	CHECK(detach && str_ends(detach, "/run/shm\""));
	world_close();
}

static const struct {
	const char *host, *text;
	int error;
} refusals[] = {
	{ "\"PidMode\":\"container:nobody\"",
	  "failed to join PID namespace: No such container: nobody", EINVAL },
	{ "\"PidMode\":\"container:idle\"", "failed to join PID namespace: container ", EBUSY },
	{ "\"PidMode\":\"container:self\"", "cannot join its own namespace", EINVAL },
	{ "\"IpcMode\":\"container:idle\"", "failed to join IPC namespace: container ", EBUSY },
	{ "\"IpcMode\":\"container:donor\"", "non-shareable IPC (hint: use IpcMode:shareable",
	  EINVAL },
	{ "\"NetworkMode\":\"container:idle\"", "cannot join network of a non running container",
	  EBUSY },
	{ "\"NetworkMode\":\"container:nobody\"", "No such container: nobody", EINVAL },
	{ "\"Links\":[\"idle:x\"]", "Cannot link to a non running container: /idle AS /self/x",
	  EBUSY },
	{ "\"Devices\":[{\"PathOnHost\":\"/dev/none\"}]",
	  "error gathering device information while adding custom device \"/dev/none\"", EINVAL },
	{ "\"Devices\":[{\"PathOnHost\":\"/etc\"}]", "not a device node", EINVAL },
	{ "\"BlkioWeightDevice\":[{\"Path\":\"/dev/null\",\"Weight\":20}]", "not a block device",
	  EINVAL },
};

TEST(starts_that_are_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		_cleanup_(mem_free) char *json =
			str_printf("{\"Image\":\"img\",\"HostConfig\":{%s}}", refusals[i].host);
		struct err e = { 0 };
		struct container *c;
		CALLER(caller);

		world_open();
		world_engine("boot-1");
		donor();
		container_rename(make("{\"Image\":\"img\"}"), "idle", &e);
		c = make(json);
		container_rename(c, "self", &e);
		container_start(c, &caller.op);
		world_settle();
		CHECK_INT(caller.n, 1);
		CHECK_MSG(caller.r == -refusals[i].error && strstr(caller.text, refusals[i].text),
			  "row %zu: %d: \"%s\" is not \"%s\"", i, caller.r, caller.text,
			  refusals[i].text);
		CHECK_INT(c->state, CONTAINER_CREATED);
		CHECK_INT(w.n_detached, 1);
		world_close();
	}
}

TEST(a_network_mode_by_name_is_kept_by_id)
{
	_cleanup_(mem_free) char *want = NULL;
	struct container *c, *other;

	world_open();
	world_engine("boot-1");
	other = donor();
	c = make("{\"Image\":\"img\",\"HostConfig\":{\"NetworkMode\":\"container:donor\"}}");
	want = str_printf("container:%s", other->id);
	CHECK_STR(c->asked.host.network_mode, want);
	world_close();
}

TEST(links_and_addresses)
{
	_cleanup_(strv_free) char **hosts = NULL;
	const struct network bridge = { .id = "b1", .name = (char *)(uintptr_t) "bridge" };
	struct endpoint ep = { .network = &bridge,
			       .address.addr = { .family = AF_INET, .b = { 192, 0, 2, 7 } } };
	struct container *c;
	struct err e = { 0 };

	world_open();
	world_engine("boot-1");
	w.sandbox.endpoints = &ep;
	w.sandbox.n_endpoints = 1;
	donor();
	c = make("{\"Image\":\"img\",\"MacAddress\":\"02:00:00:00:00:05\",\"HostConfig\":{"
		 "\"Links\":[\"/donor:/self/db\"],\"ExtraHosts\":[\"x:192.0.2.1\"]}}");
	CHECK_MSG(links_hosts(c, &hosts, &e) == 0, "%s", err_text(&e));
	CHECK_INT(strv_len(hosts), 4);
	CHECK_STR(hosts[0], "db:192.0.2.7");
	CHECK_STR(hosts[2], "donor:192.0.2.7");
	CHECK_STR(hosts[3], "x:192.0.2.1");
	CHECK_INT(c->asked.networking.endpoints.n, 1);
	CHECK_STR(((struct endpoint_config *)c->asked.networking.endpoints.items)->mac_address,
		  "02:00:00:00:00:05");
	world_close();
}
