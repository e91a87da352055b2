/*
 * The random seed: what the generator knew at the last shutdown is worth keeping on machines
 * without an entropy device.
 *
 * A seed is credited once: the file is replaced, durably, by a new one before its content goes into
 * the generator, so that a crash, a snapshot or a copied disk does not make two boots believe in
 * the same secret bits twice in a row. What follows in the file is the hash of the old seed and of
 * fresh output, so it never gets worse.
 */
#ifndef SKERRY_BOOT_SEED_H
#define SKERRY_BOOT_SEED_H

#include <stdbool.h>

#include "init/base/err.h"

enum { SEED_SIZE = 32 };

/* Takes the seed at path into the generator. 1 credited, 0 there is none (a first boot). */
int seed_restore(const char *path, struct err *e);
/* Writes a new seed; at shutdown, and once after the generator is ready. */
int seed_save(const char *path, struct err *e);
/* Whether the machine has a source of its own: a hardware generator or the processor's. */
bool seed_has_device(void);
/* The next seed out of the old one and fresh bytes; pure, for tests. */
void seed_next(const unsigned char old[SEED_SIZE], const unsigned char fresh[SEED_SIZE],
	       unsigned char ret_next[SEED_SIZE]);

#endif
