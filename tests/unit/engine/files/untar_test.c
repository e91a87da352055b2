/*
 * Archives into a tree that is in use: merging, replacing, links that lead elsewhere in the tree
 * but never out of it, owners, times, what a member must not be. Each runs in a child whose root is
 * the test's, as in the worker. Runs as root.
 */
#include "engine/files/untar.h"

#include "tests/unit/engine/files/rig.h"

struct job {
	struct memory m;
	struct untar_config cfg;
	const char *dest;
	const char *want; /* the error, NULL: none */
};

static int run(void *data)
{
	struct job *j = data;
	struct untar_result result;
	struct err e = { 0 };
	int r;

	j->cfg.dest = open(j->dest, O_PATH | O_DIRECTORY | O_CLOEXEC);
	j->cfg.dest_name = j->dest;
	r = untar(&j->m.source, &j->cfg, &result, &e);
	if (r == 0 && !j->want)
		return 0;
	if (j->want && r < 0 && strstr(err_text(&e), j->want))
		return 0;
	printf("# \"%s\", not \"%s\"\n", r < 0 ? err_text(&e) : "", j->want ? j->want : "");
	fflush(stdout);
	return 1;
}

#define JOB(name, where)                                                                 \
	struct job name = { .m = { .source = { .read = memory_read } }, .dest = where }; \
	struct buf *tar = &name.m.data

/* Ends the archive and unpacks it. */
static bool done(int root, struct job *j)
{
	int r;

	tb_end(&j->m.data);
	r = rig_inside(root, run, j);
	buf_free(&j->m.data);
	return r == 0;
}

static struct stat look(int dir, const char *path)
{
	struct stat st = { 0 };

	(void)fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW);
	return st;
}

TEST(members_are_made_with_owner_mode_and_time)
{
	_cleanup_(fd_close) int root = rig_dir("root");
	struct stat st;
	JOB(j, "/");

	tb_add(tar, (struct member){
			    .type = '5', .name = "a/d", .mode = 01770, .uid = 5, .mtime = 1000 });
	tb_add(tar, (struct member){ .name = "a/d/f",
				     .data = "text",
				     .mode = 04755,
				     .uid = 7,
				     .gid = 8,
				     .mtime = 2000 });
	tb_symlink(tar, "a/l", "../../../etc/x");
	tb_hardlink(tar, "a/h", "a/d/f");
	tb_add(tar, (struct member){ .type = '6', .name = "a/p", .mode = 0600 });
	tb_add(tar, (struct member){ .type = '3', .name = "a/c", .major = 1, .minor = 3 });
	CHECK(done(root, &j));
	CHECK_STR(rig_read(root, "a/d/f"), "text");
	st = look(root, "a"); /* not described: root's */
	CHECK_INT(st.st_mode, S_IFDIR | 0755);
	CHECK_INT((int)st.st_uid, 0);
	st = look(root, "a/d");
	CHECK_INT(st.st_mode, S_IFDIR | 01770);
	CHECK_INT((int)st.st_uid, 5);
	CHECK_INT(st.st_mtim.tv_sec, 1000); /* although f came later */
	st = look(root, "a/h");
	CHECK_INT(st.st_mode, S_IFREG | 04755);
	CHECK_INT((int)st.st_uid, 7);
	CHECK_INT((int)st.st_gid, 8);
	CHECK_INT(st.st_mtim.tv_sec, 2000);
	CHECK_INT((int)st.st_nlink, 2);
	CHECK(S_ISLNK(look(root, "a/l").st_mode) && S_ISFIFO(look(root, "a/p").st_mode) &&
	      S_ISCHR(look(root, "a/c").st_mode));
}

TEST(what_is_there_is_merged_or_replaced)
{
	_cleanup_(fd_close) int root = rig_dir("root");
	JOB(j, "/dest");

	close(rig_dir("root/dest/dir/old"));
	close(rig_dir("root/dest/becomes_file"));
	rig_file(root, "dest/dir/kept", "kept");
	rig_file(root, "dest/file", "old");
	rig_file(root, "dest/becomes_file/x", "x");
	rig_file(root, "dest/becomes_dir", "x");
	CHECK(symlinkat("file", root, "dest/link") == 0);
	tb_add(tar, (struct member){ .type = '5', .name = "./", .mode = 0700 });
	tb_add(tar, (struct member){ .type = '5', .name = "dir", .mode = 0711 });
	tb_file(tar, "dir/new", "new");
	tb_file(tar, "file", "replaced");
	tb_file(tar, "link", "no link any more");
	tb_file(tar, "becomes_file", "f");
	tb_dir(tar, "becomes_dir");
	tb_file(tar, ".wh.kept", "no whiteout");
	CHECK(done(root, &j));
	CHECK_STR(rig_read(root, "dest/dir/kept"), "kept");
	CHECK_STR(rig_read(root, "dest/dir/new"), "new");
	CHECK_STR(rig_read(root, "dest/file"), "replaced");
	CHECK_STR(rig_read(root, "dest/link"), "no link any more");
	CHECK_STR(rig_read(root, "dest/becomes_file"), "f");
	CHECK_STR(rig_read(root, "dest/.wh.kept"), "no whiteout");
	CHECK_INT(look(root, "dest/dir").st_mode, S_IFDIR | 0711);
	CHECK_INT(look(root, "dest").st_mode, S_IFDIR | 0755);
	CHECK(S_ISDIR(look(root, "dest/becomes_dir").st_mode) &&
	      S_ISDIR(look(root, "dest/dir/old").st_mode));
}

