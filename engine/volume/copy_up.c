/*
 * Copy-up, the engine's side: whether there is anything to do, and the worker that does it.
 *
 * The end is always reported from the loop, never from inside volume_copy_up, also when there is
 * nothing to do. Caller: container/.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/volume/inside.h"
#include "engine/worker/worker.h"
#include "init/base/str.h"

struct copy_up_job {
	struct copy_up *owner;
	struct loop *loop;
	struct worker worker;
	struct defer_event nothing; /* armed instead of the worker */
};

static void job_end(struct copy_up_job *job, int code, const struct err *why)
{
	struct copy_up *c = job->owner;

	c->job = NULL;
	free(job);
	c->done(c, code, why);
}

static void worker_ended(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct err e = { 0 };

	(void)result;
	if (code < 0)
		(void)err_set(&e, -code, "%s", err_text(why));
	job_end(w->data, code, &e);
}

static void nothing_to_do(struct defer_event *ev)
{
	struct err none = { 0 };

	job_end(container_of(ev, struct copy_up_job, nothing), 0, &none);
}

/* 1: there is nothing in it, or a copy-up was cut off; 0: it has content of its own. */
static int wants_copy(const char *folder, const struct volume *v, struct err *e)
{
	_cleanup_(mem_free) char *mark = str_printf("%s/" VOLUME_COPYING, folder);
	struct dirent *d;
	bool empty = true;
	DIR *dir;
	int fd;

	if (!mark)
		return err_set(e, ENOMEM, "out of memory");
	if (access(mark, F_OK) == 0)
		return 1;
	fd = open(v->mountpoint, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int code = errno;

		fd_close(fd);
		return err_errno(e, code, "cannot open the volume %s", v->name);
	}
	while (empty && (d = readdir(dir)))
		empty = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0;
	closedir(dir);
	return empty;
}

static int job_start(struct copy_up_job *job, const char *folder, const char *const *layers,
		     size_t n, const char *path, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(WORKER_BODY_MAX);
	struct worker_spec spec = { .name = VOLUME_WORKER };
	struct json_writer w;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_str(&w, "op", VOLUME_OP_COPY);
	json_member_str(&w, "folder", folder);
	json_member_str(&w, "path", path);
	json_key(&w, "layers");
	json_begin_array(&w);
	for (size_t i = 0; i < n; i++)
		json_str(&w, layers[i]);
	json_end_array(&w);
	json_end_object(&w);
	if (buf_failed(&b))
		return err_errno(e, -buf_failed(&b), "cannot build the request of the copy");
	spec.request = buf_text(&b);
	job->worker.on_done = worker_ended;
	job->worker.data = job;
	return worker_start(job->loop, &job->worker, &spec, e);
}

int volume_copy_up(struct volumes *vs, struct loop *loop, const char *name,
		   const char *const *layers, size_t n_layers, const char *path, struct copy_up *c,
		   struct err *e)
{
	_cleanup_(mem_free) char *folder = volume_folder(vs, name);
	_cleanup_(mem_free) struct copy_up_job *job = calloc(1, sizeof(*job));
	const struct volume *v;
	int rc;

	if (!folder || !job)
		return err_set(e, ENOMEM, "out of memory");
	rc = volume_get(vs, name, &v, e);
	if (rc == 0)
		rc = wants_copy(folder, v, e);
	if (rc < 0)
		return rc;
	job->owner = c;
	job->loop = loop;
	job->nothing.fn = nothing_to_do;
	if (rc > 0 && n_layers > 0) {
		rc = job_start(job, folder, layers, n_layers, path, e);
		if (rc < 0)
			return rc;
	} else {
		defer_add(loop, &job->nothing);
	}
	c->job = take_ptr(job);
	return 0;
}

void copy_up_cancel(struct copy_up *c)
{
	if (!c->job)
		return;
	worker_cancel(&c->job->worker);
	defer_remove(&c->job->nothing);
	free(take_ptr(c->job));
}
