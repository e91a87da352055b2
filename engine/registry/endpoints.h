/*
 * Where a repository is: from a reference and the machine's settings to addresses. Pure.
 *
 * Docker Hub (docker.io) is asked at registry-1.docker.io, behind the mirrors of the settings;
 * every other domain is its own host. A host speaks TLS. Only one that is listed as insecure (by
 * name, by name and port, or by a network that holds its address), or that is this machine itself
 * (localhost, 127.0.0.0/8, ::1), may speak TLS that is not verified, and then plain HTTP.
 */
#ifndef SKERRY_REGISTRY_ENDPOINTS_H
#define SKERRY_REGISTRY_ENDPOINTS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/data/json.h"
#include "engine/data/ref.h"
#include "init/base/err.h"
#include "init/base/util.h"

#define HUB_DOMAIN "docker.io"
#define HUB_HOST "registry-1.docker.io"

enum { ENDPOINTS_MAX = 16, REGISTRY_URL_MAX = 2048 };

/* engine.registry.* of system.yaml. Vectors may be NULL. */
struct registry_settings {
	char **mirrors; /* "https://mirror.example", in the order they are asked */
	char **insecure; /* "registry.example:5000", "192.0.2.0/24" */
	char **certificates; /* files of CAs that are trusted besides the machine's */
	char *http_proxy, *https_proxy; /* "http://proxy.example:3128"; NULL: none */
	char **no_proxy; /* "example.org", ".example.org", "192.0.2.0/24", "*" */
	char **token_hosts; /* further hosts that may be asked for tokens with credentials */
	size_t downloads; /* layers at the same time */
	int64_t speed_bytes; /* slower than this ... */
	int64_t speed_seconds; /* ... for so long ends an attempt */
};
/* From the lines of settings_read (NULL: the defaults). The caller frees it in any case. */
int registry_settings_read(char *const *lines, struct registry_settings *ret, struct err *e);
void registry_settings_free(struct registry_settings *s);
DEFINE_CLEANUP_VALUE(struct registry_settings, registry_settings_free)

struct endpoint {
	char *base; /* "https://registry.example:5000", no slash at its end */
	bool mirror; /* gets no credentials */
	bool insecure; /* TLS need not be verified, and plain HTTP will do */
};

struct place {
	char domain[REF_NAME_MAX + 1]; /* "docker.io", "localhost:5000" */
	char path[REF_NAME_MAX + 1]; /* repository: "library/nginx"; may be "" */
	struct endpoint *endpoints; /* in the order they are asked; the origin is the last one */
	size_t n_endpoints;
};

int place_new(const struct registry_settings *s, const char *domain, const char *path,
	      struct place **ret, struct err *e);
void place_free(struct place *p);
DEFINE_CLEANUP(struct place *, place_free)

/* "registry.example:5000", "https://registry.example/v2/" -> the domain; Docker Hub's many names
 * give docker.io. -EINVAL. */
int server_domain(const char *server, char ret_domain[REF_NAME_MAX + 1], struct err *e);

/* scheme, host and port of an http or https address. host without brackets, lower case. -EINVAL
 * for anything else, and for one with a user name in it. */
struct url_parts {
	bool tls;
	char host[REF_NAME_MAX + 1];
	unsigned port;
};
int url_parts(const char *url, struct url_parts *ret, struct err *e);
/* Same scheme, host and port. */
bool url_same_origin(const char *a, const char *b);

/* Whether two hosts are the same, or have their last two labels in common: whom one trusts with
 * credentials, one may trust through the other. */
bool host_same_site(const char *a, const char *b);
/* Whether host[:port] is one that may do without TLS. */
bool is_insecure(char *const *insecure, const char *host, unsigned port);
/* Whether the address goes straight, not through the proxy. */
bool goes_straight(char *const *no_proxy, const char *host, unsigned port);
/* The proxy for an address, "" for none. */
const char *proxy_for(const struct registry_settings *s, const char *url);

#endif
