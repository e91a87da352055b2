/* Digests against the published test vectors; texts strictly. */
#include "engine/data/digest.h"

#include <fcntl.h>
#include <unistd.h>

#include "init/base/util.h"
#include "tests/unit/test.h"

#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC512                                                                    \
	"sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" \
	"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

TEST(known_vectors)
{
	char text[DIGEST_TEXT_MAX];
	struct digester d;

	CHECK_INT(digest_of("", 0, text), 0);
	CHECK_STR(text, EMPTY);
	CHECK_INT(digest_of("abc", 3, text), 0);
	CHECK_STR(text, ABC);
	CHECK_INT(strlen(text), DIGEST_TEXT_LEN);
	digest_start(&d, DIGEST_SHA512);
	digest_update(&d, "a", 1);
	digest_update(&d, NULL, 0);
	digest_update(&d, "bc", 2);
	CHECK_INT(digest_finish(&d, text), 0);
	CHECK_STR(text, ABC512);
}

TEST(of_a_file)
{
	char text[DIGEST_TEXT_MAX], million[1000];
	int fds[2], fd = open(test_tmpdir(), O_RDWR | O_TMPFILE, 0600);
	uint64_t size = 1;

	CHECK(fd >= 0);
	memset(million, 'a', sizeof(million));
	for (int i = 0; i < 1000; i++)
		CHECK_INT(write(fd, million, sizeof(million)), sizeof(million));
	CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
	CHECK_INT(digest_of_fd(fd, text, &size, NULL), 0);
	CHECK_STR(text, "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	CHECK_INT(size, 1000000);
	close(fd);
	CHECK_INT(digest_of_fd(fd, text, NULL, NULL), -EBADF);
	CHECK_INT(pipe(fds), 0);
	close(fds[1]);
	CHECK_INT(digest_of_fd(fds[0], text, &size, NULL), 0);
	CHECK_STR(text, EMPTY);
	close(fds[0]);
}

TEST(texts)
{
	static const char *const bad[] = {
		"",
		"sha256:",
		"sha256",
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
		"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
		"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0",
		"sha256:../../../../../../../../../../../../../../../../../../../etc/passwd",
		"SHA256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"md5:900150983cd24fb0d6963f7d28e17f72",
	};
	struct err e = { 0 };

	CHECK(digest_valid(ABC) && digest_valid(ABC512));
	CHECK(!digest_valid(NULL));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_MSG(!digest_valid(bad[i]), "%s", bad[i]);
	CHECK_INT(digest_check("md5:x", &e), -EINVAL);
	CHECK(strstr(err_text(&e), "\"md5:x\" is not a digest"));
	CHECK_INT(digest_check(ABC, &e), 0);
	CHECK_INT(digest_algorithm_of(ABC512), DIGEST_SHA512);
	CHECK_INT(digest_algorithm_of(ABC), DIGEST_SHA256);
	CHECK_INT(strncmp(digest_hex(ABC), "ba7816", 6), 0);
	CHECK_INT(strncmp(digest_hex(ABC512), "ddaf35", 6), 0);
}
