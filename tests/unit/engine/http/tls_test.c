/*
 * Mutual TLS over loopback TCP, with mbedTLS's client side as the other end: both protocol
 * versions, who is refused, large answers, half-close of hijacked streams, plain HTTP on the TLS
 * port.
 *
 * The certificates are made for each case by the openssl program.
 */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include "init/base/spawn.h"
#include "init/base/str.h"
#include "engine/http/server.h"
#include "engine/http/tls.h"
#include "engine/http/transport.h"

static const char make_pki[] =
	"new='openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'\n"
	"set -e\n"
	"for ca in ca other; do\n"
	"  $new -subj /CN=$ca -keyout $ca-key.pem -out $ca.pem\n"
	"  $new -subj /CN=client -CA $ca.pem -CAkey $ca-key.pem -keyout $ca-client-key.pem \\\n"
	"    -out $ca-client.pem -addext basicConstraints=critical,CA:FALSE -addext "
	"extendedKeyUsage=clientAuth\n"
	"done\n"
	"$new -subj /CN=server -CA ca.pem -CAkey ca-key.pem -keyout server-key.pem -out server.pem "
	"\\\n"
	"  -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth\n"
	/* certificates that begin in a far year: to them the clock is slow */
	"printf "
	"'[ca]\\ndefault_ca=c\\n[c]\\ndatabase=db\\nserial=serial\\nnew_certs_dir=.\\npolicy=p\\n["
	"p]\\n"
	"commonName=supplied\\n' >ca.conf; : >db; echo 01 >serial\n"
	"for who in late-server late-client; do\n"
	"  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "
	"/CN=${who#late-} \\\n"
	"    -keyout $who-key.pem -out req.pem\n"
	"  openssl ca -batch -config ca.conf -md sha256 -notext -cert ca.pem -keyfile "
	"\\\n"
	"    ca-key.pem -startdate 20900101000000Z -enddate 20910101000000Z -in req.pem -out "
	"$who.pem\n"
	"done\n";

struct world {
	struct loop *loop;
	struct tls_context *tls;
	struct http_server *server;
	struct http_req *held;
	struct buf seen;
	int n_ended, n_gone;
	uint16_t port;
	char dir[256];
};

struct client {
	int fd;
	mbedtls_ssl_context ssl;
	mbedtls_ssl_config config;
	mbedtls_x509_crt ca, certificate;
	mbedtls_pk_context key;
	struct buf got;
	int error; /* of the handshake or of reading; PEER_CLOSE_NOTIFY is the orderly end */
};

static void on_hello(struct http_req *r)
{
	http_reply_text(r, 200, "hello");
}

static void on_big(struct http_req *r)
{
	static char big[3 << 20];

	memset(big, 'x', sizeof(big));
	http_reply(r, 200, "text/plain", big, sizeof(big));
}

static void on_echo(struct http_req *r)
{
	http_reply(r, 200, "text/plain", r->body, r->body_len);
}

static void take_body(struct http_req *r, const char *data, size_t len)
{
	buf_add(&((struct world *)r->user)->seen, data, len);
}

static void body_ended(struct http_req *r)
{
	((struct world *)r->user)->n_ended++;
}

static void gone(struct http_req *r)
{
	((struct world *)r->user)->n_gone++;
}

static void on_attach(struct http_req *r)
{
	r->on_body = take_body;
	r->on_body_end = body_ended;
	r->on_gone = gone;
	((struct world *)r->user)->held = r;
	http_hijack(r, "application/vnd.docker.raw-stream");
}

static void on_eager(struct http_req *r)
{
	http_hijack(r, "application/vnd.docker.raw-stream");
	http_stream_write(r, "at once", 7);
	http_stream_end(r);
}

static const struct http_route routes[] = {
	{ "POST", "/eager", on_eager, 0, 0, NULL },
	{ "GET", "/hello", on_hello, 0, 0, NULL },
	{ "GET", "/big", on_big, 0, 0, NULL },
	{ "POST", "/echo", on_echo, 0, 1 << 20, NULL },
	{ "POST", "/attach", on_attach, 0, 0, NULL },
};

static const char *file_in(const struct world *w, const char *name, char out[400])
{
	snprintf(out, 400, "%s/%s", w->dir, name);
	return out;
}

