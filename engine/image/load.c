/*
 * Operations that bring images in: a job goes waiting -> unpack worker -> store worker -> commit ->
 * done.
 *
 * A failure at any point leads over "clean" (a store worker removes the job's folder) to done, so
 * that the space is free when the error is told. Cancelling kills the worker and leaves the folder
 * to the sweeper. Called through image.h and by ensure.c.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/image/finish.h"
#include "engine/image/store_priv.h"
#include "init/base/file.h"
#include "init/base/str.h"

/* ---- jobs ---- */

void job_init(struct image_job *job, struct images *s, struct image_op *op,
	      void (*cancel)(struct image_job *job))
{
	job->s = s;
	job->op = op;
	job->cancel = cancel;
	job->dir = job->archive = -1;
	list_init(&job->link);
}

int job_change(struct image_job *job, enum image_change_type type, const char *id, const char *name)
{
	struct image_change *changes =
		realloc(job->changes, (job->n_changes + 1) * sizeof(*changes));
	struct image_change c = { .type = type, .id = str_dup(id), .name = str_dup(name) };

	if (changes)
		job->changes = changes;
	if (!changes || !c.id || (name && !c.name)) {
		free(c.id);
		free(c.name);
		return -ENOMEM;
	}
	changes[job->n_changes++] = c;
	return 0;
}

/* What a good load leaves of its folder is empty: no worker is needed to remove that. */
static bool removed_empty(struct image_job *job)
{
	return job->dir >= 0 && unlinkat(job->dir, JOB_BLOBS, AT_REMOVEDIR) == 0 &&
	       unlinkat(job->s->dir_fd, job->tmp, AT_REMOVEDIR) == 0;
}

void job_free(struct image_job *job)
{
	struct images *s = job->s;

	worker_cancel(&job->worker);
	defer_remove(&job->defer);
	list_remove(&job->link);
	s->running -= job->started;
	if (job->op && !job->end) {
		job->op->job = NULL;
		job->op->changes = NULL;
		job->op->n_changes = 0;
	}
	if (job->tmp[0] && !removed_empty(job))
		(void)strv_add(&job->trash, job->tmp);
	if (job->trash)
		trash_add(s, take_ptr(job->trash));
	for (size_t i = 0; i < job->n_changes; i++) {
		free(job->changes[i].id);
		free(job->changes[i].name);
	}
	free(job->changes);
	free(job->source.path);
	load_plan_free(&job->plan);
	making_free(job->making);
	fd_close(job->dir);
	fd_close(job->archive);
	if (job->over)
		job->over(job);
	free(job);
}

static void start_waiting(struct images *s);

void job_done(struct image_job *job, int r, const struct err *e)
{
	struct image_op *op = job->op;
	struct images *s = job->s;
	const struct err fine = { 0 };

	list_remove(&job->link);
	s->running -= job->started;
	job->started = false;
	if (job->end) {
		job->end(job, r, e ? e : &fine);
	} else {
		op->job = NULL;
		op->changes = job->changes;
		op->n_changes = job->n_changes;
		op->freed = job->freed;
		job->op = NULL;
		op->done(op, r, e ? e : &fine);
	}
	job_free(job);
	start_waiting(s);
}

void image_op_cancel(struct image_op *op)
{
	if (op->job)
		op->job->cancel(op->job);
}

static void cancel_load(struct image_job *job)
{
	struct images *s = job->s;

	job_free(job);
	start_waiting(s);
}

/* ---- failure ---- */

static void on_cleaned(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct image_job *job = container_of(w, struct image_job, worker);

	(void)result;
	(void)why;
	if (code == 0) {
		job->tmp[0] = '\0';
		strv_free(job->trash);
		job->trash = NULL;
	}
	job_done(job, job->result, &job->why);
}

void job_fail(struct image_job *job, int r, const struct err *e)
{
	job->result = r;
	job->why = *e;
	if (job->tmp[0])
		(void)strv_add(&job->trash, job->tmp);
	job->worker.on_done = on_cleaned;
	job->worker.on_progress = NULL;
	if (!job->trash || trash_remove(job->s, &job->worker, job->trash, NULL) < 0)
		job_done(job, r, &job->why);
	else
		job->tmp[0] = '\0'; /* the list has it */
}

/* ---- steps ---- */

static void tell_loaded(struct image_job *job)
{
	struct image_op *op = job->op;
	char text[REF_TEXT_MAX + 64];

	if (job->committed)
		job->committed(job);
	for (size_t i = 0; op && op->progress && i < job->n_changes; i++) {
		const struct image_change *c = &job->changes[i];

		if (c->type == IMAGE_UNTAGGED)
			(void)str_format(text, sizeof(text),
					 "The image %s already exists, renaming the old one with "
					 "ID %s to empty string\n",
					 c->name, c->id);
		else if (c->type == IMAGE_LOADED && c->name)
			(void)str_format(text, sizeof(text), "Loaded image: %s\n", c->name);
		else if (c->type == IMAGE_LOADED)
			(void)str_format(text, sizeof(text), "Loaded image ID: %s\n", c->id);
		else
			continue;
		op->progress(op, &(struct image_progress){ .stream = text });
	}
}

static void on_finished(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct image_job *job = container_of(w, struct image_job, worker);
	struct err e = { 0 };
	int r = code;

	(void)result;
	if (r == 0) {
		r = commit_job(job, &e);
		why = &e;
	}
	if (r < 0) {
		job_fail(job, r, why);
		return;
	}
	tell_loaded(job);
	job_done(job, 0, NULL);
}

