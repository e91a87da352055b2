/*
 * Credentials as Docker's clients send them. They are kept no longer than the request, and never
 * written anywhere.
 */
#include <string.h>

#include "engine/registry/registry.h"
#include "init/base/str.h"

static void secret_free(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void registry_auth_free(struct registry_auth *a)
{
	free(a->username);
	secret_free(a->password);
	free(a->server);
	secret_free(a->identity_token);
	secret_free(a->registry_token);
	*a = (struct registry_auth){ 0 };
}

int registry_auth_copy(const struct registry_auth *from, struct registry_auth *to, struct err *e)
{
	if (!from)
		return 0;
	if (str_set(&to->username, from->username) < 0 ||
	    str_set(&to->password, from->password) < 0 || str_set(&to->server, from->server) < 0 ||
	    str_set(&to->identity_token, from->identity_token) < 0 ||
	    str_set(&to->registry_token, from->registry_token) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static int get_secret(yyjson_val *object, const char *key, char **ret, struct err *e)
{
	int r = json_get_copy(object, key, ret, e);

	if (r == 0 && *ret && !**ret) {
		free(*ret);
		*ret = NULL;
	}
	return r;
}

/* What stands in a header must not end it. */
static bool is_header_text(const char *s)
{
	for (; s && *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

/* "auth": base64 of "name:password", as in a client's configuration file */
static int take_pair(struct registry_auth *a, const char *coded, struct err *e)
{
	void *data = NULL;
	size_t len = 0;
	char *text, *colon;
	int r = 0;

	if (a->username || base64_decode(coded, &data, &len) < 0)
		return 0;
	text = strndup(data, len);
	colon = text ? strchr(text, ':') : NULL;
	if (colon) {
		*colon = '\0';
		if (str_set(&a->username, text) < 0 || str_set(&a->password, colon + 1) < 0)
			r = err_set(e, ENOMEM, "out of memory");
	}
	explicit_bzero(data, len);
	free(data);
	free(text);
	return r;
}

int registry_auth_read_object(yyjson_val *object, struct registry_auth *ret, struct err *e)
{
	const char *pair = NULL;
	int r;

	if ((r = get_secret(object, "username", &ret->username, e)) < 0 ||
	    (r = get_secret(object, "password", &ret->password, e)) < 0 ||
	    (r = get_secret(object, "serveraddress", &ret->server, e)) < 0 ||
	    (r = get_secret(object, "identitytoken", &ret->identity_token, e)) < 0 ||
	    (r = get_secret(object, "registrytoken", &ret->registry_token, e)) < 0 ||
	    (r = json_get_text(object, "auth", &pair, e)) < 0)
		return r;
	if (!str_empty(pair) && (r = take_pair(ret, pair, e)) < 0)
		return r;
	if (!is_header_text(ret->username) || !is_header_text(ret->password) ||
	    !is_header_text(ret->registry_token))
		return err_set(e, EINVAL, "the credentials hold control characters");
	return 0;
}

void registry_auth_read(const char *header, struct registry_auth *ret)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root = NULL;
	void *data = NULL;
	size_t len = 0;

	*ret = (struct registry_auth){ 0 };
	if (str_empty(header) || base64_decode(header, &data, &len) < 0)
		return;
	if (json_parse_object(data, len, &doc, &root, NULL) == 0 &&
	    registry_auth_read_object(root, ret, NULL) < 0)
		registry_auth_free(ret);
	explicit_bzero(data, len);
	free(data);
}
