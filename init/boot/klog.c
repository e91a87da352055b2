/*
 * /dev/kmsg to current.log.
 *
 * One read gives one record. EPIPE says that the ring overtook us, which is written down. The loop
 * wakes us per record, so what arrives in a burst is read in one go, within a bound that leaves
 * the loop to the others.
 */
#include "init/boot/klog.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { PENDING_MAX = 16 << 10, FLUSH_AT = 8 << 10, FLUSH_MS = 1000, BURST = 256 };

/* digits up to `end`, at most 18 of them */
static int number(const char **s, char end, uint64_t *ret)
{
	uint64_t v = 0;
	int n = 0;

	for (; **s >= '0' && **s <= '9' && n < 18; (*s)++, n++)
		v = v * 10 + (uint64_t)(**s - '0');
	if (n == 0 || **s != end)
		return -EINVAL;
	(*s)++;
	*ret = v;
	return 0;
}

int kmsg_parse(const char *record, struct kmsg *ret)
{
	uint64_t priority, seq, time;
	const char *text;
	size_t len;

	if (number(&record, ',', &priority) < 0 || number(&record, ',', &seq) < 0 ||
	    number(&record, ',', &time) < 0)
		return -EINVAL;
	text = strchr(record, ';'); /* flags, and fields of later kernels */
	if (!text)
		return -EINVAL;
	text++;
	len = strcspn(text, "\n");
	len = MIN(len, (size_t)KMSG_TEXT_MAX - 1);
	ret->level = (int)(priority & 7);
	ret->seq = seq;
	ret->time_us = (int64_t)time;
	memcpy(ret->text, text, len);
	ret->text[len] = '\0';
	return 0;
}

int kmsg_format(const struct kmsg *m, struct buf *out)
{
	return buf_printf(out, "[%5" PRId64 ".%06" PRId64 "] <%d> %s\n", m->time_us / 1000000,
			  m->time_us % 1000000, m->level, m->text);
}

static void path_in(const struct klog *k, char *path, size_t size, const char *name)
{
	if (str_format(path, size, "%s/%s", k->dir, name) < 0)
		path[0] = '\0';
}

static void move(const struct klog *k, const char *from, const char *to)
{
	char a[160], b[160];

	path_in(k, a, sizeof(a), from);
	path_in(k, b, sizeof(b), to);
	if (rename(a, b) < 0 && errno == ENOENT)
		(void)unlink(b);
}

static int open_file(struct klog *k, struct err *e)
{
	char path[160];

	path_in(k, path, sizeof(path), "current.log");
	k->file_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	k->size = 0;
	return k->file_fd < 0 ? err_errno(e, errno, "cannot make %s", path) : 0;
}

static void give_up(struct klog *k, const char *why)
{
	if (!k->failed)
		log_warn("the log is no longer kept on disk: %s", why);
	k->failed = true;
	fd_close(take_fd(k->file_fd));
	buf_reset(&k->pending);
}

static void start_anew(struct klog *k)
{
	struct err e = { 0 };

	fd_close(take_fd(k->file_fd));
	move(k, "current.log", "current.old.log");
	if (open_file(k, &e) < 0)
		give_up(k, err_text(&e));
}

void klog_flush(struct klog *k, bool sync)
{
	struct err e = { 0 };

	timer_clear(&k->flush_timer);
	if (k->file_fd < 0)
		return;
	if (k->pending.len && file_write_all(k->file_fd, k->pending.data, k->pending.len, &e) < 0) {
		give_up(k, err_text(&e));
		return;
	}
	k->size += k->pending.len;
	buf_reset(&k->pending);
	if (sync)
		(void)fsync(k->file_fd);
	if (k->size > KLOG_FILE_MAX)
		start_anew(k);
}

static void on_flush(struct timer_event *ev)
{
	klog_flush(container_of(ev, struct klog, flush_timer), false);
}

/* true when there may be more */
static bool read_one(struct klog *k)
{
	char record[KMSG_RECORD_MAX];
	struct kmsg m;
	ssize_t n = read(k->kmsg_fd, record, sizeof(record) - 1);

	if (n < 0 && errno == EPIPE) {
		buf_add_text(&k->pending, "(records were lost here: the kernel's ring was full)\n");
		return true;
	}
	if (n <= 0)
		return n < 0 && errno == EINTR;
	record[n] = '\0';
	if (kmsg_parse(record, &m) < 0)
		return true;
	kmsg_format(&m, &k->pending);
	if (k->pending.len > FLUSH_AT || m.level <= LOG_WARN)
		klog_flush(k, false);
	return true;
}

static void on_kmsg(struct io_event *io, uint32_t events)
{
	struct klog *k = container_of(io, struct klog, io);

	(void)events;
	for (int i = 0; i < BURST && read_one(k); i++)
		;
	if (k->pending.len && !timer_armed(&k->flush_timer))
		(void)timer_set(io->loop, &k->flush_timer, FLUSH_MS);
}

int klog_start(struct klog *k, struct loop *l, const char *dir, struct err *e)
{
	int r;

	k->pending = BUF_INIT(PENDING_MAX);
	k->io.fn = on_kmsg;
	k->flush_timer.fn = on_flush;
	if (str_copy(k->dir, sizeof(k->dir), dir) < 0)
		return err_set(e, ENAMETOOLONG, "the log's folder has too long a name");
	if (dir_make(AT_FDCWD, dir, 0700, e) < 0)
		return -e->code;
	move(k, "current.old.log", "previous.old.log");
	move(k, "current.log", "previous.log");
	if (open_file(k, e) < 0)
		return -e->code;
	k->kmsg_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (k->kmsg_fd < 0)
		return err_errno(e, errno, "cannot open /dev/kmsg");
	r = io_add(l, &k->io, k->kmsg_fd, EPOLLIN);
	return r < 0 ? err_errno(e, -r, "cannot watch /dev/kmsg") : 0;
}

void klog_stop(struct klog *k)
{
	if (k->kmsg_fd >= 0) {
		for (int i = 0; i < 4 * BURST && read_one(k); i++)
			;
		io_remove(&k->io);
	}
	klog_flush(k, true);
	timer_clear(&k->flush_timer);
	fd_close(take_fd(k->kmsg_fd));
	fd_close(take_fd(k->file_fd));
	buf_free(&k->pending);
}
