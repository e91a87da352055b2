/* FIPS 180-4 examples, and every split of a message over two calls. */
#include "init/base/sha256.h"

#include "init/base/str.h"
#include "tests/unit/test.h"

static void digest_of(const void *data, size_t len, char *hex)
{
	unsigned char digest[SHA256_SIZE];
	struct sha256 sha;

	sha256_init(&sha);
	sha256_add(&sha, data, len);
	sha256_end(&sha, digest);
	hex_encode(hex, digest, sizeof(digest));
}

TEST(known_digests)
{
	static const struct {
		const char *text, *hex;
	} cases[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
		{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopq"
		  "klmno"
		  "pqrlmnopqrsmnopqrstnopqrstu",
		  "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
	};
	char hex[2 * SHA256_SIZE + 1];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		digest_of(cases[i].text, strlen(cases[i].text), hex);
		CHECK_STR(hex, cases[i].hex);
	}
}

TEST(a_million_letters)
{
	char *text = malloc(1000000), hex[2 * SHA256_SIZE + 1];

	memset(text, 'a', 1000000);
	digest_of(text, 1000000, hex);
	free(text);
	CHECK_STR(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(any_split_is_the_same)
{
	unsigned char text[200], whole[SHA256_SIZE], parts[SHA256_SIZE];
	struct sha256 sha;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (unsigned char)(i * 7);
	sha256_init(&sha);
	sha256_add(&sha, text, sizeof(text));
	sha256_end(&sha, whole);
	for (size_t cut = 0; cut <= sizeof(text); cut++) {
		sha256_init(&sha);
		sha256_add(&sha, text, cut);
		sha256_add(&sha, text + cut, sizeof(text) - cut);
		sha256_end(&sha, parts);
		CHECK(memcmp(whole, parts, sizeof(whole)) == 0);
	}
}
