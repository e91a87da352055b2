/* Challenges, realms, tokens, errors: what registries write, and what they should not. */
#include "engine/registry/challenge.h"

#include "init/base/str.h"
#include "tests/unit/test.h"

TEST(challenges)
{
	static const struct {
		const char *header;
		enum auth_scheme scheme;
		const char *realm, *service, *scope;
	} rows[] = {
		{ "Bearer "
		  "realm=\"https://auth.example/"
		  "token\",service=\"reg\",scope=\"repository:a:pull\"",
		  AUTH_BEARER, "https://auth.example/token", "reg", "repository:a:pull" },
		{ "bearer Realm=https://auth.example/token , SERVICE = reg", AUTH_BEARER,
		  "https://auth.example/token", "reg", "" },
		{ "Basic realm=\"a \\\"b\\\", c\"", AUTH_BASIC, "a \"b\", c", "", "" },
		{ "Basic", AUTH_BASIC, "", "", "" },
		{ "Basic realm=\"x\", Bearer realm=\"https://a/t\"", AUTH_BEARER, "https://a/t", "",
		  "" },
		{ "Bearer realm=\"https://a/t\", Basic realm=\"x\"", AUTH_BEARER, "https://a/t", "",
		  "" },
		{ "Bearer service=\"reg\"", AUTH_NONE, "", "", "" },
		{ "Bearer realm=\"https://a/t", AUTH_NONE, "", "", "" },
		{ "Bearer realm=\"https://a/\x01t\"", AUTH_NONE, "", "", "" },
		{ "Negotiate abc, Digest realm=\"d\", nonce=\"n\"", AUTH_NONE, "", "", "" },
		{ "", AUTH_NONE, "", "", "" },
		{ ",,, ,", AUTH_NONE, "", "", "" },
		{ "=\"x\"", AUTH_NONE, "", "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct challenge c = { 0 };

		challenge_read(rows[i].header, &c);
		CHECK_MSG(c.scheme == rows[i].scheme, "row %zu: scheme %d", i, c.scheme);
		CHECK_STR(c.realm, rows[i].realm);
		CHECK_STR(c.service, rows[i].service);
		CHECK_STR(c.scope, rows[i].scope);
	}
}

TEST(several_headers)
{
	struct challenge c = { 0 };

	challenge_read("Bearer realm=\"https://a/t\",error=\"insufficient_scope\"", &c);
	challenge_read("Basic realm=\"b\"", &c);
	CHECK_INT(c.scheme, AUTH_BEARER);
	CHECK_STR(c.error, "insufficient_scope");
}

TEST(realm_too_long)
{
	char header[3 * REGISTRY_URL_MAX];
	struct challenge c = { 0 };

	memset(header, 'a', sizeof(header));
	memcpy(header, "Bearer realm=https://", 21);
	header[sizeof(header) - 1] = '\0';
	challenge_read(header, &c);
	CHECK_INT(c.scheme, AUTH_NONE);
}

/* Where tokens may be asked for, and where credentials may go. */
TEST(realms)
{
	static const struct {
		const char *base, *realm;
		bool insecure, anonymous, credentials;
	} rows[] = {
		{ "https://registry-1.hub.example", "https://auth.hub.example/token", false, true,
		  true },
		{ "https://reg.example", "https://reg.example/token", false, true, true },
		{ "https://reg.example", "https://evil.example.org/token", false, true, false },
		{ "https://reg.example", "http://reg.example/token", false, false, false },
		{ "https://reg.example", "http://10.254.169.254/latest", false, false, false },
		{ "https://10.0.2.2:5000", "http://10.0.2.2:5000/token", true, true, true },
		{ "https://10.0.2.2:5000", "http://10.0.2.3:5000/token", true, false, false },
		{ "https://10.0.2.2:5000", "https://10.0.2.3/token", true, true, false },
		{ "http://mirror.example", "http://mirror.example/token", false, true, true },
		{ "https://reg.example", "https://listed.example.net/token", false, true, true },
		{ "https://reg.example", "https://user:pw@reg.example/token", false, false, false },
		{ "https://reg.example", "file:///etc/passwd", false, false, false },
		{ "https://reg.example", "/token", false, false, false },
	};
	char *const hosts[] = { (char *)"listed.example.net", NULL };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct endpoint ep = { .base = (char *)(uintptr_t)rows[i].base,
				       .insecure = rows[i].insecure };
		struct challenge c = { .scheme = AUTH_BEARER };
		struct err e = { 0 };

		(void)str_copy(c.realm, sizeof(c.realm), rows[i].realm);
		CHECK_MSG((challenge_check(&c, &ep, false, hosts, &e) == 0) == rows[i].anonymous,
			  "row %zu, anonymous: %s", i, err_text(&e));
		CHECK_MSG((challenge_check(&c, &ep, true, hosts, &e) == 0) == rows[i].credentials,
			  "row %zu, with credentials: %s", i, err_text(&e));
	}
}

