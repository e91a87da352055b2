/*
 * The engine's side of describing and searching: see lookup.h. One fetch worker each.
 */
#include "engine/registry/lookup.h"

#include <string.h>

#include "engine/registry/fetch.h"
#include "engine/registry/registry_priv.h"
#include "init/base/str.h"

#define SEARCH_HOST "index.docker.io" /* Docker Hub's */

enum {
	LIMIT_DEFAULT = 25,
	LIMIT_MAX = 100,
	PLATFORMS_MAX = 1024,
	TERM_MAX = 256,
	ANSWER_MAX = 1 << 20,
};

struct lookup_job {
	struct registry_lookup *op;
	struct fetch fetch;
	struct place *place;
	int (*write)(struct lookup_job *job, yyjson_val *result, struct json_writer *w,
		     struct err *e);
	struct registry_search search; /* without its term */
};

static void job_free(struct lookup_job *job)
{
	if (!job)
		return;
	fetch_cancel(&job->fetch);
	place_free(job->place);
	job->op->job = NULL;
	free(job);
}
DEFINE_CLEANUP(struct lookup_job *, job_free)

void registry_lookup_cancel(struct registry_lookup *l)
{
	job_free(l->job);
}

static void on_done(struct fetch *f, int r, yyjson_val *result, const struct err *why)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(ANSWER_MAX);
	struct lookup_job *job = container_of(f, struct lookup_job, fetch);
	struct registry_lookup *op = job->op;
	struct err e = { 0 };
	struct json_writer w;

	json_writer_init(&w, &text);
	if (r < 0)
		e = *why;
	else
		r = job->write(job, result, &w, &e);
	if (r == 0 && buf_failed(&text))
		r = err_set(&e, EFBIG, "the registry's answer is too long");
	job_free(job);
	op->done(op, r, r == 0 ? &text : NULL, &e);
}

/* Takes the job over when it returns 0. */
static int start(struct registry *reg, struct lookup_job **job, const char *kind, const char *scope,
		 const struct registry_auth *auth, const struct buf *args, struct err *e)
{
	struct lookup_job *j = *job;
	int r;

	if (buf_failed(args))
		return err_set(e, ENOMEM, "out of memory");
	j->fetch.done = on_done;
	r = fetch_start(reg, &j->fetch,
			&(struct fetch_spec){ .kind = kind,
					      .place = j->place,
					      .auth = auth,
					      .scope = scope,
					      .args = buf_text(args) },
			e);
	if (r == 0)
		j->op->job = take_ptr(*job);
	return r;
}

static struct lookup_job *job_new(struct registry_lookup *l, struct err *e)
{
	struct lookup_job *job = calloc(1, sizeof(*job));

	if (job)
		job->op = l;
	else
		err_set(e, ENOMEM, "out of memory");
	return job;
}

/* ---- what is behind a name ---- */

static int write_platform(yyjson_val *value, struct json_writer *w, struct err *e)
{
	static const char *const keys[] = { "architecture", "os", "os.version", "variant" };

	json_begin_object(w);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *text = NULL;
		int r = json_get_text(value, keys[i], &text, e);

		if (r < 0)
			return r;
		if (!str_empty(text))
			json_member_str(w, keys[i], text);
	}
	json_end_object(w);
	return 0;
}

static int write_description(struct lookup_job *job, yyjson_val *result, struct json_writer *w,
			     struct err *e)
{
	const char *media_type = NULL, *digest = NULL;
	yyjson_val *platforms = NULL, *value;
	int64_t size = 0;
	size_t i, max;
	int r;

	(void)job;
	if ((r = json_need_text(result, "media_type", &media_type, e)) < 0 ||
	    (r = json_need_text(result, "digest", &digest, e)) < 0 ||
	    (r = digest_check(digest, e)) < 0 || (r = json_get_i64(result, "size", &size, e)) < 0 ||
	    (r = json_get_array(result, "platforms", &platforms, e)) < 0)
		return r;
	json_begin_object(w);
	json_key(w, "Descriptor");
	json_begin_object(w);
	json_member_str(w, "mediaType", media_type);
	json_member_str(w, "digest", digest);
	json_member_i64(w, "size", size);
	json_end_object(w);
	json_key(w, "Platforms");
	json_begin_array(w);
	yyjson_arr_foreach(platforms, i, max, value)
	{
		r = i < PLATFORMS_MAX ? write_platform(value, w, e) : 0;
		if (r < 0)
			return r;
	}
	json_end_array(w);
	json_end_object(w);
	return 0;
}

int registry_describe(struct registry *reg, const char *name, const struct registry_auth *auth,
		      struct registry_lookup *l, struct err *e)
{
	_cleanup_(job_free) struct lookup_job *job = job_new(l, e);
	_cleanup_(buf_free) struct buf args = BUF_INIT(4096);
	char scope[REF_NAME_MAX + 32];
	struct json_writer w;
	struct ref ref;
	int r;