int job_finish(struct image_job *job, struct err *e)
{
	_cleanup_(buf_free) struct buf request = BUF_INIT(WORKER_BODY_MAX);
	const struct fd_map fds[] = { { FINISH_FD_STORE, job->s->dir_fd } };
	int r = commit_prepare(job, &request, e);

	if (r < 0)
		return r;
	if (buf_failed(&request))
		return err_set(e, EFBIG, "the archive has too many layers for one load");
	job->worker.on_done = on_finished;
	job->worker.on_progress = NULL;
	return worker_start(job->s->loop, &job->worker,
			    &(struct worker_spec){ .name = "store",
						   .request = request.data,
						   .input_fd = -1,
						   .fds = fds,
						   .n_fds = ARRAY_SIZE(fds) },
			    e);
}

static void on_unpacked(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct image_job *job = container_of(w, struct image_job, worker);
	struct err e = { 0 };
	int r = code;

	if (r < 0)
		e = *why;
	else
		r = job_result_read(result, &job->s->limits, &job->plan, &e);
	if (r == 0 && job->plan.names_only) {
		job_done(job, 0, NULL);
		return;
	}
	if (r == 0 && job->making)
		r = making_plan(job, &e);
	if (r == 0)
		r = job_finish(job, &e);
	if (r < 0)
		job_fail(job, r, &e);
}

static void on_progress(struct worker *w, yyjson_val *body)
{
	struct image_job *job = container_of(w, struct image_job, worker);
	const char *diff_id = "";
	int64_t bytes = 0, total = 0;
	char id[13];

	if (!job->op || !job->op->progress || json_get_text(body, "diff_id", &diff_id, NULL) < 0 ||
	    !digest_valid(diff_id) || json_get_i64(body, "bytes", &bytes, NULL) < 0 ||
	    json_get_i64(body, "total", &total, NULL) < 0)
		return;
	(void)str_format(id, sizeof(id), "%.12s", digest_hex(diff_id));
	job->op->progress(job->op, &(struct image_progress){ .status = "Loading layer",
							     .id = id,
							     .current = bytes,
							     .total = total });
}

int job_make_folder(struct image_job *job, struct err *e)
{
	char name[64];
	int r = trash_name(name, e);

	if (r < 0)
		return r;
	if (mkdirat(job->s->tmp_fd, name, 0700) < 0)
		return err_errno(e, errno, "cannot make a folder in %s/tmp", job->s->dir);
	(void)str_format(job->tmp, sizeof(job->tmp), "tmp/%s", name);
	job->dir = openat(job->s->tmp_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (job->dir < 0 || mkdirat(job->dir, JOB_BLOBS, 0700) < 0)
		return err_errno(e, errno, "cannot make a folder in %s/tmp", job->s->dir);
	return 0;
}

static int start_unpack(struct image_job *job, struct err *e)
{
	_cleanup_(buf_free) struct buf request = BUF_INIT(WORKER_BODY_MAX);
	struct fd_map fds[2] = { { JOB_FD_DIR, -1 }, { JOB_FD_LAYERS, job->s->layers_fd } };
	int r = job_make_folder(job, e);

	if (r < 0)
		return r;
	job_request_write(&job->request, &request);
	fds[0].ours = job->dir;
	job->worker.on_done = on_unpacked;
	job->worker.on_progress = on_progress;
	r = worker_start(job->s->loop, &job->worker,
			 &(struct worker_spec){ .name = "unpack",
						.request = buf_text(&request),
						.input_fd = job->archive,
						.fds = fds,
						.n_fds = ARRAY_SIZE(fds),
						.oom_score_adj = 500 },
			 e);
	if (r == 0)
		fd_close(take_fd(
			job->archive)); /* the worker's alone: its end is the end of the pipe */
	return r;
}

static void start_waiting(struct images *s)
{
	struct image_job *job, *next;

	if (s->closing)
		return;
	list_for_each_safe(job, next, &s->jobs, link) {
		struct err e = { 0 };
		int r;

		if (s->running >= s->limits.jobs)
			return;
		if (job->started)
			continue;
		job->started = true;
		s->running++;
		r = start_unpack(job, &e);
		if (r < 0) {
			job_fail(job, r, &e);
			return; /* job_done comes back here */
		}
	}
}

static void on_defer(struct defer_event *ev)
{
	start_waiting(container_of(ev, struct image_job, defer)->s);
}

/* ---- entry points ---- */

int load_start(struct images *s, int fd, const char *wanted, struct image_op *op,
	       void (*end)(struct image_job *job, int r, const struct err *e), void *data,
	       struct image_job **ret, struct err *e)
{
	struct image_job *job = calloc(1, sizeof(*job));

	if (!job)
		return err_set(e, ENOMEM, "out of memory");
	job_init(job, s, op, cancel_load);
	job->end = end;
	job->data = data;
	job->request = (struct job_request){ .keep = s->keep,
					     .no_sandbox = s->no_sandbox,
					     .limits = s->limits };
	(void)str_copy(job->request.wanted, sizeof(job->request.wanted), wanted);
	job->archive = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (job->archive < 0) {
		int code = errno;

		job_free(job);
		return err_errno(e, code, "cannot take the archive over");
	}
	if (op && !end)
		op->job = job;
	list_append(&s->jobs, &job->link);
	job->defer.fn = on_defer;
	defer_add(s->loop, &job->defer);
	if (ret)
		*ret = job;
	return 0;
}

int images_load(struct images *s, int fd, struct image_op *op, struct err *e)
{
	return load_start(s, fd, "", op, NULL, NULL, NULL, e);
}

int images_load_file(struct images *s, const char *path, struct image_op *op, struct err *e)
{
	_cleanup_(fd_close) int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot open %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s is not a regular file", path);
	return images_load(s, fd, op, e);
}
