/*
 * The engine's side of a push: see push.h.
 *
 * One job goes through its tags one after the other. For each: the blobs that are not there yet go
 * out through up to PUSH_UPLOADS fetch workers, then one more sends the manifest. The first
 * failure ends all of it. Blobs are opened when their turn comes: an image that is removed
 * meanwhile is an error, not a hole.
 */
#include "engine/registry/push.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/image/manifest.h"
#include "engine/registry/fetch.h"
#include "engine/registry/registry_priv.h"
#include "init/base/file.h"
#include "init/base/map.h"
#include "init/base/str.h"

enum {
	TAGS_MAX = 1024,
	PUSHES_MAX = 16, /* at a time */
	MOUNTS_MAX = 4, /* repositories that a blob may be mounted from */
};

struct push_tag {
	char *id; /* of the image */
	char tag[REF_TAG_MAX + 1];
};

/* A blob of the current tag's image, in the order of sending. */
struct push_blob {
	char *digest;
	char id[13]; /* of a layer; "" for the config */
	int64_t size;
	bool started, ended;
};

struct push_slot {
	struct fetch fetch;
	struct push_job *job;
	struct push_blob *blob; /* NULL: free */
};

struct push_job {
	struct registry *reg;
	struct registry_push *op;
	struct ref ref; /* without a tag: all tags */
	struct place *place;
	struct registry_auth auth;
	struct fetch_memory memory;
	struct defer_event start;
	struct push_tag *tags;
	size_t n_tags, at;
	bool known; /* an image has some tag of the repository */
	struct push_blob *blobs; /* of tags[at] */
	size_t n_blobs;
	struct push_slot slots[PUSH_UPLOADS];
	struct map sent; /* digests that the registry has */
	struct manifest manifest;
	struct fetch put;
};

/* ---- its life ---- */

static void blobs_free(struct push_job *job)
{
	for (size_t i = 0; i < job->n_blobs; i++)
		free(job->blobs[i].digest);
	free(job->blobs);
	job->blobs = NULL;
	job->n_blobs = 0;
	manifest_free(&job->manifest);
}

static void job_free(struct push_job *job)
{
	if (!job)
		return;
	for (size_t i = 0; i < PUSH_UPLOADS; i++)
		fetch_cancel(&job->slots[i].fetch);
	fetch_cancel(&job->put);
	defer_remove(&job->start);
	blobs_free(job);
	for (size_t i = 0; i < job->n_tags; i++)
		free(job->tags[i].id);
	free(job->tags);
	map_free(&job->sent);
	place_free(job->place);
	registry_auth_free(&job->auth);
	fetch_memory_free(&job->memory);
	job->reg->pushes--;
	job->op->job = NULL;
	free(job);
}
DEFINE_CLEANUP(struct push_job *, job_free)

static void end(struct push_job *job, int r, const struct err *why)
{
	struct registry_push *op = job->op;
	struct err e = *why;

	job_free(job);
	op->done(op, r, &e);
}

void registry_push_cancel(struct registry_push *p)
{
	job_free(p->job);
}

/* ---- what it says ---- */

static void say(struct push_job *job, const char *id, const char *status)
{
	job->op->progress(job->op, &(struct push_progress){ .status = status, .id = id });
}

static void say_blob(struct push_job *job, const struct push_blob *b, const char *status)
{
	if (b->id[0])
		say(job, b->id, status);
}

/* ---- the blobs of an image ---- */

static const struct image *current_image(struct push_job *job, struct err *e)
{
	return images_find(job->reg->images, job->tags[job->at].id, e);
}

static int add_blob(struct push_job *job, const char *digest, const char *diff_id)
{
	struct push_blob *b = &job->blobs[job->n_blobs];

	b->digest = str_dup(digest);
	if (!b->digest)
		return -ENOMEM;
	if (diff_id)
		(void)str_format(b->id, sizeof(b->id), "%.12s", digest_hex(diff_id));
	job->n_blobs++;
	return 0;
}

static bool has_blob(const struct push_job *job, const char *digest)
{
	for (size_t i = 0; i < job->n_blobs; i++)
		if (str_eq(job->blobs[i].digest, digest))
			return true;
	return false;
}

/* Layers from the top down, as Docker lists them, then the config. */
static int list_blobs(struct push_job *job, const struct image *img, struct err *e)
{
	int r = 0;

	blobs_free(job);
	job->blobs = calloc(img->n_layers + 1, sizeof(*job->blobs));
	if (!job->blobs)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = img->n_layers; r == 0 && i > 0; i--)
		if (!has_blob(job, img->layers[i - 1].blob))
			r = add_blob(job, img->layers[i - 1].blob, img->layers[i - 1].diff_id);
	if (r == 0)
		r = add_blob(job, img->id, NULL);
	return r < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static bool image_has_blob(const struct image *img, const char *digest)
{
	for (size_t i = 0; i < img->n_layers; i++)
		if (str_eq(img->layers[i].blob, digest))
			return true;
	return false;
}

