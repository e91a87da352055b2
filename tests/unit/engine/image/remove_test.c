/*
 * Removing names and images: Docker's rules as a table, for images with one name and several, with
 * digests, used by containers that run or are stopped, by name and by id, with and without force.
 *
 * Each row starts with a store of its own. `names` is what the image is loaded as and tagged with.
 */
#include "engine/image/image.h"

#include "tests/unit/engine/image/imagetar.h"
#include "tests/unit/engine/image/rig.h"

enum use { UNUSED_BY_ALL, STOPPED, RUNNING };

static const char *used_by(const char *image_id, bool *ret_running, void *data)
{
	const enum use *use = data;

	(void)image_id;
	*ret_running = *use == RUNNING;
	return *use == UNUSED_BY_ALL ? NULL : "0123456789abcdef";
}

/* In texts "ID" stands for the first 12 digits of the id, in `ref` for all of it, "DIGEST" for the
 * manifest's digest. */
static char *fill(const char *text, const char *id, const char *digest)
{
	static char out[1024];
	size_t n = 0;

	for (; *text; text++) {
		if (str_starts(text, "ID")) {
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%.12s", digest_hex(id));
			text += 1;
		} else if (str_starts(text, "DIGEST")) {
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s", digest);
			text += 5;
		} else {
			out[n++] = *text;
		}
	}
	out[n] = '\0';
	return out;
}

struct row {
	const char *names[3]; /* the first is the archive's */
	bool oci; /* with a manifest, hence with digests */
	enum use use;
	const char *ref;
	unsigned flags;
	const char *error; /* NULL: none */
	const char *changes;
};

#define GONE "deleted -\nlayer -\n"

static const struct row rows[] = {
	/* by name */
	{ { "a:1" }, 0, UNUSED_BY_ALL, "a:1", 0, NULL, "untagged a:1\n" GONE },
	{ { "a:1", "a:2" }, 0, UNUSED_BY_ALL, "a:2", 0, NULL, "untagged a:2\n" },
	{ { "a:1", "b:1" }, 0, RUNNING, "b:1", 0, NULL, "untagged b:1\n" },
	{ { "a:1" },
	  0,
	  STOPPED,
	  "a:1",
	  0,
	  "conflict: unable to remove repository reference \"a:1\" (must force) - container "
	  "0123456789ab is using its referenced image ID",
	  "" },
	{ { "a:1" }, 0, STOPPED, "a:1", IMAGE_REMOVE_FORCE, NULL, "untagged a:1\n" },
	{ { "a:1" }, 0, RUNNING, "a:1", IMAGE_REMOVE_FORCE, NULL, "untagged a:1\n" },
	{ { "a:1" }, 0, UNUSED_BY_ALL, "a:1", IMAGE_REMOVE_NO_PRUNE, NULL, "untagged a:1\n" GONE },
	{ { "a:1" }, 0, UNUSED_BY_ALL, "a:2", IMAGE_REMOVE_FORCE, "No such image: a:2", "" },
	/* by id */
	{ { "a:1" }, 0, UNUSED_BY_ALL, "ID", 0, NULL, "untagged a:1\n" GONE },
	{ { NULL }, 0, UNUSED_BY_ALL, "ID", 0, NULL, GONE },
	{ { "a:1", "a:2" },
	  0,
	  UNUSED_BY_ALL,
	  "ID",
	  0,
	  "conflict: unable to delete ID (must be forced) - image is referenced in multiple "
	  "repositories",
	  "" },
	{ { "a:1", "b:1" },
	  0,
	  UNUSED_BY_ALL,
	  "ID",
	  IMAGE_REMOVE_FORCE,
	  NULL,
	  "untagged a:1\nuntagged b:1\n" GONE },
	{ { "a:1", "b:1" },
	  0,
	  RUNNING,
	  "ID",
	  IMAGE_REMOVE_FORCE,
	  "conflict: unable to delete ID (cannot be forced) - image is being used by running "
	  "container 0123456789ab",
	  "" },
	{ { "a:1" },
	  0,
	  STOPPED,
	  "ID",
	  0,
	  "conflict: unable to delete ID (must be forced) - image is being used by stopped "
	  "container 0123456789ab",
	  "" },
	{ { "a:1" }, 0, STOPPED, "ID", IMAGE_REMOVE_FORCE, NULL, "untagged a:1\n" },
	{ { NULL },
	  0,
	  STOPPED,
	  "ID",
	  IMAGE_REMOVE_FORCE,
	  "conflict: unable to delete ID (cannot be forced) - image is being used by stopped "
	  "container 0123456789ab",
	  "" },
	/* with digests */
	{ { "a:1" }, 1, UNUSED_BY_ALL, "a:1", 0, NULL, "untagged a:1\nuntagged a@DIGEST\n" GONE },
	{ { "a:1" }, 1, UNUSED_BY_ALL, "a@DIGEST", 0, NULL, "untagged a@DIGEST\n" },
	{ { "a:1", "a:2" }, 1, UNUSED_BY_ALL, "a:1", 0, NULL, "untagged a:1\n" },
	{ { "a:1", "b:1" }, 1, UNUSED_BY_ALL, "a:1", 0, NULL, "untagged a:1\nuntagged a@DIGEST\n" },
	{ { "a:1" }, 1, UNUSED_BY_ALL, "ID", 0, NULL, "untagged a:1\nuntagged a@DIGEST\n" GONE },
	{ { "a:1" },
	  1,
	  STOPPED,
	  "a:1",
	  IMAGE_REMOVE_FORCE,
	  NULL,
	  "untagged a:1\nuntagged a@DIGEST\n" },
};

