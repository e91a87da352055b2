/*
 * Standard streams and clients without a process: the test holds the process's ends of the pipes.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "engine/shim/session.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

struct bench {
	struct loop *loop;
	struct session s;
	int in, out, err; /* the process's ends */
	int drained;
};

static void on_drained(struct session *s, void *data)
{
	struct bench *b = data;

	(void)s;
	b->drained++;
}

static void bench_open(struct bench *b, bool with_stdin)
{
	int in[2] = { -1, -1 }, out[2], err[2];

	*b = (struct bench){ .in = -1 };
	if (loop_new(&b->loop, NULL) < 0 || pipe2(out, O_CLOEXEC) < 0 ||
	    pipe2(err, O_CLOEXEC) < 0 || (with_stdin && pipe2(in, O_CLOEXEC) < 0))
		abort();
	session_init(&b->s, b->loop, NULL);
	b->s.drained = on_drained;
	b->s.data = b;
	if (session_pipes(&b->s, in[1], out[0], err[0], NULL) < 0)
		abort();
	b->in = in[0];
	b->out = out[1];
	b->err = err[1];
	fd_set_nonblock(b->in, true);
}

static void bench_close(struct bench *b)
{
	session_clear(&b->s);
	fd_close(b->in);
	fd_close(b->out);
	fd_close(b->err);
	loop_free(b->loop);
}
DEFINE_CLEANUP_VALUE(struct bench, bench_close)

static void settle(struct bench *b)
{
	while (loop_once(b->loop, 0) > 0)
		;
}

/* What a client has to read now; -1 at its end. */
static ssize_t take(int fd, char *buf, size_t size)
{
	ssize_t n = recv(fd, buf, size, MSG_DONTWAIT);

	return n == 0 ? -1 : n < 0 ? 0 : n;
}

TEST(frames_carry_stream_and_length)
{
	_cleanup_(bench_close) struct bench b;
	_cleanup_(fd_close) int client = -1;
	char got[64];

	bench_open(&b, false);
	CHECK_INT(session_attach(&b.s, false, true, true, &client, NULL), 0);
	CHECK_INT(write(b.out, "hello", 5), 5);
	settle(&b);
	CHECK_INT(take(client, got, sizeof(got)), 13);
	CHECK(memcmp(got, "\1\0\0\0\0\0\0\5hello", 13) == 0);
	CHECK_INT(write(b.err, "no", 2), 2);
	settle(&b);
	CHECK_INT(take(client, got, sizeof(got)), 10);
	CHECK(memcmp(got, "\2\0\0\0\0\0\0\2no", 10) == 0);
}

TEST(only_the_streams_asked_for)
{
	_cleanup_(bench_close) struct bench b;
	_cleanup_(fd_close) int out = -1, err = -1;
	char got[64];

	bench_open(&b, false);
	CHECK_INT(session_attach(&b.s, false, true, false, &out, NULL), 0);
	CHECK_INT(session_attach(&b.s, false, false, true, &err, NULL), 0);
	CHECK_INT(write(b.out, "a", 1), 1);
	CHECK_INT(write(b.err, "b", 1), 1);
	settle(&b);
	CHECK_INT(take(out, got, sizeof(got)), 9);
	CHECK(got[8] == 'a');
	CHECK_INT(take(err, got, sizeof(got)), 9);
	CHECK(got[8] == 'b');
}

TEST(end_comes_after_all_output_and_only_when_told)
{
	_cleanup_(bench_close) struct bench b;
	_cleanup_(fd_close) int client = -1, late = -1;
	char got[64];

	bench_open(&b, false);
	CHECK_INT(session_attach(&b.s, false, true, true, &client, NULL), 0);
	CHECK_INT(write(b.out, "last", 4), 4);
	fd_close(take_fd(b.out));
	settle(&b);
	CHECK_INT(b.drained, 0);
	fd_close(take_fd(b.err));
	settle(&b);
	CHECK_INT(b.drained, 1);
	CHECK_INT(take(client, got, sizeof(got)), 12);
	CHECK_INT(take(client, got, sizeof(got)), 0);
	session_end(&b.s);
	CHECK_INT(take(client, got, sizeof(got)), -1);
	/* who comes too late reads an end at once */
	CHECK_INT(session_attach(&b.s, true, true, true, &late, NULL), 0);
	CHECK_INT(take(late, got, sizeof(got)), -1);
	CHECK(!session_has_clients(&b.s));
}

TEST(stdin_and_half_close)
{
	_cleanup_(bench_close) struct bench b;
	_cleanup_(fd_close) int client = -1;
	char got[64];

	bench_open(&b, true);
	b.s.stdin_once = true;
	CHECK_INT(session_attach(&b.s, true, true, true, &client, NULL), 0);
	CHECK_INT(write(client, "input", 5), 5);
	CHECK_INT(shutdown(client, SHUT_WR), 0);
	settle(&b);
	CHECK_INT(read(b.in, got, sizeof(got)), 5);
	CHECK_INT(read(b.in, got, sizeof(got)), 0);
	/* its output still arrives */
	CHECK_INT(write(b.out, "x", 1), 1);
	settle(&b);
	CHECK_INT(take(client, got, sizeof(got)), 9);
}

