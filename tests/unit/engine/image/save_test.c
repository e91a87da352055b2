/*
 * Saving: what is saved, removed and loaded again is the same image; names, shared layers, stored
 * manifests; what cannot be saved; readers that stop or leave.
 *
 * The archives are read back by the store itself (docker-archive and OCI layout at once), so that
 * every digest is checked on the way.
 */
#include "engine/image/image.h"

#include "tests/unit/engine/image/imagetar.h"
#include "tests/unit/engine/image/rig.h"

#define REFS(...) ((char *[]){ __VA_ARGS__, NULL })

static void drop(struct rig *r, const char *ref)
{
	struct rig_op o;

	rig_prepare(&o);
	CHECK_MSG(images_remove(r->images, ref, IMAGE_REMOVE_FORCE, &o.op, &o.err) == 0 &&
			  rig_wait(r, &o) == 0,
		  "%s", err_text(&o.err));
}

/* How often text occurs in the archive. */
static size_t count_in(const struct buf *b, const char *text)
{
	size_t n = 0, len = strlen(text);

	for (size_t i = 0; i + len <= b->len; i++)
		n += memcmp(b->data + i, text, len) == 0;
	return n;
}

static bool in(const struct buf *b, const char *text)
{
	return count_in(b, text) > 0;
}

TEST(saved_removed_and_loaded_is_the_same)
{
	struct buf archive;
	char id[DIGEST_TEXT_MAX], blobs[2][DIGEST_TEXT_MAX];
	const struct image *img;
	struct rig_save v, again;
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "ghcr.io/team/web:1", NULL, id);
	CHECK(rig_load(&r, &archive, &o) == 0);
	img = images_find(r.images, id, NULL);
	for (int i = 0; i < 2; i++)
		snprintf(blobs[i], DIGEST_TEXT_MAX, "%s", img->layers[i].blob);
	CHECK_MSG(rig_save(&r, REFS((char *)"ghcr.io/team/web:1"), &v) == 0, "%s",
		  err_text(&v.err));
	CHECK(str_starts(v.ids, id));
	CHECK(rig_save(&r, REFS((char *)"ghcr.io/team/web:1"), &again) == 0);
	CHECK(v.out.len == again.out.len && memcmp(v.out.data, again.out.data, v.out.len) == 0);
	CHECK(in(&v.out, "\"io.containerd.image.name\":\"ghcr.io/team/web:1\",\"org.opencontainers."
			 "image.ref.name\":\"1\""));
	CHECK(in(&v.out, "\"RepoTags\":[\"ghcr.io/team/web:1\"]"));
	CHECK(in(&v.out, "{\"imageLayoutVersion\":\"1.0.0\"}"));
	CHECK(in(&v.out, "application/vnd.oci.image.layer.v1.tar+gzip"));
	drop(&r, id);
	CHECK_INT(rig_count(&r, "layers") + rig_count(&r, "blobs/sha256"), 0);
	CHECK_MSG(rig_load_pipe(&r, &v.out, &o) == 0, "%s", err_text(&o.err));
	CHECK_STR(o.changes, "loaded ghcr.io/team/web:1\n");
	img = images_find(r.images, "ghcr.io/team/web:1", NULL);
	CHECK(img && str_eq(img->id, id) && img->manifest);
	for (int i = 0; img && i < 2; i++)
		CHECK_STR(img->layers[i].blob, blobs[i]);
	buf_free(&archive);
	buf_free(&v.out);
	buf_free(&again.out);
	rig_free(&r);
}

/* An image that came with a manifest keeps it, so that it can be asked for by its digest. */
TEST(a_stored_manifest_is_kept)
{
	struct it_layer layer = it_simple("file", "text", IT_ZSTD);
	struct buf archive = BUF_INIT(64 << 20);
	char id[DIGEST_TEXT_MAX], manifest[DIGEST_TEXT_MAX];
	struct rig_save v;
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	it_oci(&archive, &(struct it_image){ &layer, 1, NULL, "example.com/oci:1" }, id);
	tb_end(&archive);
	CHECK(rig_load(&r, &archive, &o) == 0);
	snprintf(manifest, sizeof(manifest), "%s", images_find(r.images, id, NULL)->manifest);
	CHECK_MSG(rig_save(&r, REFS(id), &v) == 0, "%s", err_text(&v.err));
	CHECK(in(&v.out, "\"RepoTags\":null"));
	drop(&r, id);
	CHECK_MSG(rig_load(&r, &v.out, &o) == 0, "%s", err_text(&o.err));
	CHECK_STR(o.changes, "loaded -\n");
	CHECK_STR(images_find(r.images, id, NULL)->manifest, manifest);
	buf_free(&archive);
	buf_free(&v.out);
	it_layer_free(&layer);
	rig_free(&r);
}

/* A layer that was there already in another compression: the stored manifest names a blob that the
 * store never kept. */
