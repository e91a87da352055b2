/*
 * Images that are made here, from the archive of one layer (commit, import): their config document.
 *
 * A making is a load whose archive is a layer: waiting -> unpack worker -> making_plan -> store
 * worker -> commit. The worker tells the layer's digests; everything else of the image is settled
 * here: its parent's layers and history (the parent may have gone meanwhile), the config, names.
 * Called through image.h and by load.c.
 */
#include <string.h>

#include "engine/image/document.h"
#include "engine/image/store_priv.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/str.h"

/* The tar archive without entries: 1024 zeros. Docker does not count it as a layer either. */
#define EMPTY_DIFF_ID "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

/* What was asked for, as copies. */
struct making {
	char *parent, *author, *comment, *created_by, *architecture, *variant, *name;
	struct image_config config;
};

void making_free(struct making *m)
{
	if (!m)
		return;
	free(m->parent);
	free(m->author);
	free(m->comment);
	free(m->created_by);
	free(m->architecture);
	free(m->variant);
	free(m->name);
	bind_free(&image_config_table, &m->config);
	free(m);
}

static int copy_request(struct making *m, const struct image_make *from, struct err *e)
{
	bind_init(&image_config_table, &m->config);
	if (str_set(&m->parent, from->parent) < 0 || str_set(&m->author, from->author) < 0 ||
	    str_set(&m->comment, from->comment) < 0 ||
	    str_set(&m->created_by, from->created_by) < 0 ||
	    str_set(&m->architecture, from->architecture) < 0 ||
	    str_set(&m->variant, from->variant) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return bind_copy(&image_config_table, from->config, &m->config, e);
}

static int read_name(struct making *m, const char *name, struct err *e)
{
	char text[REF_TEXT_MAX];
	struct ref ref;
	int r;

	if (str_empty(name))
		return 0;
	r = ref_parse(name, &ref, e);
	if (r < 0)
		return r;
	if (ref.digest[0])
		return err_set(e, EINVAL, "refusing to create a tag with a digest reference");
	ref_add_default_tag(&ref);
	ref_format(&ref, text);
	return str_set(&m->name, text) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

/* ---- layers ---- */

/* The parent's layers, then the new one unless it is empty or the store has it. */
static int stack_layers(struct image_job *job, struct plan_image *img, const struct image *parent,
			bool empty, struct err *e)
{
	size_t below = parent ? parent->n_layers : 0;
	struct plan_layer *layers = calloc(below + 1, sizeof(*layers)), *top;
	struct stored_layer *there;

	if (!layers)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < below; i++) {
		layers[i].done = layers[i].present = true;
		(void)str_copy(layers[i].diff_id, DIGEST_TEXT_MAX, parent->layers[i].diff_id);
		(void)str_copy(layers[i].chain_id, DIGEST_TEXT_MAX, parent->layers[i].chain_id);
	}
	top = &layers[below];
	*top = img->layers[0];
	free(img->layers);
	img->layers = layers;
	img->n_layers = below + !empty;
	if (empty)
		return 0;
	if (img->n_layers > job->s->limits.layers)
		return err_set(e, EFBIG, "the image would have more than %llu layers",
			       (unsigned long long)job->s->limits.layers);
	if (chain_id(below ? top[-1].chain_id : "", top->diff_id, top->chain_id) < 0)
		return err_set(e, EIO, "cannot compute a chain id");
	top->present = store_layer(job->s, top->chain_id, &there, NULL) == 0;
	return 0;
}

/* ---- the config document ---- */

static void write_text(struct json_writer *w, const char *key, const char *text)
{
	if (!str_empty(text))
		json_member_str(w, key, text);
}

static void write_step(struct json_writer *w, const struct image_history *h)
{
	json_begin_object(w);
	write_text(w, "created", h->created);
	write_text(w, "created_by", h->created_by);
	write_text(w, "author", h->author);
	write_text(w, "comment", h->comment);
	if (h->empty_layer)
		json_member_bool(w, "empty_layer", true);
	json_end_object(w);
}

/* Every layer has a step: where the parent tells of fewer, they are made up in front. */
static void write_history(struct json_writer *w, const struct making *m, const struct image *parent,
			  const char *created, bool empty)
{
	const struct image_history own = { .created = (char *)(uintptr_t)created,
					   .created_by = m->created_by,
					   .author = m->author,
					   .comment = m->comment,
					   .empty_layer = empty };
	size_t told = 0;

	json_key(w, "history");
	json_begin_array(w);
	for (size_t i = 0; parent && i < parent->n_history; i++)
		told += !parent->history[i].empty_layer;
	for (; parent && told < parent->n_layers; told++)
		write_step(w, &(struct image_history){ .created = parent->created });
	for (size_t i = 0; parent && i < parent->n_history; i++)
		write_step(w, &parent->history[i]);
	write_step(w, &own);
	json_end_array(w);
}

static void write_config(struct json_writer *w, const struct making *m, const struct image *parent,
			 const struct plan_image *img, bool empty)
{
	const char *arch = m->architecture ? m->architecture : parent ? parent->architecture : NULL;
	const char *variant = m->architecture ? m->variant : parent ? parent->variant : NULL;
	char created[CLOCK_TEXT_MAX];

	clock_format(clock_real_ns(), created);
	json_begin_object(w);
	json_member_str(w, "architecture", str_empty(arch) ? platform_architecture() : arch);
	write_text(w, "variant", variant);
	json_member_str(w, "os", "linux");
	write_text(w, "author", m->author);
	write_text(w, "comment", m->comment);
	json_member_str(w, "created", created);
	json_key(w, "config");
	bind_write(&image_config_table, &m->config, w);
	write_history(w, m, parent, created, empty);
	json_key(w, "rootfs");
	json_begin_object(w);
	json_member_str(w, "type", "layers");
	json_key(w, "diff_ids");
	json_begin_array(w);
	for (size_t i = 0; i < img->n_layers; i++)
		json_str(w, img->layers[i].diff_id);
	json_end_array(w);
	json_end_object(w);
	json_end_object(w);
}

static int put_config(struct image_job *job, struct plan_image *img, const struct image *parent,
		      bool empty, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(IMAGE_DOCUMENT_MAX);
	char path[128];
	struct json_writer w;

	json_writer_init(&w, &text);
	write_config(&w, job->making, parent, img, empty);
	if (buf_failed(&text))
		return err_set(e, EFBIG, "the config of the image would have more than %d bytes",
			       IMAGE_DOCUMENT_MAX);
	if (digest_of(text.data, text.len, img->id) < 0)
		return err_set(e, EIO, "cannot compute a digest");
	(void)str_format(path, sizeof(path), JOB_BLOBS "/%s", digest_hex(img->id));
	/* the store worker's syncfs makes it durable */
	return file_replace(job->dir, path, text.data, text.len, 0600, false, e);
}

int making_plan(struct image_job *job, struct err *e)
{
	const struct making *m = job->making;
	const struct image *parent = m->parent ? images_find(job->s, m->parent, NULL) : NULL;
	struct plan_image *img = job->plan.images;
	bool empty;
	int r;

	if (m->parent && !parent)
		return err_set(e, EAGAIN, "the image %.19s was removed meanwhile", m->parent);
	if (job->plan.n_images != 1 || img->n_layers != 1 || img->layers[0].present)
		return err_set(e, EBADMSG, "the unpack worker's result is not one layer");
	empty = str_eq(img->layers[0].diff_id, EMPTY_DIFF_ID);
	r = stack_layers(job, img, parent, empty, e);
	if (r == 0)
		r = put_config(job, img, parent, empty, e);
	if (r == 0 && m->name && strv_add(&img->names, m->name) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	return r;
}

int images_make(struct images *s, int fd, const struct image_make *from, struct image_op *op,
		struct err *e)
{
	struct making *m = calloc(1, sizeof(*m));
	struct image_job *job = NULL;
	int r;

	if (!m)
		return err_set(e, ENOMEM, "out of memory");
	r = copy_request(m, from, e);
	if (r == 0)
		r = read_name(m, from->name, e);
	if (r == 0)
		r = load_start(s, fd, "", op, NULL, NULL, &job, e);
	if (r < 0) {
		making_free(m);
		return r;
	}
	job->making = m;
	job->request.layer = true;
	job->request.size = -1;
	return 0;
}
