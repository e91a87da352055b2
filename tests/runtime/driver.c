/*
 * The engine's binary as far as runtime and shim need it, for tests on a host: the roles `shim` and
 * `runtime`, and `drive`, which starts a shim as the engine does and follows a script of words.
 *
 * drive DIR [NAME=VALUE…] WORD…: connect | spawn, then start, attach, write=TEXT, eof, signal=N,
 * pause, resume, exec=JSON, update=JSON, resize=ROWSxCOLS, ack, wait. Events and answers are
 * printed one per line, output of streams as it comes. Ends when the script is done.
 */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/runtime/profile.h"
#include "engine/runtime/runtime.h"
#include "engine/runtime/seccomp_default.h"
#include "engine/shim/client.h"
#include "init/base/buf.h"
#include "init/base/file.h"
#include "init/base/log.h"
#include "init/base/str.h"

struct stream {
	struct io_event io;
	struct drive *d;
	int fd;
};

struct drive {
	struct loop *loop;
	struct shim_client *client;
	const char *dir;
	char **words;
	struct stream stream;
	bool waiting_exit, waiting_created, waiting_answer, waiting_stream, waiting_exec;
	struct timer_event limit;
};

static void next(struct drive *d);

static void on_stream(struct io_event *ev, uint32_t events)
{
	struct stream *s = container_of(ev, struct stream, io);
	char data[65536];
	ssize_t n = read(s->fd, data, sizeof(data));

	(void)events;
	if (n > 0) {
		(void)file_write_all(1, data, (size_t)n, NULL);
		return;
	}
	io_remove(&s->io);
	fd_close(take_fd(s->fd));
	printf("stream ended\n");
	if (s->d->waiting_stream) {
		s->d->waiting_stream = false;
		next(s->d);
	}
}

static void on_done(struct shim_client *c, int r, struct shim_reply *reply, const struct err *e,
		    void *data)
{
	struct drive *d = data;

	(void)c;
	printf("answer %s\n", r == 0 ? "ok" : err_text(e));
	if (reply->fd >= 0) {
		d->stream.fd = take_fd(reply->fd);
		d->stream.d = d;
		d->stream.io.fn = on_stream;
		(void)io_add(d->loop, &d->stream.io, d->stream.fd, EPOLLIN);
	}
	if (d->waiting_answer) {
		d->waiting_answer = false;
		next(d);
	}
}

static void on_created(struct shim_client *c, const struct shim_status *st, void *data)
{
	struct drive *d = data;

	(void)c;
	printf("created state=%d pid=%s tty=%d\n", st->state, st->pid > 0 ? "yes" : "no", st->tty);
	if (d->waiting_created) {
		d->waiting_created = false;
		next(d);
	}
}

static void on_exited(struct shim_client *c, const struct shim_exit *x, void *data)
{
	struct drive *d = data;

	(void)c;
	printf("exited code=%d signal=%d oom=%d never_ran=%d%s%s\n", x->exit_code, x->signal,
	       x->oom_killed, x->never_ran, *x->error ? " error=" : "", x->error);
	d->waiting_exit = !d->waiting_exit;
	if (!d->waiting_exit || d->waiting_created) {
		d->waiting_exit = d->waiting_created = false;
		next(d);
	}
}

static void on_exec_exited(struct shim_client *c, const char *id, int code, void *data)
{
	struct drive *d = data;

	(void)c;
	printf("exec %s exited %d\n", id, code);
	if (d->waiting_exec) {
		d->waiting_exec = false;
		next(d);
	}
}

static void on_oom(struct shim_client *c, void *data)
{
	(void)c;
	(void)data;
	printf("oom\n");
}

static void on_lost(struct shim_client *c, const struct err *e, void *data)
{
	struct drive *d = data;

	(void)c;
	printf("lost: %s\n", err_text(e));
	loop_quit(d->loop, 3);
}

static const struct shim_client_ops ops = { on_created, on_exited, on_exec_exited, on_oom,
					    on_lost };

static int do_exec(struct drive *d, char *spec, const struct shim_done *done, struct err *e)
{
	/* ID,flags(iotdp),USER,PROCESS-JSON */
	char *id = strsep(&spec, ","), *flags = strsep(&spec, ","), *user = strsep(&spec, ",");
	struct shim_exec x = { .exec_id = id,
			       .process_json = spec,
			       .user = *user ? user : NULL,
			       .in = strchr(flags, 'i'),
			       .out = strchr(flags, 'o'),
			       .err = strchr(flags, 'e'),
			       .tty = strchr(flags, 't'),
			       .privileged = strchr(flags, 'p'),
			       .rows = 24,
			       .cols = 80 };

	return shim_exec(d->client, &x, done, e);
}