static int run_pki_script(const struct world *w)
{
	const char *const argv[] = { "sh", "-c", make_pki, NULL };
	const char *const env[] = { "PATH=/usr/local/bin:/usr/bin:/bin", NULL };
	struct spawn s = { .path = "/bin/sh", .argv = argv, .env = env, .cwd = w->dir };
	char *output = NULL;
	struct err e = { 0 };
	int status = -1;

	if (spawn_run(&s, 60000, 64 << 10, &output, &status, &e) < 0 || status != 0)
		printf("# openssl: %s\n%s\n", err_text(&e), output ? output : "");
	free(output);
	return status;
}

static int load(struct world *w, const char *cert, const char *key, const char *ca, struct err *e)
{
	char a[400], b[400], c[400];
	struct tls_files files = { file_in(w, cert, a), file_in(w, key, b), file_in(w, ca, c) };

	return tls_context_new(&files, &w->tls, e);
}

/* The server's certificate is that of `who`. */
static void world_open_as(struct world *w, const char *who)
{
	char certificate[64], key[64];
	struct http_config config = { .routes = routes, .n_routes = ARRAY_SIZE(routes), .user = w };
	struct err e = { 0 };

	*w = (struct world){ .seen = BUF_INIT(0) };
	snprintf(w->dir, sizeof(w->dir), "%s", test_tmpdir());
	if (run_pki_script(w) != 0 || loop_new(&w->loop, NULL) < 0)
		abort();
	config.loop = w->loop;
	snprintf(certificate, sizeof(certificate), "%s.pem", who);
	snprintf(key, sizeof(key), "%s-key.pem", who);
	if (load(w, certificate, key, "ca.pem", &e) < 0 ||
	    http_server_new(&config, &w->server, &e) < 0 ||
	    http_listen_tcp(w->server, "127.0.0.1:0", w->tls, &w->port, &e) < 0) {
		printf("# %s\n", err_text(&e));
		abort();
	}
}

static void world_open(struct world *w)
{
	world_open_as(w, "server");
}

static void world_close(struct world *w)
{
	http_server_free(w->server);
	tls_context_free(w->tls);
	loop_free(w->loop);
	buf_free(&w->seen);
}
DEFINE_CLEANUP_VALUE(struct world, world_close)

/* --- client ----------------------------------------------------------------------------------- */

