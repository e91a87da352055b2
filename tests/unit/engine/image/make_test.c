/*
 * Images that are made here: from a layer alone and on top of another one; what comes out is whole
 * (it is saved and loaded again); empty layers, layers that are there already, what goes wrong.
 */
#include "engine/image/image.h"

#include "tests/unit/engine/image/imagetar.h"
#include "tests/unit/engine/image/rig.h"

static const struct image_config no_config;

/* Makes an image from the bytes of a layer, by a pipe whose other end stays open until they are all
 * in it. */
static int make(struct rig *r, const struct buf *layer, const struct image_make *m,
		struct rig_op *o)
{
	int fds[2], n;

	rig_prepare(o);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	n = images_make(r->images, fds[0], m, &o->op, &o->err);
	close(fds[0]);
	if (n == 0)
		n = file_write_all(fds[1], layer->data, layer->len, &o->err);
	if (n == 0 && o->done)
		n = -EALREADY;
	close(fds[1]);
	return n < 0 ? n : rig_wait(r, o);
}

static char *config_text(const struct rig *r, const struct image *img)
{
	char path[600], *text = NULL;

	snprintf(path, sizeof(path), "%s/blobs/sha256/%s", r->dir, digest_hex(img->id));
	(void)file_read(AT_FDCWD, path, 1 << 20, &text, NULL, NULL);
	return text;
}

/* Saves it, removes all images, loads it: true when the id is the same. */
static bool comes_back(struct rig *r, const char *ref)
{
	char *const refs[] = { (char *)(uintptr_t)ref, NULL };
	const struct image *img = images_find(r->images, ref, NULL);
	char id[DIGEST_TEXT_MAX];
	struct rig_save v;
	struct rig_op o;
	size_t pos = 0;

	snprintf(id, sizeof(id), "%s", img->id);
	if (rig_save(r, refs, &v) < 0)
		return false;
	while (pos = 0, (img = images_next(r->images, &pos))) {
		rig_prepare(&o);
		if (images_remove(r->images, img->id, IMAGE_REMOVE_FORCE, &o.op, &o.err) < 0 ||
		    rig_wait(r, &o) < 0)
			return false;
	}
	if (rig_load(r, &v.out, &o) < 0)
		return false;
	buf_free(&v.out);
	img = images_find(r->images, ref, NULL);
	return img && str_eq(img->id, id);
}

TEST(a_layer_alone)
{
	struct it_layer layer = it_simple("file", "text", IT_GZIP);
	struct image_config config = no_config;
	char *cmd[] = { (char *)"run", NULL };
	const struct image *img;
	struct rig_op o;
	struct rig r;
	char *text;

	CHECK(rig_new(&r) == 0);
	config.cmd = cmd;
	CHECK_MSG(make(&r, &layer.blob,
		       &(struct image_make){ .config = &config,
					     .comment = "Imported from -",
					     .architecture = "arm64",
					     .variant = "v8",
					     .name = "team/imported" },
		       &o) == 0,
		  "%s", err_text(&o.err));
	CHECK_STR(o.changes, "made -\ntagged team/imported:latest\n");
	img = images_find(r.images, "team/imported", NULL);
	CHECK(img && img->n_layers == 1 && img->n_history == 1);
	CHECK_STR(img->layers[0].diff_id, layer.diff_id);
	CHECK_STR(img->layers[0].blob, layer.digest);
	CHECK(img->layers[0].blob_kept);
	CHECK_STR(img->architecture, "arm64");
	CHECK_STR(img->variant, "v8");
	CHECK_STR(img->os, "linux");
	CHECK_STR(img->comment, "Imported from -");
	CHECK_STR(img->config.cmd[0], "run");
	CHECK(img->created_ns > 0);
	text = config_text(&r, img);
	CHECK(strstr(text, "\"history\":[{\"created\":\"") != NULL);
	free(text);
	CHECK(rig_swept(&r));
	CHECK(rig_restart(&r) == 0 && images_find(r.images, "team/imported", NULL));
	CHECK(comes_back(&r, "team/imported"));
	it_layer_free(&layer);
	rig_free(&r);
}

TEST(on_top_of_another_image)
{
	struct it_layer layer = it_simple("new", "new text", IT_PLAIN);
	char id[DIGEST_TEXT_MAX], first[DIGEST_TEXT_MAX];
	struct image_make m = { .config = &no_config,
				.author = "me",
				.comment = "why",
				.created_by = "sh",
				.parent = id,
				.name = "new:1" };
	const struct image *img;
	struct buf archive;
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "web:1", NULL, id);
	CHECK(rig_load(&r, &archive, &o) == 0);
	CHECK_MSG(make(&r, &layer.blob, &m, &o) == 0, "%s", err_text(&o.err));
	img = images_find(r.images, "new:1", NULL);
	CHECK(img && img->n_layers == 3 && img->n_history == 3);
	CHECK_STR(img->history[0].created_by, "step 0");
	CHECK_STR(img->history[2].created_by, "sh");
	CHECK_STR(img->history[2].author, "me");
	CHECK_STR(img->history[2].comment, "why");
	CHECK(!img->history[2].empty_layer);
	CHECK_STR(img->architecture, "amd64");
	CHECK_INT(rig_count(&r, "layers"), 3);
	snprintf(first, sizeof(first), "%s", img->id);
	/* once more: the layer is there, the name moves */
	CHECK_MSG(make(&r, &layer.blob, &m, &o) == 0, "%s", err_text(&o.err));
	CHECK_STR(o.changes, "made -\nuntagged new:1\ntagged new:1\n");
	CHECK(rig_swept(&r));
	CHECK_INT(rig_count(&r, "layers"), 3);
	CHECK(!str_eq(images_find(r.images, "new:1", NULL)->id, first));
	CHECK(comes_back(&r, "new:1"));
	buf_free(&archive);
	it_layer_free(&layer);
	rig_free(&r);
}

