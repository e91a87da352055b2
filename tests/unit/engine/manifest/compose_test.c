/*
 * Compose files: what a service becomes, the order of services, and an exact error for each way to
 * be wrong.
 */
#include "engine/manifest/compose.h"

#include <fcntl.h>

#include "engine/manifest/words.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

#define FILE_NAME "/etc/skerry/compose/shop.yaml"

static int parse(const char *text, struct compose_project **p, struct err *e)
{
	return compose_parse(text, strlen(text), FILE_NAME, NULL, p, NULL, e);
}

static const struct mount_request *mount_of(const struct compose_service *s, size_t i)
{
	return (const struct mount_request *)s->create.host.mounts.items + i;
}

TEST(a_whole_service)
{
	_cleanup_(compose_free) struct compose_project *p = NULL;
	const struct compose_service *s;
	const struct bind_named_list *ports;
	struct err e = { 0 };

	CHECK_MSG(parse("services:\n  web:\n    image: httpd:2\n    command: httpd -DFOREGROUND 'a "
			"b'\n"
			"    entrypoint: [\"/bin/x\"]\n    environment: {A: 1, B: null, C: x y}\n"
			"    ports: [\"80:80\", {target: 443, published: \"8443\", protocol: tcp, "
			"host_ip: 127.0.0.1}]\n"
			"    volumes: [\"data:/var/lib/x:ro\", \"./conf:/etc/x\", {type: tmpfs, "
			"target: /t, tmpfs: {size: 1m}}]\n"
			"    restart: on-failure:3\n    working_dir: /srv\n    user: www:www\n    "
			"hostname: h\n"
			"    labels: [a=b]\n    read_only: true\n    cap_drop: [ALL]\n    cap_add: "
			"[NET_BIND_SERVICE]\n"
			"    mem_limit: 64m\n    cpus: 0.5\n    pids_limit: 20\n    "
			"stop_grace_period: 1m30s\n"
			"    stop_signal: SIGWINCH\n    healthcheck: {test: \"true\", interval: "
			"5s, retries: 2}\n"
			"volumes:\n  data:\n",
			&p, &e) == 0,
		  "%s", err_text(&e));
	CHECK_STR(p->name, "shop");
	CHECK_INT(p->n_services, 1);
	s = &p->services[0];
	CHECK_STR(s->container_name, "shop-web-1");
	CHECK_STR(s->create.config.image, "httpd:2");
	CHECK_INT(strv_len(s->create.config.cmd), 3);
	CHECK_STR(s->create.config.cmd[2], "a b");
	CHECK_STR(s->create.config.entrypoint[0], "/bin/x");
	CHECK_STR(strv_env_get(s->create.config.env, "A"), "1");
	CHECK_STR(strv_env_get(s->create.config.env, "C"), "x y");
	CHECK(strv_env_get(s->create.config.env, "B") == NULL);
	ports = s->create.host.port_bindings.items;
	CHECK_INT(s->create.host.port_bindings.n, 2);
	CHECK_STR(ports[0].key, "80/tcp");
	CHECK_STR(ports[1].key, "443/tcp");
	CHECK_STR(((struct port_host *)ports[1].list.items)->ip, "127.0.0.1");
	CHECK_STR(((struct port_host *)ports[1].list.items)->port, "8443");
	CHECK_STR(mount_of(s, 0)->source, "shop_data");
	CHECK(mount_of(s, 0)->read_only);
	CHECK_STR(mount_of(s, 1)->source, "/etc/skerry/compose/./conf");
	CHECK_STR(mount_of(s, 1)->type, "bind");
	CHECK_INT(mount_of(s, 2)->tmpfs->size, 1 << 20);
	CHECK_STR(s->create.host.restart.name, "on-failure");
	CHECK_INT(s->create.host.restart.max_retries, 3);
	CHECK_INT(s->create.host.memory, 64 << 20);
	CHECK_INT(s->create.host.nano_cpus, 500000000);
	CHECK_INT(s->create.host.pids_limit, 20);
	CHECK_INT(s->create.config.stop_timeout, 90);
	CHECK_STR(s->create.config.health->test[0], "CMD-SHELL");
	CHECK_STR(pairs_get(&s->create.config.labels, "com.docker.compose.project"), "shop");
	CHECK_STR(pairs_get(&s->create.config.labels, "com.docker.compose.service"), "web");
	CHECK_STR(pairs_get(&s->create.config.labels, "com.docker.compose.project.config_files"),
		  FILE_NAME);
	CHECK_STR(pairs_get(&s->create.config.labels, "a"), "b");
}

