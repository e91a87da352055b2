/*
 * Volumes: names, creation and removal with restarts in between, damaged records, and copy-up
 * through the real worker process (this test program stands in for skerryd), with overlay mounts as
 * root.
 */
#include "engine/volume/volume.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "init/base/copy.h"
#include "engine/volume/inside.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "init/base/util.h"
#include "tests/unit/test.h"

/* `skerryd worker volume` is this very program. */
__attribute__((constructor)) static void be_the_worker(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "worker") == 0)
		_exit(volume_worker_main(argc - 2, argv + 2)); /* the leak check needs ptrace */
}

static char path_buf[600];

static const char *at(const char *rest)
{
	snprintf(path_buf, sizeof(path_buf), "%s/%s", test_tmpdir(), rest);
	return path_buf;
}

static void put(const char *rest, const char *text, mode_t mode)
{
	struct err e = { 0 };

	if (file_replace(AT_FDCWD, at(rest), text, strlen(text), mode, false, &e) < 0)
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
}

static void folder(const char *rest)
{
	struct err e = { 0 };

	if (dir_make(AT_FDCWD, at(rest), 0755, &e) < 0)
		test_fail(__FILE__, __LINE__, "%s", err_text(&e));
}

static const char *get(const char *rest)
{
	static char *text;
	size_t len;

	free(text);
	text = NULL;
	return file_read(AT_FDCWD, at(rest), 4096, &text, &len, NULL) < 0 ? "(none)" : text;
}

static bool there(const char *rest)
{
	struct stat st;

	return lstat(at(rest), &st) == 0;
}

TEST(names)
{
	static const char *const bad[] = { "",	      "a",  "../x", "a/b",
					   ".hidden", "-x", "a b",  "\xc3\xa4\xc3\xa4",
					   "/abs" };
	char long_name[300];
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_MSG(volume_name_check(bad[i], &e) == -EINVAL, "took \"%s\"", bad[i]);
	memset(long_name, 'v', sizeof(long_name));
	long_name[256] = '\0';
	CHECK_INT(volume_name_check(long_name, &e), -EINVAL);
	long_name[255] = '\0';
	CHECK_INT(volume_name_check(long_name, &e), 0);
	CHECK_INT(volume_name_check("my_data-1.old", &e), 0);
	CHECK_INT(volume_name_check("a/b", &e), -EINVAL);
	CHECK(strstr(err_text(&e), "\"a/b\" includes invalid characters for a local volume name"));
}

TEST(life)
{
	_cleanup_(volumes_free) struct volumes *vs = NULL;
	char *labels[] = { "a=b", NULL };
	struct volume_want want = { .name = "data", .labels = labels };
	const struct volume *v, *again;
	struct err e = { 0 };
	struct stat st;
	char anonymous[65];

	CHECK_INT(volumes_new(NULL, test_tmpdir(), &vs, &e), 0);
	CHECK_INT(volume_create(vs, &want, &v, &e), 0);
	CHECK_STR(v->name, "data");
	CHECK_STR(v->mountpoint, at("volumes/data/_data"));
	CHECK(v->created > 0 && !v->anonymous);
	CHECK(stat(v->mountpoint, &st) == 0 && (st.st_mode & 07777) == 0755);
	want.labels = NULL;
	CHECK_INT(volume_create(vs, &want, &again, &e), 0);
	CHECK(again == v && strv_has(v->labels, "a=b"));
	want.name = NULL;
	CHECK_INT(volume_create(vs, &want, &v, &e), 0);
	CHECK(v->anonymous && strlen(v->name) == 64 &&
	      strv_has(v->labels, "com.docker.volume.anonymous="));
	(void)str_copy(anonymous, sizeof(anonymous), v->name);
	put("volumes/data/_data/file", "content", 0644);
	/* a restart reads the same */
	volumes_free(take_ptr(vs));
	CHECK_INT(volumes_new(NULL, test_tmpdir(), &vs, &e), 0);
	CHECK_INT((long)volumes_count(vs), 2);
	CHECK_STR(volumes_at(vs, 0)->name, "data");
	CHECK(strv_has(volumes_at(vs, 0)->labels, "a=b"));
	CHECK_INT(volume_get(vs, anonymous, &v, &e), 0);
	CHECK(v->anonymous);
	/* removal */
	CHECK_INT(volume_remove(vs, "data", 1, "[abc]", &e), -EBUSY);
	CHECK_STR(err_text(&e), "remove data: volume is in use - [abc]");
	CHECK_INT(volume_remove(vs, "data", 0, NULL, &e), 0);
	CHECK(!there("volumes/data") && !there("volumes/.trash"));
	CHECK_INT(volume_get(vs, "data", &v, &e), -ENOENT);
	CHECK_STR(err_text(&e), "get data: no such volume");
	CHECK_INT(volume_remove(vs, "data", 0, NULL, &e), -ENOENT);
	CHECK_INT((long)volumes_count(vs), 1);
}

