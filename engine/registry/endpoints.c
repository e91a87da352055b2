/*
 * Settings and references to addresses: see endpoints.h.
 *
 * Nothing here asks a resolver: a network in the list of insecure registries covers hosts that are
 * written as addresses. "localhost" and this machine's own addresses are insecure without being
 * listed, as in Docker.
 */
#include "engine/registry/endpoints.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "init/base/str.h"

enum {
	DOWNLOADS_DEFAULT = 3,
	SPEED_BYTES = 1024,
	SPEED_SECONDS = 60,
	PORT_HTTP = 80,
	PORT_HTTPS = 443,
};

/* ---- settings ---- */

#define PREFIX "engine.registry."

/* KEY.0, KEY.1, ... */
static int read_list(char *const *lines, const char *key, char ***ret)
{
	char name[96];
	const char *value;
	int r = 0;

	for (size_t i = 0; r == 0; i++) {
		(void)str_format(name, sizeof(name), PREFIX "%s.%zu", key, i);
		value = strv_env_get(lines, name);
		if (!value)
			break;
		r = strv_add(ret, value);
	}
	return r;
}

static int64_t read_number(char *const *lines, const char *key, int64_t otherwise)
{
	const char *text = strv_env_get(lines, key);
	uint64_t value;

	return text && str_to_u64(text, &value) == 0 && value <= INT32_MAX ? (int64_t)value
									   : otherwise;
}

