/*
 * The event loop: epoll for descriptors, a binary heap for timers, one signalfd, pidfds for
 * children.
 *
 * A round: wait, run timers that are due, dispatch descriptors, run deferred handlers. Handlers may
 * remove anything at any time: a removed descriptor is struck out of the batch that epoll_wait
 * gave, and lists are walked by moving them to a private head first. Used by PID 1, engine, shims,
 * workers.
 */
#include "init/base/loop.h"

#include <limits.h>
#include <string.h>
#include <sys/wait.h>

#include "init/base/clock.h"

enum { BATCH = 64, TIMERS_MAX = 1 << 20 };

struct loop {
	int epfd;
	bool quit;
	int code;
	int64_t now;
	struct timer_event **timers; /* min-heap by due; timers[0].index == 1 */
	size_t n_timers, cap_timers;
	struct list signals, children, deferred;
	sigset_t mask;
	struct io_event signal_io;
	struct epoll_event *batch; /* what is still to be dispatched in this round */
	int n_batch;
};

int loop_new(struct loop **ret_loop, struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(e, ENOMEM, "out of memory for the event loop");
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0) {
		int code = errno;

		free(l);
		return err_errno(e, code, "cannot make an epoll");
	}
	list_init(&l->signals);
	list_init(&l->children);
	list_init(&l->deferred);
	sigemptyset(&l->mask);
	l->signal_io.fd = -1;
	l->now = clock_mono_ms();
	*ret_loop = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	fd_close(l->signal_io.fd);
	fd_close(l->epfd);
	free(l->timers);
	free(l);
}

int64_t loop_now(const struct loop *l)
{
	return l->now;
}

void loop_quit(struct loop *l, int code)
{
	l->quit = true;
	l->code = code;
}

/* --- descriptors --- */

int io_add(struct loop *l, struct io_event *ev, int fd, uint32_t events)
{
	struct epoll_event ee = { .events = events, .data.ptr = ev };

	if (ev->loop)
		return -EBUSY;
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ee) < 0)
		return -errno;
	ev->fd = fd;
	ev->events = events;
	ev->loop = l;
	return 0;
}

int io_change(struct io_event *ev, uint32_t events)
{
	struct epoll_event ee = { .events = events, .data.ptr = ev };

	if (!ev->loop)
		return -ENOENT;
	if (events == ev->events)
		return 0;
	if (epoll_ctl(ev->loop->epfd, EPOLL_CTL_MOD, ev->fd, &ee) < 0)
		return -errno;
	ev->events = events;
	return 0;
}

void io_remove(struct io_event *ev)
{
	struct loop *l = ev->loop;

	if (!l)
		return;
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, ev->fd, NULL);
	for (int i = 0; i < l->n_batch; i++) {
		if (l->batch[i].data.ptr == ev)
			l->batch[i].data.ptr = NULL;
	}
	ev->loop = NULL;
}

/* --- timers --- */

static void heap_place(struct loop *l, size_t i, struct timer_event *ev)
{
	l->timers[i] = ev;
	ev->index = i + 1;
}

