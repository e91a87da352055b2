/*
 * Streams and tar members: what is recognised, what is refused, what the reader sees of every
 * header form.
 *
 * Compressed inputs are built by imagetar.h, without the library under test. Whole layers and image
 * archives are tested under tests/unit/engine/image.
 */
#include "engine/data/archive.h"

#include "tests/unit/engine/image/hostile.h"
#include "tests/unit/engine/image/imagetar.h"

/* Unpacks all of it; -errno, or the number of bytes. */
static ssize_t unpack(const struct buf *in, size_t step, uint64_t window, struct buf *out,
		      struct err *e)
{
	_cleanup_(unpacker_free) struct unpacker *u = NULL;
	struct source_mem from = source_mem_new(in);
	const void *block;
	ssize_t n;
	int r;

	from.step = step;
	r = unpacker_open(&from.source, window, &u, e);
	if (r < 0)
		return r;
	while ((n = unpacker_source(u)->read(unpacker_source(u), &block, e)) > 0)
		buf_add(out, block, (size_t)n);
	return n < 0 ? n : (ssize_t)out->len;
}

TEST(every_compression_in_every_step)
{
	static const size_t steps[] = { 1, 7, 100, 65536 };
	struct buf plain = BUF_INIT(4 << 20);

	for (int i = 0; i < 20000; i++)
		buf_printf(&plain, "line %d\n", i * 7919);
	for (int how = IT_PLAIN; how <= IT_XZ; how++) {
		struct buf packed = BUF_INIT(4 << 20);

		it_compress(&packed, plain.data, plain.len, how);
		for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
			struct buf out = BUF_INIT(4 << 20);
			struct err e = { 0 };

			CHECK_MSG(unpack(&packed, steps[i], 0, &out, &e) == (ssize_t)plain.len,
				  "%d/%zu: %s", how, steps[i], err_text(&e));
			CHECK(memcmp(out.data, plain.data, plain.len) == 0);
			buf_free(&out);
		}
		buf_free(&packed);
	}
	buf_free(&plain);
}

