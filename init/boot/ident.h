/*
 * Who this machine is: machine-id and host name.
 *
 * The id is 32 hex digits in /etc/machine-id. /etc is an overlay whose upper part is on the data
 * partition, so the id stays as long as the data does; without a data disk each boot has its own.
 */
#ifndef SKERRY_BOOT_IDENT_H
#define SKERRY_BOOT_IDENT_H

#include "init/base/err.h"

enum { MACHINE_ID_LEN = 32 };

/* Reads the id at `path`, or makes a random one and writes it there. ret_id is filled in any
 * case; a negative return means that it could not be kept. */
int machine_id_ensure(const char *path, char ret_id[MACHINE_ID_LEN + 1], struct err *e);
/* Chooses the first valid of the names (each may be NULL or ""), "skerry" otherwise, and sets
 * it. */
int hostname_apply(const char *first, const char *second, const char *third, struct err *e);
/* The rule of choice alone, for tests. */
const char *hostname_choose(const char *first, const char *second, const char *third);

#endif
