/*
 * The schema of system.yaml as a table, and the walk that checks a file against it (see
 * settings.h).
 */
#include "engine/data/settings.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>

#include "engine/data/remap.h"
#include "engine/data/yaml.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum { PATH_TEXT_MAX = 160, MTU_LEAST = 68, MTU_MOST = 65535 };
/* overlayfs stacks at most 500 layers (OVL_MAX_STACK), one is the container's own; and what the
 * unpack worker cannot do without */
enum { LAYERS_MOST = 499, MEMORY_LEAST = 4 << 20 };

/* ---- forms of values: true when the text is right ---- */

static bool is_hostname(const char *s)
{
	size_t len = strlen(s);

	if (len < 1 || len > 63 || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (; *s; s++)
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z') &&
		    !(*s >= '0' && *s <= '9') && *s != '-')
			return false;
	return true;
}

/* What may stand in a line of the answer: printable, without blanks. */
static bool is_word(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

static bool is_storage(const char *s)
{
	return str_eq(s, "auto") || str_eq(s, "none") || (str_starts(s, "/dev/") && s[5]);
}

static bool is_address(const char *s)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, s, raw) == 1 || inet_pton(AF_INET6, s, raw) == 1;
}

static bool is_prefix(const char *s)
{
	_cleanup_(mem_free) char *address = strndup(s, strcspn(s, "/"));
	const char *slash = strchr(s, '/');
	uint64_t bits;

	return address && slash && is_address(address) && str_to_u64(slash + 1, &bits) == 0 &&
	       bits <= (strchr(address, ':') ? 128u : 32u);
}

static bool is_mtu(const char *s)
{
	uint64_t v;

	return str_to_u64(s, &v) == 0 && v >= MTU_LEAST && v <= MTU_MOST;
}

static bool is_domain(const char *s)
{
	if (!*s || strlen(s) > 253)
		return false;
	for (; *s; s++)
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z') &&
		    !(*s >= '0' && *s <= '9') && *s != '-' && *s != '.')
			return false;
	return true;
}

static bool is_host(const char *s)
{
	return is_address(s) || is_domain(s);
}

/* "0.0.0.0:2376", "[::]:2376" */
static bool is_listen(const char *s)
{
	const char *colon = strrchr(s, ':');
	_cleanup_(mem_free) char *host = colon ? strndup(s, (size_t)(colon - s)) : NULL;
	size_t len = host ? strlen(host) : 0;
	uint64_t port;

	if (!host || str_to_u64(colon + 1, &port) < 0 || port < 1 || port > 65535)
		return false;
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		return is_address(host + 1);
	}
	return is_address(host) && !strchr(host, ':');
}

static bool is_bool(const char *s)
{
	return str_eq(s, "true") || str_eq(s, "false");
}

/* "https://mirror.example:5000/", without a user name */
static bool is_url(const char *s)
{
	const char *host = str_starts(s, "https://")  ? s + 8
			   : str_starts(s, "http://") ? s + 7
						      : "";

	return *host && *host != '/' && *host != ':' && !strchr(host, '@') && !strpbrk(s, "?#\"\\");
}

/* As above; "http://name:password@proxy.example:3128" may stand here. */
static bool is_proxy(const char *s)
{
	return (str_starts(s, "http://") || str_starts(s, "https://")) && strchr(s, '/')[2] &&
	       !strpbrk(s, "?#\"\\");
}

/* "registry.example", "registry.example:5000", "192.0.2.0/24" */
static bool is_registry(const char *s)
{
	return *s && !strstr(s, "//") && !strpbrk(s, "@?#\"\\") &&
	       (!strchr(s, '/') || is_prefix(s));
}

static bool is_file(const char *s)
{
	return s[0] == '/' && s[1];
}

/* A limit: 0 would mean the default. */
static bool is_count(const char *s)
{
	uint64_t v;

	return str_to_u64(s, &v) == 0 && v > 0;
}

static bool is_bytes(const char *s)
{
	uint64_t v;

	return str_to_bytes(s, &v) == 0 && v > 0;
}

static bool is_layers(const char *s)
{
	uint64_t v;

	return str_to_u64(s, &v) == 0 && v > 0 && v <= LAYERS_MOST;
}

static bool is_memory(const char *s)
{
	uint64_t v;

	return str_to_bytes(s, &v) == 0 && v >= MEMORY_LEAST;
}