TEST(bad_wants)
{
	_cleanup_(volumes_free) struct volumes *vs = NULL;
	char *options[] = { "type=nfs", "device=:/x", "o=addr=h", NULL },
	     *wrong[] = { "foo=1", NULL };
	char *sized[] = { "size=10m", NULL };
	struct volume_want nfs = { .name = "ok", .driver = "nfs" },
			   opt = { .name = "ok", .options = options };
	struct volume_want name = { .name = "../etc" };
	const struct volume *v;
	struct err e = { 0 };
	int rc;

	CHECK_INT(volumes_new(NULL, test_tmpdir(), &vs, &e), 0);
	CHECK_INT(volume_create(vs, &nfs, &v, &e), -ENOENT);
	CHECK_STR(err_text(&e), "error looking up volume plugin nfs: plugin \"nfs\" not found");
	rc = volume_create(vs, &opt, &v, &e);
	CHECK_MSG(rc == -EOPNOTSUPP || rc == 0, "%s", err_text(&e)); /* as the host has it */
	opt.name = "ok2";
	opt.options = wrong;
	CHECK_INT(volume_create(vs, &opt, &v, &e), -EINVAL);
	CHECK(strstr(err_text(&e), "create ok2: invalid option: \"foo\""));
	opt.options = sized;
	rc = volume_create(vs, &opt, &v, &e);
	CHECK_MSG(rc == -EOPNOTSUPP || rc == 0, "%s", err_text(&e));
	CHECK_INT(volume_create(vs, &name, &v, &e), -EINVAL);
	CHECK(!there("volumes/ok2") || rc == 0);
}

TEST(another_drivers_name)
{
	_cleanup_(volumes_free) struct volumes *vs = NULL;
	struct volume_want want = { .name = "data" };
	const struct volume *v;
	struct err e = { 0 };

	CHECK_INT(volumes_new(NULL, test_tmpdir(), &vs, &e), 0);
	CHECK_INT(volume_create(vs, &want, &v, &e), 0);
	want.driver = "local";
	CHECK_INT(volume_create(vs, &want, &v, &e), 0);
	want.driver = "plug";
	CHECK_INT(volume_create(vs, &want, &v, &e), -EEXIST);
	CHECK(strstr(err_text(&e), "data already exists with the local driver"));
}

TEST(data_outlives_its_record)
{
	_cleanup_(volumes_free) struct volumes *vs = NULL;
	const struct volume *v;
	struct err e = { 0 };

	folder("volumes/damaged/_data");
	put("volumes/damaged/_data/precious", "x", 0644);
	put("volumes/damaged/volume.json", "{\"v\":", 0600);
	folder("volumes/lost/_data");
	put("volumes/lost/_data/precious", "y", 0644);
	folder("volumes/halfmade/_data");
	folder("volumes/.trash/123.old/_data");
	put("volumes/.trash/123.old/_data/x", "gone", 0644);
	CHECK_INT(volumes_new(NULL, test_tmpdir(), &vs, &e), 0);
	CHECK_INT((long)volumes_count(vs), 2);
	CHECK_INT(volume_get(vs, "damaged", &v, &e), 0);
	CHECK_INT(volume_get(vs, "lost", &v, &e), 0);
	CHECK_STR(get("volumes/damaged/_data/precious"), "x");
	CHECK(there("volumes/damaged/volume.json") && there("volumes/lost/volume.json"));
	CHECK(!there("volumes/halfmade") && !there("volumes/.trash/123.old"));
	volumes_free(take_ptr(vs));
	CHECK_INT(volumes_new(NULL, test_tmpdir(), &vs, &e), 0);
	CHECK_INT((long)volumes_count(vs), 2);
}