TEST(the_create_request)
{
	_cleanup_(compose_free) struct compose_project *p = NULL;
	_cleanup_(buf_free) struct buf out = BUF_INIT(1 << 20);
	struct create_config back;
	struct err e = { 0 };
	yyjson_doc *doc;

	CHECK_MSG(parse("services:\n  a:\n    image: i\n    ports: ['80:80']\n"
			"    volumes: ['data:/d', '/srv:/s:ro']\nvolumes:\n  data:\n",
			&p, &e) == 0,
		  "%s", err_text(&e));
	CHECK_INT(compose_service_json(
			  &p->services[0],
			  &(struct compose_stamp){ .hash = "abc", .number = 2, .name = "shop-a-2" },
			  &out),
		  0);
	doc = yyjson_read(buf_text(&out), out.len, 0);
	CHECK(doc);
	create_config_init(&back);
	CHECK_MSG(create_config_read(yyjson_doc_get_root(doc), &back, &e) == 0, "%s", err_text(&e));
	CHECK_INT(back.host.mounts.n, 2);
	CHECK_STR(((struct mount_request *)back.host.mounts.items)[0].source, "shop_data");
	CHECK_STR(((struct mount_request *)back.host.mounts.items)[1].type, "bind");
	CHECK(((struct mount_request *)back.host.mounts.items)[1].bind->create_mountpoint);
	CHECK_INT(back.host.port_bindings.n, 1);
	CHECK_STR(pairs_get(&back.config.labels, "com.docker.compose.config-hash"), "abc");
	create_config_free(&back);
	yyjson_doc_free(doc);
}

TEST(order_of_services)
{
	_cleanup_(compose_free) struct compose_project *p = NULL;
	struct err e = { 0 };

	CHECK_MSG(parse("services:\n  a: {image: i, depends_on: [b]}\n  b: {image: i, depends_on: "
			"{c: {condition: "
			"service_healthy, restart: true}, gone: {required: false}}}\n  c: {image: "
			"i}\n",
			&p, &e) == 0,
		  "%s", err_text(&e));
	CHECK_STR(p->services[0].name, "c");
	CHECK_STR(p->services[1].name, "b");
	CHECK_STR(p->services[2].name, "a");
	CHECK_INT(p->services[1].deps[0].condition, DEP_HEALTHY);
	CHECK_STR(pairs_get(&p->services[1].create.config.labels, "com.docker.compose.depends_on"),
		  "c:service_healthy:true,gone:service_started:false");
}

TEST(limits_of_deploy)
{
	_cleanup_(compose_free) struct compose_project *p = NULL;
	struct err e = { 0 };

	CHECK_MSG(parse("name: other\nservices: {a: {image: i, deploy: {resources: {limits: {cpus: "
			"'0.25', memory: 1g, "
			"pids: 9}, reservations: {memory: 512m}}}}}\n",
			&p, &e) == 0,
		  "%s", err_text(&e));
	CHECK_STR(p->services[0].container_name, "other-a-1");
	CHECK_INT(p->services[0].create.host.nano_cpus, 250000000);
	CHECK_INT(p->services[0].create.host.memory, 1 << 30);
	CHECK_INT(p->services[0].create.host.memory_reservation, 512 << 20);
	CHECK_INT(p->services[0].create.host.pids_limit, 9);
}

TEST(healing_is_a_label)
{
	_cleanup_(compose_free) struct compose_project *p = NULL;
	struct err e = { 0 };

	CHECK_MSG(parse("services:\n  a: {image: i, x-skerry-autoheal: true, x-other: [1], labels: "
			"{l: m}}\n  b: {image: i, x-skerry-autoheal: false}\n",
			&p, &e) == 0,
		  "%s", err_text(&e));
	CHECK_STR(pairs_get(&p->services[0].create.config.labels, "skerry.autoheal"), "true");
	CHECK_STR(pairs_get(&p->services[0].create.config.labels, "l"), "m");
	CHECK(!pairs_get(&p->services[1].create.config.labels, "skerry.autoheal"));
}

