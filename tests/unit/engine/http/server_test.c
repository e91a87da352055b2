/*
 * The server over socket pairs: routes, answers, bodies, keep-alive, clients that vanish or stall,
 * limits of time and number. Streams and hijacked connections are in stream_test.c.
 */
#include "tests/unit/test.h"

#include <sys/un.h>

#include "tests/unit/engine/http/server_world.h"

/* --- answers ---------------------------------------------------------------------------------- */

TEST(answers_with_the_headers_of_every_response)
{
	WORLD();

	client_send(&c, REQ("GET /hello") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "{\"a\":1}\n")));
	CHECK(str_starts(c.got.data, "HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\n"));
	CHECK(has(&c, "Content-Type: application/json\r\n"));
	CHECK(has(&c, "Content-Length: 8\r\n"));
	CHECK(!has(&c, "Connection: close"));
	CHECK(!c.eof);
}

TEST(head_has_a_length_and_no_body)
{
	WORLD();

	client_send(&c, REQ("HEAD /hello") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "\r\n\r\n")));
	CHECK(has(&c, "Content-Length: 8\r\n"));
	CHECK(str_ends(c.got.data, "\r\n\r\n"));
}

TEST(no_content_has_neither_length_nor_body)
{
	WORLD();

	client_send(&c, REQ("POST /status") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "\r\n\r\n")));
	CHECK(has(&c, "204 No Content\r\n") && has(&c, "X-Extra: yes\r\n"));
	CHECK(!has(&c, "Content-Length"));
}

TEST(pipelined_requests_are_answered_in_order)
{
	WORLD();

	client_send(&c, REQ("POST /echo") "Content-Length: 3\r\n\r\none");
	client_send(&c,
		    REQ("POST /echo") "Transfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n");
	client_send(&c, REQ("GET /hello") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "{\"a\":1}\n")));
	CHECK(strstr(c.got.data, "one") < strstr(c.got.data, "two"));
	CHECK(strstr(c.got.data, "two") < strstr(c.got.data, "{\"a\":1}"));
}

TEST(unknown_path_and_method_are_not_found)
{
	WORLD();

	client_send(&c,
		    REQ("GET /nope") "\r\n" REQ("DELETE /hello") "\r\n" REQ("GET /hello") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "{\"a\":1}\n")));
	CHECK(strstr(strstr(c.got.data, "page not found") + 1,
		     "{\"message\":\"page not found\"}\n"));
	CHECK(!has(&c, "Connection: close"));
}

TEST(version_prefix_and_parameters)
{
	WORLD();

	client_send(&c, REQ("GET /v1.41/things/a%20b/json?q=1") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "1.41 a b q=1")));
	client_send(&c, REQ("GET /deep/h:5000/a/b:1/json") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "0.0 h:5000/a/b:1 q=-")));
	client_send(&c, REQ("GET /v1.99/hello") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "{\"message\":\"too new\"}")));
	client_send(&c, REQ("GET /v1.99/nope") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "page not found")));
}

TEST(dots_and_empty_segments_match_nothing)
{
	static const char *const paths[] = {
		"/things/../json",   "/things/./json", "/things//json", "//hello", "/hello/",
		"/deep/a/../b/json", "/v1.41",	       "/v1.41/",	"/",	   "/%2e%2e/hello",
		"/v1.x/hello"
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct http_req r = { 0 };
		char path[64];

		snprintf(path, sizeof(path), "%s", paths[i]);
		CHECK_MSG(!http_route_find(routes, ARRAY_SIZE(routes), "GET", path, &r),
			  "%s has a route", paths[i]);
	}
}

TEST(wrong_requests_get_400_and_the_end)
{
	WORLD();

	client_send(&c, "GET / HTTP/1.1\nHost: x\n\n");
	CHECK(PUMP(&w, &c, c.eof));
	CHECK(str_starts(c.got.data, "HTTP/1.1 400 Bad Request\r\n"));
	CHECK(has(&c, "Connection: close\r\n") &&
	      has(&c, "{\"message\":\"malformed HTTP request line"));
	fd_close(take_fd(c.fd));
	while (http_server_conns(w.server) > 0)
		loop_once(w.loop, 100);
}