static bool is_downloads(const char *s)
{
	uint64_t v;

	return str_to_u64(s, &v) == 0 && v >= 1 && v <= 64;
}

static bool is_number(const char *s)
{
	uint64_t v;

	return str_to_u64(s, &v) == 0 && v >= 1 && v <= INT32_MAX;
}

static bool is_remap(const char *s)
{
	struct remap m;

	return remap_parse(s, &m);
}

/* ---- the schema ---- */

enum count { ONE, LIST, ONE_OR_LIST };

#define LIMITS "engine.image-limits."
#define COUNT "a number from 1"
#define BYTES "bytes, such as 512M or 64G"

static const struct setting {
	const char *key; /* * stands for any name */
	enum count count;
	bool (*fits)(const char *text);
	const char *want; /* for the error */
} schema[] = {
	{ "hostname", ONE, is_hostname, "a host name: letters, digits and -, at most 63" },
	{ "storage.data", ONE, is_storage, "auto, none, or a device such as /dev/vdb" },
	{ "network.dns", LIST, is_address, "an address such as 192.0.2.53" },
	{ "network.search", LIST, is_domain, "a domain such as example.org" },
	{ "network.links.*.dhcp", ONE, is_bool, "true or false" },
	{ "network.links.*.address", ONE_OR_LIST, is_prefix,
	  "an address with its prefix such as 192.0.2.2/24" },
	{ "network.links.*.gateway", ONE_OR_LIST, is_address, "an address such as 192.0.2.1" },
	{ "network.links.*.mtu", ONE, is_mtu, "a number from 68 to 65535" },
	{ "network.links.*.ipv6", ONE, is_bool, "true or false" },
	{ "time.servers", LIST, is_host, "a name or an address of an NTP server" },
	{ "api.listen", ONE, is_listen, "an address and port such as 0.0.0.0:2376" },
	{ "engine.userns-remap", ONE, is_remap,
	  "default, or a first id and how many (both from 65536) such as 100000:65536" },
	{ LIMITS "archive-bytes", ONE, is_bytes, BYTES },
	{ LIMITS "archive-entries", ONE, is_count, COUNT },
	{ LIMITS "layer-bytes", ONE, is_bytes, BYTES },
	{ LIMITS "layer-entries", ONE, is_count, COUNT },
	{ LIMITS "layers", ONE, is_layers, "a number from 1 to 499" },
	{ LIMITS "images", ONE, is_count, COUNT },
	{ LIMITS "ratio", ONE, is_count, COUNT },
	{ LIMITS "ratio-from-bytes", ONE, is_bytes, BYTES },
	{ LIMITS "depth", ONE, is_count, COUNT },
	{ LIMITS "xattr-bytes", ONE, is_bytes, BYTES },
	{ LIMITS "memory", ONE, is_memory, "at least 4M, such as 16M" },
	{ LIMITS "jobs", ONE, is_count, COUNT },
	{ "engine.registry.mirrors", LIST, is_url, "an address such as https://mirror.example" },
	{ "engine.registry.insecure-registries", LIST, is_registry,
	  "a registry such as registry.example:5000, or a network such as 192.0.2.0/24" },
	{ "engine.registry.certificates", LIST, is_file,
	  "a file of certificates such as /etc/skerry/pki/registry-ca.pem" },
	{ "engine.registry.token-hosts", LIST, is_host, "a host such as auth.example.org" },
	{ "engine.registry.http-proxy", ONE, is_proxy,
	  "an address such as http://proxy.example:3128" },
	{ "engine.registry.https-proxy", ONE, is_proxy,
	  "an address such as http://proxy.example:3128" },
	{ "engine.registry.no-proxy", LIST, is_registry,
	  "a host, a domain such as .example.org, a network such as 192.0.2.0/24, or *" },
	{ "engine.registry.max-concurrent-downloads", ONE, is_downloads, "a number from 1 to 64" },
	{ "engine.registry.least-speed", ONE, is_number, "bytes per second such as 1024" },
	{ "engine.registry.least-speed-seconds", ONE, is_number, "seconds such as 60" },
};

/* Compares "network.links.*.mtu" with "network.links.eth0.mtu"; `prefix`: whether path may end
 * early. */
static bool matches(const char *pattern, const char *path, bool prefix)
{
	for (; *pattern && *path; pattern++, path++) {
		if (*pattern == '*') {
			path += strcspn(path, ".");
			pattern++;
			if (!*path || !*pattern)
				break;
		}
		if (*pattern != *path)
			return false;
	}
	return !*path && (!*pattern || (prefix && *pattern == '.'));
}

