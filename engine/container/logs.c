/*
 * Reading a container's log: the json-file that its shim writes, with its rotated predecessors
 * (path.1 is newer than path.2), and following it while it grows.
 *
 * A reader holds one file open; at its end the next newer file is found by inode, so that a
 * rotation in between loses nothing. Who follows is woken by one inotify descriptor of the module
 * and by the container's end. The file was written by our shim, but lies on a disk: a line that
 * does not parse is skipped.
 */
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "engine/container/object.h"
#include "engine/data/frames.h"
#include "init/base/clock.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum {
	LOG_FILES_MAX = 1000, /* as config_check allows for max-file */
	LOG_LINE_BYTES =
		256 << 10, /* 16 KiB of payload, each byte escaped to at most 6, and its frame */
	LOG_CHUNK = 32 << 10,
};

struct log_reader {
	struct container *c; /* NULL once it is gone */
	struct list link; /* containers.log_readers; only when it follows */
	struct log_query q;
	void (*ready)(struct log_reader *r, void *data);
	void *data;
	char *path;
	char *id;
	int wd; /* of inotify, -1 none */
	int fd; /* the file being read, -1 none yet */
	struct buf buf;
	size_t pos; /* in buf: the next line */
	bool over; /* an entry behind `until` was seen: no later one is earlier */
};

/* ---- files ---- */

static int open_file(const struct log_reader *r, unsigned int number)
{
	_cleanup_(mem_free) char *name =
		number ? str_printf("%s.%u", r->path, number) : str_dup(r->path);

	return name ? open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
}

static unsigned int count_files(const struct log_reader *r)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < LOG_FILES_MAX; i++) {
		_cleanup_(fd_close) int fd = open_file(r, i);

		if (fd >= 0)
			n = i + 1;
		else if (i > 0) /* the newest may be missing for a moment: it is being rotated */
			break;
	}
	return n;
}

/* The file that is one newer than the open one; -1 when that is the newest. */
static int open_newer(const struct log_reader *r)
{
	struct stat mine, st;

	if (fstat(r->fd, &mine) < 0)
		return -1;
	for (unsigned int i = 0; i < LOG_FILES_MAX; i++) {
		_cleanup_(fd_close) int fd = open_file(r, i);

		if (fd < 0 || fstat(fd, &st) < 0)
			return i > 0 ? open_file(r, i - 1)
				     : -1; /* ours fell out of the rotation: the oldest left */
		if (st.st_ino == mine.st_ino && st.st_dev == mine.st_dev)
			return i > 0 ? open_file(r, i - 1) : -1;
	}
	return -1;
}

/* Goes back over `fd` until *lines newlines were seen, takes them off *lines, and leaves the
 * offset behind the last one. */
static void seek_tail(int fd, int64_t *lines)
{
	char chunk[4096];
	off_t end = lseek(fd, 0, SEEK_END), at = end;

	while (at > 0) {
		size_t len = (size_t)MIN(at, (off_t)sizeof(chunk));

		at -= (off_t)len;
		if (pread(fd, chunk, len, at) != (ssize_t)len)
			break;
		for (size_t i = len; i > 0; i--) {
			if (chunk[i - 1] != '\n' || at + (off_t)i == end)
				continue;
			if (--*lines == 0) {
				lseek(fd, at + (off_t)i, SEEK_SET);
				return;
			}
		}
	}
	if (end > 0)
		--*lines;
	lseek(fd, 0, SEEK_SET);
}

static void position(struct log_reader *r)
{
	int64_t lines = r->q.tail;
	unsigned int n = count_files(r);

	if (n == 0)
		return;
	if (lines < 0) {
		r->fd = open_file(r, n - 1);
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		fd_close(r->fd);
		r->fd = open_file(r, i);
		if (r->fd < 0)
			continue;
		if (lines == 0) {
			lseek(r->fd, 0, SEEK_END);
			return;
		}
		seek_tail(r->fd, &lines);
		if (lines <= 0)
			return;
	}
}

/* ---- an end that is set ---- */

