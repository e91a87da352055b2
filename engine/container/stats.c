/*
 * Samples of what a container uses (stats.h), and the feeds that hand them out.
 *
 * cgroup v2 in Docker's terms, as containerd and dockerd map it: cpu.stat, memory.current and
 * memory.stat, io.stat, pids.current. A file that is missing, because the group goes away while it
 * is read, leaves zeros. The network's counters come from the machine's end of each veth.
 */
#include "engine/container/stats.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "engine/container/object.h"
#include "init/base/cgroup.h"
#include "init/base/clock.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum { KNOB_MAX = 64 << 10, LINE_MAX_PROC = 512, TICKS_OF_CPU_LINE = 7 };

/* Those of dockerd (daemon/stats_unix.go), which the clients' tables know. */
const char *const stats_memory_names[STATS_MEMORY_KEYS] = {
	"active_anon",
	"active_file",
	"anon",
	"anon_thp",
	"file",
	"file_dirty",
	"file_mapped",
	"file_writeback",
	"inactive_anon",
	"inactive_file",
	"kernel_stack",
	"pgactivate",
	"pgdeactivate",
	"pgfault",
	"pglazyfree",
	"pglazyfreed",
	"pgmajfault",
	"pgrefill",
	"pgscan",
	"pgsteal",
	"shmem",
	"slab",
	"slab_reclaimable",
	"slab_unreclaimable",
	"sock",
	"thp_collapse_alloc",
	"thp_fault_alloc",
	"unevictable",
	"workingset_activate",
	"workingset_nodereclaim",
	"workingset_refault",
};

/* ---- one sample ---- */

/* Calls take(key, value) for each line "key value" of a file. */
static void each_pair(int cgroup, const char *knob,
		      void (*take)(struct container_stats *s, const char *key, uint64_t value),
		      struct container_stats *s)
{
	_cleanup_(mem_free) char *text = NULL;

	if (file_read(cgroup, knob, KNOB_MAX, &text, NULL, NULL) < 0)
		return;
	for (char *line = text, *next; *line; line = next) {
		char *value = line + strcspn(line, " \n");
		uint64_t n;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (*value != ' ')
			continue;
		*value++ = '\0';
		if (str_to_u64(value, &n) == 0)
			take(s, line, n);
	}
}

static void take_cpu(struct container_stats *s, const char *key, uint64_t value)
{
	const struct {
		const char *key;
		uint64_t *at;
	} rows[] = {
		{ "usage_usec", &s->cpu.total_us },    { "user_usec", &s->cpu.user_us },
		{ "system_usec", &s->cpu.kernel_us },  { "nr_periods", &s->cpu.periods },
		{ "nr_throttled", &s->cpu.throttled }, { "throttled_usec", &s->cpu.throttled_us },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_eq(rows[i].key, key))
			*rows[i].at = value;
}

/* Newer kernels count workingset_* apart for anonymous memory and files: the sum is meant. */
static void take_memory(struct container_stats *s, const char *key, uint64_t value)
{
	for (size_t i = 0; i < STATS_MEMORY_KEYS; i++) {
		const char *rest = key + strlen(stats_memory_names[i]);

		if (str_starts(key, stats_memory_names[i]) &&
		    (!*rest || str_eq(rest, "_anon") || str_eq(rest, "_file")))
			s->memory[i] += value;
	}
}

static void take_memory_event(struct container_stats *s, const char *key, uint64_t value)
{
	if (str_eq(key, "oom"))
		s->memory_failures = value;
}

static void read_memory(int cgroup, struct container_stats *s)
{
	struct sysinfo si = { 0 };
	uint64_t all;

	sysinfo(&si);
	all = (uint64_t)si.totalram * si.mem_unit;
	s->memory_limit = all;
	cgroup_read_u64(cgroup, "memory.current", &s->memory_usage, NULL);
	cgroup_read_u64(cgroup, "memory.max", &s->memory_limit, NULL);
	s->memory_limit = MIN(s->memory_limit, all);
	each_pair(cgroup, "memory.stat", take_memory, s);
	each_pair(cgroup, "memory.events", take_memory_event, s);
}

