/*
 * What `ps` prints, without ps: its arguments to a list of columns, and a process of /proc to the
 * cells of a row. `docker top` sends such arguments.
 *
 * Understood (procps' meaning): UNIX -e -A -a -f -F -l -j -w and -o LIST, BSD a x u l j w and o
 * LIST, also in one word ("-ef", "aux", "-eo pid,comm"). Which processes are meant is not theirs to
 * say: it is always those of the container. Cells hold no line breaks nor other control characters:
 * command lines are the container's, and hostile. Pure but for reading /proc; called by top.c.
 */
#ifndef SKERRY_CONTAINER_PS_H
#define SKERRY_CONTAINER_PS_H

#include <stdint.h>
#include <sys/types.h>

#include "init/base/buf.h"
#include "init/base/err.h"

enum {
	PS_COLUMNS_MAX = 64,
	PS_ARGS_MAX = 1024, /* bytes of the arguments */
	PS_CELL_MAX = 8 << 10, /* bytes of one cell; longer than any command line taken */
	PS_NAMES_MAX = 64 << 10, /* bytes of passwd or group that are looked at */
};

/* The machine, read once for all rows. */
struct ps_machine {
	char *passwd, *group; /* texts, may be NULL */
	int64_t now_ns, boot_ns; /* wall clock, and nanoseconds since boot */
	uint64_t memory_kib, hz, page_size;
};

struct ps_process {
	pid_t pid, ppid, pgrp, session, tpgid;
	uint32_t tty;
	char state, comm[64];
	uint64_t flags, user_ticks, system_ticks, start_ticks, size, rss_pages, locked_kib;
	long priority, nice, threads, processor, rt_priority;
	uint32_t uid[2], gid[2]; /* real, effective */
	char *args; /* blanks between the words; NULL: it has none */
};

struct ps_column {
	const char *name; /* as in -o; NULL: only in a format */
	const char *title;
	void (*cell)(struct buf *out, const struct ps_process *p, const struct ps_machine *m);
};

struct ps_plan {
	const struct ps_column *columns[PS_COLUMNS_MAX];
	size_t n;
};

/* ps_args.c: "" and NULL mean -ef, as for dockerd. -EINVAL with what is understood. */
int ps_plan(const char *args, struct ps_plan *ret, struct err *e);

/* The column of that name, or NULL. */
const struct ps_column *ps_column_find(const char *name, size_t len);
/* Where a format's column is one that has no name of its own. */
extern const struct ps_column ps_uid_column, ps_comm_column, ps_opri_column, ps_priority_column;

/* Also loads the time zone. What cannot be read stays empty. */
void ps_machine_read(struct ps_machine *m);
void ps_machine_free(struct ps_machine *m);
DEFINE_CLEANUP_VALUE(struct ps_machine, ps_machine_free)

/* Fills *p from PROCFD/<pid>; at most args_max bytes of the command line. -ESRCH when it is
 * gone. */
int ps_process_read(int procfd, pid_t pid, size_t args_max, struct ps_process *p);
/* The texts of stat and status, for tests; -EINVAL. */
int ps_parse_stat(const char *text, struct ps_process *p);
void ps_parse_status(const char *text, struct ps_process *p);
void ps_process_free(struct ps_process *p);
DEFINE_CLEANUP_VALUE(struct ps_process, ps_process_free)

#endif
