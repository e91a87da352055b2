/*
 * The inside of the fetch worker: what session.c (credentials, redirects, tries), transfer.c (one
 * request by libcurl) and certs.c (files that are read before the sandbox) share.
 *
 * Nothing here is the engine's: only the worker's process has a session, and libcurl is called in
 * transfer.c alone.
 */
#ifndef SKERRY_REGISTRY_SESSION_PRIV_H
#define SKERRY_REGISTRY_SESSION_PRIV_H

#include <curl/curl.h>

#include "engine/registry/challenge.h"
#include "engine/registry/session.h"

struct endpoint_state {
	char *token; /* bearer */
	bool basic; /* name and password are asked for */
	bool plain; /* no TLS, as it may */
	bool settled; /* an answer came: it speaks what `plain` says */
	char *client_cert, *client_key; /* PEM; NULL: none */
	char *ca; /* PEM: further ones, for this host */
};

struct session {
	struct worker_call *call;
	CURL *curl;
	struct registry_settings settings;
	struct registry_auth auth;
	struct place *place; /* NULL: addresses only */
	struct endpoint_state state[ENDPOINTS_MAX];
	size_t at; /* the endpoint it stands on */
	char *scope;
	char *ca; /* PEM: whom the machine trusts */
	bool lasting; /* a refresh token is wanted */
	char *refresh; /* and here it is */
	int failures;
	int64_t told_ms;
};

int session_open(struct session *s, struct worker_call *call, struct err *e);
void session_close(struct session *s);
DEFINE_CLEANUP_VALUE(struct session, session_close)

/* One request as it is, to this absolute address, with this header of credentials (NULL: none).
 * The answer is as in session_do; *c gets its challenges. */
int transfer(struct session *s, const struct request *q, const char *url, const char *authorization,
	     struct answer *ret, struct challenge *c, struct err *e);
/* `location` as seen from `base`. -EINVAL. */
int url_resolve(const char *base, const char *location, char ret[REGISTRY_URL_MAX], struct err *e);
/* For error texts: without what is behind "?", which may be secret. */
void url_show(const char *url, char *ret, size_t size);

/* The files of whom to trust, and of who we are: the bundle, the settings' certificates, the
 * folders of the endpoints' hosts. To be called before the sandbox. */
int certs_load(struct session *s, const char *bundle, const char *certs_dir, struct err *e);

#endif
