/*
 * Taking names and images away, with Docker's rules for what is in use.
 *
 * A name: it goes, and with the last tag of a repository the digests that are known there; the
 * image goes with its last name. An id: all names go with the image, if they are of one repository,
 * else by force. In one thing stricter than Docker: what a container stands on, also one that is
 * stopped, is never deleted, force takes only the names (Docker keeps the layers for such a
 * container).
 *
 * In the reverse order of a load: names, the image's record, then blobs, then layers that no other
 * image uses (renamed into tmp/, removed by the store worker). An image that goes is only unlinked,
 * nothing of it is written anew, so this works on a full disk. done() comes when the space is free.
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

/* ---- names ---- */

/* Whether both (normalised) are names in one repository. */
static bool same_repository(const char *a, const char *b)
{
	struct ref x, y;

	return ref_parse(a, &x, NULL) == 0 && ref_parse(b, &y, NULL) == 0 &&
	       str_eq(x.domain, y.domain) && str_eq(x.path, y.path);
}

/* At most one tag, and digests of no other repository than its own. */
static bool is_single(const struct stored *st)
{
	const char *first = strv_len(st->names) ? st->names[0] : NULL;

	if (strv_len(st->names) > 1)
		return false;
	for (size_t i = 0; i < strv_len(st->digest_names); i++) {
		first = first ? first : st->digest_names[0];
		if (!same_repository(first, st->digest_names[i]))
			return false;
	}
	return true;
}

static int remove_name(struct removal *rm, const char *text, struct err *e)
{
	_cleanup_(mem_free) char *name = str_dup(text); /* the list that holds it changes */
	char familiar[REF_TEXT_MAX];
	struct ref ref;
	int r;

	if (!name)
		return err_set(e, ENOMEM, "out of memory");
	r = ref_parse(name, &ref, e);
	if (r < 0)
		return r;
	ref_format_familiar(&ref, familiar);
	r = ref.digest[0] ? record_remove_digest(rm->job.s, rm->st, name, e)
			  : record_remove_name(rm->job.s, rm->st, name, e);
	if (r < 0)
		return r;
	return job_change(&rm->job, IMAGE_UNTAGGED, rm->st->image.id, familiar) < 0
		       ? err_set(e, ENOMEM, "out of memory")
		       : 0;
}

/* With the last tag of a repository go the digests that are known there. */
static int remove_digests_of(struct removal *rm, const char *name, struct err *e)
{
	struct stored *st = rm->st;
	int r = 0;

	for (size_t i = 0; i < strv_len(st->names); i++)
		if (same_repository(st->names[i], name))
			return 0;
	for (size_t i = 0; r == 0 && i < strv_len(st->digest_names);) {
		if (same_repository(st->digest_names[i], name))
			r = remove_name(rm, st->digest_names[i], e);
		else
			i++;
	}
	return r;
}

static int remove_tags(struct removal *rm, struct err *e)
{
	int r = 0;

	while (r == 0 && strv_len(rm->st->names) > 0)
		r = remove_name(rm, rm->st->names[0], e);
	return r;
}

static int remove_all_names(struct removal *rm, struct err *e)
{
	int r = remove_tags(rm, e);

	while (r == 0 && strv_len(rm->st->digest_names) > 0)
		r = remove_name(rm, rm->st->digest_names[0], e);
	return r;
}

/* The digests of an image that goes: they are in its record, and go with it. */
static int tell_digests(struct removal *rm, struct err *e)
{
	char *const *digests = rm->st->image.digests;

	for (size_t i = 0; i < strv_len(digests); i++)
		if (job_change(&rm->job, IMAGE_UNTAGGED, rm->st->image.id, digests[i]) < 0)
			return err_set(e, ENOMEM, "out of memory");
	return 0;
}

/* ---- content ---- */

/* After the records are gone nothing may fail any more: what cannot be removed now is swept by
 * the next start. */
