/*
 * One HTTP request by libcurl: see session_priv.h.
 *
 * libcurl is told to do little: no redirects, no credentials, no environment, HTTP/1.1 only. What
 * comes in is counted here, and cut off when it is too much or too slow; time in which our own
 * reader does not take it is not held against the sender.
 */
#include <string.h>
#include <strings.h>

#include "engine/registry/session_priv.h"
#include "init/base/clock.h"
#include "init/base/str.h"

enum {
	CONNECT_MS = 30000,
	BUFFER_BYTES = 128 << 10,
	REQUEST_HEADERS_MAX = 32,
	HEADER_MAX = 48 << 10, /* a bearer token may be long */
};

struct running {
	struct session *s;
	const struct request *q;
	struct answer *a;
	struct challenge *challenge;
	bool skip_body; /* enough of an error's text */
	int64_t to_skip; /* bytes that we have: the server knows no ranges */
	int64_t sent;
	size_t header_bytes;
	/* speed */
	int64_t since_ms, bytes_then, bytes_now, blocked_ms;
	int failed; /* our own reason to end it, -errno */
	struct err why;
};

/* ---- headers ---- */

static bool header_is(const char *line, size_t len, const char *name, char *value, size_t size)
{
	size_t n = strlen(name);
	char *text;

	if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
		return false;
	value[0] = '\0';
	text = strndup(line + n + 1, len - n - 1);
	if (text)
		(void)str_copy(value, size, str_trim(text));
	free(text);
	return true;
}

static void take_status(struct running *t, const char *line, size_t len)
{
	struct answer *a = t->a;
	const char *blank = memchr(line, ' ', len);
	struct buf error = a->error;

	/* behind "100 Continue" the real one comes */
	buf_reset(&error);
	*a = (struct answer){ .length = -1, .error = error };
	*t->challenge = (struct challenge){ 0 };
	if (blank && len - (size_t)(blank - line) > 3)
		a->status = (blank[1] - '0') * 100 + (blank[2] - '0') * 10 + (blank[3] - '0');
	if (a->status < 100 || a->status > 599)
		a->status = 599;
}

