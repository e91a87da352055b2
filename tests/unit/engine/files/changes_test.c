/*
 * Changes of crafted upper directories over crafted layers, with real overlay mounts: kinds, order,
 * parents, whiteouts, opaque directories, what the runtime makes. And sizes. Runs as root.
 */
#include "engine/files/changes.h"

#include <sys/xattr.h>

#include "engine/files/pack.h"
#include "engine/files/usage.h"
#include "engine/files/view.h"
#include "init/base/clock.h"
#include "tests/unit/engine/files/rig.h"

struct listed {
	struct changes c;
	struct buf text;
};

static int note(struct changes *c, enum change_kind kind, const char *path, struct err *e)
{
	struct listed *l = container_of(c, struct listed, c);

	(void)e;
	buf_printf(&l->text, "%c %s;", "CAD"[kind], path);
	return 0;
}

/* The layers: lower has what the image has; upper starts empty. */
struct scene {
	int upper, lower;
};

static struct scene scene_new(void)
{
	struct scene s = { rig_dir("upper"), rig_dir("lower") };

	close(rig_dir("lower/etc"));
	close(rig_dir("lower/usr/lib/x"));
	rig_file(s.lower, "etc/passwd", "p");
	rig_file(s.lower, "etc/group", "g");
	rig_file(s.lower, "usr/lib/a", "a");
	rig_file(s.lower, "usr/lib/b", "b");
	rig_file(s.lower, "file", "f");
	return s;
}

/* A directory of upper with the time of the one below, as overlayfs copies it up. */
static void copy_up(const struct scene *s, const char *path)
{
	struct stat st;

	if (mkdirat(s->upper, path, 0755) < 0 && errno != EEXIST)
		abort();
	if (fstatat(s->lower, path, &st, 0) == 0)
		utimensat(s->upper, path, (struct timespec[2]){ st.st_atim, st.st_mtim }, 0);
}

static const char *changes_of(struct scene *s, struct listed *l)
{
	_cleanup_(mem_free) char *upper = str_printf("%s/upper", test_tmpdir()),
				 *lower = str_printf("%s/lower", test_tmpdir());
	char *both[] = { upper, lower, NULL };
	_cleanup_(fd_close) int merged = -1;
	struct err e = { 0 };

	merged = view_layers(both, &e);
	buf_reset(&l->text);
	l->c = (struct changes){
		.upper = s->upper, .lower = s->lower, .merged = merged, .add = note
	};
	if (merged < 0 || changes_walk(&l->c, &e) < 0)
		buf_printf(&l->text, "(%s)", err_text(&e));
	return buf_text(&l->text);
}

#define CASE()                        \
	struct scene s = scene_new(); \
	struct listed l = { .text = { 0 } }
#define CASE_END()                 \
	do {                       \
		close(s.upper);    \
		close(s.lower);    \
		buf_free(&l.text); \
	} while (0)

TEST(nothing_changed)
{
	CASE();
	CHECK_STR(changes_of(&s, &l), "");
	copy_up(&s, "etc");
	copy_up(&s, "usr");
	CHECK_STR(changes_of(&s, &l), "");
	CASE_END();
}

TEST(added_modified_deleted)
{
	CASE();
	copy_up(&s, "etc");
	rig_file(s.upper, "etc/passwd", "changed");
	copy_up(&s, "etc"); /* its time stays, as only content changed */
	CHECK_STR(changes_of(&s, &l), "C /etc/passwd;");
	rig_file(s.upper, "etc/new", "n");
	CHECK_STR(changes_of(&s, &l), "C /etc;A /etc/new;C /etc/passwd;");
	CHECK(mknodat(s.upper, "etc/group", S_IFCHR, 0) == 0);
	CHECK(mknodat(s.upper, "file", S_IFCHR, 0) == 0);
	CHECK(mknodat(s.upper, "etc/never", S_IFCHR, 0) == 0);
	CHECK_STR(changes_of(&s, &l), "C /etc;D /etc/group;A /etc/new;C /etc/passwd;D /file;");
	close(rig_dir("upper/srv/deep"));
	rig_file(s.upper, "srv/deep/f", "f");
	CHECK(str_ends(changes_of(&s, &l), "D /file;A /srv;A /srv/deep;A /srv/deep/f;"));
	CASE_END();
}

