/*
 * The shim's end of the syslog worker (sink.h): start, feed, hold, start again, end.
 *
 * Data: at most one packet that the socket did not take. The output of a stream is one packet per
 * chunk as it was read; the worker finds the lines in it.
 */
#include "engine/shim/sink.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "engine/syslog/syslog.h"
#include "init/base/clock.h"
#include "init/base/log.h"
#include "init/base/msg.h"
#include "init/base/spawn.h"
#include "init/base/str.h"

enum {
	AGAIN_MS = 1000, /* from the end of a worker to the next */
	END_MS = SYSLOG_FINISH_MS + 500, /* then it is killed */
	READY_MS = 3 * SYSLOG_CONNECT_MS, /* several addresses, and the look-up of a name */
	SINK_OOM_SCORE = 1, /* not the shim's: it can be started again */
};

struct sink {
	struct sink_config cfg;
	char *json;
	struct child child; /* pid 0: none */
	int fd;
	struct io_event io;
	struct timer_event timer; /* until it must be ready, the next start, the end */
	struct defer_event tell;
	struct syslog_packet waiting; /* with text_len bytes: what the socket did not take */
	char *text;
	size_t text_len;
	bool is_waiting, held, ready, given_up, finishing, finished;
	uint32_t lost; /* lines, told with the next packet */
	struct err why; /* ready is told this */
};

static void start_again(struct timer_event *ev);

static void set_held(struct sink *s, bool on)
{
	on = on && s->cfg.blocking && !s->given_up;
	if (s->held == on)
		return;
	s->held = on;
	s->cfg.hold(s->cfg.data, on);
}

static void on_tell(struct defer_event *ev)
{
	struct sink *s = container_of(ev, struct sink, tell);

	if (s->finishing && s->finished)
		s->cfg.finished(s->cfg.data);
	else
		s->cfg.ready(s->cfg.data, -s->why.code, &s->why);
}

/* ---- sending ---- */

