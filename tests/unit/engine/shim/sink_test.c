/*
 * Output over the worker to a server that the test plays: sent, held up, dropped, lost and found
 * again. This program plays the worker's role, too (the constructor).
 */
#include "engine/shim/sink.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "engine/syslog/syslog.h"
#include "init/base/clock.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

__attribute__((constructor)) static void role(int argc, char **argv)
{
	char *args[] = { (char *)SYSLOG_WORKER, (char *)"unconfined", NULL };

	if (argc == 3 && strcmp(argv[1], "worker") == 0 && strcmp(argv[2], SYSLOG_WORKER) == 0)
		exit(syslog_worker(2, args));
}

struct bench {
	struct loop *loop;
	struct signal_event chld;
	struct sink *sink;
	int listener, server; /* UDP: only the first */
	uint16_t port;
	bool tcp;
	int n_ready, ready, n_finished, held;
	pid_t reaped;
	char why[512];
	struct buf got;
};

static void on_ready(void *data, int r, const struct err *why)
{
	struct bench *b = data;

	b->n_ready++;
	b->ready = r;
	snprintf(b->why, sizeof(b->why), "%s", err_text(why));
}

static void on_hold(void *data, bool on)
{
	((struct bench *)data)->held += on ? 1 : -1;
}

static void on_finished(void *data)
{
	((struct bench *)data)->n_finished++;
}

static void on_chld(struct signal_event *ev, const struct signalfd_siginfo *info)
{
	struct bench *b = container_of(ev, struct bench, chld);
	int status;
	pid_t pid;

	(void)info;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		b->reaped = pid;
		if (b->sink)
			sink_reaped(b->sink, pid, status);
	}
}

/* A socket of the loopback; port 0: any. */
static int open_server(struct bench *b, bool tcp, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons(port) };
	socklen_t len = sizeof(in);
	int yes = 1;

	b->tcp = tcp;
	b->listener =
		socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(b->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(b->listener, (struct sockaddr *)&in, sizeof(in)) < 0 ||
	    (tcp && listen(b->listener, 4) < 0) ||
	    getsockname(b->listener, (struct sockaddr *)&in, &len) < 0)
		return -1;
	b->port = ntohs(in.sin_port);
	return 0;
}

static void bench_open(struct bench *b, bool tcp)
{
	*b = (struct bench){ .server = -1, .got = BUF_INIT(64 << 20), .chld.fn = on_chld };
	if (loop_new(&b->loop, NULL) < 0 || signal_add(b->loop, &b->chld, SIGCHLD) < 0 ||
	    open_server(b, tcp, 0) < 0)
		abort();
}

static void bench_close(struct bench *b)
{
	sink_free(b->sink);
	signal_remove(&b->chld);
	loop_free(b->loop);
	fd_close(b->listener);
	fd_close(b->server);
	buf_free(&b->got);
}
DEFINE_CLEANUP_VALUE(struct bench, bench_close)

static int start(struct bench *b, const char *more, bool blocking)
{
	_cleanup_(mem_free) char *json = str_printf(
		"{\"id\":\"0123456789abcdef\",\"address\":\"%s://127.0.0.1:%u\",\"tag\":\"t\","
		"\"blocking\":%s%s}",
		b->tcp ? "tcp" : "udp", b->port, blocking ? "true" : "false", more);
	const struct sink_config cfg = {
		.loop = b->loop,
		.json = json,
		.blocking = blocking,
		.ready = on_ready,
		.hold = on_hold,
		.finished = on_finished,
		.data = b,
	};

	return sink_open(&cfg, &b->sink, NULL);
}

