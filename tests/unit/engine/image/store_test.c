/*
 * The store with its workers: loads in every form, restart, damage, names, removal, cancel, full
 * disk.
 *
 * Archives are crafted by imagetar.h; operations run through rig.h, with real worker processes.
 * Nothing sleeps: the loop waits for the workers' ends.
 */
#include "engine/image/image.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "tests/unit/engine/image/imagetar.h"
#include "tests/unit/engine/image/rig.h"

static const char config_json[] =
	"{\"Cmd\":[\"httpd\",\"-f\"],\"Entrypoint\":[\"/bin/busybox\"],\"Env\":[\"A=1\",\"PATH=/"
	"bin\"],"
	"\"WorkingDir\":\"/www\",\"User\":\"1000:1000\",\"ExposedPorts\":{\"80/"
	"tcp\":{}},\"Volumes\":{\"/data\":{}},"
	"\"Labels\":{\"a\":\"b\"},\"StopSignal\":\"SIGINT\",\"Healthcheck\":{\"Test\":[\"CMD\","
	"\"true\"],"
	"\"Interval\":3000000000,\"Retries\":2},\"Shell\":[\"/bin/sh\",\"-c\"],\"OnBuild\":[\"RUN "
	"x\"]}";

static char *read_in(const char *dir, const char *name)
{
	char path[512], *text = NULL;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)file_read(AT_FDCWD, path, 1 << 20, &text, NULL, NULL);
	return text;
}

static bool holds(const char *dir, const char *name, const char *want)
{
	char *text = read_in(dir, name);
	bool same = str_eq(text, want);

	free(text);
	return same;
}

TEST(docker_archive_from_a_file)
{
	struct buf archive;
	char id[DIGEST_TEXT_MAX];
	const struct image *img;
	struct err e = { 0 };
	struct rig_op o;
	struct rig r;
	char **lower;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "web:1", config_json, id);
	CHECK_MSG(rig_load(&r, &archive, &o) == 0, "%s", err_text(&o.err));
	CHECK_STR(o.lines, "Loaded image: web:1\n");
	CHECK_STR(o.changes, "loaded web:1\n");
	img = images_find(r.images, "web:1", &e);
	CHECK_MSG(img, "%s", err_text(&e));
	CHECK_STR(img->id, id);
	CHECK_STR(img->config.cmd[1], "-f");
	CHECK_STR(img->config.entrypoint[0], "/bin/busybox");
	CHECK_STR(img->config.env[1], "PATH=/bin");
	CHECK_STR(img->config.working_dir, "/www");
	CHECK_STR(img->config.user, "1000:1000");
	CHECK_STR(img->config.exposed_ports[0], "80/tcp");
	CHECK_STR(img->config.volumes[0], "/data");
	CHECK_STR(pairs_get(&img->config.labels, "a"), "b");
	CHECK_STR(img->config.stop_signal, "SIGINT");
	CHECK_INT(img->config.health->retries, 2);
	CHECK_INT(img->config.health->interval, 3000000000);
	CHECK_STR(img->config.shell[1], "-c");
	CHECK_STR(img->created, "2024-05-06T07:08:09Z");
	CHECK_INT(img->n_layers, 2);
	CHECK_INT(img->size, 17);
	CHECK_INT(img->n_history, 2);
	lower = image_lower_dirs(img);
	CHECK(lower && strv_len(lower) == 2);
	CHECK(holds(lower[0], "top", "top text"));
	CHECK(holds(lower[1], "base", "base text"));
	strv_free(lower);
	CHECK(rig_swept(&r));
	CHECK_INT(rig_count(&r, "blobs/sha256"), 3); /* config and two layers */
	buf_free(&archive);
	rig_free(&r);
}

TEST(docker_archive_from_a_pipe)
{
	struct buf archive;
	char id[DIGEST_TEXT_MAX];
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "web", NULL, id);
	CHECK_MSG(rig_load_pipe(&r, &archive, &o) == 0, "%s", err_text(&o.err));
	CHECK_STR(o.changes, "loaded web:latest\n");
	CHECK(rig_swept(&r));
	CHECK_INT(rig_count(&r, "blobs/sha256"), 3);
	CHECK_INT(rig_count(&r, "layers"), 2);
	buf_free(&archive);
	rig_free(&r);
}