TEST(a_manifest_that_does_not_fit_is_written_anew)
{
	struct it_layer plain = it_simple("file", "text", IT_PLAIN),
			packed = it_simple("file", "text", IT_GZIP);
	struct buf docker = BUF_INIT(64 << 20), oci = BUF_INIT(64 << 20);
	char ids[2][DIGEST_TEXT_MAX], manifest[DIGEST_TEXT_MAX];
	struct rig_save v;
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	it_docker(&docker, &(struct it_image){ &plain, 1, NULL, "a:1" }, false, ids[0]);
	it_oci(&oci, &(struct it_image){ &packed, 1, "{\"User\":\"u\"}", "b:1" }, ids[1]);
	tb_end(&docker);
	tb_end(&oci);
	CHECK(rig_load(&r, &docker, &o) == 0 && rig_load(&r, &oci, &o) == 0);
	snprintf(manifest, sizeof(manifest), "%s", images_find(r.images, "b:1", NULL)->manifest);
	CHECK_MSG(rig_save(&r, REFS((char *)"a:1", (char *)"b:1"), &v) == 0, "%s",
		  err_text(&v.err));
	/* 2 folders, 1 layer and the file in it, 2 configs, 2 manifests, 3 documents */
	CHECK_INT(count_in(&v.out, "ustar"), 11);
	CHECK(!in(&v.out, manifest));
	drop(&r, ids[0]);
	drop(&r, ids[1]);
	CHECK_MSG(rig_load(&r, &v.out, &o) == 0, "%s", err_text(&o.err));
	CHECK_STR(o.changes, "loaded a:1\nloaded b:1\n");
	CHECK_STR(images_find(r.images, "a:1", NULL)->id, ids[0]);
	CHECK_STR(images_find(r.images, "b:1", NULL)->id, ids[1]);
	buf_free(&docker);
	buf_free(&oci);
	buf_free(&v.out);
	it_layer_free(&plain);
	it_layer_free(&packed);
	rig_free(&r);
}

/* A repository without a tag means all its tags; one image has each of its names once. */
TEST(names_that_are_asked_for)
{
	static const struct {
		const char *refs[4], *tags;
	} rows[] = {
		{ { "web:1" }, "[\"web:1\"]" },
		{ { "web" }, "[\"web:1\",\"web:2\"]" },
		{ { "web:2", "docker.io/library/web:1", "web:2" }, "[\"web:2\",\"web:1\"]" },
		{ { "other", "web:1" }, "[\"other:latest\",\"web:1\"]" },
	};
	struct buf archive;
	char id[DIGEST_TEXT_MAX], prefix[16];
	struct rig_save v;
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "web:1", NULL, id);
	CHECK(rig_load(&r, &archive, &o) == 0);
	CHECK(images_tag(r.images, "web:1", "web:2", NULL) == 0);
	CHECK(images_tag(r.images, "web:1", "other", NULL) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char want[128];

		CHECK(rig_save(&r, (char *const *)rows[i].refs, &v) == 0);
		snprintf(want, sizeof(want), "\"RepoTags\":%s", rows[i].tags);
		CHECK_MSG(in(&v.out, want), "row %zu", i);
		buf_free(&v.out);
	}
	snprintf(prefix, sizeof(prefix), "%.12s", digest_hex(id));
	CHECK(rig_save(&r, REFS(prefix), &v) == 0 && in(&v.out, "\"RepoTags\":null"));
	buf_free(&v.out);
	CHECK(rig_save(&r, REFS(prefix, (char *)"web:1"), &v) == 0);
	CHECK(in(&v.out, "\"RepoTags\":[\"web:1\"]") && count_in(&v.out, "\"Config\"") == 1);
	buf_free(&v.out);
	buf_free(&archive);
	rig_free(&r);
}

TEST(what_cannot_be_saved)
{
	const struct image_platform arm = { "linux", "arm64", NULL },
				    amd = { "linux", "amd64", "" };
	struct buf archive;
	char id[DIGEST_TEXT_MAX], path[600];
	struct rig_save v;
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "web:1", NULL, id);
	CHECK(rig_load(&r, &archive, &o) == 0);
	CHECK_INT(rig_save(&r, REFS((char *)"web:1", (char *)"nope"), &v), -ENOENT);
	CHECK_STR(err_text(&v.err), "No such image: nope:latest");
	CHECK_INT(rig_save(&r, REFS((char *)"web:2"), &v), -ENOENT);
	CHECK_INT(rig_save(&r, REFS((char *)"UP"), &v), -EINVAL);
	CHECK_INT(images_save(r.images, REFS(id), &arm, &v.op, &v.err), -ENOENT);
	CHECK(strstr(err_text(&v.err), "does not provide the specified platform (linux/arm64)"));
	CHECK_INT(images_save(r.images, REFS(id), &amd, &v.op, &v.err), 0);
	image_save_cancel(&v.op);
	/* a blob that is damaged breaks the stream off */
	snprintf(path, sizeof(path), "%s/blobs/sha256/%s", r.dir,
		 digest_hex(images_find(r.images, id, NULL)->layers[0].blob));
	CHECK(file_replace(AT_FDCWD, path, "short", 5, 0600, false, NULL) == 0);
	CHECK_INT(rig_save(&r, REFS(id), &v), -EIO);
	CHECK_MSG(strstr(err_text(&v.err), "is damaged: it has another digest"), "%s",
		  err_text(&v.err));
	buf_free(&v.out);
	CHECK(unlink(path) == 0);
	CHECK_INT(rig_save(&r, REFS(id), &v), -ENOENT);
	CHECK_INT(v.out.len, 0);
	CHECK(rig_restart(&r) == 0);
	CHECK_INT(rig_save(&r, REFS(id), &v), -EOPNOTSUPP);
	CHECK(strstr(err_text(&v.err), "was not kept"));
	buf_free(&archive);
	rig_free(&r);
}