static const struct setting *find(const char *path, bool prefix)
{
	for (size_t i = 0; i < ARRAY_SIZE(schema); i++)
		if (matches(schema[i].key, path, prefix))
			return &schema[i];
	return NULL;
}

/* ---- the walk ---- */

static int put_value(const struct yaml_doc *doc, const struct setting *s, const struct yaml_node *n,
		     const char *path, const char *key, char ***list, struct err *e)
{
	if (n->kind != YAML_SCALAR)
		return yaml_err(doc, n->line, path, e, "expected %s, not %s", s->want,
				yaml_kind_name(n));
	if (!is_word(n->text) || !s->fits(n->text))
		return yaml_err(doc, n->line, path, e, "expected %s, not '%s'", s->want, n->text);
	return strv_addf(list, "%s=%s", key, n->text) < 0 ? err_errno(e, ENOMEM, "%s", path) : 0;
}

static int put_setting(const struct yaml_doc *doc, const struct setting *s,
		       const struct yaml_node *n, const char *path, char ***list, struct err *e)
{
	char key[PATH_TEXT_MAX + 16];
	int r = 0;

	if (s->count == ONE || (s->count == ONE_OR_LIST && n->kind == YAML_SCALAR))
		return put_value(doc, s, n, path, path, list, e);
	if (n->kind != YAML_LIST)
		return yaml_err(doc, n->line, path, e, "expected a list, each %s", s->want);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		snprintf(key, sizeof(key), "%s.%zu", path, i);
		r = put_value(doc, s, n->items[i], path, key, list, e);
	}
	return r;
}

static int walk(const struct yaml_doc *doc, const struct yaml_node *map, const char *prefix,
		char ***list, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < map->n; i++) {
		const struct yaml_pair *p = &map->pairs[i];
		const struct setting *s;
		char path[PATH_TEXT_MAX];

		if (!is_word(p->key) || !*p->key || strchr(p->key, '.') || strchr(p->key, '*') ||
		    strchr(p->key, '=') ||
		    str_format(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", p->key) <
			    0)
			return yaml_err(doc, p->line, prefix, e, "'%s' is no key of the settings",
					p->key);
		s = find(path, false);
		if (!s && !find(path, true))
			return yaml_err(doc, p->line, path, e, "unknown key");
		if (yaml_is_null(p->value))
			continue;
		if (s)
			r = put_setting(doc, s, p->value, path, list, e);
		else if (p->value->kind != YAML_MAP)
			r = yaml_err(doc, p->value->line, path, e, "expected a mapping, not %s",
				     yaml_kind_name(p->value));
		else
			r = walk(doc, p->value, path, list, e);
	}
	return r;
}

int settings_read(const char *text, size_t len, const char *file, char ***ret_list, struct err *e)
{
	_cleanup_(yaml_doc_free) struct yaml_doc *doc = NULL;
	_cleanup_(strv_free) char **list = calloc(1, sizeof(char *));
	int r = list ? yaml_parse(text, len, file, &doc, e) : err_errno(e, ENOMEM, "%s", file);

	if (r == 0 && doc->root->kind != YAML_MAP)
		r = yaml_err(doc, doc->root->line, NULL, e, "expected a mapping of settings");
	if (r == 0)
		r = walk(doc, doc->root, "", &list, e);
	if (r == 0)
		*ret_list = take_ptr(list);
	return r;
}

int settings_read_file(const char *file, char ***ret_list, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	struct err why = { 0 };
	size_t len = 0;
	int r = file_read(AT_FDCWD, file, SETTINGS_SIZE_MAX, &text, &len, &why);

	if (r == -ENOENT)
		return settings_read("", 0, file, ret_list, e);
	if (r < 0)
		return err_set(e, why.code, "%s:1: %s", file, err_text(&why));
	return settings_read(text, len, file, ret_list, e);
}

int settings_main(int argc, char **argv)
{
	_cleanup_(strv_free) char **list = NULL;
	struct err e = { 0 };

	if (argc != 2) {
		fprintf(stderr, "usage: skerryd settings FILE\n");
		return 2;
	}
	if (settings_read_file(argv[1], &list, &e) < 0) {
		fprintf(stderr, "%s\n", err_text(&e));
		return 1;
	}
	for (char **line = list; *line; line++)
		printf("%s\n", *line);
	return fflush(stdout) == 0 ? 0 : 1;
}
