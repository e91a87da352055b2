/*
 * Commit: pause -> read the files and store them, both at once -> unpause -> done.
 *
 * The pipe between both workers has its writing end open here too, until the files are all read: so
 * the store sees the end of the layer only when it is complete. Whichever side fails ends the other
 * one; when the store refuses the layer (a limit), its word counts, not the broken pipe. Called by
 * api/ through commit.h.
 */
#include "engine/container/commit.h"

#include <fcntl.h>
#include <unistd.h>

#include "engine/container/object.h"
#include "engine/data/ref.h"
#include "engine/image/change.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

static struct container *container_of_commit(const struct container_commit *m)
{
	return containers_find(m->cs, m->container, NULL);
}

/* ---- the mark ---- */

/* A file beside the shim says that a container is paused only for this: when the engine dies
 * meanwhile, the next one lets it run on. It goes with the run, as the pause does. */
static char *mark_of(const struct container *c)
{
	return str_printf("%s/%s/committing", c->cs->shims_dir, c->id);
}

static void mark(const struct container *c)
{
	_cleanup_(mem_free) char *path = mark_of(c);
	struct err e = { 0 };

	if (path && file_replace(AT_FDCWD, path, "", 0, 0600, false, &e) < 0)
		log_warn("commit: %s", err_text(&e));
}

static bool unmark(const struct container *c)
{
	_cleanup_(mem_free) char *path = mark_of(c);

	return path && unlink(path) == 0;
}

void commits_restored(struct containers *cs)
{
	struct container *c;
	size_t pos = 0;

	while ((c = containers_next(cs, &pos)))
		if (unmark(c) && container_state(c) == CONTAINER_PAUSED) {
			log_notice(
				"container %.12s was paused for a commit that did not come to its "
				"end: it runs on",
				c->id);
			container_thaw(c);
		}
}

/* ---- the end ---- */

static void forget(struct container_commit *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(m->pipe); i++)
		fd_close(take_fd(m->pipe[i]));
	free(m->container);
	free(m->author);
	free(m->comment);
	free(m->name);
	free(m->created_by);
	free(m->parent);
	free(m->asked);
	bind_free(&image_config_table, &m->config);
}

static void thawed(struct container_op *op, int r, const struct err *e);

static void thaw(struct container_commit *m)
{
	struct container *c = container_of_commit(m);

	if (!m->paused)
		return;
	m->paused = false;
	if (!c || container_state(c) != CONTAINER_PAUSED) {
		if (c)
			(void)unmark(c);
		return;
	}
	m->thawing = true;
	m->pausing.done = thawed;
	container_unpause(c, &m->pausing);
}

/* Tells the caller, once nothing runs any more. */
static void settle(struct container_commit *m)
{
	char *id = m->id;
	struct err why = m->why;

	if (m->reading || m->storing || m->thawing)
		return;
	forget(m);
	m->done(m, -why.code, why.code ? NULL : id, &why); /* may free m */
	free(id);
}

static void thawed(struct container_op *op, int r, const struct err *e)
{
	struct container_commit *m = container_of(op, struct container_commit, pausing);

	struct container *c = container_of_commit(m);

	if (r < 0)
		log_warn("commit: %s", err_text(e));
	if (c)
		(void)unmark(c);
	m->thawing = false;
	settle(m);
}

static void note(struct container_commit *m, int r, const struct err *e)
{
	if (m->why.code)
		return;
	m->why = *e;
	if (!m->why.code)
		err_errno(&m->why, -r, "commit");
}

/* ---- both sides ---- */

static void on_read(struct files_op *op, int r, const struct err *e)
{
	struct container_commit *m = container_of(op, struct container_commit, files);

	m->reading = false;
	if (r < 0 && r != -EPIPE) {
		note(m, r, e);
		image_op_cancel(&m->image);
		m->storing = false;
	}
	fd_close(take_fd(m->pipe[1]));
	thaw(m);
	settle(m);
}

static void on_stored(struct image_op *op, int r, const struct err *e)
{
	struct container_commit *m = container_of(op, struct container_commit, image);
	struct container *c;

	m->storing = false;
	if (r < 0)
		note(m, r, e);
	else if (op->n_changes > 0)
		m->id = str_dup(op->changes[0].id);
	if (r == 0 && !m->id)
		err_set(&m->why, ENOMEM, "out of memory");
	if (m->reading) {
		container_files_cancel(&m->files);
		m->reading = false;
	}
	m->stored(m, op->changes, op->n_changes);
	if (r != -ECANCELED) { /* else the engine stops, and its containers are forgotten */
		c = container_of_commit(m);
		if (m->id && c)
			container_publish(c, "commit", "imageID", m->id);
		thaw(m);
	}
	settle(m);
}

