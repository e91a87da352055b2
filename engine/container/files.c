/*
 * Operations on a container's files: when they may begin, what the worker is told, and the bytes in
 * between (files.h).
 *
 * An operation goes: waiting (for a start to end, or for another one that fills volumes) -> filling
 * (a stopped container's volumes get the image's content, as at its start) -> the worker -> done.
 * What holds the overlay (`holds`) keeps a start waiting; the container's files_timer ends that.
 */
#include "engine/container/files.h"

#include <fcntl.h>

#include "engine/container/object.h"
#include "engine/container/shared.h"
#include "engine/files/files.h"
#include "init/base/cgroup.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum { STAT_TIMEOUT_MS = 60000, PIPE_SIZE = 256 << 10 };

static const char *const kind_names[] = {
	[FILES_STAT] = "stat",	   [FILES_GET] = "get",		[FILES_PUT] = "put",
	[FILES_EXPORT] = "export", [FILES_CHANGES] = "changes", [FILES_LAYER] = "layer",
};

static struct files_op *op_of(struct list *link)
{
	return container_of(link, struct files_op, link);
}

static bool gives_output(const struct files_op *op)
{
	return op->q.kind == FILES_GET || op->q.kind == FILES_EXPORT || op->q.kind == FILES_CHANGES;
}

/* These see the container with its volumes; the others look at its own files alone. */
static bool sees_mounts(const struct files_op *op)
{
	return op->q.kind == FILES_STAT || op->q.kind == FILES_GET || op->q.kind == FILES_PUT;
}

/* ---- the end ---- */

static void close_out(struct files_op *op)
{
	io_remove(&op->out);
	fd_close(take_fd(op->out_fd));
}

/* It takes a stopped container's volumes for itself: the container may start meanwhile. */
static const char *files_taker(const struct files_op *op, char who[32])
{
	(void)str_format(who, 32, "files%llx-", (unsigned long long)(uintptr_t)op);
	return who;
}

/* A start that waited may go on. */
static void check_hold(struct container *c)
{
	if (!c->start_held)
		return;
	for (struct list *l = c->files.next; l != &c->files; l = l->next)
		if (op_of(l)->holds)
			return;
	timer_set(c->cs->cfg.loop, &c->files_timer, 0);
}

/* Ends whatever runs and gives the container free. */
static void release(struct files_op *op)
{
	char who[32];

	worker_cancel(&op->worker);
	copy_up_cancel(&op->copy_up);
	close_out(op);
	if (op->counted) {
		op->cs->n_files--;
		op->counted = false;
		list_remove(&op->link);
	}
	if (op->c && op->taken) {
		container_release_volumes(op->c, files_taker(op, who));
		op->taken = false;
	}
	if (op->c) {
		op->holds = op->filling = false;
		container_files_wake(op->c);
		check_hold(op->c);
		op->c = NULL;
	}
}

static void forget(struct files_op *op)
{
	defer_remove(&op->step);
	fd_close(take_fd(op->give_fd));
	free(take_ptr(op->path));
	free(take_ptr(op->asked));
}

/* done() follows. */
static void conclude(struct files_op *op, const struct err *why)
{
	struct loop *loop = op->cs->cfg.loop;

	op->why = why ? *why : (struct err){ 0 };
	op->over = true;
	release(op);
	defer_add(loop, &op->step);
}

static void fail(struct files_op *op, int r, const struct err *e)
{
	struct err why = *e;

	if (why.code == 0)
		err_errno(&why, -r, "the container's files");
	conclude(op, &why);
}

void container_files_drop(struct container *c, const struct err *why)
{
	while (!list_empty(&c->files))
		conclude(op_of(c->files.next), why);
}

/* ---- the worker's request ---- */

static void write_path(const char *path, struct json_writer *w)
{
	_cleanup_(mem_free) char *text = base64_encode(path, strlen(path));

	json_member_str(w, "path", text);
}

