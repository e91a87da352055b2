/*
 * json-file records and their rotation (logfile.h).
 *
 * Data: per stream the unfinished line (a shim of a silent container has no memory for it), and one
 * buffer in which the records of one call are put together for one
 * write. Called by session.c for each chunk of a container's output.
 */
#include "engine/shim/logfile.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/shim/logpack.h"
#include "init/base/buf.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/spawn.h"
#include "init/base/str.h"

struct log_lines {
	struct lines l;
	struct logfile *file;
	enum log_stream stream;
};

struct logfile {
	char *path, *attrs;
	int fd;
	uint64_t size, max_size;
	unsigned int max_file;
	struct log_lines lines[LOG_STREAMS];
	struct buf out;
	int64_t stamp_ns; /* that `stamp` tells: the lines of one chunk have one time */
	char stamp[CLOCK_TEXT_MAX];
	bool complained;
	bool compress;
	struct child packer; /* pid 0: none runs */
	unsigned int packing; /* the number that its file has now; 0: it has fallen out */
};

enum { PACK_OOM_SCORE = 1 }; /* not the shim's: it can be started again */

#define PACK_TEMP ".tmp" /* path.tmp: what the packer writes */

static const char *const stream_names[LOG_STREAMS] = { "stdout", "stderr" };

static int open_file(struct logfile *l, int flags, struct err *e)
{
	struct stat st;
	int fd =
		open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0640);

	if (fd < 0)
		return err_errno(e, errno, "log file %s", l->path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(e, EINVAL, "log file %s is not a regular file", l->path);
	}
	fd_close(l->fd);
	l->fd = fd;
	l->size = (uint64_t)st.st_size;
	return 0;
}

static void on_line(struct lines *lines, const char *text, size_t len, bool whole, int64_t time_ns);

int logfile_open(const char *path, uint64_t max_size, unsigned int max_file, const char *attrs_json,
		 struct logfile **ret, struct err *e)
{
	_cleanup_(logfile_free) struct logfile *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return err_errno(e, ENOMEM, "log file");
	l->fd = -1;
	l->packer.pidfd = -1;
	l->path = str_dup(path);
	l->attrs = str_dup(attrs_json);
	l->max_size = max_size;
	l->max_file = max_file ? max_file : 1;
	l->out = BUF_INIT(1 << 20);
	for (int i = 0; i < LOG_STREAMS; i++)
		l->lines[i] = (struct log_lines){ { .emit = on_line }, l, (enum log_stream)i };
	if (!l->path || (attrs_json && !l->attrs))
		return err_errno(e, ENOMEM, "log file");
	r = open_file(l, 0, e);
	if (r < 0)
		return r;
	*ret = take_ptr(l);
	return 0;
}

static void complain(struct logfile *l, const char *what, const struct err *e)
{
	if (!l->complained)
		log_warn("log file: %s: %s (lines are lost until this is over)", what, err_text(e));
	l->complained = true;
}

static void flush(struct logfile *l)
{
	struct err e = { 0 };

	if (l->out.len == 0 || l->fd < 0)
		return;
	if (file_write_all(l->fd, l->out.data, l->out.len, &e) < 0) {
		complain(l, "writing", &e);
		(void)ftruncate(l->fd, (off_t)l->size); /* no half record */
	} else {
		l->complained = false;
		l->size += l->out.len;
	}
	buf_reset(&l->out);
	if (l->out.cap > 4 * LOG_LINE_BYTES)
		buf_free(&l->out); /* a burst of control characters must not stay in memory */
}

/* --- compression --- */

/* "path", "path.N", "path.N.gz"; false when it is too long. */
static bool part_name(const struct logfile *l, unsigned int number, const char *suffix,
		      char name[PATH_MAX])
{
	if (number == 0)
		return str_format(name, PATH_MAX, "%s%s", l->path, suffix) >= 0;
	return str_format(name, PATH_MAX, "%s.%u%s", l->path, number, suffix) >= 0;
}

