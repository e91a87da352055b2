/*
 * Plugins as Docker has them: programs that offer drivers over HTTP, on a unix socket below
 * /run/docker/plugins, or at an address that a file NAME.spec or NAME.json names.
 *
 * A call is POST /Plugin.Activate once (which kinds of drivers it implements), then POST
 * /KIND.METHOD with a JSON object, answered by a JSON object whose member "Err" tells what went
 * wrong. Each exchange is a worker process of its own: a plugin that hangs, lies or sends without
 * end costs a time-out or a bound, never the engine's loop. What comes back is untrusted. Users:
 * volume/ (VolumeDriver); net/ may use the same for NetworkDriver.
 */
#ifndef SKERRY_PLUGIN_PLUGIN_H
#define SKERRY_PLUGIN_PLUGIN_H

#include "engine/worker/worker.h"
#include "init/base/err.h"
#include "init/base/list.h"
#include "init/base/loop.h"

#define PLUGIN_WORKER "plugin"

enum {
	PLUGIN_QUICK_MS = 10000, /* what only asks: Activate, Get, List, ... */
	PLUGIN_SLOW_MS = 120000, /* what works on storage: Create, Mount, ...; Docker's */
	PLUGIN_ANSWER_MAX = 1 << 20, /* bytes of one answer */
	PLUGIN_CALLS_MAX = 64, /* at a time, of all plugins */
	PLUGIN_CALLS_EACH = 16, /* of one plugin */
	PLUGINS_MAX = 256, /* that are known at a time */
	PLUGIN_KINDS_MAX = 16, /* kinds that one may implement */
};

struct plugins;

struct plugins_config {
	struct loop *loop;
	const char *sockets; /* "/run/docker/plugins" */
	const char *const *specs; /* folders with NAME.spec and NAME.json, first one wins */
	const char *ca_bundle; /* whom plugins over TLS are believed by default; NULL: nobody */
	int quick_ms, slow_ms; /* for tests; 0: those above */
	bool no_sandbox; /* for tests */
};

/* Keeps copies of what cfg points to. */
int plugins_new(const struct plugins_config *cfg, struct plugins **ret_plugins, struct err *e);
void plugins_free(struct plugins *ps); /* no call may run any more */
DEFINE_CLEANUP(struct plugins *, plugins_free)

/* Names of all plugins that have a socket or a file, sorted, each once; at most PLUGINS_MAX. New
 * memory. They need not answer, nor be of any kind. */
int plugins_list(const struct plugins *ps, char ***ret_names, struct err *e);
/* 0, or -ENOENT `plugin "NAME" not found`. Looks for files only, so it is quick. */
int plugin_find(const struct plugins *ps, const char *name, struct err *e);
/* What is known of a plugin that was called: 1 implements it, 0 does not, -ENOENT never asked. */
int plugin_implements(const struct plugins *ps, const char *name, const char *kind);

struct plugin_request {
	const char *plugin, *kind, *method; /* "VolumeDriver", "Mount" */
	const char *body; /* a JSON object; NULL: {} */
	bool slow; /* the longer of the two times */
};

/* Embedded by the caller, zeroed but for `done`. */
struct plugin_call {
	/* Once, from the loop, never from inside a call here. r 0: `answer` is the plugin's object
	 * (valid inside); else -ENOENT (no such plugin, or not of that kind), -ECONNREFUSED,
	 * -ETIMEDOUT, -EBADMSG (nonsense), -EREMOTEIO (its own words, in e). The struct may be
	 * freed or used again. */
	void (*done)(struct plugin_call *c, int r, yyjson_val *answer, const struct err *e);

	/* private */
	struct plugins *ps;
	struct plugin *plugin;
	struct worker worker;
	char *kind, *method, *body;
	bool slow, activating;
};

/* Starts it. -ENOENT, -EAGAIN (too many calls): done is not called. The request is copied. */
int plugin_call(struct plugins *ps, struct plugin_call *c, const struct plugin_request *q,
		struct err *e);
/* Ends it; done is not called. Harmless when none runs. */
void plugin_cancel(struct plugin_call *c);
static inline UNUSED bool plugin_calling(const struct plugin_call *c)
{
	return c->ps != NULL;
}

/* The worker's entry, for the table of workers in main.c. */
int plugin_worker_main(int argc, char **argv);

#endif