/* What has come to the server; it reads unless told not to. */
static void serve(struct bench *b)
{
	char chunk[70000];
	ssize_t n;

	if (b->tcp && b->server < 0)
		b->server = accept4(b->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	while ((n = recv(b->tcp ? b->server : b->listener, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0)
		buf_add(&b->got, chunk, (size_t)n);
}

/* Runs the loop and the server until `cond` (at most so long). */
#define UNTIL(b, reads, cond) WITHIN(30000, b, reads, cond)
#define WITHIN(ms, b, reads, cond)                          \
	({                                                  \
		int64_t end_ = clock_mono_ms() + (ms);      \
		while (!(cond) && clock_mono_ms() < end_) { \
			loop_once((b)->loop, 10);           \
			if (reads)                          \
				serve(b);                   \
		}                                           \
		(cond);                                     \
	})

static void put(struct bench *b, enum log_stream stream, const char *text)
{
	sink_write(b->sink, stream, text, strlen(text), 1767323045000000000LL);
}

static bool has(struct bench *b, const char *text)
{
	return strstr(buf_text(&b->got), text) != NULL;
}

TEST(lines_become_messages)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		_cleanup_(bench_close) struct bench b;

		bench_open(&b, tcp);
		CHECK_INT(start(&b, ",\"format\":\"rfc5424\",\"facility\":\"local0\"", true), 0);
		CHECK(UNTIL(&b, true, b.n_ready > 0));
		CHECK_MSG(b.ready == 0, "%s", b.why);
		put(&b, LOG_STDOUT, "one\ntwo");
		put(&b, LOG_STDERR, "bad\n");
		CHECK(UNTIL(&b, true, has(&b, " - bad\n")));
		CHECK(has(&b, "<134>1 2026-01-02T03:04:05Z ") && has(&b, " t - one\n"));
		CHECK(has(&b, "<131>1 ") && !has(&b, "two"));
		sink_end_stream(b.sink, LOG_STDOUT);
		CHECK(UNTIL(&b, true, has(&b, " t - two\n")));
		put(&b, LOG_STDERR, "last");
		sink_finish(b.sink);
		CHECK(UNTIL(&b, true, b.n_finished > 0));
		CHECK(UNTIL(&b, true, has(&b, " t - last\n")));
		CHECK(sink_is_finished(b.sink) && b.n_finished == 1 && b.reaped > 0);
	}
}

TEST(no_server_at_the_start)
{
	_cleanup_(bench_close) struct bench b;
	char want[64];

	bench_open(&b, true);
	fd_close(take_fd(b.listener));
	CHECK_INT(start(&b, "", true), 0);
	CHECK(UNTIL(&b, false, b.n_ready > 0));
	snprintf(want, sizeof(want), "tcp://127.0.0.1:%u: connect: ", b.port);
	CHECK_MSG(b.ready < 0 && strstr(b.why, want), "%s", b.why);
	CHECK(UNTIL(&b, false, b.reaped > 0));
	sink_finish(b.sink);
	CHECK(UNTIL(&b, false, b.n_finished == 1));
}

TEST(a_name_that_is_not_known)
{
	_cleanup_(bench_close) struct bench b;
	struct sink_config cfg = {
		.json = "{\"id\":\"x\",\"address\":\"udp://nobody.invalid:1\",\"tag\":\"t\"}",
		.ready = on_ready,
		.hold = on_hold,
		.finished = on_finished,
		.data = &b,
	};

	bench_open(&b, true);
	cfg.loop = b.loop;
	CHECK_INT(sink_open(&cfg, &b.sink, NULL), 0);
	CHECK(UNTIL(&b, false, b.n_ready > 0));
	CHECK_MSG(b.ready < 0 && strstr(b.why, "udp://nobody.invalid:1: nobody.invalid: "), "%s",
		  b.why);
}

TEST(a_bad_configuration)
{
	_cleanup_(bench_close) struct bench b;

	bench_open(&b, true);
	CHECK_INT(start(&b, ",\"facility\":\"odd\"", true), 0);
	CHECK(UNTIL(&b, false, b.n_ready > 0));
	CHECK_MSG(b.ready < 0 && strstr(b.why, "invalid syslog facility 'odd'"), "%s", b.why);
}

TEST(the_server_goes_and_comes_back)
{
	_cleanup_(bench_close) struct bench b;
	uint16_t port;

	bench_open(&b, true);
	port = b.port;
	CHECK_INT(start(&b, "", true), 0);
	CHECK(UNTIL(&b, true, b.n_ready > 0 && b.server >= 0));
	put(&b, LOG_STDOUT, "before\n");
	CHECK(UNTIL(&b, true, has(&b, "before\n")));
	fd_close(take_fd(b.listener));
	fd_close(take_fd(b.server));
	put(&b, LOG_STDOUT, "while away\n");
	CHECK_INT(open_server(&b, true, port), 0);
	put(&b, LOG_STDOUT, "after\n");
	CHECK(UNTIL(&b, true, has(&b, "after\n")));
	CHECK_INT(b.n_ready, 1);
}

/* How many bytes could be written until it was held up, at most `most`. */
static size_t fill(struct bench *b, size_t most)
{
	char chunk[8000];
	size_t n = 0;

	memset(chunk, 'x', sizeof(chunk));
	for (size_t i = 99; i < sizeof(chunk); i += 100)
		chunk[i] = '\n';
	while (n < most && b->held == 0) {
		sink_write(b->sink, LOG_STDOUT, chunk, sizeof(chunk), 1);
		n += sizeof(chunk);
		loop_once(b->loop, 0);
	}
	return n;
}

TEST(blocking_holds_the_output_up)
{
	_cleanup_(bench_close) struct bench b;
	size_t n, lines = 0;

	bench_open(&b, true);
	CHECK_INT(start(&b, "", true), 0);
	CHECK(UNTIL(&b, true, b.n_ready > 0 && b.server >= 0));
	n = fill(&b, 64 << 20);
	CHECK_INT(b.held, 1);
	CHECK(n < 64 << 20);
	CHECK(UNTIL(&b, true, b.held == 0)); /* the server reads */
	sink_finish(b.sink);
	CHECK(UNTIL(&b, true, b.n_finished > 0));
	serve(&b);
	for (size_t i = 0; i < b.got.len; i++)
		lines += b.got.data[i] == '\n';
	CHECK_INT(lines, (long long)n / 100); /* none is lost */
}

/* The worker's log goes to a file from its start to the end of this. */
static unsigned long long told_as_dropped(int log)
{
	static char text[65536];
	unsigned long long sum = 0;
	ssize_t n = pread(log, text, sizeof(text) - 1, 0);

	text[MAX(n, 0)] = '\0';
	for (char *p = text; (p = strstr(p, " lines were dropped")); p++) {
		char *at = p;

		while (at > text && at[-1] >= '0' && at[-1] <= '9')
			at--;
		sum += strtoull(at, NULL, 10);
	}
	return sum;
}

TEST(non_blocking_drops_and_tells_how_much)
{
	_cleanup_(bench_close) struct bench b;
	_cleanup_(fd_close) int log = open(test_tmpdir(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	_cleanup_(fd_close) int err = fcntl(2, F_DUPFD_CLOEXEC, 3);
	size_t n, lines = 0;
	int r;

	bench_open(&b, true);
	CHECK(log >= 0 && err >= 0 && dup2(log, 2) == 2);
	r = start(&b, ",\"buffer\":65536", false);
	CHECK(dup2(err, 2) == 2);
	CHECK_INT(r, 0);
	CHECK(UNTIL(&b, true, b.n_ready > 0 && b.server >= 0));
	n = fill(&b, 32 << 20);
	CHECK_INT(n, 33560000); /* all of it was taken */
	CHECK_INT(b.held, 0);
	put(&b, LOG_STDOUT, "end\n");
	sink_finish(b.sink);
	CHECK(UNTIL(&b, true, b.n_finished > 0));
	serve(&b);
	for (size_t i = 0; i < b.got.len; i++)
		lines += b.got.data[i] == '\n';
	CHECK(lines > 100 && lines < n / 100);
	CHECK_INT(lines + told_as_dropped(log), (long long)n / 100 + 1);
}

TEST(a_worker_that_dies_is_started_again)
{
	_cleanup_(bench_close) struct bench b;
	char line[128];
	FILE *children;
	int pid = 0;

	bench_open(&b, true);
	CHECK_INT(start(&b, "", true), 0);
	CHECK(UNTIL(&b, true, b.n_ready > 0 && b.server >= 0));
	snprintf(line, sizeof(line), "/proc/self/task/%d/children", (int)getpid());
	children = fopen(line, "re");
	CHECK(children && fscanf(children, "%d", &pid) == 1 && pid > 1);
	fclose(children);
	CHECK_INT(kill(pid, SIGKILL), 0);
	CHECK(UNTIL(&b, false, b.reaped == pid));
	put(&b, LOG_STDOUT, "kept\n"); /* there is none now */
	CHECK_INT(b.held, 1);
	fd_close(take_fd(b.server));
	CHECK(UNTIL(&b, true, has(&b, "kept\n")));
	CHECK_INT(b.held, 0);
	CHECK_INT(b.n_ready, 1);
}

TEST(the_end_is_bounded_when_nobody_reads)
{
	_cleanup_(bench_close) struct bench b;
	int64_t begin;

	bench_open(&b, true);
	CHECK_INT(start(&b, "", true), 0);
	CHECK(UNTIL(&b, true, b.n_ready > 0 && b.server >= 0));
	do
		fill(&b, 64 << 20);
	while (WITHIN(1000, &b, false, b.held == 0));
	CHECK_INT(b.held, 1);
	begin = clock_mono_ms();
	sink_finish(b.sink);
	CHECK_INT(b.held, 0);
	CHECK(UNTIL(&b, false, b.n_finished > 0));
	CHECK(clock_mono_ms() - begin < 10000);
	CHECK_INT(b.n_finished, 1);
}
