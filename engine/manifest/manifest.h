/*
 * Declared containers: the compose files of one folder, kept true.
 *
 * Each *.yaml or *.yml file is a project. A file that cannot be read as a project changes nothing:
 * what runs goes on, and the error stands in the log (once per change) and in manifests_write. A
 * valid file is reconciled service by service, in order of dependencies; what fails is tried again
 * for ever with back-off. Images come from the store, from archives of the machine or from a
 * registry, as pull_policy says. The folder is watched.
 *
 * A declared container is found again by its labels (those of compose); its label config_files says
 * which file it belongs to, and containers of this folder whose file or service is gone are
 * removed. Volumes always stay.
 */
#ifndef SKERRY_MANIFEST_MANIFEST_H
#define SKERRY_MANIFEST_MANIFEST_H

#include "engine/container/container.h"
#include "engine/data/remap.h"
#include "engine/image/image.h"
#include "engine/net/net.h"
#include "engine/registry/registry.h"
#include "engine/volume/volume.h"

struct manifests;

struct manifests_config {
	const char *dir; /* /etc/skerry/compose */
	const char *files_dir; /* configs, secrets and trials; on the disk of the state */
	struct remap remap; /* of new containers */
	struct loop *loop;
	struct containers *containers;
	struct images *images;
	struct volumes *volumes;
	struct nets *nets;
	struct registry *registry;
};

int manifests_new(const struct manifests_config *cfg, struct manifests **ret, struct err *e);
void manifests_free(struct manifests *m);
DEFINE_CLEANUP(struct manifests *, manifests_free)

/* Reads the folder and begins; call when the containers are restored. A folder that is missing
 * is no project. */
void manifests_start(struct manifests *m);
/* Nothing is started any more (the machine is going down). */
void manifests_stop(struct manifests *m);
/* The array of GET /skerry/manifests (name: of the project, or of the file while it was never
 * good): [{"name","file","state":"ok"|"error"|"working","error":null|text,"line":N|null,
 * "trial_until":null|time,"warnings":[text],
 * "services":[{"name","number","state","container":id|null,"error":null|text}]}]. The running
 * services of a file with an error are those of its last good version; a service without containers
 * has the state "off". */
void manifests_write(const struct manifests *m, struct json_writer *w);

/* ---- files over the API (store.c). `name` is a file's, without .yaml. ---- */

enum { MANIFEST_TRIAL_MAX = 86400 }; /* s */

struct manifest_put {
	const char *name;
	const char *text;
	size_t len;
	bool dry_run; /* only the plan */
	int64_t trial; /* s until it goes back by itself; 0: it stays */
};

/* Stores the file, durably, and begins to apply it. w gets the plan: {"name","file","warnings":[],
 * "services":[{"service","container","action":"create"|"recreate"|"restart"|"keep"}],
 * "removed":[container]}. Returns 1 for a new file, 0 for another version. A file with an error is
 * not stored: -EINVAL with its place; -EEXIST when another file has the project's name. */
int manifests_put(struct manifests *m, const struct manifest_put *put, struct json_writer *w,
		  struct err *e);
/* The version on trial stays. -ENOENT. */
int manifests_confirm(struct manifests *m, const char *name, struct err *e);
/* Removes the file; its containers follow. -ENOENT. */
int manifests_remove(struct manifests *m, const char *name, struct err *e);
/* The object of the list, with the file's text as "content". -ENOENT. */
int manifests_show(const struct manifests *m, const char *name, struct json_writer *w,
		   struct err *e);

#endif