TEST(blobs_are_not_kept_in_memory)
{
	struct buf archive;
	char id[DIGEST_TEXT_MAX];
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	r.cfg.keep_blobs = IMAGE_KEEP_NO;
	CHECK(rig_restart(&r) == 0);
	two_layers(&archive, "web", NULL, id);
	CHECK_MSG(rig_load_pipe(&r, &archive, &o) == 0, "%s", err_text(&o.err));
	CHECK(rig_swept(&r));
	CHECK_INT(rig_count(&r, "blobs/sha256"), 1);
	CHECK(!images_find(r.images, "web", NULL)->layers[0].blob_kept);
	buf_free(&archive);
	rig_free(&r);
}

/* Every compression of layers, in an OCI layout, the whole archive compressed as well, from file
 * and pipe. */
TEST(oci_layouts_in_all_compressions)
{
	static const char *const texts[] = { "none", "gzip", "zstd", "xz" };
	struct rig r;

	CHECK(rig_new(&r) == 0);
	for (int how = IT_PLAIN; how <= IT_XZ; how++) {
		struct it_layer layer = it_simple("file", texts[how], how);
		struct buf plain = BUF_INIT(64 << 20), packed = BUF_INIT(64 << 20);
		char id[DIGEST_TEXT_MAX], name[32];
		const struct image *img;
		struct rig_op o;

		snprintf(name, sizeof(name), "example.com/oci:%d", how);
		it_oci(&plain, &(struct it_image){ &layer, 1, NULL, name }, id);
		tb_end(&plain);
		it_compress(&packed, plain.data, plain.len, how);
		CHECK_MSG(rig_load(&r, &packed, &o) == 0, "%d: %s", how, err_text(&o.err));
		CHECK_MSG(rig_load_pipe(&r, &packed, &o) == 0, "%d: %s", how, err_text(&o.err));
		img = images_find(r.images, name, NULL);
		CHECK(img && str_eq(img->id, id) && img->manifest);
		CHECK_STR(img->layers[0].media_type, layer.media_type);
		CHECK_STR(img->layers[0].blob, layer.digest);
		CHECK_INT(img->layers[0].blob_size, (long long)layer.blob.len);
		CHECK(strv_len(img->digests) == 1 &&
		      str_starts(img->digests[0], "example.com/oci@sha256:"));
		CHECK(images_find(r.images, img->digests[0], NULL) == img);
		buf_free(&plain);
		buf_free(&packed);
		it_layer_free(&layer);
	}
	rig_free(&r);
}

TEST(survives_a_restart)
{
	struct buf archive;
	char id[DIGEST_TEXT_MAX], prefix[20];
	const struct image *img;
	struct err e = { 0 };
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "localhost:5000/team/web:v1.2", config_json, id);
	CHECK_MSG(rig_load(&r, &archive, &o) == 0, "%s", err_text(&o.err));
	CHECK(images_tag(r.images, "localhost:5000/team/web:v1.2", "other", &e) == 0);
	CHECK(rig_restart(&r) == 0);
	CHECK_INT(images_count(r.images), 1);
	img = images_find(r.images, "other", &e);
	CHECK_MSG(img, "%s", err_text(&e));
	CHECK_STR(img->id, id);
	CHECK_INT(strv_len(img->tags), 2);
	snprintf(prefix, sizeof(prefix), "%.12s", digest_hex(id));
	CHECK(images_find(r.images, prefix, NULL) == img);
	CHECK(images_find(r.images, id, NULL) == img);
	CHECK(images_find(r.images, digest_hex(id), NULL) == img);
	CHECK(rig_swept(&r));
	CHECK_INT(rig_count(&r, "layers"), 2);
	buf_free(&archive);
	rig_free(&r);
}

