/*
 * The machine's own credentials: those with which declared images are pulled, since no client is
 * there to send any. They stand in a file of the form that `docker login` writes (config.json,
 * "auths"), which is read anew for every pull and kept nowhere.
 *
 * Called by manifest/. A client's pull never uses them: it has what its user may do.
 */
#include <fcntl.h>
#include <string.h>

#include "engine/registry/registry_priv.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum { KEYRING_MAX = 1 << 20 };

/* "https://registry.example/v1/" is filed under the same name as "registry.example"; Docker Hub
 * has three. */
static bool names_domain(const char *key, const char *domain)
{
	const char *host = strstr(key, "://");
	size_t len;

	host = host ? host + strlen("://") : key;
	len = strcspn(host, "/");
	if (str_eq(domain, "docker.io") && strlen("index.docker.io") == len &&
	    strncmp(host, "index.docker.io", len) == 0)
		return true;
	return strlen(domain) == len && strncmp(host, domain, len) == 0;
}

/* The entry that is named exactly goes before one with a scheme or a path. */
static yyjson_val *entry_of(yyjson_val *auths, const char *domain)
{
	yyjson_val *found = yyjson_obj_get(auths, domain), *key;
	yyjson_obj_iter i = yyjson_obj_iter_with(auths);

	while (!found && (key = yyjson_obj_iter_next(&i)))
		if (names_domain(yyjson_get_str(key), domain))
			found = yyjson_obj_iter_get_val(key);
	return found;
}

static int read_entry(yyjson_val *root, const char *domain, struct registry_auth *ret,
		      struct err *e)
{
	yyjson_val *auths = NULL, *entry;
	int r = json_get_object(root, "auths", &auths, e);

	if (r < 0 || !auths || !(entry = entry_of(auths, domain)))
		return r;
	if (!yyjson_is_obj(entry))
		return err_set(e, EINVAL, "auths.%s is not an object", domain);
	if ((r = registry_auth_read_object(entry, ret, e)) < 0)
		return err_wrap(e, "auths.%s", domain);
	if (!ret->username && !ret->identity_token && !ret->registry_token)
		return err_set(e, EINVAL,
			       "auths.%s has no \"auth\": credentials that a helper program keeps "
			       "(credsStore, credHelpers) stay on the machine of `docker login`",
			       domain);
	return 0;
}

int registry_own_auth(const struct registry *reg, const char *ref, struct registry_auth *ret,
		      struct err *e)
{
	_cleanup_(registry_auth_free) struct registry_auth auth = { 0 };
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root = NULL;
	struct ref parsed;
	char *text = NULL;
	size_t len = 0;
	int r;

	if (!reg->auth_file)
		return 0;
	if ((r = ref_parse(ref, &parsed, e)) < 0)
		return r;
	r = file_read(AT_FDCWD, reg->auth_file, KEYRING_MAX, &text, &len, e);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = json_parse_object(text, len, &doc, &root, e);
	if (r == 0)
		r = read_entry(root, parsed.domain, &auth, e);
	if (text)
		explicit_bzero(text, len);
	free(text);
	if (r < 0)
		return err_wrap(e, "%s", reg->auth_file);
	*ret = auth;
	auth = (struct registry_auth){ 0 };
	return 0;
}
