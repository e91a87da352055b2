/*
 * Pulling: documents, then the layers that are missing, then the store's commit.
 *
 *   resolve (fetch worker) -> waits for pulls that bring a layer of its own -> layers, each
 *   fetch worker | pipe | unpack worker -> commit
 *
 * A layer's pipe is kept open here until its fetch worker has said that all came: so the unpack
 * worker sees an end only behind the last byte, and what it finds wrong is the content's fault. A
 * layer that another pull is bringing is not brought twice: a pull begins with its layers only when
 * no other brings one of them, and holds none while it waits, so nobody waits for somebody who
 * waits for him. When that pull fails, the next one tries for itself. Layers of all pulls together
 * come at most `downloads` at a time.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "engine/image/intake.h"
#include "engine/registry/choose.h"
#include "engine/registry/registry_priv.h"
#include "init/base/file.h"
#include "init/base/list.h"
#include "init/base/str.h"

enum { PIPE_BYTES = 1 << 20, SHORT_ID = 12 };
enum { DOC_TOP, DOC_MANIFEST, DOC_CONFIG, N_DOCS };

struct layer {
	struct pull *pull;
	size_t n;
	struct fetch fetch;
	int gate; /* our copy of the pipe's end: open until all came; -1 */
	bool started, fetched, unpacked;
	struct err why; /* of a fetch that the pipe's reader ended */
};

struct pull {
	struct registry *reg;
	struct image_op *op; /* NULL: being cancelled */
	struct intake in;
	struct list link; /* in reg->pulls */
	struct ref ref;
	char reference[REF_TAG_MAX + DIGEST_TEXT_MAX]; /* tag or digest, as it is asked for */
	char *os, *architecture, *variant;
	struct registry_auth auth;
	struct place *place;
	struct fetch_memory memory;
	struct fetch resolve;
	char digest[DIGEST_TEXT_MAX]; /* of the document that the reference names */
	int docs[N_DOCS];
	struct layer *layers;
	size_t n_layers, n_running;
	bool resolved, bringing, changed, ending;
};

/* ---- words ---- */

static void say(struct pull *p, const struct image_progress *what)
{
	if (p->op && p->op->progress)
		p->op->progress(p->op, what);
}

static void say_layer(struct pull *p, size_t n, const char *status, int64_t current, int64_t total)
{
	char id[SHORT_ID + 1];

	(void)str_format(id, sizeof(id), "%.12s", digest_hex(intake_layer(&p->in, n).digest));
	say(p, &(struct image_progress){
		       .status = status, .id = id, .current = current, .total = total });
}

static void say_result(struct pull *p)
{
	char name[REF_TEXT_MAX], text[REF_TEXT_MAX + 64];

	(void)str_format(text, sizeof(text), "Digest: %s", p->digest);
	say(p, &(struct image_progress){ .status = text });
	ref_format_familiar(&p->ref, name);
	(void)str_format(text, sizeof(text), "Status: %s for %s",
			 p->changed ? "Downloaded newer image" : "Image is up to date", name);
	say(p, &(struct image_progress){ .status = text });
}

/* ---- the end ---- */

static void layer_stop(struct layer *l)
{
	if (fetch_running(&l->fetch))
		fetch_cancel(&l->fetch);
	fd_close(take_fd(l->gate));
}

static void close_docs(struct pull *p)
{
	for (int i = 0; i < N_DOCS; i++)
		fd_close(take_fd(p->docs[i]));
}

/* Gives everything back but the struct itself. */
static void pull_clear(struct pull *p)
{
	fetch_cancel(&p->resolve);
	for (size_t i = 0; i < p->n_layers; i++)
		layer_stop(&p->layers[i]);
	p->reg->downloads -= p->n_running;
	p->n_running = 0;
	close_docs(p);
	list_remove(&p->link);
	if (!list_empty(&p->reg->pulls))
		defer_add(p->reg->loop, &p->reg->turn);
}

