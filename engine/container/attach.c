/*
 * Attach: from a caller that wants the container's streams to a socket that the shim gives.
 *
 * A caller waits in container.attaches until the shim exists. Then one job per caller is with the
 * shim; the caller's link stands in the job's list, so that a caller that goes away leaves a job
 * without a caller, and the socket is closed when it comes.
 */
#include "engine/container/object.h"

struct attach_job {
	struct list link; /* container.attach_jobs */
	struct list who; /* the one struct container_attach, or empty */
};

void attach_answer(struct container_attach *a, int fd, const struct err *e)
{
	list_remove(&a->link);
	a->ready(a, fd, e);
}

static void job_free(struct attach_job *job)
{
	list_remove(&job->link);
	free(job);
}

static void job_done(struct shim_client *shim, int r, struct shim_reply *reply, const struct err *e,
		     void *data)
{
	struct attach_job *job = data;
	struct container_attach *a = list_first(&job->who, struct container_attach, link);

	(void)shim;
	if (a && r == 0)
		a->log_end = (struct log_place){ .known = reply->log_offset >= 0,
						 .ino = reply->log_ino,
						 .offset = reply->log_offset };
	if (a)
		attach_answer(a, r == 0 ? take_fd(reply->fd) : -1, e);
	job_free(job);
}

static void ask(struct container *c, struct container_attach *a, int stall_ms)
{
	struct attach_job *job = calloc(1, sizeof(*job));
	struct shim_done done = { job_done, job };
	struct err e = { 0 };
	int r = -ENOMEM;

	if (!job) {
		err_errno(&e, ENOMEM, "attach");
	} else {
		list_init(&job->who);
		list_append(&c->attach_jobs, &job->link);
		list_append(&job->who, &a->link);
		r = shim_attach(c->shim, a->in, a->out, a->err, stall_ms, &done, &e);
	}
	if (r < 0) {
		attach_answer(a, -1, &e);
		if (job)
			job_free(job);
	}
}

void attaches_begin(struct container *c)
{
	while (!list_empty(&c->attaches)) {
		struct container_attach *a =
			list_first(&c->attaches, struct container_attach, link);

		list_remove(&a->link);
		ask(c, a, ATTACH_FIRST_STALL_MS);
	}
}

void attaches_end(struct container *c)
{
	struct err e = { 0 };

	err_set(&e, EIO, "the container ended");
	while (!list_empty(&c->attach_jobs)) {
		struct attach_job *job = list_first(&c->attach_jobs, struct attach_job, link);
		struct container_attach *a = list_first(&job->who, struct container_attach, link);

		if (a)
			list_remove(&a->link);
		job_free(job);
		if (a)
			a->ready(a, -1, &e);
	}
}

void container_attach(struct container *c, struct container_attach *a)
{
	if (state_is_running(c->state))
		ask(c, a, 0);
	else
		list_append(&c->attaches, &a->link);
}

void container_attach_cancel(struct container_attach *a)
{
	list_remove(&a->link);
}
