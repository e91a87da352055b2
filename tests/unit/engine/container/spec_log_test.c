/*
 * LogConfig to the object "log" of shim.json: values of it by JSON pointer, with the defaults of
 * each driver.
 */
#include "tests/unit/engine/container/world.h"

static const struct {
	const char *type, *options, *config;
	const char *pointer, *want; /* in "log"; want NULL: not there */
} rows[] = {
	{ "json-file", "", NULL, "/driver", "\"json-file\"" },
	{ "json-file", "", NULL, "/max_size", "0" },
	{ "json-file", "", NULL, "/max_file", "1" },
	{ "json-file", "", NULL, "/compress", "false" },
	{ "json-file", "\"max-size\":\"1m\",\"max-file\":\"3\",\"compress\":\"t\"", NULL,
	  "/max_size", "1048576" },
	{ "json-file", "\"max-size\":\"1m\",\"max-file\":\"3\",\"compress\":\"t\"", NULL,
	  "/max_file", "3" },
	{ "json-file", "\"max-size\":\"1m\",\"max-file\":\"3\",\"compress\":\"t\"", NULL,
	  "/compress", "true" },
	{ "local", "", NULL, "/max_size", "20971520" },
	{ "local", "", NULL, "/max_file", "5" },
	{ "local", "", NULL, "/compress", "true" },
	{ "local", "\"compress\":\"false\",\"max-file\":\"1\"", NULL, "/compress", "false" },
	{ "none", "", NULL, "/driver", "\"none\"" },
	{ "none", "", NULL, "/path", NULL },
	{ "syslog", "", NULL, "/syslog/address", NULL },
	{ "syslog", "", NULL, "/max_size", "20971520" },
	{ "syslog", "", NULL, "/compress", "true" },
	{ "syslog", "", NULL, "/blocking", "true" },
	{ "syslog", "", NULL, "/syslog/blocking", "true" },
	{ "syslog", "", NULL, "/syslog/buffer", "1048576" },
	{ "syslog", "\"cache-max-size\":\"1m\",\"cache-max-file\":\"2\"", NULL, "/max_size",
	  "1048576" },
	{ "syslog", "\"cache-max-file\":\"2\",\"cache-compress\":\"false\"", NULL, "/compress",
	  "false" },
	{ "syslog", "\"cache-disabled\":\"true\"", NULL, "/path", NULL },
	{ "syslog", "\"cache-disabled\":\"false\",\"labels\":\"a\"", "\"Labels\":{\"a\":\"1\"}",
	  "/attrs", "{\"a\":\"1\"}" },
	{ "syslog", "\"mode\":\"non-blocking\",\"max-buffer-size\":\"2m\"", NULL, "/blocking",
	  "false" },
	{ "syslog", "\"mode\":\"non-blocking\",\"max-buffer-size\":\"2m\"", NULL, "/syslog/buffer",
	  "2097152" },
	{ "syslog", "\"syslog-address\":\"udp://h:1\",\"syslog-facility\":\"7\"", NULL,
	  "/syslog/address", "\"udp://h:1\"" },
	{ "syslog", "\"syslog-facility\":\"7\"", NULL, "/syslog/facility", "\"7\"" },
	{ "syslog", "\"syslog-format\":\"rfc5424\"", NULL, "/syslog/format", "\"rfc5424\"" },
	{ "syslog", "\"tag\":\"a/{{.ImageName}}\"", NULL, "/syslog/tag", "\"a/img\"" },
	{ "json-file", "", NULL, "/syslog", NULL },
	/* attributes */
	{ "json-file", "", NULL, "/attrs", "{}" },
	{ "json-file", "\"labels\":\"a,no\"", "\"Labels\":{\"a\":\"1\",\"b\":\"2\"}", "/attrs",
	  "{\"a\":\"1\"}" },
	{ "json-file", "\"labels-regex\":\"^(a|x.)\"",
	  "\"Labels\":{\"ab\":\"1\",\"ba\":\"2\",\"xy\":\"3\"}", "/attrs",
	  "{\"ab\":\"1\",\"xy\":\"3\"}" },
	{ "json-file", "\"env\":\"E,F,NO\"", "\"Env\":[\"E=1\",\"F=a=b\",\"NO\",\"G=3\"]", "/attrs",
	  "{\"E\":\"1\",\"F\":\"a=b\"}" },
	{ "json-file", "\"env-regex\":\"^LC_\"", "\"Env\":[\"LC_A=1\",\"XLC_B=2\"]", "/attrs",
	  "{\"LC_A\":\"1\"}" },
	{ "json-file", "\"labels\":\"a\",\"env\":\"a\"",
	  "\"Labels\":{\"a\":\"label\"},\"Env\":[\"a=env\"]", "/attrs", "{\"a\":\"env\"}" },
	{ "json-file", "\"tag\":\"x/{{.DaemonName}}/{{ .ImageName }}{{\",\"labels\":\"a\"",
	  "\"Labels\":{\"a\":\"1\"}", "/attrs", "(refused)" },
	{ "json-file", "\"tag\":\"x/{{.DaemonName}}/{{ .ImageName }}}\"", NULL, "/attrs",
	  "{\"tag\":\"x/docker/img}\"}" },
	{ "local", "\"tag\":\"t\"", NULL, "/attrs/tag", "\"t\"" },
};