/* Puts ev where it belongs, starting from the free place i. */
static void heap_sift(struct loop *l, size_t i, struct timer_event *ev)
{
	while (i > 0 && l->timers[(i - 1) / 2]->due > ev->due) {
		heap_place(l, i, l->timers[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < l->n_timers && l->timers[child + 1]->due < l->timers[child]->due)
			child++;
		if (child >= l->n_timers || l->timers[child]->due >= ev->due)
			break;
		heap_place(l, i, l->timers[child]);
		i = child;
	}
	heap_place(l, i, ev);
}

int timer_set(struct loop *l, struct timer_event *ev, int64_t ms)
{
	struct timer_event **grown;

	if (!ev->index) {
		if (l->n_timers == TIMERS_MAX)
			return -ENOMEM;
		if (l->n_timers == l->cap_timers) {
			size_t cap = l->cap_timers ? 2 * l->cap_timers : 16;

			grown = realloc(l->timers, cap * sizeof(*grown));
			if (!grown)
				return -ENOMEM;
			l->timers = grown;
			l->cap_timers = cap;
		}
		ev->index = ++l->n_timers;
		l->timers[ev->index - 1] = ev;
	}
	ev->loop = l;
	ev->due = clock_mono_ms() + MAX(ms, 0);
	heap_sift(l, ev->index - 1, ev);
	return 0;
}

void timer_clear(struct timer_event *ev)
{
	struct loop *l = ev->loop;
	struct timer_event *last;
	size_t i = ev->index;

	if (!i)
		return;
	ev->index = 0;
	last = l->timers[--l->n_timers];
	if (last != ev)
		heap_sift(l, i - 1, last);
}

/* Runs what is due; what a handler re-arms waits for the next round. */
static int run_timers(struct loop *l)
{
	int n = 0;

	for (size_t left = l->n_timers; left > 0 && l->n_timers > 0; left--) {
		struct timer_event *ev = l->timers[0];

		if (ev->due > l->now)
			break;
		timer_clear(ev);
		ev->fn(ev);
		n++;
	}
	return n;
}

/* --- signals --- */

/* Moves the whole list `from` behind `to`, which is a head without nodes. */
static void list_move(struct list *from, struct list *to)
{
	list_init(to);
	if (list_empty(from))
		return;
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	list_init(from);
}

static void run_signal(struct loop *l, const struct signalfd_siginfo *info)
{
	struct signal_event *ev;
	struct list todo;

	list_move(&l->signals, &todo);
	while ((ev = list_first(&todo, struct signal_event, link))) {
		list_remove(&ev->link);
		list_append(&l->signals, &ev->link);
		if (ev->signal == (int)info->ssi_signo)
			ev->fn(ev, info);
	}
}

static void on_signal(struct io_event *io, uint32_t events)
{
	struct loop *l = container_of(io, struct loop, signal_io);
	struct signalfd_siginfo info;

	(void)events;
	/* one per round: the level trigger brings the next */
	if (read(io->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		run_signal(l, &info);
}

static int update_signals(struct loop *l)
{
	int fd = signalfd(l->signal_io.fd, &l->mask, SFD_CLOEXEC | SFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (l->signal_io.loop)
		return 0;
	l->signal_io.fn = on_signal;
	return io_add(l, &l->signal_io, fd, EPOLLIN);
}

int signal_add(struct loop *l, struct signal_event *ev, int signal)
{
	sigset_t one;
	int r;

	sigemptyset(&one);
	if (sigaddset(&one, signal) < 0 || sigaddset(&l->mask, signal) < 0)
		return -EINVAL;
	sigprocmask(SIG_BLOCK, &one, NULL);
	r = update_signals(l);
	if (r < 0)
		return r;
	ev->signal = signal;
	ev->loop = l;
	list_append(&l->signals, &ev->link);
	return 0;
}

void signal_remove(struct signal_event *ev)
{
	if (!ev->loop)
		return;
	/* the signal stays blocked and read: an ignored late one must not kill the process */
	list_remove(&ev->link);
	ev->loop = NULL;
}

/* --- children --- */

static void child_done(struct child_event *ev, int status)
{
	io_remove(&ev->io);
	list_remove(&ev->link);
	fd_close(take_fd(ev->child.pidfd));
	ev->fn(ev, status);
}

static void on_child(struct io_event *io, uint32_t events)
{
	struct child_event *ev = container_of(io, struct child_event, io);
	int status = 0;
	pid_t pid;

	(void)events;
	do {
		pid = waitpid(ev->child.pid, &status, WNOHANG);
	} while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return;
	/* ECHILD: somebody else reaped it; report it as killed rather than wait for ever */
	child_done(ev, pid < 0 ? SIGKILL : status);
}

int child_add(struct loop *l, struct child_event *ev, struct child *c)
{
	int r;

	ev->io.fn = on_child;
	ev->io.loop = NULL;
	r = io_add(l, &ev->io, c->pidfd, EPOLLIN);
	if (r < 0)
		return r;
	ev->child = *c;
	c->pidfd = -1;
	list_append(&l->children, &ev->link);
	return 0;
}

void child_remove(struct child_event *ev, bool kill_it, struct child *ret_child)
{
	if (!ev->io.loop)
		return;
	io_remove(&ev->io);
	list_remove(&ev->link);
	if (kill_it)
		child_free(&ev->child);
	else
		*ret_child = ev->child;
	ev->child.pidfd = -1;
}

static struct child_event *find_child(struct loop *l, pid_t pid)
{
	struct child_event *ev;

	list_for_each(ev, &l->children, link) {
		if (ev->child.pid == pid)
			return ev;
	}
	return NULL;
}

int loop_reap(struct loop *l)
{
	int n = 0, status;

	for (;;) {
		struct child_event *ev;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid <= 0)
			return n;
		n++;
		ev = find_child(l, pid);
		if (ev)
			child_done(ev, status);
	}
}

/* --- deferred --- */

void defer_add(struct loop *l, struct defer_event *ev)
{
	if (ev->armed)
		return;
	ev->armed = true;
	list_append(&l->deferred, &ev->link);
}

void defer_remove(struct defer_event *ev)
{
	if (!ev->armed)
		return;
	ev->armed = false;
	list_remove(&ev->link);
}

static int run_deferred(struct loop *l)
{
	struct defer_event *ev;
	struct list todo;
	int n = 0;

	list_move(&l->deferred, &todo);
	while ((ev = list_first(&todo, struct defer_event, link))) {
		defer_remove(ev);
		ev->fn(ev);
		n++;
	}
	return n;
}

/* --- rounds --- */

static int wait_time(const struct loop *l, int timeout_ms)
{
	int64_t left;

	if (!list_empty(&l->deferred))
		return 0;
	if (l->n_timers == 0)
		return timeout_ms;
	left = MAX(l->timers[0]->due - clock_mono_ms(), 0);
	left = MIN(left, INT_MAX);
	return timeout_ms < 0 ? (int)left : MIN(timeout_ms, (int)left);
}

static int dispatch(struct loop *l)
{
	int run = 0;

	for (int i = 0; i < l->n_batch; i++) {
		struct io_event *ev = l->batch[i].data.ptr;

		if (!ev)
			continue;
		ev->fn(ev, l->batch[i].events);
		run++;
	}
	return run;
}

int loop_once(struct loop *l, int timeout_ms)
{
	struct epoll_event batch[BATCH];
	int n = epoll_wait(l->epfd, batch, BATCH, wait_time(l, timeout_ms)), run;

	l->now = clock_mono_ms();
	l->batch = batch;
	l->n_batch = MAX(n, 0);
	run = run_timers(l);
	run += dispatch(l);
	l->batch = NULL;
	l->n_batch = 0;
	return run + run_deferred(l);
}

int loop_run(struct loop *l)
{
	l->quit = false;
	while (!l->quit)
		loop_once(l, -1);
	return l->code;
}
