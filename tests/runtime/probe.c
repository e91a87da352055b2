/*
 * What a container's process can do and see, asked from inside: a static program that the tests put
 * into the image.
 *
 *   probe call NR [ARG…]     the raw system call: "= RESULT" or the errno's name
 *   probe calls NR…          several without arguments: "NR RESULT" each
 *   probe int80 NR [ARG…]    the same by the 32-bit entry; "SIGNAL" when there is none
 *   probe tiocsti            types a character into its terminal: the name of the errno, or "OK"
 *   probe fds                descriptors that are open, with what they are
 *   probe cwd                the working directory as the kernel says it
 *   probe write PATH         whether PATH can be opened for writing
 *   probe trace SECONDS      tries to trace every process until /stop is there; prints how many it
 *                            got, and how many were no programs of the image (caught entering)
 *   probe swap A B [A B…] SECONDS   exchanges two names over and over
 *   probe steal SECONDS      keeps the programs of other processes open (/proc/PID/exe), writes to
 *                            them as soon as that may be done; prints which, and what became of it
 *   probe pour MIB           writes numbered lines to stdout
 *   probe sched              scheduling policy, priority, nice value, disk priority, processors
 *   probe propagation PATH   the optional fields of the mount at PATH ("-": none)
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int do_call(int argc, char **argv)
{
	long a[6] = { 0 }, r;

	for (int i = 3; i < argc && i < 9; i++)
		a[i - 3] = (long)strtoull(argv[i], NULL, 0);
	r = syscall(strtol(argv[2], NULL, 0), a[0], a[1], a[2], a[3], a[4], a[5]);
	if (r < 0)
		printf("%s\n", strerrorname_np(errno));
	else
		printf("= %ld\n", r);
	return 0;
}

static int do_calls(int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		long r = syscall(strtol(argv[i], NULL, 0), 0, 0, 0, 0, 0, 0);

		printf("%s %s\n", argv[i], r < 0 ? strerrorname_np(errno) : "OK");
	}
	return 0;
}

static void on_signal(int sig)
{
	(void)sig;
	puts("SIGNAL");
	fflush(stdout);
	_exit(0);
}

static int do_int80(int argc, char **argv)
{
	unsigned int a[4] = { 0 };
	int r;

	for (int i = 2; i < argc && i < 6; i++)
		a[i - 2] = (unsigned int)strtoul(argv[i], NULL, 0);
	signal(SIGSEGV, on_signal);
	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(a[0]), "b"(a[1]), "c"(a[2]), "d"(a[3])
			 : "memory", "r8", "r9", "r10", "r11");
	if (r < 0)
		puts(strerrorname_np(-r) ? strerrorname_np(-r) : "?");
	else
		printf("= %d\n", r);
	return 0;
}

static int do_tiocsti(void)
{
	return puts(ioctl(0, TIOCSTI, "x") < 0 ? strerrorname_np(errno) : "OK") < 0;
}

static int do_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[300], to[300] = "";

		if (e->d_name[0] == '.' || atoi(e->d_name) == dirfd(d))
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
		if (readlink(path, to, sizeof(to) - 1) > 0)
			printf("%s %s\n", e->d_name, to);
	}
	return 0;
}

static int is_foreign(pid_t pid)
{
	char path[64], name[4096] = "";

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return readlink(path, name, sizeof(name) - 1) < 0 ||
	       (!strstr(name, "busybox") && !strstr(name, "probe"));
}

static int do_trace(double seconds)
{
	double end = now() + seconds;
	int got = 0, caught = 0;

	puts("ready");
	fflush(stdout);

	while (now() < end && access("/stop", F_OK) < 0)
		for (pid_t pid = 2; pid < 4000; pid++) {
			if (pid == getpid() || ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0)
				continue;
			waitpid(pid, NULL, __WALL);
			caught += is_foreign(pid);
			ptrace(PTRACE_DETACH, pid, NULL, NULL);
			got++;
		}
	printf("traced %d caught %d\n", got, caught);
	return 0;
}

static int do_swap(int argc, char **argv)
{
	double end = now() + atof(argv[argc - 1]);

	while (now() < end)
		for (int i = 0; i < 1000; i++)
			for (int k = 2; k + 2 < argc; k += 2)
				syscall(SYS_renameat2, AT_FDCWD, argv[k], AT_FDCWD, argv[k + 1],
					2 /* RENAME_EXCHANGE */);
	return 0;
}

