/*
 * A store in a temporary folder, with a loop, and operations that are waited for. The test program
 * plays its own workers.
 *
 * The store's workers are this very program started again as `worker NAME`, see TEST(worker). They
 * keep their rights, because the sanitizers need calls that the sandbox forbids. Header-only.
 */
#ifndef SKERRY_TEST_IMAGE_RIG_H
#define SKERRY_TEST_IMAGE_RIG_H

#include <fcntl.h>
#include <sys/stat.h>

#include "engine/image/image.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

static int rig_argc;
static char **rig_argv;

__attribute__((constructor)) static void rig_arguments(int argc, char **argv)
{
	rig_argc = argc;
	rig_argv = argv;
}

/* As `NAME worker ROLE` this program is a worker: main.c then runs the cases that are called so,
 * and this is the only one. Not in the constructor, because liblzma sets itself up in one of its
 * own, which comes later. */
TEST(worker)
{
	if (rig_argc != 3 || !str_eq(rig_argv[1], "worker"))
		return;
	if (str_eq(rig_argv[2], "unpack"))
		exit(image_unpack_worker(rig_argc, rig_argv));
	if (str_eq(rig_argv[2], "save"))
		exit(image_save_worker(rig_argc, rig_argv));
	exit(image_store_worker(rig_argc, rig_argv));
}

#ifdef __SANITIZE_ADDRESS__
enum { RIG_NO_SANDBOX = 1 };
#else
enum { RIG_NO_SANDBOX = 0 };
#endif

struct rig {
	struct loop *loop;
	struct images *images;
	char dir[256], archives[256];
	const char *archive_dirs[2];
	struct images_config cfg;
};

/* One operation and what came of it. */
struct rig_op {
	struct image_op op;
	bool done;
	int result;
	struct err err;
	char lines[4096]; /* progress, one per line */
	char changes[1024];
};

static inline UNUSED int rig_open(struct rig *r)
{
	struct err e = { 0 };
	int n = images_new(&r->cfg, &r->images, &e);

	if (n < 0)
		test_fail(__FILE__, __LINE__, "images_new: %s", err_text(&e));
	return n;
}

static inline UNUSED int rig_new(struct rig *r)
{
	*r = (struct rig){ 0 };
	log_set_level(LOG_ERROR);
	snprintf(r->dir, sizeof(r->dir), "%s/images", test_tmpdir());
	snprintf(r->archives, sizeof(r->archives), "%s/archives", test_tmpdir());
	r->archive_dirs[0] = r->archives;
	if (dir_make(AT_FDCWD, r->archives, 0755, NULL) < 0 || loop_new(&r->loop, NULL) < 0)
		return -1;
	r->cfg = (struct images_config){ .dir = r->dir,
					 .archive_dirs = r->archive_dirs,
					 .loop = r->loop,
					 .no_sandbox = RIG_NO_SANDBOX,
					 .keep_blobs = IMAGE_KEEP_YES };
	return rig_open(r);
}

static inline UNUSED void rig_free(struct rig *r)
{
	images_free(r->images);
	loop_free(r->loop);
}

/* A restart of the engine: memory is forgotten. */
static inline UNUSED int rig_restart(struct rig *r)
{
	images_free(r->images);
	r->images = NULL;
	return rig_open(r);
}

static void rig_progress(struct image_op *op, const struct image_progress *p)
{
	struct rig_op *o = container_of(op, struct rig_op, op);
	size_t at = strlen(o->lines);

	if (p->stream)
		snprintf(o->lines + at, sizeof(o->lines) - at, "%s", p->stream);
}

static void rig_done(struct image_op *op, int r, const struct err *e)
{
	static const char *const names[] = { "loaded",	"tagged", "untagged",
					     "deleted", "layer",  "made" };
	struct rig_op *o = container_of(op, struct rig_op, op);

	o->done = true;
	o->result = r;
	o->err = *e;
	for (size_t i = 0; i < op->n_changes; i++) {
		size_t at = strlen(o->changes);

		snprintf(o->changes + at, sizeof(o->changes) - at, "%s %s\n",
			 names[op->changes[i].type],
			 op->changes[i].name ? op->changes[i].name : "-");
	}
}

static inline UNUSED void rig_prepare(struct rig_op *o)
{
	*o = (struct rig_op){ .op = { .progress = rig_progress, .done = rig_done } };
}

static inline UNUSED int rig_wait(struct rig *r, struct rig_op *o)
{
	for (int i = 0; i < 100000 && !o->done; i++)
		if (loop_once(r->loop, 60000) == 0)
			break;
	return o->done ? o->result : -ETIMEDOUT;
}

