/*
 * Credentials, redirects and tries over transfer.c: see session.h.
 *
 * Who gets credentials: the endpoint's own origin, after it asked, and the realm of its challenge
 * when challenge_check agrees. A mirror gets none that are not its own anonymous tokens. A redirect
 * leaves them behind at the border of the origin.
 */
#include "engine/registry/session.h"

#include <string.h>
#include <time.h>

#include "engine/registry/session_priv.h"
#include "init/base/clock.h"
#include "init/base/str.h"

enum { RETRY_FIRST_MS = 500, PROGRESS_MS = 200 };

static void secret_free(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

/* ---- where it stands ---- */

const struct place *session_place(const struct session *s)
{
	return s->place;
}

size_t session_endpoint(const struct session *s)
{
	return s->at;
}

void session_use(struct session *s, size_t endpoint)
{
	s->at = endpoint;
}

int session_set_scope(struct session *s, const char *scope, struct err *e)
{
	for (size_t i = 0; i < ENDPOINTS_MAX; i++)
		secret_free(take_ptr(s->state[i].token));
	return str_set(&s->scope, scope) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

void session_want_refresh(struct session *s)
{
	s->lasting = true;
}

const char *session_refresh(const struct session *s)
{
	return s->refresh;
}

static const struct endpoint *endpoint_of(const struct session *s)
{
	return s->place ? &s->place->endpoints[s->at] : NULL;
}

/* The endpoint's address, as it is spoken to now. */
static int base_of(const struct session *s, char ret[REGISTRY_URL_MAX], struct err *e)
{
	const char *base = endpoint_of(s)->base;
	bool plain = s->state[s->at].plain && str_starts(base, "https://");

	return str_format(ret, REGISTRY_URL_MAX, "%s%s", plain ? "http://" : "",
			  plain ? base + strlen("https://") : base) < 0
		       ? err_set(e, EINVAL, "the address of the registry is too long")
		       : 0;
}

/* ---- tries ---- */

bool session_may_retry(struct session *s, int error)
{
	static const int passing[] = { ECONNRESET, ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH,
				       EAGAIN,	   EIO,		 EBADMSG };
	int64_t ms = (int64_t)RETRY_FIRST_MS << s->failures;
	const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	bool passes = false;

	for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
		passes = passes || error == -passing[i];
	if (!passes || s->failures + 1 >= TRIES_MAX)
		return false;
	s->failures++;
	(void)nanosleep(&pause, NULL);
	return true;
}

void session_progress(struct session *s, int64_t current, int64_t total)
{
	int64_t now = clock_mono_ms();
	char text[96];

	if (now - s->told_ms < PROGRESS_MS && current != total)
		return;
	s->told_ms = now;
	(void)str_format(text, sizeof(text), "{\"current\":%lld,\"total\":%lld}",
			 (long long)current, (long long)total);
	worker_progress(s->call, text, strlen(text));
}

void session_write_memory(const struct session *s, struct json_writer *w)
{
	const struct endpoint_state *state = &s->state[s->at];

	json_key(w, "memory");
	json_begin_object(w);
	json_member_i64(w, "endpoint", (int64_t)s->at + 1);
	json_member_bool(w, "plain", state->plain);
	json_member_bool(w, "basic", state->basic);
	if (state->token)
		json_member_str(w, "token", state->token);
	json_end_object(w);
}

/* ---- answers ---- */

void answer_free(struct answer *a)
{
	buf_free(&a->error);
}

static int errno_of(int status)
{
	switch (status) {
	case 401:
		return EKEYREJECTED;
	case 403:
		return EACCES;
	case 404:
		return ENOENT;
	case 416:
		return ERANGE;
	case 408:
	case 429:
		return EAGAIN;
	default:
		return status >= 500 ? EAGAIN : EREMOTEIO;
	}
}

int answer_error(const struct answer *a, char ret_code[ERROR_CODE_MAX], struct err *e)
{
	char code[ERROR_CODE_MAX], message[256], words[ERROR_CODE_MAX];

	error_body_read(buf_text(&a->error), a->error.len, code, sizeof(code), message,
			sizeof(message));
	if (a->status == 401 && a->denied) {
		(void)str_copy(code, sizeof(code), "DENIED");
		(void)str_copy(message, sizeof(message),
			       "requested access to the resource is denied");
	} else if (a->status == 401 && !code[0]) {
		(void)str_copy(code, sizeof(code), "UNAUTHORIZED");
		if (!message[0])
			(void)str_copy(message, sizeof(message), "authentication required");
	}
	(void)str_copy(words, sizeof(words), code);
	for (char *p = words; *p; p++)
		*p = *p == '_' ? ' ' : *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
	if (ret_code)
		(void)str_copy(ret_code, ERROR_CODE_MAX, code);
	if (words[0])
		return err_set(e, errno_of(a->status), "%s: %s", words,
			       message[0] ? message : "the registry says no more");
	return err_set(e, errno_of(a->status), "the registry answers with status %d%s%s", a->status,
		       message[0] ? ": " : "", message);
}

/* ---- tokens ---- */

static bool has_credentials(const struct session *s)
{
	return endpoint_of(s) && !endpoint_of(s)->mirror &&
	       (s->auth.username || s->auth.identity_token);
}

/* "Authorization: Basic ..."; NULL on ENOMEM. */
static char *basic_header(const struct session *s)
{
	_cleanup_(mem_free) char *pair =
		str_printf("%s:%s", s->auth.username ? s->auth.username : "",
			   s->auth.password ? s->auth.password : "");
	_cleanup_(mem_free) char *coded = pair ? base64_encode(pair, strlen(pair)) : NULL;

	return coded ? str_printf("Authorization: Basic %s", coded) : NULL;
}

static int ask_with_form(struct session *s, const struct challenge *c, struct buf *text,
			 struct answer *a, struct err *e)
{
	static const char *const headers[] = { "Content-Type: application/x-www-form-urlencoded",
					       NULL };
	_cleanup_(buf_free) struct buf form = BUF_INIT(TOKEN_MAX);
	struct challenge ignored;
	struct request q = { .method = "POST", .headers = headers, .text = text };
	int r;

	token_form(c, s->scope, s->auth.identity_token, &form);
	if (buf_failed(&form))
		return err_set(e, EINVAL, "the identity token is too long");
	q.body = form.data;
	q.body_len = form.len;
	r = transfer(s, &q, c->realm, NULL, a, &ignored, e);
	explicit_bzero(form.data, form.len);
	return r;
}

static int ask_with_query(struct session *s, const struct challenge *c, bool credentials,
			  struct buf *text, struct answer *a, struct err *e)
{
	_cleanup_(buf_free) struct buf query = BUF_INIT(TOKEN_MAX);
	_cleanup_(mem_free) char *basic = NULL, *url = NULL;
	struct request q = { .method = "GET", .text = text };
	struct challenge ignored;

	token_query(c, s->scope, credentials ? s->auth.username : NULL, s->lasting && credentials,
		    &query);
	url = str_printf("%s%c%s", c->realm, strchr(c->realm, '?') ? '&' : '?', buf_text(&query));
	if (credentials)
		basic = basic_header(s);
	if (buf_failed(&query) || !url || (credentials && !basic))
		return err_set(e, ENOMEM, "out of memory");
	return transfer(s, &q, url, basic, a, &ignored, e);
}

static int take_token(struct session *s, const struct buf *text, struct err *e)
{
	_cleanup_(token_free) struct token t = { 0 };
	int r = token_read(buf_text(text), text->len, &t, e);

	if (r < 0)
		return r;
	secret_free(s->state[s->at].token);
	s->state[s->at].token = take_ptr(t.value);
	if (t.refresh) {
		secret_free(s->refresh);
		s->refresh = take_ptr(t.refresh);
	}
	return 0;
}

static int get_token(struct session *s, const struct challenge *c, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(TOKEN_MAX);
	_cleanup_(answer_free) struct answer a = { 0 };
	bool credentials = has_credentials(s);
	int r = challenge_check(c, endpoint_of(s), credentials, s->settings.token_hosts, e);

	if (r < 0)
		return r;
	r = credentials && s->auth.identity_token ? ask_with_form(s, c, &text, &a, e)
						  : ask_with_query(s, c, credentials, &text, &a, e);
	if (r == 0 && (a.status < 200 || a.status > 299)) {
		r = answer_error(&a, NULL, e);
		if (a.status == 401 || a.status == 403)
			r = err_set(e, EKEYREJECTED,
				    "unauthorized: incorrect username or password");
	}
	if (r == 0)
		r = take_token(s, &text, e);
	if (text.data)
		explicit_bzero(text.data, text.len);
	return r == -EKEYREJECTED || r == -EACCES ? r
	       : r < 0				  ? err_wrap(e, "asking for a token")
						  : 0;
}

/* After a 401: 1 when another try with other credentials makes sense, 0 when not. */
static int answer_challenge(struct session *s, const struct challenge *c, struct err *e)
{
	struct endpoint_state *state = &s->state[s->at];
	int r;

	if (c->scheme == AUTH_BEARER) {
		if (s->auth.registry_token && !endpoint_of(s)->mirror) {
			bool had = state->token;

			if (!had && str_set(&state->token, s->auth.registry_token) < 0)
				return err_set(e, ENOMEM, "out of memory");
			return !had;
		}
		r = get_token(s, c, e);
		return r < 0 ? r : 1;
	}
	if (c->scheme != AUTH_BASIC || state->basic)
		return 0;
	if (!has_credentials(s) || !s->auth.username)
		return err_set(e, EREMOTEIO, "no basic auth credentials");
	state->basic = true;
	return 1;
}

/* The header for the current endpoint; *ret NULL when it asked for none. */
static int own_header(const struct session *s, char **ret, struct err *e)
{
	const struct endpoint_state *state = &s->state[s->at];

	*ret = NULL;
	if (state->basic && has_credentials(s))
		*ret = basic_header(s);
	else if (state->token)
		*ret = str_printf("Authorization: Bearer %s", state->token);
	else
		return 0;
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* ---- one request ---- */

static bool is_redirect(const struct request *q, const struct answer *a)
{
	if (!str_eq(q->method, "GET") && !str_eq(q->method, "HEAD"))
		return false;
	return a->location[0] && (a->status == 301 || a->status == 302 || a->status == 303 ||
				  a->status == 307 || a->status == 308);
}

/* From TLS nobody is sent into the open, unless that host may do without. */
static int check_redirect(const struct session *s, const char *from, const char *to, struct err *e)
{
	struct url_parts a, b;
	int r = url_parts(to, &b, e);

	if (r == 0)
		r = url_parts(from, &a, e);
	if (r < 0)
		return err_wrap(e, "the registry's redirect");
	if (a.tls && !b.tls && !is_insecure(s->settings.insecure, b.host, b.port))
		return err_set(e, EACCES, "the registry redirects to %.100s without TLS: refused",
			       b.host);
	return 0;
}

static int own_url(struct session *s, const struct request *q, char url[REGISTRY_URL_MAX],
		   struct err *e)
{
	char base[REGISTRY_URL_MAX];
	int r;

	if (q->url[0] != '/')
		return str_copy(url, REGISTRY_URL_MAX, q->url) < 0
			       ? err_set(e, EINVAL, "the address is too long")
			       : 0;
	r = base_of(s, base, e);
	if (r == 0 && str_format(url, REGISTRY_URL_MAX, "%s%s", base, q->url) < 0)
		r = err_set(e, EINVAL, "the address is too long");
	return r;
}

static bool is_own(const struct session *s, const char *url)
{
	char base[REGISTRY_URL_MAX];

	return endpoint_of(s) && base_of(s, base, NULL) == 0 && url_same_origin(url, base);
}

/* One transfer with what credentials the address may have. */
static int transfer_once(struct session *s, const struct request *q, const char *url,
			 struct answer *a, struct challenge *c, struct err *e)
{
	_cleanup_(mem_free) char *header = NULL;
	int r = is_own(s, url) ? own_header(s, &header, e) : 0;

	if (q->text)
		buf_reset(q->text);
	answer_free(a);
	*a = (struct answer){ .length = -1 };
	*c = (struct challenge){ 0 };
	if (r == 0)
		r = transfer(s, q, url, header, a, c, e);
	if (header)
		explicit_bzero(header, strlen(header));
	a->denied = str_eq(c->error, "insufficient_scope");
	return r;
}

/* What speaks no TLS, and need not: the same without. True when that is worth a try. */
static bool may_go_plain(struct session *s, const char *url, int error)
{
	struct endpoint_state *state = &s->state[s->at];

	if (!is_own(s, url) || state->settled || state->plain || !endpoint_of(s)->insecure)
		return false;
	if (error != -EPROTO && error != -ECONNREFUSED && error != -ECONNRESET &&
	    error != -ETIMEDOUT)
		return false;
	state->plain = true;
	return true;
}

static int do_rest(struct session *s, const struct request *q, char url[REGISTRY_URL_MAX],
		   struct answer *a, struct err *e)
{
	bool answered = false;
	struct challenge c;
	int hops = 0, r;

	for (;;) {
		r = transfer_once(s, q, url, a, &c, e);
		if (r < 0)
			return r;
		if (is_own(s, url))
			s->state[s->at].settled = true;
		if (a->status == 401 && is_own(s, url) && !answered) {
			answered = true;
			r = answer_challenge(s, &c, e);
			if (r <= 0)
				return r;
		} else if (is_redirect(q, a)) {
			if (++hops > REDIRECTS_MAX)
				return err_set(e, EREMOTEIO, "more than %d redirects",
					       REDIRECTS_MAX);
			r = check_redirect(s, url, a->location, e);
			if (r < 0)
				return r;
			(void)str_copy(url, REGISTRY_URL_MAX, a->location);
		} else {
			return 0;
		}
	}
}

int session_do(struct session *s, const struct request *q, struct answer *a, struct err *e)
{
	char url[REGISTRY_URL_MAX];
	int r;

	*a = (struct answer){ .length = -1 };
	r = own_url(s, q, url, e);
	if (r < 0)
		return r;
	r = do_rest(s, q, url, a, e);
	if (r < 0 && q->url[0] == '/' && may_go_plain(s, url, r)) {
		r = own_url(s, q, url, e);
		if (r == 0)
			r = do_rest(s, q, url, a, e);
	}
	return r;
}

/* ---- opening ---- */

int session_open(struct session *s, struct worker_call *call, struct err *e)
{
	s->call = call;
	s->curl = curl_easy_init();
	return s->curl ? 0 : err_set(e, ENOMEM, "libcurl cannot be set up");
}

void session_close(struct session *s)
{
	if (s->curl)
		curl_easy_cleanup(s->curl);
	registry_settings_free(&s->settings);
	registry_auth_free(&s->auth);
	place_free(s->place);
	for (size_t i = 0; i < ENDPOINTS_MAX; i++) {
		secret_free(s->state[i].token);
		secret_free(s->state[i].client_key);
		free(s->state[i].client_cert);
		free(s->state[i].ca);
	}
	free(s->scope);
	free(s->ca);
	secret_free(s->refresh);
}