/* --- copying
 * -------------------------------------------------------------------------------------- */

static int copy(const char *from, const char *to, struct copy_totals *totals, struct err *e)
{
	int src = open(at(from), O_RDONLY | O_DIRECTORY),
	    dst = open(at(to), O_RDONLY | O_DIRECTORY);
	int rc = copy_tree(src, dst, totals, e);

	close(src);
	close(dst);
	return rc;
}

TEST(copy_keeps_everything)
{
	struct timespec old[2] = { { 1000, 5 }, { 2000, 7 } };
	struct copy_totals totals;
	struct err e = { 0 };
	struct stat st;
	char text[64];
	bool root = geteuid() == 0;

	folder("src/sub/deep");
	folder("dst");
	put("src/sub/file", "hello", 0640);
	put("src/tool", "#!", 0755);
	CHECK(symlink("/etc/passwd", at("src/link")) == 0);
	CHECK(mkfifo(at("src/pipe"), 0600) == 0);
	CHECK(chmod(at("src/tool"), 04755) == 0);
	CHECK(chmod(at("src"), 01777) == 0);
	if (root) {
		CHECK(lchown(at("src/sub/file"), 33, 34) == 0 &&
		      lchown(at("src/link"), 33, 34) == 0);
		CHECK(lchown(at("src"), 33, 34) == 0);
	}
	CHECK(setxattr(at("src/sub/file"), "user.note", "abc", 3, 0) == 0 || errno == EOPNOTSUPP);
	CHECK(utimensat(AT_FDCWD, at("src/sub/file"), old, 0) == 0 &&
	      utimensat(AT_FDCWD, at("src/sub"), old, 0) == 0);
	CHECK_MSG(copy("src", "dst", &totals, &e) == 0, "%s", err_text(&e));
	CHECK_INT((long)totals.entries, 6);
	CHECK_INT((long)totals.bytes, 7);
	CHECK_STR(get("dst/sub/file"), "hello");
	CHECK(stat(at("dst/sub/file"), &st) == 0 && (st.st_mode & 07777) == 0640 &&
	      st.st_mtim.tv_sec == 2000);
	CHECK(!root || (st.st_uid == 33 && st.st_gid == 34));
	CHECK(stat(at("dst/sub"), &st) == 0 && st.st_mtim.tv_sec == 2000);
	CHECK(stat(at("dst/tool"), &st) == 0 && (st.st_mode & 07777) == 04755);
	CHECK(stat(at("dst"), &st) == 0 && (st.st_mode & 07777) == 01777 &&
	      (!root || st.st_uid == 33));
	CHECK(readlink(at("dst/link"), text, sizeof(text)) == 11);
	CHECK(lstat(at("dst/pipe"), &st) == 0 && S_ISFIFO(st.st_mode));
	CHECK(getxattr(at("dst/sub/file"), "user.note", text, sizeof(text)) == 3 ||
	      errno == EOPNOTSUPP);
}

/* Links in the image and links in the volume lead nowhere. */
TEST(copy_follows_nothing)
{
	struct copy_totals totals;
	struct err e = { 0 };

	folder("outside");
	put("outside/victim", "safe", 0644);
	folder("src/dir");
	folder("dst");
	put("src/dir/victim", "evil", 0644);
	put("src/victim", "evil", 0644);
	CHECK(symlink("../outside/victim", at("dst/victim")) == 0);
	CHECK(symlink("../outside", at("dst/dir")) == 0);
	CHECK_MSG(copy("src", "dst", &totals, &e) == 0, "%s", err_text(&e));
	CHECK_STR(get("outside/victim"), "safe");
	CHECK_STR(get("dst/victim"), "evil");
	CHECK_STR(get("dst/dir/victim"), "evil");
}