TEST(not_found_in_dockers_words)
{
	struct err e = { 0 };
	struct rig r;

	CHECK(rig_new(&r) == 0);
	CHECK(!images_find(r.images, "nope", &e));
	CHECK_INT(e.code, ENOENT);
	CHECK_STR(err_text(&e), "No such image: nope:latest");
	CHECK(!images_find(r.images, "docker.io/library/nope:3", &e));
	CHECK_STR(err_text(&e), "No such image: nope:3");
	CHECK(!images_find(r.images, "UPPER", &e));
	CHECK_INT(e.code, EINVAL);
	CHECK(!images_find(r.images, "../../etc/passwd", &e));
	CHECK_INT(e.code, EINVAL);
	rig_free(&r);
}

TEST(many_images_share_layers)
{
	struct it_layer layers[] = { it_simple("base", "base", IT_PLAIN),
				     it_simple("a", "a", IT_PLAIN) };
	struct buf archive = BUF_INIT(64 << 20), config[2] = { { 0 }, { 0 } }, manifest = { 0 };
	char id[2][DIGEST_TEXT_MAX];
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	it_config(&config[0], layers, 1, NULL, id[0]);
	it_config(&config[1], layers, 2, NULL, id[1]);
	it_member(&archive, "one.json", &config[0]);
	it_member(&archive, "two.json", &config[1]);
	it_member(&archive, "base.tar", &layers[0].blob);
	it_member(&archive, "x/layer.tar", &layers[1].blob);
	tb_symlink(&archive, "y/layer.tar", "../base.tar");
	buf_printf(&manifest,
		   "[{\"Config\":\"one.json\",\"RepoTags\":[\"one\"],\"Layers\":[\"base.tar\"]},"
		   "{\"Config\":\"two.json\",\"RepoTags\":[\"two:1\",\"two:2\"],\"Layers\":[\"y/"
		   "layer.tar\",\"x/layer.tar\"]}]");
	it_member(&archive, "manifest.json", &manifest);
	tb_end(&archive);
	CHECK_MSG(rig_load(&r, &archive, &o) == 0, "%s", err_text(&o.err));
	CHECK_STR(o.changes, "loaded one:latest\nloaded two:1\nloaded two:2\n");
	CHECK(rig_swept(&r));
	CHECK_INT(rig_count(&r, "layers"), 2);
	CHECK_INT(images_count(r.images), 2);
	/* removing one leaves the shared layer */
	rig_prepare(&o);
	CHECK(images_remove(r.images, "two:1", 0, &o.op, &o.err) == 0 && rig_wait(&r, &o) == 0);
	CHECK_STR(o.changes, "untagged two:1\n");
	rig_prepare(&o);
	CHECK(images_remove(r.images, "two:2", 0, &o.op, &o.err) == 0 && rig_wait(&r, &o) == 0);
	CHECK_STR(o.changes, "untagged two:2\ndeleted -\nlayer -\n");
	CHECK_INT(o.op.freed, 1);
	CHECK_INT(rig_count(&r, "layers"), 1);
	CHECK_INT(rig_count(&r, "tmp"), 0); /* the space is free when done() came */
	CHECK_INT(rig_count(&r, "blobs/sha256"), 2);
	CHECK(images_find(r.images, "one", NULL));
	rig_prepare(&o);
	CHECK(images_remove(r.images, id[0], 0, &o.op, &o.err) == 0 && rig_wait(&r, &o) == 0);
	CHECK_INT(rig_count(&r, "layers") + rig_count(&r, "blobs/sha256") + rig_count(&r, "refs"),
		  0);
	buf_free(&archive);
	buf_free(&manifest);
	for (int i = 0; i < 2; i++) {
		buf_free(&config[i]);
		it_layer_free(&layers[i]);
	}
	rig_free(&r);
}

TEST(a_name_moves)
{
	struct buf first, second;
	char id[2][DIGEST_TEXT_MAX];
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&first, "web", NULL, id[0]);
	two_layers(&second, "web", config_json, id[1]);
	CHECK(rig_load(&r, &first, &o) == 0 && rig_load(&r, &second, &o) == 0);
	CHECK_STR(o.changes, "untagged web:latest\nloaded web:latest\n");
	CHECK_STR(images_find(r.images, "web", NULL)->id, id[1]);
	CHECK(!images_find(r.images, id[0], NULL)->tags ||
	      !images_find(r.images, id[0], NULL)->tags[0]);
	CHECK(rig_restart(&r) == 0);
	CHECK_STR(images_find(r.images, "web", NULL)->id, id[1]);
	CHECK(images_find(r.images, id[0], NULL));
	buf_free(&first);
	buf_free(&second);
	rig_free(&r);
}

