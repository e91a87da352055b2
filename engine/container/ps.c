/*
 * The columns of ps as a table, and a process of /proc as a struct (ps.h).
 *
 * Titles and forms are those of procps 4, which Docker's hosts run. Users and groups are those of
 * the machine, as on a Docker host: a number where it has no name for one.
 */
#include "engine/container/ps.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/str.h"

#define NS INT64_C(1000000000)

enum { STAT_MAX = 4096, STATUS_MAX = 16 << 10 };

/* ---- reading ---- */

void ps_machine_read(struct ps_machine *m)
{
	struct sysinfo si = { 0 };

	*m = (struct ps_machine){
		.now_ns = clock_real_ns(),
		.boot_ns = clock_mono_ns(),
		.hz = (uint64_t)sysconf(_SC_CLK_TCK),
		.page_size = (uint64_t)sysconf(_SC_PAGESIZE),
	};
	tzset();
	sysinfo(&si);
	m->memory_kib = (uint64_t)si.totalram * si.mem_unit / 1024;
	(void)file_read(AT_FDCWD, "/etc/passwd", PS_NAMES_MAX, &m->passwd, NULL, NULL);
	(void)file_read(AT_FDCWD, "/etc/group", PS_NAMES_MAX, &m->group, NULL, NULL);
}

void ps_machine_free(struct ps_machine *m)
{
	free(m->passwd);
	free(m->group);
	*m = (struct ps_machine){ 0 };
}

void ps_process_free(struct ps_process *p)
{
	free(p->args);
	p->args = NULL;
}

/* Anything that would break a line or a terminal. */
static void make_plain(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
}

/* "17 (a name) S 1 17 ...": the name may hold anything, also brackets and blanks. */
int ps_parse_stat(const char *text, struct ps_process *p)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned long long flags, user, system, start, size, rss, rt;
	int ppid, pgrp, session, tty, tpgid, processor;

	if (!open || !close || close < open)
		return -EINVAL;
	snprintf(p->comm, sizeof(p->comm), "%.*s", (int)(close - open - 1), open + 1);
	make_plain(p->comm, strlen(p->comm));
	if (sscanf(close + 1,
		   " %c %d %d %d %d %d %llu %*u %*u %*u %*u %llu %llu %*d %*d %ld %ld %ld %*d "
		   "%llu %llu %llu %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*d %d %llu",
		   &p->state, &ppid, &pgrp, &session, &tty, &tpgid, &flags, &user, &system,
		   &p->priority, &p->nice, &p->threads, &start, &size, &rss, &processor, &rt) != 17)
		return -EINVAL;
	p->ppid = ppid;
	p->pgrp = pgrp;
	p->session = session;
	p->tty = (uint32_t)tty;
	p->tpgid = tpgid;
	p->flags = flags;
	p->user_ticks = user;
	p->system_ticks = system;
	p->start_ticks = start;
	p->size = size;
	p->rss_pages = rss;
	p->processor = processor;
	p->rt_priority = (long)rt;
	return 0;
}

void ps_parse_status(const char *text, struct ps_process *p)
{
	const char *uid = strstr(text, "\nUid:"), *gid = strstr(text, "\nGid:");
	const char *locked = strstr(text, "\nVmLck:");
	unsigned long long kib = 0;

	if (uid)
		(void)sscanf(uid, "\nUid: %u %u", &p->uid[0], &p->uid[1]);
	if (gid)
		(void)sscanf(gid, "\nGid: %u %u", &p->gid[0], &p->gid[1]);
	if (locked && sscanf(locked, "\nVmLck: %llu", &kib) == 1)
		p->locked_kib = kib;
}

/* At most `max` bytes of a file, as text; what is behind is left out. */
static char *read_start(int dirfd, const char *name, size_t max, size_t *ret_len)
{
	_cleanup_(fd_close) int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	_cleanup_(mem_free) char *text = fd < 0 ? NULL : malloc(max + 1);
	size_t len = 0;
	ssize_t n;

	while (text && len < max && (n = read(fd, text + len, max - len)) > 0)
		len += (size_t)n;
	if (!text || len == 0)
		return NULL;
	text[len] = '\0';
	*ret_len = len;
	return take_ptr(text);
}

static char *read_args(int dirfd, size_t max)
{
	size_t len = 0;
	char *text = read_start(dirfd, "cmdline", max, &len);

	while (len > 0 && text[len - 1] == '\0')
		len--;
	if (len == 0) {
		free(text);
		return NULL;
	}
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	text[len] = '\0';
	make_plain(text, len);
	return text;
}

