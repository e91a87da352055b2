/*
 * The worker "files": everything that reads or writes a container's file system for the API.
 *
 * One process per operation. It is given the container as a request (the paths of its overlay and
 * its mounts, or a pidfd of its first process), builds a view of it (view.h), gives up its rights
 * and only then looks at what is inside. Standard input is the archive of a "put", FILES_FD_OUT
 * what a "get", "export", "changes" or "layer" gives. Started by container/files.c and usage.c.
 *
 * Requests: {"op":"stat|get|put|export|changes|layer|usage",
 *   "path":BASE64, as it was asked for (stat, get, put)
 *   "container":"name", for messages
 *   "running":B, FILES_FD_PROCESS is a pidfd of the container
 *   "user_ns":B, which has a user namespace (its ids are those of the archive then)
 *   "layers":["/top", ...], "upper":"/u", "work":"/w", "read_only":B,
 *   "mounts":[{"source":"/s","subpath":"a"?,"destination":"/d","read_only":B,"recursive":B}],
 *   "keep_kind":B, "own":B, "user":"name:group"   (put; see untar.h)
 *   "paths":["/a", ...]}   (usage)
 * Progress of stat and get: the object of X-Docker-Container-Path-Stat, once, before any output.
 * Results: {"entries":N} of put; {"sizes":[N|-1, ...]} of usage.
 */
#ifndef SKERRY_FILES_FILES_H
#define SKERRY_FILES_FILES_H

#define FILES_WORKER "files"

enum {
	FILES_FD_OUT = 4,
	FILES_FD_PROCESS = 5,
	/* bytes for decompressors: xz -9 asks for 65 MiB */
	FILES_MEMORY = 96 << 20,
};

/* `skerryd worker files` (main.c's worker table) */
int files_worker_main(int argc, char **argv);

#endif
