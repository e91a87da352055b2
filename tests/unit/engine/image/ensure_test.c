/*
 * Images that the machine's own archives hold: loaded when they are asked for, and again when the
 * archive was replaced.
 *
 * As store_test.c: archives by imagetar.h, operations and real workers by rig.h.
 */
#include "engine/image/image.h"

#include "tests/unit/engine/image/imagetar.h"
#include "tests/unit/engine/image/rig.h"

static const char other_config[] = "{\"Cmd\":[\"httpd\",\"-f\"],\"Env\":[\"PATH=/bin\"]}";

static int put_archive(const struct rig *r, const char *name, const struct buf *archive)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", r->archives, name);
	return file_replace(AT_FDCWD, path, archive->data, archive->len, 0644, false, NULL);
}

TEST(images_come_from_archives_when_asked_for)
{
	struct buf web, db;
	char id[DIGEST_TEXT_MAX];
	struct rig_op o[3];
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&web, "web:1", NULL, id);
	two_layers(&db, "example.com/db", other_config, id);
	CHECK(put_archive(&r, "a-web.tar", &web) == 0 && put_archive(&r, "b-db.tar", &db) == 0);
	CHECK(put_archive(&r, "README",
			  &(struct buf){ .data = (char *)(uintptr_t) "text", .len = 4 }) == 0);
	for (int i = 0; i < 3; i++)
		rig_prepare(&o[i]);
	log_set_level(0); /* README is no archive, which is said */
	CHECK(images_ensure(r.images, "example.com/db:latest", &o[0].op, &o[0].err) == 0);
	CHECK(images_ensure(r.images, "web:1", &o[1].op, &o[1].err) == 0);
	CHECK(images_ensure(r.images, "web:2", &o[2].op, &o[2].err) == 0);
	CHECK(!o[0].done);
	CHECK_MSG(rig_wait(&r, &o[0]) == 0, "%s", err_text(&o[0].err));
	CHECK_MSG(rig_wait(&r, &o[1]) == 0, "%s", err_text(&o[1].err));
	CHECK_INT(rig_wait(&r, &o[2]), -ENOENT);
	log_set_level(LOG_ERROR);
	CHECK(str_starts(err_text(&o[2].err), "No such image: web:2, and no archive in "));
	CHECK_MSG(strstr(err_text(&o[2].err), "README: "), "%s", err_text(&o[2].err));
	CHECK_STR(o[0].changes, "loaded example.com/db:latest\n");
	CHECK(images_find(r.images, "web:1", NULL));
	/* the second time it is there already */
	rig_prepare(&o[0]);
	CHECK(images_ensure(r.images, "web:1", &o[0].op, &o[0].err) == 0 &&
	      rig_wait(&r, &o[0]) == 0);
	CHECK_STR(o[0].changes, "");
	/* taking one back, and closing with one under way */
	rig_prepare(&o[1]);
	rig_prepare(&o[2]);
	CHECK(images_ensure(r.images, "web:3", &o[1].op, &o[1].err) == 0);
	CHECK(images_ensure(r.images, "web:4", &o[2].op, &o[2].err) == 0);
	image_op_cancel(&o[1].op);
	images_free(r.images);
	r.images = NULL;
	CHECK(!o[1].done && o[2].done && o[2].result == -ECANCELED);
	buf_free(&web);
	buf_free(&db);
	rig_free(&r);
}

TEST(a_replaced_archive_replaces_its_image)
{
	struct buf first, second, other;
	char id[3][DIGEST_TEXT_MAX];
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&first, "web:1", NULL, id[0]);
	two_layers(&second, "web:1", other_config, id[1]);
	two_layers(&other, "other:1", other_config, id[2]);
	CHECK(put_archive(&r, "web.tar", &first) == 0);
	rig_prepare(&o);
	CHECK(images_ensure(r.images, "web:1", &o.op, &o.err) == 0 && rig_wait(&r, &o) == 0);
	CHECK_STR(images_find(r.images, "web:1", NULL)->id, id[0]);
	/* the same after a restart: nothing is loaded again */
	CHECK(rig_restart(&r) == 0);
	rig_prepare(&o);
	CHECK(images_ensure(r.images, "web:1", &o.op, &o.err) == 0 && rig_wait(&r, &o) == 0);
	CHECK_STR(o.changes, "");
	/* another one in its place */
	CHECK(put_archive(&r, "web.tar", &second) == 0 && rig_restart(&r) == 0);
	rig_prepare(&o);
	CHECK(images_ensure(r.images, "web:1", &o.op, &o.err) == 0 && rig_wait(&r, &o) == 0);
	CHECK_STR(o.changes, "untagged web:1\nloaded web:1\n");
	CHECK_STR(images_find(r.images, "web:1", NULL)->id, id[1]);
	/* one that does not hold it any more, then none: the image stays */
	CHECK(put_archive(&r, "web.tar", &other) == 0);
	rig_prepare(&o);
	CHECK(images_ensure(r.images, "web:1", &o.op, &o.err) == 0 && rig_wait(&r, &o) == 0);
	CHECK_STR(images_find(r.images, "web:1", NULL)->id, id[1]);
	CHECK(tree_remove(AT_FDCWD, r.archives, NULL) == 0);
	rig_prepare(&o);
	CHECK(images_ensure(r.images, "web:1", &o.op, &o.err) == 0 && rig_wait(&r, &o) == 0);
	buf_free(&first);
	buf_free(&second);
	buf_free(&other);
	rig_free(&r);
}
