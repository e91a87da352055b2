/*
 * Trees as archives: names by Docker's rules, links, several names of a file, holes, attributes,
 * long names; and the description of a path. Runs as root.
 */
#include "engine/files/pack.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "tests/unit/engine/files/rig.h"

/* A small tree with one of each. */
static int make_tree(void)
{
	int root;

	umask(0);
	root = rig_dir("root");
	close(rig_dir("root/d/sub"));
	rig_file(root, "d/b", "bb");
	rig_file(root, "d/a", "a");
	if (linkat(root, "d/a", root, "d/z", 0) < 0 || symlinkat("a", root, "d/link") < 0 ||
	    symlinkat("/d", root, "to_d") < 0 || mkfifoat(root, "d/pipe", 0600) < 0 ||
	    mknodat(root, "d/null", S_IFCHR | 0666, makedev(1, 3)) < 0)
		abort();
	return root;
}

static const char *packed(int root, const char *path, struct memory *m, struct buf *list)
{
	_cleanup_(found_close) struct found f = { .fd = -1, .dir = -1 };
	struct pack_result result;
	struct err e = { 0 };

	buf_reset(&m->data);
	if (files_find(root, path, "box", &f, &e) < 0 ||
	    pack_found(&f, 0, &m->sink, &result, &e) < 0) {
		buf_reset(list);
		buf_printf(list, "%s", err_text(&e));
		return buf_text(list);
	}
	return rig_list(m, list);
}

#define INSIDE(p)                                                                          \
	"d 0755 " p "/;f 0644 " p "/a 1;f 0644 " p "/b 2;l 0777 " p "/link -> a;c 0666 " p \
	"/null;p 0600 " p "/pipe;d 0755 " p "/sub/;h 0644 " p "/z -> " p "/a;"

TEST(names_of_entries_follow_the_path_asked_for)
{
	_cleanup_(fd_close) int root = make_tree();
	_cleanup_(buf_free) struct buf list = { 0 };
	MEMORY(m);

	CHECK_STR(packed(root, "/d", &m, &list), INSIDE("d"));
	CHECK_STR(packed(root, "d/", &m, &list), INSIDE("d"));
	CHECK_STR(packed(root, "/d/.", &m, &list), INSIDE("."));
	CHECK_STR(packed(root, "/d/a", &m, &list), "f 0644 a 1;");
	CHECK_STR(packed(root, "/d/link", &m, &list), "l 0777 link -> a;");
	CHECK_STR(packed(root, "/to_d", &m, &list), "l 0777 to_d -> /d;");
	CHECK_STR(packed(root, "/to_d/", &m, &list), INSIDE("to_d"));
	CHECK_STR(packed(root, "/to_d/a", &m, &list), "f 0644 a 1;");
	CHECK_STR(packed(root, "/d/null", &m, &list), "c 0666 null;");
	CHECK_STR(packed(root, "/nothing", &m, &list),
		  "Could not find the file /nothing in container box");
	CHECK_STR(packed(root, "/d/a/b", &m, &list), "/d/a/b: not a directory");
	CHECK_STR(packed(root, "/d/a/", &m, &list), "/d/a/: not a directory");
	CHECK(str_starts(packed(root, "/", &m, &list), "d 0755 /;d 0755 /d/;f 0644 /d/a 1;"));
}

TEST(links_do_not_lead_out_of_the_root)
{
	_cleanup_(fd_close) int root = make_tree(), out = rig_dir("out");
	_cleanup_(buf_free) struct buf list = { 0 };
	MEMORY(m);

	rig_file(out, "secret", "s");
	CHECK(symlinkat("../out", root, "up") == 0);
	CHECK_STR(packed(root, "/up/secret", &m, &list),
		  "Could not find the file /up/secret in container box");
	CHECK_STR(packed(root, "/../out/secret", &m, &list),
		  "Could not find the file /../out/secret in container box");
	CHECK_STR(packed(root, "/up", &m, &list), "l 0777 up -> ../out;");
}

TEST(the_root_alone_for_export)
{
	_cleanup_(fd_close) int root = make_tree(), in = -1;
	_cleanup_(buf_free) struct buf list = { 0 };
	struct pack_result result;
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	MEMORY(m);

	in = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/root/sock", test_tmpdir());
	CHECK(bind(in, (struct sockaddr *)&at, sizeof(at)) == 0);
	CHECK_INT(pack_root(root, &m.sink, &result, NULL), 0);
	CHECK_STR(rig_list(&m, &list), INSIDE("d") "l 0777 to_d -> /d;");
	CHECK_INT(result.left_out, 1); /* the socket */
}

