/*
 * Images that come in parts: layers at the same time, in any order; wrong ones, cancelled ones;
 * nothing of what failed stays.
 */
#include "engine/image/intake.h"

#include "engine/data/ref.h"
#include "tests/unit/engine/image/imagetar.h"
#include "tests/unit/engine/image/rig.h"

enum { N = 3 };

/* One intake with what it is fed, and what came of it. */
struct arriving {
	struct intake in;
	struct rig_op o;
	struct it_layer layers[N];
	struct buf config, manifest;
	char id[DIGEST_TEXT_MAX], digest[DIGEST_TEXT_MAX];
	int result[N], seen, committed, ended;
	struct err why;
};

static void on_unpacked(struct intake *in, size_t n, int r, const struct err *e)
{
	struct arriving *a = container_of(in, struct arriving, in);

	a->result[n] = r;
	a->seen++;
	if (r < 0)
		a->why = *e;
}

static void on_committed(struct intake *in)
{
	container_of(in, struct arriving, in)->committed++;
}

static void on_ended(struct intake *in)
{
	container_of(in, struct arriving, in)->ended++;
}

static void make_image(struct arriving *a, const char *text)
{
	struct buf members = { 0 };

	*a = (struct arriving){ .config = BUF_INIT(65536), .manifest = BUF_INIT(65536) };
	a->in.unpacked = on_unpacked;
	a->in.committed = on_committed;
	a->in.ended = on_ended;
	a->layers[0] = it_simple("base", "base", IT_PLAIN);
	a->layers[1] = it_simple("middle", text, IT_GZIP);
	a->layers[2] = it_simple("top", text, IT_ZSTD);
	it_config(&a->config, a->layers, N, NULL, a->id);
	it_manifest(&members, &(struct it_image){ a->layers, N, NULL, NULL }, &a->manifest, a->id);
	digest_of(a->manifest.data, a->manifest.len, a->digest);
	buf_free(&members);
}

static void free_image(struct arriving *a)
{
	for (int i = 0; i < N; i++)
		it_layer_free(&a->layers[i]);
	buf_free(&a->config);
	buf_free(&a->manifest);
}

static int begin(struct rig *r, struct arriving *a, const char *name, const char *digest_name)
{
	int n;

	rig_prepare(&a->o);
	n = intake_begin(r->images, &a->in, &a->o.op, &a->why);
	if (n < 0)
		return n;
	return intake_image(&a->in,
			    &(struct intake_image){ .name = name,
						    .digest_name = digest_name,
						    .manifest = a->manifest.data,
						    .manifest_len = a->manifest.len,
						    .config = a->config.data,
						    .config_len = a->config.len },
			    &a->why);
}

/* Hands the bytes of a layer to its worker; they are few and fit into the pipe. */
static int bring(struct arriving *a, size_t n, const struct buf *blob)
{
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r = intake_unpack(&a->in, n, fds[0], &a->why);
	close(fds[0]);
	if (r == 0)
		r = file_write_all(fds[1], blob->data, blob->len, &a->why);
	close(fds[1]);
	return r;
}

static bool wait_for(struct rig *r, const int *count, int want)
{
	for (int i = 0; i < 100000 && *count < want; i++)
		if (loop_once(r->loop, 60000) == 0)
			break;
	return *count >= want;
}

