/*
 * Disks: what is on a block device, and which one is the machine's data.
 *
 * A device is ours when it holds ext4 with the label SKERRY-DATA. It may be taken when it is blank:
 * its first and last MiB are zero and the kernel sees no partitions on it. Anything else belongs to
 * somebody and is never written to. Probing only reads. The list comes from /sys/class/block; the
 * choice is a pure function over the list (disk_choose). Used by storage.c.
 */
#ifndef SKERRY_BOOT_DISK_H
#define SKERRY_BOOT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/base/err.h"

#define DISK_LABEL "SKERRY-DATA"

enum {
	DISK_NAME_MAX = 32,
	DISK_LABEL_MAX = 17,
	DISKS_MAX = 256,
	DISK_BLANK_MIN_MIB = 64, /* smaller ones are not worth a file system */
};

enum disk_content {
	DISK_UNREADABLE, /* I/O error or no medium */
	DISK_BLANK,
	DISK_DATA, /* ext4 with our label */
	DISK_FOREIGN, /* something else */
};

struct disk {
	char name[DISK_NAME_MAX]; /* "vda" */
	uint64_t size; /* bytes */
	bool partition;
	bool has_partitions;
	bool held; /* a device mapper or the like sits on it */
	bool read_only;
	enum disk_content content;
	const char *what; /* for people: "ext4", "a partition table", ... */
	char label[DISK_LABEL_MAX]; /* of ext4, else "" */
	uint64_t fs_size; /* of ext4, bytes */
	bool fs_clean; /* of ext4: unmounted in order, no errors, no journal to replay */
	bool fs_quota; /* of ext4: has quota by project, which limits the size of volumes */
};

/* Looks at the first and last MiB of an open device or image file of `size` bytes; fills content
 * and what follows it. */
void disk_probe(int fd, uint64_t size, struct disk *d);
/* Fills `d` for the kernel's device `name` below sys_block ("/sys/class/block") and dev
 * ("/dev"). */
int disk_read(const char *sys_block, const char *dev, const char *name, struct disk *d,
	      struct err *e);
/* All disks and partitions that can hold data, in order of their names' numbers; new memory
 * (free()). */
int disk_list(const char *sys_block, const char *dev, struct disk **ret_disks, size_t *ret_n,
	      struct err *e);

enum disk_verdict {
	DISK_USE, /* the label is there */
	DISK_FORMAT, /* a blank one was found: make the file system */
	DISK_NONE, /* none, or the choice is "none" */
	DISK_REFUSED, /* the named device is absent or somebody else's */
};

/* choice: "auto", "none", or "/dev/NAME". *ret_disk points into disks. `note` (size bytes) gets
 * a sentence for people when there is something to say: why there is none, what was left alone;
 * "" otherwise. */
enum disk_verdict disk_choose(const struct disk *disks, size_t n, const char *choice,
			      const struct disk **ret_disk, char *note, size_t size);

#endif
