/*
 * A compose file (the compose-spec) as data: services in the order in which they start, each with
 * the create request that it stands for.
 *
 * Parsing is pure: no engine state is touched, only env_file files beside the compose file are
 * read. Every error is "FILE:LINE: path.of.key: what is wrong and what would be right". A key of
 * the compose-spec that is not supported yet is an error that says so; unknown keys are errors (x-*
 * extensions are ignored).
 *
 * Users: manifest.c (reconcile), the fuzz target.
 */
#ifndef SKERRY_MANIFEST_COMPOSE_H
#define SKERRY_MANIFEST_COMPOSE_H

#include "engine/container/config.h"
#include "engine/data/yaml.h"
#include "init/base/err.h"

enum compose_condition { DEP_STARTED, DEP_HEALTHY, DEP_COMPLETED };

struct compose_dep {
	char *service;
	enum compose_condition condition;
	bool optional; /* required: false */
	bool restart;
	bool implied; /* by volumes_from and its kin, not by depends_on */
	int line;
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
	char *container_name; /* never NULL after parsing */
	int line, image_line, ports_line;
	struct create_config create; /* with compose's labels, but for the config hash */
	struct compose_dep *deps;
	size_t n_deps;
	char **profiles;
	enum compose_pull pull;
	int64_t pull_every; /* ms; PULL_EVERY */
};

struct compose_volume {
	char *key; /* in the file */
	char *name; /* in the engine: PROJECT_KEY, or as given */
	bool external;
	struct bind_pairs labels;
};

struct compose_project {
	char *name;
	char *file; /* absolute path */
	struct compose_service *services; /* dependencies first */
	size_t n_services;
	struct compose_volume *volumes;
	size_t n_volumes;
};

enum { COMPOSE_SERVICES_MAX = 256, COMPOSE_VOLUMES_MAX = 256 };

/* `file` is the absolute path: it names the project unless the file has `name:`, relative paths
 * start in its folder, and errors carry it. EINVAL and friends with e. */
int compose_parse(const char *text, size_t len, const char *file, struct compose_project **ret,
		  struct err *e);
/* "/x/shop.yaml" -> "shop", new memory; NULL on ENOMEM. */
char *compose_name_of_file(const char *file);
void compose_free(struct compose_project *p);
DEFINE_CLEANUP(struct compose_project *, compose_free)

/* The body of POST /containers/create for a service, with `hash` as its config hash label (NULL:
 * without). */
int compose_service_json(const struct compose_service *s, const char *hash, struct buf *out);
/* sha256 (hex) over that body: changes when anything of the service does. */
int compose_service_hash(const struct compose_service *s, char ret_hash[65], struct err *e);

#endif