static int connect_to(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		abort();
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static int bio_send(void *data, const unsigned char *buf, size_t len)
{
	ssize_t n = send(((struct client *)data)->fd, buf, len, MSG_NOSIGNAL);

	return n >= 0 ? (int)n : errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_WRITE : -1;
}

static int bio_recv(void *data, unsigned char *buf, size_t len)
{
	ssize_t n = recv(((struct client *)data)->fd, buf, len, 0);

	return n >= 0 ? (int)n : errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_READ : -1;
}

static int rng(void *unused, unsigned char *out, size_t len)
{
	(void)unused;
	return psa_generate_random(out, len) == PSA_SUCCESS ? 0 : -1;
}

static void client_open(struct world *w, struct client *c, const char *who,
			mbedtls_ssl_protocol_version version)
{
	char a[400], name[64];

	memset(c, 0, sizeof(*c));
	c->got = BUF_INIT(64 << 20);
	c->fd = connect_to(w->port);
	mbedtls_ssl_init(&c->ssl);
	mbedtls_ssl_config_init(&c->config);
	mbedtls_x509_crt_init(&c->ca);
	mbedtls_x509_crt_init(&c->certificate);
	mbedtls_pk_init(&c->key);
	if (mbedtls_ssl_config_defaults(&c->config, MBEDTLS_SSL_IS_CLIENT,
					MBEDTLS_SSL_TRANSPORT_STREAM,
					MBEDTLS_SSL_PRESET_DEFAULT) != 0 ||
	    mbedtls_x509_crt_parse_file(&c->ca, file_in(w, "ca.pem", a)) != 0)
		abort();
	mbedtls_ssl_conf_min_tls_version(&c->config, version);
	mbedtls_ssl_conf_max_tls_version(&c->config, version);
	/* this clock is as slow as the server's: only the server is asked here */
	mbedtls_ssl_conf_authmode(&c->config, who && str_eq(who, "late")
						      ? MBEDTLS_SSL_VERIFY_OPTIONAL
						      : MBEDTLS_SSL_VERIFY_REQUIRED);
	mbedtls_ssl_conf_ca_chain(&c->config, &c->ca, NULL);
	mbedtls_ssl_conf_rng(&c->config, rng, NULL);
	if (who) {
		snprintf(name, sizeof(name), "%s-client.pem", who);
		if (mbedtls_x509_crt_parse_file(&c->certificate, file_in(w, name, a)) != 0)
			abort();
		snprintf(name, sizeof(name), "%s-client-key.pem", who);
		if (mbedtls_pk_parse_keyfile(&c->key, file_in(w, name, a), NULL, rng, NULL) != 0 ||
		    mbedtls_ssl_conf_own_cert(&c->config, &c->certificate, &c->key) != 0)
			abort();
	}
	if (mbedtls_ssl_setup(&c->ssl, &c->config) != 0 ||
	    mbedtls_ssl_set_hostname(&c->ssl, "server") != 0)
		abort();
	mbedtls_ssl_set_bio(&c->ssl, c, bio_send, bio_recv, NULL);
}

static void client_close(struct client *c)
{
	mbedtls_ssl_free(&c->ssl);
	mbedtls_ssl_config_free(&c->config);
	mbedtls_x509_crt_free(&c->ca);
	mbedtls_x509_crt_free(&c->certificate);
	mbedtls_pk_free(&c->key);
	fd_close(c->fd);
	buf_free(&c->got);
}
DEFINE_CLEANUP_VALUE(struct client, client_close)

static bool wants_more(int r)
{
	return r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE ||
	       r == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
}

/* Handshake, then everything that can be read now. */
static void client_turn(struct client *c)
{
	unsigned char chunk[16384];
	int r = c->error;

	while (r >= 0 && !mbedtls_ssl_is_handshake_over(&c->ssl)) {
		r = mbedtls_ssl_handshake(&c->ssl);
		if (wants_more(r))
			return;
	}
	while (r >= 0) {
		r = mbedtls_ssl_read(&c->ssl, chunk, sizeof(chunk));
		if (r > 0)
			buf_add(&c->got, chunk, (size_t)r);
		if (r == 0)
			r = MBEDTLS_ERR_SSL_CONN_EOF;
	}
	if (!wants_more(r))
		c->error = r;
}

#define PUMP(w, c, cond)                                       \
	({                                                     \
		for (int i_ = 0; i_ < 5000 && !(cond); i_++) { \
			client_turn(c);                        \
			if (!(cond))                           \
				loop_once((w)->loop, 2);       \
		}                                              \
		(cond);                                        \
	})

static bool has(const struct client *c, const char *text)
{
	return strstr(buf_text(&c->got), text) != NULL;
}

static void client_send(struct client *c, const char *text)
{
	if (mbedtls_ssl_write(&c->ssl, (const unsigned char *)text, strlen(text)) !=
	    (int)strlen(text))
		abort();
}

#define WORLD(who, version)                      \
	_cleanup_(world_close) struct world w;   \
	_cleanup_(client_close) struct client c; \
	world_open(&w);                          \
	client_open(&w, &c, who, version)

#define READY(w, c) CHECK(PUMP(w, c, mbedtls_ssl_is_handshake_over(&(c)->ssl) || (c)->error))
#define REQ(line) line " HTTP/1.1\r\nHost: x\r\n"

static const mbedtls_ssl_protocol_version versions[] = { MBEDTLS_SSL_VERSION_TLS1_2,
							 MBEDTLS_SSL_VERSION_TLS1_3 };

/* --- cases ------------------------------------------------------------------------------------ */

TEST(serves_a_client_of_our_ca_in_both_versions)
{
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		WORLD("ca", versions[i]);

		READY(&w, &c);
		CHECK_INT(c.error, 0);
		client_send(&c, REQ("GET /hello") "\r\n");
		CHECK(PUMP(&w, &c, has(&c, "hello")));
		client_send(&c, REQ("GET /hello") "Connection: close\r\n\r\n");
		CHECK(PUMP(&w, &c, c.error == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY));
		CHECK(mbedtls_ssl_get_version_number(&c.ssl) == versions[i]);
	}
}