TEST(holes_attributes_and_large_fields)
{
	_cleanup_(fd_close) int root = rig_dir("root"), fd = -1;
	_cleanup_(found_close) struct found f = { .fd = -1, .dir = -1 };
	char name[256], path[600];
	struct tar_entry entry;
	struct pack_result result;
	struct tar_xattr x;
	struct tar_in *in;
	const void *block;
	int64_t offset;
	MEMORY(m);

	memset(name, 'n', 254);
	name[254] = '\0';
	memcpy(name, "\xc3\xa4", 2); /* not ASCII */
	snprintf(path, sizeof(path), "/d/%s", name);
	close(rig_dir("root/d"));
	fd = openat(root, path + 1, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(ftruncate(fd, 3 << 20) == 0 && pwrite(fd, "end", 3, 2 << 20) == 3);
	CHECK(fsetxattr(fd, "user.kept", "v\0w", 3, 0) == 0 || errno == EOPNOTSUPP);
	CHECK(fsetxattr(fd, "trusted.dropped", "v", 1, 0) == 0 || errno == EOPNOTSUPP);
	CHECK(fchown(fd, 3000000, 4000000) == 0);
	CHECK(futimens(fd, (struct timespec[2]){ { 0 }, { -5, 0 } }) == 0);
	CHECK_INT(files_find(root, path, "box", &f, NULL), 0);
	CHECK_INT(pack_found(&f, 0, &m.sink, &result, NULL), 0);
	CHECK_INT(tar_open(&m.source, &in, NULL), 0);
	CHECK_INT(tar_next(in, &entry, NULL), 1);
	CHECK_STR(entry.path, name);
	CHECK_INT(entry.size, 3 << 20);
	CHECK_INT(entry.uid, 3000000);
	CHECK_INT(entry.gid, 4000000);
	CHECK_INT(entry.mtime.sec, -5);
	if (entry.n_xattrs > 0) {
		CHECK_INT((int)entry.n_xattrs, 1);
		CHECK(tar_xattr_next(in, &x) && str_eq(x.name, "user.kept") && x.size == 3 &&
		      memcmp(x.value, "v\0w", 3) == 0);
	}
	for (int64_t at = 0; at < 3 << 20;) {
		ssize_t n = tar_data(in, &block, &offset, NULL);

		CHECK(n > 0 && offset == at);
		for (ssize_t i = 0; i < n; i++) {
			int64_t here = at + i - (2 << 20);

			CHECK_INT(((const char *)block)[i],
				  here >= 0 && here < 3 ? "end"[here] : 0);
		}
		at += n;
	}
	CHECK_INT(tar_next(in, &entry, NULL), 0);
	tar_close(in);
}

TEST(deep_trees_end_at_the_bound)
{
	_cleanup_(fd_close) int root = rig_dir("root"), at = -1;
	struct pack_result result;
	struct err e = { 0 };
	MEMORY(m);

	m.data.max = 256 << 20;
	at = dup(root);
	for (int i = 0; i < PACK_DEPTH_MAX + 50; i++) {
		int next;

		CHECK(mkdirat(at, "d", 0755) == 0);
		next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
	}
	CHECK_MSG(pack_root(root, &m.sink, &result, &e) == 0, "%s", err_text(&e));
	CHECK_INT(result.entries, PACK_DEPTH_MAX);
	CHECK_INT(result.left_out, 1);
	CHECK_INT(tree_remove(AT_FDCWD, test_tmpdir(), NULL),
		  0); /* the frame's own nftw gives up */
}

static const char *target_of(int root, const char *path)
{
	static char dst[PATH_MAX];

	return files_link_target(root, path, dst) < 0 ? "(error)" : dst;
}

TEST(where_links_lead_is_told_as_a_path_inside)
{
	_cleanup_(fd_close) int root = make_tree();
	_cleanup_(found_close) struct found f = { .fd = -1, .dir = -1 };
	_cleanup_(buf_free) struct buf text = { 0 };

	CHECK(symlinkat("link", root, "d/again") == 0);
	CHECK(symlinkat("../../../d/sub/../b", root, "d/out") == 0);
	CHECK(symlinkat("loop", root, "loop") == 0);
	CHECK(symlinkat("/to_d/gone/x", root, "dangling") == 0);
	CHECK_STR(target_of(root, "/d/again"), "/d/a");
	CHECK_STR(target_of(root, "/d/out"), "/d/b");
	CHECK_STR(target_of(root, "/to_d/link"), "/d/a");
	CHECK_STR(target_of(root, "/dangling"), "/d/gone/x");
	CHECK_STR(target_of(root, "/loop"), "(error)");
	CHECK(utimensat(root, "d/again", (struct timespec[2]){ { 1, 0 }, { 1700000000, 5 } },
			AT_SYMLINK_NOFOLLOW) == 0);
	CHECK_INT(files_find(root, "/d/again", "box", &f, NULL), 0);
	files_stat_write(root, &f, &text);
	CHECK_STR(buf_text(&text),
		  "{\"name\":\"again\",\"size\":4,\"mode\":134218239,"
		  "\"mtime\":\"2023-11-14T22:13:20.000000005Z\",\"linkTarget\":\"/d/a\"}");
}
