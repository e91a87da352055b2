/*
 * JSON in and out of requests, times in queries, the container that a path names.
 */
#include "engine/api/inside.h"

#include <string.h>
#include <strings.h>

#include "init/base/clock.h"
#include "init/base/str.h"

bool api_at_least(const struct http_req *r, unsigned minor)
{
	return r->api_major == 0 || r->api_minor >= minor;
}

/* "application/json", with any parameters */
static int check_content_type(const struct http_req *r, struct err *e)
{
	const char *type = http_header_get(r, "Content-Type");
	size_t len;

	if (str_empty(type))
		return err_set(e, EINVAL,
			       "unsupported Content-Type header (): must be 'application/json'");
	len = strcspn(type, "; \t");
	if (len == strlen("application/json") && strncasecmp(type, "application/json", len) == 0)
		return 0;
	return err_set(e, EINVAL,
		       "unsupported Content-Type header (%.60s): must be 'application/json'", type);
}

int api_body(struct http_req *r, bool optional, yyjson_doc **ret_doc, yyjson_val **ret_root,
	     struct err *e)
{
	int code;

	if (r->body_len == 0 && optional) {
		*ret_doc = NULL;
		*ret_root = NULL;
		return 0;
	}
	if (r->body_len == 0)
		return err_set(e, EINVAL, "invalid JSON: got EOF while reading request body");
	code = check_content_type(r, e);
	if (code == 0 && json_parse_object(r->body, r->body_len, ret_doc, ret_root, e) < 0)
		code = err_wrap(e, "invalid JSON");
	return code;
}

void api_reply(struct http_req *r, int status, struct buf *json)
{
	buf_add_char(json, '\n');
	if (buf_failed(json) < 0)
		http_reply_error(r, 500, "the answer is too large");
	else
		http_reply_json(r, status, json->data, json->len);
}

/* "key=value" entries as an object */
void api_pairs(struct json_writer *w, const char *key, char *const *pairs)
{
	json_key(w, key);
	json_begin_object(w);
	for (; pairs && *pairs; pairs++) {
		const char *equals = strchr(*pairs, '=');
		char name[512];

		snprintf(name, sizeof(name), "%.*s",
			 (int)(equals ? equals - *pairs : (long)strlen(*pairs)), *pairs);
		json_member_str(w, name, equals ? equals + 1 : "");
	}
	json_end_object(w);
}

int api_read_pairs(yyjson_val *body, const char *key, char ***ret, struct err *e)
{
	yyjson_val *object = NULL, *k;
	yyjson_obj_iter it;
	int code = json_get_object(body, key, &object, e);

	if (code < 0 || !object)
		return code;
	it = yyjson_obj_iter_with(object);
	while ((k = yyjson_obj_iter_next(&it))) {
		yyjson_val *v = yyjson_obj_iter_get_val(k);

		if (!yyjson_is_str(v))
			return err_set(e, EINVAL, "%s: values must be strings", key);
		if (strv_addf(ret, "%s=%s", yyjson_get_str(k), yyjson_get_str(v)) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

/* seconds with an optional fraction of at most 9 digits */
static int unix_time(const char *text, int64_t *ret_ns)
{
	char whole[24];
	const char *dot = strchr(text, '.');
	size_t len = dot ? (size_t)(dot - text) : strlen(text);
	int64_t seconds, fraction = 0;

	if (len == 0 || len >= sizeof(whole))
		return -EINVAL;
	memcpy(whole, text, len);
	whole[len] = '\0';
	if (str_to_i64(whole, &seconds) < 0 || seconds < 0 || seconds > INT64_MAX / 1000000000 - 1)
		return -EINVAL;
	if (dot) {
		int64_t unit = 100000000;

		for (const char *s = dot + 1; *s; s++, unit /= 10) {
			if (*s < '0' || *s > '9')
				return -EINVAL;
			fraction += (*s - '0') * unit;
		}
	}
	*ret_ns = seconds * 1000000000 + fraction;
	return 0;
}

int api_time(const char *key, const char *text, int64_t *ret_ns, struct err *e)
{
	if (str_empty(text)) {
		*ret_ns = 0;
		return 0;
	}
	if (unix_time(text, ret_ns) == 0 || clock_parse(text, ret_ns) == 0)
		return 0;
	return err_set(e, EINVAL,
		       "invalid value for \"%s\": must be a unix timestamp or RFC 3339 time", key);
}

struct container *api_container(struct http_req *r)
{
	struct err e = { 0 };
	struct container *c = containers_find(engine_of(r)->containers, r->params[0], &e);

	if (!c)
		api_fail(r, e.code ? e.code : ENOENT, &e);
	return c;
}
