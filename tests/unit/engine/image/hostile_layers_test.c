/*
 * Hostile layers, through extract_layer in this process (threats.md part C, rows 39 to 46).
 *
 * Each case is a row: what the archive holds, what must come of it. After each, everything outside
 * of the layer's root is compared with what it was before. Runs as root (owners and devices are
 * part of the cases).
 */
#include "tests/unit/engine/image/hostile.h"
#include "tests/unit/engine/image/tarball.h"

/* ---- the hostile matrix ---- */

enum expect { FINE = 0 };

struct hostile {
	const char *name;
	void (*make)(struct buf *b);
	int result; /* 0 or -errno */
	const char *present; /* below the root, afterwards; NULL: not looked at */
	const char *absent;
};

#define CASE(ident) static void make_##ident(struct buf *b)

CASE(dotdot)
{
	tb_file(b, "../x", "evil");
}
CASE(slash_dotdot)
{
	tb_file(b, "/../x", "evil");
}
CASE(dotdot_middle)
{
	tb_file(b, "a/../../x", "evil");
}
CASE(dotdot_end)
{
	tb_dir(b, "a/..");
}
CASE(dotdot_dir)
{
	tb_dir(b, "../dest-evil/new");
}
CASE(dotdot_symlink)
{
	tb_symlink(b, "../link", "victim");
}
CASE(sibling_prefix)
{
	tb_file(b, "../fs-evil/file", "evil");
}
CASE(absolute_file)
{
	tb_file(b, "/etc/passwd", "root");
}
CASE(double_slash)
{
	tb_file(b, "//a///b//c", "x");
}
CASE(dots)
{
	tb_file(b, "./././a/./b", "x");
}
CASE(empty_name_root)
{
	tb_dir(b, "./");
}
CASE(root_is_file)
{
	tb_file(b, "./", "x");
}
CASE(root_is_symlink)
{
	tb_symlink(b, "/", "/etc");
}
CASE(symlink_then_file)
{
	tb_symlink(b, "link", "../../victim");
	tb_file(b, "link/hello", "evil");
}
CASE(symlink_absolute_then_file)
{
	tb_symlink(b, "link", "/victim");
	tb_file(b, "link/hello", "evil");
}
CASE(symlink_to_existing_dir)
{
	tb_dir(b, "usr");
	tb_dir(b, "usr/lib");
	tb_symlink(b, "lib", "usr/lib");
	tb_file(b, "lib/libc.so", "x");
}
CASE(symlink_chain)
{
	tb_symlink(b, "a", "b");
	tb_symlink(b, "b", "c");
	tb_symlink(b, "c", "../../../victim");
	tb_file(b, "a/hello", "evil");
}
CASE(symlink_loop)
{
	tb_symlink(b, "a", "b");
	tb_symlink(b, "b", "a");
	tb_file(b, "a/x", "evil");
}
CASE(symlink_self)
{
	tb_symlink(b, "a", "a");
	tb_file(b, "a/x", "evil");
}
CASE(symlink_to_proc)
{
	tb_symlink(b, "p", "/proc/self/root");
	tb_file(b, "p/evil", "evil");
}
CASE(file_over_symlink)
{
	tb_symlink(b, "x", "../../victim/hello");
	tb_file(b, "x", "evil");
}
CASE(dir_over_symlink)
{
	tb_symlink(b, "x", "../../victim");
	tb_dir(b, "x");
	tb_file(b, "x/hello", "evil");
}
CASE(symlink_over_dir)
{
	tb_dir(b, "x");
	tb_file(b, "x/keep", "1");
	tb_symlink(b, "x", "../../victim");
	tb_file(b, "x/hello", "evil");
}
CASE(dir_through_symlink)
{
	tb_symlink(b, "x", "../../victim");
	tb_dir(b, "x/newdir");
}
CASE(newdir_deep_symlink)
{
	tb_dir(b, "d");
	tb_symlink(b, "d/up", "..");
	tb_file(b, "d/up/d/up/d/f", "x");
}
CASE(symlink_dotdot_chain)
{
	tb_dir(b, "d");
	tb_symlink(b, "d/up", "../../../../../../..");
	tb_file(b, "d/up/victim/hello", "evil");
}
CASE(hardlink_dotdot)
{
	tb_hardlink(b, "h", "../../victim/hello");
}
CASE(hardlink_absolute_host)
{
	tb_hardlink(b, "h", "/etc/passwd");
}
CASE(hardlink_absolute_legal)
{
	tb_file(b, "bin/a", "x");
	tb_hardlink(b, "bin/b", "/bin/a");
}
CASE(hardlink_through_symlink)
{
	tb_symlink(b, "link", "../../victim");
	tb_hardlink(b, "h", "link/hello");
}
CASE(hardlink_to_symlink)
{
	tb_symlink(b, "link", "../../victim/hello");
	tb_hardlink(b, "h", "link");
	tb_add(b, (struct member){ .name = "h", .data = "mine", .mode = 0777 });
}
CASE(hardlink_to_hardlink)
{
	tb_file(b, "a", "x");
	tb_hardlink(b, "b", "a");
	tb_hardlink(b, "c", "b");
}
CASE(hardlink_self)
{
	tb_file(b, "a", "x");
	tb_hardlink(b, "a", "a");
}
CASE(hardlink_missing)
{
	tb_hardlink(b, "h", "nowhere");
}
CASE(hardlink_to_dir)
{
	tb_dir(b, "d");
	tb_hardlink(b, "h", "d");
}
CASE(hardlink_to_root)
{
	tb_hardlink(b, "h", "/");
}
CASE(hardlink_to_whiteout)
{
	tb_file(b, ".wh.x", "");
	tb_hardlink(b, "h", "x");
}
CASE(chmod_through_symlink) /* CVE-2021-32760 */
{
	tb_symlink(b, "s", "../../victim/hello");
	tb_add(b, (struct member){ .type = '1', .name = "s2", .link = "s", .mode = 0777 });
	tb_add(b, (struct member){
			  .type = '2', .name = "s", .link = "../../victim/hello", .mode = 0777 });
}
CASE(remove_victim)
{
	tb_symlink(b, "v", "../../victim");
	tb_file(b, "v", "file in place of the link");
}
CASE(whiteout)
{
	tb_file(b, "etc/.wh.passwd", "");
}
CASE(whiteout_empty)
{
	tb_file(b, ".wh.", "");
}
CASE(whiteout_empty_dir)
{
	tb_dir(b, ".wh./");
}
CASE(whiteout_dot)
{
	tb_file(b, "a/.wh..", "");
}
CASE(whiteout_dotdot)
{
	tb_file(b, "a/.wh...", "");
}
CASE(whiteout_plnk)
{
	tb_file(b, ".wh..wh.plnk", "");
}
CASE(whiteout_aufs)
{
	tb_hardlink(b, ".wh..wh.aufs", "x");
}
CASE(whiteout_through_symlink)
{
	tb_symlink(b, "v", "../../victim");
	tb_file(b, "v/.wh.hello", "");
}
CASE(whiteout_through_inner_symlink)
{
	tb_dir(b, "d");
	tb_symlink(b, "l", "d");
	tb_file(b, "l/.wh.hello", "");
}
CASE(opaque_through_symlink)
{
	tb_dir(b, "d");
	tb_symlink(b, "l", "d");
	tb_file(b, "l/.wh..wh..opq", "");
}
CASE(whiteout_slash)
{
	tb_file(b, ".wh.a/b", "x");
}
CASE(uid_max)
{
	tb_add(b,
	       (struct member){ .name = "f", .data = "x", .uid = 4294967294, .gid = 4294967294 });
}
CASE(uid_minus_one)
{
	tb_add(b, (struct member){ .name = "f", .data = "x", .uid = 4294967295 });
}
CASE(uid_overflow)
{
	tb_add(b, (struct member){ .name = "f", .data = "x", .uid = 4294967296 });
}
CASE(gid_overflow)
{
	tb_add(b, (struct member){ .name = "f", .data = "x", .gid = 4294967296 * 7 });
}
CASE(uid_negative)
{
	tb_add(b, (struct member){ .name = "f", .data = "x", .uid = -5 });
}
CASE(mtime_negative)
{
	tb_add(b, (struct member){ .name = "f", .data = "x", .mtime = -3600 });
}
CASE(device)
{
	tb_add(b, (struct member){
			  .type = '3', .name = "dev/null", .major = 1, .minor = 3, .mode = 0666 });
}
CASE(block_device)
{
	tb_add(b, (struct member){ .type = '4', .name = "dev/sda", .major = 8 });
}
CASE(device_overflow)
{
	tb_add(b, (struct member){ .type = '3', .name = "dev/x", .major = 5000, .minor = 1 });
}
CASE(fifo)
{
	tb_add(b, (struct member){ .type = '6', .name = "pipe" });
}
CASE(fifo_then_file_inside)
{
	tb_add(b, (struct member){ .type = '6', .name = "pipe" });
	tb_file(b, "pipe/x", "x");
}
CASE(fifo_replaced)
{
	tb_add(b, (struct member){ .type = '6', .name = "pipe" });
	tb_file(b, "pipe", "x");
}
CASE(file_as_dir)
{
	tb_file(b, "f", "x");
	tb_file(b, "f/g", "x");
}
CASE(duplicate_file)
{
	tb_file(b, "f", "first and longer");
	tb_file(b, "f", "second");
}
CASE(dir_to_file)
{
	tb_file(b, "d/a/b/c", "x");
	tb_file(b, "d", "x");
}
CASE(long_component)
{
	char name[300];

	memset(name, 'a', 299);
	name[299] = '\0';
	tb_file(b, name, "x");
}
CASE(long_path)
{
	char name[5000];

	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 2 ? '/' : 'a';
	name[4999] = '\0';
	tb_file(b, name, "x");
}
CASE(deep_path)
{
	char name[1001];

	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 2 ? '/' : 'a';
	name[1000] = '\0';
	tb_file(b, name, "x");
}
CASE(bad_checksum)
{
	tb_add(b, (struct member){ .name = "f", .data = "x", .bad_checksum = true });
}
CASE(negative_size)
{
	tb_add(b,
	       (struct member){ .type = '0',
				.name = "f",
				.raw_size = "\377\377\377\377\377\377\377\377\377\377\377\377" });
}
CASE(huge_size)
{
	tb_add(b, (struct member){ .type = '0', .name = "f", .raw_size = "77777777777" });
}
CASE(truncated_data)
{
	tb_add(b, (struct member){ .type = '0', .name = "f", .raw_size = "00000010000" });
}
CASE(garbage)
{
	char text[2048];

	memset(text, 'Z', sizeof(text));
	buf_add(b, text, sizeof(text));
}
CASE(unknown_type)
{
	tb_add(b, (struct member){ .type = 'Q', .name = "f", .data = "x" });
}
CASE(old_tar)
{
	tb_add(b, (struct member){ .name = "f", .data = "x", .old_format = true });
}
CASE(pax_size_override)
{
	struct buf pax = { 0 };

	tb_pax_text(&pax, "size", "3");
	tb_add(b, (struct member){ .name = "f",
				   .data = "abc",
				   .raw_size = "00000000000",
				   .type = '0',
				   .pax = &pax });
	buf_free(&pax);
}
CASE(pax_malformed)
{
	struct buf pax = { 0 };

	buf_add_text(&pax, "99999 path=x\n");
	tb_add(b, (struct member){ .name = "f", .data = "abc", .pax = &pax });
	buf_free(&pax);
}
CASE(pax_path_dotdot)
{
	struct buf pax = { 0 };

	tb_pax_text(&pax, "path", "../../victim/hello");
	tb_add(b, (struct member){ .name = "f", .data = "evil", .pax = &pax });
	buf_free(&pax);
}
CASE(pax_linkpath_dotdot)
{
	struct buf pax = { 0 };

	tb_pax_text(&pax, "linkpath", "../../victim/hello");
	tb_add(b, (struct member){ .type = '1', .name = "f", .link = "x", .pax = &pax });
	buf_free(&pax);
}
CASE(longname_gigabyte)
{
	tb_add(b,
	       (struct member){ .type = 'L', .name = "././@LongLink", .raw_size = "10000000000" });
	tb_file(b, "f", "x");
}
CASE(xattr_too_large)
{
	struct buf pax = { 0 };
	char *value = calloc(1, 400000);

	memset(value, 'v', 400000);
	for (int i = 0; i < 2; i++) {
		char key[64];

		snprintf(key, sizeof(key), "SCHILY.xattr.user.big%d", i);
		tb_pax(&pax, key, value, 400000);
	}
	tb_add(b, (struct member){ .name = "f", .data = "x", .pax = &pax });
	free(value);
	buf_free(&pax);
}
CASE(sparse_beyond_size)
{
	struct buf pax = { 0 };

	tb_pax_text(&pax, "GNU.sparse.map", "9223372036854775000,512");
	tb_pax_text(&pax, "GNU.sparse.size", "1024");
	tb_add(b, (struct member){ .name = "f", .data = "xxxx", .pax = &pax });
	buf_free(&pax);
}
CASE(sparse_huge)
{
	struct buf pax = { 0 };

	tb_pax_text(&pax, "GNU.sparse.map", "0,4");
	tb_pax_text(&pax, "GNU.sparse.size", "9223372036854775807");
	tb_add(b, (struct member){ .name = "f", .data = "xxxx", .pax = &pax });
	buf_free(&pax);
}