TEST(layers_at_the_same_time)
{
	char digest_name[REF_TEXT_MAX];
	const struct image *img;
	struct arriving a;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	make_image(&a, "x");
	snprintf(digest_name, sizeof(digest_name), "docker.io/library/a@%s", a.digest);
	CHECK_MSG(begin(&r, &a, "docker.io/library/a:1", digest_name) == 0, "%s", err_text(&a.why));
	CHECK_STR(intake_id(&a.in), a.id);
	CHECK_INT((long long)intake_layers(&a.in), N);
	CHECK(!intake_layer(&a.in, 0).done);
	CHECK_STR(intake_layer(&a.in, 1).digest, a.layers[1].digest);
	for (int i = N - 1; i >= 0; i--)
		CHECK(bring(&a, (size_t)i, &a.layers[i].blob) == 0);
	CHECK(wait_for(&r, &a.seen, N));
	for (int i = 0; i < N; i++)
		CHECK_MSG(a.result[i] == 0, "layer %d: %s", i, err_text(&a.why));
	CHECK(!images_find(r.images, "a:1", NULL));
	intake_commit(&a.in);
	CHECK_MSG(rig_wait(&r, &a.o) == 0, "%s", err_text(&a.o.err));
	CHECK_INT(a.committed, 1);
	CHECK_INT(a.ended, 1);
	CHECK_STR(a.o.changes, "");
	CHECK(rig_restart(&r) == 0);
	img = images_find(r.images, digest_name, NULL);
	CHECK(img && img == images_find(r.images, "a:1", NULL));
	CHECK_STR(img->id, a.id);
	CHECK_STR(img->layers[2].blob, a.layers[2].digest);
	CHECK(img->layers[2].blob_kept);
	CHECK_INT((long long)rig_count(&r, "tmp"), 0);
	free_image(&a);
	rig_free(&r);
}

TEST(what_is_there_is_not_asked_for)
{
	struct arriving a, b;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	make_image(&a, "x");
	CHECK(begin(&r, &a, "docker.io/library/a:1", NULL) == 0);
	for (size_t i = 0; i < N; i++)
		CHECK(bring(&a, i, &a.layers[i].blob) == 0);
	CHECK(wait_for(&r, &a.seen, N));
	intake_commit(&a.in);
	CHECK(rig_wait(&r, &a.o) == 0);
	make_image(&b, "y");
	CHECK(begin(&r, &b, "docker.io/library/b:1", NULL) == 0);
	CHECK(intake_layer(&b.in, 0).present && intake_layer(&b.in, 0).done);
	CHECK(!intake_layer(&b.in, 1).present && !intake_layer(&b.in, 2).present);
	intake_fail(&b.in, -EIO, &(const struct err){ .code = EIO, .text = "no network" });
	CHECK_INT(rig_wait(&r, &b.o), -EIO);
	CHECK_STR(err_text(&b.o.err), "no network");
	CHECK_INT(b.ended, 1);
	CHECK_INT((long long)rig_count(&r, "tmp"), 0);
	free_image(&a);
	free_image(&b);
	rig_free(&r);
}

/* Bytes of another layer, and none at all. */
TEST(wrong_layers)
{
	struct buf nothing = { 0 };
	struct arriving a;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	make_image(&a, "x");
	CHECK(begin(&r, &a, "docker.io/library/a:1", NULL) == 0);
	CHECK(bring(&a, 0, &a.layers[1].blob) == 0);
	CHECK(wait_for(&r, &a.seen, 1));
	CHECK_INT(a.result[0], -EINVAL);
	CHECK_MSG(strstr(err_text(&a.why), a.layers[1].digest) || strstr(err_text(&a.why), "bytes"),
		  "%s", err_text(&a.why));
	CHECK(bring(&a, 1, &nothing) == 0);
	CHECK(wait_for(&r, &a.seen, 2));
	CHECK(a.result[1] < 0);
	intake_fail(&a.in, a.result[0], &a.why);
	CHECK_INT(rig_wait(&r, &a.o), -EINVAL);
	CHECK_INT(a.ended, 1);
	CHECK_INT(a.committed, 0);
	CHECK_INT((long long)rig_count(&r, "tmp"), 0);
	CHECK_INT((long long)rig_count(&r, "layers"), 0);
	CHECK_INT((long long)images_count(r.images), 0);
	free_image(&a);
	rig_free(&r);
}

