/*
 * Compose files with what stands beside them: variables of .env, extends, profiles, numbers of
 * containers, configs and secrets, networks.
 */
#include "engine/manifest/compose.h"

#include <fcntl.h>

#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

static const struct compose_config cfg = { .files_dir = "/state/files", .key = "k" };

/* Writes a file of the case's folder. */
static void beside(const char *name, const char *text)
{
	_cleanup_(mem_free) char *path = str_printf("%s/%s", test_tmpdir(), name);
	struct err e = { 0 };

	CHECK_MSG(file_replace(AT_FDCWD, path, text, strlen(text), 0600, false, &e) == 0, "%s",
		  err_text(&e));
}

static int parse(const char *text, struct compose_project **p, char ***inputs, struct err *e)
{
	_cleanup_(mem_free) char *file = str_printf("%s/shop.yaml", test_tmpdir());

	return compose_parse(text, strlen(text), file, &cfg, p, inputs, e);
}

static const struct compose_service *service(const struct compose_project *p, const char *name)
{
	for (size_t i = 0; i < p->n_services; i++)
		if (str_eq(p->services[i].name, name))
			return &p->services[i];
	return NULL;
}

struct error_case {
	const char *text, *want; /* behind the folder's name and a slash */
};

static void check_errors(const struct error_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_(compose_free) struct compose_project *p = NULL;
		_cleanup_(mem_free) char *want = str_printf("%s/%s", test_tmpdir(), cases[i].want);
		struct err e = { 0 };

		CHECK_MSG(parse(cases[i].text, &p, NULL, &e) < 0, "case %zu was taken", i);
		CHECK_STR(err_text(&e), want);
	}
}

#define PARSE(text)                                               \
	_cleanup_(compose_free) struct compose_project *p = NULL; \
	_cleanup_(strv_free) char **inputs = NULL;                \
	struct err e = { 0 };                                     \
	CHECK_MSG(parse(text, &p, &inputs, &e) == 0, "%s", err_text(&e))

#define SERVICE(rest) "services:\n  a:\n    image: i\n" rest

/* ---- variables ---- */

TEST(values_come_from_the_env_file_beside_it)
{
	beside(".env", "TAG=3\nPORT=8080\nYES=true\nMEM=64m\nSECRET=s3\nNUM=2\nON=yes\n");
	{
		PARSE("services:\n  a:\n    image: web:${TAG}\n    ports: ['${PORT}:80']\n"
		      "    read_only: ${YES}\n    mem_limit: \"${MEM}\"\n    scale: ${NUM}\n"
		      "    tty: \"${ON}\"\n    environment: {E: \"${NONE}\", F: $$HOME, G: , TAG: "
		      "}\n"
		      "    labels: [\"l=${COMPOSE_PROJECT_NAME}\"]\n    command: echo ${NONE}\n");
		const struct compose_service *a = service(p, "a");

		CHECK_STR(a->create.config.image, "web:3");
		CHECK_STR(((struct port_host *)((struct bind_named_list *)
							a->create.host.port_bindings.items)
				   ->list.items)
				  ->port,
			  "8080");
		CHECK(a->create.host.readonly_rootfs && a->create.config.tty);
		CHECK_INT(a->create.host.memory, 64 << 20);
		CHECK_INT(a->replicas, 2);
		CHECK_STR(strv_env_get(a->create.config.env, "E"), "");
		CHECK_STR(strv_env_get(a->create.config.env, "F"), "$HOME");
		CHECK(!strv_env_get(a->create.config.env, "G"));
		CHECK_STR(strv_env_get(a->create.config.env, "TAG"), "3");
		CHECK_STR(pairs_get(&a->create.config.labels, "l"), "shop");
		CHECK_INT(strv_len(p->warnings), 1);
		CHECK(strstr(p->warnings[0], "shop.yaml:9: services.a.environment.E: The \"NONE\" "
					     "variable is not set. Defaulting to a blank string."));
		CHECK_INT(strv_len(inputs), 1);
		CHECK(str_ends(inputs[0], "/.env"));
	}
}

