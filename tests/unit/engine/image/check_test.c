/*
 * The store's check: a store in order passes, each kind of damage is found, and what a crash leaves
 * is told from damage.
 *
 * The rows are damages done by hand to a store that real workers made. Nothing here asks the index.
 */
#include "engine/image/image.h"

#include <sys/stat.h>

#include "init/base/fault.h"
#include "tests/unit/engine/image/imagetar.h"
#include "tests/unit/engine/image/rig.h"

static int fail_after = -1; /* so many records are written, then the disk is full */

int fault_point(const char *step)
{
	/* only records are synced one by one */
	if (!str_eq(step, "file.fsync") || fail_after < 0)
		return 0;
	return fail_after-- == 0 ? -ENOSPC : 0;
}

/* The only entry of a folder of the store whose name starts so. */
struct wanted {
	const char *prefix;
	char name[NAME_MAX + 1];
};

static int match(int dirfd, const char *name, void *data, struct err *e)
{
	struct wanted *w = data;

	(void)dirfd;
	(void)e;
	if (str_starts(name, w->prefix))
		(void)str_copy(w->name, sizeof(w->name), name);
	return 0;
}

static void path_of(const struct rig *r, const char *folder, const char *prefix, char path[1024])
{
	struct wanted w = { .prefix = prefix };
	char dir[512];

	snprintf(dir, sizeof(dir), "%s/%s", r->dir, folder);
	CHECK_INT(dir_each(AT_FDCWD, dir, 1000, match, &w, NULL), 0);
	CHECK(w.name[0]);
	snprintf(path, 1024, "%s/%s", dir, w.name);
}

static void spoil(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0 && pwrite(fd, "?", 1, 0) == 1);
	fd_close(fd);
}

static void put(const struct rig *r, const char *name, const char *text)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	CHECK_INT(file_replace(AT_FDCWD, path, text, strlen(text), 0600, false, NULL), 0);
}

/* A closed store with one image, "web:1", of two layers; its id. */
static void make_store(struct rig *r, char id[DIGEST_TEXT_MAX])
{
	struct buf archive;
	struct rig_op o;

	CHECK(rig_new(r) == 0);
	two_layers(&archive, "web:1", "{}", id);
	CHECK_MSG(rig_load(r, &archive, &o) == 0, "%s", err_text(&o.err));
	buf_free(&archive);
	images_free(r->images);
	r->images = NULL;
}

static size_t violations(const struct rig *r, bool with_recovery)
{
	struct err e = { 0 };
	size_t n = 999;

	if (image_check(r->dir, with_recovery, &n, &e) < 0)
		test_fail(__FILE__, __LINE__, "image_check: %s", err_text(&e));
	return n;
}

TEST(a_store_in_order_has_no_violation)
{
	char id[DIGEST_TEXT_MAX];
	struct rig r;

	make_store(&r, id);
	CHECK_INT(violations(&r, false), 0);
	CHECK_INT(violations(&r, true), 0);
	rig_free(&r);
}

static void lose_layer(const struct rig *r)
{
	char path[1024];

	path_of(r, "layers", "", path);
	CHECK_INT(tree_remove(AT_FDCWD, path, NULL), 0);
}

static void path_in_layer(const struct rig *r, const char *name, char path[1024])
{
	char folder[1024];

	path_of(r, "layers", "", folder);
	CHECK_INT(str_format(path, 1024, "%s/%s", folder, name), 0);
}

static void lose_layer_record(const struct rig *r)
{
	char path[1024];

	path_in_layer(r, "layer.json", path);
	CHECK_INT(unlink(path), 0);
}

static void lose_tree(const struct rig *r)
{
	char path[1024];

	path_in_layer(r, "fs", path);
	CHECK_INT(tree_remove(AT_FDCWD, path, NULL), 0);
}

static void leave_notes(const struct rig *r)
{
	char path[1024];

	path_in_layer(r, "notes", path);
	CHECK_INT(file_replace(AT_FDCWD, path, "", 0, 0600, false, NULL), 0);
}

static void move_layer(const struct rig *r)
{
	char path[1024], to[1024];

	path_of(r, "layers", "", path);
	snprintf(to, sizeof(to), "%s", path);
	to[strlen(to) - 1] = to[strlen(to) - 1] == '0' ? '1' : '0';
	CHECK_INT(rename(path, to), 0);
}

static void spoil_blob(const struct rig *r)
{
	char path[1024];

	path_of(r, "blobs/sha256", "", path);
	spoil(path);
}