TEST(cancelled_in_the_middle)
{
	struct arriving a;
	struct rig r;
	int fds[2];

	CHECK(rig_new(&r) == 0);
	make_image(&a, "x");
	CHECK(begin(&r, &a, "docker.io/library/a:1", NULL) == 0);
	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	CHECK(intake_unpack(&a.in, 1, fds[0], &a.why) == 0);
	close(fds[0]);
	image_op_cancel(&a.o.op);
	CHECK_INT(a.ended, 1);
	CHECK(!a.o.done && a.seen == 0);
	close(fds[1]);
	CHECK(rig_swept(&r));
	free_image(&a);
	rig_free(&r);
}

TEST(documents_that_do_not_fit)
{
	static const char *const words[] = { "digest", "diff_ids", "media type", "neither",
					     "size" };
	struct rig r;

	CHECK(rig_new(&r) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct arriving a, other;
		int n;

		make_image(&a, "x");
		make_image(&other, "y");
		if (i == 0) { /* the config of another image */
			buf_reset(&a.config);
			buf_add(&a.config, other.config.data, other.config.len);
		} else if (i == 1) { /* fewer diff ids than layers, rightly named */
			buf_reset(&a.config);
			buf_reset(&a.manifest);
			it_config(&a.config, a.layers, N - 1, NULL, a.id);
			buf_printf(&a.manifest,
				   "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
				   "vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},"
				   "\"layers\":[]}",
				   a.id, a.config.len);
		} else if (i == 2) {
			char *at = strstr(a.manifest.data, "layer.v1.tar+gzip");

			CHECK(at);
			memcpy(at, "laxer", 5);
		} else if (i == 3) {
			buf_reset(&a.manifest);
			buf_add_text(&a.manifest, "{}");
		} else {
			buf_reset(&a.manifest);
			buf_printf(
				&a.manifest,
				"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
				"vnd.oci.image.config.v1+json\",\"digest\":\"%s\"},\"layers\":[]}",
				a.id);
		}
		n = begin(&r, &a, "docker.io/library/a:1", NULL);
		CHECK_MSG(n == -EINVAL, "row %zu: %d", i, n);
		CHECK_MSG(strstr(err_text(&a.why), words[i]), "row %zu: %s", i, err_text(&a.why));
		intake_fail(&a.in, n, &a.why);
		CHECK_INT(rig_wait(&r, &a.o), -EINVAL);
		CHECK_INT(a.ended, 1);
		free_image(&a);
		free_image(&other);
	}
	CHECK_INT((long long)rig_count(&r, "tmp"), 0);
	rig_free(&r);
}

/* An index's digest names one image: that of the platform that was pulled last. */
TEST(a_digest_moves)
{
	static const char *const name = "docker.io/library/a@sha256:"
					"0123456789abcdef0123456789abcdef"
					"0123456789abcdef0123456789abcdef";
	struct arriving a[2];
	struct rig r;

	CHECK(rig_new(&r) == 0);
	for (int k = 0; k < 2; k++) {
		make_image(&a[k], k ? "y" : "x");
		CHECK(begin(&r, &a[k], NULL, name) == 0);
		for (size_t i = 0; i < N; i++)
			if (!intake_layer(&a[k].in, i).done)
				CHECK(bring(&a[k], i, &a[k].layers[i].blob) == 0);
		CHECK(wait_for(&r, &a[k].seen, k ? N - 1 : N));
		intake_commit(&a[k].in);
		CHECK(rig_wait(&r, &a[k].o) == 0);
	}
	for (int again = 0; again < 2; again++) {
		const struct image *old = images_find(r.images, a[0].id, NULL);
		const struct image *new = images_find(r.images, name, NULL);

		CHECK(old && new);
		CHECK_STR(new->id, a[1].id);
		CHECK(!old->digests || !old->digests[0]);
		CHECK(rig_restart(&r) == 0);
	}
	free_image(&a[0]);
	free_image(&a[1]);
	rig_free(&r);
}