static int act(struct drive *d, char *word, struct err *e)
{
	struct shim_done done = { on_done, d };
	char *value = strchr(word, '=');
	int r = 0;

	if (value)
		*value++ = '\0';
	d->waiting_answer = true;
	if (str_eq(word, "start"))
		return shim_start(d->client, &done, e);
	if (str_eq(word, "attach"))
		return shim_attach(d->client, strchr(value, 'i'), strchr(value, 'o'),
				   strchr(value, 'e'), 0, &done, e);
	if (str_eq(word, "signal"))
		return shim_signal(d->client, atoi(value), false, &done, e);
	if (str_eq(word, "killall"))
		return shim_signal(d->client, SIGKILL, true, &done, e);
	if (str_eq(word, "pause") || str_eq(word, "resume"))
		return shim_pause(d->client, str_eq(word, "pause"), &done, e);
	if (str_eq(word, "update"))
		return shim_update(d->client, value, &done, e);
	if (str_eq(word, "resize"))
		return shim_resize(d->client, NULL, (unsigned)atoi(value),
				   (unsigned)atoi(strchr(value, 'x') + 1), &done, e);
	if (str_eq(word, "exec"))
		return do_exec(d, value, &done, e);
	d->waiting_answer = false;
	if (str_eq(word, "created")) {
		d->waiting_created = shim_client_status(d->client)->state == SHIM_CREATING;
		return d->waiting_created;
	}
	if (str_eq(word, "exited")) {
		d->waiting_exit = !d->waiting_exit;
		return d->waiting_exit;
	}
	if (str_eq(word, "execexit")) {
		d->waiting_exec = true;
		return 1;
	}
	if (str_eq(word, "streamend")) {
		d->waiting_stream = d->stream.fd >= 0;
		return d->waiting_stream;
	}
	if (str_eq(word, "write"))
		r = file_write_all(d->stream.fd, value, strlen(value), e);
	else if (str_eq(word, "writeln"))
		r = dprintf(d->stream.fd, "%s\n", value) > 0 ? 0 : -EIO;
	else if (str_eq(word, "eof"))
		r = shutdown(d->stream.fd, SHUT_WR);
	else if (str_eq(word, "ack"))
		r = shim_ack(d->client, e);
	else
		return err_set(e, EINVAL, "unknown word %s", word);
	return r < 0 ? r : 2;
}

/* Runs words until one has to wait. */
static void next(struct drive *d)
{
	for (;;) {
		struct err e = { 0 };
		int r;

		if (!*d->words) {
			loop_quit(d->loop, 0);
			return;
		}
		r = act(d, *d->words++, &e);
		if (r < 0) {
			printf("failed: %s\n", err_text(&e));
			loop_quit(d->loop, 4);
			return;
		}
		if (d->waiting_answer || r == 1)
			return;
	}
}

static void on_limit(struct timer_event *ev)
{
	struct drive *d = container_of(ev, struct drive, limit);

	printf("time is over\n");
	loop_quit(d->loop, 5);
}

static int drive_main(int argc, char **argv)
{
	struct drive d = { .stream = { .fd = -1 }, .limit = { .fn = on_limit } };
	struct shim_client_config cfg = { .ops = &ops, .data = &d, .id = "test", .dir = argv[1] };
	struct err e = { 0 };
	int r;

	if (argc < 3)
		return 2;
	setvbuf(stdout, NULL, _IONBF, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	r = loop_new(&d.loop, &e);
	cfg.loop = d.loop;
	d.words = argv + 3;
	if (r == 0)
		r = str_eq(argv[2], "spawn") ? shim_client_spawn(&cfg, &d.client, &e)
					     : shim_client_connect(&cfg, &d.client, &e);
	if (r < 0) {
		printf("failed: %s\n", err_text(&e));
		loop_free(d.loop);
		return 1;
	}
	(void)timer_set(d.loop, &d.limit, 30000);
	d.waiting_created = true;
	r = loop_run(d.loop);
	shim_client_free(d.client);
	/* as an engine that goes while its shim stays: no waiting for it, so no leak check
	 * either */
	_exit(r);
}

/* The default filter's description for a set of capabilities (a number), as config.json wants
 * it. */
static int seccomp_main(const char *caps)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(1 << 20);
	uint64_t mask = caps_default();

	if (caps && str_to_u64_base(caps, 16, &mask) < 0)
		return 2;
	if (seccomp_default_write(mask, 0, &out, NULL) < 0)
		return 1;
	puts(buf_text(&out));
	return 0;
}

int main(int argc, char **argv)
{
	log_open("driver", 2);
	if (argc > 0 && str_ends(argv[0], "skerry-runtime"))
		return runtime_main(argc, argv);
	if (argc > 1 && str_eq(argv[1], "seccomp"))
		return seccomp_main(argv[2]);
	if (argc > 1 && str_eq(argv[1], "shim"))
		return shim_main(argc - 1, argv + 1);
	if (argc > 1 && str_eq(argv[1], "runtime"))
		return runtime_main(argc - 1, argv + 1);
	if (argc > 1 && str_eq(argv[1], "drive"))
		return drive_main(argc - 1, argv + 1);
	return 2;
}