/* Loads bytes from a regular file. */
static inline UNUSED int rig_load(struct rig *r, const struct buf *archive, struct rig_op *o)
{
	char path[300];
	int n;

	snprintf(path, sizeof(path), "%s/load.tar", test_tmpdir());
	rig_prepare(o);
	n = file_replace(AT_FDCWD, path, archive->data, archive->len, 0600, false, &o->err);
	if (n == 0)
		n = images_load_file(r->images, path, &o->op, &o->err);
	return n < 0 ? n : rig_wait(r, o);
}

/* Loads bytes through a pipe that is fed by the loop. */
struct rig_feed {
	struct io_event io;
	const struct buf *from;
	size_t at, stop; /* bytes that are written before the end */
};

static void rig_feed_more(struct io_event *io, uint32_t events)
{
	struct rig_feed *f = container_of(io, struct rig_feed, io);
	ssize_t n = write(io->fd, f->from->data + f->at, f->stop - f->at);

	(void)events;
	if (n > 0)
		f->at += (size_t)n;
	if (f->at < f->stop && (n >= 0 || errno == EAGAIN))
		return;
	io_remove(io);
	close(io->fd);
}

static inline UNUSED int rig_start_pipe(struct rig *r, const struct buf *archive, size_t stop,
					struct rig_feed *f, struct rig_op *o)
{
	int fds[2], n;

	rig_prepare(o);
	*f = (struct rig_feed){ .io = { .fn = rig_feed_more }, .from = archive, .stop = stop };
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	fd_set_nonblock(fds[1], true);
	signal(SIGPIPE, SIG_IGN);
	n = images_load(r->images, fds[0], &o->op, &o->err);
	close(fds[0]);
	return n < 0 ? n : io_add(r->loop, &f->io, fds[1], EPOLLOUT);
}

static inline UNUSED int rig_load_pipe(struct rig *r, const struct buf *archive, struct rig_op *o)
{
	struct rig_feed f;
	int n = rig_start_pipe(r, archive, archive->len, &f, o);

	return n < 0 ? n : rig_wait(r, o);
}

/* A save and what came of it. */
struct rig_save {
	struct image_save op;
	struct buf out;
	size_t stop; /* bytes after which nothing more is read; 0: never */
	bool done;
	int result;
	struct err err;
	char ids[512]; /* one per line */
};

static void rig_save_more(struct image_save *op)
{
	struct rig_save *v = container_of(op, struct rig_save, op);
	char chunk[4096];
	size_t n;

	while ((n = image_save_read(op, chunk, sizeof(chunk))) > 0) {
		buf_add(&v->out, chunk, n);
		if (v->stop && v->out.len >= v->stop) {
			image_save_pause(op, true);
			return;
		}
	}
}

static void rig_save_done(struct image_save *op, int r, const struct err *e)
{
	struct rig_save *v = container_of(op, struct rig_save, op);

	v->done = true;
	v->result = r;
	v->err = *e;
	for (size_t i = 0; op->ids && op->ids[i]; i++) {
		size_t at = strlen(v->ids);

		snprintf(v->ids + at, sizeof(v->ids) - at, "%s\n", op->ids[i]);
	}
}

static inline UNUSED int rig_save_start(struct rig *r, char *const *refs, struct rig_save *v)
{
	*v = (struct rig_save){ .op = { .readable = rig_save_more, .done = rig_save_done },
				.out = BUF_INIT(64 << 20) };
	return images_save(r->images, refs, NULL, &v->op, &v->err);
}

/* Saves all of it; the caller frees v->out. */
static inline UNUSED int rig_save(struct rig *r, char *const *refs, struct rig_save *v)
{
	int n = rig_save_start(r, refs, v);

	for (int i = 0; n == 0 && i < 100000 && !v->done; i++)
		if (loop_once(r->loop, 60000) == 0)
			break;
	return n < 0 ? n : v->done ? v->result : -ETIMEDOUT;
}

static int rig_count_one(int dirfd, const char *name, void *data, struct err *e)
{
	(void)dirfd;
	(void)name;
	(void)e;
	++*(size_t *)data;
	return 0;
}

/* Entries of a folder of the store. */
static inline UNUSED size_t rig_count(const struct rig *r, const char *folder)
{
	char path[300];
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/%s", r->dir, folder);
	(void)dir_each(AT_FDCWD, path, 100000, rig_count_one, &n, NULL);
	return n;
}

/* Runs the loop until the sweeper has emptied tmp/. */
static inline UNUSED bool rig_swept(struct rig *r)
{
	for (int i = 0; i < 1000 && rig_count(r, "tmp") > 0; i++)
		if (loop_once(r->loop, 10000) == 0)
			break;
	return rig_count(r, "tmp") == 0;
}

#endif
