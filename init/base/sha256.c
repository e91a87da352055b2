/*
 * SHA-256. One round is a macro and eight of them are written out per step, so that the working
 * variables stay in registers and change their roles instead of being moved: under emulation, where
 * stage 1 often runs, that is what the time goes into. Whole blocks are read in place.
 */
#pragma GCC optimize( \
	"O2") /* the image's programs are built for size; this one is built for the boot */

#include "init/base/sha256.h"

#include <endian.h>
#include <string.h>

static const uint32_t K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static inline uint32_t ror(uint32_t v, int n)
{
	return v >> n | v << (32 - n);
}

#define SUM0(x) (ror(x, 2) ^ ror(x, 13) ^ ror(x, 22))
#define SUM1(x) (ror(x, 6) ^ ror(x, 11) ^ ror(x, 25))
#define MIX0(x) (ror(x, 7) ^ ror(x, 18) ^ ((x) >> 3))
#define MIX1(x) (ror(x, 17) ^ ror(x, 19) ^ ((x) >> 10))

/* word i of the schedule, kept in a ring of sixteen */
#define WORD(i)                   \
	((i) < 16 ? w[(i)]        \
		  : (w[(i)&15] += \
		     MIX1(w[((i) + 14) & 15]) + w[((i) + 9) & 15] + MIX0(w[((i) + 1) & 15])))

#define ROUND(a, b, c, d, e, f, g, h, i)                                            \
	do {                                                                        \
		uint32_t t_ = h + SUM1(e) + (g ^ (e & (f ^ g))) + K[(i)] + WORD(i); \
		d += t_;                                                            \
		h = t_ + SUM0(a) + ((a & b) | (c & (a | b)));                       \
	} while (0)

#define ROUNDS8(i)                                      \
	do {                                            \
		ROUND(a, b, c, d, e, f, g, h, (i));     \
		ROUND(h, a, b, c, d, e, f, g, (i) + 1); \
		ROUND(g, h, a, b, c, d, e, f, (i) + 2); \
		ROUND(f, g, h, a, b, c, d, e, (i) + 3); \
		ROUND(e, f, g, h, a, b, c, d, (i) + 4); \
		ROUND(d, e, f, g, h, a, b, c, (i) + 5); \
		ROUND(c, d, e, f, g, h, a, b, (i) + 6); \
		ROUND(b, c, d, e, f, g, h, a, (i) + 7); \
	} while (0)

static void add_block(uint32_t state[8], const unsigned char *p)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
	uint32_t e = state[4], f = state[5], g = state[6], h = state[7], w[16];

	memcpy(w, p, sizeof(w));
	for (int i = 0; i < 16; i++)
		w[i] = be32toh(w[i]);
	ROUNDS8(0);
	ROUNDS8(8);
	ROUNDS8(16);
	ROUNDS8(24);
	ROUNDS8(32);
	ROUNDS8(40);
	ROUNDS8(48);
	ROUNDS8(56);
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
	state[5] += f;
	state[6] += g;
	state[7] += h;
}

void sha256_init(struct sha256 *s)
{
	*s = (struct sha256){ .state = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
					 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

void sha256_add(struct sha256 *s, const void *data, size_t len)
{
	const unsigned char *p = data;
	size_t fill = s->total % SHA256_BLOCK;

	s->total += len;
	if (fill) {
		size_t n = SHA256_BLOCK - fill;

		if (n > len)
			n = len;
		memcpy(s->block + fill, p, n);
		p += n;
		len -= n;
		if (fill + n < SHA256_BLOCK)
			return;
		add_block(s->state, s->block);
	}
	for (; len >= SHA256_BLOCK; p += SHA256_BLOCK, len -= SHA256_BLOCK)
		add_block(s->state, p);
	if (len)
		memcpy(s->block, p, len);
}

void sha256_end(struct sha256 *s, unsigned char ret_digest[SHA256_SIZE])
{
	static const unsigned char pad[SHA256_BLOCK] = { 0x80 };
	uint64_t bits = htobe64(s->total * 8);
	size_t fill = s->total % SHA256_BLOCK;

	sha256_add(s, pad, fill < 56 ? 56 - fill : 120 - fill);
	sha256_add(s, &bits, sizeof(bits));
	for (int i = 0; i < 8; i++) {
		uint32_t v = htobe32(s->state[i]);

		memcpy(ret_digest + 4 * i, &v, sizeof(v));
	}
}