static void take_header(struct running *t, const char *line, size_t len)
{
	struct answer *a = t->a;
	char value[8192];

	if (header_is(line, len, "Content-Type", value, sizeof(value))) {
		value[strcspn(value, "; ")] = '\0';
		for (char *p = value; *p; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p = (char)(*p - 'A' + 'a');
		(void)str_copy(a->content_type, sizeof(a->content_type), value);
	} else if (header_is(line, len, "Docker-Content-Digest", value, sizeof(value))) {
		(void)str_copy(a->digest, sizeof(a->digest), digest_valid(value) ? value : "");
	} else if (header_is(line, len, "Location", value, sizeof(value))) {
		(void)str_copy(a->location, sizeof(a->location), value);
	} else if (header_is(line, len, "Content-Length", value, sizeof(value))) {
		if (str_to_i64(value, &a->length) < 0 || a->length < 0)
			a->length = -1;
	} else if (header_is(line, len, "Content-Range", value, sizeof(value))) {
		(void)str_copy(a->content_range, sizeof(a->content_range), value);
	} else if (header_is(line, len, "Range", value, sizeof(value))) {
		(void)str_copy(a->range, sizeof(a->range), value);
	} else if (header_is(line, len, "Docker-Upload-UUID", value, sizeof(value))) {
		(void)str_copy(a->uuid, sizeof(a->uuid), value);
	} else if (header_is(line, len, "WWW-Authenticate", value, sizeof(value))) {
		challenge_read(value, t->challenge);
	}
}

static size_t on_header(char *line, size_t one, size_t len, void *data)
{
	struct running *t = data;

	(void)one;
	t->header_bytes += len;
	if (t->header_bytes > HEADERS_MAX) {
		t->failed = err_set(&t->why, EFBIG, "the answer has more than %d bytes of headers",
				    HEADERS_MAX);
		return 0;
	}
	if (len > 5 && strncasecmp(line, "HTTP/", 5) == 0)
		take_status(t, line, len);
	else
		take_header(t, line, len);
	return len;
}

/* ---- the body that comes ---- */

static int write_out(struct running *t, const char *data, size_t len)
{
	int64_t before = clock_mono_ms();

	while (len > 0) {
		ssize_t n = write(t->q->write_fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(&t->why, errno, "the reader of the download has ended");
		data += n;
		len -= (size_t)n;
	}
	t->blocked_ms += clock_mono_ms() - before;
	return 0;
}

/* "bytes 100-199/200" */
static bool range_begins_at(const char *range, int64_t offset)
{
	char want[48];

	(void)str_format(want, sizeof(want), "bytes %lld-", (long long)offset);
	return str_starts(range, want);
}

/* At the first bytes of the body: are they those that were asked for? */
static int check_range(struct running *t)
{
	const struct answer *a = t->a;

	if (t->q->offset == 0 || a->got > 0 || t->to_skip > 0)
		return 0;
	if (a->status == 206 && !range_begins_at(a->content_range, t->q->offset))
		return err_set(&t->why, EBADMSG, "the registry sends another range than asked for");
	return 0;
}

static int take_body(struct running *t, const char *data, size_t len)
{
	const struct request *q = t->q;
	struct answer *a = t->a;
	int r = check_range(t);

	if (r < 0)
		return r;
	if (t->to_skip > 0) {
		size_t n = (size_t)MIN(t->to_skip, (int64_t)len);

		t->to_skip -= (int64_t)n;
		data += n;
		len -= n;
	}
	if (q->max > 0 && a->got + (int64_t)len > q->max)
		return err_set(&t->why, EFBIG, "the answer has more than the %lld bytes expected",
			       (long long)q->max);
	if (q->writes_fd)
		r = write_out(t, data, len);
	else if (q->text && buf_add(q->text, data, len) < 0)
		r = err_set(&t->why, EFBIG, "the answer has more than %zu bytes", q->text->max);
	if (r < 0)
		return r;
	a->got += (int64_t)len;
	if (q->writes_fd)
		session_progress(t->s, q->offset + a->got, q->max > 0 ? q->offset + q->max : -1);
	return 0;
}

static size_t on_body(char *data, size_t one, size_t len, void *user)
{
	struct running *t = user;
	struct answer *a = t->a;

	(void)one;
	if (a->status >= 200 && a->status < 300) {
		if (a->got == 0 && t->to_skip == 0 && a->status != 206 && t->bytes_now == 0)
			t->to_skip = t->q->offset;
		t->bytes_now += (int64_t)len;
		t->failed = take_body(t, data, len);
		return t->failed < 0 ? 0 : len;
	}
	if (buf_add(&a->error, data, MIN(len, ERROR_BODY_MAX - a->error.len)) < 0 ||
	    a->error.len >= ERROR_BODY_MAX) {
		t->skip_body = true;
		return 0;
	}
	return len;
}

/* ---- the body that goes ---- */

static size_t on_read(char *buf, size_t one, size_t room, void *data)
{
	struct running *t = data;
	const struct request *q = t->q;
	int64_t left = (q->sends_fd ? q->send_size : (int64_t)q->body_len) - t->sent;
	size_t want = (size_t)MIN(left, (int64_t)(one * room));
	ssize_t n;

	if (want == 0)
		return 0;
	if (!q->sends_fd) {
		memcpy(buf, (const char *)q->body + t->sent, want);
		n = (ssize_t)want;
	} else {
		n = pread(q->send_fd, buf, want, q->send_offset + t->sent);
	}
	if (n <= 0) {
		t->failed = err_set(&t->why, EIO, "what is to be sent cannot be read");
		return CURL_READFUNC_ABORT;
	}
	t->sent += n;
	if (q->sends_fd)
		session_progress(t->s, q->send_offset + t->sent, q->send_offset + q->send_size);
	return (size_t)n;
}

/* A connection that was kept had just been closed: once more from the start. */
static int on_seek(void *data, curl_off_t offset, int origin)
{
	struct running *t = data;

	if (origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	t->sent = offset;
	return CURL_SEEKFUNC_OK;
}

/* ---- speed ---- */

static int on_tick(void *data, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
		   curl_off_t ulnow)
{
	struct running *t = data;
	const struct registry_settings *set = &t->s->settings;
	int64_t now = clock_mono_ms(), bytes = dlnow + ulnow;
	int64_t window = set->speed_seconds * 1000;

	(void)dltotal;
	(void)ultotal;
	if (bytes - t->bytes_then >= set->speed_bytes * set->speed_seconds) {
		t->since_ms = now;
		t->bytes_then = bytes;
		t->blocked_ms = 0;
	} else if (window > 0 && now - t->since_ms - t->blocked_ms >= window) {
		t->failed = err_set(&t->why, ETIMEDOUT,
				    "slower than %lld bytes per second for %lld seconds",
				    (long long)set->speed_bytes, (long long)set->speed_seconds);
		return 1;
	}
	return 0;
}

/* ---- set-up ---- */

static struct curl_blob blob_of(const char *pem)
{
	return (struct curl_blob){ .data = (void *)(uintptr_t)pem,
				   .len = strlen(pem),
				   .flags = CURL_BLOB_COPY };
}

static int set_tls(struct session *s, const char *url, struct err *e)
{
	struct endpoint_state *state = &s->state[s->at];
	const struct endpoint *ep = s->place ? &s->place->endpoints[s->at] : NULL;
	bool own = ep && url_same_origin(url, ep->base);
	bool verify = !(own && ep->insecure);
	_cleanup_(mem_free) char *ca = NULL;
	CURL *c = s->curl;

	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
	if (own && state->client_cert && state->client_key) {
		struct curl_blob cert = blob_of(state->client_cert);
		struct curl_blob key = blob_of(state->client_key);

		curl_easy_setopt(c, CURLOPT_SSLCERT_BLOB, &cert);
		curl_easy_setopt(c, CURLOPT_SSLCERTTYPE, "PEM");
		curl_easy_setopt(c, CURLOPT_SSLKEY_BLOB, &key);
		curl_easy_setopt(c, CURLOPT_SSLKEYTYPE, "PEM");
	}
	if (!verify)
		return 0;
	ca = str_printf("%s%s", s->ca ? s->ca : "", s->place && state->ca ? state->ca : "");
	if (!ca)
		return err_set(e, ENOMEM, "out of memory");
	if (*ca) {
		struct curl_blob blob = blob_of(ca);

		curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
	}
	return 0;
}

static void set_method(struct running *t)
{
	const struct request *q = t->q;
	CURL *c = t->s->curl;
	bool sends = q->sends_fd || q->body_len > 0 || str_eq(q->method, "POST") ||
		     str_eq(q->method, "PUT") || str_eq(q->method, "PATCH");

	if (str_eq(q->method, "HEAD")) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	} else if (sends) {
		curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE,
				 (curl_off_t)(q->sends_fd ? q->send_size : (int64_t)q->body_len));
		curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(c, CURLOPT_READDATA, t);
		curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(c, CURLOPT_SEEKDATA, t);
	}
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
}

static int add_header(struct curl_slist **list, const char *line, struct err *e)
{
	struct curl_slist *more = curl_slist_append(*list, line);

	if (!more)
		return err_set(e, ENOMEM, "out of memory");
	*list = more;
	return 0;
}

static int make_headers(const struct request *q, const char *authorization, struct curl_slist **ret,
			struct err *e)
{
	char range[48];
	int r = add_header(ret, "Expect:", e);

	for (size_t i = 0; r == 0 && q->headers && q->headers[i] && i < REQUEST_HEADERS_MAX; i++)
		r = add_header(ret, q->headers[i], e);
	if (r == 0 && authorization)
		r = add_header(ret, authorization, e);
	(void)str_format(range, sizeof(range), "Range: bytes=%lld-", (long long)q->offset);
	if (r == 0 && q->offset > 0)
		r = add_header(ret, range, e);
	return r;
}

static int set_up(struct running *t, const char *url, const struct curl_slist *headers,
		  char *error_text, struct err *e)
{
	struct session *s = t->s;
	CURL *c = s->curl;

	curl_easy_reset(c);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, proxy_for(&s->settings, url));
	curl_easy_setopt(c, CURLOPT_NOPROXY, "");
	curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "skerry/" SKERRY_VERSION);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_tick);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error_text);
	set_method(t);
	return set_tls(s, url, e);
}

