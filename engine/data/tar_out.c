/*
 * The tar writer (tar_out.h): a header of 512 bytes, in front of it a pax header where needed.
 *
 * Field widths and the checksum are those of POSIX.1-2001 "pax", section "ustar Interchange
 * Format". A name of up to 100 bytes goes into the header alone; a longer one is not split into
 * prefix and name, since every reader of today knows pax records.
 */
#include "engine/data/tar_out.h"

#include <string.h>

#include "init/base/str.h"

enum {
	RECORD = 512,
	PAX_MAX = 2 << 20, /* bytes of one entry's pax records */
	OCTAL_7 = 07777777, /* owner, mode, device: seven digits */
	NAME_WIDTH = 100,
};
#define OCTAL_11 INT64_C(077777777777) /* size, time: eleven digits */

struct header {
	char name[NAME_WIDTH], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8];
	char type, link[NAME_WIDTH], magic[6], version[2], user[32], group[32], major[8], minor[8];
	char prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == RECORD, "a tar header has 512 bytes");

static const char zeros[32 * RECORD];

void tar_out_init(struct tar_out *t, struct sink *to)
{
	*t = (struct tar_out){ .to = to, .pax = BUF_INIT(PAX_MAX) };
}

void tar_out_free(struct tar_out *t)
{
	buf_free(&t->pax);
}

static char type_flag(enum tar_type type)
{
	static const char flags[] = {
		[TAR_FILE] = '0',  [TAR_HARDLINK] = '1', [TAR_SYMLINK] = '2', [TAR_CHAR] = '3',
		[TAR_BLOCK] = '4', [TAR_DIR] = '5',	 [TAR_FIFO] = '6',
	};

	return flags[type];
}

/* ---- pax records ---- */

static size_t digits(size_t n)
{
	size_t d = 1;

	while (n >= 10) {
		n /= 10;
		d++;
	}
	return d;
}

/* "LENGTH key=value\n", where the length counts itself. */
static void pax_add(struct tar_out *t, const char *prefix, const char *key, const void *value,
		    size_t len)
{
	size_t rest = strlen(prefix) + strlen(key) + len + 3, total = rest + digits(rest);

	total = rest + digits(total);
	buf_printf(&t->pax, "%zu %s%s=", total, prefix, key);
	buf_add(&t->pax, value, len);
	buf_add_char(&t->pax, '\n');
}

static void pax_number(struct tar_out *t, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	pax_add(t, "", key, text, strlen(text));
}

static bool is_ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

/* ---- the header's fields ---- */

static void octal(char *field, size_t width, int64_t value)
{
	field[--width] = '\0';
	while (width > 0) {
		field[--width] = (char)('0' + (value & 7));
		value >>= 3;
	}
}

static void put_number(struct tar_out *t, char *field, size_t width, const char *key, int64_t max,
		       int64_t value)
{
	bool fits = value >= 0 && value <= max;

	if (!fits && key)
		pax_number(t, key, value);
	octal(field, width, fits ? value : 0);
}

static void put_name(struct tar_out *t, char *field, const char *key, const char *value)
{
	size_t len = strlen(value);

	if (len > NAME_WIDTH || !is_ascii(value))
		pax_add(t, "", key, value, len);
	memcpy(field, value, MIN(len, (size_t)NAME_WIDTH));
}

