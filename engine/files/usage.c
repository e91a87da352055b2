/*
 * Counting (usage_count, in the worker), and the engine's side of it (usage_op).
 *
 * The engine never walks a tree: a volume may have millions of files. Several directories are
 * counted by one worker, one after the other; those that a limit cut off, or that are not there,
 * come back as -1.
 */
#include "engine/files/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/files/files.h"
#include "init/base/clock.h"
#include "init/base/str.h"

enum { CLOCK_EVERY = 256 /* entries between two looks at the clock */ };

struct count {
	struct usage_limits *limits;
	struct map seen; /* "ino" of files with several names */
	dev_t dev;
	unsigned depth;
	int64_t bytes;
};

static int spend(struct count *c)
{
	if (c->limits->entries == 0)
		return -EFBIG;
	c->limits->entries--;
	if (c->limits->entries % CLOCK_EVERY == 0 && clock_mono_ns() > c->limits->end_ns)
		return -ETIMEDOUT;
	return 0;
}

static bool is_new(struct count *c, const struct stat *st)
{
	char key[24];

	if (st->st_nlink < 2)
		return true;
	(void)str_format(key, sizeof(key), "%llx", (unsigned long long)st->st_ino);
	if (map_has(&c->seen, key))
		return false;
	if (map_len(&c->seen) < USAGE_NAMES_MAX)
		(void)map_put(&c->seen, key, c, NULL);
	return true;
}

static int count_dir(struct count *c, int fd);

static int count_entry(struct count *c, int dir, const char *name)
{
	struct stat st;
	int fd, r = spend(c);

	if (r < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != c->dev)
		return r;
	if (!S_ISDIR(st.st_mode)) {
		c->bytes += is_new(c, &st) ? st.st_size : 0;
		return 0;
	}
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? 0 : count_dir(c, fd);
}

/* Takes fd over. */
static int count_dir(struct count *c, int fd)
{
	DIR *d = c->depth < USAGE_DEPTH_MAX ? fdopendir(fd) : NULL;
	struct dirent *entry;
	int r = 0;

	if (!d) {
		fd_close(fd);
		return 0;
	}
	c->depth++;
	while (r == 0 && (entry = readdir(d)))
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			r = count_entry(c, dirfd(d), entry->d_name);
	c->depth--;
	closedir(d);
	return r;
}

int64_t usage_count(int dir, struct usage_limits *limits)
{
	struct count c = { .limits = limits };
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		fd_close(fd);
		return -errno;
	}
	c.dev = st.st_dev;
	r = count_dir(&c, fd);
	map_free(&c.seen);
	return r < 0 ? r : c.bytes;
}

/* ---- the engine's side ---- */

int usage_add(struct usage_op *u, const char *key, const char *path, struct err *e)
{
	if (u->n == USAGE_PATHS_MAX)
		return err_set(e, E2BIG, "more than %d directories to count", USAGE_PATHS_MAX);
	if (strv_add(&u->keys, key) < 0 || strv_add(&u->paths, path) < 0)
		return err_set(e, ENOMEM, "out of memory");
	u->n++;
	return 0;
}

static void take_sizes(struct usage_op *u, yyjson_val *result)
{
	yyjson_val *list = NULL, *item;
	size_t i, n;

	if (json_get_array(result, "sizes", &list, NULL) < 0 || !list ||
	    yyjson_arr_size(list) != u->n)
		return;
	yyjson_arr_foreach(list, i, n, item)
	{
		int64_t *size = malloc(sizeof(*size)), *old = NULL;

		if (!size)
			return;
		*size = yyjson_is_int(item) ? yyjson_get_sint(item) : -1;
		if (map_put(&u->sizes, u->keys[i], size, (void **)&old) < 0)
			free(size);
		free(old);
	}
}

static void counted(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct usage_op *u = container_of(w, struct usage_op, worker);

	if (code == 0)
		take_sizes(u, result);
	u->done(u, code, why);
}

int usage_start(struct usage_op *u, struct loop *loop, struct err *e)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(WORKER_BODY_MAX);
	struct worker_spec spec = { .name = FILES_WORKER,
				    .timeout_ms = 2 * USAGE_MS_MAX,
				    .oom_score_adj = 500 };
	struct json_writer w;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_member_str(&w, "op", "usage");
	json_key(&w, "paths");
	json_begin_array(&w);
	for (size_t i = 0; i < u->n; i++)
		json_str(&w, u->paths[i]);
	json_end_array(&w);
	json_end_object(&w);
	if (buf_failed(&b))
		return err_errno(e, -buf_failed(&b), "cannot ask for sizes");
	spec.request = buf_text(&b);
	u->worker.on_done = counted;
	return worker_start(loop, &u->worker, &spec, e);
}

int64_t usage_get(const struct usage_op *u, const char *key)
{
	const int64_t *size = map_get(&u->sizes, key);

	return size ? *size : -1;
}

void usage_clear(struct usage_op *u)
{
	struct map_entry *m;
	size_t i = 0;

	worker_cancel(&u->worker);
	while ((m = map_next(&u->sizes, &i)))
		free(m->value);
	map_free(&u->sizes);
	strv_free(take_ptr(u->keys));
	strv_free(take_ptr(u->paths));
	u->n = 0;
}
