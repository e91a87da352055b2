/*
 * See challenge.h. Everything that comes from outside is copied into members of fixed size; what
 * does not fit counts as absent.
 */
#include "engine/registry/challenge.h"

#include <string.h>
#include <strings.h>

#include "init/base/str.h"

enum { TOKEN_SECONDS = 60, TOKEN_SECONDS_LEAST = 60, TOKEN_VALUE_MAX = 32 << 10 };

/* ---- challenges ---- */

static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_blanks(const char *s, const char *also)
{
	while (*s == ' ' || *s == '\t' || (*s && strchr(also, *s)))
		s++;
	return s;
}

/* A value behind "=", quoted or not, into dst[size]; NULL when it is malformed. */
static const char *take_value(const char *s, char *dst, size_t size)
{
	bool quoted = *s == '"', fits = true;
	size_t n = 0;

	for (s += quoted; *s; s++) {
		if (quoted && *s == '"')
			break;
		if (quoted && *s == '\\' && s[1])
			s++;
		else if (!quoted && !is_token_char(*s) && !strchr("/:=", *s))
			break;
		if (*s < ' ' || *s > '~')
			return NULL;
		if (n + 1 < size)
			dst[n++] = *s;
		else
			fits = false;
	}
	dst[fits ? n : 0] = '\0';
	if (!quoted)
		return s;
	return *s == '"' ? s + 1 : NULL;
}

static void take_parameter(struct challenge *c, const char *name, size_t len, const char *value)
{
	static const struct {
		const char *name;
		size_t at, size;
	} known[] = {
		{ "realm", offsetof(struct challenge, realm), sizeof(c->realm) },
		{ "service", offsetof(struct challenge, service), sizeof(c->service) },
		{ "scope", offsetof(struct challenge, scope), sizeof(c->scope) },
		{ "error", offsetof(struct challenge, error), sizeof(c->error) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i].name) == len && strncasecmp(known[i].name, name, len) == 0)
			(void)str_copy((char *)c + known[i].at, known[i].size, value);
}

static enum auth_scheme scheme_of(const char *name, size_t len)
{
	if (len == 6 && strncasecmp(name, "Bearer", 6) == 0)
		return AUTH_BEARER;
	return len == 5 && strncasecmp(name, "Basic", 5) == 0 ? AUTH_BASIC : AUTH_NONE;
}

static void keep_better(const struct challenge *found, struct challenge *c)
{
	if (found->scheme == AUTH_BEARER && !found->realm[0])
		return;
	if (found->scheme > c->scheme)
		*c = *found;
}

void challenge_read(const char *s, struct challenge *c)
{
	struct challenge found = { 0 };
	char value[REGISTRY_URL_MAX];

	for (s = skip_blanks(s, ","); *s; s = skip_blanks(s, ",")) {
		const char *name = s;
		size_t len;

		while (is_token_char(*s))
			s++;
		len = (size_t)(s - name);
		if (len == 0)
			break;
		s = skip_blanks(s, "");
		if (*s == '=') {
			s = take_value(skip_blanks(s + 1, ""), value, sizeof(value));
			if (!s)
				break;
			take_parameter(&found, name, len, value);
		} else {
			keep_better(&found, c);
			found = (struct challenge){ .scheme = scheme_of(name, len) };
		}
	}
	keep_better(&found, c);
}

static bool host_listed(char *const *hosts, const char *host)
{
	for (size_t i = 0; i < strv_len(hosts); i++)
		if (strcasecmp(hosts[i], host) == 0)
			return true;
	return false;
}

/* A mirror may be written with http:// in the settings, then that is what is wanted. */
static bool may_be_plain(const struct endpoint *ep, const struct url_parts *own)
{
	return ep->insecure || !own->tls;
}

int challenge_check(const struct challenge *c, const struct endpoint *ep, bool with_credentials,
		    char *const *token_hosts, struct err *e)
{
	struct url_parts realm, own;
	int r = url_parts(c->realm, &realm, e);

	if (r == 0)
		r = url_parts(ep->base, &own, e);
	if (r < 0)
		return err_wrap(e, "the registry's realm for tokens");
	if (!realm.tls && !(may_be_plain(ep, &own) && str_eq(realm.host, own.host)))
		return err_set(e, EACCES,
			       "the registry %.100s wants tokens to be asked for at %.100s without "
			       "TLS: that is refused",
			       own.host, realm.host);
	if (with_credentials && !host_same_site(realm.host, own.host) &&
	    !host_listed(token_hosts, realm.host))
		return err_set(
			e, EACCES,
			"the registry %.100s wants credentials to be sent to %.100s: that is "
			"refused unless engine.registry.token-hosts lists it",
			own.host, realm.host);
	return 0;
}