TEST(compressions_by_their_first_bytes)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum compression want;
	} cases[] = {
		{ "\x1f\x8b\x08", 3, COMPRESSION_GZIP },
		{ "\x28\xb5\x2f\xfd", 4, COMPRESSION_ZSTD },
		{ "\x5f\x2a\x4d\x18", 4, COMPRESSION_ZSTD },
		{ "\xfd\x37zXZ\0", 6, COMPRESSION_XZ },
		{ "BZh91AY", 7, COMPRESSION_UNKNOWN },
		{ "\x04\x22\x4d\x18", 4, COMPRESSION_UNKNOWN },
		{ "\x5d\0\0\0\4", 5, COMPRESSION_UNKNOWN },
		{ "etc/passwd", 10, COMPRESSION_NONE },
		{ "\x1f", 1, COMPRESSION_NONE },
		{ "", 0, COMPRESSION_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_INT(compression_of(cases[i].bytes, cases[i].len), cases[i].want);
}

TEST(streams_that_are_refused)
{
	struct buf bzip = { 0 }, packed = BUF_INIT(4 << 20), out = { 0 };
	struct err e = { 0 };

	buf_add(&bzip, "BZh91AY&SY and more", 19);
	CHECK_INT(unpack(&bzip, 0, 0, &out, &e), -EINVAL);
	CHECK_MSG(strstr(err_text(&e), "use gzip, zstd, xz or none"), "%s", err_text(&e));
	for (int how = IT_GZIP; how <= IT_XZ; how++) {
		char text[4096];

		buf_reset(&packed);
		buf_reset(&out);
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = (char)(i * 2654435761u >> 13);
		it_compress(&packed, text, sizeof(text), how);
		packed.len /= 2; /* cut */
		CHECK_INT(unpack(&packed, 0, 0, &out, &e), -EINVAL);
		CHECK_MSG(str_starts(err_text(&e), "bad "), "%s", err_text(&e));
	}
	buf_free(&bzip);
	buf_free(&packed);
	buf_free(&out);
}

/* A member of "text", then `more` bytes behind it, with `flip` of the member's bytes inverted. */
static int gunzip(const char *more, size_t len, int flip, size_t step, struct buf *out,
		  struct err *e)
{
	struct buf in = BUF_INIT(1 << 16);
	int r;

	it_compress(&in, "text", 4, IT_GZIP);
	if (flip < 0)
		in.data[(int)in.len + flip] ^= 0x40;
	buf_add(&in, more, len);
	buf_reset(out);
	r = unpack(&in, step, 0, out, e);
	buf_free(&in);
	return r;
}

TEST(gzip_is_checked_to_its_end)
{
	static const struct {
		const char *more;
		size_t len;
		int flip; /* from the end of the member */
		int result;
		const char *says;
	} cases[] = {
		{ "", 0, 0, 4, "" },
		{ "\0\0\0\0\0", 5, 0, 4, "" },
		{ "\0\0x", 3, 0, -EINVAL, "bad gzip data: something else follows it" },
		{ "x", 1, 0, -EINVAL, "bad gzip data: something else follows it" },
		{ "\x1f", 1, 0, -EINVAL, "bad gzip data: it ends in the middle" },
		{ "\x1f\x8b\x09\0\0\0\0\0\0\0", 10, 0, -EINVAL,
		  "bad gzip data: unknown compression method" },
		{ "\0\x1f\x8b\x08\0\0\0\0\0\0\0", 11, 0, -EINVAL,
		  "bad gzip data: something else follows it" },
		{ "", 0, -1, -EINVAL, "bad gzip data: incorrect length check" },
		{ "", 0, -8, -EINVAL, "bad gzip data: incorrect data check" },
	};
	struct buf out = BUF_INIT(1 << 16);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t step = 0; step < 3; step++) {
			struct err e = { 0 };
			int r = gunzip(cases[i].more, cases[i].len, cases[i].flip, step, &out, &e);

			CHECK_MSG(r == cases[i].result, "%zu: %d", i, r);
			CHECK_STR(r < 0 ? err_text(&e) : "", cases[i].says);
		}
	buf_free(&out);
}

TEST(a_zstd_window_over_the_limit_is_refused)
{
	/* magic; descriptor: no single segment; window descriptor: exponent 21, mantissa 0: 2
	 * GiB */
	static const char frame[] = "\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00xxxxxxxxxxxxxxxx";
	struct buf in = { 0 }, out = { 0 };
	struct err e = { 0 };

	buf_add(&in, frame, sizeof(frame));
	CHECK_INT(unpack(&in, 0, 16 << 20, &out, &e), -EFBIG);
	CHECK_STR(err_text(&e),
		  "the zstd stream needs a window of 2147483648 bytes, the limit is 16777216");
	buf_free(&in);
	buf_free(&out);
}

TEST(nested_compression_is_not_followed)
{
	struct buf inner = BUF_INIT(4 << 20), outer = BUF_INIT(4 << 20), out = BUF_INIT(4 << 20);
	char zeros[100000] = { 0 };
	struct err e = { 0 };

	it_compress(&inner, zeros, sizeof(zeros), IT_GZIP);
	it_compress(&outer, inner.data, inner.len, IT_GZIP);
	CHECK_INT(unpack(&outer, 0, 0, &out, &e), (long long)inner.len);
	CHECK(memcmp(out.data, inner.data, inner.len) == 0);
	buf_free(&inner);
	buf_free(&outer);
	buf_free(&out);
}

