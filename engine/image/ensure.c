/*
 * Images from archives that lie on the machine (baked in, or preloaded on the data disk): found by
 * name, loaded when asked for.
 *
 * One ensure runs at a time, the others wait in line: so two that need the same archive read it
 * once. What names an archive holds is found out by the unpack worker and remembered as long as the
 * file's size and time stay. Called by manifest/ and container/.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/image/store_priv.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { ARCHIVES_MAX = 4096 }; /* files in one folder */

/* What is known of one archive file. */
struct archive_file {
	struct stat st;
	char **holds; /* plan_image_names of its images */
	char *error; /* why it is no image archive; NULL: it is one */
};

struct ensure {
	struct image_job job; /* the outer one: never started, only listed and ended */
	char *ref, *key; /* as asked for; normalised */
	char **files;
	size_t at;
	struct stat st; /* of files[at] */
	char *fault; /* the first archive that cannot be read */
	struct image_job *inner;
	bool looked; /* the list of files was made */
	bool again; /* only the archive that the image came from is looked into once more */
};

static void ensure_step(struct ensure *en);

/* ---- remembered archives ---- */

static void archive_free(struct archive_file *a)
{
	if (!a)
		return;
	strv_free(a->holds);
	free(a->error);
	free(a);
}

void archives_free(struct images *s)
{
	struct map_entry *m;
	size_t i = 0;

	while ((m = map_next(&s->archives, &i)))
		archive_free(m->value);
	map_free(&s->archives);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Remembers what an archive holds, or that it is none. */
static void remember(struct images *s, const char *path, const struct stat *st,
		     const struct plan *plan, const char *error)
{
	struct archive_file *a = calloc(1, sizeof(*a));
	void *old = NULL;
	int r = a ? str_set(&a->error, error) : -ENOMEM;

	if (a)
		a->st = *st;
	for (size_t i = 0; r == 0 && !error && i < plan->n_images; i++)
		r = plan_image_names(&plan->images[i], &a->holds);
	if (r == 0)
		r = map_put(&s->archives, path, a, &old);
	archive_free(r < 0 ? a : old);
}

/* ---- the end ---- */

static void start_first(struct images *s)
{
	struct image_job *job = list_first(&s->ensures, struct image_job, link);

	if (job && !s->closing)
		defer_add(s->loop, &job->defer);
}

static void ensure_clear(struct ensure *en)
{
	if (en->inner)
		en->inner->cancel(en->inner);
	en->inner = NULL;
	free(en->ref);
	free(en->key);
	free(en->fault);
	strv_free(en->files);
}

static void ensure_done(struct ensure *en, int r, const struct err *e)
{
	struct images *s = en->job.s;

	ensure_clear(en);
	job_done(&en->job, r, e);
	start_first(s);
}

static void cancel_ensure(struct image_job *job)
{
	struct ensure *en = container_of(job, struct ensure, job);
	struct images *s = job->s;

	ensure_clear(en);
	job_free(job);
	start_first(s);
}

/* ---- one archive ---- */

/* Whether the archive itself is at fault, and will be the next time too. */
static bool is_archives_fault(int r)
{
	return r == -EINVAL || r == -EFBIG || r == -ENOENT || r == -EBADMSG;
}

static void on_loaded(struct image_job *inner, int r, const struct err *e)
{
	struct ensure *en = inner->data;
	const char *path = en->files[en->at];

	en->inner = NULL;
	if (r < 0) {
		struct err why = *e;

		err_wrap(&why, "%s", path);
		if (is_archives_fault(r)) {
			log_warn("images: %s", err_text(&why));
			remember(en->job.s, path, &en->st, &inner->plan, err_text(&why));
			ensure_step(en);
		} else {
			ensure_done(en, r, &why);
		}
		return;
	}
	remember(en->job.s, path, &en->st, &inner->plan, NULL);
	if (inner->plan.names_only) {
		ensure_step(en);
		return;
	}
	en->job.changes = take_ptr(inner->changes);
	en->job.n_changes = inner->n_changes;
	inner->n_changes = 0;
	ensure_done(en, 0, NULL);
}

static int open_archive(const char *path, struct stat *ret_st)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0 && fstat(fd, ret_st) == 0 && S_ISREG(ret_st->st_mode))
		return fd;
	fd_close(fd);
	return -ENOENT;
}

static struct image_source source_of(char *path, const struct stat *st)
{
	return (struct image_source){
		.path = path,
		.size = st->st_size,
		.mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
		.inode = (int64_t)st->st_ino,
	};
}

static int start_file(struct ensure *en, int fd, struct err *e)
{
	struct image_source source = source_of(en->files[en->at], &en->st);
	int r = load_start(en->job.s, fd, en->key, en->job.op, on_loaded, en, &en->inner, e);

	if (r == 0 && image_source_set(&en->inner->source, &source) < 0) {
		en->inner->cancel(take_ptr(en->inner));
		return err_set(e, ENOMEM, "out of memory");
	}
	return r;
}