static int begin(struct container_commit *m, struct container *c, struct err *e)
{
	const struct image_make make = { .parent = m->parent,
					 .config = &m->config,
					 .author = m->author,
					 .comment = m->comment,
					 .created_by = m->created_by,
					 .name = m->name };
	struct files_request q = { .kind = FILES_LAYER, .asked = m->asked };
	int r;

	if (pipe2(m->pipe, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make a pipe");
	m->image.done = on_stored;
	r = images_make(m->cs->cfg.images, m->pipe[0], &make, &m->image, e);
	if (r < 0)
		return r;
	fd_close(take_fd(m->pipe[0])); /* the store's alone: its end breaks the pipe */
	m->files.done = on_read;
	q.out_fd = m->pipe[1];
	r = container_files_start(c, &q, &m->files, e);
	if (r < 0) {
		image_op_cancel(&m->image);
		return r;
	}
	m->reading = m->storing = true;
	return 0;
}

static void paused(struct container_op *op, int r, const struct err *e)
{
	struct container_commit *m = container_of(op, struct container_commit, pausing);
	struct container *c = container_of_commit(m);
	struct err why = { 0 };

	if (r < 0) {
		note(m, r, e);
		if (c)
			(void)unmark(c);
	} else if (!c) {
		err_set(&m->why, ENOENT, "No such container: %s", m->asked);
	} else {
		m->paused = true;
		r = begin(m, c, &why);
		if (r < 0)
			note(m, r, &why);
	}
	if (m->why.code)
		thaw(m);
	settle(m);
}

/* ---- the request ---- */

/* The container's config as that of an image: what has no place there is left out. */
static int own_config(const struct container *c, struct image_config *ret, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(CONTAINER_DOC_MAX);
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	struct json_writer w;
	int r;

	json_writer_init(&w, &b);
	bind_write(&container_config_table, &c->asked.config, &w);
	if (buf_failed(&b))
		return err_set(e, EFBIG, "the container's config is too long");
	r = json_parse(b.data, b.len, &doc, e);
	return r < 0 ? r : bind_read(&image_config_table, yyjson_doc_get_root(doc), ret, "", e);
}

static int make_config(const struct container *c, const struct commit_request *q,
		       struct image_config *ret, struct err *e)
{
	struct image_config own;
	int r;

	bind_init(&image_config_table, &own);
	r = own_config(c, &own, e);
	if (r == 0)
		r = q->config ? bind_read(&image_config_table, q->config, ret, "", e)
			      : bind_copy(&image_config_table, &own, ret, e);
	if (r == 0)
		r = image_config_change(ret, q->changes, e);
	if (r == 0 && image_config_merge(ret, &own) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	bind_free(&image_config_table, &own);
	return r;
}

static int check_name(const char *name, struct err *e)
{
	struct ref ref;
	int r = str_empty(name) ? 0 : ref_parse(name, &ref, e);

	if (r == 0 && !str_empty(name) && ref.digest[0])
		r = err_set(e, EINVAL, "refusing to create a tag with a digest reference");
	return r;
}

static int prepare(const struct container *c, const struct commit_request *q,
		   struct container_commit *m, struct err *e)
{
	int r = check_name(q->name, e);

	m->cs = c->cs;
	m->pipe[0] = m->pipe[1] = -1;
	bind_init(&image_config_table, &m->config);
	if (r == 0)
		r = make_config(c, q, &m->config, e);
	if (r < 0)
		return r;
	if (c->asked.config.cmd)
		m->created_by = strv_join(c->asked.config.cmd, " ");
	if (str_set(&m->container, c->id) < 0 || str_set(&m->author, q->author) < 0 ||
	    str_set(&m->comment, q->comment) < 0 || str_set(&m->name, q->name) < 0 ||
	    str_set(&m->parent, c->image_id) < 0 || str_set(&m->asked, q->asked) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

int container_commit(struct container *c, const struct commit_request *q,
		     struct container_commit *m, struct err *e)
{
	int r = prepare(c, q, m, e);

	if (r == 0 && q->pause && container_state(c) == CONTAINER_RUNNING) {
		m->pausing.done = paused;
		list_init(&m->pausing.link);
		mark(c);
		container_pause(c, &m->pausing);
		return 0;
	}
	if (r == 0)
		r = begin(m, c, e);
	if (r < 0)
		forget(m);
	return r;
}
