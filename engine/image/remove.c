/*
 * Taking names and images away, with Docker's rules for what is in use.
 *
 * In the reverse order of a load: names, the image's record, then blobs, then layers that no other
 * image uses (renamed into tmp/, removed by the store worker). done() comes when the space is free.
 * Called by api/ through image.h.
 */
#include <fcntl.h>
#include <string.h>

#include "engine/image/store_priv.h"
#include "init/base/log.h"
#include "init/base/str.h"

struct removal {
	struct image_job job;
	struct stored *st;
	const char *name; /* the name that was given; NULL for an id */
	unsigned flags;
};

static void cancel_removal(struct image_job *job)
{
	job_free(job); /* what is left to remove goes to the sweeper */
}

/* ---- rules ---- */

static int check_users(struct images *s, const struct removal *rm, const char *shown, struct err *e)
{
	bool running = false;
	const char *user = s->user ? s->user(rm->st->image.id, &running, s->user_data) : NULL;
	const char *hex = digest_hex(rm->st->image.id);

	if (!user)
		return 0;
	if (running)
		return err_set(e, EBUSY,
			       "conflict: unable to delete %.200s (cannot be forced) - image is "
			       "being used by running "
			       "container %.12s",
			       rm->name ? shown : hex, user);
	if (rm->flags & IMAGE_REMOVE_FORCE)
		return 0;
	if (rm->name)
		return err_set(e, EBUSY,
			       "conflict: unable to remove repository reference \"%.200s\" (must "
			       "force) - container "
			       "%.12s is using its referenced image %.12s",
			       shown, user, hex);
	return err_set(e, EBUSY,
		       "conflict: unable to delete %.12s (must be forced) - image is being used by "
		       "stopped container "
		       "%.12s",
		       hex, user);
}

static int check_rules(struct images *s, const struct removal *rm, const char *shown, struct err *e)
{
	size_t names = strv_len(rm->st->names);

	if (rm->name && names > 1)
		return 0; /* the name goes, the image stays */
	if (!rm->name && names > 1 && !(rm->flags & IMAGE_REMOVE_FORCE))
		return err_set(e, EBUSY,
			       "conflict: unable to delete %.12s (must be forced) - image is "
			       "referenced in multiple "
			       "repositories",
			       digest_hex(rm->st->image.id));
	return check_users(s, rm, shown, e);
}

/* ---- removal ---- */

static int remove_name(struct removal *rm, const char *name, struct err *e)
{
	char familiar[REF_TEXT_MAX];
	struct ref ref;
	int r = ref_parse(name, &ref, e);

	if (r < 0)
		return r;
	ref_format_familiar(&ref, familiar);
	r = record_remove_name(rm->job.s, rm->st, name, e);
	if (r < 0)
		return r;
	return job_change(&rm->job, IMAGE_UNTAGGED, rm->st->image.id, familiar) < 0
		       ? err_set(e, ENOMEM, "out of memory")
		       : 0;
}

/* After the records are gone nothing may fail any more: what cannot be removed now is swept by
 * the next start. */
static void remove_content(struct removal *rm, char *const *chains, char *const *blobs)
{
	struct images *s = rm->job.s;
	struct err e = { 0 };

	for (size_t i = 0; i < strv_len(blobs); i++)
		if (!store_uses_blob(s, blobs[i]))
			unlinkat(s->blobs_fd, blobs[i], 0);
	for (size_t i = strv_len(chains); i > 0; i--)
		if (store_release_layer(s, chains[i - 1], &rm->job.trash, &e) < 0)
			log_warn("images: %s", err_text(&e));
}

static int remove_image(struct removal *rm, struct err *e)
{
	_cleanup_(strv_free) char **chains = NULL, **blobs = NULL;
	struct image *img = &rm->st->image;
	int r = strv_add(&blobs, digest_hex(img->id));

	if (r == 0 && img->manifest)
		r = strv_add(&blobs, digest_hex(img->manifest));
	for (size_t i = 0; r == 0 && i < img->n_layers; i++) {
		r = strv_add(&chains, img->layers[i].chain_id);
		if (r == 0)
			r = strv_add(&blobs, digest_hex(img->layers[i].blob));
	}
	if (r < 0)
		return err_set(e, ENOMEM, "out of memory");
	while (rm->st->names && rm->st->names[0]) {
		_cleanup_(mem_free) char *name = str_dup(rm->st->names[0]);

		r = name ? remove_name(rm, name, e) : err_set(e, ENOMEM, "out of memory");
		if (r < 0)
			return r;
	}
	r = record_remove_image(rm->job.s, rm->st, e);
	if (r < 0)
		return r;
	if (job_change(&rm->job, IMAGE_DELETED, img->id, NULL) < 0)
		log_warn("images: out of memory");
	store_drop(rm->job.s, take_ptr(rm->st));
	remove_content(rm, chains, blobs);
	return 0;
}

static void on_removed(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct image_job *job = container_of(w, struct image_job, worker);

	(void)result;
	if (code == 0) {
		strv_free(job->trash);
		job->trash = NULL;
	} else {
		log_warn("images: %s", err_text(why));
	}
	job_done(job, 0, NULL);
}

static void on_nothing_left(struct defer_event *ev)
{
	job_done(container_of(ev, struct image_job, defer), 0, NULL);
}

static int start_removal(struct removal *rm, const char *shown, struct err *e)
{
	struct image_job *job = &rm->job;
	bool only_name = rm->name && strv_len(rm->st->names) > 1;
	int r = check_rules(job->s, rm, shown, e);

	if (r == 0)
		r = only_name ? remove_name(rm, rm->name, e) : remove_image(rm, e);
	if (r < 0)
		return r;
	job->worker.on_done = on_removed;
	if (job->trash && trash_remove(job->s, &job->worker, job->trash, NULL) == 0)
		return 0;
	job->defer.fn = on_nothing_left;
	defer_add(job->s->loop, &job->defer);
	return 0;
}

/* The name in the image's list that `ref` means; NULL when it is an id. */
static const char *name_meant(const struct stored *st, const char *text)
{
	char key[REF_TEXT_MAX];
	struct ref ref;

	if (ref_parse(text, &ref, NULL) < 0)
		return NULL;
	if (ref.digest[0])
		ref.tag[0] = '\0';
	ref_add_default_tag(&ref);
	ref_format(&ref, key);
	for (size_t i = 0; i < strv_len(st->names); i++)
		if (str_eq(st->names[i], key))
			return st->names[i];
	return NULL;
}

int images_remove(struct images *s, const char *ref, unsigned flags, struct image_op *op,
		  struct err *e)
{
	_cleanup_(mem_free) char *name = NULL;
	const struct image *img = images_find(s, ref, e);
	struct removal *rm;
	int r;

	if (!img)
		return e && e->code ? -e->code : -ENOENT;
	rm = calloc(1, sizeof(*rm));
	if (!rm)
		return err_set(e, ENOMEM, "out of memory");
	job_init(&rm->job, s, op, cancel_removal);
	rm->st = container_of(img, struct stored, image);
	rm->flags = flags;
	name = str_dup(name_meant(rm->st, ref)); /* the list that holds it changes on the way */
	rm->name = name;
	list_append(&s->jobs, &rm->job.link);
	rm->job.started = true;
	s->running++;
	r = start_removal(rm, ref, e);
	rm->name = NULL;
	if (r < 0) {
		rm->job.op = NULL;
		job_free(&rm->job);
		return r;
	}
	op->job = &rm->job;
	return 0;
}