static int start_packer(struct logfile *l, int from, struct err *e)
{
	const char *const argv[] = { "skerryd", "worker", LOGPACK_WORKER, NULL };
	_cleanup_(fd_close) int to = -1;
	char name[PATH_MAX];

	if (!part_name(l, 0, PACK_TEMP, name))
		return err_errno(e, ENAMETOOLONG, "log file");
	(void)unlink(name);
	to = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (to < 0)
		return err_errno(e, errno, "%s", name);
	const struct fd_map fds[] = { { 0, from }, { 1, to } };
	const struct spawn s = { .argv = argv,
				 .fds = fds,
				 .n_fds = 2,
				 .death_signal = SIGKILL,
				 .oom_score_adj = PACK_OOM_SCORE };

	return spawn(&s, &l->packer, e);
}

/* The oldest file that is not compressed yet; one at a time. */
static void pack_next(struct logfile *l)
{
	struct err e = { 0 };
	char name[PATH_MAX];

	if (!l->compress || l->packer.pid > 0)
		return;
	for (unsigned int i = l->max_file - 1; i > 0; i--) {
		_cleanup_(fd_close) int from = -1;

		if (part_name(l, i, "", name))
			from = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (from < 0)
			continue;
		l->packing = i;
		if (start_packer(l, from, &e) < 0)
			log_warn("log file %s is not compressed: %s", name, err_text(&e));
		return;
	}
}

void logfile_compress(struct logfile *l)
{
	l->compress = true;
	pack_next(l);
}

/* The finished file takes the place of the one that it was made of, wherever that is now. */
static void put_packed(struct logfile *l, const char *temp)
{
	char plain[PATH_MAX], packed[PATH_MAX];

	if (!part_name(l, l->packing, "", plain) ||
	    !part_name(l, l->packing, LOGPACK_SUFFIX, packed))
		return;
	if (rename(temp, packed) == 0)
		(void)unlink(plain);
	else
		log_warn("log file %s is not compressed: %s", plain, strerror(errno));
}

bool logfile_reaped(struct logfile *l, pid_t pid, int status)
{
	char temp[PATH_MAX], text[64];

	if (l->packer.pid <= 0 || pid != l->packer.pid)
		return false;
	fd_close(l->packer.pidfd);
	l->packer = (struct child){ .pidfd = -1 };
	if (!part_name(l, 0, PACK_TEMP, temp))
		return true;
	if (status == 0 && l->packing > 0)
		put_packed(l, temp);
	(void)unlink(temp);
	if (status == 0)
		pack_next(l);
	else /* tried again after the next rotation */
		log_warn("log file %s.%u is not compressed: its worker ended with %s", l->path,
			 l->packing, child_status_text(status, text, sizeof(text)));
	return true;
}

/* --- rotation --- */

/* Moves one file, in whichever form it is, to the next number. */
static void shift(struct logfile *l, unsigned int from)
{
	static const char *const forms[] = { "", LOGPACK_SUFFIX };
	char a[PATH_MAX], b[PATH_MAX];
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(forms) - (from == 0); i++) {
		if (!part_name(l, from, forms[i], a) || !part_name(l, from + 1, forms[i], b))
			return;
		if (rename(a, b) < 0 && errno != ENOENT) {
			err_errno(&e, errno, "%s", b);
			complain(l, "rotating", &e);
		}
	}
}

static void drop_oldest(struct logfile *l)
{
	char name[PATH_MAX];

	if (part_name(l, l->max_file - 1, "", name))
		(void)unlink(name);
	if (part_name(l, l->max_file - 1, LOGPACK_SUFFIX, name))
		(void)unlink(name);
}

static void rotate(struct logfile *l)
{
	struct err e = { 0 };

	flush(l);
	if (l->max_file > 1)
		drop_oldest(l);
	for (unsigned int i = l->max_file - 1; i > 0; i--)
		shift(l, i - 1);
	if (l->packing > 0 && ++l->packing >= l->max_file)
		l->packing = 0;
	if (open_file(l, O_TRUNC, &e) < 0)
		complain(l, "rotating", &e);
	pack_next(l);
}