TEST(an_empty_layer_is_none)
{
	struct buf nothing = BUF_INIT(4096), archive;
	char id[DIGEST_TEXT_MAX];
	const struct image *img;
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	memset(buf_reserve(&nothing, 1024), 0, 1024);
	buf_commit(&nothing, 1024);
	two_layers(&archive, "web:1", NULL, id);
	CHECK(rig_load(&r, &archive, &o) == 0);
	CHECK_MSG(make(&r, &nothing,
		       &(struct image_make){ .config = &no_config, .parent = id, .name = "same" },
		       &o) == 0,
		  "%s", err_text(&o.err));
	img = images_find(r.images, "same", NULL);
	CHECK(img && img->n_layers == 2 && img->n_history == 3 && img->history[2].empty_layer);
	CHECK(rig_swept(&r));
	CHECK(comes_back(&r, "same"));
	buf_free(&archive);
	buf_free(&nothing);
	rig_free(&r);
}

/* A parent that tells of fewer steps than it has layers. */
TEST(history_is_made_whole)
{
	struct it_layer layer = it_simple("base", "base", IT_PLAIN),
			top = it_simple("t", "t", IT_PLAIN);
	struct buf archive = BUF_INIT(1 << 20), config = { 0 }, manifest = { 0 };
	char id[DIGEST_TEXT_MAX];
	const struct image *img;
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	buf_printf(&config,
		   "{\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
		   layer.diff_id);
	digest_of(config.data, config.len, id);
	it_member(&archive, "c.json", &config);
	it_member(&archive, "l.tar", &layer.blob);
	buf_add_text(&manifest, "[{\"Config\":\"c.json\",\"Layers\":[\"l.tar\"]}]");
	it_member(&archive, "manifest.json", &manifest);
	tb_end(&archive);
	CHECK_MSG(rig_load(&r, &archive, &o) == 0, "%s", err_text(&o.err));
	CHECK_MSG(make(&r, &top.blob,
		       &(struct image_make){ .config = &no_config, .parent = id, .name = "x" },
		       &o) == 0,
		  "%s", err_text(&o.err));
	img = images_find(r.images, "x", NULL);
	CHECK(img && img->n_layers == 2 && img->n_history == 2);
	buf_free(&archive);
	buf_free(&config);
	buf_free(&manifest);
	it_layer_free(&layer);
	it_layer_free(&top);
	rig_free(&r);
}

TEST(what_goes_wrong)
{
	struct it_layer layer = it_simple("file", "text", IT_PLAIN);
	struct buf archive, text = BUF_INIT(4096), bad = BUF_INIT(1 << 20);
	struct image_make m = { .config = &no_config, .name = "x" };
	char id[DIGEST_TEXT_MAX];
	struct rig_op o, gone;
	struct rig r;
	int fds[2];

	CHECK(rig_new(&r) == 0);
	buf_add_text(&text, "this is no tar archive at all, and it is long enough to be looked at");
	CHECK_INT(make(&r, &text, &m, &o), -EINVAL);
	tb_add(&bad, (struct member){ .name = "../../etc/x", .data = "x", .size = 1 });
	tb_end(&bad);
	CHECK_INT(make(&r, &bad, &m, &o), -EINVAL);
	m.name = "UPPER";
	CHECK_INT(make(&r, &layer.blob, &m, &o), -EINVAL);
	m.name = "a@sha256:0000000000000000000000000000000000000000000000000000000000000000";
	CHECK_INT(make(&r, &layer.blob, &m, &o), -EINVAL);
	m.name = "x";
	/* the parent goes while the layer comes */
	two_layers(&archive, "web:1", NULL, id);
	CHECK(rig_load(&r, &archive, &o) == 0);
	m.parent = id;
	rig_prepare(&o);
	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	CHECK(images_make(r.images, fds[0], &m, &o.op, &o.err) == 0);
	close(fds[0]);
	rig_prepare(&gone);
	CHECK(images_remove(r.images, id, 0, &gone.op, &gone.err) == 0 && rig_wait(&r, &gone) == 0);
	CHECK(file_write_all(fds[1], layer.blob.data, layer.blob.len, NULL) == 0);
	close(fds[1]);
	CHECK_INT(rig_wait(&r, &o), -EAGAIN);
	/* taken back */
	m.parent = NULL;
	rig_prepare(&o);
	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	CHECK(images_make(r.images, fds[0], &m, &o.op, &o.err) == 0);
	close(fds[0]);
	CHECK(file_write_all(fds[1], layer.blob.data, layer.blob.len, NULL) == 0);
	image_op_cancel(&o.op);
	close(fds[1]);
	CHECK(rig_swept(&r));
	CHECK_INT(images_count(r.images), 0);
	CHECK_INT(rig_count(&r, "layers") + rig_count(&r, "blobs/sha256") + rig_count(&r, "refs"),
		  0);
	buf_free(&archive);
	buf_free(&text);
	buf_free(&bad);
	it_layer_free(&layer);
	rig_free(&r);
}
