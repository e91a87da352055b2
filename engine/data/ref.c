/*
 * Image references: one pass from the right (digest, tag) and then the name, component by
 * component.
 *
 * The grammar is regular, and each rule of it is a function here: domain, path component, tag. The
 * error texts are those that Docker's clients and their users know.
 */
#include "engine/data/ref.h"

#include <string.h>

#include "init/base/str.h"

#define DEFAULT_DOMAIN "docker.io"
#define LEGACY_DOMAIN "index.docker.io"
#define OFFICIAL_PREFIX "library/"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

bool ref_tag_valid(const char *tag)
{
	size_t len = strlen(tag);

	return len >= 1 && len <= REF_TAG_MAX && strspn(tag, LOWER UPPER DIGITS "_.-") == len &&
	       tag[0] != '.' && tag[0] != '-';
}

/* [a-z0-9]+ joined by one dot, one or two underscores, or any number of dashes */
static bool component_valid(const char *s, size_t len)
{
	size_t i = 0;

	for (;;) {
		size_t start = i, dashes;

		while (i < len && strchr(LOWER DIGITS, s[i]))
			i++;
		if (i == start)
			return false;
		if (i == len)
			return true;
		dashes = strspn(s + i, "-");
		if (dashes > 0)
			i += MIN(dashes, len - i);
		else if (s[i] == '_' && i + 1 < len && s[i + 1] == '_')
			i += 2;
		else if (s[i] == '_' || s[i] == '.')
			i++;
		else
			return false;
	}
}

static bool path_valid(const char *path)
{
	for (;;) {
		size_t len = strcspn(path, "/");

		if (!component_valid(path, len))
			return false;
		if (!path[len])
			return true;
		path += len + 1;
	}
}

/* letters, digits and inner dashes */
static bool host_label_valid(const char *s, size_t len)
{
	return len > 0 && strspn(s, LOWER UPPER DIGITS "-") >= len && s[0] != '-' &&
	       s[len - 1] != '-';
}

/* labels joined by dots, or an IPv6 address in brackets; then an optional port */
static bool domain_valid(const char *s)
{
	size_t len;

	if (*s == '[') {
		len = strspn(s + 1, DIGITS "abcdefABCDEF:");
		if (len == 0 || s[1 + len] != ']')
			return false;
		s += len + 2;
	} else {
		for (;; s++) {
			len = strcspn(s, ".:");
			if (!host_label_valid(s, len))
				return false;
			s += len;
			if (*s != '.')
				break;
		}
	}
	if (!*s)
		return true;
	return *s == ':' && s[1] && strspn(s + 1, DIGITS) == strlen(s + 1);
}

/* Whether the first component (len bytes) names a registry rather than a user of the default
 * one. */
static bool looks_like_domain(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (strchr(".:" UPPER, s[i]))
			return true;
	}
	return len == strlen("localhost") && memcmp(s, "localhost", len) == 0;
}

static int bad_format(struct err *e)
{
	return err_set(e, EINVAL, "invalid reference format");
}

/* Cuts "@digest" and ":tag" off name, in place. */
static int split_suffixes(char *name, struct ref *r, struct err *e)
{
	char *at = strchr(name, '@'), *slash, *colon;

	if (at) {
		*at = '\0';
		if (!digest_valid(at + 1) || str_copy(r->digest, sizeof(r->digest), at + 1) < 0)
			return err_set(e, EINVAL,
				       "invalid reference format: \"%.160s\" is not a digest",
				       at + 1);
	}
	slash = strrchr(name, '/');
	colon = strrchr(slash ? slash : name, ':');
	if (colon) {
		*colon = '\0';
		if (!ref_tag_valid(colon + 1) || str_copy(r->tag, sizeof(r->tag), colon + 1) < 0)
			return bad_format(e);
	}
	return 0;
}

