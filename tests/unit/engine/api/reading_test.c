/*
 * What reads: statistics, processes, events and what the engine says of itself, as a client sees
 * it over a socket pair.
 */
#include "tests/unit/engine/api/client.h"

/* ---- stats ---- */

static struct container_stats sample(uint64_t used_us)
{
	struct container_stats s = {
		.read_ns = 1700000000 * INT64_C(1000000000) + 5,
		.cpu = { .total_us = used_us,
			 .user_us = used_us - 1,
			 .kernel_us = 1,
			 .system_ns = 5000000000,
			 .online = 2,
			 .periods = 3,
			 .throttled = 2,
			 .throttled_us = 9 },
		.memory_usage = 4096,
		.memory_limit = 65536,
		.memory_failures = 1,
		.pids = 2,
		.pids_limit = UINT64_MAX,
		.io = { { 253, 1, 10, 20 } },
		.n_io = 1,
		.nets = { { .ifname = "eth0",
			    .rx_bytes = 1,
			    .rx_packets = 2,
			    .rx_errors = 3,
			    .rx_dropped = 4,
			    .tx_bytes = 5,
			    .tx_packets = 6,
			    .tx_errors = 7,
			    .tx_dropped = 8 } },
		.n_nets = 1,
	};

	s.memory[9] = 77;
	return s;
}

TEST(stats_at_once_have_every_field)
{
	static const char *const parts[] = {
		"\"name\":\"/web\",\"id\":\"aaaaaaaa",
		"\"read\":\"2023-11-14T22:13:20.000000005Z\",\"preread\":\"0001-01-01T00:00:00Z\"",
		"\"pids_stats\":{\"current\":2,\"limit\":18446744073709551615}",
		"\"io_service_bytes_recursive\":[{\"major\":253,\"minor\":1,\"op\":\"read\","
		"\"value\":10},{\"major\":253,\"minor\":1,\"op\":\"write\",\"value\":20}]",
		"\"sectors_recursive\":null",
		"\"num_procs\":0",
		"\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":1000000,"
		"\"usage_in_kernelmode\":1000,\"usage_in_usermode\":999000},"
		"\"system_cpu_usage\":5000000000,\"online_cpus\":2,\"throttling_data\":"
		"{\"periods\":3,\"throttled_periods\":2,\"throttled_time\":9000}}",
		"\"precpu_stats\":{\"cpu_usage\":{\"total_usage\":0,",
		"\"memory_stats\":{\"usage\":4096,\"stats\":{\"active_anon\":0,",
		"\"inactive_file\":77,",
		"\"failcnt\":1,\"limit\":65536}",
		"\"networks\":{\"eth0\":{\"rx_bytes\":1,\"rx_packets\":2,\"rx_errors\":3,"
		"\"rx_dropped\":4,\"tx_bytes\":5,\"tx_packets\":6,\"tx_errors\":7,"
		"\"tx_dropped\":8}}",
	};
	WORLD();

	fake.sample = sample(1000);
	CHECK(answers(&w, "GET /containers/web/stats?stream=0&one-shot=1", NULL, "200", "}}}\n"));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		CHECK_MSG(has(&w, parts[i]), "no %s", parts[i]);
	CHECK(!fake.stats);
}

