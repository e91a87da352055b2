/*
 * The reserve: space and inodes that are kept back, so that a full disk can still be tidied up.
 *
 * RESERVE_DIR, in the folder of all state, holds RESERVE_FILES files of RESERVE_FILE_BYTES each.
 * Whoever must write on a full disk so that something can be removed or stopped (a record, a name
 * in a folder) gives one of them up and tries again; state_write() does so by itself. They are
 * taken back by reserve_fill() when there is plenty of room again. Work that only adds (a layer, a
 * container) never asks for it. Called by state.c, image/ and main.c.
 */
#ifndef SKERRY_STATE_RESERVE_H
#define SKERRY_STATE_RESERVE_H

#include <stdbool.h>

#include "init/base/err.h"

/* no name that a volume or a container can have */
#define RESERVE_DIR ".reserve"

enum {
	RESERVE_FILES = 8,
	RESERVE_FILE_BYTES = 256 << 10,
	/* taken back when that many times its size is free, and that many inodes */
	RESERVE_ROOM_FACTOR = 4,
	RESERVE_ROOM_INODES = 64,
	/* folders of state are at most so far below the one that has the reserve */
	RESERVE_LEVELS = 4,
};

/* Makes what is missing of the reserve of the folder `dir`, if there is room for it; in memory
 * (tmpfs, ramfs) there is none. 0 also when there is no room. */
int reserve_fill(const char *dir, struct err *e);

/* Gives up one file of the reserve in the folder of `path` or in one above it, on the same file
 * system. True when there was one: trying again makes sense. */
bool reserve_give(int dirfd, const char *path);

#endif