static int split_name(const char *name, struct ref *r, struct err *e)
{
	const char *slash = strchr(name, '/'), *path = name;
	const char *prefix = "";
	size_t len = slash ? (size_t)(slash - name) : 0;

	(void)str_copy(r->domain, sizeof(r->domain), DEFAULT_DOMAIN);
	if (slash && looks_like_domain(name, len)) {
		path = slash + 1;
		if (str_format(r->domain, sizeof(r->domain), "%.*s", (int)MIN(len, 4096), name) < 0)
			return err_set(e, EINVAL,
				       "invalid reference format: the registry's name is longer "
				       "than %d characters",
				       REF_NAME_MAX);
	}
	if (str_eq(r->domain, LEGACY_DOMAIN))
		(void)str_copy(r->domain, sizeof(r->domain), DEFAULT_DOMAIN);
	if (str_eq(r->domain, DEFAULT_DOMAIN) && !strchr(path, '/'))
		prefix = OFFICIAL_PREFIX;
	if (strpbrk(path, UPPER))
		return err_set(
			e, EINVAL,
			"invalid reference format: repository name (%.255s) must be lowercase",
			path);
	if (str_format(r->path, sizeof(r->path), "%s%s", prefix, path) < 0)
		return err_set(e, EINVAL, "repository name must not be more than %d characters",
			       REF_NAME_MAX);
	return domain_valid(r->domain) && path_valid(path) ? 0 : bad_format(e);
}

int ref_parse(const char *text, struct ref *ret_ref, struct err *e)
{
	struct ref r = { 0 };
	char name[REF_TEXT_MAX];

	if (str_empty(text) || str_copy(name, sizeof(name), text) < 0)
		return bad_format(e);
	if (strlen(text) == DIGEST_HEX_LEN && strspn(text, "0123456789abcdef") == DIGEST_HEX_LEN)
		return err_set(
			e, EINVAL,
			"invalid repository name (%s), cannot specify 64-byte hexadecimal strings",
			text);
	if (split_suffixes(name, &r, e) < 0 || split_name(name, &r, e) < 0)
		return -EINVAL;
	*ret_ref = r;
	return 0;
}

void ref_add_default_tag(struct ref *r)
{
	if (!r->tag[0] && !r->digest[0])
		(void)str_copy(r->tag, sizeof(r->tag), "latest");
}

/* the path as people write it, and "" or "domain/" to go in front */
static const char *familiar_path(const struct ref *r, const char **ret_slash,
				 const char **ret_domain)
{
	*ret_domain = r->domain;
	*ret_slash = "/";
	if (!str_eq(r->domain, DEFAULT_DOMAIN))
		return r->path;
	*ret_domain = *ret_slash = "";
	if (str_starts(r->path, OFFICIAL_PREFIX) && !strchr(r->path + strlen(OFFICIAL_PREFIX), '/'))
		return r->path + strlen(OFFICIAL_PREFIX);
	return r->path;
}

static void format(const struct ref *r, const char *domain, const char *slash, const char *path,
		   char ret_text[REF_TEXT_MAX])
{
	(void)str_format(ret_text, REF_TEXT_MAX, "%s%s%s%s%s%s%s", domain, slash, path,
			 r->tag[0] ? ":" : "", r->tag, r->digest[0] ? "@" : "", r->digest);
}

void ref_format(const struct ref *r, char ret_text[REF_TEXT_MAX])
{
	format(r, r->domain, "/", r->path, ret_text);
}

void ref_format_familiar(const struct ref *r, char ret_text[REF_TEXT_MAX])
{
	const char *slash, *domain, *path = familiar_path(r, &slash, &domain);

	format(r, domain, slash, path, ret_text);
}

void ref_format_name(const struct ref *r, char ret_text[REF_TEXT_MAX])
{
	const char *slash, *domain, *path = familiar_path(r, &slash, &domain);

	(void)str_format(ret_text, REF_TEXT_MAX, "%s%s%s", domain, slash, path);
}