/* ---- errors ---- */

static int code_of(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		return ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return ETIMEDOUT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
		return EPROTO;
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
		return ECONNRESET;
	case CURLE_OUT_OF_MEMORY:
		return ENOMEM;
	default:
		return EIO;
	}
}

void url_show(const char *url, char *ret, size_t size)
{
	(void)snprintf(ret, size, "%.*s", (int)MIN(strcspn(url, "?#"), (size_t)200), url);
}

/* libcurl is built without words for errors of the system. */
static const char *words_of_connect(CURL *c)
{
	long error = 0;

	curl_easy_getinfo(c, CURLINFO_OS_ERRNO, &error);
	switch (error) {
	case ECONNREFUSED:
		return "connect: connection refused";
	case ENETUNREACH:
		return "connect: network is unreachable";
	case EHOSTUNREACH:
		return "connect: no route to host";
	case ETIMEDOUT:
		return "connect: connection timed out";
	default:
		return "connect: no connection";
	}
}

static const char *words_of(CURL *c, CURLcode code, const char *text)
{
	if (code == CURLE_COULDNT_RESOLVE_HOST)
		return "no such host";
	if (code == CURLE_COULDNT_CONNECT)
		return words_of_connect(c);
	if (code_of(code) == ECONNRESET)
		return "the connection was cut";
	return *text ? text : "the transfer failed";
}

