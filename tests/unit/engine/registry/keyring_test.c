/* The machine's own credentials: which entry of config.json is whose, and what is refused. */
#include <fcntl.h>

#include "engine/registry/registry.h"
#include "init/base/file.h"
#include "init/base/loop.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

#define ANN "{\"auth\":\"YW5uOnNlY3JldDpvbmU=\"}" /* ann:secret:one */

struct own {
	struct loop *loop;
	struct registry *reg;
	char path[256];
};

static void own_free(struct own *o)
{
	registry_free(o->reg);
	loop_free(o->loop);
}
DEFINE_CLEANUP_VALUE(struct own, own_free)

static int own_new(struct own *o, const char *text)
{
	struct registry_config cfg = { .auth_file = o->path };

	*o = (struct own){ 0 };
	snprintf(o->path, sizeof(o->path), "%s/config.json", test_tmpdir());
	(void)unlink(o->path);
	if (text) {
		int fd = open(o->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
			return -1;
		close(fd);
	}
	if (loop_new(&o->loop, NULL) < 0)
		return -1;
	cfg.loop = o->loop;
	return registry_new(&cfg, &o->reg, NULL);
}

TEST(whose_entry_it_is)
{
	static const struct {
		const char *text, *ref, *user; /* NULL: anonymous */
	} rows[] = {
		{ NULL, "registry.example/a/b", NULL },
		{ "{}", "registry.example/a/b", NULL },
		{ "{\"auths\":{\"registry.example\":" ANN "}}", "registry.example/a/b:1", "ann" },
		{ "{\"auths\":{\"https://registry.example/v1/\":" ANN "}}",
		  "registry.example/a/b:1", "ann" },
		{ "{\"auths\":{\"registry.example.org\":" ANN "}}", "registry.example/a/b:1",
		  NULL },
		{ "{\"auths\":{\"registry.exampl\":" ANN "}}", "registry.example/a/b:1", NULL },
		{ "{\"auths\":{\"https://index.docker.io/v1/\":" ANN "}}", "httpd", "ann" },
		{ "{\"auths\":{\"docker.io\":" ANN "}}", "httpd", "ann" },
		{ "{\"auths\":{\"https://index.docker.io/v1/\":" ANN "}}", "registry.example/a/b",
		  NULL },
		{ "{\"auths\":{\"10.0.2.2:5000\":" ANN "}}", "10.0.2.2:5000/a", "ann" },
		{ "{\"auths\":{\"10.0.2.2:5000\":" ANN "}}", "10.0.2.2:5001/a", NULL },
		{ "{\"auths\":{\"h:5000\":{\"username\":\"bob\",\"password\":\"x\"}}}", "h:5000/a",
		  "bob" },
		{ "{\"auths\":{\"https://h:5000\":" ANN ",\"h:5000\":{\"username\":\"bob\"}}}",
		  "h:5000/a", "bob" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(registry_auth_free) struct registry_auth auth = { 0 };
		_cleanup_(own_free) struct own o;
		struct err e = { 0 };

		CHECK_INT(own_new(&o, rows[i].text), 0);
		CHECK_MSG(registry_own_auth(o.reg, rows[i].ref, &auth, &e) == 0, "row %zu: %s", i,
			  err_text(&e));
		if (rows[i].user)
			CHECK_STR(auth.username, rows[i].user);
		else
			CHECK_MSG(!auth.username, "row %zu: %s", i, auth.username);
		if (auth.username && str_eq(auth.username, "ann"))
			CHECK_STR(auth.password, "secret:one");
	}
}

TEST(what_cannot_be_used_is_said)
{
	static const struct {
		const char *text, *word;
	} rows[] = {
		{ "{", "config.json: " },
		{ "[]", "config.json: " },
		{ "{\"auths\":[]}", "auths" },
		{ "{\"auths\":{\"registry.example\":1}}",
		  "auths.registry.example is not an object" },
		{ "{\"auths\":{\"registry.example\":{}},\"credsStore\":\"desktop\"}",
		  "credsStore" },
		{ "{\"auths\":{\"registry.example\":{\"username\":\"a\\nb\"}}}",
		  "control characters" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(registry_auth_free) struct registry_auth auth = { 0 };
		_cleanup_(own_free) struct own o;
		struct err e = { 0 };

		CHECK_INT(own_new(&o, rows[i].text), 0);
		CHECK_MSG(registry_own_auth(o.reg, "registry.example/a/b", &auth, &e) < 0,
			  "row %zu", i);
		CHECK_MSG(strstr(err_text(&e), rows[i].word) != NULL, "row %zu: %s", i,
			  err_text(&e));
		CHECK(!auth.username && !auth.password);
	}
}
