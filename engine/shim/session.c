/*
 * Output to log and clients, client input to stdin (session.h).
 *
 * Data: struct session is embedded in struct shim and in each exec; struct client is one attached
 * stream, in the session's list. Everything runs from the loop's handlers.
 */
#include "engine/shim/session.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "engine/data/frames.h"
#include "engine/shim/protocol.h"
#include "init/base/clock.h"
#include "init/base/file.h"

struct client {
	struct list link;
	struct session *session;
	struct io_event io;
	struct timer_event stall;
	int fd;
	int stall_ms; /* 0: it may stand still for ever */
	bool in, wants[LOG_STREAMS];
	char *pending; /* what could not be sent yet, NULL none */
	size_t len, off;
};

static void client_free(struct client *c);
static void client_deaf(struct client *c);

/* --- reading outputs --- */

/* While held up, outputs are out of the loop: a hang-up would be reported over and over. */
static void set_reading(struct session *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->out); i++) {
		if (s->out[i].fd < 0)
			continue;
		if (s->paused)
			io_remove(&s->out[i].io);
		else
			(void)io_add(s->loop, &s->out[i].io, s->out[i].fd, EPOLLIN);
	}
}

static void hold(struct session *s, int change)
{
	bool was = s->paused > 0;

	s->paused += change;
	if (was != (s->paused > 0))
		set_reading(s);
}

void session_hold(struct session *s, bool on)
{
	hold(s, on ? 1 : -1);
}

/* The time to take something begins anew. */
static void watch_stall(struct client *c)
{
	if (c->stall_ms > 0)
		(void)timer_set(c->session->loop, &c->stall, c->stall_ms);
}

/* Keeps what the socket did not take; the session stands still until it did. */
static void keep(struct client *c, const unsigned char *header, const char *data, size_t len,
		 size_t sent)
{
	size_t head = header ? FRAME_HEAD : 0, total = head + len;

	c->pending = malloc(total - sent);
	if (!c->pending) {
		client_free(c);
		return;
	}
	c->len = 0;
	c->off = 0;
	if (sent < head) {
		memcpy(c->pending, header + sent, head - sent);
		c->len = head - sent;
		sent = head;
	}
	memcpy(c->pending + c->len, data + (sent - head), total - sent);
	c->len += total - sent;
	hold(c->session, 1);
	(void)io_change(&c->io, (c->in ? EPOLLIN : 0U) | EPOLLOUT);
	watch_stall(c);
}

static void client_send(struct client *c, const unsigned char *header, const char *data, size_t len)
{
	struct iovec iov[2] = { { (void *)(uintptr_t)header, header ? FRAME_HEAD : 0 },
				{ (void *)(uintptr_t)data, len } };
	struct msghdr h = { .msg_iov = iov, .msg_iovlen = 2 };
	size_t total = iov[0].iov_len + len;
	ssize_t n = sendmsg(c->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		client_deaf(c);
		return;
	}
	if (n < 0)
		n = 0;
	if ((size_t)n < total)
		keep(c, header, data, len, (size_t)n);
}

static void deliver(struct session *s, enum log_stream stream, const char *data, size_t len)
{
	struct client *c, *tmp;
	unsigned char header[FRAME_HEAD];

	frame_head(header, stream == LOG_STDOUT ? FRAME_STDOUT : FRAME_STDERR, (uint32_t)len);
	if (s->log)
		logfile_write(s->log, stream, data, len, clock_real_ns());
	if (s->sink)
		sink_write(s->sink, stream, data, len, clock_real_ns());
	list_for_each_safe(c, tmp, &s->clients, link)
		if (c->wants[stream])
			client_send(c, s->tty ? NULL : header, data, len);
}

bool session_is_drained(const struct session *s)
{
	return s->out[0].fd < 0 && s->out[1].fd < 0;
}

static void close_output(struct session_output *o)
{
	struct session *s = o->session;

	io_remove(&o->io);
	fd_close(take_fd(o->fd));
	if (s->log)
		logfile_end(s->log, o->stream);
	if (s->sink)
		sink_end_stream(s->sink, o->stream);
	if (!session_is_drained(s))
		return;
	session_close_stdin(s);
	if (s->drained)
		s->drained(s, s->data);
}

