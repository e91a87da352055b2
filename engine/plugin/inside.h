/*
 * What the files of engine/plugin share: where a plugin is to be reached.
 *
 * Nobody outside this folder includes it, but its tests.
 */
#ifndef SKERRY_PLUGIN_INSIDE_H
#define SKERRY_PLUGIN_INSIDE_H

#include "engine/plugin/plugin.h"

enum { PLUGIN_SPEC_MAX = 64 << 10, PLUGIN_URL_MAX = 1024 };

/* Where to reach one. Of the two addresses one is set. */
struct plugin_address {
	char *socket; /* path of a unix socket */
	char *url; /* "http://host:port", "https://host:port/path"; no slash at its end */
	bool insecure; /* TLS without looking at the certificate */
	char *ca, *cert, *key; /* files of PEM, or NULL */
};

void plugin_address_free(struct plugin_address *a);
DEFINE_CLEANUP_VALUE(struct plugin_address, plugin_address_free)

/* find.c: the socket first, then the files; -ENOENT when there is neither, -EINVAL for a file that
 * says nothing usable. */
int plugin_locate(const char *sockets, char *const *specs, const char *name,
		  struct plugin_address *ret, struct err *e);
/* The text of NAME.spec ("tcp://host:port", "unix:///path"), of NAME.json ({"Addr": ...}). */
int plugin_spec_parse(const char *text, struct plugin_address *ret, struct err *e);
int plugin_json_parse(const char *text, size_t len, struct plugin_address *ret, struct err *e);
/* Names of the plugins in these folders are added to *names. */
int plugin_names(const char *sockets, char *const *specs, char ***names, struct err *e);
/* Whether there is a socket or a file of that name. */
bool plugin_there(const char *sockets, char *const *specs, const char *name);

/* http.c: one POST. ret_status: of the answer; its body goes to `out` (bounded by out->max). */
int plugin_post(const struct plugin_address *a, int socket_fd, const char *path, const char *body,
		int64_t timeout_ms, int *ret_status, struct buf *out, struct err *e);

#endif