TEST(smuggled_request_behind_a_bad_chunk_is_not_run)
{
	WORLD();

	client_send(&c, REQ("POST /echo") "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n" REQ(
				"GET /hello") "\r\n");
	CHECK(PUMP(&w, &c, c.eof));
	CHECK(has(&c, "400 Bad Request") && !has(&c, "{\"a\":1}"));
}

TEST(http_10_ends_after_its_answer)
{
	WORLD();

	client_send(&c, "GET /hello HTTP/1.0\r\n\r\n");
	CHECK(PUMP(&w, &c, c.eof));
	CHECK(has(&c, "200 OK") && has(&c, "Connection: close\r\n") && has(&c, "{\"a\":1}"));
}

TEST(body_over_the_limit_is_413)
{
	WORLD();

	client_send(&c, REQ("POST /echo") "Content-Length: 1001\r\n\r\n");
	CHECK(PUMP(&w, &c, has(&c, "413") && has(&c, "at most 1000 bytes")));
}

TEST(chunked_body_over_the_limit_is_413)
{
	WORLD();
	char text[1200];

	client_send(&c, REQ("POST /echo") "Transfer-Encoding: chunked\r\n\r\n");
	snprintf(text, sizeof(text), "3e9\r\n%01001d\r\n0\r\n\r\n", 7);
	client_send(&c, text);
	CHECK(PUMP(&w, &c, has(&c, "413")));
	CHECK(!has(&c, "200 OK"));
}

TEST(continue_is_sent_when_the_body_is_wanted)
{
	WORLD();

	client_send(&c, REQ("POST /echo") "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	CHECK(PUMP(&w, &c, has(&c, "HTTP/1.1 100 Continue\r\n\r\n")));
	client_send(&c, "hi");
	CHECK(PUMP(&w, &c, has(&c, "200 OK") && str_ends(c.got.data, "hi")));
}

TEST(continue_is_not_sent_when_the_body_is_refused)
{
	WORLD();

	client_send(&c, REQ("PUT /refuse") "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	CHECK(PUMP(&w, &c, has(&c, "{\"message\":\"no \\\"thanks\\\"\"}")));
	CHECK(!has(&c, "100 Continue"));
	CHECK(PUMP(&w, &c, c.eof));
}

TEST(answer_may_come_later)
{
	WORLD();

	client_send(&c, REQ("GET /hold") "\r\n");
	CHECK(PUMP(&w, &c, w.held));
	CHECK_INT(c.got.len, 0);
	http_reply_text(w.held, 200, "late");
	CHECK(PUMP(&w, &c, str_ends(buf_text(&c.got), "late")));
}

TEST(half_closed_client_still_gets_its_answer)
{
	WORLD();

	client_send(&c, REQ("GET /hold") "\r\n");
	shutdown(c.fd, SHUT_WR);
	CHECK(PUMP(&w, &c, w.held));
	loop_once(w.loop, 0);
	http_reply_text(w.held, 200, "late");
	CHECK(PUMP(&w, &c, c.eof));
	CHECK(has(&c, "late"));
}

TEST(answer_to_a_vanished_client_goes_nowhere)
{
	WORLD();

	client_send(&c, REQ("GET /hold") "\r\n");
	CHECK(PUMP(&w, &c, w.held));
	fd_close(take_fd(c.fd));
	while (http_server_conns(w.server) > 0)
		loop_once(w.loop, 100);
	http_reply_text(w.held, 200, "late");
}

TEST(handler_hears_that_the_client_has_gone)
{
	WORLD();

	client_send(&c, REQ("GET /hold-gone") "\r\n");
	CHECK(PUMP(&w, &c, w.held));
	fd_close(take_fd(c.fd));
	while (w.n_gone == 0)
		loop_once(w.loop, 100);
	CHECK_INT(w.n_gone, 1);
	CHECK_INT(http_server_conns(w.server), 0);
}

TEST(server_end_tells_handlers)
{
	WORLD();

	client_send(&c, REQ("GET /hold-gone") "\r\n");
	CHECK(PUMP(&w, &c, w.held));
	http_server_free(take_ptr(w.server));
	CHECK_INT(w.n_gone, 1);
}

/* --- bodies in pieces ------------------------------------------------------------------------- */

