/*
 * Compose files: any bytes as the file of a project.
 *
 * What is accepted must keep the promises of compose.h: every service has a name, its dependencies
 * stand in front of it, its create request is one that the engine takes, its networks are the
 * project's, and its contents are files to which it has mounts. Files beside the manifest do not
 * exist here, so that nothing but the input counts. The bytes are also read as an env file, and as
 * one value with variables.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "engine/manifest/compose.h"
#include "engine/manifest/vars.h"
#include "init/base/str.h"

#define FILE_NAME "/nonexistent/fuzz.yaml"

static size_t position(const struct compose_project *p, const char *service)
{
	size_t i = 0;

	while (i < p->n_services && !str_eq(p->services[i].name, service))
		i++;
	return i;
}

static bool has_network(const struct compose_project *p, const char *name)
{
	for (size_t i = 0; i < p->n_networks; i++)
		if (str_eq(p->networks[i].name, name))
			return true;
	return false;
}

static bool has_mount(const struct compose_service *s, const char *source)
{
	const struct mount_request *m = s->create.host.mounts.items;

	for (size_t i = 0; i < s->create.host.mounts.n; i++)
		if (str_eq(m[i].source, source))
			return m[i].read_only;
	return false;
}

static void check_parts(const struct compose_project *p, const struct compose_service *s)
{
	const struct endpoint_config *eps = s->create.networking.endpoints.items;

	for (size_t i = 0; i < s->create.networking.endpoints.n; i++)
		FUZZ_CHECK(has_network(p, eps[i].network));
	FUZZ_CHECK(!s->create.networking.endpoints.n ||
		   str_eq(eps[0].network, s->create.host.network_mode));
	for (size_t i = 0; i < s->n_files; i++)
		FUZZ_CHECK(has_mount(s, s->files[i].path) && s->files[i].mode <= 0777);
}

static void check_text(const char *text)
{
	struct vars v = { 0 };
	struct err e = { 0 };
	char **env = NULL, *value = NULL;

	if (env_file_read(text, FILE_NAME, false, &v, &env, &e) < 0)
		FUZZ_CHECK(e.code > 0 && str_starts(err_text(&e), FILE_NAME));
	for (char **x = env; x && *x; x++)
		FUZZ_CHECK(strchr(*x, '='));
	if (vars_expand(&v, text, &value, &e) == 0)
		FUZZ_CHECK(value && strlen(value) <= VARS_VALUE_MAX);
	else
		FUZZ_CHECK(!value);
	free(value);
	strv_free(env);
	vars_free(&v);
}

static void check_service(const struct compose_project *p, size_t at)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(4 << 20), again = BUF_INIT(4 << 20);
	const struct compose_service *s = &p->services[at];
	struct compose_service back = { 0 };
	char hash[65];
	struct err e = { 0 };
	yyjson_doc *doc;

	FUZZ_CHECK(s->name && s->container_name && s->at.line > 0 && s->at.file);
	FUZZ_CHECK(s->replicas >= 0 && s->replicas <= COMPOSE_REPLICAS_MAX);
	FUZZ_CHECK(position(p, s->name) == at);
	for (size_t i = 0; i < s->n_deps; i++)
		FUZZ_CHECK(position(p, s->deps[i].service) < at || s->deps[i].optional);
	FUZZ_CHECK(compose_service_hash(s, hash, &e) == 0);
	check_parts(p, s);
	if (compose_service_json(s, NULL, &text) < 0)
		return; /* larger than a request may be */
	doc = yyjson_read(buf_text(&text), text.len, 0);
	FUZZ_CHECK(doc);
	create_config_init(&back.create);
	if (create_config_read(yyjson_doc_get_root(doc), &back.create, &e) < 0 ||
	    create_config_check(&back.create, NULL, &e) < 0) {
		fprintf(stderr, "%s\n%s\n", err_text(&e), buf_text(&text));
		FUZZ_CHECK(!"the create request of a good file is refused");
	}
	FUZZ_CHECK(compose_service_json(&back, NULL, &again) == 0);
	FUZZ_CHECK(text.len == again.len &&
		   memcmp(buf_text(&text), buf_text(&again), text.len) == 0);
	create_config_free(&back.create);
	yyjson_doc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct compose_project *p = NULL;
	struct err e = { 0 };

	char *text = strndup((const char *)data, len);

	FUZZ_CHECK(text);
	check_text(text);
	free(text);
	if (len > 0 && memmem(data, len, "file", strlen("file")))
		return 0; /* would read files of this machine */
	if (compose_parse((const char *)data, len, FILE_NAME, NULL, &p, NULL, &e) < 0) {
		FUZZ_CHECK(e.code > 0 && str_starts(err_text(&e), FILE_NAME));
		return 0;
	}
	FUZZ_CHECK(p->name && p->n_services <= COMPOSE_SERVICES_MAX);
	for (size_t i = 0; i < p->n_services; i++)
		check_service(p, i);
	compose_free(p);
	return 0;
}
