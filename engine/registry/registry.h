/*
 * Registries (OCI distribution-spec, Docker's registry v2): images come from there, and go there.
 *
 * The engine itself never speaks to the network: every exchange is a `skerryd worker fetch`
 * (fetch.h), which has the network and no files. What it brings is hostile: documents are checked
 * here once more, layers go through a pipe into the sandboxed unpack worker, which checks their
 * digests (engine/image/intake.h). Everything is asynchronous: done() comes once, never from inside
 * the call that started it; cancel = kill.
 *
 * Errors are in the words that clients of Docker know; ENOENT for what a registry does not have or
 * does not show, EKEYREJECTED for credentials that it refuses.
 *
 * Users: api/ (pull, push, login, search, distribution), manifest/ (declared images), main.c.
 */
#ifndef SKERRY_REGISTRY_H
#define SKERRY_REGISTRY_H

#include "engine/image/image.h"
#include "init/base/err.h"
#include "init/base/loop.h"

#define HUB_LOGIN \
	"https://index.docker.io/v1/" /* what clients file Docker Hub's credentials under */

struct registry; /* the module */

struct registry_config {
	struct loop *loop;
	struct images *images;
	/* the lines of system.yaml (engine/data/settings.h), of which engine.registry.* count; may
	 * be NULL */
	char *const *settings;
	const char *ca_bundle; /* PEM: who may sign registries' certificates; may be absent */
	const char *certs_dir; /* .../certs.d/HOST/{*.crt,client.cert,client.key}; may be absent */
	const char *auth_file; /* the machine's own credentials, as `docker login` writes them; may
				* be absent */
	bool no_sandbox; /* tests under sanitizers only */
};

int registry_new(const struct registry_config *cfg, struct registry **ret, struct err *e);
/* Everything that runs must have ended or been cancelled: free the images module first. */
void registry_free(struct registry *reg);
DEFINE_CLEANUP(struct registry *, registry_free)

/* Credentials for one registry, as clients send them. Absent members are NULL. */
struct registry_auth {
	char *username, *password;
	char *server; /* "serveraddress" */
	char *identity_token; /* a refresh token: stands for name and password */
	char *registry_token; /* a bearer token as it is */
};
/* The header X-Registry-Auth: base64url of a JSON object. NULL, empty or garbage: anonymous, as in
 * Docker. The caller frees *ret. */
void registry_auth_read(const char *header, struct registry_auth *ret);
/* The same from the object itself (POST /auth, members of X-Registry-Config). -EINVAL. */
int registry_auth_read_object(yyjson_val *object, struct registry_auth *ret, struct err *e);
/* `from` may be NULL. */
int registry_auth_copy(const struct registry_auth *from, struct registry_auth *to, struct err *e);
/* The machine's own for the registry of `ref`, for what no client asks for; nothing when it has
 * none. -EINVAL, with file and key, for what cannot be used. *ret is zeroed before; the caller
 * frees it. */
int registry_own_auth(const struct registry *reg, const char *ref, struct registry_auth *ret,
		      struct err *e);
void registry_auth_free(struct registry_auth *a);
DEFINE_CLEANUP_VALUE(struct registry_auth, registry_auth_free)

/* Pulls `ref` ("httpd", "ghcr.io/a/b:1", "host:5000/x@sha256:...") and makes it an image of the
 * store, with its name; one that is the same already is left as it is. platform and auth may be
 * NULL; all is copied. Progress comes in Docker's words: the first call is "Pulling from
 * library/httpd", so an error before it is the answer itself; the last ones are "Digest: ..." and
 * "Status: ...". Also cancelled by image_op_cancel(). */
int registry_pull(struct registry *reg, const char *ref, const struct image_platform *platform,
		  const struct registry_auth *auth, struct image_op *op, struct err *e);

/* `docker login`: asks the registry whether it takes the credentials. */
struct registry_login {
	/* identity_token: to be kept by the client instead of the password; NULL when there is
	 * none. Valid during the call. */
	void (*done)(struct registry_login *l, int r, const char *identity_token,
		     const struct err *e);
	struct login_job *job; /* internal */
};
/* `auth->server`: "registry.example:5000", "https://index.docker.io/v1/"; NULL or "": Docker Hub.
 * -EINVAL. */
int registry_login(struct registry *reg, const struct registry_auth *auth, struct registry_login *l,
		   struct err *e);
/* Harmless when it does not run. */
void registry_login_cancel(struct registry_login *l);

/* What an address has, without credentials, into a descriptor (of a pipe). */
struct registry_download {
	void (*progress)(struct registry_download *d, int64_t current,
			 int64_t total); /* bytes; total -1: not known. May be NULL */
	void (*done)(struct registry_download *d, int r, const struct err *e);
	struct download_job *job; /* internal */
};
/* fd stays the caller's. EINVAL for what is no http or https address. */
int registry_download(struct registry *reg, const char *url, int fd, struct registry_download *d,
		      struct err *e);
void registry_download_cancel(struct registry_download *d); /* harmless when it does not run */

/* What /info tells: the mirrors of Docker Hub, and the registries without TLS. NULL: none. */
char *const *registry_mirrors(const struct registry *reg);
char *const *registry_insecure(const struct registry *reg);

/* ---- role of skerryd (main.c's worker table) ---- */

int registry_fetch_worker(int argc, char **argv); /* `skerryd worker fetch` */

#endif