int registry_settings_read(char *const *lines, struct registry_settings *ret, struct err *e)
{
	*ret = (struct registry_settings){
		.downloads = (size_t)read_number(lines, PREFIX "max-concurrent-downloads",
						 DOWNLOADS_DEFAULT),
		.speed_bytes = read_number(lines, PREFIX "least-speed", SPEED_BYTES),
		.speed_seconds = read_number(lines, PREFIX "least-speed-seconds", SPEED_SECONDS),
	};
	if (read_list(lines, "mirrors", &ret->mirrors) < 0 ||
	    read_list(lines, "insecure-registries", &ret->insecure) < 0 ||
	    read_list(lines, "certificates", &ret->certificates) < 0 ||
	    read_list(lines, "token-hosts", &ret->token_hosts) < 0 ||
	    read_list(lines, "no-proxy", &ret->no_proxy) < 0 ||
	    str_set(&ret->http_proxy, strv_env_get(lines, PREFIX "http-proxy")) < 0 ||
	    str_set(&ret->https_proxy, strv_env_get(lines, PREFIX "https-proxy")) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

void registry_settings_free(struct registry_settings *s)
{
	strv_free(s->mirrors);
	strv_free(s->insecure);
	strv_free(s->certificates);
	strv_free(s->token_hosts);
	strv_free(s->no_proxy);
	free(s->http_proxy);
	free(s->https_proxy);
	*s = (struct registry_settings){ 0 };
}

/* ---- addresses ---- */

/* "host", "host:5000", "[::1]:5000"; port 0: none is named */
static int split_host(const char *text, size_t len, char ret_host[REF_NAME_MAX + 1],
		      unsigned *ret_port)
{
	char copy[REF_NAME_MAX + 1], *host = copy, *end;
	uint64_t port = 0;

	if (len == 0 || str_format(copy, sizeof(copy), "%.*s", (int)len, text) < 0)
		return -EINVAL;
	if (copy[0] == '[') {
		end = strchr(copy, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		host = copy + 1;
		*end++ = '\0';
	} else {
		end = host + strcspn(host, ":");
		if (strchr(host, ':') != strrchr(host, ':'))
			end = host + strlen(host); /* an IPv6 address without brackets */
	}
	if (*end == ':') {
		*end++ = '\0';
		if (str_to_u64(end, &port) < 0 || port < 1 || port > 65535)
			return -EINVAL;
	}
	if (!*host)
		return -EINVAL;
	for (char *p = host; *p; p++) {
		if (*p <= ' ' || *p > '~' || strchr("/?#@\\\"'<>%", *p))
			return -EINVAL;
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	}
	*ret_port = (unsigned)port;
	return str_copy(ret_host, REF_NAME_MAX + 1, host);
}

int url_parts(const char *url, struct url_parts *ret, struct err *e)
{
	struct url_parts p = { 0 };
	const char *host = url;
	unsigned port = 0;
	size_t len;

	if (strncasecmp(url, "https://", 8) == 0) {
		p.tls = true;
		host += 8;
	} else if (strncasecmp(url, "http://", 7) == 0) {
		host += 7;
	} else {
		return err_set(e, EINVAL, "the address does not begin with http:// or https://");
	}
	len = strcspn(host, "/?#");
	if (memchr(host, '@', len))
		return err_set(e, EINVAL, "the address has a user name in it");
	for (const char *c = url; *c; c++)
		if (*c <= ' ' || *c > '~')
			return err_set(e, EINVAL,
				       "the address has a character that belongs into none");
	if (split_host(host, len, p.host, &port) < 0)
		return err_set(e, EINVAL, "the address names no host that could be");
	p.port = port ? port : p.tls ? PORT_HTTPS : PORT_HTTP;
	*ret = p;
	return 0;
}

bool url_same_origin(const char *a, const char *b)
{
	struct url_parts x, y;

	return url_parts(a, &x, NULL) == 0 && url_parts(b, &y, NULL) == 0 && x.tls == y.tls &&
	       x.port == y.port && str_eq(x.host, y.host);
}

/* The last two labels: what separates owners of names, nearly. */
static const char *site_of(const char *host)
{
	const char *dot = strrchr(host, '.');

	while (dot && dot > host && dot[-1] != '.')
		dot--;
	return dot && *dot != '.' ? dot : host;
}

static int parse_ip(const char *text, unsigned char raw[16])
{
	if (inet_pton(AF_INET, text, raw) == 1)
		return 4;
	return inet_pton(AF_INET6, text, raw) == 1 ? 16 : 0;
}

bool host_same_site(const char *a, const char *b)
{
	unsigned char raw[16];

	if (strcasecmp(a, b) == 0)
		return true;
	if (parse_ip(a, raw) || parse_ip(b, raw) || !strchr(a, '.') || !strchr(b, '.'))
		return false;
	return strcasecmp(site_of(a), site_of(b)) == 0;
}

/* "192.0.2.0/24" or one address, against a host that is an address */
static bool in_network(const char *network, const char *host)
{
	unsigned char have[16], want[16];
	char base[64];
	const char *slash = strchr(network, '/');
	int len = parse_ip(host, have);
	uint64_t bits;

	if (len == 0 ||
	    str_format(base, sizeof(base), "%.*s", (int)strcspn(network, "/"), network) < 0 ||
	    parse_ip(base, want) != len)
		return false;
	bits = (uint64_t)len * 8;
	if (slash && (str_to_u64(slash + 1, &bits) < 0 || bits > (uint64_t)len * 8))
		return false;
	if (memcmp(have, want, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || ((have[bits / 8] ^ want[bits / 8]) >> (8 - bits % 8)) == 0;
}

static bool is_own(const char *host)
{
	return strcasecmp(host, "localhost") == 0 || in_network("127.0.0.0/8", host) ||
	       in_network("::1", host);
}

bool is_insecure(char *const *insecure, const char *host, unsigned port)
{
	char name[REF_NAME_MAX + 1];
	unsigned listed;

	if (is_own(host))
		return true;
	for (size_t i = 0; i < strv_len(insecure); i++) {
		if (strchr(insecure[i], '/')) {
			if (in_network(insecure[i], host))
				return true;
		} else if (split_host(insecure[i], strlen(insecure[i]), name, &listed) == 0 &&
			   strcasecmp(name, host) == 0 && (listed == 0 || listed == port)) {
			return true;
		}
	}
	return false;
}

/* ---- proxies ---- */

/* Go's rules (golang.org/x/net/http/httpproxy): "example.org" covers itself and what is below it,
 * ".example.org" only what is below. */
static bool rule_covers(const char *rule, const char *host, unsigned port)
{
	char name[REF_NAME_MAX + 1];
	size_t len = strlen(host), tail;
	unsigned listed;

	if (str_eq(rule, "*"))
		return true;
	if (strchr(rule, '/'))
		return in_network(rule, host);
	if (str_starts(rule, "*."))
		rule++;
	if (split_host(rule, strlen(rule), name, &listed) < 0 || (listed && listed != port))
		return false;
	if (strcasecmp(name, host) == 0)
		return true;
	tail = strlen(name);
	if (len <= tail || strcasecmp(host + len - tail, name) != 0)
		return false;
	return name[0] == '.' || host[len - tail - 1] == '.';
}

bool goes_straight(char *const *no_proxy, const char *host, unsigned port)
{
	if (is_own(host))
		return true;
	for (size_t i = 0; i < strv_len(no_proxy); i++)
		if (rule_covers(no_proxy[i], host, port))
			return true;
	return false;
}

const char *proxy_for(const struct registry_settings *s, const char *url)
{
	struct url_parts p;
	const char *proxy;

	if (url_parts(url, &p, NULL) < 0)
		return "";
	proxy = p.tls ? s->https_proxy : s->http_proxy;
	return proxy && !goes_straight(s->no_proxy, p.host, p.port) ? proxy : "";
}

/* ---- places ---- */

static int add_endpoint(struct place *p, const char *base, bool mirror, bool insecure)
{
	struct endpoint *ep = &p->endpoints[p->n_endpoints];
	size_t len = strlen(base);

	while (len > 0 && base[len - 1] == '/')
		len--;
	ep->base = strndup(base, len);
	if (!ep->base)
		return -ENOMEM;
	ep->mirror = mirror;
	ep->insecure = insecure;
	p->n_endpoints++;
	return 0;
}

static int add_mirrors(struct place *p, const struct registry_settings *s)
{
	struct url_parts parts;
	int r = 0;

	for (size_t i = 0; r == 0 && i < strv_len(s->mirrors) && i < ENDPOINTS_MAX - 1; i++)
		if (url_parts(s->mirrors[i], &parts, NULL) == 0)
			r = add_endpoint(p, s->mirrors[i], true,
					 is_insecure(s->insecure, parts.host, parts.port));
	return r;
}

static int add_origin(struct place *p, const struct registry_settings *s, struct err *e)
{
	bool hub = str_eq(p->domain, HUB_DOMAIN);
	char base[REF_NAME_MAX + 16];
	struct url_parts parts;
	int r;

	r = str_format(base, sizeof(base), "https://%s", hub ? HUB_HOST : p->domain);
	if (r == 0)
		r = url_parts(base, &parts, e);
	if (r < 0)
		return err_wrap(e, "the registry \"%.100s\"", p->domain);
	return add_endpoint(p, base, false,
			    !hub && is_insecure(s->insecure, parts.host, parts.port)) < 0
		       ? err_set(e, ENOMEM, "out of memory")
		       : 0;
}

int place_new(const struct registry_settings *s, const char *domain, const char *path,
	      struct place **ret, struct err *e)
{
	_cleanup_(place_free) struct place *p = calloc(1, sizeof(*p));

	if (p)
		p->endpoints = calloc(ENDPOINTS_MAX, sizeof(*p->endpoints));
	if (!p || !p->endpoints)
		return err_set(e, ENOMEM, "out of memory");
	if (str_copy(p->domain, sizeof(p->domain), domain) < 0 ||
	    str_copy(p->path, sizeof(p->path), path) < 0)
		return err_set(e, EINVAL, "the name of the repository is too long");
	if (str_eq(domain, HUB_DOMAIN) && *path && add_mirrors(p, s) < 0)
		return err_set(e, ENOMEM, "out of memory");
	if (add_origin(p, s, e) < 0)
		return e ? -e->code : -EINVAL;
	*ret = take_ptr(p);
	return 0;
}

void place_free(struct place *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_endpoints; i++)
		free(p->endpoints[i].base);
	free(p->endpoints);
	free(p);
}

int server_domain(const char *server, char ret_domain[REF_NAME_MAX + 1], struct err *e)
{
	static const char *const hub[] = { "docker.io", "index.docker.io", "registry-1.docker.io",
					   "registry.hub.docker.com", "hub.docker.com" };
	const char *host = str_empty(server) ? HUB_DOMAIN : server;
	char name[REF_NAME_MAX + 1];
	unsigned port = 0;
	size_t len;

	if (strncasecmp(host, "https://", 8) == 0)
		host += 8;
	else if (strncasecmp(host, "http://", 7) == 0)
		host += 7;
	len = strcspn(host, "/?#");
	if (split_host(host, len, name, &port) < 0)
		return err_set(e, EINVAL, "\"%.200s\" is no registry: expected host or host:port",
			       server);
	for (size_t i = 0; i < ARRAY_SIZE(hub); i++)
		if (str_eq(name, hub[i]) && port == 0)
			return str_copy(ret_domain, REF_NAME_MAX + 1, HUB_DOMAIN);
	return str_format(ret_domain, REF_NAME_MAX + 1, "%.*s", (int)len, host);
}
