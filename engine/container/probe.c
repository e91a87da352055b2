/*
 * Commands that the engine runs for itself, health checks above all: an exec whose output is kept
 * up to a bound and which is killed after a time (exec.h).
 *
 * Data: one struct probe_job per command, in execs.probes. It outlives the caller's struct when the
 * probe is cancelled, until the process has ended. The caller is always answered from a deferred
 * event, whatever the way to the end was.
 */
#include <sys/socket.h>

#include "engine/container/exec_priv.h"
#include "engine/data/frames.h"
#include "init/base/str.h"

enum {
	PROBE_START_MS = 30000, /* to get it started (moby daemon/health.go) */
	PROBE_END_MS =
		10000, /* for its end after it was killed, and for its output after the end */
};

struct probe_job {
	struct list link; /* execs.probes */
	struct containers *cs;
	struct container_probe *who; /* NULL: cancelled */
	char exec_id[ID_LEN + 1];
	struct exec_start start;
	struct io_event io;
	int fd;
	struct frame_reader frames;
	struct buf output;
	struct timer_event timer;
	struct defer_event answer;
	int timeout_ms;
	bool over; /* the process, or the attempt to start it */
	bool killed;
	int r, exit_code;
	struct err e;
};

static void job_free(struct probe_job *j)
{
	exec_start_cancel(&j->start);
	io_remove(&j->io);
	fd_close(j->fd);
	timer_clear(&j->timer);
	defer_remove(&j->answer);
	buf_free(&j->output);
	list_remove(&j->link);
	if (j->who)
		j->who->job = NULL;
	free(j);
}

static struct exec *exec_of(struct probe_job *j)
{
	return map_get(&j->cs->execs->by_id, j->exec_id);
}

static void answer(struct defer_event *ev)
{
	struct probe_job *j = container_of(ev, struct probe_job, answer);
	struct container_probe *who = j->who;
	struct exec *x = exec_of(j);

	j->who = NULL;
	if (who) {
		who->job = NULL;
		who->done(who, j->r, j->exit_code, &j->output, &j->e);
	}
	job_free(j);
	if (x && x->state == EXEC_ENDED && x->n_asked == 0)
		exec_forget(x); /* nobody asks for the exit code of a probe */
}

static void finish(struct probe_job *j)
{
	io_remove(&j->io);
	timer_clear(&j->timer);
	defer_add(j->cs->cfg.loop, &j->answer);
}

/* Both are there: the exit code and the last output. */
static void maybe_finish(struct probe_job *j)
{
	if (j->over && j->fd < 0)
		finish(j);
	else if (j->over)
		timer_set(j->cs->cfg.loop, &j->timer, PROBE_END_MS);
}

static void keep(struct probe_job *j, const char *data, size_t len)
{
	while (len > 0) {
		struct frame_piece piece;
		size_t used = frame_next(&j->frames, data, len, &piece);

		(void)buf_add(&j->output, piece.data,
			      MIN(piece.len, PROBE_OUTPUT_MAX - j->output.len));
		data += used;
		len -= used;
	}
}

static void on_output(struct io_event *ev, uint32_t events)
{
	struct probe_job *j = container_of(ev, struct probe_job, io);
	char chunk[4096];
	ssize_t n = recv(j->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

	(void)events;
	if (n > 0) {
		keep(j, chunk, (size_t)n);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	io_remove(&j->io);
	fd_close(take_fd(j->fd));
	maybe_finish(j);
}

static void on_started(struct exec_start *s, int r, int fd, const struct err *e)
{
	struct probe_job *j = container_of(s, struct probe_job, start);
	struct exec *x = exec_of(j);

	if (r < 0) {
		j->r = r;
		j->e = *e;
		j->over = true;
		j->exit_code = x ? x->exit_code : 0;
		finish(j);
		return;
	}
	j->fd = fd;
	if (fd >= 0 && io_add(j->cs->cfg.loop, &j->io, fd, EPOLLIN) < 0)
		fd_close(take_fd(j->fd));
	timer_clear(&j->timer);
	if (!j->who && x)
		exec_kill(x); /* cancelled before it ran */
	else if (j->timeout_ms > 0)
		timer_set(j->cs->cfg.loop, &j->timer, j->timeout_ms);
}

static void on_ended(struct exec_start *s, int exit_code)
{
	struct probe_job *j = container_of(s, struct probe_job, start);

	j->over = true;
	j->exit_code = exit_code;
	maybe_finish(j);
}

static void on_timer(struct timer_event *ev)
{
	struct probe_job *j = container_of(ev, struct probe_job, timer);
	struct exec *x = exec_of(j);

	if (j->over || j->killed) { /* its output stays open, or it does not die */
		finish(j);
		return;
	}
	j->killed = true;
	j->r = err_set(&j->e, ETIMEDOUT, "the command did not end in %d ms", j->timeout_ms);
	if (x && x->state == EXEC_RUNNING)
		exec_kill(x);
	timer_set(j->cs->cfg.loop, &j->timer, PROBE_END_MS);
}

static int begin(struct container *c, struct probe_job *j, char *const *argv)
{
	struct exec_config asked = { 0 };
	struct exec *x = NULL;
	int r = 0;

	bind_init(&exec_config_table, &asked);
	asked.attach_stdout = asked.attach_stderr = true;
	asked.cmd = strv_copy(argv);
	if (strv_len(asked.cmd) == 0)
		r = err_set(&j->e, EINVAL, "No exec command specified");
	if (r < 0)
		bind_free(&exec_config_table, &asked);
	else
		r = exec_new_for(c, &asked, true, &x, &j->e);
	if (r < 0)
		return r;
	(void)str_copy(j->exec_id, sizeof(j->exec_id), x->id);
	timer_set(c->cs->cfg.loop, &j->timer, PROBE_START_MS);
	return exec_start(x, &j->start, &j->e);
}

void container_probe(struct container *c, struct container_probe *p)
{
	struct probe_job *j = calloc(1, sizeof(*j));

	if (!j)
		abort(); /* an engine that cannot allocate 1 KiB ends (ops.c) */
	*j = (struct probe_job){
		.cs = c->cs,
		.who = p,
		.fd = -1,
		.io = { .fn = on_output },
		.timer = { .fn = on_timer },
		.answer = { .fn = answer },
		.start = { .started = on_started, .ended = on_ended },
		.output = BUF_INIT(PROBE_OUTPUT_MAX),
		.timeout_ms = p->timeout_ms,
	};
	list_append(&c->cs->execs->probes, &j->link);
	p->job = j;
	j->r = begin(c, j, p->argv);
	if (j->r < 0) {
		j->over = true;
		finish(j);
	}
}

void container_probe_cancel(struct container_probe *p)
{
	struct probe_job *j = take_ptr(p->job);
	struct exec *x = j ? exec_of(j) : NULL;

	if (!j)
		return;
	j->who = NULL;
	if (x && x->state == EXEC_RUNNING && !j->killed) {
		j->killed = true;
		exec_kill(x);
		timer_set(j->cs->cfg.loop, &j->timer, PROBE_END_MS);
	}
}

void probes_free(struct execs *xs)
{
	struct probe_job *j;

	while ((j = list_first(&xs->probes, struct probe_job, link)))
		job_free(j);
}