static void write_mounts(const struct container *c, struct json_writer *w)
{
	json_key(w, "mounts");
	json_begin_array(w);
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = mount_at_index(c, i);

		if (str_empty(m->source)) /* what is in memory is gone with the last run */
			continue;
		json_begin_object(w);
		json_member_str(w, "source", m->source);
		if (m->subpath)
			json_member_str(w, "subpath", m->subpath);
		json_member_str(w, "destination", m->destination);
		json_member_bool(w, "read_only", !m->rw);
		json_member_bool(w, "recursive", !m->non_recursive);
		json_end_object(w);
	}
	json_end_array(w);
}

static int write_root(const struct container *c, struct json_writer *w, struct err *e)
{
	const struct image *img = images_find(c->cs->cfg.images, c->image_id, e);
	_cleanup_(strv_free) char **layers = img ? image_lower_dirs(img) : NULL;
	_cleanup_(mem_free) char *upper = container_path(c, "upper"),
				 *work = container_path(c, "work");

	if (!img)
		return -ENOENT;
	if (!layers || !upper || !work)
		return err_errno(e, ENOMEM, "the container's files");
	json_key(w, "layers");
	json_strv(w, layers);
	json_member_str(w, "upper", upper);
	json_member_str(w, "work", work);
	json_member_bool(w, "read_only", c->asked.host.readonly_rootfs);
	return 0;
}

static int write_request(const struct files_op *op, bool running, struct buf *out, struct err *e)
{
	const struct container *c = op->c;
	struct json_writer w;
	int r;

	json_writer_init(&w, out);
	json_begin_object(&w);
	json_member_str(&w, "op", kind_names[op->q.kind]);
	json_member_str(&w, "container", op->asked);
	if (op->path)
		write_path(op->path, &w);
	json_member_bool(&w, "running", running);
	json_member_bool(&w, "user_ns", c->remap.count > 0);
	json_member_bool(&w, "keep_kind", op->q.keep_kind);
	json_member_bool(&w, "own", op->q.own);
	json_member_str(&w, "user", c->asked.config.user ? c->asked.config.user : "");
	r = write_root(c, &w, e);
	if (!running && sees_mounts(op))
		write_mounts(c, &w);
	json_end_object(&w);
	if (r == 0 && buf_failed(out))
		r = err_errno(e, -buf_failed(out), "the container's files");
	return r;
}

/* A pidfd of the container's first process. */
static int open_process(const struct container *c, struct err *e)
{
	pid_t pid = c->shim ? shim_client_status(c->shim)->pid : 0;
	char cgroup[CONTAINER_CGROUP_MAX];
	int fd;

	container_cgroup(c, cgroup);
	fd = cgroup_open_process(cgroup, pid, NULL);
	return fd < 0 ? err_set(e, EBUSY, "container %s is not running any more", c->id) : fd;
}

/* ---- the worker ---- */

static void on_out(struct io_event *ev, uint32_t events)
{
	struct files_op *op = container_of(ev, struct files_op, out);

	(void)events;
	op->readable(op);
}

void container_files_pause(struct files_op *op, bool paused)
{
	/* taken off, not only silenced: a closed pipe reports itself in any case */
	if (op->out_fd >= 0 && paused)
		io_remove(&op->out);
	else if (op->out_fd >= 0 && !op->out.loop)
		io_add(op->cs->cfg.loop, &op->out, op->out_fd, EPOLLIN);
}