static void finish(struct header *h)
{
	const unsigned char *p = (const unsigned char *)h;
	unsigned sum = 0;

	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	memset(h->checksum, ' ', sizeof(h->checksum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += p[i];
	octal(h->checksum, 7, sum);
	h->checksum[7] = ' ';
}

static void fill(struct tar_out *t, struct header *h, const struct tar_entry *entry)
{
	bool device = entry->type == TAR_CHAR || entry->type == TAR_BLOCK;

	put_name(t, h->name, "path", entry->path);
	if (entry->type == TAR_SYMLINK || entry->type == TAR_HARDLINK)
		put_name(t, h->link, "linkpath", entry->target);
	octal(h->mode, sizeof(h->mode), entry->mode);
	put_number(t, h->uid, sizeof(h->uid), "uid", OCTAL_7, entry->uid);
	put_number(t, h->gid, sizeof(h->gid), "gid", OCTAL_7, entry->gid);
	put_number(t, h->size, sizeof(h->size), "size", OCTAL_11,
		   entry->type == TAR_FILE ? entry->size : 0);
	put_number(t, h->mtime, sizeof(h->mtime), "mtime", OCTAL_11, entry->mtime.sec);
	octal(h->major, sizeof(h->major), device ? entry->major : 0);
	octal(h->minor, sizeof(h->minor), device ? entry->minor : 0);
	h->type = type_flag(entry->type);
	finish(h);
}

/* ---- out ---- */

static int write_zeros(struct tar_out *t, int64_t n, struct err *e)
{
	int r = 0;

	while (r == 0 && n > 0) {
		size_t len = (size_t)MIN(n, (int64_t)sizeof(zeros));

		r = t->to->write(t->to, zeros, len, e);
		n -= (int64_t)len;
	}
	return r;
}

static int64_t padding(int64_t size)
{
	return (RECORD - size % RECORD) % RECORD;
}

static int write_pax(struct tar_out *t, struct err *e)
{
	struct header h = { .type = 'x' };
	int r;

	if (buf_failed(&t->pax))
		return err_set(e, EFBIG, "the entry's attributes have more than %d bytes", PAX_MAX);
	if (t->pax.len == 0)
		return 0;
	memcpy(h.name, "PaxHeaders/0", 12);
	octal(h.mode, sizeof(h.mode), 0644);
	octal(h.uid, sizeof(h.uid), 0);
	octal(h.gid, sizeof(h.gid), 0);
	octal(h.size, sizeof(h.size), (int64_t)t->pax.len);
	octal(h.mtime, sizeof(h.mtime), 0);
	finish(&h);
	r = t->to->write(t->to, &h, sizeof(h), e);
	if (r == 0)
		r = t->to->write(t->to, t->pax.data, t->pax.len, e);
	if (r == 0)
		r = write_zeros(t, padding((int64_t)t->pax.len), e);
	return r;
}

int tar_out_entry(struct tar_out *t, const struct tar_entry *entry, const struct tar_xattr *xattrs,
		  size_t n_xattrs, struct err *e)
{
	struct header h = { 0 };
	int r;

	if (t->left > 0)
		return err_set(e, EINVAL, "%lld bytes of the file before are missing",
			       (long long)t->left);
	buf_reset(&t->pax);
	fill(t, &h, entry);
	for (size_t i = 0; i < n_xattrs; i++)
		pax_add(t, "SCHILY.xattr.", xattrs[i].name, xattrs[i].value, xattrs[i].size);
	r = write_pax(t, e);
	if (r == 0)
		r = t->to->write(t->to, &h, sizeof(h), e);
	t->left = entry->type == TAR_FILE ? entry->size : 0;
	t->pad = padding(t->left);
	return r;
}

int tar_out_data(struct tar_out *t, const void *data, int64_t len, struct err *e)
{
	int r;

	if (len > t->left)
		return err_set(e, EINVAL, "more content than the entry's size");
	r = data ? t->to->write(t->to, data, (size_t)len, e) : write_zeros(t, len, e);
	if (r < 0)
		return r;
	t->left -= len;
	if (t->left > 0)
		return 0;
	r = write_zeros(t, t->pad, e);
	t->pad = 0;
	return r;
}

int tar_out_end(struct tar_out *t, struct err *e)
{
	if (t->left > 0)
		return err_set(e, EINVAL, "%lld bytes of the last file are missing",
			       (long long)t->left);
	return write_zeros(t, 2 * RECORD, e);
}
