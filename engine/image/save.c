/*
 * Saving, the engine's side: which images under which names, and the stream out of the worker.
 *
 * Everything that can be refused is refused before the worker starts, so that a client hears a
 * status and not a broken stream. The worker's pipe is read as fast as the client takes it; what is
 * paused costs a full pipe and a sleeping process. Called by api/ through image.h.
 */
#include "engine/image/save.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/image/store_priv.h"
#include "init/base/file.h"
#include "init/base/str.h"

/* ---- what is asked for ---- */

/* An image of the archive, once, with the names that it gets there. */
struct chosen {
	const struct stored *st;
	char **names; /* normalised */
};

struct choice {
	struct map by_id; /* id -> struct chosen, in the order of the request */
	size_t limit;
};

static void choice_free(struct choice *c)
{
	struct map_entry *m;
	size_t at = 0;

	while ((m = map_next(&c->by_id, &at))) {
		strv_free(((struct chosen *)m->value)->names);
		free(m->value);
	}
	map_free(&c->by_id);
}
DEFINE_CLEANUP_VALUE(struct choice, choice_free)

/* name: NULL for an image that was asked for by its id */
static int choose(struct choice *c, const struct stored *st, const char *name, struct err *e)
{
	struct chosen *item = map_get(&c->by_id, st->image.id);

	if (!item) {
		if (map_len(&c->by_id) >= c->limit)
			return err_set(e, EFBIG, "an archive cannot hold more than %zu images",
				       c->limit);
		item = calloc(1, sizeof(*item));
		if (!item || map_put(&c->by_id, st->image.id, item, NULL) < 0) {
			free(item);
			return err_set(e, ENOMEM, "out of memory");
		}
		item->st = st;
	}
	if (name && !strv_has(item->names, name) && strv_add(&item->names, name) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

/* All images that have a tag of the repository: how many, or -errno. */
static int choose_repository(struct images *s, struct choice *c, const struct ref *asked,
			     struct err *e)
{
	struct map_entry *m;
	size_t at = 0;
	int found = 0, r;

	while ((m = map_next(&s->by_name, &at))) {
		struct ref ref;

		if (ref_parse(m->key, &ref, NULL) < 0 || ref.digest[0] ||
		    !str_eq(ref.domain, asked->domain) || !str_eq(ref.path, asked->path))
			continue;
		r = choose(c, m->value, m->key, e);
		if (r < 0)
			return r;
		found++;
	}
	return found;
}

static int choose_ref(struct images *s, struct choice *c, const char *text, struct err *e)
{
	const struct image *img;
	const struct stored *st;
	char key[REF_TEXT_MAX];
	struct ref ref;
	bool is_name = !digest_valid(text) && ref_parse(text, &ref, NULL) == 0;
	int r = is_name && !ref.tag[0] && !ref.digest[0] ? choose_repository(s, c, &ref, e) : 0;

	if (r != 0)
		return MIN(r, 0);
	img = images_find(s, text, e);
	if (!img)
		return e && e->code ? -e->code : -ENOENT;
	st = container_of(img, struct stored, image);
	if (!is_name || ref.digest[0])
		return choose(c, st, NULL, e);
	ref_add_default_tag(&ref);
	ref_format(&ref, key);
	return choose(c, st, strv_has(st->names, key) ? key : NULL, e);
}

/* ---- what can be saved ---- */

static bool part_fits(const char *asked, const char *have)
{
	return str_empty(asked) || str_eq(asked, have ? have : "");
}

int image_check_platform(const struct image *img, const struct image_platform *p, struct err *e)
{
	if (!p || (part_fits(p->os, img->os) && part_fits(p->architecture, img->architecture) &&
		   part_fits(p->variant, img->variant)))
		return 0;
	return err_set(e, ENOENT,
		       "image with reference %.80s was found but does not provide the specified "
		       "platform (%.40s/%.40s)",
		       img->id, p->os ? p->os : "", p->architecture ? p->architecture : "");
}

int image_check_kept(const struct image *img, const char *verb, struct err *e)
{
	for (size_t i = 0; i < img->n_layers; i++)
		if (!img->layers[i].blob_kept)
			return err_set(e, EOPNOTSUPP,
				       "image %.19s cannot be %s: the archive of its layer %s was "
				       "not kept, because the images of this machine lie in memory "
				       "(with a disk they would be kept)",
				       img->id, verb, img->layers[i].diff_id);
	return 0;
}

static void write_image(const struct chosen *item, struct json_writer *w)
{
	const struct image *img = &item->st->image;

	json_begin_object(w);
	json_member_str(w, "id", img->id);
	json_member_str(w, "manifest", img->manifest);
	if (item->names) {
		json_key(w, "names");
		json_strv(w, item->names);
	}
	json_key(w, "layers");
	json_begin_array(w);
	for (size_t i = 0; i < img->n_layers; i++) {
		json_begin_object(w);
		json_member_str(w, "digest", img->layers[i].blob);
		json_member_str(w, "diff_id", img->layers[i].diff_id);
		json_member_str(w, "media_type", img->layers[i].media_type);
		json_end_object(w);
	}
	json_end_array(w);
	json_end_object(w);
}

static int write_request(struct images *s, struct image_save *sv, const struct choice *c,
			 const struct image_platform *platform, struct buf *out, struct err *e)
{
	struct json_writer w;
	struct map_entry *m;
	size_t at = 0;
	int r;

	json_writer_init(&w, out);
	json_begin_object(&w);
	json_member_bool(&w, "no_sandbox", s->no_sandbox);
	json_key(&w, "images");
	json_begin_array(&w);
	while ((m = map_next(&c->by_id, &at))) {
		const struct chosen *item = m->value;

		if ((r = image_check_platform(&item->st->image, platform, e)) < 0 ||
		    (r = image_check_kept(&item->st->image, "saved", e)) < 0)
			return r;
		if (strv_add(&sv->ids, item->st->image.id) < 0)
			return err_set(e, ENOMEM, "out of memory");
		write_image(item, &w);
	}
	json_end_array(&w);
	json_end_object(&w);
	return buf_failed(out) ? err_set(e, EFBIG, "too many images for one archive") : 0;
}

/* ---- the end ---- */

static void close_out(struct image_save *sv)
{
	io_remove(&sv->out);
	fd_close(take_fd(sv->out_fd));
}

static void release(struct image_save *sv)
{
	worker_cancel(&sv->worker);
	defer_remove(&sv->end);
	close_out(sv);
	list_remove(&sv->link);
	sv->s->n_saves--;
	sv->s = NULL;
}

static void finish(struct image_save *sv, const struct err *why)
{
	struct err e = *why;
	char **ids = take_ptr(sv->ids);

	release(sv);
	sv->ids = ids;
	sv->done(sv, -e.code, &e); /* may free sv */
	strv_free(ids);
}

static void on_end(struct defer_event *ev)
{
	struct image_save *sv = container_of(ev, struct image_save, end);
	struct err why = sv->why;

	finish(sv, &why);
}

void image_save_cancel(struct image_save *sv)
{
	if (!sv->s)
		return;
	release(sv);
	strv_free(take_ptr(sv->ids));
}

void saves_stop(struct images *s, const struct err *why)
{
	struct image_save *sv;

	while (s->saves.next && (sv = list_first(&s->saves, struct image_save, link)))
		finish(sv, why);
}

/* ---- the stream ---- */

static void on_out(struct io_event *ev, uint32_t events)
{
	struct image_save *sv = container_of(ev, struct image_save, out);

	(void)events;
	sv->readable(sv);
}

void image_save_pause(struct image_save *sv, bool paused)
{
	/* taken off, not only silenced: a closed pipe reports itself in any case */
	if (sv->out_fd >= 0 && paused)
		io_remove(&sv->out);
	else if (sv->out_fd >= 0 && !sv->out.loop)
		io_add(sv->s->loop, &sv->out, sv->out_fd, EPOLLIN);
}

size_t image_save_read(struct image_save *sv, void *buf, size_t size)
{
	ssize_t n;

	if (sv->out_fd < 0)
		return 0;
	do {
		n = read(sv->out_fd, buf, size);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return (size_t)n;
	if (n < 0 && errno == EAGAIN)
		return 0;
	close_out(sv);
	if (sv->ended)
		defer_add(sv->s->loop, &sv->end);
	return 0;
}

static void on_done(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct image_save *sv = container_of(w, struct image_save, worker);

	(void)result;
	if (code == 0 && sv->out_fd >= 0)
		sv->ended = true; /* what is in the pipe comes first */
	else
		finish(sv, code < 0 ? why : &(const struct err){ 0 });
}

static int start_worker(struct image_save *sv, const char *request, struct err *e)
{
	_cleanup_(fd_close) int write_end = -1;
	struct fd_map map[] = { { SAVE_FD_OUT, -1 }, { SAVE_FD_BLOBS, sv->s->blobs_fd } };
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make a pipe");
	sv->out_fd = fds[0];
	map[0].ours = write_end = fds[1];
	(void)fcntl(write_end, F_SETPIPE_SZ, IMAGE_SAVE_PIPE); /* fewer turns; else fine too */
	if (fd_set_nonblock(sv->out_fd, true) < 0)
		return err_errno(e, errno, "cannot make a pipe");
	sv->worker.on_done = on_done;
	sv->end.fn = on_end;
	sv->out.fn = on_out;
	return worker_start(sv->s->loop, &sv->worker,
			    &(struct worker_spec){ .name = SAVE_WORKER,
						   .request = request,
						   .input_fd = -1,
						   .fds = map,
						   .n_fds = ARRAY_SIZE(map),
						   .oom_score_adj = 500 },
			    e);
}

int images_save(struct images *s, char *const *refs, const struct image_platform *platform,
		struct image_save *sv, struct err *e)
{
	_cleanup_(choice_free) struct choice c = { .limit = (size_t)s->limits.images };
	_cleanup_(buf_free) struct buf request = BUF_INIT(WORKER_BODY_MAX);
	int r = 0;

	if (s->n_saves >= IMAGE_SAVES_MAX)
		return err_set(e, EAGAIN, "more than %d archives are being saved at a time",
			       IMAGE_SAVES_MAX);
	for (size_t i = 0; r == 0 && i < strv_len(refs); i++)
		r = choose_ref(s, &c, refs[i], e);
	if (r == 0)
		r = write_request(s, sv, &c, platform, &request, e);
	sv->out_fd = -1;
	if (r == 0) {
		sv->s = s;
		s->n_saves++;
		list_append(&s->saves, &sv->link);
		r = start_worker(sv, buf_text(&request), e);
		if (r < 0)
			release(sv);
	}
	if (r < 0) {
		strv_free(take_ptr(sv->ids));
		return r;
	}
	image_save_pause(sv, false);
	return 0;
}