TEST(mistakes_in_variables_have_a_place)
{
	static const struct error_case cases[] = {
		{ SERVICE("    command: [echo, '${A:?say A}']\n"),
		  "shop.yaml:4: services.a.command[1]: required variable A is missing a value: say "
		  "A" },
		{ SERVICE("    hostname: ${A\n"),
		  "shop.yaml:4: services.a.hostname: invalid interpolation format at '${A': } is "
		  "missing" },
		{ SERVICE("    mem_limit: ${A}\n"),
		  "shop.yaml:4: services.a.mem_limit: expected a size such as 64m or 1g, not a "
		  "text" },
		{ "name: ${A:-Bad Name}\n" SERVICE(""),
		  "shop.yaml:1: name: 'Bad Name' cannot name a project: lower-case letters, "
		  "digits, - and _ only, at most 63" },
	};

	check_errors(cases, ARRAY_SIZE(cases));
	beside(".env", "A=1\nB\tC\n");
	{
		_cleanup_(compose_free) struct compose_project *p = NULL;
		struct err e = { 0 };

		CHECK(parse(SERVICE(""), &p, NULL, &e) < 0);
		CHECK(strstr(err_text(&e), "shop.yaml:1: .env: ") &&
		      strstr(err_text(&e), "/.env:2: expected KEY=value"));
	}
}

TEST(an_aliased_value_is_filled_in_once)
{
	beside(".env", "A=$$B\n");
	{
		PARSE("x-e: &e {V: '$$${A}', W: $$$$}\nservices:\n  a: {image: i, environment: "
		      "*e}\n"
		      "  b: {image: i, environment: {<<: *e, X: y}}\n");

		for (size_t i = 0; i < 2; i++) {
			CHECK_STR(strv_env_get(p->services[i].create.config.env, "V"), "$$B");
			CHECK_STR(strv_env_get(p->services[i].create.config.env, "W"), "$$");
		}
	}
}

/* ---- extends ---- */

TEST(a_service_on_top_of_another)
{
	beside("common.inc", "services:\n  base:\n    image: base:1\n    environment: [A=1, B=2]\n"
			     "    volumes: ['./data:/data', '/x:/x']\n    cap_add: [NET_ADMIN]\n"
			     "    command: [old]\n    labels: {l: base}\n    extends: root\n"
			     "    healthcheck: {test: [CMD, old], interval: 5s}\n"
			     "    logging: {driver: local, options: {max-size: 1m}}\n"
			     "  root:\n    image: root:1\n    user: nobody\n    dns: [10.0.0.1]\n"
			     "    depends_on: [db]\n");
	PARSE("services:\n  a:\n    extends: {file: common.inc, service: base}\n"
	      "    environment: {B: 3, C: 4}\n    volumes: ['/y:/x:ro']\n    cap_add: [NET_RAW]\n"
	      "    command: [new]\n    dns: [10.0.0.2]\n    healthcheck: {test: [CMD, new]}\n"
	      "    logging: {driver: json-file}\n    depends_on: {cache: {condition: "
	      "service_started}}\n"
	      "  b: {extends: {service: a}, image: 'b:2', user: root}\n"
	      "  db: {image: d}\n  cache: {image: c}\n");
	const struct compose_service *a = service(p, "a"), *b = service(p, "b");
	const struct mount_request *mounts = a->create.host.mounts.items;
	_cleanup_(mem_free) char *data = str_printf("%s/./data", test_tmpdir());

	CHECK_STR(a->create.config.image, "base:1");
	CHECK_STR(a->create.config.user, "nobody");
	CHECK_STR(strv_env_get(a->create.config.env, "A"), "1");
	CHECK_STR(strv_env_get(a->create.config.env, "B"), "3");
	CHECK_STR(strv_env_get(a->create.config.env, "C"), "4");
	CHECK_INT(a->create.host.mounts.n, 2);
	CHECK_STR(mounts[0].source, data);
	CHECK_STR(mounts[1].source, "/y");
	CHECK(mounts[1].read_only);
	CHECK_INT(strv_len(a->create.host.cap_add), 2);
	CHECK_INT(strv_len(a->create.config.cmd), 1);
	CHECK_STR(a->create.config.cmd[0], "new");
	CHECK_INT(strv_len(a->create.host.dns), 2);
	CHECK_STR(a->create.config.health->test[1], "new");
	CHECK_INT(a->create.config.health->interval, 5000000000);
	CHECK_STR(a->create.host.log.type, "json-file");
	CHECK_INT(a->create.host.log.options.n, 0);
	CHECK_INT(a->n_deps, 2);
	CHECK_STR(pairs_get(&a->create.config.labels, "l"), "base");
	CHECK_STR(b->create.config.image, "b:2");
	CHECK_STR(b->create.config.user, "root");
	CHECK_STR(b->create.config.cmd[0], "new");
	CHECK_INT(strv_len(inputs), 2);
}

