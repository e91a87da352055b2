/*
 * `skerryd worker syslog`: sends one container's output to a syslog server (syslog.h).
 *
 * In: packets of the shim, cut into lines, which wait in a bounded queue. Out: one message at a
 * time over the link. Blocking mode: while the queue is full nothing is read, so the shim and in
 * the end the container stand still. Non-blocking: what does not fit is dropped, counted and told.
 * It reads what its owner wrote, and a server's words not at all; still it has no files, but those
 * that the resolver needs, and no privileges once it is configured.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/data/json.h"
#include "engine/data/lines.h"
#include "engine/syslog/link.h"
#include "engine/syslog/queue.h"
#include "engine/worker/sandbox.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum {
	BLOCKING_LIMIT =
		64 << 10, /* a little, so that a short break does not hold a container up */
	MESSAGE_MAX = 64 << 10,
	PACKETS_PER_ROUND = 16,
	FIRST_REPORT_MS = 1000,
	REPORT_MS = 10000,
	SENDER_UID = 65534,
	SENDER_MEMORY = 24 << 20,
	RESOLVER_PATHS = 2,
};

struct source {
	struct lines lines;
	struct sender *sender;
	bool is_err;
};

struct sender {
	struct loop *loop;
	struct link link;
	struct io_event channel;
	struct timer_event report, finish;
	struct source sources[2];
	struct queue queue;
	struct buf out; /* the message that is being sent */
	size_t sent;
	uint64_t lost; /* since the last report */
	bool ready, finishing;

	/* configuration */
	char *id, *tag;
	char hostname[256];
	struct syslog_style style;
	bool blocking, retry;
};

/* ---- what is told ---- */

static void tell_loss(struct sender *s)
{
	char name[320];

	if (s->lost == 0)
		return;
	link_name(&s->link, name, sizeof(name));
	log_warn("container %.12s: %s: %llu lines were dropped: the buffer was full", s->id, name,
		 (unsigned long long)s->lost);
	s->lost = 0;
}

static void on_report(struct timer_event *ev)
{
	struct sender *s = container_of(ev, struct sender, report);

	if (s->lost > 0)
		(void)timer_set(s->loop, &s->report, REPORT_MS);
	tell_loss(s);
}

static void count_loss(struct sender *s, uint64_t lines)
{
	s->lost += lines;
	if (lines > 0 && !timer_armed(&s->report))
		(void)timer_set(s->loop, &s->report, FIRST_REPORT_MS);
}