static uint64_t inode_of(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

/* Whether the file of the end is still there; if it has been rotated away, so has all before it. */
static bool end_is_ahead(const struct log_reader *r)
{
	for (unsigned int i = 0; i < LOG_FILES_MAX; i++) {
		_cleanup_(fd_close) int fd = open_file(r, i);

		if (inode_of(fd) == r->q.end.ino)
			return true;
		if (fd < 0 && i > 0)
			break;
	}
	return false;
}

static void settle_end(struct log_reader *r)
{
	_cleanup_(fd_close) int newest = open_file(r, 0);

	if (r->q.end.ino == 0)
		r->q.end.ino = inode_of(newest);
	r->over = r->q.end.ino == 0 || !end_is_ahead(r);
}

/* How much of the open file may still be read. */
static size_t before_end(const struct log_reader *r)
{
	int64_t left;

	if (!r->q.end.known || inode_of(r->fd) != r->q.end.ino)
		return LOG_CHUNK;
	left = r->q.end.offset - lseek(r->fd, 0, SEEK_CUR);
	return left <= 0 ? 0 : (size_t)MIN(left, (int64_t)LOG_CHUNK);
}

/* ---- open, close, wake ---- */

static void watch(struct log_reader *r)
{
	struct containers *cs = r->c->cs;
	_cleanup_(mem_free) char *dir = container_path(r->c, "");

	if (cs->log_watch.loop && dir)
		r->wd = inotify_add_watch(cs->log_watch.fd, dir,
					  IN_MODIFY | IN_MOVED_FROM | IN_CREATE);
	if (r->wd < 0)
		log_warn("container %.12s: its log cannot be followed: %s", r->id, strerror(errno));
	list_append(&cs->log_readers, &r->link);
}

int log_reader_open(struct container *c, const struct log_query *q,
		    void (*ready)(struct log_reader *r, void *data), void *data,
		    struct log_reader **ret, struct err *e)
{
	struct log_reader *r;

	if (str_eq(c->asked.host.log.type, "none"))
		return err_set(e, EOPNOTSUPP, "configured logging driver does not support reading");
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_errno(e, ENOMEM, "logs");
	r->c = c;
	r->q = *q;
	r->ready = ready;
	r->data = data;
	r->wd = r->fd = -1;
	r->buf = BUF_INIT(LOG_LINE_BYTES);
	r->path = container_log_path(c);
	r->id = str_dup(c->id);
	if (!r->path || !r->id) {
		log_reader_free(r);
		return err_errno(e, ENOMEM, "logs");
	}
	if (q->follow)
		watch(r);
	position(r);
	if (q->end.known)
		settle_end(r);
	*ret = r;
	return 0;
}

void log_reader_free(struct log_reader *r)
{
	struct containers *cs;

	if (!r)
		return;
	cs = r->c ? r->c->cs : NULL;
	list_remove(&r->link);
	if (cs && r->wd >= 0) {
		struct log_reader *other;
		bool shared = false;

		list_for_each(other, &cs->log_readers, link)
			shared |= other->wd == r->wd;
		if (!shared)
			inotify_rm_watch(cs->log_watch.fd, r->wd);
	}
	fd_close(r->fd);
	buf_free(&r->buf);
	free(r->path);
	free(r->id);
	free(r);
}

/* Wakes the followers of one watch (or container); a callback may free any reader, so the walk
 * starts again after each call. */
static void wake(struct containers *cs, int wd, const struct container *c)
{
	struct list pending;
	struct log_reader *r, *tmp;

	list_init(&pending);
	list_for_each_safe(r, tmp, &cs->log_readers, link) {
		if ((wd >= 0 && r->wd == wd) || (c && r->c == c)) {
			list_remove(&r->link);
			list_append(&pending, &r->link);
		}
	}
	while ((r = list_first(&pending, struct log_reader, link))) {
		list_remove(&r->link);
		list_append(&cs->log_readers, &r->link);
		r->ready(r, r->data);
	}
}

static void log_changed(struct io_event *ev, uint32_t events)
{
	struct containers *cs = container_of(ev, struct containers, log_watch);
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t len = read(ev->fd, buf, sizeof(buf));
	int last = -1;

	(void)events;
	for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= len;) {
		const struct inotify_event *i = (const struct inotify_event *)(buf + at);

		if (i->wd != last) /* many in a row for one file */
			wake(cs, i->wd, NULL);
		last = i->wd;
		at += (ssize_t)(sizeof(*i) + i->len);
	}
}

void logs_init(struct containers *cs)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	list_init(&cs->log_readers);
	cs->log_watch.fn = log_changed;
	if (fd < 0 || io_add(cs->cfg.loop, &cs->log_watch, fd, EPOLLIN) < 0) {
		log_warn("logs cannot be followed: %s", strerror(errno));
		fd_close(fd);
	}
}

void logs_free(struct containers *cs)
{
	struct log_reader *r, *tmp;

	if (!cs->log_readers.next)
		return;
	list_for_each_safe(r, tmp, &cs->log_readers, link) {
		list_remove(&r->link);
		r->c = NULL;
		r->wd = -1;
	}
	if (cs->log_watch.loop) {
		int fd = cs->log_watch.fd;

		io_remove(&cs->log_watch);
		fd_close(fd);
	}
}

