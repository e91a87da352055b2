/*
 * `skerryd worker files`: the operations as a table, and the process around them.
 *
 * The order is the same for all: request, view (needs root; resolves only mount points), sandbox,
 * work. What reads gets a view that is read-only as a whole, and the right to read; only "put" may
 * write. Nothing of the container is ever run or loaded.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/files/changes.h"
#include "engine/files/files.h"
#include "engine/files/pack.h"
#include "engine/files/stat.h"
#include "engine/files/untar.h"
#include "engine/files/usage.h"
#include "engine/files/view.h"
#include "engine/runtime/user.h"
#include "engine/worker/sandbox.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/mount.h"
#include "init/base/path.h"
#include "init/base/str.h"

#define CAP(c) (UINT64_C(1) << CAP_##c)

enum {
	FILES_UID = 64802, /* a user that nothing else runs as */
	OUT_BUFFER = 64 << 10,
	WALK_MEMORY = 512 << 20, /* names of a directory, files with several names */
};

struct request {
	struct view_request view;
	struct view_mount mounts[VIEW_MOUNTS_MAX];
	char **layers, **paths;
	char *path; /* decoded */
	const char *container, *user;
	bool running, keep_kind, own;
};

/* ---- the request ---- */

static void request_free(struct request *q)
{
	if (!q)
		return;
	strv_free(q->layers);
	strv_free(q->paths);
	free(q->path);
	free(q);
}
DEFINE_CLEANUP(struct request *, request_free)

static int read_mount(yyjson_val *o, struct view_mount *m, struct err *e)
{
	int r = json_need_text(o, "source", &m->source, e);

	if (r == 0)
		r = json_need_text(o, "destination", &m->destination, e);
	if (r == 0)
		r = json_get_text(o, "subpath", &m->subpath, e);
	if (r == 0)
		r = json_get_bool(o, "read_only", &m->read_only, e);
	return r < 0 ? r : json_get_bool(o, "recursive", &m->recursive, e);
}

static int read_mounts(yyjson_val *root, struct request *q, struct err *e)
{
	yyjson_val *list = NULL, *item;
	int r = json_get_array(root, "mounts", &list, e);
	size_t i, n;

	if (r < 0 || !list)
		return r;
	if (yyjson_arr_size(list) > VIEW_MOUNTS_MAX)
		return err_set(e, EINVAL, "more than %d mounts", VIEW_MOUNTS_MAX);
	yyjson_arr_foreach(list, i, n, item)
	{
		r = read_mount(item, &q->mounts[i], e);
		if (r < 0)
			return r;
	}
	q->view.mounts = q->mounts;
	q->view.n_mounts = n;
	return 0;
}

