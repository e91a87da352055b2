/*
 * One address into a descriptor, for `docker import URL`: the fetch worker without a registry.
 */
#include <string.h>

#include "engine/registry/registry_priv.h"
#include "init/base/str.h"

struct download_job {
	struct fetch fetch;
	struct registry_download *owner;
};

static void download_free(struct download_job *job)
{
	fetch_cancel(&job->fetch);
	free(job);
}

void registry_download_cancel(struct registry_download *d)
{
	struct download_job *job = d->job;

	d->job = NULL;
	if (job)
		download_free(job);
}

static void on_progress(struct fetch *f, int64_t current, int64_t total)
{
	struct registry_download *d = container_of(f, struct download_job, fetch)->owner;

	if (d->progress)
		d->progress(d, current, total);
}

static void on_done(struct fetch *f, int r, yyjson_val *result, const struct err *e)
{
	struct download_job *job = container_of(f, struct download_job, fetch);
	struct registry_download *d = job->owner;
	struct err why = *e;

	(void)result;
	d->job = NULL;
	download_free(job);
	d->done(d, r, &why);
}

int registry_download(struct registry *reg, const char *url, int fd, struct registry_download *d,
		      struct err *e)
{
	_cleanup_(buf_free) struct buf args = BUF_INIT(2 * REGISTRY_URL_MAX);
	struct download_job *job;
	struct url_parts parts;
	struct json_writer w;
	int r = url_parts(url, &parts, e);

	if (r < 0)
		return r;
	json_writer_init(&w, &args);
	json_begin_object(&w);
	json_member_str(&w, "url", url);
	json_end_object(&w);
	if (strlen(url) >= REGISTRY_URL_MAX || buf_failed(&args))
		return err_set(e, EINVAL, "the address is too long");
	job = calloc(1, sizeof(*job));
	if (!job)
		return err_set(e, ENOMEM, "out of memory");
	job->owner = d;
	job->fetch.done = on_done;
	job->fetch.progress = on_progress;
	r = fetch_start(reg, &job->fetch,
			&(struct fetch_spec){
				.kind = "address", .args = args.data, .fds = &fd, .n_fds = 1 },
			e);
	if (r < 0)
		download_free(job);
	else
		d->job = job;
	return r;
}