static void pull_free(struct pull *p)
{
	pull_clear(p);
	free(p->layers);
	free(p->os);
	free(p->architecture);
	free(p->variant);
	registry_auth_free(&p->auth);
	fetch_memory_free(&p->memory);
	place_free(p->place);
	free(p);
}

static void on_committed(struct intake *in)
{
	say_result(container_of(in, struct pull, in));
}

static void on_ended(struct intake *in)
{
	pull_free(container_of(in, struct pull, in));
}

static void fail(struct pull *p, int r, const struct err *e)
{
	if (p->ending)
		return;
	p->ending = true;
	for (size_t i = 0; i < p->n_layers; i++)
		layer_stop(&p->layers[i]);
	intake_fail(&p->in, r, e);
}

/* ---- layers ---- */

static void layer_over(struct layer *l)
{
	struct pull *p = l->pull;

	if (!l->fetched || !l->unpacked)
		return;
	p->n_running--;
	p->reg->downloads--;
	say_layer(p, l->n, "Pull complete", 0, 0);
	defer_add(p->reg->loop, &p->reg->turn);
}

static void on_fetch_progress(struct fetch *f, int64_t current, int64_t total)
{
	struct layer *l = container_of(f, struct layer, fetch);

	say_layer(l->pull, l->n, "Downloading", current, total);
}

static void on_fetched(struct fetch *f, int r, yyjson_val *result, const struct err *e)
{
	struct layer *l = container_of(f, struct layer, fetch);
	struct pull *p = l->pull;

	if (r == -EPIPE) {
		l->why = *e; /* the reader says why, in a moment */
		return;
	}
	if (r < 0) {
		fail(p, r, e);
		return;
	}
	(void)fetch_memory_take(result, &p->memory, NULL);
	l->fetched = true;
	fd_close(take_fd(l->gate));
	say_layer(p, l->n, "Verifying Checksum", 0, 0);
	say_layer(p, l->n, "Download complete", 0, 0);
	if (!l->unpacked)
		say_layer(p, l->n, "Extracting", intake_layer(&p->in, l->n).size,
			  intake_layer(&p->in, l->n).size);
	layer_over(l);
}

static void on_unpacked(struct intake *in, size_t n, int r, const struct err *e)
{
	struct pull *p = container_of(in, struct pull, in);
	struct layer *l = &p->layers[n];
	struct err why = *e;

	if (r < 0) {
		err_wrap(&why, "layer %s", intake_layer(in, n).digest);
		fail(p, r, &why);
		return;
	}
	l->unpacked = true;
	layer_over(l);
}

