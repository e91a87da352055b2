/*
 * Inside of manifest/: the reader of one service, in three files (service.c, service_mounts.c,
 * service_host.c).
 */
#ifndef SKERRY_MANIFEST_SERVICE_H
#define SKERRY_MANIFEST_SERVICE_H

#include "engine/manifest/compose.h"
#include "engine/manifest/value.h"

/* A service while it is read, and what its readers need to know of the project. */
struct service_target {
	struct compose_service s; /* first: rows have offsets of this struct */
	const struct compose_project *project; /* its volumes are read already */
	const char *dir; /* of the compose file: relative paths start here */
	char **env_from_files;
	bool autoheal; /* x-skerry-autoheal: becomes a label */
};

/* Fills t->s from the mapping; its name and line are set. On failure t->s holds what was read so
 * far. */
int service_read(struct service_target *t, const struct place *p, const struct yaml_node *n,
		 struct err *e);

/* A dependency; one that was only implied so far is taken over, another is an error. */
int service_add_dep(struct service_target *t, const struct place *p, const char *name, int line,
		    struct compose_dep **ret, struct err *e);
/* Once all services are read: names of services in volumes_from, links, network_mode, ipc and pid
 * become those of their containers. */
int service_resolve(const struct compose_project *p, struct compose_service *s,
		    const struct yaml_doc *doc, struct err *e);

/* Readers of single keys; target is a struct service_target. */
int service_read_devices(void *target, const struct place *p, const struct yaml_node *n,
			 struct err *e);
int service_read_blkio(void *target, const struct place *p, const struct yaml_node *n,
		       struct err *e);
int service_read_init(void *target, const struct place *p, const struct yaml_node *n,
		      struct err *e);
int service_read_platform(void *target, const struct place *p, const struct yaml_node *n,
			  struct err *e);
int service_read_volumes_from(void *target, const struct place *p, const struct yaml_node *n,
			      struct err *e);
int service_read_links(void *target, const struct place *p, const struct yaml_node *n,
		       struct err *e);
int service_read_external_links(void *target, const struct place *p, const struct yaml_node *n,
				struct err *e);
int service_read_network_mode(void *target, const struct place *p, const struct yaml_node *n,
			      struct err *e);
int service_read_ipc(void *target, const struct place *p, const struct yaml_node *n, struct err *e);
int service_read_pid(void *target, const struct place *p, const struct yaml_node *n, struct err *e);
int service_read_ports(void *target, const struct place *p, const struct yaml_node *n,
		       struct err *e);
int service_read_expose(void *target, const struct place *p, const struct yaml_node *n,
			struct err *e);
int service_read_volumes(void *target, const struct place *p, const struct yaml_node *n,
			 struct err *e);
int service_read_tmpfs(void *target, const struct place *p, const struct yaml_node *n,
		       struct err *e);

#endif
