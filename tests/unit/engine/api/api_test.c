/*
 * The API as a client sees it, over a socket pair, with stand-ins for the modules (fakes.h): exact
 * headers and texts, statuses, order of headers and bodies, streams, back-pressure, clients that
 * leave.
 */
#include "tests/unit/engine/api/client.h"

/* --- system ----------------------------------------------------------------------------------- */

TEST(ping_has_every_header)
{
	static const char *const lines[] = {
		"Api-Version: 1.51\r\n",
		"Ostype: linux\r\n",
		"Docker-Experimental: false\r\n",
		"Builder-Version: 1\r\n",
		"Swarm: inactive\r\n",
		"Pragma: no-cache\r\n",
		"Cache-Control: no-cache, no-store, must-revalidate\r\n",
		"Server: Skerry/"
	};
	WORLD();

	CHECK(answers(&w, "GET /_ping", NULL, "200", "\r\n\r\nOK"));
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		CHECK_MSG(has(&w, lines[i]), "no %s", lines[i]);
	CHECK(answers(&w, "HEAD /v1.51/_ping", NULL, "200", "Content-Length: 0\r\n"));
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		CHECK_MSG(has(&w, lines[i]), "no %s", lines[i]);
}

TEST(version_and_info_name_what_clients_read)
{
	WORLD();

	CHECK(answers(&w, "GET /version", NULL, "200", "\"ApiVersion\":\"1.51\""));
	CHECK(has(&w, "\"MinAPIVersion\":\"1.24\"") && has(&w, "\"Os\":\"linux\""));
	CHECK(answers(&w, "GET /v1.24/info", NULL, "200", "\"LocalNodeState\":\"inactive\""));
	CHECK(has(&w, "\"Containers\":3,\"ContainersRunning\":1,\"ContainersPaused\":0,"
		      "\"ContainersStopped\":2"));
	CHECK(has(&w, "Ostype: linux\r\n") && has(&w, "Api-Version: 1.51\r\n"));
}

TEST(versions_outside_are_refused_in_dockers_words)
{
	WORLD();

	CHECK(answers(&w, "GET /v1.99/info", NULL, "400",
		      "{\"message\":\"client version 1.99 is too new. Maximum supported API "
		      "version is 1.51\"}"));
	CHECK(answers(&w, "GET /v2.0/info", NULL, "400", "client version 2.0 is too new"));
	CHECK(answers(&w, "GET /v1.23/info", NULL, "400",
		      "\r\n\r\nclient version 1.23 is too old. Minimum supported API version is "
		      "1.24, please "
		      "upgrade your client to a newer version\n"));
	CHECK(has(&w, "Content-Type: text/plain"));
	CHECK(answers(&w, "GET /v1.51/info", NULL, "200", "ServerVersion"));
}

TEST(what_is_missing_says_so)
{
	WORLD();

	CHECK(answers(&w, "GET /nope", NULL, "404", "{\"message\":\"page not found\"}"));
	CHECK(answers(&w, "PUT /version", NULL, "404", "page not found"));
	CHECK(answers(&w, "POST /session", NULL, "404", "page not found"));
	CHECK(answers(&w, "POST /build?t=x", NULL, "501",
		      "{\"message\":\"building images is not supported yet\"}"));
	CHECK(answers(&w, "POST /plugins/a/b:1/enable", NULL, "501", "plugins"));
	CHECK(answers(&w, "GET /nodes", NULL, "503",
		      "This node is not a swarm manager. Use \\\"docker swarm init"));
	CHECK(answers(&w, "POST /swarm/init", "{}", "503", "swarm manager"));
	CHECK(answers(&w, "GET /plugins", NULL, "200", "\r\n\r\n[]\n"));
}

