/*
 * Content digests as OCI writes them, "sha256:<64 hex>" and "sha512:<128 hex>", lower case only.
 *
 * A struct digester is fed in pieces and finished once; nothing in it needs freeing. Parsing is
 * strict, so a valid digest text may be used as a file name below blobs/<algorithm>/. Called by
 * image/, registry/, build/ and state quarantine.
 */
#ifndef SKERRY_DATA_DIGEST_H
#define SKERRY_DATA_DIGEST_H

#include <mbedtls/sha256.h>
#include <mbedtls/sha512.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/base/err.h"

enum digest_algorithm { DIGEST_SHA256, DIGEST_SHA512 };

enum {
	DIGEST_HEX_LEN = 64, /* digits of a sha256 */
	DIGEST_TEXT_LEN = 71, /* "sha256:" and its digits */
	DIGEST_TEXT_MAX = 7 + 128 + 1 /* room for any digest text with its NUL */
};

struct digester {
	enum digest_algorithm algorithm;
	union {
		mbedtls_sha256_context sha256;
		mbedtls_sha512_context sha512;
	};
	bool failed;
};

void digest_start(struct digester *d, enum digest_algorithm algorithm);
void digest_update(struct digester *d, const void *data, size_t len);
/* Writes the text form; the digester must be started again before further use. -EIO when the
 * hash code failed. */
int digest_finish(struct digester *d, char ret_text[DIGEST_TEXT_MAX]);

/* sha256 of bytes in memory, as text */
int digest_of(const void *data, size_t len, char ret_text[DIGEST_TEXT_MAX]);
/* sha256 of everything from the descriptor's position to its end (blocking); ret_size may be
 * NULL. */
int digest_of_fd(int fd, char ret_text[DIGEST_TEXT_MAX], uint64_t *ret_size, struct err *e);

/* Whether text is one of the two forms, exactly. */
bool digest_valid(const char *text);
/* -EINVAL with a text that says what a digest looks like. */
int digest_check(const char *text, struct err *e);
/* The algorithm of a valid digest text. */
enum digest_algorithm digest_algorithm_of(const char *text);
/* The digits of a valid digest text: points into it. */
const char *digest_hex(const char *text);

#endif
