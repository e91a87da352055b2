/*
 * What a registry says: challenges, answers to token requests, error bodies, addresses, manifests
 * and indexes; and what a client says in X-Registry-Auth.
 *
 * The first byte chooses the parser, the rest is the text. What is accepted must be fit for where
 * it goes next: a header, an address, a file name.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "engine/registry/challenge.h"
#include "engine/registry/choose.h"
#include "engine/registry/registry.h"
#include "init/base/str.h"

static void check_printable(const char *s)
{
	for (; s && *s; s++)
		FUZZ_CHECK(*s >= ' ' && *s <= '~');
}

static void fuzz_challenge(const char *text)
{
	const struct endpoint ep = { .base = (char *)(uintptr_t) "https://reg.example" };
	_cleanup_(buf_free) struct buf b = BUF_INIT(64 << 10);
	struct challenge c = { 0 };
	struct url_parts parts;

	challenge_read(text, &c);
	check_printable(c.realm);
	check_printable(c.service);
	check_printable(c.scope);
	FUZZ_CHECK(c.scheme != AUTH_BEARER || c.realm[0]);
	token_query(&c, NULL, "ann", true, &b);
	for (const char *p = buf_text(&b); *p; p++)
		FUZZ_CHECK(*p > ' ' && *p <= '~' && *p != '#' && *p != '"');
	if (challenge_check(&c, &ep, true, NULL, NULL) < 0)
		return;
	FUZZ_CHECK(url_parts(c.realm, &parts, NULL) == 0 && parts.tls);
	FUZZ_CHECK(host_same_site(parts.host, "reg.example"));
}

static void fuzz_token(const char *text, size_t len)
{
	_cleanup_(token_free) struct token t = { 0 };

	if (token_read(text, len, &t, NULL) < 0)
		return;
	FUZZ_CHECK(*t.value && t.seconds >= 60);
	check_printable(t.value);
	check_printable(t.refresh);
	FUZZ_CHECK(!strchr(t.value, ' '));
}

static void fuzz_error(const char *text, size_t len)
{
	char code[64], message[256];

	error_body_read(text, len, code, sizeof(code), message, sizeof(message));
	check_printable(code);
	check_printable(message);
}

static void fuzz_url(const char *text)
{
	char domain[REF_NAME_MAX + 1];
	struct url_parts p;

	if (url_parts(text, &p, NULL) == 0) {
		FUZZ_CHECK(p.port >= 1 && p.port <= 65535 && p.host[0]);
		check_printable(p.host);
		FUZZ_CHECK(!strpbrk(p.host, "/@?# "));
		FUZZ_CHECK(url_same_origin(text, text));
	}
	if (server_domain(text, domain, NULL) == 0)
		FUZZ_CHECK(domain[0] && !strpbrk(domain, "/@?# \r\n"));
}

static void fuzz_document(const char *text, size_t len)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	enum document_kind kind;
	struct descriptor d;
	int r;

	if (choose_read(text, len, "", &doc, &kind, NULL) < 0)
		return;
	r = kind == DOCUMENT_INDEX ? choose_manifest(yyjson_doc_get_root(doc), NULL, &d, NULL)
				   : choose_config(yyjson_doc_get_root(doc), &d, NULL);
	FUZZ_CHECK(r < 0 || (digest_valid(d.digest) && d.size >= 0));
}

static void fuzz_auth(const char *text)
{
	_cleanup_(registry_auth_free) struct registry_auth a = { 0 };

	registry_auth_read(text, &a);
	FUZZ_CHECK(!a.username || !strpbrk(a.username, "\r\n"));
	FUZZ_CHECK(!a.registry_token || !strpbrk(a.registry_token, "\r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text;

	if (len < 1)
		return 0;
	text = malloc(len);
	if (!text)
		return 0;
	memcpy(text, data + 1, len - 1);
	text[len - 1] = '\0';
	switch (data[0] % 6) {
	case 0:
		fuzz_challenge(text);
		break;
	case 1:
		fuzz_token(text, len - 1);
		break;
	case 2:
		fuzz_error(text, len - 1);
		break;
	case 3:
		fuzz_url(text);
		break;
	case 4:
		fuzz_document(text, len - 1);
		break;
	default:
		fuzz_auth(text);
	}
	free(text);
	return 0;
}
