/*
 * Plain and packed log files behind one interface (log_part.h).
 *
 * A packed file is inflated as it is read, so a reader holds one window of zlib and nothing else;
 * how many lines there are, its header says. Our shim's worker wrote it, but it lies on a disk:
 * what cannot be inflated is the end.
 */
#include "engine/container/log_part.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "engine/shim/logpack.h"
#include "init/base/str.h"

enum { IN_CHUNK = 16 << 10, GZIP_WINDOW = 15 + 16 };

struct log_part {
	int fd;
	dev_t dev;
	ino_t ino; /* of this very file */
	bool packed;
	struct logpack_origin origin; /* packed: what it was */
	z_stream z; /* packed; once `inflating` */
	unsigned char *in;
	bool inflating, ended;
	int64_t at;
	uint64_t skip; /* lines that are not wanted */
};

/* The file in one of its two forms; -1 when there is none. */
static int open_form(const char *path, unsigned int number, bool packed)
{
	_cleanup_(mem_free) char *name =
		number ? str_printf("%s.%u%s", path, number, packed ? LOGPACK_SUFFIX : "")
		       : str_dup(path);

	return name ? open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
}

struct log_part *log_part_open(const char *path, unsigned int number)
{
	_cleanup_(fd_close) int fd = open_form(path, number, false);
	bool packed = fd < 0 && number > 0;
	struct log_part *p;
	struct stat st;

	if (packed)
		fd = open_form(path, number, true);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->dev = st.st_dev;
	p->ino = st.st_ino;
	p->packed = packed;
	p->ended = packed && logpack_origin_read(fd, &p->origin) < 0;
	p->fd = take_fd(fd);
	return p;
}

void log_part_free(struct log_part *p)
{
	if (!p)
		return;
	if (p->inflating)
		(void)inflateEnd(&p->z);
	fd_close(p->fd);
	free(p->in);
	free(p);
}

static bool was(const struct log_part *packed, const struct log_part *plain)
{
	struct stat st;

	return packed->origin.ino == plain->ino && fstat(plain->fd, &st) == 0 &&
	       packed->origin.mtime_ns ==
		       (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

bool log_part_same(const struct log_part *a, const struct log_part *b)
{
	if (a->packed == b->packed)
		return a->ino == b->ino && a->dev == b->dev;
	return a->packed ? was(a, b) : was(b, a);
}

uint64_t log_part_ino(const struct log_part *p)
{
	return p->packed ? p->origin.ino : (uint64_t)p->ino;
}

int64_t log_part_at(const struct log_part *p)
{
	return p->at;
}

static size_t read_plain(struct log_part *p, char *buf, size_t len)
{
	ssize_t n = read(p->fd, buf, len);

	return n > 0 ? (size_t)n : 0;
}

static bool more_input(struct log_part *p)
{
	ssize_t n = read(p->fd, p->in, IN_CHUNK);

	p->z.next_in = p->in;
	p->z.avail_in = n > 0 ? (uInt)n : 0;
	return n > 0;
}

static size_t read_packed(struct log_part *p, char *buf, size_t len)
{
	if (!p->inflating && !p->ended) {
		p->in = malloc(IN_CHUNK);
		p->inflating = p->in && inflateInit2(&p->z, GZIP_WINDOW) == Z_OK;
		p->ended = !p->inflating;
	}
	p->z.next_out = (unsigned char *)buf;
	p->z.avail_out = (uInt)len;
	while (!p->ended && p->z.avail_out == len) {
		int r = Z_OK;

		if (p->z.avail_in == 0 && !more_input(p))
			p->ended = true;
		else
			r = inflate(&p->z, Z_NO_FLUSH);
		if (r != Z_OK && r != Z_BUF_ERROR)
			p->ended = true; /* Z_STREAM_END, or damage */
	}
	return len - p->z.avail_out;
}

/* Takes lines that are skipped off the front; what is left of n. */
static size_t skip_lines(struct log_part *p, char *buf, size_t n)
{
	size_t at = 0;

	while (p->skip > 0 && at < n)
		p->skip -= buf[at++] == '\n';
	memmove(buf, buf + at, n - at);
	return n - at;
}

size_t log_part_read(struct log_part *p, char *buf, size_t len)
{
	size_t n, left;

	len = MIN(len, (size_t)(1 << 30)); /* zlib counts in unsigned int */
	do {
		n = p->packed ? read_packed(p, buf, len) : read_plain(p, buf, len);
		p->at += (int64_t)n;
		left = p->skip > 0 ? skip_lines(p, buf, n) : n;
	} while (n > 0 && left == 0);
	return left;
}

void log_part_to_end(struct log_part *p)
{
	p->ended = true;
	if (!p->packed)
		p->at = lseek(p->fd, 0, SEEK_END);
}

static void plain_tail(struct log_part *p, int64_t *lines)
{
	char chunk[4096];
	off_t end = lseek(p->fd, 0, SEEK_END), at = end;

	while (at > 0) {
		size_t len = (size_t)MIN(at, (off_t)sizeof(chunk));

		at -= (off_t)len;
		if (pread(p->fd, chunk, len, at) != (ssize_t)len)
			break;
		for (size_t i = len; i > 0; i--) {
			if (chunk[i - 1] != '\n' || at + (off_t)i == end)
				continue;
			if (--*lines == 0) {
				p->at = lseek(p->fd, at + (off_t)i, SEEK_SET);
				return;
			}
		}
	}
	if (end > 0)
		--*lines;
	p->at = lseek(p->fd, 0, SEEK_SET);
}

void log_part_to_tail(struct log_part *p, int64_t *lines)
{
	int64_t have = (int64_t)MIN(p->origin.lines, (uint64_t)INT64_MAX);

	if (!p->packed) {
		plain_tail(p, lines);
		return;
	}
	p->skip = have > *lines ? (uint64_t)(have - *lines) : 0;
	*lines -= MIN(have, *lines);
}
