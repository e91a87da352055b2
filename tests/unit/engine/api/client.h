/*
 * The API over a socket pair: a server with the real routes above the stand-ins of fakes.h, and a
 * client that sends lines and looks at what came. Included once by each test program of api/.
 */
#ifndef SKERRY_API_CLIENT_H
#define SKERRY_API_CLIENT_H

#include "tests/unit/test.h"

#include <fcntl.h>
#include <unistd.h>

#include "engine/api/inside.h"
#include "init/base/clock.h"
#include "tests/unit/engine/api/fakes.h"

struct world {
	struct engine en;
	int fd;
	bool eof;
	struct buf got;
};

static void connect_client(struct world *w)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ||
	    http_serve_fd(w->en.http, fds[1], NULL) < 0)
		abort();
	w->fd = fds[0];
}

static void world_open(struct world *w)
{
	char path[300];

	memset(&fake, 0, sizeof(fake));
	add_container('a', "web", CONTAINER_RUNNING, 300);
	add_container('b', "db", CONTAINER_EXITED, 200);
	add_container('c', "web2", CONTAINER_PAUSED, 100);
	fake.list[1].exit_code = 3;
	fake.network = (struct network){ .name = (char *)"bridge", .predefined = true };
	*w = (struct world){ .got = BUF_INIT(16 << 20) };
	snprintf(path, sizeof(path), "%s/s", test_tmpdir());
	w->en.events = events_new();
	if (loop_new(&w->en.loop, NULL) < 0 ||
	    api_open(&w->en, &(struct api_config){ .socket = path }, NULL) < 0)
		abort();
	connect_client(w);
}

static void world_close(struct world *w)
{
	fd_close(w->fd);
	api_close(&w->en);
	events_free(w->en.events);
	loop_free(w->en.loop);
	buf_free(&w->got);
	if (fake.image_fd > 0)
		close(fake.image_fd);
}
DEFINE_CLEANUP_VALUE(struct world, world_close)

static void client_read(struct world *w)
{
	char chunk[65536];
	ssize_t n;

	while ((n = recv(w->fd, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0)
		buf_add(&w->got, chunk, (size_t)n);
	w->eof = n == 0 || (n < 0 && errno != EAGAIN);
}

#define PUMP(w, cond)                                          \
	({                                                     \
		for (int i_ = 0; i_ < 3000 && !(cond); i_++) { \
			loop_once((w)->en.loop, 2);            \
			client_read(w);                        \
		}                                              \
		(cond);                                        \
	})

static bool has(const struct world *w, const char *text)
{
	return strstr(buf_text(&w->got), text) != NULL;
}

static void client_send(struct world *w, const char *text)
{
	if (send(w->fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		abort();
}

/* Reads exactly `len` bytes, or up to the end when len is 0 (then true if there was nothing
 * before it). */
static UNUSED bool read_all(struct world *w, int fd, char *out, size_t len)
{
	size_t got = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 3000; i++) {
		ssize_t n = read(fd, out + got, len > 0 ? len - got : 1);

		got += n > 0 ? (size_t)n : 0;
		if (n == 0 || (len > 0 && got == len))
			return got == len;
		loop_once(w->en.loop, 2);
	}
	return false;
}

/* Sends "METHOD /path", with a JSON body when there is one; forgets what was got before. */
static void ask(struct world *w, const char *line, const char *json)
{
	char text[4096];

	buf_reset(&w->got);
	if (json)
		snprintf(text, sizeof(text),
			 "%s HTTP/1.1\r\nHost: d\r\nContent-Type: "
			 "application/json\r\nContent-Length: %zu\r\n\r\n%s",
			 line, strlen(json), json);
	else
		snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: d\r\n\r\n", line);
	client_send(w, text);
}

/* The whole answer to a request that is answered at once. */
static bool answers(struct world *w, const char *line, const char *json, const char *status,
		    const char *body)
{
	char first[64];

	ask(w, line, json);
	snprintf(first, sizeof(first), "HTTP/1.1 %s ", status);
	if (PUMP(w, has(w, "\r\n\r\n") && has(w, body)) && str_starts(w->got.data, first)) {
		if (!has(w, "Connection: close"))
			return true;
		fd_close(w->fd);
		connect_client(w);
		return true;
	}
	printf("# %s: \"%s\", not %s with %s\n", line, buf_text(&w->got), status, body);
	return false;
}

#define WORLD()                                \
	_cleanup_(world_close) struct world w; \
	world_open(&w)

#endif
