/*
 * Decompression: gunzip.c, or libarchive's "raw" format over exactly one filter; which, we choose
 * by the magic bytes ourselves.
 *
 * No bidding, so nothing nested can hide behind a second layer of compression. The first block of
 * the source is kept until the filter has read it (peek). tar.c reads what comes out. Callers: see
 * archive.h.
 */
#include "engine/data/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/data/archive_priv.h"
#include "init/base/str.h"

/* ---- fd source ---- */

static ssize_t fd_read(struct source *source, const void **ret_block, struct err *e)
{
	struct source_fd *s = container_of(source, struct source_fd, source);
	ssize_t n;

	do {
		n = read(s->fd, s->block, SOURCE_BLOCK);
		if (n < 0 && errno == EAGAIN) /* somebody else's end made it non-blocking */
			(void)poll(&(struct pollfd){ .fd = s->fd, .events = POLLIN }, 1, -1);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0)
		return err_errno(e, errno, "cannot read the archive");
	*ret_block = s->block;
	return n;
}

static int fd_skip(struct source *source, uint64_t n, struct err *e)
{
	struct source_fd *s = container_of(source, struct source_fd, source);
	off_t at = lseek(s->fd, 0, SEEK_CUR);

	if (at < 0)
		return err_errno(e, errno, "cannot seek in the archive");
	if ((uint64_t)at > s->end || n > s->end - (uint64_t)at)
		return err_set(e, EINVAL, "the archive ends in the middle of an entry");
	if (lseek(s->fd, (off_t)n, SEEK_CUR) < 0)
		return err_errno(e, errno, "cannot seek in the archive");
	return 0;
}

int source_fd_init(struct source_fd *s, int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot stat the archive");
	*s = (struct source_fd){ .source = { .read = fd_read }, .fd = fd };
	s->seekable = S_ISREG(st.st_mode);
	if (s->seekable) {
		s->source.skip = fd_skip;
		s->end = (uint64_t)st.st_size;
	}
	s->block = malloc(SOURCE_BLOCK);
	return s->block ? 0 : err_set(e, ENOMEM, "out of memory");
}

void source_fd_free(struct source_fd *s)
{
	free(s->block);
	s->block = NULL;
}

int source_drain(struct source *s, struct err *e)
{
	const void *block;
	ssize_t n;

	do {
		n = s->read(s, &block, e);
	} while (n > 0);
	return (int)n;
}

/* ---- which compression ---- */

struct magic {
	enum compression compression;
	size_t len;
	const char *bytes;
};

static const struct magic magics[] = {
	{ COMPRESSION_GZIP, 2, "\x1f\x8b" },
	{ COMPRESSION_ZSTD, 4, "\x28\xb5\x2f\xfd" },
	{ COMPRESSION_XZ, 6, "\xfd\x37zXZ\0" },
	{ COMPRESSION_UNKNOWN, 3, "BZh" },
	{ COMPRESSION_UNKNOWN, 4, "\x04\x22\x4d\x18" }, /* lz4 */
	{ COMPRESSION_UNKNOWN, 9, "\x89LZO\0\r\n\x1a\n" },
	{ COMPRESSION_UNKNOWN, 3, "\x5d\0\0" }, /* lzma alone */
	{ COMPRESSION_UNKNOWN, 4, "LZIP" },
};

