/*
 * Streams of processes as a client sees them: exec in all its answers, what lies between a client
 * and a stream (frames, detach keys, websockets), attach with the log in front, terminals.
 */
#include "tests/unit/engine/api/client.h"

#include <sys/socket.h>

#define EXEC "eeee"

/* Both ends of a stream; the first one goes to the API. */
static int stream_fds[2];

static int open_stream(void)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, stream_fds) < 0)
		abort();
	return stream_fds[0];
}

static void give_exec(bool tty)
{
	snprintf(fake.exec.id, sizeof(fake.exec.id), EXEC);
	fake.exec.tty = tty;
	fake.exec.open_stdin = true;
}

static void upgrade(struct world *w, const char *line, const char *json)
{
	char text[1024];

	buf_reset(&w->got);
	snprintf(text, sizeof(text),
		 "%s HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: "
		 "application/json\r\nContent-Length: %zu\r\n\r\n%s",
		 line, strlen(json), json);
	client_send(w, text);
}

/* What came behind the head. */
static const char *body(struct world *w)
{
	const char *end = strstr(buf_text(&w->got), "\r\n\r\n");

	return end ? end + 4 : "";
}

static size_t body_len(struct world *w)
{
	return w->got.len - (size_t)(body(w) - buf_text(&w->got));
}

/* Reads from the stream's far end until `text` is there. */
static bool stream_gets(struct world *w, const char *text)
{
	char got[4096] = "";
	size_t len = 0;

	for (int i = 0; i < 1000 && len < strlen(text); i++) {
		ssize_t n = recv(stream_fds[1], got + len, sizeof(got) - 1 - len, MSG_DONTWAIT);

		len += n > 0 ? (size_t)n : 0;
		if (len < strlen(text))
			loop_once(w->en.loop, 2);
	}
	if (str_eq(got, text))
		return true;
	printf("# the stream got \"%s\", not \"%s\"\n", got, text);
	return false;
}

static bool stream_ended(struct world *w)
{
	char c;

	for (int i = 0; i < 1000; i++) {
		if (recv(stream_fds[1], &c, 1, MSG_DONTWAIT) == 0)
			return true;
		loop_once(w->en.loop, 2);
	}
	return false;
}

static void stream_puts(const void *data, size_t len)
{
	if (send(stream_fds[1], data, len, MSG_NOSIGNAL) != (ssize_t)len)
		abort();
}

/* ---- exec ---- */

TEST(exec_is_made_and_shown)
{
	WORLD();

	give_exec(false);
	CHECK(answers(&w, "POST /containers/web/exec", "{\"Cmd\":[\"id\"]}", "201",
		      "{\"Id\":\"" EXEC "\"}\n"));
	CHECK_STR(fake.asked, "exec web {\"Cmd\":[\"id\"]}");
	CHECK(answers(&w, "GET /exec/" EXEC "/json", NULL, "200", "\"" EXEC "\"\n"));
	CHECK(answers(&w, "GET /exec/nope/json", NULL, "404", "No such exec instance: nope"));
	CHECK(answers(&w, "POST /containers/nope/exec", "{}", "404", "No such container: nope"));
	CHECK(answers(&w, "POST /containers/web/exec", NULL, "400", "message"));
	fake.next_error = EBUSY;
	fake.next_text = "container x is not running";
	CHECK(answers(&w, "POST /containers/web/exec", "{\"Cmd\":[\"id\"]}", "409",
		      "container x is not running"));
}

TEST(exec_that_may_not_start)
{
	WORLD();

	give_exec(false);
	CHECK(answers(&w, "POST /exec/nope/start", "{}", "404", "No such exec instance: nope"));
	fake.next_error = EBUSY;
	fake.next_text = "Error: Exec command x has already run";
	CHECK(answers(&w, "POST /exec/" EXEC "/start", "{}", "409", "has already run"));
	CHECK(answers(&w, "POST /exec/" EXEC "/start", "{\"Tty\":1}", "400", "Tty"));
	CHECK(answers(&w, "POST /exec/" EXEC "/start", "{\"Tty\":true,\"ConsoleSize\":[1]}", "400",
		      "ConsoleSize"));
}