TEST(extends_that_cannot_be)
{
	static const struct error_case cases[] = {
		{ SERVICE("    extends: b\n"),
		  "shop.yaml:4: services.a.extends: there is no service 'b' in " },
		{ SERVICE("    extends: {file: none.inc, service: b}\n"),
		  "shop.yaml:4: services.a.extends: " },
		{ SERVICE("    extends: {service: a, files: x}\n"),
		  "shop.yaml:4: services.a.extends.files: unknown key; did you mean 'file'?" },
		{ SERVICE("    extends: {file: x}\n"),
		  "shop.yaml:4: services.a.extends: the key service is missing" },
		{ SERVICE("    extends: {file: ../x, service: a}\n"),
		  "shop.yaml:4: services.a.extends: '../x' is not below the folder of this file" },
		{ SERVICE("    extends: {file: /etc/passwd, service: a}\n"),
		  "shop.yaml:4: services.a.extends: '/etc/passwd' is not below the folder of this "
		  "file" },
		{ SERVICE("    extends: b\n  b: {image: i, extends: a}\n"),
		  "shop.yaml:5: services.b.extends: services extend each other: a -> ... -> a" },
		{ SERVICE("    extends: {file: other.inc, service: bad}\n"),
		  "other.inc:3: services.a.imagee: unknown key; did you mean 'image'?" },
		{ SERVICE("    extends: {file: other.inc, service: type}\n"),
		  "other.inc:5: services.a.read_only: expected true or false, not a text" },
	};

	beside("other.inc", "services:\n  bad:\n    imagee: x\n  type:\n    read_only: maybe\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(compose_free) struct compose_project *p = NULL;
		_cleanup_(mem_free) char *want = str_printf("%s/%s", test_tmpdir(), cases[i].want);
		struct err e = { 0 };

		CHECK_MSG(parse(cases[i].text, &p, NULL, &e) < 0, "case %zu was taken", i);
		CHECK_MSG(str_starts(err_text(&e), want), "%s", err_text(&e));
	}
}

/* ---- profiles, numbers ---- */

#define PROFILED                                                                           \
	"services:\n  a: {image: i}\n  b: {image: i, profiles: [debug]}\n  c: {image: i, " \
	"profiles: [more, debug]}\n"

