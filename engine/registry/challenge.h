/*
 * Authentication of registries, the part that only reads and writes texts (RFC 9110 section 11,
 * distribution's token specification): challenges, where a token is to be had, what came of it.
 * Pure.
 *
 * A challenge is hostile: it may name any realm. A token is asked for over TLS, or at the very host
 * that may do without it; credentials go only to a realm on the registry's own site, or to a host
 * that the machine's settings name.
 */
#ifndef SKERRY_REGISTRY_CHALLENGE_H
#define SKERRY_REGISTRY_CHALLENGE_H

#include "engine/registry/endpoints.h"
#include "init/base/buf.h"

enum auth_scheme { AUTH_NONE, AUTH_BASIC, AUTH_BEARER };

struct challenge {
	enum auth_scheme scheme;
	char realm[REGISTRY_URL_MAX], service[256], scope[1024];
	char error[64]; /* "insufficient_scope", "invalid_token"; "" */
};

/* One WWW-Authenticate header, which may hold several challenges: *c becomes the best that it
 * knows, Bearer before Basic, unless *c is better already. */
void challenge_read(const char *header, struct challenge *c);

/* Whether the realm may be asked for a token for this endpoint at all, and, with credentials,
 * whether it may see them. -EACCES and why not. */
int challenge_check(const struct challenge *c, const struct endpoint *ep, bool with_credentials,
		    char *const *token_hosts, struct err *e);

/* The query of a token request, percent-encoded, without "?": service, scope (one per word of
 * `scope`), account when not NULL; `lasting`: a refresh token is wanted too. */
void token_query(const struct challenge *c, const char *scope, const char *account, bool lasting,
		 struct buf *out);
/* The form of a token request with a refresh token. */
void token_form(const struct challenge *c, const char *scope, const char *refresh, struct buf *out);

struct token {
	char *value, *refresh; /* refresh may be NULL */
	int64_t seconds; /* for how long it is good */
};
/* -EINVAL; nothing of the text is repeated in the error. The caller frees it. */
int token_read(const char *text, size_t len, struct token *ret, struct err *e);
void token_free(struct token *t);
DEFINE_CLEANUP_VALUE(struct token, token_free)

/* A registry's error body, {"errors":[{"code","message"}]} or {"details":...}: code and message of
 * the first one, "" for what it does not have. Only printable ASCII comes through. */
void error_body_read(const char *text, size_t len, char *ret_code, size_t code_size,
		     char *ret_message, size_t message_size);

#endif
