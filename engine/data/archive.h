/*
 * Archives as streams: a decompressor and a tar reader, with libarchive as the parser (zlib for
 * gzip).
 *
 * Bytes flow by pulling: a source gives blocks, the decompressor is a source again, the tar reader
 * eats one. So whoever needs the bytes in between (digests, limits, copies) puts its own source
 * there. What is accepted is fixed here: gzip, zstd, xz or nothing, exactly one of them; tar in its
 * ustar, pax, GNU and old forms. Whatever libarchive only warns about is an error here, except
 * names that are not ASCII: those come through byte by byte.
 *
 * Hostile input is the rule: only sandboxed workers call this. Users: image/ (layers, image
 * archives), later container/ archives and build contexts.
 */
#ifndef SKERRY_DATA_ARCHIVE_H
#define SKERRY_DATA_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "init/base/err.h"
#include "init/base/util.h"

/* Where bytes come from. */
struct source {
	/* Gives the next bytes: their count, 0 at the end (and ever after), -errno. The block
	 * stays valid until the next call. */
	ssize_t (*read)(struct source *s, const void **ret_block, struct err *e);
	/* Skips exactly n bytes without reading them; NULL when it cannot. */
	int (*skip)(struct source *s, uint64_t n, struct err *e);
};

enum { SOURCE_BLOCK = 128 << 10 }; /* bytes of one read */

/* A source on a file descriptor (the caller's): regular files are skipped in by lseek. */
struct source_fd {
	struct source source;
	int fd;
	bool seekable;
	uint64_t end; /* file size when seekable */
	char *block;
};
int source_fd_init(struct source_fd *s, int fd, struct err *e);
void source_fd_free(struct source_fd *s);
DEFINE_CLEANUP_VALUE(struct source_fd, source_fd_free)

/* ---- decompression ---- */

enum compression {
	COMPRESSION_NONE,
	COMPRESSION_GZIP,
	COMPRESSION_ZSTD,
	COMPRESSION_XZ,
	COMPRESSION_UNKNOWN
};

enum { COMPRESSION_SNIFF = 18 }; /* bytes that tell (RFC 8878: magic and longest frame header) */

/* By the first bytes (fewer than COMPRESSION_SNIFF only at the end). COMPRESSION_UNKNOWN: bzip2,
 * lz4, lzma, lzop, which are recognised and refused. */
enum compression compression_of(const void *head, size_t len);
const char *compression_name(enum compression c); /* "none", "gzip", ... */

struct unpacker; /* reads a source, gives a source of plain bytes */

/* Looks at the first bytes and chooses. `window_max` bounds what a zstd frame may ask for
 * (bytes; 0: no bound). -EINVAL for an unknown compression. The unpacker keeps `from`, which
 * must outlive it. */
int unpacker_open(struct source *from, uint64_t window_max, struct unpacker **ret, struct err *e);
struct source *unpacker_source(struct unpacker *u);
enum compression unpacker_compression(const struct unpacker *u);
void unpacker_free(struct unpacker *u);
DEFINE_CLEANUP(struct unpacker *, unpacker_free)

/* Reads what is left, for digests that cover the whole stream. */
int source_drain(struct source *s, struct err *e);

/* ---- tar ---- */

enum tar_type { TAR_FILE, TAR_DIR, TAR_SYMLINK, TAR_HARDLINK, TAR_CHAR, TAR_BLOCK, TAR_FIFO };

struct tar_time {
	int64_t sec;
	uint32_t nsec;
};

struct tar_xattr {
	const char *name;
	const void *value;
	size_t size;
};

/* One member. All pointers are valid until the next tar_next. */
struct tar_entry {
	enum tar_type type;
	const char *path; /* as written; never NULL or empty, may be absolute or hold ".." */
	const char *target; /* of links, never NULL there */
	int64_t size; /* bytes of a file, holes included */
	int64_t uid, gid; /* as written: may be out of range */
	uint32_t mode; /* permission bits, 07777 */
	int64_t major, minor;
	bool has_mtime;
	struct tar_time mtime;
	size_t n_xattrs;
};

struct tar_in;

int tar_open(struct source *from, struct tar_in **ret, struct err *e);
void tar_close(struct tar_in *t);
DEFINE_CLEANUP(struct tar_in *, tar_close)
/* The next member: 1, 0 at the end of the archive, -errno (-EINVAL: not a tar archive, or a
 * damaged one). What was not read of the member before is skipped. */
int tar_next(struct tar_in *t, struct tar_entry *ret, struct err *e);
/* The next piece of the file's content: its length, or 0 at the end. Pieces come with growing
 * offsets; what lies between them are holes. */
ssize_t tar_data(struct tar_in *t, const void **ret_block, int64_t *ret_offset, struct err *e);
/* Steps through the member's xattrs; false at the end. */
bool tar_xattr_next(struct tar_in *t, struct tar_xattr *ret);
/* The content of the current member as a source (holes as zeros are refused: -EINVAL). Valid
 * until tar_next. */
struct source *tar_content(struct tar_in *t);

#endif
