/*
 * Kills a process of the engine at a moment that is told by what happens, not by a clock:
 * `killer VICTIM TRIGGER LOOKS STOP`.
 *
 * Looks through /proc again and again until there is a worker called TRIGGER, then LOOKS times
 * more, then sends KILL to VICTIM: "engine", or a worker's name. Prints "ready" before its first
 * look, then "killed" or "missed": the victim was gone by then, or there is a file STOP, which says
 * that nothing more will come.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The process is the worker of that name, or the engine itself: a child of PID 1. */
static int is(const char *pid, const char *name)
{
	char path[64], text[512] = "", want[64];
	int len = snprintf(want, sizeof(want), "skerryd%cworker%c%s", 0, 0, name);
	int engine = !strcmp(name, "engine"), fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (!engine)
		return n > len && !memcmp(text, want, (size_t)len + 1);
	if (n != sizeof("skerryd") || memcmp(text, "skerryd", sizeof("skerryd")))
		return 0;
	snprintf(path, sizeof(path), "/proc/%.20s/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	return n > 0 && strstr(text, "\nPPid:\t1\n");
}

/* Its pid, 0 when there is none. */
static pid_t look(DIR *proc, const char *name)
{
	struct dirent *entry;

	rewinddir(proc);
	while ((entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && is(entry->d_name, name))
			return atoi(entry->d_name);
	return 0;
}

int main(int argc, char **argv)
{
	DIR *proc = opendir("/proc");
	pid_t victim;

	if (argc != 5 || !proc) {
		fprintf(stderr, "usage: killer VICTIM TRIGGER LOOKS STOP\n");
		return 2;
	}
	puts("ready");
	fflush(stdout);
	while (!look(proc, argv[2]) && access(argv[4], F_OK) < 0)
		;
	for (int i = atoi(argv[3]); i > 0; i--)
		(void)look(proc, argv[2]);
	victim = look(proc, argv[1]);
	puts(victim > 0 && kill(victim, SIGKILL) == 0 ? "killed" : "missed");
	return 0;
}
