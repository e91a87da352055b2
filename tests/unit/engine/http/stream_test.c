/*
 * Answers in pieces: chunked streams, back-pressure, the budget of queues, hijacked connections.
 */
#include "tests/unit/test.h"

#include "tests/unit/engine/http/server_world.h"

/* --- streams ---------------------------------------------------------------------------------- */

TEST(stream_headers_come_at_once)
{
	WORLD();

	client_send(&c, REQ("GET /stream") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "\r\n\r\n")));
	CHECK(has(&c, "Transfer-Encoding: chunked\r\n"));
	CHECK(http_stream_write(w.held, "hello", 5) == 0);
	CHECK(PUMP(&w, &c, has(&c, "\r\n\r\n5\r\nhello\r\n")));
	http_stream_end(w.held);
	CHECK(PUMP(&w, &c, has(&c, "\r\n0\r\n\r\n")));
	client_send(&c, REQ("GET /hello") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "{\"a\":1}")));
}

TEST(stream_to_http_10_is_raw_and_ends_with_the_connection)
{
	WORLD();

	client_send(&c, "GET /stream HTTP/1.0\r\n\r\n");
	CHECK(PUMP(&w, &c, w.held));
	CHECK(http_stream_write(w.held, "hello", 5) == 0);
	http_stream_end(w.held);
	CHECK(PUMP(&w, &c, c.eof));
	CHECK(str_ends(c.got.data, "\r\n\r\nhello") && !has(&c, "chunked"));
}

TEST(aborted_stream_has_no_last_chunk)
{
	WORLD();

	client_send(&c, REQ("GET /stream") "\r\n");
	CHECK(PUMP(&w, &c, has(&c, "\r\n\r\n")));
	http_stream_abort(w.held);
	CHECK(PUMP(&w, &c, c.eof));
	CHECK(!has(&c, "0\r\n\r\n") || !str_ends(c.got.data, "\r\n0\r\n\r\n"));
}

TEST(slow_reader_pushes_back_and_is_told_when_there_is_room)
{
	WORLD();
	static char block[HTTP_STREAM_SCARCE];
	size_t written = 0;

	client_send(&c, REQ("GET /stream") "\r\n");
	CHECK(PUMP(&w, &c, w.held));
	while (http_stream_room(w.held) > 0) {
		CHECK(http_stream_write(w.held, block, sizeof(block)) == 0);
		written += sizeof(block);
		loop_once(w.loop, 0); /* the socket takes some of it, until it is full too */
	}
	CHECK(http_server_queued(w.server) >= HTTP_STREAM_HIGH);
	CHECK_INT(w.n_drained, 0);
	CHECK(PUMP(&w, &c, w.n_drained == 1));
	CHECK(http_stream_room(w.held) > 0);
	http_stream_end(w.held);
	CHECK(PUMP(&w, &c,
		   has(&c, "") && c.got.len >= written && http_server_queued(w.server) == 0));
}

TEST(stream_queue_has_a_hard_limit)
{
	WORLD();
	static char block[HTTP_STREAM_MAX / 4];
	int r = 0, n = 0;

	client_send(&c, REQ("GET /stream") "\r\n");
	CHECK(PUMP(&w, &c, w.held));
	while (r == 0 && n++ < 100)
		r = http_stream_write(w.held, block, sizeof(block));
	CHECK_INT(r, -ENOBUFS);
	CHECK(http_server_queued(w.server) <= HTTP_STREAM_MAX + 1024);
	http_stream_end(w.held);
}

TEST(stalled_reader_is_dropped)
{
	WORLD();
	static char block[HTTP_STREAM_HIGH];

	http_server_set_patience(w.server, 50);
	client_send(&c, REQ("GET /stream") "\r\n");
	while (!w.held)
		loop_once(w.loop, 100);
	while (http_server_queued(w.server) < HTTP_STREAM_HIGH) {
		http_stream_write(w.held, block, sizeof(block));
		loop_once(w.loop, 0);
	}
	while (w.n_gone == 0)
		loop_once(w.loop, 100); /* the client reads nothing */
	CHECK_INT(http_server_conns(w.server), 0);
	CHECK_INT(http_server_queued(w.server), 0);
}

/* --- hijack ----------------------------------------------------------------------------------- */

TEST(upgrade_answers_101_with_dockers_words)
{
	WORLD();

	client_send(&c, REQ("POST /attach") "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly");
	CHECK(PUMP(&w, &c, has(&c, "\r\n\r\n") && w.seen.len == 5));
	CHECK(str_starts(c.got.data, "HTTP/1.1 101 UPGRADED\r\n"
				     "Content-Type: application/vnd.docker.raw-stream\r\n"
				     "Connection: Upgrade\r\nUpgrade: tcp\r\n"));
	CHECK(!has(&c, "Content-Length") && !has(&c, "chunked"));
	client_send(&c, " later");
	CHECK(PUMP(&w, &c, w.seen.len == 11));
	CHECK_STR(buf_text(&w.seen), "early later");
	http_stream_write(w.held, "out", 3);
	CHECK(PUMP(&w, &c, str_ends(c.got.data, "\r\n\r\nout")));
	http_stream_end(w.held);
	CHECK(PUMP(&w, &c, c.eof));
}

