/*
 * Reading a container's log: the records that its shim writes, with their rotated and packed
 * predecessors (path.1 is newer than path.2; log_part.h), and following them while they grow.
 *
 * A reader holds one file open; at its end the next newer file is found by its identity, so that a
 * rotation in between loses nothing. Who follows is woken by one inotify descriptor of the module
 * and by the container's end. The file was written by our shim, but lies on a disk: a line that
 * does not parse is skipped.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "engine/container/log_config.h"
#include "engine/container/log_part.h"
#include "engine/container/object.h"
#include "engine/data/frames.h"
#include "init/base/clock.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum {
	LOG_FILES_MAX = 1000, /* as config_check allows for max-file */
	/* 16 KiB of payload and LOG_ATTRS_MAX of attributes, each byte escaped to at most 6 */
	LOG_LINE_BYTES = 512 << 10,
	LOG_CHUNK = 32 << 10,
	LOG_DETAILS_MAX = 256, /* attributes that are shown */
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
	struct log_part *part; /* the file being read, NULL none yet */
	struct log_part *end; /* the file that q.end lies in */
	struct buf buf;
	size_t pos; /* in buf: the next line */
	bool over; /* an entry behind `until` was seen: no later one is earlier */
};

/* ---- files ---- */

/* How many files there are. While they are renamed one number may be missing, never two. */
static unsigned int count_files(const struct log_reader *r)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i <= n + 1 && i < LOG_FILES_MAX; i++) {
		_cleanup_(log_part_free) struct log_part *p = log_part_open(r->path, i);

		if (p)
			n = i + 1;
	}
	return n;
}

/* The file that is one newer than the open one; NULL when that is the newest. One that has fallen
 * out of the rotation: the oldest that is left. */
static struct log_part *open_newer(const struct log_reader *r)
{
	_cleanup_(log_part_free) struct log_part *newer = NULL;
	unsigned int missing = 0;

	for (unsigned int i = 0; missing < 2 && i < LOG_FILES_MAX; i++) {
		struct log_part *p = log_part_open(r->path, i);

		if (!p) {
			missing++;
			continue;
		}
		if (log_part_same(p, r->part)) {
			log_part_free(p);
			break;
		}
		missing = 0;
		log_part_free(newer);
		newer = p;
	}
	return take_ptr(newer);
}

static void position(struct log_reader *r)
{
	int64_t lines = r->q.tail;
	unsigned int n = count_files(r);

	if (n > 0 && lines < 0)
		r->part = log_part_open(r->path, n - 1);
	for (unsigned int i = 0; lines >= 0 && i < n; i++) {
		struct log_part *p = log_part_open(r->path, i);

		if (!p)
			continue;
		log_part_free(r->part);
		r->part = p;
		if (lines == 0)
			log_part_to_end(p);
		else
			log_part_to_tail(p, &lines);
		if (lines <= 0)
			return;
	}
}

/* ---- an end that is set ---- */

/* The newest file that has this inode, 0: the newest of all. */
static struct log_part *find_ino(const struct log_reader *r, uint64_t ino)
{
	for (unsigned int i = 0, missing = 0; missing < 2 && i < LOG_FILES_MAX; i++) {
		struct log_part *p = log_part_open(r->path, i);

		if (p && (ino == 0 || log_part_ino(p) == ino))
			return p;
		missing = p ? 0 : missing + 1;
		log_part_free(p);
	}
	return NULL;
}

/* Whether the file of the end is still there; if it has been rotated away, so has all before it. */
static bool end_is_ahead(const struct log_reader *r)
{
	for (unsigned int i = 0, missing = 0; missing < 2 && i < LOG_FILES_MAX; i++) {
		_cleanup_(log_part_free) struct log_part *p = log_part_open(r->path, i);

		if (p && log_part_same(p, r->end))
			return true;
		missing = p ? 0 : missing + 1;
	}
	return false;
}

static void settle_end(struct log_reader *r)
{
	r->end = find_ino(r, r->q.end.ino);
	r->over = !r->end;
}

/* How much of the open file may still be read. */
static size_t before_end(const struct log_reader *r)
{
	int64_t left;

	if (!r->end || !log_part_same(r->part, r->end))
		return LOG_CHUNK;
	left = r->q.end.offset - log_part_at(r->part);
	return left <= 0 ? 0 : (size_t)MIN(left, (int64_t)LOG_CHUNK);
}

/* ---- open, close, wake ---- */

