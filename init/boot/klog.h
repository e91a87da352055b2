/*
 * The kernel log on disk: PID 1 reads /dev/kmsg, where everything of the machine is written, and
 * keeps it in a bounded file.
 *
 *   current.log       this boot; at KLOG_FILE_MAX it becomes current.old.log and begins anew
 *   previous.log      the boot before (and previous.old.log), renamed at start
 *   pstore/           what the kernel said at its end, copied from pstore by lastboot.c
 *
 * Lines are collected and written once a second, at once for warnings and worse. A disk that is
 * full stops the file, not the machine. Used by PID 1 only.
 */
#ifndef SKERRY_BOOT_KLOG_H
#define SKERRY_BOOT_KLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "init/base/buf.h"
#include "init/base/err.h"
#include "init/base/loop.h"

enum { KLOG_FILE_MAX = 1 << 20, KMSG_RECORD_MAX = 8192, KMSG_TEXT_MAX = 1024 };

/* one record of /dev/kmsg */
struct kmsg {
	int level; /* 0..7 */
	uint64_t seq;
	int64_t time_us; /* since the kernel started */
	char text[KMSG_TEXT_MAX]; /* first line, the kernel's \xNN escapes kept */
};

/* "6,1234,5678901,-;text\n KEY=value\n"; -EINVAL. */
int kmsg_parse(const char *record, struct kmsg *ret);
/* "[    5.678901] <6> text\n", as it stands in the file */
int kmsg_format(const struct kmsg *m, struct buf *out);

struct klog {
	struct io_event io;
	struct timer_event flush_timer;
	struct buf pending;
	char dir[128];
	int kmsg_fd, file_fd; /* -1 when closed */
	uint64_t size; /* of current.log */
	bool failed; /* said once */
};

#define KLOG_INIT                            \
	{                                    \
		.kmsg_fd = -1, .file_fd = -1 \
	}

/* Renames the files of the last boot, opens current.log below dir (made) and begins to read the
 * kernel's ring from its start. */
int klog_start(struct klog *k, struct loop *l, const char *dir, struct err *e);
/* Writes what is collected; with `sync` down to the disk. */
void klog_flush(struct klog *k, bool sync);
/* Reads what is there, flushes and closes; harmless when not started. */
void klog_stop(struct klog *k);

#endif