TEST(copy_leaves_devices_out)
{
	struct copy_totals totals;
	struct err e = { 0 };

	folder("src");
	folder("dst");
	if (mknod(at("src/disk"), S_IFBLK | 0666, makedev(8, 0)) < 0) {
		printf("# skipped: cannot make devices\n");
		return;
	}
	CHECK(mknod(at("src/whiteout"), S_IFCHR, makedev(0, 0)) == 0);
	CHECK_INT(copy("src", "dst", &totals, &e), 0);
	CHECK_INT((long)totals.left_out, 2);
	CHECK(!there("dst/disk") && !there("dst/whiteout"));
}

TEST(copy_is_bounded_in_depth)
{
	struct copy_totals totals;
	struct err e = { 0 };
	int fd, next;

	folder("src");
	folder("dst");
	fd = open(at("src"), O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < COPY_DEPTH_MAX + 10; i++) {
		CHECK(mkdirat(fd, "d", 0755) == 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
		close(fd);
		fd = next;
	}
	close(fd);
	CHECK_INT(copy("src", "dst", &totals, &e), -ELOOP);
}

/* --- copy-up
 * -------------------------------------------------------------------------------------- */

struct wait {
	struct copy_up c;
	struct loop *loop;
	int calls, rc;
	struct err e;
};

static void filled(struct copy_up *c, int rc, const struct err *e)
{
	struct wait *w = container_of(c, struct wait, c);

	w->calls++;
	w->rc = rc;
	w->e = *e;
}

/* Waits for the end of a copy-up from the two layers l1 (below) and l2; 0 or its error. */
static int fill(struct volumes *vs, struct wait *w, const char *name, const char *path,
		int n_layers)
{
	char l1[600], l2[600];
	const char *layers[2] = { l1, l2 };
	int rc;

	snprintf(l1, sizeof(l1), "%s/l1", test_tmpdir());
	snprintf(l2, sizeof(l2), "%s/l2", test_tmpdir());
	w->c = (struct copy_up){ .done = filled };
	w->calls = 0;
	rc = volume_take(vs, w->loop,
			 &(struct volume_take){ .name = name,
						.user = "test",
						.copy = true,
						.layers = layers,
						.n_layers = (size_t)n_layers,
						.path = path },
			 &w->c, &w->e);
	if (rc < 0 || w->calls != 0)
		return rc < 0 ? rc : -EDEADLK;
	while (w->calls == 0)
		if (loop_once(w->loop, 20000) == 0)
			return -ETIMEDOUT;
	return w->rc;
}

static void make_layers(void)
{
	folder("l1/data/sub");
	folder("l2/data");
	folder("l2/etc");
	put("l1/data/a", "below", 0644);
	put("l1/data/sub/b", "below", 0644);
	put("l2/data/a", "above", 0644);
	put("l2/etc/passwd", "image", 0644);
	(void)!symlink("/etc", at("l2/escape"));
	(void)!symlink("/data/a", at("l2/tofile"));
	(void)chmod(at("l2/data"), 0700);
}

TEST(copy_up_fills_once)
{
	_cleanup_(loop_free) struct loop *loop = NULL; /* freed after the volumes */
	_cleanup_(volumes_free) struct volumes *vs = NULL;
	struct volume_want want = { .name = "vol" };
	struct wait w = { 0 };
	const struct volume *v;
	struct err e = { 0 };
	struct stat st;

	if (geteuid() != 0) {
		printf("# skipped: needs root\n");
		return;
	}
	CHECK_INT(loop_new(&loop, &e), 0);
	w.loop = loop;
	make_layers();
	CHECK_INT(volumes_new(loop, test_tmpdir(), &vs, &e), 0);
	CHECK_INT(volume_create(vs, &want, &v, &e), 0);
	CHECK_MSG(fill(vs, &w, "vol", "/nowhere", 2) == 0, "%s", err_text(&w.e));
	CHECK_MSG(fill(vs, &w, "vol", "/tofile", 2) == 0, "%s", err_text(&w.e));
	CHECK_MSG(fill(vs, &w, "vol", "/data", 2) == 0, "%s", err_text(&w.e));
	CHECK_STR(get("volumes/vol/_data/a"), "above");
	CHECK_STR(get("volumes/vol/_data/sub/b"), "below");
	CHECK(stat(v->mountpoint, &st) == 0 && (st.st_mode & 0777) == 0700);
	CHECK(!there("volumes/vol/copying"));
	/* not a second time */
	put("volumes/vol/_data/a", "mine", 0644);
	CHECK_INT(fill(vs, &w, "vol", "/data", 2), 0);
	CHECK_STR(get("volumes/vol/_data/a"), "mine");
	/* one that was cut off is completed */
	put("volumes/vol/copying", "", 0600);
	CHECK(unlink(at("volumes/vol/_data/sub/b")) == 0);
	CHECK_MSG(fill(vs, &w, "vol", "/data", 2) == 0, "%s", err_text(&w.e));
	CHECK_STR(get("volumes/vol/_data/sub/b"), "below");
	CHECK(!there("volumes/vol/copying"));
	/* a link in the image stays in the image */
	want.name = "etc";
	CHECK_INT(volume_create(vs, &want, &v, &e), 0);
	CHECK_MSG(fill(vs, &w, "etc", "/escape", 2) == 0, "%s", err_text(&w.e));
	CHECK_STR(get("volumes/etc/_data/passwd"), "image");
	/* one layer needs no overlay */
	want.name = "one";
	CHECK_INT(volume_create(vs, &want, &v, &e), 0);
	CHECK_MSG(fill(vs, &w, "one", "data", 1) == 0, "%s", err_text(&w.e));
	CHECK_STR(get("volumes/one/_data/a"), "below");
	/* and it can be removed, in the background */
	CHECK_INT(volume_remove(vs, "one", 0, NULL, &e), 0);
	CHECK(!there("volumes/one"));
	while (access(at("volumes/.trash"), F_OK) == 0 && rmdir(at("volumes/.trash")) < 0)
		CHECK(loop_once(loop, 20000) > 0);
}

static int take(struct volumes *vs, struct loop *loop, const char *name, const char *const *layers,
		struct copy_up *c, struct err *e)
{
	return volume_take(vs, loop,
			   &(struct volume_take){ .name = name,
						  .user = "test",
						  .copy = true,
						  .layers = layers,
						  .n_layers = 1,
						  .path = "/data" },
			   c, e);
}

TEST(copy_up_cancelled)
{
	_cleanup_(loop_free) struct loop *loop = NULL; /* freed after the volumes */
	_cleanup_(volumes_free) struct volumes *vs = NULL;
	struct volume_want want = { .name = "vol" };
	struct wait w = { .c = { .done = filled } };
	const struct volume *v;
	struct err e = { 0 };
	const char *layers[1];
	char l1[600];

	CHECK_INT(loop_new(&loop, &e), 0);
	make_layers();
	snprintf(l1, sizeof(l1), "%s/l1", test_tmpdir());
	layers[0] = l1;
	CHECK_INT(volumes_new(loop, test_tmpdir(), &vs, &e), 0);
	CHECK_INT(volume_create(vs, &want, &v, &e), 0);
	CHECK_INT(take(vs, loop, "nope", layers, &w.c, &e), -ENOENT);
	CHECK(!w.c.job);
	CHECK_INT(take(vs, loop, "vol", layers, &w.c, &e), 0);
	CHECK(w.c.job);
	copy_up_cancel(&w.c);
	copy_up_cancel(&w.c);
	put("volumes/vol/_data/x", "x", 0644);
	CHECK_INT(take(vs, loop, "vol", layers, &w.c, &e), 0);
	copy_up_cancel(&w.c); /* the one that has nothing to do */
	(void)loop_once(loop, 0);
	CHECK_INT(w.calls, 0);
}
