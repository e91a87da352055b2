/*
 * The engine's side of a worker: start, feed, listen, and finish exactly once.
 *
 * The end is the reaped process, not the closed channel: what it sent before is read first, then
 * on_done() runs from a deferred event, so that it never nests in the caller's own calls. A worker
 * that breaks the protocol is killed.
 */
#include "engine/worker/worker.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "init/base/file.h"
#include "init/base/msg.h"
#include "init/base/str.h"

/* messages handled in one round, so that a chatty worker does not starve the loop */
enum { MESSAGES_PER_ROUND = 32, FDS_EXTRA_MAX = 16 };
/* messages that are still read after its end: a process it left behind could send for ever */
enum { MESSAGES_AT_END = 4096 };

static void close_channel(struct worker *w)
{
	io_remove(&w->channel);
	fd_close(take_fd(w->channel_fd));
}

void worker_end_input(struct worker *w)
{
	if (!w->running)
		return;
	io_remove(&w->input);
	fd_close(take_fd(w->input_fd));
}

static void release(struct worker *w)
{
	worker_end_input(w);
	close_channel(w);
	timer_clear(&w->timer);
	defer_remove(&w->finish);
	w->running = false;
}

/* An error body: {"code": positive errno, "text": ...} */
static void take_error(struct worker *w, yyjson_val *body)
{
	const char *text = "a worker failed without a reason";
	int64_t code = EIO;

	(void)json_get_i64(body, "code", &code, NULL);
	(void)json_get_text(body, "text", &text, NULL);
	err_set(&w->why, code > 0 && code < 4096 ? (int)code : EIO, "%s", text);
}

/* Handles one message; false when there is none now. */
static bool take_message(struct worker *w)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	enum worker_kind kind;
	struct err why = { 0 };
	int r = worker_receive(w->channel_fd, &kind, &doc, &why);

	if (r == -EAGAIN)
		return false;
	if (r == 0 || r == -ECONNRESET) { /* reset: it ended without reading its request */
		close_channel(w);
		return false;
	}
	if (r == 1 && kind == WORKER_PROGRESS) {
		if (w->on_progress)
			w->on_progress(w, yyjson_doc_get_root(doc));
		return w->running && w->channel_fd >= 0;
	}
	if (r == 1 && kind == WORKER_RESULT && !w->result && !w->why.code) {
		w->result = take_ptr(doc);
		return true;
	}
	if (r == 1 && kind == WORKER_ERROR && !w->result && !w->why.code) {
		take_error(w, yyjson_doc_get_root(doc));
		return true;
	}
	if (!w->why.code)
		err_set(&w->why, EBADMSG, "the worker %s broke the protocol: %s", w->name,
			r < 0 ? err_text(&why) : "unexpected message");
	json_doc_free(take_ptr(w->result));
	child_signal(&w->child.child, SIGKILL);
	close_channel(w);
	return false;
}

static void on_channel(struct io_event *io, uint32_t events)
{
	struct worker *w = container_of(io, struct worker, channel);

	(void)events;
	for (int i = 0; i < MESSAGES_PER_ROUND && take_message(w); i++)
		;
}

static void on_input(struct io_event *io, uint32_t events)
{
	struct worker *w = container_of(io, struct worker, input);

	if (events & (EPOLLERR | EPOLLHUP)) {
		/* the reader is gone; worker_write() says so from now on */
		io_remove(io);
	} else {
		io_change(io, 0);
	}
	if (w->on_room)
		w->on_room(w);
}

/* What the end means, once everything that was sent is read. */
static void conclude(struct worker *w)
{
	char text[64];

	if (w->timed_out)
		err_set(&w->why, ETIMEDOUT,
			"the worker %s took longer than %lld ms and was stopped", w->name,
			(long long)w->timeout_ms);
	else if (!w->why.code && (!w->result || w->status != 0))
		err_set(&w->why, EIO, "the worker %s ended with %s", w->name,
			child_status_text(w->status, text, sizeof(text)));
}

static void on_finish(struct defer_event *ev)
{
	struct worker *w = container_of(ev, struct worker, finish);
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	struct err why;

	for (int i = 0; i < MESSAGES_AT_END && w->channel_fd >= 0 && take_message(w); i++)
		;
	if (!w->running)
		return; /* cancelled by a progress handler */
	conclude(w);
	release(w);
	doc = take_ptr(w->result);
	why = w->why;
	w->on_done(w, -why.code, why.code ? NULL : yyjson_doc_get_root(doc), &why);
}

static void on_exit_status(struct child_event *ev, int status)
{
	struct worker *w = container_of(ev, struct worker, child);

	w->status = status;
	defer_add(w->loop, &w->finish);
}