/* ---- damage ---- */

static int spoil_one(int dirfd, const char *name, void *data, struct err *e)
{
	const char *prefix = data;

	if (!str_starts(name, prefix) || str_ends(name, ".bad"))
		return 0;
	return file_replace(dirfd, name, "{\"half", 6, 0600, false, e);
}

static void spoil(const struct rig *r, const char *folder, const char *prefix)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", r->dir, folder);
	(void)dir_each(AT_FDCWD, path, 100, spoil_one, (void *)(uintptr_t)prefix, NULL);
}

TEST(damage_is_put_aside)
{
	/* what is spoiled: a record of an image, of a name, a config blob, a layer's record */
	static const struct {
		const char *folder, *prefix;
		bool image, name;
	} cases[] = {
		{ "refs", "i-", false, false },
		{ "refs", "n-", true, false },
		{ "blobs/sha256", "", false, false },
		{ "layers/*", "layer.json", false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf archive;
		char id[DIGEST_TEXT_MAX], folder[128];
		struct rig_op o;
		struct rig r;

		CHECK(rig_new(&r) == 0);
		two_layers(&archive, "web", NULL, id);
		CHECK(rig_load(&r, &archive, &o) == 0);
		snprintf(folder, sizeof(folder), "%s", cases[i].folder);
		if (str_ends(folder, "*"))
			snprintf(
				folder, sizeof(folder), "layers/%s",
				digest_hex(images_find(r.images, "web", NULL)->layers[1].chain_id));
		spoil(&r, folder, cases[i].prefix);
		log_set_level(0); /* the errors are expected */
		CHECK(rig_restart(&r) == 0);
		log_set_level(LOG_ERROR);
		CHECK_MSG(!images_find(r.images, id, NULL) == !cases[i].image, "case %zu", i);
		CHECK_MSG(!images_find(r.images, "web", NULL) == !cases[i].name, "case %zu", i);
		/* loading again heals, and the next start is clean */
		CHECK_MSG(rig_load(&r, &archive, &o) == 0, "case %zu: %s", i, err_text(&o.err));
		CHECK(rig_restart(&r) == 0);
		CHECK_MSG(images_find(r.images, "web", NULL), "case %zu", i);
		CHECK(rig_swept(&r));
		CHECK_INT(rig_count(&r, "layers"), 2);
		buf_free(&archive);
		rig_free(&r);
		CHECK(tree_remove(AT_FDCWD, r.dir, NULL) == 0);
	}
}

TEST(left_overs_of_a_crash_are_wiped)
{
	struct buf archive;
	char id[DIGEST_TEXT_MAX], path[600];
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "web", NULL, id);
	CHECK(rig_load(&r, &archive, &o) == 0 && rig_swept(&r));
	snprintf(path, sizeof(path), "%s/tmp/job/l0/fs/deep/er", r.dir);
	CHECK(dir_make(AT_FDCWD, path, 0700, NULL) == 0);
	snprintf(path, sizeof(path), "%s/layers/%064d/fs", r.dir, 7);
	CHECK(dir_make(AT_FDCWD, path, 0700, NULL) == 0);
	snprintf(path, sizeof(path), "%s/blobs/sha256/%064d", r.dir, 7);
	CHECK(file_replace(AT_FDCWD, path, "x", 1, 0600, false, NULL) == 0);
	CHECK(rig_restart(&r) == 0 && rig_swept(&r));
	CHECK_INT(rig_count(&r, "layers"), 2);
	CHECK_INT(rig_count(&r, "blobs/sha256"), 3);
	CHECK(images_find(r.images, "web", NULL));
	buf_free(&archive);
	rig_free(&r);
}

/* ---- what goes wrong on the way ---- */