/* A file that was executed and is not any more can be written, unless it cannot be at all. */
static void steal(pid_t pid)
{
	char path[64], name[4096] = "", self[4096] = "";
	int fd, out = -1;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name) - 1) < 0 ||
	    readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || !strcmp(name, self) ||
	    strstr(name, "busybox")) {
		close(fd);
		return;
	}
	for (int i = 0; i < 200 && out < 0; i++) {
		out = open(path, O_WRONLY | O_CLOEXEC);
		if (out < 0 && errno != ETXTBSY)
			break;
		usleep(500);
	}
	printf("found %s: %s\n", name,
	       out >= 0 && write(out, "hacked", 6) == 6 ? "WRITTEN" : strerrorname_np(errno));
	fflush(stdout);
	close(out);
	close(fd);
}

static int do_steal(double seconds)
{
	double end = now() + seconds;

	puts("ready");
	fflush(stdout);
	while (now() < end) {
		DIR *d = opendir("/proc");
		struct dirent *e;

		while (d && (e = readdir(d)))
			if (atoi(e->d_name) > 0 && atoi(e->d_name) != getpid())
				steal(atoi(e->d_name));
		closedir(d);
	}
	return 0;
}

static int do_pour(long mib)
{
	char line[65];
	long lines = mib * 1024 * 1024 / 64;

	for (long i = 0; i < lines; i++) {
		snprintf(line, sizeof(line), "%063ld\n", i);
		if (fwrite(line, 64, 1, stdout) != 1)
			return 1;
	}
	return fflush(stdout) != 0;
}

static int do_sched(void)
{
	struct sched_param p = { 0 };
	cpu_set_t set;

	sched_getparam(0, &p);
	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	printf("policy=%d priority=%d nice=%d io=%ld:%ld cpus=", sched_getscheduler(0),
	       p.sched_priority, getpriority(PRIO_PROCESS, 0), syscall(SYS_ioprio_get, 1, 0) >> 13,
	       syscall(SYS_ioprio_get, 1, 0) & 0x1fff);
	for (int i = 0, n = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			printf("%s%d", n++ ? "," : "", i);
	printf("\n");
	return 0;
}

static int do_propagation(const char *path)
{
	FILE *f = fopen("/proc/self/mountinfo", "r");
	char line[8192], at[4096], last[4096] = "(none)";

	while (f && fgets(line, sizeof(line), f)) {
		int end = 0;

		if (sscanf(line, "%*s %*s %*s %*s %4095s %*s %n", at, &end) < 1 || strcmp(at, path))
			continue;
		line[end + strcspn(line + end, "-") + 1] = '\0';
		snprintf(last, sizeof(last), "%s", line + end);
	}
	puts(last);
	return f ? fclose(f) : 1;
}

int main(int argc, char **argv)
{
	char text[4096];
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "call") && argc > 2)
		return do_call(argc, argv);
	if (!strcmp(what, "calls"))
		return do_calls(argc, argv);
	if (!strcmp(what, "int80") && argc > 2)
		return do_int80(argc, argv);
	if (!strcmp(what, "tiocsti"))
		return do_tiocsti();
	if (!strcmp(what, "fds"))
		return do_fds();
	if (!strcmp(what, "cwd"))
		return puts(syscall(SYS_getcwd, text, sizeof(text)) > 0 ? text : strerror(errno)) <
		       0;
	if (!strcmp(what, "write") && argc > 2)
		return puts(open(argv[2], O_WRONLY) < 0 ? strerrorname_np(errno) : "OPENED") < 0;
	if (!strcmp(what, "trace") && argc > 2)
		return do_trace(atof(argv[2]));
	if (!strcmp(what, "swap") && argc > 4)
		return do_swap(argc, argv);
	if (!strcmp(what, "steal") && argc > 2)
		return do_steal(atof(argv[2]));
	if (!strcmp(what, "pour") && argc > 2)
		return do_pour(atol(argv[2]));
	if (!strcmp(what, "sched"))
		return do_sched();
	if (!strcmp(what, "propagation") && argc > 2)
		return do_propagation(argv[2]);
	return 2;
}