/* One chunk; 1 when there was one, 0 when there is none now, -1 at the end. */
static int pump(struct session_output *o)
{
	char chunk[SESSION_CHUNK];
	ssize_t n = read(o->fd, chunk, sizeof(chunk));

	if (n > 0) {
		deliver(o->session, o->stream, chunk, (size_t)n);
		return 1;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return -1; /* end; a terminal says EIO when its last user is gone */
}

static void on_output(struct io_event *ev, uint32_t events)
{
	struct session_output *o = container_of(ev, struct session_output, io);

	(void)events;
	if (pump(o) < 0)
		close_output(o);
}

/* --- clients --- */

static void drop_pending(struct client *c)
{
	timer_clear(&c->stall);
	if (!c->pending)
		return;
	free(take_ptr(c->pending));
	hold(c->session, -1);
}

/* It went, and takes nothing any more; what it wrote before is still to be read (on_client). */
static void client_deaf(struct client *c)
{
	if (!c->in) {
		client_free(c);
		return;
	}
	memset(c->wants, 0, sizeof(c->wants));
	drop_pending(c);
	(void)io_change(&c->io, c->session->in_pending ? 0 : EPOLLIN);
}

static void client_free(struct client *c)
{
	struct session *s = c->session;
	bool closes_stdin = c->in && s->stdin_once && !s->tty;

	io_remove(&c->io);
	list_remove(&c->link);
	s->n_clients--;
	fd_close(c->fd);
	drop_pending(c);
	free(c);
	if (closes_stdin)
		session_close_stdin(s);
}

static void on_stall(struct timer_event *ev)
{
	client_free(container_of(ev, struct client, stall));
}

static void client_flush(struct client *c)
{
	struct session *s = c->session;
	ssize_t n = send(c->fd, c->pending + c->off, c->len - c->off, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		client_deaf(c);
		return;
	}
	if (n <= 0)
		return;
	c->off += (size_t)n;
	watch_stall(c);
	if (c->off < c->len)
		return;
	free(take_ptr(c->pending));
	timer_clear(&c->stall);
	(void)io_change(&c->io, c->in ? EPOLLIN : 0);
	hold(s, -1);
	if (s->ended)
		client_free(c);
}

/* --- stdin --- */

static void set_client_input(struct session *s, bool on)
{
	struct client *c;

	list_for_each(c, &s->clients, link)
		if (c->in)
			(void)io_change(&c->io, (on ? EPOLLIN : 0U) | (c->pending ? EPOLLOUT : 0U));
}

void session_close_stdin(struct session *s)
{
	if (s->in_fd < 0)
		return;
	io_remove(&s->in_io);
	fd_close(take_fd(s->in_fd));
	free(take_ptr(s->in_pending));
	s->in_len = s->in_off = 0;
	s->stdin_once = false;
	set_client_input(
		s, true); /* what they still write is read and dropped, so their end is seen */
}

/* Writes to the process; what does not go through is kept and no client is read meanwhile. */
static void write_stdin(struct session *s, const char *data, size_t len)
{
	ssize_t n;

	if (s->in_fd < 0)
		return;
	n = write(s->in_fd, data, len);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		session_close_stdin(s);
		return;
	}
	if (n < 0)
		n = 0;
	if ((size_t)n == len)
		return;
	s->in_pending = malloc(len - (size_t)n);
	if (!s->in_pending)
		return;
	memcpy(s->in_pending, data + n, len - (size_t)n);
	s->in_len = len - (size_t)n;
	s->in_off = 0;
	(void)io_change(&s->in_io, EPOLLOUT);
	set_client_input(s, false);
}

static void on_stdin(struct io_event *ev, uint32_t events)
{
	struct session *s = container_of(ev, struct session, in_io);
	ssize_t n;

	if (!s->in_pending) {
		/* nothing to write: it can only be the reader's end (of a pipe; a terminal hangs
		 * up and comes back) */
		if (!s->tty && (events & (EPOLLERR | EPOLLHUP)))
			session_close_stdin(s);
		else
			io_remove(&s->in_io);
		return;
	}
	n = write(s->in_fd, s->in_pending + s->in_off, s->in_len - s->in_off);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		session_close_stdin(s);
		return;
	}
	if (n > 0)
		s->in_off += (size_t)n;
	if (s->in_off < s->in_len)
		return;
	free(take_ptr(s->in_pending));
	(void)io_change(&s->in_io, 0);
	set_client_input(s, true);
}

/* The client's write side ended: EOF of stdin where that is asked for; its output goes on. */
static void client_input_end(struct client *c)
{
	struct session *s = c->session;

	c->in = false;
	(void)io_change(&c->io, c->pending ? EPOLLOUT : 0);
	if (s->stdin_once && !s->tty)
		session_close_stdin(s);
}

