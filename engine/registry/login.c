/*
 * `docker login`: one exchange, whose end is the registry's verdict.
 */
#include <string.h>

#include "engine/registry/registry_priv.h"
#include "init/base/str.h"

struct login_job {
	struct fetch fetch;
	struct registry_login *owner;
	struct place *place;
};

static void login_free(struct login_job *job)
{
	fetch_cancel(&job->fetch);
	place_free(job->place);
	free(job);
}

void registry_login_cancel(struct registry_login *l)
{
	struct login_job *job = l->job;

	l->job = NULL;
	if (job)
		login_free(job);
}

static void on_done(struct fetch *f, int r, yyjson_val *result, const struct err *e)
{
	struct login_job *job = container_of(f, struct login_job, fetch);
	struct registry_login *l = job->owner;
	const char *token = NULL;
	struct err why = *e;

	if (r == 0)
		r = json_get_text(result, "identity_token", &token, &why);
	l->job = NULL;
	l->done(l, r, r == 0 ? token : NULL, &why);
	login_free(job);
}

int registry_login(struct registry *reg, const struct registry_auth *auth, struct registry_login *l,
		   struct err *e)
{
	struct login_job *job = calloc(1, sizeof(*job));
	char domain[REF_NAME_MAX + 1];
	int r;

	if (!job)
		return err_set(e, ENOMEM, "out of memory");
	job->owner = l;
	job->fetch.done = on_done;
	r = server_domain(auth->server, domain, e);
	if (r == 0)
		r = place_new(&reg->settings, domain, "", &job->place, e);
	if (r == 0)
		r = fetch_start(
			reg, &job->fetch,
			&(struct fetch_spec){ .kind = "login", .place = job->place, .auth = auth },
			e);
	if (r < 0)
		login_free(job);
	else
		l->job = job;
	return r;
}