TEST(devices_and_block_io)
{
	_cleanup_(compose_free) struct compose_project *p = NULL;
	const struct host_config *h;
	const struct device_map *d;
	const struct device_rate *weight;
	struct err e = { 0 };

	CHECK_MSG(
		parse("services:\n  a:\n    image: i\n    devices: ['/dev/a', "
		      "'/dev/a:/dev/b:r', {source: /dev/c, permissions: rw}]\n"
		      "    device_cgroup_rules: ['c 1:3 rw']\n    init: true\n"
		      "    blkio_config: {weight: 300, weight_device: [{path: /dev/d, weight: "
		      "40}],\n      device_read_bps: [{path: /dev/d, rate: 1m}], "
		      "device_write_iops: [{path: /dev/d, rate: 7}]}\n"
		      "    mac_address: 02:00:00:00:00:07\n    platform: linux/amd64\n"
		      "    runtime: runc\n    cgroup_parent: /x\n    isolation: default\n"
		      "    volumes: [{type: bind, source: /etc, target: /b, read_only: true, "
		      "bind: {recursive: writable}},\n      {type: volume, source: v, target: /v, "
		      "volume: {subpath: s}}]\nvolumes: {v: }\n",
		      &p, &e) == 0,
		"%s", err_text(&e));
	h = &p->services[0].create.host;
	d = h->devices.items;
	CHECK_INT(h->devices.n, 3);
	CHECK_STR(d[0].container, "/dev/a");
	CHECK_STR(d[0].permissions, "rwm");
	CHECK_STR(d[1].container, "/dev/b");
	CHECK_STR(d[1].permissions, "r");
	CHECK_STR(d[2].container, "/dev/c");
	CHECK_STR(h->device_cgroup_rules[0], "c 1:3 rw");
	CHECK_INT(h->init, 1);
	CHECK_INT(h->blkio_weight, 300);
	weight = h->weight_devices.items;
	CHECK_INT(weight[0].rate, 40);
	CHECK_INT(((struct device_rate *)h->read_bps.items)->rate, 1 << 20);
	CHECK_INT(((struct device_rate *)h->write_iops.items)->rate, 7);
	CHECK_STR(p->services[0].create.config.mac_address, "02:00:00:00:00:07");
	CHECK_STR(h->runtime, "runc");
	CHECK_STR(h->cgroup_parent, "/x");
	CHECK(mount_of(&p->services[0], 0)->bind->read_only_non_recursive);
	CHECK_STR(mount_of(&p->services[0], 1)->volume->subpath, "s");
}

TEST(services_that_name_each_other)
{
	_cleanup_(compose_free) struct compose_project *p = NULL;
	const struct compose_service *s;
	struct err e = { 0 };

	CHECK_MSG(parse("services:\n  a: {image: i, volumes_from: [b, 'c:ro', "
			"'container:other:rw'], links: [b, 'c:db'], external_links: [out:o]}\n"
			"  b: {image: i, container_name: bee, network_mode: 'service:c', ipc: "
			"'service:c', pid: 'container:x', depends_on: {c: {condition: "
			"service_healthy}}}\n"
			"  c: {image: i, ipc: shareable}\n",
			&p, &e) == 0,
		  "%s", err_text(&e));
	CHECK_STR(p->services[0].name, "c");
	CHECK_STR(p->services[1].name, "b");
	s = &p->services[2];
	CHECK_INT(s->n_deps, 2);
	CHECK_STR(s->create.host.volumes_from[0], "bee");
	CHECK_STR(s->create.host.volumes_from[1], "shop-c-1:ro");
	CHECK_STR(s->create.host.volumes_from[2], "other:rw");
	CHECK_STR(s->create.host.links[0], "bee:b");
	CHECK_STR(s->create.host.links[1], "shop-c-1:db");
	CHECK_STR(s->create.host.links[2], "out:o");
	s = &p->services[1];
	CHECK_STR(s->create.host.network_mode, "container:shop-c-1");
	CHECK_STR(s->create.host.ipc_mode, "container:shop-c-1");
	CHECK_STR(s->create.host.pid_mode, "container:x");
	CHECK_INT(s->n_deps, 1);
	CHECK_INT(s->deps[0].condition, DEP_HEALTHY);
}