static void remove_content(struct removal *rm, char *const *chains, char *const *blobs)
{
	struct images *s = rm->job.s;
	struct err e = { 0 };

	for (size_t i = 0; i < strv_len(blobs); i++)
		if (!store_uses_blob(s, blobs[i]))
			unlinkat(s->blobs_fd, blobs[i], 0);
	for (size_t i = strv_len(chains); i > 0; i--) {
		const struct stored_layer *l = map_get(&s->layers, digest_hex(chains[i - 1]));
		int64_t size = l ? l->layer.size : 0;

		if (!l || l->users > 0)
			continue;
		if (store_release_layer(s, chains[i - 1], &rm->job.trash, &e) < 0)
			log_warn("images: %s", err_text(&e));
		else if (job_change(&rm->job, IMAGE_LAYER_DELETED, chains[i - 1], NULL) == 0)
			rm->job.freed += size;
	}
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
	r = remove_tags(rm, e);
	if (r == 0)
		r = tell_digests(rm, e);
	if (r == 0)
		r = record_remove_image(rm->job.s, rm->st, e);
	if (r < 0)
		return r;
	if (job_change(&rm->job, IMAGE_DELETED, img->id, NULL) < 0)
		log_warn("images: out of memory");
	store_drop(rm->job.s, take_ptr(rm->st));
	remove_content(rm, chains, blobs);
	return 0;
}

/* ---- rules ---- */

static int in_use(const struct removal *rm, const char *kind, const char *user, bool forcible,
		  struct err *e)
{
	return err_set(
		e, EBUSY,
		"conflict: unable to delete %.12s (%s) - image is being used by %s container "
		"%.12s",
		digest_hex(rm->st->image.id), forcible ? "must be forced" : "cannot be forced",
		kind, user);
}

static int remove_by_name(struct removal *rm, const char *shown, const char *user, struct err *e)
{
	int r;

	if (!(rm->flags & IMAGE_REMOVE_FORCE) && is_single(rm->st) && user)
		return err_set(e, EBUSY,
			       "conflict: unable to remove repository reference \"%.200s\" (must "
			       "force) - container %.12s is using its referenced image %.12s",
			       shown, user, digest_hex(rm->st->image.id));
	if (!user && !strchr(rm->name, '@') && is_single(rm->st))
		return remove_image(rm, e);
	r = remove_name(rm, rm->name, e);
	if (r == 0 && !strchr(rm->name, '@'))
		r = remove_digests_of(rm, rm->name, e);
	if (r < 0 || user || strv_len(rm->st->names) + strv_len(rm->st->digest_names) > 0)
		return r;
	return remove_image(rm, e);
}

static int remove_by_id(struct removal *rm, const char *user, bool running, struct err *e)
{
	bool force = rm->flags & IMAGE_REMOVE_FORCE;

	if (user && running)
		return in_use(rm, "running", user, false, e);
	if (!force && !is_single(rm->st))
		return err_set(e, EBUSY,
			       "conflict: unable to delete %.12s (must be forced) - image is "
			       "referenced in multiple repositories",
			       digest_hex(rm->st->image.id));
	if (user && !force)
		return in_use(rm, "stopped", user, true, e);
	if (!user)
		return remove_image(rm, e);
	if (strv_len(rm->st->names) + strv_len(rm->st->digest_names) == 0)
		return in_use(rm, "stopped", user, false, e);
	return remove_all_names(rm, e);
}

/* ---- the operation ---- */

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
	struct images *s = job->s;
	bool running = false;
	const char *user = s->user ? s->user(rm->st->image.id, &running, s->user_data) : NULL;
	int r = rm->name ? remove_by_name(rm, shown, user, e) : remove_by_id(rm, user, running, e);

	if (r < 0)
		return r;
	job->worker.on_done = on_removed;
	if (job->trash && trash_remove(s, &job->worker, job->trash, NULL) == 0)
		return 0;
	job->defer.fn = on_nothing_left;
	defer_add(s->loop, &job->defer);
	return 0;
}

/* The name in the image's lists that `ref` means; NULL when it is an id. */
static const char *name_meant(const struct stored *st, const char *text)
{
	char key[REF_TEXT_MAX];
	char *const *list;
	struct ref ref;

	if (digest_valid(text) || ref_parse(text, &ref, NULL) < 0)
		return NULL;
	list = ref.digest[0] ? st->digest_names : st->names;
	if (ref.digest[0])
		ref.tag[0] = '\0';
	ref_add_default_tag(&ref);
	ref_format(&ref, key);
	for (size_t i = 0; i < strv_len(list); i++)
		if (str_eq(list[i], key))
			return list[i];
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
