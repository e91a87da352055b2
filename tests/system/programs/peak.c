/*
 * peak FD... -- PROGRAM ARGUMENT...: runs the program with the descriptors FD... as its 3, 4, 5
 * ..., waits for it, and prints its exit status and the most memory that it had resident (KiB). A
 * process of its own and small, because the kernel counts for a child also what its parent had
 * before it started the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int n = 1, status;
	struct rusage used;
	pid_t pid;

	for (; n < argc && strcmp(argv[n], "--") != 0; n++)
		if (dup2(atoi(argv[n]), 100 + n) < 0)
			return 120;
	if (n + 1 >= argc)
		return 120;
	pid = fork();
	if (pid == 0) {
		for (int i = 1; i < n; i++)
			if (dup2(100 + i, 2 + i) < 0)
				_exit(121);
		close_range(2 + (unsigned)n, ~0U, 0);
		execv(argv[n + 1], argv + n + 1);
		_exit(122);
	}
	/* the archive's other end must see when the program has gone */
	close(0);
	close_range(3, ~0U, 0);
	if (pid < 0 || wait4(pid, &status, 0, &used) < 0)
		return 123;
	printf("%d %ld\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
	       used.ru_maxrss);
	return 0;
}