	if (!job)
		return -ENOMEM;
	r = ref_parse(name, &ref, e);
	if (r == 0)
		r = registry_place(reg, &ref, &job->place, e);
	if (r < 0)
		return r;
	ref_add_default_tag(&ref);
	job->write = write_description;
	(void)str_format(scope, sizeof(scope), "repository:%s:pull", ref.path);
	json_writer_init(&w, &args);
	json_begin_object(&w);
	json_member_str(&w, "reference", ref.digest[0] ? ref.digest : ref.tag);
	json_end_object(&w);
	return start(reg, &job, "describe", scope, auth, &args, e);
}

/* ---- what can be found ---- */

static bool is_wanted(const struct registry_search *q, bool official, int64_t stars)
{
	return stars >= q->stars && !(q->only_official && !official) &&
	       !(q->only_unofficial && official);
}

static int write_hit(struct lookup_job *job, yyjson_val *value, struct json_writer *w,
		     struct err *e)
{
	const char *name = NULL, *description = "";
	bool official = false;
	int64_t stars = 0;
	int r;

	if ((r = json_need_text(value, "name", &name, e)) < 0 ||
	    (r = json_get_text(value, "description", &description, e)) < 0 ||
	    (r = json_get_i64(value, "star_count", &stars, e)) < 0 ||
	    (r = json_get_bool(value, "is_official", &official, e)) < 0)
		return r;
	if (!is_wanted(&job->search, official, stars))
		return 0;
	json_begin_object(w);
	json_member_i64(w, "star_count", stars);
	json_member_bool(w, "is_official", official);
	json_member_str(w, "name", name);
	json_member_bool(w, "is_automated", false); /* Docker Hub has no such thing any more */
	json_member_str(w, "description", description ? description : "");
	json_end_object(w);
	return 0;
}

static int write_hits(struct lookup_job *job, yyjson_val *result, struct json_writer *w,
		      struct err *e)
{
	yyjson_val *hits = NULL, *value;
	size_t i, max;
	int r = json_get_array(result, "results", &hits, e);

	json_begin_array(w);
	yyjson_arr_foreach(hits, i, max, value)
	{
		if (r == 0 && i < (size_t)job->search.limit)
			r = write_hit(job, value, w, e);
	}
	json_end_array(w);
	return r;
}

/* "host:5000/a/b" -> "host:5000" and "a/b"; else Docker Hub's host and all of it. */
static int split_term(const char *term, char host[REF_NAME_MAX + 1], const char **ret_rest,
		      struct err *e)
{
	size_t len = strcspn(term, "/");

	if (str_empty(term) || strlen(term) > TERM_MAX)
		return err_set(e, EINVAL, "the search term must have 1 to %d characters", TERM_MAX);
	if (str_starts(term, "http://") || str_starts(term, "https://"))
		return err_set(e, EINVAL,
			       "invalid repository name: repository name (%s) should not have a "
			       "scheme",
			       term);
	(void)str_format(host, REF_NAME_MAX + 1, "%.*s", (int)MIN(len, (size_t)REF_NAME_MAX), term);
	*ret_rest = term;
	if (term[len] && (strpbrk(host, ".:") || str_eq(host, "localhost")))
		*ret_rest = term + len + 1;
	if (*ret_rest == term || str_eq(host, HUB_DOMAIN) || str_eq(host, SEARCH_HOST)) {
		(void)str_copy(host, REF_NAME_MAX + 1, SEARCH_HOST);
		if (str_starts(*ret_rest, "library/"))
			*ret_rest += strlen("library/");
	}
	return 0;
}

int registry_search(struct registry *reg, const struct registry_search *q,
		    const struct registry_auth *auth, struct registry_lookup *l, struct err *e)
{
	_cleanup_(job_free) struct lookup_job *job = job_new(l, e);
	_cleanup_(buf_free) struct buf args = BUF_INIT(8192);
	char host[REF_NAME_MAX + 1];
	const char *rest = NULL;
	struct json_writer w;
	int r;

	if (!job)
		return -ENOMEM;
	job->search = *q;
	job->search.term = NULL;
	if (q->limit == 0)
		job->search.limit = LIMIT_DEFAULT;
	if (q->limit < 0 || q->limit > LIMIT_MAX)
		return err_set(e, EINVAL, "limit %d is outside the range of [1, %d]", q->limit,
			       LIMIT_MAX);
	r = split_term(q->term, host, &rest, e);
	if (r == 0)
		r = place_new(&reg->settings, host, "", &job->place, e);
	if (r < 0)
		return r;
	job->write = write_hits;
	json_writer_init(&w, &args);
	json_begin_object(&w);
	json_member_str(&w, "term", rest);
	json_member_i64(&w, "limit", job->search.limit);
	json_end_object(&w);
	return start(reg, &job, "search", NULL, auth, &args, e);
}
