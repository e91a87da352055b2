/*
 * Crafted tar archives, built in memory: every field of a header can be given, wrong ones too.
 *
 * tb_add() writes one member (with a pax header when pax records were given or the name is long),
 * tb_end() the two zero blocks. Nothing here uses libarchive: the reader must not be tested with
 * its own writer. Header-only, for the tests of archives and images.
 */
#ifndef SKERRY_TEST_TARBALL_H
#define SKERRY_TEST_TARBALL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "init/base/buf.h"

struct member {
	/* '0' file, '1' hard link, '2' symlink, '3' char, '4' block, '5' dir, '6' fifo; 0: '0' */
	char type;
	const char *name, *link;
	unsigned mode; /* 0: 0644, or 0755 for a directory */
	long long uid, gid, mtime;
	const void *data;
	size_t size; /* of data; strlen when data is given and this is 0 */
	unsigned major, minor;
	const struct buf *pax; /* records for an extended header in front */
	const char *raw_size; /* the size field as text, instead of the right one */
	bool bad_checksum;
	bool old_format; /* no "ustar" magic */
};

static inline UNUSED void tb_octal(char *field, size_t size, long long value)
{
	if (value >= 0 && (size == 8 ? value <= 07777777 : value <= 077777777777LL)) {
		char text[32];

		snprintf(text, sizeof(text), "%0*llo", (int)size - 1, (unsigned long long)value);
		memcpy(field, text, size);
		return;
	}
	/* base 256, two's complement */
	memset(field, value < 0 ? 0xff : 0, size);
	for (size_t i = size; i-- > 0 && size - 1 - i < 8;)
		field[i] = (char)(value >> (8 * (size - 1 - i)));
	field[0] = (char)(value < 0 ? 0xff : 0x80);
}

static inline UNUSED void tb_pad(struct buf *b)
{
	static const char zeros[512];

	if (b->len % 512)
		buf_add(b, zeros, 512 - b->len % 512);
}

static inline UNUSED void tb_header(struct buf *b, const struct member *m, const char *name,
				    char type, size_t size)
{
	char h[512] = { 0 };
	unsigned sum = 0;

	memcpy(h, name, strnlen(name, 100));
	tb_octal(h + 100, 8, m->mode ? m->mode : type == '5' ? 0755 : 0644);
	tb_octal(h + 108, 8, m->uid);
	tb_octal(h + 116, 8, m->gid);
	if (m->raw_size && type == m->type)
		memcpy(h + 124, m->raw_size, strnlen(m->raw_size, 12));
	else
		tb_octal(h + 124, 12, (long long)size);
	tb_octal(h + 136, 12, m->mtime);
	h[156] = type;
	if (m->link)
		memcpy(h + 157, m->link, strnlen(m->link, 100));
	if (!m->old_format)
		memcpy(h + 257, "ustar\00000", 8);
	tb_octal(h + 329, 8, m->major);
	tb_octal(h + 337, 8, m->minor);
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", (sum + m->bad_checksum) & 0777777);
	buf_add(b, h, sizeof(h));
}

/* One pax record: "LEN KEY=VALUE\n". */
static inline UNUSED void tb_pax(struct buf *records, const char *key, const void *value,
				 size_t len)
{
	char digits[32];
	size_t rest = strlen(key) + len + 3, total = rest + 1;

	while (rest + (size_t)snprintf(digits, sizeof(digits), "%zu", total) != total)
		total = rest + (size_t)snprintf(digits, sizeof(digits), "%zu", total);
	buf_printf(records, "%zu %s=", total, key);
	buf_add(records, value, len);
	buf_add(records, "\n", 1);
}

static inline UNUSED void tb_pax_text(struct buf *records, const char *key, const char *value)
{
	tb_pax(records, key, value, strlen(value));
}

static inline UNUSED void tb_add(struct buf *b, struct member m)
{
	struct buf pax = { 0 };

	m.type = m.type ? m.type : '0';
	if (m.data && m.size == 0)
		m.size = strlen(m.data);
	if (m.pax)
		buf_add(&pax, m.pax->data, m.pax->len);
	if (strlen(m.name) > 100)
		tb_pax_text(&pax, "path", m.name);
	if (m.link && strlen(m.link) > 100)
		tb_pax_text(&pax, "linkpath", m.link);
	if (pax.len > 0) {
		struct member x = { .type = 'x' };

		tb_header(b, &x, "PaxHeaders/x", 'x', pax.len);
		buf_add(b, pax.data, pax.len);
		tb_pad(b);
	}
	buf_free(&pax);
	tb_header(b, &m, m.name, m.type, m.size);
	if (m.data)
		buf_add(b, m.data, m.size);
	tb_pad(b);
}

static inline UNUSED void tb_file(struct buf *b, const char *name, const char *text)
{
	tb_add(b, (struct member){ .name = name, .data = text });
}

static inline UNUSED void tb_dir(struct buf *b, const char *name)
{
	tb_add(b, (struct member){ .type = '5', .name = name });
}

static inline UNUSED void tb_symlink(struct buf *b, const char *name, const char *target)
{
	tb_add(b, (struct member){ .type = '2', .name = name, .link = target });
}

static inline UNUSED void tb_hardlink(struct buf *b, const char *name, const char *target)
{
	tb_add(b, (struct member){ .type = '1', .name = name, .link = target });
}

static inline UNUSED void tb_end(struct buf *b)
{
	static const char zeros[1024];

	buf_add(b, zeros, sizeof(zeros));
}

#endif