TEST(searches_are_checked_before_anybody_is_asked)
{
	WORLD();

	CHECK(answers(&w, "GET /images/search?term=a&limit=x", NULL, "400",
		      "invalid limit specified: x"));
	CHECK(answers(&w, "GET /images/search?term=a&limit=-1", NULL, "400", "invalid limit"));
	CHECK(answers(&w, "GET /images/search?term=a&filters={\"stars\":[\"b\"]}", NULL, "400",
		      "invalid filter 'stars=b'"));
	CHECK(answers(&w, "GET /images/search?term=a&filters={\"zzz\":[\"b\"]}", NULL, "400",
		      "invalid filter 'zzz'"));
	CHECK(answers(&w, "GET /images/search?term=a&filters={\"is-automated\":[\"true\"]}", NULL,
		      "200", "\r\n\r\n[]\n"));
}

/* --- containers ------------------------------------------------------------------------------- */

TEST(list_shows_what_runs_unless_asked_for_more)
{
	static const char *const cases[][2] = {
		{ "GET /containers/json", "[\"web\",\"web2\"]" },
		{ "GET /containers/json?all=1", "[\"web\",\"db\",\"web2\"]" },
		{ "GET /containers/json?all=True", "[\"web\",\"db\",\"web2\"]" },
		{ "GET /containers/json?all=False&limit=-1", "[\"web\",\"web2\"]" },
		{ "GET /containers/json?limit=2", "[\"web\",\"db\"]" },
		{ "GET /containers/json?all=1&filters={\"name\":[\"^/web$\"]}", "[\"web\"]" },
		{ "GET /containers/json?all=1&filters={\"name\":{\"web\":true}}",
		  "[\"web\",\"web2\"]" },
		{ "GET /containers/json?filters={\"status\":[\"exited\"]}", "[\"db\"]" },
		{ "GET /containers/json?all=1&filters={\"exited\":[\"3\"]}", "[\"db\"]" },
		{ "GET /containers/json?all=1&filters={\"exited\":[\"0\"]}", "[]" },
		{ "GET /containers/json?all=1&filters={\"id\":[\"bbbb\"]}", "[\"db\"]" },
		{ "GET /containers/json?all=1&filters={\"label\":[\"who=db\"]}", "[\"db\"]" },
		{ "GET /containers/json?all=1&filters={\"label\":[\"nobody\"]}", "[]" },
		{ "GET /containers/json?filters={\"before\":[\"db\"]}", "[\"web2\"]" },
		{ "GET /containers/json?filters={\"since\":[\"db\"]}", "[\"web\"]" },
		{ "GET /containers/json?all=1&before=db", "[\"web2\"]" },
		{ "GET /containers/json?since=db&before=", "[\"web\"]" },
		{ "GET /containers/json?all=1&filters={\"ancestor\":[\"none\"]}", "[]" },
		{ "GET /containers/json?all=1&filters={\"health\":[\"unhealthy\"]}", "[\"web\"]" },
		{ "GET /containers/json?all=1&filters={\"is-task\":[\"true\"]}", "[]" },
		{ "GET /containers/json?filters={\"is-task\":{\"false\":true}}",
		  "[\"web\",\"web2\"]" },
		{ "GET /containers/json?filters={\"publish\":[\"8080\"]}", "[\"web\"]" },
		{ "GET /containers/json?filters={\"publish\":[\"8000-8100/tcp\"]}", "[\"web\"]" },
		{ "GET /containers/json?filters={\"publish\":[\"8080/udp\"]}", "[]" },
		{ "GET /containers/json?filters={\"expose\":[\"80\"]}", "[\"web\"]" },
		{ "GET /containers/json?filters={\"expose\":[\"8080\"]}", "[]" },
		{ "GET /containers/json?filters={\"expose\":[\"1\"],\"publish\":[\"8080\"]}",
		  "[\"web\"]" },
		{ "GET /containers/json?filters={\"volume\":[\"none\",\"data\"]}", "[\"web\"]" },
		{ "GET /containers/json?filters={\"volume\":[\"/data\"]}", "[\"web\"]" },
		{ "GET /containers/json?filters={\"network\":[\"net\"]}", "[\"web\"]" },
		{ "GET /containers/json?filters={\"network\":[\"other\"]}", "[]" },
		{ "GET /containers/json?filters={\"isolation\":[\"hyperv\"]}",
		  "[\"web\",\"web2\"]" },
	};
	WORLD();

	fake.list[0].exit_code = 77; /* then it is unhealthy */
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char body[64];

		snprintf(body, sizeof(body), "\r\n\r\n%s\n", cases[i][1]);
		CHECK(answers(&w, cases[i][0], NULL, "200", body));
	}
}