TEST(many_connections_are_served_side_by_side)
{
	enum { MANY = 24 };
	_cleanup_(world_close) struct world w;
	static struct client many[MANY];

	world_open(&w);
	for (int i = 0; i < MANY; i++) {
		client_open(&w, &many[i], "ca", versions[i % 2]);
		READY(&w, &many[i]);
		client_send(&many[i], REQ("GET /hello") "\r\n");
		CHECK_MSG(PUMP(&w, &many[i], has(&many[i], "hello")), "connection %d: error %d", i,
			  many[i].error);
	}
	for (int i = 0; i < MANY; i++) {
		buf_reset(&many[i].got);
		client_send(&many[i], REQ("GET /hello") "\r\n");
		CHECK(PUMP(&w, &many[i], has(&many[i], "hello")));
	}
	CHECK_INT(http_server_conns(w.server), MANY);
	for (int i = 0; i < MANY; i++)
		client_close(&many[i]);
}

static void refused(const char *who, mbedtls_ssl_protocol_version version)
{
	WORLD(who, version);

	/* with TLS 1.3 a client learns of it behind its own handshake */
	for (int i = 0; i < 5000 && c.error == 0; i++) {
		client_turn(&c);
		if (c.error == 0 && mbedtls_ssl_is_handshake_over(&c.ssl))
			mbedtls_ssl_write(&c.ssl, (const unsigned char *)REQ("GET /hello") "\r\n",
					  strlen(REQ("GET /hello") "\r\n"));
		loop_once(w.loop, 2);
	}
	CHECK(c.error < 0);
	CHECK_INT(c.got.len, 0);
	CHECK(PUMP(&w, &c, http_server_conns(w.server) == 0));
}

TEST(refuses_a_client_without_a_certificate)
{
	refused(NULL, MBEDTLS_SSL_VERSION_TLS1_2);
	refused(NULL, MBEDTLS_SSL_VERSION_TLS1_3);
}

TEST(refuses_a_client_of_another_ca)
{
	refused("other", MBEDTLS_SSL_VERSION_TLS1_2);
	refused("other", MBEDTLS_SSL_VERSION_TLS1_3);
}

TEST(refuses_a_client_whose_certificate_has_not_begun)
{
	refused("late", MBEDTLS_SSL_VERSION_TLS1_2);
	refused("late", MBEDTLS_SSL_VERSION_TLS1_3);
}

TEST(a_clock_before_the_own_certificate_is_not_believed)
{
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		_cleanup_(world_close) struct world w;
		_cleanup_(client_close) struct client c;

		world_open_as(&w, "late-server");
		client_open(&w, &c, "late", versions[i]);
		READY(&w, &c);
		client_send(&c, REQ("GET /hello") "\r\n");
		CHECK(PUMP(&w, &c, has(&c, "hello")));
	}
}

TEST(large_answer_arrives_whole)
{
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		WORLD("ca", versions[i]);

		READY(&w, &c);
		client_send(&c, REQ("GET /big") "\r\n");
		CHECK(PUMP(&w, &c, has(&c, "\r\n\r\n")));
		CHECK(PUMP(&w, &c, c.got.len >= (3 << 20)));
		CHECK(has(&c, "Content-Length: 3145728\r\n"));
		CHECK_INT(strlen(strstr(c.got.data, "\r\n\r\n") + 4), 3 << 20);
	}
}

TEST(body_in_many_records_arrives_whole)
{
	WORLD("ca", MBEDTLS_SSL_VERSION_TLS1_3);
	char block[1001];

	memset(block, 'y', 1000);
	block[1000] = '\0';
	READY(&w, &c);
	client_send(&c, REQ("POST /echo") "Content-Length: 100000\r\n\r\n");
	for (int i = 0; i < 100; i++) {
		client_send(&c, block);
		loop_once(w.loop, 0);
	}
	CHECK(PUMP(&w, &c,
		   has(&c, "\r\n\r\n") && strlen(strstr(c.got.data, "\r\n\r\n")) == 100004));
}