TEST(two_loads_of_one_image_at_once)
{
	struct rig_feed feeds[2];
	struct rig_op ops[2];
	struct buf archive;
	char id[DIGEST_TEXT_MAX];
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "web", NULL, id);
	for (int i = 0; i < 2; i++)
		CHECK(rig_start_pipe(&r, &archive, archive.len, &feeds[i], &ops[i]) == 0);
	for (int i = 0; i < 2; i++)
		CHECK_MSG(rig_wait(&r, &ops[i]) == 0, "%s", err_text(&ops[i].err));
	CHECK_INT(images_count(r.images), 1);
	CHECK(rig_swept(&r));
	CHECK_INT(rig_count(&r, "layers"), 2);
	CHECK(rig_restart(&r) == 0);
	CHECK(images_find(r.images, "web", NULL));
	buf_free(&archive);
	rig_free(&r);
}

TEST(more_loads_than_jobs_wait_their_turn)
{
	enum { LOADS = 5 };
	struct rig_feed feeds[LOADS];
	struct rig_op ops[LOADS];
	struct buf archives[LOADS];
	char id[DIGEST_TEXT_MAX], name[16];
	struct rig r;

	CHECK(rig_new(&r) == 0);
	for (int i = 0; i < LOADS; i++) {
		snprintf(name, sizeof(name), "web:%d", i);
		two_layers(&archives[i], name, NULL, id);
		CHECK(rig_start_pipe(&r, &archives[i], archives[i].len, &feeds[i], &ops[i]) == 0);
	}
	for (int i = 0; i < LOADS; i++)
		CHECK_MSG(rig_wait(&r, &ops[i]) == 0, "%s", err_text(&ops[i].err));
	CHECK_INT(strv_len(images_find(r.images, "web:3", NULL)->tags), LOADS);
	for (int i = 0; i < LOADS; i++)
		buf_free(&archives[i]);
	rig_free(&r);
}

TEST(a_cut_stream_leaves_nothing)
{
	struct rig_feed feed;
	struct rig_op o;
	struct buf archive;
	char id[DIGEST_TEXT_MAX];
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "web", NULL, id);
	for (size_t stop = 100; stop < archive.len - 1024; stop += 700) {
		CHECK(rig_start_pipe(&r, &archive, stop, &feed, &o) == 0);
		CHECK_INT(rig_wait(&r, &o), -EINVAL);
		CHECK_INT(rig_count(&r, "tmp") + rig_count(&r, "layers") +
				  rig_count(&r, "blobs/sha256"),
			  0);
	}
	CHECK_INT(images_count(r.images), 0);
	buf_free(&archive);
	rig_free(&r);
}

TEST(cancel_gives_everything_back)
{
	struct rig_feed feed;
	struct rig_op o;
	struct buf archive;
	char id[DIGEST_TEXT_MAX];
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "web", NULL, id);
	CHECK(rig_start_pipe(&r, &archive, archive.len / 2, &feed, &o) == 0);
	while (rig_count(&r, "tmp") == 0) /* the job has its folder */
		CHECK(loop_once(r.loop, 10000) > 0);
	image_op_cancel(&o.op);
	CHECK(!o.done);
	CHECK(rig_swept(&r));
	io_remove(&feed.io);
	/* the next load is not held up */
	CHECK_MSG(rig_load(&r, &archive, &o) == 0, "%s", err_text(&o.err));
	buf_free(&archive);
	rig_free(&r);
}

TEST(closing_the_store_ends_its_operations)
{
	struct rig_feed feed;
	struct rig_op o;
	struct buf archive;
	char id[DIGEST_TEXT_MAX];
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "web", NULL, id);
	CHECK(rig_start_pipe(&r, &archive, archive.len / 2, &feed, &o) == 0);
	CHECK(loop_once(r.loop, 10000) > 0);
	images_free(r.images);
	r.images = NULL;
	CHECK(o.done);
	CHECK_INT(o.result, -ECANCELED);
	buf_free(&archive);
	rig_free(&r);
}

/* On a file system of 1 MiB of its own: a load that does not fit fails, and gives back what it
 * took. */