/* Repositories of the same registry that are known to have the blob: those under whose name an
 * image with it has a digest. */
static void write_mounts(struct push_job *job, const char *digest, struct json_writer *w)
{
	const struct image *img;
	size_t pos = 0, n = 0;

	json_begin_array(w);
	while (n < MOUNTS_MAX && (img = images_next(job->reg->images, &pos))) {
		if (!image_has_blob(img, digest))
			continue;
		for (size_t i = 0; n < MOUNTS_MAX && i < strv_len(img->digests); i++) {
			struct ref ref;

			if (ref_parse(img->digests[i], &ref, NULL) < 0 ||
			    !str_eq(ref.domain, job->ref.domain) || str_eq(ref.path, job->ref.path))
				continue;
			json_str(w, ref.path);
			n++;
		}
	}
	json_end_array(w);
}

/* ---- uploads ---- */

static void go_on(struct push_job *job);

static int start_fetch(struct push_job *job, struct fetch *f, const char *kind,
		       const struct buf *args, int fd, struct err *e)
{
	char scope[REF_NAME_MAX + 32];

	if (buf_failed(args))
		return err_set(e, ENOMEM, "out of memory");
	(void)str_format(scope, sizeof(scope), "repository:%s:pull,push", job->place->path);
	return fetch_start(job->reg, f,
			   &(struct fetch_spec){ .kind = kind,
						 .place = job->place,
						 .auth = &job->auth,
						 .scope = scope,
						 .memory = &job->memory,
						 .args = buf_text(args),
						 .fds = &fd,
						 .n_fds = 1 },
			   e);
}

static void on_upload_progress(struct fetch *f, int64_t current, int64_t total)
{
	struct push_slot *slot = container_of(f, struct push_slot, fetch);
	struct push_progress line = { .status = "Pushing",
				      .id = slot->blob->id,
				      .current = current,
				      .total = slot->blob->size };

	(void)total; /* of one request */
	if (slot->blob->id[0])
		slot->job->op->progress(slot->job->op, &line);
}

static void tell_outcome(struct push_job *job, const struct push_blob *b, yyjson_val *result)
{
	const char *outcome = "", *from = "";
	char text[REF_NAME_MAX + 32];

	(void)json_get_text(result, "outcome", &outcome, NULL);
	(void)json_get_text(result, "from", &from, NULL);
	if (str_eq(outcome, "mounted") &&
	    str_format(text, sizeof(text), "Mounted from %s", from) == 0)
		say_blob(job, b, text);
	else
		say_blob(job, b, str_eq(outcome, "exists") ? "Layer already exists" : "Pushed");
}

static void on_uploaded(struct fetch *f, int r, yyjson_val *result, const struct err *why)
{
	struct push_slot *slot = container_of(f, struct push_slot, fetch);
	struct push_job *job = slot->job;
	struct err e = { 0 };

	if (r == 0) {
		why = &e;
		r = fetch_memory_take(result, &job->memory, &e);
	}
	if (r == 0 && map_put(&job->sent, slot->blob->digest, job, NULL) < 0)
		r = err_set(&e, ENOMEM, "out of memory");
	if (r < 0) {
		end(job, r, why);
		return;
	}
	tell_outcome(job, slot->blob, result);
	slot->blob->ended = true;
	slot->blob = NULL;
	go_on(job);
}

static int start_upload(struct push_job *job, struct push_slot *slot, struct push_blob *b,
			struct err *e)
{
	_cleanup_(buf_free) struct buf args = BUF_INIT(WORKER_BODY_MAX);
	_cleanup_(fd_close) int fd = -1;
	struct json_writer w;
	int r;

	fd = images_open_blob(job->reg->images, b->digest, &b->size, e);
	if (fd < 0)
		return fd;
	json_writer_init(&w, &args);
	json_begin_object(&w);
	json_member_str(&w, "digest", b->digest);
	json_member_i64(&w, "size", b->size);
	json_key(&w, "mounts");
	write_mounts(job, b->digest, &w);
	json_end_object(&w);
	memset(&slot->fetch, 0, sizeof(slot->fetch));
	slot->fetch.progress = on_upload_progress;
	slot->fetch.done = on_uploaded;
	r = start_fetch(job, &slot->fetch, "upload", &args, fd, e);
	if (r < 0)
		return r;
	b->started = true;
	slot->job = job;
	slot->blob = b;
	return 0;
}

