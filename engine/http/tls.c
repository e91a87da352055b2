/*
 * TLS transport over mbedTLS 3.6: the only file of the engine that includes its headers.
 *
 * struct tls_context holds the configuration, certificates and key of one listener or client;
 * struct tls_conn is one connection, a http_transport. The library's I/O callbacks do plain
 * non-blocking socket calls, so the event loop drives everything. Called by server.c (accept) and
 * conn.c.
 */
#include "engine/http/tls.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/pk.h>
#include <mbedtls/sha1.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include "init/base/file.h"
#include "engine/http/transport.h"

struct tls_context {
	mbedtls_ssl_config config;
	mbedtls_x509_crt certificate, ca;
	mbedtls_pk_context key;
};

struct tls_conn {
	struct http_transport t;
	mbedtls_ssl_context ssl;
	uint32_t wants;
	size_t retry; /* length of the write that has to be repeated, 0 none */
	bool looked; /* the first byte was checked */
};

static int random_bytes(void *unused, unsigned char *out, size_t len)
{
	(void)unused;
	while (len > 0) {
		ssize_t n = getrandom(out, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
		out += n;
		len -= (size_t)n;
	}
	return 0;
}

static int fail(struct err *e, int code, int tls_error, const char *what)
{
	char text[160];

	mbedtls_strerror(tls_error, text, sizeof(text));
	return err_set(e, code, "%s: %s", what, text);
}

/* --- context ---------------------------------------------------------------------------------- */

static int load_certificates(mbedtls_x509_crt *crt, const char *path, struct err *e)
{
	_cleanup_(mem_free) char *pem = NULL;
	size_t len;
	int r = file_read(AT_FDCWD, path, TLS_FILE_MAX, &pem, &len, e);

	if (r < 0)
		return r;
	/* the library wants the NUL counted; a positive result counts unreadable certificates */
	r = mbedtls_x509_crt_parse(crt, (const unsigned char *)pem, len + 1);
	if (r < 0)
		return fail(e, EINVAL, r, path);
	if (r > 0)
		return err_set(e, EINVAL, "%s: %d of its certificates cannot be read", path, r);
	return 0;
}

static int load_key(struct tls_context *tls, const char *path, struct err *e)
{
	char *pem = NULL;
	size_t len;
	int r = file_read(AT_FDCWD, path, TLS_FILE_MAX, &pem, &len, e);

	if (r < 0)
		return r;
	r = mbedtls_pk_parse_key(&tls->key, (const unsigned char *)pem, len + 1, NULL, 0,
				 random_bytes, NULL);
	explicit_bzero(pem, len);
	free(pem);
	if (r < 0)
		return fail(e, EINVAL, r, path);
	if (mbedtls_pk_check_pair(&tls->certificate.pk, &tls->key, random_bytes, NULL) != 0)
		return err_set(e, EINVAL, "%s: the key does not belong to the certificate", path);
	return 0;
}

/*
 * A machine without a clock begins at the time of its build, which may be before the certificates
 * that were made for it. Its own one tells: as long as that is not valid yet the clock is wrong,
 * and clients are not refused for being too early. Their end counts all the same.
 */
static int judge_client(void *data, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
	const struct tls_context *tls = data;

	(void)crt;
	(void)depth;
	if (mbedtls_x509_time_is_future(&tls->certificate.valid_from))
		*flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_FUTURE;
	return 0;
}

static int configure(struct tls_context *tls, struct err *e)
{
	static const char *protocols[] = { "http/1.1", NULL };
	int r;

	r = mbedtls_ssl_config_defaults(&tls->config, MBEDTLS_SSL_IS_SERVER,
					MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
	if (r < 0)
		return fail(e, EINVAL, r, "TLS configuration");
	mbedtls_ssl_conf_min_tls_version(&tls->config, MBEDTLS_SSL_VERSION_TLS1_2);
	mbedtls_ssl_conf_max_tls_version(&tls->config, MBEDTLS_SSL_VERSION_TLS1_3);
	mbedtls_ssl_conf_authmode(&tls->config, MBEDTLS_SSL_VERIFY_REQUIRED);
	mbedtls_ssl_conf_verify(&tls->config, judge_client, tls);
	mbedtls_ssl_conf_ca_chain(&tls->config, &tls->ca, NULL);
	mbedtls_ssl_conf_rng(&tls->config, random_bytes, NULL);
	r = mbedtls_ssl_conf_own_cert(&tls->config, &tls->certificate, &tls->key);
	if (r == 0)
		r = mbedtls_ssl_conf_alpn_protocols(&tls->config, protocols);
	return r < 0 ? fail(e, EINVAL, r, "TLS configuration") : 0;
}

static int context_alloc(struct tls_context **ret_tls, struct err *e)
{
	struct tls_context *tls = calloc(1, sizeof(*tls));

	if (!tls)
		return err_set(e, ENOMEM, "out of memory");
	mbedtls_ssl_config_init(&tls->config);
	mbedtls_x509_crt_init(&tls->certificate);
	mbedtls_x509_crt_init(&tls->ca);
	mbedtls_pk_init(&tls->key);
	*ret_tls = tls;
	return psa_crypto_init() == PSA_SUCCESS ? 0 : err_set(e, EIO, "TLS: no random numbers");
}

int tls_context_new(const struct tls_files *files, struct tls_context **ret_tls, struct err *e)
{
	_cleanup_(tls_context_free) struct tls_context *tls = NULL;
	int r = context_alloc(&tls, e);

	if (r == 0)
		r = load_certificates(&tls->certificate, files->certificate, e);
	if (r == 0)
		r = load_certificates(&tls->ca, files->client_ca, e);
	if (r == 0)
		r = load_key(tls, files->key, e);
	if (r == 0)
		r = configure(tls, e);
	if (r < 0)
		return r;
	*ret_tls = take_ptr(tls);
	return 0;
}

static int configure_client(struct tls_context *tls, bool skip_verify, bool certified,
			    struct err *e)
{
	int r = mbedtls_ssl_config_defaults(&tls->config, MBEDTLS_SSL_IS_CLIENT,
					    MBEDTLS_SSL_TRANSPORT_STREAM,
					    MBEDTLS_SSL_PRESET_DEFAULT);

	if (r < 0)
		return fail(e, EINVAL, r, "TLS configuration");
	mbedtls_ssl_conf_min_tls_version(&tls->config, MBEDTLS_SSL_VERSION_TLS1_2);
	mbedtls_ssl_conf_max_tls_version(&tls->config, MBEDTLS_SSL_VERSION_TLS1_3);
	mbedtls_ssl_conf_authmode(&tls->config, skip_verify ? MBEDTLS_SSL_VERIFY_NONE
							    : MBEDTLS_SSL_VERIFY_REQUIRED);
	mbedtls_ssl_conf_ca_chain(&tls->config, &tls->ca, NULL);
	mbedtls_ssl_conf_rng(&tls->config, random_bytes, NULL);
	if (certified)
		r = mbedtls_ssl_conf_own_cert(&tls->config, &tls->certificate, &tls->key);
	return r < 0 ? fail(e, EINVAL, r, "TLS configuration") : 0;
}

int tls_client_new(const struct tls_client_files *files, struct tls_context **ret_tls,
		   struct err *e)
{
	_cleanup_(tls_context_free) struct tls_context *tls = NULL;
	int r = context_alloc(&tls, e);

	if (r == 0 && files->ca)
		r = load_certificates(&tls->ca, files->ca, e);
	if (r == 0 && files->certificate)
		r = load_certificates(&tls->certificate, files->certificate, e);
	if (r == 0 && files->certificate)
		r = load_key(tls, files->key, e);
	if (r == 0)
		r = configure_client(tls, files->skip_verify, files->certificate != NULL, e);
	if (r < 0)
		return r;
	*ret_tls = take_ptr(tls);
	return 0;
}

void tls_context_free(struct tls_context *tls)
{
	if (!tls)
		return;
	mbedtls_ssl_config_free(&tls->config);
	mbedtls_x509_crt_free(&tls->certificate);
	mbedtls_x509_crt_free(&tls->ca);
	mbedtls_pk_free(&tls->key);
	free(tls);
}

/* --- connection ------------------------------------------------------------------------------- */

static struct tls_conn *conn_of(struct http_transport *t)
{
	return container_of(t, struct tls_conn, t);
}

static int bio_send(void *data, const unsigned char *buf, size_t len)
{
	struct tls_conn *c = data;
	ssize_t n = send(c->t.fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0)
		return (int)n;
	return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE
						 : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

static int bio_recv(void *data, unsigned char *buf, size_t len)
{
	struct tls_conn *c = data;
	ssize_t n = recv(c->t.fd, buf, len, MSG_DONTWAIT);

	if (n >= 0)
		return (int)n;
	return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_READ
						 : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

/* The library's WANT_* as -EAGAIN with the direction noted; anything else ends the connection. */
static int translate(struct tls_conn *c, int r)
{
	if (r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
		c->wants = EPOLLIN;
	else if (r == MBEDTLS_ERR_SSL_WANT_WRITE)
		c->wants = EPOLLOUT;
	else
		return -ECONNRESET;
	return -EAGAIN;
}

/* A client that speaks plain HTTP here gets the sentence that Go's server has for it. */
static void tell_plain_client(int fd)
{
	static const char text[] =
		"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Connection: close\r\n\r\n"
		"Client sent an HTTP request to an HTTPS server.\n";
	char sink[4096];

	if (send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
	shutdown(fd, SHUT_WR);
	/* unread bytes would make close() reset the connection before the text is read */
	for (int i = 0; i < 16 && recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0; i++)
		;
}

static int check_first_byte(struct tls_conn *c, struct err *e)
{
	unsigned char first;
	ssize_t n = recv(c->t.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		c->wants = EPOLLIN;
		return -EAGAIN;
	}
	if (n <= 0)
		return err_set(e, ECONNRESET, "the client closed the connection");
	c->looked = true;
	if (first >= 'A' && first <= 'Z') {
		tell_plain_client(c->t.fd);
		return err_set(e, EPROTO, "plain HTTP on the TLS port");
	}
	return 0;
}

/* Why a certificate was refused, in the library's words: it has one line for each reason. */
static int handshake_failed(struct tls_conn *c, int r, struct err *e)
{
	uint32_t flags = mbedtls_ssl_get_verify_result(&c->ssl);
	char why[256];

	if (r != MBEDTLS_ERR_X509_CERT_VERIFY_FAILED || flags == 0 || flags == UINT32_MAX ||
	    mbedtls_x509_crt_verify_info(why, sizeof(why), "", flags) <= 0)
		return fail(e, EPROTO, r, "handshake");
	why[strcspn(why, "\n")] = '\0';
	return err_set(e, EPROTO, "handshake: %s", why);
}

static int tls_handshake(struct http_transport *t, struct err *e)
{
	struct tls_conn *c = conn_of(t);
	int r = c->looked ? 0 : check_first_byte(c, e);

	if (r < 0)
		return r;
	r = mbedtls_ssl_handshake(&c->ssl);
	if (r == 0) {
		c->wants = EPOLLIN;
		return 0;
	}
	if (translate(c, r) == -EAGAIN)
		return -EAGAIN;
	return handshake_failed(c, r, e);
}

static ssize_t tls_read(struct http_transport *t, void *buf, size_t len)
{
	struct tls_conn *c = conn_of(t);
	int r = mbedtls_ssl_read(&c->ssl, buf, len);

	c->wants = EPOLLIN;
	if (r > 0)
		return r;
	if (r == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
		return 0;
	/* 0 is an end without close_notify: cut by anybody, so no orderly end */
	return r == 0 ? -ECONNRESET : translate(c, r);
}

static ssize_t tls_write(struct http_transport *t, const void *buf, size_t len)
{
	struct tls_conn *c = conn_of(t);
	uint32_t wants = c->wants;
	size_t n = c->retry > 0 ? c->retry : MIN(len, (size_t)MBEDTLS_SSL_OUT_CONTENT_LEN);
	int r = mbedtls_ssl_write(&c->ssl, buf, n);

	if (r > 0) {
		c->retry = 0;
		return r;
	}
	r = translate(c, r);
	if (r == -EAGAIN)
		c->retry = n; /* that record is made already; more may have been queued since */
	c->wants = wants;
	return r;
}

static int tls_end_write(struct http_transport *t)
{
	struct tls_conn *c = conn_of(t);
	int r = mbedtls_ssl_close_notify(&c->ssl);

	if (r < 0)
		return translate(c, r);
	return shutdown(t->fd, SHUT_WR) < 0 ? -errno : 0;
}

static bool tls_pending(struct http_transport *t)
{
	return mbedtls_ssl_check_pending(&conn_of(t)->ssl) != 0;
}

static uint32_t tls_wants(struct http_transport *t)
{
	return conn_of(t)->wants;
}

static void tls_free(struct http_transport *t)
{
	struct tls_conn *c = conn_of(t);

	mbedtls_ssl_free(&c->ssl);
	fd_close(t->fd);
	free(c);
}

struct http_transport *tls_transport(struct tls_context *tls, int fd)
{
	static const struct http_transport_ops ops = {
		.handshake = tls_handshake,
		.read = tls_read,
		.write = tls_write,
		.end_write = tls_end_write,
		.pending = tls_pending,
		.wants = tls_wants,
		.free = tls_free,
	};
	struct tls_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		fd_close(fd);
		return NULL;
	}
	c->t.ops = &ops;
	c->t.fd = fd;
	c->wants = EPOLLIN;
	mbedtls_ssl_init(&c->ssl);
	if (mbedtls_ssl_setup(&c->ssl, &tls->config) != 0) {
		tls_free(&c->t);
		return NULL;
	}
	mbedtls_ssl_set_bio(&c->ssl, c, bio_send, bio_recv, NULL);
	return &c->t;
}

struct http_transport *tls_client_transport(struct tls_context *tls, int fd, const char *host)
{
	struct http_transport *t = tls_transport(tls, fd);

	if (!t)
		return NULL;
	conn_of(t)->looked = true; /* that is for a server */
	if (mbedtls_ssl_set_hostname(&conn_of(t)->ssl, host) != 0) {
		tls_free(t);
		return NULL;
	}
	return t;
}

int tls_sha1(const void *data, size_t len, unsigned char ret_hash[TLS_SHA1_LEN])
{
	return mbedtls_sha1(data, len, ret_hash) == 0 ? 0 : -EIO;
}