/* Length of the valid UTF-8 sequence at p, 0 when there is none. */
static size_t utf8_sequence(const unsigned char *p, size_t len)
{
	static const struct {
		unsigned char first_min, first_max, second_min, second_max;
		size_t len;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (p[0] < forms[i].first_min || p[0] > forms[i].first_max)
			continue;
		if (len < forms[i].len || p[1] < forms[i].second_min || p[1] > forms[i].second_max)
			return 0;
		for (size_t k = 2; k < forms[i].len; k++)
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		return forms[i].len;
	}
	return 0;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

/* As Docker's jsonlog writes a string: what is not UTF-8 becomes U+FFFD, HTML's characters are
 * escaped. */
static void add_escaped(struct buf *out, const char *data, size_t len)
{
	const unsigned char *p = (const unsigned char *)data, *end = p + len;

	while (p < end) {
		const unsigned char *start = p;
		size_t n;

		while (p < end && is_plain(*p))
			p++;
		if (p > start)
			buf_add(out, start, (size_t)(p - start));
		if (p == end)
			return;
		n = *p < 0x80 ? 1 : utf8_sequence(p, (size_t)(end - p));
		if (n > 1 && !(n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] & 0xfe) == 0xa8))
			buf_add(out, p, n);
		else if (n > 1)
			buf_printf(out, "\\u202%c", p[2] == 0xa8 ? '8' : '9');
		else if (n == 0)
			buf_add_text(out, "\\ufffd");
		else if (*p == '"' || *p == '\\')
			buf_printf(out, "\\%c", *p);
		else if (*p == '\n' || *p == '\r')
			buf_add_text(out, *p == '\n' ? "\\n" : "\\r");
		else
			buf_printf(out, "\\u%04x", *p);
		p += n ? n : 1;
	}
}

static void add_record(struct logfile *l, enum log_stream stream, const char *data, size_t len,
		       bool whole, int64_t real_ns)
{
	struct buf *out = &l->out;

	if (l->max_size && l->size + l->out.len >= l->max_size)
		rotate(l);
	if (l->out.len > 4 * LOG_LINE_BYTES)
		flush(l);
	if (!l->stamp[0] || l->stamp_ns != real_ns)
		clock_format(real_ns, l->stamp);
	l->stamp_ns = real_ns;
	buf_add_text(out, "{\"log\":\"");
	add_escaped(out, data, len);
	buf_add_text(out, whole ? "\\n\",\"stream\":\"" : "\",\"stream\":\"");
	buf_add_text(out, stream_names[stream]);
	if (l->attrs) {
		buf_add_text(out, "\",\"attrs\":");
		buf_add_text(out, l->attrs);
		buf_add_text(out, ",\"time\":\"");
	} else {
		buf_add_text(out, "\",\"time\":\"");
	}
	buf_add_text(out, l->stamp);
	buf_add_text(out, "\"}\n");
}

static void on_line(struct lines *lines, const char *text, size_t len, bool whole, int64_t time_ns)
{
	struct log_lines *of = container_of(lines, struct log_lines, l);

	add_record(of->file, of->stream, text, len, whole, time_ns);
}

void logfile_write(struct logfile *l, enum log_stream stream, const char *data, size_t len,
		   int64_t real_ns)
{
	lines_take(&l->lines[stream].l, data, len, real_ns);
	flush(l);
}

void logfile_end(struct logfile *l, enum log_stream stream)
{
	lines_flush(&l->lines[stream].l, clock_real_ns());
	lines_free(&l->lines[stream].l);
	flush(l);
}

uint64_t logfile_sync_lines(struct logfile *l)
{
	struct stat st;

	for (int i = 0; i < LOG_STREAMS; i++)
		lines_flush(&l->lines[i].l, clock_real_ns());
	flush(l);
	return l->fd >= 0 && fstat(l->fd, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

int64_t logfile_size(const struct logfile *l)
{
	return (int64_t)l->size;
}

void logfile_free(struct logfile *l)
{
	if (!l)
		return;
	fd_close(l->fd);
	child_free(&l->packer); /* the next run begins that file again */
	free(l->path);
	free(l->attrs);
	for (int i = 0; i < LOG_STREAMS; i++)
		lines_free(&l->lines[i].l);
	buf_free(&l->out);
	free(l);
}
