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
	SERVICE_IMAGE, /* its image is being loaded or pulled */
	SERVICE_STARTING,
	SERVICE_RUNNING,
	SERVICE_DONE, /* ended by itself, and its policy lets it rest */
	SERVICE_FAILED, /* waits for another try */
	SERVICE_HELD, /* its new version did not start, the old one runs; until the file changes */
};

/* One container of a service being kept true. Exists as long as its project's version. */
struct service_run {
	struct project *project;
	const struct compose_service *want;
	unsigned number; /* from 1 */
	char *name; /* of its container */
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
	bool no_image; /* it is what is waited for */
	bool restart_wanted; /* what it depends on with `restart` was restarted by somebody */
	char **restarted_for; /* ids of dependencies that it was restarted for */
	/* image.c: pulls of an image that is there already */
	int64_t pulled_ms; /* when the last one succeeded (clock_mono_ms); 0: none */
	char *pull_error; /* of the last one, or NULL */
	struct timer_event pull_retry; /* the next one is not before */
	int64_t pull_ms;
};

/* One compose file. */
struct project {
	struct manifests *m;
	struct list link;
	char *file;
	char *text; /* as read last */
	struct compose_project *want; /* the last good version, NULL none yet */
	struct service_run *runs; /* in the order of want's services, then by number */
	size_t n_runs;
	uint64_t inputs; /* a mark of want's (or the error's) files beside it */
	char **looked_at; /* their paths */
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

/* A new version on trial: it goes back to `before` unless it is confirmed. */
struct trial {
	struct list link;
	struct manifests *m;
	char *file; /* of the project */
	char *before; /* its text, NULL: there was no file */
	int64_t until_ns; /* real */
	struct timer_event timer;
};

struct manifests {
	struct manifests_config cfg;
	char *dir;
	char *files_dir;
	char key[65]; /* see struct compose_config */
	struct list trials;
	bool clean_due; /* files of configs and secrets, or networks, may be left over */
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
/* Notes what is wrong with the key `key` in that place ("": the service), and tries again later. */
void service_failed(struct service_run *run, struct compose_spot at, const char *key,
		    const char *text);
/* Somebody restarted the container: services that depend on it with `restart` follow. */
void service_restarted(struct manifests *m, const char *id);
/* The container that has the service's name and is its own, NULL when there is none. */
struct container *service_container(const struct service_run *run);
/* Removes containers of files and services that are not declared any more. */
void orphans_look(struct manifests *m);

/* image.c */
/* The store does not have the image: loads or pulls it, and steps again. */
void service_get_image(struct service_run *run);
/* Whether a registry is to be asked again for `img`, which is there. */
bool service_pull_due(struct service_run *run, const struct image *img);
/* Asks it, and steps again whatever comes of it. */
void service_pull(struct service_run *run);
/* Whether the image that the service waits for is there by now, from elsewhere; if so nothing is
 * under way any more. */
bool service_image_came(struct service_run *run);
void service_image_cancel(struct service_run *run);

/* things.c: what a service needs besides its image. Those that are there already stay as they
 * are. */
int volumes_make(struct service_run *run, struct err *e);
int networks_make(struct service_run *run, struct err *e);
/* The files of its configs and secrets, durable. */
int files_make(struct service_run *run, struct err *e);
/* Reads the key, or makes one. */
int files_key(struct manifests *m, struct err *e);
/* Removes files and networks that nobody needs any more. */
void things_clean(struct manifests *m);

/* store.c */
void trials_load(struct manifests *m);
void trials_free(struct manifests *m);
const struct trial *trial_of(const struct manifests *m, const char *file); /* or NULL */

/* manifest.c */
/* -EEXIST: another file has the project's name. */
int project_check_name(const struct manifests *m, const struct compose_project *want,
		       struct err *e);
/* The members of its object in the report. */
void project_write_members(const struct project *p, struct json_writer *w);
void manifests_write_strings(struct json_writer *w, const char *key, char *const *list);
/* Reads the folder now. */
void manifests_scan(struct manifests *m);
void project_config(const struct manifests *m, struct compose_config *ret);
const struct project *project_by_file(const struct manifests *m, const char *file);

#endif