TEST(an_image_without_layers)
{
	struct buf archive = BUF_INIT(1 << 20);
	char id[DIGEST_TEXT_MAX];
	struct rig_save v;
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	it_docker(&archive, &(struct it_image){ NULL, 0, NULL, "none:1" }, false, id);
	tb_end(&archive);
	CHECK(rig_load(&r, &archive, &o) == 0);
	CHECK_MSG(rig_save(&r, REFS((char *)"none:1"), &v) == 0, "%s", err_text(&v.err));
	drop(&r, id);
	CHECK_MSG(rig_load(&r, &v.out, &o) == 0, "%s", err_text(&o.err));
	CHECK_STR(images_find(r.images, "none:1", NULL)->id, id);
	buf_free(&archive);
	buf_free(&v.out);
	rig_free(&r);
}

/* A layer that is larger than all the pipes, so that the worker waits for its reader. */
static void large_image(struct rig *r, char id[DIGEST_TEXT_MAX])
{
	struct buf archive = BUF_INIT(64 << 20), tar = { 0 };
	char *text = malloc(4 << 20);
	struct it_layer layer;
	struct rig_op o;

	memset(text, 'x', (4 << 20) - 1);
	text[(4 << 20) - 1] = '\0';
	tb_file(&tar, "large", text);
	layer = it_layer(&tar, IT_PLAIN);
	it_docker(&archive, &(struct it_image){ &layer, 1, NULL, "large:1" }, false, id);
	tb_end(&archive);
	CHECK_MSG(rig_load(r, &archive, &o) == 0, "%s", err_text(&o.err));
	it_layer_free(&layer);
	buf_free(&archive);
	free(text);
}

static void until_stopped(struct rig *r, struct rig_save *v)
{
	for (int i = 0; i < 10000 && v->out.len < v->stop; i++)
		loop_once(r->loop, 60000);
	CHECK(v->out.len >= v->stop && !v->done);
}

TEST(a_reader_that_leaves_or_is_slow)
{
	char id[DIGEST_TEXT_MAX];
	struct rig_save v;
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	large_image(&r, id);
	CHECK(rig_save_start(&r, REFS(id), &v) == 0);
	v.stop = 1 << 20;
	until_stopped(&r, &v);
	image_save_cancel(&v.op);
	CHECK(!v.done);
	buf_free(&v.out);
	/* one that comes back, while the image has gone: its blobs are open */
	CHECK(rig_save_start(&r, REFS(id), &v) == 0);
	v.stop = 1 << 20;
	until_stopped(&r, &v);
	drop(&r, id);
	v.stop = 0;
	image_save_pause(&v.op, false);
	for (int i = 0; i < 10000 && !v.done; i++)
		loop_once(r.loop, 60000);
	CHECK_MSG(v.done && v.result == 0, "%s", err_text(&v.err));
	CHECK_MSG(rig_load(&r, &v.out, &o) == 0, "%s", err_text(&o.err));
	CHECK(images_find(r.images, id, NULL));
	buf_free(&v.out);
	/* the store is closed */
	CHECK(rig_save_start(&r, REFS(id), &v) == 0);
	v.stop = 4096;
	until_stopped(&r, &v);
	CHECK(rig_restart(&r) == 0);
	CHECK(v.done && v.result == -ECANCELED);
	buf_free(&v.out);
	rig_free(&r);
}

TEST(only_so_many_at_a_time)
{
	struct rig_save v[IMAGE_SAVES_MAX + 1];
	struct buf archive;
	char id[DIGEST_TEXT_MAX];
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "web:1", NULL, id);
	CHECK(rig_load(&r, &archive, &o) == 0);
	for (int i = 0; i < IMAGE_SAVES_MAX; i++)
		CHECK(rig_save_start(&r, REFS(id), &v[i]) == 0);
	CHECK_INT(rig_save_start(&r, REFS(id), &v[IMAGE_SAVES_MAX]), -EAGAIN);
	image_save_cancel(&v[0].op);
	CHECK_INT(rig_save_start(&r, REFS(id), &v[0]), 0);
	for (int i = 0; i < IMAGE_SAVES_MAX; i++) {
		image_save_cancel(&v[i].op);
		buf_free(&v[i].out);
	}
	buf_free(&archive);
	rig_free(&r);
}