/* ---- the manifest ---- */

static int next_tag(struct push_job *job, struct err *e);

static void tell_pushed(struct push_job *job)
{
	const struct push_tag *t = &job->tags[job->at];
	const struct manifest *m = &job->manifest;
	char text[REF_TAG_MAX + DIGEST_TEXT_MAX + 64], name[REF_TEXT_MAX];
	struct ref ref = job->ref;

	(void)str_format(text, sizeof(text), "%s: digest: %s size: %lld", t->tag, m->digest,
			 (long long)m->size);
	say(job, NULL, text);
	job->op->progress(job->op, &(struct push_progress){
					   .tag = t->tag, .digest = m->digest, .size = m->size });
	(void)str_copy(ref.tag, sizeof(ref.tag), t->tag);
	ref_format_familiar(&ref, name);
	job->op->pushed(job->op, name);
}

static void on_put(struct fetch *f, int r, yyjson_val *result, const struct err *why)
{
	struct push_job *job = container_of(f, struct push_job, put);
	struct err e = { 0 };

	if (r == 0) {
		why = &e;
		r = fetch_memory_take(result, &job->memory, &e);
	}
	if (r == 0)
		r = images_add_digest(job->reg->images, job->tags[job->at].id, &job->ref,
				      job->manifest.digest, &e);
	if (r == -ENOENT)
		r = 0; /* pushed, and removed here meanwhile */
	if (r == 0) {
		tell_pushed(job);
		job->at++;
		r = job->at < job->n_tags ? next_tag(job, &e) : 1;
	}
	if (r == 1)
		end(job, 0, &(const struct err){ 0 });
	else if (r < 0)
		end(job, r, why);
	else
		go_on(job);
}

/* The manifest's text as something that can be read more than once. */
static int manifest_fd(const struct manifest *m, struct err *e)
{
	_cleanup_(fd_close) int fd = memfd_create("manifest", MFD_CLOEXEC);
	int r = fd < 0 ? err_errno(e, errno, "memfd_create")
		       : file_write_all(fd, m->text.data, m->text.len, e);

	return r < 0 ? r : take_fd(fd);
}

static int start_put(struct push_job *job, struct err *e)
{
	_cleanup_(buf_free) struct buf args = BUF_INIT(4096);
	_cleanup_(fd_close) int fd = manifest_fd(&job->manifest, e);
	struct json_writer w;

	if (fd < 0)
		return fd;
	json_writer_init(&w, &args);
	json_begin_object(&w);
	json_member_str(&w, "reference", job->tags[job->at].tag);
	json_member_str(&w, "media_type", job->manifest.media_type);
	json_member_i64(&w, "size", job->manifest.size);
	json_end_object(&w);
	memset(&job->put, 0, sizeof(job->put));
	job->put.done = on_put;
	return start_fetch(job, &job->put, "manifest", &args, fd, e);
}

/* ---- in turn ---- */

/* Prepares tags[at]: its blobs and its manifest. */
static int next_tag(struct push_job *job, struct err *e)
{
	const struct image *img = current_image(job, e);
	int r;

	if (!img)
		return e->code ? -e->code : -ENOENT;
	r = list_blobs(job, img, e);
	if (r == 0)
		r = images_manifest(job->reg->images, img, &job->manifest, e);
	for (size_t i = 0; r == 0 && i < job->n_blobs; i++)
		say_blob(job, &job->blobs[i], "Preparing");
	for (size_t i = PUSH_UPLOADS; r == 0 && i < job->n_blobs; i++)
		say_blob(job, &job->blobs[i], "Waiting");
	return r;
}

static struct push_slot *free_slot(struct push_job *job)
{
	for (size_t i = 0; i < PUSH_UPLOADS; i++)
		if (!job->slots[i].blob)
			return &job->slots[i];
	return NULL;
}

/* Starts what can be started. 1: all blobs are there. */
static int start_uploads(struct push_job *job, struct err *e)
{
	bool all = true;
	int r = 0;

	for (size_t i = 0; r == 0 && i < job->n_blobs; i++) {
		struct push_blob *b = &job->blobs[i];
		struct push_slot *slot = free_slot(job);

		if (!b->started && map_get(&job->sent, b->digest)) {
			b->started = b->ended = true;
			say_blob(job, b, "Layer already exists");
		} else if (!b->started && slot) {
			r = start_upload(job, slot, b, e);
		}
		all = all && b->ended;
	}
	return r < 0 ? r : all;
}

