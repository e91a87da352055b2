/*
 * Archives as they are written: read back by the reader, and by GNU tar; fields that do not fit
 * into the old header; content that is too long or too short.
 */
#include "engine/data/tar_out.h"

#include <fcntl.h>

#include "init/base/file.h"
#include "tests/unit/engine/files/rig.h"

static struct tar_entry file_entry(const char *path, int64_t size)
{
	return (struct tar_entry){ .type = TAR_FILE, .path = path, .size = size, .mode = 0644 };
}

TEST(entries_come_back_as_they_were)
{
	_cleanup_(tar_out_free) struct tar_out t = { 0 };
	_cleanup_(buf_free) struct buf list = { 0 };
	struct tar_entry entry;
	char longer[300];
	MEMORY(m);

	tar_out_init(&t, &m.sink);
	memset(longer, 'l', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	entry = (struct tar_entry){ .type = TAR_DIR, .path = "d/", .mode = 01755 };
	CHECK_INT(tar_out_entry(&t, &entry, NULL, 0, NULL), 0);
	entry = file_entry("d/f", 700);
	CHECK_INT(tar_out_entry(&t, &entry, NULL, 0, NULL), 0);
	CHECK_INT(tar_out_data(&t, NULL, 600, NULL), 0);
	CHECK_INT(tar_out_data(&t, longer, 100, NULL), 0);
	entry = (struct tar_entry){ .type = TAR_SYMLINK, .path = "s", .target = longer };
	CHECK_INT(tar_out_entry(&t, &entry, NULL, 0, NULL), 0);
	entry = (struct tar_entry){ .type = TAR_HARDLINK, .path = longer, .target = "d/f" };
	CHECK_INT(tar_out_entry(&t, &entry, NULL, 0, NULL), 0);
	CHECK_INT(tar_out_end(&t, NULL), 0);
	CHECK_INT((int)(m.data.len % 512), 0);
	rig_list(&m, &list);
	CHECK(str_starts(buf_text(&list), "d 1755 d/;f 0644 d/f 700;l 0000 s -> lll"));
	CHECK(str_ends(buf_text(&list), "lll -> d/f;"));
}

TEST(what_fits_needs_no_pax_header)
{
	_cleanup_(tar_out_free) struct tar_out t = { 0 };
	struct tar_entry entry = file_entry("name", 0);
	MEMORY(m);

	tar_out_init(&t, &m.sink);
	entry.uid = 07777777;
	CHECK_INT(tar_out_entry(&t, &entry, NULL, 0, NULL), 0);
	CHECK_INT((int)m.data.len, 512);
	entry.uid++;
	CHECK_INT(tar_out_entry(&t, &entry, NULL, 0, NULL), 0);
	CHECK_INT((int)m.data.len, 512 + 3 * 512);
}

TEST(records_count_their_own_length)
{
	/* lengths around the places where one digit more is needed */
	for (int len = 80; len < 110; len++) {
		_cleanup_(tar_out_free) struct tar_out t = { 0 };
		struct tar_xattr x = { "user.a", NULL, (size_t)len }, got;
		char value[128], path[8] = "p";
		struct tar_entry entry = file_entry(path, 0);
		struct tar_in *in = NULL;
		MEMORY(m);

		memset(value, '=', sizeof(value));
		x.value = value;
		tar_out_init(&t, &m.sink);
		CHECK_INT(tar_out_entry(&t, &entry, &x, 1, NULL), 0);
		CHECK_INT(tar_out_end(&t, NULL), 0);
		CHECK_INT(tar_open(&m.source, &in, NULL), 0);
		CHECK_INT(tar_next(in, &entry, NULL), 1);
		CHECK(tar_xattr_next(in, &got) && got.size == (size_t)len &&
		      memcmp(got.value, value, got.size) == 0);
		tar_close(in);
	}
}

TEST(content_must_have_the_size_that_was_said)
{
	_cleanup_(tar_out_free) struct tar_out t = { 0 };
	struct tar_entry entry = file_entry("f", 10);
	MEMORY(m);

	tar_out_init(&t, &m.sink);
	CHECK_INT(tar_out_entry(&t, &entry, NULL, 0, NULL), 0);
	CHECK_INT(tar_out_data(&t, "12345", 5, NULL), 0);
	CHECK_INT(tar_out_end(&t, NULL), -EINVAL);
	CHECK_INT(tar_out_entry(&t, &entry, NULL, 0, NULL), -EINVAL);
	CHECK_INT(tar_out_data(&t, "123456", 6, NULL), -EINVAL);
	CHECK_INT(tar_out_data(&t, "12345", 5, NULL), 0);
	CHECK_INT(tar_out_end(&t, NULL), 0);
}
