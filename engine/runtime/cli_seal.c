/*
 * The command line in a place where nobody can write to it.
 *
 * A process of a container can be made to execute /proc/self/exe, and then has this very program
 * open; on a file system that can be written it could put something else there for the next call
 * (CVE-2019-5736). So commands that make such processes run from a sealed copy in memory, unless
 * the program is on a read-only mount, as it is in the machine.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "engine/runtime/cli.h"

/* not in every libc; kernels before 6.3 refuse it */
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

static bool is_safe(int exe)
{
	struct statvfs fs;
	int have = fcntl(exe, F_GET_SEALS);

	if (have >= 0 && (have & seals) == seals)
		return true;
	return fstatvfs(exe, &fs) == 0 && (fs.f_flag & ST_RDONLY);
}

static int make_copy(int exe, struct err *e)
{
	_cleanup_(fd_close) int fd =
		memfd_create("skerry-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	struct stat st;
	off_t at = 0;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("skerry-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || fstat(exe, &st) < 0)
		return err_errno(e, errno, "a sealed copy of this program");
	while (at < st.st_size) {
		ssize_t n = sendfile(fd, exe, &at, (size_t)(st.st_size - at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_errno(e, n < 0 ? errno : EIO, "a sealed copy of this program");
	}
	if (fchmod(fd, 0555) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0)
		return err_errno(e, errno, "a sealed copy of this program");
	return take_fd(fd);
}

int cli_seal(char **argv, struct err *e)
{
	_cleanup_(fd_close) int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), copy = -1;
	char name[] = "skerry-runtime"; /* main() knows its role by it */

	if (exe < 0)
		return err_errno(e, errno, "/proc/self/exe");
	if (is_safe(exe))
		return 0;
	copy = make_copy(exe, e);
	if (copy < 0)
		return copy;
	argv[0] = name;
	(void)fexecve(copy, argv, environ);
	return err_errno(e, errno, "starting the sealed copy of this program");
}