static struct container *create(size_t i, struct err *e)
{
	char json[1024];
	yyjson_doc *doc;
	struct container *c = NULL;

	snprintf(json, sizeof(json),
		 "{\"Image\":\"img\"%s%s,\"HostConfig\":{\"LogConfig\":{\"Type\":\"%s\",\"Config\":"
		 "{%s}}}}",
		 rows[i].config ? "," : "", rows[i].config ? rows[i].config : "", rows[i].type,
		 rows[i].options);
	doc = yyjson_read(json, strlen(json), 0);
	(void)container_create(w.cs, NULL, yyjson_doc_get_root(doc), &c, NULL, e);
	yyjson_doc_free(doc);
	return c;
}

/* The value in "log" of the shim.json of its start. */
static char *value_of(struct container *c, const char *pointer)
{
	_cleanup_(mem_free) char *path = str_printf("%s/run/shims/%s/shim.json", w.dir, c->id);
	_cleanup_(mem_free) char *text = NULL, *at = str_printf("/log%s", pointer);
	yyjson_doc *doc;
	char *value;
	size_t len;
	CALLER(caller);

	container_start(c, &caller.op);
	world_settle();
	if (file_read(AT_FDCWD, path, CONTAINER_DOC_MAX, &text, &len, NULL) < 0)
		return NULL;
	doc = yyjson_read(text, len, 0);
	value = yyjson_val_write(yyjson_ptr_get(yyjson_doc_get_root(doc), at), 0, NULL);
	yyjson_doc_free(doc);
	return value;
}

TEST(log_of_shim_json)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(mem_free) char *have = NULL;
		struct err e = { 0 };
		struct container *c;

		world_open();
		world_engine("boot-1");
		c = create(i, &e);
		have = c ? value_of(c, rows[i].pointer) : str_dup("(refused)");
		world_close();
		CHECK_MSG(rows[i].want ? have && str_eq(have, rows[i].want) : !have,
			  "row %zu (%s %s): %s is %s, not %s (%s)", i, rows[i].type,
			  rows[i].options, rows[i].pointer, have ? have : "not there",
			  rows[i].want ? rows[i].want : "absent", err_text(&e));
	}
}

TEST(tags)
{
	char want[600]; /* the name is a random one, and comes twice */

	world_open();
	world_engine("boot-1");
	{
		struct container *c = make(
			"{\"Image\":\"img\",\"HostConfig\":{\"LogConfig\":{\"Type\":\"json-file\","
			"\"Config\":{\"tag\":\"{{.ID}} {{.FullID}} {{.Name}} {{.ContainerName}} "
			"{{.ImageID}} {{.ImageFullID}}\"}}}}");
		_cleanup_(mem_free) char *have = value_of(c, "/attrs/tag");

		snprintf(want, sizeof(want), "\"%.12s %s %s /%s %.12s %s\"", c->id, c->id, c->name,
			 c->name, c->image_id, c->image_id);
		CHECK(strlen(c->image_id) < 80);
		CHECK_STR(have, want);
	}
	world_close();
}

TEST(the_standard_tag)
{
	char want[32];

	world_open();
	world_engine("boot-1");
	{
		struct container *c = make("{\"Image\":\"img\",\"HostConfig\":{\"LogConfig\":{"
					   "\"Type\":\"syslog\"}}}");
		_cleanup_(mem_free) char *have = value_of(c, "/syslog/tag");
		_cleanup_(mem_free) char *path = container_log_path(c);

		snprintf(want, sizeof(want), "\"%.12s\"", c->id);
		CHECK_STR(have, want);
		CHECK(str_ends(path, "/local-logs/container-cached.log"));
	}
	world_close();
}

TEST(attributes_have_a_limit)
{
	_cleanup_(buf_free) struct buf json = BUF_INIT(1 << 20);
	struct container *c;
	CALLER(caller);

	world_open();
	world_engine("boot-1");
	buf_add_text(&json, "{\"Image\":\"img\",\"Labels\":{\"a\":\"");
	for (int i = 0; i < 70000; i++)
		buf_add_char(&json, 'x');
	buf_add_text(&json, "\"},\"HostConfig\":{\"LogConfig\":{\"Type\":\"local\",\"Config\":{"
			    "\"labels\":\"a\"}}}}");
	c = make(buf_text(&json));
	container_start(c, &caller.op);
	world_settle();
	CHECK(strstr(caller.text, "more than 64 KiB"));
	world_close();
}
