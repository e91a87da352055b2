/*
 * SHA-256 (FIPS 180-4) for programs that link nothing but libc: stage 1, which compares the root's
 * image with the digest built into it, and PID 1, which stretches the saved random seed.
 *
 * The engine uses its own library for digests (engine/data); this one is small and quick enough to
 * hash ten megabytes while the machine boots.
 */
#ifndef SKERRY_BASE_SHA256_H
#define SKERRY_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_SIZE = 32, SHA256_BLOCK = 64 };

struct sha256 {
	uint32_t state[8];
	uint64_t total; /* bytes so far */
	unsigned char block[SHA256_BLOCK];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t len);
/* Ends the computation; the struct may be used again after sha256_init. */
void sha256_end(struct sha256 *s, unsigned char ret_digest[SHA256_SIZE]);

#endif