TEST(streamed_body_stops_while_paused)
{
	WORLD();

	w.pause_first = true;
	client_send(&c, REQ("PUT /upload") "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	CHECK(PUMP(&w, &c, w.seen.len == 3));
	client_send(&c, "3\r\ndef\r\n0\r\n\r\n");
	loop_once(w.loop, 0);
	loop_once(w.loop, 0);
	CHECK_INT(w.seen.len, 3);
	CHECK_INT(w.n_ended, 0);
	http_body_resume(w.held);
	CHECK(PUMP(&w, &c, w.n_ended == 1));
	CHECK_STR(buf_text(&w.seen), "abcdef");
	http_reply_text(w.held, 200, "done");
	CHECK(PUMP(&w, &c, has(&c, "done")));
	client_send(&c, REQ("GET /hello") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "{\"a\":1}")));
}

TEST(upload_without_a_body_ends_at_once)
{
	WORLD();

	client_send(&c, REQ("PUT /upload") "\r\n");
	CHECK(PUMP(&w, &c, w.n_ended == 1));
	http_reply_text(w.held, 200, "done");
	CHECK(PUMP(&w, &c, has(&c, "done")));
	CHECK(!has(&c, "Connection: close"));
}

TEST(upload_that_breaks_off_is_gone)
{
	WORLD();

	client_send(&c, REQ("PUT /upload") "Content-Length: 10\r\n\r\nabc");
	CHECK(PUMP(&w, &c, w.seen.len == 3));
	shutdown(c.fd, SHUT_WR);
	CHECK(PUMP(&w, &c, w.n_gone == 1));
	CHECK_INT(w.n_ended, 0);
}

TEST(malformed_upload_is_gone)
{
	WORLD();

	client_send(&c, REQ("PUT /upload") "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n");
	CHECK(PUMP(&w, &c, w.n_gone == 1));
	CHECK_STR(buf_text(&w.seen), "abc");
	CHECK_INT(w.n_ended, 0);
}

/* --- time and number -------------------------------------------------------------------------- */

TEST(slow_head_gets_408)
{
	WORLD();

	http_server_set_patience(w.server, 30);
	client_send(&c, "GET /hel");
	CHECK(PUMP(&w, &c, c.eof));
	CHECK(has(&c, "408 Request Timeout"));
}

TEST(silent_connection_is_dropped_without_a_word)
{
	WORLD();
	_cleanup_(client_close) struct client silent = { .fd = -1 };

	http_server_set_patience(w.server, 30);
	silent = client_open(&w);
	CHECK(PUMP(&w, &silent, silent.eof));
	CHECK_INT(silent.got.len, 0);
}

TEST(idle_connection_is_dropped)
{
	WORLD();

	http_server_set_patience(w.server, 30);
	client_send(&c, REQ("GET /hello") "\r\n");
	CHECK(PUMP(&w, &c, c.eof));
	CHECK(has(&c, "200 OK") && !has(&c, "408"));
}

TEST(stalled_body_gets_408)
{
	WORLD();

	http_server_set_patience(w.server, 30);
	client_send(&c, REQ("POST /echo") "Content-Length: 5\r\n\r\nab");
	CHECK(PUMP(&w, &c, c.eof));
	CHECK(has(&c, "408 Request Timeout"));
}

/* Sends bytes of a body that nobody wants any more; how many were taken before the connection
 * ended, or before `enough` was over. */