static void say(const char *text)
{
	(void)send(SYSLOG_CHANNEL, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- out ---- */

static void try_finish(struct sender *s)
{
	if (!s->finishing || s->out.len > 0 || queue_used(&s->queue) > 0)
		return;
	if (s->link.state == LINK_UP && link_end(&s->link) == -EAGAIN)
		return;
	loop_quit(s->loop, 0);
}

/* The next message; false when there is none. */
static bool take_message(struct sender *s)
{
	struct queue_line line;

	if (s->out.len > 0)
		return true;
	if (!queue_first(&s->queue, &line))
		return false;
	syslog_message(&s->style, line.is_err, line.real_ns, line.text, line.len, &s->out);
	queue_drop_first(&s->queue);
	s->sent = 0;
	if (buf_failed(&s->out) < 0) { /* it cannot become so long */
		buf_free(&s->out);
		count_loss(s, 1);
		return false;
	}
	return true;
}

static void listen_again(struct sender *s)
{
	if (s->ready && !s->finishing && s->channel.loop &&
	    (!s->blocking || queue_used(&s->queue) < s->queue.limit))
		(void)io_change(&s->channel, EPOLLIN);
}

static void pump(struct sender *s)
{
	while (s->link.state == LINK_UP && take_message(s)) {
		ssize_t n = link_send(&s->link, s->out.data + s->sent, s->out.len - s->sent);

		if (n == -EAGAIN)
			break;
		if (n < 0) {
			s->sent = 0; /* over the next connection, as a whole */
			break;
		}
		s->sent += (size_t)n;
		if (s->sent == s->out.len)
			buf_reset(&s->out);
	}
	listen_again(s);
	try_finish(s);
}

static void on_room(struct link *l)
{
	pump(container_of(l, struct sender, link));
}

static void on_up(struct link *l)
{
	struct sender *s = container_of(l, struct sender, link);
	char name[320];

	link_name(l, name, sizeof(name));
	if (!s->ready)
		say(SYSLOG_READY);
	else
		log_info("container %.12s: %s: connected again", s->id, name);
	s->ready = true;
	s->retry = true;
	s->sent = 0;
	pump(s);
}

static void on_down(struct link *l, bool was_up, const struct err *why)
{
	struct sender *s = container_of(l, struct sender, link);
	char name[320], text[ERR_TEXT_MAX];

	link_name(l, name, sizeof(name));
	s->sent = 0;
	if (!s->retry) {
		snprintf(text, sizeof(text), SYSLOG_FAILED "%s: %s", name, err_text(why));
		say(text);
		loop_quit(s->loop, 1);
	} else if (was_up) {
		log_warn("container %.12s: %s: %s; trying again", s->id, name, err_text(why));
	}
	try_finish(s);
}

/* ---- in ---- */

static void on_line(struct lines *lines, const char *text, size_t len, bool whole, int64_t time_ns)
{
	struct source *from = container_of(lines, struct source, lines);
	struct sender *s = from->sender;
	const struct queue_line line = { time_ns, (uint32_t)len, from->is_err, text };

	(void)whole;
	if ((s->blocking ? queue_force(&s->queue, &line) : queue_put(&s->queue, &line)) < 0)
		count_loss(s, 1);
}

static void on_finish_late(struct timer_event *ev)
{
	struct sender *s = container_of(ev, struct sender, finish);
	char name[320];

	link_name(&s->link, name, sizeof(name));
	log_warn("container %.12s: %s: %llu lines could not be sent any more", s->id, name,
		 (unsigned long long)queue_count(&s->queue) + (s->out.len > 0));
	loop_quit(s->loop, 0);
}

static void take_packet(struct sender *s, const char *data, size_t len)
{
	struct syslog_packet head;
	struct source *from;

	if (len < sizeof(head))
		return;
	memcpy(&head, data, sizeof(head));
	from = &s->sources[head.is_err ? 1 : 0];
	count_loss(s, head.lost);
	if (head.kind == SYSLOG_OUTPUT)
		lines_take(&from->lines, data + sizeof(head), len - sizeof(head), head.real_ns);
	else
		lines_flush(&from->lines, head.real_ns);
	if (head.kind != SYSLOG_FINISH)
		return;
	lines_flush(&s->sources[1].lines, head.real_ns);
	s->finishing = true;
	(void)io_change(&s->channel, 0);
	(void)timer_set(s->loop, &s->finish, SYSLOG_FINISH_MS);
}

static void on_channel(struct io_event *ev, uint32_t events)
{
	struct sender *s = container_of(ev, struct sender, channel);
	char data[sizeof(struct syslog_packet) + SYSLOG_CHUNK_MAX];

	if (!(events & EPOLLIN)) { /* the shim has ended */
		loop_quit(s->loop, 1);
		return;
	}
	for (int i = 0; i < PACKETS_PER_ROUND && !s->finishing; i++) {
		ssize_t n = recv(SYSLOG_CHANNEL, data, sizeof(data), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			loop_quit(s->loop, 1);
			return;
		}
		if (n < 0)
			break;
		take_packet(s, data, (size_t)n);
		if (s->blocking && queue_used(&s->queue) >= s->queue.limit) {
			(void)io_change(&s->channel, 0);
			break;
		}
	}
	pump(s);
}

/* ---- set-up ---- */

static int read_tls(yyjson_val *o, struct sender *s, struct err *e)
{
	struct tls_client_files files = { 0 };
	int r = json_get_text(o, "ca", &files.ca, e);

	if (r == 0)
		r = json_get_text(o, "cert", &files.certificate, e);
	if (r == 0)
		r = json_get_text(o, "key", &files.key, e);
	if (r == 0)
		r = json_get_bool(o, "skip_verify", &files.skip_verify, e);
	return r == 0 ? tls_client_new(&files, &s->link.tls, e) : r;
}

static int read_style(yyjson_val *o, struct sender *s, struct err *e)
{
	const char *facility = NULL, *format = NULL;
	int r = json_get_text(o, "facility", &facility, e);

	if (r == 0)
		r = json_get_text(o, "format", &format, e);
	if (r == 0)
		r = json_get_copy(o, "tag", &s->tag, e);
	if (r == 0)
		r = syslog_facility_parse(facility, &s->style.facility, e);
	if (r == 0)
		r = syslog_format_parse(format, &s->style.format, e);
	if (gethostname(s->hostname, sizeof(s->hostname) - 1) < 0)
		s->hostname[0] = '\0';
	s->style.hostname = s->hostname;
	s->style.tag = s->tag ? s->tag : "";
	s->style.pid = (int)getppid(); /* the shim's: it stays when this process does not */
	s->style.counted = syslog_counted(s->link.address.net, s->style.format);
	return r;
}

static int read_config(yyjson_val *o, struct sender *s, struct err *e)
{
	const char *address = NULL;
	uint64_t buffer = SYSLOG_BUFFER;
	int r = json_get_text(o, "address", &address, e);

	if (r == 0)
		r = syslog_address_parse(address ? address : SYSLOG_DEFAULT_ADDRESS,
					 &s->link.address, e);
	if (r == 0)
		r = json_get_copy(o, "id", &s->id, e);
	if (r == 0)
		r = json_get_bool(o, "blocking", &s->blocking, e);
	if (r == 0)
		r = json_get_bool(o, "retry", &s->retry, e);
	if (r == 0)
		r = json_get_u64(o, "buffer", &buffer, e);
	if (r == 0)
		r = read_style(o, s, e);
	if (r == 0 && s->link.address.net == SYSLOG_TLS)
		r = read_tls(o, s, e);
	s->queue.limit = s->blocking ? BLOCKING_LIMIT : buffer;
	return r;
}

static int take_config(struct sender *s, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	char text[SYSLOG_CONFIG_MAX + 1];
	ssize_t n = recv(SYSLOG_CHANNEL, text, sizeof(text), 0);
	yyjson_val *root;
	int r;

	if (n <= 0 || n == sizeof(text))
		return err_set(e, EBADMSG, "no configuration");
	r = json_parse_object(text, (size_t)n, &doc, &root, e);
	return r == 0 ? read_config(root, s, e) : r;
}

/* The folders of what the resolver reads: it is replaced by renaming, so the folder it is. */
static size_t resolver_paths(const struct syslog_address *a, char real[PATH_MAX],
			     struct worker_path paths[RESOLVER_PATHS])
{
	unsigned char raw[16];

	if (a->net >= SYSLOG_UNIX || inet_pton(AF_INET, a->host, raw) == 1 ||
	    inet_pton(AF_INET6, a->host, raw) == 1)
		return 0;
	paths[0] = (struct worker_path){ "/etc", WORKER_READ };
	if (!realpath("/etc/resolv.conf", real))
		return 1;
	*strrchr(real, '/') = '\0';
	paths[1] = (struct worker_path){ *real ? real : "/", WORKER_READ };
	return 2;
}

static int enter_sandbox(const struct sender *s, struct err *e)
{
	struct worker_path paths[RESOLVER_PATHS];
	char real[PATH_MAX];
	struct worker_sandbox sandbox = {
		.drop_user = true,
		.uid = SENDER_UID,
		.gid = SENDER_UID,
		.confine_files = true,
		.paths = paths,
		.n_paths = resolver_paths(&s->link.address, real, paths),
		.calls = WORKER_CALLS_BASE | WORKER_CALLS_NET,
		.max_memory = worker_memory_limit(SENDER_MEMORY + 2 * s->queue.limit),
		.death_signal = SIGKILL,
	};

	if (sandbox.n_paths > 0)
		sandbox.calls |= WORKER_CALLS_LOOK;
	return worker_sandbox_apply(&sandbox, e);
}

static int set_up(struct sender *s, bool sandboxed, struct err *e)
{
	int r = take_config(s, e);

	if (r == 0)
		r = loop_new(&s->loop, e);
	if (r == 0 && sandboxed)
		r = enter_sandbox(s, e);
	if (r < 0)
		return r;
	s->out = BUF_INIT(MESSAGE_MAX);
	s->report.fn = on_report;
	s->finish.fn = on_finish_late;
	s->channel.fn = on_channel;
	for (int i = 0; i < 2; i++)
		s->sources[i] = (struct source){ { .emit = on_line }, s, i == 1 };
	s->link.loop = s->loop;
	s->link.up = on_up;
	s->link.down = on_down;
	s->link.room = on_room;
	s->ready = s->retry;
	if (io_add(s->loop, &s->channel, SYSLOG_CHANNEL, s->ready ? EPOLLIN : 0) < 0)
		return err_errno(e, errno, "channel");
	link_start(&s->link);
	return 0;
}

static void sender_clear(struct sender *s)
{
	if (s->loop) {
		link_close(&s->link);
		io_remove(&s->channel);
		timer_clear(&s->report);
		timer_clear(&s->finish);
		loop_free(s->loop);
	}
	tls_context_free(s->link.tls);
	for (int i = 0; i < 2; i++)
		lines_free(&s->sources[i].lines);
	queue_free(&s->queue);
	buf_free(&s->out);
	free(s->id);
	free(s->tag);
}

int syslog_worker(int argc, char **argv)
{
	/* a test runs under sanitizers, which the sandbox does not let live */
	bool sandboxed = !(argc > 1 && str_eq(argv[1], "unconfined"));
	struct sender s = { .link.fd = -1 };
	char text[ERR_TEXT_MAX];
	struct err e = { 0 };
	int r;

	log_open("syslog", STDERR_FILENO);
	signal(SIGPIPE, SIG_IGN);
	r = set_up(&s, sandboxed, &e);
	if (r == 0) {
		r = loop_run(s.loop);
		tell_loss(&s);
	} else {
		snprintf(text, sizeof(text), SYSLOG_FAILED "%s", err_text(&e));
		say(text);
	}
	sender_clear(&s);
	return r < 0 ? 1 : r;
}
