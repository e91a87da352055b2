/*
 * Inside of manifest/: projects and their services while they are kept true (manifest.c,
 * reconcile.c).
 */
#ifndef SKERRY_MANIFEST_INSIDE_H
#define SKERRY_MANIFEST_INSIDE_H

#include "engine/manifest/compose.h"
#include "engine/manifest/manifest.h"

enum {
	PROJECTS_MAX = 128,
	COMPOSE_FILE_MAX = 1 << 20, /* bytes; as YAML_SIZE_MAX */
	RETRY_FIRST_MS = 1000,
	RETRY_MAX_MS = 60000,
	SETTLE_MS = 150, /* after a change in the folder: its writer is done by then */
};

enum service_state {
	SERVICE_WAITING, /* for what it depends on */
	SERVICE_IMAGE, /* its image is being loaded */
	SERVICE_STARTING,
	SERVICE_RUNNING,
	SERVICE_DONE, /* ended by itself, and its policy lets it rest */
	SERVICE_FAILED, /* waits for another try */
	SERVICE_HELD, /* its new version did not start, the old one runs; until the file changes */
};

/* One service being kept true. Exists as long as its project's version. */
struct service_run {
	struct project *project;
	const struct compose_service *want;
	char hash[65];
	enum service_state state;
	char *error; /* what is wrong now, or NULL; logged when it changes */
	char id[65]; /* of its container, "" none yet */
	char old_id[65]; /* of the container it replaces, while it does */
	struct image_op image_op;
	struct container_op op;
	bool busy; /* an operation is under way */
	struct timer_event retry;
	int64_t retry_ms;
};

/* One compose file. */
struct project {
	struct manifests *m;
	struct list link;
	char *file;
	char *text; /* as read last */
	struct compose_project *want; /* the last good version, NULL none yet */
	struct service_run *runs; /* want->n_services */
	char *error; /* of the text that was read last, or NULL */
	bool seen; /* by the scan under way */
};

/* A container that is no longer declared, on its way out. */
struct orphan {
	struct list link;
	struct manifests *m;
	struct container_op op;
	char id[65];
};

struct manifests {
	struct manifests_config cfg;
	char *dir;
	struct list projects;
	struct list orphans;
	struct io_event watch; /* inotify */
	struct timer_event scan;
	struct event_sub events;
	struct timer_event look; /* after events: runs that wait look again */
	bool stopped;
};

/* reconcile.c */
/* Brings the service nearer to what is wanted; called again after each step, at retries and on
 * events. */
void service_step(struct service_run *run);
/* Takes back what is under way. */
void service_cancel(struct service_run *run);
const char *service_state_text(enum service_state s);
/* Removes containers of files and services that are not declared any more. */
void orphans_look(struct manifests *m);

/* manifest.c */
const struct project *project_by_file(const struct manifests *m, const char *file);

#endif