TEST(kinds_are_kept_when_asked_for)
{
	_cleanup_(fd_close) int root = rig_dir("root");

	close(rig_dir("root/dest/dir"));
	rig_file(root, "dest/file", "old");
	for (int i = 0; i < 2; i++) {
		JOB(j, "/dest");

		j.cfg.keep_kind = true;
		if (i == 0) {
			tb_file(tar, "dir", "x");
			j.want = "cannot overwrite directory \"dir\" with non-directory \"/dest\"";
		} else {
			tb_dir(tar, "file");
			j.want = "cannot overwrite non-directory \"file\" with directory \"/dest\"";
		}
		CHECK(done(root, &j));
	}
	CHECK_STR(rig_read(root, "dest/file"), "old");
}

TEST(owners_are_replaced_when_asked_for)
{
	_cleanup_(fd_close) int root = rig_dir("root");
	JOB(j, "/");

	j.cfg.own = true;
	j.cfg.uid = 1234;
	j.cfg.gid = 99;
	tb_add(tar, (struct member){ .name = "f", .data = "x", .uid = 7 });
	tb_symlink(tar, "l", "f");
	CHECK(done(root, &j));
	CHECK_INT((int)look(root, "f").st_uid, 1234);
	CHECK_INT((int)look(root, "f").st_gid, 99);
	CHECK_INT((int)look(root, "l").st_uid, 1234);
}

/* threats rows 33 and 39: links of the container or of the archive lead somewhere inside the root,
 * and nowhere else. */
TEST(links_lead_as_far_as_the_root)
{
	_cleanup_(fd_close) int root = rig_dir("root"), out = rig_dir("out");
	JOB(j, "/dest");

	close(rig_dir("root/dest"));
	close(rig_dir("root/run"));
	close(rig_dir("root/out"));
	rig_file(out, "victim", "safe");
	CHECK(symlinkat("/run", root, "dest/absolute") == 0);
	CHECK(symlinkat("../../../../../../../../out", root, "dest/relative") == 0);
	tb_file(tar, "absolute/a", "a");
	tb_file(tar, "relative/b", "b");
	tb_symlink(tar, "mine", "/run");
	tb_file(tar, "mine/c", "c");
	tb_hardlink(tar, "hard", "relative/b");
	CHECK(done(root, &j));
	CHECK_STR(rig_read(root, "run/a"), "a");
	CHECK_STR(rig_read(root, "out/b"), "b");
	CHECK_STR(rig_read(root, "run/c"), "c");
	CHECK_STR(rig_read(root, "dest/hard"), "b");
	CHECK_STR(rig_read(out, "victim"), "safe");
	CHECK_STR(rig_read(out, "b"), "(none)");
}

TEST(what_leads_out_is_refused)
{
	static const struct {
		struct member m;
		const char *want;
	} rows[] = {
		{ { .name = "../x", .data = "x" }, "\"../x\" is outside of \"/dest\"" },
		{ { .name = "a/../../x", .data = "x" }, "is outside of \"/dest\"" },
		{ { .type = '1', .name = "h", .link = "../victim" }, "invalid hardlink" },
		{ { .type = '1', .name = "h", .link = "/" }, "invalid hardlink" },
		{ { .type = '1', .name = "h", .link = "none" }, "the hard link's target \"none\"" },
		{ { .type = '1', .name = "h", .link = "sub" }, "cannot make the hard link" },
		{ { .name = "sub/f/x", .data = "x" }, "cannot enter sub/f" },
	};
	_cleanup_(fd_close) int root = rig_dir("root");

	close(rig_dir("root/dest/sub"));
	rig_file(root, "victim", "safe");
	rig_file(root, "dest/sub/f", "f");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		JOB(j, "/dest");

		tb_add(tar, rows[i].m);
		j.want = rows[i].want;
		CHECK_MSG(done(root, &j), "row %zu", i);
		CHECK(look(root, "dest/h").st_mode == 0 && look(root, "x").st_mode == 0);
	}
	CHECK_STR(rig_read(root, "victim"), "safe");
}

/* threats row 35: no member changes the mode of a file outside. */
TEST(modes_outside_stay)
{
	_cleanup_(fd_close) int root = rig_dir("root"), out = rig_dir("out");
	JOB(j, "/");

	rig_file(out, "victim", "safe");
	CHECK(fchmodat(out, "victim", 0600, 0) == 0);
	CHECK(symlinkat("../out/victim", root, "link") == 0);
	tb_symlink(tar, "made", "../out/victim");
	tb_hardlink(tar, "hard", "link");
	tb_add(tar, (struct member){ .name = "hard", .data = "x", .mode = 0777 });
	tb_add(tar, (struct member){ .name = "made", .data = "x", .mode = 0777 });
	CHECK(done(root, &j));
	CHECK_INT(look(out, "victim").st_mode, S_IFREG | 0600);
	CHECK_STR(rig_read(out, "victim"), "safe");
}

TEST(a_cut_archive_leaves_the_old_file)
{
	_cleanup_(fd_close) int root = rig_dir("root");
	char big[9000];
	JOB(j, "/");

	memset(big, 'x', sizeof(big));
	rig_file(root, "f", "old");
	tb_add(tar, (struct member){ .name = "f", .data = big, .size = sizeof(big) });
	tar->len = 5000;
	j.want = "f: ";
	CHECK_INT(rig_inside(root, run, &j), 0);
	CHECK_STR(rig_read(root, "f"), "old");
	buf_free(tar);
}