#define ROW(ident, result_, ...)                                                       \
	{                                                                              \
		.name = #ident, .make = make_##ident, .result = result_, ##__VA_ARGS__ \
	}

static const struct hostile cases[] = {
	ROW(dotdot, -EINVAL),
	ROW(slash_dotdot, -EINVAL),
	ROW(dotdot_middle, -EINVAL),
	ROW(dotdot_end, -EINVAL),
	ROW(dotdot_dir, -EINVAL),
	ROW(dotdot_symlink, -EINVAL),
	ROW(sibling_prefix, -EINVAL),
	ROW(absolute_file, FINE, .present = "etc/passwd"),
	ROW(double_slash, FINE, .present = "a/b/c"),
	ROW(dots, FINE, .present = "a/b"),
	ROW(empty_name_root, FINE),
	ROW(root_is_file, -EINVAL),
	ROW(root_is_symlink, -EINVAL),
	ROW(symlink_then_file, -EEXIST),
	ROW(symlink_absolute_then_file, -EEXIST),
	ROW(symlink_to_existing_dir, FINE, .present = "usr/lib/libc.so"),
	ROW(symlink_chain, -EEXIST),
	ROW(symlink_loop, -ELOOP),
	ROW(symlink_self, -ELOOP),
	ROW(symlink_to_proc, -EEXIST),
	ROW(file_over_symlink, FINE, .present = "x"),
	ROW(dir_over_symlink, FINE, .present = "x/hello"),
	ROW(symlink_over_dir, -EEXIST),
	ROW(dir_through_symlink, -EEXIST),
	ROW(newdir_deep_symlink, FINE, .present = "d/f"),
	ROW(symlink_dotdot_chain, FINE, .present = "victim/hello"),
	ROW(hardlink_dotdot, -EINVAL),
	ROW(hardlink_absolute_host, -ENOENT),
	ROW(hardlink_absolute_legal, FINE, .present = "bin/b"),
	ROW(hardlink_through_symlink, -ENOENT),
	ROW(hardlink_to_symlink, FINE, .present = "h"),
	ROW(hardlink_to_hardlink, FINE, .present = "c"),
	ROW(hardlink_self, FINE, .present = "a"),
	ROW(hardlink_missing, -ENOENT),
	ROW(hardlink_to_dir, -EINVAL),
	ROW(hardlink_to_root, -EINVAL),
	ROW(hardlink_to_whiteout, -EINVAL),
	ROW(chmod_through_symlink, FINE, .present = "s2"),
	ROW(remove_victim, FINE, .present = "v"),
	ROW(whiteout, FINE, .present = "etc/passwd"),
	ROW(whiteout_empty, -EINVAL),
	ROW(whiteout_empty_dir, -EINVAL),
	ROW(whiteout_dot, -EINVAL),
	ROW(whiteout_dotdot, -EINVAL),
	ROW(whiteout_plnk, FINE, .absent = ".wh..wh.plnk"),
	ROW(whiteout_aufs, FINE, .absent = ".wh..wh.aufs"),
	ROW(whiteout_through_symlink, -EEXIST),
	ROW(whiteout_through_inner_symlink, -EINVAL, .absent = "d/hello"),
	ROW(opaque_through_symlink, -EINVAL),
	ROW(whiteout_slash, FINE, .present = ".wh.a/b"),
	ROW(uid_max, FINE, .present = "f"),
	ROW(uid_minus_one, -EINVAL),
	ROW(uid_overflow, -EINVAL),
	ROW(gid_overflow, -EINVAL),
	ROW(uid_negative, -EINVAL),
	ROW(mtime_negative, FINE, .present = "f"),
	ROW(device, FINE, .present = "dev/null"),
	ROW(block_device, FINE, .present = "dev/sda"),
	ROW(device_overflow, -EINVAL),
	ROW(fifo, FINE, .present = "pipe"),
	ROW(fifo_then_file_inside, -ENOTDIR),
	ROW(fifo_replaced, FINE, .present = "pipe"),
	ROW(file_as_dir, -ENOTDIR),
	ROW(duplicate_file, FINE, .present = "f"),
	ROW(dir_to_file, FINE, .present = "d", .absent = "d/a"),
	ROW(long_component, -ENAMETOOLONG),
	ROW(long_path, -EFBIG),
	ROW(deep_path, -EFBIG),
	ROW(bad_checksum, -EINVAL),
	ROW(negative_size, -EINVAL),
	ROW(huge_size, -EINVAL),
	ROW(truncated_data, -EINVAL),
	ROW(garbage, -EINVAL),
	ROW(unknown_type, FINE, .present = "f"),
	ROW(old_tar, FINE, .present = "f"),
	ROW(pax_size_override, FINE, .present = "f"),
	ROW(pax_malformed, -EINVAL),
	ROW(pax_path_dotdot, -EINVAL),
	ROW(pax_linkpath_dotdot, -EINVAL),
	ROW(longname_gigabyte, -EINVAL),
	ROW(xattr_too_large, -E2BIG),
	ROW(sparse_beyond_size, -EINVAL),
	ROW(sparse_huge, -EFBIG),
};

static void run_case(const struct hostile *c)
{
	struct buf tar = { 0 };
	struct extract_result result;
	struct err e = { 0 };
	struct scene s;
	int r;

	CHECK(scene_new(&s) == 0);
	c->make(&tar);
	if (c->make != make_truncated_data)
		tb_end(&tar);
	r = extract(&s, &tar, NULL, &result, &e);
	buf_free(&tar);
	CHECK_MSG(scene_unchanged(&s), "%s: something outside of the layer changed", c->name);
	CHECK_MSG(r == c->result, "%s: %d instead of %d: %s", c->name, r, c->result, err_text(&e));
	CHECK_MSG(r == 0 || strlen(err_text(&e)) > 8, "%s: no reason given", c->name);
	CHECK_MSG(!c->present || exists(&s, c->present), "%s: %s is missing", c->name, c->present);
	CHECK_MSG(!c->absent || !exists(&s, c->absent), "%s: %s is there", c->name, c->absent);
	CHECK(tree_remove(s.top, "store", NULL) == 0 && tree_remove(s.top, "victim", NULL) == 0 &&
	      tree_remove(s.top, "dest-evil", NULL) == 0);
	scene_end(&s);
}

TEST(hostile_matrix)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		run_case(&cases[i]);
}
