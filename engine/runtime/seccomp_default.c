/*
 * Docker's default seccomp profile as a table: one row per rule, names separated by spaces.
 *
 * A row applies when the container has all of `with`, none of `without`, the kernel is new enough
 * and the architecture fits. Rows that apply become entries of the OCI object, in order. Called by
 * container/spec.c.
 */
#include "engine/runtime/seccomp_default.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "engine/runtime/profile.h"
#include "init/base/util.h"

enum { ARCH_ANY = 0, ARCH_AMD64 = 1, ARCH_ARM64 = 2 };

#if defined(__x86_64__)
enum { ARCH_HERE = ARCH_AMD64 };
static const char architectures[] = "\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"";
#elif defined(__aarch64__)
enum { ARCH_HERE = ARCH_ARM64 };
static const char architectures[] = "\"SCMP_ARCH_AARCH64\",\"SCMP_ARCH_ARM\"";
#else
#error "name this architecture's seccomp architectures here"
#endif

/* clone(2) flags that make namespaces: CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET */
#define NAMESPACE_FLAGS 0x7E020000u

struct arg {
	const char *op; /* of SCMP_CMP_*, NULL when the row compares nothing */
	uint64_t value;
};

struct row {
	const char *names;
	struct arg arg; /* on argument 0 */
	uint64_t with, without;
	unsigned int kernel; /* major << 8 | minor */
	unsigned int arches;
	int error; /* 0: allowed, else the errno */
};

#define BIT(n) (1ULL << (n))

static const char always[] =
	"accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown "
	"chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
	"clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect "
	"copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old "
	"epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat "
	"exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark "
	"fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync "
	"fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs "
	"fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait "
	"futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 "
	"geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid "
	"getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid "
	"getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt "
	"get_thread_area gettid gettimeofday getuid getuid32 getxattr getxattrat "
	"inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl "
	"io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set "
	"io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset "
	"landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr "
	"listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise "
	"map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod "
	"mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open "
	"mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink "
	"mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap "
	"name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open "
	"pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 "
	"prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 "
	"pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom "
	"recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename "
	"renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending "
	"rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
	"rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam "
	"sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval "
	"sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam "
	"sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop "
	"semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 "
	"setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority "
	"setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 "
	"setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid "
	"setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd "
	"signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs "
	"statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee "
	"tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 "
	"timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 "
	"timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask "
	"uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice "
	"wait4 waitid waitpid write writev";

static const struct row rows[] = {
	{ .names = always },
	{ .names = "process_vm_readv process_vm_writev ptrace", .kernel = 4 << 8 | 8 },
	/* every family but AF_ALG (38) and AF_VSOCK (40) */
	{ .names = "socket", .arg = { "LT", 38 } },
	{ .names = "socket", .arg = { "EQ", 39 } },
	{ .names = "socket", .arg = { "GT", 40 } },
	{ .names = "personality", .arg = { "EQ", 0 } },
	{ .names = "personality", .arg = { "EQ", 0x8 } },
	{ .names = "personality", .arg = { "EQ", 0x20000 } },
	{ .names = "personality", .arg = { "EQ", 0x20008 } },
	{ .names = "personality", .arg = { "EQ", 0xffffffff } },
	{ .names = "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush "
		   "set_tls",
	  .arches = ARCH_ARM64 },
	{ .names = "arch_prctl modify_ldt", .arches = ARCH_AMD64 },
	{ .names = "open_by_handle_at", .with = BIT(CAP_DAC_READ_SEARCH) },
	{ .names = "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
		   "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr "
		   "move_mount "
		   "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns "
		   "syslog "
		   "umount umount2 unshare",
	  .with = BIT(CAP_SYS_ADMIN) },
	{ .names = "clone",
	  .arg = { "MASKED_EQ", NAMESPACE_FLAGS },
	  .without = BIT(CAP_SYS_ADMIN) },
	/* its flags are in memory, out of the filter's sight: libc falls back to clone */
	{ .names = "clone3", .without = BIT(CAP_SYS_ADMIN), .error = ENOSYS },
	{ .names = "reboot", .with = BIT(CAP_SYS_BOOT) },
	{ .names = "chroot", .with = BIT(CAP_SYS_CHROOT) },
	{ .names = "delete_module init_module finit_module", .with = BIT(CAP_SYS_MODULE) },
	{ .names = "acct", .with = BIT(CAP_SYS_PACCT) },
	{ .names = "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
	  .with = BIT(CAP_SYS_PTRACE) },
	{ .names = "iopl ioperm", .with = BIT(CAP_SYS_RAWIO) },
	{ .names = "settimeofday stime clock_settime clock_settime64", .with = BIT(CAP_SYS_TIME) },
	{ .names = "vhangup", .with = BIT(CAP_SYS_TTY_CONFIG) },
	{ .names = "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
	  .with = BIT(CAP_SYS_NICE) },
	{ .names = "syslog", .with = BIT(CAP_SYSLOG) },
	{ .names = "bpf", .with = BIT(CAP_BPF) },
	{ .names = "perf_event_open", .with = BIT(CAP_PERFMON) },
};

unsigned int seccomp_kernel(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;

	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2 || minor > 255)
		return 0;
	return major << 8 | minor;
}

static bool applies(const struct row *r, uint64_t caps, unsigned int kernel)
{
	if ((caps & r->with) != r->with || (caps & r->without))
		return false;
	if (r->kernel > kernel)
		return false;
	return r->arches == ARCH_ANY || (r->arches & ARCH_HERE);
}

static void write_names(struct buf *out, const char *names)
{
	bool first = true;

	while (*names) {
		size_t len = strcspn(names, " ");

		buf_add_text(out, first ? "\"" : ",\"");
		buf_add(out, names, len);
		buf_add_char(out, '"');
		names += len;
		names += strspn(names, " ");
		first = false;
	}
}

static void write_row(struct buf *out, const struct row *r)
{
	buf_add_text(out, "{\"names\":[");
	write_names(out, r->names);
	if (r->error)
		buf_printf(out, "],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":%d", r->error);
	else
		buf_add_text(out, "],\"action\":\"SCMP_ACT_ALLOW\"");
	if (r->arg.op)
		buf_printf(out, ",\"args\":[{\"index\":0,\"value\":%llu,\"op\":\"SCMP_CMP_%s\"}]",
			   (unsigned long long)r->arg.value, r->arg.op);
	buf_add_char(out, '}');
}

int seccomp_default_write(uint64_t caps, unsigned int kernel, struct buf *out, struct err *e)
{
	bool first = true;

	if (!kernel)
		kernel = seccomp_kernel();
	buf_printf(out,
		   "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":%d,\"architectures\":"
		   "[%s],"
		   "\"syscalls\":[",
		   EPERM, architectures);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!applies(&rows[i], caps, kernel))
			continue;
		if (!first)
			buf_add_char(out, ',');
		write_row(out, &rows[i]);
		first = false;
	}
	buf_add_text(out, "]}");
	if (buf_failed(out))
		return err_errno(e, -buf_failed(out), "seccomp profile");
	return 0;
}