/* Looks into files[at]: 1 when a worker was started, 0 when this file has nothing for us. */
static int try_file(struct ensure *en, struct err *e)
{
	_cleanup_(fd_close) int fd = open_archive(en->files[en->at], &en->st);
	const struct archive_file *known;
	int r;

	if (fd < 0)
		return 0;
	known = map_get(&en->job.s->archives, en->files[en->at]);
	if (known && same_file(&known->st, &en->st)) {
		if (known->error && !en->fault)
			en->fault = str_dup(known->error);
		if (!strv_has(known->holds, en->key))
			return 0;
	}
	r = start_file(en, fd, e);
	return r < 0 ? r : 1;
}

/* The machine's archive that the image came from was replaced (a new version of the system,
 * say): it goes first, once, and the image stays as it is when that has it no more. */
static bool look_again(struct ensure *en, const struct image *img)
{
	const struct stored *st = container_of(img, struct stored, image);
	struct image_source now;
	struct stat found;

	if (!st->source.path || stat(st->source.path, &found) < 0)
		return false;
	now = source_of(st->source.path, &found);
	if (now.size == st->source.size && now.mtime_ns == st->source.mtime_ns &&
	    now.inode == st->source.inode)
		return false;
	en->looked = en->again = strv_add(&en->files, st->source.path) == 0;
	return en->again;
}

/* ---- all archives ---- */

struct listing {
	struct ensure *en;
	const char *dir;
};

static int add_file(int dirfd, const char *name, void *data, struct err *e)
{
	struct listing *l = data;

	(void)dirfd;
	if (name[0] == '.')
		return 0;
	return strv_addf(&l->en->files, "%s/%s", l->dir, name) < 0
		       ? err_set(e, ENOMEM, "out of memory")
		       : 0;
}

static void list_files(struct ensure *en)
{
	char *const *dirs = en->job.s->archive_dirs;

	for (size_t i = 0; i < strv_len(dirs); i++) {
		struct listing l = { en, dirs[i] };
		struct err e = { 0 };
		int r = dir_each(AT_FDCWD, dirs[i], ARCHIVES_MAX, add_file, &l, &e);

		if (r < 0 && r != -ENOENT)
			log_warn("images: %s: %s", dirs[i], err_text(&e));
	}
	en->looked = true;
}

static void ensure_missing(struct ensure *en, struct err *e)
{
	_cleanup_(mem_free) char *dirs = strv_join(en->job.s->archive_dirs, " or ");

	if (!str_empty(dirs))
		err_set(e, ENOENT, "No such image: %s, and no archive in %s holds it%s%s%s",
			en->ref, dirs, en->fault ? " (" : "", en->fault ? en->fault : "",
			en->fault ? ")" : "");
	ensure_done(en, -ENOENT, e);
}

static void ensure_step(struct ensure *en)
{
	struct err e = { 0 };
	const struct image *img = images_find(en->job.s, en->ref, &e);

	if (!img && e.code != ENOENT) {
		ensure_done(en, -e.code, &e);
		return;
	}
	if (img && !en->again && !look_again(en, img)) {
		ensure_done(en, 0, NULL);
		return;
	}
	if (!en->looked)
		list_files(en);
	for (size_t n = strv_len(en->files); en->at < n; en->at++) {
		struct err why = { 0 };
		int r = try_file(en, &why);

		if (r > 0)
			return;
		if (r < 0) {
			ensure_done(en, r, &why);
			return;
		}
	}
	if (img)
		ensure_done(en, 0, NULL);
	else
		ensure_missing(en, &e);
}

static void on_turn(struct defer_event *ev)
{
	struct image_job *job = container_of(ev, struct image_job, defer);

	ensure_step(container_of(job, struct ensure, job));
}

static int ensure_key(struct ensure *en, const char *text, struct err *e)
{
	char key[REF_TEXT_MAX];
	struct ref ref;
	int r;

	if (digest_valid(text)) {
		en->key = str_dup(text);
	} else {
		r = ref_parse(text, &ref, e);
		if (r < 0)
			return r;
		if (ref.digest[0])
			ref.tag[0] = '\0';
		ref_add_default_tag(&ref);
		ref_format(&ref, key);
		en->key = str_dup(key);
	}
	en->ref = str_dup(text);
	return en->key && en->ref ? 0 : err_set(e, ENOMEM, "out of memory");
}

int images_ensure(struct images *s, const char *ref, struct image_op *op, struct err *e)
{
	struct ensure *en = calloc(1, sizeof(*en));
	bool first = list_empty(&s->ensures);
	int r;

	if (!en)
		return err_set(e, ENOMEM, "out of memory");
	r = ensure_key(en, ref, e);
	if (r < 0) {
		free(en->key);
		free(en->ref);
		free(en);
		return r;
	}
	job_init(&en->job, s, op, cancel_ensure);
	en->job.defer.fn = on_turn;
	op->job = &en->job;
	list_append(&s->ensures, &en->job.link);
	if (first)
		start_first(s);
	return 0;
}