TEST(exec_streams_until_its_exit_code_is_known)
{
	WORLD();

	give_exec(false);
	upgrade(&w, "POST /exec/" EXEC "/start", "{\"Detach\":false}");
	CHECK(PUMP(&w, fake.exec_start && has(&w, "\r\n\r\n")));
	CHECK(str_starts(w.got.data,
			 "HTTP/1.1 101 UPGRADED\r\n"
			 "Content-Type: application/vnd.docker.multiplexed-stream\r\n"));
	CHECK_STR(fake.asked, "start 0 0 0");
	client_send(&w, "in");
	fake.exec_start->started(fake.exec_start, 0, open_stream(), NULL);
	shutdown(w.fd, SHUT_WR);
	CHECK(stream_gets(&w, "in"));
	CHECK(stream_ended(&w)); /* half-close is the end of stdin */
	stream_puts("\1\0\0\0\0\0\0\3out", 11);
	CHECK(PUMP(&w, body_len(&w) == 11));
	CHECK(memcmp(body(&w), "\1\0\0\0\0\0\0\3out", 11) == 0);
	close(stream_fds[1]);
	for (int i = 0; i < 20; i++)
		loop_once(w.en.loop, 1);
	client_read(&w);
	CHECK(!w.eof);
	fake.exec_start->ended(fake.exec_start, 3);
	CHECK(PUMP(&w, w.eof));
	CHECK_INT(fake.gone_starts, 1);
}

TEST(exec_may_end_before_its_output)
{
	WORLD();

	give_exec(false);
	upgrade(&w, "POST /v1.41/exec/" EXEC "/start", "{}");
	CHECK(PUMP(&w, fake.exec_start && has(&w, "\r\n\r\n")));
	CHECK(has(&w, "Content-Type: application/vnd.docker.raw-stream\r\n"));
	fake.exec_start->started(fake.exec_start, 0, open_stream(), NULL);
	fake.exec_start->ended(fake.exec_start, 0);
	stream_puts("\1\0\0\0\0\0\0\4late", 12);
	CHECK(PUMP(&w, body_len(&w) == 12));
	close(stream_fds[1]);
	CHECK(PUMP(&w, w.eof));
}

TEST(exec_without_upgrade_and_one_that_cannot_run)
{
	struct err e = { 0 };
	WORLD();

	give_exec(false);
	ask(&w, "POST /exec/" EXEC "/start", "{}");
	CHECK(PUMP(&w, fake.exec_start && has(&w, "\r\n\r\n")));
	CHECK(str_starts(w.got.data,
			 "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n"));
	CHECK(!has(&w, "Content-Length"));
	err_set(&e, ENOENT, "no such program");
	fake.exec_start->started(fake.exec_start, -ENOENT, -1, &e);
	CHECK(PUMP(&w, w.eof));
	CHECK_INT(body_len(&w), 8 + 17);
	CHECK(memcmp(body(&w), "\1\0\0\0\0\0\0\x11no such program\r\n", 8 + 17) == 0);
}

TEST(exec_detached)
{
	struct err e = { 0 };
	WORLD();

	give_exec(true);
	ask(&w, "POST /exec/" EXEC "/start",
	    "{\"Detach\":true,\"Tty\":true,\"ConsoleSize\":[5,6]}");
	CHECK(PUMP(&w, fake.exec_start));
	CHECK_STR(fake.asked, "start 1 5 6");
	fake.exec_start->started(fake.exec_start, 0, -1, NULL);
	CHECK(PUMP(&w, has(&w, "\r\n\r\n")));
	CHECK(str_starts(w.got.data, "HTTP/1.1 200 ") && has(&w, "Content-Length: 0\r\n"));
	for (int i = 0; i < 2; i++) {
		fake.exec_start = NULL;
		ask(&w, "POST /v1.41/exec/" EXEC "/start",
		    "{\"Detach\":true,\"Tty\":true,\"ConsoleSize\":[5,6]}");
		CHECK(PUMP(&w, fake.exec_start));
		CHECK_STR(fake.asked, "start 1 0 0"); /* sizes came with 1.42 */
		err_set(&e, i ? ENOENT : ENOTCONN, "why");
		fake.exec_start->started(fake.exec_start, i ? -ENOENT : -ENOTCONN, -1, &e);
		CHECK(PUMP(&w, has(&w, "{\"message\":\"why\"}")));
		CHECK(str_starts(w.got.data, i ? "HTTP/1.1 400 " : "HTTP/1.1 409 "));
	}
}

