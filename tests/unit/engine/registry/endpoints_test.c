/* Addresses, places, insecure registries and proxies: rows of what goes in and what comes out. */
#include "engine/registry/endpoints.h"

#include "init/base/str.h"
#include "tests/unit/test.h"

static char *const lines[] = {
	(char *)"engine.registry.mirrors.0=https://mirror.example/",
	(char *)"engine.registry.mirrors.1=http://192.0.2.9:5000",
	(char *)"engine.registry.insecure-registries.0=plain.example:5000",
	(char *)"engine.registry.insecure-registries.1=192.0.2.0/24",
	(char *)"engine.registry.http-proxy=http://proxy.example:3128",
	(char *)"engine.registry.https-proxy=http://name:secret@proxy.example:3129",
	(char *)"engine.registry.no-proxy.0=.direct.example",
	(char *)"engine.registry.no-proxy.1=10.51.100.0/24",
	(char *)"engine.registry.no-proxy.2=near.example:8443",
	(char *)"engine.registry.max-concurrent-downloads=5",
	(char *)"engine.registry.least-speed-seconds=7",
	NULL,
};

TEST(settings)
{
	_cleanup_(registry_settings_free) struct registry_settings s = { 0 };

	CHECK_INT(registry_settings_read(lines, &s, NULL), 0);
	CHECK_INT((long long)strv_len(s.mirrors), 2);
	CHECK_INT((long long)s.downloads, 5);
	CHECK_INT(s.speed_bytes, 1024);
	CHECK_INT(s.speed_seconds, 7);
	registry_settings_free(&s);
	CHECK_INT(registry_settings_read(NULL, &s, NULL), 0);
	CHECK(!s.mirrors && !s.http_proxy);
	CHECK_INT((long long)s.downloads, 3);
	CHECK_INT(s.speed_seconds, 60);
}

