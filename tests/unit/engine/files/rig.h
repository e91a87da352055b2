/*
 * What the tests of engine/files share: folders and files made in one line, archives in memory in
 * both directions, and a child process whose root is a folder of the test, as that of the worker
 * is. Header-only; needs root.
 */
#ifndef SKERRY_TEST_FILES_RIG_H
#define SKERRY_TEST_FILES_RIG_H

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "engine/data/tar_out.h"
#include "init/base/buf.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/engine/image/tarball.h"
#include "tests/unit/test.h"

static inline UNUSED int rig_open(const char *path)
{
	return openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* TMP/name as an open directory, made when missing. */
static inline UNUSED int rig_dir(const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", test_tmpdir(), name);
	if (dir_make(AT_FDCWD, path, 0755, NULL) < 0)
		abort();
	return rig_open(path);
}

static inline UNUSED void rig_file(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	close(fd);
}

/* The content of a file, "(none)" when there is none; valid until the next call. */
static inline UNUSED const char *rig_read(int dir, const char *path)
{
	static char text[4096];
	char *data = NULL;
	size_t len;

	if (file_read(dir, path, sizeof(text) - 1, &data, &len, NULL) < 0)
		return "(none)";
	memcpy(text, data, len + 1);
	free(data);
	return text;
}

/* ---- archives ---- */

struct memory {
	struct source source;
	struct sink sink;
	struct buf data;
	size_t at;
};

static inline UNUSED ssize_t memory_read(struct source *s, const void **ret, struct err *e)
{
	struct memory *m = container_of(s, struct memory, source);
	size_t n = MIN(m->data.len - m->at, (size_t)4096);

	(void)e;
	*ret = m->data.data + m->at;
	m->at += n;
	return (ssize_t)n;
}

static inline UNUSED int memory_write(struct sink *s, const void *data, size_t len, struct err *e)
{
	(void)e;
	return buf_add(&container_of(s, struct memory, sink)->data, data, len);
}

static inline UNUSED void memory_free(struct memory *m)
{
	buf_free(&m->data);
}
DEFINE_CLEANUP_VALUE(struct memory, memory_free)

#define MEMORY(name)                                                                     \
	_cleanup_(memory_free) struct memory name = { .source = { .read = memory_read }, \
						      .sink = { .write = memory_write }, \
						      .data = BUF_INIT(64 << 20) }

static const char rig_types[] = { 'f', 'd', 'l', 'h', 'c', 'b', 'p' };

/* The entries of an archive, "f 0644 name 5;" and with links "l 0777 name -> target;". */
static inline UNUSED const char *rig_list(struct memory *m, struct buf *out)
{
	struct tar_entry entry;
	struct tar_in *in = NULL;
	struct err e = { 0 };
	int r;

	m->at = 0;
	buf_reset(out);
	r = tar_open(&m->source, &in, &e);
	while (r == 0 && (r = tar_next(in, &entry, &e)) > 0) {
		buf_printf(out, "%c %04o %s", rig_types[entry.type], entry.mode, entry.path);
		if (entry.target)
			buf_printf(out, " -> %s", entry.target);
		else if (entry.type == TAR_FILE)
			buf_printf(out, " %lld", (long long)entry.size);
		buf_add_char(out, ';');
		r = 0;
	}
	tar_close(in);
	if (r < 0)
		buf_printf(out, "(%s)", err_text(&e));
	return buf_text(out);
}

/* Runs fn in a child whose root is the open directory; its result (0 to 255). */
static inline UNUSED int rig_inside(int root, int (*fn)(void *data), void *data)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		umask(0);
		if (fchdir(root) < 0 || chroot(".") < 0)
			_exit(99);
		_exit(fn(data));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

#endif