static void on_timeout(struct timer_event *ev)
{
	struct worker *w = container_of(ev, struct worker, timer);

	w->timed_out = true;
	child_signal(&w->child.child, SIGKILL);
}

static void reset(struct loop *l, struct worker *w, const struct worker_spec *spec)
{
	w->loop = l;
	w->name = spec->name;
	w->timeout_ms = spec->timeout_ms;
	w->channel_fd = w->input_fd = -1;
	w->channel = (struct io_event){ .fn = on_channel };
	w->input = (struct io_event){ .fn = on_input };
	w->timer = (struct timer_event){ .fn = on_timeout };
	w->finish = (struct defer_event){ .fn = on_finish };
	w->child = (struct child_event){ .fn = on_exit_status };
	w->result = NULL;
	w->why = (struct err){ 0 };
	w->status = 0;
	w->timed_out = false;
}

/* Spawns it with its channel at 3 and its input at 0. */
static int launch(const struct worker_spec *spec, int channel, int input, struct child *ret_child,
		  struct err *e)
{
	const char *const argv[] = { "skerryd", "worker", spec->name, NULL };
	struct fd_map fds[FDS_EXTRA_MAX + 2] = { { 0, input }, { WORKER_CHANNEL, channel } };
	struct spawn s = {
		.argv = argv,
		.fds = fds,
		.n_fds = 2,
		.cgroup_fd = spec->cgroup_fd,
		.oom_score_adj = spec->oom_score_adj,
		.death_signal = SIGKILL,
	};

	if (spec->n_fds > FDS_EXTRA_MAX)
		return err_set(e, EINVAL, "more than %d descriptors for a worker", FDS_EXTRA_MAX);
	for (size_t i = 0; i < spec->n_fds; i++)
		fds[s.n_fds++] = spec->fds[i];
	return spawn(&s, ret_child, e);
}

/* Puts the running child, its channel and its input on the loop. */
static int watch(struct worker *w, struct child *child, int channel, int input, struct err *e)
{
	int r = child_add(w->loop, &w->child, child);

	if (r < 0) {
		child_free(child);
		return err_errno(e, -r, "cannot watch the worker %s", w->name);
	}
	r = io_add(w->loop, &w->channel, channel, EPOLLIN);
	if (r == 0 && input >= 0)
		r = io_add(w->loop, &w->input, input, 0);
	if (r == 0 && w->timeout_ms > 0)
		r = timer_set(w->loop, &w->timer, w->timeout_ms);
	if (r == 0)
		return 0;
	io_remove(&w->channel);
	io_remove(&w->input);
	child_remove(&w->child, true, NULL);
	return err_errno(e, -r, "cannot watch the worker %s", w->name);
}

int worker_start(struct loop *l, struct worker *w, const struct worker_spec *spec, struct err *e)
{
	_cleanup_(fd_close) int ours = -1, theirs = -1, read_end = -1, write_end = -1;
	int input = spec->input_fd > 0 ? spec->input_fd : -1;
	const char *request = spec->request ? spec->request : "{}";
	struct child child;
	int pair[2], r;

	reset(l, w, spec);
	r = msg_pair(pair, e);
	if (r < 0)
		return r;
	ours = pair[0];
	theirs = pair[1];
	if (spec->stream_input) {
		if (pipe2(pair, O_CLOEXEC) < 0)
			return err_errno(e, errno, "cannot make a pipe");
		input = read_end = pair[0];
		write_end = pair[1];
		fd_set_nonblock(write_end, true);
	}
	/* before the start: it fits into the empty queue, and a bad request starts nothing */
	r = worker_send(ours, WORKER_REQUEST, request, strlen(request), e);
	if (r == 0)
		r = launch(spec, theirs, input, &child, e);
	if (r == 0)
		r = watch(w, &child, ours, write_end, e);
	if (r < 0)
		return r;
	w->channel_fd = take_fd(ours);
	w->input_fd = take_fd(write_end);
	w->running = true;
	return 0;
}

ssize_t worker_write(struct worker *w, const void *data, size_t len)
{
	ssize_t n;

	if (!w->running || w->input_fd < 0)
		return -EPIPE;
	do {
		n = write(w->input_fd, data, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return -errno;
	n = MAX(n, 0);
	if ((size_t)n < len && w->input.loop)
		io_change(&w->input, EPOLLOUT);
	return n;
}

void worker_cancel(struct worker *w)
{
	if (!w->running)
		return;
	release(w);
	child_remove(&w->child, true, NULL);
	json_doc_free(take_ptr(w->result));
}
