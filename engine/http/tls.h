/*
 * TLS 1.2 and 1.3. The server's is mutual: a client certificate signed by our CA or nothing. The
 * client's checks the server and its name, and has a certificate where one is asked for.
 *
 * One context per set of files, many connections. tls.c is the only file of the engine that knows
 * mbedTLS. Session tickets, renegotiation and every protocol but http/1.1 (ALPN) are off. Random
 * numbers come from the kernel. Memory per connection: about 24 KiB.
 */
#ifndef SKERRY_HTTP_TLS_H
#define SKERRY_HTTP_TLS_H

#include <stdbool.h>

#include "init/base/err.h"
#include "init/base/util.h"

struct tls_context;
struct http_transport;

struct tls_files {
	const char *certificate; /* PEM: server certificate, then its chain */
	const char *key; /* PEM, not encrypted */
	const char *client_ca; /* PEM: who may sign client certificates */
};

enum { TLS_FILE_MAX = 256 << 10 };

/* Reads and checks the three files (the key must belong to the certificate). -ENOENT when one of
 * them is absent, -EINVAL when one is wrong. */
int tls_context_new(const struct tls_files *files, struct tls_context **ret_tls, struct err *e);
void tls_context_free(struct tls_context *tls);
DEFINE_CLEANUP(struct tls_context *, tls_context_free)

struct tls_client_files {
	const char *ca; /* PEM: who may sign the server's certificate; NULL with skip_verify */
	const char *certificate, *key; /* PEM, both or NULL */
	bool skip_verify; /* any server will do */
};

/* The client's side; errors as above. */
int tls_client_new(const struct tls_client_files *files, struct tls_context **ret_tls,
		   struct err *e);
/* A connection to `host` (a name or an address, which its certificate has to be for) on fd, taken
 * over also on failure (NULL: no memory). */
struct http_transport *tls_client_transport(struct tls_context *tls, int fd, const char *host);

enum { TLS_SHA1_LEN = 20 };
/* For the handshake of websockets, which asks for it by name; no secret depends on it. */
int tls_sha1(const void *data, size_t len, unsigned char ret_hash[TLS_SHA1_LEN]);

/* Server side of a connection on fd, taken over also on failure (NULL: no memory). */
struct http_transport *tls_transport(struct tls_context *tls, int fd);

#endif