/* 0 sent, -EAGAIN, or the worker is gone. */
static int send_packet(struct sink *s, const struct syslog_packet *p, const char *text, size_t len)
{
	struct syslog_packet head = *p;
	struct iovec iov[2] = { { &head, sizeof(head) }, { (void *)(uintptr_t)text, len } };
	struct msghdr h = { .msg_iov = iov, .msg_iovlen = len > 0 ? 2 : 1 };

	if (s->fd < 0)
		return -EAGAIN;
	head.lost = s->lost;
	if (sendmsg(s->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -EPIPE;
	s->lost = 0;
	return 0;
}

static void drop(struct sink *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		s->lost += text[i] == '\n';
}

static void keep(struct sink *s, const struct syslog_packet *p, const char *text, size_t len)
{
	s->text = malloc(len);
	if (!s->text) {
		drop(s, text, len);
		return;
	}
	memcpy(s->text, text, len);
	s->text_len = len;
	s->waiting = *p;
	s->is_waiting = true;
	if (s->fd >= 0)
		(void)io_change(&s->io, EPOLLIN | EPOLLOUT);
	set_held(s, true);
}

void sink_write(struct sink *s, enum log_stream stream, const char *data, size_t len,
		int64_t real_ns)
{
	const struct syslog_packet p = { .kind = SYSLOG_OUTPUT,
					 .is_err = stream == LOG_STDERR,
					 .real_ns = real_ns };

	if (s->is_waiting) { /* only when nothing is held up any more */
		drop(s, data, len);
		return;
	}
	if (send_packet(s, &p, data, len) == 0)
		return;
	if (s->cfg.blocking && !s->given_up && !s->finishing)
		keep(s, &p, data, len);
	else
		drop(s, data, len);
}

/* Lost in a full socket it is no harm: the end of all flushes the lines, too. */
void sink_end_stream(struct sink *s, enum log_stream stream)
{
	const struct syslog_packet p = { .kind = SYSLOG_END,
					 .is_err = stream == LOG_STDERR,
					 .real_ns = clock_real_ns() };

	if (!s->is_waiting)
		(void)send_packet(s, &p, NULL, 0);
}

static void send_finish(struct sink *s)
{
	const struct syslog_packet p = { .kind = SYSLOG_FINISH, .real_ns = clock_real_ns() };

	if (send_packet(s, &p, NULL, 0) == -EAGAIN && s->fd >= 0)
		(void)io_change(&s->io, EPOLLIN | EPOLLOUT);
}

/* There is room again. */
static void flush(struct sink *s)
{
	if (s->is_waiting && send_packet(s, &s->waiting, s->text, s->text_len) != 0)
		return;
	s->is_waiting = false;
	free(take_ptr(s->text));
	(void)io_change(&s->io, EPOLLIN);
	if (s->finishing)
		send_finish(s);
	set_held(s, false);
}

/* ---- hearing ---- */

static void is_ready(struct sink *s, const struct err *why)
{
	if (s->ready)
		return;
	s->ready = true;
	s->why = why ? *why : (struct err){ 0 };
	timer_clear(&s->timer);
	defer_add(s->cfg.loop, &s->tell);
}

static void close_channel(struct sink *s)
{
	io_remove(&s->io);
	fd_close(take_fd(s->fd));
}

static void hear(struct sink *s)
{
	char text[ERR_TEXT_MAX];
	ssize_t n = recv(s->fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	struct err e = { 0 };

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_channel(s); /* its end follows by SIGCHLD */
		return;
	}
	text[n] = '\0';
	if (str_eq(text, SYSLOG_READY)) {
		is_ready(s, NULL);
	} else if (str_starts(text, SYSLOG_FAILED)) {
		err_set(&e, EIO, "%s", text + strlen(SYSLOG_FAILED));
		is_ready(s, &e);
	}
}

static void on_io(struct io_event *ev, uint32_t events)
{
	struct sink *s = container_of(ev, struct sink, io);

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		hear(s);
	if ((events & EPOLLOUT) && s->fd >= 0)
		flush(s);
}

/* ---- the process ---- */

/* The configuration, with "retry" for one that follows another. */
static int send_config(struct sink *s, struct err *e)
{
	_cleanup_(mem_free) char *text =
		s->ready ? str_printf("{\"retry\":true,%s", s->json + 1) : str_dup(s->json);

	if (!text)
		return err_errno(e, ENOMEM, "syslog");
	return msg_send(s->fd, text, strlen(text), NULL, 0, e);
}

static int launch(struct sink *s, struct err *e)
{
	const char *const argv[] = { "skerryd", "worker", SYSLOG_WORKER, NULL };
	_cleanup_(fd_close) int theirs = -1;
	int pair[2], r = msg_pair(pair, e);

	if (r < 0)
		return r;
	s->fd = pair[0];
	theirs = pair[1];
	const struct fd_map fds[] = { { SYSLOG_CHANNEL, theirs } };
	const struct spawn sp = {
		.argv = argv,
		.fds = fds,
		.n_fds = 1,
		.death_signal = SIGKILL,
		.oom_score_adj = SINK_OOM_SCORE,
	};

	r = send_config(s, e);
	if (r == 0)
		r = spawn(&sp, &s->child, e);
	s->io.fn = on_io;
	if (r == 0 &&
	    io_add(s->cfg.loop, &s->io, s->fd, EPOLLIN | (s->is_waiting ? EPOLLOUT : 0U)) < 0)
		r = err_errno(e, errno, "syslog");
	if (r < 0)
		fd_close(take_fd(s->fd));
	return r;
}

static void again(struct sink *s)
{
	s->timer.fn = start_again;
	(void)timer_set(s->cfg.loop, &s->timer, AGAIN_MS);
}

static void start_again(struct timer_event *ev)
{
	struct sink *s = container_of(ev, struct sink, timer);
	struct err e = { 0 };

	if (launch(s, &e) < 0) {
		log_warn("syslog: %s", err_text(&e));
		again(s);
	}
}

static void on_not_ready(struct timer_event *ev)
{
	struct sink *s = container_of(ev, struct sink, timer);
	struct err e = { 0 };

	err_set(&e, ETIMEDOUT, "no connection to the syslog server within %d s", READY_MS / 1000);
	is_ready(s, &e);
}

static void end(struct sink *s)
{
	timer_clear(&s->timer);
	if (s->is_waiting)
		drop(s, s->text, s->text_len);
	if (s->lost > 0) /* there is no worker any more to tell it */
		log_warn("syslog: %u lines were not sent: the container has ended", s->lost);
	s->finished = true;
	defer_add(s->cfg.loop, &s->tell);
}

bool sink_reaped(struct sink *s, pid_t pid, int status)
{
	struct err e = { 0 };
	char text[64];

	if (s->child.pid <= 0 || pid != s->child.pid)
		return false;
	while (!s->ready && s->fd >= 0) { /* why it ended */
		int before = s->fd;

		hear(s);
		if (s->fd == before && !s->ready)
			break;
	}
	fd_close(s->child.pidfd);
	s->child = (struct child){ .pidfd = -1 };
	close_channel(s);
	err_set(&e, EIO, "the worker ended with %s", child_status_text(status, text, sizeof(text)));
	if (s->finishing) {
		if (!s->finished)
			end(s);
	} else if (!s->ready) {
		is_ready(s, &e);
	} else if (!s->why.code) {
		log_warn("syslog: %s; it is started again", err_text(&e));
		again(s);
	}
	return true;
}

/* ---- the owner's side ---- */

int sink_open(const struct sink_config *cfg, struct sink **ret, struct err *e)
{
	_cleanup_(sink_free) struct sink *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_errno(e, ENOMEM, "syslog");
	s->fd = s->child.pidfd = -1;
	s->cfg = *cfg;
	s->json = str_dup(cfg->json);
	s->tell.fn = on_tell;
	if (!s->json || s->json[0] != '{')
		return err_set(e, EINVAL, "log.syslog: must be an object");
	r = launch(s, e);
	if (r < 0)
		return r;
	s->timer.fn = on_not_ready;
	(void)timer_set(cfg->loop, &s->timer, READY_MS);
	*ret = take_ptr(s);
	return 0;
}

void sink_give_up(struct sink *s)
{
	s->given_up = true;
	set_held(s, false);
}

static void on_late(struct timer_event *ev)
{
	struct sink *s = container_of(ev, struct sink, timer);

	log_warn("syslog: the worker did not end in time");
	child_signal(&s->child, SIGKILL); /* reaped as any other */
	end(s);
}

void sink_finish(struct sink *s)
{
	if (s->finishing)
		return;
	s->finishing = true;
	sink_give_up(s);
	if (s->child.pid <= 0 || s->fd < 0 || s->why.code) {
		end(s);
		return;
	}
	s->timer.fn = on_late;
	(void)timer_set(s->cfg.loop, &s->timer, END_MS);
	if (!s->is_waiting)
		send_finish(s);
}

bool sink_is_finished(const struct sink *s)
{
	return s->finished;
}

void sink_free(struct sink *s)
{
	if (!s)
		return;
	if (s->cfg.loop) {
		io_remove(&s->io);
		timer_clear(&s->timer);
		defer_remove(&s->tell);
	}
	fd_close(s->fd);
	child_free(&s->child);
	free(s->json);
	free(s->text);
	free(s);
}
