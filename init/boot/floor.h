/*
 * The clock's floor: the machine's time is never before the image's build, nor before the last time
 * that this machine has seen. Certificates and log files need no more than that until NTP answers.
 */
#ifndef SKERRY_BOOT_FLOOR_H
#define SKERRY_BOOT_FLOOR_H

#include <stdint.h>

#include "init/base/err.h"

/* Later of the two in seconds since 1970; saved is 0 when there is none. A saved time more than
 * FLOOR_AHEAD_MAX beyond the build is not believed. */
int64_t clock_floor(int64_t build, int64_t saved);
enum { FLOOR_AHEAD_MAX = 20 * 365 * 24 * 3600 };

/* Sets the clock to the floor when it is before it. 1 when it did, 0 when the clock was fine. */
int clock_raise(int64_t floor, struct err *e);
/* The time kept at path, seconds; 0 when there is none or it is not a number. */
int64_t clock_load(const char *path);
/* Keeps the time of now at path. */
int clock_save(const char *path, struct err *e);

#endif