static size_t send_on(struct world *w, struct client *c, size_t chunk, int64_t enough_ms)
{
	static char bytes[65536];
	int64_t end = loop_now(w->loop) + enough_ms;
	size_t sum = 0;
	ssize_t n;

	while (loop_now(w->loop) < end) {
		n = send(c->fd, bytes, chunk, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			break;
		sum += n > 0 ? (size_t)n : 0;
		loop_once(w->loop, 1);
	}
	return sum;
}

TEST(client_that_still_sends_is_let_to_its_answer)
{
	WORLD();

	http_server_set_patience(w.server, 100);
	client_send(&c, REQ("PUT /refuse") "Content-Length: 1000000000\r\n\r\n");
	CHECK(PUMP(&w, &c, has(&c, "409")));
	CHECK(send_on(&w, &c, 1, 400) > 0);
	CHECK(send(c.fd, "x", 1, MSG_NOSIGNAL) == 1); /* not closed while bytes come */
}

TEST(client_that_sends_for_ever_is_left)
{
	WORLD();
	size_t sum;

	client_send(&c, REQ("PUT /refuse") "Content-Length: 1000000000\r\n\r\n");
	CHECK(PUMP(&w, &c, has(&c, "409")));
	sum = send_on(&w, &c, 65536, 60000);
	CHECK(sum > HTTP_LINGER_MAX && sum < HTTP_LINGER_MAX + (4 << 20));
}

TEST(waiting_handler_has_no_time_limit)
{
	WORLD();
	int64_t until;

	http_server_set_patience(w.server, 20);
	client_send(&c, REQ("GET /hold") "\r\n");
	CHECK(PUMP(&w, &c, w.held));
	loop_once(w.loop, 0);
	until = loop_now(w.loop) + 60;
	while (loop_now(w.loop) < until)
		loop_once(w.loop, 10);
	CHECK_INT(http_server_conns(w.server), 1);
	http_reply_text(w.held, 200, "late");
	CHECK(PUMP(&w, &c, has(&c, "late")));
}

static int connect_unix(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		abort();
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

TEST(full_listener_drops_the_idle_and_lets_the_busy_be)
{
	_cleanup_(world_close) struct world w;
	_cleanup_(client_close) struct client a = { .got = BUF_INIT(0) },
					      b = { .got = BUF_INIT(0) },
					      d = { .got = BUF_INIT(0) };
	struct err e = { 0 };
	char path[300];

	world_open(&w);
	http_server_set_max(w.server, 2);
	snprintf(path, sizeof(path), "%s/s", test_tmpdir());
	CHECK_MSG(http_listen_unix(w.server, path, 0600, &e) == 0, "%s", err_text(&e));
	a.fd = connect_unix(path);
	client_send(&a, REQ("GET /hold") "\r\n");
	CHECK(PUMP(&w, &a, w.held));
	b.fd = connect_unix(path);
	client_send(&b, REQ("GET /hello") "\r\n");
	CHECK(PUMP(&w, &b, has(&b, "{\"a\":1}")));
	d.fd = connect_unix(path);
	client_send(&d, REQ("GET /hello") "\r\n");
	CHECK(PUMP(&w, &d, has(&d, "{\"a\":1}")));
	CHECK(PUMP(&w, &b, b.eof)); /* b was idle, so it had to go */
	http_reply_text(w.held, 200, "late");
	CHECK(PUMP(&w, &a, has(&a, "late")));
}

TEST(full_listener_goes_on_when_a_place_becomes_free)
{
	_cleanup_(world_close) struct world w;
	_cleanup_(client_close) struct client a = { .got = BUF_INIT(0) },
					      b = { .got = BUF_INIT(0) };
	char path[300];

	world_open(&w);
	http_server_set_max(w.server, 1);
	snprintf(path, sizeof(path), "%s/s", test_tmpdir());
	CHECK_INT(http_listen_unix(w.server, path, 0600, NULL), 0);
	a.fd = connect_unix(path);
	client_send(&a, REQ("GET /hold-gone") "\r\n");
	CHECK(PUMP(&w, &a, w.held));
	b.fd = connect_unix(path);
	client_send(&b, REQ("GET /hello") "\r\n");
	for (int i = 0; i < 5; i++)
		loop_once(w.loop, 0);
	CHECK_INT(http_server_conns(w.server), 1);
	fd_close(take_fd(a.fd));
	CHECK(PUMP(&w, &b, has(&b, "{\"a\":1}")));
}

/* --- reading queries -------------------------------------------------------------------------- */

TEST(booleans_are_dockers)
{
	static const char *const no[] = {
		"", "0", "false", "False", "none", "no", " false ", "NONE"
	};
	static const char *const yes[] = { "1", "true", "True", "yes", "2", "null", "on" };

	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		CHECK_MSG(!http_text_bool(no[i]), "\"%s\" is true", no[i]);
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		CHECK_MSG(http_text_bool(yes[i]), "\"%s\" is false", yes[i]);
}

TEST(json_strings_are_escaped_and_repaired)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(0);

	http_json_string(&b, "a\"b\\c\n\t\x1b \xc3\xa9 \xff\xc3 \xf0\x9f\x98\x80 \xed\xa0\x80");
	CHECK_STR(buf_text(&b), "\"a\\\"b\\\\c\\n\\u0009\\u001b \xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd "
				"\xf0\x9f\x98\x80 \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}