enum compression compression_of(const void *head, size_t len)
{
	const unsigned char *p = head;

	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if (len >= magics[i].len && memcmp(head, magics[i].bytes, magics[i].len) == 0)
			return magics[i].compression;
	/* zstd's skippable frames (RFC 8878 section 3.1.2): 0x184D2A50..5F, little endian */
	if (len >= 4 && (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18)
		return COMPRESSION_ZSTD;
	return COMPRESSION_NONE;
}

const char *compression_name(enum compression c)
{
	static const char *const names[] = { "none", "gzip", "zstd", "xz", "unknown" };

	return names[c];
}

/* The window that the first zstd frame asks for (RFC 8878 section 3.1.1.1), 0 when it cannot be
 * told. */
static uint64_t zstd_window(const unsigned char *p, size_t len)
{
	static const unsigned size_bytes[] = { 0, 2, 4, 8 }, id_bytes[] = { 0, 1, 2, 4 };
	uint64_t size = 0;
	unsigned at, n;

	if (len < 6 || memcmp(p, "\x28\xb5\x2f\xfd", 4) != 0)
		return 0;
	if (!(p[4] & 0x20)) {
		uint64_t base = UINT64_C(1) << (10 + (p[5] >> 3));

		return base + base / 8 * (p[5] & 7);
	}
	/* single segment: the window is the content */
	n = p[4] >> 6 ? size_bytes[p[4] >> 6] : 1;
	at = 5 + id_bytes[p[4] & 3];
	if (len < at + n)
		return 0;
	for (unsigned i = 0; i < n; i++)
		size |= (uint64_t)p[at + i] << (8 * i);
	return n == 2 ? size + 256 : size;
}

/* ---- the unpacker ---- */

struct unpacker {
	struct source source;
	struct bridge bridge; /* from the source below into libarchive */
	struct archive *archive; /* NULL: nothing to decompress, or gzip */
	struct gunzip *gunzip;
	enum compression compression;
	char head[COMPRESSION_SNIFF];
	bool ended;
};

static ssize_t plain_read(struct source *source, const void **ret_block, struct err *e)
{
	struct unpacker *u = container_of(source, struct unpacker, source);

	return bridge_next(&u->bridge, ret_block, e);
}

static int plain_skip(struct source *source, uint64_t n, struct err *e)
{
	struct unpacker *u = container_of(source, struct unpacker, source);
	size_t kept = (size_t)MIN((uint64_t)u->bridge.kept_len, n);

	u->bridge.kept += kept;
	u->bridge.kept_len -= kept;
	n -= kept;
	return n > 0 ? u->bridge.from->skip(u->bridge.from, n, e) : 0;
}

static ssize_t unpack_read(struct source *source, const void **ret_block, struct err *e)
{
	struct unpacker *u = container_of(source, struct unpacker, source);
	la_int64_t offset;
	size_t len = 0;
	int r;

	if (u->ended)
		return 0;
	do {
		r = archive_read_data_block(u->archive, ret_block, &len, &offset);
	} while (r == ARCHIVE_OK && len == 0);
	if (r == ARCHIVE_OK)
		return (ssize_t)len;
	u->ended = true;
	if (r != ARCHIVE_EOF)
		return bridge_error(&u->bridge, u->archive, compression_name(u->compression), e);
	return source_drain(u->bridge.from,
			    e); /* what is behind the compressed stream counts for the digest */
}

/* Collects the first bytes; they are given again by bridge_next. */
static int look(struct unpacker *u, struct err *e)
{
	const void *block;
	size_t len = 0;
	ssize_t n = 1;

	while (len < sizeof(u->head) && n > 0) {
		n = u->bridge.from->read(u->bridge.from, &block, e);
		if (n < 0)
			return (int)n;
		if (n > 0 && len == 0 && (size_t)n >= sizeof(u->head)) {
			memcpy(u->head, block, sizeof(u->head));
			bridge_keep(&u->bridge, block, (size_t)n);
			len = sizeof(u->head);
			break;
		}
		if (n > 0 && bridge_keep_copy(&u->bridge, block, (size_t)n) < 0)
			return err_set(e, ENOMEM, "out of memory");
		memcpy(u->head + len, block, MIN((size_t)n, sizeof(u->head) - len));
		len += MIN((size_t)n, sizeof(u->head) - len);
	}
	u->compression = compression_of(u->head, len);
	return 0;
}

static int start_filter(struct unpacker *u, struct err *e)
{
	static const int filters[] = {
		[COMPRESSION_ZSTD] = ARCHIVE_FILTER_ZSTD,
		[COMPRESSION_XZ] = ARCHIVE_FILTER_XZ,
	};
	struct archive_entry *entry;
	int r;

	u->archive = archive_read_new();
	if (!u->archive)
		return err_set(e, ENOMEM, "out of memory");
	if (archive_read_set_format(u->archive, ARCHIVE_FORMAT_RAW) != ARCHIVE_OK ||
	    archive_read_append_filter(u->archive, filters[u->compression]) != ARCHIVE_OK ||
	    archive_read_open(u->archive, &u->bridge, NULL, bridge_read, NULL) != ARCHIVE_OK)
		return bridge_error(&u->bridge, u->archive, compression_name(u->compression), e);
	r = archive_read_next_header(u->archive, &entry);
	if (r == ARCHIVE_EOF)
		u->ended = true;
	else if (r != ARCHIVE_OK)
		return bridge_error(&u->bridge, u->archive, compression_name(u->compression), e);
	u->source.read = unpack_read;
	return 0;
}

int unpacker_open(struct source *from, uint64_t window_max, struct unpacker **ret, struct err *e)
{
	_cleanup_(unpacker_free) struct unpacker *u = calloc(1, sizeof(*u));
	uint64_t window;
	int r;

	if (!u)
		return err_set(e, ENOMEM, "out of memory");
	u->bridge.from = from;
	r = look(u, e);
	if (r < 0)
		return r;
	switch (u->compression) {
	case COMPRESSION_UNKNOWN:
		return err_set(
			e, EINVAL,
			"the archive's compression is not supported: use gzip, zstd, xz or none");
	case COMPRESSION_NONE:
		u->source.read = plain_read;
		u->source.skip = from->skip ? plain_skip : NULL;
		break;
	case COMPRESSION_GZIP:
		r = gunzip_open(&u->bridge, &u->gunzip, e);
		if (r < 0)
			return r;
		break;
	default:
		window = u->compression == COMPRESSION_ZSTD
				 ? zstd_window((const unsigned char *)u->head, sizeof(u->head))
				 : 0;
		if (window_max && window > window_max)
			return err_set(
				e, EFBIG,
				"the zstd stream needs a window of %llu bytes, the limit is %llu",
				(unsigned long long)window, (unsigned long long)window_max);
		r = start_filter(u, e);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(u);
	return 0;
}

struct source *unpacker_source(struct unpacker *u)
{
	return u->gunzip ? gunzip_source(u->gunzip) : &u->source;
}

enum compression unpacker_compression(const struct unpacker *u)
{
	return u->compression;
}

void unpacker_free(struct unpacker *u)
{
	if (!u)
		return;
	archive_read_free(u->archive);
	gunzip_free(u->gunzip);
	bridge_free(&u->bridge);
	free(u);
}

/* ---- the bridge into libarchive ---- */

void bridge_keep(struct bridge *b, const void *block, size_t len)
{
	b->kept = block;
	b->kept_len = len;
}

int bridge_keep_copy(struct bridge *b, const void *block, size_t len)
{
	char *copy = realloc(b->copy, b->kept_len + len);

	if (!copy)
		return -ENOMEM;
	memcpy(copy + b->kept_len, block, len);
	b->copy = copy;
	bridge_keep(b, copy, b->kept_len + len);
	return 0;
}

ssize_t bridge_next(struct bridge *b, const void **ret_block, struct err *e)
{
	if (b->kept_len > 0) {
		size_t len = b->kept_len;

		*ret_block = b->kept;
		b->kept_len = 0;
		return (ssize_t)len;
	}
	return b->from->read(b->from, ret_block, e);
}

la_ssize_t bridge_read(struct archive *a, void *data, const void **ret_block)
{
	struct bridge *b = data;
	ssize_t n = b->err.code ? -b->err.code : bridge_next(b, ret_block, &b->err);

	if (n < 0) {
		archive_set_error(a, (int)-n, "%s", err_text(&b->err));
		return ARCHIVE_FATAL;
	}
	return n;
}

la_int64_t bridge_skip(struct archive *a, void *data, la_int64_t request)
{
	struct bridge *b = data;

	(void)a;
	if (!b->from->skip || b->kept_len > 0 || request <= 0 || b->err.code)
		return 0; /* libarchive reads over it instead */
	/* after a negative answer libarchive asks for ever: the error waits for the read */
	if (b->from->skip(b->from, (uint64_t)request, &b->err) < 0)
		return 0;
	return request;
}

int bridge_error(struct bridge *b, struct archive *a, const char *what, struct err *e)
{
	const char *text = archive_error_string(a);

	if (b->err.code) { /* the source below said why */
		if (e)
			*e = b->err;
		return -b->err.code;
	}
	return err_set(e, archive_errno(a) == ENOMEM ? ENOMEM : EINVAL, "bad %s data: %s", what,
		       text ? text : "unknown error");
}

void bridge_free(struct bridge *b)
{
	free(b->copy);
	b->copy = NULL;
}