TEST(the_hash_follows_the_service)
{
	static const char *const texts[] = {
		"services: {a: {image: i, environment: {X: 1}}}\n",
		"x-note: other\nservices:\n  a:\n    image: i\n    environment: [X=1]\n",
		"services: {a: {image: i, environment: {X: 2}}}\n",
	};
	char hashes[ARRAY_SIZE(texts)][65];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(compose_free) struct compose_project *p = NULL;
		struct err e = { 0 };

		CHECK_MSG(parse(texts[i], &p, &e) == 0, "%s", err_text(&e));
		CHECK_INT(compose_service_hash(&p->services[0], hashes[i], &e), 0);
	}
	CHECK_STR(hashes[0], hashes[1]);
	CHECK(strcmp(hashes[0], hashes[2]) != 0);
}

#define SERVICE(rest) "services:\n  a:\n    image: i\n" rest

struct error_case {
	const char *text, *want; /* behind the file's name */
};

static void check_errors(const struct error_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_(compose_free) struct compose_project *p = NULL;
		_cleanup_(mem_free) char *want = NULL;
		struct err e = { 0 };

		CHECK_MSG(parse(cases[i].text, &p, &e) < 0, "case %zu was taken", i);
		CHECK(strncmp(err_text(&e), FILE_NAME ":", strlen(FILE_NAME ":")) == 0);
		want = cases[i].want ? str_printf("%s%s", FILE_NAME, cases[i].want) : NULL;
		if (want)
			CHECK_STR(err_text(&e), want);
	}
}

TEST(errors_of_devices_and_names)
{
	static const struct error_case cases[] = {
		{ SERVICE("    volumes_from: [b]\n"),
		  ":4: services.a.volumes_from: there is no service 'b' in this file" },
		{ SERVICE("    links: ['b:c']\n"),
		  ":4: services.a.links: there is no service 'b' in this file" },
		{ SERVICE("    network_mode: service:b\n"),
		  ":4: services.a.network_mode: there is no service 'b' in this file" },
		{ SERVICE("    ipc: 'service:'\n"),
		  ":4: services.a.ipc: expected private, shareable, host, none, service:NAME or "
		  "container:NAME, not a text" },
		{ SERVICE("    pid: private\n"),
		  ":4: services.a.pid: expected host, service:NAME or container:NAME, not a text" },
		{ SERVICE("    network_mode: service:b\n  b: {image: i, links: [a]}\n"),
		  ":5: services.b.depends_on: services wait for each other: a -> b -> a" },
		{ SERVICE("    volumes_from: [b, b]\n    depends_on: [b, b]\n  b: {image: i}\n"),
		  ":5: services.a.depends_on: 'b' stands twice" },
		{ SERVICE("    devices: [tty]\n"),
		  ":4: services.a.devices[0]: expected a device such as "
		  "/dev/ttyUSB0:/dev/ttyUSB0:rw, not a text" },
		{ SERVICE("    devices: [{target: /x}]\n"),
		  ":4: services.a.devices[0]: the key source is missing" },
		{ SERVICE("    devices: ['/dev/a:/dev/b:q']\n"), NULL },
		{ SERVICE("    device_cgroup_rules: [x]\n"),
		  ":2: services.a: invalid device cgroup rule format: 'x'" },
		{ SERVICE("    blkio_config: {device_read_bps: [{rate: 1}]}\n"),
		  ":4: services.a.blkio_config.device_read_bps[0]: the key path is missing" },
		{ SERVICE("    init: 2\n"),
		  ":4: services.a.init: expected true or false, not a text" },
		{ SERVICE("    pull_policy: sometimes\n"),
		  ":4: services.a.pull_policy: expected always, missing, if_not_present, never, "
		  "daily, weekly or a time such as every_12h or every_1w2d, not a text" },
		{ SERVICE("    pull_policy: every_2h3d\n"),
		  ":4: services.a.pull_policy: expected always, missing, if_not_present, never, "
		  "daily, weekly or a time such as every_12h or every_1w2d, not a text" },
		{ SERVICE("    platform: linux/arm64\n"),
		  ":4: services.a.platform: expected linux/amd64, which this machine is, not a "
		  "text" },
		{ SERVICE("    runtime: kata\n"),
		  ":2: services.a: unknown or invalid runtime name: kata" },
		{ SERVICE("    volumes: [{type: bind, source: /a, target: /b, bind: {recursive: "
			  "x}}]\n"),
		  ":4: services.a.volumes[0].bind.recursive: expected enabled, disabled, writable "
		  "or readonly, not a text" },
	};

	check_errors(cases, ARRAY_SIZE(cases));
}

