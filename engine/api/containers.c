/*
 * Containers: create, inspect, rename. The list with its filters is in list.c, what changes their
 * state in verbs.c.
 */
#include "engine/api/inside.h"

#include "init/base/str.h"

static void answer_inspect(struct http_req *r, const struct usage_op *sizes)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct container *c = api_container(r);
	struct json_writer w;

	(void)sizes;
	if (!c)
		return;
	json_writer_init(&w, &b);
	container_inspect(c, http_query_bool(r, "size", false), &w);
	api_reply(r, 200, &b);
}

static bool is_same(const void *data, const struct container *c)
{
	return data == c;
}

void containers_inspect(struct http_req *r)
{
	struct container *c;

	if (!http_query_bool(r, "size", false)) {
		answer_inspect(r, NULL);
		return;
	}
	c = api_container(r);
	if (c)
		api_count(r, is_same, c, answer_inspect);
}

/* "linux", "amd64", "linux/amd64", "linux/amd64/v1" as "os/arch"; what the words mean is that of
 * containerd's platforms package. Images here are linux/amd64 all. */
int api_platform(const char *text, char *ret, size_t size, struct err *e)
{
	static const char *const systems[] = { "linux", "windows", "darwin", "freebsd", NULL };
	static const char *const arches[][2] = {
		{ "amd64", "amd64" },	    { "x86_64", "amd64" },    { "x86-64", "amd64" },
		{ "386", "386" },	    { "i386", "386" },	      { "arm64", "arm64" },
		{ "aarch64", "arm64" },	    { "arm", "arm" },	      { "armhf", "arm" },
		{ "ppc64le", "ppc64le" },   { "s390x", "s390x" },     { "riscv64", "riscv64" },
		{ "mips64le", "mips64le" }, { "loong64", "loong64" },
	};
	_cleanup_(strv_free) char **parts = strv_split(text, "/", true);
	size_t n = strv_len(parts), i = 0;
	bool has_system = n > 0 && strv_has((char *const *)systems, parts[0]);
	const char *arch = has_system ? (n > 1 ? parts[1] : "amd64") : (n == 1 ? parts[0] : "");

	while (i < ARRAY_SIZE(arches) && strcasecmp(arches[i][0], arch) != 0)
		i++;
	if (n > 3 || i == ARRAY_SIZE(arches))
		return err_set(
			e, EINVAL,
			"\"%.60s\": unknown operating system or architecture: invalid argument",
			text);
	return str_format(ret, size, "%s/%s", has_system ? parts[0] : "linux", arches[i][1]);
}

static int check_platform(const struct http_req *r, yyjson_val *body, struct err *e)
{
	const char *platform = http_query(r, "platform"), *image = "";
	int code = json_get_text(body, "Image", &image, e);
	char wanted[32];

	if (code < 0 || str_empty(platform))
		return code;
	code = api_platform(platform, wanted, sizeof(wanted), e);
	if (code < 0 || strcmp(wanted, "linux/amd64") == 0)
		return code;
	return err_set(e, ENOENT,
		       "image with reference %s was found but its platform (linux/amd64) does not "
		       "match the specified platform (%s)",
		       image, wanted);
}

static void created(struct http_req *r, const struct container *c, char *const *warnings)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(API_ANSWER_MAX);
	struct json_writer w;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_str(&w, "Id", container_id(c));
	json_key(&w, "Warnings");
	json_begin_array(&w);
	for (; warnings && *warnings; warnings++)
		json_str(&w, *warnings);
	json_end_array(&w);
	json_end_object(&w);
	api_reply(r, 201, &b);
}

void containers_create(struct http_req *r)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(strv_free) char **warnings = NULL;
	const char *name = http_query(r, "name");
	struct container *c = NULL;
	yyjson_val *body = NULL;
	struct err e = { 0 };
	int code = api_body(r, false, &doc, &body, &e);

	if (code == 0)
		code = check_platform(r, body, &e);
	if (code == 0)
		code = container_create(engine_of(r)->containers, str_empty(name) ? NULL : name,
					body, &c, &warnings, &e);
	if (code < 0)
		api_fail(r, code, &e);
	else
		created(r, c, warnings);
}

void containers_rename(struct http_req *r)
{
	const char *name = http_query(r, "name");
	struct container *c = api_container(r);
	struct err e = { 0 };
	int code;

	if (!c)
		return;
	if (str_empty(name))
		code = err_set(&e, EINVAL, "Neither old nor new names may be empty");
	else
		code = container_rename(c, name, &e);
	api_verdict(r, code, &e);
}
