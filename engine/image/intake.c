/*
 * See intake.h. A job (store_priv.h) whose folder is filled by several unpack workers at the same
 * time, one per layer, each with a number of its own there; its end is that of a load.
 */
#include "engine/image/intake.h"

#include <fcntl.h>
#include <string.h>

#include "engine/image/plan_priv.h"
#include "engine/image/store_priv.h"
#include "init/base/file.h"
#include "init/base/str.h"

struct part {
	struct incoming *whole;
	size_t number;
	struct worker worker;
	struct err why;
	int result;
};

struct incoming {
	struct image_job job; /* the first member */
	struct intake *owner;
	struct part *parts; /* one per layer */
	size_t n_parts;
};

static struct incoming *incoming_of(struct image_job *job)
{
	return container_of(job, struct incoming, job);
}

static struct plan_image *image_of(const struct intake *in)
{
	return in->job->job.plan.images;
}

static void stop_parts(struct incoming *c)
{
	for (size_t i = 0; i < c->n_parts; i++)
		worker_cancel(&c->parts[i].worker);
}

/* Called by job_free, whatever the end. */
static void on_over(struct image_job *job)
{
	struct incoming *c = incoming_of(job);

	free(c->parts);
	c->owner->job = NULL;
	c->owner->ended(c->owner);
}

static void on_committed(struct image_job *job)
{
	struct intake *owner = incoming_of(job)->owner;

	owner->committed(owner);
}

static void cancel_incoming(struct image_job *job)
{
	stop_parts(incoming_of(job));
	job_free(job);
}

int intake_begin(struct images *s, struct intake *in, struct image_op *op, struct err *e)
{
	struct incoming *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, ENOMEM, "out of memory");
	job_init(&c->job, s, op, cancel_incoming);
	c->job.request = (struct job_request){
		.keep = s->keep, .layer = true, .no_sandbox = s->no_sandbox, .limits = s->limits
	};
	c->job.committed = on_committed;
	c->job.over = on_over;
	c->owner = in;
	in->job = c;
	op->job = &c->job;
	list_append(&s->intakes, &c->job.link);
	return 0;
}

/* ---- the documents ---- */

static int add_layer(struct plan_image *img, yyjson_val *value, struct plan_layer *layer,
		     struct err *e)
{
	struct descriptor d;
	int r = descriptor_read(value, &d, e);

	if (r < 0)
		return r;
	if (!media_type_is_layer(d.media_type))
		return err_set(e, EINVAL, "\"%.128s\" is not a media type of a layer",
			       d.media_type);
	layer->size = d.size;
	layer->number = (size_t)(layer - img->layers);
	(void)str_copy(layer->digest, sizeof(layer->digest), d.digest);
	return str_copy(layer->media_type, sizeof(layer->media_type), d.media_type);
}

static int add_layers(struct image_job *job, struct plan_image *img, yyjson_val *root,
		      struct err *e)
{
	yyjson_val *layers = NULL, *value;
	size_t i, max;
	int r = json_get_array(root, "layers", &layers, e);

	if (r < 0)
		return r;
	if (yyjson_arr_size(layers) > job->s->limits.layers)
		return err_set(e, EFBIG, "the image has more than %llu layers",
			       (unsigned long long)job->s->limits.layers);
	img->layers = calloc(yyjson_arr_size(layers) + 1, sizeof(*img->layers));
	if (!img->layers)
		return err_set(e, ENOMEM, "out of memory");
	yyjson_arr_foreach(layers, i, max, value)
	{
		img->n_layers = i + 1;
		r = add_layer(img, value, &img->layers[i], e);
		if (r < 0)
			return err_wrap(e, "layers[%zu]", i);
	}
	return 0;
}

static int read_manifest(struct image_job *job, struct plan_image *img,
			 const struct intake_image *from, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	struct descriptor config;
	enum document_kind kind;
	yyjson_val *root;
	int r = document_parse(from->manifest, from->manifest_len, &doc, e);

	if (r < 0)
		return r;
	root = yyjson_doc_get_root(doc);
	r = document_kind(root, NULL, &kind, e);
	if (r == 0 && kind != DOCUMENT_MANIFEST)
		r = err_set(e, EINVAL, "it is an index");
	if (r == 0)
		r = descriptor_read(yyjson_obj_get(root, "config"), &config, e);
	if (r == 0 && !media_type_is_config(config.media_type))
		r = err_set(e, EINVAL,
			    "config: \"%.128s\" is not a media type of an image's config",
			    config.media_type);
	if (r == 0)
		r = descriptor_verify(&config, from->config, from->config_len, e);
	return r < 0 ? r : add_layers(job, img, root, e);
}

