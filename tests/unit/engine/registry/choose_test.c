/* Documents of registries: what is one, and which one of an index is taken. */
#include "engine/registry/choose.h"

#include "engine/registry/registry.h"
#include "init/base/buf.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

#define MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define INDEX "application/vnd.oci.image.index.v1+json"
#define LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define DIGEST "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

TEST(documents)
{
	static const struct {
		const char *text, *type;
		int kind; /* -1: refused */
		const char *word; /* of the error */
	} rows[] = {
		{ "{\"schemaVersion\":2,\"config\":{},\"layers\":[]}", MANIFEST, DOCUMENT_MANIFEST,
		  NULL },
		{ "{\"schemaVersion\":2,\"config\":{},\"layers\":[]}", "", DOCUMENT_MANIFEST,
		  NULL },
		{ "{\"schemaVersion\":2,\"manifests\":[]}", INDEX, DOCUMENT_INDEX, NULL },
		{ "{\"schemaVersion\":2,\"manifests\":[]}", LIST, DOCUMENT_INDEX, NULL },
		{ "{\"schemaVersion\":2,\"manifests\":[]}", "application/json", DOCUMENT_INDEX,
		  NULL },
		{ "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", INDEX, -1, "at once" },
		{ "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", MANIFEST, -1, "at once" },
		{ "{\"schemaVersion\":2,\"config\":{},\"layers\":[]}", INDEX, -1, "does not fit" },
		{ "{\"schemaVersion\":2,\"mediaType\":\"" MANIFEST
		  "\",\"config\":{},\"layers\":[]}",
		  LIST, -1, "mediaType" },
		{ "{\"schemaVersion\":1,\"fsLayers\":[]}", "", -1, "schema 1" },
		{ "{}", "application/vnd.docker.distribution.manifest.v1+prettyjws", -1,
		  "schema 1" },
		{ "{\"schemaVersion\":2,\"config\":{},\"layers\":[]}", "text/html", -1,
		  "does not fit" },
		{ "{\"config\":{},\"config\":{}}", MANIFEST, -1, "twice" },
		{ "{\"Layers\":[],\"config\":{}}", MANIFEST, -1, "must be written" },
		{ "[]", MANIFEST, -1, "expected an object" },
		{ "{", MANIFEST, -1, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
		enum document_kind kind;
		struct err e = { 0 };
		int r = choose_read(rows[i].text, strlen(rows[i].text), rows[i].type, &doc, &kind,
				    &e);

		CHECK_MSG((r == 0) == (rows[i].kind >= 0), "row %zu: %s", i, err_text(&e));
		if (r == 0)
			CHECK_INT(kind, rows[i].kind);
		else
			CHECK_MSG(strstr(err_text(&e), rows[i].word), "row %zu: %s", i,
				  err_text(&e));
	}
}

TEST(deep)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(4096);
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	enum document_kind kind;

	buf_add_text(&b, "{\"schemaVersion\":2,\"config\":{},\"layers\":[],\"annotations\":");
	for (int i = 0; i < IMAGE_JSON_DEPTH; i++)
		buf_add_char(&b, '[');
	for (int i = 0; i < IMAGE_JSON_DEPTH; i++)
		buf_add_char(&b, ']');
	buf_add_char(&b, '}');
	CHECK(choose_read(b.data, b.len, MANIFEST, &doc, &kind, NULL) < 0);
}

/* An index of "os/arch/variant" words; the digest of each begins with its number. */
static void write_index(struct buf *b, const char *const *platforms)
{
	buf_add_text(b, "{\"schemaVersion\":2,\"manifests\":[");
	for (int i = 0; platforms[i]; i++) {
		_cleanup_(strv_free) char **p = strv_split(platforms[i], "/", true);

		buf_printf(b,
			   "%s{\"mediaType\":\"%s\",\"size\":%d,\"digest\":\"" DIGEST "%d\","
			   "\"platform\":{\"os\":\"%s\",\"architecture\":\"%s\"",
			   i ? "," : "", str_eq(p[0], "type") ? "text/plain" : MANIFEST, i, i, p[0],
			   p[1]);
		if (p[2])
			buf_printf(b, ",\"variant\":\"%s\"", p[2]);
		buf_add_text(b, "}}");
	}
	buf_add_text(b, "]}");
}

