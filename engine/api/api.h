/*
 * The Docker Engine API on top of the modules, and our own additions below /skerry.
 *
 * struct engine is the composition: main.c makes the modules, puts them in here and calls
 * api_open(); every handler gets it as req->user. Handlers are thin: they read the request, call
 * one module, and write the answer. One file per resource; routes.c is the table of all of them.
 */
#ifndef SKERRY_API_API_H
#define SKERRY_API_API_H

#include <stdint.h>

#include "init/base/err.h"
#include "init/base/loop.h"
#include "engine/container/container.h"
#include "engine/container/events.h"
#include "engine/http/server.h"
#include "engine/image/image.h"
#include "engine/manifest/manifest.h"
#include "engine/net/net.h"
#include "engine/registry/registry.h"
#include "engine/volume/volume.h"

/* What is announced; docker-wire.md says why not more. Newer clients come down to it. */
#define API_VERSION "1.51"
#define API_VERSION_MIN "1.24"
enum { API_MAJOR = 1, API_MINOR = 51, API_MINOR_MIN = 24 };

#ifndef SKERRY_VERSION
#define SKERRY_VERSION "0.0.0"
#endif

struct engine {
	struct loop *loop;
	struct events *events;
	struct images *images;
	struct registry *registry;
	struct nets *nets;
	struct volumes *volumes;
	struct containers *containers;

	struct manifests *manifests; /* NULL until the containers are restored */

	const char *state_dir; /* shown as DockerRootDir */
	const char *init_program; /* shown as InitBinary; NULL: none */
	const char *boot_json; /* file behind GET /skerry/boot */
	bool userns_remap; /* new containers get users of their own; shown among SecurityOptions */
	const char *machine_id; /* shown as info's ID; NULL: unknown */
	int64_t started_ns; /* wall clock; set by api_open */
	unsigned n_counts; /* requests whose sizes are being counted */

	struct http_server *http; /* made by api_open */
	bool pruning; /* one prune at a time, as Docker */
	bool pruning_images;
	bool pruning_volumes;
};

struct api_config {
	const char *socket; /* path of the unix socket, mode 0660 */
	const char *tcp; /* "0.0.0.0:2376", NULL: none */
	struct tls_context *tls; /* required with tcp; outlives the server */
};

/* Makes the server and opens the unix socket; a TCP address that cannot be opened is logged and
 * left out. */
int api_open(struct engine *en, const struct api_config *cfg, struct err *e);
/* Opens TCP later (certificates that came at run time). */
int api_open_tcp(struct engine *en, const char *address, struct tls_context *tls, struct err *e);
/* Ends all connections; harmless when not open. */
void api_close(struct engine *en);

#endif