TEST(stdin_stays_open_for_the_next_client)
{
	_cleanup_(bench_close) struct bench b;
	int first = -1;
	_cleanup_(fd_close) int second = -1;
	char got[64];

	bench_open(&b, true);
	CHECK_INT(session_attach(&b.s, true, true, true, &first, NULL), 0);
	CHECK_INT(write(first, "1", 1), 1);
	close(first);
	settle(&b);
	CHECK_INT(read(b.in, got, sizeof(got)), 1);
	CHECK_INT(read(b.in, got, sizeof(got)), -1);
	CHECK_INT(session_attach(&b.s, true, true, true, &second, NULL), 0);
	CHECK_INT(write(second, "2", 1), 1);
	settle(&b);
	CHECK_INT(read(b.in, got, sizeof(got)), 1);
}

TEST(reader_of_stdin_is_gone)
{
	_cleanup_(bench_close) struct bench b;
	_cleanup_(fd_close) int client = -1;

	bench_open(&b, true);
	signal(SIGPIPE, SIG_IGN);
	CHECK_INT(session_attach(&b.s, true, true, true, &client, NULL), 0);
	fd_close(take_fd(b.in));
	CHECK_INT(write(client, "nobody", 6), 6);
	settle(&b);
	CHECK_INT(b.s.in_fd, -1);
	/* what it writes on is taken and dropped */
	CHECK_INT(write(client, "more", 4), 4);
	settle(&b);
	CHECK_INT(session_has_clients(&b.s), 1);
}

TEST(full_stdin_holds_the_client_up_without_loss)
{
	_cleanup_(mem_free) char *data = calloc(1, 1 << 20), *back = calloc(1, 1 << 20);
	_cleanup_(bench_close) struct bench b;
	_cleanup_(fd_close) int client = -1;
	size_t sent = 0, got = 0;

	CHECK(data && back);
	for (size_t i = 0; i < 1 << 20; i++)
		data[i] = (char)(i * 7 + i / 251);
	bench_open(&b, true);
	CHECK_INT(session_attach(&b.s, true, false, false, &client, NULL), 0);
	while (got < 1 << 20) {
		ssize_t n = sent < 1 << 20
				    ? send(client, data + sent, (1 << 20) - sent, MSG_DONTWAIT)
				    : 0;

		sent += n > 0 ? (size_t)n : 0;
		settle(&b);
		n = read(b.in, back + got, (1 << 20) - got);
		got += n > 0 ? (size_t)n : 0;
	}
	CHECK(memcmp(data, back, 1 << 20) == 0);
}

/* Fills the output until the session does not take any more. */
static size_t fill(struct bench *b)
{
	char chunk[4096];
	size_t total = 0;
	int idle = 0;

	memset(chunk, 'z', sizeof(chunk));
	fd_set_nonblock(b->out, true);
	while (idle < 3) {
		ssize_t n = write(b->out, chunk, sizeof(chunk));

		settle(b);
		total += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
	}
	return total;
}

TEST(stalled_client_holds_up_and_loses_nothing)
{
	_cleanup_(bench_close) struct bench b;
	_cleanup_(fd_close) int client = -1;
	static char got[1 << 20];
	size_t total, payload = 0, have = 0;

	bench_open(&b, false);
	CHECK_INT(session_attach(&b.s, false, true, true, &client, NULL), 0);
	total = fill(&b);
	CHECK(total < 2 << 20);
	CHECK(b.s.paused == 1);
	while (payload < total) {
		ssize_t n = take(client, got + have, sizeof(got) - have);
		size_t pos = 0;

		settle(&b);
		have += n > 0 ? (size_t)n : 0;
		while (have - pos >= 8) {
			size_t len = (size_t)(unsigned char)got[pos + 6] << 8 |
				     (unsigned char)got[pos + 7];

			CHECK(got[pos] == 1 && got[pos + 4] == 0 && len > 0 &&
			      len <= SESSION_CHUNK);
			if (have - pos < 8 + len)
				break;
			payload += len;
			pos += 8 + len;
		}
		memmove(got, got + pos, have - pos);
		have -= pos;
	}
	CHECK_INT(payload, total);
	CHECK_INT(b.s.paused, 0);
}

