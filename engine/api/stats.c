/*
 * Statistics of a container: a JSON object per second (stream), one with the sample before it
 * (stream=0), or one sample at once (one-shot).
 *
 * The field names are those that the clients compute with (docker-engine-api-1.51.yaml,
 * ContainerStatsResponse); what only Windows or cgroup v1 has is left out as Docker leaves it out.
 * A client that does not read misses samples: nothing is queued for it beyond its stream's mark.
 */
#include "engine/api/inside.h"

#include "engine/container/stats.h"

enum { SAMPLE_MAX = 64 << 10 }; /* one rendered sample */

struct stats_stream {
	struct stats_watch watch;
	struct http_req *req;
	struct container *c;
	bool stream, primed;
	struct stats_cpu before;
	int64_t before_ns;
};

/* ---- one sample as JSON ---- */

/* Keys that Go leaves out when they are zero. */
static void member_nonzero(struct json_writer *w, const char *key, uint64_t value)
{
	if (value > 0)
		json_member_u64(w, key, value);
}

static void write_cpu(struct json_writer *w, const char *key, const struct stats_cpu *cpu)
{
	json_key(w, key);
	json_begin_object(w);
	json_key(w, "cpu_usage");
	json_begin_object(w);
	json_member_u64(w, "total_usage", cpu->total_us * 1000);
	json_member_u64(w, "usage_in_kernelmode", cpu->kernel_us * 1000);
	json_member_u64(w, "usage_in_usermode", cpu->user_us * 1000);
	json_end_object(w);
	member_nonzero(w, "system_cpu_usage", cpu->system_ns);
	member_nonzero(w, "online_cpus", cpu->online);
	json_key(w, "throttling_data");
	json_begin_object(w);
	json_member_u64(w, "periods", cpu->periods);
	json_member_u64(w, "throttled_periods", cpu->throttled);
	json_member_u64(w, "throttled_time", cpu->throttled_us * 1000);
	json_end_object(w);
	json_end_object(w);
}

static void write_memory(struct json_writer *w, const struct container_stats *s)
{
	json_key(w, "memory_stats");
	json_begin_object(w);
	if (s->read_ns != 0) {
		member_nonzero(w, "usage", s->memory_usage);
		json_key(w, "stats");
		json_begin_object(w);
		for (size_t i = 0; i < STATS_MEMORY_KEYS; i++)
			json_member_u64(w, stats_memory_names[i], s->memory[i]);
		json_end_object(w);
		member_nonzero(w, "failcnt", s->memory_failures);
		member_nonzero(w, "limit", s->memory_limit);
	}
	json_end_object(w);
}

static void write_io_entry(struct json_writer *w, const struct stats_io *io, const char *op,
			   uint64_t value)
{
	json_begin_object(w);
	json_member_i64(w, "major", io->major);
	json_member_i64(w, "minor", io->minor);
	json_member_str(w, "op", op);
	json_member_u64(w, "value", value);
	json_end_object(w);
}

static void write_io(struct json_writer *w, const struct container_stats *s)
{
	static const char *const of_v1[] = { "io_serviced_recursive",	  "io_queue_recursive",
					     "io_service_time_recursive", "io_wait_time_recursive",
					     "io_merged_recursive",	  "io_time_recursive",
					     "sectors_recursive" };

	json_key(w, "blkio_stats");
	json_begin_object(w);
	json_key(w, "io_service_bytes_recursive");
	if (s->n_io == 0) {
		json_null(w);
	} else {
		json_begin_array(w);
		for (size_t i = 0; i < s->n_io; i++) {
			write_io_entry(w, &s->io[i], "read", s->io[i].read);
			write_io_entry(w, &s->io[i], "write", s->io[i].written);
		}
		json_end_array(w);
	}
	for (size_t i = 0; i < ARRAY_SIZE(of_v1); i++) {
		json_key(w, of_v1[i]);
		json_null(w);
	}
	json_end_object(w);
}

