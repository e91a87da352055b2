/*
 * gzip (RFC 1952) by zlib, because libarchive's filter takes the checksum for granted and a damaged
 * head for the end.
 *
 * Members one after the other are one stream, as everywhere; zeros behind the last are padding,
 * anything else there is an error. Called by archive.c.
 */
#include <string.h>
#include <zlib.h>

#include "engine/data/archive_priv.h"

enum { GUNZIP_BLOCK = 64 << 10, GZIP_ONLY = 15 + 16 /* window, and gzip's own head */ };

struct gunzip {
	struct source source;
	struct bridge *from;
	z_stream z;
	bool inside; /* a member; between them otherwise */
	bool padding; /* zeros have begun */
	unsigned char block[GUNZIP_BLOCK];
};

static int bad(const char *why, struct err *e)
{
	return err_set(e, EINVAL, "bad gzip data: %s", why);
}

/* The next input: 1, 0 at the end. */
static int refill(struct gunzip *g, struct err *e)
{
	const void *block = NULL;
	ssize_t n = bridge_next(g->from, &block, e);

	if (n < 0)
		return (int)n;
	if (n == 0)
		return g->inside ? bad("it ends in the middle", e) : 0;
	g->z.next_in = (Bytef *)(uintptr_t)block;
	g->z.avail_in = (uInt)n;
	return 1;
}

/* Between members: a new one begins, or there are zeros. */
static int begin_member(struct gunzip *g, struct err *e)
{
	for (; g->z.avail_in > 0 && *g->z.next_in == 0; g->z.avail_in--, g->z.next_in++)
		g->padding = true;
	if (g->z.avail_in == 0)
		return 0;
	if (g->padding || *g->z.next_in != 0x1f)
		return bad("something else follows it", e);
	g->inside = true;
	return inflateReset(&g->z) == Z_OK ? 0 : err_set(e, ENOMEM, "out of memory");
}

static ssize_t gunzip_read(struct source *source, const void **ret_block, struct err *e)
{
	struct gunzip *g = container_of(source, struct gunzip, source);
	int r;

	for (;;) {
		if (g->z.avail_in == 0 && (r = refill(g, e)) <= 0)
			return r;
		if (!g->inside && (r = begin_member(g, e)) < 0)
			return r;
		if (!g->inside)
			continue;
		g->z.next_out = g->block;
		g->z.avail_out = sizeof(g->block);
		r = inflate(&g->z, Z_NO_FLUSH);
		if (r == Z_MEM_ERROR)
			return err_set(e, ENOMEM, "out of memory");
		if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
			return bad(g->z.msg ? g->z.msg : "it is damaged", e);
		g->inside = r != Z_STREAM_END;
		*ret_block = g->block;
		if (g->z.avail_out < sizeof(g->block))
			return (ssize_t)(sizeof(g->block) - g->z.avail_out);
	}
}

int gunzip_open(struct bridge *from, struct gunzip **ret, struct err *e)
{
	struct gunzip *g = calloc(1, sizeof(*g));

	if (!g || inflateInit2(&g->z, GZIP_ONLY) != Z_OK) {
		free(g);
		return err_set(e, ENOMEM, "out of memory");
	}
	g->source.read = gunzip_read;
	g->from = from;
	g->inside = true;
	*ret = g;
	return 0;
}

struct source *gunzip_source(struct gunzip *g)
{
	return &g->source;
}

void gunzip_free(struct gunzip *g)
{
	if (g)
		inflateEnd(&g->z);
	free(g);
}
