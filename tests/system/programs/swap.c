/*
 * Exchanges pairs of names some hundred times a second, for ever: `swap A B [C D ...]`.
 *
 * The attacker of the tests of races: a directory and a symbolic link change places in one step
 * (renameat2 with RENAME_EXCHANGE), so that there is no moment without either. Prints "ready" after
 * the first round, and leaves most of the processor to its victims.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* RENAME_EXCHANGE; a short pause, for a victim must get on to be hit */
enum { EXCHANGE = 2, PAUSE_US = 1000 };

int main(int argc, char **argv)
{
	if (argc < 3 || argc % 2 == 0) {
		fprintf(stderr, "usage: swap A B [C D ...]\n");
		return 2;
	}
	(void)!nice(10);
	for (unsigned long round = 0;; round++) {
		for (int i = 1; i + 1 < argc; i += 2) {
			if (syscall(SYS_renameat2, AT_FDCWD, argv[i], AT_FDCWD, argv[i + 1],
				    EXCHANGE) < 0) {
				perror(argv[i]);
				return 1;
			}
		}
		if (round == 0) {
			puts("ready");
			fflush(stdout);
		}
		usleep(PAUSE_US);
	}
}
