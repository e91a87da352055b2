/*
 * Times operations on images inside the machine, over the Docker socket, and what they are compared
 * with: tar and sha256sum over the same bytes.
 *
 * tests/bench/run bakes it into an image and runs it on the console. It prints microseconds, and
 * behind them bytes where there are any: unpack FILE DIR (tar -x, sha256sum, sync), load FILE, pack
 * DIR (tar -c into sha256sum), save NAME, list ROUNDS (the median), remove NAME (bytes that the
 * file system has got back when the answer is there), fetch URL DIR (wget, gunzip, tar -x, sync),
 * pull NAME (bytes: the most that engine and workers had in memory at a time, shared pages once).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STORE "/var/lib/skerry/images"

enum { BLOCK = 128 << 10, KEPT = 4096, ROUNDS_MAX = 1000, SAMPLE_US = 100000 };

static char block[BLOCK + 1];

static void die(const char *what)
{
	fprintf(stderr, "images: %s: %m\n", what);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n <= 0)
			die("the engine does not read");
		data += n;
		len -= (size_t)n;
	}
}

/* One request with the bytes of a file (-1: none) as its body, and its answer to the end: how many
 * bytes that had, head included. `needs` must be in the first of them. */
static int64_t ask(const char *method, const char *path, int body, const char *needs)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/docker.sock" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int64_t total = 0;
	struct stat st = { 0 };
	size_t first = 0;
	ssize_t n;

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    (body >= 0 && fstat(body, &st) < 0))
		die("/run/docker.sock");
	dprintf(fd,
		"%s %s HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Type: "
		"application/x-tar\r\nContent-Length: %lld\r\n\r\n",
		method, path, (long long)st.st_size);
	while (body >= 0 && (n = read(body, block, BLOCK)) > 0)
		write_all(fd, block, (size_t)n);
	while ((n = read(fd, block + first, BLOCK - first)) > 0) {
		total += n;
		first = total < KEPT ? (size_t)total : KEPT; /* to be looked at */
	}
	block[BLOCK] = '\0';
	block[first] = '\0';
	if (n < 0 || strncmp(block, "HTTP/1.1 20", 11) != 0 || (needs && !strstr(block, needs))) {
		block[400] = '\0';
		fprintf(stderr, "images: %s %s: %s\n", method, path, block);
		exit(1);
	}
	close(fd);
	return total;
}

static void shell(const char *format, const char *a, const char *b)
{
	char line[1024];

	int status;
	pid_t child;

	snprintf(line, sizeof(line), format, a, b);
	child = fork();
	if (child == 0) {
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
		die(line);
}

static int64_t unpack(const char *file, const char *dir)
{
	shell("tar -xf %s -C %s", file, dir);
	shell("sha256sum %s > /dev/null", file, "");
	sync();
	return 0;
}

static int64_t load(const char *file, const char *unused)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	(void)unused;
	if (fd < 0)
		die(file);
	ask("POST", "/images/load?quiet=1", fd, "Loaded image");
	close(fd);
	return 0;
}

static int64_t pack(const char *dir, const char *unused)
{
	shell("tar -cf - %s | sha256sum > /dev/null%s", dir, unused ? unused : "");
	return 0;
}

static int64_t save(const char *name, const char *unused)
{
	char path[512];

	(void)unused;
	snprintf(path, sizeof(path), "/images/%s/get", name);
	return ask("GET", path, -1, NULL);
}

static int64_t available(void)
{
	struct statvfs v;

	if (statvfs(STORE, &v) < 0)
		die(STORE);
	return (int64_t)v.f_bfree * (int64_t)v.f_frsize;
}

static int64_t delete (const char *name, const char *unused)
{
	int64_t before = available();
	char path[512];

	(void)unused;
	snprintf(path, sizeof(path), "/images/%s", name);
	ask("DELETE", path, -1, "Deleted");
	return available() - before;
}

/* The first line of a file of a process, "" when it is gone. */
static void read_of(const char *pid, const char *name, char *out, size_t size)
{
	char path[300];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, out, size - 1);
	out[n < 0 ? 0 : n] = '\0';
	if (fd >= 0)
		close(fd);
}

/* Proportional set size of the engine and its workers; shims are the containers'. */
static int64_t engine_bytes(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int64_t sum = 0;

	while (proc && (entry = readdir(proc))) {
		char comm[64], role[256], rollup[4096], *pss;

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		read_of(entry->d_name, "comm", comm, sizeof(comm));
		read_of(entry->d_name, "cmdline", role, sizeof(role));
		if (strncmp(comm, "skerryd", 7) != 0 ||
		    strcmp(role + strlen(role) + 1, "shim") == 0)
			continue;
		read_of(entry->d_name, "smaps_rollup", rollup, sizeof(rollup));
		pss = strstr(rollup, "\nPss:");
		if (pss)
			sum += atoll(pss + 5) * 1024;
	}
	if (proc)
		closedir(proc);
	return sum;
}

static int64_t pull(const char *name, const char *unused)
{
	int64_t *most = mmap(NULL, sizeof(*most), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char path[512];
	pid_t sampler;

	(void)unused;
	if (most == MAP_FAILED || (sampler = fork()) < 0)
		die("sampler");
	while (sampler == 0) {
		int64_t now = engine_bytes();

		*most = now > *most ? now : *most;
		usleep(SAMPLE_US);
	}
	snprintf(path, sizeof(path), "/images/create?fromImage=%s", name);
	ask("POST", path, -1, "Pulling from");
	sync();
	kill(sampler, SIGKILL);
	waitpid(sampler, NULL, 0);
	return *most;
}

static int64_t fetch(const char *url, const char *dir)
{
	shell("wget -qO- %s | gunzip -c | tar -xf - -C %s", url, dir);
	sync();
	return 0;
}

static int64_t list(const char *unused, const char *unused_too)
{
	(void)unused;
	(void)unused_too;
	return ask("GET", "/images/json", -1, NULL);
}

static int by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static const struct {
	const char *name;
	int64_t (*fn)(const char *a, const char *b);
} measures[] = {
	{ "unpack", unpack }, { "load", load },	    { "pack", pack },	{ "save", save },
	{ "list", list },     { "remove", delete }, { "fetch", fetch }, { "pull", pull },
};

int main(int argc, char **argv)
{
	static int64_t took[ROUNDS_MAX];

	for (size_t i = 0; i < sizeof(measures) / sizeof(*measures) && argc > 2; i++) {
		int rounds = measures[i].fn == list ? atoi(argv[2]) : 1;
		int64_t bytes = 0;

		if (strcmp(argv[1], measures[i].name) || rounds < 1 || rounds > ROUNDS_MAX)
			continue;
		for (int n = 0; n < rounds; n++) {
			int64_t start = now_us();

			bytes = measures[i].fn(argv[2], argc > 3 ? argv[3] : NULL);
			took[n] = now_us() - start;
		}
		qsort(took, (size_t)rounds, sizeof(*took), by_value);
		printf("%lld %lld\n", (long long)took[rounds / 2], (long long)bytes);
		return 0;
	}
	fprintf(stderr, "usage: images unpack FILE DIR | load FILE | pack DIR | save NAME | "
			"list ROUNDS | remove NAME | fetch URL DIR | pull NAME\n");
	return 2;
}