TEST(profiles)
{
	static const struct {
		const char *top, *env;
		bool b, c;
	} cases[] = {
		{ "", "", true, true },
		{ "x-skerry-profiles: [debug]\n", "", false, false },
		{ "x-skerry-profiles: more\n", "", true, false },
		{ "", "COMPOSE_PROFILES=other, more\n", true, false },
		{ "x-skerry-profiles: ['*']\n", "", false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(mem_free) char *text = str_printf("%s%s", cases[i].top, PROFILED);

		beside(".env", cases[i].env);
		{
			PARSE(text);

			CHECK(!service(p, "a")->off);
			CHECK_INT(service(p, "b")->off, cases[i].b);
			CHECK_INT(service(p, "c")->off, cases[i].c);
		}
	}
}

TEST(numbers_of_containers)
{
	PARSE("services:\n  a: {image: i, scale: 3}\n  b: {image: i, deploy: {replicas: 0}}\n"
	      "  c: {image: i}\n  d: {image: i, scale: 2, deploy: {replicas: 2, mode: replicated, "
	      "placement: {constraints: [x]}, restart_policy: {condition: on-failure, "
	      "max_attempts: 4, delay: 5s}}}\n"
	      "  e: {image: i, restart: 'no', deploy: {restart_policy: {}}}\n"
	      "  f: {image: i, deploy: {restart_policy: {}}}\n");
	_cleanup_(mem_free) char *third = compose_container_name(p, service(p, "a"), 3);

	CHECK_STR(third, "shop-a-3");
	CHECK_INT(service(p, "a")->replicas, 3);
	CHECK_INT(service(p, "b")->replicas, 0);
	CHECK_INT(service(p, "c")->replicas, 1);
	CHECK_INT(service(p, "d")->replicas, 2);
	CHECK_STR(service(p, "d")->create.host.restart.name, "on-failure");
	CHECK_INT(service(p, "d")->create.host.restart.max_retries, 4);
	CHECK_STR(service(p, "e")->create.host.restart.name, "no");
	CHECK_STR(service(p, "f")->create.host.restart.name, "always");
}

TEST(profiles_and_numbers_with_mistakes)
{
	static const struct error_case cases[] = {
		{ SERVICE("    depends_on: [b]\n  b: {image: i, profiles: [x]}\n"),
		  "shop.yaml:4: services.a.depends_on: the service 'b' has profiles, and none of "
		  "them is active (x-skerry-profiles, or COMPOSE_PROFILES in .env)" },
		{ SERVICE("    scale: -1\n"),
		  "shop.yaml:4: services.a.scale: expected a number from 0 to 256" },
		{ SERVICE("    scale: 2\n    deploy: {replicas: 3}\n"),
		  "shop.yaml:5: services.a.deploy.replicas: scale and deploy.replicas say "
		  "different numbers" },
		{ SERVICE("    scale: 2\n    container_name: x\n"),
		  "shop.yaml:3: services.a: container_name is one name, and there are to be 2 "
		  "containers" },
		{ SERVICE("    deploy: {resources: {reservations: {devices: [{driver: x}]}}}\n"),
		  "shop.yaml:4: services.a.deploy.resources.reservations.devices: is not "
		  "supported by this version of Skerry" },
	};

	check_errors(cases, ARRAY_SIZE(cases));
}

TEST(a_number_does_not_change_the_hash)
{
	char one[65], three[65];
	_cleanup_(buf_free) struct buf body = BUF_INIT(1 << 20);
	const struct compose_stamp stamp = {
		.hash = "h", .image_id = "sha256:1", .number = 3, .name = "shop-a-3"
	};

	{
		PARSE(SERVICE("    scale: 1\n"));
		CHECK_INT(compose_service_hash(&p->services[0], one, &e), 0);
	}
	PARSE(SERVICE("    scale: 3\n"));
	CHECK_INT(compose_service_hash(&p->services[0], three, &e), 0);
	CHECK_STR(one, three);
	CHECK_INT(compose_service_json(&p->services[0], &stamp, &body), 0);
	CHECK(strstr(buf_text(&body), "\"com.docker.compose.container-number\":\"3\""));
	CHECK(strstr(buf_text(&body), "\"com.docker.compose.image\":\"sha256:1\""));
	CHECK(strstr(buf_text(&body), "\"com.docker.compose.oneoff\":\"False\""));
	CHECK(strstr(buf_text(&body), "\"Aliases\":[\"shop-a-3\",\"a\"]"));
}

/* ---- lists of names and values ---- */

TEST(env_and_label_files_and_hosts)
{
	beside(".env", "P=project\n");
	beside("one.env", "A=1\nB=$P\n");
	beside("raw.env", "B='$P'\n");
	beside("labels", "l=file\nm=file\n");
	PARSE(SERVICE(
		"    env_file: [one.env, {path: raw.env, format: raw}, {path: no.env, "
		"required: false}]\n"
		"    environment: [P, NOT, 'A=over']\n    label_file: labels\n    labels: {l: "
		"own}\n"
		"    extra_hosts: ['h:10.0.0.1', 'six=[fd00::1]', 'gw:host-gateway']\n"
		"  b: {image: i, extra_hosts: {h: 10.0.0.1, t: [10.0.0.2, 10.0.0.3]}}\n"));
	const struct compose_service *a = service(p, "a"), *b = service(p, "b");

	CHECK_STR(strv_env_get(a->create.config.env, "A"), "over");
	CHECK_STR(strv_env_get(a->create.config.env, "B"), "'$P'");
	CHECK_STR(strv_env_get(a->create.config.env, "P"), "project");
	CHECK(!strv_env_get(a->create.config.env, "NOT"));
	CHECK_STR(pairs_get(&a->create.config.labels, "l"), "own");
	CHECK_STR(pairs_get(&a->create.config.labels, "m"), "file");
	CHECK_STR(a->create.host.extra_hosts[0], "h:10.0.0.1");
	CHECK_STR(a->create.host.extra_hosts[1], "six:fd00::1");
	CHECK_STR(a->create.host.extra_hosts[2], "gw:host-gateway");
	CHECK_INT(strv_len(b->create.host.extra_hosts), 3);
	CHECK_STR(b->create.host.extra_hosts[2], "t:10.0.0.3");
}

/* ---- configs, secrets ---- */

static const struct mount_request *mount_at(const struct compose_service *s, size_t i)
{
	return (const struct mount_request *)s->create.host.mounts.items + i;
}

TEST(configs_and_secrets)
{
	beside(".env", "PASSWORD=hunter2\n");
	beside("cert.pem", "certificate\n");
	PARSE("services:\n  a:\n    image: i\n    configs: [site, {source: site, target: /etc/x, "
	      "mode: 0440}]\n"
	      "    secrets: [pass, {source: cert, target: tls, uid: '33', gid: '34', mode: "
	      "'0400'}]\n"
	      "configs:\n  site: {content: \"listen ${PASSWORD}\"}\n"
	      "secrets:\n  pass: {environment: PASSWORD}\n  cert: {file: ./cert.pem}\n");
	const struct compose_service *a = service(p, "a");
	_cleanup_(buf_free) struct buf body = BUF_INIT(1 << 20);
	const char *const targets[] = { "/site", "/etc/x", "/run/secrets/pass",
					"/run/secrets/tls" };

	CHECK_INT(a->n_files, 4);
	for (size_t i = 0; i < 4; i++) {
		CHECK_STR(mount_at(a, i)->target, targets[i]);
		CHECK_STR(mount_at(a, i)->source, a->files[i].path);
		CHECK_STR(mount_at(a, i)->type, "bind");
		CHECK(mount_at(a, i)->read_only);
		CHECK(str_starts(a->files[i].path, "/state/files/shop/"));
		for (size_t j = 0; j < i; j++)
			CHECK(!str_eq(a->files[i].path, a->files[j].path));
	}
	CHECK(a->files[0].len == 14 && memcmp(a->files[0].data, "listen hunter2", 14) == 0);
	CHECK_INT(a->files[0].mode, 0444);
	CHECK_INT(a->files[1].mode, 0440);
	CHECK(a->files[2].len == 7 && memcmp(a->files[2].data, "hunter2", 7) == 0);
	CHECK_INT(a->files[2].mode, 0444);
	CHECK_INT(a->files[3].uid, 33);
	CHECK_INT(a->files[3].gid, 34);
	CHECK_INT(a->files[3].mode, 0400);
	CHECK_INT(compose_service_json(a, NULL, &body), 0);
	CHECK(!strstr(buf_text(&body), "hunter2"));
}

TEST(another_content_is_another_path_that_only_the_machine_can_tell)
{
	static const struct compose_config other = { .files_dir = "/state/files", .key = "other" };
	static const char text[] = SERVICE("    secrets: [s]\nsecrets: {s: {file: s}}\n");
	_cleanup_(mem_free) char *file = str_printf("%s/shop.yaml", test_tmpdir());
	char *paths[3], hashes[3][65];

	for (size_t i = 0; i < 3; i++) {
		_cleanup_(compose_free) struct compose_project *p = NULL;
		struct err e = { 0 };

		beside("s", i == 1 ? "two" : "one");
		CHECK_MSG(compose_parse(text, strlen(text), file, i == 2 ? &other : &cfg, &p, NULL,
					&e) == 0,
			  "%s", err_text(&e));
		paths[i] = str_dup(p->services[0].files[0].path);
		CHECK_INT(compose_service_hash(&p->services[0], hashes[i], &e), 0);
	}
	CHECK(strcmp(paths[0], paths[1]) != 0);
	CHECK(strcmp(hashes[0], hashes[1]) != 0);
	CHECK(strcmp(paths[0], paths[2]) != 0);
	for (size_t i = 0; i < 3; i++)
		free(paths[i]);
}

TEST(users_of_mapped_containers)
{
	static const struct compose_config mapped = { .files_dir = "/f",
						      .key = "k",
						      .remap = { 100000, 65536 } };
	static const char text[] =
		SERVICE("    secrets: [{source: s, uid: '5'}]\n  b: {image: i, userns_mode: host, "
			"secrets: [s]}\nsecrets: {s: {content: x}}\n");
	_cleanup_(compose_free) struct compose_project *p = NULL;
	struct err e = { 0 };

	CHECK_MSG(compose_parse(text, strlen(text), "/x/shop.yaml", &mapped, &p, NULL, &e) == 0,
		  "%s", err_text(&e));
	CHECK_INT(service(p, "a")->files[0].uid, 100005);
	CHECK_INT(service(p, "a")->files[0].gid, 100000);
	CHECK_INT(service(p, "b")->files[0].uid, 0);
}

TEST(configs_and_secrets_with_mistakes)
{
	static const struct error_case cases[] = {
		{ SERVICE("    secrets: [s]\n"),
		  "shop.yaml:4: services.a.secrets[0]: the secret 's' is not declared; add it "
		  "under the top-level key secrets" },
		{ SERVICE("    configs: [{target: /x}]\n"),
		  "shop.yaml:4: services.a.configs[0]: the config '' is not declared; add it under "
		  "the top-level key configs" },
		{ SERVICE("secrets: {s: {environment: NONE}}\n"),
		  "shop.yaml:4: secrets.s: the variable NONE is not set; it would stand in the "
		  "file .env" },
		{ SERVICE("secrets: {s: {external: true}}\n"),
		  "shop.yaml:4: secrets.s: there is no store of secrets on this machine; use file, "
		  "environment or content" },
		{ SERVICE("secrets: {s: {file: x, content: y}}\n"),
		  "shop.yaml:4: secrets.s: one of the keys file, environment and content is "
		  "needed" },
		{ SERVICE("secrets: {s: {}}\n"),
		  "shop.yaml:4: secrets.s: one of the keys file, environment and content is "
		  "needed" },
		{ SERVICE("    secrets: [{source: s, mode: 999}]\nsecrets: {s: {content: y}}\n"),
		  "shop.yaml:4: services.a.secrets[0]: expected a mode in octal digits such as "
		  "0440, not '999'" },
		{ SERVICE("    secrets: [{source: s, uid: www}]\nsecrets: {s: {content: y}}\n"),
		  "shop.yaml:4: services.a.secrets[0]: 'www' is no user or group id: a number is "
		  "expected" },
		{ SERVICE("configs: {c: {template_driver: x}}\n"),
		  "shop.yaml:4: configs.c.template_driver: is not supported by this version of "
		  "Skerry" },
	};

	check_errors(cases, ARRAY_SIZE(cases));
}

/* ---- networks, volumes ---- */

static const struct endpoint_config *endpoint(const struct compose_service *s, size_t i)
{
	return (const struct endpoint_config *)s->create.networking.endpoints.items + i;
}

TEST(networks_of_services)
{
	PARSE("services:\n  a: {image: i}\n"
	      "  b:\n    image: i\n    networks:\n      back: {aliases: [store], ipv4_address: "
	      "10.9.0.5}\n      front: {priority: 10, gw_priority: 1, mac_address: "
	      "02:00:00:00:00:01}\n"
	      "  c: {image: i, networks: [out]}\n  d: {image: i, network_mode: host}\n"
	      "  e: {image: i, profiles: [x], networks: [unused]}\n"
	      "networks:\n  back:\n    internal: true\n    labels: {k: v}\n    ipam: {config: "
	      "[{subnet: 10.9.0.0/24, ip_range: 10.9.0.0/25, gateway: 10.9.0.1, aux_addresses: "
	      "{r: 10.9.0.2}}]}\n"
	      "  front: {name: edge, driver_opts: {com.docker.network.driver.mtu: 1400}}\n"
	      "  out: {external: true, name: shared}\n  unused: {}\n");
	const struct compose_service *a = service(p, "a"), *b = service(p, "b"),
				     *c = service(p, "c"), *d = service(p, "d");

	CHECK_STR(a->create.host.network_mode, "shop_default");
	CHECK_STR(endpoint(a, 0)->network, "shop_default");
	CHECK_STR(endpoint(a, 0)->aliases[0], "a");
	CHECK_STR(b->create.host.network_mode, "edge");
	CHECK_STR(endpoint(b, 0)->network, "edge");
	CHECK_STR(endpoint(b, 0)->mac_address, "02:00:00:00:00:01");
	CHECK_INT(endpoint(b, 0)->gateway_priority, 1);
	CHECK_STR(endpoint(b, 1)->network, "shop_back");
	CHECK_STR(endpoint(b, 1)->ipam.ipv4, "10.9.0.5");
	CHECK_STR(endpoint(b, 1)->aliases[0], "store");
	CHECK_STR(endpoint(b, 1)->aliases[1], "b");
	CHECK_STR(c->create.host.network_mode, "shared");
	CHECK_STR(d->create.host.network_mode, "host");
	CHECK_INT(d->create.networking.endpoints.n, 0);
	CHECK_INT(p->n_networks, 5);
	CHECK_STR(p->networks[0].pools[0].subnet, "10.9.0.0/24");
	CHECK_STR(p->networks[0].pools[0].range, "10.9.0.0/25");
	CHECK_STR(pairs_get(&p->networks[0].pools[0].aux, "r"), "10.9.0.2");
	CHECK(p->networks[0].internal && p->networks[0].used);
	CHECK(p->networks[2].external && !p->networks[3].used);
	CHECK_STR(p->networks[4].name, "shop_default");
}

TEST(networks_and_volumes_with_mistakes)
{
	static const struct error_case cases[] = {
		{ SERVICE("    networks: [front]\n"),
		  "shop.yaml:4: services.a.networks: the network 'front' is not declared; add it "
		  "under the top-level key networks" },
		{ SERVICE("    network_mode: host\n    networks: [default]\n"),
		  "shop.yaml:5: services.a.networks: network_mode and networks exclude each "
		  "other" },
		{ SERVICE("    networks: [default, default]\n"),
		  "shop.yaml:4: services.a.networks: the network 'shop_default' stands twice" },
		{ SERVICE("    networks: {default: {alias: x}}\n"),
		  "shop.yaml:4: services.a.networks.default.alias: unknown key; did you mean "
		  "'aliases'?" },
		{ SERVICE("networks: {n: {external: true, internal: true}}\n"),
		  "shop.yaml:4: networks.n: an external network has only a name; the other keys "
		  "belong to who makes it" },
		{ SERVICE("networks: {n: {ipam: {config: {}}}}\n"),
		  "shop.yaml:4: networks.n.ipam.config: expected a list of subnets, not a "
		  "mapping" },
		{ SERVICE("networks: {n: {ipam: {driver: dhcp}}}\n"),
		  "shop.yaml:4: networks.n.ipam.driver: expected default, the only driver of "
		  "addresses, not a text" },
		{ SERVICE("volumes: {v: {external: true, driver_opts: {o: x}}}\n"),
		  "shop.yaml:4: volumes.v: an external volume has only a name; the other keys "
		  "belong to who makes it" },
	};

	check_errors(cases, ARRAY_SIZE(cases));
}

TEST(volumes_of_the_project)
{
	PARSE(SERVICE("    volumes: ['v:/v', 'w:/w', 'o:/o']\nvolumes:\n  v: {driver_opts: {type: "
		      "tmpfs, device: tmpfs}, labels: {k: v}}\n  w: {external: true, name: there}\n"
		      "  o: {external: {name: old}}\n"));

	CHECK_STR(p->volumes[0].name, "shop_v");
	CHECK_STR(pairs_get(&p->volumes[0].options, "type"), "tmpfs");
	CHECK_STR(p->volumes[1].name, "there");
	CHECK_STR(p->volumes[2].name, "old");
	CHECK(p->volumes[2].external);
	CHECK_STR(mount_at(&p->services[0], 1)->source, "there");
}

/* ---- hostile files ---- */

TEST(yaml_that_wants_too_much)
{
	_cleanup_(buf_free) struct buf merges = BUF_INIT(0), lists = BUF_INIT(0), big = BUF_INIT(0);
	struct compose_project *p = NULL;
	struct err e = { 0 };

	/* one mapping of many keys, merged again and again */
	buf_add_text(&merges, "x-a: &a\n");
	for (int i = 0; i < 1000; i++)
		buf_printf(&merges, "  k%d: v\n", i);
	buf_add_text(&merges, "x-b:\n");
	for (int i = 0; i < 100; i++)
		buf_printf(&merges, "  m%d: {<<: *a}\n", i);
	CHECK(parse(buf_text(&merges), &p, NULL, &e) < 0);
	CHECK(strstr(err_text(&e), "shop.yaml:1053: <<: the merges of this file stand for more "
				   "than 50000 keys"));
	/* lists that grow with each extends */
	buf_add_text(&lists, "services:\n  s0: {image: i, cap_add: [");
	for (int i = 0; i < 300; i++)
		buf_printf(&lists, "x%d, ", i);
	buf_add_text(&lists, "]}\n  s1: {extends: s0, cap_add: [");
	for (int i = 0; i < 300; i++)
		buf_printf(&lists, "y%d, ", i);
	buf_add_text(&lists, "]}\n");
	CHECK(parse(buf_text(&lists), &p, NULL, &e) < 0);
	CHECK(strstr(err_text(&e), "with what it extends the list is longer than 512"));
	/* ten megabytes */
	for (int i = 0; i < 10 << 10; i++) {
		static const char line[1024] = "#";

		buf_add(&big, line, 1);
		for (size_t j = 0; j < sizeof(line) - 2; j++)
			buf_add_char(&big, 'x');
		buf_add_char(&big, '\n');
	}
	CHECK(parse(buf_text(&big), &p, NULL, &e) < 0);
	CHECK(strstr(err_text(&e), "shop.yaml:1: larger than 1048576 bytes"));
	CHECK(!p);
}