TEST(places)
{
	static const struct {
		const char *ref, *base; /* of the origin */
		size_t n;
		bool insecure;
	} rows[] = {
		{ "httpd", "https://" HUB_HOST, 3, false },
		{ "a/b:1", "https://" HUB_HOST, 3, false },
		{ "reg.example/a/b", "https://reg.example", 1, false },
		{ "plain.example:5000/a", "https://plain.example:5000", 1, true },
		{ "plain.example:5001/a", "https://plain.example:5001", 1, false },
		{ "192.0.2.77/a", "https://192.0.2.77", 1, true },
		{ "10.0.3.77/a", "https://10.0.3.77", 1, false },
		{ "localhost:5000/a", "https://localhost:5000", 1, true },
		{ "localhost/a", "https://localhost", 1, true },
		{ "127.1.2.3:5000/a", "https://127.1.2.3:5000", 1, true },
		{ "[::1]:5000/a", "https://[::1]:5000", 1, true },
		{ "localhost.example/a", "https://localhost.example", 1, false },
	};
	_cleanup_(registry_settings_free) struct registry_settings s = { 0 };

	CHECK_INT(registry_settings_read(lines, &s, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(place_free) struct place *p = NULL;
		const struct endpoint *last;
		struct err e = { 0 };
		struct ref ref;

		CHECK_INT(ref_parse(rows[i].ref, &ref, NULL), 0);
		CHECK_MSG(place_new(&s, ref.domain, ref.path, &p, &e) == 0, "%s: %s", rows[i].ref,
			  err_text(&e));
		CHECK_INT((long long)p->n_endpoints, (long long)rows[i].n);
		last = &p->endpoints[p->n_endpoints - 1];
		CHECK_STR(last->base, rows[i].base);
		CHECK(!last->mirror);
		CHECK_MSG(last->insecure == rows[i].insecure, "%s", rows[i].ref);
	}
}

TEST(mirrors)
{
	_cleanup_(registry_settings_free) struct registry_settings s = { 0 };
	_cleanup_(place_free) struct place *p = NULL;

	CHECK_INT(registry_settings_read(lines, &s, NULL), 0);
	CHECK_INT(place_new(&s, "docker.io", "library/a", &p, NULL), 0);
	CHECK_STR(p->endpoints[0].base, "https://mirror.example");
	CHECK(p->endpoints[0].mirror && !p->endpoints[0].insecure);
	CHECK_STR(p->endpoints[1].base, "http://192.0.2.9:5000");
	CHECK(p->endpoints[1].mirror && p->endpoints[1].insecure);
}

TEST(servers)
{
	static const char *const rows[][2] = {
		{ NULL, "docker.io" },
		{ "", "docker.io" },
		{ "https://index.docker.io/v1/", "docker.io" },
		{ "registry-1.docker.io", "docker.io" },
		{ "docker.io", "docker.io" },
		{ "ghcr.io", "ghcr.io" },
		{ "https://reg.example:5000/v2/", "reg.example:5000" },
		{ "http://10.0.2.2:5000", "10.0.2.2:5000" },
		{ "a b", NULL },
		{ "https://", NULL },
		{ "user@host", NULL },
		{ "host:0", NULL },
		{ "host:99999", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char domain[REF_NAME_MAX + 1] = "";
		int r = server_domain(rows[i][0], domain, NULL);

		CHECK_MSG((r == 0) == !!rows[i][1], "row %zu", i);
		if (rows[i][1])
			CHECK_STR(domain, rows[i][1]);
	}
}

TEST(urls)
{
	static const struct {
		const char *url, *host;
		unsigned port;
	} rows[] = {
		{ "https"
		  "://REG.example/v2/",
		  "reg.example", 443 },
		{ "http://reg.example", "reg.example", 80 },
		{ "https://reg.example:5000?x=https://other/", "reg.example", 5000 },
		{ "https://[::1]:5000/", "::1", 5000 },
		{ "ftp://reg.example", NULL, 0 },
		{ "//reg.example", NULL, 0 },
		{ "https://user:pw@reg.example/", NULL, 0 },
		{ "https:///path", NULL, 0 },
		{ "https://a\nb/", NULL, 0 },
		{ "https://a/\r\nX: y", NULL, 0 },
		{ "https://a:b/", NULL, 0 },
		{ "https://[::1/", NULL, 0 },
	};
	struct url_parts p;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = url_parts(rows[i].url, &p, NULL);

		CHECK_MSG((r == 0) == !!rows[i].host, "row %zu", i);
		if (!rows[i].host)
			continue;
		CHECK_STR(p.host, rows[i].host);
		CHECK_INT(p.port, rows[i].port);
	}
	CHECK(url_same_origin("https://a/x", "https://A:443/y"));
	CHECK(!url_same_origin("https://a/x", "http://a/x"));
	CHECK(!url_same_origin("https://a/x", "https://a:444/x"));
	CHECK(!url_same_origin("https://a.example/x", "https://b/x"));
}

TEST(sites)
{
	CHECK(host_same_site("registry-1.docker.io", "auth.docker.io"));
	CHECK(host_same_site("registry.lab.example", "lab.example"));
	CHECK(host_same_site("10.0.2.2", "10.0.2.2"));
	CHECK(!host_same_site("10.0.2.2", "10.1.2.2"));
	CHECK(!host_same_site("a.example.org", "a.example.com"));
	CHECK(!host_same_site("reg.example", "evil-reg.example.org"));
	CHECK(!host_same_site("xdocker.io", "docker.io"));
	CHECK(!host_same_site("com", "a.com"));
	CHECK(!host_same_site("169.254.169.254", "1.169.254"));
}

TEST(proxies)
{
	_cleanup_(registry_settings_free) struct registry_settings s = { 0 };
	static const char *const https = "http://name:secret@proxy.example:3129";

	CHECK_INT(registry_settings_read(lines, &s, NULL), 0);
	CHECK_STR(proxy_for(&s, "https://reg.example/v2/"), https);
	CHECK_STR(proxy_for(&s, "http://reg.example/v2/"), "http://proxy.example:3128");
	CHECK_STR(proxy_for(&s, "https://localhost:5000/"), "");
	CHECK_STR(proxy_for(&s, "https://127.0.0.1:5000/"), "");
	CHECK_STR(proxy_for(&s, "https://a.direct.example/"), "");
	CHECK_STR(proxy_for(&s, "https://direct.example/"), https);
	CHECK_STR(proxy_for(&s, "https://xdirect.example/"), https);
	CHECK_STR(proxy_for(&s, "https://10.51.100.7/"), "");
	CHECK_STR(proxy_for(&s, "https://10.51.101.7/"), https);
	CHECK_STR(proxy_for(&s, "https://near.example:8443/"), "");
	CHECK_STR(proxy_for(&s, "https://near.example/"), https);
	CHECK_STR(proxy_for(&s, "https://far.near.example:8443/"), "");
	CHECK_STR(proxy_for(&s, "no address"), "");
}

TEST(all_straight)
{
	char *const rule[] = { (char *)"*", NULL }, *const plain[] = { (char *)"direct.example",
								       NULL };

	CHECK(goes_straight(rule, "anything", 1));
	CHECK(goes_straight(plain, "direct.example", 443));
	CHECK(goes_straight(plain, "a.direct.example", 443));
	CHECK(!goes_straight(plain, "notdirect.example", 443));
	CHECK(!goes_straight(NULL, "direct.example", 443));
}