TEST(head_of_a_hijack_is_a_record_of_its_own)
{
	unsigned char record[16384];
	int n = 0;
	WORLD("ca", MBEDTLS_SSL_VERSION_TLS1_2);

	READY(&w, &c);
	client_send(&c, REQ("POST /eager") "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
	for (int i = 0; i < 1000 && n <= 0; i++) {
		loop_once(w.loop, 2);
		n = mbedtls_ssl_read(&c.ssl, record, sizeof(record));
	}
	CHECK(n > 4 && memcmp(record + n - 4, "\r\n\r\n", 4) == 0);
	CHECK(PUMP(&w, &c, c.error));
	CHECK_STR(buf_text(&c.got), "at once");
}

TEST(half_close_by_close_notify_keeps_the_output)
{
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		WORLD("ca", versions[i]);

		READY(&w, &c);
		client_send(&c,
			    REQ("POST /attach") "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nin");
		CHECK(PUMP(&w, &c, has(&c, "101 UPGRADED") && w.seen.len == 2));
		CHECK_INT(mbedtls_ssl_close_notify(&c.ssl), 0);
		CHECK(PUMP(&w, &c, w.n_ended == 1));
		CHECK_INT(w.n_gone, 0);
		CHECK_INT(http_stream_write(w.held, "output", 6), 0);
		CHECK(PUMP(&w, &c, str_ends(buf_text(&c.got), "\r\n\r\noutput")));
		http_stream_end(w.held);
		CHECK(PUMP(&w, &c, c.error == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY));
	}
}

TEST(end_without_close_notify_is_no_orderly_end)
{
	WORLD("ca", MBEDTLS_SSL_VERSION_TLS1_3);

	READY(&w, &c);
	client_send(&c, REQ("POST /attach") "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
	CHECK(PUMP(&w, &c, w.held));
	shutdown(c.fd, SHUT_WR);
	CHECK(PUMP(&w, &c, w.n_gone == 1));
	CHECK_INT(w.n_ended, 0);
}

TEST(plain_http_gets_one_sentence)
{
	_cleanup_(world_close) struct world w;
	_cleanup_(fd_close) int fd = -1;
	static const char request[] = REQ("GET /hello") "\r\n";
	char answer[512] = "";
	size_t len = 0;
	ssize_t n = -1;

	world_open(&w);
	fd = connect_to(w.port);
	CHECK(send(fd, request, sizeof(request) - 1, 0) > 0);
	for (int i = 0; i < 5000 && n != 0; i++) {
		loop_once(w.loop, 2);
		n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
	}
	CHECK_INT(n, 0);
	CHECK(str_starts(answer, "HTTP/1.0 400 Bad Request\r\n"));
	CHECK(strstr(answer, "Client sent an HTTP request to an HTTPS server."));
	CHECK(!strstr(answer, "hello"));
	CHECK_INT(http_server_conns(w.server), 0);
}

TEST(garbage_and_silence_are_dropped)
{
	_cleanup_(world_close) struct world w;
	_cleanup_(fd_close) int garbage = -1, silent = -1;
	char sink[256];

	world_open(&w);
	http_server_set_patience(w.server, 50);
	garbage = connect_to(w.port);
	silent = connect_to(w.port);
	CHECK(send(garbage, "\x16\x03\x01\xff\xff garbage", 14, 0) > 0);
	loop_once(w.loop, 100);
	while (http_server_conns(w.server) > 0)
		loop_once(w.loop, 100);
	CHECK(recv(silent, sink, sizeof(sink), 0) == 0);
}

TEST(silent_handshakes_do_not_keep_others_out)
{
	enum { SILENT = HTTP_HANDSHAKES_MAX + 5 };
	_cleanup_(client_close) struct client c = { .fd = -1 };
	_cleanup_(world_close) struct world w;
	int silent[SILENT];

	world_open(&w);
	for (int i = 0; i < SILENT; i++)
		silent[i] = connect_to(w.port);
	client_open(&w, &c, "ca", MBEDTLS_SSL_VERSION_TLS1_3);
	READY(&w, &c);
	client_send(&c, REQ("GET /hello") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "hello")));
	for (int i = 0; i < SILENT; i++)
		close(silent[i]);
}