TEST(platforms)
{
	static const char *const many[] = { "unknown/unknown", "linux/386",
					    "linux/arm/v5",    "linux/arm/v7",
					    "linux/amd64/v3",  "linux/amd64",
					    "windows/amd64",   "linux/arm64/v8",
					    "linux/arm/v6",    NULL };
	static const struct {
		struct image_platform platform;
		int want; /* -1: none */
	} rows[] = {
		{ { "linux", "amd64", NULL }, 5 },    { { "linux", "amd64", "v2" }, 5 },
		{ { "linux", "amd64", "v3" }, 4 },    { { "linux", "amd64", "v4" }, 4 },
		{ { "linux", "arm64", NULL }, 7 },    { { "linux", "arm64", "v8" }, 7 },
		{ { "linux", "arm", NULL }, 3 },      { { "linux", "arm", "v6" }, 8 },
		{ { "linux", "arm", "v5" }, 2 },      { { "linux", "386", NULL }, 1 },
		{ { "windows", "amd64", NULL }, 6 },  { { "linux", "s390x", NULL }, -1 },
		{ { "freebsd", "amd64", NULL }, -1 },
	};
	_cleanup_(buf_free) struct buf b = BUF_INIT(16384);
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	enum document_kind kind;
	struct err e = { 0 };

	write_index(&b, many);
	CHECK_MSG(choose_read(b.data, b.len, INDEX, &doc, &kind, &e) == 0, "%s", err_text(&e));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct descriptor d = { .size = -1 };
		int r = choose_manifest(yyjson_doc_get_root(doc), &rows[i].platform, &d, &e);

		CHECK_MSG((r == 0) == (rows[i].want >= 0), "row %zu", i);
		CHECK_INT(r == 0 ? d.size : -1, rows[i].want);
	}
	CHECK_STR(err_text(&e),
		  "no matching manifest for freebsd/amd64 in the manifest list entries");
	CHECK_INT(e.code, ENOENT);
}

TEST(only_manifests)
{
	static const char *const one[] = { "type/x", NULL };
	_cleanup_(buf_free) struct buf b = BUF_INIT(16384);
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	const struct image_platform p = { .os = "type", .architecture = "x" };
	enum document_kind kind;
	struct descriptor d;

	write_index(&b, one);
	CHECK_INT(choose_read(b.data, b.len, INDEX, &doc, &kind, NULL), 0);
	CHECK_INT(choose_manifest(yyjson_doc_get_root(doc), &p, &d, NULL), -ENOENT);
}

TEST(credentials)
{
	static const struct {
		const char *header, *username, *password, *token;
	} rows[] = {
		{ "eyJ1c2VybmFtZSI6ImFubiIsInBhc3N3b3JkIjoicMOkc3M_PiJ9", "ann", "p\xc3\xa4ss?>",
		  NULL },
		{ "eyJpZGVudGl0eXRva2VuIjoiYWJjIn0=", NULL, NULL, "abc" },
		{ "eyJhdXRoIjoiWVc1dU9uTmxZM0psZEE9PSJ9", "ann", "secret", NULL },
		{ "e30=", NULL, NULL, NULL },
		{ "", NULL, NULL, NULL },
		{ NULL, NULL, NULL, NULL },
		{ "!!!!", NULL, NULL, NULL },
		{ "bnVsbA==", NULL, NULL, NULL },
		{ "eyJ1c2VybmFtZSI6N30=", NULL, NULL, NULL },
		{ "eyJ1c2VybmFtZSI6ImFcclxuWDogeSJ9", NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(registry_auth_free) struct registry_auth a = { 0 };

		registry_auth_read(rows[i].header, &a);
		CHECK_MSG(str_eq(a.username, rows[i].username), "row %zu", i);
		CHECK_MSG(str_eq(a.password, rows[i].password), "row %zu", i);
		CHECK_MSG(str_eq(a.identity_token, rows[i].token), "row %zu", i);
	}
}
