/*
 * The first process of a container that was started with --init: runs the program that is named
 * behind it, hands signals on to it, and reaps what is left over in the process namespace.
 *
 *     docker-init [--] PROGRAM ARGUMENT...
 *
 * A program of its own and not a role of skerryd: it lies in every such container, as long as that
 * runs, so it must be as small as can be. It uses libc alone. Ends with the status of the program
 * (128 and the signal when one ended it), or 127 and 126 when that cannot be found or run.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Signals that stay as they are: those that a process causes itself, and those of the terminal that
 * only stop who reads from the background. */
static const int left_alone[] = { SIGFPE,  SIGILL, SIGSEGV, SIGBUS, SIGABRT,
				  SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU };

static void run(char **argv, const sigset_t *mask)
{
	int saved;

	/* a group of its own, in front on the terminal if there is one: what is typed there is for
	 * the program */
	(void)setpgid(0, 0);
	(void)tcsetpgrp(STDIN_FILENO, getpgrp());
	(void)signal(SIGTTIN, SIG_DFL);
	(void)signal(SIGTTOU, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, mask, NULL);
	(void)execvp(argv[0], argv);
	saved = errno;
	fprintf(stderr, "docker-init: exec %s: %s\n", argv[0], strerror(saved));
	_exit(saved == ENOENT || saved == ENOTDIR ? 127 : 126);
}

/* Reaps all that have ended; 1 when the program is among them. */
static int reap(pid_t program, int *ret_code)
{
	int status, over = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != program)
			continue;
		*ret_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		over = 1;
	}
	return over;
}

int main(int argc, char **argv)
{
	int first = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1, code = 0, sig;
	sigset_t all, before;
	pid_t program;

	if (first >= argc) {
		fprintf(stderr, "usage: docker-init [--] PROGRAM ARGUMENT...\n");
		return 1;
	}
	sigfillset(&all);
	for (size_t i = 0; i < sizeof(left_alone) / sizeof(left_alone[0]); i++)
		sigdelset(&all, left_alone[i]);
	(void)signal(SIGTTIN, SIG_IGN); /* or taking the terminal for the program would stop us */
	(void)signal(SIGTTOU, SIG_IGN);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	program = fork();
	if (program == 0)
		run(argv + first, &before);
	if (program < 0) {
		fprintf(stderr, "docker-init: fork: %s\n", strerror(errno));
		return 125;
	}
	for (;;) {
		sig = sigwaitinfo(&all, NULL);
		if (sig == SIGCHLD && reap(program, &code))
			return code;
		if (sig > 0 && sig != SIGCHLD)
			(void)kill(program, sig);
	}
}