static void watch(struct log_reader *r)
{
	struct containers *cs = r->c->cs;
	_cleanup_(mem_free) char *dir = strndup(r->path, (size_t)(strrchr(r->path, '/') - r->path));

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

	if (!log_has_file(&c->asked.host))
		return err_set(e, EOPNOTSUPP, "configured logging driver does not support reading");
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_errno(e, ENOMEM, "logs");
	r->c = c;
	r->q = *q;
	r->ready = ready;
	r->data = data;
	r->wd = -1;
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
	log_part_free(r->part);
	log_part_free(r->end);
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

static int by_key(const void *a, const void *b)
{
	yyjson_val *const *ka = a, *const *kb = b;

	return strcmp(yyjson_get_str(*ka), yyjson_get_str(*kb));
}

/* Go's url.QueryEscape. */
static void put_escaped(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char ch = (unsigned char)*text;

		if (ch == ' ')
			buf_add_char(out, '+');
		else if (ch < 0x80 && (isalnum(ch) || strchr("-_.~", ch)))
			buf_add_char(out, (char)ch);
		else
			buf_printf(out, "%%%02X", ch);
	}
}

/* "k=v,k=v ": what --details puts in front of the text. */
static void put_details(struct buf *out, yyjson_val *attrs)
{
	yyjson_val *keys[LOG_DETAILS_MAX], *key;
	yyjson_obj_iter it;
	size_t n = 0;

	yyjson_obj_iter_init(attrs, &it);
	while (n < ARRAY_SIZE(keys) && (key = yyjson_obj_iter_next(&it)))
		if (yyjson_is_str(yyjson_obj_iter_get_val(key)))
			keys[n++] = key;
	qsort(keys, n, sizeof(keys[0]), by_key);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_add_char(out, ',');
		put_escaped(out, yyjson_get_str(keys[i]));
		buf_add_char(out, '=');
		put_escaped(out, yyjson_get_str(yyjson_obj_iter_get_val(keys[i])));
	}
	buf_add_char(out, ' ');
}

/* What stands in front of the text: the time, the details. */
static void put_prefix(const struct log_reader *r, int64_t time_ns, yyjson_val *root,
		       struct buf *out)
{
	char stamp[CLOCK_TEXT_MAX];

	if (r->q.timestamps) {
		clock_format(time_ns, stamp);
		buf_printf(out, "%s ", stamp);
	}
	if (r->q.details)
		put_details(out, yyjson_obj_get(root, "attrs"));
}

/* One line of the file to what the API sends. */
static void put_entry(struct log_reader *r, const char *line, size_t len, struct buf *out)
{
	yyjson_doc *doc = yyjson_read(line, len, 0);
	yyjson_val *root = yyjson_doc_get_root(doc);
	const char *stream = yyjson_get_str(yyjson_obj_get(root, "stream"));
	yyjson_val *text = yyjson_obj_get(root, "log");
	const char *time = yyjson_get_str(yyjson_obj_get(root, "time"));
	_cleanup_(buf_free) struct buf prefix = BUF_INIT(LOG_LINE_BYTES);
	bool is_err = str_eq(stream, "stderr");
	int64_t time_ns = 0;
	bool dated = time && clock_parse(time, &time_ns) == 0;

	if (dated && r->q.until_ns && time_ns > r->q.until_ns)
		r->over = true;
	if (yyjson_is_str(text) && dated && wanted(r, is_err, time_ns)) {
		put_prefix(r, time_ns, root, &prefix);
		if (!r->c || !r->c->asked.config.tty) {
			unsigned char head[FRAME_HEAD];

			frame_head(head, is_err ? FRAME_STDERR : FRAME_STDOUT,
				   (uint32_t)(prefix.len + yyjson_get_len(text)));
			buf_add(out, head, sizeof(head));
		}
		buf_add(out, buf_text(&prefix), prefix.len);
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
		struct log_part *newer;
		char *room;
		size_t want, got;

		if (!r->part)
			r->part = log_part_open(r->path, 0);
		if (!r->part)
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
		got = log_part_read(r->part, room, want);
		if (got == 0) {
			if (r->end && !end_is_ahead(r))
				return -ENODATA;
			newer = open_newer(r);
			if (!newer)
				return r->q.follow && live ? 0 : -ENODATA;
			/* It was rotated after our read: what came in between is still there. */
			got = log_part_read(r->part, room, want);
			log_part_free(got > 0 ? newer : r->part);
			if (got == 0)
				r->part = newer;
		}
		if (got > 0) {
			buf_commit(&r->buf, got);
			return 1;
		}
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