TEST(members_as_they_are)
{
	_cleanup_(tar_close) struct tar_in *t = NULL;
	struct buf tar = { 0 }, pax = { 0 };
	struct source_mem from;
	struct tar_entry entry;
	struct tar_xattr x;
	struct err e = { 0 };
	char deep[300];
	const void *block;
	int64_t offset;

	memset(deep, 'd', sizeof(deep));
	deep[150] = '/';
	deep[299] = '\0';
	tb_pax(&pax, "SCHILY.xattr.user.a", "\0\1\2", 3);
	tb_add(&tar, (struct member){ .name = deep, .data = "abc", .uid = 5, .pax = &pax });
	tb_add(&tar, (struct member){ .type = '2', .name = "l", .link = deep });
	tb_add(&tar, (struct member){ .type = '4', .name = "b", .major = 8, .minor = 300 });
	tb_add(&tar, (struct member){ .name = "big", .uid = 4000000000, .mtime = -5 });
	tb_end(&tar);
	from = source_mem_new(&tar);
	CHECK(tar_open(&from.source, &t, &e) == 0);
	CHECK_INT(tar_next(t, &entry, &e), 1);
	CHECK_STR(entry.path, deep);
	CHECK_INT(entry.n_xattrs, 1);
	CHECK(tar_xattr_next(t, &x) && str_eq(x.name, "user.a") && x.size == 3 &&
	      !memcmp(x.value, "\0\1\2", 3));
	CHECK(!tar_xattr_next(t, &x));
	CHECK_INT(tar_data(t, &block, &offset, &e), 3);
	CHECK_INT(tar_data(t, &block, &offset, &e), 0);
	CHECK_INT(tar_next(t, &entry, &e), 1);
	CHECK(entry.type == TAR_SYMLINK && str_eq(entry.target, deep));
	CHECK_INT(tar_next(t, &entry, &e), 1);
	CHECK(entry.type == TAR_BLOCK && entry.major == 8 && entry.minor == 300);
	CHECK_INT(tar_next(t, &entry, &e), 1);
	CHECK_INT(entry.uid, 4000000000);
	CHECK_INT(entry.mtime.sec, -5);
	CHECK_INT(tar_next(t, &entry, &e), 0);
	buf_free(&tar);
	buf_free(&pax);
}

TEST(empty_archives)
{
	struct buf zeros = { 0 }, nothing = { 0 };
	const struct buf *const cases[] = { &zeros, &nothing };

	tb_end(&zeros);
	buf_add(&nothing, "", 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(tar_close) struct tar_in *t = NULL;
		struct source_mem from = source_mem_new(cases[i]);
		struct tar_entry entry;
		struct err e = { 0 };

		CHECK(tar_open(&from.source, &t, &e) == 0);
		CHECK_MSG(tar_next(t, &entry, &e) == 0, "%s", err_text(&e));
	}
	buf_free(&zeros);
	buf_free(&nothing);
}

static ssize_t broken_read(struct source *s, const void **ret_block, struct err *e)
{
	(void)s;
	(void)ret_block;
	return err_set(e, EIO, "the disk says no");
}

TEST(the_sources_error_comes_through)
{
	_cleanup_(tar_close) struct tar_in *t = NULL;
	struct source broken = { .read = broken_read };
	struct tar_entry entry;
	struct err e = { 0 };
	int r = tar_open(&broken, &t, &e);

	if (r == 0)
		r = tar_next(t, &entry, &e);
	CHECK_INT(r, -EIO);
	CHECK_STR(err_text(&e), "the disk says no");
}

/* libarchive asks again and again when a skip fails with a negative number: the error must come
 * by a read. */
TEST(a_file_that_ends_in_a_skipped_member)
{
	_cleanup_(source_fd_free) struct source_fd from = { 0 };
	_cleanup_(tar_close) struct tar_in *t = NULL;
	_cleanup_(fd_close) int fd = -1;
	struct buf tar = { 0 };
	struct tar_entry entry;
	struct err e = { 0 };
	char path[300];

	tb_add(&tar, (struct member){ .type = '0', .name = "f", .raw_size = "00077777777" });
	snprintf(path, sizeof(path), "%s/cut.tar", test_tmpdir());
	CHECK(file_replace(AT_FDCWD, path, tar.data, tar.len, 0600, false, NULL) == 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(source_fd_init(&from, fd, &e) == 0 && from.source.skip);
	CHECK(tar_open(&from.source, &t, &e) == 0);
	CHECK_INT(tar_next(t, &entry, &e), 1);
	CHECK_INT(tar_next(t, &entry, &e), -EINVAL);
	CHECK_STR(err_text(&e), "the archive ends in the middle of an entry");
	buf_free(&tar);
}
