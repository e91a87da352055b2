/*
 * Staying with a process in the foreground (cli.h): signals go to it, and what is typed and printed
 * goes through its terminal, until it ends.
 *
 * One loop over poll: the process's pidfd, a signalfd, the terminal's master, and stdin while there
 * is room for what was typed. The caller's terminal is raw meanwhile.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include "engine/runtime/cli.h"
#include "init/base/file.h"

struct foreground {
	const struct runtime_process *proc;
	int signals; /* signalfd */
	int tty; /* master, -1 none */
	bool input; /* stdin is not over */
	char typed[4096];
	size_t n_typed;
	struct termios saved;
	bool raw;
};

/* Those that somebody sends to make a program do something. */
static const int passed[] = {
	SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH
};

static void copy_size(const struct foreground *f)
{
	struct winsize size;

	if (f->tty >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		(void)ioctl(f->tty, TIOCSWINSZ, &size);
}

static void passed_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		sigaddset(set, passed[i]);
}

void cli_hold_signals(void)
{
	sigset_t set;

	passed_set(&set);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static int begin(struct foreground *f, struct err *e)
{
	struct termios t;
	sigset_t set;

	passed_set(&set);
	f->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (f->signals < 0)
		return err_errno(e, errno, "signals");
	if (f->tty < 0)
		return 0;
	copy_size(f);
	f->input = true;
	if (fd_set_nonblock(f->tty, true) < 0)
		return err_errno(e, errno, "the terminal");
	if (tcgetattr(STDIN_FILENO, &t) < 0)
		return 0; /* stdin is no terminal: there is nothing to make raw */
	f->saved = t;
	cfmakeraw(&t);
	f->raw = tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
	return 0;
}

static void end(struct foreground *f)
{
	if (f->raw)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &f->saved);
	fd_close(f->signals);
}

static void pass_signals(struct foreground *f)
{
	struct signalfd_siginfo info;

	while (read(f->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGWINCH && f->tty >= 0)
			copy_size(f);
		else
			(void)syscall(SYS_pidfd_send_signal, f->proc->pidfd, info.ssi_signo, NULL,
				      0);
	}
}

/* What the process prints; the master's end (EIO) means that nobody has the terminal open. */
static void pass_output(struct foreground *f)
{
	char data[8192];
	ssize_t n;

	while ((n = read(f->tty, data, sizeof(data))) > 0)
		if (file_write_all(STDOUT_FILENO, data, (size_t)n, NULL) < 0)
			break;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		f->tty = -1;
}

static void pass_input(struct foreground *f, bool readable)
{
	ssize_t n;

	if (readable && f->n_typed == 0) {
		n = read(STDIN_FILENO, f->typed, sizeof(f->typed));
		if (n <= 0) {
			f->input = false;
			f->typed[0] = 4; /* the end of input, as a terminal has it: ^D */
			n = 1;
		}
		f->n_typed = (size_t)n;
	}
	if (f->n_typed == 0 || f->tty < 0)
		return;
	n = write(f->tty, f->typed, f->n_typed);
	if (n <= 0)
		return;
	f->n_typed -= (size_t)n;
	memmove(f->typed, f->typed + n, f->n_typed);
}

/* One round; false when the process has ended. */
static bool round_trip(struct foreground *f)
{
	struct pollfd fds[] = {
		{ .fd = f->proc->pidfd, .events = POLLIN },
		{ .fd = f->signals, .events = POLLIN },
		{ .fd = f->tty, .events = (short)(POLLIN | (f->n_typed ? POLLOUT : 0)) },
		{ .fd = f->tty >= 0 && f->input && !f->n_typed ? STDIN_FILENO : -1,
		  .events = POLLIN },
	};

	if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
		return true;
	if (fds[1].revents)
		pass_signals(f);
	if (fds[2].revents & (POLLIN | POLLHUP | POLLERR))
		pass_output(f);
	if (f->tty >= 0 && (fds[3].revents || f->n_typed))
		pass_input(f, fds[3].revents);
	return !fds[0].revents;
}

int cli_foreground(const struct runtime_process *p, struct err *e)
{
	struct foreground f = { .proc = p, .signals = -1, .tty = p->tty_fd };
	int status = 0, r = begin(&f, e);

	while (r == 0 && round_trip(&f))
		;
	if (f.tty >= 0)
		pass_output(&f);
	end(&f);
	if (r < 0)
		return r;
	while (waitpid(p->pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(e, errno, "waiting for the process");
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
