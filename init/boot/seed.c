/*
 * Seed file to kernel generator and back. The ioctl that credits takes {bits, bytes, data}.
 */
#include "init/boot/seed.h"

#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "init/base/file.h"
#include "init/base/sha256.h"
#include "init/base/str.h"
#include "init/base/util.h"

void seed_next(const unsigned char old[SEED_SIZE], const unsigned char fresh[SEED_SIZE],
	       unsigned char ret_next[SEED_SIZE])
{
	static const char purpose[] = "skerry seed 1";
	struct sha256 sha;

	sha256_init(&sha);
	sha256_add(&sha, purpose, sizeof(purpose));
	sha256_add(&sha, old, SEED_SIZE);
	sha256_add(&sha, fresh, SEED_SIZE);
	sha256_end(&sha, ret_next);
}

/* what the generator gives at once, ready or not: it is mixed, not trusted */
static void fresh_bytes(unsigned char fresh[SEED_SIZE])
{
	memset(fresh, 0, SEED_SIZE);
	(void)!getrandom(fresh, SEED_SIZE, GRND_INSECURE);
}

static int credit(const unsigned char seed[SEED_SIZE], struct err *e)
{
	struct {
		int bits, size;
		unsigned char data[SEED_SIZE];
	} request = { .bits = SEED_SIZE * 8, .size = SEED_SIZE };
	_cleanup_(fd_close) int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_errno(e, errno, "cannot open /dev/urandom");
	memcpy(request.data, seed, SEED_SIZE);
	r = ioctl(fd, RNDADDENTROPY, &request);
	explicit_bzero(&request, sizeof(request));
	return r < 0 ? err_errno(e, errno, "cannot hand the seed to the random generator") : 0;
}

int seed_restore(const char *path, struct err *e)
{
	_cleanup_(mem_free) char *old = NULL;
	unsigned char fresh[SEED_SIZE], next[SEED_SIZE];
	size_t len = 0;
	int r = file_read(AT_FDCWD, path, 4096, &old, &len, e);

	if (r == -ENOENT || (r == 0 && len != SEED_SIZE))
		return 0;
	if (r < 0)
		return r;
	fresh_bytes(fresh);
	seed_next((const unsigned char *)old, fresh, next);
	r = file_replace(AT_FDCWD, path, next, sizeof(next), 0600, true, e);
	if (r == 0)
		r = credit((const unsigned char *)old, e);
	explicit_bzero(old, len);
	explicit_bzero(next, sizeof(next));
	return r < 0 ? r : 1;
}

int seed_save(const char *path, struct err *e)
{
	_cleanup_(mem_free) char *old = NULL;
	unsigned char fresh[SEED_SIZE], next[SEED_SIZE], none[SEED_SIZE] = { 0 };
	size_t len = 0;
	int r;

	if (getrandom(fresh, SEED_SIZE, GRND_NONBLOCK) != SEED_SIZE)
		return err_set(e, EAGAIN, "the random generator is not ready, no seed is kept");
	(void)file_read(AT_FDCWD, path, 4096, &old, &len, NULL);
	seed_next(old && len == SEED_SIZE ? (const unsigned char *)old : none, fresh, next);
	r = file_replace(AT_FDCWD, path, next, sizeof(next), 0600, true, e);
	explicit_bzero(fresh, sizeof(fresh));
	explicit_bzero(next, sizeof(next));
	return r;
}

bool seed_has_device(void)
{
	_cleanup_(mem_free) char *devices = NULL, *cpu = NULL;

	if (file_read(AT_FDCWD, "/sys/class/misc/hw_random/rng_available", 4096, &devices, NULL,
		      NULL) == 0 &&
	    !str_empty(str_trim(devices)))
		return true;
	return file_read(AT_FDCWD, "/proc/cpuinfo", 1 << 20, &cpu, NULL, NULL) == 0 &&
	       strstr(cpu, " rdrand");
}
