/*
 * One line of log per event, for the console and the kernel log.
 *
 * log_open() says once per process where lines go. In the machine that is /dev/kmsg (each line one
 * record, `<level>prefix: text`); elsewhere it is stderr (`prefix: text`). Lines are cut at
 * LOG_LINE_MAX, control characters are written as \xNN (a container must not forge records or
 * drive the terminal). The one piece of file-scope state besides main and the loop.
 */
#ifndef SKERRY_BASE_LOG_H
#define SKERRY_BASE_LOG_H

#include <stdbool.h>

enum { LOG_LINE_MAX = 900 }; /* /dev/kmsg refuses records over 1024 - prefix (kernel/printk) */

/* syslog(3) severities, as the kernel log uses them */
enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_NOTICE = 5, LOG_INFO = 6, LOG_DBG = 7 };

/* Uses fd for all later lines (kmsg: whether it is /dev/kmsg; detected when fd 2 is a char device
 * 1:11). `prefix` is the program's or role's name and must stay valid. fd stays the caller's. */
void log_open(const char *prefix, int fd);

/* Lines above this level are dropped; default LOG_INFO. */
void log_set_level(enum log_level max);

/* Calls `copy` with every line that is written (level, finished text without newline, no prefix);
 * PID 1 uses it to keep warnings for boot.json. NULL switches it off. */
void log_set_copy(void (*copy)(enum log_level level, const char *text, void *data), void *data);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DBG, __VA_ARGS__)

#endif