static void go_on(struct push_job *job)
{
	struct err e = { 0 };
	int r = start_uploads(job, &e);

	if (r == 1)
		r = start_put(job, &e);
	if (r < 0)
		end(job, r, &e);
}

static int no_tag(const struct push_job *job, struct err *e)
{
	char text[REF_TEXT_MAX];

	if (job->known) {
		ref_format_familiar(&job->ref, text);
		return err_set(e, ENOENT, "tag does not exist: %s", text);
	}
	ref_format_name(&job->ref, text);
	return err_set(e, ENOENT, "An image does not exist locally with the tag: %s", text);
}

static void on_start(struct defer_event *ev)
{
	struct push_job *job = container_of(ev, struct push_job, start);
	char text[REF_TEXT_MAX + 64];
	struct err e = { 0 };
	int r;

	(void)str_format(text, sizeof(text), "The push refers to repository [%s/%s]",
			 job->ref.domain, job->ref.path);
	say(job, NULL, text);
	r = job->n_tags == 0 ? no_tag(job, &e) : next_tag(job, &e);
	if (r < 0)
		end(job, r, &e);
	else
		go_on(job);
}

/* ---- the request ---- */

static int check_image(const struct image *img, const struct image_platform *platform,
		       struct err *e)
{
	int r = image_check_platform(img, platform, e);

	return r < 0 ? r : image_check_kept(img, "pushed", e);
}

static int add_tag(struct push_job *job, const struct image *img, const char *tag, struct err *e)
{
	struct push_tag *tags;

	if (job->n_tags == TAGS_MAX)
		return err_set(e, EFBIG, "a push sends at most %d tags", TAGS_MAX);
	tags = realloc(job->tags, (job->n_tags + 1) * sizeof(*tags));
	if (!tags)
		return err_set(e, ENOMEM, "out of memory");
	job->tags = tags;
	tags[job->n_tags] = (struct push_tag){ .id = str_dup(img->id) };
	if (!tags[job->n_tags].id)
		return err_set(e, ENOMEM, "out of memory");
	return str_copy(tags[job->n_tags++].tag, sizeof(tags->tag), tag);
}

/* The tags of an image that are asked for. */
static int choose(struct push_job *job, const struct image *img,
		  const struct image_platform *platform, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < strv_len(img->tags); i++) {
		struct ref ref;

		if (ref_parse(img->tags[i], &ref, NULL) < 0 ||
		    !str_eq(ref.domain, job->ref.domain) || !str_eq(ref.path, job->ref.path))
			continue;
		job->known = true;
		if (job->ref.tag[0] && !str_eq(ref.tag, job->ref.tag))
			continue;
		r = check_image(img, platform, e);
		if (r == 0)
			r = add_tag(job, img, ref.tag, e);
	}
	return r;
}

static int by_tag(const void *a, const void *b)
{
	return strcmp(((const struct push_tag *)a)->tag, ((const struct push_tag *)b)->tag);
}

static int read_name(struct push_job *job, const char *name, const char *tag, struct err *e)
{
	int r = ref_parse(name, &job->ref, e);

	if (r < 0)
		return r;
	if (job->ref.digest[0])
		return err_set(e, EINVAL, "cannot push a digest reference");
	if (tag && !ref_tag_valid(tag))
		return err_set(e, EINVAL, "invalid tag format");
	return tag ? str_copy(job->ref.tag, sizeof(job->ref.tag), tag) : 0;
}

int registry_push(struct registry *reg, const char *name, const char *tag,
		  const struct image_platform *platform, const struct registry_auth *auth,
		  struct registry_push *p, struct err *e)
{
	_cleanup_(job_free) struct push_job *job = NULL;
	const struct image *img;
	size_t pos = 0;
	int r;

	if (reg->pushes >= PUSHES_MAX)
		return err_set(e, EAGAIN, "more than %d pushes at a time", PUSHES_MAX);
	job = calloc(1, sizeof(*job));
	if (!job)
		return err_set(e, ENOMEM, "out of memory");
	reg->pushes++;
	job->reg = reg;
	job->op = p;
	r = read_name(job, name, tag, e);
	if (r == 0)
		r = registry_auth_copy(auth, &job->auth, e);
	if (r == 0)
		r = registry_place(reg, &job->ref, &job->place, e);
	while (r == 0 && (img = images_next(reg->images, &pos)))
		r = choose(job, img, platform, e);
	if (r < 0)
		return r;
	if (job->n_tags)
		qsort(job->tags, job->n_tags, sizeof(*job->tags), by_tag);
	job->start.fn = on_start;
	defer_add(reg->loop, &job->start);
	p->job = take_ptr(job);
	return 0;
}