void logs_wake(struct container *c)
{
	wake(c->cs, -1, c);
}

/* ---- entries ---- */

static bool wanted(const struct log_reader *r, bool is_err, int64_t time_ns)
{
	return (is_err ? r->q.err : r->q.out) && time_ns >= r->q.since_ns &&
	       (r->q.until_ns == 0 || time_ns <= r->q.until_ns);
}

/* One line of the file to what the API sends. */
static void put_entry(struct log_reader *r, const char *line, size_t len, struct buf *out)
{
	yyjson_doc *doc = yyjson_read(line, len, 0);
	yyjson_val *root = yyjson_doc_get_root(doc);
	const char *stream = yyjson_get_str(yyjson_obj_get(root, "stream"));
	yyjson_val *text = yyjson_obj_get(root, "log");
	const char *time = yyjson_get_str(yyjson_obj_get(root, "time"));
	bool is_err = str_eq(stream, "stderr");
	int64_t time_ns = 0;
	char stamp[CLOCK_TEXT_MAX + 2] = "";
	bool dated = time && clock_parse(time, &time_ns) == 0;

	if (dated && r->q.until_ns && time_ns > r->q.until_ns)
		r->over = true;
	if (yyjson_is_str(text) && dated && wanted(r, is_err, time_ns)) {
		size_t total;

		if (r->q.timestamps) {
			clock_format(time_ns, stamp);
			stamp[strlen(stamp) + 1] = '\0';
			stamp[strlen(stamp)] = ' ';
		}
		total = strlen(stamp) + yyjson_get_len(text);
		if (!r->c || !r->c->asked.config.tty) {
			unsigned char head[FRAME_HEAD];

			frame_head(head, is_err ? FRAME_STDERR : FRAME_STDOUT, (uint32_t)total);
			buf_add(out, head, sizeof(head));
		}
		buf_add_text(out, stamp);
		buf_add(out, yyjson_get_str(text), yyjson_get_len(text));
	}
	yyjson_doc_free(doc);
}

/* Takes one line out of the buffer. */
static bool next_line(struct log_reader *r, struct buf *out)
{
	const char *at = buf_text(&r->buf) + r->pos;
	const char *end = memchr(at, '\n', r->buf.len - r->pos);

	if (!end)
		return false;
	put_entry(r, at, (size_t)(end - at), out);
	r->pos += (size_t)(end - at) + 1;
	return true;
}

static bool is_live(const struct log_reader *r)
{
	return r->c && state_is_up(r->c->state);
}

/* More bytes into the buffer: 1 read, 0 none now, -ENODATA none ever. */
static int fill(struct log_reader *r)
{
	bool live = is_live(r); /* before the read: what is written until its end is then seen */

	for (;;) {
		char *room;
		ssize_t got;
		size_t want;
		int newer;

		if (r->fd < 0)
			r->fd = open_file(r, 0);
		if (r->fd < 0)
			return r->q.follow && live ? 0 : -ENODATA;
		room = buf_reserve(&r->buf, LOG_CHUNK);
		if (!room) { /* a line beyond all bounds: not ours */
			buf_reset(&r->buf);
			r->buf.failed = 0;
			r->pos = 0;
			continue;
		}
		want = before_end(r);
		if (want == 0)
			return -ENODATA;
		got = read(r->fd, room, want);
		if (got > 0) {
			buf_commit(&r->buf, (size_t)got);
			return 1;
		}
		if (r->q.end.known && !end_is_ahead(r))
			return -ENODATA;
		newer = open_newer(r);
		if (newer < 0)
			return r->q.follow && live ? 0 : -ENODATA;
		/* It was rotated after our read: what came in between is still there. */
		got = read(r->fd, room, want);
		if (got > 0) {
			buf_commit(&r->buf, (size_t)got);
			fd_close(newer);
			return 1;
		}
		fd_close(r->fd);
		r->fd = newer;
		buf_reset(&r->buf); /* a line that was cut off by a full disk */
	}
}

int log_reader_next(struct log_reader *r, size_t room, struct buf *out, struct err *e)
{
	size_t before = out->len;
	int got = 1;

	while (got > 0 && !r->over && out->len - before < room) {
		if (next_line(r, out))
			continue;
		buf_consume(&r->buf, r->pos);
		r->pos = 0;
		got = fill(r);
	}
	if (buf_failed(out) < 0)
		return err_errno(e, -buf_failed(out), "logs");
	if (out->len > before)
		return 1;
	return got == -ENODATA || r->over ? -ENODATA : 0;
}