static void on_client(struct io_event *ev, uint32_t events)
{
	struct client *c = container_of(ev, struct client, io);
	char chunk[SESSION_CHUNK];
	ssize_t n;

	if ((events & EPOLLIN) && c->in && !c->session->in_pending) {
		n = recv(c->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (n > 0)
			write_stdin(c->session, chunk, (size_t)n);
		else if (n == 0)
			client_input_end(c);
		else if (errno != EAGAIN && errno != EINTR)
			events |= EPOLLHUP;
		if (n > 0)
			return; /* the rest in the next round, before a hang-up is looked at */
	}
	if (events & (EPOLLHUP | EPOLLERR)) {
		client_free(c);
		return;
	}
	if ((events & EPOLLOUT) && c->pending)
		client_flush(c);
}

/* --- set-up --- */

void session_init(struct session *s, struct loop *loop, struct logfile *log)
{
	*s = (struct session){
		.loop = loop, .log = log, .in_fd = -1, .stall_ms = SHIM_ATTACH_STALL_MS
	};
	list_init(&s->clients);
	for (size_t i = 0; i < ARRAY_SIZE(s->out); i++) {
		s->out[i].fd = -1;
		s->out[i].session = s;
		s->out[i].stream = (enum log_stream)i;
		s->out[i].io.fn = on_output;
	}
	s->in_io.fn = on_stdin;
}

static int add_output(struct session *s, int i, int fd, struct err *e)
{
	s->out[i].fd = fd;
	if (fd_set_nonblock(fd, true) < 0 || io_add(s->loop, &s->out[i].io, fd, EPOLLIN) < 0)
		return err_errno(e, errno, "output of a container");
	return 0;
}

static int add_stdin(struct session *s, int fd, struct err *e)
{
	s->in_fd = fd;
	if (fd_set_nonblock(fd, true) < 0 || io_add(s->loop, &s->in_io, fd, 0) < 0)
		return err_errno(e, errno, "stdin of a container");
	return 0;
}

int session_pipes(struct session *s, int in, int out, int err, struct err *e)
{
	int r = out >= 0 ? add_output(s, 0, out, e) : 0;

	if (r == 0 && err >= 0)
		r = add_output(s, 1, err, e);
	if (r == 0 && in >= 0)
		r = add_stdin(s, in, e);
	return r;
}

int session_terminal(struct session *s, int master, bool with_stdin, struct err *e)
{
	int in = with_stdin ? fcntl(master, F_DUPFD_CLOEXEC, 3) : -1;
	int r = add_output(s, 0, master, e);

	s->tty = true;
	if (r == 0 && in >= 0)
		r = add_stdin(s, in, e);
	return r;
}

int session_attach(struct session *s, bool in, bool out, bool err, int *ret_fd, struct err *e)
{
	struct client *c;
	int pair[2];

	if (s->n_clients >= SHIM_STREAMS_MAX)
		return err_set(e, EAGAIN, "more than %d clients are attached", SHIM_STREAMS_MAX);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_errno(e, ENOMEM, "attach");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		free(c);
		return err_errno(e, errno, "attach");
	}
	*c = (struct client){
		.session = s, .fd = pair[0], .in = in && s->in_fd >= 0, .stall_ms = s->stall_ms
	};
	c->wants[LOG_STDOUT] = out;
	c->wants[LOG_STDERR] = err;
	c->io.fn = on_client;
	c->stall.fn = on_stall;
	list_append(&s->clients, &c->link);
	s->n_clients++;
	if (io_add(s->loop, &c->io, c->fd, c->in && !s->in_pending ? EPOLLIN : 0) < 0) {
		client_free(c);
		close(pair[1]);
		return err_errno(e, errno, "attach");
	}
	*ret_fd = pair[1];
	if (s->ended)
		client_free(c); /* the other end reads EOF */
	return 0;
}

int session_resize(struct session *s, unsigned int rows, unsigned int cols, struct err *e)
{
	struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols };

	if (!s->tty || s->out[0].fd < 0)
		return err_set(e, EINVAL, "the process has no terminal");
	if (ioctl(s->out[0].fd, TIOCSWINSZ, &size) < 0)
		return err_errno(e, errno, "resize");
	return 0;
}

bool session_finish(struct session *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->out); i++) {
		/* a pipe holds at most 1 MiB (pipe-max-size), so this ends even if somebody goes
		 * on writing */
		for (int n = 0; !s->paused && s->out[i].fd >= 0 && n < 128; n++)
			if (pump(&s->out[i]) != 1)
				break;
		if (s->paused)
			return false;
	}
	s->drained = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(s->out); i++)
		if (s->out[i].fd >= 0)
			close_output(&s->out[i]);
	return true;
}

void session_set_stall(struct session *s, int ms)
{
	struct client *c;

	s->stall_ms = ms;
	list_for_each(c, &s->clients, link) {
		c->stall_ms = ms;
		if (c->pending)
			watch_stall(c);
	}
}

void session_end(struct session *s)
{
	struct client *c, *tmp;

	s->ended = true;
	list_for_each_safe(c, tmp, &s->clients, link) {
		/* one that still has data to take may do so until its time is over */
		if (!c->pending)
			client_free(c);
	}
}

bool session_has_clients(const struct session *s)
{
	return s->n_clients > 0;
}

void session_clear(struct session *s)
{
	struct client *c, *tmp;

	s->drained = NULL;
	list_for_each_safe(c, tmp, &s->clients, link)
		client_free(c);
	session_close_stdin(s);
	for (size_t i = 0; i < ARRAY_SIZE(s->out); i++) {
		io_remove(&s->out[i].io);
		fd_close(take_fd(s->out[i].fd));
	}
}