TEST(errors)
{
	static const struct error_case cases[] = {
		{ "", ":1: services: expected a mapping with at least one service" },
		{ "services: []\n", ":1: services: expected a mapping with at least one service" },
		{ "service: {}\n", ":1: service: unknown key; did you mean 'services'?" },
		{ "services:\n  a: {}\n", ":2: services.a: the key image is missing" },
		{ "services:\n  a: x\n",
		  ":2: services.a: expected a mapping with at least the key image, not a text" },
		{ SERVICE("    port: ['80']\n"),
		  ":4: services.a.port: unknown key; did you mean 'ports'?" },
		{ SERVICE("    zzzzzzzzzz: 1\n"), ":4: services.a.zzzzzzzzzz: unknown key" },
		{ SERVICE("    build: .\n"),
		  ":4: services.a.build: images are not built on this machine; build it elsewhere, "
		  "load or push it, and name it by the key image" },
		{ SERVICE("    mem_limit: lots\n"),
		  ":4: services.a.mem_limit: expected a size such as 64m or 1g, not a text" },
		{ SERVICE("    mem_limit: 1k\n"),
		  ":2: services.a: Minimum memory limit allowed is 6MB" },
		{ SERVICE("    cpus: -1\n"),
		  ":4: services.a.cpus: expected a number of processors such as 0.5, not a text" },
		{ SERVICE("    read_only: maybe\n"),
		  ":4: services.a.read_only: expected true or false, not a text" },
		{ SERVICE("    restart: sometimes\n"),
		  ":4: services.a.restart: expected no, always, unless-stopped, "
		  "on-failure or on-failure:N, not 'sometimes'" },
		{ SERVICE("    environment: [=x]\n"),
		  ":4: services.a.environment[0]: a name is missing before =" },
		{ SERVICE("    environment: {A: [1]}\n"),
		  ":4: services.a.environment.A: expected a text, not a list" },
		{ SERVICE("    volumes: ['data:/x']\n"),
		  ":4: services.a.volumes[0]: the volume 'data' is not declared; add it under the "
		  "top-level key "
		  "volumes" },
		{ SERVICE("    volumes: ['/a:/b:rx']\n"),
		  ":4: services.a.volumes[0]: unknown mode 'rx' (ro, rw, nocopy)" },
		{ SERVICE("    volumes: [{type: npipe, target: /x}]\n"),
		  ":4: services.a.volumes[0]: type 'npipe' is not supported (bind, volume, "
		  "tmpfs)" },
		{ SERVICE("    command: \"echo 'x\"\n"),
		  ":4: services.a.command: a quote is not closed in: echo 'x" },
		{ SERVICE("    stop_signal: SIGNOPE\n"),
		  ":4: services.a.stop_signal: 'SIGNOPE' is no signal; expected one such as "
		  "SIGTERM" },
		{ SERVICE("    stop_grace_period: soon\n"),
		  ":4: services.a.stop_grace_period: expected a time such as 10s or 1m30s, not a "
		  "text" },
		{ SERVICE("    depends_on: [b]\n"),
		  ":4: services.a.depends_on: there is no service 'b' in this file" },
		{ SERVICE("    depends_on: [a]\n"),
		  ":4: services.a.depends_on: services wait for each other: a -> a" },
		{ "services:\n  a: {image: i, depends_on: [b]}\n  b: {image: i, depends_on: [c]}\n"
		  "  c: {image: i, depends_on: [a]}\n",
		  ":4: services.c.depends_on: services wait for each other: a -> b -> c -> a" },
		{ SERVICE("    depends_on: {b: {condition: up}}\n"),
		  ":4: services.a.depends_on.b.condition: expected service_started, "
		  "service_healthy or "
		  "service_completed_successfully, not a text" },
		{ SERVICE("    healthcheck: {test: [curl]}\n"),
		  ":4: services.a.healthcheck.test: a list must begin with CMD, CMD-SHELL or "
		  "NONE" },
		{ SERVICE("    env_file: nope.env\n"), NULL },
		{ SERVICE("    cap_add: [NOPE]\n"), NULL },
		{ SERVICE("    ports: ['80:80:80:80']\n"), NULL },
		{ SERVICE("    ports: [{published: 80}]\n"),
		  ":4: services.a.ports[0]: the key target (the container's port) is missing" },
		{ "name: Bad Name\n" SERVICE(""), NULL },
		{ SERVICE("    container_name: x\n  b: {image: i, container_name: x}\n"),
		  ":5: services.b: service a has the same container_name 'x'" },
		{ SERVICE("    x-skerry-autoheal: maybe\n"),
		  ":4: services.a.x-skerry-autoheal: expected true or false, not a text" },
	};

	check_errors(cases, ARRAY_SIZE(cases));
}

