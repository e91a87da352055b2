/*
 * Digests: mbedTLS computes, this file knows the text forms.
 *
 * The algorithms are a table of name and size. Failures of the hash functions (there are none in
 * the software implementation) are kept and reported at the end. Called by everything that stores
 * or fetches content.
 */
#include "engine/data/digest.h"

#include <string.h>

#include "init/base/str.h"

static const struct {
	const char *prefix;
	size_t size; /* bytes of the hash */
} algorithms[] = {
	[DIGEST_SHA256] = { "sha256:", 32 },
	[DIGEST_SHA512] = { "sha512:", 64 },
};

void digest_start(struct digester *d, enum digest_algorithm algorithm)
{
	*d = (struct digester){ .algorithm = algorithm };
	if (algorithm == DIGEST_SHA512) {
		mbedtls_sha512_init(&d->sha512);
		d->failed = mbedtls_sha512_starts(&d->sha512, 0) != 0;
	} else {
		mbedtls_sha256_init(&d->sha256);
		d->failed = mbedtls_sha256_starts(&d->sha256, 0) != 0;
	}
}

void digest_update(struct digester *d, const void *data, size_t len)
{
	int r;

	if (len == 0)
		return;
	if (d->algorithm == DIGEST_SHA512)
		r = mbedtls_sha512_update(&d->sha512, data, len);
	else
		r = mbedtls_sha256_update(&d->sha256, data, len);
	d->failed |= r != 0;
}

int digest_finish(struct digester *d, char ret_text[DIGEST_TEXT_MAX])
{
	const char *prefix = algorithms[d->algorithm].prefix;
	unsigned char hash[64];
	int r;

	if (d->algorithm == DIGEST_SHA512)
		r = mbedtls_sha512_finish(&d->sha512, hash);
	else
		r = mbedtls_sha256_finish(&d->sha256, hash);
	if (r != 0 || d->failed)
		return -EIO;
	memcpy(ret_text, prefix, strlen(prefix));
	hex_encode(ret_text + strlen(prefix), hash, algorithms[d->algorithm].size);
	return 0;
}

int digest_of(const void *data, size_t len, char ret_text[DIGEST_TEXT_MAX])
{
	struct digester d;

	digest_start(&d, DIGEST_SHA256);
	digest_update(&d, data, len);
	return digest_finish(&d, ret_text);
}

int digest_of_fd(int fd, char ret_text[DIGEST_TEXT_MAX], uint64_t *ret_size, struct err *e)
{
	char part[32768];
	struct digester d;
	uint64_t size = 0;
	ssize_t n;

	digest_start(&d, DIGEST_SHA256);
	while ((n = read(fd, part, sizeof(part))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "cannot read what is to be hashed");
		digest_update(&d, part, (size_t)n);
		size += (uint64_t)n;
	}
	if (digest_finish(&d, ret_text) < 0)
		return err_set(e, EIO, "sha256 failed");
	if (ret_size)
		*ret_size = size;
	return 0;
}

static bool is_lower_hex(const char *s, size_t len)
{
	return strlen(s) == len && strspn(s, "0123456789abcdef") == len;
}

bool digest_valid(const char *text)
{
	for (size_t i = 0; text && i < ARRAY_SIZE(algorithms); i++) {
		if (str_starts(text, algorithms[i].prefix))
			return is_lower_hex(digest_hex(text), 2 * algorithms[i].size);
	}
	return false;
}

int digest_check(const char *text, struct err *e)
{
	if (digest_valid(text))
		return 0;
	return err_set(
		e, EINVAL,
		"\"%.160s\" is not a digest: expected sha256: and 64, or sha512: and 128, lower "
		"case hexadecimal digits",
		text ? text : "");
}

enum digest_algorithm digest_algorithm_of(const char *text)
{
	return str_starts(text, algorithms[DIGEST_SHA512].prefix) ? DIGEST_SHA512 : DIGEST_SHA256;
}

const char *digest_hex(const char *text)
{
	/* both prefixes have the same length */
	return text + strlen(algorithms[DIGEST_SHA256].prefix);
}