/* "253:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0" */
static void read_io(int cgroup, struct container_stats *s)
{
	_cleanup_(mem_free) char *text = NULL;
	_cleanup_(strv_free) char **lines = NULL;

	if (file_read(cgroup, "io.stat", KNOB_MAX, &text, NULL, NULL) < 0)
		return;
	lines = strv_split(text, "\n", false);
	for (char **l = lines; l && *l && s->n_io < STATS_IO_MAX; l++) {
		struct stats_io *io = &s->io[s->n_io];
		const char *read = strstr(*l, " rbytes="), *written = strstr(*l, " wbytes=");
		unsigned long long r = 0, w = 0;

		if (!read || !written || sscanf(*l, "%u:%u ", &io->major, &io->minor) != 2 ||
		    sscanf(read, " rbytes=%llu", &r) != 1 ||
		    sscanf(written, " wbytes=%llu", &w) != 1)
			continue;
		io->read = r;
		io->written = w;
		s->n_io++;
	}
}

/* The first line of /proc/stat, user to softirq, as dockerd sums it up. */
static void read_machine(struct stats_cpu *cpu)
{
	_cleanup_(fd_close) int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	unsigned long long t[TICKS_OF_CPU_LINE] = { 0 };
	uint64_t sum = 0, hz = (uint64_t)sysconf(_SC_CLK_TCK);
	char line[LINE_MAX_PROC];
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	cpu->online = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	if (n <= 0)
		return;
	line[n] = '\0';
	if (sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
		   &t[4], &t[5], &t[6]) != TICKS_OF_CPU_LINE)
		return;
	for (size_t i = 0; i < TICKS_OF_CPU_LINE; i++)
		sum += t[i];
	cpu->system_ns = sum * (UINT64_C(1000000000) / hz);
}

/* In another container's network the counters are that one's. */
static void read_network(struct container *c, struct container_stats *s)
{
	struct nets *nets = c->cs->cfg.nets;
	const char *id = c->sandbox && c->sandbox->shared_with ? c->sandbox->shared_with : c->id;
	int n = net_stats(nets, id, s->nets, ARRAY_SIZE(s->nets), NULL);

	s->n_nets = n > 0 ? (size_t)n : 0;
}

void container_stats(struct container *c, struct container_stats *ret)
{
	_cleanup_(fd_close) int cgroup = -1;

	*ret = (struct container_stats){ 0 };
	if (!state_is_running(c->state))
		return;
	cgroup = container_cgroup_open(c);
	if (cgroup < 0)
		return;
	each_pair(cgroup, "cpu.stat", take_cpu, ret);
	read_machine(&ret->cpu);
	read_memory(cgroup, ret);
	read_io(cgroup, ret);
	cgroup_read_u64(cgroup, "pids.current", &ret->pids, NULL);
	cgroup_read_u64(cgroup, "pids.max", &ret->pids_limit, NULL);
	read_network(c, ret);
	ret->read_ns = clock_real_ns();
}

/* ---- feeds ---- */

struct stats_feed {
	struct container *c;
	struct timer_event tick;
	struct list watches;
};

static void feed_free(struct stats_feed *feed)
{
	feed->c->stats_feed = NULL;
	timer_clear(&feed->tick);
	free(feed);
}

/* Watchers may leave in between, also others than the one being called: each is taken out of the
 * list of those to be called first. */
static void feed_tick(struct timer_event *ev)
{
	struct stats_feed *feed = container_of(ev, struct stats_feed, tick);
	struct container_stats now;
	struct stats_watch *sw;
	struct list todo;

	list_init(&todo);
	list_move_all(&feed->watches, &todo);
	if (!list_empty(&todo))
		container_stats(feed->c, &now);
	while ((sw = list_first(&todo, struct stats_watch, link))) {
		list_remove(&sw->link);
		list_append(&feed->watches, &sw->link);
		sw->fn(sw, &now);
	}
	if (list_empty(&feed->watches))
		feed_free(feed); /* the last one has left */
	else
		timer_set(feed->c->cs->cfg.loop, &feed->tick, STATS_TICK_MS);
}

int container_stats_watch(struct container *c, struct stats_watch *sw, struct err *e)
{
	struct stats_feed *feed = c->stats_feed;

	if (!feed) {
		feed = calloc(1, sizeof(*feed));
		if (!feed)
			return err_errno(e, ENOMEM, "statistics");
		feed->c = c;
		feed->tick.fn = feed_tick;
		list_init(&feed->watches);
		c->stats_feed = feed;
		timer_set(c->cs->cfg.loop, &feed->tick, 0);
	}
	list_append(&feed->watches, &sw->link);
	return 0;
}

void container_stats_unwatch(struct stats_watch *sw)
{
	list_remove(&sw->link);
}

void stats_end(struct container *c)
{
	struct stats_feed *feed = c->stats_feed;
	struct stats_watch *sw;

	if (!feed)
		return;
	while ((sw = list_first(&feed->watches, struct stats_watch, link))) {
		list_remove(&sw->link);
		sw->gone(sw);
	}
	feed_free(feed);
}