TEST(parents_are_told_only_when_they_changed)
{
	CASE();
	copy_up(&s, "usr");
	copy_up(&s, "usr/lib");
	rig_file(s.upper, "usr/lib/a", "other");
	copy_up(&s, "usr/lib");
	copy_up(&s, "usr");
	CHECK_STR(changes_of(&s, &l), "C /usr/lib/a;");
	CHECK(mknodat(s.upper, "usr/lib/b", S_IFCHR, 0) == 0);
	copy_up(&s, "usr/lib"); /* the time alone would not tell */
	copy_up(&s, "usr");
	CHECK_STR(changes_of(&s, &l), "C /usr/lib/a;C /usr/lib;D /usr/lib/b;");
	CHECK(fchmodat(s.upper, "usr", 0700, 0) == 0);
	CHECK_STR(changes_of(&s, &l), "C /usr;C /usr/lib/a;C /usr/lib;D /usr/lib/b;");
	CASE_END();
}

TEST(opaque_directories_and_changed_kinds)
{
	_cleanup_(fd_close) int lib = -1;
	CASE();
	copy_up(&s, "usr");
	copy_up(&s, "usr/lib");
	lib = openat(s.upper, "usr/lib", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_MSG(fsetxattr(lib, "trusted.overlay.opaque", "y", 1, 0) == 0,
		  "the test needs trusted attributes: %m");
	rig_file(s.upper, "usr/lib/b", "again");
	rig_file(s.upper, "usr/lib/c", "c");
	copy_up(&s, "usr/lib");
	copy_up(&s, "usr");
	CHECK_STR(changes_of(&s, &l),
		  "C /usr/lib/b;C /usr/lib;A /usr/lib/c;D /usr/lib/a;D /usr/lib/x;");
	close(rig_dir("upper/file/sub")); /* a directory where a file was */
	rig_file(s.upper, "etc", "and the other way round");
	CHECK(str_starts(changes_of(&s, &l), "C /etc;C /file;A /file/sub;"));
	CASE_END();
}

TEST(what_the_runtime_makes_is_no_change)
{
	CASE();
	copy_up(&s, "etc");
	rig_file(s.upper, "etc/hosts", "");
	rig_file(s.upper, "etc/resolv.conf", "");
	close(rig_dir("upper/proc"));
	close(rig_dir("upper/sys"));
	close(rig_dir("upper/dev/pts"));
	CHECK_STR(changes_of(&s, &l), "");
	rig_file(s.upper, "etc/mine", "m");
	rig_file(s.upper, "dev/mine", "m");
	rig_file(s.upper, "etc/mtab", "not empty");
	CHECK_STR(changes_of(&s, &l), "C /dev;A /dev/mine;C /etc;A /etc/mine;A /etc/mtab;");
	CASE_END();
}

TEST(sizes_count_a_file_once_and_stop_at_their_limits)
{
	_cleanup_(fd_close) int dir = rig_dir("dir");
	struct usage_limits plenty = { .entries = 100, .end_ns = INT64_MAX };
	struct usage_limits few = { .entries = 2, .end_ns = INT64_MAX };
	struct usage_limits late = { .entries = 256, .end_ns = clock_mono_ns() - 1 };

	close(rig_dir("dir/sub"));
	rig_file(dir, "a", "12345");
	rig_file(dir, "sub/b", "123");
	CHECK(linkat(dir, "a", dir, "sub/a2", 0) == 0);
	CHECK(symlinkat("12", dir, "l") == 0);
	CHECK_INT(usage_count(dir, &plenty), 5 + 3 + 2);
	CHECK_INT(usage_count(dir, &few), -EFBIG);
	late.entries = 257;
	CHECK_INT(usage_count(dir, &late), -ETIMEDOUT);
}

/* ---- as a layer ---- */

struct layered {
	struct changes c;
	struct pack *pack;
};

static int into_layer(struct changes *c, enum change_kind kind, const char *path, struct err *e)
{
	struct layered *l = container_of(c, struct layered, c);

	return kind == CHANGE_DELETED ? pack_layer_deleted(l->pack, path, e)
				      : pack_layer_node(l->pack, path, e);
}

static const char *layer_of(struct scene *s, struct memory *m, struct buf *text)
{
	_cleanup_(mem_free) char *upper = str_printf("%s/upper", test_tmpdir()),
				 *lower = str_printf("%s/lower", test_tmpdir());
	char *both[] = { upper, lower, NULL };
	struct layered l = {
		.c = { .upper = s->upper, .lower = s->lower, .whole = true, .add = into_layer }
	};
	struct pack_result result;
	struct err e = { 0 };
	int r;

	l.c.merged = view_layers(both, &e);
	if (l.c.merged < 0 || pack_layer_begin(s->upper, &m->sink, &l.pack, &e) < 0)
		return err_text(&e);
	r = pack_layer_end(l.pack, changes_walk(&l.c, &e), &result, &e);
	close(l.c.merged);
	if (r == 0)
		return rig_list(m, text);
	buf_reset(text);
	buf_add_text(text, err_text(&e));
	return buf_text(text);
}

TEST(a_layer_has_directories_before_what_is_in_them)
{
	struct scene s = scene_new();
	struct buf text = { 0 };
	MEMORY(m);

	copy_up(&s, "usr");
	copy_up(&s, "usr/lib");
	rig_file(s.upper, "usr/lib/a", "other");
	CHECK(mknodat(s.upper, "usr/lib/b", S_IFCHR, 0) == 0);
	CHECK(fchmodat(s.upper, "usr/lib", 0700, 0) == 0);
	copy_up(&s, "usr/lib");
	copy_up(&s, "usr");
	CHECK(mknodat(s.upper, "file", S_IFCHR, 0) == 0);
	close(rig_dir("upper/srv/deep"));
	rig_file(s.upper, "srv/deep/f", "f");
	CHECK(linkat(s.upper, "srv/deep/f", s.upper, "srv/again", 0) == 0);
	CHECK(symlinkat("/etc/shadow", s.upper, "srv/link") == 0);
	CHECK(mknodat(s.upper, "srv/null", S_IFCHR | 0600, makedev(1, 3)) == 0);
	close(rig_dir("upper/proc"));
	CHECK_STR(layer_of(&s, &m, &text),
		  "f 0000 .wh.file 0;d 0755 srv/;f 0644 srv/again 1;d 0755 srv/deep/;h 0644 "
		  "srv/deep/f -> srv/again;l 0777 srv/link -> /etc/shadow;c 0600 srv/null;d 0755 "
		  "usr/;d 0700 usr/lib/;f 0644 usr/lib/a 5;f 0000 usr/lib/.wh.b 0;");
	close(s.upper);
	close(s.lower);
	buf_free(&text);
}

TEST(a_layer_of_an_opaque_directory_and_of_nothing)
{
	struct scene s = scene_new();
	struct buf text = { 0 };
	int lib;
	MEMORY(m);

	CHECK_STR(layer_of(&s, &m, &text), "");
	buf_reset(&m.data);
	close(rig_dir("upper/usr/lib"));
	lib = rig_dir("upper/usr/lib");
	CHECK_MSG(fsetxattr(lib, "trusted.overlay.opaque", "y", 1, 0) == 0, "%m");
	rig_file(s.upper, "usr/lib/b", "new");
	CHECK_STR(layer_of(&s, &m, &text),
		  "d 0755 usr/;d 0755 usr/lib/;f 0644 usr/lib/b 3;f 0000 usr/lib/.wh.a 0;f 0000 "
		  "usr/lib/.wh.x 0;");
	close(lib);
	close(s.upper);
	close(s.lower);
	buf_free(&text);
}

/* `docker diff` leaves out what is too deep; a layer must not. */
TEST(what_is_too_deep_for_a_layer)
{
	struct scene s = scene_new();
	struct listed l = { .text = { 0 } };
	struct buf text = { 0 };
	int fd = dup(s.upper);
	MEMORY(m);

	for (int i = 0; i <= CHANGES_DEPTH_MAX; i++) {
		int next;

		CHECK(mkdirat(fd, "d", 0755) == 0);
		next = openat(fd, "d", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	close(fd);
	CHECK(str_starts(changes_of(&s, &l), "A /d;A /d/d;"));
	CHECK(str_starts(layer_of(&s, &m, &text), "directories are nested too deep: \"/d/d/d"));
	close(s.upper);
	close(s.lower);
	buf_free(&text);
	buf_free(&l.text);
}

TEST(names_that_a_layer_cannot_hold)
{
	struct scene s = scene_new();
	struct buf text = { 0 };
	MEMORY(m);

	close(rig_dir("upper/srv"));
	rig_file(s.upper, "srv/.wh.etc", "x");
	CHECK(strstr(layer_of(&s, &m, &text), "\"/srv/.wh.etc\" cannot be in a layer") != NULL);
	close(s.upper);
	close(s.lower);
	buf_free(&text);
}