static int full_disk(void)
{
	char noise[4096], name[32], path[300];
	struct buf tar = BUF_INIT(64 << 20), archive = BUF_INIT(64 << 20), small;
	char id[DIGEST_TEXT_MAX];
	struct it_layer layer;
	struct rig_op o;
	struct rig r;
	unsigned x = 1;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	snprintf(path, sizeof(path), "%s/images", test_tmpdir());
	if (mkdir(path, 0700) < 0 || mount("none", path, "tmpfs", 0, "size=1m") < 0)
		return 77;
	for (int i = 0; i < 500; i++) {
		for (size_t k = 0; k < sizeof(noise); k++)
			noise[k] = (char)((x = x * 1103515245 + 12345) >> 16);
		snprintf(name, sizeof(name), "f%d", i);
		tb_add(&tar, (struct member){ .name = name, .data = noise, .size = sizeof(noise) });
	}
	layer = it_layer(&tar, IT_PLAIN);
	it_docker(&archive, &(struct it_image){ &layer, 1, NULL, "large" }, true, id);
	tb_end(&archive);
	if (rig_new(&r) < 0)
		return 1;
	if (rig_load_pipe(&r, &archive, &o) != -ENOSPC ||
	    !strstr(err_text(&o.err), "No space left"))
		return 2;
	if (rig_count(&r, "tmp") || rig_load(&r, &archive, &o) != -ENOSPC || rig_count(&r, "tmp"))
		return 3;
	two_layers(&small, "web", NULL, id);
	if (rig_load(&r, &small, &o) != 0 || !images_find(r.images, "web", NULL))
		return 4;
	rig_free(&r);
	buf_free(&archive);
	buf_free(&small);
	it_layer_free(&layer);
	umount2(path, MNT_DETACH);
	return 0;
}

TEST(full_disk_in_the_middle)
{
	const char *tmp = test_tmpdir();
	pid_t pid = fork();
	int status;

	CHECK(tmp && pid >= 0);
	if (pid == 0)
		_exit(full_disk());
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		printf("# SKIP: no mounts here\n");
	else
		CHECK_INT(WEXITSTATUS(status), 0);
}

/* ---- layers on top of each other ---- */

TEST(opaque_and_implied_directories)
{
	struct buf base = { 0 }, top = { 0 }, archive = BUF_INIT(64 << 20);
	struct it_layer layers[2];
	char id[DIGEST_TEXT_MAX], path[512], value[4];
	const struct image *img;
	struct rig_op o;
	struct stat st;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	tb_add(&base, (struct member){ .type = '5', .name = "tmp", .mode = 01777, .mtime = 99 });
	tb_add(&base,
	       (struct member){
		       .type = '5', .name = "home/user", .mode = 0700, .uid = 1000, .gid = 1000 });
	tb_file(&base, "etc/old", "x");
	tb_file(&top, "tmp/file", "x");
	tb_file(&top, "home/user/.profile", "x");
	tb_file(&top, "etc/.wh..wh..opq", "");
	tb_file(&top, "etc/new", "x");
	layers[0] = it_layer(&base, IT_PLAIN);
	layers[1] = it_layer(&top, IT_PLAIN);
	it_docker(&archive, &(struct it_image){ layers, 2, NULL, "web" }, false, id);
	tb_end(&archive);
	CHECK_MSG(rig_load(&r, &archive, &o) == 0, "%s", err_text(&o.err));
	img = images_find(r.images, "web", NULL);
	snprintf(path, sizeof(path), "%s/tmp", img->layers[1].dir);
	CHECK(stat(path, &st) == 0);
	CHECK_INT(st.st_mode & 07777, 01777);
	CHECK_INT(st.st_mtim.tv_sec, 99);
	snprintf(path, sizeof(path), "%s/home/user", img->layers[1].dir);
	CHECK(stat(path, &st) == 0);
	CHECK_INT(st.st_uid, 1000);
	CHECK_INT(st.st_mode & 07777, 0700);
	snprintf(path, sizeof(path), "%s/etc", img->layers[1].dir);
	CHECK_INT(getxattr(path, "trusted.overlay.opaque", value, sizeof(value)), 1);
	CHECK(value[0] == 'y');
	snprintf(path, sizeof(path), "%s/../notes", img->layers[1].dir);
	CHECK(access(path, F_OK) < 0);
	buf_free(&archive);
	it_layer_free(&layers[0]);
	it_layer_free(&layers[1]);
	rig_free(&r);
}

