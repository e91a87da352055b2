/*
 * What every fuzz target is: one function that takes bytes, and a check that aborts.
 *
 * A target must be deterministic, must free everything, and must survive any input. libFuzzer and
 * replay.c call it.
 */
#ifndef SKERRY_FUZZ_H
#define SKERRY_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A property that no input may break. */
#define FUZZ_CHECK(cond)                                                           \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                   \
		}                                                                  \
	} while (0)

#endif