TEST(stats_without_stream_are_the_second_sample)
{
	struct container_stats s;
	WORLD();

	ask(&w, "GET /containers/web/stats?stream=False", NULL);
	CHECK(PUMP(&w, fake.stats && has(&w, "\r\n\r\n")));
	s = sample(1000);
	fake.stats->fn(fake.stats, &s);
	s = sample(3000);
	CHECK(fake.stats);
	fake.stats->fn(fake.stats, &s);
	CHECK(PUMP(&w, has(&w, "0\r\n\r\n")));
	CHECK(has(&w, "\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":3000000,"));
	CHECK(has(&w, "\"precpu_stats\":{\"cpu_usage\":{\"total_usage\":1000000,"));
	CHECK(has(&w, "\"preread\":\"2023-11-14T22:13:20.000000005Z\""));
	CHECK(!fake.stats);
}

TEST(stats_stream_until_the_container_is_removed)
{
	struct container_stats s = sample(1000);
	struct stats_watch *sw;
	WORLD();

	ask(&w, "GET /containers/web/stats", NULL);
	CHECK(PUMP(&w, fake.stats && has(&w, "Content-Type: application/json")));
	fake.stats->fn(fake.stats, &s);
	CHECK(PUMP(&w, has(&w, "}\n\r\n") && has(&w, "\"total_usage\":1000000")));
	sw = fake.stats;
	sw->gone(sw);
	CHECK(PUMP(&w, has(&w, "0\r\n\r\n")));
	/* the client goes first */
	ask(&w, "GET /containers/web/stats", NULL);
	CHECK(PUMP(&w, fake.stats));
	fd_close(take_fd(w.fd));
	while (fake.stats)
		loop_once(w.en.loop, 50);
}

TEST(stats_of_what_does_not_run_are_empty)
{
	WORLD();

	fake.sample = sample(1000);
	CHECK(answers(&w, "GET /containers/db/stats?stream=0", NULL, "200",
		      "\"pids_stats\":{},\"blkio_stats\":{\"io_service_bytes_recursive\":null,"));
	CHECK(has(&w, "\"memory_stats\":{}}\n") && !has(&w, "networks"));
	CHECK(!has(&w, "system_cpu_usage") && !fake.stats);
	CHECK(answers(&w, "GET /containers/web/stats?one-shot=1", NULL, "400",
		      "cannot have stream=true and one-shot=true"));
	CHECK(answers(&w, "GET /containers/nope/stats", NULL, "404", "No such container: nope"));
}

TEST(stats_for_a_client_that_does_not_read_stay_bounded)
{
	struct container_stats s = sample(1000);
	WORLD();

	ask(&w, "GET /containers/web/stats", NULL);
	CHECK(PUMP(&w, fake.stats && has(&w, "\r\n\r\n")));
	for (int i = 0; i < 2000; i++) {
		fake.stats->fn(fake.stats, &s);
		loop_once(w.en.loop, 0);
		CHECK(http_server_queued(w.en.http) <= HTTP_STREAM_HIGH + 4096);
	}
}

/* ---- top ---- */

static void top_answers(struct world *w, const char *json)
{
	yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
	yyjson_val *root = yyjson_doc_get_root(doc);

	fake.top->done(fake.top, 0, json_member(root, "Titles"), json_member(root, "Processes"),
		       NULL);
	yyjson_doc_free(doc);
	(void)w;
}

TEST(top_passes_its_arguments_and_the_rows)
{
	WORLD();

	ask(&w, "GET /containers/web/top?ps_args=aux", NULL);
	CHECK(PUMP(&w, fake.top));
	CHECK_STR(fake.asked, "top web aux");
	top_answers(&w, "{\"Titles\":[\"PID\",\"CMD\"],\"Processes\":[[\"7\",\"sh -c x\"]]}");
	CHECK(PUMP(&w, has(&w, "{\"Processes\":[[\"7\",\"sh -c x\"]],"
			       "\"Titles\":[\"PID\",\"CMD\"]}\n")));
	fake.next_error = EBUSY;
	fake.next_text = "container x is not running";
	CHECK(answers(&w, "GET /containers/db/top", NULL, "409", "is not running"));
	CHECK_STR(fake.asked, "top db -");
}

TEST(top_that_fails_later_and_a_client_that_leaves)
{
	struct err e = { 0 };
	WORLD();

	ask(&w, "GET /containers/web/top", NULL);
	CHECK(PUMP(&w, fake.top));
	err_set(&e, EIO, "cannot read");
	fake.top->done(fake.top, -EIO, NULL, NULL, &e);
	CHECK(PUMP(&w, has(&w, "500 Internal") && has(&w, "{\"message\":\"cannot read\"}")));
	fake.top = NULL;
	ask(&w, "GET /containers/web/top", NULL);
	CHECK(PUMP(&w, fake.top));
	fd_close(take_fd(w.fd));
	while (fake.gone_tops == 0)
		loop_once(w.en.loop, 50);
}

/* ---- events ---- */

static void publish(struct world *w, const char *type, const char *action, const char *id,
		    const char *key, const char *value)
{
	const struct event_attr attr = { key, value };
	const struct event ev = {
		.type = type, .action = action, .id = id, .attrs = &attr, .n_attrs = 1
	};

	events_publish(w->en.events, &ev);
}

/* Which of the four events a filter lets through, in order, as one text of their actions. */
static bool filtered(struct world *w, const char *filter, const char *want)
{
	char line[300], seen[100] = "";
	const char *at;

	snprintf(line, sizeof(line), "GET /events?since=1&until=%lld&filters=%s",
		 (long long)(clock_real_ns() / 1000000000 + 1), filter);
	ask(w, line, NULL);
	if (!PUMP(w, has(w, "0\r\n\r\n")))
		return false;
	for (at = buf_text(&w->got); (at = strstr(at, "\"Action\":\"")); at++)
		snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%.*s ",
			 (int)strcspn(at + 10, "\""), at + 10);
	if (strcmp(seen, want) == 0)
		return true;
	printf("# %s: \"%s\", not \"%s\"\n", filter, seen, want);
	return false;
}

TEST(every_filter_of_events)
{
	static const char *const cases[][2] = {
		{ "{}", "start health_status: healthy connect load mount " },
		{ "{\"type\":[\"container\"]}", "start health_status: healthy " },
		{ "{\"type\":{\"network\":true,\"volume\":true}}", "connect mount " },
		{ "{\"event\":[\"start\",\"load\"]}", "start load " },
		{ "{\"event\":[\"health_status\"]}", "health_status: healthy " },
		{ "{\"container\":[\"web\"]}", "start " },
		{ "{\"container\":[\"c0ffee\"]}", "start health_status: healthy " },
		{ "{\"network\":[\"bridge\"]}", "connect " },
		{ "{\"volume\":[\"data\"]}", "mount " },
		{ "{\"image\":[\"img\"]}", "health_status: healthy load " },
		{ "{\"image\":[\"img:1\"]}", "health_status: healthy load " },
		{ "{\"label\":[\"image=img:1\"]}", "health_status: healthy " },
		{ "{\"label\":[\"name\"]}", "start connect load " },
		{ "{\"scope\":[\"local\"]}", "start health_status: healthy connect load mount " },
		{ "{\"scope\":[\"swarm\"]}", "" },
		{ "{\"daemon\":[\"x\"]}", "" },
		{ "{\"plugin\":[\"x\"]}", "" },
		{ "{\"config\":[\"x\"]}", "" },
		{ "{\"secret\":[\"x\"]}", "" },
		{ "{\"service\":[\"x\"]}", "" },
		{ "{\"node\":[\"x\"]}", "" },
		{ "{\"type\":[\"container\"],\"event\":[\"connect\"]}", "" },
	};
	WORLD();

	publish(&w, "container", "start", "c0ffee11", "name", "web");
	publish(&w, "container", "health_status: healthy", "c0ffee11", "image", "img:1");
	publish(&w, "network", "connect", "ne7", "name", "bridge");
	publish(&w, "image", "load", "sha256:1", "name", "img:1");
	publish(&w, "volume", "mount", "data", "driver", "local");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK(filtered(&w, cases[i][0], cases[i][1]));
}

TEST(events_want_times_in_order)
{
	WORLD();

	CHECK(answers(&w, "GET /events?since=10&until=5", NULL, "400",
		      "`since` time (10) cannot be after `until` time (5)"));
	CHECK(answers(&w, "GET /events?since=tomorrow", NULL, "400", "invalid value for"));
	CHECK(answers(&w,
		      "GET /events?since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00%2B01:00",
		      NULL, "200", "\r\n\r\n0\r\n\r\n"));
}

TEST(events_at_until_come_before_the_end)
{
	char line[128];
	int64_t until = clock_real_ns() + 500 * INT64_C(1000000);
	WORLD();

	snprintf(line, sizeof(line), "GET /events?until=%lld.%09lld",
		 (long long)(until / 1000000000), (long long)(until % 1000000000));
	publish(&w, "container", "create", "a", "name", "web");
	ask(&w, line, NULL);
	CHECK(PUMP(&w, has(&w, "\"create\"")));
	publish(&w, "container", "start", "a", "name", "web");
	CHECK(PUMP(&w, has(&w, "\"start\"") && has(&w, "0\r\n\r\n")));
	CHECK(clock_real_ns() >= until);
}

/* A replay that does not fit is sent as the client reads, and what follows it is live. */
TEST(replay_waits_for_its_client)
{
	static char name[4000];
	size_t n = 0;
	WORLD();

	memset(name, 'n', sizeof(name) - 1);
	for (size_t i = 0; i < EVENTS_KEPT; i++)
		publish(&w, "container", i + 1 == EVENTS_KEPT ? "last" : "old", "a", "name", name);
	ask(&w, "GET /events?since=1", NULL);
	for (int i = 0; i < 20; i++) /* nothing is read */
		loop_once(w.en.loop, 1);
	CHECK(http_server_queued(w.en.http) <= HTTP_STREAM_HIGH + 8192);
	CHECK(PUMP(&w, has(&w, "\"last\"")));
	publish(&w, "container", "live", "a", "name", "x");
	CHECK(PUMP(&w, has(&w, "\"live\"")));
	for (const char *at = w.got.data; (at = strstr(at, "\"Action\":\"old\"")); at++)
		n++;
	CHECK_INT(n, EVENTS_KEPT - 1);
}

TEST(listeners_that_do_not_read_cost_little)
{
	enum { STALLED = 200 };
	static char name[2000];
	int fds[STALLED];
	WORLD();

	memset(name, 'n', sizeof(name) - 1);
	for (size_t i = 0; i < EVENTS_KEPT; i++)
		publish(&w, "container", "old", "a", "name", name);
	for (size_t i = 0; i < STALLED; i++) {
		fds[i] = take_fd(w.fd);
		connect_client(&w);
		send(fds[i], "GET /events?since=1 HTTP/1.1\r\nHost: d\r\n\r\n", 42, 0);
		loop_once(w.en.loop, 0);
	}
	for (int i = 0; i < 50; i++)
		loop_once(w.en.loop, 0);
	CHECK_INT(events_listeners(w.en.events), STALLED);
	CHECK(http_server_queued(w.en.http) <= HTTP_QUEUE_BUDGET + STALLED * 8192);
	/* they may be behind for a while ... */
	for (size_t i = 0; i < EVENTS_KEPT; i++) {
		publish(&w, "container", "new", "a", "name", name);
		loop_once(w.en.loop, 0);
	}
	CHECK_INT(events_listeners(w.en.events), STALLED);
	CHECK(http_server_queued(w.en.http) <= HTTP_QUEUE_BUDGET + STALLED * 8192);
	/* ... but not for longer than the ring remembers */
	for (size_t i = 0; i < EVENTS_RING; i++) {
		publish(&w, "container", "new", "a", "name", name);
		loop_once(w.en.loop, 0);
	}
	for (int i = 0; i < 50; i++)
		loop_once(w.en.loop, 0);
	CHECK_INT(events_listeners(w.en.events), 0);
	for (size_t i = 0; i < STALLED; i++)
		close(fds[i]);
	CHECK(answers(&w, "GET /_ping", NULL, "200", "OK"));
}

TEST(the_ring_is_bounded_in_number_and_in_bytes)
{
	static char name[100000];
	struct events *bus = events_new();
	struct event_attr attr = { "name", name };
	struct event ev = {
		.type = "container", .action = "a", .id = "b", .attrs = &attr, .n_attrs = 1
	};

	for (size_t i = 0; i < EVENTS_RING + 10; i++)
		events_publish(bus, &ev);
	CHECK_INT(events_next(bus), EVENTS_RING + 10);
	CHECK_INT(events_first(bus), 10);
	CHECK_INT(events_since(bus, 1), EVENTS_RING + 10 - EVENTS_KEPT);
	CHECK(!events_at(bus, 9) && events_at(bus, 10) && !events_at(bus, EVENTS_RING + 10));
	memset(name, 'n', sizeof(name) - 1);
	for (size_t i = 0; i < 100; i++)
		events_publish(bus, &ev);
	CHECK(events_next(bus) - events_first(bus) <= EVENTS_BYTES / sizeof(name));
	CHECK(events_next(bus) - events_first(bus) >= EVENTS_BYTES / sizeof(name) / 3);
	events_free(bus);
}

/* ---- what the engine says of itself ---- */

TEST(info_has_every_field)
{
	static const char *const keys[] = {
		"ID",
		"Containers",
		"ContainersRunning",
		"ContainersPaused",
		"ContainersStopped",
		"Images",
		"Driver",
		"DriverStatus",
		"DockerRootDir",
		"Plugins",
		"MemoryLimit",
		"SwapLimit",
		"CpuCfsPeriod",
		"CpuCfsQuota",
		"CPUShares",
		"CPUSet",
		"PidsLimit",
		"OomKillDisable",
		"IPv4Forwarding",
		"Debug",
		"NFd",
		"NGoroutines",
		"SystemTime",
		"LoggingDriver",
		"CgroupDriver",
		"CgroupVersion",
		"NEventsListener",
		"KernelVersion",
		"OperatingSystem",
		"OSVersion",
		"OSType",
		"Architecture",
		"NCPU",
		"MemTotal",
		"IndexServerAddress",
		"RegistryConfig",
		"GenericResources",
		"HttpProxy",
		"HttpsProxy",
		"NoProxy",
		"Name",
		"Labels",
		"ExperimentalBuild",
		"ServerVersion",
		"Runtimes",
		"DefaultRuntime",
		"Swarm",
		"LiveRestoreEnabled",
		"Isolation",
		"InitBinary",
		"ContainerdCommit",
		"RuncCommit",
		"InitCommit",
		"SecurityOptions",
		"ProductLicense",
		"Warnings",
		"CDISpecDirs",
		"Containerd",
		"FirewallBackend",
		"DiscoveredDevices",
	};
	WORLD();

	CHECK(answers(&w, "GET /info", NULL, "200", "}\n"));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		char key[40];

		snprintf(key, sizeof(key), "\"%s\":", keys[i]);
		CHECK_MSG(has(&w, key), "no %s", key);
	}
	CHECK(answers(&w, "GET /version", NULL, "200", "\"Platform\":{\"Name\":\"Skerry\"}"));
	CHECK(has(&w, "\"Components\":[{\"Name\":\"Engine\",\"Version\":\""));
	CHECK(has(&w, "\"BuildTime\":\"20"));
}