static void prepare(struct rig *r, const struct row *row, char id[DIGEST_TEXT_MAX])
{
	struct it_layer layer = it_simple("file", "text", IT_PLAIN);
	const struct it_image img = { &layer, 1, NULL, row->names[0] };
	struct buf archive = BUF_INIT(64 << 20);
	struct rig_op o;

	if (row->oci)
		it_oci(&archive, &img, id);
	else
		it_docker(&archive, &img, false, id);
	tb_end(&archive);
	CHECK_MSG(rig_load(r, &archive, &o) == 0, "%s", err_text(&o.err));
	for (size_t i = 1; i < ARRAY_SIZE(row->names) && row->names[i]; i++)
		CHECK(images_tag(r->images, id, row->names[i], NULL) == 0);
	buf_free(&archive);
	it_layer_free(&layer);
}

static bool is_gone(const struct row *row)
{
	return strstr(row->changes, "deleted") != NULL;
}

static void run_row(const struct row *row, size_t n)
{
	char id[DIGEST_TEXT_MAX], digest[DIGEST_TEXT_MAX] = "", ref[256];
	enum use use = row->use;
	const struct image *img;
	struct rig_op o;
	struct rig r;
	int result;

	CHECK(rig_new(&r) == 0);
	prepare(&r, row, id);
	img = images_find(r.images, id, NULL);
	if (img->manifest)
		snprintf(digest, sizeof(digest), "%s", img->manifest);
	images_set_users(r.images, used_by, &use);
	rig_prepare(&o);
	snprintf(ref, sizeof(ref), "%s", fill(row->ref, id, digest));
	result = images_remove(r.images, ref, row->flags, &o.op, &o.err);
	if (result == 0)
		result = rig_wait(&r, &o);
	CHECK_MSG((result < 0) == !!row->error, "row %zu: %d %s", n, result, err_text(&o.err));
	if (row->error)
		CHECK_STR(err_text(&o.err), fill(row->error, id, digest));
	CHECK_STR(o.changes, fill(row->changes, id, digest));
	CHECK_INT(o.op.freed, is_gone(row) ? 4 : 0);
	for (int i = 0; i < 2; i++) {
		img = images_find(r.images, id, NULL);
		CHECK_MSG(!img == is_gone(row), "row %zu", n);
		/* what an untagged one stands on is there */
		CHECK_INT(rig_count(&r, "layers"), is_gone(row) ? 0 : 1);
		if (is_gone(row))
			CHECK_INT(rig_count(&r, "blobs/sha256") + rig_count(&r, "refs"), 0);
		else if (img && strstr(row->changes, "a@"))
			CHECK_INT(strv_len(img->digests), 0);
		CHECK(rig_restart(&r) == 0);
	}
	rig_free(&r);
	CHECK(tree_remove(AT_FDCWD, r.dir, NULL) == 0);
}

TEST(dockers_rules)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		run_row(&rows[i], i);
}

/* One name after the other by prune's way: force by id. */
TEST(a_shared_layer_is_not_counted_as_freed)
{
	struct it_layer layers[] = { it_simple("base", "base", IT_PLAIN),
				     it_simple("top", "top", IT_PLAIN) };
	struct buf a = BUF_INIT(64 << 20), b = BUF_INIT(64 << 20);
	char ids[2][DIGEST_TEXT_MAX];
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	it_docker(&a, &(struct it_image){ layers, 1, NULL, "a" }, false, ids[0]);
	it_docker(&b, &(struct it_image){ layers, 2, NULL, "b" }, false, ids[1]);
	tb_end(&a);
	tb_end(&b);
	CHECK(rig_load(&r, &a, &o) == 0 && rig_load(&r, &b, &o) == 0);
	for (int i = 1; i >= 0; i--) {
		rig_prepare(&o);
		CHECK(images_remove(r.images, ids[i], IMAGE_REMOVE_FORCE, &o.op, &o.err) == 0);
		CHECK(rig_wait(&r, &o) == 0);
		CHECK_INT(o.op.freed, i ? 3 : 4);
	}
	CHECK_INT(rig_count(&r, "tmp") + rig_count(&r, "layers"), 0);
	buf_free(&a);
	buf_free(&b);
	for (int i = 0; i < 2; i++)
		it_layer_free(&layers[i]);
	rig_free(&r);
}