TEST(wrong_list_queries)
{
	WORLD();

	CHECK(answers(&w, "GET /containers/json?filters={\"zzz\":[\"a\"]}", NULL, "400",
		      "{\"message\":\"invalid filter 'zzz'\"}"));
	CHECK(answers(&w, "GET /containers/json?filters=x", NULL, "400",
		      "{\"message\":\"invalid filter\"}"));
	CHECK(answers(&w, "GET /containers/json?filters={\"status\":[\"odd\"]}", NULL, "400",
		      "invalid filter 'status=odd'"));
	CHECK(answers(&w, "GET /containers/json?filters={\"before\":[\"nope\"]}", NULL, "404",
		      "No such container: nope"));
	CHECK(answers(&w, "GET /containers/json?filters={\"health\":[\"odd\"]}", NULL, "400",
		      "unrecognised filter value for health: odd"));
	CHECK(answers(&w, "GET /containers/json?filters={\"is-task\":[\"perhaps\"]}", NULL, "400",
		      "invalid filter 'is-task=[perhaps]'"));
	CHECK(answers(&w, "GET /containers/json?filters={\"publish\":[\"80-70\"]}", NULL, "400",
		      "invalid filter 'publish=80-70'"));
	CHECK(answers(&w, "GET /containers/json?filters={\"expose\":[\"80/ipx\"]}", NULL, "400",
		      "invalid filter 'expose=80/ipx'"));
	CHECK(answers(&w, "GET /containers/json?filters={\"exited\":[\"x\"]}", NULL, "400",
		      "invalid filter 'exited=x'"));
	CHECK(answers(&w, "GET /containers/json?limit=x", NULL, "400", "must be a whole number"));
}

TEST(create_reads_a_json_object_only)
{
	WORLD();

	CHECK(answers(
		&w, "POST /containers/create?name=n1", "{\"Image\":\"busybox\"}", "201",
		"{\"Id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
		"\"Warnings\":[\"careful\"]}\n"));
	CHECK_STR(fake.asked, "create n1 busybox");
	CHECK(answers(&w, "POST /containers/create", "{\"Image\":", "400", "invalid JSON"));
	CHECK(answers(&w, "POST /containers/create", "[]", "400", "invalid JSON"));
	CHECK(answers(&w, "POST /containers/create", NULL, "400",
		      "invalid JSON: got EOF while reading request body"));
	buf_reset(&w.got);
	client_send(&w,
		    "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: text/plain\r\n"
		    "Content-Length: 2\r\n\r\n{}");
	CHECK(PUMP(
		&w,
		has(&w,
		    "unsupported Content-Type header (text/plain): must be 'application/json'")));
	CHECK(answers(&w, "POST /containers/create?platform=linux/arm64", "{\"Image\":\"busybox\"}",
		      "404", "does not match the specified platform"));
	fake.next_error = ENOENT;
	fake.next_text = "No such image: nope:latest";
	CHECK(answers(&w, "POST /containers/create", "{\"Image\":\"nope\"}", "404",
		      "{\"message\":\"No such image: nope:latest\"}"));
}

TEST(inspect_and_unknown_containers)
{
	WORLD();

	CHECK(answers(&w, "GET /v1.41/containers/web/json?size=1", NULL, "200", "\"size\":true"));
	CHECK(answers(&w, "GET /containers/nope/json", NULL, "404",
		      "{\"message\":\"No such container: nope\"}"));
	CHECK(answers(&w, "POST /containers/nope/start", NULL, "404", "No such container: nope"));
	CHECK(answers(&w, "POST /containers/nope/wait", NULL, "404", "No such container: nope"));
	CHECK(answers(&w, "POST /containers/nope/attach", NULL, "404", "No such container: nope"));
	CHECK(answers(&w, "DELETE /containers/nope", NULL, "404", "No such container: nope"));
}

