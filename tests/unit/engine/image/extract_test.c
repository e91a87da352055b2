/*
 * Honest layers, through extract_layer in this process: metadata, names, attributes, whiteouts,
 * holes, and the limits. Runs as root. The hostile ones are in hostile_layers_test.c.
 */
#include "engine/files/node.h"
#include "engine/image/extract.h"

#include <limits.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tests/unit/engine/image/hostile.h"
#include "tests/unit/engine/image/tarball.h"

/* The notes as text, records separated by blanks. */
static const char *notes_text(struct scene *s, char buf[256])
{
	ssize_t n = pread(s->notes, buf, 255, 0);

	for (ssize_t i = 0; i < n; i++)
		if (!buf[i])
			buf[i] = ' ';
	buf[MAX(n, 0)] = '\0';
	return buf;
}

/* ---- what honest layers need ---- */

TEST(metadata_is_kept)
{
	struct buf tar = { 0 }, pax = { 0 };
	struct extract_result result;
	struct err e = { 0 };
	struct stat st;
	struct scene s;

	CHECK(scene_new(&s) == 0);
	tb_add(&tar, (struct member){ .type = '5',
				      .name = "d/",
				      .mode = 01777,
				      .uid = 7,
				      .gid = 8,
				      .mtime = 1000 });
	tb_pax_text(&pax, "mtime", "1234567.890123456");
	tb_add(&tar, (struct member){ .name = "d/f",
				      .data = "content",
				      .mode = 04755,
				      .uid = 70000,
				      .gid = 5,
				      .pax = &pax });
	tb_add(&tar,
	       (struct member){ .type = '2', .name = "d/l", .link = "f", .uid = 3, .mtime = 77 });
	tb_add(&tar, (struct member){ .type = '5', .name = "./", .mode = 0711, .mtime = 55 });
	tb_end(&tar);
	CHECK_MSG(extract(&s, &tar, NULL, &result, &e) == 0, "%s", err_text(&e));
	CHECK_INT(result.entries, 4);
	CHECK_INT(result.bytes, 7);
	CHECK(fstatat(s.root, "d", &st, 0) == 0);
	CHECK_INT(st.st_mode & 07777, 01777);
	CHECK_INT(st.st_uid, 7);
	CHECK_INT(st.st_mtim.tv_sec, 1000); /* although d/f and d/l were made in it later */
	CHECK(fstatat(s.root, "d/f", &st, 0) == 0);
	CHECK_INT(st.st_mode & 07777, 04755);
	CHECK_INT(st.st_uid, 70000);
	CHECK_INT(st.st_mtim.tv_sec, 1234567);
	CHECK_INT(st.st_mtim.tv_nsec, 890123456);
	CHECK(fstatat(s.root, "d/l", &st, AT_SYMLINK_NOFOLLOW) == 0);
	CHECK_INT(st.st_uid, 3);
	CHECK_INT(st.st_mtim.tv_sec, 77);
	CHECK(fstat(s.root, &st) == 0);
	CHECK_INT(st.st_mode & 07777, 0711);
	CHECK_INT(st.st_mtim.tv_sec, 55);
	buf_free(&tar);
	buf_free(&pax);
	scene_end(&s);
}

TEST(names_are_bytes)
{
	/* NFD and NFC spellings, invalid UTF-8, blanks: all stay as they are, in ustar and in
	 * pax headers */
	static const char *const names[] = { "e\xcc\x81", "\xc3\xa9", "\xff\xfe\x80", "a b\tc\nd",
					     "*?[" };
	struct buf tar = { 0 };
	struct extract_result result;
	struct err e = { 0 };
	struct scene s;

	CHECK(scene_new(&s) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct buf pax = { 0 };
		char path[64];

		snprintf(path, sizeof(path), "u/%s", names[i]);
		tb_file(&tar, path, "x");
		snprintf(path, sizeof(path), "p/%s", names[i]);
		tb_pax_text(&pax, "path", path);
		tb_add(&tar, (struct member){ .name = "short", .data = "x", .pax = &pax });
		buf_free(&pax);
	}
	tb_end(&tar);
	CHECK_MSG(extract(&s, &tar, NULL, &result, &e) == 0, "%s", err_text(&e));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[64];

		snprintf(path, sizeof(path), "u/%s", names[i]);
		CHECK_MSG(exists(&s, path), "ustar name %zu", i);
		snprintf(path, sizeof(path), "p/%s", names[i]);
		CHECK_MSG(exists(&s, path), "pax name %zu", i);
	}
	CHECK(!exists(&s, "short"));
	buf_free(&tar);
	scene_end(&s);
}

TEST(xattrs_are_sorted_out)
{
	/* a valid vfs_cap_data, revision 2: cap_net_raw+ep */
	static const unsigned char caps[20] = { 1, 0, 0, 2, 0, 0x20 };
	static const char *const dropped[] = {
		"trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.x",
		"user.overlay.opaque",	  "security.selinux",	      "security.ima"
	};
	struct buf tar = { 0 }, pax = { 0 };
	struct extract_result result;
	struct err e = { 0 };
	char path[512], value[64], key[96];
	struct scene s;

	CHECK(scene_new(&s) == 0);
	tb_pax(&pax, "SCHILY.xattr.security.capability", caps, sizeof(caps));
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++) {
		snprintf(key, sizeof(key), "SCHILY.xattr.%s", dropped[i]);
		tb_pax_text(&pax, key, "y");
	}
	tb_add(&tar,
	       (struct member){ .name = "ping", .data = "x", .mode = 0755, .uid = 9, .pax = &pax });
	tb_add(&tar, (struct member){ .type = '5', .name = "d", .pax = &pax });
	tb_end(&tar);
	CHECK_MSG(extract(&s, &tar, NULL, &result, &e) == 0, "%s", err_text(&e));
	snprintf(path, sizeof(path), "%s/store/fs/ping", s.tmp);
	CHECK_INT(getxattr(path, "security.capability", value, sizeof(value)),
		  (long long)sizeof(caps));
	CHECK(memcmp(value, caps, sizeof(caps)) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
		CHECK_MSG(getxattr(path, dropped[i], value, sizeof(value)) < 0, "%s", dropped[i]);
	snprintf(path, sizeof(path), "%s/store/fs/d", s.tmp);
	CHECK(getxattr(path, "trusted.overlay.opaque", value, sizeof(value)) < 0);
	CHECK(node_keeps_xattr("user.mime"));
	CHECK(!node_keeps_xattr("user."));
	buf_free(&tar);
	buf_free(&pax);
	scene_end(&s);
}