static int read_path(yyjson_val *root, struct request *q, struct err *e)
{
	const char *text = NULL;
	void *data;
	size_t len;
	int r = json_get_text(root, "path", &text, e);

	if (r < 0 || !text)
		return r;
	if (base64_decode(text, &data, &len) < 0)
		return err_set(e, EINVAL, "path: not base64");
	q->path = strndup(data, len);
	free(data);
	return q->path ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int read_request(yyjson_val *root, struct request *q, struct err *e)
{
	int r = read_path(root, q, e);

	q->container = q->user = "";
	if (r == 0)
		r = json_get_text(root, "container", &q->container, e);
	if (r == 0)
		r = json_get_text(root, "user", &q->user, e);
	if (r == 0)
		r = json_get_bool(root, "running", &q->running, e);
	if (r == 0)
		r = json_get_bool(root, "user_ns", &q->view.user_ns, e);
	if (r == 0)
		r = json_get_bool(root, "keep_kind", &q->keep_kind, e);
	if (r == 0)
		r = json_get_bool(root, "own", &q->own, e);
	if (r == 0)
		r = json_get_bool(root, "read_only", &q->view.root_read_only, e);
	if (r == 0)
		r = json_get_text(root, "upper", &q->view.upper, e);
	if (r == 0)
		r = json_get_text(root, "work", &q->view.work, e);
	if (r == 0)
		r = json_get_strv(root, "layers", &q->layers, e);
	if (r == 0)
		r = json_get_strv(root, "paths", &q->paths, e);
	if (r == 0)
		r = read_mounts(root, q, e);
	q->view.layers = q->layers;
	q->view.pidfd = q->running ? FILES_FD_PROCESS : -1;
	return r;
}

/* ---- the sandbox ---- */

static int lock_up(const struct worker_path *paths, size_t n, bool write, uint64_t files,
		   uint64_t memory, struct err *e)
{
	const struct worker_sandbox box = {
		.drop_user = true,
		.uid = FILES_UID,
		.gid = FILES_UID,
		.keep_caps = CAP(DAC_READ_SEARCH) |
			     (write ? CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(FOWNER) | CAP(FSETID) |
					      CAP(MKNOD) | CAP(SETFCAP)
				    : 0),
		.no_network = true,
		.confine_files = n > 0,
		.paths = paths,
		.n_paths = n,
		.calls = WORKER_CALLS_BASE | WORKER_CALLS_FILES | (write ? WORKER_CALLS_OWNERS : 0),
		.max_files = files,
		.max_memory = memory,
	};

	return worker_sandbox_apply(&box, e);
}

/* With the view's root as the only tree that can be opened. */
static int lock_up_in(const struct view *v, bool write, uint64_t memory, struct err *e)
{
	char root[32];
	/* the container's /proc is not ours, so a root of our own is named by its name */
	const struct worker_path path = { v->own_root ? "/" : path_of_fd(root, v->root),
					  write ? WORKER_WRITE : WORKER_READ };

	return lock_up(&path, 1, write, PACK_FILES, memory, e);
}

/* ---- output ---- */

struct out {
	struct sink sink;
	struct buf buf;
};

static int out_flush(struct out *o, struct err *e)
{
	int r = file_write_all(FILES_FD_OUT, buf_text(&o->buf), o->buf.len, e);

	buf_reset(&o->buf);
	return r;
}

static int out_write(struct sink *s, const void *data, size_t len, struct err *e)
{
	struct out *o = container_of(s, struct out, sink);
	int r = 0;

	if (o->buf.len + len > OUT_BUFFER)
		r = out_flush(o, e);
	if (r == 0 && len >= OUT_BUFFER)
		return file_write_all(FILES_FD_OUT, data, len, e);
	return r < 0 ? r : buf_add(&o->buf, data, len);
}

#define OUT(name) struct out name = { .sink = { .write = out_write }, .buf = BUF_INIT(OUT_BUFFER) }

/* ---- stat, get, export ---- */

static int find(struct worker_call *call, const struct request *q, const struct view *v,
		struct found *ret, struct err *e)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(64 << 10);
	int r = files_find(v->root, q->path, q->container, ret, e);

	if (r < 0)
		return r;
	files_stat_write(v->root, ret, &text);
	worker_progress(call, buf_text(&text), text.len);
	return 0;
}

static int run_stat(struct worker_call *call, struct request *q, struct err *e)
{
	_cleanup_(found_close) struct found f = { .fd = -1, .dir = -1 };
	struct view v;
	int r = view_enter(&q->view, &v, e);

	if (r == 0)
		r = lock_up_in(&v, false, 0, e);
	return r < 0 ? r : find(call, q, &v, &f, e);
}

static int run_get(struct worker_call *call, struct request *q, struct err *e)
{
	_cleanup_(found_close) struct found f = { .fd = -1, .dir = -1 };
	uint64_t memory = worker_memory_limit(WALK_MEMORY);
	struct pack_result result;
	struct view v;
	OUT(out);
	int r = view_enter(&q->view, &v, e);

	if (r == 0)
		r = lock_up_in(&v, false, memory, e);
	if (r == 0)
		r = find(call, q, &v, &f, e);
	if (r == 0)
		r = pack_found(&f, v.dev, &out.sink, &result, e);
	if (r == 0)
		r = out_flush(&out, e);
	buf_free(&out.buf);
	return r;
}