/* Asks, lets the operation end with `error`, and compares. */
static bool verb(struct world *w, const char *line, const char *asked, int error, const char *text,
		 const char *status)
{
	struct err e = { 0 };
	char first[64];

	fake.op = NULL;
	ask(w, line, NULL);
	if (!PUMP(w, fake.op) || strcmp(fake.asked, asked) != 0 || w->got.len > 0) {
		printf("# %s asked for \"%s\"\n", line, fake.asked);
		return false;
	}
	fake.op->done(fake.op, error ? err_set(&e, error, "%s", text) : 0, &e);
	snprintf(first, sizeof(first), "HTTP/1.1 %s\r\n", status);
	return PUMP(w, has(w, "\r\n\r\n")) && str_starts(w->got.data, first) &&
	       (!text || has(w, text));
}

TEST(verbs_answer_when_the_operation_ends)
{
	WORLD();

	CHECK(verb(&w, "POST /containers/web/start", "start web", 0, NULL, "204 No Content"));
	CHECK(verb(&w, "POST /containers/web/start", "start web", EALREADY, NULL,
		   "304 Not Modified"));
	CHECK(verb(&w, "POST /containers/web/stop", "stop web -1 0", 0, NULL, "204 No Content"));
	CHECK(verb(&w, "POST /containers/web/stop?t=7&signal=SIGINT", "stop web 7 2", 0, NULL,
		   "204 No Content"));
	CHECK(verb(&w, "POST /containers/web/stop?t=-1", "stop web -2 0", EALREADY, NULL,
		   "304 Not Modified"));
	CHECK(verb(&w, "POST /containers/web/restart?t=0", "restart web 0 0", 0, NULL,
		   "204 No Content"));
	CHECK(verb(&w, "POST /containers/web/kill", "kill web 9", EBUSY, "is not running",
		   "409 Conflict"));
	CHECK(verb(&w, "POST /containers/web/kill?signal=HUP", "kill web 1", 0, NULL,
		   "204 No Content"));
	CHECK(verb(&w, "DELETE /containers/web?v=False&force=1", "remove web 1 0", 0, NULL,
		   "204 No Content"));
	CHECK(verb(&w, "DELETE /containers/web?v=1", "remove web 0 1", EIO, "disk",
		   "500 Internal Server Error"));
	CHECK(answers(&w, "POST /containers/web/kill?signal=FOO", NULL, "400",
		      "cannot kill container: web: invalid signal: FOO"));
	CHECK(answers(&w, "POST /containers/web/stop?t=x", NULL, "400", "invalid value for t"));
	CHECK(answers(&w, "POST /containers/web/start", "{\"a\":1}", "400",
		      "non-empty request body"));
	CHECK(answers(&w, "POST /containers/web/rename?name=new", NULL, "204", ""));
	CHECK_STR(fake.asked, "rename web new");
	CHECK(answers(&w, "POST /containers/web/rename?name=", NULL, "400", "may be empty"));
}

