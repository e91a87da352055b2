/*
 * A compose file (the compose-spec) as data: services in the order in which they start, each with
 * the create request that it stands for.
 *
 * No engine state is touched; read are the file's text and what it names beside it (.env, files of
 * env_file, extends, configs and secrets). Every error is "FILE:LINE:
 * path.of.key: what is wrong and what would be right". A key of the compose-spec that is not
 * supported is an error that says so; unknown keys are errors (x-* extensions are ignored).
 *
 * Users: manifest.c (reconcile), store.c (the API), the fuzz target.
 */
#ifndef SKERRY_MANIFEST_COMPOSE_H
#define SKERRY_MANIFEST_COMPOSE_H

#include "engine/container/config.h"
#include "engine/data/remap.h"
#include "engine/data/yaml.h"
#include "init/base/err.h"

enum compose_condition { DEP_STARTED, DEP_HEALTHY, DEP_COMPLETED };

/* A place in a file, for errors. */
struct compose_spot {
	const char *file; /* the project's */
	int line;
};

struct compose_dep {
	char *service;
	enum compose_condition condition;
	bool optional; /* required: false */
	bool restart; /* with it, when it is made anew or restarted by somebody */
	bool implied; /* by volumes_from and its kin, not by depends_on */
	struct compose_spot at;
};

/* A config or secret in one service: a file that is bound, read-only, into its containers. Its
 * content is nowhere but here and in that file. */
struct compose_file {
	char *path; /* FILES_DIR/PROJECT/...; another one for another content, owner or mode */
	char *data;
	size_t len;
	uint32_t uid, gid; /* of the machine: mapped already */
	uint32_t mode;
};

/* pull_policy (compose-spec, services): when a registry is asked for the image. */
enum compose_pull {
	PULL_MISSING, /* when neither the store nor an archive of the machine has it */
	PULL_ALWAYS, /* once for each version of the file, and at each boot */
	PULL_NEVER,
	PULL_EVERY, /* daily, weekly, every_<time> */
};

struct compose_service {
	char *name;
	char *container_name; /* of its first container; never NULL after parsing */
	bool own_name; /* container_name stands in the file */
	struct compose_spot at, image_at, ports_at;
	struct create_config create; /* with compose's labels, but for the config hash */
	struct compose_dep *deps;
	size_t n_deps;
	char **profiles;
	bool off; /* it has profiles, and none of them is active */
	int64_t replicas; /* containers NAME-1 to NAME-N */
	struct compose_file *files;
	size_t n_files;
	enum compose_pull pull;
	int64_t pull_every; /* ms; PULL_EVERY */
};

struct compose_volume {
	char *key; /* in the file */
	char *name; /* in the engine: PROJECT_KEY, or as given */
	bool external;
	char *driver; /* NULL: local */
	struct bind_pairs options, labels;
};

struct compose_pool { /* an entry of ipam.config */
	char *subnet, *range, *gateway; /* or NULL */
	struct bind_pairs aux;
};

struct compose_network {
	char *key; /* in the file */
	char *name; /* in the engine: PROJECT_KEY, or as given */
	bool external, internal, attachable, no_ipv4, ipv6;
	bool used; /* by a service that is not off */
	char *driver; /* NULL: bridge */
	struct bind_pairs options, labels;
	struct compose_pool *pools;
	size_t n_pools;
	struct compose_spot at;
};

struct compose_project {
	char *name;
	char *file; /* absolute path */
	char **files; /* names that spots point to */
	char **warnings;
	struct compose_service *services; /* dependencies first */
	size_t n_services;
	struct compose_volume *volumes;
	size_t n_volumes;
	struct compose_network *networks;
	size_t n_networks;
};

enum {
	COMPOSE_SERVICES_MAX = 256,
	COMPOSE_VOLUMES_MAX = 256,
	COMPOSE_NETWORKS_MAX = 128,
	COMPOSE_REPLICAS_MAX = 256, /* containers of one service */
	COMPOSE_CONTENT_MAX = 1 << 20, /* bytes of a config or secret */
	COMPOSE_INPUTS_MAX = 256, /* files that one file names */
};

/* What the machine adds. */
struct compose_config {
	const char *files_dir; /* where configs and secrets are kept for containers */
	/* A secret of the machine: paths in files_dir tell contents apart, and must not help to
	 * guess them. */
	const char *key;
	struct remap remap; /* of new containers */
};

/* `file` is the absolute path: it names the project unless the file has `name:`, relative paths
 * start in its folder, and errors carry it. cfg may be NULL. ret_inputs (may be NULL) gets the
 * paths that were looked at besides, there or not, also on failure. EINVAL and friends with e. */
int compose_parse(const char *text, size_t len, const char *file, const struct compose_config *cfg,
		  struct compose_project **ret, char ***ret_inputs, struct err *e);
/* "/x/shop.yaml" -> "shop", new memory; NULL on ENOMEM. */
char *compose_name_of_file(const char *file);
void compose_free(struct compose_project *p);
DEFINE_CLEANUP(struct compose_project *, compose_free)

/* The name of its container `number` (from 1), new memory. */
char *compose_container_name(const struct compose_project *p, const struct compose_service *s,
			     unsigned number);

/* What a container's labels say besides what its service has. */
struct compose_stamp {
	const char *hash; /* of the service */
	const char *image_id; /* or NULL */
	unsigned number;
	const char *name; /* of the container: its first alias in networks */
};

/* The body of POST /containers/create for a container of the service (NULL: what all have in
 * common). */
int compose_service_json(const struct compose_service *s, const struct compose_stamp *stamp,
			 struct buf *out);
/* sha256 (hex) over what all have in common: changes when anything of the service does. */
int compose_service_hash(const struct compose_service *s, char ret_hash[65], struct err *e);
/* The same over a network or volume that the project makes. */
int compose_network_hash(const struct compose_network *n, char ret_hash[65], struct err *e);

#endif
