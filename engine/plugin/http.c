/*
 * One HTTP exchange with a plugin, by libcurl, in the worker (inside.h).
 *
 * libcurl is told to do little: no redirects, no proxies, no credentials, HTTP/1.1, one connection
 * that is closed behind the answer. A unix socket is connected by the caller, before the sandbox
 * closes, and handed to libcurl here.
 */
#include <curl/curl.h>
#include <string.h>

#include "engine/plugin/inside.h"
#include "init/base/file.h"
#include "init/base/str.h"

/* Docker's media type; plugins look at it to tell versions of the protocol apart. */
#define MEDIA_TYPE "application/vnd.docker.plugins.v1.2+json"

enum { CONNECT_MS = 5000, HEADER_BYTES_MAX = 64 << 10, PEM_MAX = 2 << 20 };

struct exchange {
	int socket_fd; /* connected, or -1 */
	size_t header_bytes;
	struct buf *out;
	bool too_much;
};

static size_t on_header(char *data, size_t size, size_t n, void *user)
{
	struct exchange *x = user;

	(void)data;
	x->header_bytes += size * n;
	x->too_much |= x->header_bytes > HEADER_BYTES_MAX;
	return x->too_much ? 0 : size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct exchange *x = user;

	x->too_much |= buf_add(x->out, data, size * n) < 0;
	return x->too_much ? 0 : size * n;
}

/* The connected socket, once. */
static curl_socket_t on_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct exchange *x = user;

	(void)purpose;
	(void)address;
	return x->socket_fd < 0 ? CURL_SOCKET_BAD : take_fd(x->socket_fd);
}

static int on_connected(void *user, curl_socket_t fd, curlsocktype purpose)
{
	(void)user;
	(void)fd;
	(void)purpose;
	return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static struct curl_blob blob_of(char *text)
{
	return (struct curl_blob){ .data = text, .len = strlen(text), .flags = CURL_BLOB_COPY };
}

static void set_tls(CURL *c, const struct plugin_address *a)
{
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, a->insecure ? 0L : 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, a->insecure ? 0L : 2L);
	if (a->ca && !a->insecure) {
		struct curl_blob ca = blob_of(a->ca);

		curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &ca);
	}
	if (a->cert && a->key) {
		struct curl_blob cert = blob_of(a->cert), key = blob_of(a->key);

		curl_easy_setopt(c, CURLOPT_SSLCERT_BLOB, &cert);
		curl_easy_setopt(c, CURLOPT_SSLCERTTYPE, "PEM");
		curl_easy_setopt(c, CURLOPT_SSLKEY_BLOB, &key);
		curl_easy_setopt(c, CURLOPT_SSLKEYTYPE, "PEM");
	}
}

static void set_up(CURL *c, struct exchange *x, const char *url, const char *body,
		   int64_t timeout_ms)
{
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NOPROXY, "");
	curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "skerry/" SKERRY_VERSION);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(c, CURLOPT_POST, 1L);
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
	if (x->socket_fd >= 0) {
		curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
		curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, x);
		curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, on_connected);
	}
}

static const struct {
	CURLcode code;
	int error;
	const char *text;
} failures[] = {
	{ CURLE_OPERATION_TIMEDOUT, ETIMEDOUT, "it does not answer in time" },
	{ CURLE_COULDNT_RESOLVE_HOST, ECONNREFUSED, "no such host" },
	{ CURLE_COULDNT_CONNECT, ECONNREFUSED, "connection refused" },
	{ CURLE_GOT_NOTHING, EBADMSG, "it closed the connection without an answer" },
	{ CURLE_RECV_ERROR, EBADMSG, "the connection was cut" },
	{ CURLE_SEND_ERROR, EBADMSG, "the connection was cut" },
	{ CURLE_PARTIAL_FILE, EBADMSG, "the answer was cut off" },
	{ CURLE_PEER_FAILED_VERIFICATION, EPROTO, "its certificate is not trusted" },
	{ CURLE_SSL_CONNECT_ERROR, EPROTO, "TLS failed" },
	{ CURLE_OUT_OF_MEMORY, ENOMEM, "out of memory" },
};

static int explain(const struct exchange *x, CURLcode code, struct err *e)
{
	if (x->too_much)
		return err_set(e, EBADMSG, "the answer has more than %zu bytes", x->out->max);
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++)
		if (failures[i].code == code)
			return err_set(e, failures[i].error, "%s", failures[i].text);
	return err_set(e, EBADMSG, "it does not speak HTTP (%d)", (int)code);
}

static struct curl_slist *headers_new(void)
{
	static const char *const lines[] = { "Expect:", "Accept: " MEDIA_TYPE,
					     "Content-Type: " MEDIA_TYPE };
	struct curl_slist *list = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct curl_slist *more = curl_slist_append(list, lines[i]);

		if (!more) {
			curl_slist_free_all(list);
			return NULL;
		}
		list = more;
	}
	return list;
}

int plugin_post(const struct plugin_address *a, int socket_fd, const char *path, const char *body,
		int64_t timeout_ms, int *ret_status, struct buf *out, struct err *e)
{
	/* the name is not looked up: it is only what stands in the header Host */
	_cleanup_(mem_free) char *url =
		str_printf("%s/%s", a->url ? a->url : "http://127.0.0.1", path);
	struct exchange x = { .socket_fd = socket_fd, .out = out };
	struct curl_slist *headers = headers_new();
	CURL *c = curl_easy_init();
	long status = 0;
	CURLcode code = CURLE_OUT_OF_MEMORY;

	if (url && headers && c) {
		set_up(c, &x, url, body, timeout_ms);
		set_tls(c, a);
		curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
		code = curl_easy_perform(c);
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	}
	curl_easy_cleanup(c);
	curl_slist_free_all(headers);
	fd_close(x.socket_fd);
	if (code != CURLE_OK)
		return explain(&x, code, e);
	*ret_status = (int)status;
	return 0;
}