static int make_pipe(int fds[2], struct err *e)
{
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make a pipe");
	(void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
	return 0;
}

static int start_fetch(struct layer *l, struct err *e)
{
	struct pull *p = l->pull;
	struct intake_layer want = intake_layer(&p->in, l->n);
	char args[DIGEST_TEXT_MAX + 64], scope[REF_NAME_MAX + 32];

	(void)str_format(args, sizeof(args), "{\"digest\":\"%s\",\"size\":%lld}", want.digest,
			 (long long)want.size);
	(void)str_format(scope, sizeof(scope), "repository:%s:pull", p->place->path);
	l->fetch.done = on_fetched;
	l->fetch.progress = on_fetch_progress;
	return fetch_start(p->reg, &l->fetch,
			   &(struct fetch_spec){ .kind = "blob",
						 .place = p->place,
						 .auth = &p->auth,
						 .scope = scope,
						 .memory = &p->memory,
						 .args = args,
						 .fds = &l->gate,
						 .n_fds = 1 },
			   e);
}

static int start_layer(struct layer *l, struct err *e)
{
	struct pull *p = l->pull;
	_cleanup_(fd_close) int reader = -1;
	int fds[2], r = make_pipe(fds, e);

	if (r < 0)
		return r;
	reader = fds[0];
	l->gate = fds[1];
	l->started = true;
	p->n_running++;
	p->reg->downloads++;
	r = intake_unpack(&p->in, l->n, reader, e);
	return r < 0 ? r : start_fetch(l, e);
}

/* ---- whose turn it is ---- */

/* Whether the image can be found by this digest already. */
static bool has_digest(struct pull *p)
{
	char name[REF_TEXT_MAX];
	struct ref ref = p->ref;
	const struct image *img;

	ref.tag[0] = '\0';
	(void)str_copy(ref.digest, sizeof(ref.digest), p->digest);
	ref_format(&ref, name);
	img = images_find(p->reg->images, name, NULL);
	return img && str_eq(img->id, intake_id(&p->in));
}

static void start_layers(struct pull *p)
{
	bool all = true;

	for (size_t i = 0; i < p->n_layers; i++) {
		struct layer *l = &p->layers[i];
		struct err e = { 0 };
		int r;

		all = all && intake_layer(&p->in, i).done;
		if (l->started || intake_layer(&p->in, i).done)
			continue;
		if (p->reg->downloads >= p->reg->settings.downloads)
			return;
		r = start_layer(l, &e);
		if (r < 0) {
			fail(p, r, &e);
			return;
		}
	}
	if (!all || p->n_running > 0)
		return;
	p->ending = true; /* what is left is the store's */
	if (p->changed || !has_digest(p)) {
		intake_commit(&p->in);
		return;
	}
	say_result(p);
	intake_unchanged(&p->in);
}

static bool needs(const struct pull *p, const char *chain_id)
{
	for (size_t i = 0; i < p->n_layers; i++)
		if (!intake_layer(&p->in, i).present &&
		    str_eq(intake_layer(&p->in, i).chain_id, chain_id))
			return true;
	return false;
}

/* Whether another pull brings one of its layers, or will before it. */
static bool must_wait(const struct pull *p)
{
	const struct pull *other;
	bool before = true;

	list_for_each(other, &p->reg->pulls, link) {
		if (other == p)
			before = false;
		if (other == p || !(other->bringing || (before && other->resolved)))
			continue;
		for (size_t i = 0; i < p->n_layers; i++)
			if (!intake_layer(&p->in, i).present &&
			    needs(other, intake_layer(&p->in, i).chain_id))
				return true;
	}
	return false;
}

static void begin_layers(struct pull *p)
{
	p->bringing = true;
	for (size_t i = 0; i < p->n_layers; i++) {
		if (!intake_layer(&p->in, i).present)
			continue;
		say_layer(p, i, "Already exists", 0, 0);
	}
}

void pulls_turn(struct defer_event *ev)
{
	struct registry *reg = container_of(ev, struct registry, turn);
	struct pull *p, *next;

	list_for_each_safe(p, next, &reg->pulls, link) {
		if (!p->resolved || p->ending)
			continue;
		if (!p->bringing) {
			intake_look(&p->in);
			if (must_wait(p))
				continue;
			begin_layers(p);
		}
		start_layers(p);
	}
}

/* ---- documents ---- */

struct texts {
	char *text[N_DOCS];
	size_t len[N_DOCS];
};

static void texts_free(struct texts *t)
{
	for (int i = 0; i < N_DOCS; i++)
		free(t->text[i]);
}
DEFINE_CLEANUP_VALUE(struct texts, texts_free)

static int read_docs(struct pull *p, struct texts *t, struct err *e)
{
	int r = 0;

	for (int i = 0; r == 0 && i < N_DOCS; i++) {
		if (lseek(p->docs[i], 0, SEEK_SET) < 0)
			return err_errno(e, errno, "cannot read a document");
		r = file_read_fd(p->docs[i], IMAGE_DOCUMENT_MAX, &t->text[i], &t->len[i], e);
	}
	close_docs(p);
	return r;
}

/* The worker is not believed: the index must name the manifest that it chose. */
static int check_chosen(yyjson_val *index, const char *manifest, size_t len, struct err *e)
{
	yyjson_val *value;
	char digest[DIGEST_TEXT_MAX];
	size_t i, max;

	if (digest_of(manifest, len, digest) < 0)
		return err_set(e, EIO, "cannot compute a digest");
	yyjson_arr_foreach(yyjson_obj_get(index, "manifests"), i, max,
			   value) if (str_eq(yyjson_get_str(yyjson_obj_get(value, "digest")),
					     digest)) return 0;
	return err_set(e, EBADMSG,
		       "the fetch worker chose a manifest that the index does not have");
}

static int check_top(struct pull *p, const struct texts *t, bool *ret_index, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	enum document_kind kind;
	int r;

	if (digest_of(t->text[DOC_TOP], t->len[DOC_TOP], p->digest) < 0)
		return err_set(e, EIO, "cannot compute a digest");
	if (p->ref.digest[0] && !str_eq(p->ref.digest, p->digest))
		return err_set(e, EBADMSG, "the fetch worker brought %s for %s", p->digest,
			       p->ref.digest);
	r = choose_read(t->text[DOC_TOP], t->len[DOC_TOP], "", &doc, &kind, e);
	if (r < 0)
		return r;
	*ret_index = kind == DOCUMENT_INDEX;
	return *ret_index ? check_chosen(yyjson_doc_get_root(doc), t->text[DOC_MANIFEST],
					 t->len[DOC_MANIFEST], e)
			  : 0;
}

static int take_docs(struct pull *p, struct err *e)
{
	_cleanup_(texts_free) struct texts t = { 0 };
	char name[REF_TEXT_MAX], digest_name[REF_TEXT_MAX];
	struct ref ref = p->ref;
	bool index = false;
	int r = read_docs(p, &t, e), from;

	if (r == 0)
		r = check_top(p, &t, &index, e);
	if (r < 0)
		return r;
	ref.digest[0] = '\0';
	ref_format(&ref, name);
	ref.tag[0] = '\0';
	(void)str_copy(ref.digest, sizeof(ref.digest), p->digest);
	ref_format(&ref, digest_name);
	from = index ? DOC_MANIFEST : DOC_TOP;
	return intake_image(&p->in,
			    &(struct intake_image){ .name = p->ref.digest[0] ? NULL : name,
						    .digest_name = digest_name,
						    .manifest = t.text[from],
						    .manifest_len = t.len[from],
						    .config = t.text[DOC_CONFIG],
						    .config_len = t.len[DOC_CONFIG] },
			    e);
}

static int make_layers(struct pull *p, struct err *e)
{
	size_t n = intake_layers(&p->in);

	p->layers = calloc(n + 1, sizeof(*p->layers));
	if (!p->layers)
		return err_set(e, ENOMEM, "out of memory");
	p->n_layers = n;
	for (size_t i = 0; i < n; i++) {
		p->layers[i].pull = p;
		p->layers[i].n = i;
		p->layers[i].gate = -1;
	}
	return 0;
}

static void say_begin(struct pull *p)
{
	char text[REF_NAME_MAX + 32];

	(void)str_format(text, sizeof(text), "Pulling from %s", p->ref.path);
	say(p, &(struct image_progress){ .status = text, .id = p->reference });
	for (size_t i = 0; i < p->n_layers; i++)
		if (!intake_layer(&p->in, i).present)
			say_layer(p, i, "Pulling fs layer", 0, 0);
	for (size_t i = p->reg->settings.downloads; i < p->n_layers; i++)
		if (!intake_layer(&p->in, i).present)
			say_layer(p, i, "Waiting", 0, 0);
}

/* What had the name before tells whether this is news. */
static void compare(struct pull *p)
{
	const struct image *old;
	char name[REF_TEXT_MAX];

	ref_format(&p->ref, name);
	old = images_find(p->reg->images, name, NULL);
	p->changed = !old || !str_eq(old->id, intake_id(&p->in));
}

static void on_resolved(struct fetch *f, int r, yyjson_val *result, const struct err *e)
{
	struct pull *p = container_of(f, struct pull, resolve);
	struct err why = *e;

	if (r == 0)
		r = fetch_memory_take(result, &p->memory, &why);
	if (r == 0)
		r = take_docs(p, &why);
	if (r == 0)
		r = make_layers(p, &why);
	if (r < 0) {
		fail(p, r, &why);
		return;
	}
	compare(p);
	p->resolved = true;
	say_begin(p);
	defer_add(p->reg->loop, &p->reg->turn);
}

/* ---- begin ---- */

static int resolve_args(const struct pull *p, struct buf *out)
{
	struct json_writer w;

	json_writer_init(&w, out);
	json_begin_object(&w);
	json_member_str(&w, "reference", p->reference);
	json_key(&w, "platform");
	json_begin_object(&w);
	if (p->os)
		json_member_str(&w, "os", p->os);
	if (p->architecture)
		json_member_str(&w, "architecture", p->architecture);
	if (p->variant)
		json_member_str(&w, "variant", p->variant);
	json_end_object(&w);
	json_end_object(&w);
	return buf_failed(out);
}

static int start_resolve(struct pull *p, struct err *e)
{
	_cleanup_(buf_free) struct buf args = BUF_INIT(4096);
	char scope[REF_NAME_MAX + 32];

	for (int i = 0; i < N_DOCS; i++) {
		p->docs[i] = memfd_create("document", MFD_CLOEXEC);
		if (p->docs[i] < 0)
			return err_errno(e, errno, "cannot make a memory file");
	}
	if (resolve_args(p, &args) < 0)
		return err_set(e, EINVAL, "the platform is too long");
	(void)str_format(scope, sizeof(scope), "repository:%s:pull", p->place->path);
	p->resolve.done = on_resolved;
	return fetch_start(p->reg, &p->resolve,
			   &(struct fetch_spec){ .kind = "resolve",
						 .place = p->place,
						 .auth = &p->auth,
						 .scope = scope,
						 .args = args.data,
						 .fds = p->docs,
						 .n_fds = N_DOCS },
			   e);
}

static int read_request(struct pull *p, const char *ref, const struct image_platform *platform,
			const struct registry_auth *auth, struct err *e)
{
	int r = ref_parse(ref, &p->ref, e);

	if (r < 0)
		return r;
	if (p->ref.digest[0])
		p->ref.tag[0] = '\0';
	ref_add_default_tag(&p->ref);
	if (p->ref.digest[0] && digest_algorithm_of(p->ref.digest) != DIGEST_SHA256)
		return err_set(e, EOPNOTSUPP, "only sha256 digests are supported");
	(void)str_copy(p->reference, sizeof(p->reference),
		       p->ref.digest[0] ? p->ref.digest : p->ref.tag);
	if (platform && (str_set(&p->os, platform->os) < 0 ||
			 str_set(&p->architecture, platform->architecture) < 0 ||
			 str_set(&p->variant, platform->variant) < 0))
		return err_set(e, ENOMEM, "out of memory");
	r = registry_auth_copy(auth, &p->auth, e);
	return r < 0 ? r : registry_place(p->reg, &p->ref, &p->place, e);
}

int registry_pull(struct registry *reg, const char *ref, const struct image_platform *platform,
		  const struct registry_auth *auth, struct image_op *op, struct err *e)
{
	struct pull *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	p->reg = reg;
	p->op = op;
	p->in.unpacked = on_unpacked;
	p->in.committed = on_committed;
	p->in.ended = on_ended;
	for (int i = 0; i < N_DOCS; i++)
		p->docs[i] = -1;
	list_init(&p->link);
	r = read_request(p, ref, platform, auth, e);
	if (r == 0)
		r = start_resolve(p, e);
	if (r == 0)
		r = intake_begin(reg->images, &p->in, op, e);
	if (r < 0) {
		pull_free(p);
		return r;
	}
	list_append(&reg->pulls, &p->link);
	return 0;
}
