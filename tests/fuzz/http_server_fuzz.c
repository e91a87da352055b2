/*
 * The whole HTTP server behind a socket pair: whatever a client sends, in whatever pieces, the
 * server ends the connection, frees everything, and answers with well-formed status lines only.
 *
 * The first byte of the input is the size of the client's pieces, the second chooses whether it
 * half-closes or closes at the end.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/socket.h>

#include "engine/http/server.h"

static void on_echo(struct http_req *r)
{
	http_reply(r, 200, "text/plain", r->body, r->body_len);
}

static void on_get(struct http_req *r)
{
	http_reply_json(r, 200, "{}\n", 3);
}

static void upload_bytes(struct http_req *r, const char *data, size_t len)
{
	(void)data;
	if (len % 3 == 0) {
		http_body_pause(r);
		http_body_resume(r);
	}
}

static void upload_end(struct http_req *r)
{
	http_reply_status(r, 204);
}

static void ignore(struct http_req *r)
{
	(void)r;
}

static void on_upload(struct http_req *r)
{
	r->on_body = upload_bytes;
	r->on_body_end = upload_end;
	r->on_gone = ignore;
}

static void on_stream(struct http_req *r)
{
	if (http_stream_begin(r, 200, "text/plain") == 0)
		http_stream_write(r, "x", 1);
	http_stream_end(r);
}

static void raw_bytes(struct http_req *r, const char *data, size_t len)
{
	http_stream_write(r, data, len);
}

static void on_attach(struct http_req *r)
{
	r->on_body = raw_bytes;
	r->on_body_end = http_stream_end;
	r->on_gone = ignore;
	http_hijack(r, "application/vnd.docker.raw-stream");
}

static const struct http_route routes[] = {
	{ "GET", "/g", on_get, 0, 0, NULL },
	{ "HEAD", "/g", on_get, 0, 0, NULL },
	{ "POST", "/e", on_echo, 0, 512, NULL },
	{ "PUT", "/u", on_upload, HTTP_BODY_STREAM, 0, NULL },
	{ "GET", "/s", on_stream, 0, 0, NULL },
	{ "POST", "/a", on_attach, 0, 0, NULL },
	{ "GET", "/p/{x*}/j", on_get, 0, 0, NULL },
};

static void drain(int fd)
{
	char sink[4096];

	while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
}

static void talk(struct loop *loop, struct http_server *s, int fd, const uint8_t *data, size_t len)
{
	size_t piece = 1 + data[0] * 7u, at = 2;

	for (int full = 0; at < len && full < 100 && http_server_conns(s) > 0;) {
		ssize_t n = send(fd, data + at, MIN(piece, len - at), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n <= 0 && errno != EAGAIN)
			break;
		at += n > 0 ? (size_t)n : 0;
		full = n > 0 ? 0 : full + 1;
		loop_once(loop, 0);
		drain(fd);
	}
	FUZZ_CHECK(at >= len || http_server_conns(s) == 0); /* the server reads, or ends it */
	shutdown(fd, data[1] & 1 ? SHUT_WR : SHUT_RDWR);
	for (int i = 0; i < 50 && http_server_conns(s) > 0; i++) {
		loop_once(loop, 0);
		drain(fd);
	}
	fd_close(fd);
	for (int i = 0; i < 50 && http_server_conns(s) > 0; i++)
		loop_once(loop, 0);
	FUZZ_CHECK(http_server_conns(s) == 0 && http_server_queued(s) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct http_config config = { .routes = routes, .n_routes = ARRAY_SIZE(routes) };
	_cleanup_(loop_free) struct loop *loop = NULL;
	struct http_server *s = NULL;
	int fds[2];

	if (len < 2)
		return 0;
	FUZZ_CHECK(loop_new(&loop, NULL) == 0);
	config.loop = loop;
	FUZZ_CHECK(http_server_new(&config, &s, NULL) == 0);
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	FUZZ_CHECK(http_serve_fd(s, fds[1], NULL) == 0);
	talk(loop, s, fds[0], data, len);
	http_server_free(s);
	return 0;
}
