/* Image references: normal form, familiar form, what is refused. */
#include "engine/data/ref.h"

#include "init/base/str.h"
#include "tests/unit/test.h"

#define DIGEST "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

TEST(normal_and_familiar_forms)
{
	static const struct {
		const char *text, *normal, *familiar, *name;
	} cases[] = {
		{ "nginx", "docker.io/library/nginx", "nginx", "nginx" },
		{ "nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27", "nginx" },
		{ "me/app", "docker.io/me/app", "me/app", "me/app" },
		{ "docker.io/nginx", "docker.io/library/nginx", "nginx", "nginx" },
		{ "index.docker.io/nginx", "docker.io/library/nginx", "nginx", "nginx" },
		{ "docker.io/library/nginx", "docker.io/library/nginx", "nginx", "nginx" },
		{ "library/nginx", "docker.io/library/nginx", "nginx", "nginx" },
		{ "docker.io/library/a/b", "docker.io/library/a/b", "library/a/b", "library/a/b" },
		{ "ghcr.io/a/b:v1", "ghcr.io/a/b:v1", "ghcr.io/a/b:v1", "ghcr.io/a/b" },
		{ "ghcr.io/b", "ghcr.io/b", "ghcr.io/b", "ghcr.io/b" },
		{ "localhost/x", "localhost/x", "localhost/x", "localhost/x" },
		{ "localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y",
		  "localhost:5000/x" },
		{ "host:5000/x", "host:5000/x", "host:5000/x", "host:5000/x" },
		{ "Host/x", "Host/x", "Host/x", "Host/x" },
		{ "[2001:db8::1]:5000/x", "[2001:db8::1]:5000/x", "[2001:db8::1]:5000/x",
		  "[2001:db8::1]:5000/x" },
		{ "nginx@" DIGEST, "docker.io/library/nginx@" DIGEST, "nginx@" DIGEST, "nginx" },
		{ "nginx:1@" DIGEST, "docker.io/library/nginx:1@" DIGEST, "nginx:1@" DIGEST,
		  "nginx" },
		{ "me/a-b__c.d---e/f_g", "docker.io/me/a-b__c.d---e/f_g", "me/a-b__c.d---e/f_g",
		  "me/a-b__c.d---e/f_g" },
		{ "x:_T.a-g", "docker.io/library/x:_T.a-g", "x:_T.a-g", "x" },
	};
	char text[REF_TEXT_MAX];
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ref r;

		CHECK_MSG(ref_parse(cases[i].text, &r, &e) == 0, "%s: %s", cases[i].text,
			  err_text(&e));
		ref_format(&r, text);
		CHECK_STR(text, cases[i].normal);
		ref_format_familiar(&r, text);
		CHECK_STR(text, cases[i].familiar);
		ref_format_name(&r, text);
		CHECK_STR(text, cases[i].name);
		/* the normal form is its own normal form */
		CHECK_INT(ref_parse(cases[i].normal, &r, &e), 0);
		ref_format(&r, text);
		CHECK_STR(text, cases[i].normal);
	}
}

TEST(refused)
{
	static const char *const bad[] = {
		"",
		"/",
		"a/",
		"/a",
		"a//b",
		"a b",
		"a:",
		":a",
		"a:-t",
		"a:.t",
		"a:t/b:c",
		"a@",
		"a@sha256:00",
		"a@" DIGEST "0",
		"a@" DIGEST "@" DIGEST,
		"-a",
		"a-",
		"a_",
		"a___b",
		"a..b",
		"a._b",
		"_a",
		".a",
		"a/.b",
		"..",
		"../a",
		"a/../b",
		"host:port/x",
		"-host.io/x",
		"host-.io/x",
		"host..io/x",
		".io/x",
		"[::1/x",
		"[zz]:5/x",
		"[]:5/x",
		"host:5000",
		"caf\xc3\xa9",
		"a:t\n",
		"http://host/x",
		"a:t:u",
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	};
	struct err e = { 0 };
	struct ref r;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		/* "host:5000" is a name with a tag */
		if (str_eq(bad[i], "host:5000"))
			CHECK_INT(ref_parse(bad[i], &r, &e), 0);
		else
			CHECK_MSG(ref_parse(bad[i], &r, &e) == -EINVAL, "%s", bad[i]);
	}
	CHECK_INT(ref_parse(NULL, &r, &e), -EINVAL);
	CHECK_INT(ref_parse("Nginx", &r, &e), -EINVAL);
	CHECK_STR(err_text(&e),
		  "invalid reference format: repository name (Nginx) must be lowercase");
	CHECK_INT(ref_parse("a b", &r, &e), -EINVAL);
	CHECK_STR(err_text(&e), "invalid reference format");
}

TEST(bounds)
{
	char text[700], tag[REF_TAG_MAX + 2];
	struct err e = { 0 };
	struct ref r;

	memset(text, 'a', sizeof(text));
	text[REF_NAME_MAX] = '\0';
	memcpy(text, "x/", 2);
	CHECK_INT(ref_parse(text, &r, &e), 0);
	text[REF_NAME_MAX] = 'a';
	text[REF_NAME_MAX + 1] = '\0';
	CHECK_INT(ref_parse(text, &r, &e), -EINVAL);
	CHECK_STR(err_text(&e), "repository name must not be more than 255 characters");
	memset(text, 'a', sizeof(text) - 1);
	memcpy(text + 300, ".io/x", 6);
	CHECK_INT(ref_parse(text, &r, &e), -EINVAL);
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	CHECK_INT(ref_parse(text, &r, &e), -EINVAL);
	memset(tag, 't', sizeof(tag));
	tag[REF_TAG_MAX + 1] = '\0';
	CHECK(!ref_tag_valid(tag));
	tag[REF_TAG_MAX] = '\0';
	CHECK(ref_tag_valid(tag));
	CHECK(!ref_tag_valid(""));
}

TEST(default_tag)
{
	struct ref r;

	CHECK_INT(ref_parse("nginx", &r, NULL), 0);
	ref_add_default_tag(&r);
	CHECK_STR(r.tag, "latest");
	CHECK_INT(ref_parse("nginx:1", &r, NULL), 0);
	ref_add_default_tag(&r);
	CHECK_STR(r.tag, "1");
	CHECK_INT(ref_parse("nginx@" DIGEST, &r, NULL), 0);
	ref_add_default_tag(&r);
	CHECK_STR(r.tag, "");
	CHECK_STR(r.digest, DIGEST);
}