TEST(env_files)
{
	_cleanup_(mem_free) char *dir = str_dup(test_tmpdir()),
				 *file = str_printf("%s/p.yaml", dir),
				 *env = str_printf("%s/one.env", dir);
	_cleanup_(compose_free) struct compose_project *p = NULL;
	static const char text[] =
		"services: {a: {image: i, env_file: [one.env, {path: no.env, required: false}], "
		"environment: {B: over}}}\n";
	static const char content[] = "# note\nA=1 # tail\nexport B=2\nC=\"x # y\"\n\nD=\n";
	struct err e = { 0 };

	CHECK_INT(file_replace(AT_FDCWD, env, content, strlen(content), 0600, false, &e), 0);
	CHECK_MSG(compose_parse(text, strlen(text), file, NULL, &p, NULL, &e) == 0, "%s",
		  err_text(&e));
	CHECK_STR(strv_env_get(p->services[0].create.config.env, "A"), "1");
	CHECK_STR(strv_env_get(p->services[0].create.config.env, "B"), "over");
	CHECK_STR(strv_env_get(p->services[0].create.config.env, "C"), "x # y");
	CHECK_STR(strv_env_get(p->services[0].create.config.env, "D"), "");
}

TEST(shell_words)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "a b", "a|b" },	{ "  a  ", "a" },
		{ "'a b' c", "a b|c" }, { "\"a \\\"b\\\"\"", "a \"b\"" },
		{ "a\\ b", "a b" },	{ "a'b'\"c\"", "abc" },
		{ "''", "" },		{ "\"\\n\"", "\\n" },
		{ "", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(strv_free) char **words = NULL;
		_cleanup_(mem_free) char *joined = NULL;

		CHECK_INT(words_split(cases[i].text, &words), 0);
		joined = words ? strv_join(words, "|") : NULL;
		if (cases[i].want)
			CHECK_STR(joined, cases[i].want);
		else
			CHECK(!joined);
	}
}

TEST(pull_policies)
{
	static const struct {
		const char *word;
		enum compose_pull pull;
		int64_t every;
	} rows[] = {
		{ "missing", PULL_MISSING, 0 },
		{ "if_not_present", PULL_MISSING, 0 },
		{ "always", PULL_ALWAYS, 0 },
		{ "never", PULL_NEVER, 0 },
		{ "daily", PULL_EVERY, 86400000 },
		{ "weekly", PULL_EVERY, 604800000 },
		{ "every_12h", PULL_EVERY, 43200000 },
		{ "every_1w2d3h4m5s", PULL_EVERY, 788645000 },
	};
	static const char *const wrong[] = { "every_",	  "every_0s",	"every_1",
					     "every_h",	  "every_1s1s", "every_1s1h",
					     "every_-1h", "every_1x",	"every_99999999999h" };
	_cleanup_(compose_free) struct compose_project *p = NULL;
	struct err e = { 0 };
	char text[200];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(text, sizeof(text), SERVICE("    pull_policy: %s\n"), rows[i].word);
		CHECK_INT(compose_parse(text, strlen(text), "/x/p.yaml", NULL, &p, NULL, &e), 0);
		CHECK_INT(p->services[0].pull, rows[i].pull);
		CHECK_INT(p->services[0].pull_every, rows[i].every);
		compose_free(take_ptr(p));
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(text, sizeof(text), SERVICE("    pull_policy: %s\n"), wrong[i]);
		CHECK_INT(compose_parse(text, strlen(text), "/x/p.yaml", NULL, &p, NULL, &e),
			  -EINVAL);
	}
}