/* ---- token requests ---- */

static void add_encoded(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    (c && strchr("-._~", c)))
			buf_add_char(out, c);
		else
			buf_printf(out, "%%%02X", (unsigned char)c);
	}
}

static void add_field(struct buf *out, const char *name, const char *value, size_t len)
{
	buf_printf(out, "%s%s=", out->len > 0 ? "&" : "", name);
	add_encoded(out, value, len);
}

void token_query(const struct challenge *c, const char *scope, const char *account, bool lasting,
		 struct buf *out)
{
	const char *s = str_empty(scope) ? c->scope : scope;

	if (account) {
		add_field(out, "account", account, strlen(account));
		add_field(out, "client_id", "docker", 6);
	}
	if (lasting)
		add_field(out, "offline_token", "true", 4);
	if (c->service[0])
		add_field(out, "service", c->service, strlen(c->service));
	while (*(s = skip_blanks(s, ""))) {
		size_t len = strcspn(s, " ");

		add_field(out, "scope", s, len);
		s += len;
	}
}

void token_form(const struct challenge *c, const char *scope, const char *refresh, struct buf *out)
{
	const char *s = str_empty(scope) ? c->scope : scope;

	add_field(out, "grant_type", "refresh_token", 13);
	add_field(out, "client_id", "docker", 6);
	add_field(out, "service", c->service, strlen(c->service));
	if (*s)
		add_field(out, "scope", s, strlen(s));
	add_field(out, "refresh_token", refresh, strlen(refresh));
}

/* Bearer credentials (RFC 6750): what may stand in a header. */
static bool is_bearer(const char *s)
{
	if (!s || !*s || strlen(s) > TOKEN_VALUE_MAX)
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

int token_read(const char *text, size_t len, struct token *ret, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	_cleanup_(token_free) struct token t = { .seconds = TOKEN_SECONDS };
	const char *value = NULL, *access = NULL, *refresh = NULL;
	yyjson_val *root;

	if (json_parse_object(text, len, &doc, &root, NULL) < 0 ||
	    json_get_text(root, "token", &value, NULL) < 0 ||
	    json_get_text(root, "access_token", &access, NULL) < 0 ||
	    json_get_text(root, "refresh_token", &refresh, NULL) < 0)
		return err_set(e, EINVAL,
			       "the answer to a request for a token is not such an answer");
	(void)json_get_i64(root, "expires_in", &t.seconds, NULL);
	value = str_empty(value) ? access : value;
	if (!is_bearer(value))
		return err_set(e, EINVAL, "the answer to a request for a token holds none");
	t.seconds = MAX(t.seconds, (int64_t)TOKEN_SECONDS_LEAST);
	t.value = str_dup(value);
	t.refresh = is_bearer(refresh) ? str_dup(refresh) : NULL;
	if (!t.value || (is_bearer(refresh) && !t.refresh))
		return err_set(e, ENOMEM, "out of memory");
	*ret = t;
	t = (struct token){ 0 };
	return 0;
}

static void secret_free(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void token_free(struct token *t)
{
	secret_free(t->value);
	secret_free(t->refresh);
	*t = (struct token){ 0 };
}

/* ---- errors ---- */

static void copy_printable(char *dst, size_t size, const char *src)
{
	size_t n = 0;

	for (; src && *src && n + 1 < size; src++)
		dst[n++] = *src >= ' ' && *src <= '~' ? *src : '?';
	dst[n] = '\0';
}

void error_body_read(const char *text, size_t len, char *ret_code, size_t code_size,
		     char *ret_message, size_t message_size)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root, *first;

	ret_code[0] = ret_message[0] = '\0';
	if (len == 0 || json_parse_object(text, len, &doc, &root, NULL) < 0)
		return;
	first = yyjson_arr_get_first(yyjson_obj_get(root, "errors"));
	copy_printable(ret_code, code_size, yyjson_get_str(yyjson_obj_get(first, "code")));
	copy_printable(ret_message, message_size, yyjson_get_str(yyjson_obj_get(first, "message")));
	if (!first)
		copy_printable(ret_message, message_size,
			       yyjson_get_str(yyjson_obj_get(root, "details")));
}
