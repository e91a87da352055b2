/*
 * The inside of the registry module: what registry.c (settings), fetch.c (workers), pull.c and
 * login.c share. Not for other folders.
 */
#ifndef SKERRY_REGISTRY_PRIV_H
#define SKERRY_REGISTRY_PRIV_H

#include "engine/registry/endpoints.h"
#include "engine/registry/fetch.h"
#include "engine/registry/registry.h"
#include "init/base/list.h"

struct registry {
	struct loop *loop;
	struct images *images;
	struct registry_settings settings;
	char *ca_bundle, *certs_dir, *auth_file;
	bool no_sandbox;
	/* pull.c */
	struct list pulls; /* struct pull, in the order they came */
	size_t downloads; /* layers that are coming in now */
	struct defer_event turn; /* looks what can start */
	size_t pushes; /* push.c: that run now */
};

void pulls_turn(struct defer_event *ev);

#endif
