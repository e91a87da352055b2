/*
 * Which system calls each group of a worker's sandbox may make: data, and its translation to
 * seccomp.
 *
 * A name that the library does not know (older kernel headers) is skipped: that only narrows the
 * list. socket(2) is allowed with the inet and unix families alone; clone and exec never. Called by
 * sandbox.c.
 */
#include <seccomp.h>
#include <sys/socket.h>

#include "engine/worker/sandbox_priv.h"
#include "init/base/util.h"

enum { LOOK_AND_FILES = WORKER_CALLS_LOOK | WORKER_CALLS_FILES };

static const struct {
	unsigned group;
	const char *name;
} calls[] = {
	/* memory */
	{ WORKER_CALLS_BASE, "brk" },
	{ WORKER_CALLS_BASE, "mmap" },
	{ WORKER_CALLS_BASE, "munmap" },
	{ WORKER_CALLS_BASE, "mremap" },
	{ WORKER_CALLS_BASE, "mprotect" },
	{ WORKER_CALLS_BASE, "madvise" },
	{ WORKER_CALLS_BASE, "futex" },
	{ WORKER_CALLS_BASE, "membarrier" },
	/* open descriptors */
	{ WORKER_CALLS_BASE, "read" },
	{ WORKER_CALLS_BASE, "readv" },
	{ WORKER_CALLS_BASE, "pread64" },
	{ WORKER_CALLS_BASE, "preadv" },
	{ WORKER_CALLS_BASE, "write" },
	{ WORKER_CALLS_BASE, "writev" },
	{ WORKER_CALLS_BASE, "pwrite64" },
	{ WORKER_CALLS_BASE, "pwritev" },
	{ WORKER_CALLS_BASE, "lseek" },
	{ WORKER_CALLS_BASE, "close" },
	{ WORKER_CALLS_BASE, "close_range" },
	{ WORKER_CALLS_BASE, "dup" },
	{ WORKER_CALLS_BASE, "dup2" },
	{ WORKER_CALLS_BASE, "dup3" },
	{ WORKER_CALLS_BASE, "fcntl" },
	{ WORKER_CALLS_BASE, "fstat" },
	{ WORKER_CALLS_BASE, "poll" },
	{ WORKER_CALLS_BASE, "ppoll" },
	{ WORKER_CALLS_BASE, "sendmsg" },
	{ WORKER_CALLS_BASE, "recvmsg" },
	{ WORKER_CALLS_BASE, "memfd_create" },
	{ WORKER_CALLS_BASE, "ftruncate" },
	/* time, random, identity, signals to itself, the end */
	{ WORKER_CALLS_BASE, "clock_gettime" },
	{ WORKER_CALLS_BASE, "clock_nanosleep" },
	{ WORKER_CALLS_BASE, "nanosleep" },
	{ WORKER_CALLS_BASE, "gettimeofday" },
	{ WORKER_CALLS_BASE, "time" },
	{ WORKER_CALLS_BASE, "getrandom" },
	{ WORKER_CALLS_BASE, "getpid" },
	{ WORKER_CALLS_BASE, "gettid" },
	{ WORKER_CALLS_BASE, "getuid" },
	{ WORKER_CALLS_BASE, "geteuid" },
	{ WORKER_CALLS_BASE, "getgid" },
	{ WORKER_CALLS_BASE, "getegid" },
	{ WORKER_CALLS_BASE, "uname" },
	{ WORKER_CALLS_BASE, "sysinfo" },
	{ WORKER_CALLS_BASE, "sched_yield" },
	{ WORKER_CALLS_BASE, "sched_getaffinity" },
	{ WORKER_CALLS_BASE, "rt_sigaction" },
	{ WORKER_CALLS_BASE, "rt_sigprocmask" },
	{ WORKER_CALLS_BASE, "rt_sigreturn" },
	{ WORKER_CALLS_BASE, "sigaltstack" },
	{ WORKER_CALLS_BASE, "restart_syscall" },
	{ WORKER_CALLS_BASE, "exit" },
	{ WORKER_CALLS_BASE, "exit_group" },
	/* files */
	{ LOOK_AND_FILES, "openat" },
	{ WORKER_CALLS_FILES, "openat2" },
	{ LOOK_AND_FILES, "open" },
	{ LOOK_AND_FILES, "stat" },
	{ LOOK_AND_FILES, "lstat" },
	{ LOOK_AND_FILES, "newfstatat" },
	{ LOOK_AND_FILES, "statx" },
	{ LOOK_AND_FILES, "fstatfs" },
	{ WORKER_CALLS_FILES, "faccessat" },
	{ WORKER_CALLS_FILES, "faccessat2" },
	{ WORKER_CALLS_FILES, "access" },
	{ WORKER_CALLS_FILES, "getdents64" },
	{ WORKER_CALLS_FILES, "readlinkat" },
	{ WORKER_CALLS_FILES, "readlink" },
	{ WORKER_CALLS_FILES, "getcwd" },
	{ WORKER_CALLS_FILES, "fchdir" },
	{ WORKER_CALLS_FILES, "mkdirat" },
	{ WORKER_CALLS_FILES, "mkdir" },
	{ WORKER_CALLS_FILES, "unlinkat" },
	{ WORKER_CALLS_FILES, "unlink" },
	{ WORKER_CALLS_FILES, "rmdir" },
	{ WORKER_CALLS_FILES, "renameat" },
	{ WORKER_CALLS_FILES, "renameat2" },
	{ WORKER_CALLS_FILES, "rename" },
	{ WORKER_CALLS_FILES, "linkat" },
	{ WORKER_CALLS_FILES, "symlinkat" },
	{ WORKER_CALLS_FILES, "fchmod" },
	{ WORKER_CALLS_FILES, "fchmodat" },
	{ WORKER_CALLS_FILES, "fchmodat2" },
	{ WORKER_CALLS_FILES, "chmod" },
	{ WORKER_CALLS_FILES, "umask" },
	{ WORKER_CALLS_FILES, "utimensat" },
	{ WORKER_CALLS_FILES, "fallocate" },
	{ WORKER_CALLS_FILES, "fadvise64" },
	{ WORKER_CALLS_FILES, "copy_file_range" },
	{ WORKER_CALLS_FILES, "sendfile" },
	{ WORKER_CALLS_FILES, "splice" },
	{ WORKER_CALLS_FILES, "fsync" },
	{ WORKER_CALLS_FILES, "fdatasync" },
	{ WORKER_CALLS_FILES, "syncfs" },
	{ WORKER_CALLS_FILES, "flock" },
	{ WORKER_CALLS_FILES, "fgetxattr" },
	{ WORKER_CALLS_FILES, "flistxattr" },
	{ WORKER_CALLS_FILES, "getxattr" },
	{ WORKER_CALLS_FILES, "lgetxattr" },
	{ WORKER_CALLS_FILES, "listxattr" },
	{ WORKER_CALLS_FILES, "llistxattr" },
	/* owners and kinds of unpacked files */
	{ WORKER_CALLS_OWNERS, "fchown" },
	{ WORKER_CALLS_OWNERS, "fchownat" },
	{ WORKER_CALLS_OWNERS, "lchown" },
	{ WORKER_CALLS_OWNERS, "chown" },
	{ WORKER_CALLS_OWNERS, "mknodat" },
	{ WORKER_CALLS_OWNERS, "mknod" },
	{ WORKER_CALLS_OWNERS, "fsetxattr" },
	{ WORKER_CALLS_OWNERS, "setxattr" },
	{ WORKER_CALLS_OWNERS, "lsetxattr" },
	{ WORKER_CALLS_OWNERS, "fremovexattr" },
	{ WORKER_CALLS_OWNERS, "lremovexattr" },
	/* network; socket(2) itself is below */
	{ WORKER_CALLS_SERVE, "accept4" },
	{ WORKER_CALLS_NET, "connect" },
	{ WORKER_CALLS_NET, "bind" },
	{ WORKER_CALLS_NET, "getsockname" },
	{ WORKER_CALLS_NET, "getpeername" },
	{ WORKER_CALLS_NET, "getsockopt" },
	{ WORKER_CALLS_NET, "setsockopt" },
	{ WORKER_CALLS_NET, "sendto" },
	{ WORKER_CALLS_NET, "recvfrom" },
	{ WORKER_CALLS_NET, "sendmmsg" },
	{ WORKER_CALLS_NET, "recvmmsg" },
	{ WORKER_CALLS_NET, "shutdown" },
	{ WORKER_CALLS_NET, "select" },
	{ WORKER_CALLS_NET, "pselect6" },
	{ WORKER_CALLS_NET, "pipe2" },
	{ WORKER_CALLS_NET, "socketpair" },
	{ WORKER_CALLS_NET, "eventfd2" },
	{ WORKER_CALLS_NET, "epoll_create1" },
	{ WORKER_CALLS_NET, "epoll_ctl" },
	{ WORKER_CALLS_NET, "epoll_wait" },
	{ WORKER_CALLS_NET, "epoll_pwait" },
};

static const int families[] = { AF_UNIX, AF_INET, AF_INET6 };

static void filter_free(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
}
DEFINE_CLEANUP_VALUE(scmp_filter_ctx, filter_free)

static int allow_sockets(scmp_filter_ctx filter)
{
	int nr = seccomp_syscall_resolve_name("socket"), r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(families); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, nr, 1,
				     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	return r;
}

int sandbox_load_filter(unsigned groups, struct err *e)
{
	_cleanup_(filter_free) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = 0;

	if (!filter)
		return err_set(e, ENOMEM, "out of memory for a seccomp filter");
	groups |= WORKER_CALLS_BASE;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(calls); i++) {
		int nr = seccomp_syscall_resolve_name(calls[i].name);

		if (calls[i].group & groups && nr >= 0)
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, nr, 0);
	}
	if (r == 0 && groups & WORKER_CALLS_NET)
		r = allow_sockets(filter);
	if (r == 0)
		r = seccomp_load(filter);
	return r < 0 ? err_errno(e, -r, "cannot load the worker's seccomp filter") : 0;
}