TEST(without_upgrade_the_stream_is_200_and_raw)
{
	WORLD();

	client_send(&c, REQ("POST /attach") "Content-Length: 2\r\n\r\n{}stdin");
	CHECK(PUMP(&w, &c, w.seen.len == 5));
	CHECK(str_starts(c.got.data,
			 "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n"));
	CHECK(!has(&c, "Content-Length") && !has(&c, "chunked"));
	http_stream_end(w.held);
	CHECK(PUMP(&w, &c, c.eof));
}

TEST(half_close_ends_stdin_but_not_the_output)
{
	WORLD();

	client_send(&c, REQ("POST /attach") "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\ndata");
	shutdown(c.fd, SHUT_WR);
	CHECK(PUMP(&w, &c, w.n_ended == 1));
	CHECK_STR(buf_text(&w.seen), "data");
	CHECK_INT(w.n_gone, 0);
	CHECK(http_stream_write(w.held, "still here", 10) == 0);
	CHECK(PUMP(&w, &c, has(&c, "still here")));
	http_stream_end(w.held);
	CHECK(PUMP(&w, &c, c.eof));
	CHECK_INT(w.n_ended, 1);
}

TEST(hijacked_client_that_closes_is_gone)
{
	WORLD();

	client_send(&c, REQ("POST /attach") "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
	CHECK(PUMP(&w, &c, has(&c, "101 UPGRADED")));
	fd_close(take_fd(c.fd));
	while (w.n_gone == 0)
		loop_once(w.loop, 100);
	CHECK_INT(http_server_conns(w.server), 0);
}

TEST(stdin_stops_while_paused)
{
	WORLD();

	w.pause_first = true;
	client_send(&c, REQ("POST /attach") "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
	CHECK(PUMP(&w, &c, has(&c, "101 UPGRADED")));
	client_send(&c, "a");
	CHECK(PUMP(&w, &c, w.seen.len == 1));
	client_send(&c, "b");
	shutdown(c.fd, SHUT_WR);
	loop_once(w.loop, 0);
	loop_once(w.loop, 0);
	CHECK_INT(w.seen.len, 1);
	CHECK_INT(w.n_ended, 0);
	http_body_resume(w.held);
	CHECK(PUMP(&w, &c, w.n_ended == 1));
	CHECK_STR(buf_text(&w.seen), "ab");
	http_stream_end(w.held);
}

TEST(many_stalled_streams_stay_within_the_budget)
{
	enum { N = 300 };
	_cleanup_(world_close) struct world w;
	static struct client clients[N];
	static struct http_req *reqs[N];
	static char block[HTTP_STREAM_SCARCE];
	bool more = true;

	world_open(&w);
	for (int i = 0; i < N; i++) {
		clients[i] = client_open(&w);
		client_send(&clients[i], REQ("GET /stream") "\r\n");
		w.held = NULL;
		CHECK(PUMP(&w, &clients[i], w.held));
		reqs[i] = w.held;
	}
	while (more) {
		more = false;
		for (int i = 0; i < N; i++) {
			if (http_stream_room(reqs[i]) < sizeof(block))
				continue;
			CHECK_INT(http_stream_write(reqs[i], block, sizeof(block)), 0);
			more = true;
		}
		loop_once(w.loop, 0);
	}
	CHECK(http_server_queued(w.server) <= HTTP_QUEUE_BUDGET + N * (HTTP_STREAM_SCARCE + 64));
	for (int i = 0; i < N; i++)
		client_close(&clients[i]);
	while (http_server_conns(w.server) > 0)
		loop_once(w.loop, 100);
	CHECK_INT(w.n_gone, N);
}

/* The time for the head is over with the head, also when all came in one turn. */
TEST(hijacked_and_streams_have_no_time_of_the_head)
{
	static const char *const requests[] = { REQ("POST /attach") "\r\n",
						REQ("GET /stream") "\r\n",
						REQ("GET /hold-gone") "\r\n" };

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		WORLD();

		http_server_set_patience(w.server, 50);
		client_close(&c);
		c = client_open(&w);
		client_send(&c, requests[i]);
		CHECK(PUMP(&w, &c, w.held));
		for (int64_t end = loop_now(w.loop) + 200; loop_now(w.loop) < end;)
			loop_once(w.loop, 20);
		client_read(&c);
		CHECK_MSG(!c.eof && w.n_gone == 0, "request %zu was cut off", i);
	}
}
