/*
 * Names as Docker's clients expect them: paths of queries, names of entries, members of archives,
 * mode bits.
 */
#include "engine/files/names.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "init/base/util.h"
#include "tests/unit/test.h"

TEST(paths_are_cleaned_and_keep_what_they_end_in)
{
	static const char *const rows[][3] = {
		/* asked, path, name */
		{ "/etc/passwd", "/etc/passwd", "passwd" },
		{ "etc/passwd", "/etc/passwd", "passwd" },
		{ "/", "/", "/" },
		{ ".", "/.", "." },
		{ "/.", "/.", "." },
		{ "..", "/", "/" },
		{ "/a/../../b", "/b", "b" },
		{ "/a//b/./c", "/a/b/c", "c" },
		{ "/a/b/", "/a/b/", "b" },
		{ "/a/b/.", "/a/b/.", "." },
		{ "/a/b/./", "/a/b/", "b" },
		{ "/a/..", "/", "/" },
		{ "/a/../", "/", "/" },
		{ "//", "/", "/" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char path[PATH_MAX], name[NAME_MAX + 1];

		CHECK_INT(files_path(path, rows[i][0]), 0);
		CHECK_STR(path, rows[i][1]);
		files_base(name, path);
		CHECK_STR(name, rows[i][2]);
	}
}

TEST(paths_have_an_end)
{
	char path[PATH_MAX], asked[PATH_MAX + 10];

	memset(asked, 'a', sizeof(asked) - 1);
	asked[sizeof(asked) - 1] = '\0';
	CHECK_INT(files_path(path, asked), -ENAMETOOLONG);
	asked[PATH_MAX - 2] = '\0';
	CHECK_INT(files_path(path, asked), -ENAMETOOLONG);
}

TEST(members_stay_inside)
{
	static const struct {
		const char *name, *want; /* NULL: leads out */
	} rows[] = {
		{ "a/b", "a/b" }, { "./a/./b/", "a/b" }, { "/etc/x", "etc/x" },
		{ "/../x", "x" }, { "a/../b", "b" },	 { "a/b/../../c", "c" },
		{ ".", "" },	  { "./", "" },		 { "/", "" },
		{ "a/..", "" },	  { "../x", NULL },	 { "a/../../x", NULL },
		{ "..", NULL },	  { "...", "..." },	 { ".wh.x", ".wh.x" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char path[PATH_MAX];
		int r = files_member(path, rows[i].name);

		if (rows[i].want) {
			CHECK_INT(r, 0);
			CHECK_STR(path, rows[i].want);
		} else {
			CHECK_MSG(r == -EINVAL, "%s does not lead out", rows[i].name);
		}
	}
}

TEST(modes_are_those_of_go)
{
	static const struct {
		mode_t mode;
		uint32_t go;
	} rows[] = {
		{ S_IFREG | 0644, 0644 },
		{ S_IFDIR | 0755, 0x80000000u | 0755 },
		{ S_IFDIR | S_ISVTX | 0777, 0x80000000u | 0x100000u | 0777 },
		{ S_IFLNK | 0777, 0x8000000u | 0777 },
		{ S_IFBLK | 0660, 0x4000000u | 0660 },
		{ S_IFCHR | 0666, 0x4000000u | 0x200000u | 0666 },
		{ S_IFIFO | 0600, 0x2000000u | 0600 },
		{ S_IFSOCK | 0700, 0x1000000u | 0700 },
		{ S_IFREG | S_ISUID | 0755, 0x800000u | 0755 },
		{ S_IFREG | S_ISGID | 0755, 0x400000u | 0755 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_INT(files_go_mode(rows[i].mode), rows[i].go);
}
