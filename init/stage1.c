/*
 * Stage 1: /init of the initramfs. It checks that the root's image is the one this file was built
 * with, mounts it in place and hands over to PID 1.
 *
 * The digest and the build time come from the build (SKERRY_ROOT_SHA256 as hex text,
 * SKERRY_BUILD_TIME in seconds since 1970). The image stays in the initramfs: EROFS reads its pages
 * from there for as long as the machine runs. What goes wrong here cannot be repaired from here:
 * one sentence on the console, and a new attempt after ten seconds. Called by the kernel only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "init/base/sha256.h"

#if !defined(SKERRY_ROOT_SHA256) || !defined(SKERRY_BUILD_TIME)
#error "stage 1 is built for one root: define SKERRY_ROOT_SHA256 and SKERRY_BUILD_TIME"
#endif

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

static const char image[] = "/rootfs.erofs";
static const char target[] = "/newroot";

enum { REBOOT_SECONDS = 10 };

static _Noreturn void stop(const char *what, int code)
{
	char line[300];
	int n = snprintf(line, sizeof(line), "\nskerry: %s%s%s. Restarting in %d seconds.\n", what,
			 code ? ": " : "", code ? strerror(code) : "", REBOOT_SECONDS);

	if (n > 0)
		(void)!write(STDERR_FILENO, line, (size_t)n);
	sync();
	sleep(REBOOT_SECONDS);
	reboot(RB_AUTOBOOT);
	for (;;) /* PID 1 must not end */
		pause();
}

static void to_hex(char *text, const unsigned char *digest)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < SHA256_SIZE; i++) {
		*text++ = digits[digest[i] >> 4];
		*text++ = digits[digest[i] & 15];
	}
	*text = '\0';
}

static void verify(void)
{
	unsigned char digest[SHA256_SIZE];
	char text[2 * SHA256_SIZE + 1];
	struct sha256 sha;
	struct stat st;
	int fd = open(image, O_RDONLY | O_CLOEXEC);
	void *data;

	if (fd < 0 || fstat(fd, &st) < 0)
		stop("the root's image /rootfs.erofs is not in the initramfs", errno);
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (st.st_size == 0 || data == MAP_FAILED)
		stop("the root's image /rootfs.erofs cannot be read", errno);
	sha256_init(&sha);
	sha256_add(&sha, data, (size_t)st.st_size);
	sha256_end(&sha, digest);
	munmap(data, (size_t)st.st_size);
	close(fd);
	to_hex(text, digest);
	if (strcmp(text, SKERRY_ROOT_SHA256) != 0)
		stop("the root's image /rootfs.erofs is damaged or not the one that belongs to "
		     "this "
		     "kernel file (its sha256 is wrong), so it is not started",
		     0);
}

static void change_root(void)
{
	if (mkdir(target, 0755) < 0 && errno != EEXIST)
		stop("cannot make the folder for the root", errno);
	if (mount(image, target, "erofs", MS_RDONLY | MS_NODEV | MS_NOSUID, NULL) < 0) {
		if (errno == ENOTBLK)
			stop("the root's image cannot be mounted from tmpfs, the kernel needs "
			     "rootfstype=ramfs on its command line",
			     0);
		stop("the root's image /rootfs.erofs cannot be mounted", errno);
	}
	if (chdir(target) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		stop("cannot change to the new root", errno);
}

int main(int argc, char **argv)
{
	/* the clock's floor, which PID 1 sets; the rest of the environment is what the kernel's
	 * command line left over, and nobody asked for it */
	static char build_time[] = "SKERRY_BUILD_TIME=" TEXT(SKERRY_BUILD_TIME);
	char *env[] = { build_time, NULL };
	char name[] = "/sbin/init";
	char *args[] = { name, NULL };

	(void)argc;
	(void)argv;
	if (getpid() != 1)
		return 1;
	verify();
	change_root();
	execve(name, args, env);
	stop("cannot start /sbin/init", errno);
}