size_t container_files_read(struct files_op *op, void *buf, size_t size)
{
	ssize_t n;

	if (op->out_fd < 0)
		return 0;
	do {
		n = read(op->out_fd, buf, size);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return (size_t)n;
	if (n < 0 && errno == EAGAIN)
		return 0;
	close_out(op);
	if (op->ended)
		conclude(op, NULL);
	return 0;
}

static void on_progress(struct worker *w, yyjson_val *body)
{
	struct files_op *op = container_of(w, struct files_op, worker);
	_cleanup_(mem_free) char *json = yyjson_val_write(body, 0, NULL);

	if (!json || !op->found || !yyjson_is_obj(body))
		return;
	if (op->q.kind == FILES_GET)
		container_publish(op->c, "archive-path", NULL, NULL);
	container_files_pause(op, false);
	op->found(op, json);
}

static void on_room(struct worker *w)
{
	struct files_op *op = container_of(w, struct files_op, worker);

	if (op->room)
		op->room(op);
}

static void on_done(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct files_op *op = container_of(w, struct files_op, worker);

	(void)result;
	if (code == 0 && op->q.kind == FILES_PUT)
		container_publish(op->c, "extract-to-dir", NULL, NULL);
	if (code == 0 && op->out_fd >= 0)
		op->ended = true; /* what is in the pipe comes first */
	else
		conclude(op, code < 0 ? why : NULL);
}

static int make_pipe(struct files_op *op, int *ret_write_end, struct err *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make a pipe");
	op->out_fd = fds[0];
	*ret_write_end = fds[1];
	(void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE); /* fewer turns; without it is fine too */
	return fd_set_nonblock(op->out_fd, true);
}

static int launch(struct files_op *op, bool running, struct err *e)
{
	_cleanup_(buf_free) struct buf request = BUF_INIT(WORKER_BODY_MAX);
	_cleanup_(fd_close) int process = -1, write_end = -1;
	struct fd_map fds[2];
	struct worker_spec spec = { .name = FILES_WORKER,
				    .fds = fds,
				    .stream_input = op->q.kind == FILES_PUT };
	int r = write_request(op, running, &request, e);

	if (r == 0 && running) {
		process = open_process(op->c, e);
		r = MIN(process, 0);
		fds[spec.n_fds++] = (struct fd_map){ FILES_FD_PROCESS, process };
	}
	if (r == 0 && op->q.kind == FILES_LAYER)
		fds[spec.n_fds++] = (struct fd_map){ FILES_FD_OUT, op->give_fd };
	if (r == 0 && gives_output(op)) {
		r = make_pipe(op, &write_end, e);
		fds[spec.n_fds++] = (struct fd_map){ FILES_FD_OUT, write_end };
	}
	if (r < 0)
		return r;
	op->worker.on_progress = on_progress;
	op->worker.on_room = on_room;
	op->worker.on_done = on_done;
	op->out.fn = on_out;
	spec.request = buf_text(&request);
	r = worker_start(op->cs->cfg.loop, &op->worker, &spec, e);
	if (r < 0)
		return r;
	op->started = true;
	fd_close(take_fd(op->give_fd)); /* the worker's alone: its end is the end of the pipe */
	op->holds = running || op->q.kind == FILES_PUT || op->q.kind == FILES_LAYER;
	check_hold(op->c);
	if (op->q.kind == FILES_EXPORT)
		container_publish(op->c, "export", NULL, NULL);
	if (op->q.kind != FILES_GET)
		container_files_pause(op, false);
	if (op->input_ended)
		worker_end_input(&op->worker);
	else if (op->room)
		op->room(op);
	return 0;
}

/* ---- when ---- */

static void fill_next(struct files_op *op);

static void filled(struct copy_up *job, int r, const struct err *e)
{
	struct files_op *op = container_of(job, struct files_op, copy_up);

	if (r < 0)
		fail(op, r, e);
	else
		fill_next(op);
}

static void fill_next(struct files_op *op)
{
	struct container *c = op->c;
	struct err e = { 0 };
	char who[32];
	int r;

	op->copy_up.done = filled;
	op->taken = true;
	r = container_copy_up(c, files_taker(op, who), &op->fill_next, &op->copy_up, &e);
	if (r > 0)
		return;
	if (r == 0) {
		op->filling = false;
		container_files_wake(c);
		r = launch(op, false, &e);
	}
	if (r < 0)
		fail(op, r, &e);
}

static bool somebody_fills(const struct container *c)
{
	for (struct list *l = c->files.next; l != &c->files; l = l->next)
		if (op_of(l)->filling)
			return true;
	return false;
}

/* A stopped container: one at a time fills the volumes. */
static int begin_stopped(struct files_op *op, struct err *e)
{
	if (!sees_mounts(op))
		return launch(op, false, e);
	if (somebody_fills(op->c)) {
		op->waits = true;
		return 0;
	}
	op->filling = op->holds = true;
	fill_next(op);
	return 0;
}

static int begin(struct files_op *op, struct err *e)
{
	struct container *c = op->c;

	switch (c->state) {
	case CONTAINER_STARTING:
		op->waits = true;
		return 0;
	case CONTAINER_RUNNING:
	case CONTAINER_PAUSED:
		return launch(op, true, e);
	case CONTAINER_REMOVING:
	case CONTAINER_DEAD:
		return err_set(e, EBUSY,
			       op->q.kind == FILES_EXPORT
				       ? "You cannot export container %s which is being removed"
			       : op->q.kind == FILES_LAYER
				       ? "You cannot commit container %s which is being removed"
				       : "container %s is marked for removal",
			       c->id);
	default:
		return begin_stopped(op, e);
	}
}

static void on_step(struct defer_event *ev)
{
	struct files_op *op = container_of(ev, struct files_op, step);
	struct err e = { 0 };
	int r;

	if (op->over) {
		e = op->why;
		forget(op);
		op->done(op, -e.code, &e);
		return;
	}
	r = begin(op, &e);
	if (r < 0)
		fail(op, r, &e);
}

int container_files_start(struct container *c, const struct files_request *q, struct files_op *op,
			  struct err *e)
{
	struct containers *cs = c->cs;

	if (cs->n_files == FILES_JOBS_MAX)
		return err_set(e, EAGAIN, "more than %d operations on files at a time",
			       FILES_JOBS_MAX);
	op->q = *q;
	op->give_fd = q->kind == FILES_LAYER ? fcntl(q->out_fd, F_DUPFD_CLOEXEC, 0) : -1;
	op->path = str_dup(q->path);
	op->asked = str_dup(q->asked);
	if ((q->path && !op->path) || (q->asked && !op->asked) ||
	    (q->kind == FILES_LAYER && op->give_fd < 0)) {
		forget(op);
		return err_set(e, ENOMEM, "out of memory");
	}
	op->c = c;
	op->cs = cs;
	op->out_fd = -1;
	op->step.fn = on_step;
	list_append(&c->files, &op->link);
	cs->n_files++;
	op->counted = true;
	defer_add(cs->cfg.loop, &op->step);
	return 0;
}

/* ---- input ---- */

size_t container_files_write(struct files_op *op, const void *data, size_t len)
{
	ssize_t n;

	if (op->over)
		return len;
	if (!op->started)
		return 0;
	n = worker_write(&op->worker, data, len);
	return n < 0 ? len : (size_t)n;
}

void container_files_end_input(struct files_op *op)
{
	op->input_ended = true;
	worker_end_input(&op->worker);
}

void container_files_cancel(struct files_op *op)
{
	if (!op->cs)
		return;
	release(op);
	forget(op);
}

/* ---- the container's side ---- */

void container_files_wake(struct container *c)
{
	for (struct list *l = c->files.next; l != &c->files; l = l->next) {
		struct files_op *op = op_of(l);

		if (!op->waits)
			continue;
		op->waits = false;
		defer_add(c->cs->cfg.loop, &op->step);
	}
}

/* The patience is over, or nothing holds the start any more. */
static void start_due(struct timer_event *ev)
{
	struct container *c = container_of(ev, struct container, files_timer);
	struct list *l = c->files.next;
	struct err why = { 0 };

	err_set(&why, ECANCELED, "container %s is being started", c->id);
	while (l != &c->files) {
		struct files_op *op = op_of(l);

		l = l->next;
		if (op->holds)
			conclude(op, &why);
	}
	timer_clear(&c->files_timer);
	if (!c->start_held)
		return;
	c->start_held = false;
	container_start_go_on(c);
}

bool container_files_hold_start(struct container *c)
{
	bool holds = false;

	for (struct list *l = c->files.next; l != &c->files; l = l->next)
		holds |= op_of(l)->holds;
	if (!holds)
		return false;
	c->start_held = true;
	c->files_timer.fn = start_due;
	timer_set(c->cs->cfg.loop, &c->files_timer, FILES_PATIENCE_MS);
	return true;
}

char *container_upper_path(const struct container *c)
{
	return container_path(c, "upper");
}

void container_set_size(struct container *c, int64_t bytes)
{
	c->size_rw = bytes;
}