static int run_export(struct worker_call *call, struct request *q, struct err *e)
{
	uint64_t memory = worker_memory_limit(WALK_MEMORY);
	struct pack_result result;
	struct view v;
	OUT(out);
	int r;

	(void)call;
	q->view.bare = true;
	r = view_enter(&q->view, &v, e);
	if (r == 0)
		r = lock_up_in(&v, false, memory, e);
	if (r == 0)
		r = pack_root(v.root, &out.sink, &result, e);
	if (r == 0)
		r = out_flush(&out, e);
	buf_free(&out.buf);
	return r;
}

/* ---- put ---- */

/* Docker's two texts: a volume or the container's own root. */
static int check_writable(int root, int dest, struct err *e)
{
	struct statvfs fs;
	struct stat here, top;

	if (fstatvfs(dest, &fs) < 0 || !(fs.f_flag & ST_RDONLY))
		return 0;
	if (fstat(dest, &here) < 0 || fstat(root, &top) < 0)
		return err_errno(e, errno, "cannot stat the destination");
	return err_set(e, EACCES,
		       here.st_dev == top.st_dev ? "container rootfs is marked read-only"
						 : "mounted volume is marked read-only");
}

static int open_dest(const struct request *q, int root, struct err *e)
{
	_cleanup_(fd_close) int fd = path_open(root, q->path, O_PATH, 0, NULL);
	struct stat st;
	int r;

	if (fd == -ENOENT)
		return err_set(e, ENOENT, "Could not find the file %s in container %s", q->path,
			       q->container);
	if (fd < 0)
		return err_errno(e, fd == -ENOTDIR || fd == -ELOOP ? EINVAL : -fd, "%s", q->path);
	if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, EINVAL, "extraction point is not a directory");
	if (view_is_pseudo(fd))
		return err_set(e, EACCES, "%s: nothing can be copied into the kernel's files",
			       q->path);
	r = check_writable(root, fd, e);
	return r < 0 ? r : take_fd(fd);
}

static int find_owner(const struct request *q, int root, struct untar_config *cfg, struct err *e)
{
	_cleanup_(user_clear) struct user u = { 0 };
	int r;

	/* as Docker: without a user in the container's config, the archive's owners stay */
	if (!q->own || str_empty(q->user))
		return 0;
	r = user_resolve(root, q->user, NULL, &u, e);
	if (r < 0)
		return r;
	cfg->own = true;
	cfg->uid = u.uid;
	cfg->gid = u.gid;
	return 0;
}

static int unpack(struct worker_call *call, const struct untar_config *cfg, struct err *e)
{
	_cleanup_(source_fd_free) struct source_fd in = { 0 };
	_cleanup_(unpacker_free) struct unpacker *plain = NULL;
	_cleanup_(fd_close) int dir = -1;
	struct untar_result result;
	int r = source_fd_init(&in, STDIN_FILENO, e);

	if (r == 0)
		r = unpacker_open(&in.source, FILES_MEMORY, &plain, e);
	if (r == 0)
		r = untar(unpacker_source(plain), cfg, &result, e);
	if (r == 0)
		r = source_drain(unpacker_source(plain), e);
	if (r < 0)
		return r;
	/* what the client hears is on the disk */
	dir = openat(cfg->dest, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || syncfs(dir) < 0)
		return err_errno(e, errno, "cannot write the files out");
	buf_printf(&call->result, "{\"entries\":%llu}", (unsigned long long)result.entries);
	return 0;
}

static int run_put(struct worker_call *call, struct request *q, struct err *e)
{
	struct untar_config cfg = { .dest = -1, .dest_name = q->path, .keep_kind = q->keep_kind };
	uint64_t memory = worker_memory_limit(FILES_MEMORY + UNTAR_TIMES_MAX);
	struct view v;
	int r;

	q->view.write = true;
	r = view_enter(&q->view, &v, e);
	if (r == 0)
		r = lock_up_in(&v, true, memory, e);
	if (r < 0)
		return r;
	cfg.dest = open_dest(q, v.root, e);
	if (cfg.dest < 0)
		return cfg.dest;
	r = find_owner(q, v.root, &cfg, e);
	if (r == 0)
		r = unpack(call, &cfg, e);
	fd_close(cfg.dest);
	return r;
}