static int failed(const struct running *t, const char *url, CURLcode code, const char *text,
		  struct err *e)
{
	char method[8], shown[256];

	(void)snprintf(method, sizeof(method), "%c%s", t->q->method[0], t->q->method + 1);
	for (char *p = method + 1; *p; p++)
		*p = (char)(*p - 'A' + 'a');
	url_show(url, shown, sizeof(shown));
	if (t->failed < 0)
		return err_set(e, -t->failed, "%s \"%s\": %s", method, shown, err_text(&t->why));
	return err_set(e, code_of(code), "%s \"%s\": %s%.200s", method, shown,
		       code_of(code) == EPROTO ? "tls: " : "", words_of(t->s->curl, code, text));
}

/* ---- all ---- */

int url_resolve(const char *base, const char *location, char ret[REGISTRY_URL_MAX], struct err *e)
{
	CURLU *u = curl_url();
	char *text = NULL;
	int r = -EINVAL;

	if (!u)
		return err_set(e, ENOMEM, "out of memory");
	if (curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_URL, location, CURLU_DISALLOW_USER) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
		r = str_copy(ret, REGISTRY_URL_MAX, text);
	curl_free(text);
	curl_url_cleanup(u);
	return r < 0 ? err_set(e, EINVAL, "the registry names an address that is none") : 0;
}

int transfer(struct session *s, const struct request *q, const char *url, const char *authorization,
	     struct answer *ret, struct challenge *challenge, struct err *e)
{
	struct running t = { .s = s, .q = q, .a = ret, .challenge = challenge };
	char text[CURL_ERROR_SIZE] = "", location[REGISTRY_URL_MAX];
	struct curl_slist *headers = NULL;
	CURLcode code = CURLE_OK;
	int r = make_headers(q, authorization, &headers, e);

	t.since_ms = clock_mono_ms();
	ret->error.max = ERROR_BODY_MAX;
	if (r == 0)
		r = set_up(&t, url, headers, text, e);
	if (r == 0) {
		code = curl_easy_perform(s->curl);
		if (code != CURLE_OK && !t.skip_body)
			r = failed(&t, url, code, text, e);
	}
	curl_slist_free_all(headers);
	if (r == 0 && ret->location[0]) {
		if (url_resolve(url, ret->location, location, NULL) < 0)
			location[0] = '\0';
		(void)str_copy(ret->location, sizeof(ret->location), location);
	}
	return r;
}
