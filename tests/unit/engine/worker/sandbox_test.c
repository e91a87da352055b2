/*
 * The sandbox, tried from inside: every case forks, applies it, and attempts what must fail and
 * what must work; the exit status says which attempt went wrong.
 */
#include "engine/worker/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/base/str.h"
#include "tests/unit/test.h"

/* Runs fn in a child; 0 or the number of the attempt that went wrong. */
static int inside(int (*fn)(void))
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(fn());
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static bool have_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
}

static bool is_root(void)
{
	if (getuid() == 0)
		return true;
	printf("# SKIP needs root\n");
	return false;
}

#define EXPECT(n, cond)             \
	do {                        \
		if (!(cond))        \
			return (n); \
	} while (0)

static int apply(const struct worker_sandbox *s)
{
	struct err e = { 0 };
	int r = worker_sandbox_apply(s, &e);

	if (r < 0)
		fprintf(stderr, "# %s\n", err_text(&e));
	return r;
}

static int try_files(void)
{
	char ro[300], rw[300], in_ro[320], in_rw[320];

	snprintf(ro, sizeof(ro), "%s/ro", test_tmpdir());
	snprintf(rw, sizeof(rw), "%s/rw", test_tmpdir());
	snprintf(in_ro, sizeof(in_ro), "%s/f", ro);
	snprintf(in_rw, sizeof(in_rw), "%s/f", rw);
	const struct worker_path paths[] = { { ro, WORKER_READ }, { rw, WORKER_WRITE } };
	const struct worker_sandbox s = { .confine_files = true, .paths = paths, .n_paths = 2 };

	EXPECT(1, apply(&s) == 0);
	EXPECT(2, open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
	EXPECT(3, open(in_ro, O_RDONLY) >= 0);
	EXPECT(4, open(in_ro, O_WRONLY) < 0 && errno == EACCES);
	EXPECT(5, open(in_rw, O_RDWR | O_CREAT, 0600) >= 0);
	EXPECT(6, unlink(in_rw) == 0);
	EXPECT(7, unlink(in_ro) < 0 && errno == EACCES);
	EXPECT(8, open("/proc/self/status", O_RDONLY) < 0);
	EXPECT(9, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	return 0;
}

TEST(files_are_confined)
{
	char path[320];

	if (!have_landlock()) {
		printf("# SKIP the kernel has no Landlock\n");
		return;
	}
	snprintf(path, sizeof(path), "%s/ro", test_tmpdir());
	CHECK_INT(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/ro/f", test_tmpdir());
	CHECK_INT(close(open(path, O_WRONLY | O_CREAT, 0644)), 0);
	snprintf(path, sizeof(path), "%s/rw", test_tmpdir());
	CHECK_INT(mkdir(path, 0755), 0);
	CHECK_INT(inside(try_files), 0);
}

static int try_user(void)
{
	const struct worker_sandbox s = {
		.drop_user = true, .uid = 12345, .gid = 23456, .keep_caps = UINT64_C(1) << CAP_CHOWN
	};
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	int fd = open("/dev/shm", O_RDWR | O_TMPFILE, 0600);

	EXPECT(1, apply(&s) == 0);
	EXPECT(2, getuid() == 12345 && geteuid() == 12345 && getgid() == 23456);
	EXPECT(3, getgroups(0, NULL) == 0);
	EXPECT(4, syscall(SYS_capget, &header, data) == 0);
	EXPECT(5, data[0].effective == 1u << CAP_CHOWN && data[0].permitted == 1u << CAP_CHOWN);
	EXPECT(6, data[1].effective == 0 && data[0].inheritable == 0);
	EXPECT(7, setuid(0) < 0 && errno == EPERM);
	EXPECT(8, fd < 0 || fchown(fd, 1, 2) == 0);
	EXPECT(9, prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0);
	EXPECT(10, prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0) == 1);
	EXPECT(11, open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES);
	return 0;
}

TEST(user_and_capabilities)
{
	if (is_root())
		CHECK_INT(inside(try_user), 0);
}

static int try_network(void)
{
	const struct worker_sandbox s = { .no_network = true };
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(9),
				  .sin_addr.s_addr = htonl(0x7f000001) };
	struct if_nameindex *names;
	int fd;

	EXPECT(1, apply(&s) == 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	EXPECT(2, fd >= 0);
	EXPECT(3, connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno == ENETUNREACH);
	names = if_nameindex();
	for (size_t i = 0; names && names[i].if_index; i++)
		EXPECT(4, str_eq(names[i].if_name, "lo") || strchr(names[i].if_name, '0'));
	if_freenameindex(names);
	return 0;
}

TEST(network_is_gone)
{
	if (is_root())
		CHECK_INT(inside(try_network), 0);
}

static int try_calls(void)
{
	const struct worker_sandbox s = { .calls = WORKER_CALLS_FILES };
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/f", test_tmpdir());
	EXPECT(1, apply(&s) == 0);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EXPECT(2, fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0);
	EXPECT(3, socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM);
	EXPECT(4, fork() < 0 && errno == EPERM);
	EXPECT(5, execl("/bin/true", "true", NULL) < 0 && errno == EPERM);
	EXPECT(6, fchown(fd, 1, 1) < 0 && errno == EPERM);
	EXPECT(7, ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 && errno == EPERM);
	EXPECT(8, syscall(SYS_mount, "a", "b", "c", 0, NULL) < 0 && errno == EPERM);
	EXPECT(9, kill(getppid(), 0) < 0 && errno == EPERM);
	EXPECT(10, memfd_create("x", MFD_CLOEXEC) >= 0);
	EXPECT(11, unlink(path) == 0);
	return 0;
}

static int try_net_calls(void)
{
	const struct worker_sandbox s = { .calls = WORKER_CALLS_NET };

	EXPECT(1, apply(&s) == 0);
	EXPECT(2, socket(AF_INET, SOCK_STREAM, 0) >= 0);
	EXPECT(3, socket(AF_INET6, SOCK_STREAM, 0) >= 0 || errno == EAFNOSUPPORT);
	EXPECT(4, socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EPERM);
	EXPECT(5, socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM);
	EXPECT(6, open("/etc/passwd", O_RDONLY) < 0 && errno == EPERM);
	return 0;
}

TEST(calls_are_listed)
{
	CHECK_INT(inside(try_calls), 0);
	CHECK_INT(inside(try_net_calls), 0);
}

static int try_limits(void)
{
	const struct worker_sandbox s = { .max_files = 20, .max_file_size = 100 };
	int fd = open(test_tmpdir(), O_RDWR | O_TMPFILE, 0600), n = 0;
	char bytes[200] = { 0 };

	signal(SIGXFSZ, SIG_IGN);
	EXPECT(1, apply(&s) == 0);
	EXPECT(2, write(fd, bytes, sizeof(bytes)) == 100);
	EXPECT(3, write(fd, bytes, sizeof(bytes)) < 0 && errno == EFBIG);
	while (dup(fd) >= 0)
		n++;
	EXPECT(4, errno == EMFILE && n < 20);
	return 0;
}

TEST(limits_hold)
{
	test_tmpdir();
	CHECK_INT(inside(try_limits), 0);
}

TEST(missing_path_is_an_error)
{
	const struct worker_path paths[] = { { "/no/such/path", WORKER_READ } };
	const struct worker_sandbox s = { .confine_files = true, .paths = paths, .n_paths = 1 };
	struct err e = { 0 };

	if (!have_landlock()) {
		printf("# SKIP the kernel has no Landlock\n");
		return;
	}
	/* fails before anything irreversible but the limits */
	CHECK_INT(worker_sandbox_apply(&s, &e), -ENOENT);
	CHECK_STR(err_text(&e),
		  "cannot open /no/such/path for the sandbox: No such file or directory");
}