TEST(whiteouts_and_notes)
{
	struct buf tar = { 0 };
	struct extract_result result;
	struct err e = { 0 };
	char text[256];
	struct stat st;
	struct scene s;

	CHECK(scene_new(&s) == 0);
	tb_dir(&tar, "opaque");
	tb_file(&tar, "opaque/.wh..wh..opq", "");
	tb_file(&tar, "a/b/file", "x"); /* implies a and a/b */
	tb_file(&tar, "a/.wh.gone", ""); /* an overlay whiteout */
	tb_file(&tar, ".wh.redone", "");
	tb_dir(&tar, "redone"); /* removed below and made anew: opaque */
	tb_dir(&tar, "kept");
	tb_file(&tar, ".wh.kept", ""); /* hides only what lower layers have */
	tb_file(&tar, "plain", "x");
	tb_file(&tar, ".wh.plain", "");
	tb_end(&tar);
	CHECK_MSG(extract(&s, &tar, NULL, &result, &e) == 0, "%s", err_text(&e));
	CHECK_STR(notes_text(&s, text), "oopaque ia ia/b oredone okept ");
	CHECK(fstatat(s.root, "a/gone", &st, AT_SYMLINK_NOFOLLOW) == 0);
	CHECK(S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0));
	CHECK(fstatat(s.root, "redone", &st, 0) == 0 && S_ISDIR(st.st_mode));
	CHECK(fstatat(s.root, "plain", &st, 0) == 0 && S_ISREG(st.st_mode));
	CHECK(!exists(&s, "opaque/.wh..wh..opq"));
	buf_free(&tar);
	scene_end(&s);
}

TEST(sparse_files_have_holes)
{
	struct buf tar = { 0 }, pax = { 0 };
	struct extract_result result;
	struct err e = { 0 };
	char data[5];
	struct stat st;
	struct scene s;
	int fd;

	CHECK(scene_new(&s) == 0);
	tb_pax_text(&pax, "GNU.sparse.name", "sparse");
	tb_pax_text(&pax, "GNU.sparse.map", "1048576,4,8388608,4");
	tb_pax_text(&pax, "GNU.sparse.size", "10485760");
	tb_add(&tar, (struct member){ .name = "f", .data = "abcdefgh", .pax = &pax });
	tb_end(&tar);
	CHECK_MSG(extract(&s, &tar, NULL, &result, &e) == 0, "%s", err_text(&e));
	fd = openat(s.root, "sparse", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	CHECK_INT(st.st_size, 10485760);
	CHECK(st.st_blocks * 512 < 1048576);
	CHECK(pread(fd, data, 4, 8388608) == 4 && memcmp(data, "efgh", 4) == 0);
	CHECK_INT(result.bytes, 10485760);
	fd_close(fd);
	buf_free(&tar);
	buf_free(&pax);
	scene_end(&s);
}

/* ---- limits ---- */

TEST(limits_hold)
{
	const struct image_limits few = { .layer_entries = 10 }, small = { .layer_bytes = 100 },
				  flat = { .depth = 2 };
	struct buf many = { 0 }, large = { 0 }, deep = { 0 };
	struct extract_result result;
	struct err e = { 0 };
	char name[32];
	struct scene s;

	CHECK(scene_new(&s) == 0);
	for (int i = 0; i < 11; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		tb_file(&many, name, "");
	}
	tb_end(&many);
	CHECK_INT(extract(&s, &many, &few, &result, &e), -EFBIG);
	CHECK_MSG(strstr(err_text(&e), "more than 10 entries"), "%s", err_text(&e));
	tb_add(&large, (struct member){ .name = "x", .data = name, .size = 32 });
	for (int i = 0; i < 3; i++)
		tb_add(&large, (struct member){ .name = "y", .data = name, .size = 32 });
	tb_end(&large);
	CHECK_INT(extract(&s, &large, &small, &result, &e), -EFBIG);
	CHECK_MSG(strstr(err_text(&e), "more than 100 bytes"), "%s", err_text(&e));
	tb_file(&deep, "a/b/c", "");
	tb_end(&deep);
	CHECK_INT(extract(&s, &deep, &flat, &result, &e), -EFBIG);
	CHECK(scene_unchanged(&s));
	buf_free(&many);
	buf_free(&large);
	buf_free(&deep);
	scene_end(&s);
}

TEST(errors_name_the_entry)
{
	struct buf tar = { 0 };
	struct extract_result result;
	struct err e = { 0 };
	struct scene s;

	CHECK(scene_new(&s) == 0);
	tb_file(&tar, "good", "x");
	tb_file(&tar, "../bad", "x");
	tb_end(&tar);
	CHECK_INT(extract(&s, &tar, NULL, &result, &e), -EINVAL);
	CHECK_STR(err_text(&e), "entry 2 \"../bad\": the path holds \"..\", which no layer may");
	buf_free(&tar);
	scene_end(&s);
}