static int read_documents(struct image_job *job, struct plan_image *img,
			  const struct intake_image *from, struct err *e)
{
	int r = read_manifest(job, img, from, e);

	if (r < 0)
		return err_wrap(e, "the image's manifest");
	r = plan_read_config(img, from->config, from->config_len, e);
	if (r < 0)
		return err_wrap(e, "the image's config");
	if (digest_of(from->manifest, from->manifest_len, img->manifest) < 0)
		return err_set(e, EIO, "cannot compute a digest");
	if ((from->name && strv_add(&img->names, from->name) < 0) ||
	    (from->digest_name && strv_add(&img->digest_names, from->digest_name) < 0))
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static int write_document(struct image_job *job, const char *digest, const char *text, size_t len,
			  struct err *e)
{
	char path[128];

	(void)str_format(path, sizeof(path), JOB_BLOBS "/%s", digest_hex(digest));
	/* the store worker's syncfs makes it durable */
	return file_replace(job->dir, path, text, len, 0600, false, e);
}

int intake_image(struct intake *in, const struct intake_image *from, struct err *e)
{
	struct incoming *c = in->job;
	struct plan_image *img = plan_add_image(&c->job.plan, &c->job.request.limits, e);
	int r;

	if (!img)
		return e ? -e->code : -ENOMEM;
	r = read_documents(&c->job, img, from, e);
	if (r < 0)
		return r;
	c->parts = calloc(img->n_layers + 1, sizeof(*c->parts));
	if (!c->parts)
		return err_set(e, ENOMEM, "out of memory");
	c->n_parts = img->n_layers;
	for (size_t i = 0; i < c->n_parts; i++) {
		c->parts[i].whole = c;
		c->parts[i].number = i;
	}
	intake_look(in);
	r = job_make_folder(&c->job, e);
	if (r == 0)
		r = write_document(&c->job, img->id, from->config, from->config_len, e);
	if (r == 0)
		r = write_document(&c->job, img->manifest, from->manifest, from->manifest_len, e);
	return r;
}

/* ---- what is there ---- */

const char *intake_id(const struct intake *in)
{
	return image_of(in)->id;
}

size_t intake_layers(const struct intake *in)
{
	return image_of(in)->n_layers;
}

struct intake_layer intake_layer(const struct intake *in, size_t n)
{
	const struct plan_layer *l = &image_of(in)->layers[n];

	return (struct intake_layer){ .digest = l->digest,
				      .diff_id = l->diff_id,
				      .chain_id = l->chain_id,
				      .size = l->size,
				      .present = l->present,
				      .done = l->done };
}

void intake_look(struct intake *in)
{
	struct plan_image *img = image_of(in);
	struct stored_layer *there;

	for (size_t i = 0; i < img->n_layers; i++) {
		struct plan_layer *l = &img->layers[i];

		if (l->done && !l->present)
			continue;
		l->present = store_layer(in->job->job.s, l->chain_id, &there, NULL) == 0;
		l->done = l->present;
	}
}

/* ---- layers ---- */

/* Of what the worker says only this counts: that the tree in its folder is the promised one. */
static int take_result(struct part *p, yyjson_val *result, struct err *e)
{
	_cleanup_(load_plan_free) struct plan made = { 0 };
	struct image_job *job = &p->whole->job;
	struct plan_layer *want = &job->plan.images->layers[p->number];
	const struct plan_layer *got;
	int r = job_result_read(result, &job->s->limits, &made, e);

	if (r < 0)
		return r;
	got = made.images->layers;
	if (made.n_images != 1 || made.images->n_layers != 1 || got->present ||
	    got->number != want->number || !str_eq(got->diff_id, want->diff_id) ||
	    !str_eq(got->digest, want->digest) || got->size != want->size)
		return err_set(e, EBADMSG, "the unpack worker made another layer than asked for");
	want->bytes = got->bytes;
	want->done = true;
	return 0;
}

static void on_unpacked(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct part *p = container_of(w, struct part, worker);
	struct intake *owner = p->whole->owner;
	struct err e = { 0 };

	if (code < 0)
		e = *why;
	else
		code = take_result(p, result, &e);
	owner->unpacked(owner, p->number, code, &e);
}

int intake_unpack(struct intake *in, size_t n, int fd, struct err *e)
{
	_cleanup_(buf_free) struct buf request = BUF_INIT(WORKER_BODY_MAX);
	struct incoming *c = in->job;
	const struct plan_layer *layer = &image_of(in)->layers[n];
	const struct fd_map fds[] = { { JOB_FD_DIR, c->job.dir },
				      { JOB_FD_LAYERS, c->job.s->layers_fd } };
	struct job_request q = c->job.request;
	struct worker *w = &c->parts[n].worker;

	q.number = layer->number;
	q.size = layer->size;
	(void)str_copy(q.digest, sizeof(q.digest), layer->digest);
	(void)str_copy(q.diff_id, sizeof(q.diff_id), layer->diff_id);
	job_request_write(&q, &request);
	w->on_done = on_unpacked;
	return worker_start(c->job.s->loop, w,
			    &(struct worker_spec){ .name = "unpack",
						   .request = buf_text(&request),
						   .input_fd = fd,
						   .fds = fds,
						   .n_fds = ARRAY_SIZE(fds),
						   .oom_score_adj = 500 },
			    e);
}

/* ---- the end ---- */

void intake_commit(struct intake *in)
{
	struct err e = { 0 };
	int r = job_finish(&in->job->job, &e);

	if (r < 0)
		intake_fail(in, r, &e);
}

void intake_fail(struct intake *in, int r, const struct err *e)
{
	struct incoming *c = in->job;
	struct err why = *e;

	stop_parts(c);
	job_fail(&c->job, r, &why);
}

void intake_unchanged(struct intake *in)
{
	job_done(&in->job->job, 0, NULL);
}