TEST(offers_http_11_only)
{
	static const char *both[] = { "h2", "http/1.1", NULL };
	WORLD("ca", MBEDTLS_SSL_VERSION_TLS1_3);

	CHECK_INT(mbedtls_ssl_conf_alpn_protocols(&c.config, both), 0);
	READY(&w, &c);
	CHECK_STR(mbedtls_ssl_get_alpn_protocol(&c.ssl), "http/1.1");
}

TEST(wrong_files_are_named)
{
	_cleanup_(world_close) struct world w;
	struct err e = { 0 };

	world_open(&w);
	tls_context_free(take_ptr(w.tls));
	http_server_free(take_ptr(w.server));
	CHECK_INT(load(&w, "none.pem", "server-key.pem", "ca.pem", &e), -ENOENT);
	CHECK(strstr(err_text(&e), "none.pem"));
	CHECK_INT(load(&w, "server-key.pem", "server-key.pem", "ca.pem", &e), -EINVAL);
	CHECK(strstr(err_text(&e), "server-key.pem"));
	CHECK_INT(load(&w, "server.pem", "ca-key.pem", "ca.pem", &e), -EINVAL);
	CHECK(strstr(err_text(&e), "does not belong"));
}

/* --- the client's side of tls.c --------------------------------------------------------------- */

static void tell(char *seen, size_t size, const char *what, const char *why)
{
	snprintf(seen, size, "%s%s", what, why);
}

/* Shakes hands and asks for /hello; what came of it. */
static const char *ask(struct world *w, const struct tls_client_files *files, const char *host)
{
	_cleanup_(tls_context_free) struct tls_context *tls = NULL;
	static char seen[1024];
	struct http_transport *t;
	struct err e = { 0 };
	bool asked = false;
	int r = tls_client_new(files, &tls, &e);

	if (r < 0) {
		tell(seen, sizeof(seen), "files: ", err_text(&e));
		return seen;
	}
	t = tls_client_transport(tls, connect_to(w->port), host);
	r = -EAGAIN;
	for (int i = 0; i < 5000 && r == -EAGAIN; i++) {
		loop_once(w->loop, 1);
		r = t->ops->handshake(t, &e);
	}
	tell(seen, sizeof(seen), "handshake: ", err_text(&e));
	for (int i = 0; i < 5000 && r == 0; i++) {
		ssize_t n = t->ops->read(t, seen, sizeof(seen) - 1);

		if (n > 0) {
			seen[n] = '\0';
			break;
		}
		if (n != -EAGAIN) {
			tell(seen, sizeof(seen), "closed", "");
			break;
		}
		if (!asked)
			asked = t->ops->write(t, REQ("GET /hello") "\r\n",
					      strlen(REQ("GET /hello") "\r\n")) > 0;
		loop_once(w->loop, 1);
	}
	t->ops->free(t);
	return seen;
}

TEST(client_side)
{
	_cleanup_(world_close) struct world w;
	char ca[400], other[400], cert[400], key[400], other_key[400];
	struct tls_client_files files;

	world_open(&w);
	files = (struct tls_client_files){
		.ca = file_in(&w, "ca.pem", ca),
		.certificate = file_in(&w, "ca-client.pem", cert),
		.key = file_in(&w, "ca-client-key.pem", key),
	};
	CHECK_STR(strstr(ask(&w, &files, "server"), "\r\n\r\n"), "\r\n\r\nhello");
	/* another name, another authority */
	CHECK(strstr(ask(&w, &files, "elsewhere"), "does not match with the expected CN"));
	files.ca = file_in(&w, "other.pem", other);
	CHECK(strstr(ask(&w, &files, "server"), "not correctly signed by the trusted CA"));
	/* whoever it is */
	files.skip_verify = true;
	CHECK(strstr(ask(&w, &files, "elsewhere"), "hello"));
	files.ca = NULL;
	CHECK(strstr(ask(&w, &files, "elsewhere"), "hello"));
	/* without what the server asks for */
	files.certificate = files.key = NULL;
	CHECK(!strstr(ask(&w, &files, "server"), "hello"));
	/* files that are none */
	files.certificate = cert;
	files.key = file_in(&w, "other-client-key.pem", other_key);
	CHECK(strstr(ask(&w, &files, "server"), "the key does not belong to the certificate"));
	files = (struct tls_client_files){ .ca = "/not/there" };
	CHECK(str_starts(ask(&w, &files, "server"), "files: "));
}
