/*
 * What is done to one volume happens one after the other: a queue per volume (inside.h).
 *
 * A plugin then never hears "mount" before the "unmount" that came first, and two containers that
 * start at once do not fill the same volume together. The first job runs, the others wait.
 */
#include "engine/volume/inside.h"

static void take_turn(struct defer_event *ev)
{
	struct volume_job *job = container_of(ev, struct volume_job, turn);

	job->begin(job);
}

void volume_job_add(struct volumes *vs, struct volume *v, struct loop *loop, struct volume_job *job)
{
	bool first = list_empty(&v->jobs);

	job->vs = vs;
	job->v = v;
	job->turn.fn = take_turn;
	list_append(&v->jobs, &job->link);
	if (first)
		defer_add(loop, &job->turn);
}

void volume_job_end(struct volume_job *job)
{
	struct volume *v = job->v;
	bool was_first = v && v->jobs.next == &job->link;

	if (!v)
		return;
	defer_remove(&job->turn);
	list_remove(&job->link);
	job->v = NULL;
	if (was_first && !list_empty(&v->jobs) && job->vs->loop)
		defer_add(job->vs->loop, &list_first(&v->jobs, struct volume_job, link)->turn);
}

void volume_jobs_gone(struct volume *v, struct volume_job *first)
{
	while (!list_empty(&v->jobs)) {
		struct volume_job *job = list_first(&v->jobs, struct volume_job, link);

		defer_remove(&job->turn);
		list_remove(&job->link);
		job->v = NULL;
		if (job != first)
			job->gone(job);
	}
}