int ps_process_read(int procfd, pid_t pid, size_t args_max, struct ps_process *p)
{
	_cleanup_(mem_free) char *stat = NULL, *status = NULL;
	_cleanup_(fd_close) int dir = -1;
	char name[16];
	size_t len;

	*p = (struct ps_process){ .pid = pid };
	snprintf(name, sizeof(name), "%d", (int)pid);
	dir = openat(procfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	stat = dir < 0 ? NULL : read_start(dir, "stat", STAT_MAX, &len);
	status = stat ? read_start(dir, "status", STATUS_MAX, &len) : NULL;
	if (!status || ps_parse_stat(stat, p) < 0)
		return -ESRCH;
	ps_parse_status(status, p);
	p->args = read_args(dir, args_max);
	return 0;
}

/* ---- cells ---- */

#define CELL(name)                                                           \
	static void name(struct buf *out, const struct ps_process *p UNUSED, \
			 const struct ps_machine *m UNUSED)
#define NUMBER(name, format, value)             \
	CELL(name)                              \
	{                                       \
		buf_printf(out, format, value); \
	}

/* The name in the first field of the line whose third is the number; the number when there is
 * none. */
static void add_name(struct buf *out, const char *lines, uint32_t id)
{
	char want[16];

	snprintf(want, sizeof(want), ":%u:", id);
	for (const char *line = lines, *next; line && *line; line = next) {
		size_t len = strcspn(line, "\n"), name = strcspn(line, ":\n");
		const char *second = name < len ? line + name + 1 : NULL;

		next = line + len + (line[len] == '\n');
		if (!second)
			continue;
		second += strcspn(second, ":\n");
		if (name > 0 && strncmp(second, want, strlen(want)) == 0) {
			buf_add(out, line, name);
			return;
		}
	}
	buf_printf(out, "%u", id);
}

CELL(cell_user)
{
	add_name(out, m->passwd, p->uid[1]);
}
CELL(cell_ruser)
{
	add_name(out, m->passwd, p->uid[0]);
}
CELL(cell_group)
{
	add_name(out, m->group, p->gid[1]);
}
CELL(cell_rgroup)
{
	add_name(out, m->group, p->gid[0]);
}
NUMBER(cell_uid, "%u", p->uid[1])
NUMBER(cell_ruid, "%u", p->uid[0])
NUMBER(cell_gid, "%u", p->gid[1])
NUMBER(cell_rgid, "%u", p->gid[0])
NUMBER(cell_pid, "%d", (int)p->pid)
NUMBER(cell_ppid, "%d", (int)p->ppid)
NUMBER(cell_pgid, "%d", (int)p->pgrp)
NUMBER(cell_sid, "%d", (int)p->session)
NUMBER(cell_tpgid, "%d", (int)p->tpgid)
NUMBER(cell_nice, "%ld", p->nice)
NUMBER(cell_pri, "%ld", 39 - p->priority)
NUMBER(cell_opri, "%ld", 60 + p->priority)
NUMBER(cell_priority, "%ld", p->priority)
NUMBER(cell_threads, "%ld", p->threads)
NUMBER(cell_processor, "%ld", p->processor)
NUMBER(cell_state, "%c", p->state)
NUMBER(cell_vsz, "%llu", (unsigned long long)(p->size / 1024))
NUMBER(cell_sz, "%llu", (unsigned long long)(p->size / m->page_size))
NUMBER(cell_rss, "%llu", (unsigned long long)(p->rss_pages * m->page_size / 1024))
/* of the kernel's PF_ flags those that ps has always shown: forked without exec, superuser */
NUMBER(cell_flags, "%llx", (unsigned long long)(p->flags >> 6 & 7))
NUMBER(cell_nothing, "%s", "-")

CELL(cell_rt_priority)
{
	if (p->rt_priority > 0)
		buf_printf(out, "%ld", p->rt_priority);
	else
		buf_add_char(out, '-');
}

CELL(cell_stat)
{
	buf_add_char(out, p->state);
	if (p->nice < 0)
		buf_add_char(out, '<');
	if (p->nice > 0)
		buf_add_char(out, 'N');
	if (p->locked_kib > 0)
		buf_add_char(out, 'L');
	if (p->session == p->pid)
		buf_add_char(out, 's');
	if (p->threads > 1)
		buf_add_char(out, 'l');
	if (p->pgrp == p->tpgid)
		buf_add_char(out, '+');
}

/* Terminals of containers are pseudo terminals; the rest is what a privileged one may have. */
CELL(cell_tty)
{
	uint32_t major = p->tty >> 8 & 0xfff, minor = (p->tty & 0xff) | (p->tty >> 12 & 0xfff00);

	if (major >= 136 && major <= 143)
		buf_printf(out, "pts/%u", (major - 136) * 256 + minor);
	else if (major == 4)
		buf_printf(out, minor < 64 ? "tty%u" : "ttyS%u", minor < 64 ? minor : minor - 64);
	else if (p->tty == (5 << 8 | 1))
		buf_add_text(out, "console");
	else
		buf_add_char(out, '?');
}

static int64_t age_ns(const struct ps_process *p, const struct ps_machine *m)
{
	int64_t age = m->boot_ns - (int64_t)(p->start_ticks * (uint64_t)(NS / (int64_t)m->hz));

	return MAX(age, INT64_C(0));
}

static uint64_t used_ticks(const struct ps_process *p)
{
	return p->user_ticks + p->system_ticks;
}

/* Share of one processor over its life, in tenths of a percent. */
static uint64_t share(const struct ps_process *p, const struct ps_machine *m)
{
	uint64_t seconds = (uint64_t)(age_ns(p, m) / NS);

	return seconds > 0 ? used_ticks(p) * 1000 / m->hz / seconds : 0;
}

CELL(cell_c)
{
	buf_printf(out, "%llu", (unsigned long long)MIN(share(p, m) / 10, UINT64_C(99)));
}

CELL(cell_cpu)
{
	uint64_t s = share(p, m);

	buf_printf(out, "%llu.%llu", (unsigned long long)(s / 10), (unsigned long long)(s % 10));
}

CELL(cell_memory)
{
	uint64_t kib = p->rss_pages * m->page_size / 1024;
	uint64_t s = m->memory_kib > 0 ? MIN(kib * 1000 / m->memory_kib, UINT64_C(999)) : 0;

	buf_printf(out, "%llu.%llu", (unsigned long long)(s / 10), (unsigned long long)(s % 10));
}

static void add_clock(struct buf *out, uint64_t seconds, bool hours_always)
{
	unsigned long long days = seconds / 86400, hours = seconds / 3600 % 24;
	unsigned minutes = (unsigned)(seconds / 60 % 60), rest = (unsigned)(seconds % 60);

	if (days > 0)
		buf_printf(out, "%llu-", days);
	if (days > 0 || hours > 0 || hours_always)
		buf_printf(out, "%02llu:", hours);
	buf_printf(out, "%02u:%02u", minutes, rest);
}

CELL(cell_time)
{
	add_clock(out, used_ticks(p) / m->hz, true);
}

CELL(cell_bsdtime)
{
	uint64_t seconds = used_ticks(p) / m->hz;

	buf_printf(out, "%llu:%02u", (unsigned long long)(seconds / 60), (unsigned)(seconds % 60));
}

CELL(cell_times)
{
	buf_printf(out, "%llu", (unsigned long long)(used_ticks(p) / m->hz));
}

CELL(cell_etime)
{
	add_clock(out, (uint64_t)(age_ns(p, m) / NS), false);
}

CELL(cell_etimes)
{
	buf_printf(out, "%lld", (long long)(age_ns(p, m) / NS));
}

static void add_date(struct buf *out, const struct tm *t, const char *format)
{
	char text[40];

	if (strftime(text, sizeof(text), format, t) > 0)
		buf_add_text(out, text);
}

static void started(const struct ps_process *p, const struct ps_machine *m, struct tm *ret_then,
		    struct tm *ret_now)
{
	time_t now = m->now_ns / NS, then = (m->now_ns - age_ns(p, m)) / NS;

	localtime_r(&then, ret_then);
	localtime_r(&now, ret_now);
}

/* The time of the day, the day when that was another one, the year likewise. */
CELL(cell_stime)
{
	struct tm then, now;

	started(p, m, &then, &now);
	add_date(out, &then,
		 then.tm_year != now.tm_year   ? "%Y"
		 : then.tm_yday != now.tm_yday ? "%b%d"
					       : "%H:%M");
}

CELL(cell_start)
{
	struct tm then, now;

	started(p, m, &then, &now);
	add_date(out, &then, age_ns(p, m) >= 86400 * NS ? "%b %d" : "%H:%M:%S");
}

CELL(cell_bsdstart)
{
	struct tm then, now;

	started(p, m, &then, &now);
	add_date(out, &then, age_ns(p, m) >= 86400 * NS ? "%b %d" : "%H:%M");
}

CELL(cell_lstart)
{
	struct tm then, now;

	started(p, m, &then, &now);
	add_date(out, &then, "%a %b %e %H:%M:%S %Y");
}

CELL(cell_comm)
{
	buf_add_text(out, p->comm);
	if (p->state == 'Z')
		buf_add_text(out, " <defunct>");
}

CELL(cell_args)
{
	if (p->args)
		buf_add_text(out, p->args);
	else
		buf_printf(out, "[%s]%s", p->comm, p->state == 'Z' ? " <defunct>" : "");
}

/* ---- the table ---- */

const struct ps_column ps_uid_column = { NULL, "UID", cell_user };
const struct ps_column ps_comm_column = { NULL, "CMD", cell_comm };
const struct ps_column ps_opri_column = { NULL, "PRI", cell_opri };
const struct ps_column ps_priority_column = { NULL, "PRI", cell_priority };

static const struct ps_column columns[] = {
	{ "%cpu", "%CPU", cell_cpu },
	{ "%mem", "%MEM", cell_memory },
	{ "addr", "ADDR", cell_nothing },
	{ "args", "COMMAND", cell_args },
	{ "bsdstart", "START", cell_bsdstart },
	{ "bsdtime", "TIME", cell_bsdtime },
	{ "c", "C", cell_c },
	{ "cmd", "CMD", cell_args },
	{ "comm", "COMMAND", cell_comm },
	{ "command", "COMMAND", cell_args },
	{ "cputime", "TIME", cell_time },
	{ "cputimes", "TIME", cell_times },
	{ "egid", "EGID", cell_gid },
	{ "egroup", "EGROUP", cell_group },
	{ "etime", "ELAPSED", cell_etime },
	{ "etimes", "ELAPSED", cell_etimes },
	{ "euid", "EUID", cell_uid },
	{ "euser", "EUSER", cell_user },
	{ "f", "F", cell_flags },
	{ "flag", "F", cell_flags },
	{ "flags", "F", cell_flags },
	{ "gid", "GID", cell_gid },
	{ "group", "GROUP", cell_group },
	{ "lstart", "STARTED", cell_lstart },
	{ "ni", "NI", cell_nice },
	{ "nice", "NI", cell_nice },
	{ "nlwp", "NLWP", cell_threads },
	{ "opri", "PRI", cell_opri },
	{ "pcpu", "%CPU", cell_cpu },
	{ "pgid", "PGID", cell_pgid },
	{ "pgrp", "PGRP", cell_pgid },
	{ "pid", "PID", cell_pid },
	{ "pmem", "%MEM", cell_memory },
	{ "ppid", "PPID", cell_ppid },
	{ "pri", "PRI", cell_pri },
	{ "psr", "PSR", cell_processor },
	{ "rgid", "RGID", cell_rgid },
	{ "rgroup", "RGROUP", cell_rgroup },
	{ "rss", "RSS", cell_rss },
	{ "rssize", "RSS", cell_rss },
	{ "rsz", "RSZ", cell_rss },
	{ "rtprio", "RTPRIO", cell_rt_priority },
	{ "ruid", "RUID", cell_ruid },
	{ "ruser", "RUSER", cell_ruser },
	{ "s", "S", cell_state },
	{ "sess", "SESS", cell_sid },
	{ "session", "SESS", cell_sid },
	{ "sid", "SID", cell_sid },
	{ "start", "STARTED", cell_start },
	{ "start_time", "START", cell_stime },
	{ "stat", "STAT", cell_stat },
	{ "state", "S", cell_state },
	{ "stime", "STIME", cell_stime },
	{ "sz", "SZ", cell_sz },
	{ "tgid", "TGID", cell_pid },
	{ "thcount", "THCNT", cell_threads },
	{ "time", "TIME", cell_time },
	{ "times", "TIME", cell_times },
	{ "tname", "TTY", cell_tty },
	{ "tpgid", "TPGID", cell_tpgid },
	{ "tt", "TT", cell_tty },
	{ "tty", "TT", cell_tty },
	{ "ucmd", "CMD", cell_comm },
	{ "ucomm", "COMMAND", cell_comm },
	{ "uid", "UID", cell_uid },
	{ "uname", "USER", cell_user },
	{ "user", "USER", cell_user },
	{ "vsize", "VSZ", cell_vsz },
	{ "vsz", "VSZ", cell_vsz },
	{ "wchan", "WCHAN", cell_nothing },
};

const struct ps_column *ps_column_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (strlen(columns[i].name) == len && strncmp(columns[i].name, name, len) == 0)
			return &columns[i];
	return NULL;
}