static void lose_image(const struct rig *r)
{
	char path[1024];

	path_of(r, "refs", "i-", path);
	CHECK_INT(unlink(path), 0);
}

static void spoil_image(const struct rig *r)
{
	char path[1024];

	path_of(r, "refs", "i-", path);
	spoil(path);
}

static void move_name(const struct rig *r)
{
	char path[1024], to[1024];

	path_of(r, "refs", "n-", path);
	snprintf(to, sizeof(to), "%s/refs/n-other.json", r->dir);
	CHECK_INT(rename(path, to), 0);
}

static void put_aside(const struct rig *r)
{
	put(r, "refs/n-x.json.bad", "{}");
}

static void put_strange(const struct rig *r)
{
	put(r, "strange", "");
}

static void half_blob(const struct rig *r)
{
	put(r, "blobs/sha256/half", "");
}

TEST(each_kind_of_damage_is_found)
{
	static const struct {
		const char *what;
		void (*fn)(const struct rig *r);
	} rows[] = {
		{ "a layer is lost", lose_layer },
		{ "a layer's record is lost", lose_layer_record },
		{ "a layer's tree is lost", lose_tree },
		{ "a layer is not finished", leave_notes },
		{ "a layer lies under another chain id", move_layer },
		{ "a blob has another content", spoil_blob },
		{ "an image's record is lost, a name points to it", lose_image },
		{ "an image's record is no JSON", spoil_image },
		{ "a name's record lies under another name", move_name },
		{ "a record was put aside", put_aside },
		{ "a strange file in the store", put_strange },
		{ "a strange file among the blobs", half_blob },
	};
	char id[DIGEST_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig r;

		make_store(&r, id);
		rows[i].fn(&r);
		CHECK_MSG(violations(&r, false) > 0, "not found: %s", rows[i].what);
		CHECK_INT(tree_remove(AT_FDCWD, r.dir, NULL), 0);
		rig_free(&r);
	}
}

TEST(what_a_crash_leaves_is_no_violation_before_the_recovery_and_gone_after_it)
{
	char id[DIGEST_TEXT_MAX], digest[DIGEST_TEXT_MAX], name[128], path[1024];
	struct rig r;

	make_store(&r, id);
	CHECK_INT(digest_of("orphan", 6, digest), 0);
	snprintf(name, sizeof(name), "blobs/sha256/%s", digest_hex(digest));
	put(&r, name, "orphan");
	put(&r, "refs/.tmp-0123456789abcdef", "half");
	snprintf(path, sizeof(path), "%s/tmp/job/l0/fs", r.dir);
	CHECK_INT(dir_make(AT_FDCWD, path, 0700, NULL), 0);
	path_of(&r, "refs", "n-", path); /* a removal that was cut, with all its layers */
	CHECK_INT(unlink(path), 0);
	lose_image(&r);
	CHECK_INT(violations(&r, false), 0);
	CHECK_INT(rig_count(&r, "blobs/sha256"), 4);
	CHECK_INT(violations(&r, true), 0);
	CHECK_INT(rig_count(&r, "blobs/sha256") + rig_count(&r, "layers") + rig_count(&r, "tmp") +
			  rig_count(&r, "refs"),
		  0);
	rig_free(&r);
}

TEST(a_load_whose_records_find_no_room_leaves_nothing)
{
	char id[DIGEST_TEXT_MAX];
	struct buf archive;
	struct rig_op o;
	struct rig r;

	CHECK(rig_new(&r) == 0);
	two_layers(&archive, "web:1", "{}", id);
	for (int written = 0; written < 2; written++) { /* the image's record, its name's */
		fail_after = written;
		CHECK_INT(rig_load(&r, &archive, &o), -ENOSPC);
		CHECK_INT(fail_after, -1);
		CHECK(strstr(err_text(&o.err), "No space left on device"));
		CHECK(rig_swept(&r));
		CHECK_INT(images_count(r.images), 0);
		CHECK_INT(rig_count(&r, "blobs/sha256") + rig_count(&r, "layers") +
				  rig_count(&r, "refs"),
			  0);
		CHECK_INT(violations(&r, false), 0);
	}
	CHECK_MSG(rig_load(&r, &archive, &o) == 0, "%s", err_text(&o.err));
	CHECK_INT(violations(&r, false), 0);
	buf_free(&archive);
	rig_free(&r);
}