TEST(exec_whose_client_vanishes_goes_on)
{
	WORLD();

	give_exec(false);
	upgrade(&w, "POST /exec/" EXEC "/start", "{}");
	CHECK(PUMP(&w, fake.exec_start && has(&w, "\r\n\r\n")));
	fake.exec_start->started(fake.exec_start, 0, open_stream(), NULL);
	fd_close(take_fd(w.fd));
	CHECK(stream_ended(&w));
	for (int i = 0; i < 1000 && fake.gone_starts == 0; i++)
		loop_once(w.en.loop, 2);
	CHECK(fake.gone_starts == 1 && !strstr(fake.published, "exec_detach"));
	close(stream_fds[1]);
}

/* The exec has a terminal and the client does not say so, and the other way round (Docker frames
 * by what the client says). */
TEST(exec_frames_as_the_client_believes)
{
	for (int i = 0; i < 2; i++) {
		const char *sent = i ? "\1\0\0\0\0\0\0\2ab\2\0\0\0\0\0\0\1c" : "abc";
		size_t len = i ? 19 : 3;
		WORLD();

		give_exec(i == 0);
		upgrade(&w, "POST /exec/" EXEC "/start", i ? "{\"Tty\":true}" : "{}");
		CHECK(PUMP(&w, fake.exec_start && has(&w, "\r\n\r\n")));
		fake.exec_start->started(fake.exec_start, 0, open_stream(), NULL);
		stream_puts(sent, len);
		CHECK(PUMP(&w, body_len(&w) >= 3 && w.got.data[w.got.len - 1] == 'c'));
		CHECK_INT(body_len(&w), i ? 3 : 11);
		CHECK(i || memcmp(body(&w), "\1\0\0\0\0\0\0\3abc", 11) == 0);
		close(stream_fds[1]);
	}
}

TEST(exec_detach_keys)
{
	WORLD();

	give_exec(true);
	fake.exec.keys = "ctrl-x,a";
	upgrade(&w, "POST /exec/" EXEC "/start", "{\"Tty\":true}");
	CHECK(PUMP(&w, fake.exec_start && has(&w, "\r\n\r\n")));
	CHECK(has(&w, "raw-stream"));
	fake.exec_start->started(fake.exec_start, 0, open_stream(), NULL);
	client_send(&w, "one\x18");
	CHECK(stream_gets(&w, "one"));
	client_send(&w, "b\x18"); /* it was not the sequence: the held key comes through */
	CHECK(stream_gets(&w, "\x18"
			      "b"));
	client_send(&w, "a rest");
	CHECK(stream_ended(&w));
	CHECK(PUMP(&w, w.eof));
	CHECK_STR(fake.published, "exec_detach ");
	close(stream_fds[1]);
}

TEST(threats_row_28_exec_to_a_client_that_does_not_read)
{
	static char block[65536];
	size_t sent = 0;
	WORLD();

	give_exec(false);
	upgrade(&w, "POST /exec/" EXEC "/start", "{}");
	CHECK(PUMP(&w, fake.exec_start && has(&w, "\r\n\r\n")));
	fake.exec_start->started(fake.exec_start, 0, open_stream(), NULL);
	for (int idle = 0; idle < 100;) {
		ssize_t n = send(stream_fds[1], block, sizeof(block), MSG_NOSIGNAL | MSG_DONTWAIT);

		sent += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		loop_once(w.en.loop, 0);
	}
	/* the queues of two sockets and the one of the server, no more, however much is offered */
	CHECK(http_server_queued(w.en.http) <= HTTP_STREAM_HIGH + 64);
	CHECK(sent < 2 << 20);
	close(stream_fds[1]);
}

/* ---- resize ---- */

TEST(resize)
{
	struct err e = { 0 };
	WORLD();

	give_exec(true);
	ask(&w, "POST /containers/web/resize?h=24&w=80", NULL);
	CHECK(PUMP(&w, fake.op));
	CHECK_STR(fake.asked, "resize web 24 80");
	fake.op->done(fake.op, 0, NULL);
	CHECK(PUMP(&w, has(&w, "HTTP/1.1 200 ")));
	fake.op = NULL;
	ask(&w, "POST /exec/" EXEC "/resize?h=1&w=2", NULL);
	CHECK(PUMP(&w, fake.op));
	CHECK_STR(fake.asked, "resize exec eeee 1 2");
	err_set(&e, ENOTCONN, "container x is not running");
	fake.op->done(fake.op, -ENOTCONN, &e);
	CHECK(PUMP(&w, has(&w, "HTTP/1.1 409 ")));
	CHECK(answers(&w, "POST /exec/nope/resize?h=1&w=2", NULL, "404", "No such exec instance"));
	CHECK(answers(&w, "POST /containers/web/resize?h=x&w=2", NULL, "400", "h"));
	CHECK(answers(&w, "POST /containers/web/resize?h=1", NULL, "400", "w"));
	CHECK(answers(&w, "POST /containers/web/resize?h=65536&w=1", NULL, "400", "65535"));
	CHECK(answers(&w, "POST /containers/web/resize?h=-1&w=1", NULL, "400", "65535"));
}

