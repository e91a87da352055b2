/*
 * Counting, hashing, copying and limiting a stream: see tap.h.
 *
 * The limits are what stops a compression bomb: both the absolute one and the ratio are checked
 * with every block. Called by libarchive through archive.c, on behalf of layer.c and unpack.c.
 */
#include "engine/image/tap.h"

#include "init/base/file.h"

static int tap_check(const struct tap *t, struct err *e)
{
	if (t->bytes > t->max)
		return err_set(e, EFBIG, "more than the %llu bytes allowed%s",
			       (unsigned long long)t->max, t->packed ? " when decompressed" : "");
	if (t->packed && t->bytes > t->ratio_from && t->bytes / t->ratio > t->packed->bytes)
		return err_set(
			e, EFBIG,
			"it grows by more than %llu times when decompressed: %llu bytes from %llu",
			(unsigned long long)t->ratio, (unsigned long long)t->bytes,
			(unsigned long long)t->packed->bytes);
	return 0;
}

static ssize_t tap_read(struct source *source, const void **ret_block, struct err *e)
{
	struct tap *t = container_of(source, struct tap, source);
	ssize_t n = t->from->read(t->from, ret_block, e);
	int r;

	if (n <= 0)
		return n;
	t->bytes += (uint64_t)n;
	r = tap_check(t, e);
	if (r == 0 && t->copy_fd >= 0)
		r = file_write_all(t->copy_fd, *ret_block, (size_t)n, e);
	if (r < 0)
		return r;
	if (t->hashing)
		digest_update(&t->digester, *ret_block, (size_t)n);
	if (t->progress)
		t->progress(t->data, t->bytes);
	return n;
}

static int tap_skip(struct source *source, uint64_t n, struct err *e)
{
	struct tap *t = container_of(source, struct tap, source);
	int r = t->from->skip(t->from, n, e);

	if (r < 0)
		return r;
	t->bytes += n;
	return tap_check(t, e);
}

void tap_init(struct tap *t, struct source *from, bool hashing)
{
	*t = (struct tap){ .source = { .read = tap_read },
			   .from = from,
			   .hashing = hashing,
			   .copy_fd = -1,
			   .max = UINT64_MAX };
	if (hashing)
		digest_start(&t->digester, DIGEST_SHA256);
	else if (from->skip)
		t->source.skip = tap_skip;
}
