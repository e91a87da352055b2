/*
 * Copying one hostile tree into an empty directory, by descriptors only: what a volume or a tmpfs
 * hides is put into it (engine/volume, engine/runtime).
 */
#ifndef SKERRY_BASE_COPY_H
#define SKERRY_BASE_COPY_H

#include <stdint.h>

#include "init/base/err.h"

/* levels below the copied directory; two descriptors are open for each */
enum { COPY_DEPTH_MAX = 400 };

struct copy_totals {
	uint64_t entries, bytes;
	uint64_t left_out; /* devices and sockets */
};

/* Copies what is in the directory `src` into the directory `dst` and gives `dst` the owner, mode,
 * times and extended attributes of `src`. Files, directories, symbolic links (as they are) and
 * fifos are copied with owner, mode, times and attributes; several names of one file become several
 * files. An entry of the same name in `dst` is replaced, unless both are directories. No link is
 * followed on either side. -ELOOP below COPY_DEPTH_MAX, -ENOSPC, ... */
int copy_tree(int src, int dst, struct copy_totals *ret_totals, struct err *e);

#endif