/* ---- attach ---- */

TEST(attach_detach_keys)
{
	WORLD();

	fake.list[0].open_stdin = fake.list[0].tty = true;
	CHECK(answers(&w, "POST /containers/web/attach?stream=1&detachKeys=foo", NULL, "400",
		      "Invalid detach keys (foo) provided"));
	upgrade(&w, "POST /containers/web/attach?stream=1&stdin=1&stdout=1", "");
	CHECK(PUMP(&w, fake.attach && has(&w, "raw-stream")));
	fake.attach->ready(fake.attach, open_stream(), NULL);
	client_send(&w, "x\x10");
	CHECK(stream_gets(&w, "x"));
	client_send(&w, "\x11");
	CHECK(stream_ended(&w));
	CHECK(PUMP(&w, w.eof));
	CHECK_STR(fake.published, "attach detach ");
	close(stream_fds[1]);
}

TEST(without_a_terminal_no_key_is_special)
{
	WORLD();

	fake.list[0].open_stdin = fake.list[0].stdin_once = true;
	upgrade(&w, "POST /containers/web/attach?stream=1&stdin=1&stdout=1", "");
	CHECK(PUMP(&w, fake.attach && has(&w, "\r\n\r\n")));
	fake.attach->ready(fake.attach, open_stream(), NULL);
	client_send(&w, "\x10\x11");
	CHECK(stream_gets(&w, "\x10\x11"));
	close(stream_fds[1]);
	CHECK(PUMP(&w, w.eof));
	CHECK_STR(fake.published, "attach ");
}

TEST(attach_that_leaves_by_ending_its_input)
{
	WORLD();

	fake.list[0].open_stdin = true; /* and others may write to it after this one */
	upgrade(&w, "POST /containers/web/attach?stream=1&stdin=1&stdout=1", "");
	CHECK(PUMP(&w, fake.attach && has(&w, "\r\n\r\n")));
	client_send(&w, "all");
	shutdown(w.fd, SHUT_WR);
	fake.attach->ready(fake.attach, open_stream(), NULL);
	CHECK(stream_gets(&w, "all"));
	CHECK(stream_ended(&w));
	CHECK(PUMP(&w, w.eof));
	close(stream_fds[1]);
}

TEST(attach_sends_the_log_up_to_where_the_stream_begins)
{
	WORLD();

	upgrade(&w, "POST /containers/web/attach?logs=1&stream=1&stdout=1", "");
	CHECK(PUMP(&w, fake.attach && has(&w, "\r\n\r\n")));
	CHECK(!fake.reader);
	fake.log_chunks[0] = "logged ";
	fake.n_chunks = 1;
	fake.log_ends = true;
	fake.attach->log_end = (struct log_place){ .known = true, .ino = 7, .offset = 99 };
	open_stream();
	stream_puts("live", 4);
	fake.attach->ready(fake.attach, stream_fds[0], NULL);
	CHECK(fake.log_query.end.known && fake.log_query.end.ino == 7);
	CHECK(fake.log_query.end.offset == 99 && fake.log_query.tail == -1);
	CHECK(fake.log_query.out && !fake.log_query.err && !fake.log_query.follow);
	CHECK(PUMP(&w, str_ends(buf_text(&w.got), "\r\n\r\nlogged live")));
	CHECK_INT(fake.gone_logs, 1);
	close(stream_fds[1]);
	CHECK(PUMP(&w, w.eof));
}

TEST(attach_to_what_does_not_run_sends_the_log_first)
{
	WORLD();

	fake.log_chunks[0] = "old ";
	fake.n_chunks = 1;
	fake.log_ends = true;
	upgrade(&w, "POST /containers/db/attach?logs=1&stream=1&stdout=1", "");
	CHECK(PUMP(&w, str_ends(buf_text(&w.got), "\r\n\r\nold ")));
	CHECK(fake.attach && !fake.log_query.end.known);
	fake.attach->ready(fake.attach, open_stream(), NULL);
	stream_puts("new", 3);
	CHECK(PUMP(&w, str_ends(buf_text(&w.got), "old new")));
	close(stream_fds[1]);
}