TEST(the_end_waits_for_a_client_that_holds_up)
{
	_cleanup_(bench_close) struct bench b;
	_cleanup_(fd_close) int client = -1;
	static char got[65536];
	size_t have = 0, total;

	bench_open(&b, false);
	b.s.stall_ms = 0; /* it may take its time */
	CHECK_INT(session_attach(&b.s, false, true, true, &client, NULL), 0);
	total = fill(&b);
	CHECK(!session_finish(&b.s)); /* b.out is still open: somebody else has it */
	CHECK_INT(b.s.paused, 1);
	while (!session_finish(&b.s)) {
		ssize_t n = take(client, got, sizeof(got));

		have += n > 0 ? (size_t)n : 0;
		settle(&b);
	}
	CHECK(session_is_drained(&b.s) && b.drained == 0);
	session_end(&b.s);
	for (;;) {
		ssize_t n = take(client, got, sizeof(got));

		if (n < 0)
			break;
		have += (size_t)n;
		settle(&b);
	}
	CHECK(have > total && b.s.n_clients == 0); /* with the frames' heads */
}

TEST(a_new_patience_holds_for_those_who_stall_already)
{
	_cleanup_(bench_close) struct bench b;
	_cleanup_(fd_close) int client = -1;

	bench_open(&b, false);
	b.s.stall_ms = 0;
	CHECK_INT(session_attach(&b.s, false, true, true, &client, NULL), 0);
	(void)fill(&b);
	CHECK_INT(b.s.n_clients, 1);
	session_set_stall(&b.s, 20);
	while (b.s.n_clients > 0)
		loop_once(b.loop, 1000);
	CHECK_INT(b.s.paused, 0);
}

TEST(a_terminal_keeps_its_stdin_when_a_client_leaves)
{
	_cleanup_(bench_close) struct bench b;
	_cleanup_(fd_close) int first = -1, second = -1, slave = -1;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char got[16] = "", name[64];

	bench_open(&b, false);
	session_clear(&b.s);
	session_init(&b.s, b.loop, NULL);
	CHECK(master >= 0 && unlockpt(master) == 0 && ptsname_r(master, name, sizeof(name)) == 0);
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	b.s.stdin_once = true; /* docker run -it */
	CHECK_INT(session_terminal(&b.s, master, true, NULL), 0);
	CHECK_INT(session_attach(&b.s, true, true, true, &first, NULL), 0);
	settle(&b);
	fd_close(take_fd(first)); /* it detached */
	settle(&b);
	CHECK_INT(b.s.n_clients, 0);
	CHECK_INT(session_attach(&b.s, true, true, true, &second, NULL), 0);
	CHECK_INT(write(second, "hi\n", 3), 3);
	settle(&b);
	CHECK_INT(read(slave, got, sizeof(got)), 3);
	CHECK_STR(got, "hi\n");
}

TEST(what_a_client_wrote_before_it_left_arrives)
{
	_cleanup_(bench_close) struct bench b;
	char got[16] = "";
	int client = -1;

	bench_open(&b, true);
	CHECK_INT(session_attach(&b.s, true, true, true, &client, NULL), 0);
	settle(&b);
	/* the output is found first, and that nobody takes it */
	CHECK_INT(write(b.out, "x", 1), 1);
	CHECK_INT(write(client, "last", 4), 4);
	fd_close(client);
	settle(&b);
	CHECK_INT(read(b.in, got, sizeof(got)), 4);
	CHECK_STR(got, "last");
	CHECK_INT(b.s.n_clients, 0);
}

TEST(stalled_client_is_dropped_in_time)
{
	_cleanup_(bench_close) struct bench b;
	_cleanup_(fd_close) int client = -1, good = -1;

	bench_open(&b, false);
	b.s.stall_ms = 30;
	CHECK_INT(session_attach(&b.s, false, true, true, &client, NULL), 0);
	(void)fill(&b);
	CHECK_INT(b.s.paused, 1);
	while (b.s.n_clients > 0)
		loop_once(b.loop, 1000);
	CHECK_INT(b.s.paused, 0);
	/* the others, and the process, go on */
	CHECK_INT(session_attach(&b.s, false, true, true, &good, NULL), 0);
	settle(&b);
	CHECK(b.s.n_clients == 1);
}

TEST(thousand_clients_come_and_go)
{
	_cleanup_(bench_close) struct bench b;

	bench_open(&b, true);
	for (int i = 0; i < 1000; i++) {
		int client = -1;

		CHECK_INT(session_attach(&b.s, true, true, true, &client, NULL), 0);
		CHECK_INT(write(b.out, "x", 1), 1);
		close(client);
		settle(&b);
	}
	CHECK_INT(b.s.n_clients, 0);
	CHECK(b.s.in_fd >= 0);
}

TEST(too_many_clients_are_refused)
{
	_cleanup_(bench_close) struct bench b;
	int clients[256], extra = -1;

	bench_open(&b, false);
	for (int i = 0; i < 256; i++)
		CHECK_INT(session_attach(&b.s, false, true, true, &clients[i], NULL), 0);
	CHECK_INT(session_attach(&b.s, false, true, true, &extra, NULL), -EAGAIN);
	for (int i = 0; i < 256; i++)
		close(clients[i]);
}