TEST(every_kind_of_node_through_the_worker)
{
	static const unsigned char caps[20] = { 1, 0, 0, 2, 0, 0x20 };
	struct buf tar = { 0 }, pax = { 0 }, archive = BUF_INIT(64 << 20);
	char id[DIGEST_TEXT_MAX], path[512], value[32];
	struct it_layer layer;
	struct rig_op o;
	struct stat st;
	struct rig r;
	int dir;

	CHECK(rig_new(&r) == 0);
	tb_pax(&pax, "SCHILY.xattr.security.capability", caps, sizeof(caps));
	tb_add(&tar,
	       (struct member){ .name = "bin/ping", .data = "x", .mode = 04755, .pax = &pax });
	tb_hardlink(&tar, "sbin/ping", "bin/ping");
	tb_symlink(&tar, "ping", "bin/ping");
	tb_add(&tar, (struct member){
			     .type = '3', .name = "dev/null", .major = 1, .minor = 3, .uid = 5 });
	tb_add(&tar, (struct member){ .type = '6', .name = "dev/pipe", .gid = 100000 });
	tb_file(&tar, "etc/.wh.gone", "");
	tb_add(&tar,
	       (struct member){ .type = '5', .name = "root", .mode = 0700, .uid = 4294967294 });
	tb_file(&tar, "root/file", "x");
	layer = it_layer(&tar, IT_ZSTD);
	it_docker(&archive, &(struct it_image){ &layer, 1, NULL, "web" }, false, id);
	tb_end(&archive);
	CHECK_MSG(rig_load_pipe(&r, &archive, &o) == 0, "%s", err_text(&o.err));
	dir = open(images_find(r.images, "web", NULL)->layers[0].dir,
		   O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fstatat(dir, "sbin/ping", &st, 0) == 0 && st.st_nlink == 2 &&
	      (st.st_mode & 07777) == 04755);
	CHECK(fstatat(dir, "dev/null", &st, 0) == 0 && st.st_rdev == makedev(1, 3) &&
	      st.st_uid == 5);
	CHECK(fstatat(dir, "dev/pipe", &st, 0) == 0 && S_ISFIFO(st.st_mode) && st.st_gid == 100000);
	CHECK(fstatat(dir, "etc/gone", &st, 0) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0);
	CHECK(fstatat(dir, "root", &st, 0) == 0 && st.st_uid == 4294967294 &&
	      (st.st_mode & 07777) == 0700);
	snprintf(path, sizeof(path), "%s/bin/ping",
		 images_find(r.images, "web", NULL)->layers[0].dir);
	CHECK_INT(getxattr(path, "security.capability", value, sizeof(value)),
		  (long long)sizeof(caps));
	fd_close(dir);
	buf_free(&archive);
	buf_free(&pax);
	it_layer_free(&layer);
	rig_free(&r);
}

TEST(an_opaque_root_hides_what_is_below)
{
	struct buf top = { 0 }, archive = BUF_INIT(64 << 20);
	struct it_layer layers[2] = { it_simple("base", "x", IT_PLAIN) };
	char id[DIGEST_TEXT_MAX], **lower;
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	tb_file(&top, ".wh..wh..opq", "");
	tb_file(&top, "top", "x");
	layers[1] = it_layer(&top, IT_PLAIN);
	it_docker(&archive, &(struct it_image){ layers, 2, NULL, "web" }, false, id);
	tb_end(&archive);
	CHECK_MSG(rig_load(&r, &archive, &o) == 0, "%s", err_text(&o.err));
	CHECK(rig_restart(&r) == 0);
	lower = image_lower_dirs(images_find(r.images, "web", NULL));
	CHECK_INT(strv_len(lower), 1);
	strv_free(lower);
	buf_free(&archive);
	it_layer_free(&layers[0]);
	it_layer_free(&layers[1]);
	rig_free(&r);
}
