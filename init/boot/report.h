/*
 * struct report: how the boot went, for the log, for people and for the API.
 *
 * Phases have a start (milliseconds since the kernel started) and a duration. Warnings are what is
 * missing or not as it should be ("no data disk: ..."), each under a short key, so that the same
 * thing is said once and can be taken back when it comes right (the network was late). Each change
 * replaces boot.json atomically once report_publish was called. Used by PID 1 only.
 */
#ifndef SKERRY_BOOT_REPORT_H
#define SKERRY_BOOT_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "init/base/buf.h"
#include "init/base/err.h"

enum { REPORT_PHASES_MAX = 24, REPORT_WARNINGS_MAX = 64 };

struct report_phase {
	const char *name; /* static */
	int64_t start_ms; /* CLOCK_BOOTTIME */
	int64_t duration_ms;
	bool failed;
};

struct report_warning {
	char key[32];
	char *text;
};

struct report {
	struct report_phase phases[REPORT_PHASES_MAX];
	size_t n_phases;
	struct report_warning warnings[REPORT_WARNINGS_MAX];
	size_t n_warnings;
	char *previous; /* how the previous boot ended, one sentence; NULL: not known */
	char *data; /* what /var is on ("/dev/vdb", "memory"); NULL while not known */
	const char *path; /* boot.json, the caller's; NULL: not written yet */
};

void report_free(struct report *r);

/* Adds a phase that ran from start_ms to end_ms; beyond REPORT_PHASES_MAX it is dropped. */
void report_phase(struct report *r, const char *name, int64_t start_ms, int64_t end_ms,
		  bool failed);
/* Logs the text as a warning and keeps it; the same key with the same text again is silent, with
 * another text it replaces the old one. */
void report_warn(struct report *r, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Takes the warning back; true when there was one. */
bool report_clear(struct report *r, const char *key);
/* From now on boot.json at `path` follows each change; writes it. */
void report_publish(struct report *r, const char *path);
/* Writes boot.json now; a failure is logged once per reason by the log, never fatal. */
void report_write(const struct report *r);

/* The JSON object: {"phases":[{"name","start_ms","duration_ms","ok"}],"warnings":[...],...}. */
int report_json(const struct report *r, struct buf *out);
/* "early 12 ms, storage 80 ms, ..., ready after 900 ms" */
int report_line(const struct report *r, struct buf *out);
/* Adds text as a JSON string with its quotes; control characters and quotes escaped, broken UTF-8
 * replaced. */
int json_text(struct buf *out, const char *text);

#endif
