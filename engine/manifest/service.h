/*
 * Inside of manifest/: the reader of one service (service.c, service_*.c, and its part of
 * networks.c and contents.c).
 */
#ifndef SKERRY_MANIFEST_SERVICE_H
#define SKERRY_MANIFEST_SERVICE_H

#include "engine/manifest/reading.h"

/* A service while it is read, and what its readers need to know of the project. */
struct service_target {
	struct compose_service s; /* first: rows have offsets of this struct */
	struct reading *rd; /* all of the top level but services is read already */
	char **env_from_files, **labels_from_files; /* "NAME=value" */
	bool autoheal; /* x-skerry-autoheal: becomes a label */
	bool replicas_given;
	char *deploy_restart; /* deploy.restart_policy, unless the key restart is there */
	int64_t deploy_attempts;
};

void service_target_free(struct service_target *t); /* what is not the service's */

/* Fills t->s from the mapping; its name and line are set. On failure t->s holds what was read so
 * far. */
int service_read(struct service_target *t, const struct place *p, const struct yaml_node *n,
		 struct err *e);

/* A dependency; one that was only implied so far is taken over, another is an error. */
int service_add_dep(struct service_target *t, const struct place *p, const char *name,
		    struct compose_spot at, struct compose_dep **ret, struct err *e);
/* Once all services are read: names of services in volumes_from, links, network_mode, ipc and pid
 * become those of their containers. */
int service_resolve(const struct compose_project *p, struct compose_service *s, struct err *e);

/* request.c: the labels that all containers of the service have. -ENOMEM. */
int request_labels(const struct compose_project *p, struct compose_service *s);

/* ---- what is settled when all keys are read; n is the service ---- */
/* Number of containers, restart policy of deploy. */
int service_settle_deploy(struct service_target *t, const struct place *p,
			  const struct yaml_node *n, struct err *e);
/* `networks` is the value of that key, or NULL; the network mode follows. */
int service_add_networks(struct service_target *t, const struct place *p,
			 const struct yaml_node *service, const struct yaml_node *networks,
			 struct err *e);
/* kind 0: configs, 1: secrets; n: the value of that key, or NULL. */
int service_add_contents(struct service_target *t, int kind, const struct place *p,
			 const struct yaml_node *n, struct err *e);
/* What files gave comes first, environment and labels go over it. */
int service_join_files(struct service_target *t, struct err *e);

/* Readers of single keys; target is a struct service_target. */
int service_read_environment(void *target, const struct place *p, const struct yaml_node *n,
			     struct err *e);
int service_read_env_file(void *target, const struct place *p, const struct yaml_node *n,
			  struct err *e);
int service_read_label_file(void *target, const struct place *p, const struct yaml_node *n,
			    struct err *e);
int service_read_extra_hosts(void *target, const struct place *p, const struct yaml_node *n,
			     struct err *e);
int service_read_deploy(void *target, const struct place *p, const struct yaml_node *n,
			struct err *e);
int service_read_replicas(void *target, const struct place *p, const struct yaml_node *n,
			  struct err *e);
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
