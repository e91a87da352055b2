/*
 * Storage: /var on the data disk (or in memory), its folders, and /etc as an overlay.
 *
 * The rules, in order: what the command line or system.yaml names; else the disk or partition
 * labelled SKERRY-DATA; else the first blank disk, which gets a file system; else memory. A file
 * system is checked when it was not left in order, repaired when that can be done, mounted
 * read-only when not, and never made anew. A grown disk's file system grows. Called by main's phase
 * "storage"; all that is not as it should be becomes a warning of the report.
 */
#ifndef SKERRY_BOOT_STORAGE_H
#define SKERRY_BOOT_STORAGE_H

#include <stdbool.h>

#include "init/base/err.h"
#include "init/boot/disk.h"
#include "init/boot/report.h"

#define STORAGE_VAR "/var"
#define STORAGE_MACHINE \
	"/var/lib/skerry/machine" /* PID 1's own files: clock, seed, note of the last end */

enum {
	STORAGE_WAIT_NAMED_MS = 10000, /* since the kernel's start, for a disk that is named */
	STORAGE_WAIT_AUTO_MS =
		2000, /* for a labelled one, where a controller may still be looking */
};

struct storage {
	bool persistent; /* on a disk, writable */
	bool read_only; /* on a disk that could not be repaired */
	bool fresh; /* the file system was made in this boot */
	char device[DISK_NAME_MAX + 8]; /* "/dev/vdb", "" when in memory */
};

/* Mounts /var by `choice` ("auto", "none", "/dev/NAME"); only a machine where not even tmpfs
 * mounts gets an error. */
int storage_mount(const char *choice, struct report *report, struct storage *ret, struct err *e);
/* Makes the folders that everything expects below /var. */
int storage_layout(const struct storage *s, struct err *e);
/* /etc: the image's below, persistent changes above. Without a writable disk the changes live in
 * memory. */
int storage_etc(const struct storage *s, struct report *report, struct err *e);

/* What e2fsck's exit status means for us, with -p first and -y then. */
enum fsck_result { FSCK_OK, FSCK_REPAIRED, FSCK_AGAIN, FSCK_FAILED };
enum fsck_result fsck_result(int wait_status, bool second);

#endif
