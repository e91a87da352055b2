/*
 * What the tests of hostile archives share: a layer root between its neighbours, and a picture of
 * everything around it.
 *
 * scene_new() makes TMP/{victim/..., dest-evil/..., store/fs}; the layer's root is store/fs.
 * scene_unchanged() compares names, modes, owners, sizes, times and contents of all that is outside
 * of the root with what they were. Header-only.
 */
#ifndef SKERRY_TEST_HOSTILE_H
#define SKERRY_TEST_HOSTILE_H

#include <fcntl.h>
#include <sys/stat.h>

#include "engine/image/extract.h"
#include "init/base/buf.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

struct scene {
	const char *tmp;
	int top, root, notes;
	struct buf picture;
};

static int scene_look_at(int dirfd, const char *name, void *data, struct err *e)
{
	struct buf *out = data;
	struct stat st;
	char *text = NULL;
	size_t len = 0;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, errno, "%s", name);
	buf_printf(out, "%s %o %u:%u %lld %lld.%ld\n", name, st.st_mode, st.st_uid, st.st_gid,
		   S_ISDIR(st.st_mode) ? 0LL : (long long)st.st_size, (long long)st.st_mtim.tv_sec,
		   st.st_mtim.tv_nsec);
	if (S_ISREG(st.st_mode) && file_read(dirfd, name, 1 << 20, &text, &len, e) == 0)
		buf_add(out, text, len);
	free(text);
	return 0;
}

static inline UNUSED void scene_look(const struct scene *s, struct buf *out)
{
	static const char *const dirs[] = { ".", "victim", "victim/deep", "dest-evil", "store" };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		(void)dir_each(s->top, dirs[i], 1000, scene_look_at, out, NULL);
}

static inline UNUSED int scene_new(struct scene *s)
{
	static const char hello[] = "hello\n";

	*s = (struct scene){ .tmp = test_tmpdir(), .top = -1, .root = -1, .notes = -1 };
	s->top = open(s->tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->top < 0 || dir_make(s->top, "victim/deep", 0755, NULL) < 0 ||
	    dir_make(s->top, "dest-evil", 0755, NULL) < 0 ||
	    dir_make(s->top, "store/fs", 0755, NULL) < 0 ||
	    file_replace(s->top, "victim/hello", hello, 6, 0600, false, NULL) < 0 ||
	    file_replace(s->top, "victim/deep/file", hello, 6, 0600, false, NULL) < 0 ||
	    file_replace(s->top, "dest-evil/file", hello, 6, 0600, false, NULL) < 0)
		return -1;
	s->root = openat(s->top, "store/fs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->notes = openat(s->top, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	/* the root's own times may change */
	scene_look(s, &s->picture);
	return s->root >= 0 && s->notes >= 0 ? 0 : -1;
}

/* The line of the layer's root itself ("fs ...") is left out. */
static inline UNUSED bool scene_unchanged(struct scene *s)
{
	struct buf now = { 0 };
	bool same;
	char *a, *b;

	scene_look(s, &now);
	a = strstr(s->picture.data, "\nfs ");
	b = strstr(now.data, "\nfs ");
	same = a && b && a - s->picture.data == b - now.data &&
	       memcmp(s->picture.data, now.data, (size_t)(a - s->picture.data)) == 0 &&
	       str_eq(strchr(a + 1, '\n'), strchr(b + 1, '\n'));
	buf_free(&now);
	return same;
}

static inline UNUSED void scene_end(struct scene *s)
{
	fd_close(s->top);
	fd_close(s->root);
	fd_close(s->notes);
	buf_free(&s->picture);
}

/* A source over bytes in memory, in pieces of `step` bytes. */
struct source_mem {
	struct source source;
	const char *data;
	size_t len, at, step;
};

static inline ssize_t source_mem_read(struct source *source, const void **ret_block, struct err *e)
{
	struct source_mem *s = container_of(source, struct source_mem, source);
	size_t n = MIN(s->len - s->at, s->step ? s->step : 65536);

	(void)e;
	*ret_block = s->data + s->at;
	s->at += n;
	return (ssize_t)n;
}

static inline UNUSED struct source_mem source_mem_new(const struct buf *b)
{
	return (struct source_mem){ .source = { .read = source_mem_read },
				    .data = b->data,
				    .len = b->len };
}

/* The tar as a layer into the scene. `given` holds the limits that differ from the defaults, or
 * NULL. */
static inline UNUSED int extract(struct scene *s, const struct buf *tar,
				 const struct image_limits *given, struct extract_result *ret,
				 struct err *e)
{
	struct image_limits limits = given ? *given : (struct image_limits){ 0 };
	struct source_mem from = source_mem_new(tar);
	struct extract_config cfg = { .root = s->root, .notes_fd = s->notes, .limits = &limits };
	mode_t old = umask(0);
	int r;

	image_limits_default(&limits);
	r = extract_layer(&from.source, &cfg, ret, e);
	umask(old);
	return r;
}

static inline UNUSED bool exists(const struct scene *s, const char *path)
{
	struct stat st;

	return fstatat(s->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

#endif