/* ---- changes ---- */

struct listing {
	struct changes c;
	struct out out;
	struct buf line;
	bool more;
};

static int add_change(struct changes *c, enum change_kind kind, const char *path, struct err *e)
{
	struct listing *l = container_of(c, struct listing, c);
	struct json_writer w;

	buf_reset(&l->line);
	buf_add_text(&l->line, l->more ? "," : "");
	l->more = true;
	json_writer_init(&w, &l->line);
	json_begin_object(&w);
	json_member_str(&w, "Path", path);
	json_member_i64(&w, "Kind", kind);
	json_end_object(&w);
	if (buf_failed(&l->line))
		return err_set(e, ENOMEM, "out of memory");
	return out_write(&l->out.sink, l->line.data, l->line.len, e);
}

/* A read-only copy of the mount where the container's own files are. */
static int open_upper(const char *path, struct err *e)
{
	_cleanup_(fd_close) int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_(fd_close) int tree = -1;

	if (fd < 0)
		return err_errno(e, errno, "%s", path);
	tree = mount_clone(fd, false, e);
	if (tree < 0)
		return tree;
	if (mount_attrs(tree, VIEW_HARMLESS_READ, 0, 0, false, e) < 0)
		return -EIO;
	return take_fd(tree);
}

/* The container's root as a descriptor, without becoming root in its user namespace for good: there
 * the files on disk belong to nobody. A child that shares our descriptors does it; its mounts are
 * locked for everybody who is not in that namespace. */
static int view_from_outside(const struct view_request *q, struct view *ret, struct err *e)
{
	struct answer {
		struct view view;
		int r;
		struct err why;
	} answer = { .r = -EIO };
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make a pipe");
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		answer.r = view_enter(q, &answer.view, &answer.why);
		n = write(fds[1], &answer, sizeof(answer));
		_exit(n != sizeof(answer));
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0 ||
	    read(fds[0], &answer, sizeof(answer)) != sizeof(answer))
		err_set(&answer.why, EIO, "cannot enter the container's namespaces");
	close(fds[0]);
	close(fds[1]);
	*ret = answer.view;
	*e = answer.why;
	return answer.r;
}

/* The three sides of the walk; then the sandbox. */
static int open_sides(struct request *q, struct changes *c, struct err *e)
{
	uint64_t memory = worker_memory_limit(WALK_MEMORY);
	struct view v;
	int r;

	c->upper = c->lower = c->merged = -1;
	c->upper = open_upper(q->view.upper, e);
	if (c->upper < 0)
		return c->upper;
	c->lower = view_layers(q->layers, e);
	if (c->lower < 0)
		return c->lower;
	q->view.bare = true;
	r = c->whole && q->running && q->view.user_ns ? view_from_outside(&q->view, &v, e)
						      : view_enter(&q->view, &v, e);
	if (r < 0)
		return r;
	c->merged = v.root;
	return lock_up(NULL, 0, false, CHANGES_FILES, memory, e);
}

static void close_sides(struct changes *c)
{
	fd_close(c->upper);
	fd_close(c->lower);
}

static int run_changes(struct worker_call *call, struct request *q, struct err *e)
{
	struct listing l = { .c = { .add = add_change },
			     .out = { .sink = { .write = out_write }, .buf = BUF_INIT(OUT_BUFFER) },
			     .line = BUF_INIT(8 * CHANGES_PATH_MAX) };
	int r = open_sides(q, &l.c, e);

	(void)call;
	if (r == 0)
		r = out_write(&l.out.sink, "[", 1, e);
	if (r == 0)
		r = changes_walk(&l.c, e);
	if (r == 0)
		r = out_write(&l.out.sink, "]\n", 2, e);
	if (r == 0)
		r = out_flush(&l.out, e);
	close_sides(&l.c);
	buf_free(&l.out.buf);
	buf_free(&l.line);
	return r;
}