TEST(attach_with_the_log_alone)
{
	WORLD();

	fake.log_chunks[0] = "all";
	fake.n_chunks = 1;
	fake.log_ends = true;
	upgrade(&w, "POST /containers/web/attach?logs=1&stdout=1", "");
	CHECK(PUMP(&w, w.eof));
	CHECK_STR(body(&w), "all");
	CHECK(!fake.attach);
}

TEST(attach_with_neither_ends_at_once)
{
	WORLD();

	upgrade(&w, "POST /containers/web/attach?stdout=1", "");
	CHECK(PUMP(&w, w.eof));
	CHECK(body_len(&w) == 0 && !fake.attach && !fake.reader);
}

/* ---- websocket ---- */

static void ws_connect(struct world *w, const char *path)
{
	char text[512];

	buf_reset(&w->got);
	snprintf(text, sizeof(text),
		 "GET %s HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		 path);
	client_send(w, text);
}

static void send_bytes(struct world *w, const char *bytes, size_t len)
{
	if (send(w->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
		abort();
}

TEST(websocket_carries_the_streams_without_frames)
{
	WORLD();

	fake.list[0].open_stdin = fake.list[0].stdin_once = true;
	ws_connect(&w, "/containers/web/attach/ws?stream=1&stdin=1&stdout=1");
	CHECK(PUMP(&w, fake.attach && has(&w, "101 Switching Protocols")));
	CHECK_STR(fake.asked, "attach 1 1 0");
	fake.attach->ready(fake.attach, open_stream(), NULL);
	stream_puts("\1\0\0\0\0\0\0\2hi", 10);
	CHECK(PUMP(&w, body_len(&w) == 4));
	CHECK(memcmp(body(&w), "\x82\2hi", 4) == 0);
	send_bytes(&w, "\x81\x82\1\1\1\1``\x80", 9); /* "aa", and the head of something wrong */
	CHECK(stream_gets(&w, "aa"));
	send_bytes(&w, "\x81\1\1\1\1x", 6);
	CHECK(stream_ended(&w));
	CHECK(PUMP(&w, w.eof));
	CHECK(memcmp(body(&w) + 4, "\x88\2\3\xea", 4) == 0); /* 1002 */
	close(stream_fds[1]);
}

TEST(websocket_answers_pings_and_closes)
{
	WORLD();

	fake.list[0].open_stdin = true;
	ws_connect(&w, "/v1.27/containers/web/attach/ws?stream=1");
	CHECK(PUMP(&w, fake.attach && has(&w, "101 ")));
	CHECK_STR(fake.asked, "attach 1 1 1"); /* could not be chosen then */
	fake.attach->ready(fake.attach, open_stream(), NULL);
	stream_puts("\2\0\0\0\0\0\0\1e", 9);
	CHECK(PUMP(&w, body_len(&w) == 3));
	CHECK(memcmp(body(&w), "\x81\1e", 3) == 0); /* text before 1.28 */
	send_bytes(&w, "\x89\x82\0\0\0\0pp", 8);
	CHECK(PUMP(&w, body_len(&w) == 7));
	CHECK(memcmp(body(&w) + 3, "\x8a\2pp", 4) == 0);
	send_bytes(&w, "\x88\x80\0\0\0\0", 6);
	CHECK(stream_ended(&w));
	CHECK(PUMP(&w, w.eof));
	CHECK(memcmp(body(&w) + 7, "\x88\2\3\xe8", 4) == 0);
	close(stream_fds[1]);
}

TEST(websocket_ends_with_the_container)
{
	WORLD();

	ws_connect(&w, "/containers/web/attach/ws?stream=1&stdout=1");
	CHECK(PUMP(&w, fake.attach && has(&w, "101 ")));
	fake.attach->ready(fake.attach, open_stream(), NULL);
	close(stream_fds[1]);
	CHECK(PUMP(&w, w.eof));
	CHECK(body_len(&w) == 4 && memcmp(body(&w), "\x88\2\3\xe8", 4) == 0);
	CHECK(PUMP(&w, true));
}

TEST(websocket_refused)
{
	WORLD();

	CHECK(answers(&w, "GET /containers/web/attach/ws?stream=1", NULL, "400", "websocket"));
	CHECK(answers(&w, "GET /containers/nope/attach/ws", NULL, "404", "No such container"));
	CHECK_INT(fake.gone_attaches, 0);
}