TEST(update_answers_with_its_warnings)
{
	static const struct {
		const char *request, *body, *asked, *first, *text;
		int error;
	} rows[] = {
		{ "POST /containers/web/update", "{\"Memory\":2}", "update web 2 -7",
		  "HTTP/1.1 200", "{\"Warnings\":null}", 0 },
		{ "POST /containers/web/update", "{\"Memory\":1,\"PidsLimit\":3}", "update web 1 3",
		  "HTTP/1.1 200", "{\"Warnings\":[\"little\"]}", 0 },
		{ "POST /v1.39/containers/web/update", "{\"Memory\":2,\"PidsLimit\":3}",
		  "update web 2 -7", "HTTP/1.1 200", "null", 0 },
		{ "POST /containers/web/update", "{}", "update web 0 -7", "HTTP/1.1 409", "why",
		  EBUSY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = { 0 };
		WORLD();

		if (rows[i].error)
			err_set(&e, rows[i].error, "why");
		ask(&w, rows[i].request, rows[i].body);
		CHECK(PUMP(&w, fake.op));
		CHECK_STR(fake.asked, rows[i].asked);
		fake.op->done(fake.op, -rows[i].error, &e);
		CHECK(PUMP(&w, has(&w, rows[i].text)));
		CHECK(str_starts(w.got.data, rows[i].first));
	}
}

TEST(operation_outlives_its_client)
{
	struct err e = { 0 };
	WORLD();

	ask(&w, "POST /containers/web/stop", NULL);
	CHECK(PUMP(&w, fake.op));
	fd_close(take_fd(w.fd));
	while (http_server_conns(w.en.http) > 0)
		loop_once(w.en.loop, 50);
	fake.op->done(fake.op, 0, &e);
}

TEST(wait_sends_headers_at_once_and_the_code_later)
{
	WORLD();

	ask(&w, "POST /containers/web/wait?condition=next-exit", NULL);
	CHECK(PUMP(&w, fake.wait && has(&w, "\r\n\r\n")));
	CHECK(has(&w, "200 OK") && has(&w, "Transfer-Encoding: chunked") && !has(&w, "StatusCode"));
	fake.wait->done(fake.wait, 137, NULL);
	CHECK(PUMP(&w, has(&w, "0\r\n\r\n")));
	CHECK(has(&w, "{\"StatusCode\":137}\n"));
	CHECK(answers(&w, "POST /containers/web/wait?condition=bad", NULL, "400",
		      "invalid condition"));
	ask(&w, "POST /containers/web/wait", NULL);
	CHECK(PUMP(&w, has(&w, "\r\n\r\n")));
	fd_close(take_fd(w.fd));
	while (fake.gone_waits == 0)
		loop_once(w.en.loop, 50);
}

/* --- attach ----------------------------------------------------------------------------------- */

static void attach(struct world *w, const char *query)
{
	char text[300];

	snprintf(text, sizeof(text),
		 "POST /containers/web/attach?%s HTTP/1.1\r\nHost: d\r\nConnection: "
		 "Upgrade\r\nUpgrade: tcp\r\n\r\n",
		 query);
	client_send(w, text);
}

TEST(attach_copies_both_ways_and_half_closes)
{
	int fds[2];
	char text[64] = "";
	WORLD();

	fake.list[0].open_stdin = fake.list[0].stdin_once = true;
	attach(&w, "stream=1&stdin=1&stdout=1&stderr=1");
	client_send(&w, "early");
	CHECK(PUMP(&w, fake.attach && has(&w, "\r\n\r\n")));
	CHECK_STR(fake.asked, "attach 1 1 1");
	CHECK(str_starts(w.got.data,
			 "HTTP/1.1 101 UPGRADED\r\n"
			 "Content-Type: application/vnd.docker.multiplexed-stream\r\n"));
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	fake.attach->ready(fake.attach, fds[0], NULL);
	client_send(&w, " late");
	shutdown(w.fd, SHUT_WR);
	CHECK(read_all(&w, fds[1], text, 10));
	CHECK_STR(text, "early late");
	CHECK(read_all(&w, fds[1], text, 0));
	CHECK_INT(send(fds[1], "output", 6, 0), 6);
	CHECK(PUMP(&w, str_ends(buf_text(&w.got), "\r\n\r\noutput")));
	close(fds[1]);
	CHECK(PUMP(&w, w.eof));
}

TEST(attach_carries_much_through_small_queues)
{
	enum { MUCH = 3 << 20 };
	static char block[65536];
	size_t sent = 0;
	int fds[2];
	WORLD();

	attach(&w, "stream=1&stdout=1");
	CHECK(PUMP(&w, fake.attach && has(&w, "\r\n\r\n")));
	buf_reset(&w.got);
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	fake.attach->ready(fake.attach, fds[0], NULL);
	for (int idle = 0; idle < 50;) { /* until everything is full: the client reads nothing */
		ssize_t n = send(fds[1], block, sizeof(block), MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		loop_once(w.en.loop, 0);
	}
	CHECK(http_server_queued(w.en.http) <= HTTP_STREAM_HIGH + 64);
	while (sent < MUCH) {
		ssize_t n = send(fds[1], block, MIN(sizeof(block), MUCH - sent), MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		loop_once(w.en.loop, 0);
		client_read(&w);
	}
	close(fds[1]);
	CHECK(PUMP(&w, w.eof));
	CHECK_INT(w.got.len, sent);
}

TEST(attach_without_upgrade_and_client_that_leaves)
{
	int fds[2];
	WORLD();

	ask(&w, "POST /containers/web/attach?stream=1&stdout=1", NULL);
	CHECK(PUMP(&w, fake.attach && has(&w, "\r\n\r\n")));
	CHECK(str_starts(w.got.data,
			 "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n"));
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	fake.attach->ready(fake.attach, fds[0], NULL);
	fd_close(take_fd(w.fd));
	while (fake.gone_attaches == 0)
		loop_once(w.en.loop, 50);
	CHECK_INT(recv(fds[1], (char[1]){ 0 }, 1, 0), 0);
	close(fds[1]);
}

TEST(attach_to_paused_is_a_conflict_and_removal_ends_it)
{
	struct err e = { 0 };
	WORLD();

	CHECK(answers(&w, "POST /containers/web2/attach?stream=1", NULL, "409",
		      "unpause the container before attach"));
	attach(&w, "stream=1&stdout=1");
	CHECK(PUMP(&w, fake.attach && has(&w, "101 UPGRADED")));
	err_set(&e, ENOENT, "gone");
	fake.attach->ready(fake.attach, -1, &e);
	CHECK(PUMP(&w, w.eof));
}

/* --- logs and events -------------------------------------------------------------------------- */

TEST(logs_read_their_query_and_follow)
{
	WORLD();

	CHECK(answers(&w, "GET /containers/web/logs", NULL, "400",
		      "Bad parameters: you must choose at least one stream"));
	fake.log_chunks[0] = "one\n";
	fake.n_chunks = 1;
	ask(&w,
	    "GET "
	    "/containers/web/logs?stdout=1&follow=true&tail=5&since=1457.506&until=0&timestamps=1",
	    NULL);
	CHECK(PUMP(&w, has(&w, "one\n")));
	CHECK(has(&w, "Content-Type: application/vnd.docker.multiplexed-stream\r\n"));
	CHECK(fake.log_query.out && !fake.log_query.err && fake.log_query.follow &&
	      fake.log_query.timestamps);
	CHECK_INT(fake.log_query.tail, 5);
	CHECK_INT(fake.log_query.since_ns, 1457506000000);
	CHECK_INT(fake.log_query.until_ns, 0);
	fake.log_chunks[1] = "two\n";
	fake.n_chunks = 2;
	fake.log_ends = true;
	fake.reader->ready(fake.reader, fake.reader->data);
	CHECK(PUMP(&w, has(&w, "two\n") && has(&w, "0\r\n\r\n")));
	CHECK_INT(fake.gone_logs, 1);
	CHECK(answers(&w, "GET /v1.41/containers/web/logs?stderr=1&tail=all", NULL, "200",
		      "vnd.docker.raw-stream"));
	CHECK_INT(fake.log_query.tail, -1);
	CHECK(answers(&w, "GET /containers/web/logs?stderr=1&since=yesterday", NULL, "400",
		      "invalid value for \\\"since\\\""));
}

static void publish(struct world *w, const char *action, const char *name)
{
	struct event_attr attr = { "name", name };
	struct event ev = {
		.type = "container", .action = action, .id = "abc", .attrs = &attr, .n_attrs = 1
	};

	events_publish(w->en.events, &ev);
}

TEST(events_replay_filter_and_go_on)
{
	WORLD();

	publish(&w, "create", "web");
	publish(&w, "exec_create: ls", "web");
	publish(&w, "create", "db");
	CHECK(answers(&w, "GET /events?since=1&until=9", NULL, "200", "\r\n\r\n0\r\n\r\n"));
	ask(&w,
	    "GET /events?since=1&filters={\"container\":[\"web\"],\"event\":[\"create\",\"die\"]}",
	    NULL);
	CHECK(PUMP(&w, has(&w, "\"Action\":\"create\"")));
	CHECK(!has(&w, "exec_create") && !has(&w, "\"db\""));
	publish(&w, "die", "db");
	publish(&w, "start", "web");
	publish(&w, "die", "web");
	CHECK(PUMP(&w, has(&w, "\"Action\":\"die\"")));
	CHECK(!has(&w, "start") && !has(&w, "\"db\""));
}

TEST(events_end_at_until)
{
	char line[128];
	WORLD();

	publish(&w, "create", "web");
	snprintf(line, sizeof(line), "GET /events?until=%lld.%09lld",
		 (long long)(clock_real_ns() / 1000000000),
		 (long long)(clock_real_ns() % 1000000000));
	CHECK(answers(&w, line, NULL, "200", "0\r\n\r\n"));
	CHECK(has(&w, "\"Action\":\"create\""));
	CHECK(answers(&w, "GET /events?filters={\"odd\":[\"a\"]}", NULL, "400",
		      "invalid filter 'odd'"));
}

TEST(listener_that_does_not_read_is_cut_off)
{
	static char name[4000];
	WORLD();

	memset(name, 'n', sizeof(name) - 1);
	ask(&w, "GET /events", NULL);
	CHECK(PUMP(&w, has(&w, "\r\n\r\n")));
	for (int i = 0; i < 10000 && http_server_conns(w.en.http) > 0; i++) {
		publish(&w, "start", name);
		loop_once(w.en.loop, 0);
		CHECK(http_server_queued(w.en.http) <= HTTP_STREAM_HIGH + 8192);
	}
	CHECK_INT(http_server_conns(w.en.http), 0);
}

/* --- networks, volumes, ours ------------------------------------------------------------------ */

TEST(networks_and_volumes)
{
	WORLD();

	CHECK(answers(&w, "GET /networks", NULL, "200", "[{\"Name\":\"bridge\""));
	CHECK(answers(&w, "GET /networks?filters={\"type\":[\"custom\"]}", NULL, "200",
		      "\r\n\r\n[]\n"));
	CHECK(answers(&w, "GET /networks/bridge", NULL, "200", "\"Containers\":{}"));
	CHECK(answers(&w, "GET /networks/nope", NULL, "404", "network nope not found"));
	CHECK(answers(&w, "GET /volumes", NULL, "200", "{\"Volumes\":[{"));
	CHECK(answers(&w, "GET /volumes/nope", NULL, "404", "get nope: no such volume"));
	CHECK(answers(&w, "POST /volumes/create", "{\"Name\":\"data\",\"Labels\":{\"a\":\"b\"}}",
		      "201", "\"Mountpoint\":\"/v/data/_data\""));
	CHECK_STR(fake.asked, "volume data a=b");
	CHECK(answers(&w, "GET /volumes", NULL, "200", "\"Driver\":\"plug\",\"Labels\""));
	CHECK(answers(&w, "GET /volumes", NULL, "200",
		      "\"Warnings\":[\"list hung: it does not answer\"]"));
	CHECK(answers(&w, "GET /volumes/far", NULL, "200", "\"Mountpoint\":\"/far\""));
	CHECK(answers(&w, "DELETE /volumes/far?force=1", NULL, "204", ""));
	CHECK_STR(fake.asked, "drop data 1");
	CHECK(answers(&w, "POST /volumes/prune?filters={\"until\":[\"1h\"]}", NULL, "400",
		      "invalid filter"));
	CHECK(answers(&w, "POST /volumes/prune?filters={\"all\":[\"maybe\"]}", NULL, "400",
		      "invalid filter"));
	CHECK(answers(&w, "DELETE /volumes/used", NULL, "409", "volume is in use"));
	CHECK(answers(&w, "DELETE /volumes/nope", NULL, "404", "no such volume"));
	CHECK(answers(&w, "DELETE /volumes/nope?force=1", NULL, "204", ""));
}

TEST(boot_and_manifests)
{
	_cleanup_(file_close) FILE *f = NULL;
	char path[300];
	WORLD();

	CHECK(answers(&w, "GET /skerry/boot", NULL, "404", "no record"));
	CHECK(answers(&w, "GET /skerry/manifests", NULL, "200", "\r\n\r\n[]\n"));
	snprintf(path, sizeof(path), "%s/boot.json", test_tmpdir());
	f = fopen(path, "w");
	CHECK(f && fputs("{\"warnings\":[]}", f) >= 0 && fflush(f) == 0);
	w.en.boot_json = path;
	CHECK(answers(&w, "GET /skerry/boot", NULL, "200", "\r\n\r\n{\"warnings\":[]}"));
}

TEST(files_of_declared_containers)
{
	static const char text[] = "services: {}";
	WORLD();

	CHECK(answers(&w, "PUT /skerry/manifests/shop", text, "503", "the engine is starting"));
	CHECK(answers(&w, "DELETE /skerry/manifests/shop", NULL, "503", "the engine is starting"));
	w.en.manifests = (struct manifests *)&w;
	CHECK(answers(&w, "GET /skerry/manifests", NULL, "200", "[\"shop\"]"));
	CHECK(answers(&w, "PUT /skerry/manifests/shop", text, "201", "{}"));
	CHECK_STR(fake.asked, "put shop services: {} dry=0 try=0");
	CHECK(answers(&w, "PUT /v1.51/skerry/manifests/old?dry-run=1&try=30", text, "200", "{}"));
	CHECK_STR(fake.asked, "put old services: {} dry=1 try=30");
	CHECK(answers(&w, "PUT /skerry/manifests/shop?try=0", text, "400",
		      "try: expected seconds from 1 to 86400"));
	CHECK(answers(&w, "PUT /skerry/manifests/shop?try=soon", text, "400", "try"));
	CHECK(answers(&w, "PUT /skerry/manifests/bad", text, "400",
		      "/etc/bad.yaml:3: services.a.imagee: unknown key"));
	CHECK(answers(&w, "PUT /skerry/manifests/twice", text, "409", "declared already"));
	CHECK(answers(&w, "GET /skerry/manifests/shop", NULL, "200", "\"name\":\"shop\""));
	CHECK(answers(&w, "GET /skerry/manifests/nope", NULL, "404", "no such manifest: nope"));
	CHECK(answers(&w, "POST /skerry/manifests/shop/confirm", NULL, "204", ""));
	CHECK_STR(fake.asked, "confirm shop");
	CHECK(answers(&w, "POST /skerry/manifests/nope/confirm", NULL, "404", "no such manifest"));
	CHECK(answers(&w, "DELETE /skerry/manifests/shop", NULL, "204", ""));
	CHECK_STR(fake.asked, "remove shop");
	CHECK(answers(&w, "DELETE /skerry/manifests/nope", NULL, "404", "no such manifest"));
}

TEST(times_in_queries)
{
	int64_t ns = -1;

	CHECK(api_time("since", NULL, &ns, NULL) == 0 && ns == 0);
	CHECK(api_time("since", "0", &ns, NULL) == 0 && ns == 0);
	CHECK(api_time("since", "1457.5", &ns, NULL) == 0 && ns == 1457500000000);
	CHECK(api_time("since", "1457.000000001", &ns, NULL) == 0 && ns == 1457000000001);
	CHECK(api_time("since", "1970-01-01T00:00:02Z", &ns, NULL) == 0 && ns == 2000000000);
	CHECK_INT(api_time("since", "1457.x", &ns, NULL), -EINVAL);
	CHECK_INT(api_time("since", "-5", &ns, NULL), -EINVAL);
	CHECK_INT(api_time("since", ".5", &ns, NULL), -EINVAL);
	CHECK_INT(api_time("since", "99999999999999999999", &ns, NULL), -EINVAL);
}
