/*
 * What a push takes from the store: manifests (kept, made, damaged), blobs, digests that stay.
 */
#include "engine/image/image.h"

#include "engine/data/ref.h"
#include "engine/image/manifest.h"
#include "tests/unit/engine/image/imagetar.h"
#include "tests/unit/engine/image/rig.h"

static void load_docker(struct rig *r, const char *name, char id[DIGEST_TEXT_MAX])
{
	struct buf archive;
	struct rig_op o;

	two_layers(&archive, name, NULL, id);
	CHECK_MSG(rig_load(r, &archive, &o) == 0, "%s", err_text(&o.err));
	buf_free(&archive);
}

static void load_oci(struct rig *r, const char *name, char id[DIGEST_TEXT_MAX])
{
	struct it_layer layer = it_simple("file", "text", IT_ZSTD);
	struct buf archive = BUF_INIT(64 << 20);
	struct rig_op o;

	it_oci(&archive, &(struct it_image){ &layer, 1, NULL, name }, id);
	tb_end(&archive);
	CHECK_MSG(rig_load(r, &archive, &o) == 0, "%s", err_text(&o.err));
	buf_free(&archive);
	it_layer_free(&layer);
}

TEST(a_made_manifest_is_that_of_a_save)
{
	_cleanup_(manifest_free) struct manifest m = { 0 }, again = { 0 };
	char id[DIGEST_TEXT_MAX], digest[DIGEST_TEXT_MAX];
	const struct image *img;
	struct err e = { 0 };
	struct rig_save v;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	load_docker(&r, "a:1", id);
	img = images_find(r.images, id, NULL);
	CHECK_MSG(images_manifest(r.images, img, &m, &e) == 0, "%s", err_text(&e));
	CHECK(images_manifest(r.images, img, &again, NULL) == 0);
	CHECK(!m.kept && m.size == (int64_t)m.text.len);
	CHECK_STR(m.media_type, "application/vnd.oci.image.manifest.v1+json");
	CHECK_STR(buf_text(&m.text), buf_text(&again.text));
	CHECK(digest_of(m.text.data, m.text.len, digest) == 0);
	CHECK_STR(m.digest, digest);
	CHECK(strstr(buf_text(&m.text), id) && strstr(buf_text(&m.text), img->layers[0].blob) &&
	      strstr(buf_text(&m.text), img->layers[1].blob));
	CHECK(rig_save(&r, (char *[]){ id, NULL }, &v) == 0);
	CHECK(memmem(v.out.data, v.out.len, m.digest, strlen(m.digest)) != NULL);
	buf_free(&v.out);
	rig_free(&r);
}

TEST(a_kept_manifest_goes_out_as_it_came)
{
	_cleanup_(manifest_free) struct manifest m = { 0 }, damaged = { 0 };
	char id[DIGEST_TEXT_MAX], path[512];
	const struct image *img;
	struct err e = { 0 };
	struct rig r;
	FILE *f;

	CHECK(rig_new(&r) == 0);
	load_oci(&r, "example.com/oci:1", id);
	img = images_find(r.images, id, NULL);
	CHECK_MSG(images_manifest(r.images, img, &m, &e) == 0, "%s", err_text(&e));
	CHECK(m.kept);
	CHECK_STR(m.digest, img->manifest);
	snprintf(path, sizeof(path), "%s/blobs/sha256/%s", r.dir, digest_hex(img->manifest));
	f = fopen(path, "a");
	CHECK(f && fputs(" ", f) >= 0 && fclose(f) == 0);
	CHECK_INT(images_manifest(r.images, img, &damaged, &e), -EIO);
	CHECK(strstr(err_text(&e), "is damaged"));
	rig_free(&r);
}

TEST(blobs_are_opened_by_their_digest)
{
	char id[DIGEST_TEXT_MAX], digest[DIGEST_TEXT_MAX], *text = NULL;
	struct err e = { 0 };
	int64_t size = -1;
	size_t len = 0;
	struct rig r;
	int fd;

	CHECK(rig_new(&r) == 0);
	load_docker(&r, "a:1", id);
	fd = images_open_blob(r.images, id, &size, &e);
	CHECK_MSG(fd >= 0, "%s", err_text(&e));
	CHECK(file_read_fd(fd, 1 << 20, &text, &len, NULL) == 0 && (int64_t)len == size);
	CHECK(digest_of(text, len, digest) == 0);
	CHECK_STR(digest, id);
	fd_close(fd);
	free(text);
	CHECK_INT(images_open_blob(r.images, "sha256:../../../etc/passwd", &size, &e), -EINVAL);
	id[10] = id[10] == 'a' ? 'b' : 'a';
	CHECK_INT(images_open_blob(r.images, id, &size, &e), -ENOENT);
	rig_free(&r);
}

TEST(a_digest_that_became_known_stays)
{
	static const char digest[] =
		"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaa";
	char id[DIGEST_TEXT_MAX], name[REF_TEXT_MAX];
	const struct image *img;
	struct err e = { 0 };
	struct ref ref;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	load_docker(&r, "a:1", id);
	CHECK(ref_parse("registry.example:5000/team/a:1", &ref, NULL) == 0);
	snprintf(name, sizeof(name), "registry.example:5000/team/a@%s", digest);
	CHECK(!images_find(r.images, name, NULL));
	for (int i = 0; i < 2; i++) {
		CHECK_MSG(images_add_digest(r.images, id, &ref, digest, &e) == 0, "%s",
			  err_text(&e));
		img = images_find(r.images, name, NULL);
		CHECK(img && strv_len(img->digests) == 1);
		CHECK_STR(img->digests[0], name);
	}
	CHECK(rig_restart(&r) == 0);
	img = images_find(r.images, name, NULL);
	CHECK(img && str_eq(img->id, id) && strv_len(img->digests) == 1);
	id[10] = id[10] == 'a' ? 'b' : 'a';
	CHECK_INT(images_add_digest(r.images, id, &ref, digest, &e), -ENOENT);
	rig_free(&r);
}

TEST(what_was_not_kept_cannot_leave)
{
	char id[DIGEST_TEXT_MAX];
	const struct image *img;
	struct err e = { 0 };
	struct rig r;

	CHECK(rig_new(&r) == 0);
	images_free(r.images);
	r.cfg.keep_blobs = IMAGE_KEEP_NO;
	CHECK(rig_open(&r) == 0);
	load_docker(&r, "a:1", id);
	img = images_find(r.images, id, NULL);
	CHECK_INT(image_check_kept(img, "pushed", &e), -EOPNOTSUPP);
	CHECK_MSG(strstr(err_text(&e), "cannot be pushed: the archive of its layer"), "%s",
		  err_text(&e));
	rig_free(&r);
}