/* ---- layer ---- */

struct layering {
	struct changes c;
	struct pack *pack;
};

static int add_to_layer(struct changes *c, enum change_kind kind, const char *path, struct err *e)
{
	struct layering *l = container_of(c, struct layering, c);

	return kind == CHANGE_DELETED ? pack_layer_deleted(l->pack, path, e)
				      : pack_layer_node(l->pack, path, e);
}

/* Read is the upper directory itself, whose ids are those of the image, whatever the container's
 * are. The container's own view only tells what is hidden. */
static int run_layer(struct worker_call *call, struct request *q, struct err *e)
{
	struct layering l = { .c = { .add = add_to_layer, .whole = true } };
	struct pack_result result;
	OUT(out);
	int r;

	(void)call;
	r = open_sides(q, &l.c, e);
	if (r == 0)
		r = pack_layer_begin(l.c.upper, &out.sink, &l.pack, e);
	if (r == 0)
		r = pack_layer_end(l.pack, changes_walk(&l.c, e), &result, e);
	if (r == 0)
		r = out_flush(&out, e);
	close_sides(&l.c);
	buf_free(&out.buf);
	return r;
}

/* ---- usage ---- */

static int lock_up_usage(char *const *paths, size_t n, struct err *e)
{
	_cleanup_(mem_free) struct worker_path *open = calloc(n + 1, sizeof(*open));
	size_t there = 0;

	if (!open)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		if (access(paths[i], F_OK) == 0)
			open[there++] = (struct worker_path){ paths[i], WORKER_READ };
	return lock_up(open, there, false, USAGE_FILES, 0, e);
}

static int run_usage(struct worker_call *call, struct request *q, struct err *e)
{
	struct usage_limits limits = { .entries = USAGE_ENTRIES_MAX,
				       .end_ns =
					       clock_mono_ns() + USAGE_MS_MAX * INT64_C(1000000) };
	struct json_writer w;
	int r = lock_up_usage(q->paths, strv_len(q->paths), e);

	if (r < 0)
		return r;
	json_writer_init(&w, &call->result);
	json_begin_object(&w);
	json_key(&w, "sizes");
	json_begin_array(&w);
	for (char **p = q->paths; p && *p; p++) {
		_cleanup_(fd_close) int dir =
			open(*p, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int64_t size = dir < 0 ? -1 : usage_count(dir, &limits);

		json_i64(&w, MAX(size, (int64_t)-1));
	}
	json_end_array(&w);
	json_end_object(&w);
	return 0;
}

/* ---- the role ---- */

static const struct {
	const char *name;
	int (*run)(struct worker_call *call, struct request *q, struct err *e);
	bool needs_path;
} operations[] = {
	{ "stat", run_stat, true },	   { "get", run_get, true },
	{ "put", run_put, true },	   { "export", run_export, false },
	{ "changes", run_changes, false }, { "layer", run_layer, false },
	{ "usage", run_usage, false },
};

static int run(struct worker_call *call, struct err *e)
{
	_cleanup_(request_free) struct request *q = calloc(1, sizeof(*q));
	const char *op = "";
	int r;

	if (!q)
		return err_set(e, ENOMEM, "out of memory");
	r = json_need_text(call->request, "op", &op, e);
	if (r == 0)
		r = read_request(call->request, q, e);
	if (r < 0)
		return r;
	umask(0);
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		if (!str_eq(op, operations[i].name))
			continue;
		if (operations[i].needs_path && !q->path)
			return err_set(e, EINVAL, "path: missing");
		return operations[i].run(call, q, e);
	}
	return err_set(e, EINVAL, "the files worker has no operation \"%.32s\"", op);
}

int files_worker_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return worker_serve(FILES_WORKER, run);
}