TEST(queries)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(4096);
	struct challenge c = { .service = "my reg&x=1", .scope = "repository:a:pull" };

	token_query(&c, "repository:a:pull repository:b:pull,push", "ann", true, &b);
	CHECK_STR(buf_text(&b),
		  "account=ann&client_id=docker&offline_token=true&service=my%20reg%26x%3D1"
		  "&scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull%2Cpush");
	buf_reset(&b);
	token_query(&c, NULL, NULL, false, &b);
	CHECK_STR(buf_text(&b), "service=my%20reg%26x%3D1&scope=repository%3Aa%3Apull");
	buf_reset(&b);
	token_form(&c, "", "a&b", &b);
	CHECK_STR(buf_text(&b), "grant_type=refresh_token&client_id=docker&service=my%20reg%26x%3D1"
				"&scope=repository%3Aa%3Apull&refresh_token=a%26b");
}

TEST(tokens)
{
	static const struct {
		const char *text, *value, *refresh;
		long long seconds;
	} rows[] = {
		{ "{\"token\":\"abc\"}", "abc", NULL, 60 },
		{ "{\"access_token\":\"abc\",\"expires_in\":300}", "abc", NULL, 300 },
		{ "{\"token\":\"\",\"access_token\":\"x\",\"expires_in\":1}", "x", NULL, 60 },
		{ "{\"token\":\"a\",\"refresh_token\":\"r\"}", "a", "r", 60 },
		{ "{\"token\":\"a\",\"expires_in\":\"soon\"}", "a", NULL, 60 },
		{ "{\"token\":\"a b\"}", NULL, NULL, 0 },
		{ "{\"token\":\"a\\r\\nX-Evil: 1\"}", NULL, NULL, 0 },
		{ "{\"token\":7}", NULL, NULL, 0 },
		{ "{}", NULL, NULL, 0 },
		{ "[]", NULL, NULL, 0 },
		{ "", NULL, NULL, 0 },
		{ "{\"token\":\"a\"", NULL, NULL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(token_free) struct token t = { 0 };
		struct err e = { 0 };
		int r = token_read(rows[i].text, strlen(rows[i].text), &t, &e);

		CHECK_MSG((r == 0) == !!rows[i].value, "row %zu", i);
		CHECK(r == 0 || !strstr(err_text(&e), "Evil"));
		if (r < 0)
			continue;
		CHECK_STR(t.value, rows[i].value);
		CHECK(str_eq(t.refresh, rows[i].refresh));
		CHECK_INT(t.seconds, rows[i].seconds);
	}
}

TEST(errors)
{
	static const char *const rows[][3] = {
		{ "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\"},{\"code\":\"X\"}]}",
		  "DENIED", "no" },
		{ "{\"errors\":[{\"code\":7,\"message\":\"a\\nb\"}]}", "", "a?b" },
		{ "{\"details\":\"incorrect username\"}", "", "incorrect username" },
		{ "{\"errors\":{}}", "", "" },
		{ "{\"errors\":[7]}", "", "" },
		{ "<html>", "", "" },
		{ "", "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char code[16], message[32];

		error_body_read(rows[i][0], strlen(rows[i][0]), code, sizeof(code), message,
				sizeof(message));
		CHECK_STR(code, rows[i][1]);
		CHECK_STR(message, rows[i][2]);
	}
}