static void write_networks(struct json_writer *w, const struct container_stats *s)
{
	if (s->n_nets == 0)
		return;
	json_key(w, "networks");
	json_begin_object(w);
	for (size_t i = 0; i < s->n_nets; i++) {
		const struct net_stats *n = &s->nets[i];

		json_key(w, n->ifname);
		json_begin_object(w);
		json_member_u64(w, "rx_bytes", n->rx_bytes);
		json_member_u64(w, "rx_packets", n->rx_packets);
		json_member_u64(w, "rx_errors", n->rx_errors);
		json_member_u64(w, "rx_dropped", n->rx_dropped);
		json_member_u64(w, "tx_bytes", n->tx_bytes);
		json_member_u64(w, "tx_packets", n->tx_packets);
		json_member_u64(w, "tx_errors", n->tx_errors);
		json_member_u64(w, "tx_dropped", n->tx_dropped);
		json_end_object(w);
	}
	json_end_object(w);
}

static void write_sample(struct json_writer *w, const struct container *c,
			 const struct container_stats *s, const struct stats_cpu *before,
			 int64_t before_ns)
{
	json_begin_object(w);
	json_key(w, "name");
	json_strf(w, "/%s", container_name(c));
	json_member_str(w, "id", container_id(c));
	json_key(w, "read");
	json_time(w, s->read_ns);
	json_key(w, "preread");
	json_time(w, before_ns);
	json_key(w, "pids_stats");
	json_begin_object(w);
	member_nonzero(w, "current", s->pids);
	member_nonzero(w, "limit", s->pids_limit);
	json_end_object(w);
	write_io(w, s);
	json_member_i64(w, "num_procs", 0);
	json_key(w, "storage_stats");
	json_begin_object(w);
	json_end_object(w);
	write_cpu(w, "cpu_stats", &s->cpu);
	write_cpu(w, "precpu_stats", before);
	write_memory(w, s);
	write_networks(w, s);
	json_end_object(w);
}

/* ---- answers ---- */

static void answer_once(struct http_req *r, struct container *c)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(SAMPLE_MAX);
	const struct stats_cpu nothing = { 0 };
	struct container_stats now;
	struct json_writer w;

	container_stats(c, &now);
	json_writer_init(&w, &b);
	write_sample(&w, c, &now, &nothing, 0);
	api_reply(r, 200, &b);
}

static void stream_free(struct stats_stream *s)
{
	container_stats_unwatch(&s->watch);
	free(s);
}

static void stream_end(struct stats_stream *s)
{
	struct http_req *r = s->req;

	stream_free(s);
	http_stream_end(r);
}

static void send_sample(struct stats_stream *s, const struct container_stats *now)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(SAMPLE_MAX);
	struct json_writer w;

	json_writer_init(&w, &b);
	write_sample(&w, s->c, now, &s->before, s->before_ns);
	buf_add_char(&b, '\n');
	if (buf_failed(&b) == 0)
		http_stream_write(s->req, b.data, b.len);
}

static void on_sample(struct stats_watch *sw, const struct container_stats *now)
{
	struct stats_stream *s = container_of(sw, struct stats_stream, watch);
	bool send = s->stream || s->primed;

	if (send && http_stream_room(s->req) == 0)
		return; /* the client is slow; the next one spans the gap */
	if (send)
		send_sample(s, now);
	s->before = now->cpu;
	s->before_ns = now->read_ns;
	s->primed = true;
	if (send && !s->stream)
		stream_end(s);
}

static void on_removed(struct stats_watch *sw)
{
	stream_end(container_of(sw, struct stats_stream, watch));
}

static void on_gone(struct http_req *r)
{
	stream_free(r->data);
}

static void stream_begin(struct http_req *r, struct container *c, bool stream)
{
	struct stats_stream *s = api_new(r, sizeof(*s));
	struct err e = { 0 };

	if (!s)
		return;
	s->req = r;
	s->c = c;
	s->stream = stream;
	s->watch.fn = on_sample;
	s->watch.gone = on_removed;
	list_init(&s->watch.link);
	if (container_stats_watch(c, &s->watch, &e) < 0) {
		free(s);
		api_fail(r, ENOMEM, &e);
		return;
	}
	r->data = s;
	r->on_gone = on_gone;
	http_stream_begin(r, 200, "application/json");
}

void stats_read(struct http_req *r)
{
	struct container *c = api_container(r);
	bool stream = http_query_bool(r, "stream", true);
	bool once = api_at_least(r, 41) && http_query_bool(r, "one-shot", false);
	enum container_state state;

	if (!c)
		return;
	state = container_state(c);
	if (stream && once)
		http_reply_error(r, 400, "cannot have stream=true and one-shot=true");
	else if (once || (!stream && !state_is_running(state)))
		answer_once(r, c);
	else
		stream_begin(r, c, stream);
}
